/*
 * print.c - the verifier's log: messages, instructions with their source lines, whole states
 *
 * The format is the kernel's, line by line, since people and programs read it: the state that an
 * instruction changed stands behind it, after a semicolon; a state that is printed whole stands on
 * its own line.
 */
#include <stdio.h>
#include "core/btf_info.h"
#include "insn/disasm.h"
#include "verifier/report/reg_text.h"
#include "verifier/state/print.h"

#define LOG_ALIGNMENT	  40 /* the column where the state after an instruction starts, */
#define LOG_MIN_ALIGNMENT 8 /* or a multiple of this behind a long one */

void vtrace(struct bpf_verifier_env *env, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	bpf_log_vprintf(env->log, fmt, args);
	va_end(args);
}

/* Of a number that is known, the number. */
const char *tnum_text(struct tnum t)
{
	static __thread char buf[48];

	if (tnum_is_const(t))
		snprintf(buf, sizeof(buf), "%#llx", (unsigned long long)t.value);
	else
		tnum_strn(buf, sizeof(buf), t);
	return buf;
}

const char *func_id_name(int id)
{
	static __thread char buf[48];
	const char *name = bpf_func_name(id);

	if (!strcmp(name, "unknown"))
		return name;
	snprintf(buf, sizeof(buf), "bpf_%s", name);
	return buf;
}

/* What is known of a number that should lie in a range, as Linux says it. */
const char *range_text(const struct bpf_reg_state *reg)
{
	static __thread char buf[64];
	int n = 0;

	if (reg->smin_value == INT64_MIN && reg->smax_value == INT64_MAX)
		return " unknown scalar value";
	*buf = 0;
	if (reg->smin_value > INT64_MIN)
		n = snprintf(buf, sizeof(buf), " smin=%lld", (long long)reg->smin_value);
	if (reg->smax_value < INT64_MAX)
		snprintf(buf + n, sizeof(buf) - n, " smax=%lld", (long long)reg->smax_value);
	return buf;
}

/* Addresses of this process are nobody's business. */
static const char *imm64_text(void *priv, const struct bpf_insn *insn, u64 imm, char *buf,
			      size_t len)
{
	if (!insn->src_reg)
		return NULL;
	snprintf(buf, len, "0x0");
	return buf;
}

/* The embedder's helpers are in no list of names. */
static const char *host_call_name(void *priv, const struct bpf_insn *insn, char *buf, size_t len)
{
	const struct bpf_prog *prog = priv;
	const struct bpf_func_proto *proto = bpf_host_func(prog->host_funcs, (u32)insn->imm);

	return proto && !insn->src_reg ? proto->name : NULL;
}

void verbose_insn(struct bpf_verifier_env *env, int idx)
{
	const struct bpf_disasm_cbs cbs = {
		.priv = (void *)env->prog, .call_name = host_call_name, .imm64 = imm64_text};
	char text[256];

	bpf_disasm(&env->insns[idx], &cbs, text, sizeof(text));
	bpf_log_printf(env->log, "%s\n", text);
}

/* The source line, unless it was the last one printed. */
void verbose_linfo(struct bpf_verifier_env *env, int idx, const char *prefix)
{
	struct bpf_line line;

	if (env->log_level && bpf_btf_next_line(env->prog, idx, &env->prev_linfo, &line))
		bpf_log_printf(env->log, "%s%s @ %s:%u\n", prefix, line.text, line.file,
			       line.number);
}

const char *dynptr_type_str(enum bpf_dynptr_type type)
{
	switch (type) {
	case BPF_DYNPTR_TYPE_LOCAL:
		return "local";
	case BPF_DYNPTR_TYPE_RINGBUF:
		return "ringbuf";
	default:
		return "<invalid>";
	}
}

/* Linux has the mark of the first slot in the place of a dynptr_id, and so prints it as one. */
static void print_dynptr(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, u32 spi)
{
	bpf_log_printf(env->log, " fp%d=dynptr_%s(", -(int)(spi + 1) * 8,
		       dynptr_type_str(reg->dynptr.type));
	bpf_log_printf(env->log, "id=%u", reg->id);
	if (reg->ref_obj_id)
		bpf_log_printf(env->log, ",ref_id=%u", reg->ref_obj_id);
	bpf_log_printf(env->log, ",dynptr_id=%u)", reg->dynptr.first_slot);
}

static char slot_type_char(u8 type)
{
	switch (type) {
	case STACK_SPILL:
		return 'r';
	case STACK_MISC:
		return 'm';
	case STACK_ZERO:
		return '0';
	default:
		return '?';
	}
}

