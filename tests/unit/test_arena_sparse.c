/*
 * test_arena_sparse.c - a map of 100 million entries is there at once and takes memory only as it
 * fills;
 * what is too large is refused with the errno that says why
 */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "run/run.h"
#include "map/arena/arena.h"
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/emulator.h"

#define HUNDRED_MILLION 100000000u
#define MIB		(1ull << 20)

static const struct {
	enum bpf_map_type type;
	u32 flags;
} types[] = {
	{BPF_MAP_TYPE_ARRAY, 0},
	{BPF_MAP_TYPE_HASH, 0},
	{BPF_MAP_TYPE_HASH, BPF_F_NO_PREALLOC},
	{BPF_MAP_TYPE_LRU_HASH, 0},
	{BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU},
	{BPF_MAP_TYPE_PERCPU_HASH, 0},
	{BPF_MAP_TYPE_LRU_PERCPU_HASH, 0},
	{BPF_MAP_TYPE_PERCPU_ARRAY, 0},
};

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

/* Of processor time: what is made should cost little, however busy the machine is. */
static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Bytes that a file really has. */
static u64 file_bytes(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (u64)st.st_blocks * 512;
}

static u64 resident_bytes(void)
{
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%lu %lu", &size, &resident), 2);
	fclose(f);
	return (u64)resident * 4096;
}

static void fill(struct bpf_map *map, u32 nr)
{
	bool array = map->map_type == BPF_MAP_TYPE_ARRAY ||
		     map->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
	u64 value[BPF_MAX_SLOTS] = {};

	for (u32 i = 0; i < nr; i++) {
		u32 key = array ? i : i * 0x9e3779b1u;

		for (u32 slot = 0; slot < BPF_MAX_SLOTS; slot++)
			value[slot] = i;
		assert_int_equal(bpf_map_update(map, &key, value, 0), 0);
	}
	for (u32 i = 0; i < nr; i++) {
		u32 key = array ? i : i * 0x9e3779b1u;

		assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
		assert_int_equal(value[0], i);
	}
}

/* A file in the store is as large as the map and has blocks only where something was written. */
static void test_files_of_100_million_entries(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		struct bpf_map_spec spec =
			spec_of(types[i].type, 4, 8, HUNDRED_MILLION, types[i].flags);
		int index = memfd_create("index", MFD_CLOEXEC);
		int values = bpf_map_has_values_file(&spec) ? memfd_create("values", MFD_CLOEXEC)
							    : -1;
		double start = seconds();
		struct bpf_map *map;
		u64 created, filled;

		assert_int_equal(bpf_map_create(&spec, 0, index, values, &map), 0);
		assert_true(seconds() - start < 1.0);
		assert_true(bpf_map_mem_usage(map) >= 8ull * HUNDRED_MILLION);
		created = file_bytes(index) + (values >= 0 ? file_bytes(values) : 0);
		fill(map, 1000);
		filled = file_bytes(index) + (values >= 0 ? file_bytes(values) : 0);
		/* A new entry needs a page of buckets at most; elements come in steps. */
		if (created > 2 * MIB || filled - created > 1000 * 4096 + 2 * MIB)
			fail_msg("%s, flags %#x: %llu bytes new, %llu with 1000 entries",
				 bpf_map_type_name(spec.map_type), spec.map_flags,
				 (unsigned long long)created, (unsigned long long)filled);
		bpf_map_put(map);
		bpf_rcu_barrier();
		close(index);
		if (values >= 0)
			close(values);
	}
}

static bool huge_always(void)
{
	char text[64] = "";
	int fd = open("/sys/kernel/mm/transparent_hugepage/enabled", O_RDONLY);

	if (fd >= 0) {
		if (read(fd, text, sizeof(text) - 1) < 0)
			text[0] = 0;
		close(fd);
	}
	if (!strstr(text, "[always]"))
		return false;
	print_message("huge pages lie under all memory here: nothing to measure\n");
	return true;
}

/* The same in the memory of the process; a huge page may lie under what is used densely. */
static void test_memory_of_100_million_entries(void **state)
{
	if (huge_always())
		skip();
	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		struct bpf_map_spec spec =
			spec_of(types[i].type, 4, 8, HUNDRED_MILLION, types[i].flags);
		u64 before = resident_bytes(), created, filled;
		double start = seconds();
		struct bpf_map *map;

		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
		assert_true(seconds() - start < 1.0);
		created = resident_bytes();
		fill(map, 1000);
		filled = resident_bytes();
		if (created > before + 16 * MIB ||
		    filled > created + 1000 * 4096 + (2 + bpf_nr_slots()) * 4 * MIB)
			fail_msg("%s, flags %#x: %llu bytes more when new, then %llu",
				 bpf_map_type_name(spec.map_type), spec.map_flags,
				 (unsigned long long)(created - before),
				 (unsigned long long)(filled - created));
		bpf_map_put(map);
		bpf_rcu_barrier();
	}
}

