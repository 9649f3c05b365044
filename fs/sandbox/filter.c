/*
 * filter.c - see filter.h
 */
#include "fs/sandbox/filter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define MOST_CALLS 1024 /* numbers above have no name here */
#define LINE_MAX   256

#define WX (PROT_WRITE | PROT_EXEC)

static const struct filter_rule common[] = {
	ALLOW(read),
	ALLOW(readv),
	ALLOW(pread64),
	ALLOW(lseek),
	ALLOW(close),
	ALLOW(fstat),
	ALLOW(newfstatat), /* by which libc does that */
	ALLOW(fcntl),
	/* Memory: what can be written is never executed in the same mapping. */
	ALLOW_IF(mmap, ARG_HAS(2, PROT_EXEC, 0)),
	ALLOW_IF(mmap, ARG_HAS(2, WX, PROT_EXEC)),
	ALLOW_IF(mprotect, ARG_HAS(2, PROT_EXEC, 0)),
	ALLOW_IF(mprotect, ARG_HAS(2, WX, PROT_EXEC)),
	ALLOW(munmap),
	ALLOW(mremap),
	ALLOW(madvise),
	ALLOW(brk),
	/* Threads, signals, time. */
	ALLOW(futex),
	ALLOW(sched_yield),
	ALLOW(set_robust_list),
	ALLOW(rseq),
	ALLOW(gettid),
	ALLOW(getpid),
	ALLOW(getppid),
	ALLOW(getuid),
	ALLOW(geteuid),
	ALLOW(getgid),
	ALLOW(getegid),
	ALLOW(rt_sigaction),
	ALLOW(rt_sigprocmask),
	ALLOW(rt_sigreturn),
	ALLOW(sigaltstack),
	ALLOW(restart_syscall),
	ALLOW(nanosleep),
	ALLOW(clock_nanosleep),
	ALLOW(clock_gettime),
	ALLOW(clock_getres),
	ALLOW(gettimeofday),
	ALLOW(getrandom),
	ALLOW(poll),
	ALLOW(ppoll),
	ALLOW(exit),
	ALLOW(exit_group),
};

const struct filter_list filter_common = {common, ARRAY_SIZE(common)};

/* ---- what is refused */

#if defined(__x86_64__)
#define RESULT(context) ((context)->uc_mcontext.gregs[REG_RAX])
#elif defined(__aarch64__)
#define RESULT(context) ((context)->uc_mcontext.regs[0])
#endif

#ifdef RESULT
static const char *names[MOST_CALLS];
static u8 said[MOST_CALLS];
static bool listed[MOST_CALLS];

/* Who may not write has nobody that would read it. */
static void say(int nr, const char *name, const char *why)
{
	char line[LINE_MAX];
	int n;

	if (!listed[SCMP_SYS(write)])
		return;
	n = snprintf(line, sizeof(line),
		     "ubpffs: system call %d (%s) is refused%s; -o sandbox=off refuses none\n", nr,
		     name ?: "?", why);
	(void)!write(STDERR_FILENO, line, (size_t)n);
}

/* The call was not made; what it returns is up to us. */
static void refused(int sig, siginfo_t *info, void *context)
{
	int nr = info->si_syscall, err = errno;
	int known = nr > 0 && nr < MOST_CALLS ? nr : 0; /* 0 is read(2), or what nobody makes */

	if (!__atomic_exchange_n(&said[known], 1, __ATOMIC_RELAXED))
		say(nr, known ? names[nr] : NULL,
		    known && listed[known] ? " with these arguments" : "");
	RESULT((ucontext_t *)context) = -(known && listed[known] ? EPERM : ENOSYS);
	errno = err;
}

static void set_names(void)
{
	if (names[0])
		return;
	for (int nr = 0; nr < MOST_CALLS; nr++)
		names[nr] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, nr);
}

static int catch_refused(void)
{
	struct sigaction sa = {.sa_sigaction = refused, .sa_flags = SA_SIGINFO | SA_NODEFER};

	set_names();
	return sigaction(SIGSYS, &sa, NULL) ? -errno : 0;
}

static void set_listed(int nr)
{
	if (nr >= 0 && nr < MOST_CALLS)
		listed[nr] = true;
}

#define OTHERS SCMP_ACT_TRAP
#else /* nobody can say it */
static int catch_refused(void)
{
	return 0;
}

static void set_listed(int nr)
{
}

#define OTHERS SCMP_ACT_ERRNO(ENOSYS)
#endif

/* ---- the filter */

static int add_rule(scmp_filter_ctx filter, const struct filter_rule *rule)
{
	u32 action = rule->absent ? SCMP_ACT_ERRNO(ENOSYS) : SCMP_ACT_ALLOW;

	set_listed(rule->nr);
	return seccomp_rule_add_array(filter, action, rule->nr, rule->nr_args, rule->args);
}

/* Of oneself only. */
static int add_own(scmp_filter_ctx filter)
{
	const struct filter_rule rules[] = {
		ALLOW_IF(kill, ARG_IS(0, (scmp_datum_t)getpid())),
		ALLOW_IF(tgkill, ARG_IS(0, (scmp_datum_t)getpid())),
		ALLOW_IF(prlimit64, ARG_IS(0, 0)),
		ALLOW_IF(prlimit64, ARG_IS(0, (scmp_datum_t)getpid())),
		ALLOW_IF(process_vm_readv, ARG_IS(0, (scmp_datum_t)getpid())),
		ALLOW_IF(sched_getaffinity, ARG_IS(0, 0)),
		ALLOW_IF(sched_getaffinity, ARG_IS(0, (scmp_datum_t)getpid())),
	};
	int err = 0;

	for (u32 i = 0; !err && i < ARRAY_SIZE(rules); i++)
		err = add_rule(filter, &rules[i]);
	return err;
}

static int add_lists(scmp_filter_ctx filter, const struct filter_list *const *lists, u32 nr)
{
	int err = add_own(filter);

	for (u32 i = 0; i < nr; i++)
		for (u32 k = 0; !err && k < lists[i]->nr; k++)
			err = add_rule(filter, &lists[i]->rules[k]);
	return err;
}

int filter_enter(const struct filter_list *const *lists, u32 nr)
{
	scmp_filter_ctx filter = seccomp_init(OTHERS);
	int err;

	if (!filter)
		return -ENOMEM;
	err = add_lists(filter, lists, nr);
	/* What programs cost by speculation is not changed by a filter of system calls. */
	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	/* A tree: it takes a few comparisons for any call. */
	if (!err)
		err = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (!err)
		err = catch_refused();
	if (!err)
		err = seccomp_load(filter);
	seccomp_release(filter);
	return err;
}
