/*
 * x86_64.c - machine code for x86-64, one BPF instruction after the other
 *
 * Registers: R0 rax, R1 rdi, R2 rsi, R3 rdx, R4 rcx, R5 r8, so that calls of helpers move nothing;
 * R6 rbx, R7 r14, R8 r15, R9 r13, which C functions keep. r9, r10, r11 are free inside of one
 * instruction's sequence (r9 may count tail calls), or hold slots of the stack (promote.c), as r12
 * does, which C functions keep. A 32-bit result is zero-extended by the machine, as BPF wants it.
 *
 * Frame of each subprogram, the stack growing down:
 *
 *	return address
 *	saved rbp              <- rbp
 *	saved R6 to R9, only those that the subprogram writes
 *	BPF stack              <- R10 is the address above it: rbp - 8 * saved
 *	8 bytes of scratch, if a packet load needs them
 *
 * A leaf whose stack fits into the red zone does not move rsp; one that has no stack and saves
 * nothing has no frame at all (a sampler that meets it there misses the function's caller). A tail
 * call undoes the frame and jumps to the target's tail_call_offset, which lies behind the reset of
 * the thread's tail call counter. A packet load that fails leaves the subprogram that it is in with
 * R0 = 0, as the kernel does.
 */
#ifdef __x86_64__

#include <sys/random.h>
#include "helpers/helpers.h"
#include "jit/x86_64/x86_64_alu.h"
#include "jit/x86_64/x86_64_div.h"
#include "run/callback.h"
#include "jit/ir/arch.h"
#include "jit/ir/pass.h"
#include "jit/execmem.h"
#include "jit/x86_64/x86_64_asm.h"
#include "jit/x86_64/x86_64_link.h"
#include "run/packet.h"

#define RED_ZONE      128
#define MAX_INSN_CODE 384 /* bytes that one BPF instruction may become, with steps of addresses */

#define BIT_OF(r) ((u16)(1u << (r)))

/* ---- operands */

/* Offset of a variable of this thread from fs: the same in every thread (initial-exec TLS). */
static s32 tls_offset(const void *var)
{
	u64 fs;

	__asm__("mov %%fs:0, %0" : "=r"(fs));
	return (s64)((u64)var - fs);
}

/* The displacement of [reg + off]. */
static s32 disp_of(const struct jit_code *c, u8 bpf_reg, s16 off)
{
	return bpf_reg == BPF_REG_FP ? off - c->fp_off : off;
}

/* op reg, address; an address is a register and an offset, or what combine.c made of it. */
static void op_addr(struct jit_code *c, int f, u8 op, u8 reg, const struct jit_addr *addr)
{
	s32 disp = addr->disp - (addr->base == BPF_REG_FP ? c->fp_off : 0);

	if (addr->index == JIT_NO_REG)
		x_mem(c, f, op, reg, x86_reg[addr->base], disp);
	else
		x_sib(c, f, op, reg, x86_reg[addr->base], x86_reg[addr->index], addr->shift, disp);
}

static void op_mem(struct jit_code *c, int f, u8 op, u8 reg, u32 i, u8 base)
{
	if (c->ir->addr[i].used)
		op_addr(c, f, op, reg, &c->ir->addr[i]);
	else
		x_mem(c, f, op, reg, x86_reg[base], disp_of(c, base, c->ir->insns[i].off));
}

/* ---- what combine.c makes */

static void lea(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];

	op_addr(c, x86_width(insn), 0x8d, x86_reg[insn->dst_reg], &c->ir->addr[i]);
}

/* Loops' addresses (step.c): made where the loop is fallen into, stepped in it. */
static void make_steps(struct jit_code *c, u32 i)
{
	for (u32 k = 0; k < c->ir->step_cnt; k++)
		if (c->ir->steps[k].head == i)
			op_addr(c, X_W, 0x8d, x86_reg[c->ir->steps[k].reg], &c->ir->steps[k].addr);
}

static void take_steps(struct jit_code *c, u32 i)
{
	for (u32 k = 0; k < c->ir->step_cnt; k++) {
		const struct jit_step *step = &c->ir->steps[k];

		if (step->at != i)
			continue;
		if (x86_is_blinded(c, step->by)) {
			x86_const(c, R11, (u64)(s64)step->by);
			x_rr(c, X_W, 0x01, R11, x86_reg[step->reg]);
		} else {
			x_ri(c, X_W, 0, x86_reg[step->reg], step->by);
		}
	}
}

/* ---- memory */

