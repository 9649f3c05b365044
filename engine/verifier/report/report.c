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
#include "verifier/report/reasons.h"
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
	const char *type = bpf_prog_type_name(prog->type), *hint = bpf_verdict_hint(verdict);
	char reason[512];

	bpf_log_printf(out, "program: %s (%s), %u instructions\n",
		       prog->name[0] ? prog->name : "(unnamed)", type ? type : "unknown type",
		       prog->orig_len);
	if (!verdict->err) {
		report_accepted(prog, verdict, out);
		return;
	}
	bpf_log_printf(out, "verdict: rejected, %s (%s)\n", strerrorname_np(-verdict->err),
		       strerror(-verdict->err));
	bpf_verdict_reason(verdict, reason, sizeof(reason));
	if (*reason)
		bpf_log_printf(out, "reason: %s\n", reason);
	report_insn(prog, verdict->err_insn, out);
	if (hint)
		bpf_log_printf(out, "hint: %s\n", hint);
}
