/*
 * test_agent.c - fs/agent/agent.c and process.c: what a process that is the client has and may, and
 * that nobody waits for it longer than he said
 *
 * Cases are named by the letters of agent.h. The services are the test's own.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/agent/agent.h"
#include "fs/agent/process.h"
#include "fs/agent/service/perf_open.h"
#include "tests/lib/emulator.h"

#define LONG_MS	 60000 /* what takes that long has failed */
#define SHORT_MS 20
#define OTHER	 65534

/* ---- services */

struct self {
	pid_t pid, agent;
	u32 uid[3], gid[3];
	int nr_groups;
	gid_t groups[16];
	u32 fds; /* bits of the descriptors that are open */
	u32 nulls; /* those that are /dev/null */
	int dumpable, no_new_privs, fork_errno;
	u64 core, data;
	size_t len;
	u8 end; /* the byte behind the argument */
};

static void tell_self(int sock, const void *arg, size_t len)
{
	struct self s = {.pid = getpid(), .agent = getppid(), .len = len};
	struct rlimit rl;
	struct stat st;
	pid_t child;

	getresuid(&s.uid[0], &s.uid[1], &s.uid[2]);
	getresgid(&s.gid[0], &s.gid[1], &s.gid[2]);
	s.nr_groups = getgroups(16, s.groups);
	for (int fd = 0; fd < 64; fd++)
		if (!fstat(fd, &st)) {
			s.fds |= fd < 31 ? 1u << fd : 1u << 31;
			if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
				s.nulls |= fd < 31 ? 1u << fd : 1u << 31;
		}
	s.dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	s.no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	child = fork();
	if (!child)
		_exit(0);
	s.fork_errno = child < 0 ? errno : 0;
	getrlimit(RLIMIT_CORE, &rl);
	s.core = rl.rlim_max;
	getrlimit(RLIMIT_DATA, &rl);
	s.data = rl.rlim_max;
	s.end = ((const u8 *)arg)[len];
	agent_report(sock, 0, NULL);
	agent_put(sock, &s, sizeof(s), -1);
}

static void echo(int sock, const void *arg, size_t len)
{
	static char buf[AGENT_MSG_MAX];
	ssize_t got;

	agent_report(sock, 0, NULL);
	agent_put(sock, arg, len, -1);
	while ((got = agent_get(sock, buf, sizeof(buf))) > 0)
		agent_put(sock, buf, (size_t)got, -1);
}

/* The argument: a number, and a sentence. 1: it ends without a word. */
static void refuse(int sock, const void *arg, size_t len)
{
	int err;

	memcpy(&err, arg, sizeof(err));
	if (err == 1)
		raise(SIGKILL);
	agent_report(sock, err, len > sizeof(err) ? "%s" : NULL, (const char *)arg + sizeof(err));
}

static void say_nothing(int sock, const void *arg, size_t len)
{
	for (;;)
		pause();
}

static void give_null(int sock, const void *arg, size_t len)
{
	agent_report(sock, 0, NULL);
	agent_put(sock, "null", 4, 0);
	agent_put(sock, "none", 4, -1);
}

/* Never looks at its socket again; with a path it writes there, later, what it gets. */
static void be_busy(int sock, const void *arg, size_t len)
{
	pid_t pid = getpid();
	char buf[64];
	ssize_t n;
	int fd;

	agent_report(sock, len && !agent_stay(sock) ? -errno : 0, NULL);
	agent_put(sock, &pid, sizeof(pid), -1);
	while (!len)
		;
	usleep(SHORT_MS * 1000);
	fd = open(arg, O_WRONLY);
	while ((n = agent_get(sock, buf, sizeof(buf))) > 0)
		if (write(fd, buf, (size_t)n) != n)
			break;
}

#define SELF   AGENT_PERF
#define ECHO   AGENT_STACKS
#define REFUSE AGENT_SYMBOLS
#define SILENT AGENT_CAPTURE
#define GIVE   AGENT_OUT
#define BUSY   AGENT_MAPS

