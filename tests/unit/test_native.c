/*
 * test_native.c - the native code of every instruction
 *
 * rows_*: each row of BPF_OP_TABLE, with all registers and at the edges of its operands, against
 * the model of RFC 9669 (tests/lib/model.c). A row that no test names fails rows_all_covered.
 */
#include "jit/ir/arch.h"
#include "tests/lib/jitprog.h"
#include "tests/lib/model.h"

/* ---- one instruction between loads and stores of all registers */

struct regs { /* the context of such a program */
	u64 in[10], out[10];
	u64 not_taken; /* 1 when a conditional jump fell through */
	u64 fp; /* what R10 was */
	u64 stack; /* [R10 - 400] afterwards */
};

#define STACK_CELL -400

struct seq {
	struct bpf_insn insn[128];
	u32 cnt;
};

static void add(struct seq *s, struct bpf_insn insn)
{
	assert_true(s->cnt < ARRAY_SIZE(s->insn));
	s->insn[s->cnt++] = insn;
}

/* only: the one register that is read afterwards, -1 for all. What is not read may be clobbered. */
static struct bpf_prog *row_prog(const struct bpf_insn *insn, u32 cnt, int only)
{
	struct seq s = {.cnt = 0};

	add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_1, -8));
	for (int k = 9; k >= 0; k--)
		if (k != 1)
			add(&s, BPF_LDX_MEM(BPF_DW, k, BPF_REG_1, 8 * k));
	add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_10, BPF_REG_8, STACK_CELL));
	add(&s, BPF_ST_MEM(BPF_DW, BPF_REG_10, -16, 0));
	add(&s, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_1, 8));
	for (u32 i = 0; i < cnt; i++)
		add(&s, insn[i]);
	add(&s, BPF_ST_MEM(BPF_DW, BPF_REG_10, -16, 1));
	for (int k = 0; k < 10; k++)
		if (only < 0 || k == only)
			add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_10, k, -24 - 8 * k));
	add(&s, BPF_LDX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, -8));
	for (int k = 0; k < 10; k++) {
		if (only >= 0 && k != only)
			continue;
		add(&s, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_10, -24 - 8 * k));
		add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_2, offsetof(struct regs, out[k])));
	}
	add(&s, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_10, -16));
	add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_2, offsetof(struct regs, not_taken)));
	add(&s, BPF_LDX_MEM(BPF_DW, BPF_REG_2, BPF_REG_10, STACK_CELL));
	add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_2, offsetof(struct regs, stack)));
	add(&s, BPF_STX_MEM(BPF_DW, BPF_REG_1, BPF_REG_10, offsetof(struct regs, fp)));
	add(&s, BPF_MOV64_IMM(BPF_REG_0, 77));
	add(&s, BPF_EXIT_INSN());
	return jitprog_compile1(s.insn, s.cnt);
}

static void show(const struct bpf_insn *insn, const struct regs *regs, const struct model *want,
		 int only)
{
	const struct bpf_op_info *info = &bpf_op_info[bpf_insn_decode(insn)];

	print_error("%s dst=r%d src=r%d off=%d imm=%d only=%d fp=%lx taken=%d/%d\n", info->name,
		    insn->dst_reg, insn->src_reg, insn->off, insn->imm, only, (long)regs->fp,
		    !regs->not_taken, want->taken);
	for (int k = 0; k < 10; k++)
		if (only < 0 || k == only)
			print_error("  r%d in %016lx out %016lx want %016lx\n", k,
				    (long)regs->in[k], (long)regs->out[k], (long)want->r[k]);
}

static u64 checks; /* comparisons made, to see that the loops ran */

/* buf: what the instruction may touch; its content is restored before the model runs. */
static void run_row(struct bpf_prog *prog, const struct bpf_insn *insn, int only, struct regs *regs,
		    void *buf, size_t len)
{
	u8 before[256], after[256];
	struct model want = {.taken = false};
	u64 cell = regs->in[8];
	bool bad = false;

	assert_true(len <= sizeof(before));
	memcpy(before, buf, len);
	memset(regs->out, 0x5a, sizeof(regs->out));
	assert_int_equal(bpf_prog_run(prog, regs), 77);
	memcpy(after, buf, len);
	memcpy(buf, before, len);

	memcpy(want.r, regs->in, sizeof(regs->in));
	if (BPF_CLASS(insn->code) >= BPF_LDX && BPF_CLASS(insn->code) <= BPF_STX)
		want.r[10] = (u64)&cell - STACK_CELL;
	else
		want.r[10] = regs->fp;
	assert_int_equal(model_step(&want, insn), 0);
	for (int k = 0; k < 10; k++)
		bad |= (only < 0 || k == only) && regs->out[k] != want.r[k];
	if (BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32)
		bad |= regs->not_taken == want.taken;
	bad |= regs->stack != cell || memcmp(after, buf, len);
	checks++;
	if (bad) {
		show(insn, regs, &want, only);
		fail_msg("native code differs from the model");
	}
}

