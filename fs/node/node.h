/*
 * node.h - the inodes that the kernel knows, and what each kind of file does
 *
 * A node is one file or directory of the mount. What it is (a program's `run`, a map's attribute, a
 * user's directory) is its `ops`; where it lives is a file or directory of the state tree
 * (state_tree.h) and, for the synthesized files of a directory, an attribute index. The FUSE node
 * id is made of the two, so hard links share a node (but those of an object's directory and those
 * of the user's own, ops->pin, have one each) and a restarted server gives the same ids. Only keyed
 * nodes (entries/<key>) and fresh ones get ids from a counter.
 *
 * ops.c and io.c turn FUSE callbacks into calls of these functions, and nothing else does: only
 * main.c and the files of fuse.h include a FUSE header. Handlers are: parse, call the engine,
 * print. They return 0 or -errno (only below 512). Say why with `return fs_error(req, EINVAL,
 * "key_size is %u ...", n)`: the sentence goes to the caller's M/log. A handler that fails without
 * a sentence gets a general one.
 *
 * Permissions: the mount has default_permissions, so the kernel has already checked the caller's
 * uid, groups and capabilities against getattr()'s bits for every path walk, open, create, unlink,
 * rename, chmod. A handler checks only what the kernel cannot see: a path, id or pid that a client
 * names in text or in an ioctl (caller/caller.h).
 *
 * Waiting: a handler never waits on a FUSE thread. Kinds that may take long set `slow` (their reads
 * and writes run on a worker, one at a time for one open, in order), open->slow for one open file
 * (of large values; its ioctls, too), or fs_command.slow for some ioctls; their flush is answered
 * at once (but for slow_flush), so that nobody waits in close(2). What may take seconds of
 * processor time (a load, a run) is `long` besides: it does not stand in the way of the short, and
 * a limit of its user's ends it (cpu_limit.h). A read that has nothing yet returns -EAGAIN: with
 * O_NONBLOCK that is the answer, else the request is parked on open->waitq and the read is called
 * again after fs_wake(). fs_req.cancel becomes true when the caller is interrupted (with
 * ops->cancel_on_kill_only: is being killed), or at the limit: `return fs_cancel_error(req)`.
 *
 * Locking: reads, writes and flushes of one open never run at once, so open->priv needs no lock of
 * its own (a flush while another process's read or write runs on the same open is left out).
 * ioctls, and handlers of a node through several opens, do run at once.
 */
#ifndef UBPFFS_FS_NODE_NODE_H
#define UBPFFS_FS_NODE_NODE_H

#include <pthread.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "util/types.h"
#include "fs/work/worker.h"
#include "fs/caller/caller.h"
#include "text/error.h"
#include "fs/lib/error_log.h"
#include "fs/lib/hash.h"
#include "fs/caller/limits.h"
#include "text/text.h"
#include "fs/node/open.h"
#include "fs/node/request.h"

struct fs_node;
struct write_buffer;
struct store_object;
struct fs_open;
struct fs_job;
struct cpu_limit;
struct kept;
struct open_record;

#define FS_LARGE_VALUE (64u << 10) /* bytes: more are copied, parsed and printed on a worker */

typedef bool (*fs_emit_fn)(void *arg, const char *name, u64 next_cursor, mode_t type, u64 ino);

/*
 * An ioctl's command, as far as FUSE has to know it; what a kind keeps about one begins with this.
 */
struct fs_command {
	bool slow; /* it runs on a worker, beside the other requests of its open */
	enum limit limit; /* of processor time, as is_long() returns it */
};

struct fs_node_ops {
	const char *name; /* for logs: "map attribute" */
	mode_t type; /* S_IFDIR, S_IFREG, S_IFLNK */
	bool slow; /* reads and writes on a worker, release too */
	bool slow_flush; /* flushes too: closing changes something */
	bool cancel_on_kill_only; /* an interrupt cancels only when the caller is being killed */
	bool fresh; /* a new node at each lookup: writers do not serialise in the kernel */
	/* its name and its bits change through the kernel only, which may cache them */
	bool stable;
	/* directories: what is looked for in it may have to be read back (fs_backing.asleep) */
	bool wakes;
	/* an object's file by a name of the user's: a node of its own, with the other's st_ino */
	bool pin;

