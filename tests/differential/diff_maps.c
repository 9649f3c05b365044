/*
 * diff_maps.c - maps held against the running kernel's: the same calls, the same results and errno
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
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

static const char *describe(const struct bpf_map_spec *spec)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s key %u value %u max %u flags %#x",
		 bpf_map_type_name(spec->map_type), spec->key_size, spec->value_size,
		 spec->max_entries, spec->map_flags);
	return text;
}

/* ---- which specifications are taken */

static u32 compare_create(const struct bpf_map_spec *spec)
{
	int fd = kernel_map_create(spec), want = fd < 0 ? ours_of(fd) : 0, got;
	struct bpf_map *map;

	if (fd >= 0)
		close(fd);
	got = bpf_map_create(spec, 0, -1, -1, &map);
	if (!got)
		bpf_map_put(map);
	if (got != want) {
		print_message("%s: kernel %d, ours %d\n", describe(spec), want, got);
		return 1;
	}
	return 0;
}

static const enum bpf_map_type types[] = {
	BPF_MAP_TYPE_HASH,
	BPF_MAP_TYPE_ARRAY,
	BPF_MAP_TYPE_PROG_ARRAY,
	BPF_MAP_TYPE_PERCPU_HASH,
	BPF_MAP_TYPE_PERCPU_ARRAY,
	BPF_MAP_TYPE_LRU_HASH,
	BPF_MAP_TYPE_LRU_PERCPU_HASH,
	BPF_MAP_TYPE_QUEUE,
	BPF_MAP_TYPE_STACK,
};

static void test_create(void **state)
{
	static const u32 key_sizes[] = {0, 1, 4, 8, 511, 512, 513, 1000, 100000};
	static const u32 value_sizes[] = {0, 1, 4, 8, 100, 32768, 32769};
	static const u32 maxes[] = {0, 1, 1000};
	u32 wrong = 0, n = 0;

	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		if (!bpf_map_ops_find(types[t]))
			continue;
		for (u32 k = 0; k < ARRAY_SIZE(key_sizes); k++)
			for (u32 v = 0; v < ARRAY_SIZE(value_sizes); v++)
				for (u32 m = 0; m < ARRAY_SIZE(maxes); m++, n++) {
					struct bpf_map_spec spec = {.map_type = types[t],
								    .key_size = key_sizes[k],
								    .value_size = value_sizes[v],
								    .max_entries = maxes[m]};

					if ((u64)value_sizes[v] * maxes[m] > 1 << 20)
						continue;
					wrong += compare_create(&spec);
				}
		/*
		 * Each flag, each pair of flags; 16 says that a token (a privilege of the kernel's)
		 * is passed.
		 */
		for (u32 a = 0; a <= 19; a++)
			for (u32 b = a; b <= 19; b++, n++) {
				if (a == 16 || b == 16)
					continue;
				bool array = types[t] == BPF_MAP_TYPE_ARRAY ||
					     types[t] == BPF_MAP_TYPE_PERCPU_ARRAY ||
					     types[t] == BPF_MAP_TYPE_PROG_ARRAY;
				bool queue = types[t] == BPF_MAP_TYPE_QUEUE ||
					     types[t] == BPF_MAP_TYPE_STACK;
				struct bpf_map_spec spec = {.map_type = types[t],
							    .key_size = queue ? 0 : 4,
							    .value_size = array ? 4 : 8,
							    .max_entries = 64};

				spec.map_flags = 1u << a | 1u << b;
				wrong += compare_create(&spec);
			}
	}
	/* Sizes near the limits of an allocation. */
	for (int d = -80; d <= 8; d++, n++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_HASH,
					    .key_size = 4,
					    .value_size = (4u << 20) + (u32)d,
					    .max_entries = 1,
					    .map_flags = BPF_F_NO_PREALLOC};

		wrong += compare_create(&spec);
	}
	static const u32 large[] = {0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff};

	for (u32 i = 0; i < ARRAY_SIZE(large); i++, n++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_HASH,
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = large[i],
					    .map_flags = BPF_F_NO_PREALLOC};

		wrong += compare_create(&spec);
		spec.map_type = BPF_MAP_TYPE_ARRAY;
		spec.map_flags = 0;
		spec.value_size = large[i];
		spec.max_entries = 1;
		if (large[i] != 0x7fffffff) /* the kernel may or may not have 2 GiB for us */
			wrong += compare_create(&spec);
	}
	print_message("%u specifications\n", n);
	assert_int_equal(wrong, 0);
}

/* ---- what operations answer */

struct pair {
	int fd;
	struct bpf_map *map;
	u32 value_size; /* as seen from outside */
};

static struct pair pair_new(const struct bpf_map_spec *spec)
{
	struct pair p = {.fd = kernel_map_create(spec)};

	assert_true(p.fd >= 0);
	assert_int_equal(bpf_map_create(spec, 0, -1, -1, &p.map), 0);
	p.value_size = bpf_map_value_size(p.map);
	return p;
}

static void pair_free(struct pair *p)
{
	close(p->fd);
	bpf_map_put(p->map);
}

