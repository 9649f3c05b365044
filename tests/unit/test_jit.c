/*
 * test_jit.c - the native code of every instruction, and the memory that it lives in
 *
 * rows_*: each row of BPF_OP_TABLE, with all registers and at the edges of its operands, against the model of RFC 9669
 * (tests/lib/model.c) and the interpreter. A row that no test names fails `rows_all_covered`.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <capstone/capstone.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "core/run.h"
#include "jit/arch.h"
#include "jit/execmem.h"
#include "jit/jit.h"
#include "prog_type/skb.h"
#include "tests/lib/model.h"
#include "uapi/bpf_insn.h"

/* ---- programs by hand: what load.c would make of verified instructions */

struct sub {
	u32 start, stack_depth;
};

static struct bpf_prog *make_subs(const struct bpf_insn *insns, u32 cnt, const struct sub *subs,
				  u32 sub_cnt)
{
	struct bpf_prog *prog = calloc(1, sizeof(*prog));

	assert_non_null(prog);
	prog->insnsi = malloc(cnt * sizeof(*insns));
	memcpy(prog->insnsi, insns, cnt * sizeof(*insns));
	prog->len = cnt;
	prog->subprogs = calloc(sub_cnt, sizeof(*prog->subprogs));
	prog->subprog_cnt = sub_cnt;
	for (u32 i = 0; i < sub_cnt; i++) {
		prog->subprogs[i].start = subs[i].start;
		prog->subprogs[i].stack_depth = subs[i].stack_depth;
	}
	for (u32 i = 0; i < cnt; i++)
		prog->has_tail_call |= insns[i].code == (BPF_JMP | BPF_TAIL_CALL);
	return prog;
}

static struct bpf_prog *make(const struct bpf_insn *insns, u32 cnt)
{
	return make_subs(insns, cnt, &(struct sub){0, MAX_BPF_STACK}, 1);
}

static void drop(struct bpf_prog *prog)
{
	bpf_jit_free(prog);
	free(prog->interp);
	free(prog->insnsi);
	free(prog->subprogs);
	free(prog);
}

static struct bpf_prog *jit_subs(const struct bpf_insn *insns, u32 cnt, const struct sub *subs,
				 u32 sub_cnt)
{
	struct bpf_prog *prog = make_subs(insns, cnt, subs, sub_cnt);

	assert_int_equal(bpf_jit_compile(prog), 0);
	return prog;
}

static struct bpf_prog *jit(const struct bpf_insn *insns, u32 cnt)
{
	return jit_subs(insns, cnt, &(struct sub){0, MAX_BPF_STACK}, 1);
}

/* Compile, run once natively and once interpreted, free; both must agree. */
static u64 run_subs(const struct bpf_insn *insns, u32 cnt, const struct sub *subs, u32 sub_cnt,
		    const void *ctx)
{
	struct bpf_prog *prog = jit_subs(insns, cnt, subs, sub_cnt);
	u64 ret = bpf_prog_run(prog, ctx);

	assert_int_equal(bpf_interp_prepare(prog), 0);
	assert_int_equal(ret, bpf_interp_run(ctx, prog));
	drop(prog);
	return ret;
}

#define RUN(ctx, ...)                                                                  \
	({                                                                             \
		const struct bpf_insn _p[] = {__VA_ARGS__};                            \
		run_subs(_p, ARRAY_SIZE(_p), &(struct sub){0, MAX_BPF_STACK}, 1, ctx); \
	})

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
	return jit(s.insn, s.cnt);
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

/* All registers distinct, then dst and src at every pair of edges (every edge when there is one). */
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
	drop(prog);
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

/* The same without the instructions that old machines lack: shifts go through rcx, products through rax. */
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
	drop(prog);
}

static void memory_rows(u8 class)
{
	static const s16 offs[] = {0, 8, -8, 120, 128, -128, -136, 0x7ff8, -0x8000};

	checks = 0;
	for (int op = 0; op < BPF_OP_MAX; op++) {
		const struct bpf_op_info *info = &bpf_op_info[op];
		bool load = class == BPF_LDX;
		bool fetch = info->format == BPF_FMT_ATOMIC && info->imm & BPF_FETCH;

		if (BPF_CLASS(info->code) != class)
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
			drop(prog);
		}
	}
	covered[BPF_OP_LD_IMM64] = true;
}

/* Calls the native code as C does and sees whether the registers that C keeps are kept. */
static u64 call_keeping(const struct bpf_prog *prog, const void *ctx)
{
	register u64 rbx __asm__("rbx") = 0x1b, r12 __asm__("r12") = 0x12;
	register u64 r13 __asm__("r13") = 0x13, r14 __asm__("r14") = 0x14;
	register u64 r15 __asm__("r15") = 0x15;
	u64 ret;

	__asm__ volatile("call *%[f]"
			 : "=a"(ret), "+r"(rbx), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15),
			   "+D"(ctx)
			 : [f] "m"(prog->bpf_func)
			 : "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
	assert_true(rbx == 0x1b && r12 == 0x12 && r13 == 0x13 && r14 == 0x14 && r15 == 0x15);
	return ret;
}

/* ---- control flow */

static void jumps_always(void **state)
{
	covered[BPF_OP_JA] = covered[BPF_OP_JA32] = true;
	assert_int_equal(
		RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP_A(1), BPF_MOV64_IMM(0, 2), BPF_EXIT_INSN()),
		1);
	assert_int_equal(RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP32_A(1), BPF_MOV64_IMM(0, 2),
			     BPF_EXIT_INSN()),
			 1);
	/* to the next instruction, backward, and back to the very first one */
	assert_int_equal(
		RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP_A(0), BPF_JMP32_A(0), BPF_EXIT_INSN()), 1);
	assert_int_equal(RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP_A(2), BPF_ALU64_IMM(BPF_ADD, 0, 5),
			     BPF_EXIT_INSN(), BPF_JMP32_A(-3)),
			 6);
}

