/*
 * diff_cgroup_storage.c - cgroup storage: the same attachments and calls in the running kernel's
 * cgroup v2 and here
 *
 * Which definitions are accepted; then random attaching, detaching, mkdir and rmdir of cgroups,
 * with lookups, updates, deletes and whole listings from outside: errno and values must be equal.
 * The kernel takes the storages of a removed cgroup away a little later: there we wait.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "cgroup/cgroup.h"
#include "load.h"
#include "map/map.h"
#include "tests/lib/domain.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

#define NR_MAPS	 3
#define NR_PROGS 4
#define NR_NODES 6
#define MAX_CPUS 256

static const struct bpf_map_spec specs[NR_MAPS] = {
	{BPF_MAP_TYPE_CGROUP_STORAGE, 16, 8, .name = "isolated"},
	{BPF_MAP_TYPE_CGROUP_STORAGE, 8, 12, .name = "shared"},
	{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 8, .name = "percpu"},
};
static const int prog_maps[NR_PROGS][2] = {{0, -1}, {1, 2}, {0, 2}, {2, -1}};

static struct bpf_map *our_maps[NR_MAPS];
static int kernel_maps[NR_MAPS];
static struct bpf_prog *our_progs[NR_PROGS];
static int kernel_progs[NR_PROGS];

static struct {
	struct cgroup *ours; /* NULL: not there */
	int fd;
	u64 kernel_id;
	char path[400];
} nodes[NR_NODES]; /* the first is the root of both */
static char base[300];
static u32 found, listed;

/* A program that uses one or two of the maps. */
static void load_prog(int i)
{
	struct bpf_insn insns[20];
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_SKB,
					  .license = "GPL",
					  .insns = insns,
					  .maps = our_maps,
					  .map_cnt = NR_MAPS};
	u32 n = 0;

	for (int k = 0; k < 2 && prog_maps[i][k] >= 0; k++) {
		const struct bpf_insn load[2] = {BPF_LD_MAP_IDX(BPF_REG_1, prog_maps[i][k])};

		insns[n++] = load[0];
		insns[n++] = load[1];
		insns[n++] = BPF_MOV64_IMM(BPF_REG_2, 0);
		insns[n++] = BPF_EMIT_CALL(BPF_FUNC_get_local_storage);
	}
	insns[n++] = BPF_MOV64_IMM(BPF_REG_0, 1);
	insns[n++] = BPF_EXIT_INSN();
	attr.insn_cnt = n;
	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &our_progs[i]), 0);
	kernel_progs[i] = kernel_prog_load(&attr, kernel_maps, 0, NULL, 0);
	assert_true(kernel_progs[i] >= 0);
}

static int setup(void **state)
{
	const char *why = kernel_unavailable();
	char mount[256];

	if (!why && kernel_find_cgroup2(mount, sizeof(mount)))
		why = "no cgroup v2 is mounted";
	if (!why) {
		snprintf(base, sizeof(base), "%s/ubpffs-storage-%d", mount, getpid());
		if (mkdir(base, 0755)) {
			why = "no cgroup can be made";
			base[0] = 0;
		}
	}
	*state = (void *)why;
	if (why)
		return 0;
	for (int i = 0; i < NR_MAPS; i++) {
		assert_int_equal(bpf_map_create(&specs[i], 0, -1, -1, &our_maps[i]), 0);
		kernel_maps[i] = kernel_map_create(&specs[i]);
		assert_true(kernel_maps[i] >= 0);
	}
	for (int i = 0; i < NR_PROGS; i++)
		load_prog(i);
	return 0;
}

