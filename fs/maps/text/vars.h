/*
 * vars.h - maps/<m>/vars/<name>: the variables of .data, .bss and .rodata, each a file
 *
 * A file is its variable's value as JSON (json_print.h). A write changes the bytes that it says and
 * no others, so programs that change other variables meanwhile lose nothing. Names are those of the
 * compiler, which calls a static variable of a function FUNCTION.NAME.
 */
#ifndef UBPFFS_FS_MAPS_TEXT_VARS_H
#define UBPFFS_FS_MAPS_TEXT_VARS_H

#include "core/map.h"
#include "fs/node/node.h"

extern const struct fs_node_ops vars_dir_ops;

/* Is this a map of variables, whose names are known? */
bool vars_of(const struct bpf_map *map);

/*
 * Set the variable `name` in the bytes of a section that is still to be a map. 0, -ENOENT: it has
 * none of that name; -errno with a sentence.
 */
int vars_set_initial(struct fs_req *req, struct bpf_btf *btf, u32 type_id, void *data, u32 size,
		     const char *name, size_t name_len, const char *value, size_t len);

#endif
