/*
 * test_run.c - slots (cases named by the guarantees of run/run.c), RCU registration, and the trace
 * ring
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include "rcu/rcu.h"
#include "run/run.h"
#include "helpers/trace.h"

#define THREADS 8
#define ROUNDS	3000

static int owners[BPF_MAX_SLOTS];
static u64 counts[BPF_MAX_SLOTS]; /* plain: only the owner of a slot touches its own */
static u32 broken;

static void *slot_worker(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		int slot;

		bpf_run_enter();
		slot = bpf_this.slot;
		if (slot < 0 || (u32)slot >= bpf_nr_slots() ||
		    __atomic_add_fetch(&owners[slot], 1, __ATOMIC_SEQ_CST) != 1)
			__atomic_add_fetch(&broken, 1, __ATOMIC_RELAXED);
		counts[slot]++;
		if (i % 64 == 0)
			sched_yield();
		__atomic_sub_fetch(&owners[slot], 1, __ATOMIC_SEQ_CST);
		bpf_run_exit();
		if (bpf_this.slot != -1)
			__atomic_add_fetch(&broken, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void A_B_one_owner_a_slot(void **state)
{
	pthread_t threads[THREADS];
	u64 total = 0;

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, slot_worker, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (u32 i = 0; i < bpf_nr_slots(); i++)
		total += counts[i];
	assert_int_equal(broken, 0);
	assert_int_equal(total, THREADS * ROUNDS); /* B: no increment of another owner was lost */
}

/* Threads that have all the slots until they are told to let one go. */
static struct {
	pthread_t threads[BPF_MAX_SLOTS];
	int has[2], let_go[2];
} holders;

static void *hold_slot(void *arg)
{
	char c;

	bpf_slot_keep();
	if (write(holders.has[1], "k", 1) != 1 || read(holders.let_go[0], &c, 1) != 1)
		__atomic_add_fetch(&broken, 1, __ATOMIC_RELAXED);
	bpf_slot_release();
	return NULL;
}

static void hold_all_slots(void)
{
	char c;

	assert_int_equal(pipe(holders.has) | pipe(holders.let_go), 0);
	for (u32 i = 0; i < bpf_nr_slots(); i++)
		assert_int_equal(pthread_create(&holders.threads[i], NULL, hold_slot, NULL), 0);
	for (u32 i = 0; i < bpf_nr_slots(); i++)
		assert_int_equal(read(holders.has[0], &c, 1), 1);
}

static void let_go_of(u32 n)
{
	while (n--)
		assert_int_equal(write(holders.let_go[1], "g", 1), 1);
}

static void join_holders(void)
{
	for (u32 i = 0; i < bpf_nr_slots(); i++)
		pthread_join(holders.threads[i], NULL);
	assert_int_equal(broken, 0);
	for (u32 i = 0; i < 2; i++)
		close(holders.has[i]), close(holders.let_go[i]);
}

static void *wait_for_slot(void *arg)
{
	bpf_run_enter();
	__atomic_store_n((int *)arg, 1, __ATOMIC_SEQ_CST);
	bpf_run_exit();
	return NULL;
}

static void C_a_thread_without_a_slot_sleeps_and_wakes(void **state)
{
	pthread_t waiter;
	int got = 0;

	hold_all_slots();
	pthread_create(&waiter, NULL, wait_for_slot, &got);
	usleep(50000);
	assert_int_equal(__atomic_load_n(&got, __ATOMIC_SEQ_CST), 0);
	/* C: it waits outside of a read section, so a grace period can pass. */
	bpf_synchronize_rcu();
	let_go_of(1);
	pthread_join(waiter, NULL);
	assert_int_equal(got, 1);
	let_go_of(bpf_nr_slots() - 1);
	join_holders();
}

static void D_nested_runs_keep_the_slot(void **state)
{
	int slot;

	bpf_run_enter();
	slot = bpf_this.slot;
	bpf_run_enter();
	assert_int_equal(bpf_this.slot, slot);
	bpf_run_exit();
	assert_int_equal(bpf_this.slot, slot);
	bpf_run_exit();
	assert_int_equal(bpf_this.slot, -1);

	bpf_slot_keep();
	slot = bpf_this.slot;
	bpf_run_enter();
	bpf_run_exit();
	assert_int_equal(bpf_this.slot, slot);
	bpf_slot_release();
	assert_int_equal(bpf_this.slot, -1);
	bpf_slot_release(); /* nothing to release */
}

struct node {
	struct rcu_head rcu;
	int *freed;
};

static void node_free(struct rcu_head *head)
{
	struct node *node = container_of(head, struct node, rcu);

	bpf_rcu_read_lock(); /* callbacks may use RCU, whatever ran before them */
	__atomic_add_fetch(node->freed, 1, __ATOMIC_SEQ_CST);
	free(node);
	bpf_rcu_read_unlock();
}

static void *rcu_worker(void *arg)
{
	for (int i = 0; i < 100; i++) {
		struct node *node = malloc(sizeof(*node));

		node->freed = arg;
		bpf_rcu_read_lock();
		bpf_rcu_read_lock();
		bpf_rcu_read_unlock();
		bpf_rcu_read_unlock();
		bpf_call_rcu(&node->rcu, node_free);
	}
	return NULL;
}

/* Threads come and go without ever saying so; a grace period must not wait for those that ended. */
static void rcu_threads_register_themselves(void **state)
{
	pthread_t threads[4];
	int freed = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 4; i++)
			pthread_create(&threads[i], NULL, rcu_worker, &freed);
		for (int i = 0; i < 4; i++)
			pthread_join(threads[i], NULL);
		bpf_synchronize_rcu();
	}
	bpf_rcu_barrier();
	assert_int_equal(freed, 1200);
}

