/*
 * enforce.c - cgroups, their host directories and their queues, together (see enforce.h)
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "fs/agent/process.h"
#include "fs/enforce/enforce.h"
#include "fs/enforce/host_cgroup.h"
#include "fs/enforce/queue.h"
#include "fs/enforce/rules.h"
#include "util/clock.h"

struct enforced {
	struct cgroup *cgrp; /* referenced */
	char *path;
	struct nft_cgroup nft;
	bool pending; /* there is no rule for it yet */
	struct enforced *next;
};

#define BUCKETS	 4096
#define FACTS_MS 2000 /* for a process to show whose it is */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct enforced *table[BUCKETS];
static u32 nr_enforced;
static struct enforced *root; /* the first that was added */
static bool started, ready;
static bool held; /* the table is there */
static u16 synack_queue;

/* New cgroups wait a moment for others, for a transaction of rules costs what all the rules cost. */
#define SETTLE_MS    5
#define SETTLE_SHARE 4 /* waiting is so many times what the last transaction took */

static pthread_t settler;
static pthread_cond_t settle_cond = PTHREAD_COND_INITIALIZER;
static u32 nr_pending;
static bool settling; /* the thread is there, and goes on */
static u64 settle_ns; /* what the last transaction took */

static struct enforced **bucket(const struct cgroup *cgrp)
{
	return &table[((uintptr_t)cgrp >> 6) % BUCKETS];
}

static struct enforced *find(const struct cgroup *cgrp)
{
	struct enforced *e;

	for (e = *bucket(cgrp); e && e->cgrp != cgrp; e = e->next)
		;
	return e;
}

static void forget(struct enforced *gone)
{
	struct enforced **at;

	for (at = bucket(gone->cgrp); *at != gone; at = &(*at)->next)
		;
	*at = gone->next;
	nr_enforced--;
	nr_pending -= gone->pending;
	cgroup_put(gone->cgrp);
	free(gone->path);
	free(gone);
}

/* ---- start */

/* FNV-1a: the same state gives the same names after a restart. */
static u64 hash_path(const char *path)
{
	u64 hash = 0xcbf29ce484222325;

	for (; *path; path++)
		hash = (hash ^ (u8)*path) * 0x100000001b3;
	return hash;
}

static int explain(int err, char **why)
{
	if (err && !*why &&
	    asprintf(why, "packets cannot be queued here: %s%s", strerror(-err),
		     err == -EPERM ? " (CAP_NET_ADMIN in this network namespace is needed)"
		     : err == -ENOENT || err == -EOPNOTSUPP
			     ? " (the kernel needs NFT_SOCKET, NFT_COMPAT and NFQUEUE)"
			     : "") < 0)
		*why = NULL;
	return err;
}

int enforce_start(const struct enforce_options *options, char **why)
{
	char *state = realpath(options->state, NULL);
	u64 hash = hash_path(state ? state : options->state);
	struct nft_cgroup top;
	char name[64];
	int err;

	*why = NULL;
	snprintf(name, sizeof(name), "ubpffs-%016llx", (unsigned long long)hash);
	free(state);
	err = hostcg_start(options->cgroup_path, name, why);
	top.level = hostcg_level();
	if (!err)
		err = hostcg_add(".", true, &top.id);
	if (!err)
		err = explain(nft_start(name, !options->fail_closed), why);
	if (!err) {
		err = explain(nft_hold(&top), why);
		held = !err;
	}
	if (!err)
		err = explain(nfqueue_start((u32)(hash >> 32)), why);
	started = true;
	if (err)
		enforce_stop();
	return err;
}

bool enforce_on(void)
{
	return started;
}

/* ---- rules for new cgroups */

static int settle(void)
{
	u64 start = monotonic_ns();
	struct nft_cgroup *new;
	u32 n = 0;
	int err;

	if (!ready || !nr_pending)
		return 0;
	new = calloc(nr_pending, sizeof(*new));
	if (!new)
		return -ENOMEM;
	for (u32 i = 0; i < BUCKETS; i++)
		for (const struct enforced *e = table[i]; e; e = e->next)
			if (e->pending)
				new[n++] = e->nft;
	err = nft_add(new, n);
	free(new);
	for (u32 i = 0; !err && i < BUCKETS; i++)
		for (struct enforced *e = table[i]; e; e = e->next)
			e->pending = false;
	nr_pending = err ? nr_pending : 0;
	settle_ns = monotonic_ns() - start;
	return err;
}

