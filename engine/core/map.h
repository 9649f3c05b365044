/*
 * map.h - what a map is to the rest of the engine
 *
 * A map is a specification, a table of functions, and an arena (map/arena/arena.h). Generic code
 * never switches on the type: it calls through `ops`. The verifier, the rewriter and the JIT know
 * maps only through this file; map/ makes them (create.h) and serves bpf(2) (syscall.h, iter.h).
 *
 * Lifetime: a reference count. Descriptors, pins, programs and outer maps each hold one. When the
 * last is dropped the map is freed after an RCU grace period, and `on_free` (the store's) is called
 * first.
 */
#ifndef UBPFFS_CORE_MAP_H
#define UBPFFS_CORE_MAP_H

#include "util/compat.h"
#include "rcu/rcu.h"
#include "core/storages.h"

struct bpf_map;
struct bpf_prog;
struct bpf_arena;
struct bpf_btf;
struct bpf_map_iter;
struct bpf_ids;

struct bpf_map_spec {
	enum bpf_map_type map_type;
	u32 key_size, value_size, max_entries, map_flags;
	u64 map_extra;
	char name[BPF_OBJ_NAME_LEN]; /* NUL-terminated */
	u32 inner_map_id; /* array_of_maps, hash_of_maps: the template */
	u32 btf_key_type_id, btf_value_type_id;
	u32 spin_lock_end; /* byte after the value's struct bpf_spin_lock; 0: it has none */
};

/*
 * What a slot names (bpf_map_restore_slots): 0 and a reference; -ENOENT: there is no such object
 * any more, the slot becomes empty for good; any other error: it cannot be had now, and the slot
 * keeps its id.
 */
typedef int (*bpf_slot_get_fn)(u32 id, void *priv, void **object);

/*
 * All functions but get_next_key and the outside ones run inside an RCU read section and may run in
 * any number of threads at once. They return 0 or -errno as bpf(2) does. Absent functions are NULL;
 * map/syscall.c turns that into the kernel's errno.
 */
struct bpf_map_ops {
	const char *name; /* lower-case UAPI name: "hash" */
	size_t map_size; /* bytes of the type's structure, which begins with struct bpf_map */
	bool percpu; /* from outside, a value is those of all slots */
	bool not_inner; /* cannot be in a map of maps */
	bool spin_lock; /* values may hold a struct bpf_spin_lock */
	bool parts; /* any bytes of a value in map->values may be written alone */
	bool rdonly_prog; /* programs read values and never write them */
	bool lookup_only; /* another process's: it may be looked up and read, and nothing else */
	bool at_start; /* what is in it is looked up among other objects: a start opens it first */

	/*
	 * Is this specification one that the type can serve? -EINVAL, -E2BIG, -EOPNOTSUPP, and
	 * *why: the rule, for people.
	 */
	int (*alloc_check)(const struct bpf_map_spec *spec, const char **why);
	/*
	 * Bytes that the arena needs beside its header, laid out for nr_slots slots; values: those
	 * of the values file, 0 when the type has none. -E2BIG when they are beyond what can be.
	 */
	int (*map_layout)(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values);
	/* Initialise map->arena, zeroed memory of that layout, for a new map. */
	int (*alloc)(struct bpf_map *map);
	/*
	 * Attach to map->arena that an earlier process made; recover it when it was not closed
	 * cleanly.
	 */
	int (*open)(struct bpf_map *map);
	void (*free)(struct bpf_map *map);

	/* A stable address in the arena, or NULL. Per-CPU types: the value of the current slot. */
	void *(*map_lookup_elem)(struct bpf_map *map, const void *key);
	/* Per-CPU types: the value of a given slot; NULL when there is no such slot. */
	void *(*map_lookup_percpu_elem)(struct bpf_map *map, const void *key, u32 slot);
	long (*map_update_elem)(struct bpf_map *map, const void *key, const void *value, u64 flags);
	long (*map_delete_elem)(struct bpf_map *map, const void *key);

	/*
	 * Queues, stacks and bloom filters, which have no keys. pop and peek fill `value`, with
	 * zeroes on failure.
	 */
	long (*map_push_elem)(struct bpf_map *map, const void *value, u64 flags);
	long (*map_pop_elem)(struct bpf_map *map, void *value);
	long (*map_peek_elem)(struct bpf_map *map, void *value);

	/* bpf_map_made(); NULL: no marks. */
	bool (*map_made)(const struct bpf_map *map, u64 mark);

	/* key NULL, or not in the map: the first key. -ENOENT after the last. */
	int (*map_get_next_key)(struct bpf_map *map, const void *key, void *next_key);

