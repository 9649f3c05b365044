/*
 * limits.h - what one user may hold of the server
 *
 * A limit is a number for a uid: its own, or else the default. Root and who runs the server have
 * none unless one is set for them. A charge is made before the thing is, by who will own it, and is
 * taken back when it goes; both are O(1) and take no lock. Nothing is charged by the update of a
 * map or the run of a program.
 *
 * Guarantees
 *   A. limits_charge() never lets `used` above the limit, also from several threads at once.
 *      Lowering a limit takes nothing away: it only refuses what comes next.
 *   B. What was charged and uncharged leaves `used` as it was, also where the charge was refused or
 *      the limit changed in between.
 *   C. LIMIT_MEMORY of all users together stays within limits_all(), too, but for what is charged
 *      anyway.
 * The files in M/limits are tree/limit_files.c's. Tests: tests/unit/test_limits.c.
 */
#ifndef UBPFFS_FS_CALLER_LIMITS_H
#define UBPFFS_FS_CALLER_LIMITS_H

#include <sys/types.h>
#include "text/error.h"
#include "util/types.h"

enum limit {
	LIMIT_OBJECTS, /* programs and maps */
	LIMIT_BYTES, /* their files, with what a map may grow to */
	LIMIT_NAMES, /* directories, symlinks, and the names of objects */
	LIMIT_FILES, /* open files */
	LIMIT_JOBS, /* requests that run or wait */
	LIMIT_SOURCES, /* event sources that run */
	LIMIT_MEMORY, /* what the server keeps in memory for open files and requests */
	LIMIT_RUN_SECONDS, /* of one run; not charged: who runs it asks limits_of() */
	LIMIT_VERIFY_SECONDS, /* of one load, the same */
	LIMIT_VERIFY_MEMORY, /* of all loads together; no user has one, nothing is charged */
	LIMIT_CNT,
};

#define LIMIT_NONE UINT64_MAX

const char *limits_name(enum limit what);
/* The limit of that name; -ENOENT. */
int limits_find(const char *name, enum limit *what);

/*
 * 0, -EDQUOT and why: what is used up, and what to do; or -ENOMEM (a uid that was never seen).
 * Nothing is charged on failure.
 */
int limits_charge(uid_t uid, enum limit what, u64 amount, struct error_record *why);
/* For what is there already and cannot be refused. */
void limits_charge_anyway(uid_t uid, enum limit what, u64 amount);
void limits_uncharge(uid_t uid, enum limit what, u64 amount);

/* The limit that counts for a uid; LIMIT_NONE. */
u64 limits_of(uid_t uid, enum limit what);
u64 limits_used(uid_t uid, enum limit what);

/* Every uid that was seen. */
void limits_each(void (*fn)(void *arg, uid_t uid), void *arg);

u64 limits_default(enum limit what);
void limits_set_default(enum limit what, u64 limit);
/* One's own; -ENOENT: the default counts. */
int limits_own(uid_t uid, enum limit what, u64 *limit);
int limits_set(uid_t uid, enum limit what, u64 limit); /* 0 or -ENOMEM */
void limits_unset(uid_t uid, enum limit what);

/*
 * What all users together have, of LIMIT_MEMORY and LIMIT_VERIFY_MEMORY: the first without root and
 * who runs the server.
 */
bool limits_is_of_all(enum limit what);
u64 limits_all(enum limit what);
u64 limits_all_used(enum limit what); /* of LIMIT_MEMORY */
void limits_set_all(enum limit what, u64 limit);

/* Defaults for this machine: `dirfd` is on the filesystem of the state. */
void limits_size_defaults(int dirfd);

#endif
