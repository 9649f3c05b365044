/*
 * arm64.c - machine code for AArch64, one BPF instruction after the other
 *
 * Registers: R1 to R5 x0 to x4, so that calls of helpers move nothing but the result; R0 x7; R6 to
 * R9 x19 to x22, which C functions keep. x9, x10, x11 are free inside of one instruction's
 * sequence. x12 to x14 hold slots of the stack (promote.c) where nothing is called, and x23 does in
 * any function.
 *
 * Frame of each subprogram, the stack growing down:
 *
 *	saved R6 to R9 and x23, only those that the subprogram writes
 *	x29, x30               <- x29
 *	BPF stack              <- R10 is the address above it: sp + fp_off
 *	8 bytes of scratch, if a packet load needs them; to a multiple of 16   <- sp
 *
 * A leaf that has no stack and saves nothing has no frame at all. A tail call undoes the frame and
 * jumps to the target's tail_call_offset, which lies behind the reset of the thread's tail call
 * counter. A packet load that fails leaves the subprogram that it is in with R0 = 0, as the kernel
 * does.
 */
#ifdef __aarch64__

#include <sys/auxv.h>

#include "helpers/helpers.h"
#include "jit/arm64/arm64_alu.h"
#include "jit/arm64/arm64_asm.h"
#include "jit/execmem.h"
#include "jit/ir/arch.h"
#include "jit/ir/pass.h"
#include "run/callback.h"
#include "run/packet.h"

#define MAX_INSN_WORDS 192 /* that one BPF instruction may become, with a prologue before it */
#define HWCAP_LSE      (1 << 8)

#define BIT_OF(r) ((u16)(1u << (r)))

static bool baseline;

void jit_arch_baseline(bool on)
{
	__atomic_store_n(&baseline, on, __ATOMIC_RELAXED);
}

/* ---- variables of the thread */

static u8 thread_pointer(struct jit_code *c)
{
	a_put(c, A_MRS_TPIDR | ADDR_TMP);
	return ADDR_TMP;
}

/* Offset of a variable of this thread: the same in every thread (initial-exec TLS). */
static s64 tls_offset(const void *var)
{
	return (s64)((u64)var - (u64)__builtin_thread_pointer());
}

static void tls_mem(struct jit_code *c, u8 size, int what, u8 reg, const void *var)
{
	a_mem(c, size, what, reg, thread_pointer(c), tls_offset(var));
}

/* ---- addresses */

struct place {
	u8 base;
	s64 disp;
};

static struct place place_of(struct jit_code *c, u8 bpf_reg, s64 off)
{
	if (bpf_reg == BPF_REG_FP)
		return (struct place){SP, off + (s64)c->fp_off};
	return (struct place){arm64_reg[bpf_reg], off};
}

/* Base and index in ADDR_TMP, and what remains to be added. */
static struct place place_of_addr(struct jit_code *c, const struct jit_addr *addr)
{
	struct place p = place_of(c, addr->base, addr->disp);

	if (addr->index == JIT_NO_REG)
		return p;
	if (p.base == SP) {
		a_add_const(c, A_SF, ADDR_TMP, SP, p.disp, CONST_TMP);
		p = (struct place){ADDR_TMP, 0};
	}
	a_rrr_lsl(c, A_SF | A_ADD, ADDR_TMP, p.base, arm64_reg[addr->index], addr->shift);
	return (struct place){ADDR_TMP, p.disp};
}

static struct place place_of_access(struct jit_code *c, u32 i, u8 bpf_reg)
{
	if (c->ir->addr[i].used)
		return place_of_addr(c, &c->ir->addr[i]);
	return place_of(c, bpf_reg, c->ir->insns[i].off);
}

static void address(struct jit_code *c, u32 sf, u8 dst, const struct jit_addr *addr)
{
	struct place p = place_of_addr(c, addr);

	/* Zero extension comes last: sp has 64 bits. */
	if (p.disp || p.base == SP)
		a_add_const(c, A_SF, dst, p.base, p.disp, CONST_TMP);
	else if (sf)
		a_mov(c, A_SF, dst, p.base);
	if (!sf)
		a_mov(c, 0, dst, p.disp || p.base == SP ? dst : p.base);
}

/* Loops' addresses (step.c): made where the loop is fallen into, stepped in it. */
static void make_steps(struct jit_code *c, u32 i)
{
	for (u32 k = 0; k < c->ir->step_cnt; k++)
		if (c->ir->steps[k].head == i)
			address(c, A_SF, arm64_reg[c->ir->steps[k].reg], &c->ir->steps[k].addr);
}

