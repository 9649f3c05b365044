/*
 * supervisor.c - threads that take notifications and answer them
 *
 * One thread, the leader, waits for the next call; whoever waits beside it would be woken by each
 * call, too. A call on an element of a map (quick.h) the leader answers itself. Before any other,
 * which may take long (a load, a test run, a path on a mount that does not answer), it lets another
 * thread lead, so that nobody else is delayed. Where a server does not answer a quick call within
 * some tenths of a second, the watcher makes another one leader. At most MAX_THREADS calls are
 * answered at a time; the others wait as they would for a busy kernel.
 */
#include <errno.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "tools/run/bpf.h"
#include "tools/run/caller/caller.h"
#include "tools/run/calls.h"
#include "tools/run/commands/mmap.h"
#include "tools/run/perf.h"
#include "tools/run/quick.h"
#include "tools/run/supervisor.h"
#include "util/clock.h"

#define MAX_THREADS 64

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

#define WATCH_MS 100

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t may_lead = PTHREAD_COND_INITIALIZER, may_watch = PTHREAD_COND_INITIALIZER;
static unsigned int threads, idle; /* under `lock` */
static bool ended; /* under `lock`: no more calls will come */
static bool led; /* under `lock`: somebody is leader, */
static uint64_t term; /* and since this change, atomically */
static uint64_t quick_calls; /* begun and ended: odd while the leader is in one; atomic */
static bool watched; /* atomic, changed under `lock` */
static int listener_fd;

/* What a call is answered by; 0 or -errno is its result unless it has answered by itself. */
static const struct trapped {
	long nr;
	void (*answer)(struct caller *c);
} calls[] = {
	{SYS_bpf, run_bpf},
	{SYS_statfs, run_statfs},
	{SYS_fstatfs, run_fstatfs},
	{SYS_mount, run_mount_call},
	{SYS_readlinkat, run_readlinkat},
#ifdef SYS_readlink
	{SYS_readlink, run_readlink},
#endif
#ifdef SYS_open
	{SYS_open, run_open},
#endif
	{SYS_openat, run_openat},
	{SYS_mmap, run_mmap},
	{SYS_perf_event_open, run_perf_event_open},
	{SYS_ioctl, run_ioctl},
	{SYS_prlimit64, run_prlimit},
#ifdef SYS_setrlimit
	{SYS_setrlimit, run_setrlimit},
#endif
};

static void answer(struct caller *c)
{
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (calls[i].nr == c->data.nr) {
			calls[i].answer(c);
			break;
		}
	caller_go_on(c); /* nobody answered: it is the kernel's */
	caller_end(c);
}

static void *serve(void *arg);

static int start_thread(void *(*fn)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, fn, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

/* Nobody leads any more: somebody may. Without a thread for it the calls wait for the next one. */
static int __need_leader(void)
{
	int err = 0;

	led = false;
	if (idle) {
		pthread_cond_signal(&may_lead);
	} else if (threads < MAX_THREADS) {
		err = start_thread(serve);
		threads += !err;
	}
	return err;
}

/* ---- the leader's quick calls */

/* While there are any it looks whether the leader has come on. */
static void *watch(void *arg)
{
	uint64_t last = 0, now;
	struct timespec until;

	pthread_mutex_lock(&lock);
	for (;;) {
		while (!watched)
			pthread_cond_wait(&may_watch, &lock);
		until = clock_after(CLOCK_REALTIME, WATCH_MS * 1000000ull);
		pthread_cond_timedwait(&may_watch, &lock, &until);
		now = __atomic_load_n(&quick_calls, __ATOMIC_RELAXED);
		if (now == last && now % 2 && led) {
			__atomic_add_fetch(&term, 1, __ATOMIC_RELAXED);
			__need_leader();
		} else if (now == last) {
			__atomic_store_n(&watched, false, __ATOMIC_RELAXED);
		}
		last = now;
	}
	return NULL;
}

static void have_watcher(void)
{
	static bool started;

	if (__atomic_load_n(&watched, __ATOMIC_RELAXED))
		return;
	pthread_mutex_lock(&lock);
	if (!started)
		started = !start_thread(watch);
	__atomic_store_n(&watched, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&may_watch);
	pthread_mutex_unlock(&lock);
}

static bool answered_quickly(struct caller *c)
{
	bool done;

	if (c->data.nr != SYS_bpf)
		return false;
	have_watcher();
	__atomic_add_fetch(&quick_calls, 1, __ATOMIC_RELAXED);
	done = run_quick(c);
	__atomic_add_fetch(&quick_calls, 1, __ATOMIC_RELAXED);
	if (done)
		caller_end(c);
	return done;
}

/* A notification's structures may grow: the kernel says how large they are. */
static size_t notif_size(void)
{
	struct seccomp_notif_sizes sizes;

	if (syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes))
		return sizeof(struct seccomp_notif);
	return sizes.seccomp_notif > sizeof(struct seccomp_notif) ? sizes.seccomp_notif
								  : sizeof(struct seccomp_notif);
}

/* The next call; false: nobody is left who could make one. */
static bool next_call(struct seccomp_notif *notif, size_t size, struct caller *c)
{
	struct pollfd gone = {.fd = listener_fd};

	do {
		memset(notif, 0, size);
		if (!ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_RECV, notif)) {
			*c = (struct caller){.listener = listener_fd,
					     .given = -1,
					     .mem = -1,
					     .id = notif->id,
					     .tid = notif->pid,
					     .data = notif->data};
			return true;
		}
		/* It was gone before we looked; or all are. */
	} while ((errno == ENOENT && poll(&gone, 1, 0) <= 0) || errno == EINTR);
	return false;
}

/* Lead until there is a call for which another one has to; false: that was the last. */
static bool lead(uint64_t since, struct seccomp_notif *notif, size_t size)
{
	struct caller c;

	for (;;) {
		if (!next_call(notif, size, &c))
			return false;
		if (!answered_quickly(&c))
			break;
		if (__atomic_load_n(&term, __ATOMIC_RELAXED) != since)
			return true; /* that took so long that another one leads */
	}
	pthread_mutex_lock(&lock);
	if (term == since)
		__need_leader();
	pthread_mutex_unlock(&lock);
	answer(&c);
	return true;
}

static void *serve(void *arg)
{
	size_t size = notif_size();
	struct seccomp_notif *notif = malloc(size);
	bool more = notif;
	uint64_t since;

	while (more) {
		pthread_mutex_lock(&lock);
		idle++;
		while (led && !ended)
			pthread_cond_wait(&may_lead, &lock);
		idle--;
		more = !ended;
		led = true;
		since = __atomic_add_fetch(&term, 1, __ATOMIC_RELAXED);
		pthread_mutex_unlock(&lock);
		more = more && lead(since, notif, size);
	}
	free(notif);
	pthread_mutex_lock(&lock);
	threads--;
	ended = true;
	pthread_cond_broadcast(&may_lead);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int run_supervise(int listener)
{
	uint64_t flags = 1; /* SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: Linux 6.6 and later */
	int err;

	listener_fd = listener;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SET_FLAGS, &flags);
	pthread_mutex_lock(&lock);
	err = __need_leader();
	pthread_mutex_unlock(&lock);
	return err;
}
