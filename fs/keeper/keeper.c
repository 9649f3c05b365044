/*
 * keeper.c - see keeper.h
 */
#include "fs/keeper/keeper.h"
#include "fs/keeper/shared.h"
#include "util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_NS	       1000000000ULL
#define FIRST_PAUSE_MS 10 /* twice as long each time */

static int device = -1; /* /dev/fuse; in the keeper and in the servers after the first */
static int keeper_sock = -1; /* a server's, to the keeper */

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP};

/* ---- in a server */

int keeper_hand_over(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {0}, byte = 'm';
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	return sendmsg(keeper_sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -errno;
}

int keeper_device(void)
{
	return device;
}

unsigned long long keeper_serving(void)
{
	u64 pause = 0;

	if (shared->starts > 1 && shared->died_ns)
		pause = monotonic_ns() - shared->died_ns;
	shared->longest_pause_ns = max(shared->longest_pause_ns, pause);
	__atomic_store_n(&shared->serving, 1, __ATOMIC_RELEASE);
	return pause;
}

static int serve(const struct keeper_job *job, pid_t keeper, int sock, const sigset_t *mask)
{
	/* What it forks in turn is not the mount's business. */
	for (u32 i = 0; i < SHARED_TABLES; i++)
		madvise(shared_table(i), (size_t)shared_table_size(i) * shared_table_max(i),
			MADV_DONTFORK);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (getppid() != keeper)
		return 1;
	keeper_sock = sock;
	return job->serve(job->arg);
}

/* ---- in the keeper */

static void take_device(int sock)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = {&byte, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *head;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return;
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_type != SCM_RIGHTS || device >= 0)
		return;
	memcpy(&device, CMSG_DATA(head), sizeof(int));
}

/* Until the server has ended: its status. */
static int watch_server(const struct keeper_job *job, pid_t server, int sock, int signals)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN}, {.fd = sock, .events = POLLIN}};
	struct signalfd_siginfo info;
	int status;

	for (;;) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			perror("ubpffs: keeper");
		if (fds[1].revents & POLLIN) {
			bool had = device >= 0;

			take_device(sock);
			if (!had && device >= 0)
				job->mounted(job->arg);
		} else if (fds[1].revents) {
			fds[1].fd = -1; /* it has ended, or is about to */
		}
		if (fds[0].revents && read(signals, &info, sizeof(info)) == sizeof(info) &&
		    info.ssi_signo != SIGCHLD)
			kill(server, (int)info.ssi_signo);
		if (waitpid(server, &status, WNOHANG) == server)
			return status;
	}
}

static bool is_fatal(int sig)
{
	for (u32 i = 0; i < ARRAY_SIZE(fatal); i++)
		if (fatal[i] == sig)
			return true;
	return false;
}

/* What came to the keeper while no server was there ends the mount. */
static bool stop_requested(int signals)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		if (info.ssi_signo != SIGCHLD)
			return true;
	return false;
}

/* A SIGCHLD that is still there ends no wait. */
static bool wait_stop_requested(int signals, u32 ms)
{
	u64 end = monotonic_ns() + ms * 1000000ULL, now;
	struct pollfd fd = {.fd = signals, .events = POLLIN};
	bool stop = stop_requested(signals);

	while (!stop && (now = monotonic_ns()) < end) {
		poll(&fd, 1, (int)((end - now) / 1000000) + 1);
		stop = stop_requested(signals);
	}
	return stop;
}

static int start(pid_t *server, int *sock)
{
	int socks[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	shared->starts++;
	shared->serving = 0;
	fflush(NULL);
	*server = fork();
	if (!*server) {
		close(socks[0]);
		*sock = socks[1];
		return 0;
	}
	err = *server < 0 ? -errno : 0;
	shared->server = (u32)*server;
	close(socks[1]);
	if (err)
		close(socks[0]);
	else
		*sock = socks[0];
	return err;
}

static void tell(int status, u64 lived_ns)
{
	if (WIFSIGNALED(status))
		fprintf(stderr,
			"ubpffs: the server was ended by signal %d after %llu.%03llu s; the next "
			"one takes over\n",
			WTERMSIG(status), (unsigned long long)(lived_ns / 1000000000),
			(unsigned long long)(lived_ns / 1000000 % 1000));
	else
		fprintf(stderr, "ubpffs: the server exited with %d; it is tried again\n",
			WEXITSTATUS(status));
}

int keeper_run(const struct keeper_job *job, bool *in_server)
{
	pid_t keeper = getpid(), server = -1;
	u32 quick_ends = 0;
	int signals, sock = -1, status = 0, err;
	sigset_t set, old;

	*in_server = false;
	err = shared_map();
	if (err)
		return err;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	for (u32 i = 0; i < ARRAY_SIZE(passed_on); i++)
		sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0)
		return -errno;
	for (;;) {
		u64 begun = monotonic_ns(), lived;
		bool quick;

		err = start(&server, &sock);
		if (!err && !server) {
			*in_server = true;
			close(signals);
			return serve(job, keeper, sock, &old);
		}
		if (!err) {
			status = watch_server(job, server, sock, signals);
			close(sock);
		}
		lived = monotonic_ns() - begun;
		if (!err && WIFEXITED(status) && (!WEXITSTATUS(status) || device < 0))
			return WEXITSTATUS(status);
		if (device < 0) {
			fprintf(stderr,
				"ubpffs: the server was ended by signal %d before it had "
				"mounted\n",
				WTERMSIG(status));
			return 1;
		}
		shared->died_ns = begun + lived;
		shared->last_signal = !err && WIFSIGNALED(status) ? WTERMSIG(status) : 0;
		if (err)
			fprintf(stderr, "ubpffs: no server can be started: %s\n", strerror(-err));
		else
			tell(status, lived);
		/* Who is killed from outside is no fault of the server's. */
		quick = err || !shared->serving ||
			(lived < SOON_NS && (WIFEXITED(status) || is_fatal(WTERMSIG(status))));
		quick_ends = quick ? quick_ends + 1 : lived < SOON_NS ? quick_ends : 0;
		if (quick_ends == KEEPER_TRIES) {
			fprintf(stderr,
				"ubpffs: %u servers ended soon after they began: the "
				"mount is taken away\n",
				quick_ends);
			break;
		}
		if (quick_ends > 1 ? wait_stop_requested(signals, FIRST_PAUSE_MS << quick_ends)
				   : stop_requested(signals))
			break;
	}
	job->unmount(job->arg);
	close(device);
	return quick_ends == KEEPER_TRIES;
}
