/*
 * both.h - the same program in the running kernel and here, on the same input
 *
 * What must be equal: the error, and for runs that succeed the return value, the packet and the
 * context, byte for byte.
 */
#ifndef UBPFFS_TESTS_BOTH_H
#define UBPFFS_TESTS_BOTH_H

#include "load.h"
#include "run/test_run.h"
#include "tests/lib/kernel.h"

#define BOTH_OUT_MAX 70000

struct both {
	int fd;
	struct bpf_prog *prog;
};

extern u32 both_differ; /* runs that were not equal; the first 40 are shown */
extern u64 both_compared;

/* Fails the test when either refuses the program. */
void both_load(struct both *b, enum bpf_prog_type type, enum bpf_attach_type attach,
	       const struct bpf_insn *insns, u32 cnt);
void both_free(struct both *b);

/*
 * Run as `run` says. data_size_out and ctx_size_out (up to 256) say how much room there is; the
 * buffers are ours, 0 is none. `what` and `input` name the case.
 */
void both_compare(const struct both *b, const struct bpf_test_run *run, const char *what,
		  const char *input);

#endif
