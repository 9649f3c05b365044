/*
 * caps.h - capabilities that a process gives up for good
 */
#ifndef UBPFFS_FS_SANDBOX_CAPS_H
#define UBPFFS_FS_SANDBOX_CAPS_H

#include <linux/capability.h>
#include "util/types.h"

#define CAP_BIT(cap) (1ULL << (cap))

/*
 * What is not in `keep` is gone from all sets of this thread, which is the process's only one; no
 * program that it executes gives it back. 0 or -errno.
 */
int caps_keep(u64 keep);

#endif
