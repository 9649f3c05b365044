/*
 * create.h - a map is created, or opened again from its files
 */
#ifndef UBPFFS_MAP_CREATE_H
#define UBPFFS_MAP_CREATE_H

#include "core/map.h"

/*
 * bpf_map_create - make a map
 *
 * values_fd, index_fd: empty files of the caller's (a store) that become the arena; -1 for memory
 * that lives with the map. They are duplicated, not taken. id 0: the next id. Returns 0 and a
 * reference in *out, or -EINVAL, -E2BIG, -EPERM, -ENOMEM, -EOPNOTSUPP (no such type), -EEXIST (the
 * id is in use).
 */
int bpf_map_create(const struct bpf_map_spec *spec, u32 id, int index_fd, int values_fd,
		   struct bpf_map **out);

/*
 * What bpf_map_create() would say of the specification alone: 0, or its errno, and by which rule,
 * for people.
 */
int bpf_map_spec_check(const struct bpf_map_spec *spec, const char **why);

/*
 * bpf_map_open - attach to an arena that an earlier bpf_map_create() made in these files.
 * -EBADMSG when they hold no arena, or not one of this layout; -EEXIST when a map with its id
 * lives.
 */
int bpf_map_open(int index_fd, int values_fd, struct bpf_map **out);

/*
 * bpf_map_share - a map of another process's: an array by its values file, a hash map by its own
 *
 * What either stores the other sees: words are whole, and atomic operations are atomic, as between
 * threads. rdonly: nobody writes them any more; it is frozen here. Nothing in such a map is a lock
 * or a link, so that a process that dies in the middle leaves nothing behind. A hash map, which has
 * them, is only looked up (rdonly), which takes no lock; what a program found is read as by
 * Linux's maps that are preallocated: an element that is deleted meanwhile may be another key's.
 * -EOPNOTSUPP: types and values of which that is not true; -EBADMSG: the file is not that map's.
 */
int bpf_map_share(const struct bpf_map_spec *spec, int fd, bool rdonly, struct bpf_map **out);

/*
 * bpf_map_look - what kind of map is in these files, without opening it
 *
 * index, values: the files' attributes; values NULL: there is no such file. It is what
 * bpf_map_open() checks before it looks at entries: -EBADMSG here is -EBADMSG there, and what is
 * wrong with the entries themselves is only seen then. Changes nothing. Maps that are at_start hold
 * other objects, or belong to some.
 */
struct stat;
struct bpf_map_look {
	struct bpf_map_spec spec;
	u32 id;
	bool frozen, at_start;
	u64 bytes; /* bpf_map_mem_usage() */
};
int bpf_map_look(int index_fd, const struct stat *index, const struct stat *values,
		 struct bpf_map_look *out);

/* Close the descriptors of a new or opened map's files, for who can open them again by name. */
void bpf_map_drop_files(struct bpf_map *map);

/* Does this map keep its values in a file of their own (values_fd above)? */
bool bpf_map_has_values_file(const struct bpf_map_spec *spec);

#endif
