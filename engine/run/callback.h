/*
 * callback.h - calling a function of a program from a helper
 *
 * What a program passes is the address of native code, whose calling convention is C's, or, with
 * the lowest bit set, of what the interpreter runs (interp.c). The verifier has proved that it is a
 * function of the running program.
 */
#ifndef UBPFFS_RUN_CALLBACK_H
#define UBPFFS_RUN_CALLBACK_H

#include "insn/func.h"
#include "run/run.h"

#define BPF_CALLBACK_INTERP 1u /* native functions are aligned */

/* More calls than this in one bpf_loop() are refused. */
#define BPF_MAX_LOOPS (8 * 1024 * 1024)

struct bpf_interp_insn;

/* bpf_run_cancelled() for the loops that the rewriter makes; the engines do it in place. */
u64 bpf_run_cancelled_call(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5);

u64 bpf_interp_callback(const struct bpf_interp_insn *entry, const u64 *args);

/* One round: not 0 ends the loop, also because the run is cancelled. */
static inline u64 bpf_callback_call(u64 callback, u64 r1, u64 r2, u64 r3, u64 r4)
{
	const u64 args[5] = {r1, r2, r3, r4};

	if (unlikely(bpf_run_cancelled()))
		return 1;
	if (likely(!(callback & BPF_CALLBACK_INTERP)))
		return ((bpf_func_t)(uintptr_t)callback)(r1, r2, r3, r4, 0);
	callback -= BPF_CALLBACK_INTERP;
	return bpf_interp_callback((const struct bpf_interp_insn *)(uintptr_t)callback, args);
}

extern const struct bpf_func_proto bpf_loop_proto;
extern const struct bpf_func_proto bpf_for_each_map_elem_proto;

#endif
