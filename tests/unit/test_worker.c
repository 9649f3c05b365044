/*
 * test_worker.c - whose job begins when (cases named by the guarantees of fs/work/worker.h), and
 * what cpu_limit.h ends
 *
 * Jobs wait for a gate that the test opens, so that no case depends on time.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "run/run.h"
#include "fs/work/cpu_limit.h"
#include "fs/work/cpu_usage.h"
#include "fs/work/worker.h"

#define ALICE 4000001 /* nobody who runs tests */
#define BOB   4000002
#define MAX   256

struct gated {
	struct worker_job work;
	u32 gate; /* which one it waits for */
	volatile bool hurry;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static u32 open_gates, begun, ended;
static uid_t order[MAX]; /* whose jobs began */

static void gated_run(struct worker_job *work)
{
	struct gated *job = container_of(work, struct gated, work);

	pthread_mutex_lock(&lock);
	order[begun++ % MAX] = work->uid;
	pthread_cond_broadcast(&changed);
	while (!__atomic_load_n(&job->hurry, __ATOMIC_RELAXED) && job->gate >= open_gates)
		pthread_cond_wait(&changed, &lock);
	ended++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static int reset(void **state)
{
	open_gates = begun = ended = 0;
	return 0;
}

static void submit(struct gated *job, uid_t uid, enum worker_class class, u32 gate)
{
	*job = (struct gated){.work = {.run = gated_run, .uid = uid, .class = class}, .gate = gate};
	job->work.hurry = &job->hurry;
	worker_submit(&job->work);
}

static void wait_for(const u32 *what, u32 least)
{
	pthread_mutex_lock(&lock);
	while (*what < least)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

/* Nothing more begins: what could have had time to. */
static void stays(const u32 *what, u32 value)
{
	nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
	pthread_mutex_lock(&lock);
	assert_int_equal(*what, value);
	pthread_mutex_unlock(&lock);
}

static void open_gate(u32 gate)
{
	pthread_mutex_lock(&lock);
	open_gates = gate + 1;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void C_one_user_leaves_threads_for_others(void **state)
{
	static struct gated hogs[100], other, brief;

	for (u32 i = 0; i < ARRAY_SIZE(hogs); i++)
		submit(&hogs[i], ALICE, WORKER_LONG, 0);
	wait_for(&begun, WORKER_USER_LONG);
	stays(&begun, WORKER_USER_LONG);
	submit(&other, BOB, WORKER_LONG, 0);
	wait_for(&begun, WORKER_USER_LONG + 1);
	assert_int_equal(order[WORKER_USER_LONG], BOB);
	submit(&brief, ALICE, WORKER_SHORT, 0); /* her own, too: long ones are not in its way */
	wait_for(&begun, WORKER_USER_LONG + 2);
	open_gate(0);
	wait_for(&ended, ARRAY_SIZE(hogs) + 2);
}

static void A_B_users_take_turns(void **state)
{
	static const uid_t turns[] = {ALICE, BOB, ALICE, BOB};
	static struct gated first[32], rest[16];
	const u32 n = ARRAY_SIZE(first);

	/* As many as may run, each of another user: the next begin one by one, as these end. */
	for (u32 i = 0; i < n; i++)
		submit(&first[i], 2000 + i, WORKER_LONG, i);
	wait_for(&begun, n);
	for (u32 i = 0; i < ARRAY_SIZE(rest); i++)
		submit(&rest[i], i < 8 ? ALICE : BOB, WORKER_LONG, n);
	stays(&begun, n);
	for (u32 i = 0; i < ARRAY_SIZE(turns); i++) {
		open_gate(i);
		wait_for(&begun, n + i + 1);
		assert_int_equal(order[n + i], turns[i]); /* although all of hers came first */
	}
	open_gate(n);
	wait_for(&ended, n + ARRAY_SIZE(rest));
}

static void D_long_jobs_leave_threads_for_short_ones(void **state)
{
	static struct gated hogs[200], brief;

	for (u32 i = 0; i < ARRAY_SIZE(hogs); i++)
		submit(&hogs[i], 2000 + i, i % 2 ? WORKER_LONG : WORKER_WAITING, 0);
	wait_for(&begun, 32 + 64);
	submit(&brief, ALICE, WORKER_SHORT, 0);
	wait_for(&begun, 32 + 64 + 1);
	assert_int_equal(order[32 + 64], ALICE);
	open_gate(0);
	wait_for(&ended, ARRAY_SIZE(hogs) + 1);
}

static void E_what_is_cancelled_begins_at_once(void **state)
{
	static struct gated hogs[10];

	for (u32 i = 0; i < ARRAY_SIZE(hogs); i++)
		submit(&hogs[i], ALICE, WORKER_LONG, 0);
	wait_for(&begun, WORKER_USER_LONG);
	stays(&begun, WORKER_USER_LONG);
	__atomic_store_n(&hogs[7].hurry, true, __ATOMIC_RELAXED);
	worker_hurry(&hogs[7].work);
	wait_for(&ended, 1);
	worker_hurry(&hogs[7].work); /* it is not queued any more */
	stays(&ended, 1);
	open_gate(0);
	wait_for(&ended, ARRAY_SIZE(hogs));
}

/* ---- cpu_limit */

struct burner {
	enum cpu_limit_kind kind;
	u64 limit_ns;
	volatile bool cancel;
	u8 over;
};

static void *burn(void *arg)
{
	struct burner *b = arg;
	struct cpu_limit cpu_limit;

	cpu_limit_begin(&cpu_limit, b->kind, b->limit_ns, &b->cancel);
	while (!__atomic_load_n(&b->cancel, __ATOMIC_RELAXED))
		;
	b->over = cpu_limit_over(&cpu_limit);
	cpu_limit_end(&cpu_limit);
	return NULL;
}

static void work_beyond_its_limit_is_cancelled(void **state)
{
	struct burner b = {.kind = CPU_LIMIT_VERIFY, .limit_ns = 20000000};
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, burn, &b), 0);
	pthread_join(thread, NULL);
	assert_int_equal(b.over, CPU_LIMIT_OVER_LIMIT);
}

/* A new piece has all of its time before it; so small ones may go on for ever. */
static void many_small_pieces_are_within_the_limit(void **state)
{
	volatile bool cancel = false;
	struct timespec start, now;
	struct cpu_limit cpu_limit;

	cpu_limit_begin(&cpu_limit, CPU_LIMIT_PACKETS, 500000000, &cancel);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	do {
		assert_false(cpu_limit_pause(&cpu_limit));
		cpu_limit_go_on(&cpu_limit);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000000000LL + now.tv_nsec - start.tv_nsec <
		 1000000000LL);
	cpu_limit_end(&cpu_limit);
	assert_false(cancel);
	assert_int_equal(cpu_limit_over(&cpu_limit), 0);
}

static void spin(struct worker_job *work)
{
	struct timespec ts;
	long begun_ms, ms;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	begun_ms = ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	do {
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
		ms = ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	} while (ms - begun_ms < 120);
	pthread_mutex_lock(&lock);
	ended++;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

static void F_who_had_much_steps_back(void **state)
{
	struct worker_job jobs[64];
	struct gated other;
	u32 n = 0;

	/* On a machine with other work some of it is forgotten meanwhile. */
	for (; n < ARRAY_SIZE(jobs) && !cpu_usage_is_over(ALICE); n++) {
		jobs[n] = (struct worker_job){.run = spin, .uid = ALICE};
		worker_submit(&jobs[n]);
		wait_for(&ended, n + 1);
		for (u32 k = 0; k < 50 && !cpu_usage_is_over(ALICE);
		     k++) /* counted as it has ended */
			usleep(1000);
	}
	assert_true(cpu_usage_is_over(ALICE));
	wait_for(&ended, n);
	assert_false(cpu_usage_is_over(BOB));
	submit(&other, BOB, WORKER_SHORT, 0);
	wait_for(&begun, 1);
	open_gate(0);
	wait_for(&ended, n + 1);
	for (n = 0; cpu_usage_is_over(ALICE) && n < 1000; n++)
		usleep(10000);
	assert_false(cpu_usage_is_over(ALICE));
}

/* Short ones of others begin meanwhile; he has all again when he had less. */
static void F_who_steps_back_has_few_at_once(void **state)
{
	const u32 few = (u32)max(sysconf(_SC_NPROCESSORS_ONLN) / 2, 1L);
	struct gated jobs[WORKER_USER_SHORT], other;
	u32 n = 0;

	if (few >= WORKER_USER_SHORT) {
		print_message("half of the processors here are as many as a user has anyway\n");
		skip();
	}
	cpu_usage_add(ALICE, 1ULL << 62); /* for longer than this takes */
	for (u32 i = 0; i < ARRAY_SIZE(jobs); i++)
		submit(&jobs[i], ALICE, WORKER_SHORT, 0);
	wait_for(&begun, few);
	submit(&other, BOB, WORKER_SHORT, 0);
	wait_for(&begun, few + 1);
	pthread_mutex_lock(&lock);
	for (u32 i = 0; i < begun; i++)
		n += order[i] == ALICE;
	pthread_mutex_unlock(&lock);
	assert_int_equal(n, few);
	open_gate(0);
	wait_for(&ended, ARRAY_SIZE(jobs) + 1);
}

static void stop(void **state)
{
	cpu_limit_stop();
	worker_stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(C_one_user_leaves_threads_for_others, reset),
		cmocka_unit_test_setup(A_B_users_take_turns, reset),
		cmocka_unit_test_setup(D_long_jobs_leave_threads_for_short_ones, reset),
		cmocka_unit_test_setup(E_what_is_cancelled_begins_at_once, reset),
		cmocka_unit_test(work_beyond_its_limit_is_cancelled),
		cmocka_unit_test(many_small_pieces_are_within_the_limit),
		cmocka_unit_test_setup(F_who_had_much_steps_back, reset),
		cmocka_unit_test_setup(F_who_steps_back_has_few_at_once, reset),
		cmocka_unit_test(stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
