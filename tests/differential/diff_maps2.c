/*
 * diff_maps2.c - queues, tries, filters, maps of maps, rings: the same calls to ours and to the
 * kernel's
 *
 * diff_maps.c does the tables. The keyless kinds take other commands, and a map of maps needs a
 * template on either side.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/kernel.h"
#include "tests/lib/map_model.h"

/* ENOTSUPP is not an errno that leaves a FUSE filesystem. */
static int ours_of(int kernel_errno)
{
	return kernel_errno == -524 ? -EOPNOTSUPP : kernel_errno;
}

static int k_create(const struct bpf_map_spec *spec, int inner_fd)
{
	union bpf_attr attr = {.map_type = spec->map_type,
			       .key_size = spec->key_size,
			       .value_size = spec->value_size,
			       .max_entries = spec->max_entries,
			       .map_flags = spec->map_flags};

	attr.map_extra = spec->map_extra;
	attr.inner_map_fd = (u32)inner_fd;
	return kernel_bpf(BPF_MAP_CREATE, &attr);
}

static int k_elem(int cmd, int fd, const void *key, void *value, u64 flags)
{
	union bpf_attr attr = {.map_fd = (u32)fd};

	attr.key = (uintptr_t)key;
	attr.value = (uintptr_t)value;
	attr.flags = flags;
	return kernel_bpf(cmd, &attr);
}

static const char *describe(const struct bpf_map_spec *spec)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s key %u value %u max %u flags %#x extra %#llx",
		 bpf_map_type_name(spec->map_type), spec->key_size, spec->value_size,
		 spec->max_entries, spec->map_flags, (unsigned long long)spec->map_extra);
	return text;
}

/* ---- which specifications are taken */

static u32 compare_create(const struct bpf_map_spec *spec, int inner_fd)
{
	int fd = k_create(spec, inner_fd), want = fd < 0 ? ours_of(fd) : 0, got;
	struct bpf_map *map;

	if (fd >= 0)
		close(fd);
	got = bpf_map_create(spec, 0, -1, -1, &map);
	if (!got)
		bpf_map_put(map);
	if (got == want)
		return 0;
	print_message("%s: kernel %d, ours %d\n", describe(spec), want, got);
	return 1;
}

static const struct {
	enum bpf_map_type type;
	u32 key_size, value_size, max_entries, flags;
} good[] = {
	{BPF_MAP_TYPE_QUEUE, 0, 8, 64, 0},
	{BPF_MAP_TYPE_STACK, 0, 8, 64, 0},
	{BPF_MAP_TYPE_LPM_TRIE, 8, 8, 64, BPF_F_NO_PREALLOC},
	{BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 64, 0},
	{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, 0},
	{BPF_MAP_TYPE_PERF_EVENT_ARRAY, 4, 4, 64, 0},
	{BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 64, 0},
	{BPF_MAP_TYPE_HASH_OF_MAPS, 4, 4, 64, 0},
};

static void test_create(void **state)
{
	static const u32 key_sizes[] = {0, 1, 4, 5, 8, 260, 261, 512};
	static const u32 value_sizes[] = {0, 1, 4, 8, 32768};
	static const u32 maxes[] = {0, 1, 1000, 4095, 4096, 8192, 12288, 65536};
	struct bpf_map_spec inner_spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	int inner_fd = kernel_map_create(&inner_spec);
	u32 wrong = 0, n = 0;
	struct bpf_map *inner;

	assert_int_equal(bpf_map_create(&inner_spec, 0, -1, -1, &inner), 0);
	for (u32 t = 0; t < ARRAY_SIZE(good); t++) {
		struct bpf_map_spec spec = {.map_type = good[t].type};
		bool outer = spec.map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
			     spec.map_type == BPF_MAP_TYPE_HASH_OF_MAPS;

		if (!bpf_map_ops_find(spec.map_type)) {
			print_message("no %s in this build\n", bpf_map_type_name(spec.map_type));
			continue;
		}
		spec.inner_map_id = outer ? inner->id : 0;
		for (u32 k = 0; k < ARRAY_SIZE(key_sizes); k++)
			for (u32 v = 0; v < ARRAY_SIZE(value_sizes); v++)
				for (u32 m = 0; m < ARRAY_SIZE(maxes); m++, n++) {
					spec.key_size = key_sizes[k];
					spec.value_size = value_sizes[v];
					spec.max_entries = maxes[m];
					spec.map_flags = good[t].flags;
					if ((u64)spec.value_size * spec.max_entries > 1 << 20)
						continue;
					wrong += compare_create(&spec, outer ? inner_fd : 0);
				}
		spec.key_size = good[t].key_size;
		spec.value_size = good[t].value_size;
		spec.max_entries = good[t].max_entries;
		/* Each flag, each pair of flags. */
		for (u32 a = 0; a <= 19; a++)
			for (u32 b = a; b <= 19; b++, n++) {
				spec.map_flags = good[t].flags | 1u << a | 1u << b;
				wrong += compare_create(&spec, outer ? inner_fd : 0);
			}
		spec.map_flags = good[t].flags;
		for (u32 bit = 0; bit < 10; bit++, n++) {
			spec.map_extra = 1ull << bit;
			wrong += compare_create(&spec, outer ? inner_fd : 0);
		}
	}
	close(inner_fd);
	bpf_map_put(inner);
	print_message("%u specifications\n", n);
	assert_int_equal(wrong, 0);
}

