/*
 * test_verifier_work.c - how much work a check is: of programs of two sizes, in units of work.c
 *
 * A program that is four times as long may be about four times the work, or too much work (E2BIG).
 * What grows with the square shows here without a clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "tests/lib/reason.h"
#include "tests/lib/funcinfo.h"
#include "uapi/bpf_insn.h"
#include "verifier/history/path.h"
#include "verifier/state/work.h"
#include "verifier/verifier.h"
#include "map/create.h"

#define SMALL 4000
#define LARGE (4 * SMALL)

static struct bpf_map *map; /* array of 64-byte values */

static int setup(void **state)
{
	const struct bpf_map_spec spec = {BPF_MAP_TYPE_ARRAY, 4, 64, .max_entries = 1};

	return bpf_map_create(&spec, 0, -1, -1, &map);
}

static int teardown(void **state)
{
	bpf_map_put(map);
	return 0;
}

/* ---- a program that is being written */

static struct bpf_insn insns[LARGE + 64];
static u32 cnt;

#define PUT(...)                                                \
	do {                                                    \
		const struct bpf_insn _insns[] = {__VA_ARGS__}; \
		memcpy(&insns[cnt], _insns, sizeof(_insns));    \
		cnt += ARRAY_SIZE(_insns);                      \
	} while (0)

#define RET0 BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()

/* R9: a map value; R7, R8: numbers, the second below 32. */
static void put_head(void)
{
	PUT(BPF_ST_MEM(BPF_W, 10, -4, 0), BPF_MOV64_REG(2, 10), BPF_ALU64_IMM(BPF_ADD, 2, -4),
	    BPF_LD_MAP_IDX(1, 0), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
	    BPF_JMP_IMM(BPF_JNE, 0, 0, 2), RET0, BPF_MOV64_REG(9, 0), BPF_LDX_MEM(BPF_DW, 7, 9, 0),
	    BPF_LDX_MEM(BPF_DW, 8, 9, 8), BPF_ALU64_IMM(BPF_AND, 8, 31));
}

/* One number decides again and again. */
static void one_value(u32 len)
{
	put_head();
	while (cnt < len)
		PUT(BPF_MOV64_REG(5, 9), BPF_ALU64_REG(BPF_ADD, 5, 8));
	PUT(RET0);
}

/* A new one each time, which came from the one before. */
static void a_chain_of_values(u32 len)
{
	put_head();
	while (cnt < len)
		PUT(BPF_ALU64_REG(BPF_ADD, 8, 7), BPF_ALU64_IMM(BPF_AND, 8, 31),
		    BPF_MOV64_REG(5, 9), BPF_ALU64_REG(BPF_ADD, 5, 8));
	PUT(RET0);
}

/* Through all the slots of the stack. */
static void values_on_the_stack(u32 len)
{
	put_head();
	for (s16 slot = 2; slot < 62; slot++)
		PUT(BPF_STX_MEM(BPF_DW, 10, 8, -8 * slot));
	for (s16 k = 0; cnt < len; k++)
		PUT(BPF_LDX_MEM(BPF_DW, 8, 10, -8 * (2 + k % 60)), BPF_MOV64_REG(5, 9),
		    BPF_ALU64_REG(BPF_ADD, 5, 8),
		    BPF_STX_MEM(BPF_DW, 10, 8, -8 * (2 + (7 * k + 1) % 60)));
	PUT(RET0);
}

/* Jumps whose outcome is known. */
static void known_jumps(u32 len)
{
	put_head();
	while (cnt < len)
		PUT(BPF_JMP_IMM(BPF_JGT, 8, 31, 0));
	PUT(RET0);
}

/* A value whose origin cannot be followed: everything counts as wanted. */
static void unknown_origins(u32 len)
{
	put_head();
	while (cnt < len)
		PUT(BPF_JMP_IMM(BPF_JGT, 8, 1, 0), BPF_MOV64_REG(5, 10), BPF_MOV64_REG(4, 10),
		    BPF_ALU64_REG(BPF_SUB, 5, 4), BPF_ALU64_IMM(BPF_AND, 5, 7), BPF_MOV64_REG(4, 9),
		    BPF_ALU64_REG(BPF_ADD, 4, 5), BPF_STX_MEM(BPF_DW, 10, 5, -16));
	PUT(RET0);
}

/* A counted loop, and in it loads from a full stack. */
static void a_loop_over_the_stack(u32 len)
{
	u32 top;

	put_head();
	for (s16 slot = 2; slot < 62; slot++)
		PUT(BPF_LDX_MEM(BPF_DW, 1, 9, 0), BPF_STX_MEM(BPF_DW, 10, 1, -8 * slot));
	PUT(BPF_MOV64_IMM(6, 0));
	top = cnt;
	for (s16 slot = 2; slot < 62; slot++)
		PUT(BPF_LDX_MEM(BPF_DW, 1, 10, -8 * slot));
	PUT(BPF_ALU64_IMM(BPF_ADD, 6, 1));
	PUT(BPF_JMP_IMM(BPF_JLT, 6, len / 20, (s16)(top - cnt - 1)));
	PUT(RET0);
}

/* One function, called again and again. */
static void calls(u32 len)
{
	u32 first, end;

	put_head();
	first = cnt;
	while (cnt < len)
		PUT(BPF_CALL_REL(0));
	end = cnt;
	PUT(RET0);
	for (u32 i = first; i < end; i++)
		insns[i].imm = (s32)(cnt - i - 1);
	PUT(BPF_MOV64_IMM(1, 3), BPF_ALU64_IMM(BPF_MUL, 1, 5), RET0);
}

