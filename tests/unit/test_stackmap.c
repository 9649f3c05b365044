/*
 * test_stackmap.c - stack_trace maps and the stacks that programs see (map/types/stackmap.c,
 * run/stack.c)
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "map/types/stackmap.h"
#include "run/sample.h"
#include "map/map.h"
#include "ubpffs_engine.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

static struct bpf_map *make_map(u32 entries, u32 value_size, u32 flags, int fd)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_STACK_TRACE,
				    .key_size = 4,
				    .value_size = value_size,
				    .max_entries = entries,
				    .map_flags = flags};
	struct bpf_map *map = NULL;

	return bpf_map_create(&spec, 0, fd, -1, &map) ? NULL : map;
}

/* As a program would, with a kernel stack of these addresses. */
static s64 stackid(struct bpf_map *map, const u64 *ips, u32 nr, u64 flags)
{
	struct bpf_sample sample = {.kernel_ips = ips, .kernel_nr = nr};
	s64 ret;

	bpf_run_enter();
	bpf_this.sample = &sample;
	ret = (s64)bpf_get_stackid_proto.func(0, (u64)(uintptr_t)map, flags, 0, 0);
	bpf_this.sample = NULL;
	bpf_run_exit();
	return ret;
}

static void attributes(void **state)
{
	struct bpf_map *map;

	assert_null(make_map(0, 80, 0, -1));
	assert_null(make_map(16, 0, 0, -1));
	assert_null(make_map(16, 12, 0, -1));
	assert_null(make_map(16, 128 * 8, 0, -1));
	assert_null(make_map(16, 80, BPF_F_NO_PREALLOC, -1));
	assert_null(make_map(16, 8, BPF_F_STACK_BUILD_ID, -1));
	map = make_map(16, 127 * 8, 0, -1);
	assert_non_null(map);
	bpf_map_put(map);
}

static void b_c_same_stack_same_id(void **state)
{
	struct bpf_map *map = make_map(64, 8 * 8, 0, -1);
	u64 ips[] = {0x1000, 0x2000, 0x3000}, other[] = {0x1000, 0x2000, 0x3001}, value[8];
	s64 id = stackid(map, ips, 3, 0), id2 = stackid(map, other, 3, 0);
	u32 key = (u32)id, next;

	assert_true(id >= 0 && id < 64 && id2 != id);
	assert_int_equal(stackid(map, ips, 3, 0), id);
	assert_int_equal(stackid(map, ips, 3, BPF_F_FAST_STACK_CMP), id);
	assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
	assert_memory_equal(value, ips, sizeof(ips));
	assert_int_equal(value[3], 0);
	assert_int_equal(bpf_map_update(map, &key, value, 0), -EINVAL);
	assert_int_equal(bpf_map_next_key(map, NULL, &next), 0);
	assert_true(next == id || next == id2);
	assert_int_equal(bpf_map_next_key(map, &next, &next), 0);
	assert_int_equal(bpf_map_next_key(map, &next, &next), -ENOENT);
	assert_int_equal(bpf_map_delete(map, &key), 0);
	assert_int_equal(bpf_map_delete(map, &key), -ENOENT);
	assert_int_equal(bpf_map_lookup(map, &key, value, 0), -ENOENT);
	key = 64;
	assert_int_equal(bpf_map_delete(map, &key), -E2BIG);
	assert_int_equal(bpf_map_lookup(map, &key, value, 0), -ENOENT);
	bpf_map_put(map);
}

