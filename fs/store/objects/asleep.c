/*
 * asleep.c - see asleep.h
 *
 * Lock: wake_lock, a leaf: `waking` of all, and the end of `asleep`.
 */
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/private.h"
#include "map/syscall.h"

#define REFS_BIAS (1 << 29) /* while those that are counted here become the engine's */

static u32 nr_asleep;
static pthread_mutex_t wake_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;

/* ---- what keeps maps alive for programs that sleep */

/*
 * Maps that others are in, or that belong to others, are awake before a program is found that uses
 * them, and know which references are programs' (bpf_map_inc_internal()).
 */
static bool is_at_start(const struct store_object *map)
{
	return map->seen && map->seen->map.at_start && map->map;
}

struct store_object *store_use(struct store_object *map)
{
	if (is_at_start(map))
		bpf_map_inc_internal(map->map);
	else
		store_get(map);
	return map;
}

static void let_use(struct store_object *map)
{
	if (is_at_start(map))
		bpf_map_put_internal(map->map);
	else
		store_put(map);
}

void store_let_uses(struct store_object *obj)
{
	struct store_object **uses = obj->seen ? obj->seen->uses : NULL;

	for (u32 i = 0; uses && i < obj->seen->nr_uses; i++)
		if (uses[i])
			let_use(uses[i]);
	if (obj->seen)
		obj->seen->uses = NULL;
	free(uses);
}

void store_seen_free(struct store_seen *seen)
{
	if (!seen)
		return;
	free(seen->use_ids);
	free(seen->uses);
	free(seen);
}

/* ---- waking */

int (*store_read_back)(struct store_object *obj);

void store_adopt_asleep(struct store_object *obj, struct store_seen *seen, u64 bytes)
{
	obj->seen = seen;
	obj->bytes = bytes;
	obj->asleep = true;
	__atomic_add_fetch(&nr_asleep, 1, __ATOMIC_RELAXED);
	store_adopt_counted(obj);
}

bool store_is_asleep(const struct store_object *obj)
{
	return __atomic_load_n(&obj->asleep, __ATOMIC_ACQUIRE);
}

u32 store_asleep(void)
{
	return __atomic_load_n(&nr_asleep, __ATOMIC_RELAXED);
}

/* True: the caller is to do it. False: it is awake. */
static bool begin_waking(struct store_object *obj)
{
	bool mine;

	pthread_mutex_lock(&wake_lock);
	while (obj->waking)
		pthread_cond_wait(&woken, &wake_lock);
	mine = obj->waking = store_is_asleep(obj);
	pthread_mutex_unlock(&wake_lock);
	return mine;
}

int store_wake(struct store_object *obj)
{
	int err;

	if (!store_is_asleep(obj) || !begin_waking(obj))
		return 0;
	err = store_read_back(obj);
	pthread_mutex_lock(&wake_lock);
	obj->waking = false;
	pthread_cond_broadcast(&woken);
	pthread_mutex_unlock(&wake_lock);
	return err;
}

static void set_awake(struct store_object *obj)
{
	__atomic_store_n(&obj->asleep, false, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&nr_asleep, 1, __ATOMIC_RELAXED);
}

/*
 * Whoever finds the map from now on counts there; then what was counted here is added. Until then
 * the bias keeps it alive, however many of those references are dropped there.
 */
void store_awake_map(struct store_object *obj, struct bpf_map *map)
{
	int refs;

	bpf_map_drop_files(map);
	map->priv = obj;
	map->on_free = store_map_ended;
	if (map->btf)
		bpf_btf_publish(map->btf, obj->owner); /* without an id they serve as well */
	bpf_map_add_refs(map, REFS_BIAS);
	bpf_rcu_assign_pointer(obj->map, map);
	refs = __atomic_exchange_n(&obj->refs, REFS_ARE_THE_ENGINES, __ATOMIC_ACQ_REL);
	bpf_map_add_refs(map, refs - REFS_BIAS - 1);
	set_awake(obj);
}

void store_awake_prog(struct store_object *obj, struct bpf_prog *prog)
{
	int refs;

	prog->priv = obj;
	prog->on_free = store_prog_ended;
	if (prog->btf)
		bpf_btf_publish(prog->btf, obj->owner);
	bpf_prog_add_refs(prog, REFS_BIAS);
	bpf_rcu_assign_pointer(obj->prog, prog);
	refs = __atomic_exchange_n(&obj->refs, REFS_ARE_THE_ENGINES, __ATOMIC_ACQ_REL);
	bpf_prog_add_refs(prog, refs - REFS_BIAS - 1);
	store_let_uses(obj);
	set_awake(obj);
}

void store_ended_asleep(const struct store_object *obj)
{
	if (store_is_asleep(obj))
		__atomic_sub_fetch(&nr_asleep, 1, __ATOMIC_RELAXED);
}

void store_awake_broken(struct store_object *obj, char *sentence, char *log)
{
	obj->broken_log = log;
	obj->broken = sentence;
	set_awake(obj);
}

enum bpf_map_type store_map_type(const struct store_object *obj)
{
	const struct bpf_map *map = bpf_rcu_dereference(obj->map);

	if (map)
		return map->map_type;
	if (obj->kind == STORE_MAP && store_is_asleep(obj))
		return obj->seen->map.spec.map_type;
	return BPF_MAP_TYPE_UNSPEC;
}

const char *store_name(const struct store_object *obj)
{
	const struct bpf_prog *prog = bpf_rcu_dereference(obj->prog);
	const struct bpf_map *map = bpf_rcu_dereference(obj->map);

	if (prog)
		return prog->name;
	if (map)
		return map->name;
	return obj->seen ? obj->seen->name : "";
}

bool store_prog_uses(const struct store_object *obj, u32 map_id)
{
	const struct bpf_prog *prog = bpf_rcu_dereference(obj->prog);

	if (!prog) {
		const struct store_seen *seen = store_is_asleep(obj) ? obj->seen : NULL;

		for (u32 i = 0; seen && i < seen->nr_uses; i++)
			if (seen->use_ids[i] == map_id)
				return true;
		return false;
	}
	for (u32 i = 0; i < bpf_prog_nr_maps(prog); i++)
		if (prog->used_maps[i]->id == map_id)
			return true;
	return false;
}
