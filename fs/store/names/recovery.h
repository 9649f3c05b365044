/*
 * recovery.h - the start: everything is read back
 */
#ifndef UBPFFS_FS_STORE_NAMES_RECOVERY_H
#define UBPFFS_FS_STORE_NAMES_RECOVERY_H

/* Needs tree_open(). -errno: the state could not be read. */
int store_start(void);

#endif