/* No huge page for the header of an arena that stays addresses for the most part. */
static void test_memory_of_addresses(void **state)
{
	const struct bpf_map_spec specs[] = {
		spec_of(BPF_MAP_TYPE_LPM_TRIE, 8, 8, 100, BPF_F_NO_PREALLOC),
		spec_of(BPF_MAP_TYPE_CGROUP_STORAGE, 8, 8, 0, 0),
		spec_of(BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 8, 8, 0, 0),
	};

	if (huge_always())
		skip();
	for (u32 i = 0; i < ARRAY_SIZE(specs); i++) {
		struct bpf_map *maps[8];
		u64 before = resident_bytes();

		for (u32 k = 0; k < ARRAY_SIZE(maps); k++)
			assert_int_equal(bpf_map_create(&specs[i], 0, -1, -1, &maps[k]), 0);
		assert_in_range(resident_bytes() - before, 0, 8 * MIB);
		for (u32 k = 0; k < ARRAY_SIZE(maps); k++)
			bpf_map_put(maps[k]);
		bpf_rcu_barrier();
	}
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

/* E2BIG: no map may be like that. ENOMEM: this machine has no room for it. */
static void test_limits_have_their_errno(void **state)
{
	static const enum bpf_map_type hashes[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_LRU_HASH,
						   BPF_MAP_TYPE_PERCPU_HASH,
						   BPF_MAP_TYPE_LRU_PERCPU_HASH};

	for (u32 i = 0; i < ARRAY_SIZE(hashes); i++) {
		assert_int_equal(try(hashes[i], 4, 8, 0, 0), -EINVAL);
		assert_int_equal(try(hashes[i], 4, 8, 1u << 27, 0), 0);
		assert_int_equal(try(hashes[i], 4, 8, (1u << 27) + 1, 0), -E2BIG);
		assert_int_equal(try(hashes[i], 4, 8, UINT32_MAX, 0), -E2BIG);
		assert_int_equal(try(hashes[i], 4, KMALLOC_MAX_SIZE, 1, 0), -E2BIG);
		assert_int_equal(try(hashes[i], KMALLOC_MAX_SIZE, 8, 1, 0), -E2BIG);
	}
	assert_int_equal(try(BPF_MAP_TYPE_PERCPU_HASH, 4, PCPU_MIN_UNIT_SIZE + 1, 1, 0), -E2BIG);
	assert_int_equal(try(BPF_MAP_TYPE_HASH, 4, 1 << 20, 1u << 27, 0), -ENOMEM);
	assert_int_equal(try(BPF_MAP_TYPE_LRU_HASH, 4, 1 << 20, 1u << 27, 0), -ENOMEM);
	assert_int_equal(try(BPF_MAP_TYPE_ARRAY, 4, 8, 0, 0), -EINVAL);
	assert_int_equal(try(BPF_MAP_TYPE_ARRAY, 8, 8, 1, 0), -EINVAL);
}

/* The errno of making this map in a child with a limit. */
static int try_limited(int resource, u64 limit, int fd)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		struct rlimit rlimit = {limit, limit};
		struct bpf_map_spec spec = spec_of(BPF_MAP_TYPE_HASH, 4, 8, HUNDRED_MILLION, 0);
		struct bpf_map *map;
		int err;

		signal(SIGXFSZ, SIG_IGN);
		if (setrlimit(resource, &rlimit))
			_exit(255);
		err = bpf_map_create(&spec, 0, fd, -1, &map);
		_exit(-err & 127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static void test_no_address_space_is_enomem(void **state)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("a sanitizer's own memory is beyond any limit of address space\n");
	skip();
#else
	NOT_UNDER_EMULATOR("RLIMIT_AS");
	assert_int_equal(try_limited(RLIMIT_AS, 1ull << 30, -1), -ENOMEM);
#endif
}

static void test_a_file_too_large_is_e2big(void **state)
{
	char path[] = "/tmp/ubpffs-sparse-XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(try_limited(RLIMIT_FSIZE, 1ull << 30, fd), -E2BIG);
	assert_int_equal(file_bytes(fd), 0);
	close(fd);
}

/* ---- a full filesystem */

/* A file on a filesystem of 1 MiB that nobody else can reach; -1: none can be made. */
static int small_file(void)
{
	char dir[] = "/tmp/ubpffs-test-XXXXXX", path[64];
	int fd;

	assert_non_null(mkdtemp(dir));
	if (mount("ubpffs-test", dir, "tmpfs", 0, "size=1M")) {
		print_message("no tmpfs can be mounted: %s\n", strerror(errno));
		rmdir(dir);
		return -1;
	}
	snprintf(path, sizeof(path), "%s/map", dir);
	fd = open(path, O_RDWR | O_CREAT, 0600);
	umount2(dir, MNT_DETACH);
	rmdir(dir);
	assert_true(fd >= 0);
	return fd;
}

/* cmocka sets handlers of its own before each test, over the engine's. */
static void on_sigbus(int sig, siginfo_t *info, void *context)
{
	if (!bpf_arena_fault(info->si_addr))
		abort();
}

static void catch_sigbus(void)
{
	struct sigaction sa = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigaction(SIGBUS, &sa, NULL);
}

/* Touching a hole that the filesystem cannot fill is SIGBUS: it must stop no one. */
static void test_array_on_a_full_filesystem(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
				    .key_size = 4,
				    .value_size = 8,
				    .max_entries = 4000000};
	int index = memfd_create("index", MFD_CLOEXEC), values = small_file(), err = 0;
	u32 key, stored = 0, nr = 0;
	struct bpf_map_iter it;
	struct bpf_map *map;
	u64 value;

	if (values < 0)
		skip();
	catch_sigbus();
	assert_int_equal(bpf_map_create(&spec, 0, index, values, &map), 0);
	for (key = 0; key < spec.max_entries && !err; key += 512) {
		value = key + 1;
		err = bpf_map_update(map, &key, &value, 0);
		stored += !err;
	}
	assert_int_equal(err, -ENOSPC);
	assert_in_range(stored, 200, 256);
	/* Everything can still be read, and a program still runs on it. */
	bpf_map_iter_init(&it, map, false);
	while (bpf_map_iter_next(&it, &key, &value) == 1)
		nr += value == key + 1;
	bpf_map_iter_end(&it);
	assert_in_range(nr, stored, stored + 1);
	bpf_run_enter();
	for (key = 256; key < spec.max_entries; key += 100000)
		*(u64 *)map->ops->map_lookup_elem(map, &key) = 5;
	bpf_run_exit();
	key = 256;
	assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
	assert_int_equal(value, 5);
	bpf_map_put(map);
	bpf_rcu_barrier();

	/* What was acknowledged is in the file. */
	assert_int_equal(bpf_map_open(index, values, &map), 0);
	for (u32 i = 0; i < stored; i++) {
		key = i * 512;
		assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
		assert_int_equal(value, key + 1);
	}
	bpf_map_put(map);
	bpf_rcu_barrier();
	close(index);
	close(values);
}