static void take_steps(struct jit_code *c, u32 i)
{
	for (u32 k = 0; k < c->ir->step_cnt; k++) {
		u8 reg = arm64_reg[c->ir->steps[k].reg];

		if (c->ir->steps[k].at == i)
			a_add_const(c, A_SF, reg, reg, c->ir->steps[k].by, CONST_TMP);
	}
}

/* ---- memory */

static void load(struct jit_code *c, u32 i, bool sign)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	const struct jit_addr *addr = &c->ir->addr[i];
	u8 size = arm64_size(insn->code), dst = arm64_reg[insn->dst_reg];
	int what = sign ? MEM_LOAD_SIGNED : MEM_LOAD;
	struct place p;

	/* The one form that adds an index by itself. */
	if (addr->used && addr->index != JIT_NO_REG && !addr->disp && addr->base != BPF_REG_FP &&
	    (!addr->shift || addr->shift == size)) {
		a_rrr(c,
		      (u32)size << 30 | 0x38206800 | (u32)what << 22 | (addr->shift ? 1 << 12 : 0),
		      dst, arm64_reg[addr->base], arm64_reg[addr->index]);
		return;
	}
	p = place_of_access(c, i, insn->src_reg);
	a_mem(c, size, what, dst, p.base, p.disp);
}

static void store(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 size = arm64_size(insn->code), value = ZR;
	struct place p;

	if (BPF_CLASS(insn->code) == BPF_STX) {
		value = arm64_value(c, insn->src_reg, VALUE_TMP);
	} else if (insn->imm) {
		value = VALUE_TMP;
		a_const(c, value, size == 3 ? (u64)(s64)insn->imm : (u32)insn->imm);
	}
	p = place_of_access(c, i, insn->dst_reg);
	a_mem(c, size, MEM_STORE, value, p.base, p.disp);
}

/* [address] = [address] op register, or constant. */
static void modify(struct jit_code *c, u32 i)
{
	static const u8 ops[] = {BPF_ADD, BPF_OR, BPF_AND, BPF_SUB, BPF_XOR};
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 op = ops[c->ir->op[i] - JIT_OP_RMW_ADD], size = arm64_size(insn->code);
	struct place p = place_of_access(c, i, insn->dst_reg);
	u32 sf = size == 3 ? A_SF : 0;

	/* The constants of an operation and of a displacement share a register. */
	if (p.disp < -256 || p.disp >= 4096 || (p.disp >= 256 && p.disp & ((1 << size) - 1))) {
		a_add_const(c, A_SF, ADDR_TMP, p.base, p.disp, CONST_TMP);
		p = (struct place){ADDR_TMP, 0};
	}
	a_mem(c, size, MEM_LOAD, VALUE_TMP, p.base, p.disp);
	if (BPF_CLASS(insn->code) == BPF_STX)
		arm64_op_reg(c, sf, op, VALUE_TMP, arm64_value(c, insn->src_reg, CONST_TMP));
	else
		arm64_op_imm(c, sf, op, VALUE_TMP, insn->imm);
	a_mem(c, size, MEM_STORE, VALUE_TMP, p.base, p.disp);
}

/* ---- atomics: one instruction each, or loops of exclusive loads and stores */

#define A_LDADD	    0x38200000u /* and clear 0x1000, xor 0x2000, or 0x3000, swap 0x8000 */
#define A_ACQ_REL   0x00c00000u
#define A_CASAL	    0x08e0fc00u
#define A_LDXR	    0x085f7c00u
#define A_STLXR	    0x0800fc00u
#define A_STXR	    0x08007c00u
#define EXCLUSIVE_W 17 /* x17: whether the store failed; x16: the new value */

static u8 atomic_address(struct jit_code *c, const struct bpf_insn *insn)
{
	struct place p = place_of(c, insn->dst_reg, insn->off);

	if (!p.disp && p.base != SP)
		return p.base;
	a_add_const(c, A_SF, ADDR_TMP, p.base, p.disp, CONST_TMP);
	return ADDR_TMP;
}

