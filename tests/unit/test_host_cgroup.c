/*
 * test_host_cgroup.c - fs/enforce/host_cgroup.c and listener.c on the machine's own cgroup v2: what
 * is ours is made, found and taken away, and nothing else
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/enforce/host_cgroup.h"
#include "fs/enforce/listener.h"

static struct host_cgroup h;
static char name[64];

static int begin(void **state)
{
	struct error_record why = {0};

	snprintf(name, sizeof(name), "ubpffs-unit-%d", getpid());
	if (hostcg_start(&h, NULL, name, &why)) {
		print_message("no cgroup can be made: %s\n", error_why(&why, 0));
		error_clear(&why);
		hostcg_stop(&h);
		*state = NULL;
		return 0;
	}
	*state = &h;
	return 0;
}

static int end(void **state)
{
	if (*state) {
		char path[PATH_MAX + 64];

		snprintf(path, sizeof(path), "%s/%s", h.own_path, name);
		assert_return_code(access(path, F_OK), errno);
		hostcg_stop(&h);
		assert_int_equal(access(path, F_OK), -1); /* nothing is left */
		assert_int_equal(h.base_fd, -1);
		hostcg_stop(&h); /* nothing, the second time */
	}
	return 0;
}

#define NEEDS_CGROUP()                                                 \
	do {                                                           \
		if (!*state) {                                         \
			print_message("no cgroup can be made here\n"); \
			skip();                                        \
		}                                                      \
	} while (0)

static u64 ino_of(const char *path)
{
	struct stat st;

	assert_return_code(fstatat(h.base_fd, path, &st, 0), errno);
	return st.st_ino;
}

static bool is_there(const char *path)
{
	return !faccessat(h.base_fd, path, F_OK, 0);
}

static bool has_marks(void)
{
	char value[4];

	return fgetxattr(h.base_fd, "user.ubpffs", value, sizeof(value)) > 0;
}

static void directories_are_made_and_found_again(void **state)
{
	u64 id, again;

	NEEDS_CGROUP();
	assert_int_equal(hostcg_add(&h, "A", false, &id), 0);
	assert_int_equal(id, ino_of("A"));
	assert_int_equal(hostcg_add(&h, "A/B", false, &id), 0);
	assert_int_equal(id, ino_of("A/B"));
	assert_int_equal(hostcg_add(&h, "A/B", false, &again), 0); /* it carries our mark */
	assert_int_equal(again, id);
	assert_int_equal(hostcg_add(&h, "none/x", false, &id), -ENOENT);
	assert_int_equal(hostcg_add(&h, "cgroup.procs", false, &id), -EINVAL);
	assert_int_equal(hostcg_remove(&h, "A"), -EBUSY); /* there is something in it */
	assert_int_equal(hostcg_remove(&h, "A/B"), 0);
	assert_int_equal(hostcg_remove(&h, "A/B"), 0); /* gone is gone */
	assert_int_equal(hostcg_remove(&h, "A"), 0);
	assert_true(hostcg_level(&h) >= 1);
}

static void what_somebody_else_made_is_not_taken(void **state)
{
	u64 id;

	NEEDS_CGROUP();
	if (!has_marks()) {
		print_message("this kernel has no attributes on cgroups\n");
		skip();
	}
	assert_return_code(mkdirat(h.base_fd, "theirs", 0755), errno);
	assert_int_equal(hostcg_add(&h, "theirs", false, &id), -EEXIST);
	hostcg_sweep(&h, NULL, NULL);
	assert_true(is_there("theirs"));
	assert_int_equal(hostcg_add(&h, "theirs", true, &id), 0); /* adopted: a killed server's */
	assert_int_equal(id, ino_of("theirs"));
	hostcg_sweep(&h, NULL, NULL);
	assert_false(is_there("theirs"));
}

static bool knows_a(void *arg, const char *path)
{
	return !strcmp(path, "A") || !strcmp(path, "A/known");
}

static void a_sweep_leaves_what_is_known(void **state)
{
	static const char *const all[] = {"A", "A/known", "A/x", "A/x/y", "B"};
	u64 id;

	NEEDS_CGROUP();
	if (!has_marks()) {
		print_message("this kernel has no attributes on cgroups\n");
		skip();
	}
	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(hostcg_add(&h, all[i], false, &id), 0);
	hostcg_sweep(&h, knows_a, NULL);
	for (u32 i = 0; i < ARRAY_SIZE(all); i++)
		assert_int_equal(is_there(all[i]), i < 2);
	hostcg_sweep(&h, NULL, NULL);
	assert_false(is_there("A"));
}

