/*
 * client_mount.h - which mounted ubpffs the client library talks to (private to the library)
 *
 * One mount a process at a time, found at the first use. Any thread may call these functions; the
 * lock inside is never held over an operation on the mount.
 */
#ifndef UBPFFS_CLIENT_MOUNT_H
#define UBPFFS_CLIENT_MOUNT_H

#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

/*
 * openat2(2) from the mount on, with O_CLOEXEC; resolve: RESOLVE_BENEATH, or 0. A descriptor, or
 * -1.
 */
int client_mount_open(const char *path, int flags, unsigned long long resolve);

/*
 * The part of `path` below the mount: what follows the mount point of an absolute path, or the
 * relative path itself. NULL with errno: EPERM when it lies elsewhere, or the mount could not be
 * found.
 */
const char *client_mount_relative(const char *path);

#endif
