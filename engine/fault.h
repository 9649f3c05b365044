/*
 * fault.h - a fault in an instruction of a program stops that run, not the process
 */
#ifndef UBPFFS_FAULT_H
#define UBPFFS_FAULT_H

#include "util/types.h"

/*
 * Install the handlers for SIGSEGV, SIGBUS and SIGFPE, once; load.c does it before the first
 * program runs. A fault anywhere else goes where it went before: to the handler that was there, or
 * to the default action.
 */
void bpf_fault_init(void);

/* How many faults were stopped so far. */
u64 bpf_fault_count(void);

#endif
