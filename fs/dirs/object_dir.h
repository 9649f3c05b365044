/*
 * object_dir.h - what progs/<x> and maps/<x> share: a directory with the object's file and
 * synthesized files
 *
 * In the state tree it is a directory that holds a hard link of the object ("prog" or "map") and
 * hidden files. The object's file is listed first; unlinking it drops the name: from then on the
 * directory reads as empty, the rest unlinks silently, and rmdir removes it. A kind's ops call
 * these with its table.
 */
#ifndef UBPFFS_FS_DIRS_OBJECT_DIR_H
#define UBPFFS_FS_DIRS_OBJECT_DIR_H

#include "fs/node/node.h"
#include "fs/store/objects/object.h"

struct objdir_kind {
	const char *object; /* "prog", "map" */
	const char *definition; /* the hidden file of one that was made by mkdir; NULL: none is */
	const struct fs_attr *attrs;
	u32 attr_cnt;
	/* Is this row there now? NULL: always. (An incomplete map has only its attributes.) */
	int (*visible)(struct fs_node *dir, u32 row, bool alive);
	/*
	 * Unlinking a row of a directory that has no object and never had (an incomplete map).
	 * NULL: -EPERM.
	 */
	int (*unlink_incomplete)(struct fs_node *dir, struct fs_req *req, u32 row);
	/* Is its object not created yet (and not: removed)? NULL: never so. */
	bool (*incomplete)(struct fs_node *dir);
	/* The name was dropped (tree_wrlock held); obj is still referenced. */
	void (*dropped)(struct store_object *obj);
};

int objdir_lookup(const struct objdir_kind *kind, struct fs_node *dir, const char *name,
		  struct fs_node **out);
int objdir_readdir(const struct objdir_kind *kind, struct fs_open *open, u64 cursor,
		   fs_emit_fn emit, void *arg);
int objdir_unlink(const struct objdir_kind *kind, struct fs_node *dir, struct fs_req *req,
		  const char *name);
/* Subdirectories (entries/) unlink silently once the name is dropped. */
int objdir_rmdir_child(const struct objdir_kind *kind, struct fs_node *dir, struct fs_req *req,
		       const char *name);

/* For the parent (progs/, maps/): drop the name if it is there, and remove the directory. */
int objdir_remove(const struct objdir_kind *kind, struct fs_node *parent, struct fs_req *req,
		  const char *name);
/*
 * For maps/ and events/: a directory that has nothing but its definition, the empty hidden file
 * `def`.
 */
int objdir_mkdir(struct fs_node *parent, struct fs_req *req, const char *name, mode_t mode,
		 const char *def, const struct fs_node_ops *ops, struct fs_node **out);
/*
 * mv between parents of one kind (those with the same rename); a target that exists is -EEXIST
 * unless flags hold RENAME_EXCHANGE. Paths are those from M.
 */
/* `then`, when it was: tree_wrlock is held. */
int objdir_rename_then(struct fs_node *dir, struct fs_req *req, const char *name,
		       struct fs_node *newdir, const char *newname, unsigned int flags,
		       void (*then)(const char *path, const char *newpath, bool exchange));
int objdir_rename(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *newdir,
		  const char *newname, unsigned int flags);

#endif
