/*
 * cgroup_storage.c - cgroup_storage and percpu_cgroup_storage (see cgroup_storage.h)
 *
 * The arena holds a row of elements: the cgroup, the attach type, a state and the value (per-CPU:
 * one a slot, each on cache lines of its own). The first element is nobody's: what a program gets
 * that runs outside of any cgroup. A key is struct bpf_cgroup_storage_key, or a plain u64, then
 * ingress and egress share a storage. Elements are made by attaching, and found by going over them:
 * there are as many as cgroups that a program of the map is attached to.
 *
 * Guarantees
 *   A. One element a key. Its address never changes, and while a program that was given it runs, it
 *      is nobody else's.
 *   B. A new element is zero.
 *   C. An update from outside is in place: no aligned word of the value is torn (Linux replaces the
 *      whole value).
 *   D. After a crash every element is there whose attaching returned. One of a removed cgroup goes
 *      when the hierarchy is known again (bpf_cgroup_storage_keep()).
 * Lock order: `maps_lock`, then a map's `lock`; both are leaves otherwise.
 * Tests: tests/unit/test_cgroup_storage.c names each case by its letter.
 */
#include <pthread.h>
#include "map/map.h"
#include "map/spin_lock.h"
#include "map/iter.h"
#include "map/types/cgroup_storage.h"

#define STORAGE_FLAGS	  (BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK)
#define MAX_STORAGES	  65536u
#define MIN_STORAGES	  1024u
#define STORAGE_BYTES	  (4ull << 30) /* of address space, where more than MIN_STORAGES fit */
#define LOCAL_STORAGE_MAX (UINT16_MAX - 128) /* Linux: of a value that is not per-CPU */

enum { STORAGE_FREE, STORAGE_LINKED, STORAGE_DYING };

struct storage_elem {
	u64 cgroup_id;
	u32 attach_type;
	u32 state;
	u64 pad[2];
	u64 value[];
};

struct storage_arena {
	u32 used; /* elements from here on were never used; counts the first one */
	u32 pad[15];
};

struct bpf_cgroup_storage_map {
	struct bpf_map map;
	struct bpf_cgroup_storage_map *next, **pprev;
	struct storage_arena *head;
	char *elems;
	u64 stride;
	u32 value_stride; /* from one slot's value to the next */
	u32 max;
	u32 hint; /* a free element is not before it */
	pthread_mutex_t lock; /* making and ending elements */
};

static pthread_mutex_t maps_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bpf_cgroup_storage_map *maps;

static struct bpf_cgroup_storage_map *storage_map(const struct bpf_map *map)
{
	return container_of(map, struct bpf_cgroup_storage_map, map);
}

static bool is_percpu(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/* ---- life of a map */

static int storage_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	u32 most = is_percpu(spec->map_type) ? PCPU_MIN_UNIT_SIZE : LOCAL_STORAGE_MAX;

	if (spec->key_size != sizeof(struct bpf_cgroup_storage_key) &&
	    spec->key_size != sizeof(u64))
		return bpf_spec_refuse(why, EINVAL, "key_size is 8 or 16");
	if (!spec->value_size)
		return bpf_spec_refuse(why, EINVAL, "value_size must not be 0");
	if (spec->value_size > most)
		return bpf_spec_refuse(why, E2BIG, "value_size is larger than a storage may be");
	if (spec->max_entries)
		return bpf_spec_refuse(why, EINVAL, "max_entries is 0");
	if (spec->map_flags & ~STORAGE_FLAGS)
		return bpf_spec_refuse(why, EINVAL, "these map_flags are not for this type");
	return 0;
}

static u32 value_stride(const struct bpf_map_spec *spec)
{
	return round_up(spec->value_size, is_percpu(spec->map_type) ? 64 : 8);
}

static u64 elem_stride(const struct bpf_map_spec *spec, u32 nr_slots)
{
	u64 values = (u64)value_stride(spec) * (is_percpu(spec->map_type) ? nr_slots : 1);

	return sizeof(struct storage_elem) + values;
}

static u32 max_storages(u64 stride)
{
	u64 fit = STORAGE_BYTES / stride;

	return (u32)max((u64)MIN_STORAGES, min(fit, (u64)MAX_STORAGES));
}