static void node_make(int i)
{
	struct stat st;

	if (i)
		snprintf(nodes[i].path, sizeof(nodes[i].path), "%s/%d", base, i);
	else
		snprintf(nodes[i].path, sizeof(nodes[i].path), "%s", base);
	if (!i)
		nodes[i].ours = cgroup_root_new();
	else
		assert_int_equal(cgroup_create(nodes[0].ours, 0, &nodes[i].ours), 0);
	if (i)
		assert_int_equal(mkdir(nodes[i].path, 0755), 0);
	nodes[i].fd = open(nodes[i].path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(nodes[i].fd >= 0 && !fstat(nodes[i].fd, &st));
	nodes[i].kernel_id = st.st_ino;
}

static u32 kernel_nr_cpus(void)
{
	return (u32)sysconf(_SC_NPROCESSORS_CONF);
}

static void make_keys(int map, int node, u32 type, void *ours, void *kernels)
{
	struct bpf_cgroup_storage_key key = {cgroup_id(nodes[node].ours), type};

	memcpy(ours, &key, specs[map].key_size);
	key.cgroup_inode_id = nodes[node].kernel_id;
	memcpy(kernels, &key, specs[map].key_size);
}

static void node_remove(int i)
{
	struct bpf_cgroup_storage_key key;
	char ours[16];
	u64 value[MAX_CPUS];

	assert_int_equal(cgroup_remove(nodes[i].ours), 0);
	for (int map = 0; map < NR_MAPS; map++)
		for (u32 type = 0; type < 2; type++) {
			make_keys(map, i, type, ours, &key);
			if (!map && !type) {
				close(nodes[i].fd);
				assert_int_equal(rmdir(nodes[i].path), 0);
			}
			for (u32 wait = 0;
			     kernel_map_lookup(kernel_maps[map], &key, value) != -ENOENT; wait++) {
				assert_true(wait < 5000);
				usleep(1000);
			}
		}
	cgroup_put(nodes[i].ours);
	nodes[i].ours = NULL;
}

/* ---- which definitions */

static void test_specs(void **state)
{
	static const u32 types[] = {BPF_MAP_TYPE_CGROUP_STORAGE,
				    BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE};
	static const u32 keys[] = {0, 4, 8, 12, 16, 24};
	static const u32 values[] = {0, 1, 8, 4096, 32768, 32769, 60000, 1 << 16, 1 << 20, 1 << 30};
	static const u32 flags[] = {0,
				    BPF_F_NO_PREALLOC,
				    BPF_F_NUMA_NODE,
				    BPF_F_RDONLY,
				    BPF_F_WRONLY,
				    BPF_F_RDONLY | BPF_F_WRONLY,
				    BPF_F_RDONLY_PROG,
				    BPF_F_WRONLY_PROG,
				    BPF_F_ZERO_SEED,
				    BPF_F_MMAPABLE};
	u32 n = 0;

	if (*state) {
		print_message("the kernel's cgroups are not to be had: %s\n", (char *)*state);
		skip();
	}
	for (u32 t = 0; t < 2; t++)
		for (u32 k = 0; k < ARRAY_SIZE(keys); k++)
			for (u32 v = 0; v < ARRAY_SIZE(values); v++)
				for (u32 f = 0; f < ARRAY_SIZE(flags); f++, n++) {
					struct bpf_map_spec spec = {.map_type = types[t],
								    .key_size = keys[k],
								    .value_size = values[v],
								    .max_entries =
									    (k + v + f) % 7 == 6,
								    .map_flags = flags[f]};
					int fd = kernel_map_create(&spec), err;
					struct bpf_map *map;

					err = bpf_map_create(&spec, 0, -1, -1, &map);
					if (err != min(fd, 0))
						fail_msg("type %u key %u value %u flags %#x max "
							 "%u: %d, the kernel %d",
							 spec.map_type, spec.key_size,
							 spec.value_size, spec.map_flags,
							 spec.max_entries, err, fd);
					if (fd >= 0)
						close(fd);
					if (!err)
						bpf_map_put(map);
				}
	print_message("%u definitions\n", n);
}

/* ---- the walk */

static int k_attach(int cmd, int node, u32 type, int prog)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.target_fd = (u32)nodes[node].fd;
	attr.attach_bpf_fd = (u32)kernel_progs[prog];
	attr.attach_type = type;
	attr.attach_flags = cmd == BPF_PROG_ATTACH ? BPF_F_ALLOW_MULTI : 0;
	return kernel_bpf(cmd, &attr);
}

/* The sum over slots or CPUs of the first word; the counts differ, the rest is zero. */
static u64 digest(int map, const u64 *value, u32 cpus)
{
	u64 sum = 0;

	if (specs[map].map_type != BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE)
		return value[0];
	for (u32 i = 0; i < cpus; i++)
		sum += value[i];
	return sum;
}

static void compare_one(int map, int node, u32 type)
{
	u64 ours[BPF_MAX_SLOTS] = {0}, kernels[MAX_CPUS] = {0};
	char our_key[16], kernel_key[16];
	int err, k_err;

	make_keys(map, node, type, our_key, kernel_key);
	err = bpf_map_lookup(our_maps[map], our_key, ours, 0);
	k_err = kernel_map_lookup(kernel_maps[map], kernel_key, kernels);
	if (err != k_err ||
	    (!err && digest(map, ours, bpf_nr_slots()) != digest(map, kernels, kernel_nr_cpus())))
		fail_msg("map %d node %d type %u: %d, the kernel %d", map, node, type, err, k_err);
	found += !err;
}

