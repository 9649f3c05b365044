/*
 * info.h - what an object says of itself: bpftool's members, or its lines
 */
#ifndef UBPFFS_TOOLS_OBJECTS_INFO_H
#define UBPFFS_TOOLS_OBJECTS_INFO_H

#include "tools/lib/object.h"

struct named {
	unsigned int id;
	char *name, *dir; /* "v2/count", "progs/v2/count" */
};

struct names {
	enum ubpffs_kind kind;
	struct named *list;
	size_t nr;
};

/* All that there are. -1 with errno: they cannot be listed. */
int names_get(enum ubpffs_kind kind, struct names *names);
void names_free(struct names *names);

/* One object in the JSON that is printed. */
void out_info(const struct object *obj, const struct names *names);
void print_info(const struct object *obj, const struct names *names);

/* "2026-11-29T18:58:26+0000" of a time of bpf_prog_info. */
void loaded_at(const struct object *prog, char *buf, size_t len);

#endif
