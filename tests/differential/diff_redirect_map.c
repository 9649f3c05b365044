/*
 * diff_redirect_map.c - devmap, devmap_hash, cpumap, xskmap: what the kernel and we say to the same
 * commands
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/kernel.h"

#define NO_SUCH_INTERFACE 0x7ffffff0u

static const enum bpf_map_type types[] = {BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH,
					  BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_XSKMAP};

/* Created alike? Returns both, or -1 and NULL. */
static bool create(const struct bpf_map_spec *spec, int *fd, struct bpf_map **map)
{
	int theirs = *fd = kernel_map_create(spec);
	int ours = bpf_map_create(spec, 0, -1, -1, map);

	if ((theirs < 0 ? theirs : 0) != ours)
		fail_msg("%s key %u value %u entries %u flags %#x: the kernel gives %d, we %d",
			 bpf_map_type_name(spec->map_type), spec->key_size, spec->value_size,
			 spec->max_entries, spec->map_flags, theirs, ours);
	return !ours;
}

static void test_definitions(void **state)
{
	static const u32 sizes[] = {0, 2, 4, 6, 8, 12}, entries[] = {0, 1, 3, 1000000};
	static const u32 flags[] = {0,
				    BPF_F_NO_PREALLOC,
				    BPF_F_NUMA_NODE,
				    BPF_F_RDONLY,
				    BPF_F_WRONLY,
				    BPF_F_RDONLY_PROG,
				    BPF_F_WRONLY_PROG,
				    BPF_F_MMAPABLE,
				    BPF_F_INNER_MAP};
	u32 made = 0;

	for (u32 t = 0; t < ARRAY_SIZE(types); t++)
		for (u32 k = 0; k < ARRAY_SIZE(sizes); k++)
			for (u32 v = 0; v < ARRAY_SIZE(sizes); v++)
				for (u32 e = 0; e < ARRAY_SIZE(entries); e++)
					for (u32 f = 0; f < ARRAY_SIZE(flags); f++) {
						const struct bpf_map_spec spec = {
							types[t],   sizes[k], sizes[v],
							entries[e], flags[f],
						};
						struct bpf_map *map;
						int fd;

						/* Not worth a million elements each. */
						if (entries[e] > 3 &&
						    (flags[f] || k != 2 || v != 2))
							continue;
						if (!create(&spec, &fd, &map))
							continue;
						close(fd);
						bpf_map_put(map);
						made++;
					}
	print_message("%u maps\n", made);
}

/* One value under one key, all flags; then what is there. */
static void one_update(const struct bpf_map_spec *spec, int fd, struct bpf_map *map, u32 key,
		       u32 where, u64 flags)
{
	u32 value[2] = {where, 0}, theirs[2] = {0}, ours[2] = {0};
	int want = kernel_map_update(fd, &key, value, flags);
	int got = bpf_map_update(map, &key, value, flags);

	if (want != got)
		fail_msg("%s: [%u] = %u, flags %llu: the kernel gives %d, we %d",
			 bpf_map_type_name(spec->map_type), key, where, (unsigned long long)flags,
			 want, got);
	want = kernel_map_lookup(fd, &key, theirs);
	got = bpf_map_lookup(map, &key, ours, 0);
	if (want != got || (!want && memcmp(theirs, ours, spec->value_size)))
		fail_msg("%s: [%u] after = %u: the kernel gives %d %u, we %d %u",
			 bpf_map_type_name(spec->map_type), key, where, want, theirs[0], got,
			 ours[0]);
}

static void one_delete(const struct bpf_map_spec *spec, int fd, struct bpf_map *map, u32 key)
{
	int want = kernel_map_delete(fd, &key), got = bpf_map_delete(map, &key);

	if (want != got)
		fail_msg("%s: delete %u: the kernel gives %d, we %d",
			 bpf_map_type_name(spec->map_type), key, want, got);
}

/* The hash tables' order is their own. */
static void all_keys(const struct bpf_map_spec *spec, int fd, struct bpf_map *map)
{
	u32 theirs = 0, ours = 0, nr[2] = {0};
	bool first = true;

	if (spec->map_type != BPF_MAP_TYPE_DEVMAP_HASH) {
		for (u32 key = 0; key < 5; key++)
			assert_int_equal(kernel_map_next_key(fd, &key, &theirs),
					 bpf_map_next_key(map, &key, &ours));
		assert_int_equal(theirs, ours);
		return;
	}
	while (!kernel_map_next_key(fd, first ? NULL : &theirs, &theirs)) {
		first = false;
		nr[0]++;
	}
	first = true;
	while (!bpf_map_next_key(map, first ? NULL : &ours, &ours)) {
		first = false;
		nr[1]++;
	}
	assert_int_equal(nr[0], nr[1]);
}

static void test_entries(void **state)
{
	static const u32 where[] = {1, 0, NO_SUCH_INTERFACE, 16384, 16385, 1};

	for (u32 t = 0; t < 3; t++)
		for (u32 size = 4; size <= 8; size += 4) {
			const struct bpf_map_spec spec = {types[t], 4, size, 3};
			struct bpf_map *map;
			int fd;

			assert_true(create(&spec, &fd, &map));
			for (u32 w = 0; w < ARRAY_SIZE(where); w++)
				for (u32 key = 0; key < 5; key++)
					for (u64 flags = 0; flags < 5; flags++) {
						/* Whose CPUs there are differs. */
						if (types[t] == BPF_MAP_TYPE_CPUMAP && key > 0 &&
						    key < 3)
							continue;
						one_update(&spec, fd, map, key, where[w], flags);
					}
			all_keys(&spec, fd, map);
			for (u32 key = 0; key < 5; key++)
				one_delete(&spec, fd, map, key);
			all_keys(&spec, fd, map);
			close(fd);
			bpf_map_put(map);
		}
}

/* Sockets are descriptors of whoever asks, and none of ours. */
static void test_sockets(void **state)
{
	const struct bpf_map_spec spec = {BPF_MAP_TYPE_XSKMAP, 4, 4, 3};
	u32 key = 0, value = 0;
	struct bpf_map *map;
	int fd;

	assert_true(create(&spec, &fd, &map));
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_ANY), -EOPNOTSUPP);
	assert_int_equal(kernel_map_lookup(fd, &key, &value), bpf_map_lookup(map, &key, &value, 0));
	for (u32 k = 0; k < 5; k++)
		one_delete(&spec, fd, map, k);
	all_keys(&spec, fd, map);
	close(fd);
	bpf_map_put(map);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definitions),
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_sockets),
	};

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