static void load(struct jit_code *c, u32 i, bool sign)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	static const u8 op[4][2] = {{0x8b, 0x63}, {0xb7, 0xbf}, {0xb6, 0xbe}, {0x8b, 0x8b}};
	u8 size = BPF_SIZE(insn->code) >> 3;
	int f = size == 1 || size == 2 ? X_0F : 0;

	if (sign || size == 3)
		f |= X_W;
	op_mem(c, f, op[size][sign], x86_reg[insn->dst_reg], i, insn->src_reg);
	if (size == 1 && !sign) {
		c->half_reg = x86_reg[insn->dst_reg];
		c->half_len = c->len;
	}
}

static int store_flags(u8 code)
{
	switch (BPF_SIZE(code)) {
	case BPF_H:
		return X_66;
	case BPF_DW:
		return X_W;
	default:
		return 0;
	}
}

static void store_imm(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	bool byte = BPF_SIZE(insn->code) == BPF_B;

	if (x86_is_blinded(c, insn->imm)) {
		x86_const(c, R11, (u64)(s64)insn->imm);
		op_mem(c, store_flags(insn->code) | (byte ? X_BREG : 0), byte ? 0x88 : 0x89, R11, i,
		       insn->dst_reg);
		return;
	}
	op_mem(c, store_flags(insn->code), byte ? 0xc6 : 0xc7, 0, i, insn->dst_reg);
	if (byte)
		x_put1(c, insn->imm);
	else if (BPF_SIZE(insn->code) == BPF_H)
		x_put2(c, insn->imm);
	else
		x_put4(c, insn->imm);
}

static void store_reg(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	bool byte = BPF_SIZE(insn->code) == BPF_B;

	op_mem(c, store_flags(insn->code) | (byte ? X_BREG : 0), byte ? 0x88 : 0x89,
	       x86_reg_in(c, insn->src_reg, R11), i, insn->dst_reg);
}

/* The group's number is the distance from add: 0 add, 1 or, 4 and, 5 sub, 6 xor. */
static void modify(struct jit_code *c, u32 i)
{
	static const u8 group[] = {0, 1, 4, 5, 6};
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 ext = group[c->ir->op[i] - JIT_OP_RMW_ADD], size = BPF_SIZE(insn->code);
	bool byte = size == BPF_B;
	int f = store_flags(insn->code);

	if (BPF_CLASS(insn->code) == BPF_STX) {
		op_mem(c, f | (byte ? X_BREG : 0), ext << 3 | !byte, x86_reg[insn->src_reg], i,
		       insn->dst_reg);
	} else if (x86_is_blinded(c, insn->imm)) {
		x86_const(c, R11, (u64)(s64)insn->imm);
		op_mem(c, f | (byte ? X_BREG : 0), ext << 3 | !byte, R11, i, insn->dst_reg);
	} else if (byte || is_imm8(size == BPF_H ? (s16)insn->imm : insn->imm)) {
		op_mem(c, f, byte ? 0x80 : 0x83, ext, i, insn->dst_reg);
		x_put1(c, insn->imm);
	} else {
		op_mem(c, f, 0x81, ext, i, insn->dst_reg);
		if (size == BPF_H)
			x_put2(c, insn->imm);
		else
			x_put4(c, insn->imm);
	}
}

static void atomic_op(struct jit_code *c, const struct bpf_insn *insn, u8 ext)
{
	x_mem(c, store_flags(insn->code) | X_LOCK, ext << 3 | 1, x86_reg_in(c, insn->src_reg, R11),
	      x86_reg[insn->dst_reg], disp_of(c, insn->dst_reg, insn->off));
}

static void atomic_xadd(struct jit_code *c, const struct bpf_insn *insn)
{
	x_mem(c, store_flags(insn->code) | X_LOCK | X_0F, 0xc1, x86_reg[insn->src_reg],
	      x86_reg[insn->dst_reg], disp_of(c, insn->dst_reg, insn->off));
}

static void atomic_xchg(struct jit_code *c, const struct bpf_insn *insn)
{
	x_mem(c, store_flags(insn->code), 0x87, x86_reg[insn->src_reg], x86_reg[insn->dst_reg],
	      disp_of(c, insn->dst_reg, insn->off));
}

static void atomic_cmpxchg(struct jit_code *c, const struct bpf_insn *insn)
{
	int f = store_flags(insn->code);

	x_mem(c, f | X_LOCK | X_0F, 0xb1, x86_reg_in(c, insn->src_reg, R11), x86_reg[insn->dst_reg],
	      disp_of(c, insn->dst_reg, insn->off));
	x86_zero_extend(c, f, RAX); /* the machine does so only where the comparison fails */
}

