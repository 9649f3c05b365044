/*
 * object.h - the commands on objects of either kind, and what a token stands for
 */
#ifndef UBPFFS_FS_IOCTL_COMMANDS_OBJECT_H
#define UBPFFS_FS_IOCTL_COMMANDS_OBJECT_H

#include "fs/ioctl/commands/call.h"

void control_drop_token(struct control *c);
/* After a takeover: the number that the client has. */
void control_restore_token(struct control *c, u64 number, bool rdonly);
/*
 * The map for which some open file has this token, with a reference, or NULL. A token has the
 * rights of its descriptor: *rdonly when that cannot write.
 */
struct bpf_map *control_map_by_token(u64 token, bool *rdonly);
int control_obj_get_info(struct control_call *call);
int control_obj_fdinfo(struct control_call *call);
int control_obj_pin(struct control_call *call);
int control_obj_token(struct control_call *call);
int control_get_next_id(struct control_call *call);

#endif
