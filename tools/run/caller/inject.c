/*
 * inject.c - see inject.h
 */
#include <elf.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tools/run/caller/inject.h"

/* ---- stops, from the thread that waits to the one that traces */

struct traced {
	pid_t tid;
	bool stopped;
	int status;
	struct traced *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct traced *list;

bool inject_waited(pid_t tid, int status)
{
	struct traced *t;

	pthread_mutex_lock(&lock);
	for (t = list; t && t->tid != tid; t = t->next)
		;
	if (t) {
		t->stopped = true;
		t->status = status;
		pthread_cond_broadcast(&changed);
	}
	pthread_mutex_unlock(&lock);
	/* How the command itself ended is also the waiter's. */
	return t && WIFSTOPPED(status);
}

static void add(struct traced *t, pid_t tid)
{
	*t = (struct traced){.tid = tid};
	pthread_mutex_lock(&lock);
	t->next = list;
	list = t;
	pthread_mutex_unlock(&lock);
}

static void take_out(pid_t tid)
{
	struct traced **at;

	pthread_mutex_lock(&lock);
	for (at = &list; *at && (*at)->tid != tid; at = &(*at)->next)
		;
	if (*at)
		*at = (*at)->next;
	pthread_mutex_unlock(&lock);
}

/* The next stop; -ESRCH: it has ended. */
static int next_stop(pid_t tid, int *status)
{
	struct traced *t;
	int err = -ESRCH;

	pthread_mutex_lock(&lock);
	for (t = list; t && t->tid != tid; t = t->next)
		;
	while (t && !t->stopped)
		pthread_cond_wait(&changed, &lock);
	if (t) {
		t->stopped = false;
		*status = t->status;
		err = WIFSTOPPED(t->status) ? 0 : -ESRCH;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

/* ---- registers */

static long get_regs(pid_t tid, struct user_regs_struct *regs)
{
	struct iovec iov = {regs, sizeof(*regs)};

	return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov) ? -errno : 0;
}

static long set_regs(pid_t tid, const struct user_regs_struct *regs)
{
	struct iovec iov = {(void *)regs, sizeof(*regs)};

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov) ? -errno : 0;
}

#if defined(__x86_64__)
#define INSN_LEN 2

static void set_call(struct user_regs_struct *regs, uint64_t ip, long nr, const uint64_t args[6])
{
	regs->rip = ip - INSN_LEN;
	regs->rax = nr;
	regs->orig_rax = -1; /* no call to begin again */
	regs->rdi = args[0];
	regs->rsi = args[1];
	regs->rdx = args[2];
	regs->r10 = args[3];
	regs->r8 = args[4];
	regs->r9 = args[5];
}

static void set_result(struct user_regs_struct *regs, uint64_t ip, long ret)
{
	regs->rip = ip;
	regs->orig_rax = -1;
	regs->rax = ret;
}

static long result(const struct user_regs_struct *regs)
{
	return regs->rax;
}
#elif defined(__aarch64__)
#define INSN_LEN 4

static void set_call(struct user_regs_struct *regs, uint64_t ip, long nr, const uint64_t args[6])
{
	regs->pc = ip - INSN_LEN;
	for (int i = 0; i < 6; i++)
		regs->regs[i] = args[i];
	regs->regs[8] = nr;
}

static void set_result(struct user_regs_struct *regs, uint64_t ip, long ret)
{
	regs->pc = ip;
	regs->regs[0] = ret;
}

static long result(const struct user_regs_struct *regs)
{
	return regs->regs[0];
}
#endif

/* ---- the traced thread */

/* Each injection is of one tracer, which lives as long as it. */
static __thread struct traced mine;

int inject_begin(struct inject *in, struct caller *c)
{
	int status, err;

	*in = (struct inject){.c = c};
	add(&mine, c->tid);
	if (ptrace(PTRACE_SEIZE, c->tid, 0, PTRACE_O_TRACESYSGOOD)) {
		err = -errno;
		take_out(c->tid);
		return err;
	}
	if (!caller_waits(c) || ptrace(PTRACE_INTERRUPT, c->tid, 0, 0)) {
		/* Another one's number, or it ended: whoever it is goes on by itself. */
		take_out(c->tid);
		return -ESRCH;
	}
	caller_answer(c, 0);
	/* Before it goes on it stops: for us first, or for a signal. */
	for (;;) {
		err = next_stop(c->tid, &status);
		if (err || status >> 16 == PTRACE_EVENT_STOP)
			break;
		if (in->nr_signals < 8)
			in->signals[in->nr_signals++] = WSTOPSIG(status);
		ptrace(PTRACE_CONT, c->tid, 0, 0);
	}
	if (!err)
		err = get_regs(c->tid, &in->regs);
	if (err)
		take_out(c->tid);
	return err ? -ESRCH : 0;
}

/* Up to the entry or the exit of a call. */
static int to_syscall_stop(struct inject *in)
{
	pid_t tid = in->c->tid;
	int status, err;

	for (;;) {
		if (ptrace(PTRACE_SYSCALL, tid, 0, 0))
			return -ESRCH;
		err = next_stop(tid, &status);
		if (err || WSTOPSIG(status) == (SIGTRAP | 0x80))
			return err;
		if (status >> 16 != PTRACE_EVENT_STOP && in->nr_signals < 8)
			in->signals[in->nr_signals++] = WSTOPSIG(status);
	}
}

long inject_call(struct inject *in, long nr, const uint64_t args[6])
{
	struct user_regs_struct regs = in->regs;
	long err;

	set_call(&regs, in->c->data.instruction_pointer, nr, args);
	err = set_regs(in->c->tid, &regs);
	if (!err)
		err = to_syscall_stop(in);
	if (!err)
		err = to_syscall_stop(in);
	if (!err)
		err = get_regs(in->c->tid, &regs);
	return err ? -ESRCH : result(&regs);
}

void inject_end(struct inject *in, long ret)
{
	pid_t tid = in->c->tid;

	set_result(&in->regs, in->c->data.instruction_pointer, ret);
	set_regs(tid, &in->regs);
	take_out(tid);
	ptrace(PTRACE_DETACH, tid, 0, 0);
	for (unsigned int i = 0; i < in->nr_signals; i++)
		syscall(SYS_tkill, tid, in->signals[i]);
}