/* and, or, xor with the old value to src: a loop around cmpxchg, which needs rax. */
static void atomic_fetch_loop(struct jit_code *c, const struct bpf_insn *insn, u8 ext)
{
	u8 base = x86_reg[insn->dst_reg], src = x86_reg[insn->src_reg], tmp = R10;
	s32 disp = disp_of(c, insn->dst_reg, insn->off);
	int f = store_flags(insn->code);
	u32 loop;

	x_mov(c, X_W, R11, RAX); /* R0: kept, or the operand, or the address */
	if (src == RAX)
		src = R11;
	if (base == RAX)
		base = R11;
	x_mem(c, f, 0x8b, RAX, base, disp);
	loop = c->len;
	x_mov(c, f, tmp, RAX);
	x_rr(c, f, ext << 3 | 1, src, tmp);
	x_mem(c, f | X_LOCK | X_0F, 0xb1, tmp, base, disp);
	x_back(c, CC_NE, loop);
	if (insn->src_reg == BPF_REG_0)
		return; /* the old value is in its place */
	x_mov(c, f, src, RAX);
	x_mov(c, X_W, RAX, R11);
}

/*
 * Labels behind those of the instructions: the entries of the subprograms, before their prologues.
 */
static u32 func_label(const struct jit_code *c, u32 start)
{
	u32 f = 0;

	while (c->ir->funcs[f].start != start)
		f++;
	return c->ir->len + 1 + f;
}

static void load_imm64(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	u8 dst = x86_reg[insn->dst_reg];

	if (insn->src_reg == BPF_PSEUDO_FUNC)
		x_fix(c, FIX_LEA, dst, func_label(c, i + 1 + insn->imm));
	else if (insn->src_reg)
		x_const(c, dst, bpf_insn_imm64(insn)); /* an address of ours */
	else
		x86_const(c, dst, bpf_insn_imm64(insn));
}

/* The slow way of a packet load: labels behind those of the subprograms. */
static u32 stub_label(const struct jit_code *c, u32 i)
{
	return c->ir->len + 1 + c->ir->func_cnt + i;
}

static bool reserve(struct jit_code *c)
{
	if (c->cap - c->len < MAX_INSN_CODE) {
		u32 cap = c->cap * 2;
		u8 *buf = realloc(c->buf, cap);

		if (!buf)
			return false;
		c->buf = buf;
		c->cap = cap;
	}
	return !c->err;
}

static void mark_label(struct jit_code *c, u32 label)
{
	c->label_pos[label] = c->len;
	c->label_fix[label] = c->fix_cnt;
}

/* ---- control flow */

static void call_c(struct jit_code *c, const void *func)
{
	if (!c->far && execmem_near(func)) {
		x_fix(c, FIX_CALL_ABS, 0, (u64)func);
		return;
	}
	x_const(c, R11, (u64)func);
	x_rr(c, 0, 0xff, 2, R11);
}

/* A run that is cancelled calls no global function (run/run.h): back, before there is a frame. */
static void leave_cancelled(struct jit_code *c)
{
	u32 go_on;

	x_fs(c, X_W, 0x8b, RAX, tls_offset(&bpf_this.cancel));
	x_mem(c, 0, 0x80, 7, RAX, 0);
	x_put1(c, 0);
	go_on = x_jump(c, CC_E);
	x_const(c, RAX, 0);
	x_put1(c, 0xc3);
	x_here(c, go_on);
}

static void leave_frame(struct jit_code *c)
{
	if (!c->frame)
		return;
	if (c->sub && !c->saved_cnt) {
		x_put1(c, 0xc9); /* leave */
		return;
	}
	if (c->sub)
		x_mem(c, X_W, 0x8d, RSP, RBP, -8 * c->saved_cnt);
	for (int k = c->saved_cnt; k-- > 0;)
		x_head(c, 0, 0x58 | (c->saved[k] & 7), 0, 0, c->saved[k]);
	x_put1(c, 0x5d);
}

static void leave_func(struct jit_code *c)
{
	leave_frame(c);
	x_put1(c, 0xc3);
}

/* Nothing behind it begins before all that stands before it is done. */
static void lfence(struct jit_code *c)
{
	x_put1(c, 0x0f);
	x_put1(c, 0xae);
	x_put1(c, 0xe8);
}