/* ---- queues and stacks */

static void queue_ops(enum bpf_map_type type, u32 value_size)
{
	struct bpf_map_spec spec = {.map_type = type, .value_size = value_size, .max_entries = 9};
	struct rnd r = {.state = type * 64 + value_size};
	char a[128], b[128];
	struct bpf_map *map;
	int fd = k_create(&spec, 0), want, got;
	u32 key = 0;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	for (u32 step = 0; step < 6000; step++) {
		u32 op = rnd_below(&r, 100);
		u64 flags = rnd_below(&r, 5) ? 0 : rnd_below(&r, 9);

		for (u32 i = 0; i < value_size; i++)
			a[i] = b[i] = (char)rnd_next(&r);
		if (op < (step / 300 % 2 ? 60u : 30u)) {
			want = k_elem(BPF_MAP_UPDATE_ELEM, fd, NULL, a, flags);
			got = bpf_map_update(map, NULL, b, flags);
		} else if (op < 80) {
			want = k_elem(BPF_MAP_LOOKUP_AND_DELETE_ELEM, fd, NULL, a, flags);
			got = bpf_map_pop(map, b, flags);
		} else if (op < 96) {
			want = k_elem(BPF_MAP_LOOKUP_ELEM, fd, NULL, a, flags);
			got = bpf_map_lookup(map, NULL, b, flags);
		} else if (op < 98) {
			want = k_elem(BPF_MAP_DELETE_ELEM, fd, NULL, NULL, 0);
			got = bpf_map_delete(map, NULL);
		} else {
			want = k_elem(BPF_MAP_GET_NEXT_KEY, fd, NULL, &key, 0);
			got = bpf_map_next_key(map, NULL, &key);
		}
		if (ours_of(want) != got)
			fail_msg("%s step %u op %u flags %llu: kernel %d, ours %d", describe(&spec),
				 step, op, (unsigned long long)flags, want, got);
		if (!want)
			assert_memory_equal(a, b, value_size);
	}
	close(fd);
	bpf_map_put(map);
}

static void test_queue_stack(void **state)
{
	static const u32 value_sizes[] = {1, 4, 8, 13, 100};

	for (u32 i = 0; i < ARRAY_SIZE(value_sizes); i++) {
		queue_ops(BPF_MAP_TYPE_QUEUE, value_sizes[i]);
		queue_ops(BPF_MAP_TYPE_STACK, value_sizes[i]);
	}
}

/* ---- tries */

static u32 trie_walk(int fd, struct bpf_map *map, char *keys, u32 room)
{
	u32 size = map->key_size, n = 0;
	char *prev = NULL, *next;
	int err;

	for (next = keys;; prev = next, next += size, n++) {
		assert_true(n < room);
		err = fd >= 0 ? kernel_map_next_key(fd, prev, next)
			      : bpf_map_next_key(map, prev, next);
		if (err)
			break;
	}
	assert_int_equal(err, -ENOENT);
	return n;
}

static int by_bytes(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(u32 *)size);
}

static void trie_compare(int fd, struct bpf_map *map)
{
	static char a[70 * 300], b[70 * 300];
	u32 size = map->key_size, n = trie_walk(fd, map, a, 70);

	assert_int_equal(trie_walk(-1, map, b, 70), n);
	qsort_r(a, n, size, by_bytes, &size);
	qsort_r(b, n, size, by_bytes, &size);
	assert_memory_equal(a, b, (size_t)n * size);
}