int enforce_settle(void)
{
	int err;

	pthread_mutex_lock(&lock);
	err = started ? settle() : 0;
	pthread_mutex_unlock(&lock);
	return err;
}

static void *settle_loop(void *arg)
{
	struct timespec until;

	pthread_mutex_lock(&lock);
	while (settling) {
		if (!ready || !nr_pending) {
			pthread_cond_wait(&settle_cond, &lock);
			continue;
		}
		until = clock_after(CLOCK_REALTIME,
				    SETTLE_MS * 1000000ULL + SETTLE_SHARE * settle_ns);
		while (settling && pthread_cond_timedwait(&settle_cond, &lock, &until) == 0)
			;
		settle(); /* what fails is tried again, and told to who needs it */
	}
	pthread_mutex_unlock(&lock);
	return NULL;
}

/* ---- cgroups */

static u32 depth_of(const char *path)
{
	u32 n = 1;

	if (!strcmp(path, "."))
		return 0;
	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int add(const char *path, struct cgroup *cgrp)
{
	struct enforced *e = calloc(1, sizeof(*e));
	int err = -ENOMEM;

	if (!e)
		return err;
	e->path = strdup(path);
	if (!e->path)
		goto free_entry;
	e->nft.level = hostcg_level() + depth_of(path);
	err = hostcg_add(path, !ready, &e->nft.id);
	if (err)
		goto free_entry;
	err = nfqueue_bind(cgrp, e->nft.id, &e->nft.queue);
	if (err)
		goto remove_dir;
	cgroup_get(cgrp);
	e->cgrp = cgrp;
	e->next = *bucket(cgrp);
	*bucket(cgrp) = e;
	if (!nr_enforced++)
		root = e;
	e->pending = true;
	if (!nr_pending++)
		pthread_cond_signal(&settle_cond);
	return 0;
remove_dir:
	hostcg_remove(path);
free_entry:
	free(e->path);
	free(e);
	return err;
}

int enforce_cgroup_add(const char *path, struct cgroup *cgrp)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	if (started)
		err = add(path, cgrp);
	pthread_mutex_unlock(&lock);
	return err;
}

