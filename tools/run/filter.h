/*
 * filter.h - which system calls of the command the supervisor answers
 */
#ifndef UBPFFS_TOOLS_RUN_FILTER_H
#define UBPFFS_TOOLS_RUN_FILTER_H

#include <stdbool.h>

/*
 * Install the filter on the calling thread, which is the process's only one. Returns the listener's
 * descriptor, or -errno. user: the supervisor is not root; new privileges are given up
 * (no_new_privs) first.
 */
int run_filter_install(bool user);

#endif
