/*
 * write_buffer.h - what an open description has written so far and not yet used
 *
 * Shells split a write anywhere, and two commands may share one redirection. A write buffer takes
 * bytes in order; its owner looks for complete values in [buf, buf + len) and drops what it has
 * used. A write at offset 0 begins anew; a write that leaves a gap, or goes back to another place,
 * is -EINVAL. One open description, one write buffer: writes of one open never run at once
 * (node.h).
 *
 * The buffer may hold any bytes, and no NUL ends it: it is read by length (text/value_text.h), also
 * for a message (text_first_line()).
 */
#ifndef UBPFFS_FS_LIB_WRITE_BUFFER_H
#define UBPFFS_FS_LIB_WRITE_BUFFER_H

#include <sys/types.h>
#include "text/error.h"
#include "util/types.h"

struct write_buffer {
	char *buf;
	size_t len, cap;
	size_t solid; /* how many of them are no blanks */
	off_t next; /* file offset that continues it */
	bool incomplete; /* its owner waits for more bytes, and then parses it again */
};

/*
 * 0, -EINVAL (see above), -EFBIG (more than max bytes in the buffer), -ENOMEM. With append the
 * offset is ignored.
 */
int write_buffer_add(struct write_buffer *p, const char *data, size_t len, off_t off, bool append,
		     size_t max, struct error_record *why);
/* How large buf will be when `len` more bytes are there. */
size_t write_buffer_cap(const struct write_buffer *p, size_t len);
/* Forget the first `len` bytes. */
void write_buffer_drop(struct write_buffer *p, size_t len);
/*
 * Did a write of this size probably end because a buffer was full (cat, dd, stdio, the kernel's own
 * pieces), and not because the text did? Then what follows the last newline is the beginning of a
 * line, and must not act yet.
 */
bool write_buffer_cut(size_t len);
/*
 * Did the last write, of `len` bytes, end what was meant? A newline ends a value. A name ends with
 * its write (`echo -n`, `printf`), unless bytes come one by one.
 */
bool write_buffer_ended(const struct write_buffer *p, size_t len, bool name);
/* There are only blanks in it. */
bool write_buffer_blank(const struct write_buffer *p);
void write_buffer_free(struct write_buffer *p);

/*
 * What a later server needs of it, in WRITE_BUFFER_WORDS words. False: more is waiting than fits.
 * Into an empty one: -ENOMEM.
 */
#define WRITE_BUFFER_WORDS 20
bool write_buffer_keep(const struct write_buffer *p, u64 *words);
int write_buffer_restore(struct write_buffer *p, const u64 *words);

#endif
