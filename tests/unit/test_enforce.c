/*
 * test_enforce.c - fs/enforce/enforce.c: cgroups, their host directories, rules and queues as one,
 * with real processes and packets, in a network of the test's own
 *
 * Cases are named by the letters of enforce.h. What needs no right is tested for everybody.
 */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/agent/service/services.h"
#include "fs/enforce/enforce.h"
#include "fs/enforce/host_cgroup.h"
#include "rcu/rcu.h"
#include "ubpffs_engine.h"
#include "uapi/bpf_insn.h"
#include "tests/lib/cgroup_prog.h"

#define TICK_US 1000
#define TICKS	20000 /* what does not come in that time does not come */

/* ---- without a right */

static void a_null_does_not_enforce(void **state)
{
	const struct enforce_caller caller = {.pid = getpid()};
	struct error_record why = {0};
	struct cgroup *root = cgroup_root_new();
	char *text = (char *)1;
	size_t len = 1;

	assert_int_equal(enforce_cgroup_add(NULL, ".", root), 0);
	assert_int_equal(enforce_make_rules(NULL), 0);
	assert_int_equal(enforce_ready(NULL, &why), 0);
	assert_int_equal(enforce_cgroup_remove(NULL, root), 0);
	assert_int_equal(enforce_procs_read(NULL, root, &caller, &text, &len), -EOPNOTSUPP);
	assert_null(text);
	assert_int_equal(len, 0);
	assert_int_equal(enforce_procs_write(NULL, root, &caller, getpid(), &why), -EOPNOTSUPP);
	assert_non_null(strstr(error_why(&why, 0), "without -o enforce"));
	error_clear(&why);
	enforce_stop(NULL);
	cgroup_put(root);
}

static void what_is_no_cgroup_is_refused(void **state)
{
	const struct enforce_options options = {.cgroup_path = "/tmp", .state = "/nonexistent"};
	struct error_record why = {0};
	struct enforce *en = (void *)1;

	assert_int_equal(enforce_start(&options, &en, &why), -EINVAL);
	assert_null(en);
	assert_non_null(strstr(error_why(&why, 0), "cgroup v2"));
	error_clear(&why);
}

/* ---- with a cgroup and a network of one's own */

static struct host_cgroup host; /* a directory of the test's; the server's lies in it */
static char under[PATH_MAX], state_path[64];
static struct enforce *en;
static struct cgroup *root;
static struct enforce_caller me;

static const struct enforce_options *options(void)
{
	static struct enforce_options options;

	options = (struct enforce_options){.cgroup_path = under, .state = state_path};
	return &options;
}

static struct enforce *start(void)
{
	struct error_record why = {0};
	struct enforce *started = NULL;

	if (enforce_start(options(), &started, &why))
		print_message("%s\n", error_why(&why, 0));
	error_clear(&why);
	return started;
}

static int network(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP};
	int fd, err;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	err = ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int end(void **state)
{
	enforce_stop(en);
	en = NULL;
	hostcg_stop(&host);
	cgroup_put(root);
	root = NULL;
	bpf_rcu_barrier();
	return 0;
}

/* *state: whether all of it can be done here. */
static int begin(void **state)
{
	struct error_record why = {0};
	char name[64];
	int err = network();

	*state = NULL;
	me = (struct enforce_caller){geteuid(), getegid(), getpid()};
	snprintf(name, sizeof(name), "ubpffs-unit-enforce-%d", getpid());
	snprintf(state_path, sizeof(state_path), "/nonexistent/%d", getpid());
	if (!err)
		err = hostcg_start(&host, NULL, name, &why);
	error_clear(&why);
	if (!err &&
	    snprintf(under, sizeof(under), "%s/%s", host.own_path, name) >= (int)sizeof(under))
		err = -ENAMETOOLONG;
	root = cgroup_root_new();
	if (!err)
		en = start();
	if (en && !enforce_cgroup_add(en, ".", root))
		*state = root;
	else
		print_message("processes cannot be under filters here\n");
	return 0;
}

