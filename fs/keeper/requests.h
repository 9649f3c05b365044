/*
 * requests.h - requests that the kernel waits for, and what was done about them
 *
 * A server that is killed leaves requests that it had read and not answered; the kernel sends them
 * to its successor again. For each the shared memory says how far it was:
 *
 *	READ      it may have begun. It is done again.
 *	INTENT    its change was being made: the one who makes such changes finds out by `intent`
 *	          whether it has been, and goes on from there. Or it consists of changes that are
 *	          noted one by one, and are not made again.
 *	DONE      its answer is there, and is sent again.
 *
 * Guarantees
 *   A. What is DONE is never done again.
 *   B. A request that ended its server by a fault twice is not begun a third time; also one that is
 *      DONE is refused then.
 *   C. Without room for a record a request is served as if nobody ever died.
 *
 * The answers of requests that change nothing are not kept: they are asked again. One lock, a leaf.
 */
#ifndef UBPFFS_FS_KEEPER_REQUESTS_H
#define UBPFFS_FS_KEEPER_REQUESTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>
#include "util/types.h"

#define REQUEST_AGAIN (1ULL << 63) /* in the kernel's number: it was sent before */

struct request_record;

enum request_what {
	REQUEST_NEW,
	REQUEST_REPEATED, /* it was read before, and is not DONE */
	REQUEST_ANSWERED, /* it is DONE */
	REQUEST_DEADLY, /* it is refused */
};

/* In a server, at its start. -ENOMEM. */
int requests_start(void);
/* `keep`: its answer is to be kept. *out may be NULL: it is not recorded. */
enum request_what requests_begin(u64 unique, u32 opcode, bool keep, struct request_record **out);
/* The answer of one that is DONE: its error, and data of *len. */
s32 requests_answer(const struct request_record *record, const void **data, u32 *len);

/* Is it recorded? */
bool requests_known(u64 unique);
/* After a takeover, where the kernel will send none again: all that the last server had. */
void requests_each_old(void (*fn)(u64 unique, const struct request_record *record));

/* By the thread that makes a change, just before. Of an unknown request: nothing. */
void requests_intent(u64 unique, u64 intent);
/* Of a request that was REPEATED: what it intended, or 0. */
u64 requests_intended(u64 unique);
/* At a start: what was intended under this number, unlike all others, has been taken back. */
void requests_forget_intent(u64 intent);

/*
 * Changes that cannot be told from their repetition by looking at what they changed. Before each
 * its mark is noted, and what is taken out; requests_unnote(): the last one is not made. Whoever
 * knows marks says at a start, before anything else is changed, which last ones were made: then
 * what is noted was.
 */
void requests_note(u64 unique, u32 map, u64 mark, const void *data, u32 len);
void requests_unnote(u64 unique);
void requests_recover(bool (*made)(u32 map, u64 mark, const void *data, u32 len));
/* Of a request that was REPEATED, from *at (0 first) on: 1, 0: no more, -EIO: not all are known. */
int requests_noted(u64 unique, u32 *at, const void **data, u32 *len);

/* It is to be kept after all: the kind of file says so. */
void requests_keep(u64 unique);
/* Its answer is about to be sent: iov begins with the header. DONE from here on. */
void requests_done(u64 unique, s32 error, const struct iovec *iov, int count);
/* It was sent. */
void requests_end(u64 unique);
/* May what this request did be undone by its being done again? It is under way and not DONE. */
bool requests_pending(u64 unique);

#endif
