/*
 * trace.h - ubpfctl run -v: a line for each bpf(2) call, as strace prints it
 */
#ifndef UBPFFS_TOOLS_RUN_CALLER_TRACE_H
#define UBPFFS_TOOLS_RUN_CALLER_TRACE_H

#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

void run_trace_to(FILE *out); /* NULL: nowhere */
void run_trace_bpf(pid_t tid, int cmd, const union bpf_attr *attr, uint32_t size, long ret);

#endif
