/*
 * test_interp_tail_call.c - tail calls of the interpreter, through real prog arrays
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "run/interp.h"
#include "run/run.h"
#include "tests/lib/rawprog.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

static struct bpf_map *prog_array(u32 slots)
{
	const struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_PROG_ARRAY,
		.key_size = 4,
		.value_size = 4,
		.max_entries = slots,
	};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

static void set_slot(struct bpf_map *map, u32 slot, struct bpf_prog *prog)
{
	assert_int_equal(bpf_map_update_slot(map, &slot, prog, BPF_ANY), 0);
}

#define TAIL_CALL(MAP, SLOT)                                                       \
	BPF_LD_IMM64(BPF_REG_2, (uintptr_t)(MAP)), BPF_MOV64_IMM(BPF_REG_3, SLOT), \
		BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0)

static u64 run_once(const struct bpf_prog *prog, const void *ctx)
{
	u64 ret;

	bpf_run_enter();
	ret = bpf_prog_run(prog, ctx);
	bpf_run_exit();
	return ret;
}

static void test_tail_call(void **state)
{
	struct bpf_map *map = prog_array(3);
	const struct bpf_insn target[] = {
		BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, 0),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn caller[] = {
		TAIL_CALL(map, 1),
		BPF_MOV64_IMM(BPF_REG_0, 1),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *t = rawprog_new(target, ARRAY_SIZE(target));
	struct bpf_prog *c = rawprog_new(caller, ARRAY_SIZE(caller));
	u64 ctx = 4711;

	assert_int_equal(run_once(c, &ctx), 1); /* empty */
	set_slot(map, 1, t);
	assert_int_equal(run_once(c, &ctx), 4711);
	c->insnsi[2].imm = 3; /* past the end */
	assert_int_equal(bpf_interp_prepare(c), 0);
	assert_int_equal(run_once(c, &ctx), 1);
	bpf_map_put(map);
	bpf_rcu_barrier();
	rawprog_free(c);
	rawprog_free(t);
}

/*
 * Each run adds 1 to what the context points to, and calls itself: in place, or from a subprogram,
 * whose caller is returned to and adds 1000 to R0.
 */
static void count_chain(bool in_subprog, u64 want_runs, u64 want_ret)
{
	struct bpf_map *map = prog_array(1);
	const struct bpf_insn count[] = {
		BPF_MOV64_IMM(BPF_REG_2, 1),
		BPF_ATOMIC_OP(BPF_DW, BPF_ADD, BPF_REG_1, BPF_REG_2, 0),
		BPF_CALL_REL(2),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_0, 1000),
		BPF_EXIT_INSN(),
		TAIL_CALL(map, 0),
		BPF_MOV64_IMM(BPF_REG_0, 5),
		BPF_EXIT_INSN(),
	};
	struct bpf_insn insns[ARRAY_SIZE(count)];
	struct bpf_prog *prog;
	u64 runs = 0;

	memcpy(insns, count, sizeof(insns));
	if (!in_subprog)
		insns[2] = BPF_JMP_A(2);
	prog = rawprog_new(insns, ARRAY_SIZE(insns));
	assert_non_null(prog);
	set_slot(map, 0, prog);
	assert_int_equal(run_once(prog, &runs), want_ret);
	assert_int_equal(runs, want_runs);
	runs = 0; /* the count starts again */
	assert_int_equal(run_once(prog, &runs), want_ret);
	assert_int_equal(runs, want_runs);
	bpf_map_put(map);
	bpf_rcu_barrier();
	rawprog_free(prog);
}

static void test_33_tail_calls(void **state)
{
	count_chain(false, 34, 5);
}

static void test_tail_call_in_subprogram(void **state)
{
	count_chain(true, 34, 5 + 34 * 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tail_call),
		cmocka_unit_test(test_33_tail_calls),
		cmocka_unit_test(test_tail_call_in_subprogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