static void atomic_lse(struct jit_code *c, const struct bpf_insn *insn, u8 addr, u8 src)
{
	u32 size = (u32)arm64_size(insn->code) << 30, sf = size >> 30 == 3 ? A_SF : 0;
	bool fetch = insn->imm & BPF_FETCH;
	u32 word = size | A_LDADD | (fetch ? A_ACQ_REL : 0);

	switch (insn->imm & ~BPF_FETCH) {
	case BPF_AND: /* the machine clears bits */
		a_rrr(c, sf | A_ORN, VALUE_TMP, ZR, src);
		a_rrr(c, word | 0x1000, fetch ? src : ZR, addr, VALUE_TMP);
		break;
	case BPF_OR:
		a_rrr(c, word | 0x3000, fetch ? src : ZR, addr, src);
		break;
	case BPF_XOR:
		a_rrr(c, word | 0x2000, fetch ? src : ZR, addr, src);
		break;
	case BPF_XCHG & ~BPF_FETCH:
		a_rrr(c, word | 0x8000, src, addr, src);
		break;
	default:
		a_rrr(c, word, fetch ? src : ZR, addr, src);
	}
}

static void atomic_loop(struct jit_code *c, const struct bpf_insn *insn, u8 addr, u8 src)
{
	u32 size = (u32)arm64_size(insn->code) << 30, sf = size >> 30 == 3 ? A_SF : 0;
	bool fetch = insn->imm & BPF_FETCH;
	u8 value = X16, op = (u8)(insn->imm & ~BPF_FETCH);
	u32 loop = c->len;

	a_rr(c, size | A_LDXR, VALUE_TMP, addr);
	if (insn->imm == BPF_XCHG) {
		value = src;
	} else {
		u32 word = op == BPF_ADD   ? A_ADD
			   : op == BPF_AND ? A_AND
			   : op == BPF_OR  ? A_ORR
					   : A_EOR;
		a_rrr(c, sf | word, value, VALUE_TMP, src);
	}
	a_rrr(c, size | (fetch ? A_STLXR : A_STXR), value, addr, EXCLUSIVE_W);
	a_put(c, A_CBNZ | ((loop - c->len) & 0x7ffff) << 5 | EXCLUSIVE_W);
	if (!fetch)
		return;
	a_put(c, A_DMB_ISH);
	a_mov(c, sf, src, VALUE_TMP);
}

/* R0 is compared and gets what was there. */
static void compare_exchange(struct jit_code *c, const struct bpf_insn *insn, u8 addr, u8 src)
{
	u32 size = (u32)arm64_size(insn->code) << 30, sf = size >> 30 == 3 ? A_SF : 0;
	u8 r0 = arm64_reg[BPF_REG_0];
	u32 loop, differs;

	if (c->lse) {
		a_rrr(c, size | A_CASAL, src, addr, r0);
		return;
	}
	loop = c->len;
	a_rr(c, size | A_LDXR, X16, addr);
	a_rrr(c, sf | A_SUBS, ZR, X16, r0);
	differs = a_jump(c, A_BCOND | CC_NE);
	a_rrr(c, size | A_STLXR, src, addr, EXCLUSIVE_W);
	a_put(c, A_CBNZ | ((loop - c->len) & 0x7ffff) << 5 | EXCLUSIVE_W);
	a_put(c, A_DMB_ISH);
	a_here(c, differs);
	a_mov(c, sf, r0, X16);
}

static void atomic(struct jit_code *c, const struct bpf_insn *insn)
{
	u8 addr = atomic_address(c, insn), src = arm64_value(c, insn->src_reg, X16);

	if (insn->src_reg == BPF_REG_FP) { /* a value only, and VALUE_TMP is used */
		a_mov(c, A_SF, CONST_TMP, src);
		src = CONST_TMP;
	}
	if (insn->imm == BPF_CMPXCHG)
		compare_exchange(c, insn, addr, src);
	else if (c->lse)
		atomic_lse(c, insn, addr, src);
	else
		atomic_loop(c, insn, addr, src);
}

/* ---- labels */

/*
 * Behind those of the instructions: the entries of the subprograms, before their prologues.
 */
static u32 func_label(const struct jit_code *c, u32 start)
{
	u32 f = 0;

	while (c->ir->funcs[f].start != start)
		f++;
	return c->ir->len + 1 + f;
}

static bool reserve(struct jit_code *c)
{
	if (c->cap - c->len < MAX_INSN_WORDS) {
		u32 cap = c->cap * 2;
		u32 *buf = realloc(c->buf, cap * sizeof(*buf));

		if (!buf)
			return false;
		c->buf = buf;
		c->cap = cap;
	}
	return !c->err;
}

static void load_imm64(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 dst = arm64_reg[insn->dst_reg];

	if (insn->src_reg != BPF_PSEUDO_FUNC) {
		a_const(c, dst, bpf_insn_imm64(insn));
		return;
	}
	a_fix(c, FIX_ADDR, A_ADRP | dst, func_label(c, i + 1 + (u32)insn->imm));
	a_rr(c, A_SF | A_ADD_I, dst, dst);
}

