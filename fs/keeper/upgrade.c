/*
 * upgrade.c - see upgrade.h
 */
#include "fs/keeper/upgrade.h"
#include "fs/keeper/shared.h"
#include "util/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROBE_MS 10000
#define START_MS 60000 /* programs of a large state are verified again */

struct program {
	int fd; /* O_PATH; -1: what the keeper is itself */
	char path[PATH_MAX];
};

static char *const *server_argv;
static struct program now = {.fd = -1}, before = {.fd = -1};
static u64 trial_end; /* ns; 0: what was upgraded to has shown that it serves */

static struct {
	pid_t pid; /* 0: there is none */
	int sock, err; /* it says that it is ready, and what not */
	u64 deadline; /* ns */
	u64 by;
	char path[PATH_MAX];
} probe = {.sock = -1, .err = -1};

/* ---- results */

void upgrade_tell(u64 by, int err, const char *why)
{
	struct upgrade_result *r;

	if (!by)
		return;
	r = &shared->upgrades[__atomic_fetch_add(&shared->upgrades_told, 1, __ATOMIC_RELAXED) %
			      UPGRADES_TOLD];
	__atomic_store_n(&r->by, 0, __ATOMIC_RELEASE);
	r->err = err;
	snprintf(r->why, sizeof(r->why), "%s", why);
	__atomic_store_n(&r->by, by, __ATOMIC_RELEASE);
}

const struct upgrade_result *upgrade_result(u64 by)
{
	for (u32 i = 0; i < UPGRADES_TOLD; i++)
		if (__atomic_load_n(&shared->upgrades[i].by, __ATOMIC_ACQUIRE) == by)
			return &shared->upgrades[i];
	return NULL;
}

static void refuse(u64 by, const char *path, int err, const char *why)
{
	fprintf(stderr, "ubpffs: no upgrade to %s: %s\n", path, why);
	upgrade_tell(by, err, why);
}

/* ---- a program begins */

/* A descriptor of its own, beyond those that the program looks at. */
static int beyond(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, UPGRADE_DEVICE_FD + 1);
}

/* Returns only when that failed. */
static void exec_as(const struct program *program, char *mode, int sock, int device)
{
	int n = 0, fds[] = {beyond(sock), beyond(shared_fd()), beyond(device), -1};
	char **argv;

	while (server_argv[n])
		n++;
	argv = calloc((size_t)n + 3, sizeof(*argv));
	if (!argv)
		return;
	memcpy(argv, server_argv, (size_t)n * sizeof(*argv));
	argv[n] = "-o";
	argv[n + 1] = mode;
	if (program->fd >= 0)
		fds[3] = beyond(program->fd);
	for (int i = UPGRADE_SOCK_FD; i <= UPGRADE_DEVICE_FD; i++)
		if (dup2(fds[i - UPGRADE_SOCK_FD], i) < 0)
			return;
	if (program->fd >= 0)
		execveat(fds[3], "", argv, environ, AT_EMPTY_PATH);
	else
		execve(program->path, argv, environ);
}

void upgrade_exec(int sock, int device)
{
	if (now.fd < 0)
		return;
	exec_as(&now, "keeper=server", sock, device);
	fprintf(stderr, "ubpffs: %s: %s\n", now.path, strerror(errno));
	_exit(127);
}

/* ---- the probe */

int upgrade_start(char *const *argv)
{
	ssize_t n = readlink("/proc/self/exe", now.path, sizeof(now.path) - 1);

	server_argv = argv;
	return n < 0 ? -errno : 0;
}

static void __attribute__((noreturn)) be_probe(pid_t keeper, int sock, int err)
{
	struct program program = {.fd = -1};
	sigset_t none;

	snprintf(program.path, sizeof(program.path), "%s", probe.path);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (getppid() == keeper && dup2(err, STDERR_FILENO) >= 0)
		exec_as(&program, "keeper=check", sock, sock);
	dprintf(STDERR_FILENO, "%s\n", strerror(errno));
	_exit(127);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void end_probe(void)
{
	kill(probe.pid, SIGKILL);
	waitpid(probe.pid, NULL, 0);
	close(probe.sock);
	close(probe.err);
	probe.pid = 0;
	probe.sock = probe.err = -1;
}

static int start_probe(void)
{
	int socks[2] = {-1, -1}, errs[2] = {-1, -1}, err = 0;
	pid_t keeper = getpid();

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) ||
	    pipe2(errs, O_CLOEXEC) || fcntl(errs[0], F_SETFL, O_NONBLOCK))
		err = -errno;
	fflush(NULL);
	probe.pid = err ? -1 : fork();
	if (!probe.pid)
		be_probe(keeper, socks[1], errs[1]);
	if (!err && probe.pid < 0)
		err = -errno;
	close_fd(socks[1]);
	close_fd(errs[1]);
	if (err) {
		close_fd(socks[0]);
		close_fd(errs[0]);
		probe.pid = 0;
		return err;
	}
	probe.sock = socks[0];
	probe.err = errs[0];
	probe.deadline = monotonic_ns() + PROBE_MS * 1000000ULL;
	return 0;
}

