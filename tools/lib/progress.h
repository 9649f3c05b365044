/*
 * progress.h - how far a file is read, on standard error, where that is a terminal
 */
#ifndef UBPFFS_TOOLS_LIB_PROGRESS_H
#define UBPFFS_TOOLS_LIB_PROGRESS_H

#include <sys/types.h>

/* One at a time. Nothing is shown of what takes less than a second. */
void progress_begin(const char *path);
void progress_at(off_t done);
void progress_end(void);

#endif
