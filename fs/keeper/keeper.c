/*
 * keeper.c - see keeper.h
 */
#include "fs/keeper/keeper.h"
#include "fs/keeper/shared.h"
#include "fs/keeper/upgrade.h"
#include "util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON_NS	       1000000000ULL
#define FIRST_PAUSE_MS 10 /* twice as long each time */
#define NAME	       "ubpffs-keeper" /* in ps(1); servers have that of their program */

static int device = -1; /* /dev/fuse; in the keeper and in the servers after the first */
static int keeper_sock = -1; /* a server's, to the keeper */
static char program_name[16]; /* as prctl(2) gives it */

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
static const int passed_on[] = {SIGTERM, SIGINT, SIGHUP};

/* What a server says: one byte with the device, or this as far as the path goes. */
struct upgrade_request {
	u64 by;
	char path[PATH_MAX];
};

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

int keeper_ask_upgrade(unsigned long long by, const char *path)
{
	struct upgrade_request request = {.by = by};
	size_t len = strlen(path);

	if (len >= sizeof(request.path))
		return -ENAMETOOLONG;
	memcpy(request.path, path, len);
	len += offsetof(struct upgrade_request, path) + 1;
	return send(keeper_sock, &request, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -errno;
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
	if (shared->upgraded)
		upgrade_tell(shared->upgraded_by, 0, "");
	shared->upgraded = 0;
	__atomic_store_n(&shared->serving, 1, __ATOMIC_RELEASE);
	return pause;
}

/* What it forks in turn is not the mount's business; it ends with its keeper. */
static bool begin(pid_t keeper, int sock)
{
	shared_for_us();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	keeper_sock = sock;
	return getppid() == keeper;
}

static int serve(const struct keeper_job *job, int sock, const sigset_t *mask)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (!begin((pid_t)shared->keeper, sock))
		return 1;
	upgrade_exec(sock, device);
	close(shared_fd());
	return job->serve(job->arg);
}

static int join(void)
{
	int err = shared_join(UPGRADE_MEMORY_FD);

	for (int fd = UPGRADE_SOCK_FD; !err && fd <= UPGRADE_DEVICE_FD; fd++)
		if (fcntl(fd, F_SETFD, FD_CLOEXEC))
			err = -errno;
	return err;
}

int keeper_join(void)
{
	int err = join();

	if (err)
		return err;
	close(UPGRADE_MEMORY_FD);
	device = UPGRADE_DEVICE_FD;
	return begin((pid_t)shared->keeper, UPGRADE_SOCK_FD) ? 0 : -ESRCH;
}

int keeper_probe(bool (*can_go_on)(void *arg), void *arg)
{
	char ready = UPGRADE_READY;
	int err = join();

	if (err)
		return err;
	if (!can_go_on(arg))
		return 1;
	/* Then it is killed. */
	if (send(UPGRADE_SOCK_FD, &ready, 1, MSG_NOSIGNAL) == 1)
		(void)!recv(UPGRADE_SOCK_FD, &ready, 1, 0);
	return 0;
}

/* ---- in the keeper */

static void take_device(const struct keeper_job *job, struct msghdr *msg)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);

	if (!head || head->cmsg_type != SCM_RIGHTS || device >= 0)
		return;
	memcpy(&device, CMSG_DATA(head), sizeof(int));
	job->mounted(job->arg);
}

static void take_message(const struct keeper_job *job, int sock)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct upgrade_request request;
	struct iovec iov = {&request, sizeof(request)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	if (n == 1)
		take_device(job, &msg);
	else if (n > (ssize_t)offsetof(struct upgrade_request, path) &&
		 memchr(request.path, 0, (size_t)n - offsetof(struct upgrade_request, path)))
		upgrade_begin(request.by, request.path);
}

static bool stopping; /* SIGTERM or its like has come */

static void take_signals(int signals, pid_t server)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGUSR2 && device >= 0) {
			upgrade_begin(0, "");
		} else if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGUSR2) {
			stopping = true;
			kill(server, (int)info.ssi_signo);
		}
	}
}