static int by_bytes(const void *a, const void *b, void *size)
{
	return memcmp(a, b, *(u32 *)size);
}

/* The keys of one side, sorted. The order of a walk is each implementation's own. */
static u32 walk(struct pair *p, bool kernel, char *keys, u32 room)
{
	u32 size = p->map->key_size, n = 0;
	char *prev = NULL;
	int err;

	for (;;) {
		char *next = keys + (size_t)n * size;

		assert_true(n < room);
		err = kernel ? kernel_map_next_key(p->fd, prev, next)
			     : bpf_map_next_key(p->map, prev, next);
		if (err)
			break;
		prev = next;
		n++;
	}
	assert_int_equal(err, -ENOENT);
	qsort_r(keys, n, size, by_bytes, &size);
	return n;
}

static void compare_walks(struct pair *p)
{
	u32 room = p->map->max_entries + 1, n;
	char *a = malloc((size_t)room * p->map->key_size);
	char *b = malloc((size_t)room * p->map->key_size);

	n = walk(p, true, a, room);
	assert_int_equal(walk(p, false, b, room), n);
	assert_memory_equal(a, b, (size_t)n * p->map->key_size);
	free(a);
	free(b);
}

static void random_ops(const struct bpf_map_spec *spec, u32 key_range, u32 steps)
{
	struct rnd r = {.state = spec->key_size * 31 + spec->map_type};
	struct pair p = pair_new(spec);
	char key[1024], *value = malloc(p.value_size), *a = malloc(p.value_size),
			*b = malloc(p.value_size);

	for (u32 step = 0; step < steps; step++) {
		u32 n = rnd_below(&r, key_range), op = rnd_below(&r, 100);
		int want, got;

		memset(key, 0, sizeof(key));
		memcpy(key, &n, min(spec->key_size, 4u));
		if (op < (step / 300 % 2 ? 60u : 30u)) {
			u64 flags = rnd_below(&r, 100) < 90 ? rnd_below(&r, 3) : rnd_below(&r, 20);

			for (u32 i = 0; i < p.value_size; i++)
				value[i] = (char)rnd_next(&r);
			want = kernel_map_update(p.fd, key, value, flags);
			got = bpf_map_update(p.map, key, value, flags);
		} else if (op < 70) {
			want = kernel_map_delete(p.fd, key);
			got = bpf_map_delete(p.map, key);
		} else {
			memset(a, 0, p.value_size);
			memset(b, 0, p.value_size);
			want = kernel_map_lookup(p.fd, key, a);
			got = bpf_map_lookup(p.map, key, b, 0);
			if (!want && !got) {
				u32 step8 = round_up(spec->value_size, 8);

				/* The room between per-CPU values is nobody's. */
				for (u32 at = 0; at < p.value_size; at += step8)
					assert_memory_equal(a + at, b + at, spec->value_size);
			}
		}
		if (ours_of(want) != got)
			fail_msg("%s: step %u op %u key %u: kernel %d, ours %d", describe(spec),
				 step, op, n, want, got);
		if (step % 499 == 0)
			compare_walks(&p);
	}
	compare_walks(&p);
	free(value);
	free(a);
	free(b);
	pair_free(&p);
}

static void test_hash(void **state)
{
	static const u32 key_sizes[] = {1, 3, 4, 8, 13, 16, 64, 512};

	for (u32 i = 0; i < ARRAY_SIZE(key_sizes); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_HASH,
					    .key_size = key_sizes[i],
					    .value_size = 5 + i * 20,
					    .max_entries = 64};

		random_ops(&spec, 90, 6000);
		spec.map_flags = BPF_F_NO_PREALLOC;
		random_ops(&spec, 90, 3000);
	}
}

static void test_arrays(void **state)
{
	static const u32 value_sizes[] = {1, 4, 8, 100};

	for (u32 i = 0; i < ARRAY_SIZE(value_sizes); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
					    .key_size = 4,
					    .value_size = value_sizes[i],
					    .max_entries = 20};

		random_ops(&spec, 24, 4000);
		spec.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
		random_ops(&spec, 24, 4000);
	}
}

static void test_percpu_hash(void **state)
{
	static const u32 value_sizes[] = {1, 4, 8, 100};

	if (!bpf_map_ops_find(BPF_MAP_TYPE_PERCPU_HASH)) {
		print_message("no percpu_hash in this build\n");
		skip();
	}
	for (u32 i = 0; i < ARRAY_SIZE(value_sizes); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PERCPU_HASH,
					    .key_size = 4 + i,
					    .value_size = value_sizes[i],
					    .max_entries = 64};

		random_ops(&spec, 90, 6000);
	}
}

