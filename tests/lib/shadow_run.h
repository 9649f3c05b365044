/*
 * shadow_run.h - a run of the checked interpreter, for its own files: values with origins
 */
#ifndef UBPFFS_TESTS_SHADOW_RUN_H
#define UBPFFS_TESTS_SHADOW_RUN_H

#include "run/run.h"
#include "tests/lib/claims.h"
#include "tests/lib/shadow.h"

#define MAX_VALUES 512

enum origin {
	NUMBER,
	NOTHING, /* never written */
	CONTEXT,
	PACKET,
	PACKET_END,
	MAP,
	FUNC, /* where a function begins in the program */
	LOCAL, /* of a slot: the first half of a dynptr of a value */
	LOCAL_END,
	RECORD, /* of a record that must be given back */
	RECORD_END,
	STACK, /* + frame */
	VALUE = STACK + MAX_CALL_FRAMES, /* + index into values */
};

struct val {
	u64 v;
	u32 origin;
};

struct frame {
	u64 bytes[MAX_BPF_STACK / 8];
	u32 origins[MAX_BPF_STACK / 8];
	bool written[MAX_BPF_STACK];
	struct val saved[MAX_BPF_REG]; /* the caller's registers */
	u32 ret;
};

struct run {
	struct shadow *s;
	struct val r[MAX_BPF_REG];
	struct frame frames[MAX_CALL_FRAMES];
	u32 depth, pc;
	struct {
		u8 *base;
		const struct bpf_map *map; /* NULL: a record, or a dynptr's slice */
		u32 len;
		bool constant; /* a key: it may be read */
		bool record; /* of a ring, to be given back */
		int lock; /* offset of the lock in it, or below 0 */
	} values[MAX_VALUES];
	u32 value_cnt;
	struct bpf_spin_lock *held;
	u32 records; /* what must be given back, dynptrs or not */
	u64 context;
	u32 steps; /* all together */
	u32 steps_here; /* of the program, or of the callback that runs */
	struct claims_run claimed;
};

static inline bool is_dynptr(u32 slot_origin)
{
	return slot_origin >= LOCAL && slot_origin <= RECORD_END;
}

/* What the verifier should have refused: -EFAULT, with the reason and the instruction in run->s. */
int shadow_fault(struct run *run, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* May these bytes be loaded, or stored to? */
int shadow_check(struct run *run, struct val at, s64 off, u32 size, bool write);
/* From now on nobody knows what is in these registers. */
void shadow_forget(struct run *run, int first, int last);

/* shadow_ring.c. -EOPNOTSUPP: another helper. */
int shadow_ring_helper(struct run *run, s32 id);

#endif
