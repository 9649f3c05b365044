/*
 * watchdog.c - see watchdog.h
 *
 * A signal, not a thread: some tests must have one thread only. A child of fork() has no timer, but
 * its parent waits for it.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include "tests/lib/watchdog.h"

#define LOOK_MS	  60000
#define WORKED_NS 2000000LL /* more than a look itself takes */

static timer_t timer;
static long long before; /* of the look before, which may have been in another thread */
static int idle;

/* With that of the children that were waited for. */
static long long processor_ns(void)
{
	struct timespec ts;
	struct rusage children;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	getrusage(RUSAGE_CHILDREN, &children);
	return (ts.tv_sec + children.ru_utime.tv_sec + children.ru_stime.tv_sec) * 1000000000LL +
	       ts.tv_nsec + (children.ru_utime.tv_usec + children.ru_stime.tv_usec) * 1000LL;
}

static void look(int sig)
{
	static const char why[] = "watchdog: no work is done any more: a wake-up was lost?\n";
	int was_errno = errno, looks = 0;
	long long now = processor_ns();

	if (now - __atomic_exchange_n(&before, now, __ATOMIC_RELAXED) < WORKED_NS)
		looks = __atomic_load_n(&idle, __ATOMIC_RELAXED) + 1;
	__atomic_store_n(&idle, looks, __ATOMIC_RELAXED);
	errno = was_errno;
	if (looks < 2)
		return;
	if (write(STDERR_FILENO, why, sizeof(why) - 1) < 0)
		_exit(1);
	abort();
}

void watchdog_every(long ms)
{
	const struct itimerspec spec = {{ms / 1000, ms % 1000 * 1000000},
					{ms / 1000, ms % 1000 * 1000000}};

	timer_settime(timer, 0, &spec, NULL);
}

__attribute__((constructor)) static void begin(void)
{
	struct sigevent event;
	struct sigaction action;

	memset(&event, 0, sizeof(event));
	memset(&action, 0, sizeof(action));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = SIGRTMAX;
	action.sa_handler = look;
	action.sa_flags = SA_RESTART;
	if (!sigaction(SIGRTMAX, &action, NULL) && !timer_create(CLOCK_MONOTONIC, &event, &timer))
		watchdog_every(LOOK_MS);
}