/* ---- control flow */

static void call_c(struct jit_code *c, const void *func)
{
	if (!c->far && execmem_near(func)) {
		a_fix(c, FIX_CALL, A_BL, (u64)func);
		return;
	}
	a_const(c, CONST_TMP, (u64)func);
	a_rr(c, A_BLR, 0, CONST_TMP);
}

/* A run that is cancelled calls no global function (run/run.h): back, before there is a frame. */
static void leave_cancelled(struct jit_code *c)
{
	u32 go_on;

	tls_mem(c, 3, MEM_LOAD, CONST_TMP, &bpf_this.cancel);
	a_mem(c, 0, MEM_LOAD, CONST_TMP, CONST_TMP, 0);
	go_on = a_jump(c, A_CBZ | CONST_TMP);
	a_const(c, arm64_reg[BPF_REG_0], 0);
	a_const(c, X0, 0);
	a_put(c, A_RET);
	a_here(c, go_on);
}

/* The pair of registers at [sp + 16 + 16 * k]; the last one may be alone. */
static void save_regs(struct jit_code *c, bool restore)
{
	for (u32 k = 0; k < c->saved_cnt; k += 2) {
		u32 off = 2 + k, word = restore ? 0xa9400000u : 0xa9000000u;

		if (k + 1 < c->saved_cnt)
			a_put(c, word | off << 15 | (u32)c->saved[k + 1] << 10 | SP << 5 |
					 c->saved[k]);
		else
			a_mem(c, 3, restore ? MEM_LOAD : MEM_STORE, c->saved[k], SP, 8 * off);
	}
}

static u32 frame_words(const struct jit_code *c)
{
	return 2 + round_up((u32)c->saved_cnt, 2u);
}

static void leave_frame(struct jit_code *c)
{
	if (!c->frame)
		return;
	if (c->fp_off)
		a_add_const(c, A_SF, SP, SP, c->fp_off, CONST_TMP);
	save_regs(c, true);
	a_put(c, 0xa8c00000u | frame_words(c) << 15 | X30 << 10 | SP << 5 | X29); /* ldp */
}

static void leave_func(struct jit_code *c)
{
	a_mov(c, A_SF, X0, arm64_reg[BPF_REG_0]);
	leave_frame(c);
	a_put(c, A_RET);
}

static void zero_stack(struct jit_code *c, u32 depth)
{
	for (u32 off = c->fp_off - depth; off < c->fp_off; off += 8) {
		if (off + 16 > c->fp_off || off > 504) {
			a_mem(c, 3, MEM_STORE, ZR, SP, off);
			continue;
		}
		a_put(c, 0xa9000000u | off / 8 << 15 | ZR << 10 | SP << 5 | ZR); /* stp */
		off += 8;
	}
}

static void enter_func(struct jit_code *c, const struct jit_func *fn)
{
	static const u8 callee_saved[] = {BPF_REG_6, BPF_REG_7, BPF_REG_8, BPF_REG_9, SPARE_X23};
	u32 need = fn->stack_depth + (fn->ld_abs ? 8 : 0);

	c->fn = fn;
	c->saved_cnt = 0;
	for (u32 k = 0; k < ARRAY_SIZE(callee_saved); k++)
		if (fn->written >> callee_saved[k] & 1)
			c->saved[c->saved_cnt++] = arm64_reg[callee_saved[k]];
	c->fp_off = round_up(need, 16u);
	c->frame = fn->calls || need || c->saved_cnt || fn->uses_fp ||
		   !jit_pass_used(JIT_PASS_FRAMES);
	if (!c->frame)
		return;
	a_put(c, 0xa9800000u | (-frame_words(c) & 0x7f) << 15 | X30 << 10 | SP << 5 | X29);
	a_add_const(c, A_SF, X29, SP, 0, CONST_TMP);
	save_regs(c, false);
	if (c->fp_off)
		a_add_const(c, A_SF, SP, SP, -(s64)c->fp_off, CONST_TMP);
	if (c->ir->prog->zero_stack)
		zero_stack(c, fn->stack_depth);
}

/* The condition to a label. cbz and cbnz look at 0 by themselves. */
static void branch(struct jit_code *c, u32 word, u32 label)
{
	if (!c->wide) {
		a_fix(c, FIX_19, word, label);
		return;
	}
	/* The opposite one over a jump that reaches. */
	a_put(c, (word ^ (word >> 25 == A_BCOND >> 25 ? 1 : 1 << 24)) | 2 << 5);
	a_fix(c, FIX_26, A_B, label);
}