static void enter_func(struct jit_code *c, const struct jit_func *fn)
{
	static const u8 callee_saved[] = {BPF_REG_6, BPF_REG_7, BPF_REG_8, BPF_REG_9, SPARE_R12};
	const struct bpf_prog *prog = c->ir->prog;
	u32 need = fn->stack_depth;

	c->fn = fn;
	c->saved_cnt = 0;
	for (int k = 0; k < ARRAY_SIZE(callee_saved); k++)
		if (fn->written >> callee_saved[k] & 1)
			c->saved[c->saved_cnt++] = x86_reg[callee_saved[k]];
	c->fp_off = 8 * c->saved_cnt;
	if (fn->ld_abs) {
		need += 8;
		c->scratch = -(c->fp_off + (s32)need);
	}
	/* Calls need rsp to be a multiple of 16, as it is after the push of rbp. */
	c->sub = fn->calls ? round_up(c->fp_off + need, 16u) - c->fp_off : need;
	if (!fn->calls && need <= RED_ZONE)
		c->sub = 0;

	c->frame = fn->calls || need || c->saved_cnt || fn->uses_fp || c->all_frames;
	if (!c->frame)
		return;
	x_put1(c, 0x55);
	x_mov(c, X_W, RBP, RSP);
	for (int k = 0; k < c->saved_cnt; k++)
		x_head(c, 0, 0x50 | (c->saved[k] & 7), 0, 0, c->saved[k]);
	if (c->sub)
		x_ri(c, X_W, 5, RSP, c->sub);
	if (!fn->stack_depth || (!prog->zero_stack && !prog->fence_stack))
		return;
	for (s32 off = 8; off <= (s32)fn->stack_depth; off += 8) {
		/* All of a large frame's are more than one instruction may become. */
		if (!(off % 128) && !reserve(c)) {
			c->err = true;
			return;
		}
		x_mem(c, X_W, 0xc7, 0, RBP, -c->fp_off - off);
		x_put4(c, 0);
	}
	if (prog->fence_stack)
		lfence(c);
}

/* cmp or test; the flags are then those that the condition reads. */
static void compare(struct jit_code *c, const struct bpf_insn *insn, u8 cc)
{
	u8 dst = x86_reg_in(c, insn->dst_reg, R10);
	bool test = BPF_OP(insn->code) == BPF_JSET;
	int w = x86_width(insn);

	if (x86_by_reg(insn)) {
		x_rr(c, w, test ? 0x85 : 0x39, x86_reg_in(c, insn->src_reg, R11), dst);
	} else if (x86_is_blinded(c, (s64)x86_imm(insn))) {
		x86_const(c, R11, x86_imm(insn));
		x_rr(c, w, test ? 0x85 : 0x39, R11, dst);
	} else if (test) {
		if (insn->imm >= 0)
			w = 0;
		if (insn->imm >= 0 && insn->imm <= 0x7f) {
			x_rr(c, X_BRM, 0xf6, 0, dst);
			x_put1(c, insn->imm);
		} else {
			x_rr(c, w, 0xf7, 0, dst);
			x_put4(c, insn->imm);
		}
	} else if (!insn->imm) {
		if (!x86_have_flags(c, dst, w, cc))
			x_rr(c, w, 0x85, dst, dst);
	} else {
		x_ri(c, w, 7, dst, insn->imm);
	}
}

/*
 * Where each turn of a loop ends. The alignment is the last fix before the label of the loop's
 * first instruction.
 */
static void end_loop(struct jit_code *c, u32 i, bool inverted)
{
	u32 head = c->label_fix[jit_target(c->ir, i + inverted)];

	if (head && c->fix[head - 1].kind == FIX_ALIGN)
		c->fix[head - 1].target = i + 1 + inverted;
	x_fix_pair(c);
}

static void jump_if(struct jit_code *c, u32 i, u8 cc)
{
	bool inverted = c->ir->flags[i] & JIT_INVERTED;

	if (jit_target(c->ir, i + inverted) <= i && c->pairs)
		end_loop(c, i, inverted);
	compare(c, &c->ir->insns[i], cc);
	x_fix(c, FIX_JCC, cc ^ inverted, jit_target(c->ir, i + inverted));
}

static void jump(struct jit_code *c, u32 i)
{
	if (jit_target(c->ir, i) != i + 1)
		x_fix(c, FIX_JMP, 0, jit_target(c->ir, i));
}

