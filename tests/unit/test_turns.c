/*
 * test_turns.c - fs/fuse/turns.c: whose requests go through the workers, and which never do
 *
 * libfuse is replaced by a note of what it was given.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/fuse/protocol/current.h"
#include "fs/fuse/fuse.h"
#include "fs/fuse/protocol/protocol.h"
#include "fs/fuse/turns.h"
#include "fs/lib/metrics.h"
#include "fs/work/cpu_usage.h"
#include "fs/work/worker.h"
#include "util/clock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct {
	u32 nr;
	pthread_t thread;
	struct fuse_session *session;
	u64 unique;
	size_t size;
	char bytes[256];
} given;

void fuse_session_process_buf(struct fuse_session *se, const struct fuse_buf *buf)
{
	pthread_mutex_lock(&lock);
	given.nr++;
	given.thread = pthread_self();
	given.session = se;
	given.unique = current_request();
	given.size = buf->size;
	memcpy(given.bytes, buf->mem, buf->size);
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

struct request {
	struct fuse_request_head head;
	char arg[16];
};

static struct request request_of(uid_t uid, u32 opcode)
{
	return (struct request){
		.head = {.len = sizeof(struct request), .opcode = opcode, .unique = 77, .uid = uid},
		.arg = "argument"};
}

static uid_t other(void)
{
	return geteuid() + 4321;
}

/* Half of it is forgotten each tenth of a second: enough for a machine that stands still. */
static void make_busy(uid_t uid)
{
	for (u32 i = 0; i < 64; i++)
		cpu_usage_add(uid, 1000000000ULL << 20);
}

static void who_had_little_is_served_here(void **state)
{
	struct request r = request_of(other() + 1, OPCODE_LOOKUP);

	assert_false(turns_hand_on(&r, sizeof(r)));
	assert_int_equal(given.nr, 0);
	turns_done();
	assert_false(turns_hand_on(&r, sizeof(r.head) - 1)); /* no whole header */
}

static void who_had_much_takes_turns(void **state)
{
	struct request r = request_of(other(), OPCODE_LOOKUP);
	u64 used = limits_used(other(), LIMIT_MEMORY), before = fs_metrics.handed_on;

	make_busy(other());
	assert_true(turns_hand_on(&r, sizeof(r)));
	pthread_mutex_lock(&lock);
	while (!given.nr)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	assert_int_equal(given.nr, 1);
	assert_false(pthread_equal(given.thread, pthread_self()));
	assert_ptr_equal(given.session, &given);
	assert_int_equal(given.unique, 77);
	assert_int_equal(given.size, sizeof(r));
	assert_memory_equal(given.bytes, &r, sizeof(r));
	assert_int_equal(fs_metrics.handed_on, before + 1);
	worker_stop();
	assert_int_equal(limits_used(other(), LIMIT_MEMORY), used);
}

static void what_ends_something_stays(void **state)
{
	static const u32 stay[] = {OPCODE_FORGET,	OPCODE_RELEASE,	    OPCODE_INIT,
				   OPCODE_RELEASEDIR,	OPCODE_INTERRUPT,   OPCODE_DESTROY,
				   OPCODE_NOTIFY_REPLY, OPCODE_BATCH_FORGET};
	struct request r;

	make_busy(other());
	for (u32 i = 0; i < ARRAY_SIZE(stay); i++) {
		r = request_of(other(), stay[i]);
		assert_false(turns_hand_on(&r, sizeof(r)));
	}
}

static void root_and_who_runs_the_server_wait_for_nobody(void **state)
{
	const uid_t free[] = {0, geteuid()};

	for (u32 i = 0; i < ARRAY_SIZE(free); i++) {
		struct request r = request_of(free[i], OPCODE_LOOKUP);

		make_busy(free[i]);
		assert_false(turns_hand_on(&r, sizeof(r)));
		turns_done();
	}
}

/* Who may have no more memory of ours is served here all the same. */
static void at_the_limit_it_is_done_here(void **state)
{
	struct request r = request_of(other(), OPCODE_LOOKUP);

	make_busy(other());
	assert_int_equal(limits_set(other(), LIMIT_MEMORY, 10), 0);
	assert_false(turns_hand_on(&r, sizeof(r)));
	turns_done();
	limits_unset(other(), LIMIT_MEMORY);
}

/* What a thread does between two reads of the device is counted for who asked. */
static void processor_time_is_counted(void **state)
{
	uid_t uid = other() + 2;
	struct request r = request_of(uid, OPCODE_LOOKUP);

	do { /* once, unless this thread is held up just before it looks */
		u64 until = clock_ns(CLOCK_THREAD_CPUTIME_ID) + 200000000;

		assert_false(turns_hand_on(&r, sizeof(r)));
		while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < until)
			;
		turns_done();
	} while (!cpu_usage_is_over(uid));
	turns_done(); /* nobody's now */
}

static int begin(void **state)
{
	turns_start((struct fuse_session *)&given);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_had_little_is_served_here),
		cmocka_unit_test(what_ends_something_stays),
		cmocka_unit_test(root_and_who_runs_the_server_wait_for_nobody),
		cmocka_unit_test(at_the_limit_it_is_done_here),
		cmocka_unit_test(processor_time_is_counted),
		cmocka_unit_test(who_had_much_takes_turns),
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
