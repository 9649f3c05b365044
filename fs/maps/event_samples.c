/*
 * event_samples.c - see maps/event_samples.h
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include "fs/caller/limits.h"
#include "fs/maps/event_samples.h"
#include "fs/sources/perf_events.h"
#include "fs/sources/source.h"
#include "util/clock.h"

#define START_MS 5000

struct event_samples {
	pthread_mutex_t lock; /* one starts or stops it at a time */
	struct source_def def;
	struct fs_cred cred;
	int cpu; /* -1: all */
	bool enabled;
	struct bpf_prog *prog;
	struct source *src; /* while it runs */

	pthread_mutex_t start_lock; /* a leaf, for the source's thread */
	pthread_cond_t start_cond;
	bool started;
	int start_err;
};

static int define(struct event_samples *s, const struct ubpffs_event *args)
{
	struct perf_event_attr attr;
	const char *event = NULL;
	char number[32];
	int err;

	for (u32 i = 0; i < perf_event_names_nr && !event; i++)
		if (perf_event_by_name(perf_event_names[i], &attr) && attr.type == args->type &&
		    attr.config == args->config)
			event = perf_event_names[i];
	if (!event)
		return -ENOENT;
	err = source_def_set(&s->def, SOURCE_TYPE, "perf");
	if (!err)
		err = source_def_set(&s->def, SOURCE_EVENT, event);
	snprintf(number, sizeof(number), "%u", args->pid);
	if (!err)
		err = source_def_set(&s->def, SOURCE_PID, args->pid ? number : "all");
	snprintf(number, sizeof(number), "%llu", (unsigned long long)args->sample);
	if (!err)
		err = source_def_set(&s->def,
				     args->flags & UBPFFS_EVENT_FREQ ? SOURCE_FREQ : SOURCE_PERIOD,
				     number);
	return err;
}

int event_samples_new(const struct ubpffs_event *args, const struct fs_cred *cred,
		      struct event_samples **out, struct error_record *why)
{
	struct event_samples *s;
	int err = limits_charge(cred->uid, LIMIT_SOURCES, 1, why);

	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s) {
		limits_uncharge(cred->uid, LIMIT_SOURCES, 1);
		return -ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_mutex_init(&s->start_lock, NULL);
	pthread_cond_init(&s->start_cond, NULL);
	s->cred = *cred;
	s->cpu = (int)args->cpu;
	s->enabled = !(args->flags & UBPFFS_EVENT_DISABLED);
	err = define(s, args);
	if (err)
		event_samples_free(s);
	else
		*out = s;
	return err;
}

/* ---- starting and stopping; `lock` is held */

static void on_start(void *arg, int err)
{
	struct event_samples *s = arg;

	pthread_mutex_lock(&s->start_lock);
	s->started = true;
	s->start_err = err;
	pthread_cond_signal(&s->start_cond);
	pthread_mutex_unlock(&s->start_lock);
}

static int __wait_for_start(struct event_samples *s)
{
	struct timespec until = clock_after(CLOCK_REALTIME, START_MS * 1000000ull);
	int err = 0;

	pthread_mutex_lock(&s->start_lock);
	while (!s->started && !err)
		err = pthread_cond_timedwait(&s->start_cond, &s->start_lock, &until);
	err = s->started ? s->start_err : -ETIMEDOUT;
	pthread_mutex_unlock(&s->start_lock);
	return err;
}

static void __stop(struct event_samples *s)
{
	if (s->src) {
		source_stop(s->src);
		source_free(s->src);
	}
	s->src = NULL;
}

static int __start(struct event_samples *s, struct error_record *why)
{
	struct source *src = source_new(&s->def, s->cred.uid, s->cred.gid);
	int err;

	if (!src)
		return -ENOMEM;
	s->started = false;
	src->cpu = s->cpu;
	src->started = on_start;
	src->started_arg = s;
	bpf_prog_inc(s->prog);
	err = source_start(src, s->prog);
	if (!err) {
		err = __wait_for_start(s);
		if (err)
			source_stop(src);
	}
	if (err)
		error_set(why, -err, "%s",
			  err == -ETIMEDOUT ? "the event was not opened within some seconds"
					    : error_why(&src->why, err));
	if (err)
		source_free(src);
	else
		s->src = src;
	return err;
}

int event_samples_attach(struct event_samples *s, struct bpf_prog *prog, struct error_record *why)
{
	int err = 0;

	if (prog->type != BPF_PROG_TYPE_PERF_EVENT)
		return error_set(why, EINVAL, "on samples run programs of type perf_event");
	pthread_mutex_lock(&s->lock);
	if (s->prog) {
		err = -EEXIST;
	} else {
		s->prog = prog;
		if (s->enabled)
			err = __start(s, why);
		if (err)
			s->prog = NULL;
		else
			bpf_prog_inc(prog);
	}
	pthread_mutex_unlock(&s->lock);
	return err;
}

int event_samples_enable(struct event_samples *s, bool on, struct error_record *why)
{
	int err = 0;

	pthread_mutex_lock(&s->lock);
	if (on && !s->src && s->prog)
		err = __start(s, why);
	if (!on)
		__stop(s);
	if (!err)
		s->enabled = on;
	pthread_mutex_unlock(&s->lock);
	return err;
}

void event_samples_free(struct event_samples *s)
{
	if (!s)
		return;
	__stop(s);
	if (s->prog)
		bpf_prog_put(s->prog);
	source_def_free(&s->def);
	limits_uncharge(s->cred.uid, LIMIT_SOURCES, 1);
	pthread_cond_destroy(&s->start_cond);
	pthread_mutex_destroy(&s->start_lock);
	pthread_mutex_destroy(&s->lock);
	free(s);
}
