/*
 * map.c - the life of a map, whatever its type: counted, found by id, let go
 *
 * A map is private to its maker until bpf_map_publish() gives it an id. The last put takes it out
 * of the table, tells on_free, and destroys it after a grace period.
 */
#include "btf/btf.h"
#include "rcu/ids.h"
#include "core/map.h"

static const char *const map_type_names[] = {
	[BPF_MAP_TYPE_HASH] = "hash",
	[BPF_MAP_TYPE_ARRAY] = "array",
	[BPF_MAP_TYPE_PROG_ARRAY] = "prog_array",
	[BPF_MAP_TYPE_PERF_EVENT_ARRAY] = "perf_event_array",
	[BPF_MAP_TYPE_PERCPU_HASH] = "percpu_hash",
	[BPF_MAP_TYPE_PERCPU_ARRAY] = "percpu_array",
	[BPF_MAP_TYPE_STACK_TRACE] = "stack_trace",
	[BPF_MAP_TYPE_CGROUP_ARRAY] = "cgroup_array",
	[BPF_MAP_TYPE_LRU_HASH] = "lru_hash",
	[BPF_MAP_TYPE_LRU_PERCPU_HASH] = "lru_percpu_hash",
	[BPF_MAP_TYPE_LPM_TRIE] = "lpm_trie",
	[BPF_MAP_TYPE_ARRAY_OF_MAPS] = "array_of_maps",
	[BPF_MAP_TYPE_HASH_OF_MAPS] = "hash_of_maps",
	[BPF_MAP_TYPE_DEVMAP] = "devmap",
	[BPF_MAP_TYPE_SOCKMAP] = "sockmap",
	[BPF_MAP_TYPE_CPUMAP] = "cpumap",
	[BPF_MAP_TYPE_XSKMAP] = "xskmap",
	[BPF_MAP_TYPE_SOCKHASH] = "sockhash",
	[BPF_MAP_TYPE_CGROUP_STORAGE] = "cgroup_storage",
	[BPF_MAP_TYPE_REUSEPORT_SOCKARRAY] = "reuseport_sockarray",
	[BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE] = "percpu_cgroup_storage",
	[BPF_MAP_TYPE_QUEUE] = "queue",
	[BPF_MAP_TYPE_STACK] = "stack",
	[BPF_MAP_TYPE_SK_STORAGE] = "sk_storage",
	[BPF_MAP_TYPE_DEVMAP_HASH] = "devmap_hash",
	[BPF_MAP_TYPE_STRUCT_OPS] = "struct_ops",
	[BPF_MAP_TYPE_RINGBUF] = "ringbuf",
	[BPF_MAP_TYPE_INODE_STORAGE] = "inode_storage",
	[BPF_MAP_TYPE_TASK_STORAGE] = "task_storage",
	[BPF_MAP_TYPE_BLOOM_FILTER] = "bloom_filter",
};

bool bpf_map_keep_slots;
void (*bpf_map_notify)(struct bpf_map *map);
__thread struct bpf_map_note *bpf_map_noting;

struct bpf_ids bpf_map_ids = BPF_IDS_INIT;
static u64 live;

const struct bpf_map_ops *bpf_map_ops_find(enum bpf_map_type type)
{
	return (u32)type < bpf_map_types_cnt ? bpf_map_types[type] : NULL;
}

const char *bpf_map_type_name(enum bpf_map_type type)
{
	return (u32)type < ARRAY_SIZE(map_type_names) ? map_type_names[type] : NULL;
}

int bpf_map_type_by_name(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(map_type_names); i++)
		if (map_type_names[i] && !strcmp(map_type_names[i], name))
			return (int)i;
	return -ENOENT;
}

u64 bpf_map_live_count(void)
{
	return __atomic_load_n(&live, __ATOMIC_RELAXED);
}

int bpf_map_publish(struct bpf_map *map)
{
	int err = bpf_ids_add(&bpf_map_ids, &map->id, map);

	if (!err)
		__atomic_fetch_add(&live, 1, __ATOMIC_RELAXED);
	return err;
}

static bool inc_not_zero(void *map)
{
	return bpf_map_inc_not_zero(map);
}

struct bpf_map *bpf_map_get_by_id(u32 id)
{
	return bpf_ids_get(&bpf_map_ids, id, inc_not_zero);
}

/* ---- references */

void bpf_map_inc(struct bpf_map *map)
{
	__atomic_fetch_add(&map->uref, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&map->refcnt, 1, __ATOMIC_RELAXED);
}

void bpf_map_inc_internal(struct bpf_map *map)
{
	__atomic_fetch_add(&map->refcnt, 1, __ATOMIC_RELAXED);
}

static void map_free_rcu(struct rcu_head *head)
{
	struct bpf_map *map = container_of(head, struct bpf_map, rcu);

	map->ops->free(map);
	bpf_btf_put(map->btf);
	map->destroy(map);
	__atomic_fetch_sub(&live, 1, __ATOMIC_RELAXED);
}

void bpf_map_put_internal(struct bpf_map *map)
{
	if (__atomic_sub_fetch(&map->refcnt, 1, __ATOMIC_ACQ_REL))
		return;
	bpf_ids_remove(&bpf_map_ids, map->id);
	if (map->on_free)
		map->on_free(map, map->priv);
	bpf_call_rcu(&map->rcu, map_free_rcu);
}

void bpf_map_put(struct bpf_map *map)
{
	if (!__atomic_sub_fetch(&map->uref, 1, __ATOMIC_ACQ_REL) && map->ops->map_release_uref &&
	    !__atomic_load_n(&bpf_map_keep_slots, __ATOMIC_RELAXED))
		map->ops->map_release_uref(map);
	bpf_map_put_internal(map);
}
