/*
 * mounter.c - see mounter.h
 */
#include "fs/fuse/protocol/mounter.h"
#include "fs/sandbox/caps.h"
#include "fs/sandbox/descriptors.h"
#include "util/types.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define SOCK_FD 3 /* in the mounter */

#define DEV_IOC_BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define DEV_IOC_BACKING_CLOSE _IOW(229, 2, u32)

struct backing_map {
	s32 fd;
	u32 flags;
	u64 padding;
};

enum operation { MOUNT, UNMOUNT, BACKING_OPEN, BACKING_CLOSE, OWN_LINK };

struct message { /* the answer: its value alone */
	u32 operation;
	s32 value;
	uid_t uid;
	gid_t gid;
};

static int sock = -1; /* of the server; of the mounter */
static pid_t mounter_pid = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one request; nothing is under it */

#define NO_FDS	  ((const int[]){-1, -1})
#define FDS	  2 /* the first ones of a message; -1: none */
#define FDS_SPACE CMSG_SPACE(FDS * sizeof(int))

union fd_message {
	char buf[FDS_SPACE];
	struct cmsghdr align;
};

static int send_message(const struct message *message, const int fds[FDS])
{
	size_t nr = fds[0] < 0 ? 0 : fds[1] < 0 ? 1 : 2;
	union fd_message control = {0};
	struct iovec iov = {(void *)message, sizeof(*message)};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	struct cmsghdr *head;
	ssize_t n;

	if (nr) {
		msg.msg_control = control.buf;
		msg.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		head = CMSG_FIRSTHDR(&msg);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(nr * sizeof(int));
		memcpy(CMSG_DATA(head), fds, nr * sizeof(int));
	}
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == sizeof(*message) ? 0 : -EIO;
}

static void close_fds(const int fds[FDS])
{
	for (u32 i = 0; i < FDS; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int recv_message(struct message *message, int fds[FDS])
{
	union fd_message control;
	struct iovec iov = {message, sizeof(*message)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.buf,
			     .msg_controllen = sizeof(control.buf)};
	struct cmsghdr *head;
	ssize_t n;

	memcpy(fds, NO_FDS, FDS * sizeof(int));
	do
		n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	head = n >= 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(head), min(head->cmsg_len - CMSG_LEN(0), FDS * sizeof(int)));
	if (n == sizeof(*message))
		return 0;
	close_fds(fds);
	return -EIO;
}

/* ---- the mounter */

static const struct mounter_job *job;

static int mount_it(int *device)
{
	*device = job->adopted ? -EBUSY : job->mount(job->session, job->mountpoint);
	if (*device < 0)
		return *device;
	if (job->daemon)
		null_to(STDERR_FILENO, STDERR_FILENO);
	return 0;
}

static int unmount_it(int device)
{
	struct pollfd fd = {.fd = device};

	if (device >= 0 && poll(&fd, 1, 0) >= 0 && !(fd.revents & POLLERR))
		job->take_away(job->mountpoint);
	return 0;
}

static int backing_open(int device, int fd)
{
	struct backing_map map = {.fd = fd};
	int id = ioctl(device, DEV_IOC_BACKING_OPEN, &map);

	return id < 0 ? -errno : id;
}

static int backing_close(int device, u32 id)
{
	return ioctl(device, DEV_IOC_BACKING_CLOSE, &id) ? -errno : 0;
}

static int own_link(int fd, uid_t uid, gid_t gid)
{
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	if (!S_ISLNK(st.st_mode))
		return -EPERM;
	return fchownat(fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

static void serve(const struct message *request, const int fds[FDS])
{
	struct message answer = {.operation = request->operation, .value = -EINVAL};
	int device[FDS] = {-1, -1};

	switch (request->operation) {
	case MOUNT:
		answer.value = mount_it(&device[0]);
		break;
	case UNMOUNT:
		answer.value = unmount_it(fds[0]);
		break;
	case BACKING_OPEN:
		answer.value = backing_open(fds[0], fds[1]);
		break;
	case BACKING_CLOSE:
		answer.value = backing_close(fds[0], (u32)request->value);
		break;
	case OWN_LINK:
		answer.value = own_link(fds[0], request->uid, request->gid);
		break;
	}
	send_message(&answer, device);
	close_fds(device);
}

static void __attribute__((noreturn)) mounter_main(pid_t server)
{
	struct message request;
	int fds[FDS];
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL); /* it ends with its socket, and by SIGKILL */
	if (dup2(sock, SOCK_FD) < 0 || fcntl(SOCK_FD, F_SETFD, FD_CLOEXEC) ||
	    !null_to(STDIN_FILENO, job->daemon && job->adopted ? STDERR_FILENO : STDOUT_FILENO))
		_exit(1);
	sock = SOCK_FD;
	close_from(SOCK_FD + 1);
	setsid();
	if (job->narrow && !geteuid() &&
	    (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	     caps_keep(CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_DAC_READ_SEARCH) | CAP_BIT(CAP_CHOWN))))
		_exit(1);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "ubpffs-mounter", 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0); /* last: a change of rights takes it off */
	if (getppid() != server || chdir("/"))
		_exit(1);
	while (!recv_message(&request, fds)) {
		serve(&request, fds);
		close_fds(fds);
	}
	_exit(0);
}

/* ---- the server's side */

int mounter_start(const struct mounter_job *what)
{
	pid_t server = getpid();
	int socks[2], err;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	fflush(NULL);
	mounter_pid = fork();
	if (!mounter_pid) {
		job = what; /* on the stack of a process that goes no further */
		sock = socks[1];
		mounter_main(server);
	}
	err = mounter_pid < 0 ? -errno : 0;
	close(socks[1]);
	if (err)
		close(socks[0]);
	else
		sock = socks[0];
	return err;
}

void mounter_stop(void)
{
	if (sock < 0)
		return;
	close(sock);
	sock = -1;
	waitpid(mounter_pid, NULL, 0);
}

/* *got: the first descriptor that came back, or -1. */
static int ask(struct message message, int device, int fd, int *got)
{
	int fds[FDS] = {device, fd}, err;

	pthread_mutex_lock(&lock);
	err = send_message(&message, fds);
	if (!err)
		err = recv_message(&message, fds);
	pthread_mutex_unlock(&lock);
	*got = err ? -1 : fds[0];
	return err ?: message.value;
}

static int ask_number(struct message message, int device, int fd)
{
	int none, ret = ask(message, device, fd, &none);

	if (none >= 0)
		close(none);
	return ret;
}

int mounter_mount(void)
{
	int fd, err = ask((struct message){.operation = MOUNT}, -1, -1, &fd);

	return err ? err : fd < 0 ? -EIO : fd;
}

void mounter_unmount(int device)
{
	ask_number((struct message){.operation = UNMOUNT}, device, -1);
}

int mounter_backing_open(int device, int fd)
{
	return ask_number((struct message){.operation = BACKING_OPEN}, device, fd);
}

void mounter_backing_close(int device, unsigned int id)
{
	ask_number((struct message){.operation = BACKING_CLOSE, .value = (s32)id}, device, -1);
}

int mounter_own_link(int fd, uid_t uid, gid_t gid)
{
	const struct message message = {.operation = OWN_LINK, .uid = uid, .gid = gid};

	return sock < 0 ? own_link(fd, uid, gid) : ask_number(message, fd, -1);
}
