/*
 * cancel.h - requests that may be cancelled, for as long as they live
 *
 * An interrupt does not say whether its signal kills, and some kinds stop for a killed caller only
 * (ops->cancel_on_kill_only): a thread polls /proc of the callers of those.
 * When the server stops, all are cancelled.
 */
#ifndef UBPFFS_FS_NODE_CANCEL_H
#define UBPFFS_FS_NODE_CANCEL_H

#include "fs/node/node.h"

struct watch { /* node/cancel.c's */
	struct fs_req *req;
	void (*cancelled)(struct watch *w);
	struct watch *next; /* interrupted */
	struct watch *all_next, **all_pprev;
	bool interrupted;
};

/*
 * cancelled() is called when fs_cancelled() has become true, under the lock of watch_remove(); or
 * it is NULL.
 */
void watch_add(struct watch *w, struct fs_req *req, void (*cancelled)(struct watch *w));
/*
 * Before the request is answered: as long as it is not, its caller's /proc is read safely, for the
 * caller holds its own memory (agent/process.h). cancelled() is not called any more. Again is
 * nothing.
 */
void watch_remove(struct watch *w);
/* The handler sees fs_cancelled(). */
void watch_cancel(struct watch *w);
/* Its caller was interrupted: the request is cancelled when it is being killed, now or later. */
void watch_killed(struct watch *w);
/* After the session's loop. */
void watch_stop(void);

#endif
