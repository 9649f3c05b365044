/*
 * disasm.c - one function a format of the opcode table
 *
 * Prints by the code byte alone: an instruction whose reserved fields are wrong is shown all the
 * same, for the verifier's log names the instruction that it refuses.
 */
#include <stdarg.h>
#include <stdio.h>
#include "insn/disasm.h"
#include "insn/func.h"

struct out {
	char *buf;
	size_t len;
	int n;
};

__attribute__((format(printf, 2, 3))) static void emit(struct out *o, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	o->n = vsnprintf(o->buf, o->len, fmt, args);
	va_end(args);
}

static const char *const alu_string[16] = {
	[BPF_ADD >> 4] = "+=",	[BPF_SUB >> 4] = "-=",	[BPF_MUL >> 4] = "*=",
	[BPF_DIV >> 4] = "/=",	[BPF_OR >> 4] = "|=",	[BPF_AND >> 4] = "&=",
	[BPF_LSH >> 4] = "<<=", [BPF_RSH >> 4] = ">>=", [BPF_MOD >> 4] = "%=",
	[BPF_XOR >> 4] = "^=",	[BPF_MOV >> 4] = "=",	[BPF_ARSH >> 4] = "s>>=",
};

static const char *const atomic_string[16] = {
	[BPF_ADD >> 4] = "add",
	[BPF_AND >> 4] = "and",
	[BPF_OR >> 4] = "or",
	[BPF_XOR >> 4] = "xor",
};

static const char *const jmp_string[16] = {
	[BPF_JEQ >> 4] = "==",	 [BPF_JGT >> 4] = ">",	  [BPF_JLT >> 4] = "<",
	[BPF_JGE >> 4] = ">=",	 [BPF_JLE >> 4] = "<=",	  [BPF_JSET >> 4] = "&",
	[BPF_JNE >> 4] = "!=",	 [BPF_JSGT >> 4] = "s>",  [BPF_JSLT >> 4] = "s<",
	[BPF_JSGE >> 4] = "s>=", [BPF_JSLE >> 4] = "s<=",
};

static const char *const size_string[4] = {"u32", "u16", "u8", "u64"};
static const char *const signed_size_string[4] = {"s32", "s16", "s8", "s64"};

static const char *mem_size(const struct bpf_insn *insn)
{
	return size_string[BPF_SIZE(insn->code) >> 3];
}

static void print_alu(struct out *o, const struct bpf_insn *insn)
{
	char r = BPF_CLASS(insn->code) == BPF_ALU ? 'w' : 'r';
	const char *op = alu_string[BPF_OP(insn->code) >> 4], *cast = "";

	if (insn->off == 1 && BPF_OP(insn->code) == BPF_DIV)
		op = "s/=";
	if (insn->off == 1 && BPF_OP(insn->code) == BPF_MOD)
		op = "s%=";
	if (BPF_OP(insn->code) == BPF_MOV) {
		if (insn->off == 8)
			cast = "(s8)";
		if (insn->off == 16)
			cast = "(s16)";
		if (insn->off == 32)
			cast = "(s32)";
	}
	if (BPF_SRC(insn->code) == BPF_X)
		emit(o, "(%02x) %c%d %s %s%c%d", insn->code, r, insn->dst_reg, op, cast, r,
		     insn->src_reg);
	else
		emit(o, "(%02x) %c%d %s %d", insn->code, r, insn->dst_reg, op, insn->imm);
}

static void print_ld_imm64(struct out *o, const struct bpf_insn *insn,
			   const struct bpf_disasm_cbs *cbs)
{
	u64 imm = bpf_insn_imm64(insn);
	const char *text = NULL;
	char buf[128];

	if (cbs && cbs->imm64)
		text = cbs->imm64(cbs->priv, insn, imm, buf, sizeof(buf));
	if (text)
		emit(o, "(%02x) r%d = %s", insn->code, insn->dst_reg, text);
	else
		emit(o, "(%02x) r%d = 0x%llx", insn->code, insn->dst_reg, (unsigned long long)imm);
}

