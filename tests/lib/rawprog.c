/*
 * rawprog.c - fill a struct bpf_prog by hand
 */
#include "run/interp.h"
#include "tests/lib/rawprog.h"

/* Each target of a bpf-to-bpf call starts a subprogram; the main program is the first. */
static int find_subprogs(struct bpf_prog *prog)
{
	bool *starts __do_free = calloc(prog->len, sizeof(*starts));
	u32 n = 0;

	if (!starts)
		return -ENOMEM;
	starts[0] = true;
	for (u32 i = 0; i < prog->len; i++) {
		const struct bpf_insn *insn = &prog->insnsi[i];
		s64 to = (s64)i + 1 + insn->imm;

		if (bpf_insn_is_pseudo_call(insn) && to >= 0 && to < prog->len)
			starts[to] = true;
	}
	for (u32 i = 0; i < prog->len; i++)
		n += starts[i];
	prog->subprogs = calloc(n, sizeof(*prog->subprogs));
	if (!prog->subprogs)
		return -ENOMEM;
	prog->subprog_cnt = n;
	n = 0;
	for (u32 i = 0; i < prog->len; i++) {
		const struct bpf_insn *insn = &prog->insnsi[i];

		if (starts[i]) {
			prog->subprogs[n].start = i;
			prog->subprogs[n++].stack_depth = MAX_BPF_STACK;
		}
		if (insn->code == (BPF_JMP | BPF_TAIL_CALL)) {
			prog->subprogs[n - 1].has_tail_call = true;
			prog->has_tail_call = true;
		}
		if (BPF_CLASS(insn->code) == BPF_LD && BPF_MODE(insn->code) != BPF_IMM)
			prog->subprogs[n - 1].has_ld_abs = true;
	}
	for (u32 i = 0; i < prog->subprog_cnt; i++)
		prog->subprogs[i].tail_call_reachable = prog->has_tail_call;
	return 0;
}

struct bpf_prog *rawprog_new(const struct bpf_insn *insns, u32 cnt)
{
	struct bpf_prog *prog = calloc(1, sizeof(*prog));

	if (!prog)
		return NULL;
	prog->refcnt = 1; /* ours: it never goes */
	prog->id = 1; /* in no table, but a prog array wants one */
	prog->type = BPF_PROG_TYPE_SOCKET_FILTER;
	prog->len = cnt;
	prog->insnsi = malloc(cnt * sizeof(*insns));
	prog->bpf_func = bpf_interp_run;
	if (prog->insnsi)
		memcpy(prog->insnsi, insns, cnt * sizeof(*insns));
	if (!prog->insnsi || find_subprogs(prog) || bpf_interp_prepare(prog)) {
		rawprog_free(prog);
		return NULL;
	}
	return prog;
}

void rawprog_free(struct bpf_prog *prog)
{
	if (!prog)
		return;
	free(prog->interp);
	free(prog->subprogs);
	free(prog->insnsi);
	free(prog);
}
