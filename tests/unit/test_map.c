/*
 * test_map.c - map/map.c: what may be created, who may do what, lives and ids
 */
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"

static struct bpf_map_spec spec_of(enum bpf_map_type type, u32 key_size, u32 value_size, u32 max,
				   u32 flags)
{
	return (struct bpf_map_spec){.map_type = type,
				     .key_size = key_size,
				     .value_size = value_size,
				     .max_entries = max,
				     .map_flags = flags,
				     .name = "m"};
}

static int try(enum bpf_map_type type, u32 key_size, u32 value_size, u32 max, u32 flags)
{
	struct bpf_map_spec spec = spec_of(type, key_size, value_size, max, flags);
	struct bpf_map *map;
	int err = bpf_map_create(&spec, 0, -1, -1, &map);

	if (!err)
		bpf_map_put(map);
	return err;
}

static struct bpf_map *make(enum bpf_map_type type, u32 flags)
{
	struct bpf_map_spec spec = spec_of(type, 4, 8, 10, flags);
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

static void all_gone(void)
{
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static void test_names(void **state)
{
	for (int type = 1; type <= BPF_MAP_TYPE_BLOOM_FILTER; type++) {
		const char *name = bpf_map_type_name((enum bpf_map_type)type);

		assert_non_null(name);
		assert_int_equal(bpf_map_type_by_name(name), type);
		if (bpf_map_ops_find((enum bpf_map_type)type))
			assert_string_equal(bpf_map_ops_find((enum bpf_map_type)type)->name, name);
	}
	assert_null(bpf_map_type_name(BPF_MAP_TYPE_UNSPEC));
	assert_null(bpf_map_type_name((enum bpf_map_type)1000));
	assert_int_equal(bpf_map_type_by_name("nonsense"), -ENOENT);
	assert_int_equal(bpf_map_type_by_name(""), -ENOENT);
}

/* bpf_map_spec_check() agrees with what is then made, and says by which rule it is refused. */
static void test_refused_by_which_rule(void **state)
{
	static const struct {
		struct bpf_map_spec spec;
		int err;
		const char *rule;
	} rows[] = {
		{{BPF_MAP_TYPE_HASH, 4, 8, 10, 0}, 0, NULL},
		{{4000, 4, 8, 10, 0}, -EINVAL, "no such map type"},
		{{BPF_MAP_TYPE_SK_STORAGE, 4, 8, 10, 0}, -EOPNOTSUPP, "lacks"},
		{{BPF_MAP_TYPE_HASH, 0, 8, 10, 0}, -EINVAL, "key_size must not be 0"},
		{{BPF_MAP_TYPE_HASH, 4, 0, 10, 0}, -EINVAL, "value_size must not be 0"},
		{{BPF_MAP_TYPE_HASH, 4, 8, 0, 0}, -EINVAL, "max_entries must not be 0"},
		{{BPF_MAP_TYPE_HASH, 4, 8, 10, 1u << 31}, -EINVAL, "map_flags are not"},
		{{BPF_MAP_TYPE_HASH, 4, 1u << 22, 10, 0}, -E2BIG, "less than 4 MiB"},
		{{BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_RDONLY | BPF_F_WRONLY}, -EINVAL, "together"},
		{{BPF_MAP_TYPE_LRU_HASH, 4, 8, 10, BPF_F_NO_PREALLOC}, -EOPNOTSUPP, "evicts"},
		{{BPF_MAP_TYPE_ARRAY, 8, 8, 10, 0}, -EINVAL, "key_size is 4"},
		{{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 32769, 10, 0}, -E2BIG, "32768"},
		{{BPF_MAP_TYPE_QUEUE, 4, 8, 10, 0}, -EINVAL, "no keys"},
		{{BPF_MAP_TYPE_STACK_TRACE, 4, 1024, 10, 0}, -EINVAL, "1 to 127 addresses"},
		{{BPF_MAP_TYPE_RINGBUF, 0, 0, 4097, 0}, -EINVAL, "power of two"},
		{{BPF_MAP_TYPE_LPM_TRIE, 8, 8, 10, 0}, -EINVAL, "BPF_F_NO_PREALLOC"},
		{{BPF_MAP_TYPE_LPM_TRIE, 4, 8, 10, BPF_F_NO_PREALLOC}, -EINVAL, "1 to 256"},
		{{BPF_MAP_TYPE_CGROUP_STORAGE, 4, 8, 0, 0}, -EINVAL, "8 or 16"},
		{{BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 1, 0}, -EINVAL, "max_entries is 0"},
		{{BPF_MAP_TYPE_DEVMAP, 4, 5, 10, 0}, -EINVAL, "4 or 8"},
		{{BPF_MAP_TYPE_ARRAY, 4, 1u << 30, UINT32_MAX, 0}, -ENOMEM, "larger than a map"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct bpf_map_spec *spec = &rows[i].spec;
		const char *rule = NULL;

		assert_int_equal(bpf_map_spec_check(spec, &rule), rows[i].err);
		assert_int_equal(try(spec->map_type, spec->key_size, spec->value_size,
				     spec->max_entries, spec->map_flags),
				 rows[i].err);
		if (rows[i].err)
			assert_non_null(strstr(rule, rows[i].rule));
	}
}

static void test_what_is_refused(void **state)
{
	assert_int_equal(try(BPF_MAP_TYPE_UNSPEC, 4, 8, 10, 0), -EINVAL);
	assert_int_equal(try((enum bpf_map_type)4000, 4, 8, 10, 0), -EINVAL);
	assert_int_equal(try(BPF_MAP_TYPE_SK_STORAGE, 4, 8, 10, 0), -EOPNOTSUPP);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_RDONLY | BPF_F_WRONLY), -EINVAL);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG),
			 -EINVAL);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, 8, 10, 1u << 31), -EINVAL);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_NO_PREALLOC), 0);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, 8, UINT_MAX, 0), -E2BIG);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, UINT_MAX, 1, 0), -E2BIG);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, UINT_MAX, 8, 1, 0), -E2BIG);
	assert_int_equal(try(BPF_MAP_TYPE_ARRAY, 4, INT_MAX - 7, UINT_MAX, 0), -ENOMEM);
	assert_int_equal(try(BPF_MAP_TYPE_ARRAY, 4, UINT_MAX, 1, 0), -E2BIG);
	/* Address space that there is, and memory that there need not be. */
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 64, 64, 100 * 1000 * 1000, 0), 0);
	assert_int_equal(try(BPF_MAP_TYPE_ARRAY, 4, 1000, 100 * 1000 * 1000, 0), 0);

	struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, 10, 0);
	struct bpf_map *map;

	spec.map_extra = 1;
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), -EINVAL);
	spec.map_extra = 0;
	strcpy(spec.name, "a b");
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), -EINVAL);
	memset(spec.name, 'a', sizeof(spec.name));
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), -EINVAL);
	strcpy(spec.name, "x.rodata_1");
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	assert_string_equal(map->name, "x.rodata_1");
	bpf_map_put(map);
	all_gone();
}

