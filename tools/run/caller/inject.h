/*
 * inject.h - system calls made by another thread for the one that it has asked for
 *
 * An answer by seccomp is a number. Where the caller's address space has to change, its thread is
 * traced (ptrace(2)) from the moment that its call has been answered until it would go on, and
 * makes system calls that it did not ask for. Nobody else may trace it then: under strace or a
 * debugger inject_begin() is -EPERM.
 *
 * Only the main thread waits for children; it hands on what concerns a traced thread.
 */
#ifndef UBPFFS_TOOLS_RUN_CALLER_INJECT_H
#define UBPFFS_TOOLS_RUN_CALLER_INJECT_H

#include <sys/user.h>
#include "tools/run/caller/caller.h"

struct inject {
	struct caller *c;
	struct user_regs_struct regs; /* to go on with */
	int signals[8]; /* that came meanwhile */
	unsigned int nr_signals;
};

/*
 * Answer the caller's call and stop its thread before it goes on. One thread does all of an
 * injection. -errno: nothing has been answered, or (-ESRCH) the caller is gone.
 */
int inject_begin(struct inject *in, struct caller *c);
/* What the call returned, or -ESRCH: the caller is gone. */
long inject_call(struct inject *in, long nr, const uint64_t args[6]);
/* The call that it had asked for returns ret, and the thread goes on. */
void inject_end(struct inject *in, long ret);

/* For the one who waits: is it about a traced thread? Then it was handed on. */
bool inject_waited(pid_t tid, int status);

#endif