static u64 edge(u32 i)
{
	return model_edges[i % model_edge_cnt];
}

/*
 * All registers distinct, then dst and src at every pair of edges (every edge when there is one).
 */
static void run_values(const struct bpf_insn *insn, bool has_src, int only)
{
	struct bpf_prog *prog = row_prog(insn, 1, only);
	struct regs regs = {.not_taken = 0};
	u64 none = 0;

	for (u32 a = 0; a < model_edge_cnt; a++) {
		for (u32 b = 0; b < (has_src ? model_edge_cnt : 1); b++) {
			for (int k = 0; k < 10; k++)
				regs.in[k] = 0x1111111111111111ULL * k + a;
			regs.in[insn->dst_reg] = edge(a);
			if (has_src && insn->src_reg < 10 && insn->src_reg != insn->dst_reg)
				regs.in[insn->src_reg] = edge(b);
			run_row(prog, insn, only, &regs, &none, sizeof(none));
		}
	}
	jitprog_free(prog);
}

static bool covered[BPF_OP_MAX];

static bool is_shift(u8 code)
{
	return BPF_OP(code) == BPF_LSH || BPF_OP(code) == BPF_RSH || BPF_OP(code) == BPF_ARSH;
}

static u32 imm_count(const struct bpf_op_info *info)
{
	if (info->imm != OPF_ANY)
		return 1;
	return model_edge_cnt * 2;
}

/* The i-th constant to try: the edges and what lies around powers of two. */
static s32 imm_at(const struct bpf_op_info *info, u32 i)
{
	bool is64 = BPF_CLASS(info->code) == BPF_ALU64;

	if (info->imm != OPF_ANY)
		return info->imm;
	if ((BPF_CLASS(info->code) == BPF_ALU || is64) && is_shift(info->code))
		return i % (is64 ? 64 : 32);
	if (i >= model_edge_cnt) {
		static const s32 more[] = {3,	 5,	6,    9,    10,	     11,  100,
					   128,	 127,	-128, -129, 255,     256, 1000,
					   1024, 65536, 641,  -7,   1000000, -3,  0x7ffffffe};

		return more[i % ARRAY_SIZE(more)];
	}
	return (s32)edge(i);
}

/* What the row allows, for every register. */
static void compute_row(int op, const struct bpf_op_info *info)
{
	bool has_src = info->src == OPF_REG;
	bool jump = BPF_CLASS(info->code) == BPF_JMP || BPF_CLASS(info->code) == BPF_JMP32;

	for (int dst = 0; dst < 10; dst++) {
		for (int src = 0; src < (has_src ? 11 : 1); src++) {
			for (u32 i = 0; i < imm_count(info); i++) {
				struct bpf_insn insn = {
					.code = info->code,
					.dst_reg = dst,
					.src_reg = src,
					.off = jump ? 1 : info->off,
					.imm = imm_at(info, i),
				};

				assert_int_equal(bpf_insn_decode(&insn), op);
				run_values(&insn, has_src, -1);
				run_values(&insn, has_src, dst);
			}
		}
	}
	covered[op] = true;
}

static void compute_rows(u8 class)
{
	checks = 0;
	for (int op = 0; op < BPF_OP_MAX; op++) {
		const struct bpf_op_info *info = &bpf_op_info[op];

		if (BPF_CLASS(info->code) != class || info->dst != OPF_REG)
			continue;
		compute_row(op, info);
	}
	assert_true(checks > 100000);
}

static void rows_alu64(void **state)
{
	compute_rows(BPF_ALU64);
}

static void rows_alu32(void **state)
{
	compute_rows(BPF_ALU);
}

static void rows_jmp(void **state)
{
	compute_rows(BPF_JMP);
}

static void rows_jmp32(void **state)
{
	compute_rows(BPF_JMP32);
}

/*
 * The same without the instructions that old machines lack: shifts go through rcx, products through
 * rax.
 */
static void rows_on_old_machines(void **state)
{
	static const u8 ops[] = {BPF_LSH, BPF_RSH, BPF_ARSH, BPF_DIV, BPF_MOD};

	jit_arch_baseline(true);
	for (int op = 0; op < BPF_OP_MAX; op++) {
		const struct bpf_op_info *info = &bpf_op_info[op];
		u8 class = BPF_CLASS(info->code);

		for (u32 i = 0; i < ARRAY_SIZE(ops); i++)
			if ((class == BPF_ALU || class == BPF_ALU64) &&
			    BPF_OP(info->code) == ops[i])
				compute_row(op, info);
	}
	jit_arch_baseline(false);
}

