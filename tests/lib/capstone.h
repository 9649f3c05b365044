/*
 * capstone.h - <capstone/capstone.h>, whose version 5 calls its list of BPF instructions bpf_insn,
 * as <linux/bpf.h> calls an instruction
 */
#ifndef UBPFFS_TESTS_CAPSTONE_H
#define UBPFFS_TESTS_CAPSTONE_H

#define bpf_insn capstone_bpf_insn
#include <capstone/capstone.h>
#undef bpf_insn

#endif