/* The addresses of two programs are two stacks; of no program, or the kernel's, one. */
static void c_images(void **state)
{
	struct bpf_map *map = make_map(1024, 8 * 8, 0, -1);
	u64 ips[] = {0x1000, 0x2000, 0x3000}, kernel[] = {~0xfffULL}, value[8], wrong[8] = {1};
	s64 id[3];
	u32 key;

	for (u32 image = 0; image < 3; image++) {
		struct bpf_sample sample = {.user_ips = ips,
					    .user_nr = 3,
					    .kernel_ips = kernel,
					    .kernel_nr = 1,
					    .image = image};

		bpf_run_enter();
		bpf_this.sample = &sample;
		id[image] = (s64)bpf_get_stackid_proto.func(0, (u64)(uintptr_t)map,
							    BPF_F_USER_STACK, 0, 0);
		key = (u32)bpf_get_stackid_proto.func(0, (u64)(uintptr_t)map, 0, 0, 0);
		bpf_this.sample = NULL;
		bpf_run_exit();
		assert_int_equal(key, stackid(map, kernel, 1, 0));
		assert_int_equal(bpf_stack_image(map, key, NULL), 0);
		key = (u32)id[image];
		assert_true(id[image] >= 0 && id[image] < bpf_stack_ids(map));
		assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
		assert_int_equal(bpf_stack_image(map, key, value), image);
		assert_int_equal(bpf_stack_image(map, key, NULL), image);
		assert_int_equal(bpf_stack_image(map, key, wrong), 0);
	}
	assert_true(id[0] != id[1] && id[1] != id[2]);
	assert_int_equal(bpf_stack_image(map, 1024, NULL), 0);
	bpf_map_put(map);
}

static void d_errors(void **state)
{
	struct bpf_map *map = make_map(1, 4 * 8, 0, -1);
	u64 ips[] = {1, 2, 3, 4, 5, 6}, value[4];
	s64 id;
	u32 key;

	assert_int_equal(stackid(map, ips, 0, 0), -EFAULT);
	assert_int_equal(stackid(map, ips, 2, 2), -EFAULT);
	assert_int_equal(stackid(map, ips, 2, 1 << 12), -EINVAL);
	assert_int_equal(stackid(map, ips, 2, BPF_F_USER_BUILD_ID), -EINVAL);
	id = stackid(map, ips, 6, 1); /* one frame skipped, four fit */
	key = (u32)id;
	assert_int_equal(id, 0);
	assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
	assert_memory_equal(value, ips + 1, sizeof(value));
	assert_int_equal(stackid(map, ips, 3, 0), -EEXIST);
	/* The only element is in the bucket: replacing needs a free one, as in Linux. */
	assert_int_equal(stackid(map, ips, 3, BPF_F_REUSE_STACKID), -ENOMEM);
	bpf_map_put(map);
	map = make_map(2, 4 * 8, 0, -1);
	assert_true(stackid(map, ips, 3, BPF_F_REUSE_STACKID) >= 0);
	for (u64 i = 0; i < 100; i++) {
		u64 one[] = {i * 7919};

		id = stackid(map, one, 1, BPF_F_REUSE_STACKID);
		assert_true(id >= 0 || id == -ENOMEM);
	}
	bpf_map_put(map);
}

static void get_stack(void **state)
{
	u64 ips[] = {1, 2, 3}, buf[4] = {9, 9, 9, 9};
	struct bpf_sample sample = {.user_ips = ips, .user_nr = 3};

#define GET(size, flags) ((s64)bpf_get_stack_proto.func(0, (u64)(uintptr_t)buf, size, flags, 0))
	bpf_run_enter();
	bpf_this.sample = &sample;
	assert_int_equal(GET(32, BPF_F_USER_STACK), 24);
	assert_true(buf[0] == 1 && buf[2] == 3 && buf[3] == 0);
	assert_int_equal(GET(32, BPF_F_USER_STACK | 1), 16);
	assert_true(buf[0] == 2 && buf[1] == 3 && buf[2] == 0);
	assert_int_equal(GET(8, BPF_F_USER_STACK), 8);
	assert_int_equal(GET(32, 0), 0); /* this sample has no kernel stack */
	assert_true(!buf[0] && !buf[3]);
	assert_int_equal(GET(12, 0), -EINVAL);
	assert_int_equal(GET(32, BPF_F_USER_BUILD_ID), -EINVAL);
	assert_int_equal(GET(32, BPF_F_USER_STACK | 4), -EFAULT);
	bpf_this.sample = NULL;
	assert_int_equal(GET(32, 0), -EFAULT);
	bpf_run_exit();
}

