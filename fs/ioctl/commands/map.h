/*
 * map.h - the commands on maps
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_MAP_H
#define UBPFFS_FS_IOCTL_COMMANDS_MAP_H

#include "fs/ioctl/commands/call.h"

void control_end_walks(struct control *c);
int control_map_lookup(struct control_call *call);
int control_map_update(struct control_call *call);
int control_map_delete(struct control_call *call);
int control_map_next_key(struct control_call *call);
int control_map_lookup_and_delete(struct control_call *call);
int control_map_freeze(struct control_call *call);
int control_map_memory(struct control_call *call);
int control_map_lookup_batch(struct control_call *call);
int control_map_lookup_and_delete_batch(struct control_call *call);
int control_map_update_batch(struct control_call *call);
int control_map_delete_batch(struct control_call *call);
int control_map_create(struct control_call *call);

#endif
