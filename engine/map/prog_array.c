/*
 * prog_array.c - programs to tail-call into
 *
 * The arena holds an id a slot (0: empty), which is what a restart reads; the pointers that running programs
 * follow are this process's own table, RCU protected. Each used slot holds a reference to its program.
 *
 * Guarantees
 *   A. A running program sees either the old or the new program of a slot, and what it sees lives until
 *      its RCU section ends.
 *   B. The id in the arena is written after the pointer when a slot is set and before when it is
 *      cleared, under `lock`, so after a crash an id names a program that was there.
 *   C. All programs in the array, and all that tail-call through it, have one type, expected attach
 *      type and execution mode, and the same cgroup storage maps, or none; the first decides.
 *   D. When no reference but those of programs is left, all slots are emptied.
 * Lock order: `lock` is a leaf, and program references are dropped outside of it.
 * Tests: tests/unit/test_prog_array.c.
 */
#include <pthread.h>
#include <sys/mman.h>
#include "map/map.h"

struct bpf_prog_array {
	struct bpf_map map;
	struct bpf_prog **progs; /* max_entries, in pages that come as touched */
	u32 *ids; /* in the arena */
	pthread_mutex_t lock; /* writers; also `owner` and `used_end` */
	u32 used_end; /* no slot from here on was ever used by this process */
	struct {
		bool set, jited;
		enum bpf_prog_type type;
		enum bpf_attach_type expected_attach_type;
		u32 storage_id[MAX_BPF_CGROUP_STORAGE_TYPE];
	} owner;
};

static struct bpf_prog_array *prog_array(const struct bpf_map *map)
{
	return container_of(map, struct bpf_prog_array, map);
}

static int prog_array_alloc_check(const struct bpf_map_spec *spec)
{
	if (!spec->max_entries || spec->key_size != 4 || spec->value_size != 4 ||
	    spec->map_flags & ~(BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY))
		return -EINVAL;
	return 0;
}

static int prog_array_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*index = (u64)spec->max_entries * sizeof(u32);
	*values = 0;
	return 0;
}

static int prog_array_attach(struct bpf_map *map)
{
	struct bpf_prog_array *array = prog_array(map);
	void *progs = mmap(NULL, (size_t)map->max_entries * sizeof(*array->progs),
			   PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			   0);

	if (progs == MAP_FAILED)
		return -ENOMEM;
	array->progs = map->progs = progs;
	array->ids = map->arena->index;
	pthread_mutex_init(&array->lock, NULL);
	return 0;
}

static void prog_array_free(struct bpf_map *map)
{
	struct bpf_prog_array *array = prog_array(map);

	/* The ids stay in the arena: freeing the map is not emptying it. */
	for (u32 i = 0; i < array->used_end; i++)
		if (array->progs[i])
			bpf_prog_put(array->progs[i]);
	munmap(array->progs, (size_t)map->max_entries * sizeof(*array->progs));
	pthread_mutex_destroy(&array->lock);
}

struct bpf_prog *bpf_prog_array_get(struct bpf_map *map, u32 index)
{
	if (unlikely(index >= map->max_entries))
		return NULL;
	return bpf_rcu_dereference(prog_array(map)->progs[index]);
}

static u32 storage_id(const struct bpf_prog *prog, u32 type)
{
	return prog->cgroup_storage[type] ? prog->cgroup_storage[type]->id : 0;
}

/* Caller holds array->lock. */
static bool __owner_fits(struct bpf_prog_array *array, const struct bpf_prog *prog)
{
	if (!array->owner.set) {
		array->owner.set = true;
		array->owner.jited = prog->jited_len != 0;
		array->owner.type = prog->type;
		array->owner.expected_attach_type = prog->expected_attach_type;
		for (u32 t = 0; t < MAX_BPF_CGROUP_STORAGE_TYPE; t++)
			array->owner.storage_id[t] = storage_id(prog, t);
	}
	for (u32 t = 0; t < MAX_BPF_CGROUP_STORAGE_TYPE; t++)
		if (storage_id(prog, t) && storage_id(prog, t) != array->owner.storage_id[t])
			return false;
	return array->owner.type == prog->type && array->owner.jited == (prog->jited_len != 0) &&
	       array->owner.expected_attach_type == prog->expected_attach_type;
}

static bool prog_array_compatible(struct bpf_map *map, const struct bpf_prog *prog)
{
	struct bpf_prog_array *array = prog_array(map);
	bool fits;

	pthread_mutex_lock(&array->lock);
	fits = __owner_fits(array, prog);
	pthread_mutex_unlock(&array->lock);
	return fits;
}

/* Caller holds array->lock. Returns the program that was there. */
static struct bpf_prog *__slot_set(struct bpf_prog_array *array, u32 index, struct bpf_prog *prog)
{
	struct bpf_prog *old;

	if (!prog)
		__atomic_store_n(&array->ids[index], 0, __ATOMIC_RELEASE);
	old = bpf_rcu_xchg_pointer(array->progs[index], prog);
	if (prog) {
		__atomic_store_n(&array->ids[index], prog->id, __ATOMIC_RELEASE);
		__atomic_store_n(&array->used_end, max(array->used_end, index + 1),
				 __ATOMIC_RELAXED);
	}
	bpf_map_count(&array->map, entries, (s64) !!prog - !!old);
	return old;
}

