/*
 * passthrough.h - FUSE passthrough: mmap(2) of one of our files reaches a file of ours directly
 *
 * The kernel (6.9 and later) takes a number that stands for a file (a backing id) in the reply to
 * an open, and mmap of the opened file is then mmap of that file, coherent with everybody who has
 * it mapped. Reads and writes still come to the server (the file is direct_io as well). Only root
 * may register files.
 *
 * libfuse 3.14 knows nothing of it. So the server's reads and writes of /dev/fuse go through here
 * (fuse_session_custom_io), and two replies are completed on their way out: that of INIT, when the
 * kernel offers passthrough, and that of an open with a backing id. A reply is written by the
 * thread that makes it, so what to add travels in a thread-local variable. An aborted connection
 * ends there as an unmounted one does.
 *
 * The kernel demands one backing id of a file (node) at a time while any open uses it, and that
 * each open names it. The caller keeps one id for as long as the object lives.
 */
#ifndef UBPFFS_FS_FUSE_PASSTHROUGH_H
#define UBPFFS_FS_FUSE_PASSTHROUGH_H

#include "util/types.h"

struct fuse_session;

/*
 * After the mount, before the loop. Without root, or when libfuse refuses: nothing, and opens have
 * no backing id.
 */
void passthrough_start(struct fuse_session *se);
/* After the loop. */
void passthrough_stop(void);

/*
 * A backing id (> 0) for an open file, or -EOPNOTSUPP (no passthrough here) or why the kernel
 * refused.
 */
int passthrough_add(int fd);
/* Opens that have it go on. Ids that are not > 0 are ignored. */
void passthrough_remove(int backing_id);

/* Around fuse_reply_open() of this thread: the reply names this backing id (0: none). */
void passthrough_reply(int backing_id);

#endif
