/*
 * code.h - xlated and jited of a program
 */
#ifndef UBPFFS_FS_PROGS_CODE_H
#define UBPFFS_FS_PROGS_CODE_H

#include "fs/node/node.h"

/* Handlers of node.h; what they fail with is store_prog()'s. */
int code_show_xlated(struct fs_node *node, struct fs_req *req, struct fs_text *out);
int code_show_jited(struct fs_node *node, struct fs_req *req, struct fs_text *out);
/* A bound of either for long programs, 0 for others. */
u64 code_size(struct fs_node *node, struct fs_req *req);

#endif
