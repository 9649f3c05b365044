/*
 * combine.c - several instructions that one machine instruction can do
 *
 * A walk over each stretch of code that is entered at its top and left at its bottom. It finds
 *   - addresses: `r3 = r10; r3 += -256; r3 += r2` becomes one JIT_OP_LEA, or vanishes into the load
 *     or store behind it when r3 is not read again;
 *   - rotations: two opposite shifts of one value, put together, become JIT_OP_ROL;
 *   - `r1 <<= 32; r1 >>= 32`, a zero or sign extension in disguise;
 *   - `if c goto +1; goto L`, which is `if !c goto L`.
 *
 * An instruction that is taken over becomes JIT_OP_NOP. That is right because between it and the
 * one that takes over nothing reads its result (note_read() ends the pattern) and nothing changes
 * what it read (note_write() does).
 */
#include "jit/passes/combine.h"
#include "jit/ir/ir.h"

#define CHAIN_MAX 6

struct chain { /* how a register's value came to be, as an address */
	struct jit_addr addr;
	u32 at[CHAIN_MAX]; /* the instructions */
	u8 n; /* 0: not an address */
	bool is64;
	/* The part before a scaled index came in, see commit(). */
	struct jit_addr plain;
	u8 plain_n;
};

struct shift { /* the register is another value, shifted by a constant, and was not read since */
	bool valid, left, is64;
	u8 count;
	u32 source; /* number of the value */
	u32 at;
	s64 mov_at; /* the copy that it began with, -1: none */
};

struct walk {
	struct jit_ir *ir;
	u32 next_value;
	struct {
		struct chain chain;
		struct shift shift;
		u32 value64, value32; /* equal numbers: equal values (low halves) */
		s64 mov_at; /* this register is an unread copy, made there; else -1 */
	} reg[MAX_BPF_REG];
};

static void drop_insn(struct walk *w, u32 i)
{
	w->ir->op[i] = JIT_OP_NOP;
}

/*
 * The address is wanted in its register: one instruction instead of several. A scaled index is for
 * loads and stores only, as computing it into a register takes machines as long as the shift and
 * the addition do.
 */
static void commit(struct walk *w, u8 r)
{
	struct chain *chain = &w->reg[r].chain;
	struct jit_addr *addr = chain->addr.shift ? &chain->plain : &chain->addr;
	u8 n = chain->addr.shift ? chain->plain_n : chain->n;

	chain->n = 0;
	if (n < 2)
		return;
	for (u8 k = 0; k < n - 1; k++)
		drop_insn(w, chain->at[k]);
	w->ir->op[chain->at[n - 1]] = JIT_OP_LEA;
	w->ir->addr[chain->at[n - 1]] = *addr;
}

static void note_read(struct walk *w, u8 r)
{
	commit(w, r);
	w->reg[r].shift.valid = false;
	w->reg[r].mov_at = -1;
}

static void note_write(struct walk *w, u8 r)
{
	for (u8 q = 0; q < MAX_BPF_REG; q++) {
		struct jit_addr *addr = &w->reg[q].chain.addr;

		if (q != r && w->reg[q].chain.n && (addr->base == r || addr->index == r))
			commit(w, q);
	}
	w->reg[r].chain.n = 0;
	w->reg[r].shift.valid = false;
	w->reg[r].mov_at = -1;
	w->reg[r].value64 = w->reg[r].value32 = ++w->next_value;
}

/* Nothing is known: a jump, a jump's target, a call. */
static void forget(struct walk *w)
{
	for (u8 r = 0; r < MAX_BPF_REG; r++) {
		commit(w, r);
		note_write(w, r);
	}
}

static bool is_alu64(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_ALU64;
}

static u32 value_of(const struct walk *w, u8 r, bool is64)
{
	return is64 ? w->reg[r].value64 : w->reg[r].value32;
}

static bool dead_after(const struct walk *w, u32 i, u8 r)
{
	return !(w->ir->live_out[i] >> r & 1);
}