#define NEEDS_ALL()                                                              \
	do {                                                                     \
		if (!*state) {                                                   \
			print_message("needs a cgroup and a network to make\n"); \
			skip();                                                  \
		}                                                                \
	} while (0)

static struct cgroup *child(struct cgroup *parent, u64 id, const char *path)
{
	struct cgroup *cgrp;

	assert_int_equal(cgroup_create(parent, id, &cgrp), 0);
	assert_int_equal(enforce_cgroup_add(en, path, cgrp), 0);
	return cgrp;
}

static void drop(struct cgroup *cgrp)
{
	assert_int_equal(cgroup_remove(cgrp), 0);
	cgroup_put(cgrp);
}

static void ready(void)
{
	struct error_record why = {0};
	int err = enforce_ready(en, &why);

	if (err)
		print_error("%s\n", error_why(&why, 0));
	error_clear(&why);
	assert_int_equal(err, 0);
}

static void drop_egress(struct cgroup *cgrp)
{
	struct bpf_prog *prog = cgroup_prog_returns(0, BPF_CGROUP_INET_EGRESS);

	assert_int_equal(cgroup_bpf_attach(cgrp, CGROUP_INET_EGRESS, prog, NULL, 0), 0);
	ubpffs_prog_put(prog);
}

/* A directory under the server's, which has a name of its own making; from `under`. */
static void dir_path(char *path, size_t size, const char *dir)
{
	struct dirent *e;
	DIR *in = opendir(under);

	assert_non_null(in);
	snprintf(path, size, "none");
	while ((e = readdir(in)))
		if (!strncmp(e->d_name, "ubpffs-", 7))
			snprintf(path, size, "%s/%s", e->d_name, dir);
	closedir(in);
}

static bool has_dir(const char *dir)
{
	char path[PATH_MAX];

	dir_path(path, sizeof(path), dir);
	return !faccessat(host.base_fd, path, F_OK, 0);
}

/* Of this network; -1: the kernel does not show them. */
static int nr_queues(void)
{
	FILE *f = fopen("/proc/thread-self/net/netfilter/nfnetlink_queue", "re");
	int n = 0, c;

	if (!f)
		return -1;
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* The table of rules has the directory's name. */
static bool has_table(const char *name)
{
	char buf[512] __attribute__((aligned(8)));
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	struct mnl_socket *nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	const struct nlmsgerr *error;
	ssize_t len;
	bool found;

	assert_non_null(nl);
	assert_int_equal(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID), 0);
	nlh->nlmsg_type = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nfg->nfgen_family = NFPROTO_INET;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, name);
	assert_true(mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) > 0);
	len = mnl_socket_recvfrom(nl, buf, sizeof(buf));
	assert_true(len >= (ssize_t)sizeof(*nlh));
	found = nlh->nlmsg_type != NLMSG_ERROR;
	error = mnl_nlmsg_get_payload(nlh);
	if (!found)
		assert_int_equal(error->error, -ENOENT);
	mnl_socket_close(nl);
	return found;
}

static void make_dir(const char *dir)
{
	char path[PATH_MAX];

	dir_path(path, sizeof(path), dir);
	assert_return_code(mkdirat(host.base_fd, path, 0755), errno);
}

/* Sends a packet for each byte that it is told: 'k' by a socket that it keeps. */
struct sender {
	pid_t pid;
	int tell;
};

static struct sender sender_new(uid_t uid)
{
	struct sockaddr_in to = {.sin_family = AF_INET,
				 .sin_port = htons(9),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sender s;
	int fds[2], kept = -1;
	char c;

