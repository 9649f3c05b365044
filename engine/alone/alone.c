/*
 * alone.c - what a build without CONFIG_BPF_SYSCALL has in place of the verifier, maps and slots
 *
 * Such a build has the interpreter, the converter and socket filters, as CONFIG_BPF alone in Linux.
 * A program can only come from a classic filter, whose checker is the proof: jumps go forward,
 * words of M[] are written before they are read, packet loads are bounded when they run.
 *
 * A filter is freed at once: whoever frees it knows that it does not run.
 */
#include <sched.h>
#include "classic/classic.h"
#include "classic/create.h"
#include "run/interp.h"
#include "run/run.h"
#include "prog_type/skb/classic_helpers.h"

/* ---- running: no slots, no readers */

void bpf_run_enter(void)
{
}

void bpf_run_exit(void)
{
}

u64 bpf_prog_run(const struct bpf_prog *prog, const void *ctx)
{
	return prog->bpf_func(ctx, prog);
}

const volatile bool bpf_never_cancelled;

/* The interpreter counts tail calls in it. */
__thread struct bpf_thread bpf_this __attribute__((tls_model("initial-exec"))) = {
	.slot = -1,
	.cancel = &bpf_never_cancelled,
};

/* ---- helpers */

static u64 get_smp_processor_id(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (u64)cpu;
}

static u64 get_prandom_u32(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	return arc4random();
}

static bpf_func_t helper(u32 id)
{
	const struct bpf_func_proto *proto;

	switch (id) {
	case BPF_FUNC_get_smp_processor_id:
		return get_smp_processor_id;
	case BPF_FUNC_get_prandom_u32:
		return get_prandom_u32;
	default:
		proto = bpf_classic_func_proto((enum bpf_func_id)id);
		return proto ? proto->func : NULL;
	}
}

/* Numbers of helpers become distances, which the interpreter calls through. */
static int link_calls(struct bpf_prog *prog)
{
	for (u32 i = 0; i < prog->len; i++) {
		struct bpf_insn *insn = &prog->insnsi[i];
		bpf_func_t func;

		if (insn->code != (BPF_JMP | BPF_CALL))
			continue;
		func = helper((u32)insn->imm);
		if (!func)
			return -EINVAL;
		insn->imm = BPF_CALL_IMM(func);
	}
	return 0;
}

/* ---- programs */

static int prog_fill(struct bpf_prog *prog, const struct sock_filter *filter, u32 flen)
{
	int n, err;

	prog->type = BPF_PROG_TYPE_SOCKET_FILTER;
	prog->refcnt = 1;
	prog->classic = malloc(flen * sizeof(*filter));
	prog->insnsi = malloc(BPF_CLASSIC_MAX_EBPF * sizeof(*prog->insnsi));
	if (!prog->classic || !prog->insnsi)
		return -ENOMEM;
	memcpy(prog->classic, filter, flen * sizeof(*filter));
	prog->classic_len = flen;
	n = bpf_convert_filter(filter, flen, prog->insnsi, NULL);
	if (n < 0)
		return n;
	prog->len = (u32)n;
	err = link_calls(prog);
	if (err)
		return err;
	prog->bpf_func = bpf_interp_run;
	return bpf_interp_prepare(prog);
}

int bpf_prog_create(const struct sock_filter *filter, u32 flen, struct bpf_log *log,
		    struct bpf_prog **out)
{
	struct bpf_prog *prog;
	int err;

	*out = NULL;
	err = bpf_check_classic(filter, flen, log);
	if (err)
		return err;
	prog = calloc(1, sizeof(*prog));
	if (!prog)
		return -ENOMEM;
	err = prog_fill(prog, filter, flen);
	if (err)
		bpf_prog_destroy(prog);
	else
		*out = prog;
	return err;
}

void bpf_prog_destroy(struct bpf_prog *prog)
{
	if (!prog)
		return;
	free(prog->interp);
	free(prog->insnsi);
	free(prog->classic);
	free(prog);
}
