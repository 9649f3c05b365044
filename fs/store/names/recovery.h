/*
 * recovery.h - the store's start: programs, maps and names are read back
 */
#ifndef UBPFFS_FS_STORE_NAMES_RECOVERY_H
#define UBPFFS_FS_STORE_NAMES_RECOVERY_H

/* Needs tree_open(). -errno: the state could not be read. */
int store_start(void);

#endif