static void processes_are_moved_listed_and_kept_from_harm(void **state)
{
	pid_t pid;
	size_t len;
	char *text, expected[16];
	u64 id;

	NEEDS_CGROUP();
	assert_int_equal(hostcg_add(&h, "A", false, &id), 0);
	assert_int_equal(hostcg_procs(&h, "A", &text, &len), 0);
	assert_int_equal(len, 0);
	free(text);
	assert_int_equal(hostcg_procs(&h, "none", &text, &len), -ENOENT);
	pid = fork();
	if (!pid) {
		pause();
		_exit(0);
	}
	assert_int_equal(hostcg_move(&h, "A", pid), 0);
	assert_int_equal(hostcg_procs(&h, "A", &text, &len), 0);
	snprintf(expected, sizeof(expected), "%d\n", pid);
	assert_string_equal(text, expected);
	assert_int_equal(len, strlen(expected));
	free(text);
	assert_int_equal(hostcg_move(&h, "none", pid), -ENOENT);
	assert_int_equal(hostcg_move(&h, "A", 1 << 30), -ESRCH);
	assert_int_equal(hostcg_remove(&h, "A"), -EBUSY);
	hostcg_sweep(&h, knows_a, NULL);
	assert_true(is_there("A"));
	/* The end moves it out, and it lives. */
	hostcg_stop(&h);
	assert_int_equal(kill(pid, 0), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	*state = NULL;
}

static bool is_id(void *arg, u64 id)
{
	return id == *(u64 *)arg;
}

static void the_nearest_above_is_found(void **state)
{
	u64 a, c, none = 3, found;

	NEEDS_CGROUP();
	assert_int_equal(hostcg_add(&h, "A", false, &a), 0);
	assert_return_code(mkdirat(h.base_fd, "A/b", 0755), errno); /* somebody else's */
	assert_return_code(mkdirat(h.base_fd, "A/b/c", 0755), errno);
	c = ino_of("A/b/c");
	found = hostcg_nearest(&h, c, is_id, &a);
	if (!found && geteuid()) {
		print_message("only root may open by handle\n");
	} else {
		assert_int_equal(found, a);
		assert_int_equal(hostcg_nearest(&h, a, is_id, &a), a);
		assert_int_equal(hostcg_nearest(&h, c, is_id, &none), 0);
		assert_int_equal(hostcg_nearest(&h, 1ULL << 60, is_id, &a), 0);
	}
	assert_return_code(unlinkat(h.base_fd, "A/b/c", AT_REMOVEDIR), errno);
	assert_return_code(unlinkat(h.base_fd, "A/b", AT_REMOVEDIR), errno);
	if (!found)
		skip();
}

static void what_is_no_cgroup_is_refused_with_a_reason(void **state)
{
	struct error_record why = {0};
	struct host_cgroup other;

	assert_int_equal(hostcg_start(&other, "/tmp", "x", &why), -EINVAL);
	assert_non_null(strstr(error_why(&why, 0), "needs a directory of cgroup v2"));
	error_clear(&why);
	hostcg_stop(&other);
	assert_int_equal(hostcg_start(&other, "/nonexistent", "x", &why), -ENOENT);
	assert_non_null(strstr(error_why(&why, 0), "/nonexistent: a cgroup cannot be made there"));
	error_clear(&why);
	hostcg_stop(&other);
}

/* ---- listener.c: the cgroup of a socket that listens, here our own */

static void a_listener_has_its_processs_cgroup(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 at6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	socklen_t len = sizeof(at);
	struct listener l = {0};
	struct stat st;
	u64 id;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	NEEDS_CGROUP();
	assert_return_code(bind(fd, (struct sockaddr *)&at, sizeof(at)), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&at, &len), errno);
	if (listener_open(&l)) {
		print_message("no sock_diag here\n");
		listener_close(&l);
		close(fd);
		skip();
	}
	assert_int_equal(listener_cgroup(&l, AF_INET, &at.sin_addr, at.sin_port, 1), 0);
	assert_return_code(listen(fd, 1), errno);
	id = listener_cgroup(&l, AF_INET, &at.sin_addr, at.sin_port, 1);
	assert_return_code(stat(h.own_path, &st), errno);
	if (id) /* kernels before 5.7 do not tell */
		assert_int_equal(id, st.st_ino);
	/* Another port, and another family, have none. */
	assert_int_equal(listener_cgroup(&l, AF_INET, &at.sin_addr, (u16)~at.sin_port, 1), 0);
	assert_int_equal(listener_cgroup(&l, AF_INET6, &at6.sin6_addr, at.sin_port, 1), 0);
	assert_int_equal(listener_cgroup(&l, AF_INET, &at.sin_addr, at.sin_port, 1), id);
	close(fd);
	assert_int_equal(listener_cgroup(&l, AF_INET, &at.sin_addr, at.sin_port, 1), 0);
	listener_close(&l);
	listener_close(&l);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(directories_are_made_and_found_again),
		CASE(what_somebody_else_made_is_not_taken),
		CASE(a_sweep_leaves_what_is_known),
		CASE(processes_are_moved_listed_and_kept_from_harm),
		CASE(the_nearest_above_is_found),
		cmocka_unit_test(what_is_no_cgroup_is_refused_with_a_reason),
		CASE(a_listener_has_its_processs_cgroup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