/* A program in this process: its user stack holds the functions that called the library. */
static __attribute__((noinline)) int inner_call(struct bpf_prog *prog)
{
	struct ubpffs_test_run run = {0};
	int err = ubpffs_prog_test_run(prog, &run);

	return err ? err : (int)run.retval;
}

static __attribute__((noinline)) int outer_call(struct bpf_prog *prog)
{
	int ret = inner_call(prog);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return ret;
}

static struct bpf_prog *stackid_prog(struct bpf_map *map, u32 flags, bool no_jit)
{
	struct bpf_insn insns[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_MAP_IDX, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_MOV64_IMM(BPF_REG_3, (s32)flags),
		BPF_EMIT_CALL(BPF_FUNC_get_stackid),
		BPF_EXIT_INSN(),
	};
	struct ubpffs_prog_spec spec = {.type = BPF_PROG_TYPE_PERF_EVENT,
					.license = "GPL",
					.insns = insns,
					.insn_cnt = ARRAY_SIZE(insns),
					.maps = &map,
					.map_cnt = 1};
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .no_jit = no_jit};
	struct bpf_prog *prog = NULL;
	char *log = NULL;

	if (ubpffs_prog_load(&spec, &opts, &log, &prog))
		print_error("%s", log);
	free(log);
	return prog;
}

static bool inside(u64 ip, const void *function)
{
	return ip > (u64)(uintptr_t)function && ip < (u64)(uintptr_t)function + 512;
}

static void own_user_stack(void **state)
{
	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct bpf_map *map = make_map(64, 127 * 8, 0, -1);
		struct bpf_prog *prog = stackid_prog(map, BPF_F_USER_STACK, no_jit);
		u64 ips[127];
		u32 id;

		assert_non_null(prog);
		id = (u32)outer_call(prog);
		assert_in_range(id, 0, 63);
		assert_int_equal(bpf_map_lookup(map, &id, ips, 0), 0);
		assert_true(inside(ips[0], inner_call));
		ubpffs_prog_put(prog);
		bpf_map_put(map);
	}
}

static void build_ids(void **state)
{
	struct bpf_map *map = make_map(64, 127 * 32, BPF_F_STACK_BUILD_ID, -1);
	struct bpf_prog *prog = stackid_prog(map, BPF_F_USER_STACK, false);
	struct bpf_stack_build_id ids[127];
	bool valid = false;
	u32 id = 0, id2 = 0;

	assert_non_null(prog);
	for (int i = 0; i < 2; i++) { /* the same stack: one place that calls */
		id2 = (u32)outer_call(prog);
		if (!i)
			id = id2;
		__asm__ volatile("" : "+r"(i)); /* not unrolled */
	}
	assert_in_range(id, 0, 63);
	assert_int_equal(id2, id);
	assert_int_equal(bpf_map_lookup(map, &id, ids, 0), 0);
	assert_true(ids[0].status == BPF_STACK_BUILD_ID_VALID ||
		    (ids[0].status == BPF_STACK_BUILD_ID_IP && inside(ids[0].ip, inner_call)));
	for (int i = 0; i < 127; i++) /* libc has one */
		valid |= ids[i].status == BPF_STACK_BUILD_ID_VALID && ids[i].offset;
	if (ids[0].status == BPF_STACK_BUILD_ID_VALID)
		assert_true(valid);
	ubpffs_prog_put(prog);
	bpf_map_put(map);
}

/*
 * A. Readers beside writers that replace stacks all the time: every stack that is read is one that
 * was put.
 */
static struct bpf_map *shared;
static volatile bool stop;

