/*
 * link.h - the commands on links
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_LINK_H
#define UBPFFS_FS_IOCTL_COMMANDS_LINK_H

#include "fs/ioctl/commands/call.h"

int control_link_update(struct control_call *call);
int control_link_detach(struct control_call *call);
int control_link_info(struct control_call *call);
int control_link_fdinfo(struct control_call *call, char *text, size_t size); /* its length */

#endif