static int prog_array_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	struct bpf_prog_array *array = prog_array(map);
	struct bpf_prog *prog = object, *old = NULL;
	u32 index;
	int err = 0;

	memcpy(&index, key, sizeof(index));
	if (flags != BPF_ANY || !prog->id)
		err = -EINVAL;
	else if (index >= map->max_entries)
		err = -E2BIG;
	if (!err) {
		pthread_mutex_lock(&array->lock);
		if (__owner_fits(array, prog)) {
			bpf_prog_inc(prog);
			old = __slot_set(array, index, prog);
		} else {
			err = -EINVAL;
		}
		pthread_mutex_unlock(&array->lock);
	}
	if (err)
		bpf_map_count(map, failed_updates, 1);
	else
		bpf_map_count(map, updates, 1);
	if (old)
		bpf_prog_put(old);
	return err;
}

/* From outside, a value is a program's id. */
static long prog_array_sys_update_elem(struct bpf_map *map, const void *key, const void *value,
				       u64 flags)
{
	struct bpf_prog *prog;
	u32 id;
	int err;

	memcpy(&id, value, sizeof(id));
	prog = bpf_prog_get_by_id(id);
	if (!prog)
		return -ENOENT;
	err = prog_array_update_slot(map, key, prog, flags);
	bpf_prog_put(prog);
	return err;
}

static long prog_array_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	struct bpf_prog *prog;
	u32 index;

	memcpy(&index, key, sizeof(index));
	prog = bpf_prog_array_get(map, index);
	if (!prog)
		return -ENOENT;
	memcpy(value, &prog->id, sizeof(prog->id));
	return 0;
}

static long prog_array_delete_elem(struct bpf_map *map, const void *key)
{
	struct bpf_prog_array *array = prog_array(map);
	struct bpf_prog *old;
	u32 index;

	memcpy(&index, key, sizeof(index));
	if (index >= map->max_entries)
		return -E2BIG;
	pthread_mutex_lock(&array->lock);
	old = __slot_set(array, index, NULL);
	pthread_mutex_unlock(&array->lock);
	if (!old)
		return -ENOENT;
	bpf_map_count(map, deletes, 1);
	bpf_prog_put(old);
	return 0;
}

static int prog_array_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_array_get_next_key(map, key, next_key);
}

/* Only slots in use are entries of a dump; reading an id takes no lock, so a slot cannot be given twice. */
static int prog_array_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;

	u32 end = __atomic_load_n(&prog_array(map)->used_end, __ATOMIC_RELAXED);

	if (bpf_map_iter_reserve(it, 1))
		return -ENOMEM;
	while (it->pos < end) {
		u32 index = (u32)it->pos++;
		u32 id = __atomic_load_n(&prog_array(map)->ids[index], __ATOMIC_ACQUIRE);

		if (!id)
			continue;
		memcpy(bpf_map_iter_key(it, 0), &index, sizeof(index));
		if (!it->keys_only)
			memcpy(bpf_map_iter_value(it, 0), &id, sizeof(id));
		return 1;
	}
	return 0;
}

static void prog_array_release_uref(struct bpf_map *map)
{
	struct bpf_prog_array *array = prog_array(map);
	u32 end;

	pthread_mutex_lock(&array->lock);
	end = array->used_end;
	pthread_mutex_unlock(&array->lock);
	for (u32 i = 0; i < end; i++) {
		struct bpf_prog *old;

		pthread_mutex_lock(&array->lock);
		old = __slot_set(array, i, NULL);
		pthread_mutex_unlock(&array->lock);
		if (old)
			bpf_prog_put(old);
	}
}

static int prog_array_restore_slots(struct bpf_map *map, void *(*get)(u32 id, void *priv),
				    void *priv)
{
	struct bpf_prog_array *array = prog_array(map);

	for (u32 i = 0; i < map->max_entries; i++) {
		u32 id = __atomic_load_n(&array->ids[i], __ATOMIC_ACQUIRE);
		struct bpf_prog *prog;
		bool fits;

		if (!id || bpf_rcu_dereference(array->progs[i]))
			continue;
		prog = get(id, priv);
		pthread_mutex_lock(&array->lock);
		fits = prog && __owner_fits(array, prog);
		__slot_set(array, i, fits ? prog : NULL);
		pthread_mutex_unlock(&array->lock);
		if (prog && !fits)
			bpf_prog_put(prog);
	}
	return 0;
}

static int prog_array_open(struct bpf_map *map)
{
	bpf_map_set_entries(map, 0); /* counted as the slots are restored */
	return prog_array_attach(map);
}

const struct bpf_map_ops prog_array_map_ops = {
	.name = "prog_array",
	.map_size = sizeof(struct bpf_prog_array),
	.not_inner = true,
	.alloc_check = prog_array_alloc_check,
	.map_layout = prog_array_layout,
	.alloc = prog_array_attach,
	.open = prog_array_open,
	.free = prog_array_free,
	.map_delete_elem = prog_array_delete_elem,
	.map_get_next_key = prog_array_get_next_key,
	.sys_lookup_elem = prog_array_sys_lookup_elem,
	.sys_update_elem = prog_array_sys_update_elem,
	.map_iter = prog_array_iter,
	.map_update_slot = prog_array_update_slot,
	.map_prog_compatible = prog_array_compatible,
	.map_restore_slots = prog_array_restore_slots,
	.map_release_uref = prog_array_release_uref,
};