static void see_mov(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	u8 dst = insn->dst_reg, src = insn->src_reg;
	bool is64 = is_alu64(insn);
	u32 value64, value32;

	note_read(w, src);
	value64 = w->reg[src].value64;
	value32 = w->reg[src].value32;
	note_write(w, dst);
	w->reg[dst].value32 = value32;
	if (is64)
		w->reg[dst].value64 = value64;
	if (dst == src)
		return;
	w->reg[dst].mov_at = i;
	w->reg[dst].chain = (struct chain){
		.addr = {.used = true, .base = src, .index = JIT_NO_REG},
		.at = {i},
		.n = 1,
		.is64 = is64,
	};
}

/* The instruction continues its destination's address: keep that over the write. */
static void extend(struct walk *w, u32 i, const struct jit_addr *addr)
{
	u8 r = w->ir->insns[i].dst_reg;
	struct chain chain = w->reg[r].chain;

	note_write(w, r);
	chain.addr = *addr;
	chain.at[chain.n++] = i;
	w->reg[r].chain = chain;
}

/*
 * Room for `more` instructions in the destination's address; one that is none begins as the
 * register.
 */
static struct chain *chain_for(struct walk *w, const struct bpf_insn *insn, u8 more)
{
	struct chain *chain = &w->reg[insn->dst_reg].chain;

	if (chain->n && (chain->n + more > CHAIN_MAX || chain->is64 != is_alu64(insn)))
		commit(w, insn->dst_reg);
	if (!chain->n)
		*chain = (struct chain){
			.addr = {.used = true, .base = insn->dst_reg, .index = JIT_NO_REG},
			.is64 = is_alu64(insn),
		};
	return chain;
}

static bool see_add_imm(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	struct jit_addr addr = chain_for(w, insn, 1)->addr;
	s64 disp = (s64)addr.disp + insn->imm;

	if (!jit_disp_ok(w->ir, disp))
		return false;
	addr.disp = disp;
	extend(w, i, &addr);
	return true;
}

/* `r += y` where y is a shifted register and not read again: the shift is part of the address. */
static bool see_add_scaled(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	u8 y = insn->src_reg;
	struct chain scaled = w->reg[y].chain, *chain;
	struct jit_addr addr;

	if (!scaled.n || scaled.addr.base != JIT_NO_REG || scaled.addr.disp ||
	    scaled.is64 != is_alu64(insn) || !dead_after(w, i, y))
		return false;
	chain = chain_for(w, insn, 1 + scaled.n);
	if (chain->addr.index != JIT_NO_REG || chain->n + 1 + scaled.n > CHAIN_MAX)
		return false;
	chain->plain = addr = chain->addr;
	chain->plain_n = chain->n;
	addr.index = scaled.addr.index;
	addr.shift = scaled.addr.shift;
	for (u8 k = 0; k < scaled.n; k++)
		chain->at[chain->n++] = scaled.at[k];
	w->reg[y].chain.n = 0;
	w->reg[y].shift.valid = false;
	w->reg[y].mov_at = -1;
	extend(w, i, &addr);
	return true;
}

static bool see_add_reg(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	struct jit_addr addr;

	if (insn->src_reg == insn->dst_reg)
		return false;
	if (see_add_scaled(w, i))
		return true;
	note_read(w, insn->src_reg);
	addr = chain_for(w, insn, 1)->addr;
	if (addr.base == JIT_NO_REG) {
		addr.base = insn->src_reg;
	} else if (addr.index != JIT_NO_REG) {
		return false;
	} else if (insn->src_reg == BPF_REG_FP) { /* R10 is rbp less something: only as a base */
		if (addr.base == BPF_REG_FP)
			return false;
		addr.index = addr.base;
		addr.base = BPF_REG_FP;
	} else {
		addr.index = insn->src_reg;
	}
	extend(w, i, &addr);
	return true;
}

