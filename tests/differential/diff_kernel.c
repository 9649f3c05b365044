/*
 * diff_kernel.c - the running kernel as the oracle
 *
 * Every row of the table of whole programs, every row of the opcode table on boundary operands, and
 * every program that clang made for our tests: the same verdict (what we accept the kernel must
 * accept; what the table says, all do), the same return value, packet and maps from the kernel, our
 * JIT and our interpreter.
 */
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "run/test_run.h"
#include "tests/lib/instance.h"
#include "tests/lib/kernel.h"
#include "tests/lib/testop.h"
#include "tests/lib/testprog.h"
#include "uapi/bpf_insn.h"

static bool have[ENGINE_MAX] = {false, true, true};

static int setup(void **state)
{
	const char *why = kernel_unavailable();

	have[ENGINE_KERNEL] = !why;
	if (why)
		print_message("%s: our engines are compared with the tables alone\n", why);
	return 0;
}

/* Counted instead of failed at once: one run shows all that differs. */
static u32 faults;

#define FAULT(...)                                \
	do {                                      \
		if (faults++ < 40)                \
			print_error(__VA_ARGS__); \
	} while (0)

/* ---- the table of whole programs */

struct outcome {
	int load_err, run_err;
	u32 retval, len;
	u8 data[2048];
	void *maps[TESTPROG_MAPS];
	size_t map_size[TESTPROG_MAPS];
	char *log;
};

static void outcome_of_row(enum engine engine, const struct testprog *row, struct outcome *out)
{
	struct instance *in = instance_of_row(engine, row, 1, &out->load_err);
	struct bpf_test_run run = {
		.data_in = row->data ? row->data : testprog_packet,
		.data_size_in = row->data ? row->data_len : sizeof(testprog_packet),
		.data_out = out->data,
		.data_size_out = sizeof(out->data),
	};

	out->log = strdup(in->log);
	if (!out->load_err) {
		out->run_err = instance_run(in, &run);
		out->retval = run.retval;
		out->len = run.data_size_out;
		for (u32 i = 0; i < testprog_map_cnt(row); i++)
			out->maps[i] = instance_dump(in, i, &out->map_size[i]);
	}
	instance_free(in);
}

static void outcome_free(struct outcome *out)
{
	for (u32 i = 0; i < TESTPROG_MAPS; i++)
		free(out->maps[i]);
	free(out->log);
}

static void check_row(const struct testprog *row, enum engine engine, const struct outcome *out)
{
	const char *who = engine_name(engine);

	if (out->load_err != -row->reject) {
		FAULT("%s, %s: load gives %d, not %d\n%s\n", row->name, who, out->load_err,
		      -row->reject, out->log);
	} else if (row->reject) {
		if (!strstr(out->log, row->why))
			FAULT("%s, %s: the log lacks \"%s\":\n%s\n", row->name, who, row->why,
			      out->log);
	} else if (out->run_err) {
		FAULT("%s, %s: the run gives %d\n", row->name, who, out->run_err);
	} else if (out->retval != row->retval) {
		FAULT("%s, %s: returned %#x, not %#x\n", row->name, who, out->retval, row->retval);
	}
}

static void compare_outcomes(const struct testprog *row, const char *who, const struct outcome *a,
			     const struct outcome *b)
{
	if (a->load_err || b->load_err || a->run_err || b->run_err)
		return;
	if (a->len != b->len || memcmp(a->data, b->data, min(a->len, (u32)sizeof(a->data))))
		FAULT("%s, %s: another packet came out\n", row->name, who);
	for (u32 i = 0; i < TESTPROG_MAPS; i++)
		if (a->map_size[i] != b->map_size[i] ||
		    (a->map_size[i] && memcmp(a->maps[i], b->maps[i], a->map_size[i])))
			FAULT("%s, %s: map %u holds something else\n", row->name, who, i);
}

static void test_table(void **state)
{
	faults = 0;
	for (u32 i = 0; i < testprog_cnt; i++) {
		struct outcome out[ENGINE_MAX] = {0};
		int first = -1;

		for (int e = 0; e < ENGINE_MAX; e++) {
			if (!have[e])
				continue;
			outcome_of_row(e, &testprogs[i], &out[e]);
			check_row(&testprogs[i], e, &out[e]);
			if (first >= 0)
				compare_outcomes(&testprogs[i], engine_name(e), &out[first],
						 &out[e]);
			first = first < 0 ? e : first;
		}
		for (int e = 0; e < ENGINE_MAX; e++)
			outcome_free(&out[e]);
	}
	print_message("%u programs\n", testprog_cnt);
	assert_int_equal(faults, 0);
}

/* ---- the opcode table */

struct op_run {
	enum engine engine;
	u32 runs;
};

