/*
 * cancel.c - requests that may be cancelled (see node/cancel.h)
 *
 * One lock for the two lists; the thread starts with the first interrupted request.
 */
#include "fs/node/cancel.h"
#include "util/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#define WATCH_NS (50 * 1000000L)

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct watch *interrupted;
	struct watch *all;
	pthread_t thread;
	bool running, stop;
} watches = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

/* SIGKILL is pending for the thread or its process (a fatal signal becomes one). */
static bool being_killed(pid_t pid)
{
	char path[64], line[256];
	unsigned long long bits;
	bool killed = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return pid != 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "SigPnd: %llx", &bits) == 1 ||
		    sscanf(line, "ShdPnd: %llx", &bits) == 1)
			killed |= bits >> (9 - 1) & 1;
	fclose(f);
	return killed;
}

static void __cancel(struct watch *w)
{
	if (fs_cancelled(w->req))
		return;
	__atomic_store_n(&w->req->cancel, true, __ATOMIC_RELAXED);
	if (w->cancelled)
		w->cancelled(w);
}

static void *watch_main(void *unused)
{
	pthread_mutex_lock(&watches.lock);
	while (!watches.stop) {
		struct timespec ts;

		for (struct watch *w = watches.interrupted; w; w = w->next)
			if (being_killed(w->req->cred.pid))
				__cancel(w);
		if (!watches.interrupted) {
			pthread_cond_wait(&watches.more, &watches.lock);
			continue;
		}
		ts = clock_after(CLOCK_REALTIME, WATCH_NS);
		pthread_cond_timedwait(&watches.more, &watches.lock, &ts);
	}
	pthread_mutex_unlock(&watches.lock);
	return NULL;
}

void watch_cancel(struct watch *w)
{
	pthread_mutex_lock(&watches.lock);
	__cancel(w);
	pthread_mutex_unlock(&watches.lock);
}

void watch_killed(struct watch *w)
{
	bool killed = being_killed(w->req->cred.pid);

	pthread_mutex_lock(&watches.lock);
	if (killed) {
		__cancel(w);
	} else if (!w->interrupted) {
		w->interrupted = true;
		w->next = watches.interrupted;
		watches.interrupted = w;
		if (!watches.running)
			watches.running = !pthread_create(&watches.thread, NULL, watch_main, NULL);
		pthread_cond_signal(&watches.more);
	}
	pthread_mutex_unlock(&watches.lock);
}

void watch_add(struct watch *w, struct fs_req *req, void (*cancelled)(struct watch *w))
{
	w->req = req;
	w->cancelled = cancelled;
	pthread_mutex_lock(&watches.lock);
	if (watches.stop)
		__atomic_store_n(&req->cancel, true, __ATOMIC_RELAXED);
	w->all_next = watches.all;
	w->all_pprev = &watches.all;
	if (watches.all)
		watches.all->all_pprev = &w->all_next;
	watches.all = w;
	pthread_mutex_unlock(&watches.lock);
}

void watch_remove(struct watch *w)
{
	pthread_mutex_lock(&watches.lock);
	if (w->all_pprev)
		*w->all_pprev = w->all_next;
	if (w->all_next)
		w->all_next->all_pprev = w->all_pprev;
	w->all_pprev = NULL;
	w->all_next = NULL;
	if (w->interrupted) {
		struct watch **p = &watches.interrupted;

		while (*p != w)
			p = &(*p)->next;
		*p = w->next;
		w->interrupted = false;
	}
	pthread_mutex_unlock(&watches.lock);
}

void watch_stop(void)
{
	pthread_mutex_lock(&watches.lock);
	watches.stop = true;
	for (struct watch *w = watches.all; w; w = w->all_next)
		__cancel(w);
	pthread_cond_signal(&watches.more);
	pthread_mutex_unlock(&watches.lock);
	if (watches.running)
		pthread_join(watches.thread, NULL);
}
