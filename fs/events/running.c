/*
 * running.c - the directories that have a source (see events/running.h)
 */
#include <fcntl.h>
#include <stdio.h>
#include "fs/events/definition.h"
#include "fs/events/running.h"
#include "fs/caller/limits.h"
#include "fs/work/worker.h"

struct event_dir { /* one directory that has, or had, a source */
	u64 ino;
	int fd; /* O_PATH of the directory: keeps the inode number ours */
	uid_t uid; /* who is charged for it */
	struct source *src; /* that runs, or ran */
	struct event_start *start; /* under way, or NULL */
	struct event_dir *next;
};

struct event_start {
	struct event_dir *dir; /* NULL: nobody wants it any more */
	struct source *src;
	struct source_def def;
	bool again, had_ended, cancelled;
	u64 began; /* when the process did that it sampled before; 0: it had none */
	int err; /* of the source's own start */
	event_done_fn *done;
	void *arg;
	struct worker_job work;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t start_done = PTHREAD_COND_INITIALIZER;
static struct event_dir *dirs;
static u32 nr_starts;
static bool no_more;

void event_run_lock(void)
{
	pthread_mutex_lock(&lock);
}

void event_run_unlock(void)
{
	pthread_mutex_unlock(&lock);
}

static struct event_dir *find_dir(u64 ino)
{
	struct event_dir *dir = dirs;

	while (dir && dir->ino != ino)
		dir = dir->next;
	return dir;
}

/* On the source's thread, or when it has come to its end: there is nothing more to see. */
static void source_ended(void *arg)
{
	const struct event_dir *dir = arg;

	event_ended_set(dir->fd);
}

void event_run_cancel(struct event_start *start)
{
	__atomic_store_n(&start->cancelled, true, __ATOMIC_RELEASE);
	source_cancel(start->src);
}

static void stop_dir(struct event_dir *dir)
{
	if (dir && dir->start) {
		event_run_cancel(dir->start);
		dir->start->dir = NULL;
		dir->start = NULL;
	}
	if (dir && dir->src)
		source_stop(dir->src);
}

static bool is_running(const struct event_dir *dir)
{
	return dir && dir->src && source_state(dir->src) == SOURCE_RUNNING;
}

void event_run_forget(u64 ino)
{
	struct event_dir **p = &dirs, *dir;

	while (*p && (*p)->ino != ino)
		p = &(*p)->next;
	dir = *p;
	if (!dir)
		return;
	*p = dir->next;
	stop_dir(dir);
	source_free(dir->src);
	limits_uncharge(dir->uid, LIMIT_SOURCES, 1);
	close(dir->fd);
	free(dir);
}

/* Its owner is charged until it is forgotten. */
static int make_dir(u64 ino, int dirfd, bool again, struct event_dir **out,
		    struct error_record *why)
{
	struct event_dir *dir = find_dir(ino);
	struct stat st;
	int err = 0;

