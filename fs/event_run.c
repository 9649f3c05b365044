/*
 * event_run.c - the directories that have a source (see event_run.h)
 */
#include <fcntl.h>
#include <stdio.h>
#include "fs/event_def.h"
#include "fs/event_run.h"

struct event_dir { /* one directory that has, or had, a source */
	u64 ino;
	int fd; /* O_PATH of the directory: keeps the inode number ours */
	struct source *src;
	struct event_dir *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct event_dir *dirs;

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

/* On the source's thread: there is nothing more to see. */
static void source_ended(void *arg)
{
	const struct event_dir *dir = arg;

	event_ended_set(dir->fd);
}

static void stop_dir(struct event_dir *dir)
{
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
	close(dir->fd);
	free(dir);
}

static struct event_dir *make_dir(u64 ino, int dirfd)
{
	struct event_dir *dir = find_dir(ino);

	if (dir)
		return dir;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return NULL;
	dir->ino = ino;
	dir->fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (dir->fd < 0) {
		free(dir);
		return NULL;
	}
	dir->next = dirs;
	dirs = dir;
	return dir;
}

int event_run_start(u64 ino, int dirfd, const struct source_def *def, struct bpf_prog *prog,
		    bool again, char *why)
{
	struct event_dir *dir = make_dir(ino, dirfd);
	struct source *src;
	bool had_ended;
	struct stat st;
	int err;

	if (!dir || fstatat(dirfd, "", &st, AT_EMPTY_PATH))
		return -ENOMEM;
	src = source_new(def, st.st_uid, st.st_gid);
	if (!src)
		return -ENOMEM;
	stop_dir(dir);
	had_ended = event_ended_clear(dirfd);
	src->again = again;
	src->ended = source_ended;
	src->ended_arg = dir;
	bpf_prog_inc(prog);
	err = source_start(src, prog);
	if (!err) {
		event_since_set(dirfd, def);
	} else {
		bpf_prog_put(prog);
		snprintf(why, SOURCE_WHY_MAX, "%s", src->why);
		if (had_ended)
			source_ended(dir);
		if (!again) { /* the writer is told, and all is as before */
			source_free(src);
			return err;
		}
	}
	source_free(dir->src);
	dir->src = src;
	return err;
}

bool event_running(u64 ino)
{
	return is_running(find_dir(ino));
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

bool event_run_state(u64 ino, enum source_state *state, struct source_stats *stats, char *why)
{
	const struct event_dir *dir = find_dir(ino);

	if (!dir || !dir->src)
		return false;
	*state = source_state(dir->src);
	source_read_stats(dir->src, stats);
	if (*state == SOURCE_FAILED)
		snprintf(why, SOURCE_WHY_MAX, "%s", dir->src->why);
	return true;
}

void event_run_forget_all(void)
{
	event_run_lock();
	while (dirs)
		event_run_forget(dirs->ino);
	event_run_unlock();
}