static void jump_if(struct jit_code *c, u32 i, u8 cc)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	bool inverted = c->ir->flags[i] & JIT_INVERTED;
	u32 target = jit_target(c->ir, i + inverted), sf = arm64_width(insn);
	u8 op = BPF_OP(insn->code);

	if ((op == BPF_JEQ || op == BPF_JNE) && !arm64_by_reg(insn) && !insn->imm &&
	    insn->dst_reg != BPF_REG_FP) {
		branch(c,
		       sf | ((cc == CC_EQ) != inverted ? A_CBZ : A_CBNZ) | arm64_reg[insn->dst_reg],
		       target);
		return;
	}
	arm64_compare(c, insn);
	branch(c, A_BCOND | (cc ^ inverted), target);
}

static void jump(struct jit_code *c, u32 i)
{
	if (jit_target(c->ir, i) != i + 1)
		a_fix(c, FIX_26, A_B, jit_target(c->ir, i));
}

static void call(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	bpf_func_t func = BPF_CALL_FUNC(insn->imm);
	u8 r0 = arm64_reg[BPF_REG_0];

	if (insn->src_reg == BPF_PSEUDO_CALL) {
		a_fix(c, FIX_26, A_BL, func_label(c, jit_target(c->ir, i)));
	} else if (func == bpf_base_func_proto(BPF_FUNC_get_smp_processor_id, NULL)->func) {
		tls_mem(c, 2, MEM_LOAD_SIGNED, r0, &bpf_this.slot); /* the helper's body */
	} else if (func == bpf_run_cancelled_call) {
		tls_mem(c, 3, MEM_LOAD, r0, &bpf_this.cancel);
		a_mem(c, 0, MEM_LOAD, r0, r0, 0);
	} else {
		call_c(c, func);
		a_mov(c, A_SF, r0, X0);
	}
}

/* Nothing behind it begins before all that stands before it is done. */
static void speculation_barrier(struct jit_code *c)
{
	a_put(c, A_DSB_SY);
	a_put(c, A_ISB);
}

/*
 * x0: context, x1: prog_array, w2: index. Goes on behind when there is nothing to jump to. The same
 * as bpf_prog_array_get(), in place.
 */
static void tail_call(struct jit_code *c, u32 i)
{
	a_add_const(c, A_SF, ADDR_TMP, thread_pointer(c), tls_offset(&bpf_this.tail_call_cnt),
		    CONST_TMP);
	a_mem(c, 2, MEM_LOAD, X16, ADDR_TMP, 0);
	a_rr(c, A_SUBS_I | MAX_TAIL_CALL_CNT << 10, ZR, X16);
	branch(c, A_BCOND | CC_HS, i + 1);
	a_mem(c, 2, MEM_LOAD, VALUE_TMP, X1, offsetof(struct bpf_map, max_entries));
	a_rrr(c, A_SUBS, ZR, X2, VALUE_TMP);
	branch(c, A_BCOND | CC_HS, i + 1);
	if (c->ir->prog->prog_flags & PROG_F_STRICT)
		speculation_barrier(c);
	a_mem(c, 3, MEM_LOAD, VALUE_TMP, X1, offsetof(struct bpf_map, progs));
	/* ldr x11, [x11, w2, uxtw #3] */
	a_rrr(c, 0xf8605800u, VALUE_TMP, VALUE_TMP, X2);
	branch(c, A_SF | A_CBZ | VALUE_TMP, i + 1);
	a_rr(c, A_ADD_I | 1 << 10, X16, X16);
	a_mem(c, 2, MEM_STORE, X16, ADDR_TMP, 0);
	a_mov(c, A_SF, X1, VALUE_TMP); /* an interpreter wants to know its program */
	a_mem(c, 2, MEM_LOAD, X16, X1, offsetof(struct bpf_prog, tail_call_offset));
	a_mem(c, 3, MEM_LOAD, X17, X1, offsetof(struct bpf_prog, bpf_func));
	a_rrr(c, A_SF | A_ADD, X16, X16, X17);
	leave_frame(c);
	a_rr(c, A_BR, 0, X16);
}

/*
 * R0 = what lies in the packet. Offsets from 0 on are loaded in place, after a look at the bounds;
 * the negative ones, and what is outside, go the slow way. R1 to R5 are the instruction's to use.
 */
