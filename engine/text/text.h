/*
 * text.h - text that grows
 */
#ifndef UBPFFS_TEXT_TEXT_H
#define UBPFFS_TEXT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* The text of a file, as a read makes it; it grows. The first error stays in err. */
struct fs_text {
	char *buf;
	size_t len, cap;
	int err;
	const volatile bool *cancel; /* or NULL; true: nothing more is added, and err is -EINTR */
	size_t work; /* bytes added so far, also those that were dropped, and steps */
	size_t most_work; /* or 0; beyond it err is -EFBIG */
};

/* Count steps that the caller made without adding text. False: stop, err is set. */
bool fs_text_spend(struct fs_text *text, size_t steps);

void fs_text_free(struct fs_text *text);
void fs_text_printf(struct fs_text *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void fs_text_append(struct fs_text *text, const void *data, size_t len);
/* Two digits a byte, separated by the first character of gap, if there is one. */
void fs_text_hex(struct fs_text *text, const void *data, size_t size, const char *gap);

#endif