static void print_atomic(struct out *o, const struct bpf_insn *insn)
{
	const char *w = BPF_SIZE(insn->code) == BPF_DW ? "64" : "", *size = mem_size(insn);
	const char *name = atomic_string[BPF_OP(insn->imm) >> 4];
	int dst = insn->dst_reg, src = insn->src_reg, code = insn->code;

	switch (insn->imm) {
	case BPF_ADD:
	case BPF_OR:
	case BPF_AND:
	case BPF_XOR:
		emit(o, "(%02x) lock *(%s *)(r%d %+d) %s r%d", code, size, dst, insn->off,
		     alu_string[BPF_OP(insn->imm) >> 4], src);
		break;
	case BPF_ADD | BPF_FETCH:
	case BPF_OR | BPF_FETCH:
	case BPF_AND | BPF_FETCH:
	case BPF_XOR | BPF_FETCH:
		emit(o, "(%02x) r%d = atomic%s_fetch_%s((%s *)(r%d %+d), r%d)", code, src, w, name,
		     size, dst, insn->off, src);
		break;
	case BPF_CMPXCHG:
		emit(o, "(%02x) r0 = atomic%s_cmpxchg((%s *)(r%d %+d), r0, r%d)", code, w, size,
		     dst, insn->off, src);
		break;
	case BPF_XCHG:
		emit(o, "(%02x) r%d = atomic%s_xchg((%s *)(r%d %+d), r%d)", code, src, w, size, dst,
		     insn->off, src);
		break;
	case BPF_LOAD_ACQ:
		emit(o, "(%02x) r%d = load_acquire((%s *)(r%d %+d))", code, dst, size, src,
		     insn->off);
		break;
	case BPF_STORE_REL:
		emit(o, "(%02x) store_release((%s *)(r%d %+d), r%d)", code, size, dst, insn->off,
		     src);
		break;
	default:
		emit(o, "BUG_%02x", code);
	}
}

static void print_jcond(struct out *o, const struct bpf_insn *insn)
{
	char r = BPF_CLASS(insn->code) == BPF_JMP32 ? 'w' : 'r';
	const char *op = jmp_string[BPF_OP(insn->code) >> 4];

	if (BPF_SRC(insn->code) == BPF_X)
		emit(o, "(%02x) if %c%d %s %c%d goto pc%+d", insn->code, r, insn->dst_reg, op, r,
		     insn->src_reg, insn->off);
	else
		emit(o, "(%02x) if %c%d %s 0x%x goto pc%+d", insn->code, r, insn->dst_reg, op,
		     (u32)insn->imm, insn->off);
}

static void print_call(struct out *o, const struct bpf_insn *insn, const struct bpf_disasm_cbs *cbs)
{
	const char *name = NULL;
	char buf[128];

	if (cbs && cbs->call_name)
		name = cbs->call_name(cbs->priv, insn, buf, sizeof(buf));
	if (insn->src_reg == BPF_PSEUDO_CALL) {
		if (name)
			emit(o, "(%02x) call pc%s", insn->code, name);
		else
			emit(o, "(%02x) call pc%+d", insn->code, insn->imm);
	} else if (name) {
		emit(o, "(%02x) call %s#%d", insn->code, name, insn->imm);
	} else if (insn->src_reg == BPF_PSEUDO_KFUNC_CALL) {
		emit(o, "(%02x) call kernel-function#%d", insn->code, insn->imm);
	} else {
		name = bpf_func_name(insn->imm);
		emit(o, "(%02x) call %s%s#%d", insn->code, strcmp(name, "unknown") ? "bpf_" : "",
		     name, insn->imm);
	}
}

/* The code byte is in no row; the kernel says in which class it is lost. */
static void print_bug(struct out *o, u8 code)
{
	switch (BPF_CLASS(code)) {
	case BPF_LD:
		emit(o, "BUG_ld_%02x", code);
		break;
	case BPF_LDX:
		emit(o, "BUG_ldx_%02x", code);
		break;
	case BPF_ST:
		emit(o, "BUG_st_%02x", code);
		break;
	default:
		emit(o, "BUG_%02x", code);
	}
}