	/* files; open and release also for directories */
	int (*open)(struct fs_open *open, struct fs_req *req);
	/* Simple text files: the whole content. */
	int (*show)(struct fs_node *node, struct fs_req *req, struct fs_text *out);
	bool appends; /* what show gives only grows: a read at its end asks again (tail -f) */
	bool short_show; /* only its writes are slow */
	/*
	 * st_size: what a whole read would give now, or more where that takes too long to find out.
	 * NULL, or 0: of a show that is not slow (or short) its text's length, else 0.
	 */
	u64 (*size)(struct fs_node *node, struct fs_req *req);
	/* Others: bytes at an offset; returns how many, 0 at the end. */
	ssize_t (*read)(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
	bool takes; /* what a read gives is gone: its answer is kept until it is sent */
	/* Returns len, -errno, or FS_LATER. `off` is the file offset (with O_APPEND: anything). */
	ssize_t (*write)(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			 off_t off);
	/*
	 * One descriptor was closed; the description may live on. Never ends anything (design 2).
	 */
	int (*flush)(struct fs_open *open, struct fs_req *req);
	void (*release)(struct fs_open *open);
	/* By _IOC_NR(cmd), whatever the size; NULL: ENOTTY. Called once an ioctl. */
	const struct fs_command *(*command)(unsigned int cmd);
	/*
	 * *out_len: room in out on entry; how many bytes to copy to the caller on return, also on
	 * failure. Returns ioctl(2)'s result or -errno.
	 */
	int (*ioctl)(struct fs_open *open, struct fs_req *req, const struct fs_command *command,
		     const void *in, size_t in_len, void *out, size_t *out_len);
	/*
	 * Which limit counts, of processor time (LIMIT_RUN_SECONDS, LIMIT_VERIFY_SECONDS), for what
	 * a worker is about to do; LIMIT_CNT: it is short. NULL: everything is. Not asked about
	 * ioctls.
	 */
	enum limit (*is_long)(struct fs_open *open, enum job_what what);
	u32 (*poll)(struct fs_open *open); /* POLLIN, ... that are ready now */
	/*
	 * What `open` cannot find out after a takeover (keeper/records.h): written after each read,
	 * write, flush and ioctl; `lost` where it is more than fits. And that taken up again, in an
	 * open file that was just opened.
	 */
	void (*keep)(struct fs_open *open, struct kept *kept);
	void (*restore)(struct fs_open *open, const struct kept *kept);

	/* directories: their synthesized files, of which each has a node of its own */
	const struct fs_attr *rows;
	u32 nr_rows;
	/* directories that show an object: the name of its file there ("prog") */
	const char *object;
	/*
	 * directories of the user's own: a name that is the filesystem's and never the user's; or
	 * NULL
	 */
	bool (*reserved)(const char *name);
	/* directories; *out comes with one reference (fs_node_put()) */
	int (*lookup)(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node **out);
	/*
	 * Emit names from *cursor on until emit() returns false; cursor 0 is the start. Not "." and
	 * "..".
	 */
	int (*readdir)(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
		       void *arg);
	int (*create)(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		      int flags, struct fs_node **out);
	int (*mkdir)(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
		     struct fs_node **out);
	int (*symlink)(struct fs_node *dir, struct fs_req *req, const char *name,
		       const char *target, struct fs_node **out);
	int (*unlink)(struct fs_node *dir, struct fs_req *req, const char *name);
	int (*rmdir)(struct fs_node *dir, struct fs_req *req, const char *name);
	/* Called on the target directory; *out is the node by the new name. */
	int (*link)(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *node,
		    struct fs_node **out);
	/* Called on the source directory; newdir may be of another kind. */
	int (*rename)(struct fs_node *dir, struct fs_req *req, const char *name,
		      struct fs_node *newdir, const char *newname, unsigned int flags);

	/* symlinks that are no file of the state tree: the target, NUL-terminated */
	int (*readlink)(struct fs_node *node, struct fs_req *req, char *buf, size_t len);

	/* keyed nodes: the name in their directory, as text */
	void (*key_name)(const struct fs_node *node, struct fs_text *out);
	/* any; NULL: the tree file's, or for attributes the object's with the table's mode */
	int (*getattr)(struct fs_node *node, struct stat *st);
	/*
	 * directories: whose bits, owner and times their attributes have; NULL, or an error: the
	 * directory's own
	 */
	int (*rows_stat)(struct fs_node *dir, struct stat *st);
	/* Its owner, bits or times were changed. */
	void (*attr_changed)(struct fs_node *node);
	void (*free)(struct fs_node *node); /* the last reference is gone: free priv */
};

/*
 * The synthesized files of a directory kind: one table, one row a file. The node id's index is the
 * row's position + 1, so rows are only ever added at the end. `mode` is a mask for the object's (or
 * before there is one, the directory's) permission bits. The object's own file is not in the table.
 */
struct fs_attr {
	const char *name;
	mode_t mode; /* 0444, 0666, 0222; 0777 for a directory */
	const struct fs_node_ops *ops;
	long arg; /* the kind's: which attribute */
};

/*
 * What is found in the state tree or by a key is made again by the next server (takeover.h), which
 * may be of another version: so the kind has a name that stays. Rows need none: they go by their
 * directory and their number.
 */
struct fs_kind {
	const char *name;
	const struct fs_node_ops *ops;
};
#define FS_KIND_NAME 32 /* with its NUL */

#define FS_KIND(kind_ops, kind_name)                                               \
	_Static_assert(sizeof(kind_name) <= FS_KIND_NAME, "the name is too long"); \
	static const struct fs_kind kind_of_##kind_ops = {kind_name, &(kind_ops)}; \
	static const struct fs_kind *const kind_at_##kind_ops                      \
		__attribute__((section("fs_kinds"), used)) = &kind_of_##kind_ops

struct fs_node {
	const struct fs_node_ops *ops;
	u64 id; /* FUSE's */
	u64 ino; /* what stat shows */
	/* a file or directory of the state tree, as opposed to attributes and keyed nodes */
	bool in_tree;
	struct fs_node *dir; /* the directory that it is in, referenced; NULL for the root */
	const struct fs_attr *attr; /* attributes: the row */
	void *key; /* keyed nodes: key_len bytes, owned */
	u32 key_len;
	void *priv;
	struct store_object *obj; /* what it shows: store_bind(), store_of_node() */
	bool obj_known; /* a directory that shows an object: `obj` was looked for */
	struct known_stat *known_stat; /* fs_node_tree_stat() */