/* The buckets of a large table are holes, too. */
static void test_hash_on_a_full_filesystem(void **state)
{
	static const enum bpf_map_type types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_HASH,
						  BPF_MAP_TYPE_LRU_HASH};

	catch_sigbus();
	for (u32 t = 0; t < ARRAY_SIZE(types); t++) {
		struct bpf_map_spec spec = {.map_type = types[t],
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = 4000000};
		u64 value[BPF_MAX_SLOTS];
		struct bpf_map *map;
		u32 stored = 0, key;
		int fd = small_file();
		u8 *seen;

		if (fd < 0)
			skip();
		seen = calloc(200000, 1);
		assert_int_equal(bpf_map_create(&spec, 0, fd, -1, &map), 0);
		for (key = 0; key < 200000; key++) {
			int err;

			for (u32 i = 0; i < ARRAY_SIZE(value); i++)
				value[i] = key;
			err = bpf_map_update(map, &key, value, 0);
			assert_true(!err || err == -ENOMEM);
			seen[key] = !err;
			stored += !err;
		}
		assert_true(stored > 1000);
		for (int again = 0; again < 2; again++) {
			u32 there = 0;

			for (key = 0; key < 200000; key++) {
				int err = bpf_map_lookup(map, &key, value, 0);

				if (!err)
					assert_int_equal(value[0], key);
				if (types[t] != BPF_MAP_TYPE_LRU_HASH) /* which evicts */
					assert_int_equal(err, seen[key] ? 0 : -ENOENT);
				there += !err;
			}
			assert_true(there > 1000);
			bpf_map_put(map);
			bpf_rcu_barrier();
			if (!again)
				assert_int_equal(bpf_map_open(fd, -1, &map), 0);
		}
		free(seen);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files_of_100_million_entries),
		cmocka_unit_test(test_memory_of_100_million_entries),
		cmocka_unit_test(test_memory_of_addresses),
		cmocka_unit_test(test_limits_have_their_errno),
		cmocka_unit_test(test_no_address_space_is_enomem),
		cmocka_unit_test(test_a_file_too_large_is_e2big),
		cmocka_unit_test(test_array_on_a_full_filesystem),
		cmocka_unit_test(test_hash_on_a_full_filesystem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
