/*
 * mounter.h - the process that mounts, unmounts, and gives the kernel files for passthrough
 *
 * These ask for CAP_SYS_ADMIN, or for fusermount3, which is setuid: the server has neither once it
 * is in its sandbox. The mounter is made before, knows one session and one mount point, and takes
 * five messages with no more in them than a number and descriptors:
 *
 *	mounter_mount()				/dev/fuse of the new mount
 *	mounter_backing_open(device, fd)	a number for that file (passthrough.h)
 *	mounter_backing_close(device, id)
 *	mounter_unmount(device)			also of a mount that an earlier server made
 *	mounter_own_link(fd, uid, gid)		a symbolic link, which no other descriptor changes
 *
 * One request at a time, from any thread, each waits for its answer. Between them it holds nothing:
 * a mount whose server was killed ends at once. It ends with its server. When it is gone every call
 * is -EIO.
 */
#ifndef UBPFFS_FS_FUSE_PROTOCOL_MOUNTER_H
#define UBPFFS_FS_FUSE_PROTOCOL_MOUNTER_H

#include <stdbool.h>
#include <sys/types.h>

struct fuse_session;

struct mounter_job {
	struct fuse_session *session;
	const char *mountpoint;
	int (*mount)(struct fuse_session *session, const char *mountpoint); /* its descriptor */
	void (*take_away)(const char *mountpoint);
	bool adopted; /* the mount is there already */
	bool daemon; /* it keeps no stderr once that is so */
	bool narrow; /* root keeps the capabilities that these ask for alone */
};

/* Before the first thread. -errno. */
int mounter_start(const struct mounter_job *job);
/* It has ended when this returns. */
void mounter_stop(void);

/* The descriptor is the caller's. -EIO: stderr says why. */
int mounter_mount(void);
/* Unless somebody else has unmounted it, or aborted the connection. */
void mounter_unmount(int device);
/* > 0, or what the kernel said. */
int mounter_backing_open(int device, int fd);
void mounter_backing_close(int device, unsigned int id);
/* The link of an O_PATH descriptor. Without a mounter by the caller itself. -errno. */
int mounter_own_link(int fd, uid_t uid, gid_t gid);

#endif
