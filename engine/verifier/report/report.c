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
#include "btf/btf.h"
#include "insn/disasm.h"
#include "verifier/report/reasons.h"
#include "verifier/report/report.h"

static const char *prog_name(const struct bpf_prog *prog)
{
	return prog->name[0] ? prog->name : "(unnamed)";
}

/* The line that instruction `insn` of the original program came from; NULL without line info. */
static const struct bpf_line_info *find_line(const struct bpf_prog *prog, u32 insn)
{
	const struct bpf_line_info *found = NULL;

	for (u32 i = 0; i < prog->line_info_cnt && prog->line_info[i].insn_off <= insn; i++)
		found = &prog->line_info[i];
	return found;
}

static void source_text(const struct bpf_prog *prog, u32 insn, char *buf, size_t len)
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
	snprintf(buf, len, "%s:%u: %s", slash ? slash + 1 : file,
		 BPF_LINE_INFO_LINE_NUM(line->line_col), text);
}

static const char *report_call_name(void *priv, const struct bpf_insn *insn, char *buf, size_t len)
{
	const struct bpf_prog *prog = priv;
	const struct bpf_func_proto *proto = bpf_host_func(prog->host_funcs, (u32)insn->imm);

	if (insn->src_reg)
		return NULL;
	if (proto)
		snprintf(buf, len, "%s", proto->name);
	else
		snprintf(buf, len, "bpf_%s", bpf_func_name(insn->imm));
	return buf;
}

static void report_insn(const struct bpf_prog *prog, int insn, struct bpf_log *out)
{
	const struct bpf_disasm_cbs cbs = {.priv = (void *)prog, .call_name = report_call_name};
	char text[256];

	if (insn < 0 || (u32)insn >= prog->orig_len)
		return;
	/* The second half of a truncated LD_IMM64 must not be read. */
	if (bpf_insn_is_imm64(&prog->orig_insns[insn]) && (u32)insn + 1 >= prog->orig_len)
		return;
	bpf_disasm(&prog->orig_insns[insn], &cbs, text, sizeof(text));
	bpf_log_printf(out, "instruction: %d: %s\n", insn, text);
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

static void describe(const struct bpf_prog *prog, const struct bpf_verdict *verdict,
		     const char *note, struct bpf_load_error *error)
{
	*error = (struct bpf_load_error){
		.hint = bpf_verdict_hint(verdict),
		.insn = verdict->err_insn < (int)prog->orig_len ? verdict->err_insn : -1,
		.insn_processed = verdict->insn_processed,
	};
	snprintf(error->prog, sizeof(error->prog), "%s", prog_name(prog));
	if (note) {
		snprintf(error->reason, sizeof(error->reason), "%s", note);
		error->hint = "look first: if (bpf_core_field_exists(p->field)), "
			      "bpf_core_type_exists(T), bpf_core_enum_value_exists(E, V), "
			      "bpf_ksym_exists(f)";
	} else {
		bpf_verdict_reason(verdict, error->reason, sizeof(error->reason));
	}
	if (error->insn >= 0)
		source_text(prog, (u32)error->insn, error->source, sizeof(error->source));
}

static void report_refused(const struct bpf_prog *prog, const struct bpf_verdict *verdict,
			   const char *note, struct bpf_log *out)
{
	struct bpf_load_error error;

	describe(prog, verdict, note, &error);
	bpf_log_printf(out, "verdict: rejected, %s (%s)\n", strerrorname_np(-verdict->err),
		       strerror(-verdict->err));
	if (*error.reason)
		bpf_log_printf(out, "reason: %s\n", error.reason);
	report_insn(prog, error.insn, out);
	if (*error.source)
		bpf_log_printf(out, "source: %s\n", error.source);
	if (error.hint)
		bpf_log_printf(out, "hint: %s\n", error.hint);
	if (out && out->error && !*out->error->reason)
		*out->error = error;
}

void bpf_report(const struct bpf_prog *prog, const struct bpf_verdict *verdict, const char *note,
		struct bpf_log *out)
{
	const char *type = bpf_prog_type_name(prog->type);

	bpf_log_printf(out, "program: %s (%s), %u instructions\n", prog_name(prog),
		       type ? type : "unknown type", prog->orig_len);
	if (verdict->err)
		report_refused(prog, verdict, note, out);
	else
		report_accepted(prog, verdict, out);
}