	u64 refs; /* node.c's, from here on: the kernel's lookups, opens, children, pins */
	u32 index; /* row + 1; 0 in the tree, but for pins */
	struct hash_link id_link, identity_link, name_link;
	struct node_record *record; /* for the next server (node/takeover.h), or NULL */
	char *name; /* in the tree: its name in `dir` */
	u32 object; /* an object's file: objects/<object>, whatever name led here */
	bool gone; /* removed from the tree; then what it was: */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	int path_fd; /* O_PATH, or -1: not open now */
	u32 pins; /* requests that use it */
	struct fs_node *newer, *older; /* open and not pinned */
};

u64 fs_nodes_count(void);

/* Add to the kernel's lookup count of the node; negative: FORGET. Before the answer is sent. */
void fs_node_add_lookups(struct fs_node *node, s64 times);

/* NULL: FS_KIND() has named none so. */
const struct fs_node_ops *fs_kind_ops(const char *name);

/* By FUSE id, with one reference; NULL: not known. */
struct fs_node *fs_node_find(u64 id);
void fs_node_get(struct fs_node *node);
void fs_node_put_many(struct fs_node *node, u64 count);
static inline void fs_node_put(struct fs_node *node)
{
	if (node)
		fs_node_put_many(node, 1);
}

/* A node that node/takeover.c has made goes into the table, with these references. */
void fs_node_adopt(struct fs_node *node, u64 refs);

/* Find or make nodes; each gives one reference. */
int fs_node_root(const struct fs_node_ops *ops, struct fs_node **out);
/*
 * A name of the state tree; tree_lock held. `object`: the id of the object whose file it is, or 0.
 */
int fs_node_tree(struct fs_node *dir, const char *name, u64 ino, u32 object,
		 const struct fs_node_ops *ops, struct fs_node **out);
int fs_node_attr(struct fs_node *dir, const struct fs_attr *table, u32 row, struct fs_node **out);
int fs_node_keyed(struct fs_node *dir, const struct fs_node_ops *ops, const void *key, u32 key_len,
		  struct fs_node **out);
/* The directory of the state tree that an attribute or keyed node is under, or the node itself. */
struct fs_node *fs_node_base(struct fs_node *node);
/*
 * An O_PATH descriptor of a node of the state tree, for this thread until it calls fs_node_unpin()
 * (which every request does at its end). It is opened by the first request that needs it. Of a
 * directory that was removed: one that is empty, with no links. -1: no descriptor could be had, so
 * that what uses it fails with EBADF, and the request is answered with the reason, which
 * fs_node_pin() returns and fs_node_pin_error() remembers for this request.
 */
int fs_node_fd(struct fs_node *node);
int fs_node_pin(struct fs_node *node);
int fs_node_pin_error(void);
void fs_node_unpin(void);

/*
 * For whoever changes names, of which there is one (change.c): __fs_nodes_lock() is held around
 * it and these.
 */
void __fs_nodes_lock(void);
void __fs_nodes_unlock(void);
void __fs_node_moved(u64 ino, struct fs_node *dir,
		     char **name); /* takes over *name if it needs it */
void __fs_node_gone(const struct stat *st);
/* A node of the state tree that is known, with one reference, or NULL. */
struct fs_node *fs_node_by_ino(u64 ino);
/* The same for a directory or symlink, by its name; tree_lock held. */
struct fs_node *fs_node_by_name(struct fs_node *dir, const char *name);

/*
 * For the files of this folder alone: the lock of all nodes. Under it: a node whose descriptor
 * nobody has pinned any more; returned is the one to close when there are more than `max`.
 */
extern pthread_mutex_t fs_node_lock;
struct fs_node *__fs_node_fd_list(struct fs_node *node, u32 max);
void __fs_node_fd_unlist(struct fs_node *node);

/* The path in the mount ("maps/m/type"), for people. Returns buf. */
const char *fs_node_path(struct fs_node *node, const char *name, char *buf, size_t len);

#endif