/* eax: is the run cancelled? */
static void load_cancelled(struct jit_code *c)
{
	x_fs(c, X_W, 0x8b, RAX, tls_offset(&bpf_this.cancel));
	x_mem(c, X_0F, 0xb6, RAX, RAX, 0);
}

static void call(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	bpf_func_t func = BPF_CALL_FUNC(insn->imm);

	if (insn->src_reg == BPF_PSEUDO_CALL)
		x_fix(c, FIX_CALL, 0, func_label(c, jit_target(c->ir, i)));
	else if (func == bpf_base_func_proto(BPF_FUNC_get_smp_processor_id, NULL)->func)
		x_fs(c, X_W, 0x63, RAX, tls_offset(&bpf_this.slot)); /* the helper's body */
	else if (func == bpf_run_cancelled_call)
		load_cancelled(c);
	else
		call_c(c, func);
}

/*
 * rdi: context, rsi: prog_array, edx: index. Goes on behind when there is nothing to jump to. The
 * same as bpf_prog_array_get(), in place.
 *
 * The run's count is in bpf_this, and in r9 on the way into a target; a target that keeps it there
 * need not wait for the memory.
 */
static void tail_call(struct jit_code *c, u32 i)
{
	s32 cnt = tls_offset(&bpf_this.tail_call_cnt);

	if (!c->count_in_r9)
		x_fs(c, 0, 0x8b, R9, cnt);
	x_ri(c, 0, 7, R9, MAX_TAIL_CALL_CNT);
	x_fix(c, FIX_JCC, CC_AE, i + 1);
	x_mem(c, 0, 0x3b, RDX, RSI, offsetof(struct bpf_map, max_entries));
	x_fix(c, FIX_JCC, CC_AE, i + 1);
	if (c->ir->prog->prog_flags & PROG_F_STRICT)
		lfence(c);
	x_mov(c, 0, RDX, RDX);
	x_mem(c, X_W, 0x8b, RAX, RSI, offsetof(struct bpf_map, progs));
	x_sib(c, X_W, 0x8b, RAX, RAX, RDX, 3, 0);
	x_rr(c, X_W, 0x85, RAX, RAX);
	x_fix(c, FIX_JCC, CC_E, i + 1);
	x_ri(c, 0, 0, R9, 1);
	x_fs(c, 0, 0x89, R9, cnt);
	x_mov(c, X_W, RSI, RAX); /* an interpreter wants to know its program */
	x_mem(c, 0, 0x8b, RAX, RSI, offsetof(struct bpf_prog, tail_call_offset));
	x_mem(c, X_W, 0x03, RAX, RSI, offsetof(struct bpf_prog, bpf_func));
	leave_frame(c);
	x_rr(c, 0, 0xff, 4, RAX);
}

/* The slow way: bpf_skb_load() at the offset in esi. */
static void call_skb_load(struct jit_code *c, const struct bpf_insn *insn)
{
	u32 ok;

	x_mov(c, X_W, RDI, RBX);
	x_const(c, RDX, bpf_size_to_bytes(insn->code));
	x_mem(c, X_W, 0x8d, RCX, RBP, c->scratch);
	call_c(c, bpf_skb_load);
	x_rr(c, 0, 0x85, RAX, RAX);
	ok = x_jump(c, CC_E);
	x_const(c, RAX, 0);
	leave_func(c);
	x_here(c, ok);
	x_mem(c, X_W, 0x8b, RAX, RBP, c->scratch);
}

/*
 * R0 = what lies in the packet. Offsets from 0 on are loaded in place, after a look at the bounds;
 * the negative ones, and what is outside, go the slow way, which stands behind the function
 * (packet_stubs()). R1 to R5 are the instruction's to use.
 */
