/*
 * report.h - the block that a person reads first
 */
#ifndef UBPFFS_VERIFIER_REPORT_H
#define UBPFFS_VERIFIER_REPORT_H

#include "core/verdict.h"

/*
 * bpf_report - the block that a person reads first
 *
 * What was verified, the verdict and its reason in a sentence, the instruction (disassembled) and
 * its source line from BTF, or for an accepted program its size and cost. Ends with a newline.
 * `note` is the reason where the instruction only stands for what was not found; or NULL.
 */
void bpf_report(const struct bpf_prog *prog, const struct bpf_verdict *verdict, const char *note,
		struct bpf_log *out);

#endif
