/*
 * btf_file.h - ids/btf/<id>: a descriptor of it is a types fd, and its bytes are the raw BTF
 */
#ifndef UBPFFS_FS_TREE_BTF_FILE_H
#define UBPFFS_FS_TREE_BTF_FILE_H

#include "fs/node/node.h"

/* Of the directory ids/btf. */
int btf_lookup(struct fs_node *dir, u32 id, struct fs_node **out);
int btf_readdir(struct fs_node *dir, u64 cursor, fs_emit_fn emit, void *arg);

#endif