/* A jump to the first instruction does not enter the function again. */
static void jumps_to_first(void **state)
{
	const struct bpf_insn p[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_IMM(BPF_SUB, 0, 1),
		BPF_STX_MEM(BPF_DW, 1, 0, 0),
		BPF_MOV64_REG(6, 0),
		BPF_JMP_IMM(BPF_JSGT, 0, 0, -5),
		BPF_MOV64_IMM(0, 3),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jit(p, ARRAY_SIZE(p));
	u64 n = 100000; /* frames, if each jump made one, would not fit on the stack */

	assert_int_equal(call_keeping(prog, &n), 3);
	assert_int_equal(n, 0);
	drop(prog);
}

/* Distances around every boundary between short and long jumps, in both directions. */
static void jumps_of_all_lengths(void **state)
{
	static struct bpf_insn p[40000];

	for (u32 fill = 0; fill < 33000; fill += fill < 80 ? 1 : fill < 32000 ? 6311 : 100) {
		bool far = fill > 32700;
		u32 n = 0;
		u64 ctx;

		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 2, 1, 0);
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 1);
		if (far) {
			p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JNE, 2, 7, 1);
			p[n++] = (struct bpf_insn)BPF_JMP32_A(fill + 3);
		} else {
			p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JEQ, 2, 7, fill + 1);
		}
		for (u32 i = 0; i < fill; i++)
			p[n++] = (struct bpf_insn)BPF_ALU32_IMM(BPF_ADD, 0, i & 1 ? 1 : 1000);
		if (far) {
			p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JNE, 2, 9, 2);
			p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 2, 1);
			p[n++] = (struct bpf_insn)BPF_JMP32_A(-(s32)fill - 3);
		} else {
			p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 2, 1);
			p[n - 1] = (struct bpf_insn)BPF_EXIT_INSN();
		}
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
		ctx = 7;
		assert_int_equal(run_subs(p, n, &(struct sub){0, 0}, 1, &ctx), 1);
		ctx = 8;
		assert_int_equal(run_subs(p, n, &(struct sub){0, 0}, 1, &ctx),
				 1 + fill / 2 + (u64)(fill - fill / 2) * 1000);
		ctx = 9;
		assert_int_equal(run_subs(p, n, &(struct sub){0, 0}, 1, &ctx),
				 1 + (far ? 2 : 1) * (fill / 2 + (u64)(fill - fill / 2) * 1000));
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* 120,000 blocks that run from the last to the first, and R6 is read in the very last. */
static void jumps_backward_all_the_way(void **state)
{
	u32 blocks = 120000, n = 0;
	struct bpf_insn *p = malloc((blocks * 2 + 8) * sizeof(*p));
	double start;

	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6, 7);
	p[n++] = (struct bpf_insn)BPF_JMP32_A(blocks * 2);
	p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6);
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	for (u32 i = 0; i < blocks; i++) {
		p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 1);
		p[n++] = (struct bpf_insn)BPF_JMP_A(-4);
	}
	start = seconds();
	struct bpf_prog *prog = jit(p, n);

	assert_true(seconds() - start < 5);
	assert_int_equal(bpf_prog_run(prog, NULL), blocks + 7);
	drop(prog);
	free(p);
}

/* Each jump spans 124 bytes, and more when one of the twelve inside of it is long; the last one has to be. */
static void jumps_that_grow_one_by_one(void **state)
{
	u32 cnt = 600000, n = 0;
	struct bpf_insn *p = malloc(cnt * sizeof(*p));
	double start;

	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	while (n < cnt - 64) {
		p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JEQ, 0, 1, 25);
		p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 4);
	}
	while (n < cnt - 1)
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(1, -1);
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	start = seconds();
	struct bpf_prog *prog = jit(p, n);

	assert_true(seconds() - start < 5);
	assert_int_equal(bpf_prog_run(prog, NULL), (cnt - 64) / 2 * 4);
	drop(prog);
	free(p);
}

/* ---- calls */

static u64 helper_args(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	/* C code may use aligned vector stores on its frame. */
	assert_int_equal((u64)__builtin_frame_address(0) & 15, 0);
	return a + 10 * b + 100 * c + 1000 * d + 10000 * e;
}

#define CALL_C(f) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_CALL_IMM(f))

static void calls_helper(void **state)
{
	covered[BPF_OP_CALL] = covered[BPF_OP_EXIT] = true;
	/* with 0 to 4 registers to keep, and stacks of every alignment */
	for (u32 depth = 0; depth <= MAX_BPF_STACK; depth += 8) {
		for (int keep = 0; keep <= 4; keep++) {
			struct bpf_insn p[32];
			u32 n = 0;

			for (int k = 0; k < keep; k++)
				p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6 + k, 100 + k);
			for (int k = 1; k <= 5; k++)
				p[n++] = (struct bpf_insn)BPF_MOV64_IMM(k, k);
			p[n++] = (struct bpf_insn)CALL_C(helper_args);
			for (int k = 0; k < keep; k++)
				p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6 + k);
			p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
			assert_int_equal(run_subs(p, n, &(struct sub){0, depth}, 1, NULL),
					 54321 + keep * 100 + keep * (keep - 1) / 2);
		}
	}
}

static void calls_keep_c_registers(void **state)
{
	for (u32 mask = 0; mask < 16; mask++) {
		struct bpf_insn p[16];
		struct bpf_prog *prog;
		u32 n = 0;

		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
		for (int k = 0; k < 4; k++)
			if (mask >> k & 1) {
				p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6 + k, 1 << k);
				p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6 + k);
			}
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
		prog = jit(p, n);
		assert_int_equal(call_keeping(prog, NULL), mask);
		drop(prog);
	}
}

/* Eight frames, each with its own 512 bytes and its own R6 to R9. */
static void calls_nested(void **state)
{
	struct bpf_insn p[128];
	struct sub subs[8];
	u32 n = 0;

	for (u32 f = 0; f < 8; f++) {
		subs[f] = (struct sub){n, MAX_BPF_STACK};
		if (!f)
			p[n++] = (struct bpf_insn)BPF_MOV64_IMM(1, 3);
		p[n++] = (struct bpf_insn)BPF_MOV64_REG(6 + f % 4, 1);
		p[n++] = (struct bpf_insn)BPF_STX_MEM(BPF_DW, 10, 1, -512);
		p[n++] = (struct bpf_insn)BPF_STX_MEM(BPF_DW, 10, 1, -8);
		p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_MUL, 1, 3);
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
		if (f < 7) {
			p[n] = (struct bpf_insn)BPF_CALL_REL(7);
			n++;
		}
		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 2, 10, -512);
		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 3, 10, -8);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 2);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 3);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6 + f % 4);
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	}
	for (u32 f = 0; f < 7; f++) /* the call is the sixth before the last of each frame */
		for (u32 i = subs[f].start; i < subs[f + 1].start; i++)
			if (bpf_insn_is_pseudo_call(&p[i]))
				p[i].imm = subs[f + 1].start - i - 1;
	/* 3 * (3 + 9 + ... + 3^8) */
	assert_int_equal(run_subs(p, n, subs, 8, NULL), 3 * ((6561 * 3 - 3) / 2));
}

