/*
 * node_object.h - which object a node shows
 *
 * It is found by the node's lookup, kept in the node (store_bind()), and used as long as it lives
 * (store_of_node()), without a lock and without a reference.
 */
#ifndef UBPFFS_FS_STORE_NODE_OBJECT_H
#define UBPFFS_FS_STORE_NODE_OBJECT_H

#include "fs/node/node.h"
#include "fs/store/objects/object.h"

/* A directory that shows an object (ops->object) looks for it, once; tree_lock held. */
int store_resolve(struct fs_node *dir);
/* At the start: nodes that outlived a server show what they did (node/backing.h). */
void store_restore_nodes(void);
/* Has the directory that the node is in, or is, its object's link? */
bool store_node_named(struct fs_node *node);
/* Of such nodes and of objects' files: ops->free, ops->getattr, ops->attr_changed. */
void store_node_free(struct fs_node *node);
int store_node_stat(struct fs_node *node, struct stat *st);
void store_node_changed(struct fs_node *node);
/*
 * For fs_backing.sync and .closed, and both wait for the disk: a map's contents and file, of
 * anything else all of the state's filesystem; the contents of a map alone. -EIO and why.
 */
int store_node_sync(struct fs_node *node, struct error_record *why);
int store_node_closed(struct fs_node *node, struct error_record *why);
/*
 * The object of an object's file, or of a directory progs/<x>, maps/<x> or any node inside it
 * (-ENOENT: the name is gone, or the map is not created yet).
 */
int store_of_node(struct fs_node *node, struct store_object **out);
/*
 * The map that it shows, in the map's directory or by the id that is its key (ids/), awake; broken
 * perhaps.
 */
int store_map_of_node(struct fs_node *node, struct store_object **out);
/* What it shows is awake now, if there is any. */
int store_wake_node(struct fs_node *node);
/*
 * The same, ready to use: the engine's object with a reference, -EBADMSG (with a sentence) for a
 * broken one.
 */
int store_prog(struct fs_node *node, struct fs_req *req, struct bpf_prog **out);
int store_map(struct fs_node *node, struct fs_req *req, struct bpf_map **out);

#endif
