/*
 * verifier.h - the verifier's door: bpf_check() and bpf_rewrite()
 *
 * Only load.c calls these. Inside, state.h has the structures.
 */
#ifndef UBPFFS_VERIFIER_VERIFIER_H
#define UBPFFS_VERIFIER_VERIFIER_H

#include "core/prog.h"

/* What the walk leaves behind for the rewriter; freed by bpf_verdict_free(). */
struct bpf_verdict {
	struct bpf_insn_aux_data *aux; /* one an original instruction */
	struct bpf_subprog_info *subprogs; /* start: original instructions */
	u32 subprog_cnt;
	u32 insn_processed;
	u64 work; /* units, see work.c */
	bool changes_pkt_data;
	bool wants_build_ids;
	struct bpf_map *cgroup_storage[MAX_BPF_CGROUP_STORAGE_TYPE];
	bool zero_stack; /* some path reads stack bytes that nothing was stored to */

	/* For the report when it was rejected. */
	int err;
	int err_insn; /* original index, -1: no instruction in particular */
	char *reason; /* one sentence: the log's last message; owned */
};

/*
 * bpf_check - decide whether the program is safe
 *
 * Reads prog->orig_insns, used_maps, BTF and the type's ops; changes nothing in prog. Returns 0; -EACCES or
 * -EINVAL as Linux gives for the same fault; -E2BIG for a program too large or too complex; -ENOTSUP for
 * what this build lacks; -EINTR when *cancel became true; -ENOMEM. `log` gets the kernel's format at
 * log->level. The verdict is filled also when the program is rejected.
 * Sound before complete: what it cannot prove it rejects.
 */
int bpf_check(const struct bpf_prog *prog, struct bpf_log *log, const volatile bool *cancel,
	      struct bpf_verdict *out);
void bpf_verdict_free(struct bpf_verdict *verdict);

/*
 * bpf_rewrite - turn the verified instructions into the executable form
 *
 * Fills prog->insnsi, len, orig_idx and subprogs: map addresses, converted context accesses, helper
 * distances, inlined array lookups, tail calls; unreachable instructions are removed. 0 or -ENOMEM, -E2BIG.
 */
int bpf_rewrite(struct bpf_prog *prog, const struct bpf_verdict *verdict);

/*
 * bpf_report - the block that a person reads first
 *
 * What was verified, the verdict and its reason in a sentence, the instruction (disassembled) and its source
 * line from BTF, or for an accepted program its size and cost. Ends with a newline.
 */
void bpf_report(const struct bpf_prog *prog, const struct bpf_verdict *verdict,
		struct bpf_log *out);

#endif