static void calls_many_subprogs(void **state)
{
	static struct bpf_insn p[256 * 4 + 512];
	static struct sub subs[256];
	u32 n = 0;

	subs[0] = (struct sub){0, 0};
	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6, 0);
	for (u32 f = 1; f < 256; f++) {
		p[n] = (struct bpf_insn)BPF_CALL_REL(255 * 2 + 3 + (f - 1) * 2 - n - 1);
		n++;
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 6, 0);
	}
	p[n++] = (struct bpf_insn)BPF_MOV64_REG(0, 6);
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	assert_int_equal(n, 255 * 2 + 3);
	for (u32 f = 1; f < 256; f++) {
		subs[f] = (struct sub){n, 0};
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, f);
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	}
	assert_int_equal(run_subs(p, n, subs, 256, NULL), 255 * 256 / 2);
}

/* R10 where an operand is wanted: compared, added, subtracted, stored. */
static void fp_as_operand(void **state)
{
	for (int keep = 0; keep < 2;
	     keep++) { /* with and without a register saved above the stack */
		struct bpf_insn save = keep ? (struct bpf_insn)BPF_MOV64_IMM(6, 1)
					    : (struct bpf_insn)BPF_MOV64_IMM(5, 1);

		assert_int_equal(RUN(NULL, save, BPF_MOV64_REG(2, 10),
				     BPF_ALU64_IMM(BPF_ADD, 2, -16), BPF_MOV64_REG(3, 10),
				     BPF_ALU64_REG(BPF_SUB, 3, 2), BPF_MOV64_IMM(0, -16),
				     BPF_ALU64_REG(BPF_ADD, 0, 10), BPF_ALU64_REG(BPF_SUB, 0, 2),
				     BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_JMP_REG(BPF_JGT, 10, 2, 1),
				     BPF_MOV64_IMM(0, -1), BPF_JMP_REG(BPF_JLT, 2, 10, 1),
				     BPF_MOV64_IMM(0, -2), BPF_JMP_IMM(BPF_JNE, 10, 0, 1),
				     BPF_MOV64_IMM(0, -3), BPF_JMP_IMM(BPF_JSET, 10, -8, 1),
				     BPF_MOV64_IMM(0, -4), BPF_EXIT_INSN()),
				 16);
		assert_int_equal(RUN(NULL, save, BPF_STX_MEM(BPF_DW, 10, 10, -8),
				     BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_ALU64_REG(BPF_SUB, 0, 10),
				     BPF_EXIT_INSN()),
				 0);
		assert_int_equal(RUN(NULL, save, BPF_ST_MEM(BPF_DW, 10, -8, 5),
				     BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 10, 10, -8),
				     BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_ALU64_REG(BPF_SUB, 0, 10),
				     BPF_EXIT_INSN()),
				 5);
		assert_int_equal(RUN(NULL, save, BPF_ST_MEM(BPF_DW, 10, -8, 5), BPF_MOV64_IMM(0, 5),
				     BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, 10, 10, -8),
				     BPF_LDX_MEM(BPF_DW, 1, 10, -8), BPF_ALU64_REG(BPF_SUB, 1, 10),
				     BPF_ALU64_REG(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
				 5);
	}
}

/* The address of a subprogram, as callbacks are passed, can be called by C. */
static u64 helper_callback(u64 func, u64 arg, u64 c, u64 d, u64 e)
{
	return ((u64(*)(u64))func)(arg) + 1;
}

static void calls_callback(void **state)
{
	const struct bpf_insn p[] = {
		BPF_LD_IMM64_RAW_FULL(1, BPF_PSEUDO_FUNC, 0, 0, 4, 0),
		BPF_MOV64_IMM(2, 20),
		CALL_C(helper_callback),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(6, 1),
		BPF_MOV64_REG(0, 6),
		BPF_ALU64_IMM(BPF_MUL, 0, 2),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jit_subs(p, ARRAY_SIZE(p), (struct sub[]){{0, 0}, {5, 8}}, 2);

	assert_int_equal(bpf_prog_run(prog, NULL), 41);
	drop(prog);
}

/* ---- tail calls */

static struct bpf_map *make_prog_array(u32 max_entries)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = max_entries};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

/* A counted program with an id, so that an array can hold it. */
static struct bpf_prog *jit_counted(const struct bpf_insn *insns, u32 cnt, const struct sub *subs,
				    u32 sub_cnt)
{
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
					  .name = "tail",
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = cnt};
	struct bpf_prog *raw = make_subs(insns, cnt, subs, sub_cnt), *prog = bpf_prog_alloc(&attr);

	assert_non_null(prog);
	free(prog->subprogs);
	prog->insnsi = raw->insnsi;
	prog->len = raw->len;
	prog->subprogs = raw->subprogs;
	prog->subprog_cnt = raw->subprog_cnt;
	prog->has_tail_call = raw->has_tail_call;
	free(raw);
	assert_int_equal(bpf_jit_compile(prog), 0);
	assert_int_equal(bpf_prog_publish(prog), 0);
	return prog;
}

static void set_slot(struct bpf_map *map, u32 slot, const struct bpf_prog *prog)
{
	assert_int_equal(bpf_map_update(map, &slot, &prog->id, 0), 0);
}

static u64 run_in_section(const struct bpf_prog *prog, const void *ctx)
{
	u64 ret;

	bpf_run_enter();
	ret = call_keeping(prog, ctx);
	bpf_run_exit();
	return ret;
}

static void clear_slot(struct bpf_map *map, u32 slot)
{
	assert_int_equal(bpf_map_delete(map, &slot), 0);
}

#define TAIL(map, index)                                                     \
	BPF_LD_IMM64(2, (u64)(map)), BPF_LD_IMM64(3, 0x500000000 + (index)), \
		BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0)

