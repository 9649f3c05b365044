/*
 * rcu.c - liburcu's memb flavour behind the engine's names
 *
 * What ThreadSanitizer is told: whatever a reader did before its unlock happened before the
 * callbacks and the synchronisations that end later. That is coarser than what RCU promises (it may
 * order a reader that a grace period did not wait for), never finer, so real races on freed memory
 * stay visible.
 */
#include <pthread.h>
#include "rcu/rcu.h"

#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif

#ifdef RCU_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
static char tsan_grace; /* stands for "a grace period" */

/*
 * liburcu's own allocations and frees are seen, but not what orders them. Reports on ours are kept.
 */
UBPFFS_EXPORT const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "called_from_lib:liburcu.so\n";
}
#define tsan_reader_done() __tsan_release(&tsan_grace)
#define tsan_grace_over()  __tsan_acquire(&tsan_grace)
#else
#define tsan_reader_done() ((void)0)
#define tsan_grace_over()  ((void)0)
#endif

static __thread bool thread_online __attribute__((tls_model("initial-exec")));
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;

static void thread_exit(void *unused)
{
	thread_online = false;
	rcu_unregister_thread();
}

static void key_make(void)
{
	/* Without a key a thread would stay registered after its end, and its memory be read. */
	if (pthread_key_create(&key, thread_exit))
		abort();
}

/*
 * liburcu's own thread, which runs the callbacks, is registered by liburcu, and a second time is an
 * error. It is asked which one that is: after a fork() the child has a new one, and the parent's
 * callbacks in any order.
 */
static pthread_once_t worker_once = PTHREAD_ONCE_INIT;
static bool worker_started;

static void worker_start(void)
{
	pthread_atfork(call_rcu_before_fork, call_rcu_after_fork_parent, call_rcu_after_fork_child);
	__atomic_store_n(&worker_started, true, __ATOMIC_RELEASE);
}

static bool is_worker(void)
{
	return __atomic_load_n(&worker_started, __ATOMIC_ACQUIRE) &&
	       pthread_equal(get_call_rcu_thread(get_default_call_rcu_data()), pthread_self());
}

static void thread_register(void)
{
	if (!is_worker()) {
		pthread_once(&key_once, key_make);
		rcu_register_thread();
		pthread_setspecific(key, &thread_online);
	}
	thread_online = true;
}

void bpf_rcu_thread_online(void)
{
	if (unlikely(!thread_online))
		thread_register();
}

void bpf_rcu_read_lock(void)
{
	bpf_rcu_thread_online();
	rcu_read_lock();
}

void bpf_rcu_read_unlock(void)
{
	tsan_reader_done();
	rcu_read_unlock();
}

#ifdef RCU_TSAN
/* liburcu calls back with the head only: the function to call is kept in a cell of its own. */
struct rcu_cell {
	struct rcu_head own;
	struct rcu_head *head;
	void (*func)(struct rcu_head *head);
};

static void rcu_cell_run(struct rcu_head *own)
{
	struct rcu_cell *cell = container_of(own, struct rcu_cell, own);

	tsan_grace_over();
	cell->func(cell->head);
	free(cell);
	tsan_reader_done(); /* what it did happened before the end of a bpf_rcu_barrier() */
}

void bpf_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	struct rcu_cell *cell = malloc(sizeof(*cell));

	if (!cell)
		abort();
	cell->head = head;
	cell->func = func;
	bpf_rcu_thread_online();
	pthread_once(&worker_once, worker_start);
	tsan_reader_done();
	call_rcu(&cell->own, rcu_cell_run);
}
#else
void bpf_call_rcu(struct rcu_head *head, void (*func)(struct rcu_head *head))
{
	bpf_rcu_thread_online();
	pthread_once(&worker_once, worker_start);
	call_rcu(head, func);
}
#endif

void bpf_synchronize_rcu(void)
{
	bpf_rcu_thread_online();
	tsan_reader_done();
	synchronize_rcu();
	tsan_grace_over();
}

void bpf_rcu_barrier(void)
{
	bpf_rcu_thread_online();
	tsan_reader_done();
	rcu_barrier();
	tsan_grace_over();
}