static void load_packet(struct jit_code *c, u32 i)
{
	const struct bpf_insn *insn = &c->ir->insns[i];
	u32 size = bpf_size_to_bytes(insn->code);

	if (BPF_MODE(insn->code) == BPF_IND && x86_is_blinded(c, (u32)insn->imm)) {
		x_mov(c, 0, R10, x86_reg_in(c, insn->src_reg, R10));
		x86_const(c, RSI, (u32)insn->imm);
		x_rr(c, 0, 0x01, R10, RSI);
	} else if (BPF_MODE(insn->code) == BPF_IND) {
		x_mem(c, 0, 0x8d, RSI, x86_reg_in(c, insn->src_reg, R11), insn->imm);
	} else {
		x86_const(c, RSI, (u32)insn->imm);
	}
	x_mem(c, X_W, 0x8b, RDI, RBX, offsetof(struct bpf_skb_head, data));
	x_mem(c, X_W, 0x8b, RAX, RBX, offsetof(struct bpf_skb_head, data_end));
	x_rr(c, X_W, 0x29, RDI, RAX);
	x_ri(c, X_W, 5, RAX, size);
	/* A negative offset, as the 32 bits that it is here, is beyond any packet. */
	x_rr(c, X_W, 0x39, RSI, RAX);
	x_fix(c, FIX_JCC, CC_L, stub_label(c, i));
	x_sib(c, size == 4 ? 0 : X_0F,
	      size == 4	  ? 0x8b
	      : size == 2 ? 0xb7
			  : 0xb6,
	      RAX, RDI, RSI, 0, 0);
	if (size == 2) {
		x_rr(c, X_66, 0xc1, 1, RAX);
		x_put1(c, 8);
	} else if (size == 4) {
		x86_bswap(c, RAX, 32);
	}
}

/* Where load_packet() leaves the straight way; each stub comes back behind its instruction. */
static int packet_stubs(struct jit_code *c, const struct jit_func *fn)
{
	for (u32 i = fn->start; fn->ld_abs && i < fn->end; i++) {
		u8 op = c->ir->op[i];

		if (op < BPF_OP_LD_ABS_B || op > BPF_OP_LD_IND_W)
			continue;
		if (!reserve(c))
			return -ENOMEM;
		mark_label(c, stub_label(c, i));
		call_skb_load(c, &c->ir->insns[i]);
		x_fix(c, FIX_JMP, 0, i + 1);
	}
	return 0;
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
	u8 dst = x86_reg[insn->dst_reg];

	switch ((enum bpf_op)c->ir->op[i]) {
	case ALU4(ADD):
		x86_group(c, insn, 0);
		break;
	case ALU4(OR):
		x86_group(c, insn, 1);
		break;
	case ALU4(AND):
		x86_group(c, insn, 4);
		break;
	case ALU4(SUB):
		x86_group(c, insn, 5);
		break;
	case ALU4(XOR):
		x86_group(c, insn, 6);
		break;
	case ALU4(MUL):
		x86_mul(c, insn);
		break;
	case ALU4(DIV):
	case ALU4(SDIV):
	case ALU4(MOD):
	case ALU4(SMOD):
		x86_div(c, i);
		break;
	case ALU4(LSH):
		x86_shift(c, insn, 4);
		break;
	case ALU4(RSH):
		x86_shift(c, insn, 5);
		break;
	case ALU4(ARSH):
		x86_shift(c, insn, 7);
		break;
	case ALU4(MOV):
		x86_mov(c, insn);
		break;
	case BPF_OP_ALU64_MOVSX8:
	case BPF_OP_ALU64_MOVSX16:
	case BPF_OP_ALU64_MOVSX32:
	case BPF_OP_ALU32_MOVSX8:
	case BPF_OP_ALU32_MOVSX16:
		x86_movsx(c, insn);
		break;
	case BPF_OP_ALU64_NEG:
	case BPF_OP_ALU32_NEG:
		x_rr(c, x86_width(insn), 0xf7, 3, dst);
		break;
	case BPF_OP_END_LE16:
		x_rr(c, X_0F, 0xb7, dst, dst);
		break;
	case BPF_OP_END_LE32:
		x_mov(c, 0, dst, dst);
		break;
	case BPF_OP_END_LE64:
		break;
	case BPF_OP_END_BE16:
	case BPF_OP_END_BE32:
	case BPF_OP_END_BE64:
	case BPF_OP_BSWAP16:
	case BPF_OP_BSWAP32:
	case BPF_OP_BSWAP64:
		x86_bswap(c, dst, insn->imm);
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
		store_imm(c, i);
		break;
	case BPF_OP_STX_B:
	case BPF_OP_STX_H:
	case BPF_OP_STX_W:
	case BPF_OP_STX_DW:
		store_reg(c, i);
		break;
	case ATOMIC2(ADD):
		atomic_op(c, insn, 0);
		break;
	case ATOMIC2(OR):
		atomic_op(c, insn, 1);
		break;
	case ATOMIC2(AND):
		atomic_op(c, insn, 4);
		break;
	case ATOMIC2(XOR):
		atomic_op(c, insn, 6);
		break;
	case ATOMIC2(FETCH_ADD):
		atomic_xadd(c, insn);
		break;
	case ATOMIC2(FETCH_OR):
		atomic_fetch_loop(c, insn, 1);
		break;
	case ATOMIC2(FETCH_AND):
		atomic_fetch_loop(c, insn, 4);
		break;
	case ATOMIC2(FETCH_XOR):
		atomic_fetch_loop(c, insn, 6);
		break;
	case ATOMIC2(XCHG):
		atomic_xchg(c, insn);
		break;
	case ATOMIC2(CMPXCHG):
		atomic_cmpxchg(c, insn);
		break;
	case JMP4(JEQ):
		jump_if(c, i, CC_E);
		break;
	case JMP4(JNE):
		jump_if(c, i, CC_NE);
		break;
	case JMP4(JGT):
		jump_if(c, i, CC_A);
		break;
	case JMP4(JGE):
		jump_if(c, i, CC_AE);
		break;
	case JMP4(JLT):
		jump_if(c, i, CC_B);
		break;
	case JMP4(JLE):
		jump_if(c, i, CC_BE);
		break;
	case JMP4(JSGT):
		jump_if(c, i, CC_G);
		break;
	case JMP4(JSGE):
		jump_if(c, i, CC_GE);
		break;
	case JMP4(JSLT):
		jump_if(c, i, CC_L);
		break;
	case JMP4(JSLE):
		jump_if(c, i, CC_LE);
		break;
	case JMP4(JSET):
		jump_if(c, i, CC_NE);
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
		lfence(c);
		break;
	case BPF_OP_MAX:
		break;
	}
}

