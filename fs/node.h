/*
 * node.h - the inodes that the kernel knows, and what each kind of file does
 *
 * A node is one file or directory of the mount. What it is (a program's `run`, a map's attribute, a user's
 * directory) is its `ops`; where it lives is a file or directory of the state tree (tree.h) and, for the
 * synthesized files of a directory, an attribute index. The FUSE node id is made of the two, so hard links share a
 * node and a restarted server gives the same ids.
 *
 * ops.c turns FUSE callbacks into calls of these functions, and nothing else does: no other file of fs/ includes
 * a FUSE header. Handlers are: parse, call the engine, print. They return 0 or -errno (only below 512).
 *
 * A handler that may take long (a load, a test run, a blocking read) is marked so in `ops` and is run on a
 * worker, with the request parked; it sees fs_req.cancel become true when the caller is interrupted (for
 * loads: is being killed).
 */
#ifndef UBPFFS_FS_NODE_H
#define UBPFFS_FS_NODE_H

#include <sys/stat.h>
#include <sys/types.h>
#include "core/types.h"

struct fs_node;
struct fs_open;

struct fs_cred { /* who asks; taken from the request, never from what a client wrote */
	uid_t uid;
	gid_t gid;
	pid_t pid;
	u32 ngroups; /* supplementary groups, read when a check needs them */
	gid_t *groups;
};

struct fs_req {
	struct fs_cred cred;
	volatile bool cancel;
	mode_t umask;
};

/* A buffer that a text file's read fills; grows, never fails quietly (err is kept). */
struct fs_text {
	char *buf;
	size_t len, cap;
	int err;
};

void fs_text_free(struct fs_text *text);
void fs_text_printf(struct fs_text *text, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void fs_text_append(struct fs_text *text, const void *data, size_t len);

/* One open file description. `priv` is the kind's; release frees it. */
struct fs_open {
	struct fs_node *node;
	int flags; /* O_ACCMODE, O_NONBLOCK, O_EXCL, ... */
	struct fs_cred opener; /* who opened: permissions were checked against it */
	struct fs_text text; /* for ops->show: the content, made at the first read */
	bool text_made;
	void *priv;
};

struct fs_node_ops {
	const char *name; /* for logs: "map attribute" */
	mode_t type; /* S_IFDIR, S_IFREG, S_IFLNK */
	bool slow_read, slow_write, slow_ioctl; /* run on a worker */
	bool fresh; /* a new node at each lookup: writers do not serialise in the kernel */

	/* files */
	int (*open)(struct fs_open *open, struct fs_req *req);
	/* Simple text files: the whole content, made once an open. */
	int (*show)(struct fs_node *node, struct fs_req *req, struct fs_text *out);
	/* Others: bytes at an offset; returns how many, 0 at the end. */
	ssize_t (*read)(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
	ssize_t (*write)(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			 off_t off);
	int (*flush)(struct fs_open *open, struct fs_req *req);
	void (*release)(struct fs_open *open);
	/*
	 * `nr` is _IOC_NR(cmd); in and out are the buffer as the client sent it and as it goes back. *out_len is
	 * the room, then what is filled. Returns 0 or -errno; out is sent back also with an error
	 * (uapi/ubpffs.h: a rejected load carries its log).
	 */
	int (*ioctl)(struct fs_open *open, struct fs_req *req, unsigned int nr, const void *in,
		     size_t in_len, void *out, size_t *out_len);
	u32 (*poll)(struct fs_open *open); /* POLLIN, ... that are ready now */

	/* directories */
	int (*lookup)(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node **out);
	/* Emit names from *cursor on until emit() returns false; cursor 0 is the start. */
	int (*readdir)(struct fs_node *dir, struct fs_req *req, u64 *cursor,
		       bool (*emit)(void *arg, const char *name, u64 next_cursor, mode_t type,
				    u64 ino),
		       void *arg);
	int (*create)(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		      int flags, struct fs_node **out);
	int (*mkdir)(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		     struct fs_node **out);
	int (*symlink)(struct fs_node *dir, struct fs_req *req, const char *name,
		       const char *target, struct fs_node **out);
	int (*unlink)(struct fs_node *dir, struct fs_req *req, const char *name);
	int (*rmdir)(struct fs_node *dir, struct fs_req *req, const char *name);
	int (*link)(struct fs_node *node, struct fs_req *req, struct fs_node *dir, const char *name,
		    struct fs_node **out);
	int (*rename)(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node *newdir, const char *newname, unsigned int flags);

	/* any */
	int (*getattr)(struct fs_node *node, struct stat *st);
	void (*forget)(struct fs_node *node); /* the last lookup is gone: free priv */
};

#endif