	assert_return_code(pipe2(fds, O_CLOEXEC), errno);
	s.pid = fork();
	if (!s.pid) {
		close(fds[1]);
		if (uid && setresuid(uid, uid, uid) < 0)
			_exit(1);
		while (read(fds[0], &c, 1) == 1) {
			int fd = c == 'k' ? kept : -1;

			if (fd < 0)
				fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
			sendto(fd, &c, 1, 0, (struct sockaddr *)&to, sizeof(to));
			if (c == 'k')
				kept = fd;
			else
				close(fd);
		}
		_exit(0);
	}
	close(fds[0]);
	s.tell = fds[1];
	return s;
}

static void sender_end(struct sender *s)
{
	close(s->tell);
	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
}

static u64 dropped(const struct cgroup *cgrp)
{
	struct cgroup_stats stats;

	cgroup_stats_read(cgrp, &stats);
	return stats.dropped[CGROUP_INET_EGRESS];
}

/* Three packets, which this cgroup drops. */
static void assert_drops(struct sender *s, char what, const struct cgroup *cgrp)
{
	u64 want = dropped(cgrp) + 3;

	for (u32 i = 0; i < 3; i++)
		assert_int_equal(write(s->tell, &what, 1), 1);
	for (u32 tick = 0; tick < TICKS && dropped(cgrp) < want; tick++)
		usleep(TICK_US);
	assert_int_equal(dropped(cgrp), want);
}

/* Some of those that it sends for a while. */
static void assert_drops_soon(struct sender *s, const struct cgroup *cgrp)
{
	for (u32 tick = 0; tick < TICKS && !dropped(cgrp); tick++) {
		if (tick % 10 == 0)
			assert_int_equal(write(s->tell, "x", 1), 1);
		usleep(TICK_US);
	}
	assert_true(dropped(cgrp) > 0);
}

static void a_packets_meet_their_cgroups_programs(void **state)
{
	struct cgroup *a, *b, *late;
	struct error_record why = {0};
	struct sender s;

	NEEDS_ALL();
	a = child(root, 2, "A");
	b = child(a, 3, "A/B");
	drop_egress(a);
	s = sender_new(0);
	ready();
	assert_int_equal(enforce_make_rules(en), 0);
	assert_int_equal(enforce_procs_write(en, a, &me, s.pid, &why), 0);
	assert_drops(&s, 'x', a);
	assert_int_equal(dropped(b), 0);
	assert_int_equal(enforce_procs_write(en, b, &me, s.pid, &why), 0);
	assert_drops(&s, 'x', b);
	/* A new one: its rule is there for the first process. */
	late = child(b, 4, "A/B/late");
	assert_int_equal(enforce_procs_write(en, late, &me, s.pid, &why), 0);
	assert_drops(&s, 'x', late);
	assert_drops(&s, 'k', late);
	assert_int_equal(enforce_cgroup_remove(en, late), -EBUSY);
	/* It goes. What was in it counts as the one above, also a socket that was made there. */
	assert_int_equal(enforce_procs_write(en, b, &me, s.pid, &why), 0);
	assert_int_equal(enforce_cgroup_remove(en, late), 0);
	assert_false(has_dir("A/B/late"));
	drop(late);
	assert_drops(&s, 'x', b);
	assert_drops(&s, 'k', b);
	/* One that is back has a rule again. */
	late = child(b, 5, "A/B/late");
	assert_int_equal(enforce_procs_write(en, late, &me, s.pid, &why), 0);
	assert_drops(&s, 'x', late);
	sender_end(&s);
	drop(late);
	drop(b);
	drop(a);
}

/* Also for a process that comes by the host's own files. */
static void a_new_cgroups_get_their_rule_by_themselves(void **state)
{
	struct cgroup *late[3];
	struct sender s;

	NEEDS_ALL();
	drop_egress(root);
	ready();
	s = sender_new(0);
	for (u32 i = 0; i < ARRAY_SIZE(late); i++) {
		char path[PATH_MAX], name[16];

		snprintf(name, sizeof(name), "late%u", i);
		late[i] = child(root, 2 + i, name);
		dir_path(path, sizeof(path), name);
		assert_int_equal(hostcg_move(&host, path, s.pid), 0);
		assert_drops_soon(&s, late[i]);
	}
	sender_end(&s);
	for (u32 i = 0; i < ARRAY_SIZE(late); i++)
		drop(late[i]);
}

static void assert_procs(struct cgroup *cgrp, const char *expected)
{
	char *text;
	size_t len;

	assert_int_equal(enforce_procs_read(en, cgrp, &me, &text, &len), 0);
	assert_int_equal(len, strlen(expected));
	assert_memory_equal(text, expected, len);
	free(text);
}

static void the_root_stays_and_names_of_the_host_are_refused(void **state)
{
	struct cgroup *cgrp, *unknown;
	int queues;

	NEEDS_ALL();
	queues = nr_queues();
	assert_int_equal(cgroup_create(root, 2, &cgrp), 0);
	assert_int_equal(cgroup_create(root, 3, &unknown), 0);
	assert_int_equal(enforce_cgroup_add(en, "cgroup.procs", cgrp), -EINVAL);
	assert_int_equal(enforce_cgroup_add(en, "none/x", cgrp), -ENOENT);
	assert_int_equal(nr_queues(), queues);
	assert_int_equal(enforce_cgroup_remove(en, cgrp), 0); /* it is not there */
	assert_int_equal(enforce_cgroup_add(en, "A", cgrp), 0);
	assert_true(has_dir("A"));
	ready();
	assert_int_equal(enforce_cgroup_remove(en, root), 0);
	assert_procs(root, "");
	assert_true(has_dir("A"));
	assert_int_equal(enforce_cgroup_remove(en, unknown), 0);
	assert_int_equal(enforce_cgroup_remove(en, cgrp), 0);
	assert_false(has_dir("A"));
	assert_true(has_dir("."));
	if (queues >= 0)
		assert_int_equal(nr_queues(), queues + 1); /* that of SYN-ACKs has come */
	drop(unknown);
	drop(cgrp);
}

/* A killed server's directories: what the state still has is taken over, the rest goes. */
static void b_a_start_takes_over_what_a_killed_server_left(void **state)
{
	struct cgroup *kept, *half;
	int status;
	pid_t pid;

	NEEDS_ALL();
	enforce_stop(en);
	en = NULL;
	pid = fork();
	if (!pid) {
		en = start();
		if (!en || enforce_cgroup_add(en, ".", root))
			_exit(1);
		child(root, 2, "kept");
		child(root, 3, "gone");
		ready();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_true(has_dir("gone"));
	make_dir("half"); /* killed before it put its mark on it */
	en = start();
	assert_non_null(en);
	assert_int_equal(enforce_cgroup_add(en, ".", root), 0);
	kept = child(root, 2, "kept");
	half = child(root, 3, "half");
	assert_true(has_dir("gone"));
	ready();
	assert_true(has_dir("kept"));
	assert_true(has_dir("half"));
	assert_false(has_dir("gone"));
	drop(half);
	drop(kept);
}

static void d_the_end_takes_all_of_it_away(void **state)
{
	struct error_record why = {0};
	char table[PATH_MAX];
	struct cgroup *a;
	struct sender s;

	NEEDS_ALL();
	a = child(root, 2, "A");
	ready();
	dir_path(table, sizeof(table), "");
	table[strcspn(table, "/")] = 0;
	assert_true(has_table(table));
	s = sender_new(0);
	assert_int_equal(enforce_procs_write(en, a, &me, s.pid, &why), 0);
	enforce_stop(en);
	en = NULL;
	assert_false(has_dir("."));
	assert_false(has_table(table));
	assert_int_equal(kill(s.pid, 0), 0);
	sender_end(&s);
	drop(a);
	/* Nothing is in the way of the next one. */
	en = start();
	assert_non_null(en);
	assert_int_equal(enforce_cgroup_add(en, ".", root), 0);
	ready();
}

static void e_who_moves_whom(void **state)
{
	struct enforce_caller other = me, elsewhere = me, itself = me;
	struct error_record why = {0};
	struct sender ours, theirs;
	struct cgroup *a, *unknown;
	char pids[2][16], *text;
	pid_t gone;
	size_t len;

	NEEDS_ALL();
	if (geteuid()) {
		print_message("only root has processes of others\n");
		skip();
	}
	a = child(root, 2, "A");
	assert_int_equal(cgroup_create(root, 3, &unknown), 0);
	ready();
	ours = sender_new(0);
	theirs = sender_new(4321);
	snprintf(pids[0], sizeof(pids[0]), "%d\n", ours.pid);
	snprintf(pids[1], sizeof(pids[1]), "%d\n", theirs.pid);
	assert_procs(a, "");
	/* Not one's own; who is root may. */
	other.uid = other.gid = 4321;
	assert_int_equal(enforce_procs_write(en, a, &other, ours.pid, &why), -EPERM);
	assert_string_equal(error_why(&why, 0), "the process is not yours");
	error_clear(&why);
	assert_procs(a, "");
	/* It has become them by now, or does so in a moment. */
	for (u32 tick = 0; tick < TICKS; tick++) {
		int err = enforce_procs_write(en, a, &other, theirs.pid, &why);

		error_clear(&why);
		if (!err)
			break;
		assert_int_equal(err, -EPERM);
		usleep(TICK_US);
	}
	assert_procs(a, pids[1]);
	assert_int_equal(enforce_procs_write(en, root, &me, theirs.pid, &why), 0);
	assert_procs(a, "");
	/* 0 is who writes, as a whole process. */
	itself.pid = ours.pid;
	assert_int_equal(enforce_procs_write(en, a, &itself, 0, &why), 0);
	assert_procs(a, pids[0]);
	/* Who sees other pids means other processes by them. */
	elsewhere.pid = 0;
	assert_int_equal(enforce_procs_write(en, a, &elsewhere, theirs.pid, &why), -EPERM);
	assert_non_null(strstr(error_why(&why, 0), "another pid namespace"));
	error_clear(&why);
	assert_int_equal(enforce_procs_read(en, a, &elsewhere, &text, &len), -EPERM);
	assert_null(text);
	/* What is none. */
	assert_int_equal(enforce_procs_write(en, a, &me, -1, &why), -EINVAL);
	assert_int_equal(enforce_procs_write(en, a, &me, 1 << 30, &why), -ESRCH);
	assert_int_equal(enforce_procs_write(en, unknown, &me, ours.pid, &why), -ENODEV);
	assert_int_equal(enforce_procs_read(en, unknown, &me, &text, &len), -ENODEV);
	gone = theirs.pid;
	sender_end(&theirs);
	assert_int_equal(enforce_procs_write(en, a, &me, gone, &why), -ESRCH);
	assert_int_equal(enforce_procs_write(en, a, &other, gone, &why), -ESRCH);
	error_clear(&why);
	assert_procs(a, pids[0]);
	sender_end(&ours);
	drop(unknown);
	drop(a);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_null_does_not_enforce),
		cmocka_unit_test(what_is_no_cgroup_is_refused),
		CASE(a_packets_meet_their_cgroups_programs),
		CASE(a_new_cgroups_get_their_rule_by_themselves),
		CASE(the_root_stays_and_names_of_the_host_are_refused),
		CASE(b_a_start_takes_over_what_a_killed_server_left),
		CASE(d_the_end_takes_all_of_it_away),
		CASE(e_who_moves_whom),
	};
	int err = agent_start(agent_services, false, true), failed;

	if (err) {
		print_error("no agent: %s\n", strerror(-err));
		return 1;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	agent_stop();
	return failed;
}
