/*
 * cgroup_test_run.h - a test run of all that is effective in a cgroup
 */
#ifndef UBPFFS_PROG_TYPE_CGROUP_TEST_RUN_H
#define UBPFFS_PROG_TYPE_CGROUP_TEST_RUN_H

#include "cgroup/cgroup.h"
#include "run/test_run.h"

/*
 * A test run (run/run.h) of what is effective: retval is cgroup_bpf_run()'s. `repeat` is ignored.
 */
int cgroup_bpf_test_run(struct cgroup *cgrp, enum cgroup_bpf_attach_type type,
			struct bpf_test_run *run);

#endif
