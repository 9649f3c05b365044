/*
 * mount.h - the mount that a subcommand works on, and how it says what failed
 */
#ifndef UBPFFS_TOOLS_LIB_MOUNT_H
#define UBPFFS_TOOLS_LIB_MOUNT_H

#include <stddef.h>

/*
 * The mount that -m or $UBPFFS_MOUNT names, else the caller's own; exits with a sentence and a list
 * when there is none, or more than one.
 */
const char *mount_point(void);
/* As -m does; before the first mount_point(). */
void name_mount(const char *path);

/* mount_point()/fmt, as openat() would want it: a descriptor, or -1 with errno. */
int open_in_mount(int flags, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The whole of a small file of the mount, NUL-terminated and malloc()ed, or NULL with errno. */
char *read_in_mount(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * "ubpfctl: MOUNT: what: strerror", and the last line that the mount's log has for us, when there
 * is one. Returns 1.
 */
int fail(const char *what);

/* The value of "name: value" in an info text, into buf; "" when it has no such line. */
const char *info_value(const char *info, const char *name, char *buf, size_t len);

#endif
