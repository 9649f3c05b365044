/*
 * slots.h - records of one table of the shared memory: taking, giving back, walking
 *
 * Guarantees
 *   A. A record whose first word is not 0 is in use, and is found by every later server.
 *   B. What is taken has a first word of 0; who takes it fills it, and calls slots_valid() last.
 *   C. Which ones are free is this server's knowledge: a successor finds it out by looking.
 *
 * Any thread; the lock is a leaf.
 */
#ifndef UBPFFS_FS_KEEPER_SLOTS_H
#define UBPFFS_FS_KEEPER_SLOTS_H

#include <pthread.h>
#include "fs/keeper/shared.h"

struct slots {
	enum shared_table table;
	char *base;
	u32 size, max;
	pthread_mutex_t lock;
	u32 *free;
	u32 nr_free, cap;
};

#define SLOTS_INIT(which)                                            \
	{                                                            \
		.table = (which), .lock = PTHREAD_MUTEX_INITIALIZER, \
	}

/* In a server, before the first use: -ENOMEM. */
int slots_start(struct slots *slots);
/* NULL: the table is full, or there is no memory. */
void *slots_take(struct slots *slots);
void slots_valid(void *record, u64 first);
void slots_give(struct slots *slots, void *record);
/* By its place; NULL: it is not in use. */
void *slots_at(struct slots *slots, u32 index);
u32 slots_index(const struct slots *slots, const void *record);
/* How far to look. */
u32 slots_high(const struct slots *slots);

#endif
