/*
 * upgrade.h - the next server is another program
 *
 * A server is a fork of the keeper, until an upgrade; from then on it is the program that was
 * upgraded to. Its file stays open: what becomes of the name does not matter.
 *
 *	asked		a probe is started: PROGRAM -o keeper=check, with the memory of the servers.
 *			It says within PROBE_MS whether it reads that and the state
 *	refused		nothing has happened; who asked is told the probe's last sentence
 *	passed		the server is killed, and the next one is PROGRAM -o keeper=server
 *	failed		that one ends or is not there within START_MS before it serves, or ends by a
 *			fault soon after: the program of before goes on
 *
 * The keeper itself stays what it is. All of this is in its one thread, but for the results.
 */
#ifndef UBPFFS_FS_KEEPER_UPGRADE_H
#define UBPFFS_FS_KEEPER_UPGRADE_H

#include <stdbool.h>
#include "util/types.h"

struct upgrade_result;

/* Where a program that the keeper starts finds what it needs (keeper_join()). */
enum { UPGRADE_SOCK_FD = 3, UPGRADE_MEMORY_FD, UPGRADE_DEVICE_FD };
/* What a probe says to its socket when it can go on; then it waits for its end. */
#define UPGRADE_READY 'r'

/* Before the first server. `argv`: a server's, to which -o keeper=... is added. */
int upgrade_start(char *const *argv);
/*
 * By the request `by`, or 0: by a signal. An empty path: that of the program of now. What is wrong
 * with it is told as a result.
 */
void upgrade_begin(u64 by, const char *path);
/* For poll(2), or -1: no probe; and how long to wait at most, ms, -1: for ever. */
int upgrade_fd(void);
int upgrade_wait_ms(void);
/* After that. Both others: the server of now is to be killed. */
enum upgrade_next { UPGRADE_WAITS, UPGRADE_REPLACES, UPGRADE_LATE } upgrade_poll(void);

/* In a child of the keeper's that is to serve. Returns when it is to do so as it is. */
void upgrade_exec(int sock, int device);
/* The server that such a child is has ended. True: the program of before goes on. */
bool upgrade_undone(const char *how, bool by_fault);

/* In a server. NULL: there is no result yet. */
const struct upgrade_result *upgrade_result(u64 by);
void upgrade_tell(u64 by, int err, const char *why);

#endif
