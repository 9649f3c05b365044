/*
 * supervisor.c - threads that take notifications and answer them
 *
 * One thread waits for the next call; whoever takes one sees to it that another waits before it
 * begins, so that a call that takes long (a load, a test run, a path on a mount that does not
 * answer) delays nobody else. At most MAX_THREADS calls are answered at a time; the others wait as
 * they would for a busy kernel.
 */
#include <errno.h>
#include <linux/seccomp.h>
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
#include "tools/run/supervisor.h"

#define MAX_THREADS 64

#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int threads, waiting; /* under `lock` */
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

/* Under `lock`. */
static int __more_threads(void)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, serve, NULL);
	pthread_attr_destroy(&attr);
	if (!err) {
		threads++;
		waiting++;
	}
	return -err;
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

static void *serve(void *arg)
{
	size_t size = notif_size();
	struct seccomp_notif *notif = malloc(size);

	while (notif) {
		struct caller c = {.listener = listener_fd, .given = -1, .pidfd = -1, .mem = -1};

		memset(notif, 0, size);
		if (ioctl(listener_fd, SECCOMP_IOCTL_NOTIF_RECV, notif)) {
			if (errno == ENOENT || errno == EINTR)
				continue; /* it was gone before we looked */
			break;
		}
		pthread_mutex_lock(&lock);
		if (--waiting == 0 && threads < MAX_THREADS)
			__more_threads(); /* without it the calls wait for this one */
		pthread_mutex_unlock(&lock);
		c.id = notif->id;
		c.tid = notif->pid;
		c.data = notif->data;
		answer(&c);
		pthread_mutex_lock(&lock);
		waiting++;
		pthread_mutex_unlock(&lock);
	}
	free(notif);
	pthread_mutex_lock(&lock);
	threads--;
	waiting--;
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
	err = __more_threads();
	pthread_mutex_unlock(&lock);
	return err;
}
