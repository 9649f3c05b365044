/*
 * service.c - see service.h
 *
 * A process of its own: a thread of the server that waits for an answer of the server could not be
 * killed, and the server with it.
 */
#include "fs/service.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int mounted_fd =
	-1; /* the other end is the process's; it ends when all of these are closed */

/* A connected socket; a path, or @NAME in the abstract namespace. */
static int manager_open(const char *name)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	size_t n = strlen(name);
	int fd, err;

	if ((name[0] != '/' && name[0] != '@') || n < 2 || n >= sizeof(to.sun_path))
		return -EINVAL;
	memcpy(to.sun_path, name, n);
	if (name[0] == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + n))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

/* In milliseconds: half of what the manager waits for this process; -1: it does not. */
static int watchdog_period(void)
{
	const char *us = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
	unsigned long long ms;

	if (!us || (pid && atoi(pid) != getpid()))
		return -1;
	ms = strtoull(us, NULL, 10) / 2000;
	return !ms ? 1 : ms > INT_MAX ? INT_MAX : ms;
}

/* Until nobody holds the other end. */
static void look(const char *mountpoint, int manager, int end, int period)
{
	struct pollfd p = {end, POLLIN, 0};
	const char *text = "READY=1";
	struct statvfs st;
	char byte;

	if (read(end, &byte, 1) != 1)
		return;
	do {
		if (!statvfs(mountpoint, &st) &&
		    send(manager, text, strlen(text), MSG_NOSIGNAL) > 0)
			text = "WATCHDOG=1";
	} while (!poll(&p, 1, period) || (p.revents & POLLIN && read(end, &byte, 1) == 1));
}

/* Nobody's child, so that no other part finds it among its own. */
static int begin(const char *mountpoint, int manager, int fds[2], int period)
{
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (!pid) {
		pid = fork();
		if (!pid) {
			/* Nothing of the server stays open here. */
			if (dup2(fds[0], 0) == 0 && dup2(manager, 1) == 1 &&
			    !close_range(2, ~0U, 0))
				look(mountpoint, 1, 0, period);
		}
		_exit(pid < 0);
	}
	return waitpid(pid, NULL, 0) < 0 ? -errno : 0;
}

int service_start(const char *mountpoint)
{
	const char *name = getenv("NOTIFY_SOCKET");
	int fds[2], manager, err;

	if (!name)
		return 0;
	manager = manager_open(name);
	if (manager < 0)
		return manager;
	err = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0 ? -errno : 0;
	if (!err) {
		err = begin(mountpoint, manager, fds, watchdog_period());
		close(fds[0]);
		if (!err)
			mounted_fd = fds[1];
		else
			close(fds[1]);
	}
	close(manager);
	return err;
}

void service_mounted(void)
{
	if (mounted_fd >= 0 && send(mounted_fd, "1", 1, MSG_NOSIGNAL) != 1)
		perror("ubpffs: the service manager");
}