static void run_op(const struct testop *op, void *priv)
{
	struct bpf_insn buf[TESTOP_MAX_INSNS];
	struct op_run *r = priv;
	struct instance *in = instance_new(r->engine, NULL, 0);
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "op",
		.license = "GPL",
		.insns = buf,
		.insn_cnt = testop_build(op, TESTOP_TC, buf),
	};
	int err = instance_load(in, &attr, 0);

	if (op->raw_only != (err == -EINVAL) || (err && !op->raw_only)) {
		FAULT("%s, %s: load gives %d\n", testop_name(op), engine_name(r->engine), err);
		instance_free(in);
		return;
	}
	for (u32 i = 0; i < op->pair_cnt && !err; i++) {
		struct testop_packet pkt = {.a = op->pairs[i][0], .b = op->pairs[i][1]}, got;
		struct bpf_test_run run = {
			.data_in = &pkt,
			.data_size_in = sizeof(pkt),
			.data_out = &got,
			.data_size_out = sizeof(got),
		};
		struct testop_out want;

		testop_expect(op, pkt.a, pkt.b, &want);
		if (instance_run(in, &run) || run.retval || memcmp(&want, &got.out, sizeof(want))) {
			FAULT("%s on %#llx, %#llx: %s differs\n", testop_name(op),
			      (unsigned long long)pkt.a, (unsigned long long)pkt.b,
			      engine_name(r->engine));
			break;
		}
		r->runs++;
	}
	instance_free(in);
}

static void run_ops(enum engine engine)
{
	struct op_run r = {.engine = engine};
	u32 ops;

	if (!have[engine]) {
		print_message("%s\n", kernel_unavailable());
		skip();
	}
	faults = 0;
	ops = testop_each(TESTOP_OPERANDS | TESTOP_REGISTERS, run_op, &r);
	print_message("%s: %u operations, %u runs\n", engine_name(engine), ops, r.runs);
	assert_int_equal(faults, 0);
}

static void test_ops_kernel(void **state)
{
	run_ops(ENGINE_KERNEL);
}

static void test_ops_jit(void **state)
{
	run_ops(ENGINE_JIT);
}

static void test_ops_interpreter(void **state)
{
	run_ops(ENGINE_INTERP);
}

/*
 * ---- where we differ: stack that the program never wrote reads as zeros, not as what lies there
 */

/* What a program run after this finds on the native stack if nobody cleans it. */
static __attribute__((noinline)) void dirty_stack(void)
{
	volatile u8 area[32768];

	for (u32 i = 0; i < sizeof(area); i++)
		area[i] = 0xaa;
}

static u32 run_dirty(enum engine engine, const struct bpf_insn *insns, u32 cnt)
{
	struct instance *in = instance_new(engine, NULL, 0);
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "dirty",
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
	};
	struct bpf_test_run run = {
		.data_in = testprog_packet,
		.data_size_in = sizeof(testprog_packet),
	};

	assert_int_equal(instance_load(in, &attr, 0), 0);
	dirty_stack();
	assert_int_equal(instance_run(in, &run), 0);
	instance_free(in);
	return run.retval;
}

static void test_unwritten_stack(void **state)
{
	/* ORs all of its stack, and all of a subprogram's. */
	struct bpf_insn all[2 * 64 * 2 + 8];
	u32 n = 0;
	/* One way to the load writes, the other does not: the second is pruned. */
	static const struct bpf_insn pruned[] = {
		BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, 0), /* len */
		BPF_LDX_MEM(BPF_W, BPF_REG_3, BPF_REG_1, 8),
		BPF_JMP_IMM(BPF_JGT, BPF_REG_2, 5, 1),
		BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_3, -8),
		BPF_MOV64_IMM(BPF_REG_2, 0),
		BPF_MOV64_IMM(BPF_REG_3, 0),
		BPF_JMP_A(0),
		BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_10, -8),
		BPF_EXIT_INSN(),
	};

	for (int func = 0; func < 2; func++) {
		all[n++] = BPF_MOV64_IMM(BPF_REG_6, 0);
		if (!func)
			all[n++] = BPF_CALL_REL(2 * 32 + 3);
		if (!func)
			all[n++] = BPF_MOV64_REG(BPF_REG_6, BPF_REG_0);
		for (int off = -256; off < 0; off += 8) {
			all[n++] = BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, off);
			all[n++] = BPF_ALU64_REG(BPF_OR, BPF_REG_6, BPF_REG_1);
		}
		all[n++] = BPF_MOV64_REG(BPF_REG_0, BPF_REG_6);
		all[n++] = BPF_EXIT_INSN();
	}
	for (int e = ENGINE_JIT; e < ENGINE_MAX; e++) {
		assert_int_equal(run_dirty(e, all, n), 0);
		assert_int_equal(run_dirty(e, pruned, ARRAY_SIZE(pruned)), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),		cmocka_unit_test(test_ops_kernel),
		cmocka_unit_test(test_ops_jit),		cmocka_unit_test(test_ops_interpreter),
		cmocka_unit_test(test_unwritten_stack),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