	/*
	 * From outside of programs, where a value is not a plain copy (per-CPU: all slots, 8-byte
	 * aligned, slot after slot; prog arrays: an id). NULL: copy value_size bytes by the
	 * functions above. A lookup whose `value` is NULL copies nothing: is the key there?
	 */
	long (*sys_lookup_elem)(struct bpf_map *map, const void *key, void *value);
	long (*sys_update_elem)(struct bpf_map *map, const void *key, const void *value, u64 flags);
	/* Look up under the element's lock; NULL: map_lookup_elem() and the lock will do. */
	long (*sys_lookup_locked)(struct bpf_map *map, const void *key, void *value);

	/*
	 * Fill an iterator that has run dry: put entries from it->pos on into its buffer.
	 * An entry must not be able to move from behind it->pos to before it or the other way, so a
	 * hash table copies a whole bucket at a time. Returns how many were added, 0 at the end,
	 * -ENOMEM. Takes its own locks; called outside of read sections.
	 */
	int (*map_iter)(struct bpf_map_iter *it);

	/*
	 * bpf_for_each_map_elem: call callback(map, key, value, ctx) (run/callback.h) with each
	 * entry, until it returns other than 0. Returns the number of calls, or -ENOMEM. In a
	 * program; what the callback does to the map is allowed, and the walk ends. NULL: not for
	 * this type.
	 */
	long (*map_for_each_callback)(struct bpf_map *map, u64 callback, u64 ctx);

	/*
	 * Instructions that replace a call of map_lookup_elem(R1=map, R2=key), leaving the value's
	 * address or 0 in R0 and clobbering R1..R5 only. Returns how many were put into buf, or
	 * -EOPNOTSUPP.
	 */
	int (*map_gen_lookup)(struct bpf_map *map, struct bpf_insn *buf, u32 max);

	/* BPF_PSEUDO_MAP_VALUE: address of the value that starts at or holds byte `off`. */
	int (*map_direct_value_addr)(const struct bpf_map *map, u64 *addr, u32 off);

	/* NULL: all that map_layout() says. */
	u64 (*map_mem_usage)(const struct bpf_map_spec *spec, u32 nr_slots);
	u64 (*map_entries)(const struct bpf_map *map); /* entries in use */

	/*
	 * Maps whose slots hold objects (prog arrays, maps of maps): put `object` (a struct
	 * bpf_prog or a struct bpf_map; the slot takes a reference of its own) under a key. -EINVAL
	 * when it does not fit.
	 */
	int (*map_update_slot)(struct bpf_map *map, const void *key, void *object, u64 flags);

	/*
	 * May `map` be where `meta` is expected? Type, sizes of key and value, flags and the lock
	 * agree already; NULL: then it may. Whatever else of a map the verifier or the rewriter
	 * build on must be equal, too (max_entries: where they leave out a check of an index).
	 */
	bool (*map_meta_equal)(const struct bpf_map *meta, const struct bpf_map *map);

	bool (*map_prog_compatible)(struct bpf_map *map, const struct bpf_prog *prog);
	int (*map_restore_slots)(struct bpf_map *map, bpf_slot_get_fn get, void *priv);

	/*
	 * The last reference from outside of programs went: drop what could refer back to the map.
	 */
	void (*map_release_uref)(struct bpf_map *map);
};

/* Counted in this process since the map was opened; lookups are not counted. */
struct bpf_map_stats {
	u64 updates, deletes, failed_updates, evictions;
	u64 entries;
};

/* The first is shared by threads without a slot, then one a slot (map/map.h). */
struct bpf_map_slot_stats {
	u64 updates, deletes, failed_updates, evictions;
	s64 entries; /* a delta: only the sum over the slots means something */
} __attribute__((aligned(64)));

struct bpf_map {
	const struct bpf_map_ops *ops;
	struct bpf_arena *arena;

	/* Array kinds: element i is at values + i * elem_size. NULL for the others. */
	void *values;
	u32 elem_size; /* distance of two values in bytes, 8-byte multiple */

	/*
	 * prog_array: the program in each slot or NULL, read inside of an RCU section. NULL for the
	 * others.
	 */
	struct bpf_prog **progs;

	/*
	 * Maps of maps: what each map in it is like, for the verifier. It has a type, sizes and
	 * flags, and no memory. NULL for the others.
	 */
	struct bpf_map *inner_map_meta;

	enum bpf_map_type map_type;
	u32 key_size, value_size, max_entries, map_flags;
	u64 map_extra;
	u32 id;
	bool frozen; /* BPF_MAP_FREEZE: no more writes from outside */
	int spin_lock_off; /* byte in the value, or -ENOENT */
	char name[BPF_OBJ_NAME_LEN];

	struct bpf_btf *btf; /* may be NULL */
	u32 btf_key_type_id, btf_value_type_id;

	struct bpf_map_slot_stats *slot_stats; /* bpf_nr_slots() + 1 */

	int refcnt; /* all references */
	int uref; /* those that are not internal */
	void (*on_free)(struct bpf_map *map, void *priv);
	void *priv;
	void (*destroy)(struct bpf_map *map); /* after the grace period; set by who made it */
	struct rcu_head rcu;
};

