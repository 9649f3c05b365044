/*
 * shadow.h - run a program as it was loaded and watch every access
 *
 * A slow interpreter for sched_cls programs that knows of each register where its value comes from:
 * a number, the context, the packet, one map value or key, one frame's stack, a function. A load or
 * store outside of what its address comes from, an address made of a number, a register or (counted
 * only) a stack byte that nobody wrote, a ninth frame: what a sound verifier never lets through.
 * Shares no code with the engine's interpreter.
 */
#ifndef UBPFFS_TESTS_SHADOW_H
#define UBPFFS_TESTS_SHADOW_H

#include "insn/insn.h"
#include "core/map.h"

struct claims;

struct shadow {
	const struct bpf_insn *insns;
	u32 cnt;
	struct bpf_map *const *maps; /* what BPF_PSEUDO_MAP_IDX refers to */
	u32 map_cnt;
	u8 *packet;
	u32 packet_len;
	const struct claims *claims; /* of the verifier: compare, or NULL */
	bool zero_stack; /* as the verifier found */
	u64 random; /* what get_prandom_u32 gives, each time */
	u32 max_steps; /* 0: some millions */

	u64 r0; /* out */
	u32 fault_insn; /* out: where it went wrong */
	char fault[320]; /* out: and how */
	u32 uninit_stack; /* out: loads of stack bytes that were never written */
	u32 address_parts; /* out: loads of some bytes of an address on the stack, as a number */
	u32 stack_fetches; /* out: atomic operations that fetched what was on a stack */
};

/*
 * 0: it ended, r0 is set. -EFAULT: it did what no program may do. -ELOOP: it ran for too long.
 * -EOPNOTSUPP: a helper of it calls its callback for too long, or it uses a helper or a context
 * field that is not modelled here.
 */
int shadow_run(struct shadow *s);

#endif
