/*
 * background.c - a thread that reads back what still sleeps (see read_back.h)
 *
 * One object at a time, maps first, at a priority that leaves the processors to who has something
 * to do, but not so low that who waits for the very object that it reads back waits for long. What
 * cannot be read now (no memory, no descriptors) is tried again.
 */
#include "fs/store/names/read_back.h"
#include "fs/lib/thread_signals.h"
#include "fs/store/names/common_types.h"
#include "fs/store/objects/asleep.h"

#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define NICE	 5 /* a third of what others have, when there is not enough for all */
#define PAUSE_NS 100000000

static struct {
	pthread_t thread;
	bool runs, stop;
	pthread_mutex_t lock;
	pthread_cond_t stopped;
} background = {.lock = PTHREAD_MUTEX_INITIALIZER, .stopped = PTHREAD_COND_INITIALIZER};

static bool stopped(void)
{
	return __atomic_load_n(&background.stop, __ATOMIC_RELAXED);
}

static void pause_a_while(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += PAUSE_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_mutex_lock(&background.lock);
	while (!stopped() && !pthread_cond_timedwait(&background.stopped, &background.lock, &until))
		;
	pthread_mutex_unlock(&background.lock);
}

/* All of a kind that sleep now; the first error of one that sleeps on. */
static int read_kind_back(enum store_kind kind)
{
	struct store_object *obj;
	int first = 0;

	for (u32 id = 0; !stopped() && store_asleep() && !store_next(kind, id, &obj);) {
		int err = store_wake(obj);

		first = first ? first : err;
		id = obj->id;
		store_put(obj);
	}
	return first;
}

int read_back_all(void)
{
	int maps = read_kind_back(STORE_MAP), progs = read_kind_back(STORE_PROG);

	return maps ? maps : progs;
}

static void *background_main(void *unused)
{
	setpriority(PRIO_PROCESS, (id_t)gettid(), NICE);
	while (!stopped() && store_asleep()) {
		if (read_back_all())
			pause_a_while();
	}
	common_types_forget();
	return NULL;
}

/* Without a thread all sleeps on. */
void read_back_begin(void)
{
	sigset_t old;

	if (!store_asleep()) {
		common_types_forget();
		return;
	}
	background.stop = false;
	thread_signals(&old);
	background.runs = !pthread_create(&background.thread, NULL, background_main, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void read_back_end(void)
{
	if (!background.runs)
		return;
	pthread_mutex_lock(&background.lock);
	__atomic_store_n(&background.stop, true, __ATOMIC_RELAXED);
	pthread_cond_signal(&background.stopped);
	pthread_mutex_unlock(&background.lock);
	pthread_join(background.thread, NULL);
	background.runs = false;
}
