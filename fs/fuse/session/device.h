/*
 * device.h - /dev/fuse: requests come in, answers go out
 *
 * libfuse reads and writes the device through here (fuse_session_custom_io), which is where what it
 * knows nothing of is done: passthrough (passthrough.h), turns (turns.h), and going on with the
 * mount of a server that died (keeper/keeper.h):
 *
 *	- the kernel's INIT request is saved; a successor is given it again, and its answer goes
 *	  nowhere, unless the kernel has none yet;
 *	- each request is recorded, and so is the answer of one that changes something before it is
 *	  sent (keeper/requests.h);
 *	- then the kernel is asked to send again what has no answer (FUSE_NOTIFY_RESEND, since Linux
 *	  6.9). Older kernels do not: what was under way is EIO there.
 */
#ifndef UBPFFS_FS_FUSE_SESSION_DEVICE_H
#define UBPFFS_FS_FUSE_SESSION_DEVICE_H

#include <stdbool.h>

struct fuse_session;

/* Before the state is read: what ends this server by a fault is noted for the next one. */
void device_note_faults(void);
/* After the mount, or with the descriptor of one that is there (*adopt). -errno. */
int device_start(struct fuse_session *se, int fd, bool adopt);
/* After a takeover: the kernel sends again what waits, and pollers look again. */
void device_resume(void);
void device_stop(void);

#endif
