/*
 * mount.h - the mount point, also after a server that was killed
 */
#ifndef UBPFFS_FS_MOUNT_H
#define UBPFFS_FS_MOUNT_H

/* The absolute path, malloc()ed, also of a mount point whose server is dead; NULL: there is no such place. */
char *mount_absolute_path(const char *path);

/* A server that was killed leaves a mount that answers ENOTCONN: take it away, if it is one of ours. */
void mount_clear_stale(const char *path);

#endif
