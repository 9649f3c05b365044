/*
 * verdict.h - what the verifier found out about a program: for the rewriter, and for the report
 */
#ifndef UBPFFS_CORE_VERDICT_H
#define UBPFFS_CORE_VERDICT_H

#include "core/prog.h"
#include "core/reason.h"

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
	bool fence_stack; /* a strict program that stores to its stack */
	bool zero_stack; /* some path reads stack bytes that nothing was stored to */

	/* For the report when it was rejected. */
	int err;
	int err_insn; /* original index, -1: no instruction in particular */
	struct bpf_reason reasons[BPF_MAX_REASONS]; /* of one instruction */
	u32 reason_cnt;
};

void bpf_verdict_free(struct bpf_verdict *verdict);

#endif
