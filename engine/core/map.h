/*
 * map.h - what a map is to the rest of the engine
 *
 * A map is a specification, a table of functions, and an arena (map/arena.h). Generic code never
 * switches on the type: it calls through `ops`. The verifier, the rewriter and the helpers know
 * maps only through this file.
 *
 * Lifetime: a reference count. Descriptors, pins, programs and outer maps each hold one. When the
 * last is dropped the map is freed after an RCU grace period, and `on_free` (the store's) is told
 * first.
 */
#ifndef UBPFFS_CORE_MAP_H
#define UBPFFS_CORE_MAP_H

#include "util/compat.h"
#include "rcu/rcu.h"

struct bpf_map;
struct bpf_prog;
struct bpf_arena;
struct bpf_btf;
struct bpf_map_iter;

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
 * the dispatchers below turn that into the kernel's errno.
 */
struct bpf_map_ops {
	const char *name; /* lower-case UAPI name: "hash" */
	size_t map_size; /* bytes of the type's structure, which begins with struct bpf_map */
	bool percpu; /* from outside, a value is those of all slots */
	bool not_inner; /* cannot be in a map of maps */
	bool spin_lock; /* values may hold a struct bpf_spin_lock */

	/* Is this specification one that the type can serve? -EINVAL, -E2BIG, -EPERM. */
	int (*alloc_check)(const struct bpf_map_spec *spec);
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
	 * Fill an iterator that has run dry: append entries by bpf_map_iter_add(), from it->pos on.
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

	u64 (*map_mem_usage)(const struct bpf_map *map);
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
	struct rcu_head rcu;
};

/* NULL for a type that this build does not have. */
const struct bpf_map_ops *bpf_map_ops_find(enum bpf_map_type type);
int bpf_map_type_by_name(const char *name); /* or -ENOENT */
const char *bpf_map_type_name(enum bpf_map_type type); /* or NULL */

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
 * bpf_map_open - attach to an arena that an earlier bpf_map_create() made in these files.
 * -EBADMSG when they hold no arena, or not one of this layout; -EEXIST when a map with its id
 * lives.
 */
int bpf_map_open(int index_fd, int values_fd, struct bpf_map **out);

/* Close the descriptors of a new or opened map's files, for who can open them again by name. */
void bpf_map_drop_files(struct bpf_map *map);

/* Does this map keep its values in a file of their own (values_fd above)? */
bool bpf_map_has_values_file(const struct bpf_map_spec *spec);

void bpf_map_inc(struct bpf_map *map);
void bpf_map_put(struct bpf_map *map);
/* False: it is on its way out, and nobody may use it any more. */
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
 * The references that programs and outer maps hold. They keep the map alive like any other; but
 * when only such are left, a prog array is emptied (as Linux does it when the last descriptor and
 * pin go), or a program and the prog array that it uses would hold each other for ever.
 */
extern bool bpf_map_keep_slots; /* true: the process is ending, so nothing is emptied any more */
void bpf_map_inc_internal(struct bpf_map *map);
void bpf_map_put_internal(struct bpf_map *map);

/*
 * Operations from outside: bpf(2)'s checks of flags and access (RDONLY/WRONLY, frozen) are done
 * here;
 * `value` is bpf_map_value_size() bytes. Return 0 or -errno.
 */
u32 bpf_map_value_size(const struct bpf_map *map);
int bpf_map_lookup(struct bpf_map *map, const void *key, void *value, u64 flags);
/* Is the key there? Without its value, whatever its size. 0, or the errors of bpf_map_lookup(). */
int bpf_map_contains(struct bpf_map *map, const void *key);
int bpf_map_update(struct bpf_map *map, const void *key, const void *value, u64 flags);
/*
 * Part of an array's value, `len` bytes from `off` (a multiple of 8) on, without the rest. Written
 * are those bytes that `mask` has (len bytes, 0 or not); what programs make of the others meanwhile
 * stays. Under the value's lock, if it has one. -EOPNOTSUPP: this map's values are whole only.
 */
int bpf_map_lookup_part(struct bpf_map *map, const void *key, u32 off, void *value, u32 len);
int bpf_map_update_part(struct bpf_map *map, const void *key, u32 off, const void *value, u8 *mask,
			u32 len);
int bpf_map_delete(struct bpf_map *map, const void *key);
/* Take the next value of a queue or stack; -EOPNOTSUPP for other types. */
int bpf_map_pop(struct bpf_map *map, void *value, u64 flags);
int bpf_map_next_key(struct bpf_map *map, const void *key, void *next_key);
/*
 * -EPERM when it is already, or may not be written. Values that the verifier takes as constants
 * then (bpf_map_is_rdonly()) are at rest once it has returned.
 */