static void print_slot(struct bpf_verifier_env *env, const struct bpf_stack_state *slot, u32 i,
		       u32 frameno)
{
	char types[9] = {0};
	bool valid = false;
	int j;

	for (j = 0; j < 8; j++) {
		valid |= slot->slot_type[j] != STACK_INVALID;
		types[j] = slot_type_char(slot->slot_type[j]);
	}
	if (!valid)
		return;
	if (is_spilled_reg(slot)) {
		/* The bytes that are not part of a narrower spill, then the spill. */
		for (j = 0; j < 8 && slot->slot_type[j] != STACK_SPILL; j++)
			;
		types[j] = 0;
		bpf_log_printf(env->log, " fp%d=%s", -(int)(i + 1) * 8, types);
		print_reg_state(env->log, &slot->spilled_ptr, frameno);
		return;
	}
	bpf_log_printf(env->log, " fp%d=%s", -(int)(i + 1) * 8, types);
}

void print_verifier_state(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
			  u32 frameno, bool print_all)
{
	const struct bpf_func_state *func = st->frame[frameno];
	u32 i;

	if (frameno)
		bpf_log_printf(env->log, " frame%u:", frameno);
	for (i = 0; i < MAX_BPF_REG; i++) {
		if (func->regs[i].type == NOT_INIT ||
		    (!print_all && !(env->scratched_regs & 1u << i)))
			continue;
		bpf_log_printf(env->log, " R%u=", i);
		print_reg_state(env->log, &func->regs[i], frameno);
	}
	for (i = 0; i < func->nslots; i++) {
		const struct bpf_stack_state *slot = &func->stack[i];
		bool wanted = print_all || env->scratched_slots & 1ULL << i;

		if (is_dynptr_slot(slot)) /* the second half, and before it in memory the first */
			slot = &func->stack[++i];
		if (wanted && is_dynptr_slot(slot))
			print_dynptr(env, &slot->spilled_ptr, i);
		else if (wanted)
			print_slot(env, slot, i, frameno);
	}
	for (i = 0; i < st->ref_cnt; i++)
		if (st->refs[i].id) /* the lock of a value named by its address has none */
			bpf_log_printf(env->log, "%s%d", i ? "," : " refs=", st->refs[i].id);
	if (func->in_callback_fn)
		bpf_log_printf(env->log, " cb");
	bpf_log_printf(env->log, "\n");
	if (!print_all) {
		env->scratched_regs = 0;
		env->scratched_slots = 0;
	}
}

static u32 alignment(u32 pos)
{
	return round_up(max(pos + LOG_MIN_ALIGNMENT / 2, (u32)LOG_ALIGNMENT), LOG_MIN_ALIGNMENT) -
	       pos - 1;
}

/* What changed: behind the instruction when its line was the last that was written. */
void print_insn_state(struct bpf_verifier_env *env, const struct bpf_verifier_state *st,
		      u32 frameno)
{
	if (!env->log)
		return;
	if (env->prev_log_pos && env->prev_log_pos == env->log->len) {
		bpf_log_reset(env->log, env->prev_log_pos - 1);
		bpf_log_printf(env->log, "%*c;", (int)alignment(env->prev_insn_print_pos), ' ');
	} else {
		bpf_log_printf(env->log, "%d:", env->insn_idx);
	}
	print_verifier_state(env, st, frameno, false);
}

void print_live_regs(struct bpf_verifier_env *env)
{
	vtrace(env, "Live regs before insn:\n");
	for (u32 i = 0; i < env->insn_cnt; i++) {
		vtrace(env, "    %3u: ", i);
		for (u32 j = BPF_REG_0; j < BPF_REG_10; j++)
			vtrace(env, "%c", env->flow[i].live_regs & 1u << j ? (char)('0' + j) : '.');
		vtrace(env, " ");
		verbose_insn(env, i);
		if (bpf_insn_is_imm64(&env->insns[i]))
			i++;
	}
}

void print_verification_stats(struct bpf_verifier_env *env)
{
	if (!env->log_level)
		return;
	if (env->log_level & BPF_LOG_STATS) {
		vtrace(env, "stack depth ");
		for (u32 i = 0; i < env->subprog_cnt; i++)
			vtrace(env, "%s%u", i ? "+" : "", env->subprogs[i].stack_depth);
		vtrace(env, "\n");
	}
	vtrace(env,
	       "processed %d insns (limit %d) max_states_per_insn %d total_states %d "
	       "peak_states %d mark_read %d\n",
	       env->insn_processed, BPF_COMPLEXITY_LIMIT_INSNS, env->max_states_per_insn,
	       env->total_states, env->peak_states, 0);
}
