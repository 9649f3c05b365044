/*
 * cgroup_test_run.c - a test run of all that is effective in a cgroup
 */
#include <time.h>
#include "prog_type/cgroup_test_run.h"
#include "prog_type/skb.h"

struct test_target {
	struct cgroup *cgrp;
	enum cgroup_bpf_attach_type type;
};

static int test_loop(void *priv, struct bpf_skb *skb, struct bpf_test_run *run)
{
	const struct test_target *target = priv;
	const volatile bool *outer = bpf_run_set_cancel(run->cancel);
	struct timespec start, end;
	bool cancelled;

	skb->cgrp = target->cgrp;
	bpf_run_enter();
	clock_gettime(CLOCK_MONOTONIC, &start);
	run->retval = (u32)cgroup_bpf_run(target->cgrp, target->type, skb, NULL);
	clock_gettime(CLOCK_MONOTONIC, &end);
	bpf_run_exit();
	cancelled = bpf_run_cancelled(); /* it may have ended early */
	bpf_this.cancel = outer;
	run->duration =
		(u32)((end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec);
	return cancelled ? -EINTR : 0;
}

int cgroup_bpf_test_run(struct cgroup *cgrp, enum cgroup_bpf_attach_type type,
			struct bpf_test_run *run)
{
	struct test_target target = {cgrp, type};

	return __bpf_skb_test_run(BPF_PROG_TYPE_CGROUP_SKB, run, test_loop, &target);
}
