/*
 * cpu_usage.h - who had much processor time lately
 *
 * What a user's requests and jobs take is added up, and half of it is forgotten each tenth of a
 * second. A user who had more than half of a processor is throttled: others come first
 * (work/worker.h, fuse/turns.h). Root and who runs the server are not counted. Any thread may call;
 * one lock, a leaf.
 */
#ifndef UBPFFS_FS_WORK_CPU_USAGE_H
#define UBPFFS_FS_WORK_CPU_USAGE_H

#include <stdbool.h>
#include <sys/types.h>
#include "util/types.h"

bool cpu_usage_counts(uid_t uid);
void cpu_usage_add(uid_t uid, u64 ns);
/* Is this user throttled? */
bool cpu_usage_is_over(uid_t uid);

#endif
