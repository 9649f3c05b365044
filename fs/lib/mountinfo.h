/*
 * mountinfo.h - what is mounted where, in this mount namespace
 */
#ifndef UBPFFS_FS_LIB_MOUNTINFO_H
#define UBPFFS_FS_LIB_MOUNTINFO_H

/* One mount: `root` of its filesystem is shown at `dir`; `type` is "ext4", "fuse.ubpffs", ... */
typedef void mountinfo_fn(void *arg, const char *root, const char *dir, const char *type);

/* Each mount, those that lie on others after them. 0 or -errno. */
int mountinfo_each(mountinfo_fn *fn, void *arg);

#endif
