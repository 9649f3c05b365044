/*
 * tree_stat.h - the attributes of a node of the state tree, looked at as seldom as can be
 */
#ifndef UBPFFS_FS_NODE_TREE_STAT_H
#define UBPFFS_FS_NODE_TREE_STAT_H

struct fs_node;
struct stat;

/*
 * The attributes of a file or directory of the state tree. Those of a directory that shows an
 * object are looked at once, and again after fs_attrs_changed(), which is called (last) by whoever
 * changes such attributes, or names in such directories.
 */
int fs_node_tree_stat(struct fs_node *node, struct stat *st);
void fs_attrs_changed(void);

#endif
