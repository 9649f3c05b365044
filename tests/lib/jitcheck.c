/*
 * jitcheck.c - see jitcheck.h
 */
#include <dlfcn.h>
#include <stdio.h>
#include "jit/jit.h"
#include "tests/lib/capstone.h"
#include "tests/lib/jitcheck.h"

#ifdef __x86_64__

static char text[256];

#define WRONG(...) (snprintf(text, sizeof(text), __VA_ARGS__), text)

struct check {
	const struct bpf_prog *prog;
	const u8 *code;
	u32 len;
	const u32 *offs;
	u32 nr_offs;
	csh cs;
	cs_insn *insn;
	size_t cnt;
	bool *starts; /* by offset: an instruction begins here */
};

/* A function that code may call: of this program or its libraries. */
static bool is_function(u64 addr)
{
	Dl_info info;

	return dladdr((void *)addr, &info);
}

static const char *check_branch(const struct check *c, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;
	bool branch = cs_insn_group(c->cs, insn, CS_GRP_JUMP) ||
		      cs_insn_group(c->cs, insn, CS_GRP_CALL);
	u64 at;

	if (!branch || x->operands[0].type != X86_OP_IMM)
		return NULL;
	at = (u64)x->operands[0].imm - (u64)c->code;
	if (at < c->len)
		return c->starts[at] ? NULL
				     : WRONG("%s %s goes into an instruction", insn->mnemonic,
					     insn->op_str);
	if (insn->id == X86_INS_CALL && is_function((u64)x->operands[0].imm))
		return NULL;
	return WRONG("%s %s leaves the program", insn->mnemonic, insn->op_str);
}

/* Which BPF instruction the code at this offset came of. */
static u32 owner(const struct check *c, u32 at)
{
	u32 from = 0, to = c->prog->len;

	while (to - from > 1) {
		u32 mid = from + (to - from) / 2;

		if (c->offs[mid] <= at)
			from = mid;
		else
			to = mid;
	}
	return from;
}

static bool is_own_memory(const x86_op_mem *mem)
{
	return mem->segment == X86_REG_FS || mem->base == X86_REG_RBP || mem->base == X86_REG_RSP ||
	       mem->base == X86_REG_RIP;
}

/* What this many bytes of memory may be accessed for; 0: other sizes, too. */
static bool may_access(const struct bpf_insn *insn, u32 size)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LDX:
	case BPF_ST:
	case BPF_STX:
		return size == bpf_size_to_bytes(insn->code);
	case BPF_LD: /* packet loads look at the packet's bounds */
		return BPF_MODE(insn->code) != BPF_IMM;
	default: /* the cancel flag, an array of programs */
		return BPF_OP(insn->code) == BPF_CALL || insn->code == (BPF_JMP | BPF_TAIL_CALL);
	}
}

static const char *check_memory(const struct check *c, const cs_insn *insn)
{
	const cs_x86 *x = &insn->detail->x86;
	u32 i = owner(c, (u32)(insn->address - (u64)c->code));

	if (insn->id == X86_INS_LEA || insn->id == X86_INS_NOP)
		return NULL;
	for (int k = 0; k < x->op_count; k++) {
		if (x->operands[k].type != X86_OP_MEM || is_own_memory(&x->operands[k].mem))
			continue;
		/* Where a packet load goes on slowly, behind the function; a run that is left. */
		if (i + 1 == c->prog->len || c->prog->insnsi[i].code == (BPF_JMP | BPF_EXIT) ||
		    may_access(&c->prog->insnsi[i], x->operands[k].size))
			continue;
		return WRONG("%s %s comes of instruction %u, of code %02x", insn->mnemonic,
			     insn->op_str, i, c->prog->insnsi[i].code);
	}
	return NULL;
}

/* It is not there by accident: no byte is one of those that small numbers have. */
static bool is_telling(u32 imm)
{
	for (int k = 0; k < 4; k++, imm >>= 8)
		if (!(imm & 0xff) || (imm & 0xff) == 0xff)
			return false;
	return true;
}

