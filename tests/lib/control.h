/*
 * control.h - ioctls of uapi/ubpffs.h as fs/ioctl/ gets them, on a state of tests/lib/state.h,
 * without a mount
 */
#ifndef UBPFFS_TESTS_CONTROL_H
#define UBPFFS_TESTS_CONTROL_H

#include "fs/node/node.h"
#include "fs/store/objects/object.h"
#include "uapi/ubpffs.h"

/* The object's file, or ctl (NULL), opened by them with these flags. */
struct fs_open *control_test_open(struct store_object *obj, const struct fs_cred *cred, int flags);
void control_test_close(struct fs_open *open);

/*
 * One command. Of `io` flags, xfer, cursor, count and stamp go in, and all comes back. The result
 * of the command; -ENOTTY: the file has no such command. What it said why is in control_why.
 */
int control_test_call(struct fs_open *open, u32 cmd, struct ubpffs_io *io, const void *in,
		      size_t in_len, void *out, size_t room);
/* The next calls are made for this request: a number of the kernel's, or cancelled. */
extern u64 control_test_unique;
extern bool control_test_cancel;
extern char control_why[256];

/* 0: of nothing but its payload. */
static inline int control_test_simple(struct fs_open *open, u32 cmd, const void *in, size_t in_len,
				      void *out, size_t room)
{
	struct ubpffs_io io = {0};

	return control_test_call(open, cmd, &io, in, in_len, out, room);
}

#endif
