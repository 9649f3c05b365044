/*
 * test_dynptr.c - helpers/dynptr.c: the helpers by themselves; what a crash leaves of a
 * reserved record
 *
 * How programs may use them is in tests/verifier/rows_dynptr.h, and held against the running kernel
 * in tests/differential/diff_dynptr.c.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "load.h"
#include "helpers/dynptr.h"
#include "map/map.h"
#include "map/ring/ringbuf.h"
#include "run/test_run.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"

#define RING 4096

static s64 call(const struct bpf_func_proto *proto, u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	s64 ret;

	bpf_run_enter();
	ret = (s64)proto->func(r1, r2, r3, r4, r5);
	bpf_run_exit();
	return ret;
}

static u64 addr(const void *p)
{
	return (uintptr_t)p;
}

static const struct bpf_dynptr_kern junk = {(void *)8, 123, 456};

static void assert_empty(const struct bpf_dynptr_kern *ptr)
{
	const struct bpf_dynptr_kern none = {0};

	assert_memory_equal(ptr, &none, sizeof(none));
}

static void test_from_mem(void **state)
{
	struct bpf_dynptr_kern ptr = junk;
	u8 mem[16], out[16];

	for (u32 i = 0; i < sizeof(mem); i++)
		mem[i] = (u8)i;
	assert_int_equal(call(&bpf_dynptr_from_mem_proto, addr(mem), 16, 1, addr(&ptr), 0),
			 -EINVAL);
	assert_empty(&ptr);
	ptr = junk;
	assert_int_equal(
		call(&bpf_dynptr_from_mem_proto, addr(mem), DYNPTR_MAX_SIZE + 1, 1, addr(&ptr), 0),
		-E2BIG);
	assert_empty(&ptr);
	/* The largest there is; nothing of it is touched. */
	assert_int_equal(
		call(&bpf_dynptr_from_mem_proto, addr(mem), DYNPTR_MAX_SIZE, 0, addr(&ptr), 0), 0);
	assert_int_equal(
		call(&bpf_dynptr_from_mem_proto, addr(mem), DYNPTR_MAX_SIZE + 1, 0, addr(&ptr), 0),
		-E2BIG);
	assert_empty(&ptr);
	assert_int_equal(call(&bpf_dynptr_read_proto, addr(out), 0, addr(&ptr), 0, 0), -EINVAL);
	assert_int_equal(call(&bpf_dynptr_write_proto, addr(&ptr), 0, addr(out), 0, 0), -EINVAL);
	assert_int_equal(call(&bpf_dynptr_data_proto, addr(&ptr), 0, 0, 0, 0), 0);

	ptr = junk;
	assert_int_equal(call(&bpf_dynptr_from_mem_proto, addr(mem), 16, 0, addr(&ptr), 0), 0);
	for (u32 off = 0; off <= 20; off++) {
		for (u32 len = 0; len <= 20; len++) {
			bool fits = off + len <= 16;
			s64 want = fits ? 0 : -E2BIG;

			memset(out, 0xee, sizeof(out));
			assert_int_equal(
				call(&bpf_dynptr_read_proto, addr(out), len, addr(&ptr), off, 0),
				want);
			for (u32 i = 0; i < sizeof(out); i++)
				assert_int_equal(out[i], fits && i < len ? off + i : 0xee);
			assert_int_equal(call(&bpf_dynptr_data_proto, addr(&ptr), off, len, 0, 0),
					 fits ? addr(mem + off) : 0);
			assert_int_equal(call(&bpf_dynptr_write_proto, addr(&ptr), off,
					      addr(mem + (fits ? off : 0)), len, 0),
					 want);
		}
	}
	/* Of memory that overlaps. */
	assert_int_equal(call(&bpf_dynptr_write_proto, addr(&ptr), 1, addr(mem), 15, 0), 0);
	for (u32 i = 1; i < sizeof(mem); i++)
		assert_int_equal(mem[i], i - 1);
}

static struct bpf_map *ring(int index_fd, int values_fd)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = RING};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, index_fd, values_fd, &map), 0);
	return map;
}