static const struct agent_service_kind services[AGENT_SERVICE_NR] = {
	[SELF] = {tell_self},	  [ECHO] = {echo},
	[REFUSE] = {refuse},	  [AGENT_PROCESS] = {process_service},
	[SILENT] = {say_nothing}, [GIVE] = {give_null},
	[BUSY] = {be_busy}};

static struct agent_cred me;
static struct error_record why;
static int open_before; /* of the server, at the start */

static int begin(void **state)
{
	me = (struct agent_cred){geteuid(), getegid(), 0, NULL};
	open_before = open("/dev/null", O_RDONLY); /* without O_CLOEXEC */
	return agent_start(services, false, false);
}

static int end(void **state)
{
	error_clear(&why);
	agent_stop();
	agent_stop(); /* nothing, the second time */
	close(open_before);
	return 0;
}

static int spawn(enum agent_service service, const void *arg, size_t len)
{
	int sock = agent_spawn(&me, service, arg, len, NULL);

	assert_return_code(sock, -sock);
	return sock;
}

static int status(int sock)
{
	error_clear(&why);
	return agent_status(sock, -1, LONG_MS, &why);
}

static struct self self_of(const struct agent_cred *cred, const char *arg)
{
	int sock = agent_spawn(cred, SELF, arg, strlen(arg), NULL);
	struct self self;

	assert_return_code(sock, -sock);
	assert_int_equal(status(sock), 0);
	assert_int_equal(agent_recv(sock, &self, sizeof(self), NULL, -1, LONG_MS), sizeof(self));
	assert_int_equal(agent_recv(sock, &self.end, 1, NULL, -1, LONG_MS), 0); /* it has ended */
	close(sock);
	return self;
}

/* ---- cases */

static void a_it_has_a_socket_and_no_way_to_more(void **state)
{
	struct self self = self_of(&me, "x");

	assert_int_equal(self.fds, 0xf); /* and none of the server's */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	assert_int_equal(self.nulls, 7);
	if (!UNDER_EMULATOR()) /* which has memory of its own, and no limit of it */
		assert_int_equal(self.data, 2ULL << 30);
#endif
	assert_int_equal(self.dumpable, 0);
	assert_int_equal(self.no_new_privs, 1);
	assert_int_equal(self.core, 0);
	assert_int_not_equal(self.pid, getpid());
	assert_int_not_equal(self.agent, getpid());
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(self.uid[i], me.uid);
		assert_int_equal(self.gid[i], me.gid);
	}
	if (me.uid) /* root may always fork */
		assert_int_equal(self.fork_errno, EAGAIN);
}

static void a_it_is_the_client_for_good(void **state)
{
	const gid_t groups[] = {11, 12, 13};
	struct agent_cred cred = {OTHER, 4321, 3, groups};
	struct self self;

	if (me.uid) {
		cred.uid = me.uid + 1;
		assert_int_equal(agent_spawn(&cred, SELF, "", 0, &why), -EPERM);
		assert_non_null(strstr(error_why(&why, 0), "cannot act as uid"));
		return;
	}
	self = self_of(&cred, "");
	for (u32 i = 0; i < 3; i++) {
		assert_int_equal(self.uid[i], OTHER);
		assert_int_equal(self.gid[i], 4321);
	}
	assert_int_equal(self.nr_groups, 3);
	assert_memory_equal(self.groups, groups, sizeof(groups));
	assert_int_equal(self.fork_errno, EAGAIN);
	assert_int_equal(self.dumpable, 0);
	/* None, and those of an account that there is not: its own one. */
	cred.nr_groups = 0;
	assert_int_equal(self_of(&cred, "").nr_groups, 0);
	cred = (struct agent_cred){54321, 4321, AGENT_ACCOUNT_GROUPS, NULL};
	self = self_of(&cred, "");
	assert_int_equal(self.nr_groups, 1);
	assert_int_equal(self.groups[0], 4321);
	assert_int_equal(self.fds, 0xf); /* what the look-up opened is closed */
}

