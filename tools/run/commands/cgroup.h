/*
 * cgroup.h - commands on cgroups and links
 */
#ifndef UBPFFS_TOOLS_RUN_COMMANDS_CGROUP_H
#define UBPFFS_TOOLS_RUN_COMMANDS_CGROUP_H

#include "tools/run/commands/call.h"

long run_prog_attach(struct bpf_call *call);
long run_prog_detach(struct bpf_call *call);
long run_prog_query(struct bpf_call *call);
long run_link_create(struct bpf_call *call);
long run_link_update(struct bpf_call *call);
long run_link_detach(struct bpf_call *call);

#endif