/*
 * The types that this build has, by number; NULL: it lacks that one. map/types.c lists them, and
 * the linker brings the list here, so that nothing below the types names one.
 */
extern const struct bpf_map_ops *const bpf_map_types[];
extern const u32 bpf_map_types_cnt;

extern const struct bpf_map_ops htab_shared_map_ops; /* a hash map of another process's */

/* NULL for a type that this build does not have. */
const struct bpf_map_ops *bpf_map_ops_find(enum bpf_map_type type);
int bpf_map_type_by_name(const char *name); /* or -ENOENT */
const char *bpf_map_type_name(enum bpf_map_type type); /* or NULL */

void bpf_map_inc(struct bpf_map *map);
void bpf_map_put(struct bpf_map *map);
/* False: its last reference is gone already, and nobody may use it. */
static inline bool bpf_map_inc_not_zero(struct bpf_map *map)
{
	int count = __atomic_load_n(&map->refcnt, __ATOMIC_RELAXED);

	do {
		if (!count)
			return false;
	} while (!__atomic_compare_exchange_n(&map->refcnt, &count, count + 1, true,
					      __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
	__atomic_fetch_add(&map->uref, 1, __ATOMIC_RELAXED);
	return true;
}

/*
 * For who has counted references before there was a map: so many more from outside, or fewer (the
 * caller keeps one).
 */
static inline void bpf_map_add_refs(struct bpf_map *map, int n)
{
	__atomic_fetch_add(&map->uref, n, __ATOMIC_ACQ_REL);
	__atomic_fetch_add(&map->refcnt, n, __ATOMIC_ACQ_REL);
}

/*
 * The references that programs and outer maps hold. They keep the map alive like any other; but
 * when only such are left, a prog array is emptied (as Linux does it when the last descriptor and
 * pin go), or a program and the prog array that it uses would hold each other for ever.
 */
extern bool bpf_map_keep_slots; /* true: the process is ending, so nothing is emptied any more */
void bpf_map_inc_internal(struct bpf_map *map);
void bpf_map_put_internal(struct bpf_map *map);

/* Nobody writes its values any more, where map_direct_value_addr() says they are. */
static inline bool bpf_map_is_rdonly(const struct bpf_map *map)
{
	return map->map_flags & BPF_F_RDONLY_PROG &&
	       __atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE);
}

/* Does each value hold a struct bpf_spin_lock? (map may be NULL) */
static inline bool map_has_spin_lock(const struct bpf_map *map)
{
	return map && map->spin_lock_off >= 0;
}

/* Which of the two of a program is this map? -1: it is no cgroup storage. */
static inline int bpf_cgroup_storage_type(const struct bpf_map *map)
{
	switch (map->map_type) {
	case BPF_MAP_TYPE_CGROUP_STORAGE:
		return BPF_CGROUP_STORAGE_SHARED;
	case BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE:
		return BPF_CGROUP_STORAGE_PERCPU;
	default:
		return -1;
	}
}

/* BPF_F_LOCK where values have a lock, else 0: for who wants whole values if they can be had. */
static inline u64 bpf_map_lock_flag(const struct bpf_map *map)
{
	return map->spin_lock_off >= 0 ? BPF_F_LOCK : 0;
}

/*
 * Give it an id (map->id, or the next free one when that is 0). -EEXIST, -ENOMEM. map/create.c does
 * it.
 */
int bpf_map_publish(struct bpf_map *map);
extern struct bpf_ids bpf_map_ids; /* the live ones */
/* A reference to the live map with this id, or NULL. */
struct bpf_map *bpf_map_get_by_id(u32 id);

/*
 * The program in a slot of a prog_array, borrowed inside the caller's RCU section; NULL: nothing
 * there, or an index past the end. What a tail call jumps to.
 */
static inline struct bpf_prog *bpf_prog_array_get(const struct bpf_map *map, u32 index)
{
	if (unlikely(index >= map->max_entries))
		return NULL;
	return bpf_rcu_dereference(map->progs[index]);
}

/*
 * Called (if set) when a consumer of this map should look: from programs, inside their RCU section,
 * and it must not wait. Ring buffers, perf event arrays, queues and stacks.
 */
extern void (*bpf_map_notify)(struct bpf_map *map);

/*
 * For callers that must know after a crash whether a change was made, where the map itself does not
 * show it: pushes and pops of queues and stacks, records that are read from a ring. While the
 * thread's `bpf_map_noting` is set, note() is called before each of its changes, under the map's
 * lock, with the change's mark and what is taken out. Mark 0: the last change is not made after
 * all.
 */
struct bpf_map_note {
	void (*note)(struct bpf_map_note *note, u64 mark, const void *data, u32 len);
};

extern __thread struct bpf_map_note *bpf_map_noting;

/* Numbers of live objects, for leak checks and metrics. */
u64 bpf_map_live_count(void);

#endif