static void emit_combined(struct jit_code *c, u32 i)
{
	u8 op = c->ir->op[i];

	if (op == JIT_OP_LEA)
		lea(c, i);
	else if (op == JIT_OP_DIVMOD)
		x86_divmod(c, i);
	else if (op == JIT_OP_ROL)
		x86_rotate(c, &c->ir->insns[i]);
	else if (op >= JIT_OP_RMW_ADD && op <= JIT_OP_RMW_XOR)
		modify(c, i);
}

/* ---- the program */

static void x86_free(struct jit_code *c)
{
	if (!c)
		return;
	free(c->buf);
	free(c->fix);
	free(c->label_pos);
	free(c->label_fix);
	free(c->fix_sum);
	free(c);
}

/* A run begins here; a tail call enters behind. */
static void begin_run(struct jit_code *c)
{
	const struct jit_ir *ir = c->ir;
	bool tail_call = false;

	for (u32 f = 0; f < ir->func_cnt; f++)
		tail_call |= ir->funcs[f].tail_call;
	if (!tail_call)
		return;
	/* Only the main program, and nothing in it uses r9 (divisions do)? */
	c->count_in_r9 = ir->func_cnt == 1 && !ir->funcs[0].calls;
	for (u32 i = 0; i < ir->len; i++)
		c->count_in_r9 &= ir->op[i] != JIT_OP_DIVMOD && (ir->op[i] < BPF_OP_ALU64_DIV_K ||
								 ir->op[i] > BPF_OP_ALU32_SMOD_X);
	if (c->count_in_r9) {
		x_const(c, R9, 0);
	} else {
		x_fs(c, 0, 0xc7, 0, tls_offset(&bpf_this.tail_call_cnt));
		x_put4(c, 0);
	}
	c->tail_call_offset = c->len;
}

static int emit_all(struct jit_code *c)
{
	const struct jit_ir *ir = c->ir;

	for (u32 f = 0; f < ir->func_cnt; f++) {
		const struct jit_func *fn = &ir->funcs[f];

		if (!reserve(c))
			return -ENOMEM;
		x_fix(c, FIX_ALIGN, 16, 0);
		mark_label(c, ir->len + 1 + f);
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
			if (ir->flags[i] & JIT_LOOP_HEAD)
				x_fix(c, FIX_ALIGN, 16, 0);
			mark_label(c, i);
			if (ir->flags[i] & JIT_TARGET)
				c->flags_len = c->half_len = 0; /* other ways lead here */
			if (ir->flags[i] & JIT_IMM64_HI)
				continue;
			if (ir->flags[i] & JIT_STEP)
				take_steps(c, i);
			if (ir->op[i] < BPF_OP_MAX)
				emit_insn(c, i);
			else
				emit_combined(c, i);
			if (ir->flags[i] & JIT_INVERTED)
				mark_label(c, ++i);
		}
		if (packet_stubs(c, fn))
			return -ENOMEM;
	}
	mark_label(c, ir->len);
	return c->err ? -ENOMEM : 0;
}