static void an_argument_comes_whole_and_has_an_end(void **state)
{
	char *arg = calloc(1, AGENT_ARG_MAX + 1), *back = calloc(1, AGENT_ARG_MAX + 1);
	struct agent_cred many = me;
	int sock;

	/* The agent's room has been used for a longer one. */
	memset(arg, 'x', AGENT_ARG_MAX);
	sock = spawn(ECHO, arg, AGENT_ARG_MAX);
	assert_int_equal(status(sock), 0);
	assert_int_equal(agent_recv(sock, back, AGENT_ARG_MAX + 1, NULL, -1, LONG_MS),
			 AGENT_ARG_MAX);
	assert_memory_equal(back, arg, AGENT_ARG_MAX);
	close(sock);
	assert_int_equal(self_of(&me, "abc").len, 3);
	assert_int_equal(self_of(&me, "abc").end, 0);
	assert_int_equal(self_of(&me, "").end, 0);
	assert_int_equal(agent_spawn(&me, ECHO, arg, AGENT_ARG_MAX + 1, NULL), -E2BIG);
	many.nr_groups = 1025;
	assert_int_equal(agent_spawn(&many, ECHO, arg, 0, NULL), -E2BIG);
	/* A service that there is not. */
	sock = spawn(AGENT_SERVICE_NR, arg, 0);
	assert_int_equal(status(sock), -EINVAL);
	close(sock);
	free(back);
	free(arg);
}

static void a_refusal_comes_with_its_reason(void **state)
{
	static const struct {
		int err;
		char text[8];
		int expected;
		const char *sentence;
	} cases[] = {
		{-EACCES, "so it is", -EACCES, "so it is"},
		{-EACCES, "", -EACCES, "Permission denied"},
		{0, "well", 0, ""},
		{1, "", -EIO, "the process that was to do it has ended"},
		/* No errno at all. */
		{7, "", -EIO, "the process that was to do it has ended"},
		{-512, "", -EIO, "the process that was to do it has ended"},
		{-511, "x", -511, "x"},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		int sock = spawn(REFUSE, &cases[i], sizeof(int) + strnlen(cases[i].text, 8));

		assert_int_equal(status(sock), cases[i].expected);
		if (cases[i].expected)
			assert_string_equal(error_why(&why, cases[i].expected), cases[i].sentence);
		close(sock);
	}
}

static void b_nobody_waits_longer_than_he_said(void **state)
{
	static char large[AGENT_MSG_MAX];
	int sock = spawn(SILENT, "", 0), stop[2], err = 0;
	char c;

	assert_return_code(pipe(stop), errno);
	assert_int_equal(agent_status(sock, stop[0], SHORT_MS, &why), -ETIMEDOUT);
	assert_string_equal(error_why(&why, 0), "no answer");
	error_clear(&why);
	assert_int_equal(agent_recv(sock, &c, 1, NULL, stop[0], SHORT_MS), -ETIMEDOUT);
	assert_int_equal(agent_recv(sock, &c, 1, NULL, stop[0], 0), -ETIMEDOUT);
	for (u32 i = 0; i < 64 && !err; i++) /* until its room is full */
		err = agent_send(sock, large, sizeof(large), stop[0], SHORT_MS);
	assert_int_equal(err, -ETIMEDOUT);
	/* A byte ends every wait. */
	assert_int_equal(write(stop[1], "", 1), 1);
	assert_int_equal(agent_status(sock, stop[0], -1, &why), -ECANCELED);
	assert_string_equal(error_why(&why, 0), "stopped while it was waited for");
	assert_int_equal(agent_recv(sock, &c, 1, NULL, stop[0], -1), -ECANCELED);
	assert_int_equal(agent_send(sock, large, sizeof(large), stop[0], -1), -ECANCELED);
	close(sock);
	/* What is there already comes all the same. */
	sock = spawn(ECHO, "y", 1);
	assert_int_equal(status(sock), 0);
	assert_int_equal(agent_recv(sock, &c, 1, NULL, -1, LONG_MS), 1);
	assert_int_equal(agent_send(sock, "z", 1, stop[0], -1), 0);
	assert_int_equal(agent_recv(sock, &c, 1, NULL, -1, LONG_MS), 1);
	assert_int_equal(c, 'z');
	close(sock);
	close(stop[0]);
	close(stop[1]);
}

