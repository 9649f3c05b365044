/*
 * map.h - what a map is to the rest of the engine
 *
 * A map is a specification, a table of functions, and an arena (map/arena.h). Generic code never
 * switches on the type: it calls through `ops`. The verifier, the rewriter and the helpers know maps
 * only through this file.
 *
 * Lifetime: a reference count. Descriptors, pins, programs and outer maps each hold one. When the
 * last is dropped the map is freed after an RCU grace period, and `on_free` (the store's) is told first.
 */
#ifndef UBPFFS_CORE_MAP_H
#define UBPFFS_CORE_MAP_H

#include "core/compat.h"
#include "core/rcu.h"

struct bpf_map;
struct bpf_prog;
struct bpf_arena;
struct bpf_btf;

struct bpf_map_spec {
	enum bpf_map_type map_type;
	u32 key_size, value_size, max_entries, map_flags;
	u64 map_extra;
	char name[BPF_OBJ_NAME_LEN]; /* NUL-terminated */
	u32 inner_map_id; /* array_of_maps, hash_of_maps: the template */
	u32 btf_key_type_id, btf_value_type_id;
};

/*
 * All functions but get_next_key and the outside ones run inside an RCU read section and may run in any
 * number of threads at once. They return 0 or -errno as bpf(2) does. Absent functions are NULL; the
 * dispatchers below turn that into the kernel's errno.
 */
struct bpf_map_ops {
	const char *name; /* lower-case UAPI name: "hash" */

	/* Is this specification one that the type can serve? -EINVAL, -E2BIG, -EPERM. */
	int (*alloc_check)(const struct bpf_map_spec *spec);
	/* Lay out and initialise map->arena for a new map. */
	int (*alloc)(struct bpf_map *map);
	/* Attach to map->arena that an earlier process made; recover it when it was not closed cleanly. */
	int (*open)(struct bpf_map *map);
	void (*free)(struct bpf_map *map);

	/* A stable address in the arena, or NULL. Per-CPU types: the value of the current slot. */
	void *(*map_lookup_elem)(struct bpf_map *map, const void *key);
	long (*map_update_elem)(struct bpf_map *map, const void *key, const void *value, u64 flags);
	long (*map_delete_elem)(struct bpf_map *map, const void *key);

	/* key NULL, or not in the map: the first key. -ENOENT after the last. */
	int (*map_get_next_key)(struct bpf_map *map, const void *key, void *next_key);

	/*
	 * From outside of programs, where a value is not a plain copy (per-CPU: all slots, 8-byte
	 * aligned, slot after slot; prog arrays: an id). NULL: copy value_size bytes by the functions above.
	 */
	long (*sys_lookup_elem)(struct bpf_map *map, const void *key, void *value);
	long (*sys_update_elem)(struct bpf_map *map, const void *key, const void *value, u64 flags);

	/*
	 * Visit the live entries. *cursor starts at 0 and is opaque; each call copies at most one entry
	 * to key and value (sys_ form) and returns 1, or returns 0 at the end. An entry that lives
	 * through the whole walk is given exactly once, whatever happens meanwhile.
	 */
	int (*map_iter)(struct bpf_map *map, u64 *cursor, void *key, void *value);

	/*
	 * Instructions that replace a call of map_lookup_elem(R1=map, R2=key), leaving the value's
	 * address or 0 in R0 and clobbering R1..R5 only. Returns how many were put into buf, or
	 * -EOPNOTSUPP.
	 */
	int (*map_gen_lookup)(struct bpf_map *map, struct bpf_insn *buf, u32 max);

	/* BPF_PSEUDO_MAP_VALUE: address of the value that starts at or holds byte `off`. */
	int (*map_direct_value_addr)(const struct bpf_map *map, u64 *addr, u32 off);

	u64 (*map_mem_usage)(const struct bpf_map *map);
	u64 (*map_entries)(const struct bpf_map *map); /* entries in use */
};

struct bpf_map_stats { /* relaxed counters; lookups are not counted */
	u64 updates, deletes, failed_updates, evictions;
};

struct bpf_map {
	const struct bpf_map_ops *ops;
	struct bpf_arena *arena;

	/* Array kinds: element i is at values + i * elem_size. NULL for the others. */
	void *values;
	u32 elem_size; /* distance of two values in bytes, 8-byte multiple */

	enum bpf_map_type map_type;
	u32 key_size, value_size, max_entries, map_flags;
	u64 map_extra;
	u32 id;
	bool frozen; /* BPF_MAP_FREEZE: no more writes from outside */
	int spin_lock_off; /* byte in the value, or -ENOENT */
	char name[BPF_OBJ_NAME_LEN];

	struct bpf_btf *btf; /* may be NULL */
	u32 btf_key_type_id, btf_value_type_id;

	struct bpf_map_stats stats;

	int refcnt;
	void (*on_free)(struct bpf_map *map, void *priv);
	void *priv;
	struct rcu_head rcu;
};

/* NULL for a type that this build does not have. */
const struct bpf_map_ops *bpf_map_ops_find(enum bpf_map_type type);
int bpf_map_type_by_name(const char *name); /* or -ENOENT */
const char *bpf_map_type_name(enum bpf_map_type type); /* or NULL */

/*
 * bpf_map_create - make a map
 *
 * values_fd, index_fd: empty files of the caller's (a store) that become the arena; -1 for memory that
 * lives with the map. They are duplicated, not taken. id 0: the next free id. Returns 0 and a
 * reference in *out, or -EINVAL, -E2BIG, -EPERM, -ENOMEM, -EOPNOTSUPP (no such type).
 */
int bpf_map_create(const struct bpf_map_spec *spec, u32 id, int index_fd, int values_fd,
		   struct bpf_map **out);

/* bpf_map_open - attach to an arena that an earlier bpf_map_create() made in these files.
 * -EBADMSG when they hold no arena, or not one of this build's layout. */
int bpf_map_open(int index_fd, int values_fd, struct bpf_map **out);

/* Does this map keep its values in a file of their own (values_fd above)? */
bool bpf_map_has_values_file(const struct bpf_map_spec *spec);

void bpf_map_inc(struct bpf_map *map);
bool bpf_map_inc_not_zero(struct bpf_map *map);
void bpf_map_put(struct bpf_map *map);

/*
 * Operations from outside: bpf(2)'s checks of flags and access (RDONLY/WRONLY, frozen) are done here;
 * `value` is bpf_map_value_size() bytes. Return 0 or -errno.
 */
u32 bpf_map_value_size(const struct bpf_map *map);
int bpf_map_lookup(struct bpf_map *map, const void *key, void *value, u64 flags);
int bpf_map_update(struct bpf_map *map, const void *key, const void *value, u64 flags);
int bpf_map_delete(struct bpf_map *map, const void *key);
int bpf_map_next_key(struct bpf_map *map, const void *key, void *next_key);
int bpf_map_iterate(struct bpf_map *map, u64 *cursor, void *key, void *value);
int bpf_map_freeze(struct bpf_map *map);

/*
 * The program in a slot of a prog_array, borrowed inside the caller's RCU section; NULL: nothing there, or
 * an index past the end. What a tail call jumps to. (map/prog_array.c)
 */
struct bpf_prog *bpf_prog_array_get(struct bpf_map *map, u32 index);

/* Numbers of live objects, for leak checks and metrics. */
u64 bpf_map_live_count(void);

#endif
