/*
 * prog.h - commands on programs
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_PROG_H
#define UBPFFS_TOOLS_RUN_COMMANDS_PROG_H

#include "tools/run/commands/call.h"

long run_prog_load(struct bpf_call *call);
long run_prog_bind_map(struct bpf_call *call);
long run_prog_test_run(struct bpf_call *call);
long run_enable_stats(struct bpf_call *call);

#endif
