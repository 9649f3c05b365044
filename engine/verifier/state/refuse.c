/*
 * refuse.c - see refuse.h
 */
#include <stdio.h>
#include "verifier/state/env.h"
#include "verifier/state/refuse.h"

/* The reasons of one instruction stand together; when there are too many, the last stays. */
static struct bpf_reason *next_reason(struct bpf_verifier_env *env)
{
	struct bpf_verdict *out = env->out;

	if (out->reason_cnt && out->reasons[0].insn != env->insn_idx)
		out->reason_cnt = 0;
	if (out->reason_cnt == BPF_MAX_REASONS)
		out->reason_cnt--;
	return &out->reasons[out->reason_cnt++];
}

static const struct bpf_reason *note(struct bpf_verifier_env *env, enum bpf_reason_code code,
				     const struct refusal *what)
{
	struct bpf_reason *reason = next_reason(env);

	*reason = (struct bpf_reason){
		.code = code,
		.insn = env->insn_idx,
		.reg = what->reg,
		.type = what->type,
	};
	memcpy(reason->num, what->num, sizeof(reason->num));
	for (u32 i = 0; i < ARRAY_SIZE(reason->name); i++)
		if (what->name[i])
			snprintf(reason->name[i], sizeof(reason->name[i]), "%s", what->name[i]);
	return reason;
}

int __refuse(struct bpf_verifier_env *env, enum bpf_reason_code code, const struct refusal *what)
{
	const struct bpf_reason *reason = note(env, code, what);
	char text[512];

	if (env->log_level) {
		bpf_reason_text(reason, text, sizeof(text));
		bpf_log_printf(env->log, "%s\n", text);
	}
	return bpf_reason_errno(code);
}

void refuse_errno(struct bpf_verifier_env *env, int err)
{
	const struct refusal what = {.name = {strerror(-err)}};

	if (!env->out->reason_cnt)
		note(env,
		     err == -ENOMEM  ? REASON_NO_MEMORY
		     : err == -EINTR ? REASON_INTERRUPTED
				     : REASON_ERRNO,
		     &what);
}
