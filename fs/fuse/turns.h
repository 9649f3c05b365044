/*
 * turns.h - requests of throttled users (work/cpu_usage.h), and those that may have to wait, go
 * through the workers
 *
 * The threads that read /dev/fuse answer most requests themselves, in the order in which they come:
 * a user with many processes would have all of these threads, and everybody else's requests behind
 * his. So what they do for a user is counted, and the requests of one who is throttled are handed
 * to the workers, where users take turns and he has few at once.
 *
 * While a start is not over (fs_backing.asleep) requests that may have to wait for an object that
 * is read back go to the workers, too, whoever asks.
 *
 * What ends something or is not answered (FORGET, INTERRUPT, RELEASE and their like) is never
 * handed on. A process waits for its answer before it asks again, so its requests keep their order.
 */
#ifndef UBPFFS_FS_FUSE_TURNS_H
#define UBPFFS_FS_FUSE_TURNS_H

#include <stddef.h>
#include "util/types.h"

struct fuse_session;

void turns_start(struct fuse_session *se);
/* On a thread that is about to read the next request: it is done with the last one. */
void turns_done(void);
/* True: the request is a worker's now. False: this thread is to do it. */
bool turns_hand_on(const void *request, size_t len);

#endif
