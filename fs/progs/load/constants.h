/*
 * constants.h - progs/<dir>/constants: variables of objects that are to be loaded there
 *
 * A line `NAME VALUE` sets a variable of .rodata, .data or .bss in every object that is loaded into
 * the place, before it is verified: so constants prune code. VALUE is as vars/<name> takes it
 * (maps/text/vars.h). A line for the same name replaces the one before, `clear` removes all of
 * them. They are kept in the hidden file CONSTANTS_FILE of the directory.
 */
#ifndef UBPFFS_FS_PROGS_LOAD_CONSTANTS_H
#define UBPFFS_FS_PROGS_LOAD_CONSTANTS_H

#include "fs/node/node.h"
#include "object/object.h"

#define CONSTANTS_FILE ".constants"

extern const struct fs_node_ops constants_ops;

/*
 * Into the initial data of an object that was read, from the load directory at `dir`. -EINVAL with
 * a sentence: there is no such variable, or it cannot have such a value.
 */
int constants_apply(struct fs_req *req, int dir, struct bpf_object_file *obj);

#endif
