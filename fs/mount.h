/*
 * mount.h - the mount point: also after a server that was killed, and never over one that lives
 */
#ifndef UBPFFS_FS_MOUNT_H
#define UBPFFS_FS_MOUNT_H

#include <stdbool.h>
struct error_record;

/* The absolute path, malloc()ed, also of a mount point whose server is dead; NULL and errno. */
char *mount_absolute_path(const char *path);

/*
 * May this server mount there? A dead mount of ours (it answers ENOTCONN) is taken away. -ENOTDIR,
 * -EBUSY: a server lives there, or is being started; *why says it. The claim keeps others that
 * start from mounting there, until mount_claimed() (the mount is there, or will not be).
 */
int mount_claim(const char *path, struct error_record *why);
void mount_claimed(void);
/* The mount of ours that is on top there, if any, goes: at once out of sight. */
void mount_take_away(const char *path);

/*
 * Before anything is made: can this process mount at all? 0, or -errno with a sentence that says
 * what to do, for what is known to be missing on ordinary machines and in containers.
 */
int mount_possible(bool allow_other, struct error_record *why);
/* What to say when it could not after all; libfuse has said what it was refused. */
const char *mount_failed(const char *path);

#endif
