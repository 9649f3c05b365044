/*
 * prog_parts.h - the arrays that an info of a program points to
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_PROG_PARTS_H
#define UBPFFS_FS_IOCTL_COMMANDS_PROG_PARTS_H

#include "fs/ioctl/commands/call.h"

/* How many of each of its parts there are, in its info. */
void control_prog_counts(const struct control_call *call, const struct bpf_prog *prog,
			 struct bpf_prog_info *info);
int control_prog_part(struct control_call *call);

#endif
