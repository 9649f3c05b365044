/*
 * private.h - what the files of this folder share: nobody else includes it
 *
 * Lock: store.lock guards the tables, `held` and `names`; a leaf but for the engine's own (a
 * reference is taken under it by inc_not_zero only, and never dropped under it), and files.c's.
 */
#ifndef UBPFFS_FS_STORE_OBJECTS_PRIVATE_H
#define UBPFFS_FS_STORE_OBJECTS_PRIVATE_H

#include "fs/store/objects/object.h"

struct store {
	pthread_mutex_t lock;
	struct hash_table by_id, by_ino;
	struct store_object *lowest[STORE_KINDS], *highest[STORE_KINDS];
	bool keep_files;
};
extern struct store store;

#define REFS_ARE_THE_ENGINES (-1)

/* The engine's on_free of a map and of a program, whose priv is the object. */
void store_map_ended(struct bpf_map *map, void *priv);
void store_prog_ended(struct bpf_prog *prog, void *priv);

#endif