static int storage_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	u64 stride = elem_stride(spec, nr_slots);

	*index = sizeof(struct storage_arena) + stride * max_storages(stride);
	*values = 0;
	return 0;
}

static struct storage_elem *elem_at(const struct bpf_cgroup_storage_map *sm, u32 i)
{
	return (struct storage_elem *)(sm->elems + i * sm->stride);
}

static int storage_attach(struct bpf_map *map)
{
	struct bpf_cgroup_storage_map *sm = storage_map(map);
	const struct bpf_map_spec *spec = &map->arena->header->spec;
	int err;

	if (map->arena->header->nr_slots < bpf_nr_slots())
		return -EBADMSG; /* there is no room for our slots */
	sm->head = map->arena->index;
	sm->elems = (char *)(sm->head + 1);
	sm->value_stride = value_stride(spec);
	sm->stride = elem_stride(spec, map->arena->header->nr_slots);
	sm->max = max_storages(sm->stride);
	sm->hint = 1;
	if (sm->head->used > sm->max)
		return -EBADMSG;
	err = bpf_arena_reserve(map->arena, sm->head, sizeof(*sm->head) + sm->stride);
	if (err)
		return err;
	if (!sm->head->used)
		sm->head->used = 1;
	pthread_mutex_init(&sm->lock, NULL);
	pthread_mutex_lock(&maps_lock);
	sm->next = maps;
	sm->pprev = &maps;
	if (maps)
		maps->pprev = &sm->next;
	maps = sm;
	pthread_mutex_unlock(&maps_lock);
	return 0;
}

/* What was ending has ended, and locks are free. */
static int storage_open(struct bpf_map *map)
{
	struct bpf_cgroup_storage_map *sm = storage_map(map);
	int err = storage_attach(map);
	u64 entries = 0;

	if (err)
		return err;
	for (u32 i = 0; i < sm->head->used; i++) {
		struct storage_elem *elem = elem_at(sm, i);

		if (elem->state == STORAGE_LINKED && i)
			entries++;
		else
			elem->state = STORAGE_FREE;
		if (map->spin_lock_off >= 0)
			bpf_spin_reset(map, elem->value);
	}
	bpf_map_set_entries(map, entries);
	return 0;
}

static void storage_free(struct bpf_map *map)
{
	struct bpf_cgroup_storage_map *sm = storage_map(map);

	pthread_mutex_lock(&maps_lock);
	*sm->pprev = sm->next;
	if (sm->next)
		sm->next->pprev = sm->pprev;
	pthread_mutex_unlock(&maps_lock);
	pthread_mutex_destroy(&sm->lock);
}

/* ---- elements */

static u32 state_of(const struct storage_elem *elem)
{
	return __atomic_load_n(&elem->state, __ATOMIC_ACQUIRE);
}

static bool isolated(const struct bpf_map *map)
{
	return map->key_size == sizeof(struct bpf_cgroup_storage_key);
}

/* Inside an RCU section, or with the lock: the element is not used again meanwhile. */
static struct storage_elem *find(const struct bpf_cgroup_storage_map *sm, u64 cgroup_id,
				 u32 attach_type)
{
	u32 used = __atomic_load_n(&sm->head->used, __ATOMIC_ACQUIRE);

	for (u32 i = 1; i < used; i++) {
		struct storage_elem *elem = elem_at(sm, i);

		if (state_of(elem) == STORAGE_LINKED && elem->cgroup_id == cgroup_id &&
		    (!isolated(&sm->map) || elem->attach_type == attach_type))
			return elem;
	}
	return NULL;
}

static struct storage_elem *find_key(const struct bpf_map *map, const void *key)
{
	struct bpf_cgroup_storage_key k = {0};

	memcpy(&k, key, map->key_size);
	return find(storage_map(map), k.cgroup_inode_id, k.attach_type);
}

static void elem_key(const struct bpf_map *map, const struct storage_elem *elem, void *key)
{
	struct bpf_cgroup_storage_key k;

	memset(&k, 0, sizeof(k));
	k.cgroup_inode_id = elem->cgroup_id;
	k.attach_type = elem->attach_type;
	memcpy(key, &k, map->key_size);
}