/* A callback that may end at many places. */
static void a_callback_with_many_ends(u32 len)
{
	u32 at;

	put_head();
	PUT(BPF_MOV64_IMM(1, 1000));
	at = cnt;
	PUT(BPF_LD_IMM64_RAW(2, BPF_PSEUDO_FUNC, 0), BPF_MOV64_IMM(3, 0), BPF_MOV64_IMM(4, 0),
	    BPF_EMIT_CALL(BPF_FUNC_loop), RET0);
	insns[at].imm = (s32)(cnt - at - 1);
	while (cnt < len)
		PUT(BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32), BPF_JMP_IMM(BPF_JGT, 0, 5, 2), RET0);
	PUT(RET0);
}

/* ---- the work */

static u64 work_of(void (*gen)(u32 len), u32 len)
{
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
					  .license = "GPL",
					  .insns = insns,
					  .maps = &map,
					  .map_cnt = 1};
	struct bpf_verdict verdict;
	struct bpf_prog *prog;
	struct funcinfo f;
	u64 work;

	cnt = 0;
	gen(len);
	assert_true(cnt <= ARRAY_SIZE(insns));
	attr.insn_cnt = cnt;
	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	prog = bpf_prog_alloc(&attr);
	assert_non_null(prog);
	if (bpf_check(prog, NULL, NULL, &verdict))
		fail_msg("%u instructions: %s", cnt, reason_of(&verdict));
	work = verdict.work;
	assert_true(work >= verdict.insn_processed);
	bpf_verdict_free(&verdict);
	bpf_prog_put(prog);
	funcinfo_free(&f);
	return work;
}

static void grows_with_the_program(void **state)
{
	static const struct {
		const char *name;
		void (*gen)(u32 len);
	} gens[] = {
		{"one value", one_value},
		{"a chain of values", a_chain_of_values},
		{"values on the stack", values_on_the_stack},
		{"known jumps", known_jumps},
		{"unknown origins", unknown_origins},
		{"a loop over the stack", a_loop_over_the_stack},
		{"calls", calls},
		{"a callback with many ends", a_callback_with_many_ends},
	};

	for (size_t i = 0; i < ARRAY_SIZE(gens); i++) {
		u64 small = work_of(gens[i].gen, SMALL), large = work_of(gens[i].gen, LARGE);

		if (large > 6 * small)
			fail_msg("%s: %llu units, and %llu for four times as much", gens[i].name,
				 (unsigned long long)small, (unsigned long long)large);
	}
}

/* ---- the limit */

static void has_a_limit(void **state)
{
	struct bpf_verifier_env *env = calloc(1, sizeof(*env));
	struct bpf_verdict verdict = {0};

	assert_non_null(env);
	env->out = &verdict;
	for (charge(env, 1); env->work < BPF_COMPLEXITY_LIMIT_WORK; charge(env, 1000))
		assert_int_equal(check_work(env), 0);
	charge(env, 10000);
	for (int i = 0; i < 2; i++) /* and it stays too much */
		assert_int_equal(check_work(env), -E2BIG);
	assert_string_equal(reason_of(env->out),
			    "BPF program is too complex. Its verification takes more "
			    "than 128 million steps");
	free(env);
}

/* Wherever the work is done, a cancelled check ends. */
static void is_cancelled(void **state)
{
	struct bpf_verifier_env *env = calloc(1, sizeof(*env));
	volatile bool cancel = false;

	assert_non_null(env);
	env->cancel = &cancel;
	assert_int_equal(check_work(env), 0);
	cancel = true;
	charge(env, 10000);
	assert_int_equal(check_work(env), -EINTR);
	free(env);
}

/* What large checks take together has a bound; the first of each is always there. */
static void all_checks_share_memory(void **state)
{
	enum { FUNCS = 40000 }; /* more than one's own memory */
	struct bpf_verifier_env *env = calloc(2, sizeof(*env));
	struct bpf_func_state **funcs = calloc(2 * (size_t)FUNCS, sizeof(*funcs));
	struct bpf_verdict verdict[2] = {0};
	u32 n[2] = {0, 0};

	assert_non_null(env);
	assert_non_null(funcs);
	bpf_check_share_mem(FUNCS * sizeof(**funcs));
	for (int i = 0; i < 2; i++) {
		env[i].out = &verdict[i];
		while (n[i] < FUNCS && (funcs[i * FUNCS + n[i]] = new_func_state(&env[i], 0, 0, 0)))
			n[i]++;
	}
	assert_int_equal(n[0], FUNCS);
	assert_in_range(n[1], BPF_VERIFIER_OWN_MEM / sizeof(**funcs), FUNCS - 1);
	assert_non_null(strstr(reason_of(env[1].out), "together"));
	for (u32 k = 0; k < FUNCS; k++)
		free_func_state(&env[0], funcs[k]);
	release_shared_mem(&env[0]);
	for (; n[1] < FUNCS; n[1]++) {
		funcs[FUNCS + n[1]] = new_func_state(&env[1], 0, 0, 0);
		assert_non_null(funcs[FUNCS + n[1]]);
	}
	for (u32 k = 0; k < FUNCS; k++)
		free_func_state(&env[1], funcs[FUNCS + k]);
	release_shared_mem(&env[1]);
	bpf_check_share_mem(UINT64_MAX);
	free(funcs);
	free(env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_with_the_program),
		cmocka_unit_test(has_a_limit),
		cmocka_unit_test(is_cancelled),
		cmocka_unit_test(all_checks_share_memory),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
