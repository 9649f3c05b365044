/*
 * agent.c - the agent's process, those that it forks, and the server's end of their sockets (see
 * agent.h)
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include "fs/agent/agent.h"
#include "fs/sandbox/sanitized.h"
#include "fs/sandbox/caps.h"
#include "fs/sandbox/descriptors.h"
#include "util/clock.h"

#define MAX_GROUPS   1024
#define MAX_CHILDREN 4096
#define SOCK_FD	     3
#define MAX_MEMORY   (2ULL << 30)
#define LINGER_MS    1000
#define SOCK_BUFFER  (512 << 10)

static const struct agent_service_kind *services;
static bool services_narrow;

struct request { /* then the groups, then the argument */
	u32 service;
	uid_t uid;
	gid_t gid;
	s32 nr_groups;
	u32 len;
	struct state_id {
		dev_t dev;
		ino_t ino;
	} state;
};

union fd_message {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

/* ---- messages */

static ssize_t send_message(int sock, struct iovec *iov, size_t n, int fd, int flags)
{
	union fd_message control = {0};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = n};
	struct cmsghdr *cmsg;
	ssize_t ret;

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	do
		ret = sendmsg(sock, &msg, flags | MSG_NOSIGNAL);
	while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

/* *fd: what came with it, or -1; it is closed when fd is NULL. */
static ssize_t recv_message(int sock, void *buf, size_t size, int *fd, int flags)
{
	union fd_message control;
	struct iovec iov = {buf, size};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *cmsg;
	int got = -1;
	ssize_t ret;

	if (fd)
		*fd = -1;
	/*
	 * ECONNRESET comes once, before what the other end said last, when it left something
	 * unread.
	 */
	do
		ret = recvmsg(sock, &msg, flags | MSG_CMSG_CLOEXEC);
	while (ret < 0 && (errno == EINTR || errno == ECONNRESET));
	if (ret < 0)
		return -errno;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_level == SOL_SOCKET && cmsg->cmsg_type == SCM_RIGHTS &&
	    cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&got, CMSG_DATA(cmsg), sizeof(got));
	if (msg.msg_flags & MSG_TRUNC || !fd) {
		if (got >= 0)
			close(got);
		return msg.msg_flags & MSG_TRUNC ? -EMSGSIZE : ret;
	}
	*fd = got;
	return ret;
}

/* ---- a service's process */

static const struct filter_rule call_rules[] = {
	ALLOW(sendmsg),
	ALLOW(recvmsg),
	ALLOW_IF(prctl, ARG_IS(0, PR_SET_NO_NEW_PRIVS)), /* agent_close_files() */
	ALLOW(seccomp),
};
static const struct filter_list agent_calls = {call_rules, ARRAY_SIZE(call_rules)};

int agent_close_files(const struct filter_list *calls)
{
	const struct filter_list *const lists[] = {&filter_common, &agent_calls, calls};

	return services_narrow && !SANITIZED ? filter_enter(lists, ARRAY_SIZE(lists)) : 0;
}

/* The account's groups; its own group alone when there is no account. */
static int account_groups(uid_t uid, gid_t gid, gid_t *groups)
{
	struct passwd pw, *found = NULL;
	int n = MAX_GROUPS;
	char buf[4096];

	if (!getpwuid_r(uid, &pw, buf, sizeof(buf), &found) && found &&
	    getgrouplist(pw.pw_name, gid, groups, &n) >= 0)
		return n;
	groups[0] = gid;
	return 1;
}

static struct state_id state; /* the server's to send, a service's to ask */

bool agent_is_state(const struct stat *st)
{
	return st->st_dev == state.dev && st->st_ino == state.ino;
}

static void limit(int what, rlim_t value)
{
	struct rlimit rl = {value, value}, old;

	if (!getrlimit(what, &old) && old.rlim_max < value)
		rl.rlim_cur = rl.rlim_max = old.rlim_max;
	setrlimit(what, &rl);
}

/*
 * Who is this user already stays as it is: in a user namespace there may be nothing to change to.
 */
