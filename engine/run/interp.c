/*
 * interp.c - the interpreter: direct threading over a decoded copy of the program
 *
 * bpf_interp_prepare() decodes insnsi once: each instruction becomes the address of the code that
 * does it, its registers, its immediate sign-extended to 64 bits, and its jump target as a pointer.
 * bpf_interp_run() then only follows addresses. Index i of the decoded form is index i of insnsi
 * (the second half of LD_IMM64 keeps its place), and one more entry stops a run that would leave
 * the end.
 *
 * Both the labels and the table that holds their addresses come from BPF_OP_TABLE: a row without
 * code here does not compile, nor does code without a row.
 *
 * This is the reference that the JITs are compared with, so each operation is written as RFC 9669
 * defines it: division by zero gives 0, modulo by zero leaves the dividend, INT_MIN / -1 is
 * INT_MIN, shift counts are masked, and a 32-bit operation zeroes the upper half. Memory is
 * accessed as the verifier allowed it; nothing is checked a second time. Atomics are seq_cst.
 */
#include <endian.h>
#include "run/callback.h"
#include "insn/insn.h"
#include "run/interp.h"
#include "run/packet.h"
#include "run/run.h"

struct bpf_interp_insn {
	const void *handler; /* a label of interp() */
	u8 dst, src;
	s16 off;
	u32 size; /* bytes of a packet load */
	s64 imm;
	union {
		const struct bpf_interp_insn *target; /* jumps, bpf-to-bpf calls, callbacks */
		bpf_func_t func; /* helper calls */
	};
};

/* Entries of the label table that are not rows: what CALL becomes, and the end of the program. */
enum {
	INTERP_LOCAL_CALL = BPF_OP_MAX,
	INTERP_GLOBAL_CALL,
	INTERP_CANCELLED,
	INTERP_END,
	INTERP_MAX,
};

struct interp_frame { /* what a bpf-to-bpf call saves */
	const struct bpf_interp_insn *ret;
	u64 callee_saved[4]; /* R6 to R9 */
};

/* Programs may access memory at any alignment where the type's rules allow it. */
typedef u16 __attribute__((aligned(1), may_alias)) una_u16;
typedef u32 __attribute__((aligned(1), may_alias)) una_u32;
typedef u64 __attribute__((aligned(1), may_alias)) una_u64;

static u64 sdiv64(u64 a, u64 b)
{
	if (b == 0)
		return 0;
	return (s64)b == -1 ? -a : (u64)((s64)a / (s64)b);
}

static u64 smod64(u64 a, u64 b)
{
	if (b == 0)
		return a;
	return (s64)b == -1 ? 0 : (u64)((s64)a % (s64)b);
}

static u32 sdiv32(u32 a, u32 b)
{
	if (b == 0)
		return 0;
	return (s32)b == -1 ? -a : (u32)((s32)a / (s32)b);
}

static u32 smod32(u32 a, u32 b)
{
	if (b == 0)
		return a;
	return (s32)b == -1 ? 0 : (u32)((s32)a % (s32)b);
}

/*
 * The machine begins nothing that stands behind it, also not on trial, before it knows that the way
 * leads here. On machines that are not named it is a barrier for the compiler alone.
 */
