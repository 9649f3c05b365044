/*
 * test_map_stats.c - what a map counts: each change that worked, each that was refused, and what is
 * in it, in all types that can be changed from outside
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/iter.h"
#include "map/syscall.h"
#include "run/run.h"

#define MAX 3

enum { KEYS = 1, FULL = 2, PROGS = 4, MAPS = 8, ONCE = 16 };

static const struct {
	enum bpf_map_type type;
	u32 key_size, value_size;
	/*
	 * FULL: all elements are always there. ONCE: what was added stays. What a value is the id
	 * of.
	 */
	u32 is;
} types[] = {
	{BPF_MAP_TYPE_HASH, 4, 8, KEYS},
	{BPF_MAP_TYPE_PERCPU_HASH, 4, 8, KEYS},
	{BPF_MAP_TYPE_LRU_HASH, 4, 8, KEYS},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, KEYS},
	{BPF_MAP_TYPE_LPM_TRIE, 8, 8, KEYS},
	{BPF_MAP_TYPE_ARRAY, 4, 8, KEYS | FULL},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, KEYS | FULL},
	{BPF_MAP_TYPE_DEVMAP, 4, 4, KEYS},
	{BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, KEYS},
	{BPF_MAP_TYPE_CPUMAP, 4, 4, KEYS},
	{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, KEYS | PROGS},
	{BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, KEYS | MAPS},
	{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, KEYS | MAPS},
	{BPF_MAP_TYPE_QUEUE, 0, 8, 0},
	{BPF_MAP_TYPE_STACK, 0, 8, 0},
	{BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, ONCE},
};

static struct bpf_map *inner;
static struct bpf_prog *prog;

static int begin(void **state)
{
	static const struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	static const struct bpf_insn exit_0[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .license = "GPL", .insns = exit_0, .insn_cnt = 2};
	int err = bpf_map_create(&spec, 0, -1, -1, &inner);

	prog = bpf_prog_alloc(&attr);
	return err ? err : bpf_prog_publish(prog);
}

static int end(void **state)
{
	bpf_map_put(inner);
	bpf_prog_put(prog);
	bpf_rcu_barrier();
	bpf_rcu_barrier();
	return 0;
}

struct counts {
	u64 updates, failed, deletes;
};

static u64 present(struct bpf_map *map)
{
	struct bpf_map_iter it;
	char key[8], value[8 * 1024];
	u64 n = 0;

	bpf_map_iter_init(&it, map, false);
	while (bpf_map_iter_next(&it, key, value) > 0)
		n++;
	bpf_map_iter_end(&it);
	return n;
}

static void assert_counted(struct bpf_map *map, const struct counts *c, u64 entries)
{
	struct bpf_map_stats stats;

	bpf_map_stats_read(map, &stats);
	if (stats.updates != c->updates || stats.failed_updates != c->failed ||
	    stats.deletes != c->deletes || stats.entries != entries)
		print_error(
			"%s: %lu updates, %lu failed, %lu deletes, %lu entries; counted %lu %lu "
			"%lu %lu\n",
			map->ops->name, c->updates, c->failed, c->deletes, entries, stats.updates,
			stats.failed_updates, stats.deletes, stats.entries);
	assert_int_equal(stats.updates, c->updates);
	assert_int_equal(stats.failed_updates, c->failed);
	assert_int_equal(stats.deletes, c->deletes);
	assert_int_equal(stats.entries, entries);
	assert_int_equal(stats.evictions, 0);
}

/* Keys beyond the end, or one too many; each flag with and without the key; gone keys. */
static void all_that_happens_is_counted(void **state)
{
	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		struct bpf_map_spec spec = {.map_type = types[t].type,
					    .key_size = types[t].key_size,
					    .value_size = types[t].value_size,
					    .max_entries = MAX,
					    .inner_map_id = types[t].is & MAPS ? inner->id : 0};
		bool lru = types[t].type == BPF_MAP_TYPE_LRU_HASH ||
			   types[t].type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
		u32 is = types[t].is, key[2] = {32, 0};
		u32 *k = types[t].key_size == 8 ? &key[1] : key; /* a trie's begins with 32 bits */
		struct counts c = {0};
		struct bpf_map *map;
		void *value;
		u64 added = 0;

		spec.map_flags = spec.map_type == BPF_MAP_TYPE_LPM_TRIE ? BPF_F_NO_PREALLOC : 0;
		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
		value = calloc(1, bpf_map_value_size(map));
		assert_non_null(value);
		memset(value, 1, spec.value_size < 8 ? 1 : 8); /* 1: an interface, a queue's room */
		if (is & (PROGS | MAPS))
			memcpy(value, is & MAPS ? &inner->id : &prog->id, 4);
		for (u32 round = 0; round < 2; round++) {
			for (*k = 0; *k < MAX + (lru ? 0 : 1); ++*k)
				for (u64 flags = BPF_ANY; flags <= BPF_EXIST; flags++) {
					int err = bpf_map_update(map, is & KEYS ? key : NULL, value,
								 flags);

					c.updates += !err;
					c.failed += err < 0;
					added += !err;
				}
			if (is & KEYS)
				added = is & FULL ? MAX : present(map);
			else if (!(is & ONCE))
				added = MAX; /* BPF_EXIST takes the oldest out */
			assert_counted(map, &c, added);
			for (*k = MAX + 1; (*k)-- > 0;) {
				/* Of maps of targets an empty slot may be deleted. */
				bool there = !(is & KEYS) || !bpf_map_contains(map, key);
				int err = is & KEYS ? bpf_map_delete(map, key)
						    : bpf_map_pop(map, value, 0);

				c.deletes += !err && there;
				added -= !err && there;
			}
			assert_counted(map, &c, added);
			if (!(is & (FULL | ONCE)))
				assert_int_equal(added, 0);
		}
		assert_true(c.updates > 0);
		free(value);
		bpf_map_put(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_that_happens_is_counted, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