/* Caller holds sm->lock. NULL: -ENOMEM. */
static struct storage_elem *__elem_make(struct bpf_cgroup_storage_map *sm, u64 cgroup_id,
					u32 attach_type)
{
	u32 used = sm->head->used, i = sm->hint;
	struct storage_elem *elem;

	while (i < used && state_of(elem_at(sm, i)) != STORAGE_FREE)
		i++;
	sm->hint = i;
	if (i == sm->max)
		return NULL;
	elem = elem_at(sm, i);
	if (bpf_arena_reserve(sm->map.arena, elem, sm->stride))
		return NULL;
	bpf_zero_arena(elem->value, (u32)(sm->stride - sizeof(*elem)));
	elem->cgroup_id = cgroup_id;
	elem->attach_type = attach_type;
	if (i == used)
		__atomic_store_n(&sm->head->used, used + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&elem->state, STORAGE_LINKED, __ATOMIC_RELEASE);
	bpf_map_count(&sm->map, entries, 1);
	return elem;
}

struct ending { /* an element waits for the programs that may have it */
	struct rcu_head rcu;
	struct bpf_cgroup_storage_map *sm; /* referenced */
	u32 index;
};

static void ended(struct rcu_head *head)
{
	struct ending *e = container_of(head, struct ending, rcu);
	struct bpf_cgroup_storage_map *sm = e->sm;

	pthread_mutex_lock(&sm->lock);
	__atomic_store_n(&elem_at(sm, e->index)->state, STORAGE_FREE, __ATOMIC_RELEASE);
	sm->hint = min(sm->hint, e->index);
	pthread_mutex_unlock(&sm->lock);
	bpf_map_put(&sm->map);
	free(e);
}

/*
 * Caller holds sm->lock. Without memory to wait, the element is lost until the map is opened again.
 */
static void __elem_end(struct bpf_cgroup_storage_map *sm, u32 index)
{
	struct ending *e;

	__atomic_store_n(&elem_at(sm, index)->state, STORAGE_DYING, __ATOMIC_RELEASE);
	bpf_map_count(&sm->map, entries, (u64)-1);
	e = malloc(sizeof(*e));
	if (!e || !bpf_map_inc_not_zero(&sm->map)) {
		free(e);
		return;
	}
	e->sm = sm;
	e->index = index;
	bpf_call_rcu(&e->rcu, ended);
}

/* ---- from outside */

static void *storage_lookup_elem(struct bpf_map *map, const void *key)
{
	struct storage_elem *elem = find_key(map, key);

	return elem ? elem->value : NULL;
}

static long refused(struct bpf_map *map, long err)
{
	bpf_map_count(map, failed_updates, 1);
	return err;
}

static long storage_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	struct storage_elem *elem;

	if (flags & ~(u64)(BPF_F_LOCK | BPF_EXIST) ||
	    (flags & BPF_F_LOCK && map->spin_lock_off < 0))
		return refused(map, -EINVAL);
	elem = find_key(map, key);
	if (!elem)
		return refused(map, -ENOENT);
	if (flags & BPF_F_LOCK)
		bpf_value_to_arena_locked(map, elem->value, value);
	else
		bpf_value_to_arena(map, elem->value, value);
	bpf_map_count(map, updates, 1);
	return 0;
}

static long storage_delete_elem(struct bpf_map *map, const void *key)
{
	return -EINVAL;
}

static void *slot_value(const struct bpf_map *map, void *value, u32 slot)
{
	return (char *)value + (size_t)slot * storage_map(map)->value_stride;
}

static long percpu_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	struct storage_elem *elem = find_key(map, key);
	u32 size = round_up(map->value_size, 8);

	if (!elem)
		return -ENOENT;
	for (u32 slot = 0; value && slot < bpf_nr_slots(); slot++)
		bpf_copy_from_arena((char *)value + (size_t)slot * size,
				    slot_value(map, elem->value, slot), size);
	return 0;
}

static long percpu_sys_update_elem(struct bpf_map *map, const void *key, const void *value,
				   u64 flags)
{
	u32 size = round_up(map->value_size, 8);
	struct storage_elem *elem;

	if (flags != BPF_ANY && flags != BPF_EXIST)
		return refused(map, -EINVAL);
	elem = find_key(map, key);
	if (!elem)
		return refused(map, -ENOENT);
	for (u32 slot = 0; slot < bpf_nr_slots(); slot++)
		bpf_copy_to_arena(slot_value(map, elem->value, slot),
				  (const char *)value + (size_t)slot * size, size);
	bpf_map_count(map, updates, 1);
	return 0;
}

