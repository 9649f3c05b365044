/*
 * backing.h - the directory whose files and directories the mount shows: what the file server core
 * needs of it
 *
 * Whoever opens it fills this in before the first node is made, and nothing changes while there are
 * nodes. So fuse/ could serve any tree.
 */
#ifndef UBPFFS_FS_NODE_BACKING_H
#define UBPFFS_FS_NODE_BACKING_H

#include <sys/types.h>
#include "util/types.h"
#include "text/error.h"

struct fs_node;

extern struct fs_backing {
	int root_fd; /* O_PATH will do */
	int numbered_fd; /* the directory of the files that are opened by number (node->object) */
	int gone_fd; /* of a directory that was removed: empty, with no links */
	u64 root_ino;
	/*
	 * -1: stays. Takes the locks that changes need, and whatever goes with an owner. 0 or
	 * -errno and why.
	 */
	int (*chown)(struct fs_node *node, uid_t uid, gid_t gid, struct error_record *why);
	/* The attributes of this file of the tree were changed. */
	void (*changed)(int fd);
	/*
	 * The end of every request, before its answer: what it changed is as safe as the server
	 * promises. -EIO and why.
	 */
	int (*settle)(struct error_record *why);
	/* fsync(2) of a file or directory; waits for the disk. */
	int (*sync)(struct fs_node *node, struct error_record *why);
	/* A descriptor through which a file was changed is closed. The same. */
	int (*closed)(struct fs_node *node, struct error_record *why);
	/*
	 * Asked before a listing, and when something is not there: -EIO with a sentence when the
	 * whole directory was taken away. A few fstat(2).
	 */
	int (*lost)(struct error_record *why);
	/* What a node of an object, or of its directory, shows: its number; 0: nothing. */
	u32 (*object_of)(struct fs_node *node);
	/* A node was made of its record (node/takeover.h): what it shows is looked for. */
	void (*restored)(struct fs_node *node);
	/*
	 * A file of the node is opened again that showed this object. True: the object has no name
	 * there any more, and is shown until this is called with 0.
	 */
	bool (*restored_open)(struct fs_node *node, u32 object);
	/*
	 * Must a request of this node wait for something that is read back, for as long as a load?
	 * NULL: is there anything at all that one might wait for?
	 */
	bool (*asleep)(struct fs_node *node);
	/*
	 * What an open file alone kept, by its number, until it is let go: it may be a while until
	 * the file is used. NULL: there is none.
	 */
	void *(*hold)(u32 object);
	void (*let)(void *held);
	/* All nodes and open files of the last server are there, or will not be. */
	void (*all_restored)(void);
} fs_backing;

#endif
