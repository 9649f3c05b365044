/*
 * problem.h - what a start finds wrong in the state
 *
 * A server says it on stderr and in M/log and goes on. `ubpfctl fsck` (fs/fsck.c) makes the same
 * start and collects it. One thread, before the mount.
 */
#ifndef UBPFFS_FS_STORE_STATE_PROBLEM_H
#define UBPFFS_FS_STORE_STATE_PROBLEM_H

#include <stdbool.h>

enum remedy {
	REMEDY_DONE, /* repaired */
	REMEDY_MOVED, /* to lost+found/ */
	REMEDY_NONE, /* it stays as it is */
};

struct problem {
	char *path; /* from the state directory */
	const char *rule; /* a word: what is checked */
	char *text; /* a sentence */
	enum remedy remedy;
	struct problem *next;
};

/* Said, or collected. */
void state_problem(const char *path, const char *rule, enum remedy remedy, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Every start meets this now and then and puts it right: only collected. */
void state_oddity(const char *path, const char *rule, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* From now on they are collected, in their order. */
void problems_collect(void);
struct problem *problems_first(void);
#define PROBLEM_START "start"
/* Of a start's sentence (PROBLEM_START): another problem has it, too, and says where. */
bool problem_said_again(const struct problem *p);
/* True: one was lost for want of memory. */
bool problems_lost(void);

#endif