static void load_packet(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 size = arm64_size(insn->code), r0 = arm64_reg[BPF_REG_0];
	u8 ctx = arm64_reg[BPF_REG_6];
	u32 slow, done, found;

	if (BPF_MODE(insn->code) == BPF_IND)
		a_add_const(c, 0, X1, arm64_value(c, insn->src_reg, VALUE_TMP), insn->imm,
			    CONST_TMP);
	else
		a_const(c, X1, (u32)insn->imm);
	a_mem(c, 3, MEM_LOAD, X0, ctx, offsetof(struct bpf_skb_head, data));
	a_mem(c, 3, MEM_LOAD, X2, ctx, offsetof(struct bpf_skb_head, data_end));
	a_rrr(c, A_SF | A_SUB, X2, X2, X0);
	a_add_const(c, A_SF, X2, X2, -(s64)(1 << size), CONST_TMP);
	/* A negative offset, as the 32 bits that it is here, is beyond any packet. */
	a_rrr(c, A_SF | A_SUBS, ZR, X2, X1);
	slow = a_jump(c, A_BCOND | CC_LT);
	a_rrr(c, (u32)size << 30 | 0x38606800, r0, X0, X1);
	if (size == 1)
		a_rr(c, A_REV16, r0, r0); /* the upper half was 0 */
	else if (size == 2)
		a_rr(c, A_REV32, r0, r0);
	done = a_jump(c, A_B);
	a_here(c, slow);
	a_mov(c, A_SF, X0, ctx);
	a_const(c, X2, 1u << size);
	a_add_const(c, A_SF, X3, SP, 0, CONST_TMP);
	call_c(c, bpf_skb_load);
	found = a_jump(c, A_CBZ | X0);
	a_const(c, r0, 0);
	leave_func(c);
	a_here(c, found);
	a_mem(c, 3, MEM_LOAD, r0, SP, 0);
	a_here(c, done);
}

/* ---- the table */

#define ALU4(N)                                                                      \
	BPF_OP_ALU64_##N##_K : case BPF_OP_ALU64_##N##_X : case BPF_OP_ALU32_##N##_K \
	    : case BPF_OP_ALU32_##N##_X
#define JMP4(N)                                                                  \
	BPF_OP_JMP_##N##_K : case BPF_OP_JMP_##N##_X : case BPF_OP_JMP32_##N##_K \
	    : case BPF_OP_JMP32_##N##_X
#define ATOMIC2(N) BPF_OP_ATOMIC64_##N : case BPF_OP_ATOMIC32_##N

static void emit_insn(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];

	switch ((enum bpf_op)c->ir->op[i]) {
	case ALU4(ADD):
	case ALU4(OR):
	case ALU4(AND):
	case ALU4(SUB):
	case ALU4(XOR):
	case ALU4(MUL):
	case ALU4(DIV):
	case ALU4(SDIV):
	case ALU4(MOD):
	case ALU4(SMOD):
	case ALU4(LSH):
	case ALU4(RSH):
	case ALU4(ARSH):
	case ALU4(MOV):
	case BPF_OP_ALU64_NEG:
	case BPF_OP_ALU32_NEG:
		arm64_alu(c, insn);
		break;
	case BPF_OP_ALU64_MOVSX8:
	case BPF_OP_ALU64_MOVSX16:
	case BPF_OP_ALU64_MOVSX32:
	case BPF_OP_ALU32_MOVSX8:
	case BPF_OP_ALU32_MOVSX16:
		arm64_movsx(c, insn);
		break;
	case BPF_OP_END_LE16:
	case BPF_OP_END_LE32:
	case BPF_OP_END_LE64:
	case BPF_OP_END_BE16:
	case BPF_OP_END_BE32:
	case BPF_OP_END_BE64:
	case BPF_OP_BSWAP16:
	case BPF_OP_BSWAP32:
	case BPF_OP_BSWAP64:
		arm64_end(c, insn);
		break;
	case BPF_OP_LD_IMM64:
		load_imm64(c, i);
		break;
	case BPF_OP_LD_ABS_B:
	case BPF_OP_LD_ABS_H:
	case BPF_OP_LD_ABS_W:
	case BPF_OP_LD_IND_B:
	case BPF_OP_LD_IND_H:
	case BPF_OP_LD_IND_W:
		load_packet(c, i);
		break;
	case BPF_OP_LDX_B:
	case BPF_OP_LDX_H:
	case BPF_OP_LDX_W:
	case BPF_OP_LDX_DW:
		load(c, i, false);
		break;
	case BPF_OP_LDSX_B:
	case BPF_OP_LDSX_H:
	case BPF_OP_LDSX_W:
		load(c, i, true);
		break;
	case BPF_OP_ST_B:
	case BPF_OP_ST_H:
	case BPF_OP_ST_W:
	case BPF_OP_ST_DW:
	case BPF_OP_STX_B:
	case BPF_OP_STX_H:
	case BPF_OP_STX_W:
	case BPF_OP_STX_DW:
		store(c, i);
		break;
	case ATOMIC2(ADD):
	case ATOMIC2(OR):
	case ATOMIC2(AND):
	case ATOMIC2(XOR):
	case ATOMIC2(FETCH_ADD):
	case ATOMIC2(FETCH_OR):
	case ATOMIC2(FETCH_AND):
	case ATOMIC2(FETCH_XOR):
	case ATOMIC2(XCHG):
	case ATOMIC2(CMPXCHG):
		atomic(c, insn);
		break;
	case JMP4(JEQ):
		jump_if(c, i, CC_EQ);
		break;
	case JMP4(JNE):
	case JMP4(JSET):
		jump_if(c, i, CC_NE);
		break;
	case JMP4(JGT):
		jump_if(c, i, CC_HI);
		break;
	case JMP4(JGE):
		jump_if(c, i, CC_HS);
		break;
	case JMP4(JLT):
		jump_if(c, i, CC_LO);
		break;
	case JMP4(JLE):
		jump_if(c, i, CC_LS);
		break;
	case JMP4(JSGT):
		jump_if(c, i, CC_GT);
		break;
	case JMP4(JSGE):
		jump_if(c, i, CC_GE);
		break;
	case JMP4(JSLT):
		jump_if(c, i, CC_LT);
		break;
	case JMP4(JSLE):
		jump_if(c, i, CC_LE);
		break;
	case BPF_OP_JA:
	case BPF_OP_JA32:
		jump(c, i);
		break;
	case BPF_OP_CALL:
		call(c, i);
		break;
	case BPF_OP_EXIT:
		leave_func(c);
		break;
	case BPF_OP_TAIL_CALL:
		tail_call(c, i);
		break;
	case BPF_OP_NOSPEC:
		speculation_barrier(c);
		break;
	case BPF_OP_MAX:
		break;
	}
}