/* Taken with the context and all frames undone; not taken: goes on. */
static void tail_calls(void **state)
{
	struct bpf_map *map = make_prog_array(4);
	const struct bpf_insn target[] = {
		BPF_MOV64_IMM(6, 1),
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 6),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn caller[] = {
		BPF_MOV64_REG(7, 1),
		BPF_MOV64_IMM(8, 9),
		BPF_MOV64_IMM(9, 9),
		BPF_LDX_MEM(BPF_DW, 6, 1, 8),
		BPF_LD_IMM64(2, (u64)map),
		BPF_MOV64_REG(3, 6),
		BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0),
		BPF_LDX_MEM(BPF_DW, 0, 7, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 8),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *b = jit_counted(target, ARRAY_SIZE(target), &(struct sub){0, 24}, 1);
	struct bpf_prog *a = jit_counted(caller, ARRAY_SIZE(caller), &(struct sub){0, 40}, 1);
	u64 ctx[2] = {100, 2};

	set_slot(map, 2, b);
	assert_int_equal(run_in_section(a, ctx), 101);
	ctx[1] = 0x700000002; /* the index is 32 bits */
	assert_int_equal(run_in_section(a, ctx), 101);
	ctx[1] = 1; /* empty */
	assert_int_equal(run_in_section(a, ctx), 109);
	ctx[1] = 4; /* beyond the end */
	assert_int_equal(run_in_section(a, ctx), 109);
	ctx[1] = UINT32_MAX;
	assert_int_equal(run_in_section(a, ctx), 109);
	clear_slot(map, 2);
	bpf_prog_put(a);
	bpf_prog_put(b);
	bpf_map_put(map);
	covered[BPF_OP_TAIL_CALL] = true;
}