static void compare_lists(int map)
{
	struct bpf_cgroup_storage_key a, b;
	u32 ours = 0, kernels = 0;
	int err, k_err;

	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	for (err = bpf_map_next_key(our_maps[map], NULL, &a); !err && ours < 100; ours++)
		err = bpf_map_next_key(our_maps[map], &a, &a);
	/* The kernel's list has no end: its last entry is followed by something that is none. */
	for (u32 i = 0; i < NR_NODES; i++)
		for (u32 type = 0; nodes[i].ours && type < (specs[map].key_size == 8 ? 1 : 2);
		     type++) {
			u64 value[MAX_CPUS];

			make_keys(map, (int)i, type, &a, &b);
			kernels += !kernel_map_lookup(kernel_maps[map], &b, value);
		}
	assert_int_equal(ours, kernels);
	a.cgroup_inode_id = b.cgroup_inode_id = 1ull << 60;
	err = bpf_map_next_key(our_maps[map], &a, &a);
	k_err = kernel_map_next_key(kernel_maps[map], &b, &b);
	assert_int_equal(err, k_err);
	listed += ours;
}

static void step_update(struct rng *rng, int map, int node, u32 type)
{
	static const u64 flags[] = {0, 0, 0, BPF_EXIST, BPF_EXIST, BPF_NOEXIST, BPF_F_LOCK, 8};
	u64 value[BPF_MAX_SLOTS + MAX_CPUS] = {0}, flag = flags[rng_below(rng, ARRAY_SIZE(flags))];
	char our_key[16], kernel_key[16];
	int err, k_err;

	make_keys(map, node, type, our_key, kernel_key);
	value[0] = rng_below(rng, 1000);
	err = bpf_map_update(our_maps[map], our_key, value, flag);
	k_err = kernel_map_update(kernel_maps[map], kernel_key, value, flag);
	if (err != k_err)
		fail_msg("update map %d flags %#llx: %d, the kernel %d", map,
			 (unsigned long long)flag, err, k_err);
	err = rng_below(rng, 8) ? 0 : bpf_map_delete(our_maps[map], our_key);
	if (err)
		assert_int_equal(err, kernel_map_delete(kernel_maps[map], kernel_key));
}

static void test_random(void **state)
{
	u32 steps = test_rounds(3000), attached = 0;
	struct rng rng;

	if (*state) {
		print_message("the kernel's cgroups are not to be had: %s\n", (char *)*state);
		skip();
	}
	rng = rng_init("diff_cgroup_storage");
	for (int i = 0; i < NR_NODES; i++)
		node_make(i);
	for (u32 n = 0; n < steps; n++) {
		int node = (int)rng_below(&rng, NR_NODES), map = (int)rng_below(&rng, NR_MAPS);
		int prog = (int)rng_below(&rng, NR_PROGS);
		u32 type = rng_below(&rng, 2), what = rng_below(&rng, 100);
		int err = 0, k_err = 0;

		if (what < 3 && node) {
			if (nodes[node].ours)
				node_remove(node);
			else
				node_make(node);
			continue;
		}
		if (!nodes[node].ours)
			continue;
		if (what < 30) {
			err = cgroup_bpf_attach(nodes[node].ours, type, our_progs[prog], NULL,
						BPF_F_ALLOW_MULTI);
			k_err = k_attach(BPF_PROG_ATTACH, node, type, prog);
			attached += !err;
		} else if (what < 60) {
			err = cgroup_bpf_detach(nodes[node].ours, type, our_progs[prog]);
			k_err = k_attach(BPF_PROG_DETACH, node, type, prog);
		} else {
			step_update(&rng, map, node, type);
		}
		assert_int_equal(err, k_err);
		for (int m = 0; m < NR_MAPS; m++)
			for (u32 t = 0; t < 2; t++)
				compare_one(m, node, t);
		if (n % 16 == 0)
			compare_lists(map);
	}
	print_message("%u steps, %u attachments, %u lookups found one, %u listed\n", steps,
		      attached, found, listed);
	assert_true(attached > steps / 30 && found > steps / 2 && listed > steps / 32);
}

static int teardown(void **state)
{
	for (int i = NR_NODES - 1; i >= 0; i--) {
		if (!nodes[i].ours)
			continue;
		if (i)
			cgroup_remove(nodes[i].ours);
		cgroup_put(nodes[i].ours);
		close(nodes[i].fd);
		if (i)
			rmdir(nodes[i].path);
	}
	if (base[0])
		rmdir(base);
	for (int i = 0; i < NR_PROGS; i++)
		if (our_progs[i]) {
			bpf_prog_put(our_progs[i]);
			close(kernel_progs[i]);
		}
	for (int i = 0; i < NR_MAPS; i++)
		if (our_maps[i]) {
			bpf_map_put(our_maps[i]);
			close(kernel_maps[i]);
		}
	for (u32 i = 0; i < 4; i++)
		bpf_rcu_barrier();
	return bpf_map_live_count() != 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_specs),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