static void trie_ops(u32 data_size)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_LPM_TRIE,
				    .key_size = 4 + data_size,
				    .value_size = 12,
				    .max_entries = 64,
				    .map_flags = BPF_F_NO_PREALLOC};
	struct rnd r = {.state = data_size + 3};
	struct {
		u32 prefixlen;
		u8 data[256];
	} key;
	struct bpf_map *map;
	char a[12], b[12];
	int fd = k_create(&spec, 0), want, got;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	for (u32 step = 0; step < 8000; step++) {
		u32 op = rnd_below(&r, 100), kind = rnd_below(&r, 3);
		u64 flags = rnd_below(&r, 5) ? 0 : rnd_below(&r, 4);

		memset(&key, 0, sizeof(key));
		for (u32 i = 0; kind && i < 2; i++)
			key.data[rnd_below(&r, data_size)] = (u8)(1u << rnd_below(&r, 8));
		for (u32 i = 0; !kind && i < data_size; i++)
			key.data[i] = (u8)rnd_next(&r);
		key.prefixlen = rnd_below(&r, kind == 1 ? 9 : data_size * 8 + 3);
		for (u32 i = 0; i < 12; i++)
			a[i] = b[i] = (char)rnd_next(&r);
		if (op < (step / 500 % 2 ? 70u : 40u)) {
			want = kernel_map_update(fd, &key, a, flags);
			got = bpf_map_update(map, &key, b, flags);
		} else if (op < 80) {
			want = kernel_map_delete(fd, &key);
			got = bpf_map_delete(map, &key);
		} else {
			want = kernel_map_lookup(fd, &key, a);
			got = bpf_map_lookup(map, &key, b, 0);
		}
		if (ours_of(want) != got)
			fail_msg("%s step %u op %u prefixlen %u: kernel %d, ours %d",
				 describe(&spec), step, op, key.prefixlen, want, got);
		if (!want)
			assert_memory_equal(a, b, 12);
		if (step % 397 == 0)
			trie_compare(fd, map);
	}
	close(fd);
	bpf_map_put(map);
}

static void test_lpm_trie(void **state)
{
	static const u32 sizes[] = {1, 3, 4, 8, 16, 256};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		trie_ops(sizes[i]);
}

/* ---- maps of maps: which templates, which maps fit, what operations answer */

static const struct bpf_map_spec inner_specs[] = {
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .max_entries = 4,
	 .map_flags = BPF_F_INNER_MAP},
	{.map_type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .max_entries = 9,
	 .map_flags = BPF_F_INNER_MAP},
	{.map_type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 8,
	 .max_entries = 4,
	 .map_flags = BPF_F_RDONLY_PROG},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 5, .value_size = 8, .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .max_entries = 5,
	 .map_flags = BPF_F_NO_PREALLOC},
	{.map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_PERCPU_HASH, .key_size = 4, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_LRU_HASH, .key_size = 4, .value_size = 8, .max_entries = 400},
	{.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	 .key_size = 4,
	 .value_size = 4,
	 .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	 .key_size = 4,
	 .value_size = 4,
	 .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_LPM_TRIE,
	 .key_size = 8,
	 .value_size = 8,
	 .max_entries = 4,
	 .map_flags = BPF_F_NO_PREALLOC},
	{.map_type = BPF_MAP_TYPE_QUEUE, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_STACK, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_STACK, .value_size = 8, .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8, .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8, .max_entries = 900},
	{.map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8, .max_entries = 4, .map_extra = 3},
	{.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096},
	{.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 8192},
	{.map_type = BPF_MAP_TYPE_STACK_TRACE, .key_size = 4, .value_size = 16, .max_entries = 4},
};

#define INNERS ARRAY_SIZE(inner_specs)

/*
 * Linux takes an index for good in a per-CPU array that may be smaller than its template: we do
 * not.
 */
static bool stricter(const struct bpf_map_spec *template, const struct bpf_map_spec *map, int k_err,
		     int err)
{
	return template->map_type == BPF_MAP_TYPE_PERCPU_ARRAY &&
	       map->map_type == BPF_MAP_TYPE_PERCPU_ARRAY &&
	       template->max_entries != map->max_entries && !k_err && err == -EINVAL;
}