static void all_gone(struct bpf_map *map)
{
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static s64 reserve(struct bpf_map *map, u64 size, u64 flags, struct bpf_dynptr_kern *ptr)
{
	return call(&bpf_ringbuf_reserve_dynptr_proto, addr(map), size, flags, addr(ptr), 0);
}

static void test_records(void **state)
{
	struct bpf_map *map = ring(-1, -1);
	struct bpf_dynptr_kern ptr = junk, full[64];
	void *buf = NULL;
	size_t cap = 0;
	u32 n = 0;

	assert_int_equal(reserve(map, 8, 1, &ptr), -EINVAL);
	assert_empty(&ptr);
	ptr = junk;
	assert_int_equal(reserve(map, DYNPTR_MAX_SIZE + 1, 0, &ptr), -E2BIG);
	assert_empty(&ptr);
	call(&bpf_ringbuf_submit_dynptr_proto, addr(&ptr), 0, 0, 0, 0);
	call(&bpf_ringbuf_discard_dynptr_proto, addr(&ptr), 0, 0, 0, 0);
	assert_int_equal(bpf_ringbuf_query(map, BPF_RB_AVAIL_DATA), 0);

	assert_int_equal(reserve(map, 5, 0, &ptr), 0);
	assert_int_equal(call(&bpf_dynptr_write_proto, addr(&ptr), 0, addr("hello"), 5, 0), 0);
	assert_int_equal(call(&bpf_dynptr_write_proto, addr(&ptr), 1, addr("hello"), 5, 0), -E2BIG);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), -EAGAIN);
	call(&bpf_ringbuf_submit_dynptr_proto, addr(&ptr), 0, 0, 0, 0);
	assert_empty(&ptr);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), 5);
	assert_memory_equal(buf, "hello", 5);

	while (!reserve(map, 120, 0, &full[n]))
		n++;
	assert_int_equal(n, RING / 128 - 1); /* all but one record's room */
	assert_empty(&full[n]);
	for (u32 i = 0; i < n; i++)
		call(&bpf_ringbuf_discard_dynptr_proto, addr(&full[i]), 0, 0, 0, 0);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), -EAGAIN);
	free(buf);
	all_gone(map);
}

/* Killed with a record reserved and another, behind it, submitted. */
static void test_crash(void **state)
{
	int index_fd = memfd_create("index", 0), values_fd = memfd_create("values", 0), status;
	struct bpf_map *map;
	void *buf = NULL;
	size_t cap = 0;
	pid_t pid = fork();

	if (!pid) {
		struct bpf_dynptr_kern kept, given;

		map = ring(index_fd, values_fd);
		bpf_run_enter();
		if (reserve(map, 8, 0, &kept) || reserve(map, 3, 0, &given) ||
		    call(&bpf_dynptr_write_proto, addr(&given), 0, addr("abc"), 3, 0))
			_exit(1);
		call(&bpf_ringbuf_submit_dynptr_proto, addr(&given), 0, 0, 0, 0);
		raise(SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(bpf_map_open(index_fd, values_fd, &map), 0);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), 3);
	assert_memory_equal(buf, "abc", 3);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), -EAGAIN);
	free(buf);
	close(index_fd);
	close(values_fd);
	all_gone(map);
}

/* A read that fails leaves the stack as it was: such a program's frames begin as zeros. */
static void test_failed_read_shows_nothing(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LD_MAP_IDX_VALUE(1, 0, 0),
		BPF_MOV64_IMM(2, 8),
		BPF_MOV64_IMM(3, 0),
		BPF_MOV64_REG(4, 10),
		BPF_ALU64_IMM(BPF_ADD, 4, -16),
		BPF_EMIT_CALL(BPF_FUNC_dynptr_from_mem),
		BPF_MOV64_REG(1, 10),
		BPF_ALU64_IMM(BPF_ADD, 1, -24),
		BPF_MOV64_IMM(2, 8),
		BPF_MOV64_REG(3, 10),
		BPF_ALU64_IMM(BPF_ADD, 3, -16),
		BPF_MOV64_IMM(4, 4),
		BPF_MOV64_IMM(5, 0),
		BPF_EMIT_CALL(BPF_FUNC_dynptr_read),
		BPF_LDX_MEM(BPF_DW, 0, 10, -24),
		BPF_EXIT_INSN(),
	};
	struct bpf_map_spec spec = {BPF_MAP_TYPE_ARRAY, 4, 8, 1, .name = "value"};
	static const u8 packet[64];
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	for (u32 no_jit = 0; no_jit < 2; no_jit++) {
		struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
		struct bpf_prog *prog;
		const struct bpf_prog_load_attr attr = {
			.prog_type = BPF_PROG_TYPE_SCHED_CLS,
			.license = "GPL",
			.insns = insns,
			.insn_cnt = ARRAY_SIZE(insns),
			.maps = &map,
			.map_cnt = 1,
			.no_jit = no_jit,
		};

		assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
		assert_true(prog->zero_stack);
		assert_int_equal(bpf_prog_test_run(prog, &run), 0);
		assert_int_equal(run.retval, 0);
		bpf_prog_put(prog);
	}
	all_gone(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crash), /* forks: before anything runs */
		cmocka_unit_test(test_from_mem),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_failed_read_shows_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
