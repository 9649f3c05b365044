/*
 * wanted.h - what a directory says that a mount should hold
 *
 *	DIR/progs/NAME.bpf.o		an object; its programs are NAME/PROGRAM below
 *	DIR/progs/NAME.constants	its constants, a line `VARIABLE VALUE` each
 *	DIR/maps/MAP/{type,...}		a map, by its attributes; `dump`: entries of a new one
 *	DIR/cgroup/PATH/{ingress,egress}.attach		lines `NAME/PROGRAM [FLAGS]`
 *	DIR/events/SOURCE/{type,...,attach}		an event source
 *
 * On the mount an object is the load directory progs/NAME@HASH; the hash is that of its bytes and
 * constants, so what is there already is known by its name.
 */
#ifndef UBPFFS_TOOLS_FLEET_WANTED_H
#define UBPFFS_TOOLS_FLEET_WANTED_H

#include <stddef.h>
#include "tools/objects/info.h"

#define HASH_DIGITS 12

struct wanted_object {
	char *name, *path, *constants; /* constants: text, or NULL */
	char *dir; /* "NAME@HASH" */
	char *data;
	size_t len;
};

struct wanted_dir { /* a map, a source, or a cgroup */
	char *name, *path;
};

struct wanted {
	struct wanted_object *objects;
	struct wanted_dir *maps, *sources, *cgroups;
	size_t nr_objects, nr_maps, nr_sources, nr_cgroups;
};

/* Their attribute files, in the order in which they are written; NULL ends. */
extern const char *const map_attributes[], *const source_attributes[];

/* 0; -1: a sentence was printed. */
int wanted_read(const char *dir, struct wanted *wanted);
void wanted_free(struct wanted *wanted);

/* "NAME/PROGRAM" as it is on the mount: "NAME@HASH/PROGRAM"; other names stay. */
const char *wanted_program(const struct wanted *wanted, const char *word);
/* Is a name of progs/ one of ours: NAME@HASH? Then *len is the length of NAME. */
int is_versioned(const char *dir, size_t *len);
/* What a line of the mount names, a name or an id, by the name that is ours if it has one. */
const char *live_name(const struct names *progs, const char *word);

#endif