/* Below their capacity LRU maps are hash maps. */
static void test_lru_not_full(void **state)
{
	if (!bpf_map_ops_find(BPF_MAP_TYPE_LRU_HASH)) {
		print_message("no lru_hash in this build\n");
		skip();
	}
	for (u32 flags = 0; flags <= BPF_F_NO_COMMON_LRU; flags += BPF_F_NO_COMMON_LRU)
		for (u32 type = BPF_MAP_TYPE_LRU_HASH; type <= BPF_MAP_TYPE_LRU_PERCPU_HASH;
		     type++) {
			struct bpf_map_spec spec = {.map_type = (enum bpf_map_type)type,
						    .key_size = 4,
						    .value_size = 12,
						    .max_entries = 4000,
						    .map_flags = flags};

			random_ops(&spec, 300, 6000);
		}
}

static void compare_access(const struct bpf_map_spec *spec)
{
	struct pair p = pair_new(spec);
	u32 key = 1, next;
	u64 value = 2;

	assert_int_equal(bpf_map_update(p.map, &key, &value, 0),
			 kernel_map_update(p.fd, &key, &value, 0));
	assert_int_equal(bpf_map_lookup(p.map, &key, &value, 0),
			 kernel_map_lookup(p.fd, &key, &value));
	assert_int_equal(bpf_map_next_key(p.map, NULL, &next),
			 kernel_map_next_key(p.fd, NULL, &next));
	assert_int_equal(bpf_map_delete(p.map, &key), kernel_map_delete(p.fd, &key));
	assert_int_equal(bpf_map_freeze(p.map), kernel_map_freeze(p.fd));
	pair_free(&p);
}

static void test_access(void **state)
{
	static const u32 flags[] = {BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_RDONLY_PROG,
				    BPF_F_WRONLY_PROG};

	for (u32 t = 0; t < 2; t++)
		for (u32 i = 0; i < ARRAY_SIZE(flags); i++) {
			struct bpf_map_spec spec = {.map_type = types[t],
						    .key_size = 4,
						    .value_size = 8,
						    .max_entries = 8,
						    .map_flags = flags[i]};

			compare_access(&spec);
		}
}

static void test_frozen(void **state)
{
	struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 8};
	struct pair p = pair_new(&spec);
	u32 key = 1;
	u64 value = 2;

	assert_int_equal(bpf_map_freeze(p.map), kernel_map_freeze(p.fd));
	assert_int_equal(bpf_map_freeze(p.map), kernel_map_freeze(p.fd));
	assert_int_equal(bpf_map_update(p.map, &key, &value, 0),
			 kernel_map_update(p.fd, &key, &value, 0));
	assert_int_equal(bpf_map_delete(p.map, &key), kernel_map_delete(p.fd, &key));
	assert_int_equal(bpf_map_lookup(p.map, &key, &value, 0),
			 kernel_map_lookup(p.fd, &key, &value));
	pair_free(&p);
}

/* ---- prog arrays: the same programs on both sides */

static void test_prog_array(void **state)
{
	static const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = 6};
	enum bpf_prog_type prog_types[] = {BPF_PROG_TYPE_SOCKET_FILTER, BPF_PROG_TYPE_XDP,
					   BPF_PROG_TYPE_SOCKET_FILTER};
	struct bpf_prog *prog[3];
	struct rnd r = {.state = 77};
	struct pair p = pair_new(&spec);
	u32 rejected = 0, prog_fd[3];

	for (u32 i = 0; i < 3; i++) {
		struct bpf_prog_load_attr attr = {.prog_type = prog_types[i],
						  .name = "p",
						  .license = "GPL",
						  .insns = insns,
						  .insn_cnt = 2};
		int fd = kernel_prog_load(&attr, NULL, 0, NULL, 0);

		assert_true(fd >= 0);
		prog_fd[i] = (u32)fd;
		prog[i] = bpf_prog_alloc(&attr);
		assert_int_equal(bpf_prog_publish(prog[i]), 0);
	}
	for (u32 step = 0; step < 3000; step++) {
		u32 key = rnd_below(&r, 8), pick = rnd_below(&r, 3), a = 0, b = 0;
		u64 flags = rnd_below(&r, 10) ? 0 : rnd_below(&r, 4);
		int want, got;

		switch (rnd_below(&r, 3)) {
		case 0:
			want = kernel_map_update(p.fd, &key, &prog_fd[pick], flags);
			got = bpf_map_update_slot(p.map, &key, prog[pick], flags);
			rejected += want == -EINVAL && !flags;
			break;
		case 1:
			want = kernel_map_delete(p.fd, &key);
			got = bpf_map_delete(p.map, &key);
			break;
		default:
			want = kernel_map_lookup(p.fd, &key, &a);
			got = bpf_map_lookup(p.map, &key, &b, 0);
		}
		if (want != got)
			fail_msg("step %u key %u: kernel %d, ours %d", step, key, want, got);
	}
	assert_true(rejected > 0);
	for (u32 i = 0; i < 3; i++) {
		close((int)prog_fd[i]);
		bpf_prog_put(prog[i]);
	}
	pair_free(&p);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test(test_create),	     cmocka_unit_test(test_hash),
		cmocka_unit_test(test_arrays),	     cmocka_unit_test(test_percpu_hash),
		cmocka_unit_test(test_lru_not_full), cmocka_unit_test(test_access),
		cmocka_unit_test(test_frozen),	     cmocka_unit_test(test_prog_array),
	};

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
