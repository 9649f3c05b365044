/*
 * pins.h - the operations of a user's directory, which the root has too (ops->reserved keeps its own names)
 */
#ifndef UBPFFS_FS_TREE_PINS_H
#define UBPFFS_FS_TREE_PINS_H

#include "fs/fuse/node.h"

int user_lookup(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node **out);
int user_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit, void *arg);
/* The rows of a table, then the names of the state tree; `hidden`: also those that begin with a dot. */
int rows_readdir(struct fs_open *open, const struct fs_attr *rows, u64 own, bool hidden, u64 cursor,
		 fs_emit_fn emit, void *arg);
void user_release(struct fs_open *open);
int user_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
	       struct fs_node **out);
int user_symlink(struct fs_node *dir, struct fs_req *req, const char *name, const char *target,
		 struct fs_node **out);
int user_link(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *node);
int user_unlink(struct fs_node *dir, struct fs_req *req, const char *name);
int user_rmdir(struct fs_node *dir, struct fs_req *req, const char *name);
int user_rename(struct fs_node *dir, struct fs_req *req, const char *name, struct fs_node *newdir,
		const char *newname, unsigned int flags);

#endif
