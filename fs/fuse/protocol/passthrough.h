/*
 * passthrough.h - FUSE passthrough: mmap(2) of one of our files reaches a file of ours directly
 *
 * The kernel (6.9 and later) takes a number that stands for a file (a backing id) in the reply to
 * an open, and mmap of the opened file is then mmap of that file, coherent with everybody who has
 * it mapped. Reads and writes still come to the server (the file is direct_io as well). Only root
 * may register files.
 *
 * libfuse 3.14 knows nothing of it. So two replies are completed on their way out (device.h): that
 * of INIT, when the kernel offers passthrough, and that of an open with a backing id. A reply is
 * written by the thread that makes it, so what to add travels in a thread-local variable.
 *
 * The kernel demands one backing id of a file (node) at a time while any open uses it, and that
 * each open names it. The caller keeps one id for as long as the object lives, and the next server
 * of the same mount goes on with it: it is recorded under the caller's `key` of the file (0: of
 * memory that ends with the server).
 */
#ifndef UBPFFS_FS_FUSE_PROTOCOL_PASSTHROUGH_H
#define UBPFFS_FS_FUSE_PROTOCOL_PASSTHROUGH_H

#include <sys/uio.h>
#include "util/types.h"

/*
 * With the mount's descriptor. Without root: nothing, and opens have no backing id. -ENOMEM.
 */
int passthrough_start(int device);
/* After the loop; nothing uses the descriptor, or asks the mounter, when it returns. */
void passthrough_stop(void);

/* device.c's: the kernel's INIT; our answer to it, 64 bytes; it was sent. */
void passthrough_init(const void *request, size_t len);
void passthrough_init_answer(void *answer);
void passthrough_agreed(void);
/* What to send in place of iov, in `out` and 16 bytes of room where that is another answer. */
const struct iovec *passthrough_open_answer(const struct iovec *iov, int count, struct iovec out[2],
					    void *room);

/* What an earlier server of this mount has got for the file; 0: nothing. */
int passthrough_known(u64 key);
/*
 * A backing id (> 0) for an open file, or -EOPNOTSUPP (no passthrough here) or why the kernel
 * refused.
 */
int passthrough_add(int fd, u64 key);
/* Opens that have it go on. Ids that are not > 0 are ignored. */
void passthrough_remove(int backing_id, u64 key);

/* Around fuse_reply_open() of this thread: the reply names this backing id (0: none). */
void passthrough_reply(int backing_id);

#endif