static void test_access_flags(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_HASH, BPF_F_RDONLY);
	u32 key = 1, next;
	u64 value = 2;

	assert_int_equal(bpf_map_update(map, &key, &value, 0), -EPERM);
	assert_int_equal(bpf_map_delete(map, &key), -EPERM);
	assert_int_equal(bpf_map_lookup(map, &key, &value, 0), -ENOENT);
	assert_int_equal(bpf_map_freeze(map), -EPERM);
	bpf_map_put(map);

	map = make(BPF_MAP_TYPE_ARRAY, BPF_F_WRONLY);
	struct bpf_map_iter it;

	assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	assert_int_equal(bpf_map_lookup(map, &key, &value, 0), -EPERM);
	assert_int_equal(bpf_map_next_key(map, NULL, &next), -EPERM);
	bpf_map_iter_init(&it, map, false);
	assert_int_equal(bpf_map_iter_next(&it, &key, &value), -EPERM);
	bpf_map_iter_end(&it);
	bpf_map_put(map);

	map = make(BPF_MAP_TYPE_ARRAY, BPF_F_RDONLY_PROG); /* outside it is writable */
	assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	bpf_map_put(map);
	all_gone();
}

/* Whatever the type: as a lookup, and nothing is copied (a value's worth of room is not there). */
static void test_contains(void **state)
{
	static const enum bpf_map_type types[] = {
		BPF_MAP_TYPE_HASH,     BPF_MAP_TYPE_PERCPU_HASH,
		BPF_MAP_TYPE_LRU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH,
		BPF_MAP_TYPE_ARRAY,    BPF_MAP_TYPE_PERCPU_ARRAY,
		BPF_MAP_TYPE_LPM_TRIE};
	u32 there[2] = {3, 3}, absent[2] = {32, 77};

	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		bool trie = types[i] == BPF_MAP_TYPE_LPM_TRIE;
		struct bpf_map_spec spec =
			spec_of(types[i], trie ? 8 : 4, 8, 10, trie ? BPF_F_NO_PREALLOC : 0);
		struct bpf_map *map;
		void *value;

		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
		value = calloc(1, bpf_map_value_size(map));
		assert_int_equal(bpf_map_update(map, there, value, BPF_ANY), 0);
		free(value);
		assert_int_equal(bpf_map_contains(map, there), 0);
		assert_int_equal(bpf_map_contains(map, absent), -ENOENT);
		bpf_map_put(map);
	}
	for (u32 wronly = 0; wronly <= BPF_F_WRONLY; wronly += BPF_F_WRONLY) {
		struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_QUEUE, 0, 8, 10, 0);
		struct bpf_map *map;

		if (wronly)
			spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, 10, BPF_F_WRONLY);
		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
		assert_int_equal(bpf_map_contains(map, there), wronly ? -EPERM : -EOPNOTSUPP);
		bpf_map_put(map);
	}
	all_gone();
}

