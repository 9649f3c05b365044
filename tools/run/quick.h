/*
 * quick.h - commands on one element of a map, answered with as few calls as can be
 *
 * What such a command may do is in the caller's descriptor, so nobody has to become the caller, and
 * what a map is like is remembered (and checked by the server: ESTALE).
 */
#ifndef UBPFFS_TOOLS_RUN_QUICK_H
#define UBPFFS_TOOLS_RUN_QUICK_H

#include "tools/run/caller/caller.h"

/*
 * False: nothing was done, and the call goes the usual way: what is wrong with it is found out
 * there. It waits for nothing but the mount's server.
 */
bool run_quick(struct caller *c);

#endif
