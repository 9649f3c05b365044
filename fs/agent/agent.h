/*
 * agent.h - a client's own process for everything that the client names
 *
 * Nothing that a client names is opened, read, written, closed or waited for by the server: a file
 * may lie on the client's own mount, which never answers and which even SIGKILL does not interrupt;
 * a path may lead to a descriptor of whoever opens it. A process does it that is that client: it
 * has the client's rights and no descriptor but its socket.
 *
 *	main(): agent_start()		before the first thread, before the state is opened
 *	any thread: sock = agent_spawn(&cred, AGENT_PERF, &arg, sizeof(arg), &why);
 *		    err = agent_status(sock, stop_fd, timeout, &why);
 *		    agent_recv(), agent_send() ...; close(sock): the process ends
 *
 * agent_start() forks the agent, which holds nothing but one socket to the server, and of root's
 * capabilities those alone that its processes and becoming a user ask for. For each request
 * it forks a process that keeps its own socket only, becomes the user for good, and runs one
 * service of a table. Bytes travel; descriptors only where the kernel made them and using them
 * cannot block (perf events).
 *
 * Guarantees
 *   A. A service's process has three descriptors of /dev/null and its socket. It is not dumpable,
 *	cannot gain privileges, make processes or dump core. It makes the system calls of its
 *	service only, and root has only the capabilities of that.
 *   B. No function here waits longer than its timeout, and a byte in stop_fd ends every wait.
 *   C. A process ends when its socket's other end is closed, whatever it does then, unless it
 *	asked to stay; when the agent ends, always; and the agent ends with the server. One that
 *	hangs in a system call is counted for its user, who may have AGENT_PER_USER of them.
 *   D. When the agent is gone, agent_spawn() gives -ECONNREFUSED and nothing is opened in another
 *	way.
 *
 * A server that is not root serves its own user only (-EPERM for others), by the same processes.
 */
#ifndef UBPFFS_FS_AGENT_AGENT_H
#define UBPFFS_FS_AGENT_AGENT_H

#include <sys/stat.h>
#include <sys/types.h>
#include "text/error.h"
#include "fs/sandbox/filter.h"
#include "util/types.h"

#define AGENT_ARG_MAX  16384
#define AGENT_MSG_MAX  139264 /* a message to or from a service */
#define AGENT_PER_USER 256
#define AGENT_WHY_MAX  512

enum agent_service {
	AGENT_PERF, /* agent/service/perf_open.c */
	AGENT_STACKS, /* agent/service/stack/stacks.c */
	AGENT_SYMBOLS, /* agent/service/stack/symbols.c */
	AGENT_MAPS, /* agent/service/stack/maps.c */
	AGENT_PROCESS, /* agent/process.c */
	AGENT_CAPTURE, /* agent/service/capture.c */
	AGENT_INTERFACE, /* agent/service/interface.c */
	AGENT_OUT, /* agent/service/out.c */
	AGENT_SERVICE_NR,
};

struct agent_cred {
	uid_t uid;
	gid_t gid;
	int nr_groups; /* AGENT_ACCOUNT_GROUPS: those of the user's account */
	const gid_t *groups;
};
#define AGENT_ACCOUNT_GROUPS (-1)

/*
 * A service gets a copy of the argument, followed by a NUL. It may use all of libc, and hold what
 * it likes: its memory is a copy of the agent's, which holds nothing. The process ends when it
 * returns.
 */
typedef void agent_service_fn(int sock, const void *arg, size_t len);

struct agent_service_kind {
	agent_service_fn *run;
	u64 caps; /* those of root's that it keeps (CAP_BIT()) */
	struct filter_list calls; /* beside what all make */
};

/* ---- the server's side */

/*
 * What each service does, for the processes that are forked (service/services.c); narrow: and may
 * do. A daemon's processes do not keep the stderr of its caller open. -errno.
 */
int agent_start(const struct agent_service_kind services[AGENT_SERVICE_NR], bool daemon,
		bool narrow);
/* No service opens a file below this directory. */
int agent_refuse(int state_fd);
/* Processes that still write a file have a second to end it. */
void agent_stop(void);

/*
 * A socket (SOCK_SEQPACKET, non-blocking) to a new process of that user. What goes wrong there
 * comes by agent_status(). -ECONNREFUSED: there is no agent; -EPERM: the server may not become that
 * user.
 */
int agent_spawn(const struct agent_cred *cred, enum agent_service service, const void *arg,
		size_t len, struct error_record *why);

/*
 * Every service begins with a status: 0, or -errno and a sentence in why. Below, too: timeout in
 * ms, -1 for ever; -ECANCELED: stop_fd (or -1) became readable. -ETIMEDOUT. -EIO: the process is
 * gone.
 */
int agent_status(int sock, int stop_fd, int timeout, struct error_record *why);
/*
 * One message; its length, 0 at the end. A descriptor that came with it in *fd (else -1), unless fd
 * is NULL.
 */
ssize_t agent_recv(int sock, void *buf, size_t size, int *fd, int stop_fd, int timeout);
int agent_send(int sock, const void *buf, size_t len, int stop_fd, int timeout);

/* ---- a service's side: blocking; the process may take as long as it likes */

/* The status: err is 0 or -errno; fmt says why, or NULL: strerror. */
void agent_report(int sock, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* False: the server is not there any more, or wants no more. fd may be -1. */
bool agent_put(int sock, const void *buf, size_t len, int fd);
/*
 * C. What was sent before the other end was closed is still to be read, and the service ends by
 * itself after it.
 */
bool agent_stay(int sock);
/* The next message, 0 at the end. */
ssize_t agent_get(int sock, void *buf, size_t size);

/*
 * From here on, too, it makes only these calls: once its files are open and before it looks at what
 * is in them. -errno.
 */
int agent_close_files(const struct filter_list *calls);

/* Is this the server's state directory? */
bool agent_is_state(const struct stat *st);

#endif