static void test_freeze(void **state)
{
	int index = memfd_create("i", 0), values = memfd_create("v", 0);
	struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_ARRAY, 4, 8, 10, 0);
	struct bpf_map *map;
	u32 key = 1;
	u64 value = 2;

	assert_int_equal(bpf_map_create(&spec, 0, index, values, &map), 0);
	assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	assert_int_equal(bpf_map_freeze(map), 0);
	assert_int_equal(bpf_map_freeze(map), -EPERM);
	assert_int_equal(bpf_map_update(map, &key, &value, 0), -EPERM);
	assert_int_equal(bpf_map_delete(map, &key), -EPERM);
	assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
	bpf_run_enter(); /* programs are not outside */
	assert_int_equal(map->ops->map_update_elem(map, &key, &value, 0), 0);
	bpf_run_exit();
	bpf_map_put(map);
	all_gone();
	assert_int_equal(bpf_map_open(index, values, &map), 0);
	assert_true(map->frozen);
	assert_int_equal(bpf_map_update(map, &key, &value, 0), -EPERM);
	bpf_map_put(map);
	all_gone();
	close(index);
	close(values);
}

#define BIG (1u << 20)

static u32 rewrites;

static void *rewrite(void *arg)
{
	static u8 value[BIG];
	u32 key = 0;
	long err;

	do {
		memset(value, value[0] + 1, BIG);
		err = bpf_map_update(arg, &key, value, BPF_ANY);
		__atomic_add_fetch(&rewrites, 1, __ATOMIC_RELAXED);
	} while (!err);
	return (void *)err;
}

/* What the verifier takes for a constant when the freeze has returned is not written later. */
static void test_freeze_overtakes_no_update(void **state)
{
	struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_ARRAY, 4, BIG, 1, BPF_F_RDONLY_PROG);
	u8 *seen = malloc(BIG);
	struct bpf_map *map;
	pthread_t thread;
	void *ret;
	u64 addr;

	assert_non_null(seen);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
		assert_int_equal(map->ops->map_direct_value_addr(map, &addr, 0), 0);
		__atomic_store_n(&rewrites, 0, __ATOMIC_RELAXED);
		assert_int_equal(pthread_create(&thread, NULL, rewrite, map), 0);
		while (__atomic_load_n(&rewrites, __ATOMIC_RELAXED) < 8)
			sched_yield();
		assert_int_equal(bpf_map_freeze(map), 0);
		memcpy(seen, (void *)(uintptr_t)addr, BIG);
		pthread_join(thread, &ret);
		assert_int_equal((long)ret, -EPERM);
		assert_memory_equal(seen, (void *)(uintptr_t)addr, BIG);
		bpf_map_put(map);
	}
	free(seen);
	all_gone();
}

static void test_ids(void **state)
{
	struct bpf_map *a = make(BPF_MAP_TYPE_HASH, 0), *b = make(BPF_MAP_TYPE_HASH, 0), *c;
	struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, 10, 0);
	u32 id = b->id;

	assert_true(a->id && b->id > a->id);
	assert_ptr_equal(bpf_map_get_by_id(id), b);
	bpf_map_put(b);
	bpf_map_put(b);
	assert_null(bpf_map_get_by_id(id));
	assert_null(bpf_map_get_by_id(0));
	assert_null(bpf_map_get_by_id(~0u));
	b = make(BPF_MAP_TYPE_HASH, 0);
	assert_true(b->id > id); /* never again */
	assert_int_equal(bpf_map_create(&spec, a->id, -1, -1, &c), -EEXIST);
	assert_int_equal(bpf_map_create(&spec, 5000, -1, -1, &c), 0);
	assert_int_equal(c->id, 5000);
	bpf_map_put(c);
	c = make(BPF_MAP_TYPE_HASH, 0);
	assert_int_equal(c->id, 5001);
	bpf_map_put(a);
	bpf_map_put(b);
	bpf_map_put(c);

	/* Many at once, dropped in another order. */
	struct bpf_map *many[300];

	for (u32 i = 0; i < 300; i++)
		many[i] = make(BPF_MAP_TYPE_ARRAY, 0);
	for (u32 i = 0; i < 300; i++) {
		struct bpf_map *gone = many[i * 7 % 300];

		id = gone->id;
		bpf_map_put(gone);
		assert_null(bpf_map_get_by_id(id));
		for (u32 j = i + 1; j < 300; j += 50) {
			struct bpf_map *other = many[j * 7 % 300];

			assert_ptr_equal(bpf_map_get_by_id(other->id), other);
			bpf_map_put(other);
		}
	}
	all_gone();
}