static void emit_combined(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 op = c->ir->op[i];

	if (op == JIT_OP_LEA)
		address(c, arm64_width(insn), arm64_reg[insn->dst_reg], &c->ir->addr[i]);
	else if (op == JIT_OP_DIVMOD)
		arm64_divmod(c, insn);
	else if (op == JIT_OP_ROL)
		arm64_rotate(c, insn);
	else if (op >= JIT_OP_RMW_ADD && op <= JIT_OP_RMW_XOR)
		modify(c, i);
}

/* ---- the program */

static void arm64_free(struct jit_code *c)
{
	if (!c)
		return;
	free(c->buf);
	free(c->fix);
	free(c->label);
	free(c);
}

/* A run begins here; a tail call enters behind. */
static void begin_run(struct jit_code *c)
{
	bool tail_call = false;

	for (u32 f = 0; f < c->ir->func_cnt; f++)
		tail_call |= c->ir->funcs[f].tail_call;
	if (!tail_call)
		return;
	tls_mem(c, 2, MEM_STORE, ZR, &bpf_this.tail_call_cnt);
	c->tail_call_offset = 4 * c->len;
}

static int emit_all(struct jit_code *c)
{
	const struct jit_ir *ir = c->ir;

	c->len = c->fix_cnt = c->tail_call_offset = 0;
	for (u32 f = 0; f < ir->func_cnt; f++) {
		const struct jit_func *fn = &ir->funcs[f];

		if (!reserve(c))
			return -ENOMEM;
		c->label[ir->len + 1 + f] = c->len;
		if (!f)
			begin_run(c);
		else if (ir->prog->subprogs[f].is_global)
			leave_cancelled(c);
		enter_func(c, fn);
		for (u32 i = fn->start; i < fn->end; i++) {
			if (!reserve(c))
				return -ENOMEM;
			if (ir->flags[i] & JIT_STEP_MADE)
				make_steps(c, i);
			c->label[i] = c->len;
			if (ir->flags[i] & JIT_IMM64_HI)
				continue;
			if (ir->flags[i] & JIT_STEP)
				take_steps(c, i);
			if (ir->op[i] < BPF_OP_MAX)
				emit_insn(c, i);
			else
				emit_combined(c, i);
			if (ir->flags[i] & JIT_INVERTED)
				c->label[++i] = c->len;
		}
	}
	c->label[ir->len] = c->len;
	return c->err ? -ENOMEM : 0;
}

