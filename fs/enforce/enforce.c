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
#include "fs/lib/hash.h"
#include "util/clock.h"

struct enforced {
	struct cgroup *cgrp; /* referenced */
	char *path;
	struct nft_cgroup nft;
	bool without_rule; /* there is no rule for it yet */
	struct hash_link link; /* by its cgroup */
};

#define FACTS_MS 2000 /* for a process to show whose it is */

/*
 * New cgroups wait a moment for others, for a transaction of rules costs what all the rules cost.
 */
#define RULES_DELAY_MS 5
#define RULES_SHARE    4 /* waiting is so many times what the last transaction took */

struct enforce {
	pthread_mutex_t lock; /* all of it */
	struct hash_table table;
	struct enforced *root; /* the first that was added */
	bool ready;
	bool held; /* the table is there */
	u16 synack_queue;
	struct host_cgroup host;
	struct nft_rules rules;
	struct nfqueue *queue;

	pthread_t rules_thread;
	pthread_cond_t rules_wanted;
	u32 nr_without;
	bool rules_on; /* the thread is there, and goes on */
	u64 rules_ns; /* what the last transaction took */
};

static struct enforced *enforced_of(struct hash_link *link)
{
	return container_of(link, struct enforced, link);
}

static struct enforced *find(struct enforce *en, const struct cgroup *cgrp)
{
	struct hash_link *link = hash_find(&en->table, (uintptr_t)cgrp);

	return link ? enforced_of(link) : NULL;
}