static void fill(u64 *ips, u64 seed)
{
	for (int i = 0; i < 16; i++)
		ips[i] = seed * 1000003 + (u64)i;
}

static void *writer(void *arg)
{
	u64 seed = (u64)(uintptr_t)arg, ips[16];

	bpf_rcu_thread_online();
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		fill(ips, seed++);
		stackid(shared, ips, 16, BPF_F_REUSE_STACKID);
	}
	return NULL;
}

static void a_whole_stacks(void **state)
{
	pthread_t threads[2];
	u64 ips[16], read = 0;
	u32 id;

	shared = make_map(8, 16 * 8, 0, -1);
	stop = false;
	for (u64 i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, writer, (void *)(uintptr_t)(i * 1000000000 + 1));
	for (u64 round = 0; round < 300000 || (!read && round < 100000000); round++) {
		id = round % 8;
		if (bpf_map_lookup(shared, &id, ips, 0))
			continue;
		read++;
		for (u64 i = 1; i < 16; i++)
			assert_true(ips[i] == ips[0] + i);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(read > 0);
	bpf_map_put(shared);
}

/* E. Killed at any moment, every stack that was acknowledged is there and no element is lost. */
static void e_recovery(void **state)
{
#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer does not follow a fork of a process with threads\n");
	skip();
#endif
	for (int round = 0; round < 20; round++) {
		int fd = memfd_create("stacks", MFD_CLOEXEC), report[2], status;
		struct bpf_map *map;
		u64 ips[16], last = 0, value[16];
		s64 id;
		pid_t child;

		assert_int_equal(pipe(report), 0);
		child = fork();
		if (!child) {
			map = make_map(32, 16 * 8, 0, fd);
			if (!map)
				_exit(1);
			for (u64 i = 1;; i++) {
				fill(ips, i);
				id = stackid(map, ips, 16, BPF_F_REUSE_STACKID);
				if (id == -ENOMEM) { /* every bucket holds one */
					u32 key = i % 32;

					bpf_map_delete(map, &key);
				}
				if (id >= 0 && write(report[1], &i, sizeof(i)) < 0)
					_exit(1);
			}
		}
		close(report[1]);
		for (int i = 0; i < 50 + round * 13; i++)
			assert_int_equal(read(report[0], &last, sizeof(last)), sizeof(last));
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		while (read(report[0], value, sizeof(last)) == sizeof(last))
			last = value[0];
		close(report[0]);
		assert_int_equal(bpf_map_open(fd, -1, &map), 0);
		fill(ips, last);
		id = stackid(map, ips, 16,
			     0); /* the last one acknowledged is found, or was just replaced */
		assert_true(id >= 0 || id == -EEXIST);
		for (u32 key = 0; key < 32; key++)
			if (!bpf_map_lookup(map, &key, value, 0))
				for (u64 i = 1; i < 16; i++)
					assert_true(value[i] == value[0] + i);
		for (u32 key = 0; key < 32; key++)
			bpf_map_delete(map, &key);
		for (u64 i = 0, put = 0; put < 32 && i < 100000;
		     i++) { /* all buckets can be filled */
			fill(ips, 900000000 + i);
			id = stackid(map, ips, 16, 0);
			assert_true(id >= 0 || id == -EEXIST);
			put += id >= 0;
		}
		for (u32 key = 0; key < 32; key++)
			assert_int_equal(bpf_map_lookup(map, &key, value, 0), 0);
		bpf_map_put(map);
		bpf_rcu_barrier();
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes),	  cmocka_unit_test(b_c_same_stack_same_id),
		cmocka_unit_test(d_errors),	  cmocka_unit_test(get_stack),
		cmocka_unit_test(own_user_stack), cmocka_unit_test(build_ids),
		cmocka_unit_test(a_whole_stacks), cmocka_unit_test(e_recovery),
		cmocka_unit_test(c_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
