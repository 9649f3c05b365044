/*
 * client.c - opening what a client names, as that client (see source.h)
 *
 * Only threads could change their identity one by one, and a thread with a client's real uid can be signalled by that
 * client, which would end the server. So a child process does it: it becomes the client for good, opens, and
 * passes the descriptors back.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "fs/source/source.h"

#define MAX_GROUPS 1024
#define TIMEOUT_MS 10000

/* The account's groups; its own group alone when there is no account. */
static int client_groups(uid_t uid, gid_t gid, gid_t *groups)
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

/* In the child. Raw system calls: libc's would talk to threads that are not there. */
static int become(uid_t uid, gid_t gid, const gid_t *groups, int nr_groups)
{
	if (syscall(SYS_setgroups, nr_groups, groups) || syscall(SYS_setresgid, gid, gid, gid) ||
	    syscall(SYS_setresuid, uid, uid, uid))
		return -errno;
	return 0;
}

union fd_message {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int send_result(int sock, int fd)
{
	int err = fd < 0 ? fd : 0;
	struct iovec iov = {&err, sizeof(err)};
	union fd_message control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *cmsg;

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(fd));
	}
	return sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* The descriptor or the error that the child sends; false when no more comes. */
static bool recv_result(int sock, int *fd)
{
	int err = -EIO;
	struct iovec iov = {&err, sizeof(err)};
	union fd_message control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct pollfd wait = {.fd = sock, .events = POLLIN};
	struct cmsghdr *cmsg;

	if (poll(&wait, 1, TIMEOUT_MS) != 1 || recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != sizeof(err))
		return false;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg && cmsg->cmsg_type == SCM_RIGHTS && cmsg->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(cmsg), sizeof(*fd));
	else if (err)
		*fd = err;
	else
		*fd = -EMFILE; /* it did not fit into our table */
	return true;
}

static void child(int sock, int (*one)(void *arg, u32 i), void *arg, u32 n)
{
	u32 i;

	for (i = 0; i < n; i++) {
		int fd = one(arg, i);

		if (send_result(sock, fd))
			_exit(1);
		if (fd >= 0)
			close(fd);
	}
	_exit(0);
}

int client_open(uid_t uid, gid_t gid, int (*one)(void *arg, u32 i), void *arg, u32 n, int *fds)
{
	__do_free gid_t *groups = NULL;
	int sock[2], nr_groups, status;
	pid_t pid;
	u32 i;

	if (uid == geteuid()) {
		for (i = 0; i < n; i++)
			fds[i] = one(arg, i);
		return 0;
	}
	if (geteuid())
		return -EPERM;
	groups = calloc(MAX_GROUPS, sizeof(*groups));
	if (!groups)
		return -ENOMEM;
	nr_groups = client_groups(uid, gid, groups);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sock))
		return -errno;
	pid = fork();
	if (!pid) {
		if (become(uid, gid, groups, nr_groups))
			_exit(1);
		child(sock[1], one, arg, n);
	}
	close(sock[1]);
	for (i = 0; pid > 0 && i < n && recv_result(sock[0], &fds[i]); i++)
		;
	for (; i < n; i++)
		fds[i] = -EIO;
	close(sock[0]);
	if (pid < 0)
		return -EAGAIN;
	kill(pid, SIGKILL); /* it has ended, or hangs in an open */
	waitpid(pid, &status, 0);
	return 0;
}

static int open_file(void *arg, u32 i)
{
	const struct client_file *file = arg;
	int fd = open(file->path, file->flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, file->mode);

	return fd < 0 ? -errno : fd;
}

int client_open_file(uid_t uid, gid_t gid, const struct client_file *file)
{
	struct stat st;
	int fd, err = client_open(uid, gid, open_file, (void *)file, 1, &fd);

	if (err || fd < 0)
		return err ? err : fd;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}