/* 33 of them a run, and a run starts at zero again. */
static void tail_calls_are_limited(void **state)
{
	struct bpf_map *map = make_prog_array(1);
	const struct bpf_insn self[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_IMM(BPF_ADD, 0, 1),
		BPF_STX_MEM(BPF_DW, 1, 0, 0),
		BPF_MOV64_REG(6, 1),
		TAIL(map, 0),
		BPF_LDX_MEM(BPF_DW, 0, 6, 0),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jit_counted(self, ARRAY_SIZE(self), &(struct sub){0, 512}, 1);

	set_slot(map, 0, prog);
	for (int i = 0; i < 3; i++) {
		u64 n = 0;

		assert_int_equal(run_in_section(prog, &n), MAX_TAIL_CALL_CNT + 1);
	}
	clear_slot(map, 0);
	bpf_prog_put(prog);
	bpf_map_put(map);
}

/* From a subprogram: only its frame goes, and the counter is the run's. */
static void tail_calls_in_subprog(void **state)
{
	struct bpf_map *map = make_prog_array(1);
	const struct bpf_insn main_sub[] = {
		BPF_MOV64_REG(6, 1), /* calls it twice */
		BPF_CALL_REL(5),
		BPF_MOV64_REG(7, 0),
		BPF_MOV64_REG(1, 6),
		BPF_CALL_REL(2),
		BPF_ALU64_REG(BPF_ADD, 0, 7),
		BPF_EXIT_INSN(),
		BPF_LDX_MEM(BPF_DW, 6, 1, 0),
		BPF_ALU64_IMM(BPF_ADD, 6, 1),
		BPF_STX_MEM(BPF_DW, 1, 6, 0),
		TAIL(map, 0),
		BPF_MOV64_IMM(0, 1000),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog =
		jit_counted(main_sub, ARRAY_SIZE(main_sub), (struct sub[]){{0, 8}, {7, 64}}, 2);
	u64 n = 0;

	set_slot(map, 0, prog);
	/* each level runs main, which calls the subprogram twice: both chains share the 33 */
	assert_int_equal(run_in_section(prog, &n), 1000 * 35);
	assert_int_equal(n, 33 + 35);
	clear_slot(map, 0);
	bpf_prog_put(prog);
	bpf_map_put(map);
}

/* Programs that keep the count in a register and such that keep it in memory count together. */
static void tail_calls_count_together(void **state)
{
	struct bpf_map *map = make_prog_array(2);
	const struct bpf_insn leaf[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0), BPF_ALU64_IMM(BPF_ADD, 0, 1),
		BPF_STX_MEM(BPF_DW, 1, 0, 0), TAIL(map, 1),
		BPF_MOV64_IMM(0, 1),	      BPF_EXIT_INSN(),
	};
	const struct bpf_insn calls[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_IMM(BPF_ADD, 0, 1000),
		BPF_STX_MEM(BPF_DW, 1, 0, 0),
		BPF_MOV64_REG(6, 1),
		BPF_MOV64_IMM(2, 0),
		BPF_MOV64_IMM(3, 0),
		BPF_MOV64_IMM(4, 0),
		BPF_MOV64_IMM(5, 0),
		CALL_C(helper_args),
		BPF_MOV64_REG(1, 6),
		TAIL(map, 0),
		BPF_MOV64_IMM(0, 2),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *a = jit_counted(leaf, ARRAY_SIZE(leaf), &(struct sub){0, 0}, 1);
	struct bpf_prog *b = jit_counted(calls, ARRAY_SIZE(calls), &(struct sub){0, 8}, 1);
	u64 n = 0;

	set_slot(map, 0, a);
	set_slot(map, 1, b);
	assert_int_equal(run_in_section(a, &n), 2); /* 33 of them: the 34th program is a b */
	assert_int_equal(n, 17 * 1001);
	n = 0;
	assert_int_equal(run_in_section(b, &n), 1);
	assert_int_equal(n, 17 * 1001);
	clear_slot(map, 0);
	clear_slot(map, 1);
	bpf_prog_put(a);
	bpf_prog_put(b);
	bpf_map_put(map);
}

/* ---- classic packet loads */

struct packet {
	struct bpf_skb skb;
	u8 buf[64];
};

static void make_packet(struct packet *p)
{
	for (u32 i = 0; i < sizeof(p->buf); i++)
		p->buf[i] = 0x80 + i;
	bpf_skb_init(&p->skb, p->buf, sizeof(p->buf), 0, sizeof(p->buf));
}

static u64 packet_value(const struct packet *p, u32 off, u32 size)
{
	u64 v = 0;

	for (u32 i = 0; i < size; i++)
		v = v << 8 | p->buf[off + i];
	return v;
}

static void packet_loads(void **state)
{
	static const u8 sizes[] = {BPF_B, BPF_H, BPF_W};
	struct packet p;

	make_packet(&p);
	for (int s = 0; s < 3; s++) {
		u32 bytes = bpf_size_to_bytes(sizes[s]);

		for (u32 off = 0; off < 70; off += 3) {
			bool in = off + bytes <= sizeof(p.buf);
			u64 want = in ? packet_value(&p, off, bytes) + 1 : 0;

			assert_int_equal(RUN(&p.skb, BPF_MOV64_REG(6, 1), BPF_LD_ABS(sizes[s], off),
					     BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
					 want);
			for (int src = 1; src < 10; src++) {
				if (src == 6)
					continue;
				assert_int_equal(RUN(&p.skb, BPF_MOV64_REG(6, 1),
						     BPF_LD_IMM64(src, 0xf00000000 + off - 1),
						     BPF_LD_IND(sizes[s], src, 1),
						     BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
						 want);
			}
		}
	}
	for (int op = BPF_OP_LD_ABS_B; op <= BPF_OP_LD_IND_W; op++)
		covered[op] = true;
}

/* A load outside of the packet leaves the subprogram that it stands in, with 0, and keeps R6 to R9. */
static void packet_load_fails_in_subprog(void **state)
{
	const struct bpf_insn p[] = {
		BPF_MOV64_IMM(7, 40),
		BPF_CALL_REL(3),
		BPF_ALU64_REG(BPF_ADD, 0, 7),
		BPF_ALU64_IMM(BPF_ADD, 0, 2),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(6, 1),
		BPF_MOV64_IMM(7, 1),
		BPF_LD_ABS(BPF_W, 1000),
		BPF_MOV64_IMM(0, 5),
		BPF_EXIT_INSN(),
	};
	struct packet packet;

	make_packet(&packet);
	assert_int_equal(
		run_subs(p, ARRAY_SIZE(p), (struct sub[]){{0, 16}, {5, 32}}, 2, &packet.skb), 42);
}

/* ---- what is not a program */

static void refuses_broken_code(void **state)
{
	static const struct {
		struct bpf_insn insn[4];
		u32 cnt, sub;
	} bad[] = {
		{{BPF_MOV64_IMM(0, 0)}, 1, 0}, /* falls off */
		{{BPF_JMP_A(1), BPF_EXIT_INSN()}, 2, 0}, /* beyond the end */
		{{BPF_JMP_A(-2), BPF_EXIT_INSN()}, 2, 0},
		{{BPF_JMP_A(1), BPF_LD_IMM64(0, 1), BPF_EXIT_INSN()}, 4, 0}, /* into a constant */
		{{BPF_MOV64_IMM(10, 0), BPF_EXIT_INSN()}, 2, 0}, /* R10 is read-only */
		{{BPF_RAW_INSN(0xff, 0, 0, 0, 0), BPF_EXIT_INSN()}, 2, 0},
		{{BPF_CALL_REL(0), BPF_EXIT_INSN()}, 2, 0}, /* no subprogram there */
		{{BPF_JMP_A(1), BPF_EXIT_INSN(), BPF_EXIT_INSN()}, 3, 2}, /* into another one */
		{{BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 1),
		  BPF_EXIT_INSN()},
		 2,
		 0},
		{{BPF_LD_IMM64(0, 1)}, 1, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct bpf_prog *prog = make_subs(bad[i].insn, bad[i].cnt,
						  (struct sub[]){{0, 0}, {bad[i].sub, 0}},
						  bad[i].sub ? 2 : 1);

		assert_int_equal(bpf_jit_compile(prog), -EINVAL);
		assert_null(prog->jit);
		assert_null(prog->bpf_func);
		drop(prog);
	}
}

/* ---- memory */

/* Guarantee A: nothing that is mapped is writable and executable, and code is not writable. */
static void check_maps(const void *code)
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512], perms[5];
	u64 start, end;
	bool found = false;

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		assert_int_equal(sscanf(line, "%lx-%lx %4s", &start, &end, perms), 3);
		assert_false(perms[1] == 'w' && perms[2] == 'x');
		if ((u64)code >= start && (u64)code < end) {
			found = true;
			assert_string_equal(perms, "r-xs");
		}
		if (strstr(line, "bpf-jit"))
			assert_int_equal(perms[1], '-');
	}
	fclose(f);
	assert_true(found);
}

static const struct bpf_insn return_5[] = {BPF_MOV64_IMM(0, 5), BPF_EXIT_INSN()};

static u64 helper_maps(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	struct bpf_prog *other = jit(return_5, 2);

	check_maps(__builtin_return_address(0));
	drop(other);
	check_maps(__builtin_return_address(0));
	return 9;
}

static void execmem_w_xor_x(void **state)
{
	/* also while a program runs and others come and go on its page */
	const struct bpf_insn p[] = {CALL_C(helper_maps), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jit(p, 2);
	u32 len;

	check_maps(bpf_jit_code(prog, &len));
	assert_int_equal(bpf_prog_run(prog, NULL), 9);
	drop(prog);
}

static void execmem_near_text(void **state)
{
	const struct bpf_insn p[] = {CALL_C(helper_args), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jit(p, 2);
	s64 d = (s64)((u64)prog->bpf_func - (u64)helper_args);
	u32 len;
	const u8 *code = bpf_jit_code(prog, &len);
	bool near = false;

	assert_true(d == (s32)d);
	for (u32 i = 0; i + 5 <= len; i++) {
		s32 rel;

		memcpy(&rel, code + i + 1, 4);
		near |= code[i] == 0xe8 && (u64)(code + i + 5) + rel == (u64)helper_args;
	}
	assert_true(near);
	drop(prog);
}

/* Freed code is traps, and its room is used again. */
static void execmem_reuse(void **state)
{
	struct bpf_prog *a = jit(return_5, 2), *b = jit(return_5, 2), *again;
	const u8 *code = (const u8 *)a->bpf_func;
	bpf_prog_fn fn = a->bpf_func;

	drop(a);
	assert_int_equal(code[0], 0xcc);
	assert_int_equal(bpf_prog_run(b, NULL), 5);
	again = jit(return_5, 2);
	assert_ptr_equal(again->bpf_func, fn);
	drop(again);
	drop(b);
}

static void execmem_find(void **state)
{
	struct bpf_prog *a = jit(return_5, 2), *b = jit(return_5, 2);
	u32 len;
	const u8 *code = bpf_jit_code(a, &len);

	assert_int_equal(len, a->jited_len);
	assert_ptr_equal(bpf_jit_find(code), a);
	assert_ptr_equal(bpf_jit_find(code + len - 1), a);
	assert_ptr_equal(bpf_jit_find((const void *)b->bpf_func), b);
	assert_null(bpf_jit_find((const void *)execmem_find));
	assert_null(bpf_jit_find(NULL));
	drop(a);
	assert_null(bpf_jit_find(code));
	drop(b);
}

/* Guarantee E: after fork() neither side changes what the other runs. */
static void execmem_fork(void **state)
{
	struct bpf_prog *before = jit(return_5, 2), *after;
	const u8 *code = (const u8 *)before->bpf_func;
	int status;
	pid_t pid = fork();

	if (!pid) {
		const struct bpf_insn p[] = {BPF_MOV64_IMM(0, 6), BPF_EXIT_INSN()};

		bpf_jit_free(before);
		after = jit(p, 2);
		_exit(bpf_prog_run(after, NULL) != 6 ||
		      bpf_jit_find((void *)after->bpf_func) != after);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(bpf_prog_run(before, NULL), 5);
	after = jit(return_5, 2);
	assert_int_equal(bpf_prog_run(after, NULL), 5);
	assert_int_equal(bpf_prog_run(before, NULL), 5);
	drop(before);
	assert_int_not_equal(code[0], 0xcc); /* the child could still run it */
	drop(after);
}

/* Larger than a pack. */
static void execmem_large(void **state)
{
	u32 cnt = 900000;
	struct bpf_insn *p = malloc(cnt * sizeof(*p));
	struct bpf_prog *prog;

	for (u32 i = 0; i < cnt; i++)
		p[i] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 3);
	p[0] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	p[cnt - 1] = (struct bpf_insn)BPF_EXIT_INSN();
	prog = jit(p, cnt);
	assert_int_equal(bpf_prog_run(prog, NULL), (cnt - 2) * 3);
	assert_ptr_equal(bpf_jit_find((u8 *)prog->bpf_func + prog->jited_len - 1), prog);
	drop(prog);
	free(p);
}

/* Code that no near place was free for: helpers are called through a register. */
static void execmem_far(void **state)
{
	const struct bpf_insn p[] = {BPF_MOV64_IMM(1, 7), BPF_MOV64_IMM(2, 0), BPF_MOV64_IMM(3, 0),
				     BPF_MOV64_IMM(4, 0), BPF_MOV64_IMM(5, 1), CALL_C(helper_args),
				     BPF_EXIT_INSN()};
	struct bpf_prog *prog = make(p, ARRAY_SIZE(p));
	const struct jit_arch *arch = jit_arch();
	u32 offs[ARRAY_SIZE(p) + 1], size;
	struct jit_code *code;
	struct execmem mem;
	struct jit_ir ir;
	u8 buf[256];
	s64 d;

	assert_int_equal(jit_ir_build(prog, &ir), 0);
	assert_int_equal(arch->emit(&ir, true, &code), 0);
	size = arch->size(code);
	assert_true(size <= sizeof(buf));
	assert_int_equal(execmem_alloc(size, false, &mem), 0);
	d = (s64)((u64)mem.addr - (u64)helper_args);
	assert_true(d != (s32)d); /* it is far indeed */
	assert_int_equal(arch->link(code, (u64)mem.addr, buf, offs), 0);
	assert_int_equal(execmem_write(&mem, buf, size), 0);
	assert_int_equal(((bpf_prog_fn)mem.addr)(NULL, prog), 10007);
	execmem_free(&mem);
	/* the near form would not have reached */
	arch->free(code);
	assert_int_equal(arch->emit(&ir, false, &code), 0);
	assert_int_equal(arch->link(code, (u64)helper_args + (1LL << 40), buf, offs), -ERANGE);
	arch->free(code);
	jit_ir_free(&ir);
	drop(prog);
}

/* From here on this process may not make memfds. */
static int forbid_memfd(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_memfd_create, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog fprog = {ARRAY_SIZE(code), code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog);
}

static int run_without_memfd(void)
{
	const struct bpf_insn p[] = {BPF_MOV64_IMM(0, 6), BPF_EXIT_INSN()};
	struct bpf_prog *a = make(p, 2), *b = make(return_5, 2);
	char line[512], perms[5];
	u64 start, end;
	int seen = 0;
	FILE *f;

	if (forbid_memfd())
		return 77;
	if (bpf_jit_compile(a) || bpf_jit_compile(b) || bpf_prog_run(a, NULL) != 6 ||
	    bpf_prog_run(b, NULL) != 5 || bpf_jit_find((void *)b->bpf_func) != b)
		return 1;
	f = fopen("/proc/self/maps", "r");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "%lx-%lx %4s", &start, &end, perms);
		if (perms[1] == 'w' && perms[2] == 'x')
			return 2;
		if ((u64)a->bpf_func >= start && (u64)a->bpf_func < end)
			seen = !strcmp(perms, "r-xp");
	}
	bpf_jit_free(a);
	return !seen || bpf_prog_run(b, NULL) != 5 ? 3 : 0;
}

/* Each program in pages of its own, written before they are executable. */
static void execmem_without_memfd(void **state)
{
	int status;
	pid_t pid = fork(); /* the child makes no use of the packs that exist: guarantee E */

	if (!pid)
		_exit(run_without_memfd());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77) {
		print_message("seccomp filters cannot be installed here\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void *compile_and_run(void *arg)
{
	for (int i = 0; i < 300; i++) {
		const struct bpf_insn p[] = {BPF_MOV64_IMM(0, i), CALL_C(helper_args),
					     BPF_MOV64_IMM(0, i), BPF_EXIT_INSN()};
		struct bpf_prog *prog = make(p, ARRAY_SIZE(p));

		if (bpf_jit_compile(prog) || bpf_prog_run(prog, NULL) != i ||
		    bpf_jit_find((void *)prog->bpf_func) != prog)
			return "failed";
		drop(prog);
	}
	return NULL;
}

static void execmem_threads(void **state)
{
	pthread_t threads[4];
	void *res;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, compile_and_run, NULL), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &res), 0);
		assert_null(res);
	}
}