/* The next that is there, from element i on; 0: none. */
static u32 next_linked(const struct bpf_cgroup_storage_map *sm, u64 i)
{
	u32 used = __atomic_load_n(&sm->head->used, __ATOMIC_ACQUIRE);

	for (i = max(i, (u64)1); i < used; i++)
		if (state_of(elem_at(sm, (u32)i)) == STORAGE_LINKED)
			return (u32)i;
	return 0;
}

/* A key that is not there has no next one, as Linux has it for this type. */
static int storage_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	struct bpf_cgroup_storage_map *sm = storage_map(map);
	u64 from = 1;
	u32 next;

	if (key) {
		struct storage_elem *elem = find_key(map, key);

		if (!elem)
			return -ENOENT;
		from = (u64)((char *)elem - sm->elems) / sm->stride + 1;
	}
	next = next_linked(sm, from);
	if (!next)
		return -ENOENT;
	elem_key(map, elem_at(sm, next), next_key);
	return 0;
}

static int storage_iter(struct bpf_map_iter *it)
{
	struct bpf_cgroup_storage_map *sm = storage_map(it->map);
	struct storage_elem *elem;
	u32 i;

	if (bpf_map_iter_reserve(it, 1))
		return -ENOMEM;
	bpf_rcu_read_lock();
	i = next_linked(sm, it->pos);
	if (i) {
		elem = elem_at(sm, i);
		elem_key(it->map, elem, bpf_map_iter_key(it, 0));
		if (!it->keys_only && is_percpu(it->map->map_type))
			percpu_sys_lookup_elem(it->map, bpf_map_iter_key(it, 0),
					       bpf_map_iter_value(it, 0));
		else if (!it->keys_only)
			bpf_value_from_arena(it->map, bpf_map_iter_value(it, 0), elem->value,
					     it->flags);
		it->pos = (u64)i + 1;
	}
	bpf_rcu_read_unlock();
	return i != 0;
}

/* The spare one; each of the others comes with an attachment. */
static u64 storage_mem_usage(const struct bpf_map_spec *spec, u32 nr_slots)
{
	return sizeof(struct storage_arena) + elem_stride(spec, nr_slots);
}

const struct bpf_map_ops cgroup_storage_map_ops = {
	.name = "cgroup_storage",
	.at_start = true,
	.map_size = sizeof(struct bpf_cgroup_storage_map),
	.not_inner = true,
	.spin_lock = true,
	.alloc_check = storage_alloc_check,
	.map_layout = storage_layout,
	.alloc = storage_attach,
	.open = storage_open,
	.free = storage_free,
	.map_lookup_elem = storage_lookup_elem,
	.map_update_elem = storage_update_elem,
	.map_delete_elem = storage_delete_elem,
	.map_get_next_key = storage_get_next_key,
	.map_iter = storage_iter,
	.map_mem_usage = storage_mem_usage,
};

const struct bpf_map_ops percpu_cgroup_storage_map_ops = {
	.name = "percpu_cgroup_storage",
	.at_start = true,
	.map_size = sizeof(struct bpf_cgroup_storage_map),
	.percpu = true,
	.not_inner = true,
	.alloc_check = storage_alloc_check,
	.map_layout = storage_layout,
	.alloc = storage_attach,
	.open = storage_open,
	.free = storage_free,
	.map_delete_elem = storage_delete_elem,
	.sys_lookup_elem = percpu_sys_lookup_elem,
	.sys_update_elem = percpu_sys_update_elem,
	.map_get_next_key = storage_get_next_key,
	.map_iter = storage_iter,
	.map_mem_usage = storage_mem_usage,
};

/* ---- attachments and test runs */

void bpf_cgroup_storages_undo(struct bpf_cgroup_storages *storages)
{
	for (u32 t = 0; t < MAX_BPF_CGROUP_STORAGE_TYPE; t++) {
		struct bpf_cgroup_storage_map *sm;
		u64 off;

		if (!storages->made[t])
			continue;
		sm = storage_map(storages->map[t]);
		off = (u64)((char *)storages->value[t] - sm->elems);
		pthread_mutex_lock(&sm->lock);
		__elem_end(sm, (u32)(off / sm->stride));
		pthread_mutex_unlock(&sm->lock);
		storages->made[t] = false;
	}
}