	*out = dir;
	if (dir)
		return 0;
	if (fstatat(dirfd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (again) /* it ran before */
		limits_charge_anyway(st.st_uid, LIMIT_SOURCES, 1);
	else
		err = limits_charge(st.st_uid, LIMIT_SOURCES, 1, why);
	if (err)
		return err;
	dir = calloc(1, sizeof(*dir));
	if (dir) {
		dir->ino = ino;
		dir->uid = st.st_uid;
		dir->fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	}
	if (!dir || dir->fd < 0) {
		err = dir ? -errno : -ENOMEM;
		free(dir);
		limits_uncharge(st.st_uid, LIMIT_SOURCES, 1);
		return err;
	}
	dir->next = dirs;
	dirs = *out = dir;
	return 0;
}

/* ---- starting */

static void start_free(struct event_start *start)
{
	if (!start)
		return;
	source_free(start->src);
	source_def_free(&start->def);
	free(start);
}

static void __start_end(struct event_start *start)
{
	struct event_dir *dir = start->dir;
	struct error_record stopped = {0};
	struct source *src = start->src;
	int err = start->err;
	bool gone = start->began && err == -ESRCH; /* that process, while no server was there */

	if (gone)
		err = -ECANCELED;
	if (!dir || __atomic_load_n(&start->cancelled, __ATOMIC_ACQUIRE))
		err = -ECANCELED;
	if (err == -ECANCELED)
		error_set(&stopped, ECANCELED, "the source was stopped while it started");
	if (dir)
		dir->start = NULL;
	if (dir && (!err || (start->again && !gone))) {
		source_free(dir->src);
		dir->src = src;
		start->src = NULL;
	}
	if (!err) {
		event_since_set(dir->fd, src->began);
		source_on_end(src, source_ended, dir);
	} else if (dir && (start->had_ended || gone)) {
		event_ended_set(dir->fd);
	}
	start->done(start->arg, err, stopped.err ? &stopped : &src->why);
	error_clear(&stopped);
	if (err) /* now that nobody calls event_run_cancel() any more */
		source_stop(src);
	start_free(start);
	nr_starts--;
	pthread_cond_broadcast(&start_done);
}

static void start_end(struct worker_job *work)
{
	event_run_lock();
	__start_end(container_of(work, struct event_start, work));
	event_run_unlock();
}

/* On the source's thread, which goes on. */
static void source_started(void *arg, int err)
{
	struct event_start *start = arg;

	start->err = err;
	start->work.run = start_end;
	worker_submit(&start->work);
}

static struct event_start *start_new(int dirfd, const struct source_def *def)
{
	struct event_start *start = calloc(1, sizeof(*start));
	struct stat st;

	if (start && !fstatat(dirfd, "", &st, AT_EMPTY_PATH) && !source_def_copy(&start->def, def))
		start->src = source_new(def, st.st_uid, st.st_gid);
	if (start && start->src)
		return start;
	start_free(start);
	return NULL;
}

int event_run_start(u64 ino, int dirfd, const struct source_def *def, struct bpf_prog *prog,
		    bool again, u64 began, event_done_fn *done, void *arg, struct event_start **out,
		    struct error_record *why)
{
	struct event_start *start;
	struct event_dir *dir;
	int err;

	if (no_more)
		return -ECANCELED;
	err = make_dir(ino, dirfd, again, &dir, why);
	if (err)
		return err;
	start = start_new(dirfd, def);
	if (!start)
		return -ENOMEM;
	stop_dir(dir);
	start->dir = dir;
	start->again = start->src->again = again;
	start->began = start->src->began = began;
	start->had_ended = event_ended_clear(dirfd);
	start->done = done;
	start->arg = arg;
	start->src->started = source_started;
	start->src->started_arg = start;
	bpf_prog_inc(prog);
	err = source_start(start->src, prog);
	if (err) {
		error_set(why, -err, "%s", error_why(&start->src->why, err));
		if (start->had_ended)
			source_ended(dir);
		start_free(start);
		return err;
	}
	dir->start = start;
	nr_starts++;
	if (out)
		*out = start;
	return 0;
}

/* ---- */

bool event_running(u64 ino)
{
	return is_running(find_dir(ino));
}

bool event_starting(u64 ino)
{
	const struct event_dir *dir = find_dir(ino);

	return dir && dir->start;
}

bool event_run_replace(u64 ino, struct bpf_prog *prog)
{
	struct event_dir *dir = find_dir(ino);

	if (!is_running(dir) || dir->src->prog_type != prog->type)
		return false;
	bpf_prog_inc(prog);
	source_replace(dir->src, prog);
	return true;
}

void event_run_stop(u64 ino)
{
	stop_dir(find_dir(ino));
}

bool event_run_state(u64 ino, enum source_state *state, struct source_stats *stats,
		     struct error_record *why)
{
	const struct event_dir *dir = find_dir(ino);

	if (dir && dir->start) {
		*state = SOURCE_STARTING;
		return true;
	}
	if (!dir || !dir->src)
		return false;
	*state = source_state(dir->src);
	source_read_stats(dir->src, stats);
	if (*state == SOURCE_FAILED && dir->src->why.err)
		error_set(why, dir->src->why.err, "%s",
			  error_why(&dir->src->why, dir->src->why.err));
	return true;
}

void event_run_each(event_each_fn *fn, void *arg)
{
	for (struct event_dir *dir = dirs; dir; dir = dir->next) {
		struct source_stats stats = {0};
		struct error_record why = {0};
		enum source_state state;

		if (event_run_state(dir->ino, &state, &stats, &why))
			fn(arg, dir->fd, state, &stats);
		error_clear(&why);
	}
}

void event_run_no_more(void)
{
	event_run_lock();
	no_more = true;
	/* All at once: one that waits for its slot waits for those that run. */
	for (struct event_dir *dir = dirs; dir; dir = dir->next) {
		if (dir->start)
			event_run_cancel(dir->start);
		if (dir->src && dir->src->threaded)
			source_cancel(dir->src);
	}
	while (nr_starts)
		pthread_cond_wait(&start_done, &lock);
	event_run_unlock();
}

void event_run_forget_all(void)
{
	event_run_lock();
	while (dirs)
		event_run_forget(dirs->ino);
	event_run_unlock();
}