static inline void nospec(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__asm__ volatile("lfence" ::: "memory");
#elif defined(__aarch64__)
	__asm__ volatile("dsb nsh\n\tisb" ::: "memory");
#elif defined(__powerpc64__)
	__asm__ volatile("ori 31,31,0" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

static inline void clean_frame(const struct bpf_prog *prog, void *frame)
{
	if (prog->zero_stack || prog->fence_stack)
		memset(frame, 0, MAX_BPF_STACK);
	if (prog->fence_stack)
		nospec();
}

#define DST   r[insn->dst]
#define SRC   r[insn->src]
#define IMM   insn->imm
#define LD(T) (*(const T *)(uintptr_t)(SRC + insn->off))
#define ST(T) (*(T *)(uintptr_t)(DST + insn->off))
#define AT(T) ((T *)(uintptr_t)(DST + insn->off))
#define NEXT                          \
	do {                          \
		insn++;               \
		goto * insn->handler; \
	} while (0)
#define JUMP                          \
	do {                          \
		insn = insn->target;  \
		goto * insn->handler; \
	} while (0)

/* One operation in its four forms; `a` is dst, `b` the operand, both as wide as the operation. */
#define ALU(NAME, EXPR64, EXPR32)               \
	do_ALU64_##NAME##_K:                    \
	{                                       \
		u64 a = DST, b = IMM;           \
		(void)a;                        \
		DST = (EXPR64);                 \
		NEXT;                           \
	}                                       \
	do_ALU64_##NAME##_X:                    \
	{                                       \
		u64 a = DST, b = SRC;           \
		(void)a;                        \
		DST = (EXPR64);                 \
		NEXT;                           \
	}                                       \
	do_ALU32_##NAME##_K:                    \
	{                                       \
		u32 a = (u32)DST, b = (u32)IMM; \
		(void)a;                        \
		DST = (u32)(EXPR32);            \
		NEXT;                           \
	}                                       \
	do_ALU32_##NAME##_X:                    \
	{                                       \
		u32 a = (u32)DST, b = (u32)SRC; \
		(void)a;                        \
		DST = (u32)(EXPR32);            \
		NEXT;                           \
	}

#define UNARY(NAME, EXPR)         \
	do_##NAME : DST = (EXPR); \
	NEXT;

#define COND(LABEL, TYPE, A, OP, B) \
LABEL:                              \
	if ((TYPE)(A)OP(TYPE)(B))   \
		JUMP;               \
	NEXT;

/* One condition in its four forms; U64 and U32 say how the operands are compared. */
#define JMP(NAME, T64, T32, OP)                      \
	COND(do_JMP_##NAME##_K, T64, DST, OP, IMM)   \
	COND(do_JMP_##NAME##_X, T64, DST, OP, SRC)   \
	COND(do_JMP32_##NAME##_K, T32, DST, OP, IMM) \
	COND(do_JMP32_##NAME##_X, T32, DST, OP, SRC)

#define ATOMIC(NAME, FUNC)                                              \
	do_ATOMIC64_##NAME : FUNC(AT(u64), SRC, __ATOMIC_SEQ_CST);      \
	NEXT;                                                           \
	do_ATOMIC32_##NAME : FUNC(AT(u32), (u32)SRC, __ATOMIC_SEQ_CST); \
	NEXT;

#define ATOMIC_FETCH(NAME, FUNC)                                              \
	do_ATOMIC64_##NAME : SRC = FUNC(AT(u64), SRC, __ATOMIC_SEQ_CST);      \
	NEXT;                                                                 \
	do_ATOMIC32_##NAME : SRC = FUNC(AT(u32), (u32)SRC, __ATOMIC_SEQ_CST); \
	NEXT;

/*
 * interp() is alone in its section, so that the address of a fault tells whether it was there. It
 * holds no lock, and what it calls (helpers, packet loads) lies elsewhere.
 */
#define INTERP_SECTION __attribute__((section("bpf_interp"), noinline))
extern const char __start_bpf_interp[] __attribute__((visibility("hidden")));
extern const char __stop_bpf_interp[] __attribute__((visibility("hidden")));

/*
 * interp - run a prepared program, or hand out the labels
 *
 * With prog NULL only *labels is set. It begins at `insn` of prog with R1 to R5 from args: the main
 * program, or a callback. A tail call of a subprogram is a C call: the subprogram's caller is still
 * to be returned to.
 *
 * ThreadSanitizer does not look inside: two programs that race on a map value race by their own
 * will.
 */
INTERP_SECTION __attribute__((no_sanitize("thread"))) static u64 interp(
	const struct bpf_prog *prog, const struct bpf_interp_insn *insn, const u64 *args,
	const void *const **labels)
{
	static const void *const label_table[INTERP_MAX] = {
#define X(name, code, dst, src, off, imm, fmt) [BPF_OP_##name] = &&do_##name,
		BPF_OP_TABLE(X)
#undef X
			[INTERP_LOCAL_CALL] = &&do_LOCAL_CALL,
		[INTERP_GLOBAL_CALL] = &&do_GLOBAL_CALL,
		[INTERP_CANCELLED] = &&do_CANCELLED,
		[INTERP_END] = &&do_END_OF_PROGRAM,
	};
	u64 stack[MAX_CALL_FRAMES][MAX_BPF_STACK / 8];
	struct interp_frame frames[MAX_CALL_FRAMES];
	u64 r[MAX_BPF_EXT_REG];
	u32 depth = 0;

	if (!prog) {
		*labels = label_table;
		return 0;
	}
	clean_frame(prog, stack[0]);
	memcpy(&r[BPF_REG_1], args, 5 * sizeof(*args));
	r[BPF_REG_10] = (uintptr_t)&stack[1];
	goto * insn->handler;

	/* ---- arithmetic */
	ALU(ADD, a + b, a + b)
	ALU(SUB, a - b, a - b)
	ALU(MUL, a * b, a * b)
	ALU(DIV, b ? a / b : 0, b ? a / b : 0)
	ALU(SDIV, sdiv64(a, b), sdiv32(a, b))
	ALU(MOD, b ? a % b : a, b ? a % b : a)
	ALU(SMOD, smod64(a, b), smod32(a, b))
	ALU(OR, a | b, a | b)
	ALU(AND, a & b, a & b)
	ALU(XOR, a ^ b, a ^ b)
	ALU(LSH, a << (b & 63), a << (b & 31))
	ALU(RSH, a >> (b & 63), a >> (b & 31))
	ALU(ARSH, (u64)((s64)a >> (b & 63)), (u32)((s32)a >> (b & 31)))
	ALU(MOV, b, b)
	UNARY(ALU64_MOVSX8, (s64)(s8)SRC)
	UNARY(ALU64_MOVSX16, (s64)(s16)SRC)
	UNARY(ALU64_MOVSX32, (s64)(s32)SRC)
	UNARY(ALU32_MOVSX8, (u32)(s8)SRC)
	UNARY(ALU32_MOVSX16, (u32)(s16)SRC)
	UNARY(ALU64_NEG, -DST)
	UNARY(ALU32_NEG, -(u32)DST)
	UNARY(END_LE16, htole16((u16)DST))
	UNARY(END_LE32, htole32((u32)DST))
	UNARY(END_LE64, htole64(DST))
	UNARY(END_BE16, htobe16((u16)DST))
	UNARY(END_BE32, htobe32((u32)DST))
	UNARY(END_BE64, htobe64(DST))
	UNARY(BSWAP16, __builtin_bswap16((u16)DST))
	UNARY(BSWAP32, __builtin_bswap32((u32)DST))
	UNARY(BSWAP64, __builtin_bswap64(DST))

	/* ---- loads and stores */
do_LD_IMM64:
	DST = IMM;
	insn += 2;
	goto * insn->handler;
do_LD_IND_B:
do_LD_IND_H:
do_LD_IND_W:
	/* The sum wraps as a 32-bit number, like the classic instruction's. */
	if (bpf_skb_load((const void *)(uintptr_t)r[BPF_REG_6], (s32)((u32)SRC + (u32)IMM),
			 insn->size, &r[BPF_REG_0]))
		goto leave_with_zero;
	NEXT;
do_LD_ABS_B:
do_LD_ABS_H:
do_LD_ABS_W:
	if (bpf_skb_load((const void *)(uintptr_t)r[BPF_REG_6], (s32)IMM, insn->size,
			 &r[BPF_REG_0]))
		goto leave_with_zero;
	NEXT;
	UNARY(LDX_B, LD(u8))
	UNARY(LDX_H, LD(una_u16))
	UNARY(LDX_W, LD(una_u32))
	UNARY(LDX_DW, LD(una_u64))
	UNARY(LDSX_B, (s64)(s8)LD(u8))
	UNARY(LDSX_H, (s64)(s16)LD(una_u16))
	UNARY(LDSX_W, (s64)(s32)LD(una_u32))
do_ST_B:
	ST(u8) = (u8)IMM;
	NEXT;
do_ST_H:
	ST(una_u16) = (u16)IMM;
	NEXT;
do_ST_W:
	ST(una_u32) = (u32)IMM;
	NEXT;
do_ST_DW:
	ST(una_u64) = IMM;
	NEXT;
do_STX_B:
	ST(u8) = (u8)SRC;
	NEXT;
do_STX_H:
	ST(una_u16) = (u16)SRC;
	NEXT;
do_STX_W:
	ST(una_u32) = (u32)SRC;
	NEXT;
do_STX_DW:
	ST(una_u64) = SRC;
	NEXT;
	ATOMIC(ADD, __atomic_fetch_add)
	ATOMIC(OR, __atomic_fetch_or)
	ATOMIC(AND, __atomic_fetch_and)
	ATOMIC(XOR, __atomic_fetch_xor)
	ATOMIC_FETCH(FETCH_ADD, __atomic_fetch_add)
	ATOMIC_FETCH(FETCH_OR, __atomic_fetch_or)
	ATOMIC_FETCH(FETCH_AND, __atomic_fetch_and)
	ATOMIC_FETCH(FETCH_XOR, __atomic_fetch_xor)
	ATOMIC_FETCH(XCHG, __atomic_exchange_n)
do_ATOMIC64_CMPXCHG:
	/*
	 * On failure the builtin writes what it found to its second argument: R0 gets the old
	 * value.
	 */
	__atomic_compare_exchange_n(AT(u64), &r[BPF_REG_0], SRC, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	NEXT;
do_ATOMIC32_CMPXCHG : {
	u32 old = (u32)r[BPF_REG_0];

	__atomic_compare_exchange_n(AT(u32), &old, (u32)SRC, false, __ATOMIC_SEQ_CST,
				    __ATOMIC_SEQ_CST);
	r[BPF_REG_0] = old;
	NEXT;
}

	/* ---- jumps */
	JMP(JEQ, u64, u32, ==)
	JMP(JNE, u64, u32, !=)
	JMP(JGT, u64, u32, >)
	JMP(JGE, u64, u32, >=)
	JMP(JLT, u64, u32, <)
	JMP(JLE, u64, u32, <=)
	JMP(JSGT, s64, s32, >)
	JMP(JSGE, s64, s32, >=)
	JMP(JSLT, s64, s32, <)
	JMP(JSLE, s64, s32, <=)
	JMP(JSET, u64, u32, &)
do_JA:
do_JA32:
	JUMP;

	/* ---- calls */
do_CALL:
	r[BPF_REG_0] =
		insn->func(r[BPF_REG_1], r[BPF_REG_2], r[BPF_REG_3], r[BPF_REG_4], r[BPF_REG_5]);
	NEXT;
do_CANCELLED: /* the body of bpf_run_cancelled_call() */
	r[BPF_REG_0] = bpf_run_cancelled();
	NEXT;
do_GLOBAL_CALL:
	if (unlikely(bpf_run_cancelled())) {
		r[BPF_REG_0] = 0;
		NEXT;
	}
do_LOCAL_CALL:
	/* The verifier counted the frames; this keeps a mistake of its inside our stack. */
	if (unlikely(depth + 1 >= MAX_CALL_FRAMES))
		return 0;
	frames[depth].ret = insn + 1;
	memcpy(frames[depth].callee_saved, &r[BPF_REG_6], sizeof(frames[depth].callee_saved));
	depth++;
	clean_frame(prog, stack[depth]);
	r[BPF_REG_10] = (uintptr_t)&stack[depth + 1];
	JUMP;
do_TAIL_CALL : {
	const struct bpf_prog *next;

	if (bpf_this.tail_call_cnt >= MAX_TAIL_CALL_CNT)
		NEXT;
	next = bpf_prog_array_get((struct bpf_map *)(uintptr_t)r[BPF_REG_2], (u32)r[BPF_REG_3]);
	if (prog->prog_flags & PROG_F_STRICT)
		nospec(); /* the index was compared there */
	if (!next || !next->interp)
		NEXT;
	bpf_this.tail_call_cnt++;
	bpf_this.interpreted = next;
	if (depth) {
		r[BPF_REG_0] = interp(next, next->interp, &r[BPF_REG_1], NULL);
		bpf_this.interpreted = prog;
		goto do_EXIT;
	}
	prog = next;
	clean_frame(prog, stack[0]);
	insn = prog->interp;
	goto * insn->handler;
}
do_NOSPEC:
	nospec();
	NEXT;
leave_with_zero:
	r[BPF_REG_0] = 0;
do_EXIT:
	if (!depth)
		return r[BPF_REG_0];
	depth--;
	memcpy(&r[BPF_REG_6], frames[depth].callee_saved, sizeof(frames[depth].callee_saved));
	r[BPF_REG_10] = (uintptr_t)&stack[depth + 1];
	insn = frames[depth].ret;
	goto * insn->handler;
do_END_OF_PROGRAM:
	return 0;
}

const struct bpf_prog *bpf_interp_find(const void *pc)
{
	const char *p = pc;

	return p >= __start_bpf_interp && p < __stop_bpf_interp ? bpf_this.interpreted : NULL;
}

u64 bpf_interp_run(const void *ctx, const struct bpf_prog *prog)
{
	const u64 args[5] = {(uintptr_t)ctx};
	const struct bpf_prog *outer = bpf_this.interpreted;
	u32 outer_cnt = bpf_this.tail_call_cnt;
	u64 ret;

	bpf_this.interpreted = prog;
	bpf_this.tail_call_cnt = 0;
	ret = interp(prog, prog->interp, args, NULL);
	bpf_this.tail_call_cnt = outer_cnt;
	bpf_this.interpreted = outer;
	return ret;
}

u64 bpf_run_cancelled_call(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	return bpf_run_cancelled();
}

/*
 * `entry` is what decode_callback() made. Tail calls count on from the run that it is a part of,
 * whose program is the one that is interpreted already.
 */
u64 bpf_interp_callback(const struct bpf_interp_insn *entry, const u64 *args)
{
	return interp((const struct bpf_prog *)(uintptr_t)entry->imm, entry->target, args, NULL);
}

/* ---- decoding */

/* Where a jump from instruction i by `dist` lands; NULL outside of the program. */
static const struct bpf_interp_insn *target_of(const struct bpf_interp_insn *code, u32 len, u32 i,
					       s64 dist)
{
	s64 to = (s64)i + 1 + dist;

	return to >= 0 && to < len ? &code[to] : NULL;
}

/* The address of a function, for helpers: an entry behind the program says what to run. */
static int decode_callback(const struct bpf_prog *prog, struct bpf_interp_insn *code, u32 i,
			   u32 *callbacks)
{
	struct bpf_interp_insn *entry = &code[prog->len + 1 + (*callbacks)++];

	entry->imm = (s64)(uintptr_t)prog;
	entry->target = target_of(code, prog->len, i, prog->insnsi[i].imm);
	code[i].imm = (s64)((uintptr_t)entry | BPF_CALLBACK_INTERP);
	return entry->target ? 0 : -EINVAL;
}

static bool is_global(const struct bpf_prog *prog, u32 start)
{
	u32 s = prog->subprog_cnt;

	while (s-- && prog->subprogs[s].start != start)
		;
	return s != UINT32_MAX && prog->subprogs[s].is_global;
}

static int decode_one(const struct bpf_prog *prog, struct bpf_interp_insn *code, u32 i,
		      u32 *callbacks, const void *const *labels)
{
	const struct bpf_insn *insn = &prog->insnsi[i];
	struct bpf_interp_insn *out = &code[i];
	int op = bpf_insn_decode_rewritten(insn);

	if (op < 0)
		return op;
	out->handler = labels[op];
	out->dst = insn->dst_reg;
	out->src = insn->src_reg;
	out->off = insn->off;
	out->imm = insn->imm;
	switch (bpf_op_info[op].format) {
	case BPF_FMT_LD_IMM64:
		if (i + 1 >= prog->len || !bpf_insn_valid_imm64(insn + 1))
			return -EINVAL;
		if (insn->src_reg == BPF_PSEUDO_FUNC)
			return decode_callback(prog, code, i, callbacks);
		out->imm = bpf_insn_imm64(insn);
		break;
	case BPF_FMT_LD_ABS:
	case BPF_FMT_LD_IND:
		out->size = bpf_size_to_bytes(insn->code);
		break;
	case BPF_FMT_JCOND:
	case BPF_FMT_JA:
		out->target = target_of(code, prog->len, i, insn->off);
		return out->target ? 0 : -EINVAL;
	case BPF_FMT_JA32:
		out->target = target_of(code, prog->len, i, insn->imm);
		return out->target ? 0 : -EINVAL;
	case BPF_FMT_CALL:
		if (insn->src_reg == BPF_PSEUDO_CALL) {
			out->target = target_of(code, prog->len, i, insn->imm);
			if (!out->target)
				return -EINVAL;
			out->handler = labels[is_global(prog, (u32)(out->target - code))
						      ? INTERP_GLOBAL_CALL
						      : INTERP_LOCAL_CALL];
			return 0;
		}
		if (insn->src_reg)
			return -EOPNOTSUPP;
		out->func = BPF_CALL_FUNC(insn->imm);
		if (out->func == bpf_run_cancelled_call)
			out->handler = labels[INTERP_CANCELLED];
		break;
	default:
		break;
	}
	return 0;
}

int bpf_interp_prepare(struct bpf_prog *prog)
{
	const void *const *labels;
	struct bpf_interp_insn *code;
	u32 callbacks = 0;
	int err;

	interp(NULL, NULL, NULL, &labels);
	for (u32 i = 0; i < prog->len; i++)
		callbacks += bpf_insn_is_pseudo_func(&prog->insnsi[i]);
	code = calloc((size_t)prog->len + 1 + callbacks, sizeof(*code));
	if (!code)
		return -ENOMEM;
	for (u32 i = 0; i <= prog->len; i++)
		code[i].handler = labels[INTERP_END];
	callbacks = 0;
	for (u32 i = 0; i < prog->len; i++) {
		err = decode_one(prog, code, i, &callbacks, labels);
		if (err) {
			free(code);
			return err;
		}
		if (bpf_insn_is_imm64(&prog->insnsi[i]))
			i++; /* the second half is never reached */
	}
	free(prog->interp);
	prog->interp = code;
	return 0;
}