int enforce_cgroup_remove(struct cgroup *cgrp)
{
	struct enforced *e;
	int err = 0;

	pthread_mutex_lock(&lock);
	e = started ? find(cgrp) : NULL;
	if (e && e != root)
		err = hostcg_remove(e->path); /* the kernel knows whether it is in use */
	if (e && e != root && !err) {
		/* Sockets that outlive their cgroup meet the programs of the one above from here on. */
		if (!e->pending)
			nft_remove(&e->nft);
		nfqueue_unbind(e->nft.queue);
		forget(e);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

/* The paths in order, during a sweep. */
static const char **paths;

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool known(const char *path)
{
	return bsearch(&path, paths, nr_enforced, sizeof(*paths), by_path) != NULL;
}

static void sweep(void)
{
	u32 n = 0;

	paths = calloc(nr_enforced, sizeof(*paths));
	for (u32 i = 0; paths && i < BUCKETS; i++)
		for (const struct enforced *e = table[i]; e; e = e->next)
			paths[n++] = e->path;
	if (paths) {
		qsort(paths, n, sizeof(*paths), by_path);
		hostcg_sweep(known);
	}
	free(paths);
}

int enforce_ready(char **why)
{
	struct nft_cgroup *all;
	u32 n = 1;
	int err;

	*why = NULL;
	if (!started)
		return 0;
	pthread_mutex_lock(&lock);
	all = calloc(nr_enforced, sizeof(*all));
	if (all && root) {
		all[0] = root->nft;
		for (u32 i = 0; i < BUCKETS; i++)
			for (const struct enforced *e = table[i]; e; e = e->next)
				if (e != root)
					all[n++] = e->nft;
	}
	err = all ? nfqueue_bind(NULL, 0, &synack_queue) : -ENOMEM;
	if (!err)
		err = nft_replace(all, n, synack_queue);
	free(all);
	ready = !err;
	if (!err) {
		for (u32 i = 0; i < BUCKETS; i++)
			for (struct enforced *e = table[i]; e; e = e->next)
				e->pending = false;
		nr_pending = 0;
		sweep();
		settling = true;
		err = -pthread_create(&settler, NULL, settle_loop, NULL);
		settling = !err;
	}
	pthread_mutex_unlock(&lock);
	return explain(err, why);
}

/* ---- processes */

static bool same_pids(const struct enforce_caller *caller)
{
	char path[64], theirs[64], ours[64];
	ssize_t n, m;

	if (caller->pid <= 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", caller->pid);
	n = readlink(path, theirs, sizeof(theirs));
	m = readlink("/proc/self/ns/pid", ours, sizeof(ours));
	return n > 0 && n == m && !memcmp(theirs, ours, (size_t)n);
}

/* The line `field` of /proc/PID/status as numbers. */
static int status_numbers(pid_t pid, const char *field, u32 *v, int want)
{
	char path[64], *line = NULL, *p, *end;
	size_t room = 0, n = strlen(field);
	int got = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	while (f && got < want && getline(&line, &room, f) > 0) {
		if (strncmp(line, field, n))
			continue;
		for (p = line + n; got < want; p = end, got++) {
			v[got] = (u32)strtoul(p, &end, 10);
			if (end == p)
				break;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return got == want ? 0 : -ESRCH;
}

/* E. */
static int may_move(const struct enforce_caller *caller, pid_t pid, const char **why)
{
	const struct agent_cred as = {caller->uid, caller->gid, AGENT_ACCOUNT_GROUPS, NULL};
	struct process_facts facts;
	int err;

	if (!caller->uid)
		return 0;
	err = process_facts_ask(&as, pid, FACTS_MS, &facts);
	for (u32 i = 0; !err && i < ARRAY_SIZE(facts.uid); i++)
		if (facts.uid[i] != caller->uid) {
			*why = "the process is not yours";
			err = -EPERM;
		}
	return err;
}

int enforce_procs_write(struct cgroup *cgrp, const struct enforce_caller *caller, pid_t pid,
			const char **why)
{
	__do_close int pidfd = -1;
	struct enforced *e;
	u32 tgid;
	int err;

	*why = NULL;
	if (!started) {
		*why = "the server was started without -o enforce: cgroups hold no processes";
		return -EOPNOTSUPP;
	}
	if (pid < 0)
		return -EINVAL;
	if (!same_pids(caller)) {
		*why = "the caller is in another pid namespace than the server";
		return -EPERM;
	}
	if (!pid) {
		err = status_numbers(caller->pid, "Tgid:", &tgid, 1);
		if (err)
			return err;
		pid = (pid_t)tgid;
	}
	/* The descriptor tells afterwards whether the number meant one process all the time. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	err = may_move(caller, pid, why);
	if (err)
		return err;
	pthread_mutex_lock(&lock);
	e = find(cgrp);
	err = e ? settle() : -ENODEV;
	if (!err)
		err = hostcg_move(e->path, pid);
	pthread_mutex_unlock(&lock);
	if (!err && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH)
		err = -ESRCH;
	return err;
}

int enforce_procs_read(struct cgroup *cgrp, const struct enforce_caller *caller, char **text,
		       size_t *len)
{
	struct enforced *e;
	int err;

	*text = NULL;
	*len = 0;
	if (!started)
		return -EOPNOTSUPP;
	if (!same_pids(caller))
		return -EPERM;
	pthread_mutex_lock(&lock);
	e = find(cgrp);
	err = e ? hostcg_procs(e->path, text, len) : -ENODEV;
	pthread_mutex_unlock(&lock);
	return err;
}

/* ---- end */

void enforce_stop(void)
{
	bool join;

	if (!started)
		return;
	pthread_mutex_lock(&lock);
	join = settling;
	settling = false;
	pthread_cond_signal(&settle_cond);
	pthread_mutex_unlock(&lock);
	if (join)
		pthread_join(settler, NULL);
	pthread_mutex_lock(&lock);
	nft_stop(held);
	nfqueue_stop();
	for (u32 i = 0; i < BUCKETS; i++)
		while (table[i])
			forget(table[i]);
	hostcg_stop();
	started = ready = held = false;
	root = NULL;
	pthread_mutex_unlock(&lock);
}
