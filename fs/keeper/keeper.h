/*
 * keeper.h - the process that holds /dev/fuse, and starts a server when the last one died
 *
 *	keeper ----+---- server 1     mounts, and hands /dev/fuse to the keeper
 *	           +---- server 2     begins when server 1 was killed, with the same mount
 *
 * The keeper is the parent of the servers. It opens nothing, knows no state, reads no request: it
 * has the memory that the servers share (shared.h), the descriptor, and waits. As long as it has
 * the descriptor the kernel keeps the mount, and clients wait. Servers are its own image, or after
 * an upgrade another program.
 *
 * - A server that exits has ended in order, and so does the keeper, with its status.
 * - One that is killed is followed by the next one at once. One that dies by a fault, or before it
 *   serves, soon after it began, is followed later each time; after KEEPER_TRIES such ends the
 *   mount is taken away, with a sentence.
 * - When the keeper is killed its server gets SIGTERM, and ends in order.
 * - SIGTERM, SIGINT and SIGHUP go on to the server, but what was ignored at the start (nohup).
 *   SIGUSR2 replaces it (upgrade.h).
 *
 * The keeper has one thread; what it calls of the job is called in it, but for serve().
 */
#ifndef UBPFFS_FS_KEEPER_KEEPER_H
#define UBPFFS_FS_KEEPER_KEEPER_H

#include <stdbool.h>

#define KEEPER_TRIES 8

struct keeper_job {
	void *arg;
	char *const *argv; /* of a server that is another program (upgrade.h) */
	int (*serve)(void *arg); /* in the server; its exit status */
	void (*mounted)(void *arg); /* the first server has mounted */
	void (*unmount)(void *arg); /* no server will come any more; is there a mount at all? */
};

/*
 * In the keeper the status to exit with. In a server, too: *in_server says where it returned, and
 * the server's memory is its own from then on. -errno: it could not begin.
 */
int keeper_run(const struct keeper_job *job, bool *in_server);

/*
 * In a program that a keeper has started, as that server, or as a probe that says that it can go
 * on, and does not return. -EBADF: no keeper has; -EPROTO: its memory is of another version.
 */
int keeper_join(void);
int keeper_probe(bool (*can_go_on)(void *arg), void *arg);

/* In a server: the mount's descriptor is the keeper's, too. -errno. */
int keeper_hand_over(int device);
/* The keeper is asked to replace the server; upgrade_result(by) comes when it has been. -errno. */
int keeper_ask_upgrade(unsigned long long by, const char *path);
/* In a server that takes over: that descriptor; -1: there is none yet. */
int keeper_device(void);
/* In a server: it serves. Returns how long clients waited (ns), 0 for the first. */
unsigned long long keeper_serving(void);

#endif
