/*
 * cgroup_test_run.c - a test run of all that is effective in a cgroup
 */
#include "prog_type/cgroup_test_run.h"
#include "prog_type/skb/skb.h"
#include "run/test_run.h"
#include "util/clock.h"
#include "prog_type/skb/skb_test_run.h"

struct test_target {
	struct cgroup *cgrp;
	enum cgroup_bpf_attach_type type;
};

static int test_loop(void *priv, struct bpf_skb *skb, struct bpf_test_run *run)
{
	const struct test_target *target = priv;
	const volatile bool *outer = bpf_run_set_cancel(run->cancel);
	bool cancelled = true;
	u64 start;

	skb->cgrp = target->cgrp;
	if (bpf_run_enter_unless_cancelled()) {
		start = monotonic_ns();
		run->retval = (u32)cgroup_bpf_run(target->cgrp, target->type, skb, NULL);
		run->duration = (u32)(monotonic_ns() - start);
		bpf_run_exit();
		cancelled = bpf_run_cancelled(); /* it may have ended early */
	}
	bpf_this.cancel = outer;
	return cancelled ? -EINTR : 0;
}

int cgroup_bpf_test_run(struct cgroup *cgrp, enum cgroup_bpf_attach_type type,
			struct bpf_test_run *run)
{
	struct test_target target = {cgrp, type};

	return __bpf_skb_test_run(BPF_PROG_TYPE_CGROUP_SKB, run, test_loop, &target);
}
