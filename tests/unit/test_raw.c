/*
 * test_raw.c - programs over a block of memory: its size, where it may be touched, what comes out
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "load.h"
#include "map/create.h"
#include "map/syscall.h"
#include "run/test_run.h"
#include "tests/lib/object.h"
#include "uapi/bpf_insn.h"

static int load(const struct bpf_insn *insns, u32 cnt, u32 size, bool no_jit,
		struct bpf_prog **prog, char *why, size_t len)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_RAW,
		.expected_attach_type = size,
		.name = "p",
		.insns = insns,
		.insn_cnt = cnt,
		.no_jit = no_jit,
	};
	struct bpf_log log;
	int err;

	bpf_log_init(&log, 1, 0);
	err = bpf_prog_load(&attr, &log, &log, NULL, prog);
	snprintf(why, len, "%s", bpf_log_text(&log));
	bpf_log_free(&log);
	return err;
}

/* A number of the block plus 1, at an offset that the block itself says, back into it. */
static const struct bpf_insn at_offset[] = {
	BPF_LDX_MEM(BPF_W, 2, 1, 0),
	BPF_ALU64_IMM(BPF_AND, 2, 15),
	BPF_ALU64_REG(BPF_ADD, 1, 2),
	BPF_LDX_MEM(BPF_B, 0, 1, 4),
	BPF_ALU64_IMM(BPF_ADD, 0, 1),
	BPF_STX_MEM(BPF_B, 1, 0, 4),
	BPF_EXIT_INSN(),
};

static void a_block_is_read_and_written(void **state)
{
	for (int no_jit = 0; no_jit < 2; no_jit++) {
		u8 in[20] = {3, [7] = 41}, out[20];
		struct bpf_test_run run = {.data_in = in,
					   .data_size_in = sizeof(in),
					   .data_out = out,
					   .data_size_out = sizeof(out)};
		struct bpf_prog *prog;
		char why[512];

		assert_int_equal(
			load(at_offset, ARRAY_SIZE(at_offset), 20, no_jit, &prog, why, sizeof(why)),
			0);
		assert_int_equal(bpf_prog_test_run(prog, &run), 0);
		assert_int_equal(run.retval, 42);
		assert_int_equal(run.data_size_out, 20);
		assert_int_equal(out[7], 42);
		/* Less than the block: zeroes follow. More is none. */
		run.data_size_in = 1;
		assert_int_equal(bpf_prog_test_run(prog, &run), 0);
		assert_int_equal(run.retval, 1);
		run.data_size_in = 0;
		run.data_in = NULL;
		assert_int_equal(bpf_prog_test_run(prog, &run), 0);
		run.data_in = in;
		run.data_size_in = 21;
		assert_int_equal(bpf_prog_test_run(prog, &run), -EINVAL);
		run.data_size_in = 20;
		run.data_size_out = 19;
		assert_int_equal(bpf_prog_test_run(prog, &run), -ENOSPC);
		bpf_prog_put(prog);
	}
}

static void nothing_outside_of_the_block(void **state)
{
	const struct bpf_insn last[] = {BPF_LDX_MEM(BPF_B, 0, 1, 7), BPF_EXIT_INSN()};
	const struct bpf_insn before[] = {BPF_LDX_MEM(BPF_B, 0, 1, -1), BPF_EXIT_INSN()};
	const struct bpf_insn packet[] = {BPF_MOV64_REG(6, 1), BPF_LD_ABS(BPF_B, 0),
					  BPF_EXIT_INSN()};
	struct bpf_prog *prog;
	char why[512];

	assert_int_equal(load(last, 2, 8, false, &prog, why, sizeof(why)), 0);
	bpf_prog_put(prog);
	assert_int_equal(load(last, 2, 7, false, &prog, why, sizeof(why)), -EACCES);
	assert_non_null(strstr(why, "invalid access to memory, mem_size=7 off=7 size=1"));
	assert_int_equal(load(last, 2, 0, false, &prog, why, sizeof(why)), -EACCES);
	assert_int_equal(load(before, 2, 8, false, &prog, why, sizeof(why)), -EACCES);
	/* One byte less than the offset may be. */
	assert_int_equal(load(at_offset, ARRAY_SIZE(at_offset), 19, false, &prog, why, sizeof(why)),
			 -EACCES);
	assert_int_equal(load(packet, 3, 8, false, &prog, why, sizeof(why)), -EINVAL);
	assert_int_equal(load(last, 2, BPF_BLOCK_MAX, false, &prog, why, sizeof(why)), 0);
	bpf_prog_put(prog);
	assert_int_equal(load(last, 2, BPF_BLOCK_MAX + 1, false, &prog, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "a block of 1048577 bytes"));
}

/* Programs that call each other by tail calls see the same block. */
static void prog_arrays_hold_one_size(void **state)
{
	const struct bpf_insn ret[] = {BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};
	const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
					  .key_size = 4,
					  .value_size = 4,
					  .max_entries = 2};
	struct bpf_prog *small, *large;
	struct bpf_map *map;
	u32 slot = 0;
	char why[64];

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	assert_int_equal(load(ret, 2, 8, false, &small, why, sizeof(why)), 0);
	assert_int_equal(load(ret, 2, 16, false, &large, why, sizeof(why)), 0);
	assert_int_equal(bpf_map_update_slot(map, &slot, small, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_slot(map, &slot, large, BPF_ANY), -EINVAL);
	bpf_prog_put(small);
	bpf_prog_put(large);
	bpf_map_put(map);
}

static void objects_say_the_size_by_the_argument(void **state)
{
	struct {
		u32 kind, cnt;
		u64 sum;
		u8 bytes[48];
	} e = {.kind = 7, .cnt = 3, .bytes = {50, 50, 1, 99}}, out;
	struct bpf_test_run run = {.data_in = &e,
				   .data_size_in = sizeof(e),
				   .data_out = &out,
				   .data_size_out = sizeof(out)};
	struct bpf_loaded l;
	u64 seen = 0;
	size_t size;
	void *data = test_object_bytes("raw", &size);

	if (bpf_object_load(data, size, NULL, &l))
		fail_msg("%s", bpf_log_text(&l.report));
	assert_int_equal(bpf_prog_block_size(l.progs[0]), sizeof(e));
	assert_int_equal(bpf_prog_test_run(l.progs[0], &run), 0);
	assert_int_equal(run.retval, 1);
	assert_int_equal(out.sum, 101);
	assert_int_equal(bpf_map_lookup(l.maps[0], &e.kind, &seen, 0), 0);
	assert_int_equal(seen, 1);
	bpf_loaded_free(&l);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_block_is_read_and_written),
		cmocka_unit_test(nothing_outside_of_the_block),
		cmocka_unit_test(prog_arrays_hold_one_size),
		cmocka_unit_test(objects_say_the_size_by_the_argument),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
