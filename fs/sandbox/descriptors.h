/*
 * descriptors.h - what a process of ours keeps open
 */
#ifndef UBPFFS_FS_SANDBOX_DESCRIPTORS_H
#define UBPFFS_FS_SANDBOX_DESCRIPTORS_H

#include <stdbool.h>

/* All of these are closed, whatever the kernel has for that. */
void close_from(int first);
/* They are /dev/null, for what it executes, too. False: there is none. */
bool null_to(int first, int last);

#endif