void upgrade_begin(u64 by, const char *path)
{
	int err;

	if (!path[0])
		path = now.path;
	if (by && (upgrade_result(by) || (probe.pid && probe.by == by) ||
		   (shared->upgraded && shared->upgraded_by == by)))
		return; /* it was sent again */
	if (probe.pid || shared->upgraded) {
		refuse(by, path, -EBUSY, "another upgrade is under way");
		return;
	}
	if (path[0] != '/' || strlen(path) >= sizeof(probe.path)) {
		refuse(by, path, -EINVAL, "a program is named by its whole path");
		return;
	}
	probe.by = by;
	snprintf(probe.path, sizeof(probe.path), "%s", path);
	err = start_probe();
	if (err)
		refuse(by, probe.path, err, strerror(-err));
}

int upgrade_fd(void)
{
	return probe.pid ? probe.sock : -1;
}

/* Has what was upgraded to been started, and does not serve yet? */
static bool is_late(void)
{
	return trial_end && !__atomic_load_n(&shared->serving, __ATOMIC_ACQUIRE);
}

int upgrade_wait_ms(void)
{
	u64 end = probe.pid ? probe.deadline : is_late() ? trial_end : 0, at = monotonic_ns();

	if (!end)
		return -1;
	return end > at ? (int)((end - at) / 1000000) + 1 : 0;
}

/* The last line that it printed is the reason. */
static void refused(void)
{
	char text[4096], *why = text, *nl;
	ssize_t n = read(probe.err, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = 0;
	for (n = n > 0 ? n : 0; n && text[n - 1] == '\n'; n--)
		text[n - 1] = 0;
	nl = strrchr(text, '\n');
	if (nl)
		why = nl + 1;
	if (!strncmp(why, "ubpffs: ", 8))
		why += 8;
	end_probe();
	refuse(probe.by, probe.path, -EPROTO,
	       *why ? why : "it ended before it could say whether it can go on");
}

/* What it runs, whatever its name is now. */
static bool take_program(void)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", probe.pid);
	fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return false;
	close_fd(before.fd);
	before = now;
	now.fd = fd;
	snprintf(now.path, sizeof(now.path), "%s", probe.path);
	return true;
}

static bool passed(void)
{
	bool taken = take_program();
	int err = errno;

	end_probe();
	if (!taken) {
		refuse(probe.by, probe.path, -err, strerror(err));
		return false;
	}
	fprintf(stderr, "ubpffs: the server is replaced by %s\n", now.path);
	shared->upgraded_by = probe.by;
	shared->upgraded = 1;
	trial_end = monotonic_ns() + START_MS * 1000000ULL;
	return true;
}

static bool probe_poll(void)
{
	char said;
	ssize_t n = recv(probe.sock, &said, 1, MSG_DONTWAIT);

	if (n == 1 && said == UPGRADE_READY)
		return passed();
	if (n < 0 && errno == EAGAIN) {
		if (monotonic_ns() < probe.deadline)
			return false;
		end_probe();
		refuse(probe.by, probe.path, -ETIMEDOUT,
		       "it did not say in time whether it can go on");
		return false;
	}
	refused();
	return false;
}

enum upgrade_next upgrade_poll(void)
{
	if (probe.pid && probe_poll())
		return UPGRADE_REPLACES;
	return is_late() && monotonic_ns() >= trial_end ? UPGRADE_LATE : UPGRADE_WAITS;
}

/* ---- was it good? */

bool upgrade_undone(const char *how, bool by_fault)
{
	char why[UPGRADE_WHY];

	if (!trial_end)
		return false;
	trial_end = 0;
	if (!by_fault)
		return false;
	snprintf(why, sizeof(why), "it %s: the server of before goes on", how);
	fprintf(stderr, "ubpffs: %s: %s\n", now.path, why);
	shared->upgraded = 0;
	if (!upgrade_result(shared->upgraded_by))
		upgrade_tell(shared->upgraded_by, -EIO, why);
	close_fd(now.fd);
	now = before;
	before.fd = -1;
	return true;
}
