/*
 * types.c - the registry of map types: the only file that names them all
 */
#include "core/map.h"

/* The types that there are, each with its functions, in a file of a folder below this one. */
#define TYPES(X)                                                \
	X(HASH, htab_map_ops)                                   \
	X(ARRAY, array_map_ops)                                 \
	X(PROG_ARRAY, prog_array_map_ops)                       \
	X(PERCPU_HASH, htab_percpu_map_ops)                     \
	X(PERCPU_ARRAY, percpu_array_map_ops)                   \
	X(STACK_TRACE, stack_trace_map_ops)                     \
	X(LPM_TRIE, lpm_trie_map_ops)                           \
	X(CGROUP_STORAGE, cgroup_storage_map_ops)               \
	X(PERCPU_CGROUP_STORAGE, percpu_cgroup_storage_map_ops) \
	X(ARRAY_OF_MAPS, array_of_maps_map_ops)                 \
	X(HASH_OF_MAPS, htab_of_maps_map_ops)                   \
	X(PERF_EVENT_ARRAY, perf_event_array_map_ops)           \
	X(RINGBUF, ringbuf_map_ops)                             \
	X(BLOOM_FILTER, bloom_filter_map_ops)                   \
	X(QUEUE, queue_map_ops)                                 \
	X(STACK, stack_map_ops)                                 \
	X(LRU_HASH, htab_lru_map_ops)                           \
	X(LRU_PERCPU_HASH, htab_lru_percpu_map_ops)             \
	X(DEVMAP, devmap_map_ops)                               \
	X(DEVMAP_HASH, devmap_hash_map_ops)                     \
	X(CPUMAP, cpumap_map_ops)                               \
	X(XSKMAP, xskmap_map_ops)

#define DECLARE(type, ops) extern const struct bpf_map_ops ops;
#define ROW(type, ops)	   [BPF_MAP_TYPE_##type] = &ops,

TYPES(DECLARE)
const struct bpf_map_ops *const bpf_map_types[] = {TYPES(ROW)};
const u32 bpf_map_types_cnt = ARRAY_SIZE(bpf_map_types);
