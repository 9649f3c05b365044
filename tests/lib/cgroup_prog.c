/*
 * cgroup_prog.c - see cgroup_prog.h
 */
#include "tests/lib/cgroup_prog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "engine/ubpffs_engine.h"
#include "uapi/bpf_insn.h"

struct bpf_prog *cgroup_prog_new(const struct bpf_insn *insns, u32 cnt, enum bpf_attach_type attach)
{
	struct ubpffs_prog_spec spec = {.type = BPF_PROG_TYPE_CGROUP_SKB,
					.expected_attach_type = attach,
					.license = "GPL",
					.insns = insns,
					.insn_cnt = cnt};
	struct bpf_prog *prog = NULL;

	assert_int_equal(ubpffs_prog_load(&spec, NULL, NULL, &prog), 0);
	return prog;
}

struct bpf_prog *cgroup_prog_returns(int ret, enum bpf_attach_type attach)
{
	const struct bpf_insn insns[] = {BPF_MOV64_IMM(BPF_REG_0, ret), BPF_EXIT_INSN()};

	return cgroup_prog_new(insns, 2, attach);
}
