/*
 * records.h - what is in the tables of the shared memory
 *
 * The first word of each record says that it is valid, and is written last; 0 is free. A successor
 * may be another version of this program: what is in here means the same to all that have the same
 * SHARED_VERSION (shared.h), which grows with every change.
 */
#ifndef UBPFFS_FS_KEEPER_RECORDS_H
#define UBPFFS_FS_KEEPER_RECORDS_H

#include "util/types.h"

#define RECORD_NAME   256
#define RECORD_KIND   32
#define RECORD_KEY    128 /* entries_max_key, and one */
#define RECORD_GROUPS 64
#define KEPT_WORDS    60

enum { NODE_IN_TREE = 1, NODE_GONE = 2, NODE_KEYED = 4 };

/* A node that the kernel may know (node/node.c). */
struct node_record {
	u64 id; /* FUSE's */
	u64 dir; /* the id of the directory that it is in; 0: the root */
	u64 ino;
	u64 nlookup; /* what the kernel was told and has not forgotten */
	char kind[RECORD_KIND]; /* its name; "": the row of its directory's table that index says */
	u32 index, object, flags;
	u32 mode, uid, gid; /* of what is gone */
	u32 key_len;
	u32 unused;
	char name[RECORD_NAME]; /* NODE_KEYED: the key */
};

/*
 * What a kind's open file needs after a takeover and cannot find out (fs_node_ops.keep). `by`: the
 * request that made it so; while that one is not answered, what was before holds.
 */
struct kept {
	u64 by;
	u32 valid;
	u32 lost; /* the file had more than can be kept: the next call says so */
	u32 object, unused; /* one that the open file alone keeps; 0: none */
	u64 v[KEPT_WORDS];
};

/* A file that a client has open (fuse/open.c). */
struct open_record {
	u64 used;
	u64 made_by; /* the request */
	u64 node;
	u64 poll; /* the kernel's handle of pollers, and `polled`: there may be some */
	u32 polled, flags;
	u32 uid, gid, pid;
	u32 object; /* what the file shows is kept, with or without a name; 0: none */
	u32 created, closed;
	u32 latest; /* of kept */
	u32 nr_groups;
	u32 turn; /* of this place: how often it has been used */
	u32 groups[RECORD_GROUPS];
	struct kept kept[2];
};

enum request_state {
	REQUEST_READ, /* the server has it, and may have begun it */
	REQUEST_INTENT, /* its change is being made: `intent` says what was before */
	REQUEST_DONE, /* all is done, and `reply` is what is answered */
};

/* A request that the kernel waits for (requests.h). */
struct request_record {
	u64 unique;
	u64 intent;
	u32 opcode;
	u32 state;
	u32 strikes; /* servers that died of it */
	u32 start; /* the server that read it last */
	u32 reply; /* in SHARED_REPLIES, and one; 0: none */
	u32 keep; /* its answer is kept until it was sent */
	u32 notes; /* in SHARED_NOTES, and one; 0: none */
	u32 notes_lost; /* there was no room for all of them */
};

#define REPLY_MAX (17u << 10) /* an ioctl's answer */

struct reply_record {
	u64 used;
	u32 len;
	s32 error;
	char data[REPLY_MAX];
};

#define NOTES_MAX (128u << 10) /* what a batch of 16 KiB may come to with a mark a change */

/* What a request has changed so far (requests.h): each a struct note, and its data. */
struct notes_record {
	u64 used; /* the request */
	u32 map; /* the id of the map that is changed */
	u32 len; /* of what is valid in data */
	u32 last; /* where the last note begins */
	u32 recovered; /* what is below was made, as a start has found */
	char data[NOTES_MAX];
};

struct note {
	u64 mark;
	u32 len, unused;
};

/* A file that the kernel has under a number (fuse/protocol/passthrough.h). */
struct backing_record {
	u64 used;
	u64 key;
	u32 id, unused;
};

#endif
