/*
 * enforce.h - the cgroup tree on real processes: what fs/cgroups calls
 *
 * With -o enforce every cgroup of M has a directory in the host's cgroup v2
 * (enforce/host_cgroup.h), the packets of the sockets of its processes come to us through one
 * nftables table (enforce/rules.h) and a queue a cgroup (enforce/queue.h), and the effective
 * programs decide.
 *
 *	enforce_start();
 *	enforce_cgroup_add() for every cgroup, parents first;
 *	enforce_ready();
 *	...
 *	enforce_stop();
 *
 * Guarantees
 *   A. From enforce_ready() on a packet of a process of cgroup C meets C's effective programs;
 *	which of two versions is cgroup_bpf_run()'s guarantee. A change of programs does not touch
 *	the rules. The rule of a new cgroup is there when a process comes by enforce_procs_write(),
 *	at enforce_make_rules(), or some milliseconds later; until then it counts as its parent for
 *	who moves processes by the host's own files.
 *   B. fail-open: when the server is killed, packets flow. fail-closed: they stop until a server of
 *	the same state starts again and is ready. The rules of a killed server go before our queues
 *	are bound: they name its.
 *   C. Too many packets waiting: new ones are dropped, in either mode, so that none escapes a drop.
 *   D. On the host nothing is changed but one nftables table and the directories that carry our
 *	mark, both named after the state directory; enforce_stop() takes all of it away.
 *   E. A client moves only processes that it owns (real, effective and saved uid), or any when it
 *	is root; and only when it sees the same pids as the server.
 * Known limits: as with the kernel's own cgroup programs, packets without a socket have no cgroup
 * (RST, the last acknowledgements after a close; on input also what only a raw socket takes). A
 * SYN-ACK has its listener's; one whose listener is in a directory that somebody else made below
 * one of ours needs CAP_DAC_READ_SEARCH, or meets none.
 * Every function takes NULL, for a server that does not enforce, and does nothing then.
 * Locking: everything takes its mutex; callers may hold tree_lock.
 * Tests: tests/e2e/test_enforce.py names each case by its letter.
 */
#ifndef UBPFFS_FS_ENFORCE_ENFORCE_H
#define UBPFFS_FS_ENFORCE_ENFORCE_H

#include <sys/types.h>
#include "cgroup/cgroup.h"
#include "text/error.h"

struct enforce;

struct enforce_options {
	bool fail_closed;
	const char *
		cgroup_path; /* the delegated directory under which to work; NULL: our own cgroup */
	const char *state; /* the state directory: what is left on the host is found again by it */
};

struct enforce_caller {
	uid_t uid;
	gid_t gid;
	pid_t pid; /* 0: not visible to us */
};

/* -errno; *why says it. */
int enforce_start(const struct enforce_options *options, struct enforce **out,
		  struct error_record *why);
/*
 * path: from M/cgroup, "A/B", the root ".". -EINVAL: the host has a file of that name or cannot
 * have it; -ENOSPC: no queue number is free.
 */
int enforce_cgroup_add(struct enforce *en, const char *path, struct cgroup *cgrp);
/*
 * Which of our cgroups has the host's cgroup of that id for its directory: its path, as above.
 * -ENOENT: none; -ENAMETOOLONG.
 */
int enforce_cgroup_find(struct enforce *en, u64 host_id, char *path, size_t len);
/* Before programs are attached: new cgroups have their rules. */
int enforce_make_rules(struct enforce *en);
/* -EBUSY: processes, or directories of somebody else, are in it. */
int enforce_cgroup_remove(struct enforce *en, struct cgroup *cgrp);
/*
 * Everything is added: the rules become active, directories that a killed server left are removed.
 */
int enforce_ready(struct enforce *en, struct error_record *why);

/*
 * One pid a line; malloc()ed. -EPERM: the caller sees other pids than we do; -EOPNOTSUPP: not
 * enforcing.
 */
int enforce_procs_read(struct enforce *en, struct cgroup *cgrp, const struct enforce_caller *caller,
		       char **text, size_t *len);
/*
 * pid 0: the caller's own process. -EOPNOTSUPP, -ESRCH, -EPERM (each but the second with a reason),
 * or what the host says.
 */
int enforce_procs_write(struct enforce *en, struct cgroup *cgrp,
			const struct enforce_caller *caller, pid_t pid, struct error_record *why);

void enforce_stop(struct enforce *en);

#endif