/* `r <<= 32; r >>= 32`: the low half, extended. */
static bool see_extension(struct walk *w, u32 i)
{
	struct bpf_insn *insn = &w->ir->insns[i];
	u8 r = insn->dst_reg, src = r;
	struct shift *shift = &w->reg[r].shift;
	bool sign = BPF_OP(insn->code) == BPF_ARSH;

	if (!shift->valid || !shift->left || !shift->is64 || shift->count != 32 ||
	    insn->imm != 32 || !is_alu64(insn))
		return false;
	if (shift->mov_at >= 0) {
		u8 copied = w->ir->insns[shift->mov_at].src_reg;

		if (w->reg[copied].value64 == shift->source && copied != BPF_REG_FP) {
			drop_insn(w, shift->mov_at);
			src = copied;
		}
	}
	drop_insn(w, shift->at);
	w->ir->op[i] = sign ? BPF_OP_ALU64_MOVSX32 : BPF_OP_ALU32_MOV_X;
	*insn = (struct bpf_insn){
		.code = (sign ? BPF_ALU64 : BPF_ALU) | BPF_MOV | BPF_X,
		.dst_reg = r,
		.src_reg = src,
		.off = sign ? 32 : 0,
	};
	note_write(w, r);
	return true;
}

static void see_shift(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	u8 r = insn->dst_reg;
	struct jit_addr addr;
	struct shift shift = {
		.valid = insn->imm > 0 && BPF_OP(insn->code) != BPF_ARSH,
		.left = BPF_OP(insn->code) == BPF_LSH,
		.is64 = is_alu64(insn),
		.count = insn->imm,
		.source = value_of(w, r, is_alu64(insn)),
		.at = i,
		.mov_at = w->reg[r].mov_at,
	};

	if (!shift.left && see_extension(w, i))
		return;
	addr = chain_for(w, insn, 1)->addr;
	if (shift.left && insn->imm > 0 && insn->imm <= 3 && addr.base != BPF_REG_FP &&
	    addr.base != JIT_NO_REG && addr.index == JIT_NO_REG && !addr.disp) {
		addr.index = addr.base;
		addr.shift = insn->imm;
		addr.base = JIT_NO_REG;
		extend(w, i, &addr);
	} else {
		commit(w, r);
		note_write(w, r);
	}
	w->reg[r].shift = shift;
}

/* `y |= t` (or += or ^=) of one value shifted both ways, and t is not read again. */
static bool see_rotation(struct walk *w, u32 i)
{
	struct bpf_insn *insn = &w->ir->insns[i];
	u8 y = insn->dst_reg, t = insn->src_reg, src = y;
	const struct shift *sy = &w->reg[y].shift, *st = &w->reg[t].shift;
	bool is64 = sy->is64;
	u8 bits = is64 ? 64 : 32;

	if (y == t || !sy->valid || !st->valid || sy->left == st->left || is64 != st->is64 ||
	    sy->count + st->count != bits || sy->source != st->source || !dead_after(w, i, t) ||
	    (is64 && !is_alu64(insn)))
		return false;
	if (sy->mov_at >= 0) {
		u8 copied = w->ir->insns[sy->mov_at].src_reg;

		if (copied != BPF_REG_FP && value_of(w, copied, is64) == sy->source) {
			drop_insn(w, sy->mov_at);
			src = copied;
		}
	}
	drop_insn(w, sy->at);
	drop_insn(w, st->at);
	if (st->mov_at >= 0)
		drop_insn(w, st->mov_at);
	w->ir->op[i] = JIT_OP_ROL;
	*insn = (struct bpf_insn){
		.code = is64 ? BPF_ALU64 : BPF_ALU,
		.dst_reg = y,
		.src_reg = src,
		.imm = sy->left ? sy->count : st->count,
	};
	w->reg[y].chain.n = w->reg[t].chain.n = 0;
	if (src != y)
		note_read(w, src);
	note_write(w, t);
	note_write(w, y);
	return true;
}

