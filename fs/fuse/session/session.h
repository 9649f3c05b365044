/*
 * session.h - one mount, from its options to its end
 */
#ifndef UBPFFS_FS_FUSE_SESSION_SESSION_H
#define UBPFFS_FS_FUSE_SESSION_SESSION_H

#include <stdbool.h>

struct fuse_args;
struct fuse_session;

struct session_options {
	bool foreground, help, version;
};

/* Take the libfuse options that the server sets itself out of `args`. -1: stderr says why. */
int session_options(struct fuse_args *args, struct session_options *out);
void session_help(void);

/* NULL: stderr says which option is unknown. */
struct fuse_session *session_new(struct fuse_args *args);
/* Before the state is read. -ENOMEM. */
int session_start(void);
/* In the mounter: the descriptor of a new mount, or -EIO: stderr says why. */
int session_mount_point(struct fuse_session *se, const char *mountpoint);
/* By the mounter. From now on signals end the session. -1: stderr says why. */
int session_mount(struct fuse_session *se);
/* Serve until an unmount or a signal. 0: it ended in order. */
int session_serve(struct fuse_session *se);
/*
 * Nobody asks any more: requests that wait end. Then what else answers requests is stopped, and
 * session_unmount().
 */
void session_cancel(void);
void session_unmount(struct fuse_session *se);
/* Also of NULL, and of one that was not mounted. */
void session_free(struct fuse_session *se);

#endif