int bpf_disasm(const struct bpf_insn *insn, const struct bpf_disasm_cbs *cbs, char *buf, size_t len)
{
	int op = bpf_op_by_code(insn->code), dst = insn->dst_reg, src = insn->src_reg;
	struct out o = {buf, len, 0};
	u8 code = insn->code;

	if (op < 0) {
		print_bug(&o, code);
		return o.n;
	}
	switch (bpf_op_info[op].format) {
	case BPF_FMT_ALU:
	case BPF_FMT_MOV:
	case BPF_FMT_MOVSX:
		print_alu(&o, insn);
		break;
	case BPF_FMT_NEG: {
		char r = BPF_CLASS(code) == BPF_ALU ? 'w' : 'r';

		emit(&o, "(%02x) %c%d = -%c%d", code, r, dst, r, dst);
		break;
	}
	case BPF_FMT_END:
		emit(&o, "(%02x) r%d = %s%d r%d", code, dst,
		     BPF_SRC(code) == BPF_TO_BE ? "be" : "le", insn->imm, dst);
		break;
	case BPF_FMT_BSWAP:
		emit(&o, "(%02x) r%d = bswap%d r%d", code, dst, insn->imm, dst);
		break;
	case BPF_FMT_LD_IMM64:
		print_ld_imm64(&o, insn, cbs);
		break;
	case BPF_FMT_LD_ABS:
		emit(&o, "(%02x) r0 = *(%s *)skb[%d]", code, mem_size(insn), insn->imm);
		break;
	case BPF_FMT_LD_IND:
		emit(&o, "(%02x) r0 = *(%s *)skb[r%d + %d]", code, mem_size(insn), src, insn->imm);
		break;
	case BPF_FMT_LDX:
		emit(&o, "(%02x) r%d = *(%s *)(r%d %+d)", code, dst, mem_size(insn), src,
		     insn->off);
		break;
	case BPF_FMT_LDSX:
		emit(&o, "(%02x) r%d = *(%s *)(r%d %+d)", code, dst,
		     signed_size_string[BPF_SIZE(code) >> 3], src, insn->off);
		break;
	case BPF_FMT_ST:
		emit(&o, "(%02x) *(%s *)(r%d %+d) = %d", code, mem_size(insn), dst, insn->off,
		     insn->imm);
		break;
	case BPF_FMT_STX:
		emit(&o, "(%02x) *(%s *)(r%d %+d) = r%d", code, mem_size(insn), dst, insn->off,
		     src);
		break;
	case BPF_FMT_ATOMIC:
	case BPF_FMT_FETCH:
	case BPF_FMT_CMPXCHG:
		print_atomic(&o, insn);
		break;
	case BPF_FMT_JCOND:
		print_jcond(&o, insn);
		break;
	case BPF_FMT_JA:
		emit(&o, "(%02x) goto pc%+d", code, insn->off);
		break;
	case BPF_FMT_JA32:
		emit(&o, "(%02x) gotol pc%+d", code, insn->imm);
		break;
	case BPF_FMT_CALL:
		print_call(&o, insn, cbs);
		break;
	case BPF_FMT_EXIT:
		emit(&o, "(%02x) exit", code);
		break;
	case BPF_FMT_TAIL_CALL:
		/* Shown as the call that it was, as the kernel's dumps do. */
		emit(&o, "(%02x) call bpf_tail_call#%d", BPF_JMP | BPF_CALL, BPF_FUNC_tail_call);
		break;
	case BPF_FMT_NOSPEC:
		emit(&o, "(%02x) nospec", code);
		break;
	}
	return o.n;
}

/* The header's list, in the order of the ids, and the two that came after a 6.1 header. */
const char *bpf_func_name(enum bpf_func_id id)
{
	static const char *const names[] = {
#define FUNC_NAME(x) #x
		__BPF_FUNC_MAPPER(FUNC_NAME)
#undef FUNC_NAME
	};
	static const char *const classic_names[] = {"skb_get_pay_offset", "skb_get_nlattr",
						    "skb_get_nlattr_nest", "skb_get_hatype"};

	if (id > 0 && id < ARRAY_SIZE(names))
		return names[id];
	if (id == 210)
		return "cgrp_storage_get";
	if (id == 211)
		return "cgrp_storage_delete";
	if ((u32)id >= BPF_FUNC_CLASSIC_FIRST && (u32)id < BPF_FUNC_CLASSIC_MAX)
		return classic_names[id - BPF_FUNC_CLASSIC_FIRST];
	return "unknown";
}