/* A plain load or store: its address may be computed in the access itself. */
static bool see_access(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	bool load = BPF_CLASS(insn->code) == BPF_LDX;
	u8 base = load ? insn->src_reg : insn->dst_reg;
	struct chain *chain = &w->reg[base].chain;
	struct jit_addr *addr = &w->ir->addr[i];

	if (BPF_CLASS(insn->code) == BPF_STX) {
		if (insn->src_reg == base)
			return false;
		note_read(w, insn->src_reg);
	}
	if (!chain->n || !chain->is64 || chain->addr.base == JIT_NO_REG ||
	    !jit_disp_ok(w->ir, (s64)chain->addr.disp + insn->off) ||
	    !(dead_after(w, i, base) || (load && insn->dst_reg == base)))
		return false;
	*addr = chain->addr;
	addr->disp += insn->off;
	for (u8 k = 0; k < chain->n; k++)
		drop_insn(w, chain->at[k]);
	chain->n = 0;
	w->reg[base].shift.valid = false;
	w->reg[base].mov_at = -1;
	if (load)
		note_write(w, insn->dst_reg);
	return true;
}

/* Returns false when the instruction means nothing to the patterns. */
static bool see_alu(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];
	bool x = BPF_SRC(insn->code) == BPF_X;

	switch (BPF_OP(insn->code)) {
	case BPF_MOV:
		if (!x || insn->off)
			return false;
		see_mov(w, i);
		return true;
	case BPF_OR:
	case BPF_XOR:
		return x && see_rotation(w, i);
	case BPF_ADD:
		if (!x)
			return see_add_imm(w, i);
		return see_rotation(w, i) || see_add_reg(w, i);
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		if (x)
			return false;
		see_shift(w, i);
		return true;
	default:
		return false;
	}
}

static void see_other(struct walk *w, u32 i)
{
	u16 use, def;

	jit_op_regs(w->ir, i, &use, &def);
	for (u8 r = 0; r < MAX_BPF_REG; r++)
		if (use >> r & 1)
			note_read(w, r);
	for (u8 r = 0; r < MAX_BPF_REG; r++)
		if (def >> r & 1)
			note_write(w, r);
}

/* `if c goto +1; goto L` */
static void see_jump(struct jit_ir *ir, u32 i)
{
	u8 op = BPF_OP(ir->insns[i].code);

	if (op == BPF_JA || op == BPF_CALL || op == BPF_EXIT || op == BPF_OP(BPF_TAIL_CALL) ||
	    ir->insns[i].off != 1 || i + 1 >= ir->len || ir->flags[i + 1] & JIT_TARGET)
		return;
	if (!jit_is_goto(ir, i + 1))
		return;
	ir->flags[i] |= JIT_INVERTED;
}

static void see(struct walk *w, u32 i)
{
	const struct bpf_insn *insn = &w->ir->insns[i];

	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		if (!see_alu(w, i))
			see_other(w, i);
		break;
	case BPF_JMP:
	case BPF_JMP32:
		forget(w);
		see_jump(w->ir, i);
		break;
	case BPF_LDX:
	case BPF_ST:
		/* An address may be computed behind a barrier as well. */
		if (w->ir->op[i] != BPF_OP_NOSPEC && !see_access(w, i))
			see_other(w, i);
		break;
	case BPF_STX:
		if (BPF_MODE(insn->code) == BPF_ATOMIC || !see_access(w, i))
			see_other(w, i);
		break;
	default: /* constants; packet loads, which call */
		if (w->ir->op[i] == BPF_OP_LD_IMM64)
			see_other(w, i);
		else
			forget(w);
	}
}

int jit_combine(struct jit_ir *ir)
{
	struct walk w = {.ir = ir};

	forget(&w);
	for (u32 i = 0; i < ir->len; i++) {
		if (ir->flags[i] & JIT_TARGET)
			forget(&w);
		if (!(ir->flags[i] & JIT_IMM64_HI) && ir->op[i] != JIT_OP_NOP)
			see(&w, i);
	}
	forget(&w);
	/* Sources are read later than they were: what was dead in between is not any more. */
	return jit_find_live(ir);
}
