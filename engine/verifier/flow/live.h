/*
 * live.h - registers that are read before they are written
 */
#ifndef UBPFFS_VERIFIER_LIVE_H
#define UBPFFS_VERIFIER_LIVE_H

struct bpf_verifier_env;

/* After check_cfg(): every edge stays inside of the program. */
int compute_live_registers(struct bpf_verifier_env *env);

#endif