/* ---- combined instructions: what comes out, and that it is as short as it should be */

/* How many machine instructions with this mnemonic the program has. */
static u32 count_insns(const struct bpf_prog *prog, const char *mnemonic)
{
	u32 len, found = 0;
	const u8 *code = bpf_jit_code(prog, &len);
	cs_insn *insn;
	csh cs;

	assert_int_equal(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
	size_t n = cs_disasm(cs, code, len, (u64)code, 0, &insn);

	for (size_t i = 0; i < n; i++)
		found += !strcmp(insn[i].mnemonic, mnemonic);
	cs_free(insn, n);
	cs_close(&cs);
	return found;
}

static u64 run_counting(const struct bpf_insn *p, u32 cnt, const void *ctx, const char *mnemonic,
			u32 want)
{
	struct bpf_prog *prog = jit(p, cnt);
	u32 found = count_insns(prog, mnemonic);

	drop(prog);
	if (found != want)
		print_error("%u times %s\n", found, mnemonic);
	assert_int_equal(found, want);
	return run_subs(p, cnt, &(struct sub){0, MAX_BPF_STACK}, 1, ctx);
}

#define COUNT(ctx, mnemonic, want, ...)                                \
	({                                                             \
		const struct bpf_insn _p[] = {__VA_ARGS__};            \
		run_counting(_p, ARRAY_SIZE(_p), ctx, mnemonic, want); \
	})

static const u64 rotated = 0x8123456789abcdef;

static void combine_rotation(void **state)
{
	u64 want = rotated << 13 | rotated >> 51;
	u32 want32 = (u32)rotated << 7 | (u32)rotated >> 25;

	/* in place, with something between */
	assert_int_equal(COUNT(&rotated, "shr", 0, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_MOV64_IMM(3, 5), BPF_ALU64_IMM(BPF_LSH, 0, 13),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 want);
	/* into another register, by adding, 32 bits */
	assert_int_equal(COUNT(&rotated, "shr", 0, BPF_LDX_MEM(BPF_DW, 3, 1, 0),
			       BPF_MOV32_REG(2, 3), BPF_ALU32_IMM(BPF_RSH, 2, 25),
			       BPF_MOV32_REG(0, 3), BPF_ALU32_IMM(BPF_LSH, 0, 7),
			       BPF_ALU32_REG(BPF_ADD, 0, 2), BPF_EXIT_INSN()),
			 want32);
}

/* What looks like a rotation and is none keeps its shifts. */
static void combine_no_rotation(void **state)
{
	u64 l = rotated << 13, r = rotated >> 51;

	/* the shifted half is used again */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_LSH, 0, 13), BPF_ALU64_REG(BPF_OR, 0, 2),
			       BPF_ALU64_REG(BPF_ADD, 0, 2), BPF_EXIT_INSN()),
			 (l | r) + r);
	/* was used before */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_LSH, 0, 13), BPF_MOV64_REG(3, 0),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_ALU64_REG(BPF_ADD, 0, 3),
			       BPF_EXIT_INSN()),
			 (l | r) + l);
	/* two values */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_ALU64_IMM(BPF_LSH, 0, 13),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 (rotated + 1) << 13 | r);
	/* 64 bits of two 32-bit copies; the widths of shift and union differ */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 3, 1, 0),
			       BPF_MOV32_REG(2, 3), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_MOV64_REG(0, 3), BPF_ALU64_IMM(BPF_LSH, 0, 13),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 l);
	/* a jump comes between */
	assert_int_equal(COUNT(&rotated, "shr", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_REG(2, 0), BPF_ALU64_IMM(BPF_RSH, 2, 51),
			       BPF_ALU64_IMM(BPF_LSH, 0, 13), BPF_JMP_IMM(BPF_JEQ, 0, 7, 1),
			       BPF_ALU64_REG(BPF_OR, 0, 2), BPF_EXIT_INSN()),
			 l | r);
}