static const char *check_constants(const struct check *c)
{
	for (u32 i = 0; i < c->prog->len; i++) {
		const struct bpf_insn *insn = &c->prog->insnsi[i];
		u8 class = BPF_CLASS(insn->code);
		bool k = (class == BPF_ALU || class == BPF_ALU64 || class == BPF_JMP ||
			  class == BPF_JMP32) &&
			 BPF_SRC(insn->code) == BPF_K;

		if (class == BPF_JMP && BPF_OP(insn->code) >= BPF_CALL &&
		    BPF_OP(insn->code) <= BPF_EXIT)
			continue;
		if ((!k && insn->code != (BPF_ST | BPF_MEM | BPF_W) &&
		     insn->code != (BPF_ST | BPF_MEM | BPF_DW) &&
		     !(bpf_insn_is_imm64(insn) && !insn->src_reg)) ||
		    !is_telling((u32)insn->imm) || insn->code == (BPF_JMP32 | BPF_JA))
			continue;
		if (memmem(c->code, c->len, &insn->imm, sizeof(insn->imm)))
			return WRONG("the constant %#x of instruction %u is in the code",
				     (u32)insn->imm, i);
	}
	return NULL;
}

static const char *check_insns(struct check *c)
{
	const cs_insn *last = c->cnt ? &c->insn[c->cnt - 1] : NULL;
	const char *wrong = NULL;

	if (!last || last->address + last->size != (u64)c->code + c->len)
		return WRONG("the code does not decode from offset %#lx on",
			     last ? (long)(last->address + last->size - (u64)c->code) : 0L);
	for (size_t i = 0; i < c->cnt; i++)
		c->starts[c->insn[i].address - (u64)c->code] = true;
	for (u32 i = 0; i + 1 < c->nr_offs; i++)
		if (c->offs[i] > c->len || (c->offs[i] < c->len && !c->starts[c->offs[i]]))
			return WRONG("instruction %u begins inside of another", i);
	if (!c->starts[c->prog->tail_call_offset])
		return WRONG("tail calls enter inside of an instruction");
	for (size_t i = 0; i < c->cnt && !wrong; i++) {
		wrong = check_branch(c, &c->insn[i]);
		if (!wrong)
			wrong = check_memory(c, &c->insn[i]);
	}
	if (!wrong && c->prog->prog_flags & PROG_F_STRICT)
		wrong = check_constants(c);
	return wrong;
}

/* Of the page of the code, and no page of this process is both. */
static const char *check_pages(const u8 *code)
{
	FILE *f = fopen("/proc/self/maps", "re");
	const char *wrong = NULL;
	unsigned long from, to;
	char line[512], mode[8];

	while (f && !wrong && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, mode) != 3)
			continue;
		if (mode[1] == 'w' && mode[2] == 'x')
			wrong = WRONG("these pages can be written and executed: %.100s", line);
		else if ((u64)code >= from && (u64)code < to && mode[2] != 'x')
			wrong = WRONG("the code's pages are %s", mode);
	}
	if (f)
		fclose(f);
	return wrong;
}

const char *jitcheck(const struct bpf_prog *prog)
{
	static u32 looked;
	struct check c = {.prog = prog};
	const char *wrong;

	c.code = bpf_jit_code(prog, &c.len);
	c.offs = bpf_jit_offsets(prog, &c.nr_offs);
	if (!c.code)
		return NULL;
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &c.cs) != CS_ERR_OK)
		return WRONG("capstone does not open");
	cs_option(c.cs, CS_OPT_DETAIL, CS_OPT_ON);
	c.cnt = cs_disasm(c.cs, c.code, c.len, (u64)c.code, 0, &c.insn);
	c.starts = calloc(c.len + 1, sizeof(bool));
	wrong = c.starts ? check_insns(&c) : WRONG("no memory");
	if (!wrong && !(looked++ % 256))
		wrong = check_pages(c.code);
	free(c.starts);
	if (c.cnt)
		cs_free(c.insn, c.cnt);
	cs_close(&c.cs);
	return wrong;
}

#else

const char *jitcheck(const struct bpf_prog *prog)
{
	return NULL;
}

#endif
