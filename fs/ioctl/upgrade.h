/*
 * upgrade.h - the server is replaced by another program, which goes on with the mount
 */
#ifndef UBPFFS_FS_IOCTL_UPGRADE_H
#define UBPFFS_FS_IOCTL_UPGRADE_H

#include "fs/ioctl/commands/call.h"

int control_upgrade(struct control_call *call);

#endif
