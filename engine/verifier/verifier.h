/*
 * verifier.h - the verifier's door: bpf_check(); only load.c calls it
 */
#ifndef UBPFFS_VERIFIER_VERIFIER_H
#define UBPFFS_VERIFIER_VERIFIER_H

#include "core/verdict.h"

/*
 * bpf_check - decide whether the program is safe
 *
 * Reads prog->orig_insns, used_maps, BTF and the type's ops; changes nothing in prog. Returns 0;
 * -EACCES or
 * -EINVAL as Linux gives for the same fault; -E2BIG for a program too large or too complex;
 * -ENOTSUP for what this build lacks; -EINTR when *cancel became true; -ENOMEM. `log` gets the
 * kernel's format at log->level. The verdict is filled also when the program is rejected.
 * Sound before complete: what it cannot prove it rejects.
 */
int bpf_check(const struct bpf_prog *prog, struct bpf_log *log, const volatile bool *cancel,
	      struct bpf_verdict *out);

/* The most that the states of all checks together take, but for 16 MiB of each; else -ENOMEM. */
void bpf_check_share_mem(u64 bytes);
u64 bpf_check_shared_mem(void); /* what of it is in use */

#endif