static int become(const struct request *req, const gid_t *groups)
{
	static gid_t account[MAX_GROUPS];
	int n = req->nr_groups;

	if (req->uid != geteuid()) {
		if (n < 0) {
			n = account_groups(req->uid, req->gid, account);
			groups = account;
			close_from(SOCK_FD + 1); /* of the look-up */
		}
		if (setgroups((size_t)n, groups) || setresgid(req->gid, req->gid, req->gid) ||
		    setresuid(req->uid, req->uid, req->uid))
			return -errno;
	}
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_NOFILE, 1024);
	limit(RLIMIT_NPROC, 0);
	if (!SANITIZED)
		limit(RLIMIT_DATA, MAX_MEMORY);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)) /* last: a change of identity takes it off */
		return -errno;
	return 0;
}

/* Something has happened to the socket. */
static void look_at_socket(int sig)
{
	struct pollfd fd = {.fd = SOCK_FD};

	if (poll(&fd, 1, 0) > 0 && fd.revents & POLLHUP)
		_exit(0);
}

static void child_signals(void)
{
	const struct sigaction look = {.sa_handler = look_at_socket, .sa_flags = SA_RESTART};
	sigset_t none;

	signal(SIGXFSZ, SIG_IGN); /* the user's limits are errors of write() */
	sigaction(SIGIO, &look, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* C. The kernel compares who asks with who gets the signal, so it is asked as the user. */
static int end_with_socket(void)
{
	if (fcntl(SOCK_FD, F_SETOWN, getpid()) || fcntl(SOCK_FD, F_SETFL, O_ASYNC))
		return -errno;
	look_at_socket(SIGIO); /* before that nobody was told */
	return 0;
}

bool agent_stay(int sock)
{
	return !fcntl(sock, F_SETFL, 0);
}

/* Which also sends a signal to who has died before. */
static int narrow_caps(const struct agent_service_kind *service)
{
	if (geteuid())
		return 0;
	return caps_keep(service->caps) ?: prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) ? -errno : 0;
}

static int narrow_calls(const struct agent_service_kind *service)
{
	const struct filter_list *const lists[] = {&filter_common, &agent_calls, &service->calls};

	return SANITIZED ? 0 : filter_enter(lists, ARRAY_SIZE(lists));
}

static void __attribute__((noreturn))
child_main(pid_t agent, int sock, const struct request *req, const gid_t *groups, const char *arg)
{
	int err;

	if (dup2(sock, SOCK_FD) < 0)
		_exit(1);
	close_from(SOCK_FD + 1);
	child_signals();
	state = req->state;
	err = become(req, groups);
	if (!err && services_narrow)
		err = narrow_caps(&services[req->service]);
	if (!err)
		err = end_with_socket();
	if (!err && services_narrow)
		err = narrow_calls(&services[req->service]);
	if (err)
		agent_report(SOCK_FD, err, "becoming uid %u: %s", req->uid, strerror(-err));
	else if (getppid() == agent)
		services[req->service].run(SOCK_FD, arg, req->len);
	_exit(0);
}

void agent_report(int sock, int err, const char *fmt, ...)
{
	struct {
		s32 err;
		char why[AGENT_WHY_MAX];
	} msg = {.err = err};
	va_list args;

	if (fmt) {
		va_start(args, fmt);
		vsnprintf(msg.why, sizeof(msg.why), fmt, args);
		va_end(args);
	}
	agent_put(sock, &msg, offsetof(__typeof__(msg), why) + strlen(msg.why), -1);
}

bool agent_put(int sock, const void *buf, size_t len, int fd)
{
	struct iovec iov = {(void *)buf, len};

	return send_message(sock, &iov, 1, fd, 0) >= 0;
}

ssize_t agent_get(int sock, void *buf, size_t size)
{
	return recv_message(sock, buf, size, NULL, 0);
}

/* ---- the agent */

struct child {
	pid_t pid;
	uid_t uid;
};

static struct {
	struct child v[MAX_CHILDREN];
	u32 n;
} children;

static void reap(void)
{
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		for (u32 i = 0; i < children.n; i++)
			if (children.v[i].pid == pid) {
				children.v[i] = children.v[--children.n];
				break;
			}
}

static u32 children_of(uid_t uid)
{
	u32 n = 0;

	for (u32 i = 0; i < children.n; i++)
		n += children.v[i].uid == uid;
	return n;
}

static void serve_request(char *buf, size_t len, int sock)
{
	struct request req;
	size_t groups_len, need;
	pid_t pid, agent = getpid();

	if (len < sizeof(req))
		return;
	memcpy(&req, buf, sizeof(req));
	groups_len = (req.nr_groups > 0 ? (size_t)req.nr_groups : 0) * sizeof(gid_t);
	need = sizeof(req) + groups_len + req.len;
	if (req.nr_groups > MAX_GROUPS || req.len > AGENT_ARG_MAX || len != need ||
	    req.service >= AGENT_SERVICE_NR) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	if (children.n == MAX_CHILDREN || children_of(req.uid) >= AGENT_PER_USER) {
		agent_report(sock, -EAGAIN,
			     "uid %u has %u processes that read or write files for it, the most "
			     "that there may be",
			     req.uid, children_of(req.uid));
		return;
	}
	pid = fork();
	if (pid < 0)
		agent_report(sock, -errno, "fork: %s", strerror(errno));
	else if (pid)
		children.v[children.n++] = (struct child){pid, req.uid};
	else
		child_main(agent, sock, &req, (const gid_t *)(buf + sizeof(req)),
			   buf + sizeof(req) + groups_len);
}

static void __attribute__((noreturn)) agent_main(void)
{
	static char buf[sizeof(struct request) + MAX_GROUPS * sizeof(gid_t) + AGENT_ARG_MAX + 1]
		__attribute__((aligned(8)));
	struct pollfd fds[] = {{.fd = SOCK_FD, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	struct signalfd_siginfo info;
	sigset_t mask;
	ssize_t len;
	int sock;

	sigfillset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL); /* it ends with its socket, and by SIGKILL */
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	fds[1].fd = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	for (;;) {
		reap();
		poll(fds, 2, -1);
		while (read(fds[1].fd, &info, sizeof(info)) > 0)
			;
		if (!fds[0].revents)
			continue;
		len = recv_message(SOCK_FD, buf, sizeof(buf) - 1, &sock, 0);
		if (!len || (len < 0 && len != -EMSGSIZE))
			break;
		if (sock < 0)
			continue;
		if (len > 0) {
			buf[len] = 0;
			serve_request(buf, (size_t)len, sock);
		}
		close(sock);
	}
	/*
	 * Their sockets are closed, too, so they end; those that hang are killed with this process.
	 */
	fds[0].fd = -1;
	for (int i = 0; i < LINGER_MS / 10 && children.n; i++) {
		poll(fds, 2, 10);
		while (read(fds[1].fd, &info, sizeof(info)) > 0)
			;
		reap();
	}
	_exit(0);
}

/* ---- the server's side */

static int agent_sock = -1;
static pid_t agent_pid = -1;

/* To become somebody, to give up the rest then, and what services need as root. */
static u64 agent_caps(void)
{
	u64 caps = CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SETPCAP);

	for (u32 i = 0; i < AGENT_SERVICE_NR; i++)
		caps |= services[i].caps;
	return caps;
}

/* Nothing of ours but the socket. */
static void __attribute__((noreturn)) agent_begin(pid_t server, int sock, bool daemon)
{
	if (dup2(sock, SOCK_FD) < 0 || !null_to(0, SANITIZED && !daemon ? 1 : 2))
		_exit(1);
	close_from(SOCK_FD + 1);
	setsid();
	if (services_narrow &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || (!geteuid() && caps_keep(agent_caps()))))
		_exit(1);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "ubpffs-agent", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != server || chdir("/"))
		_exit(1);
	agent_main();
}

