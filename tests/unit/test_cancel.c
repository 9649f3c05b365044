/*
 * test_cancel.c - fs/node/cancel.c: who is cancelled, when, and how often it is said
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/node/cancel.h"

struct watched {
	struct watch watch;
	struct fs_req req;
	u32 calls;
};

static void cancelled(struct watch *w)
{
	container_of(w, struct watched, watch)->calls++;
}

static void watch_it(struct watched *w, pid_t pid)
{
	*w = (struct watched){.req = {.cred = {.pid = pid}}};
	watch_add(&w->watch, &w->req, cancelled);
}

static void cancelled_once(void **state)
{
	struct watched w, other;

	watch_it(&w, getpid());
	watch_it(&other, getpid());
	watch_cancel(&w.watch);
	watch_cancel(&w.watch);
	assert_true(fs_cancelled(&w.req));
	assert_int_equal(w.calls, 1);
	assert_false(fs_cancelled(&other.req));
	watch_remove(&w.watch);
	watch_remove(&w.watch);
	watch_remove(&other.watch);
}

/* A signal that does not kill changes nothing; a caller that is gone was killed. */
static void interrupted_is_not_killed(void **state)
{
	struct watched alive, gone;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	watch_it(&alive, getpid());
	watch_it(&gone, pid);
	watch_killed(&alive.watch);
	watch_killed(&alive.watch);
	watch_killed(&gone.watch);
	assert_false(fs_cancelled(&alive.req));
	assert_true(fs_cancelled(&gone.req));
	assert_int_equal(gone.calls, 1);
	watch_remove(&gone.watch);
	watch_remove(&alive.watch);
}

/*
 * It is being killed some time after the interrupt: the thread that looks now and then finds out.
 */
static void killed_later(void **state)
{
	struct watched w;
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	watch_it(&w, pid);
	watch_killed(&w.watch);
	assert_false(fs_cancelled(&w.req));
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while (!fs_cancelled(&w.req))
		usleep(1000);
	watch_remove(&w.watch);
	assert_int_equal(w.calls, 1);
}

/* A caller that the server cannot see is not taken for one that was killed. */
static void who_cannot_be_seen_is_not_killed(void **state)
{
	struct watched unseen, w;
	pid_t pid = fork();

	if (!pid) {
		pause();
		_exit(0);
	}
	watch_it(&unseen, 0);
	watch_killed(&unseen.watch);
	watch_it(&w, pid);
	watch_killed(&w.watch);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	while (!fs_cancelled(&w.req))
		usleep(1000);
	assert_false(fs_cancelled(&unseen.req)); /* the same round has looked at both */
	watch_remove(&w.watch);
	watch_remove(&unseen.watch);
	assert_int_equal(unseen.calls, 0);
}

/* Last: nothing begins after it. */
static void the_end_cancels_all(void **state)
{
	struct watched w, late;

	watch_it(&w, getpid());
	watch_stop();
	assert_true(fs_cancelled(&w.req));
	assert_int_equal(w.calls, 1);
	watch_it(&late, getpid());
	assert_true(fs_cancelled(&late.req));
	watch_remove(&late.watch);
	watch_remove(&w.watch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cancelled_once),
		cmocka_unit_test(interrupted_is_not_killed),
		cmocka_unit_test(killed_later),
		cmocka_unit_test(who_cannot_be_seen_is_not_killed),
		cmocka_unit_test(the_end_cancels_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