static s64 distance_of(const struct jit_code *c, const struct jit_fix *fix)
{
	return (s64)c->label[fix->target] - fix->pos;
}

static bool in_reach(s64 distance, u32 bits)
{
	return distance >= -(1LL << (bits - 1)) && distance < 1LL << (bits - 1);
}

static bool branches_reach(const struct jit_code *c)
{
	for (u32 i = 0; i < c->fix_cnt; i++)
		if (c->fix[i].kind == FIX_19 && !in_reach(distance_of(c, &c->fix[i]), 19))
			return false;
	return true;
}

static int arm64_emit(const struct jit_ir *ir, bool far, struct jit_code **out)
{
	struct jit_code *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return -ENOMEM;
	c->ir = ir;
	c->far = far;
	c->lse = !__atomic_load_n(&baseline, __ATOMIC_RELAXED) && getauxval(AT_HWCAP) & HWCAP_LSE;
	c->cap = 512 + ir->len * 2;
	c->buf = malloc(c->cap * sizeof(*c->buf));
	c->label = calloc((size_t)ir->len + 1 + ir->func_cnt, sizeof(u32));
	if (c->buf && c->label)
		err = emit_all(c);
	if (!err && !branches_reach(c)) {
		c->wide = true;
		err = emit_all(c);
	}
	if (err) {
		arm64_free(c);
		return err;
	}
	*out = c;
	return 0;
}

static u32 arm64_size_of_code(const struct jit_code *c)
{
	return 4 * c->len;
}

static u32 arm64_tail_call_offset(const struct jit_code *c)
{
	return c->tail_call_offset;
}

static int put_fix(const struct jit_code *c, const struct jit_fix *fix, u64 addr, u32 *word)
{
	u64 at = addr + 4 * (u64)fix->pos, to;
	s64 distance;

	switch ((enum jit_fix_kind)fix->kind) {
	case FIX_19:
		*word |= ((u32)distance_of(c, fix) & 0x7ffff) << 5;
		return 0;
	case FIX_26:
	case FIX_CALL:
		distance = fix->kind == FIX_26 ? distance_of(c, fix)
					       : ((s64)fix->target - (s64)at) / 4;
		*word |= (u32)distance & 0x3ffffff;
		return in_reach(distance, 26) ? 0 : -ERANGE;
	case FIX_ADDR:
		to = addr + 4 * (u64)c->label[fix->target];
		distance = (s64)(to >> 12) - (s64)(at >> 12);
		word[0] |= ((u32)distance & 3) << 29 | ((u32)(distance >> 2) & 0x7ffff) << 5;
		word[1] |= (to & 0xfff) << 10;
		return in_reach(distance, 21) ? 0 : -ERANGE;
	}
	return -EINVAL;
}

static int arm64_link(const struct jit_code *c, u64 addr, u8 *buf, u32 *offs)
{
	u32 *words = (u32 *)(void *)buf;
	int err = 0;

	memcpy(buf, c->buf, c->len * sizeof(*c->buf));
	for (u32 i = 0; !err && i < c->fix_cnt; i++)
		err = put_fix(c, &c->fix[i], addr, &words[c->fix[i].pos]);
	for (u32 i = 0; i <= c->ir->len; i++)
		offs[i] = 4 * c->label[i];
	for (u32 f = 0; f < c->ir->func_cnt; f++) /* the prologue belongs to the first one */
		offs[c->ir->funcs[f].start] = 4 * c->label[c->ir->len + 1 + f];
	return err;
}

/* Calls destroy the spare registers that are not kept; nothing else uses one. */
static u16 arm64_scratch(const struct jit_ir *ir, u32 i)
{
	u8 op = ir->op[i];
	bool calls = op == BPF_OP_CALL || op == BPF_OP_TAIL_CALL ||
		     (op >= BPF_OP_LD_ABS_B && op <= BPF_OP_LD_IND_W);

	return calls ? BIT_OF(SPARE_X12) | BIT_OF(SPARE_X13) | BIT_OF(SPARE_X14) : 0;
}

const struct jit_arch *jit_arch(void)
{
	static const struct jit_arch arm64 = {
		.name = "arm64",
		.emit = arm64_emit,
		.size = arm64_size_of_code,
		.tail_call_offset = arm64_tail_call_offset,
		.link = arm64_link,
		.free = arm64_free,
		.spare = BIT_OF(SPARE_X12) | BIT_OF(SPARE_X13) | BIT_OF(SPARE_X14) |
			 BIT_OF(SPARE_X23),
		.scratch = arm64_scratch,
	};

	return &arm64;
}

#endif
