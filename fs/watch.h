/*
 * watch.h - requests that may be cancelled, for as long as they live
 *
 * An interrupt does not say whether its signal kills, and some kinds stop for a killed caller only
 * (ops->cancel_on_kill_only): a thread looks now and then at the callers of the interrupted ones. When the server
 * stops, all are cancelled.
 */
#ifndef UBPFFS_FS_WATCH_H
#define UBPFFS_FS_WATCH_H

#include "fs/node.h"

struct watch { /* watch.c's */
	struct fs_req *req;
	struct watch *next; /* interrupted */
	struct watch *all_next, **all_pprev;
	bool interrupted;
};

void watch_born(struct watch *w, struct fs_req *req);
void watch_remove(struct watch *w);
/* The handler sees fs_cancelled(). */
void watch_cancel(struct watch *w);
/* Its caller was interrupted: is it being killed? When not yet, the request is cancelled once it is. */
bool watch_killed(struct watch *w);
/* After the session's loop. */
void watch_stop(void);

#endif
