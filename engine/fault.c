/*
 * fault.c - what happens when an instruction of a program faults
 *
 * It would be a bug of the verifier or of the JIT. The handler asks whether the pc lies in a
 * program's native code, or in the interpreter, and whether this thread runs under a guard
 * (run/run.c). If so the program is marked poisoned, and the thread goes on at the guard once the
 * handler has returned: the kernel restores the signal mask as it does for any handler. A program
 * holds no lock of ours when it executes an instruction of its own, and the lock of a map value
 * that it took is given back there, so nothing is left behind. A fault in a helper is none of
 * these: what the helper holds nobody could give back.
 *
 * Only async-signal-safe things are done here: bpf_jit_find() and bpf_interp_find() take no lock,
 * `poisoned` is one store.
 */
#include <pthread.h>
#include <signal.h>
#include <ucontext.h>
#include "run/interp.h"
#include "run/run.h"
#include "fault.h"
#include "jit/jit.h"
#include "map/arena/arena.h"

static u64 faults;

u64 bpf_fault_count(void)
{
	return __atomic_load_n(&faults, __ATOMIC_RELAXED);
}

#if defined(__x86_64__) || defined(__aarch64__)

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGFPE};
static struct sigaction old_actions[ARRAY_SIZE(fault_signals)];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static __attribute__((noinline, noreturn)) void fault_land(void **guard)
{
	__builtin_longjmp(guard, 1);
}

/* Make the interrupted thread call fault_land(guard), on its own stack, below the guard's frame. */
static void leave_by(ucontext_t *uc, void **guard)
{
	u64 sp = ((uintptr_t)guard[2] - 512) & ~15ULL;

#ifdef __x86_64__
	uc->uc_mcontext.gregs[REG_RSP] = (greg_t)(sp - 8); /* as after a call */
	uc->uc_mcontext.gregs[REG_RDI] = (greg_t)(uintptr_t)guard;
	uc->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)fault_land;
	uc->uc_mcontext.gregs[REG_EFL] &= ~0x400; /* DF is clear at a function's entry */
#else
	uc->uc_mcontext.sp = sp;
	uc->uc_mcontext.regs[0] = (uintptr_t)guard;
	uc->uc_mcontext.pc = (uintptr_t)fault_land;
#endif
}

static const void *pc_of(const ucontext_t *uc)
{
#ifdef __x86_64__
	return (const void *)(uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#else
	return (const void *)(uintptr_t)uc->uc_mcontext.pc;
#endif
}

static void pass_on(int sig, siginfo_t *info, void *context)
{
	for (size_t i = 0; i < ARRAY_SIZE(fault_signals); i++) {
		const struct sigaction *old = &old_actions[i];

		if (fault_signals[i] != sig)
			continue;
		if (old->sa_flags & SA_SIGINFO)
			old->sa_sigaction(sig, info, context);
		else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN)
			old->sa_handler(sig);
		else /* the instruction runs again, and the default action is taken */
			signal(sig, SIG_DFL);
		return;
	}
}

static void fault_handler(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	const struct bpf_prog *prog;
	void **guard = bpf_this.guard;
	const void *pc;

	if (sig == SIGBUS && bpf_arena_fault(info->si_addr)) /* no fault of the program's */
		return;
	pc = pc_of(uc);
	prog = bpf_jit_find(pc);
	if (!prog)
		prog = bpf_interp_find(pc);
	if (!prog || !guard) {
		pass_on(sig, info, context);
		return;
	}
	WRITE_ONCE(((struct bpf_prog *)(uintptr_t)prog)->poisoned, true);
	__atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
	leave_by(uc, guard);
}

static void fault_install(void)
{
	struct sigaction sa = {.sa_sigaction = fault_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(fault_signals); i++)
		sigaction(fault_signals[i], &sa, &old_actions[i]);
}

void bpf_fault_init(void)
{
	pthread_once(&once, fault_install);
}

#else /* other machines have no JIT and no guard */

void bpf_fault_init(void)
{
}

#endif
