/*
 * cgroup.h - a hierarchy of cgroups, the programs attached to it, and which of them are effective
 * where
 *
 * A model without files, processes or packets of its own: fs/ shows it as directories, a packet
 * source runs what is effective. Attaching to a cgroup makes a program effective for it and for its
 * descendants, as Linux has it (kernel/bpf/cgroup.c):
 *
 *	flags			in this cgroup		in a descendant
 *	0			one program		nothing may be attached (-EPERM)
 *	BPF_F_ALLOW_OVERRIDE	one program		its own program takes over
 *	BPF_F_ALLOW_MULTI	a list, in order	its own run first, then these
 *
 * The effective set of a cgroup is an array that never changes: a change computes new arrays for
 * the whole subtree, then switches them.
 *
 * Guarantees
 *   A. A packet sees the set from before a change or the one from after it, never a mixture.
 *   B. A change that fails (-ENOMEM, -EPERM, ...) has changed nothing. A detach does not fail for
 *      want of memory: it then takes the program out of the arrays in place, by putting a hole
 *      there.
 *   C. The cost of a change grows with the subtree below it only.
 *   D. An attached program is held by its attachment; the effective arrays are freed after an RCU
 *      grace period.
 *   E. A cgroup that is removed has no children; its attachments are dropped, and with its last
 *      reference the storages that programs kept for it.
 * Locking: every function but cgroup_bpf_run() and cgroup_get/put takes the hierarchy's mutex
 * itself. Tests: tests/unit/test_cgroup.c names each case by its letter.
 */
#ifndef UBPFFS_CGROUP_CGROUP_H
#define UBPFFS_CGROUP_CGROUP_H

#include "core/prog.h"
#include "rcu/rcu.h"

#define CGROUP_MAX_DEPTH      64
#define BPF_CGROUP_MAX_PROGS  64
#define CGROUP_BPF_FLAGS_MASK (BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI | BPF_F_REPLACE)

enum cgroup_bpf_attach_type {
	CGROUP_INET_INGRESS, /* the values of BPF_CGROUP_INET_INGRESS and _EGRESS */
	CGROUP_INET_EGRESS,
	MAX_CGROUP_BPF_ATTACH_TYPE,
};

struct cgroup;

/* One program of a set, and where and how it is attached. References are the array's. */
struct cgroup_bpf_item {
	struct bpf_prog *prog;
	u64 cgroup_id;
	u32 flags;
	struct bpf_cgroup_storages storages; /* of that cgroup, for this program */
};

struct bpf_prog_array {
	struct rcu_head rcu;
	u32 nr;
	struct cgroup_bpf_item items[]; /* prog NULL: a hole, skipped */
};

/*
 * A hierarchy of its own, with its root. NULL: -ENOMEM. cgroup_put() of the last reference ends it;
 * the tree has one of each cgroup that was not removed, and a cgroup one of its parent.
 */
struct cgroup *cgroup_root_new(void);

/*
 * cgroup_create - a child. It inherits what is effective in the parent. id 0: the next one of this
 * hierarchy. -EAGAIN beyond CGROUP_MAX_DEPTH, -ENODEV when the parent was removed, -ENOMEM. *out is
 * a reference.
 */
int cgroup_create(struct cgroup *parent, u64 id, struct cgroup **out);
/* -EBUSY: it has children, or is the root. Afterwards nothing can be attached to it. */
int cgroup_remove(struct cgroup *cgrp);
void cgroup_get(struct cgroup *cgrp);
void cgroup_put(struct cgroup *cgrp);
u64 cgroup_id(const struct cgroup *cgrp);
/* The id of the ancestor that many levels below the root; 0: it is not that deep. */
u64 cgroup_ancestor_id(const struct cgroup *cgrp, u32 level);

/*
 * cgroup_bpf_attach - put `prog` here; replace: with BPF_F_REPLACE the program whose place it
 * takes, else NULL
 * In a cgroup with a single program (flags 0 or OVERRIDE) attaching again replaces. -EINVAL: bad
 * flags, or the program is attached here already (MULTI), or its type does not fit; -EPERM: an
 * ancestor or this cgroup does not allow it; -ENOENT: nothing to replace; -E2BIG, -ENOMEM.
 */
int cgroup_bpf_attach(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, struct bpf_prog *prog,
		      struct bpf_prog *replace, u32 flags);
/*
 * prog may be NULL where only one can be attached. -ENOENT: it is not; -EINVAL: MULTI needs to know
 * which.
 */
int cgroup_bpf_detach(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, struct bpf_prog *prog);

/*
 * The attached (or effective) programs in order, each with a reference; malloc()ed. *flags: of what
 * is attached.
 */
int cgroup_bpf_query(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, bool effective,
		     struct cgroup_bpf_item **items, u32 *nr, u32 *flags);
void cgroup_bpf_items_free(struct cgroup_bpf_item *items, u32 nr);

/*
 * cgroup_bpf_run - push a packet (struct bpf_skb) through the effective programs of a cgroup
 *
 * The caller is between bpf_run_enter() and bpf_run_exit(). Every program runs; but once the run is
 * cancelled, it ends with 0, and bpf_this.cancelled_prog is whose it was. Returns 1 when all allow
 * the packet (bit 0 of each result), 0 when one does not; with none, 1. For egress, *congested (may
 * be NULL) tells whether one asked for congestion notification (bit 1).
 */
int cgroup_bpf_run(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, void *ctx,
		   bool *congested);

struct cgroup_stats { /* packets that went through cgroup_bpf_run(), by attach type */
	u64 allowed[MAX_CGROUP_BPF_ATTACH_TYPE], dropped[MAX_CGROUP_BPF_ATTACH_TYPE];
};

void cgroup_stats_read(const struct cgroup *cgrp, struct cgroup_stats *stats);

/* For tests of guarantee B: let the n-th allocation from now on fail (0: none does). */
extern u32 cgroup_fail_alloc;

#endif
