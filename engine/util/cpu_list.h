/*
 * cpu_list.h - the kernel's lists of CPUs: "0-3,8-11"
 */
#ifndef UBPFFS_UTIL_CPU_LIST_H
#define UBPFFS_UTIL_CPU_LIST_H

/*
 * How many numbers it takes to count up to the highest CPU of the list: 12 for the one above. A
 * newline may end it. -EINVAL: it is no such list.
 */
int cpu_list_count(const char *list);
/* The same of the CPUs that may ever be here; at least 1. */
int cpu_possible_count(void);

#endif