static void memory_insn(const struct bpf_insn *insn, u8 base, u8 value)
{
	static u8 area[256] __attribute__((aligned(64)));
	struct bpf_prog *prog = row_prog(insn, 1, -1);
	struct regs regs = {.not_taken = 0};

	for (u32 a = 0; a < model_edge_cnt; a++) {
		u64 cell = a & 1 ? edge(a) : edge(a / 2);

		for (u32 i = 0; i < sizeof(area); i++)
			area[i] = i * 37 + a;
		memcpy(area + 128, &cell, 8);
		for (int k = 0; k < 10; k++)
			regs.in[k] = 0x0101010101010101ULL * k + a;
		regs.in[0] = a & 1 ? cell : edge(a * 7); /* cmpxchg: equal half of the time */
		if (value < 10)
			regs.in[value] = edge(a + 5);
		if (base < 10)
			regs.in[base] = (u64)(area + 128) - insn->off;
		run_row(prog, insn, -1, &regs, area, sizeof(area));
	}
	jitprog_free(prog);
}

static void memory_rows(u8 class)
{
	static const s16 offs[] = {0, 8, -8, 120, 128, -128, -136, 0x7ff8, -0x8000};

	checks = 0;
	for (int op = 0; op < BPF_OP_MAX; op++) {
		const struct bpf_op_info *info = &bpf_op_info[op];
		bool load = class == BPF_LDX;
		bool fetch = info->format == BPF_FMT_FETCH || info->format == BPF_FMT_CMPXCHG;

		if (BPF_CLASS(info->code) != class || op == BPF_OP_NOSPEC)
			continue;
		for (int base = 0; base <= 10; base++) {
			for (int value = 0; value <= 10; value++) {
				for (u32 o = 0; o < ARRAY_SIZE(offs); o++) {
					struct bpf_insn insn = {
						.code = info->code,
						.dst_reg = load ? value : base,
						.src_reg = load ? base : value,
						.off = base == 10 ? STACK_CELL : offs[o],
						.imm = info->imm == OPF_ANY ? imm_at(info, value)
									    : info->imm,
					};

					if (class == BPF_ST)
						insn.src_reg = 0;
					if (value == 10 && (load || base == 10 ||
							    (fetch && info->imm != BPF_CMPXCHG)))
						continue; /* would change R10 */
					if (value == 10 && class != BPF_ST)
						continue; /* an address: see fp_as_operand */
					assert_int_equal(bpf_insn_decode(&insn), op);
					memory_insn(&insn, base, class == BPF_ST ? 10 : value);
				}
			}
		}
		covered[op] = true;
	}
	assert_true(checks > 10000);
}

static void rows_ldx(void **state)
{
	memory_rows(BPF_LDX);
}

static void rows_st(void **state)
{
	memory_rows(BPF_ST);
}

static void rows_stx(void **state)
{
	memory_rows(BPF_STX);
}

static void rows_imm64(void **state)
{
	for (u32 i = 0; i < model_edge_cnt; i++) {
		for (int dst = 0; dst < 10; dst++) {
			struct bpf_insn insn[] = {BPF_LD_IMM64(dst, edge(i))};
			struct bpf_prog *prog = row_prog(insn, 2, -1);
			struct regs regs = {.not_taken = 0};
			u64 none = 0;

			run_row(prog, insn, -1, &regs, &none, sizeof(none));
			jitprog_free(prog);
		}
	}
	covered[BPF_OP_LD_IMM64] = true;
}

static void rows_blinded(void **state)
{
	jitprog_blind = true;
	rows_alu64(state);
	rows_alu32(state);
	rows_jmp(state);
	rows_jmp32(state);
	rows_st(state);
	rows_imm64(state);
	jitprog_blind = false;
}

/* The rows that are about control flow, packets and calls have their tests in test_jit.c. */
static void rows_all_covered(void **state)
{
	jitprog_need_jit();
	for (int op = 0; op < BPF_OP_MAX; op++) {
		bool elsewhere = (op >= BPF_OP_LD_ABS_B && op <= BPF_OP_LD_IND_W) ||
				 op == BPF_OP_JA || op == BPF_OP_JA32 || op == BPF_OP_CALL ||
				 op == BPF_OP_EXIT || op == BPF_OP_TAIL_CALL || op == BPF_OP_NOSPEC;

		if (!covered[op] && !elsewhere)
			fail_msg("no test for %s", bpf_op_info[op].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_alu64),
		cmocka_unit_test(rows_alu32),
		cmocka_unit_test(rows_on_old_machines),
		cmocka_unit_test(rows_jmp),
		cmocka_unit_test(rows_jmp32),
		cmocka_unit_test(rows_ldx),
		cmocka_unit_test(rows_st),
		cmocka_unit_test(rows_stx),
		cmocka_unit_test(rows_imm64),
		cmocka_unit_test(rows_blinded),
		cmocka_unit_test(rows_all_covered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