int agent_start(const struct agent_service_kind table[AGENT_SERVICE_NR], bool daemon, bool narrow)
{
	pid_t server = getpid();
	int sock[2], err;

	services = table;
	services_narrow = narrow;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		return -errno;
	agent_pid = fork();
	if (!agent_pid)
		agent_begin(server, sock[1], daemon);
	err = agent_pid < 0 ? -errno : 0;
	close(sock[1]);
	if (err) {
		close(sock[0]);
		return err;
	}
	agent_sock = sock[0];
	return 0;
}

void agent_stop(void)
{
	if (agent_sock < 0)
		return;
	close(agent_sock);
	agent_sock = -1;
	for (int i = 0; i < 2 * LINGER_MS / 10; i++) {
		if (waitpid(agent_pid, NULL, WNOHANG))
			return;
		poll(NULL, 0, 10);
	}
	/* Else it is killed when this process ends. */
}

int agent_refuse(int state_fd)
{
	struct stat st;

	if (fstat(state_fd, &st))
		return -errno;
	state = (struct state_id){st.st_dev, st.st_ino};
	return 0;
}

static int no_agent(struct error_record *why)
{
	return error_set(why, ECONNREFUSED,
			 "the server's process that acts as its clients (ubpffs-agent) has ended: "
			 "start the server again");
}