/* Both sides of a fork() go on; the child has a thread for callbacks of its own. */
static void rcu_survives_fork(void **state)
{
	static int freed;
	int status;
	pid_t pid;

#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer does not let a child make threads\n");
	skip();
#endif
	for (int round = 1; round <= 20; round++) {
		rcu_worker(&freed);
		pid = fork();
		if (!pid) {
			alarm(100);
			rcu_worker(&freed);
			bpf_rcu_barrier();
			_exit(freed == round * 100 + 100 ? 0 : 1);
		}
		assert_true(pid > 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
	bpf_rcu_barrier();
	assert_int_equal(freed, 2000);
}

static struct thing {
	int value;
	struct rcu_head rcu;
} * shared;

static void thing_free(struct rcu_head *head)
{
	struct thing *thing = container_of(head, struct thing, rcu);

	thing->value = -1;
	free(thing);
}

static int readers_done;

static void *rcu_reader(void *arg)
{
	for (int i = 0; i < 20000; i++) {
		struct thing *thing;

		bpf_rcu_read_lock();
		thing = bpf_rcu_dereference(shared);
		if (thing->value < 0)
			__atomic_add_fetch(&broken, 1, __ATOMIC_RELAXED);
		bpf_rcu_read_unlock();
	}
	__atomic_store_n(&readers_done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Under SAN=thread this is also the test of what the sanitizer is told. */
static void rcu_readers_never_see_freed_memory(void **state)
{
	pthread_t reader;
	struct thing *old;

	shared = calloc(1, sizeof(*shared));
	pthread_create(&reader, NULL, rcu_reader, NULL);
	for (int i = 0; i < 2000 && !__atomic_load_n(&readers_done, __ATOMIC_ACQUIRE); i++) {
		struct thing *thing = calloc(1, sizeof(*thing));

		thing->value = i;
		old = bpf_rcu_xchg_pointer(shared, thing);
		bpf_call_rcu(&old->rcu, thing_free);
	}
	pthread_join(reader, NULL);
	bpf_rcu_barrier();
	free(shared);
	assert_int_equal(broken, 0);
}

/* ---- the trace ring */

static u32 notified;

static void notify(void)
{
	notified++;
}

static void trace_lines_come_whole_and_in_order(void **state)
{
	char buf[64];
	size_t len;

	bpf_trace_notify = notify;
	assert_int_equal(bpf_trace_read(buf, sizeof(buf)), 0);
	bpf_trace_write("first\n", 6);
	bpf_trace_write("second", 6); /* a newline is added */
	assert_int_equal(notified, 2);
	len = bpf_trace_read(buf, 8); /* room for one line and a part of the next */
	assert_int_equal(len, 6);
	assert_memory_equal(buf, "first\n", 6);
	len = bpf_trace_read(buf, sizeof(buf));
	assert_int_equal(len, 7);
	assert_memory_equal(buf, "second\n", 7);
	assert_int_equal(bpf_trace_read(buf, sizeof(buf)), 0);

	/* A line that is longer than the buffer comes in parts. */
	bpf_trace_write("0123456789\n", 11);
	assert_int_equal(bpf_trace_read(buf, 4), 4);
	assert_memory_equal(buf, "0123", 4);
	assert_int_equal(bpf_trace_read(buf, sizeof(buf)), 7);
	assert_memory_equal(buf, "456789\n", 7);
	bpf_trace_notify = NULL;
}

static void trace_loses_the_oldest_lines_first(void **state)
{
	static char all[1 << 20];
	char line[32], last[32] = "";
	unsigned int first, n, lines = 0;
	size_t len = 0, got;

	for (int i = 0; i < 50000; i++) {
		int l = snprintf(line, sizeof(line), "line %d\n", i);

		bpf_trace_write(line, (size_t)l);
	}
	while ((got = bpf_trace_read(all + len, sizeof(all) - len - 1)))
		len += got;
	all[len] = 0;
	assert_int_equal(sscanf(all, "line %u\n", &first), 1);
	assert_true(first > 0);
	for (char *p = all; *p; p = strchr(p, '\n') + 1, lines++) {
		assert_int_equal(sscanf(p, "line %u\n", &n), 1);
		assert_int_equal(n, first + lines);
		snprintf(last, sizeof(last), "%.20s", p);
	}
	assert_int_equal(n, 49999);
}

/* arg: the group; where it says that it has one; from where it is told to end. */
static void *hold_a_slot(void *arg)
{
	int *fd = arg;
	char c;

	bpf_run_set_group((u32)fd[0]);
	bpf_run_enter();
	if (write(fd[1], "x", 1) != 1 || read(fd[2], &c, 1) != 1)
		abort();
	bpf_run_exit();
	bpf_run_set_group(0);
	return NULL;
}

/* As many threads of one group as there are slots, and another one's still finds a slot. */
static void E_one_group_leaves_a_slot(void **state)
{
	u32 nr = bpf_nr_slots(), share = nr - (nr + 3) / 4;
	int begun[2], end[2], fds[3];
	pthread_t threads[BPF_MAX_SLOTS];
	u32 releases = 0;
	char c;

	if (nr == 1) {
		print_message("there is one slot here\n");
		skip();
	}
	assert_int_equal(pipe(begun), 0);
	assert_int_equal(pipe(end), 0);
	fds[0] = 7;
	fds[1] = begun[1];
	fds[2] = end[0];
	for (u32 i = 0; i < nr; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hold_a_slot, fds), 0);
	for (u32 i = 0; i < share; i++)
		assert_int_equal(read(begun[0], &c, 1), 1);
	bpf_run_set_group(8);
	bpf_run_enter();
	assert_in_range(bpf_this.slot, 0, nr - 1);
	bpf_run_exit();
	bpf_run_set_group(0);
	/* Those that wait have their share: no slot would help them. */
	bpf_slots_stuck(&releases);
	assert_false(bpf_slots_stuck(&releases));
	for (u32 i = 0; i < nr; i++)
		assert_int_equal(write(end[1], "x", 1), 1);
	for (u32 i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	close(begun[0]);
	close(begun[1]);
	close(end[0]);
	close(end[1]);
}

/* A slot that is given back reaches who can use it, also when one that cannot has waited longer. */
static void E_a_waiter_that_may_not_leaves_it_to_another(void **state)
{
	u32 nr = bpf_nr_slots(), share = nr - (nr + 3) / 4, releases = 0, n = 0;
	int begun[2], end[2], others_end[2], group[3], others[3];
	pthread_t threads[BPF_MAX_SLOTS + 2];
	char c;

	if (nr == 1) {
		print_message("there is one slot here\n");
		skip();
	}
	assert_int_equal(pipe(begun), 0);
	assert_int_equal(pipe(end), 0);
	assert_int_equal(pipe(others_end), 0);
	group[0] = 7;
	others[0] = 0;
	group[1] = others[1] = begun[1];
	group[2] = end[0];
	others[2] = others_end[0];
	while (n < nr) {
		assert_int_equal(
			pthread_create(&threads[n], NULL, hold_a_slot, n < share ? group : others),
			0);
		assert_int_equal(read(begun[0], &c, 1), 1);
		n++;
	}
	assert_int_equal(pthread_create(&threads[n++], NULL, hold_a_slot, group), 0);
	usleep(20000); /* for it to be the first that waits; if not, nothing is shown */
	bpf_slots_stuck(&releases);
	assert_int_equal(pthread_create(&threads[n++], NULL, hold_a_slot, others), 0);
	while (!bpf_slots_stuck(&releases))
		usleep(1000);
	assert_int_equal(write(others_end[1], "x", 1), 1);
	assert_int_equal(read(begun[0], &c, 1), 1); /* it has it */
	for (u32 i = 0; i < nr - share; i++)
		assert_int_equal(write(others_end[1], "x", 1), 1);
	for (u32 i = 0; i < share + 1; i++)
		assert_int_equal(write(end[1], "x", 1), 1);
	while (n--)
		pthread_join(threads[n], NULL);
	for (u32 i = 0; i < 2; i++) {
		close(begun[i]);
		close(end[i]);
		close(others_end[i]);
	}
}

static void *enter_or_give_up(void *arg)
{
	bpf_run_set_cancel(arg);
	if (bpf_run_enter_unless_cancelled())
		abort();
	bpf_slot_keep();
	return bpf_this.slot < 0 && !bpf_this.depth ? NULL : arg;
}

static void F_who_is_cancelled_waits_for_no_slot(void **state)
{
	volatile bool cancel = false;
	pthread_t waiter;
	void *got;

	hold_all_slots();
	pthread_create(&waiter, NULL, enter_or_give_up, (void *)&cancel);
	usleep(50000);
	__atomic_store_n(&cancel, true, __ATOMIC_RELAXED);
	pthread_join(waiter, &got);
	assert_null(got);
	/* A free slot is taken by who is cancelled, too. */
	let_go_of(bpf_nr_slots());
	join_holders();
	bpf_run_set_cancel(&cancel);
	assert_true(bpf_run_enter_unless_cancelled());
	bpf_run_exit();
	bpf_run_set_cancel(&bpf_never_cancelled);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(A_B_one_owner_a_slot),
		cmocka_unit_test(C_a_thread_without_a_slot_sleeps_and_wakes),
		cmocka_unit_test(E_one_group_leaves_a_slot),
		cmocka_unit_test(E_a_waiter_that_may_not_leaves_it_to_another),
		cmocka_unit_test(F_who_is_cancelled_waits_for_no_slot),
		cmocka_unit_test(D_nested_runs_keep_the_slot),
		cmocka_unit_test(rcu_threads_register_themselves),
		cmocka_unit_test(rcu_survives_fork),
		cmocka_unit_test(rcu_readers_never_see_freed_memory),
		cmocka_unit_test(trace_lines_come_whole_and_in_order),
		cmocka_unit_test(trace_loses_the_oldest_lines_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
