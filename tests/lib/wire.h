/*
 * wire.h - the FUSE protocol without a mount: a session of libfuse gets requests that are put
 * together here, and its answers are taken apart
 *
 * Requests are handled on the caller's thread; what a worker answers is waited for. One session at
 * a time.
 */
#ifndef UBPFFS_TESTS_WIRE_H
#define UBPFFS_TESTS_WIRE_H

#include <linux/fuse.h>
#include "util/types.h"

struct wire_answer {
	s32 error; /* 0 or -errno */
	u32 len;
	char data[70000] __attribute__((aligned(8)));
};

extern u32 wire_uid, wire_gid; /* who asks; at first who runs the test */
extern u32 wire_init_flags; /* what the server wanted, of what was offered: all */

void wire_begin(void);
void wire_end(void);
/* The next answer is lost: the caller was killed. */
void wire_lose_next(void);

/* `in`, then `more`, or NULL. The request's number. */
u64 wire_send(u32 opcode, u64 node, const void *in, size_t len, const void *more, size_t more_len);
bool wire_answered(u64 unique);
s32 wire_wait(u64 unique, struct wire_answer *answer); /* answer->error */

/* Both. */
s32 wire_call(u32 opcode, u64 node, const void *in, size_t len, const void *more, size_t more_len,
	      struct wire_answer *answer);
/* Of requests whose argument is a name. */
s32 wire_name(u32 opcode, u64 node, const char *name, struct wire_answer *answer);

/* Open files. fh in and out; all with the flags of the open. */
s32 wire_open(u64 node, u32 flags, u64 *fh);
s32 wire_release(u64 node, u64 fh);
/* Bytes, or -errno. */
ssize_t wire_read(u64 node, u64 fh, u32 flags, char *buf, size_t len, u64 off);
ssize_t wire_write(u64 node, u64 fh, const char *text, u64 off);

#endif
