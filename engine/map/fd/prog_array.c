/*
 * prog_array.c - programs to tail-call into: an fd_array of programs
 *
 * Guarantees, beside those of fd_array.h
 *   C. All programs in the array, and all that tail-call through it, have one type, expected attach
 *      type and execution mode, and the same cgroup storage maps, or none; the first decides.
 *   D. When no reference but those of programs is left, all slots are emptied.
 * Tests: tests/unit/test_prog_array.c.
 */
#include "map/fd/fd_array.h"

#define HEAD_SIZE 64 /* of the arena's index: used_end */

struct bpf_prog_array {
	struct fd_array array; /* its lock guards `owner`, too */
	struct {
		bool set, jited;
		enum bpf_prog_type type;
		enum bpf_attach_type expected_attach_type;
		u32 storage_id[MAX_BPF_CGROUP_STORAGE_TYPE];
	} owner;
};

static struct bpf_prog_array *prog_array(const struct bpf_map *map)
{
	return container_of(map, struct bpf_prog_array, array.map);
}

static void put_prog(void *prog)
{
	bpf_prog_put(prog);
}

static int prog_array_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*index = fd_array_index_size(spec, HEAD_SIZE);
	*values = 0;
	return 0;
}

static int prog_array_open(struct bpf_map *map)
{
	struct fd_array *array = &prog_array(map)->array;
	int err = fd_array_attach(array, HEAD_SIZE, map->arena->index, put_prog);

	if (!err)
		map->progs = (struct bpf_prog **)array->objects;
	return err;
}

static int prog_array_alloc(struct bpf_map *map)
{
	int err = bpf_arena_reserve(map->arena, map->arena->index, HEAD_SIZE);

	return err ? err : prog_array_open(map);
}

static void prog_array_free(struct bpf_map *map)
{
	fd_array_free(&prog_array(map)->array);
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

	pthread_mutex_lock(&array->array.lock);
	fits = __owner_fits(array, prog);
	pthread_mutex_unlock(&array->array.lock);
	return fits;
}

static int prog_array_update_slot(struct bpf_map *map, const void *key, void *object, u64 flags)
{
	struct bpf_prog_array *array = prog_array(map);
	struct bpf_prog *prog = object, *old = NULL;
	u32 index;
	int err;

	memcpy(&index, key, sizeof(index));
	err = flags != BPF_ANY || !prog->id ? -EINVAL : fd_array_reserve(&array->array, index);
	if (!err) {
		pthread_mutex_lock(&array->array.lock);
		if (__owner_fits(array, prog)) {
			bpf_prog_inc(prog);
			old = __fd_array_set(&array->array, index, prog, prog->id);
		} else {
			err = -EINVAL;
		}
		pthread_mutex_unlock(&array->array.lock);
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

static void prog_array_release_uref(struct bpf_map *map)
{
	struct fd_array *array = &prog_array(map)->array;
	u32 end = __atomic_load_n(array->used_end, __ATOMIC_ACQUIRE);

	for (u32 i = 0; i < end; i++)
		fd_array_set(array, i, NULL, 0);
}

/*
 * A program that does not fit now (it was compiled before, and is interpreted today) may at another
 * start.
 */
static int prog_array_restore_slots(struct bpf_map *map, bpf_slot_get_fn get, void *priv)
{
	struct bpf_prog_array *array = prog_array(map);
	int kept = 0;

	for (u32 i = 0; i < *array->array.used_end; i++) {
		u32 id = __atomic_load_n(&array->array.ids[i], __ATOMIC_ACQUIRE);
		void *prog = NULL;
		bool fits;
		int err;

		if (!id || bpf_rcu_dereference(array->array.objects[i]))
			continue;
		err = get(id, priv, &prog);
		pthread_mutex_lock(&array->array.lock);
		fits = !err && __owner_fits(array, prog);
		if (fits || err == -ENOENT)
			__fd_array_set(&array->array, i, fits ? prog : NULL, id);
		else
			kept++;
		pthread_mutex_unlock(&array->array.lock);
		if (!err && !fits)
			bpf_prog_put(prog);
	}
	return kept;
}

const struct bpf_map_ops prog_array_map_ops = {
	.name = "prog_array",
	.at_start = true,
	.map_size = sizeof(struct bpf_prog_array),
	.not_inner = true,
	.alloc_check = fd_array_alloc_check,
	.map_layout = prog_array_layout,
	.alloc = prog_array_alloc,
	.open = prog_array_open,
	.free = prog_array_free,
	.map_delete_elem = fd_array_delete_elem,
	.map_get_next_key = fd_array_get_next_key,
	.sys_lookup_elem = fd_array_sys_lookup_elem,
	.sys_update_elem = prog_array_sys_update_elem,
	.map_iter = fd_array_iter,
	.map_update_slot = prog_array_update_slot,
	.map_prog_compatible = prog_array_compatible,
	.map_restore_slots = prog_array_restore_slots,
	.map_release_uref = prog_array_release_uref,
};
