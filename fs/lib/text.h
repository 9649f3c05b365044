/*
 * text.h - text that grows
 */
#ifndef UBPFFS_FS_LIB_TEXT_H
#define UBPFFS_FS_LIB_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A buffer that a text file's read fills; grows, never fails quietly (err is kept). */
struct fs_text {
	char *buf;
	size_t len, cap;
	int err;
	const volatile bool *cancel; /* or NULL; true: no more is put in, and err is -EINTR */
	size_t work; /* bytes that were put in, also those that are gone, and steps between them */
	size_t most_work; /* or 0; beyond it err is -EFBIG */
};

/* Steps of who makes the text, which may find nothing to put in. False: err is set, no more. */
bool fs_text_spend(struct fs_text *text, size_t steps);

void fs_text_free(struct fs_text *text);
void fs_text_printf(struct fs_text *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void fs_text_append(struct fs_text *text, const void *data, size_t len);
/* Two digits a byte, parted by the first character of gap, if there is one. */
void fs_text_hex(struct fs_text *text, const void *data, size_t size, const char *gap);

#endif