static void forget(struct enforce *en, struct enforced *gone)
{
	hash_remove(&en->table, &gone->link);
	en->nr_without -= gone->without_rule;
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

/* What the queues, or their rules, have just said. */
static int not_queued(int err, struct error_record *why)
{
	if (!err)
		return 0;
	return error_set(why, -err, "packets cannot be queued here: %s%s", strerror(-err),
			 err == -EPERM ? " (CAP_NET_ADMIN in this network namespace is needed)"
			 : err == -ENOENT || err == -EOPNOTSUPP
				 ? " (the kernel needs NFT_SOCKET, NFT_COMPAT and NFQUEUE)"
				 : "");
}

int enforce_start(const struct enforce_options *options, struct enforce **out,
		  struct error_record *why)
{
	struct enforce *en = calloc(1, sizeof(*en));
	char *state = realpath(options->state, NULL);
	u64 hash = hash_path(state ? state : options->state);
	struct nft_cgroup top;
	char name[64];
	int err;

	*out = NULL;
	if (!en) {
		free(state);
		return -ENOMEM;
	}
	pthread_mutex_init(&en->lock, NULL);
	pthread_cond_init(&en->rules_wanted, NULL);
	snprintf(name, sizeof(name), "ubpffs-%016llx", (unsigned long long)hash);
	free(state);
	err = hostcg_start(&en->host, options->cgroup_path, name, why);
	top.level = hostcg_level(&en->host);
	if (!err)
		err = hostcg_add(&en->host, ".", true, &top.id);
	if (!err)
		err = not_queued(nft_start(&en->rules, name, !options->fail_closed), why);
	if (!err) {
		err = not_queued(nft_hold(&en->rules, &top), why);
		en->held = !err;
	}
	if (!err)
		err = not_queued(nfqueue_start((u32)(hash >> 32), &en->host, &en->queue), why);
	if (err)
		enforce_stop(en);
	else
		*out = en;
	return err;
}

/* ---- rules for new cgroups */

static void all_have_rules(struct enforce *en)
{
	hash_for_each(&en->table, link) enforced_of(link)->without_rule = false;
	en->nr_without = 0;
}

static int make_rules(struct enforce *en)
{
	u64 start = monotonic_ns();
	struct nft_cgroup *new;
	u32 n = 0;
	int err;

	if (!en->ready || !en->nr_without)
		return 0;
	new = calloc(en->nr_without, sizeof(*new));
	if (!new)
		return -ENOMEM;
	hash_for_each(&en->table, link) if (enforced_of(link)->without_rule) new[n++] =
		enforced_of(link)->nft;
	err = nft_add(&en->rules, new, n);
	free(new);
	if (!err)
		all_have_rules(en);
	en->rules_ns = monotonic_ns() - start;
	return err;
}

int enforce_make_rules(struct enforce *en)
{
	int err;

	if (!en)
		return 0;
	pthread_mutex_lock(&en->lock);
	err = make_rules(en);
	pthread_mutex_unlock(&en->lock);
	return err;
}

static void *rules_loop(void *arg)
{
	struct enforce *en = arg;
	struct timespec until;

	pthread_mutex_lock(&en->lock);
	while (en->rules_on) {
		if (!en->ready || !en->nr_without) {
			pthread_cond_wait(&en->rules_wanted, &en->lock);
			continue;
		}
		until = clock_after(CLOCK_REALTIME,
				    RULES_DELAY_MS * 1000000ULL + RULES_SHARE * en->rules_ns);
		while (en->rules_on &&
		       pthread_cond_timedwait(&en->rules_wanted, &en->lock, &until) == 0)
			;
		make_rules(en); /* failures are tried again */
	}
	pthread_mutex_unlock(&en->lock);
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

static int add(struct enforce *en, const char *path, struct cgroup *cgrp)
{
	struct enforced *e = calloc(1, sizeof(*e));
	int err = -ENOMEM;

	if (!e)
		return err;
	e->path = strdup(path);
	if (!e->path)
		goto free_entry;
	e->nft.level = hostcg_level(&en->host) + depth_of(path);
	err = hostcg_add(&en->host, path, !en->ready, &e->nft.id);
	if (err)
		goto free_entry;
	err = nfqueue_bind(en->queue, cgrp, e->nft.id, &e->nft.queue);
	if (err)
		goto remove_dir;
	cgroup_get(cgrp);
	e->cgrp = cgrp;
	if (!en->table.count)
		en->root = e;
	hash_add(&en->table, &e->link, (uintptr_t)cgrp);
	e->without_rule = true;
	if (!en->nr_without++)
		pthread_cond_signal(&en->rules_wanted);
	return 0;
remove_dir:
	hostcg_remove(&en->host, path);
free_entry:
	free(e->path);
	free(e);
	return err;
}

int enforce_cgroup_add(struct enforce *en, const char *path, struct cgroup *cgrp)
{
	int err;

	if (!en)
		return 0;
	pthread_mutex_lock(&en->lock);
	err = add(en, path, cgrp);
	pthread_mutex_unlock(&en->lock);
	return err;
}

int enforce_cgroup_find(struct enforce *en, u64 host_id, char *path, size_t len)
{
	int err = -ENOENT;

	if (!en)
		return err;
	pthread_mutex_lock(&en->lock);
	hash_for_each(&en->table, link)
	{
		const struct enforced *e = enforced_of(link);

		if (e->nft.id == host_id)
			err = (size_t)snprintf(path, len, "%s", e->path) < len ? 0 : -ENAMETOOLONG;
	}
	pthread_mutex_unlock(&en->lock);
	return err;
}

int enforce_cgroup_remove(struct enforce *en, struct cgroup *cgrp)
{
	struct enforced *e;
	int err = 0;

	if (!en)
		return 0;
	pthread_mutex_lock(&en->lock);
	e = find(en, cgrp);
	if (e && e != en->root)
		err = hostcg_remove(&en->host, e->path); /* the kernel knows whether it is in use */
	if (e && e != en->root && !err) {
		/*
		 * Sockets that outlive their cgroup meet the programs of the one above from here
		 * on.
		 */
		if (!e->without_rule)
			nft_remove(&en->rules, &e->nft);
		nfqueue_unbind(en->queue, e->nft.queue);
		forget(en, e);
	}
	pthread_mutex_unlock(&en->lock);
	return err;
}

struct paths { /* in order */
	const char **v;
	u32 nr;
};

static int by_path(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool known(void *arg, const char *path)
{
	const struct paths *paths = arg;

	return bsearch(&path, paths->v, paths->nr, sizeof(*paths->v), by_path) != NULL;
}

static void sweep(const struct enforce *en)
{
	struct paths paths = {calloc(en->table.count, sizeof(*paths.v)), 0};

	if (paths.v) {
		hash_for_each(&en->table, link) paths.v[paths.nr++] = enforced_of(link)->path;
		qsort(paths.v, paths.nr, sizeof(*paths.v), by_path);
		hostcg_sweep(&en->host, known, &paths);
	}
	free(paths.v);
}

int enforce_ready(struct enforce *en, struct error_record *why)
{
	struct nft_cgroup *all;
	u32 n = 1;
	int err;

	if (!en)
		return 0;
	pthread_mutex_lock(&en->lock);
	all = calloc(en->table.count, sizeof(*all));
	if (all && en->root) {
		all[0] = en->root->nft;
		hash_for_each(&en->table, link) if (enforced_of(link) != en->root)
			all[n++] = enforced_of(link)->nft;
	}
	err = all ? nfqueue_bind(en->queue, NULL, 0, &en->synack_queue) : -ENOMEM;
	if (!err)
		err = nft_replace(&en->rules, all, n, en->synack_queue);
	free(all);
	en->ready = !err;
	if (!err) {
		all_have_rules(en);
		sweep(en);
		en->rules_on = true;
		err = -pthread_create(&en->rules_thread, NULL, rules_loop, en);
		en->rules_on = !err;
	}
	pthread_mutex_unlock(&en->lock);
	return not_queued(err, why);
}

/* ---- processes */

/* The line `field` of /proc/PID/status as numbers, `room` at most; how many there are. */
static u32 status_numbers(const char *process, const char *field, u32 *v, u32 room)
{
	char path[64], *line = NULL, *p, *end;
	size_t size = 0, n = strlen(field);
	u32 got = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%s/status", process);
	f = fopen(path, "re");
	while (f && !got && getline(&line, &size, f) > 0) {
		if (strncmp(line, field, n))
			continue;
		for (p = line + n; got < room; p = end, got++) {
			v[got] = (u32)strtoul(p, &end, 10);
			if (end == p)
				break;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return got;
}

/*
 * A process has a number in each pid namespace from /proc's on down to its own: who has one only,
 * as the server itself, is in /proc's. That asks for no right on the process, as its ns/pid does.
 */
static bool has_pid(const char *process, pid_t pid)
{
	u32 numbers[2];

	return status_numbers(process, "NSpid:", numbers, ARRAY_SIZE(numbers)) == 1 &&
	       numbers[0] == (u32)pid;
}

static bool same_pids(const struct enforce_caller *caller)
{
	char process[16];

	if (caller->pid <= 0)
		return false;
	snprintf(process, sizeof(process), "%d", caller->pid);
	return has_pid("self", getpid()) && has_pid(process, caller->pid);
}

/* E. */
static int may_move(const struct enforce_caller *caller, pid_t pid, struct error_record *why)
{
	const struct agent_cred as = {caller->uid, caller->gid, AGENT_ACCOUNT_GROUPS, NULL};
	struct process_facts facts;
	int err;

	if (!caller->uid)
		return 0;
	err = process_facts_ask(&as, pid, FACTS_MS, &facts);
	for (u32 i = 0; !err && i < ARRAY_SIZE(facts.uid); i++)
		if (facts.uid[i] != caller->uid) {
			err = error_set(why, EPERM, "the process is not yours");
		}
	return err;
}

int enforce_procs_write(struct enforce *en, struct cgroup *cgrp,
			const struct enforce_caller *caller, pid_t pid, struct error_record *why)
{
	__do_close int pidfd = -1;
	struct enforced *e;
	char process[16];
	u32 tgid;
	int err;

	if (!en)
		return error_set(why, EOPNOTSUPP,
				 "the server was started without -o enforce: cgroups "
				 "hold no processes");
	if (pid < 0)
		return -EINVAL;
	if (!same_pids(caller))
		return error_set(why, EPERM,
				 "the caller is in another pid namespace than the server");
	if (!pid) {
		snprintf(process, sizeof(process), "%d", caller->pid);
		if (!status_numbers(process, "Tgid:", &tgid, 1))
			return -ESRCH;
		pid = (pid_t)tgid;
	}
	/* The descriptor tells afterwards whether the number meant one process all the time. */
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return errno == EINVAL ? -ESRCH : -errno;
	err = may_move(caller, pid, why);
	if (err)
		return err;
	pthread_mutex_lock(&en->lock);
	e = find(en, cgrp);
	err = e ? make_rules(en) : -ENODEV;
	if (!err)
		err = hostcg_move(&en->host, e->path, pid);
	pthread_mutex_unlock(&en->lock);
	if (!err && syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH)
		err = -ESRCH;
	return err;
}

int enforce_procs_read(struct enforce *en, struct cgroup *cgrp, const struct enforce_caller *caller,
		       char **text, size_t *len)
{
	struct enforced *e;
	int err;

	*text = NULL;
	*len = 0;
	if (!en)
		return -EOPNOTSUPP;
	if (!same_pids(caller))
		return -EPERM;
	pthread_mutex_lock(&en->lock);
	e = find(en, cgrp);
	err = e ? hostcg_procs(&en->host, e->path, text, len) : -ENODEV;
	pthread_mutex_unlock(&en->lock);
	return err;
}

/* ---- end */

void enforce_stop(struct enforce *en)
{
	struct hash_link *link;
	bool join;

	if (!en)
		return;
	pthread_mutex_lock(&en->lock);
	join = en->rules_on;
	en->rules_on = false;
	pthread_cond_signal(&en->rules_wanted);
	pthread_mutex_unlock(&en->lock);
	if (join)
		pthread_join(en->rules_thread, NULL);
	pthread_mutex_lock(&en->lock);
	nft_stop(&en->rules, en->held);
	nfqueue_stop(en->queue);
	while ((link = hash_first(&en->table)))
		forget(en, enforced_of(link));
	hash_free(&en->table);
	hostcg_stop(&en->host);
	pthread_mutex_unlock(&en->lock);
	pthread_cond_destroy(&en->rules_wanted);
	pthread_mutex_destroy(&en->lock);
	free(en);
}
