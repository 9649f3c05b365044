/*
 * prog.h - the commands on programs
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_PROG_H
#define UBPFFS_FS_IOCTL_COMMANDS_PROG_H

#include "fs/ioctl/commands/call.h"

int control_prog_test_run(struct control_call *call);
int control_prog_load(struct control_call *call);
int control_prog_bind_map(struct control_call *call);

#endif
