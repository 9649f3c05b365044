/*
 * cgroup_prog.h - small programs of cgroups, for tests of what attaches and runs them
 */
#ifndef UBPFFS_TESTS_CGROUP_PROG_H
#define UBPFFS_TESTS_CGROUP_PROG_H

#include "core/prog.h"

/* A cgroup_skb program of these instructions; a reference. The test ends if it does not load. */
struct bpf_prog *cgroup_prog_new(const struct bpf_insn *insns, u32 cnt,
				 enum bpf_attach_type attach);
/* One that returns this for every packet. */
struct bpf_prog *cgroup_prog_returns(int ret, enum bpf_attach_type attach);

#endif
