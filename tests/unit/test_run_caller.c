/*
 * test_run_caller.c - tools/run/caller/caller.c: what a call that waits for its answer may be asked
 * for when another thread of its process runs another program
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "tools/run/caller/caller.h"

#define KEPT 50 /* a descriptor of the caller's that the other program gets, too */

static struct shared {
	int listener; /* its number in the child, and one; -1: none can be had */
	bool go;
	char room[16]; /* what is answered to */
} * shared;

static void *run_another(void *arg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* of this thread, which runs on as the other program */
	while (!__atomic_load_n(&shared->go, __ATOMIC_ACQUIRE))
		usleep(1000);
	execl("/bin/sleep", "sleep", "100", NULL);
	_exit(1);
}

/* The child: its first thread waits in getppid(2). */
static void __attribute__((noreturn)) call_and_wait(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getppid, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = {sizeof(filter) / sizeof(filter[0]), filter};
	pthread_t other;
	long fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(open("/dev/null", O_RDONLY), KEPT);
	pthread_create(&other, NULL, run_another, NULL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog);
	__atomic_store_n(&shared->listener, fd < 0 ? -1 : (int)fd + 1, __ATOMIC_RELEASE);
	syscall(SYS_getppid);
	_exit(0);
}

static int begin(struct caller *c, pid_t *child)
{
	struct seccomp_notif notif = {0};
	int pidfd, n;

	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	*child = fork();
	if (!*child)
		call_and_wait();
	assert_true(*child > 0);
	while (!(n = __atomic_load_n(&shared->listener, __ATOMIC_ACQUIRE)))
		usleep(1000);
	pidfd = (int)syscall(SYS_pidfd_open, *child, 0);
	*c = (struct caller){.listener = -1, .tid = *child, .given = -1, .mem = -1};
	if (n > 0 && pidfd >= 0)
		c->listener = (int)syscall(SYS_pidfd_getfd, pidfd, n - 1, 0);
	close(pidfd);
	if (c->listener < 0 || ioctl(c->listener, SECCOMP_IOCTL_NOTIF_RECV, &notif))
		return -1;
	c->id = notif.id;
	return 0;
}

static void nothing_is_had_of_what_runs_next(void **state)
{
	char comm[16] = "", path[64];
	struct caller c;
	pid_t child;
	int fd;

	if (begin(&c, &child)) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		print_message("no seccomp notifications here\n");
		skip();
	}
	fd = caller_fd(&c, KEPT);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(caller_fd(&c, KEPT + 1), -EBADF);
	assert_int_equal(caller_write(&c, (uintptr_t)shared->room, "answer", 7), 0);
	assert_string_equal(shared->room, "answer");

	__atomic_store_n(&shared->go, true, __ATOMIC_RELEASE);
	snprintf(path, sizeof(path), "/proc/%d/comm", child);
	while (strcmp(comm, "sleep\n")) {
		usleep(1000);
		fd = open(path, O_RDONLY);
		assert_true(fd >= 0);
		memset(comm, 0, sizeof(comm));
		assert_true(read(fd, comm, sizeof(comm) - 1) > 0);
		close(fd);
	}
	assert_false(caller_waits(&c));
	assert_int_equal(caller_fd(&c, KEPT), -ESRCH);
	assert_int_equal(caller_write(&c, (uintptr_t)shared->room, "wrong", 6), -ESRCH);
	caller_end(&c);
	close(c.listener);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_had_of_what_runs_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