/* Until the server has ended: its status. *replaced: it was killed for that. */
static int watch_server(const struct keeper_job *job, pid_t server, int sock, int signals,
			bool *replaced)
{
	struct pollfd fds[] = {{.fd = signals, .events = POLLIN},
			       {.fd = sock, .events = POLLIN},
			       {.fd = -1, .events = POLLIN}};
	enum upgrade_next next;
	int status;

	*replaced = false;
	for (;;) {
		fds[2].fd = upgrade_fd();
		if (poll(fds, ARRAY_SIZE(fds), upgrade_wait_ms()) < 0 && errno != EINTR)
			perror("ubpffs: keeper");
		if (fds[1].revents & POLLIN)
			take_message(job, sock);
		else if (fds[1].revents)
			fds[1].fd = -1; /* it has ended, or is about to */
		if (fds[0].revents)
			take_signals(signals, server);
		next = upgrade_poll();
		*replaced = *replaced || next == UPGRADE_REPLACES;
		if (next != UPGRADE_WAITS)
			kill(server, SIGKILL);
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
		if (info.ssi_signo != SIGCHLD && info.ssi_signo != SIGUSR2)
			return true;
	return stopping;
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
		prctl(PR_SET_NAME, program_name);
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

struct end {
	int err; /* it was not even started */
	int status;
	u64 lived_ns;
	bool replaced; /* killed for an upgrade */
};

static void say_how(const struct end *end, char *buf, size_t size)
{
	if (end->err)
		snprintf(buf, size, "could not be started: %s", strerror(-end->err));
	else if (WIFSIGNALED(end->status))
		snprintf(buf, size, "was ended by signal %d after %llu.%03llu s",
			 WTERMSIG(end->status), (unsigned long long)(end->lived_ns / 1000000000),
			 (unsigned long long)(end->lived_ns / 1000000 % 1000));
	else
		snprintf(buf, size, "exited with %d", WEXITSTATUS(end->status));
}

/* Who is killed from outside is no fault of the server's. */
static bool is_quick(const struct end *end)
{
	return end->err || !shared->serving ||
	       (end->lived_ns < SOON_NS &&
		(WIFEXITED(end->status) || is_fatal(WTERMSIG(end->status))));
}

/* How many servers in a row have ended soon. */
static u32 count_quick(const struct end *end, u32 quick_ends)
{
	bool quick = is_quick(end);
	char how[128];

	if (end->replaced)
		return 0;
	say_how(end, how, sizeof(how));
	if (upgrade_undone(how, quick))
		return 0;
	fprintf(stderr, "ubpffs: the server %s; %s\n", how,
		stopping			     ? "it was to end"
		: end->err || WIFEXITED(end->status) ? "it is tried again"
						     : "the next one takes over");
	return quick ? quick_ends + 1 : 0;
}

/* Has the mount ended, or was there never one? *status is what the keeper exits with. */
static bool is_over(const struct keeper_job *job, const struct end *end, int *status)
{
	*status = 1;
	if (end->err)
		return device < 0;
	if (WIFEXITED(end->status) && (!WEXITSTATUS(end->status) || device < 0)) {
		*status = WEXITSTATUS(end->status);
		return device < 0 || !shared->upgraded; /* that one has not even begun */
	}
	if (device < 0) {
		fprintf(stderr, "ubpffs: the server was ended by signal %d before it had mounted\n",
			WTERMSIG(end->status));
		job->unmount(job->arg); /* it may have, and not come to say so */
	}
	return device < 0;
}

/* Blocked, what is ignored (nohup) would come all the same. */
static bool is_ignored(int sig)
{
	struct sigaction sa;

	return !sigaction(sig, NULL, &sa) && sa.sa_handler == SIG_IGN;
}

static int open_signals(sigset_t *old)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGUSR2);
	for (u32 i = 0; i < ARRAY_SIZE(passed_on); i++)
		if (!is_ignored(passed_on[i]))
			sigaddset(&set, passed_on[i]);
	sigprocmask(SIG_BLOCK, &set, old);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int keeper_run(const struct keeper_job *job, bool *in_server)
{
	int signals, sock = -1, status, err;
	pid_t server = -1;
	u32 quick_ends = 0;
	sigset_t old;

	*in_server = false;
	err = shared_map();
	if (!err)
		err = upgrade_start(job->argv);
	signals = err ? err : open_signals(&old);
	if (signals < 0)
		return signals;
	prctl(PR_GET_NAME, program_name);
	prctl(PR_SET_NAME, NAME);
	for (;;) {
		struct end end = {0};
		u64 begun = monotonic_ns();

		end.err = start(&server, &sock);
		if (!end.err && !server) {
			*in_server = true;
			close(signals);
			return serve(job, sock, &old);
		}
		if (!end.err) {
			end.status = watch_server(job, server, sock, signals, &end.replaced);
			close(sock);
		}
		end.lived_ns = monotonic_ns() - begun;
		if (is_over(job, &end, &status))
			return status;
		shared->died_ns = begun + end.lived_ns;
		shared->last_replaced = end.replaced;
		shared->last_signal = !end.err && !end.replaced && WIFSIGNALED(end.status)
					      ? WTERMSIG(end.status)
					      : 0;
		quick_ends = count_quick(&end, quick_ends);
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