static u32 compare_templates(enum bpf_map_type type, const int *fds, struct bpf_map *const *maps)
{
	struct bpf_map_spec spec = {
		.map_type = type, .key_size = 4, .value_size = 4, .max_entries = 4};
	u32 wrong = 0;

	for (u32 i = 0; i < INNERS; i++) {
		struct bpf_map *outer;
		int fd, want, got;
		u32 key = 1;

		if (!maps[i])
			continue;
		spec.inner_map_id = maps[i]->id;
		fd = k_create(&spec, fds[i]);
		want = ours_of(min(fd, 0));
		got = bpf_map_create(&spec, 0, -1, -1, &outer);
		if (got != want) {
			print_message("template %s: kernel %d, ours %d\n",
				      describe(&inner_specs[i]), want, got);
			wrong++;
		}
		for (u32 j = 0; !want && !got && j < INNERS; j++) {
			int k_err, err;

			if (!maps[j])
				continue;
			k_err = kernel_map_update(fd, &key, &fds[j], 0);
			err = bpf_map_update_slot(outer, &key, maps[j], 0);
			if (k_err == err || stricter(&inner_specs[i], &inner_specs[j], k_err, err))
				continue;
			print_message("in a %s of ", bpf_map_type_name(type));
			print_message("%s: ", describe(&inner_specs[i]));
			print_message("%s: kernel %d, ours %d\n", describe(&inner_specs[j]), k_err,
				      err);
			wrong++;
		}
		if (fd >= 0)
			close(fd);
		if (!got)
			bpf_map_put(outer);
	}
	return wrong;
}

static void outer_ops(enum bpf_map_type type, const int *fds, struct bpf_map *const *maps)
{
	struct bpf_map_spec spec = {.map_type = type,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = 6,
				    .inner_map_id = maps[3]->id};
	int fd = k_create(&spec, fds[3]), want, got;
	struct rnd r = {.state = type};
	struct bpf_map *outer;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &outer), 0);
	for (u32 step = 0; step < 4000; step++) {
		u32 key = rnd_below(&r, 9), pick = rnd_below(&r, 5), a = 0, b = 0, op;
		u64 flags = rnd_below(&r, 3) ? 0 : rnd_below(&r, 4);

		op = rnd_below(&r, 4);
		if (op == 0) {
			want = kernel_map_update(fd, &key, &fds[pick], flags);
			got = bpf_map_update_slot(outer, &key, maps[pick], flags);
		} else if (op == 1) {
			want = kernel_map_delete(fd, &key);
			got = bpf_map_delete(outer, &key);
		} else if (op == 2) {
			want = kernel_map_lookup(fd, &key, &a);
			got = bpf_map_lookup(outer, &key, &b, 0);
		} else {
			/* A hash's order is its own. */
			u32 *k = type == BPF_MAP_TYPE_HASH_OF_MAPS ? NULL : &key;

			want = kernel_map_next_key(fd, k, &a);
			got = bpf_map_next_key(outer, k, &b);
		}
		if (ours_of(want) != got)
			fail_msg("%s step %u op %u key %u flags %llu: kernel %d, ours %d",
				 describe(&spec), step, op, key, (unsigned long long)flags, want,
				 got);
	}
	close(fd);
	bpf_map_put(outer);
}

static void test_maps_of_maps(void **state)
{
	struct bpf_map *maps[INNERS];
	int fds[INNERS];
	u32 wrong;

	for (u32 i = 0; i < INNERS; i++) {
		fds[i] = k_create(&inner_specs[i], 0);
		assert_true(fds[i] >= 0);
		if (bpf_map_create(&inner_specs[i], 0, -1, -1, &maps[i]))
			maps[i] = NULL; /* a type that this build lacks */
	}
	wrong = compare_templates(BPF_MAP_TYPE_ARRAY_OF_MAPS, fds, maps);
	wrong += compare_templates(BPF_MAP_TYPE_HASH_OF_MAPS, fds, maps);
	outer_ops(BPF_MAP_TYPE_ARRAY_OF_MAPS, fds, maps);
	outer_ops(BPF_MAP_TYPE_HASH_OF_MAPS, fds, maps);
	for (u32 i = 0; i < INNERS; i++) {
		close(fds[i]);
		if (maps[i])
			bpf_map_put(maps[i]);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_queue_stack),
		cmocka_unit_test(test_lpm_trie),
		cmocka_unit_test(test_maps_of_maps),
	};

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
