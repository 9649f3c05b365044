/*
 * protocol.h - what of the FUSE protocol is looked at beside libfuse: sizes and meanings are the
 * kernel's
 */
#ifndef UBPFFS_FS_FUSE_PROTOCOL_PROTOCOL_H
#define UBPFFS_FS_FUSE_PROTOCOL_PROTOCOL_H

#include "util/types.h"

/* A request's header, as the kernel has it. */
struct fuse_request_head {
	u32 len, opcode;
	u64 unique, nodeid;
	u32 uid, gid, pid;
	u16 total_extlen, padding;
};

struct fuse_answer_head {
	u32 len;
	s32 error;
	u64 unique;
};

/* The opcodes that somebody here has to know. */
enum {
	OPCODE_LOOKUP = 1,
	OPCODE_FORGET = 2,
	OPCODE_SYMLINK = 6,
	OPCODE_MKNOD = 8,
	OPCODE_MKDIR = 9,
	OPCODE_UNLINK = 10,
	OPCODE_RMDIR = 11,
	OPCODE_RENAME = 12,
	OPCODE_LINK = 13,
	OPCODE_OPEN = 14,
	OPCODE_WRITE = 16,
	OPCODE_RELEASE = 18,
	OPCODE_FLUSH = 25,
	OPCODE_INIT = 26,
	OPCODE_OPENDIR = 27,
	OPCODE_RELEASEDIR = 29,
	OPCODE_CREATE = 35,
	OPCODE_INTERRUPT = 36,
	OPCODE_DESTROY = 38,
	OPCODE_IOCTL = 39,
	OPCODE_POLL = 40,
	OPCODE_NOTIFY_REPLY = 41,
	OPCODE_BATCH_FORGET = 42,
	OPCODE_RENAME2 = 45,
};

#define INIT_EXT (1u << 30) /* in INIT's flags: flags2 is there */

/* RELEASE and RELEASEDIR, as far as it is looked at. */
struct fuse_release_request {
	struct fuse_request_head head;
	u64 fh;
};

struct fuse_poll_request {
	struct fuse_request_head head;
	u64 fh, kh;
	u32 flags, events;
};

#endif