static void combine_extension(void **state)
{
	assert_int_equal(COUNT(&rotated, "shr", 0, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_ALU64_IMM(BPF_LSH, 0, 32), BPF_ALU64_IMM(BPF_RSH, 0, 32),
			       BPF_EXIT_INSN()),
			 0x89abcdef);
	assert_int_equal(COUNT(&rotated, "movsxd", 1, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
			       BPF_MOV64_REG(0, 2), BPF_ALU64_IMM(BPF_LSH, 0, 32),
			       BPF_ALU64_IMM(BPF_ARSH, 0, 32), BPF_EXIT_INSN()),
			 0xffffffff89abcdef);
}

static void combine_address(void **state)
{
	struct {
		u64 index, v[8];
	} ctx = {.index = 16, .v = {1, 2, 3, 4, 5, 6, 7, 8}};

	/* into the load, with and without a saved register between rbp and R10 */
	assert_int_equal(COUNT(&ctx, "add", 0, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
			       BPF_ALU64_IMM(BPF_ADD, 3, 8), BPF_ALU64_REG(BPF_ADD, 3, 2),
			       BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN()),
			 4);
	assert_int_equal(COUNT(&ctx, "add", 0, BPF_MOV64_IMM(6, 9), BPF_LDX_MEM(BPF_DW, 2, 1, 0),
			       BPF_MOV64_REG(3, 10), BPF_ALU64_IMM(BPF_ADD, 3, -64),
			       BPF_ALU64_REG(BPF_ADD, 3, 2), BPF_STX_MEM(BPF_DW, 3, 6, 8),
			       BPF_LDX_MEM(BPF_DW, 0, 10, -40), BPF_EXIT_INSN()),
			 9);
	/* scaled */
	assert_int_equal(COUNT(&ctx, "add", 0, BPF_MOV64_IMM(2, 3), BPF_MOV64_REG(3, 2),
			       BPF_ALU64_IMM(BPF_LSH, 3, 3), BPF_ALU64_REG(BPF_ADD, 3, 1),
			       BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN()),
			 4);
	/* kept in its register when it is read again */
	assert_int_equal(COUNT(&ctx, "lea", 1, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
			       BPF_ALU64_IMM(BPF_ADD, 3, 8), BPF_ALU64_REG(BPF_ADD, 3, 2),
			       BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_LDX_MEM(BPF_DW, 4, 3, 0),
			       BPF_ALU64_REG(BPF_ADD, 0, 4), BPF_EXIT_INSN()),
			 7);
	/* what it is made of changes before the access */
	assert_int_equal(COUNT(&ctx, "lea", 1, BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_REG(3, 1),
			       BPF_ALU64_IMM(BPF_ADD, 3, 8), BPF_ALU64_REG(BPF_ADD, 3, 2),
			       BPF_MOV64_IMM(2, 0), BPF_LDX_MEM(BPF_DW, 0, 3, 8), BPF_EXIT_INSN()),
			 4);
}

