/*
 * report.c - the block that a person reads first
 *
 *	program: count (xdp), 42 instructions
 *	verdict: rejected, EACCES (Permission denied)
 *	reason: invalid access to packet, off=0 size=1, R2(id=0,off=0,r=0)
 *	instruction: 3: (71) r0 = *(u8 *)(r2 +0)
 *	source: count.c:12: return *data;
 *	hint: compare data + offset + size with data_end before reading
 */
#include <stdio.h>
#include "core/btf.h"
#include "core/disasm.h"
#include "verifier/report/report.h"

/* The line that instruction `insn` of the original program came from; NULL without line info. */
static const struct bpf_line_info *find_line(const struct bpf_prog *prog, u32 insn)
{
	const struct bpf_line_info *found = NULL;

	for (u32 i = 0; i < prog->line_info_cnt && prog->line_info[i].insn_off <= insn; i++)
		found = &prog->line_info[i];
	return found;
}

static void report_source(const struct bpf_prog *prog, u32 insn, struct bpf_log *out)
{
	const struct bpf_line_info *line = find_line(prog, insn);
	const char *file, *slash, *text;

	if (!line || !prog->btf)
		return;
	file = bpf_btf_str(prog->btf, line->file_name_off);
	text = bpf_btf_str(prog->btf, line->line_off);
	slash = strrchr(file, '/');
	while (*text == ' ' || *text == '\t')
		text++;
	bpf_log_printf(out, "source: %s:%u: %s\n", slash ? slash + 1 : file,
		       BPF_LINE_INFO_LINE_NUM(line->line_col), text);
}

static const char *report_call_name(void *priv, const struct bpf_insn *insn, char *buf, size_t len)
{
	if (insn->src_reg)
		return NULL;
	snprintf(buf, len, "bpf_%s", bpf_func_name(insn->imm));
	return buf;
}

static void report_insn(const struct bpf_prog *prog, int insn, struct bpf_log *out)
{
	const struct bpf_disasm_cbs cbs = {.call_name = report_call_name};
	char text[256];

	if (insn < 0 || (u32)insn >= prog->orig_len)
		return;
	/* The second half of a truncated LD_IMM64 must not be read. */
	if (bpf_insn_is_imm64(&prog->orig_insns[insn]) && (u32)insn + 1 >= prog->orig_len)
		return;
	bpf_disasm(&prog->orig_insns[insn], &cbs, text, sizeof(text));
	bpf_log_printf(out, "instruction: %d: %s\n", insn, text);
	report_source(prog, (u32)insn, out);
}

/* What to do, by a part of the verifier's sentence. The first that fits is taken. */
static const struct {
	const char *part, *hint;
} hints[] = {
	{"map_value_or_null",
	 "compare what bpf_map_lookup_elem() returns with NULL before using it"},
	{"mem_or_null", "compare the returned pointer with NULL before using it"},
	{"null-check it first", "compare the pointer with NULL before calculating with it"},
	{"invalid access to packet",
	 "compare data + offset + size with data_end before the access"},
	{"offset is outside of the packet",
	 "compare data + offset + size with data_end before the access"},
	{"cannot write into packet", "programs of this type may read packets, not change them"},
	{"!read_ok", "the register holds nothing on this path: give the variable a value first"},
	{"At program exit the register R0",
	 "the value that this type of program may return is limited: set it on every path"},
	{"invalid bpf_context access", "this field does not exist for this type of program, or not "
				       "with this size, or is read only"},
	{"infinite loop", "a loop needs a bound that the verifier can see"},
	{"too complex", "give loops a constant bound, or split the program by tail calls"},
	{"too large", "give loops a constant bound, or split the program by tail calls"},
	{"call stack of", "nest fewer functions"},
	{"combined stack size", "keep less on the stack: 512 bytes over all nested functions"},
	{"invalid write to stack", "a frame has 512 bytes, below R10"},
	{"invalid read from stack",
	 "write to that part of the stack on every path before reading it"},
	{"min value is negative", "make the variable unsigned, or limit it: var &= constant"},
	{"unbounded", "limit the variable before using it: compare it, or var &= constant"},
	{"outside of the allowed memory range",
	 "compare the index with the size of the memory before the access"},
	{"invalid access to map value",
	 "compare the offset with the size of the map's value before the access"},
	{"GPL-restricted", "add: char LICENSE[] SEC(\"license\") = \"GPL\";"},
	{"cannot use helper", "Linux does not give this helper to programs of this type"},
	{"not supported by this build", "the file `features` lists what this build has"},
	{"unreachable insn", "no path leads to this instruction: remove it"},
	{"div by zero", "the constant divisor is 0"},
	{"write into map forbidden",
	 "the map is read only for programs (.rodata, BPF_F_RDONLY_PROG)"},
	{"frame pointer is read only", "R10 cannot be changed: copy it to another register"},
	{"pointer arithmetic",
	 "only additions and subtractions of 64 bits are allowed on pointers"},
};

static void report_hint(const char *reason, struct bpf_log *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(hints); i++) {
		if (!strstr(reason, hints[i].part))
			continue;
		bpf_log_printf(out, "hint: %s\n", hints[i].hint);
		return;
	}
}

static void report_accepted(const struct bpf_prog *prog, const struct bpf_verdict *v,
			    struct bpf_log *out)
{
	u32 stack = 0;

	for (u32 i = 0; i < v->subprog_cnt; i++)
		stack = max(stack, (u32)v->subprogs[i].stack_depth);
	bpf_log_printf(out, "verdict: accepted, %u instructions verified\n", v->insn_processed);
	bpf_log_printf(out, "size: %u instructions after rewriting, ", prog->len);
	if (prog->jited_len)
		bpf_log_printf(out, "%u bytes of native code, ", prog->jited_len);
	else
		bpf_log_printf(out, "interpreted, ");
	bpf_log_printf(out, "%u bytes of stack, %u subprogram%s, %u map%s\n", stack,
		       v->subprog_cnt - !!v->subprog_cnt, v->subprog_cnt == 2 ? "" : "s",
		       prog->used_map_cnt, prog->used_map_cnt == 1 ? "" : "s");
}

void bpf_report(const struct bpf_prog *prog, const struct bpf_verdict *verdict, struct bpf_log *out)
{
	const char *type = bpf_prog_type_name(prog->type);

	bpf_log_printf(out, "program: %s (%s), %u instructions\n",
		       prog->name[0] ? prog->name : "(unnamed)", type ? type : "unknown type",
		       prog->orig_len);
	if (!verdict->err) {
		report_accepted(prog, verdict, out);
		return;
	}
	bpf_log_printf(out, "verdict: rejected, %s (%s)\n", strerrorname_np(-verdict->err),
		       strerror(-verdict->err));
	if (verdict->reason)
		bpf_log_printf(out, "reason: %s\n", verdict->reason);
	report_insn(prog, verdict->err_insn, out);
	if (verdict->reason)
		report_hint(verdict->reason, out);
}
