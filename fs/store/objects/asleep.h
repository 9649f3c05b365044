/*
 * asleep.h - objects of an earlier server, until they are read back
 *
 * What a start finds is asleep: its names, owner, charge, what it is and which maps a program uses
 * are known, and it has no prog or map until somebody needs it, or the thread in the background
 * comes to it (names/read_back.h). store_wake() reads it back and may take as long as a load, so it
 * is called without locks, before `prog`, `map` or `broken` is used; afterwards they stay as they
 * are. Who only looks uses store_map_type() and its like. References that were counted here before
 * are the engine's from then on.
 */
#ifndef UBPFFS_FS_STORE_OBJECTS_ASLEEP_H
#define UBPFFS_FS_STORE_OBJECTS_ASLEEP_H

#include "fs/store/objects/object.h"
#include "map/create.h"

/* Of an object of an earlier server. */
struct store_seen {
	char name[64];
	struct bpf_map_look map; /* of a map */
	u32 *use_ids; /* the maps of a program */
	u32 nr_uses;
	/* and those that are kept alive for it while it is asleep, or broken; or NULL */
	struct store_object **uses;
};

/*
 * Read it back if it is asleep; a reference and no lock is held. 0: it is awake now, broken
 * perhaps. An error may pass: it is asleep still.
 */
int store_wake(struct store_object *obj);
bool store_is_asleep(const struct store_object *obj);
u32 store_asleep(void); /* how many */
/* For who only looks. The type of a map; BPF_MAP_TYPE_UNSPEC: it is none, or broken. */
enum bpf_map_type store_map_type(const struct store_object *obj);
const char *store_name(const struct store_object *obj); /* "" when it cannot be known */
bool store_prog_uses(const struct store_object *obj, u32 map_id);

/* ---- for who reads them back (names/read_back.c) */

/* An object whose file is there already. The caller's reference stays the caller's. */
void store_adopt_asleep(struct store_object *obj, struct store_seen *seen, u64 bytes);
/* store_wake()'s: 0, and one of these three was called; or an error that may pass. */
extern int (*store_read_back)(struct store_object *obj);
void store_awake_map(struct store_object *obj, struct bpf_map *map); /* takes the reference */
void store_awake_prog(struct store_object *obj, struct bpf_prog *prog);
void store_awake_broken(struct store_object *obj, char *sentence, char *log);
/* The map is kept alive for a program of that. */
struct store_object *store_use(struct store_object *map);
void store_seen_free(struct store_seen *seen);

/* ---- for the table */

/* Its program has references of its own now, or there is none any more. */
void store_let_uses(struct store_object *obj);
/* It sleeps no longer, if it did: it is no more. */
void store_ended_asleep(const struct store_object *obj);

#endif