/* R0 is read later than the program says, so the division between must keep rax. Found by fuzz_jit. */
static void combine_keeps_sources_alive(void **state)
{
	assert_int_equal(COUNT(&rotated, "movsxd", 1, BPF_LDX_MEM(BPF_DW, 0, 1, 0),
			       BPF_MOV64_IMM(2, 100), BPF_MOV64_IMM(3, 7), BPF_MOV64_REG(4, 0),
			       BPF_ALU64_REG(BPF_DIV, 2, 3), BPF_ALU64_IMM(BPF_LSH, 4, 32),
			       BPF_ALU64_IMM(BPF_ARSH, 4, 32), BPF_MOV64_REG(0, 2),
			       BPF_ALU64_REG(BPF_ADD, 0, 4), BPF_EXIT_INSN()),
			 0xffffffff89abcdef + 14);
}

/* The slot is read where the helper would be called. */
static void inlines_processor_id(void **state)
{
	bpf_func_t func = bpf_base_func_proto(BPF_FUNC_get_smp_processor_id, NULL)->func;
	const struct bpf_insn p[] = {CALL_C(func), BPF_EXIT_INSN()};
	struct bpf_prog *prog = jit(p, 2);

	assert_int_equal(count_insns(prog, "call"), 0);
	assert_int_equal(bpf_prog_run(prog, NULL), func(0, 0, 0, 0, 0));
	bpf_run_enter();
	assert_int_equal(bpf_prog_run(prog, NULL), bpf_this.slot);
	bpf_run_exit();
	drop(prog);
}

static void combine_jump_over_jump(void **state)
{
	for (u64 n = 0; n < 3; n++)
		assert_int_equal(COUNT(&n, "jmp", 0, BPF_LDX_MEM(BPF_DW, 2, 1, 0),
				       BPF_MOV64_IMM(0, 1), BPF_JMP_IMM(BPF_JSET, 2, 1, 1),
				       BPF_JMP_A(1), BPF_MOV64_IMM(0, 2), BPF_EXIT_INSN()),
				 n == 1 ? 2 : 1);
}

/* ---- dumps */

/* Every byte belongs to an instruction that a disassembler knows, and offsets are where instructions start. */
static void dump_decodes(void **state)
{
	const struct bpf_insn p[] = {
		BPF_MOV64_REG(6, 1),
		BPF_LD_IMM64(2, 0x1234567890abcdef),
		BPF_ALU64_REG(BPF_LSH, 2, 6),
		BPF_ALU64_IMM(BPF_DIV, 2, 7),
		BPF_ALU64_REG_OFF(BPF_MOD, 2, 1, 1),
		BPF_STX_MEM(BPF_DW, 10, 2, -8),
		BPF_ATOMIC_OP(BPF_W, BPF_XOR | BPF_FETCH, 10, 2, -8),
		BPF_JMP_IMM(BPF_JSGT, 2, 1000, -3),
		CALL_C(helper_args),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jit(p, ARRAY_SIZE(p));
	u32 len, cnt, next = 0, seen = 0;
	const u8 *code = bpf_jit_code(prog, &len);
	const u32 *offs = bpf_jit_offsets(prog, &cnt);
	cs_insn *insn;
	csh cs;

	assert_int_equal(cnt, prog->len + 1);
	assert_int_equal(offs[0], 0);
	assert_int_equal(offs[prog->len], len);
	assert_int_equal(cs_open(CS_ARCH_X86, CS_MODE_64, &cs), CS_ERR_OK);
	size_t n = cs_disasm(cs, code, len, (u64)code, 0, &insn);

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(insn[i].address - (u64)code, next);
		for (u32 k = 0; k < cnt; k++)
			seen += offs[k] == next && offs[k] != offs[k ? k - 1 : cnt - 1];
		next += insn[i].size;
	}
	assert_int_equal(next, len);
	assert_true(seen >= prog->len - 2);
	cs_free(insn, n);
	cs_close(&cs);
	drop(prog);
}

static void rows_all_covered(void **state)
{
	for (int op = 0; op < BPF_OP_MAX; op++)
		if (!covered[op])
			fail_msg("no test for %s", bpf_op_info[op].name);
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
		cmocka_unit_test(jumps_always),
		cmocka_unit_test(jumps_to_first),
		cmocka_unit_test(jumps_of_all_lengths),
		cmocka_unit_test(jumps_backward_all_the_way),
		cmocka_unit_test(jumps_that_grow_one_by_one),
		cmocka_unit_test(calls_helper),
		cmocka_unit_test(calls_keep_c_registers),
		cmocka_unit_test(calls_nested),
		cmocka_unit_test(calls_many_subprogs),
		cmocka_unit_test(fp_as_operand),
		cmocka_unit_test(calls_callback),
		cmocka_unit_test(tail_calls),
		cmocka_unit_test(tail_calls_are_limited),
		cmocka_unit_test(tail_calls_in_subprog),
		cmocka_unit_test(tail_calls_count_together),
		cmocka_unit_test(packet_loads),
		cmocka_unit_test(packet_load_fails_in_subprog),
		cmocka_unit_test(refuses_broken_code),
		cmocka_unit_test(execmem_w_xor_x),
		cmocka_unit_test(execmem_near_text),
		cmocka_unit_test(execmem_reuse),
		cmocka_unit_test(execmem_find),
		cmocka_unit_test(execmem_large),
		cmocka_unit_test(execmem_threads),
		cmocka_unit_test(execmem_far),
		cmocka_unit_test(execmem_without_memfd),
		cmocka_unit_test(execmem_fork),
		cmocka_unit_test(combine_rotation),
		cmocka_unit_test(combine_no_rotation),
		cmocka_unit_test(combine_extension),
		cmocka_unit_test(combine_address),
		cmocka_unit_test(combine_keeps_sources_alive),
		cmocka_unit_test(combine_jump_over_jump),
		cmocka_unit_test(inlines_processor_id),
		cmocka_unit_test(dump_decodes),
		cmocka_unit_test(rows_all_covered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
