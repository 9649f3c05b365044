/*
 * btf.h - the commands on types, which are objects of bpf(2)
 *
 * Types live as long as a descriptor, a map or a program has them. They have no file of the state
 * tree and no name: a map's and a program's own files keep them, and a restart gives them new ids.
 * Only who loaded them and root may read them; others see the id 0.
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_BTF_H
#define UBPFFS_FS_IOCTL_COMMANDS_BTF_H

#include "btf/btf.h"
#include "fs/ioctl/commands/call.h"

/* One reference. -EBADF: there is none, -EACCES: the caller may not read it. */
int control_btf_by_id(struct control_call *call, u32 id, struct bpf_btf **out);
/* Its id for the caller's eyes: 0 when there is none, or it may not be read. */
u32 control_btf_id(const struct control_call *call, const struct bpf_btf *btf);
int control_btf_load(struct control_call *call);
int control_btf_data(struct control_call *call);
int control_btf_info(struct control_call *call);
int control_btf_next_id(struct control_call *call);

#endif
