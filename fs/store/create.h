/*
 * create.h - new objects
 */
#ifndef UBPFFS_FS_STORE_CREATE_H
#define UBPFFS_FS_STORE_CREATE_H

#include "fs/store/objects/object.h"
#include "map/create.h"

/*
 * A new map without a name: files, engine object, one engine reference in *out. mode: permission
 * bits. Then store_link() names it; a map that is put without a name is gone. Why it cannot be made
 * is said but for what the engine does not like in the specification.
 */
int store_map_create(const struct bpf_map_spec *spec, const struct fs_cred *cred, mode_t mode,
		     struct bpf_map **out, struct error_record *why);
/*
 * Keep the types of a new map in its companion; the map takes a reference on them. `same`: a map
 * that has the same types, or NULL.
 */
int store_map_btf(struct bpf_map *map, struct bpf_btf *btf, const struct bpf_map *same,
		  struct error_record *why);
/* Write the image of a program that was loaded with an id of store_next_id(). */
int store_prog_add(struct bpf_prog *prog, const struct fs_cred *cred, mode_t mode,
		   struct error_record *why);

/*
 * For store/link.c: the file of a new object, open for writing, and the object, charged, of which
 * nobody knows yet; until it is adopted store_file_drop() takes both away.
 */
int store_file_create(enum store_kind kind, const struct fs_cred *cred, mode_t mode,
		      struct store_object **out, struct error_record *why);
void store_file_drop(struct store_object *obj);

#endif