/*
 * Which of r9 to r11 the code of an instruction uses for itself. It says too much rather than too
 * little: R10 as a value may have to be computed.
 */
static u16 scratch_of_insn(const struct jit_ir *ir, u32 i)
{
	const u16 r9 = BIT_OF(SPARE_R9), r10 = BIT_OF(SPARE_R10), r11 = BIT_OF(SPARE_R11);
	const struct bpf_insn *insn = &ir->insns[i];
	u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);
	bool x = BPF_SRC(insn->code) == BPF_X;

	if (ir->op[i] >= BPF_OP_MAX && ir->op[i] != JIT_OP_DIVMOD)
		return 0;
	switch (class) {
	case BPF_ALU:
	case BPF_ALU64:
		if (op == BPF_DIV || op == BPF_MOD)
			return r9 | r10 | r11;
		if (op == BPF_MUL && !x) /* by an odd number: perhaps of shifts */
			return insn->imm & 1 ? r11 : 0;
		if (x && (op == BPF_LSH || op == BPF_RSH || op == BPF_ARSH))
			return r10 | r11; /* without BMI2 */
		return x && insn->src_reg == BPF_REG_FP ? r10 | r11 : 0;
	case BPF_LDX:
	case BPF_ST:
		return 0;
	case BPF_STX:
		if (BPF_MODE(insn->code) == BPF_MEM && insn->src_reg != BPF_REG_FP)
			return 0;
		return r10 | r11;
	case BPF_LD:
		return ir->op[i] == BPF_OP_LD_IMM64 ? 0 : r9 | r10 | r11;
	default: /* jumps; calls, whoever is called */
		if (op == BPF_JA || op == BPF_EXIT)
			return 0;
		if (ir->op[i] == BPF_OP_CALL || ir->op[i] == BPF_OP_TAIL_CALL)
			return r9 | r10 | r11;
		return insn->dst_reg == BPF_REG_FP || (x && insn->src_reg == BPF_REG_FP) ? r10 | r11
											 : 0;
	}
}

static u16 x86_scratch(const struct jit_ir *ir, u32 i)
{
	if (ir->blind) /* most constants need one */
		return BIT_OF(SPARE_R9) | BIT_OF(SPARE_R10) | BIT_OF(SPARE_R11);
	return scratch_of_insn(ir, i);
}

static bool baseline;

void jit_arch_baseline(bool on)
{
	__atomic_store_n(&baseline, on, __ATOMIC_RELAXED);
}

static int x86_emit(const struct jit_ir *ir, bool far, struct jit_code **out)
{
	struct jit_code *c = calloc(1, sizeof(*c));
	int err = -ENOMEM;

	if (!c)
		return -ENOMEM;
	c->ir = ir;
	c->far = far;
	c->pairs = jit_pass_used(JIT_PASS_PAIRS);
	c->all_frames = !jit_pass_used(JIT_PASS_FRAMES);
	c->blind = ir->blind;
	if (c->blind && getrandom(&c->random, sizeof(c->random), 0) != sizeof(c->random)) {
		free(c);
		return -EIO;
	}
	__builtin_cpu_init();
	c->bmi2 = !baseline && __builtin_cpu_supports("bmi2");
	c->cap = 1024 + ir->len * 8;
	c->buf = malloc(c->cap);
	c->label_pos = calloc(2 * (size_t)ir->len + 1 + ir->func_cnt, sizeof(u32));
	c->label_fix = calloc(2 * (size_t)ir->len + 1 + ir->func_cnt, sizeof(u32));
	if (c->buf && c->label_pos && c->label_fix)
		err = emit_all(c);
	if (!err)
		err = x86_layout(c);
	if (err) {
		x86_free(c);
		return err;
	}
	*out = c;
	return 0;
}

static u32 x86_size(const struct jit_code *c)
{
	return c->size;
}

static u32 x86_tail_call_offset(const struct jit_code *c)
{
	return c->tail_call_offset;
}

const struct jit_arch *jit_arch(void)
{
	static const struct jit_arch x86_64 = {
		.name = "x86-64",
		.emit = x86_emit,
		.size = x86_size,
		.tail_call_offset = x86_tail_call_offset,
		.link = x86_link,
		.free = x86_free,
		.spare = BIT_OF(SPARE_R9) | BIT_OF(SPARE_R10) | BIT_OF(SPARE_R11) |
			 BIT_OF(SPARE_R12),
		.scratch = x86_scratch,
	};

	return &x86_64;
}

#endif
