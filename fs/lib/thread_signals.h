/*
 * thread_signals.h - the signals of a thread that is about to be made
 *
 * Signals are for the threads that serve. Faults of native code and refused system calls
 * (sandbox/filter.h) are the thread's own: blocked, they would end the server.
 */
#ifndef UBPFFS_FS_LIB_THREAD_SIGNALS_H
#define UBPFFS_FS_LIB_THREAD_SIGNALS_H

#include <pthread.h>
#include <signal.h>

/* A thread inherits them; pthread_sigmask(SIG_SETMASK, old, NULL) ends it. */
static inline void thread_signals(sigset_t *old)
{
	sigset_t mask;

	sigfillset(&mask);
	sigdelset(&mask, SIGSEGV);
	sigdelset(&mask, SIGBUS);
	sigdelset(&mask, SIGFPE);
	sigdelset(&mask, SIGILL);
	sigdelset(&mask, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &mask, old);
}

#endif
