/*
 * launch.c - the three processes of ubpfctl run: who waits, who supervises, the command
 *
 *     ubpfctl      waits for the supervisor's word how the command ended; hands on signals
 *     supervisor   forks the command, gets the listener from it, answers, reaps
 *     the command  its own mount namespace, the filter, exec
 *
 * They share a socket pair (the command's end sends the listener) and a pipe (how it ended).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "tools/run/caller/caller.h"
#include "tools/run/filter.h"
#include "tools/run/caller/inject.h"
#include "tools/run/caller/run.h"
#include "tools/run/supervisor.h"
#include "tools/run/caller/trace.h"

/* ---- the command */

static int write_file(const char *path, const char *fmt, unsigned int id)
{
	char text[64];
	int fd = open(path, O_WRONLY | O_CLOEXEC), n, ret;

	if (fd < 0)
		return -1;
	n = snprintf(text, sizeof(text), fmt, id, id);
	ret = write(fd, text, n) == n ? 0 : -1;
	close(fd);
	return ret;
}

/*
 * Show the mount at /sys/fs/bpf, in a mount namespace of the command's own. An ordinary user needs
 * a user namespace for that, in which he stays who he is. Where that is not allowed the paths that
 * bpf(2) gets are translated, and nothing else knows them there.
 */
static bool show_at_sys_fs_bpf(void)
{
	unsigned int uid = geteuid(), gid = getegid();

	if (access(SYS_FS_BPF, F_OK) && errno == ENOENT)
		return false;
	if (unshare(uid ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS))
		return false;
	if (uid && (write_file("/proc/self/setgroups", "deny", 0) ||
		    write_file("/proc/self/uid_map", "%u %u 1", uid) ||
		    write_file("/proc/self/gid_map", "%u %u 1", gid)))
		return false;
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return false;
	return !mount(run_mount.path, SYS_FS_BPF, NULL, MS_BIND, NULL);
}

static int send_fd(int sock, int fd, char word)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&word, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	return sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -1;
}

static void command(int sock, char **argv) __attribute__((noreturn));
static void command(int sock, char **argv)
{
	bool user = geteuid() != 0; /* before the namespace */
	char at = show_at_sys_fs_bpf() ? 'y' : 'n';
	int listener = run_filter_install(user);

	if (listener < 0) {
		fprintf(stderr, "ubpfctl: run: cannot have system calls answered: %s\n",
			listener == -EBUSY ? "a program above has them already"
					   : strerror(-listener));
		_exit(126);
	}
	if (send_fd(sock, listener, at))
		_exit(126);
	close(listener);
	close(sock);
	execvp(argv[0], argv);
	fprintf(stderr, "ubpfctl: run: %s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

/* ---- the supervisor */

/* The listener, or -1: the command ended before it had one. */
static int get_fd(int sock, char *word)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {word, 1};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control,
			     .msg_controllen = sizeof(control)};
	struct cmsghdr *cmsg;
	int fd;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	cmsg = CMSG_FIRSTHDR(&msg);
	if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
		return -1;
	memcpy(&fd, CMSG_DATA(cmsg), sizeof(int));
	return fd;
}

/* It may live longer than who started it: it keeps nothing of that open, but where it traces to. */
static void let_go_of_files(bool verbose)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, 0);
	dup2(null, 1);
	if (!verbose)
		dup2(null, 2);
	if (null > 2)
		close(null);
	if (chdir("/"))
		return;
}

static void supervisor(int out, char **argv, bool verbose) __attribute__((noreturn));
static void supervisor(int out, char **argv, bool verbose)
{
	static const int ignored[] = {SIGINT, SIGQUIT, SIGHUP, SIGTERM, SIGTSTP, SIGPIPE, SIGTTOU};
	int socks[2], listener, status, err;
	struct sigaction ignore = {.sa_handler = SIG_IGN}, old[7];
	pid_t pid, ended;
	char at = 'n';
	size_t i;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks))
		_exit(1);
	for (i = 0; i < 7; i++)
		sigaction(ignored[i], &ignore, &old[i]);
	pid = fork();
	if (pid < 0)
		_exit(1);
	if (!pid) {
		for (i = 0; i < 7; i++)
			sigaction(ignored[i], &old[i], NULL);
		close(socks[0]);
		close(out);
		command(socks[1], argv);
	}
	close(socks[1]);
	if (write(out, &pid, sizeof(pid)) != sizeof(pid)) {
		kill(pid, SIGKILL);
		_exit(1);
	}
	let_go_of_files(verbose);
	listener = get_fd(socks[0], &at);
	if (listener >= 0 && caller_init()) {
		kill(pid, SIGKILL);
		close(listener);
		listener = -1;
	}
	close(socks[0]);
	if (listener >= 0) {
		run_mount.at_sys_fs_bpf = at == 'y';
		err = run_supervise(listener);
		if (err)
			kill(pid, SIGKILL);
	}
	for (;;) {
		ended = waitpid(-1, &status, __WALL);
		if (ended < 0 && errno == EINTR)
			continue;
		if (ended < 0)
			_exit(0); /* ECHILD: the last of them */
		if (inject_waited(ended, status) || WIFSTOPPED(status))
			continue;
		if (ended == pid) {
			if (write(out, &status, sizeof(status)) != sizeof(status))
				status = 0; /* nobody waits for it */
			close(out);
		}
	}
}

/* ---- who waits */

static volatile sig_atomic_t command_pid;

static void hand_on(int sig)
{
	if (command_pid > 0)
		kill(command_pid, sig);
}

static bool read_int(int fd, int *value)
{
	ssize_t n;

	do
		n = read(fd, value, sizeof(*value));
	while (n < 0 && errno == EINTR);
	return n == sizeof(*value);
}

int run_command(const char *mount, char **argv, bool verbose)
{
	static const int handed[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
	struct sigaction on = {.sa_handler = hand_on}, ignore = {.sa_handler = SIG_IGN};
	int out[2], pid, status;
	struct stat st;
	pid_t child;
	size_t i;

	run_mount.path = mount;
	run_mount.fd = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (run_mount.fd < 0 || fstat(run_mount.fd, &st) || pipe2(out, O_CLOEXEC)) {
		fprintf(stderr, "ubpfctl: run: %s: %s\n", mount, strerror(errno));
		return 1;
	}
	run_mount.dev = st.st_dev;
	run_trace_to(verbose ? stderr : NULL);
	child = fork();
	if (child < 0) {
		fprintf(stderr, "ubpfctl: run: %s\n", strerror(errno));
		return 1;
	}
	if (!child) {
		close(out[0]);
		supervisor(out[1], argv, verbose);
	}
	close(out[1]);
	if (!read_int(out[0], &pid)) {
		fprintf(stderr, "ubpfctl: run: the supervisor did not start\n");
		return 1;
	}
	command_pid = pid;
	for (i = 0; i < sizeof(handed) / sizeof(handed[0]); i++)
		sigaction(handed[i], &on, NULL);
	/* The terminal sends these to the command, too, which decides. */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
	if (!read_int(out[0], &status)) {
		fprintf(stderr, "ubpfctl: run: the supervisor is gone; bpf(2) fails with ENOSYS "
				"from now on\n");
		return 1;
	}
	command_pid = 0;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
