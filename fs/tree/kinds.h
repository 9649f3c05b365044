/*
 * kinds.h - the kinds of files, by the file that implements them
 */
#ifndef UBPFFS_FS_TREE_KINDS_H
#define UBPFFS_FS_TREE_KINDS_H

#include "fs/tree/object_dir.h"

/* root.c: M, and its own files */
extern const struct fs_node_ops root_ops;
/* pins.c: the user's directories, symlinks, and the objects' files wherever they are linked */
extern const struct fs_node_ops user_dir_ops;
extern const struct fs_node_ops symlink_ops;
extern const struct fs_node_ops prog_file_ops;
extern const struct fs_node_ops map_file_ops;
/* ids.c: M/ids */
extern const struct fs_node_ops ids_ops;
/* progs.c: M/progs, M/progs/<x>; progs/new.c: M/progs/new and M/progs/log */
extern const struct fs_node_ops progs_dir_ops;
extern const struct fs_node_ops prog_dir_ops;
extern const struct fs_node_ops newprog_ops;
extern const struct fs_node_ops progslog_ops;
void newprog_owner(struct fs_node *node, const struct fs_cred *cred); /* right after lookup */
/* maps.c: M/maps, M/maps/<m> */
extern const struct fs_node_ops maps_dir_ops;
extern const struct fs_node_ops map_dir_ops;
extern const struct objdir_kind map_dir_kind;
extern const struct objdir_kind prog_dir_kind;
/* tree/trace_pipe.c: M/trace_pipe */
extern const struct fs_node_ops trace_pipe_ops;

/*
 * A file whose readers wait has a dot before its name and is not listed; what is listed is a link to it. Whoever copies or searches
 * whole directories (cp -r, grep -r) goes by links: so that ends, and takes no value that somebody else waits for.
 */
extern const struct fs_node_ops waiting_link_ops;
/* log.c: M/log */
extern const struct fs_node_ops log_ops;

/* The node of an object's file, found as `name` in `dir`. */
int fs_object_node(struct fs_node *dir, const char *name, u64 ino, struct fs_node **out);

/* A node for `name` in a directory of the state tree: directories get dir_ops, the rest by what it is. */
int fs_tree_lookup(struct fs_node *dir, const char *name, const struct fs_node_ops *dir_ops,
		   struct fs_node **out);

#endif