int agent_spawn(const struct agent_cred *cred, enum agent_service service, const void *arg,
		size_t len, struct error_record *why)
{
	struct request req = {service, cred->uid, cred->gid, cred->nr_groups, (u32)len, state};
	size_t groups_len = (req.nr_groups > 0 ? (size_t)req.nr_groups : 0) * sizeof(gid_t);
	struct iovec iov[] = {
		{&req, sizeof(req)}, {(void *)cred->groups, groups_len}, {(void *)arg, len}};
	int sock[2], size = SOCK_BUFFER;
	ssize_t ret;

	if (len > AGENT_ARG_MAX || req.nr_groups > MAX_GROUPS)
		return -E2BIG;
	if (geteuid() && geteuid() != cred->uid)
		return error_set(why, EPERM, "this server is not root and cannot act as uid %u",
				 cred->uid);
	if (agent_sock < 0)
		return no_agent(why);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		return -errno;
	for (u32 i = 0; i < 2; i++) /* messages are larger than some systems' default */
		if (setsockopt(sock[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
			setsockopt(sock[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	/* Never waits: the agent only forks. */
	ret = send_message(agent_sock, iov, ARRAY_SIZE(iov), sock[1], MSG_DONTWAIT);
	if (ret >= 0 && fcntl(sock[0], F_SETFL, O_NONBLOCK))
		ret = -errno;
	close(sock[1]);
	if (ret >= 0)
		return sock[0];
	close(sock[0]);
	return ret == -EPIPE || ret == -ECONNRESET ? no_agent(why) : (int)ret;
}

/* 0: something can be done with the socket. */
static int wait_for(int sock, short events, int stop_fd, u64 start, int timeout)
{
	struct pollfd fds[] = {{.fd = sock, .events = events}, {.fd = stop_fd, .events = POLLIN}};
	int left = timeout, ret;

	do {
		if (timeout >= 0) {
			u64 passed = monotonic_ms() - start;

			left = passed >= (u64)timeout ? 0 : (int)((u64)timeout - passed);
		}
		ret = poll(fds, 2, left);
	} while (ret < 0 && errno == EINTR);
	if (ret < 0)
		return -errno;
	if (fds[1].revents)
		return -ECANCELED;
	return fds[0].revents ? 0 : -ETIMEDOUT;
}

ssize_t agent_recv(int sock, void *buf, size_t size, int *fd, int stop_fd, int timeout)
{
	u64 start = monotonic_ms();
	ssize_t ret;
	int err;

	while ((ret = recv_message(sock, buf, size, fd, MSG_DONTWAIT)) == -EAGAIN) {
		err = wait_for(sock, POLLIN, stop_fd, start, timeout);
		if (err)
			return err;
	}
	return ret;
}

int agent_send(int sock, const void *buf, size_t len, int stop_fd, int timeout)
{
	struct iovec iov = {(void *)buf, len};
	u64 start = monotonic_ms();
	ssize_t ret;
	int err;

	while ((ret = send_message(sock, &iov, 1, -1, MSG_DONTWAIT)) == -EAGAIN) {
		err = wait_for(sock, POLLOUT, stop_fd, start, timeout);
		if (err)
			return err;
	}
	return ret == -EPIPE || ret == -ECONNRESET ? -EIO : ret < 0 ? (int)ret : 0;
}

int agent_status(int sock, int stop_fd, int timeout, struct error_record *why)
{
	struct {
		s32 err;
		char why[AGENT_WHY_MAX];
	} msg;
	size_t head = offsetof(__typeof__(msg), why);
	ssize_t len = agent_recv(sock, &msg, sizeof(msg), NULL, stop_fd, timeout);

	if (len >= (ssize_t)head && msg.err <= 0 && msg.err > -512) {
		if ((size_t)len > head)
			error_set(why, -msg.err, "%.*s", (int)((size_t)len - head), msg.why);
		return msg.err;
	}
	if (len == -ETIMEDOUT)
		return error_set(why, ETIMEDOUT, "no answer");
	if (len == -ECANCELED)
		return error_set(why, ECANCELED, "stopped while it was waited for");
	return error_set(why, len < 0 ? (int)-len : EIO, "the process that was to do it has ended");
}