int bpf_map_freeze(struct bpf_map *map);

/* Does each value hold a struct bpf_spin_lock? (map may be NULL) */
/* Nobody writes its values any more, where map_direct_value_addr() says they are. */
static inline bool bpf_map_is_rdonly(const struct bpf_map *map)
{
	return map->map_flags & BPF_F_RDONLY_PROG &&
	       __atomic_load_n(&map->frozen, __ATOMIC_ACQUIRE);
}

static inline bool map_has_spin_lock(const struct bpf_map *map)
{
	return map && map->spin_lock_off >= 0;
}

/* BPF_F_LOCK where values have a lock, else 0: for who wants whole values if they can be had. */
static inline u64 bpf_map_lock_flag(const struct bpf_map *map)
{
	return map->spin_lock_off >= 0 ? BPF_F_LOCK : 0;
}

/* -ENOTSUPP's stand-in -EOPNOTSUPP for maps without such slots; flags: BPF_ANY. */
int bpf_map_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags);

/* A reference to the live map with this id, or NULL. */
struct bpf_map *bpf_map_get_by_id(u32 id);

/*
 * Iteration: every entry that lives through the whole walk is given exactly once, also while other
 * threads update (which moves entries) and delete. The iterator holds a copy of a few entries; one
 * thread at a time uses it, and it holds a reference to the map.
 *
 *	bpf_map_iter_init(&it, map, false);
 *	while ((ret = bpf_map_iter_next(&it, key, value)) > 0)
 *		...
 *	bpf_map_iter_end(&it);
 */
struct bpf_map_iter {
	struct bpf_map *map;
	bool keys_only; /* values are not copied */
	u64 flags; /* 0; BPF_F_LOCK, of maps that have locks: copy each value under its own */
	u64 pos, end; /* the type's: what to visit next, where to stop; 0 at first */
	char *buf; /* entries copied but not yet given */
	size_t cap;
	u32 entry_size, nr, next;
};

void bpf_map_iter_init(struct bpf_map_iter *it, struct bpf_map *map, bool keys_only);
/*
 * 1: one entry in key and value (bpf_map_value_size() bytes; NULL when keys_only), 0: the end, or
 * -errno.
 */
int bpf_map_iter_next(struct bpf_map_iter *it, void *key, void *value);
/* The entry that the next call gives will be the first again. */
void bpf_map_iter_rewind(struct bpf_map_iter *it);
void bpf_map_iter_end(struct bpf_map_iter *it);
/*
 * A walk's place, for another process that has the same arena open and begins one there: its words
 * and the entries that were copied and not given, in `room` bytes. False: they do not fit, or the
 * type's walk goes by more than a number.
 */
bool bpf_map_iter_save(const struct bpf_map_iter *it, void *place, size_t room);
int bpf_map_iter_resume(struct bpf_map_iter *it, const void *place, size_t room);

/* For map_iter() only: room for `nr` entries in all, or -ENOMEM; and entry i's place. */
int bpf_map_iter_reserve(struct bpf_map_iter *it, u32 nr);
static inline void *bpf_map_iter_key(struct bpf_map_iter *it, u32 i)
{
	return it->buf + (size_t)i * it->entry_size;
}
static inline void *bpf_map_iter_value(struct bpf_map_iter *it, u32 i)
{
	return it->buf + (size_t)i * it->entry_size + round_up(it->map->key_size, 8);
}

void bpf_map_stats_read(const struct bpf_map *map, struct bpf_map_stats *stats);
/* Bytes that it may come to hold; pages come as touched. */
u64 bpf_map_mem_usage(const struct bpf_map *map);

/*
 * Called (if set) when a consumer of this map should look: from programs, inside their RCU section,
 * and it must not wait. Ring buffers, perf event arrays, queues and stacks.
 */
extern void (*bpf_map_notify)(struct bpf_map *map);

/*
 * May this program be in, or tail-call through, this prog array? The first program that asks
 * decides (type, JITed or not, expected attach type), as in Linux. Called when a program that uses
 * the map is loaded (-EINVAL when false) and for each update. true for other kinds of maps.
 */
bool bpf_prog_map_compatible(struct bpf_map *map, const struct bpf_prog *prog);

/*
 * After bpf_map_open() of a map whose slots hold objects: the arena knows ids. Call it once all
 * programs are loaded again. Returns how many slots are empty for now and keep their id, for
 * another start; 0 for other maps; -errno, and then slots that were not reached keep their ids too.
 */
int bpf_map_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv);

/* Numbers of live objects, for leak checks and metrics. */
u64 bpf_map_live_count(void);

#endif
