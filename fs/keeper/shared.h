/*
 * shared.h - the memory that outlives a server: what its successor has to know
 *
 * The keeper maps it before it forks the first server, and every server inherits the mapping; one
 * that is another program maps the same memory (shared_join()). It holds the kernel's INIT request,
 * requests that are under way with answers that may not have been sent (requests.h), the nodes that
 * the kernel knows and the files that clients have open. The keeper itself looks at the header
 * only.
 *
 * A server may be killed between any two instructions. So each table is an array of records that
 * are made valid by one store of their first word (slots.h), and nothing links one record to
 * another but ids that are looked up. What a successor reads is checked as far as its own safety
 * goes; who wrote it was a server with the same SHARED_VERSION.
 *
 * Without a keeper there is no such memory, `shared` is NULL, and nothing is recorded.
 */
#ifndef UBPFFS_FS_KEEPER_SHARED_H
#define UBPFFS_FS_KEEPER_SHARED_H

#include <stdbool.h>
#include <time.h>
#include "util/types.h"

/* Another number for every change of what is in the memory, and of what a word of it means. */
#define SHARED_VERSION 1

#define SHARED_INIT_MAX 256 /* bytes of an INIT request; the kernel's has 104 */
#define SHARED_READERS	32 /* threads that read the device; more are served without a place */
#define SHARED_HEAD	128 /* bytes of a request that show what it is; all of an INIT */

enum shared_table {
	SHARED_NODES,
	SHARED_OPENS,
	SHARED_REQUESTS,
	SHARED_REPLIES,
	SHARED_NOTES,
	SHARED_BACKINGS,
	SHARED_TABLES,
};

#define UPGRADES_TOLD 8 /* results that are remembered for who asked */
#define UPGRADE_WHY   256

/* What became of an upgrade (upgrade.h): found by the number of the request that asked for it. */
struct upgrade_result {
	u64 by;
	s32 err; /* 0, or a negative errno and why */
	char why[UPGRADE_WHY];
};

struct shared {
	u32 version, sizes[SHARED_TABLES + 1], max[SHARED_TABLES]; /* shared_join() */
	u32 keeper; /* its process id */
	u32 starts; /* servers so far; that of now has this number */
	u32 server; /* process id of the one that serves */
	u32 init_len; /* of init; 0: the first server has not read it yet */
	u32 init_answered; /* the kernel knows what we can do */
	char init[SHARED_INIT_MAX];
	u64 culprit; /* the request whose thread got a signal that ends the server, or 0 */
	s32 last_signal; /* that ended the last server; 0: it exited, or: */
	u32 last_replaced; /* it was ended for an upgrade */
	u32 serving; /* that of now has taken everything over */
	u64 died_ns; /* CLOCK_MONOTONIC, of the last one */
	u64 longest_pause_ns;
	struct timespec begun; /* of the first session: the times of generated files */
	u32 stamp; /* of map fds: ioctl/commands/call.c */
	u32 high[SHARED_TABLES]; /* records in use are below */
	struct upgrade_result upgrades[UPGRADES_TOLD];
	u32 upgrades_told; /* counts */
	u32 upgraded; /* another program is started and does not serve yet, because of: */
	u64 upgraded_by; /* a request, or 0 */
	/* The beginnings of the requests read last: the kernel itself writes them here. */
	char heads[SHARED_READERS][SHARED_HEAD]
		__attribute__((aligned(8))); /* words are stored there */
};

extern struct shared *shared;

/* In the keeper, before the first fork. -errno. */
int shared_map(void);
/* In the keeper: a descriptor of the memory, for a server that is another program. */
int shared_fd(void);
/* In such a server. -EBADF: it is no such memory; -EPROTO: it is of another version. */
int shared_join(int fd);
/* In a server: what it forks in turn does not have it. */
void shared_for_us(void);
void *shared_table(enum shared_table table);
u32 shared_table_size(enum shared_table table); /* of a record */
u32 shared_table_max(enum shared_table table);

/* This server goes on with the mount of one that is gone. */
static inline bool shared_taking_over(void)
{
	return shared && shared->starts > 1 && shared->init_answered;
}

#endif