static int frees;

static void count_free(struct bpf_map *map, void *priv)
{
	assert_ptr_equal(priv, &frees);
	frees++;
}

static void test_references(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_HASH, 0);
	struct bpf_map_iter it;

	map->on_free = count_free;
	map->priv = &frees;
	bpf_map_inc(map);
	bpf_map_inc_internal(map);
	assert_true(bpf_map_inc_not_zero(map));
	bpf_map_iter_init(&it, map, false);
	bpf_map_put(map);
	bpf_map_put(map);
	bpf_map_put(map);
	assert_int_equal(frees, 0);
	bpf_map_put_internal(map);
	assert_int_equal(frees, 0);
	bpf_map_iter_end(&it);
	assert_int_equal(frees, 1);
	all_gone();
}

static void test_open_refuses(void **state)
{
	struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, 10, 0);
	int fd = memfd_create("m", 0), array = memfd_create("a", 0);
	struct bpf_arena_header header;
	struct bpf_map *map;

	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
	assert_int_equal(bpf_map_open(fd, -1, &map), -EEXIST); /* its id lives */
	bpf_map_put(map);
	all_gone();

	/*
	 * A header that passes the arena's own checks, with a specification that does not fit it.
	 */
	assert_int_equal(pread(fd, &header, sizeof(header), 0), sizeof(header));
	struct bpf_arena_header good = header;

	/* An id that no map has; after the last one no new map would get any. */
	for (u32 i = 0; i < 2; i++) {
		header.map_id = i ? UINT32_MAX : 0;
		assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
		assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	}
	header = good;

	header.spec.max_entries = 100000;
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	header = good;
	header.spec.key_size = 0;
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	header = good;
	header.spec.map_type = BPF_MAP_TYPE_ARRAY;
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	header = good;
	header.nr_slots = BPF_MAX_SLOTS;
	assert_int_equal(pwrite(fd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(bpf_map_open(fd, -1, &map), -EBADMSG);
	assert_int_equal(pwrite(fd, &good, sizeof(good), 0), sizeof(good));
	assert_int_equal(bpf_map_open(fd, -1, &map), 0);
	bpf_map_put(map);
	all_gone();

	/* An array without its values. */
	spec.map_type = BPF_MAP_TYPE_ARRAY;
	assert_int_equal(bpf_map_create(&spec, 0, array, -1, &map), -EINVAL);
	close(fd);
	close(array);
}

/* Failing is without trace: no map, no id, no descriptor. */
static void test_failure_leaves_nothing(void **state)
{
	struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, 10, 0);
	int before = open("/dev/null", O_RDONLY), ro, after;
	struct bpf_map *map;

	close(before);
	ro = open("/proc/self/exe", O_RDONLY);
	assert_true(bpf_map_create(&spec, 777, ro, -1, &map) < 0);
	assert_null(bpf_map_get_by_id(777));
	close(ro);
	after = open("/dev/null", O_RDONLY);
	assert_int_equal(after, before);
	close(after);
	assert_int_equal(bpf_map_live_count(), 0);
}

static void test_iterator_survives_changes(void **state)
{
	struct bpf_map *map = make(BPF_MAP_TYPE_HASH, 0);
	struct bpf_map_iter it;
	u32 key, n = 0;
	u64 value = 1;

	for (key = 0; key < 10; key++)
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	/* Delete what was just given, as `rm entries/...` in a loop does. */
	bpf_map_iter_init(&it, map, true);
	while (bpf_map_iter_next(&it, &key, NULL) == 1) {
		assert_int_equal(bpf_map_delete(map, &key), 0);
		n++;
	}
	assert_int_equal(n, 10);
	bpf_map_iter_rewind(&it);
	assert_int_equal(bpf_map_iter_next(&it, &key, NULL), 0);
	bpf_map_iter_end(&it);
	/* And the same by get_next_key: after a deleted key comes the first. */
	for (key = 0; key < 10; key++)
		assert_int_equal(bpf_map_update(map, &key, &value, 0), 0);
	for (n = 0; !bpf_map_next_key(map, n ? &key : NULL, &key); n++)
		assert_int_equal(bpf_map_delete(map, &key), 0);
	assert_int_equal(n, 10);
	bpf_map_put(map);
	all_gone();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_refused_by_which_rule),
		cmocka_unit_test(test_access_flags),
		cmocka_unit_test(test_contains),
		cmocka_unit_test(test_freeze),
		cmocka_unit_test(test_freeze_overtakes_no_update),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_open_refuses),
		cmocka_unit_test(test_failure_leaves_nothing),
		cmocka_unit_test(test_iterator_survives_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
