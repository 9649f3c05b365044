/*
 * btf.h - commands on types
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_BTF_H
#define UBPFFS_TOOLS_RUN_COMMANDS_BTF_H

#include "tools/run/commands/call.h"

long run_btf_load(struct bpf_call *call);
/* The id of the types behind a caller's descriptor: -EBADF, -EINVAL. */
int run_btf_id(struct caller *c, int fd, uint32_t *id);

#endif