int bpf_cgroup_storages_get(const struct bpf_prog *prog, u64 cgroup_id, u32 attach_type,
			    struct bpf_cgroup_storages *out)
{
	memset(out, 0, sizeof(*out));
	for (u32 t = 0; t < MAX_BPF_CGROUP_STORAGE_TYPE; t++) {
		struct bpf_map *map = prog->cgroup_storage[t];
		struct bpf_cgroup_storage_map *sm;
		struct storage_elem *elem;

		if (!map)
			continue;
		sm = storage_map(map);
		pthread_mutex_lock(&sm->lock);
		elem = find(sm, cgroup_id, attach_type);
		if (!elem) {
			elem = __elem_make(sm, cgroup_id, attach_type);
			out->made[t] = elem;
		}
		pthread_mutex_unlock(&sm->lock);
		if (!elem) {
			bpf_cgroup_storages_undo(out);
			return -ENOMEM;
		}
		out->map[t] = map;
		out->value[t] = elem->value;
	}
	return 0;
}

int bpf_cgroup_storages_temporary(const struct bpf_prog *prog, struct bpf_cgroup_storages *out)
{
	memset(out, 0, sizeof(*out));
	for (u32 t = 0; t < MAX_BPF_CGROUP_STORAGE_TYPE; t++) {
		struct bpf_map *map = prog->cgroup_storage[t];
		size_t size;

		if (!map)
			continue;
		size = round_up(storage_map(map)->stride - sizeof(struct storage_elem), (u64)64);
		out->value[t] = aligned_alloc(64, size);
		if (!out->value[t]) {
			bpf_cgroup_storages_free(out);
			return -ENOMEM;
		}
		memset(out->value[t], 0, size);
		out->map[t] = map;
	}
	return 0;
}

void bpf_cgroup_storages_free(struct bpf_cgroup_storages *storages)
{
	for (u32 t = 0; t < MAX_BPF_CGROUP_STORAGE_TYPE; t++)
		free(storages->value[t]);
	memset(storages, 0, sizeof(*storages));
}

/* ---- cgroups that go */

/* is_there NULL: `cgroup_id` is the one that goes. */
static void end_storages(u64 cgroup_id, bool (*is_there)(u64 cgroup_id))
{
	pthread_mutex_lock(&maps_lock);
	for (struct bpf_cgroup_storage_map *sm = maps; sm; sm = sm->next) {
		pthread_mutex_lock(&sm->lock);
		for (u32 i = 1; i < sm->head->used; i++) {
			struct storage_elem *elem = elem_at(sm, i);

			if (state_of(elem) == STORAGE_LINKED &&
			    (is_there ? !is_there(elem->cgroup_id) : elem->cgroup_id == cgroup_id))
				__elem_end(sm, i);
		}
		pthread_mutex_unlock(&sm->lock);
	}
	pthread_mutex_unlock(&maps_lock);
}

void bpf_cgroup_storage_gone(u64 cgroup_id)
{
	if (!__atomic_load_n(&bpf_map_keep_slots, __ATOMIC_RELAXED))
		end_storages(cgroup_id, NULL);
}

void bpf_cgroup_storage_keep(bool (*is_there)(u64 cgroup_id))
{
	end_storages(0, is_there);
}

/* ---- the helper */

static u64 bpf_get_local_storage(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_map *map = (const void *)(uintptr_t)r1;
	const struct bpf_cgroup_storages *storages = bpf_this.storages;
	bool percpu = is_percpu(map->map_type);
	u32 t = percpu ? BPF_CGROUP_STORAGE_PERCPU : BPF_CGROUP_STORAGE_SHARED;
	void *value;

	/*
	 * Outside of a cgroup, or by a tail call from a program without this map: the first
	 * element.
	 */
	if (likely(storages && storages->map[t] == map))
		value = storages->value[t];
	else
		value = elem_at(storage_map(map), 0)->value;
	return (uintptr_t)(percpu ? slot_value(map, value, bpf_map_slot()) : value);
}

const struct bpf_func_proto bpf_get_local_storage_proto = {
	.name = "bpf_get_local_storage",
	.id = BPF_FUNC_get_local_storage,
	.func = bpf_get_local_storage,
	.ret_type = RET_PTR_TO_MAP_VALUE,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_ANYTHING},
};