static void messages_are_whole_and_may_bring_a_descriptor(void **state)
{
	int sock = spawn(GIVE, "", 0), fd = 7;
	char buf[8];
	struct stat st;

	assert_int_equal(status(sock), 0);
	assert_int_equal(agent_recv(sock, buf, sizeof(buf), &fd, -1, LONG_MS), 4);
	assert_memory_equal(buf, "null", 4);
	assert_return_code(fstat(fd, &st), errno);
	assert_true(st.st_rdev == makedev(1, 3));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_int_equal(agent_recv(sock, buf, sizeof(buf), &fd, -1, LONG_MS), 4);
	assert_memory_equal(buf, "none", 4);
	assert_int_equal(fd, -1);
	assert_int_equal(agent_recv(sock, buf, sizeof(buf), &fd, -1, LONG_MS), 0);
	assert_int_equal(agent_send(sock, "x", 1, -1, LONG_MS), -EIO);
	close(sock);
	/* One that does not fit is none, and nothing of it stays open. */
	sock = spawn(GIVE, "", 0);
	assert_int_equal(status(sock), 0);
	assert_int_equal(agent_recv(sock, buf, 3, &fd, -1, LONG_MS), -EMSGSIZE);
	assert_int_equal(fd, -1);
	assert_int_equal(agent_recv(sock, buf, 4, NULL, -1, LONG_MS), 4);
	close(sock);
}

/* So many that hang; when they are let go there is room again. */
static void c_a_user_has_so_many(void **state)
{
	int socks[AGENT_PER_USER], sock, err;

	for (u32 i = 0; i < AGENT_PER_USER; i++)
		socks[i] = spawn(ECHO, "", 0);
	for (u32 i = 0; i < AGENT_PER_USER; i++)
		assert_int_equal(status(socks[i]), 0);
	sock = spawn(ECHO, "", 0);
	assert_int_equal(status(sock), -EAGAIN);
	assert_non_null(strstr(error_why(&why, 0), " 256 processes"));
	close(sock);
	if (!me.uid) { /* others have theirs */
		struct agent_cred other = {OTHER, OTHER, 0, NULL};

		self_of(&other, "");
	}
	for (u32 i = 0; i < AGENT_PER_USER; i++)
		close(socks[i]);
	for (u32 i = 0; i < LONG_MS; i++) {
		sock = spawn(ECHO, "", 0);
		err = status(sock);
		close(sock);
		if (!err)
			break;
		usleep(1000);
	}
	assert_int_equal(err, 0);
}

static pid_t busy(const char *arg, int *sock)
{
	pid_t pid;

	*sock = spawn(BUSY, arg, strlen(arg));
	assert_int_equal(status(*sock), 0);
	assert_int_equal(agent_recv(*sock, &pid, sizeof(pid), NULL, -1, LONG_MS), sizeof(pid));
	return pid;
}

static bool ends(pid_t pid)
{
	for (u32 i = 0; i < LONG_MS; i++) {
		if (kill(pid, 0))
			return true;
		usleep(1000);
	}
	return false;
}

static void c_one_that_computes_ends_with_its_socket(void **state)
{
	int sock;
	pid_t pid = busy("", &sock);

	usleep(SHORT_MS * 1000);
	assert_int_equal(kill(pid, 0), 0); /* not before */
	close(sock);
	assert_true(ends(pid));
}

static void c_one_that_stays_reads_the_rest(void **state)
{
	char path[] = "/tmp/ubpffs-test-agent-XXXXXX", got[16] = "";
	int fd = mkstemp(path), sock;
	pid_t pid = busy(path, &sock);

	assert_int_equal(agent_send(sock, "one", 3, -1, LONG_MS), 0);
	assert_int_equal(agent_send(sock, "two", 3, -1, LONG_MS), 0);
	close(sock);
	assert_true(ends(pid));
	unlink(path);
	assert_int_equal(read(fd, got, sizeof(got) - 1), 6);
	assert_string_equal(got, "onetwo");
	close(fd);
}

