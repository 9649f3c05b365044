/*
 * user_dir.h - directories that hold names of the state tree: a user's own, with pins and symlinks
 * in it
 *
 * Their operations are the root's, too (ops->reserved keeps its own names). The lookup and the
 * listing serve any directory whose names are those of the state tree.
 */
#ifndef UBPFFS_FS_DIRS_USER_DIR_H
#define UBPFFS_FS_DIRS_USER_DIR_H

#include "fs/node/node.h"
#include "fs/store/objects/object.h"
#include "fs/store/node_object.h"

extern const struct fs_node_ops user_dir_ops;

/*
 * What an object's file is in the object's own directory (and in ids/), and by a user's name, by
 * its kind. It reads as empty there, so that whoever copies or searches a directory gets on; a pin
 * is not read (EIO), so that whoever moves one to another filesystem fails before it is removed.
 * The folders of the kinds lie above this one: tree/root.c, which lists them all, fills these
 * before the first node is made.
 */
extern const struct fs_node_ops *object_file_ops[STORE_KINDS];
extern const struct fs_node_ops *pin_ops[STORE_KINDS];

ssize_t object_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
ssize_t pin_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off);
u64 pin_size(struct fs_node *node, struct fs_req *req);

/*
 * What the files of all objects have in common, and what makes one the file of the object's own
 * directory or a pin: initializers of fs_node_ops.
 */
/* clang-format off */
#define OBJECT_FILE				\
	.type = S_IFREG,			\
	.getattr = store_node_stat,		\
	.attr_changed = store_node_changed,	\
	.free = store_node_free
#define OBJECT_OWN_FILE .read = object_read
#define OBJECT_PIN .pin = true, .read = pin_read, .size = pin_size
/* clang-format on */

/*
 * A file whose readers wait has a dot before its name and is not listed; what is listed is a link
 * to it. Whoever copies or searches whole directories (cp -r, grep -r) goes by links: so that ends,
 * and takes no value that somebody else waits for.
 */
extern const struct fs_node_ops waiting_link_ops;

/* The node of an object's own file, found as `name` in `dir`. */
int fs_object_node(struct fs_node *dir, const char *name, struct store_object *obj,
		   struct fs_node **out);

/*
 * A node for `name` in a directory of the state tree: directories get dir_ops, the rest by what it
 * is.
 */
int fs_tree_lookup(struct fs_node *dir, const char *name, const struct fs_node_ops *dir_ops,
		   struct fs_node **out);

int user_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit, void *arg);
/*
 * The rows of a table, then the names of the state tree; `hidden`: also those that begin with a
 * dot.
 */
int rows_readdir(struct fs_open *open, struct fs_req *req, const struct fs_attr *rows, u64 own,
		 bool hidden, u64 cursor, fs_emit_fn emit, void *arg);
void user_release(struct fs_open *open);
int user_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
	       struct fs_node **out);
int user_symlink(struct fs_node *dir, struct fs_req *req, const char *name, const char *target,
		 struct fs_node **out);
int user_link(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *node,
	      struct fs_node **out);
int user_unlink(struct fs_node *dir, struct fs_req *req, const char *name);
int user_rmdir(struct fs_node *dir, struct fs_req *req, const char *name);
int user_rename(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *newdir,
		const char *newname, unsigned int flags);

#endif
