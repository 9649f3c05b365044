/*
 * object.h - the map or program that a person names
 */
#ifndef UBPFFS_TOOLS_LIB_OBJECT_H
#define UBPFFS_TOOLS_LIB_OBJECT_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include "uapi/ubpffs.h"

struct object {
	int fd; /* -1: not open */
	enum ubpffs_kind kind; /* UBPFFS_MAP or UBPFFS_PROG */
	bool read_only; /* it could not be opened for writing */
	unsigned int cpus; /* of a per-CPU map: how many values an element has; else 0 */
	union {
		struct bpf_map_info map;
		struct bpf_prog_info prog;
	};
	char dir[512]; /* its directory from the mount on, "" when it was named otherwise */
};

/*
 * The words are NAME, DIR/NAME of a load directory, a path of a pin or directory (absolute or from
 * the mount on), or bpftool's `id N`, `name NAME`, `pinned PATH`; a number that is no name is an
 * id. How many words it was, or -1, and a sentence was printed that names what there is.
 */
int object_open(enum ubpffs_kind kind, int argc, char **argv, struct object *obj);
/* -1 with errno. */
int object_open_id(enum ubpffs_kind kind, unsigned int id, struct object *obj);
void object_close(struct object *obj);

/* The ids, in order: fn gets each until it does not return 0. -1 with errno: they cannot be had. */
typedef int (*object_id_fn)(void *ctx, unsigned int id);
int object_each_id(enum ubpffs_kind kind, object_id_fn fn, void *ctx);

/*
 * The names: fn gets a directory from the mount on ("progs/v2/count"), the name that people use
 * ("v2/count") and the id. Those that went meanwhile are left out.
 */
typedef int (*object_name_fn)(void *ctx, const char *dir, const char *name, unsigned int id);
int object_each_name(enum ubpffs_kind kind, object_name_fn fn, void *ctx);

const char *object_type_name(const struct object *obj);

/* The lines of /proc/PID/fdinfo: the number after "key:", or 0. */
unsigned long long object_fdinfo(const struct object *obj, const char *key);

#endif