static void c_they_end_with_the_agent(void **state)
{
	struct self self = self_of(&me, "");
	int silent = spawn(SILENT, "", 0), busy = spawn(ECHO, "", 0), sock;
	char c;

	assert_int_equal(status(busy), 0);
	kill(self.agent, SIGKILL);
	assert_true(agent_recv(busy, &c, 1, NULL, -1, LONG_MS) <= 0);
	assert_int_equal(agent_recv(silent, &c, 1, NULL, -1, LONG_MS), 0);
	close(silent);
	close(busy);
	/* D. */
	for (u32 i = 0; i < LONG_MS; i++) {
		error_clear(&why);
		sock = agent_spawn(&me, ECHO, "", 0, &why);
		if (sock < 0)
			break;
		close(sock);
		usleep(1000);
	}
	assert_int_equal(sock, -ECONNREFUSED);
	assert_non_null(strstr(error_why(&why, 0), "ubpffs-agent"));
}

static void d_without_an_agent_nothing_is_opened(void **state)
{
	agent_stop();
	assert_int_equal(agent_spawn(&me, ECHO, "", 0, &why), -ECONNREFUSED);
	assert_non_null(strstr(error_why(&why, 0), "ubpffs-agent"));
}

static void facts_of_processes(void **state)
{
	struct process_facts facts, again;
	char name[16] = "";

	NOT_UNDER_EMULATOR("/proc/PID/stat of oneself as the kernel does");
	assert_int_equal(process_facts_ask(&me, getpid(), LONG_MS, &facts), 0);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(facts.uid[i], geteuid());
	assert_true(facts.began > 0);
	assert_int_equal(process_facts_read(getpid(), &again), 0);
	assert_memory_equal(&facts, &again, sizeof(facts));
	/* Its name is what it likes. */
	prctl(PR_GET_NAME, name);
	prctl(PR_SET_NAME, "a\nb) 1 (\n");
	assert_int_equal(process_facts_read(getpid(), &again), 0);
	prctl(PR_SET_NAME, name);
	assert_memory_equal(&facts, &again, sizeof(facts));
	assert_int_equal(process_facts_ask(&me, 1 << 30, LONG_MS, &facts), -ESRCH);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* However many there are: each thread has one event. */
static void one_processor_of_many_is_few_events(void **state)
{
	const struct perf_request req = {.attr = {.type = PERF_TYPE_SOFTWARE,
						  .size = sizeof(req.attr),
						  .config = PERF_COUNT_SW_CPU_CLOCK},
					 .pid = getpid(),
					 .first_cpu = PERF_MAX_EVENTS,
					 .nr_cpus = PERF_MAX_EVENTS + 1};
	struct perf_answer answer;
	char status[AGENT_WHY_MAX + 8];
	int socks[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks), 0);
	perf_service(socks[1], &req, sizeof(req));
	assert_true(recv(socks[0], status, sizeof(status), 0) > 0);
	assert_int_equal(recv(socks[0], &answer, sizeof(answer), 0), sizeof(answer));
	assert_int_equal(answer.kind, PERF_DONE);
	assert_int_not_equal(answer.err, -EMFILE);
	close(socks[0]);
	close(socks[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_it_has_a_socket_and_no_way_to_more),
		CASE(a_it_is_the_client_for_good),
		CASE(an_argument_comes_whole_and_has_an_end),
		CASE(a_refusal_comes_with_its_reason),
		CASE(b_nobody_waits_longer_than_he_said),
		CASE(messages_are_whole_and_may_bring_a_descriptor),
		CASE(c_a_user_has_so_many),
		CASE(c_one_that_computes_ends_with_its_socket),
		CASE(c_one_that_stays_reads_the_rest),
		CASE(c_they_end_with_the_agent),
		CASE(d_without_an_agent_nothing_is_opened),
		CASE(facts_of_processes),
		cmocka_unit_test(one_processor_of_many_is_few_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
