/*
 * watch.c - every job there is, and those whose caller was interrupted but may live on
 *
 * An interrupt does not say whether its signal kills, and some kinds stop for a killed caller only
 * (ops->cancel_on_kill_only): a thread looks now and then.
 */
#include "fs/job.h"

#include <stdio.h>
#include <time.h>

#define WATCH_NS (50 * 1000000L)

static struct {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct fs_job *jobs; /* interrupted */
	struct fs_job *all; /* every job, for the end */
	pthread_t thread;
	bool running, stop;
} watch = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

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

static void *watch_main(void *unused)
{
	pthread_mutex_lock(&watch.lock);
	while (!watch.stop) {
		struct timespec ts;

		for (struct fs_job *job = watch.jobs; job; job = job->watch_next)
			if (being_killed(job->req.cred.pid))
				job_cancel(job);
		if (!watch.jobs) {
			pthread_cond_wait(&watch.more, &watch.lock);
			continue;
		}
		clock_gettime(CLOCK_REALTIME, &ts);
		ts.tv_nsec += WATCH_NS;
		if (ts.tv_nsec >= 1000000000L) {
			ts.tv_nsec -= 1000000000L;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&watch.more, &watch.lock, &ts);
	}
	pthread_mutex_unlock(&watch.lock);
	return NULL;
}

static void watch_add(struct fs_job *job)
{
	pthread_mutex_lock(&watch.lock);
	if (!job->watched) {
		job->watched = true;
		job->watch_next = watch.jobs;
		watch.jobs = job;
		if (!watch.running)
			watch.running = !pthread_create(&watch.thread, NULL, watch_main, NULL);
		pthread_cond_signal(&watch.more);
	}
	pthread_mutex_unlock(&watch.lock);
}

bool watch_killed(struct fs_job *job)
{
	if (being_killed(job->req.cred.pid))
		return true;
	watch_add(job);
	return false;
}

void watch_born(struct fs_job *job)
{
	pthread_mutex_lock(&watch.lock);
	if (watch.stop)
		job_cancel(job);
	job->all_next = watch.all;
	job->all_pprev = &watch.all;
	if (watch.all)
		watch.all->all_pprev = &job->all_next;
	watch.all = job;
	pthread_mutex_unlock(&watch.lock);
}

void watch_remove(struct fs_job *job)
{
	pthread_mutex_lock(&watch.lock);
	*job->all_pprev = job->all_next;
	if (job->all_next)
		job->all_next->all_pprev = job->all_pprev;
	if (job->watched) {
		struct fs_job **p = &watch.jobs;

		while (*p != job)
			p = &(*p)->watch_next;
		*p = job->watch_next;
		job->watched = false;
	}
	pthread_mutex_unlock(&watch.lock);
}

void fs_jobs_stop(void)
{
	pthread_mutex_lock(&watch.lock);
	watch.stop = true;
	for (struct fs_job *job = watch.all; job; job = job->all_next)
		job_cancel(job);
	pthread_cond_signal(&watch.more);
	pthread_mutex_unlock(&watch.lock);
	if (watch.running)
		pthread_join(watch.thread, NULL);
}
