/*
 * bench_cgroup.c - what cgroups cost: a change of what is attached, and the way of packets through
 * the server
 *
 * 	bench_cgroup attach a table: attach and detach by size and shape of the subtree
 * 	bench_cgroup packets BURST PROCS UDP over lo, BURST packets at a time; prints packets a
 * 	second
 *	bench_cgroup rr PROCS			UDP there and back over lo; prints ns, the median
 *	bench_cgroup sink ADDRESS		takes what TCP brings, until the other side ends
 *	bench_cgroup tcp ADDRESS PROCS		sends to a sink for 2 seconds; prints Gbit/s
 * 	bench_cgroup run FILE packets through a .run file; prints ns, the medians: on one
 * 	descriptor, and
 *						with open and close each time
 * 	bench_cgroup mkdir DIR makes 10,000 cgroups below; a table of what one costs
 *
 * PROCS is a cgroup.procs file that is joined before the sending socket is made, or "-".
 * bench_cgroup.sh drives it.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "cgroup/cgroup.h"
#include "uapi/bpf_insn.h"
#include "ubpffs_engine.h"

#define PORT	      5201
#define TCP_NS	      2000000000LL
#define PACKETS	      30000u
#define ROUND_TRIPS   5000u
#define ATTACH_ROUNDS 101u

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	long long x = *(const long long *)a, y = *(const long long *)b;

	return x < y ? -1 : x > y;
}

/* ---- attach */

static struct cgroup *grow(struct cgroup *parent, u32 n, bool chain)
{
	for (u32 i = 0; i < n; i++) {
		struct cgroup *cgrp;

		if (cgroup_create(parent, 0, &cgrp))
			die("cgroup_create");
		if (chain)
			parent = cgrp;
		cgroup_put(cgrp);
	}
	return parent;
}

static void attach_row(u32 n, bool chain, struct bpf_prog *const progs[2])
{
	long long took[ATTACH_ROUNDS], start;
	struct cgroup *root = cgroup_root_new(), *top = NULL;
	u32 i;

	if (!root || cgroup_create(root, 0, &top))
		die("cgroup_create");
	grow(root, 10000 - n, false); /* beside it, for nothing */
	grow(top, n - 1, chain);
	for (i = 0; i < ATTACH_ROUNDS; i++) {
		start = now();
		if (cgroup_bpf_attach(top, CGROUP_INET_EGRESS, progs[i % 2], NULL,
				      BPF_F_ALLOW_OVERRIDE))
			die("cgroup_bpf_attach");
		took[i] = now() - start;
	}
	qsort(took, ATTACH_ROUNDS, sizeof(*took), by_value);
	printf("| %u | %s | %.2f |\n", n, chain ? "a chain" : "one parent",
	       (double)took[ATTACH_ROUNDS / 2] / 1000);
	fflush(stdout);
}

static int bench_attach(void)
{
	struct bpf_insn insns[] = {BPF_MOV64_IMM(BPF_REG_0, 1), BPF_EXIT_INSN()};
	struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_CGROUP_SKB, .license = "GPL", .insns = insns, .insn_cnt = 2};
	static const u32 sizes[] = {1, 10, 100, 1000, 10000};
	struct bpf_prog *progs[2];

	for (u32 i = 0; i < 2; i++)
		if (ubpffs_prog_load(&spec, NULL, NULL, &progs[i]))
			die("ubpffs_prog_load");
	printf("| cgroups in the subtree | shape | replace, us |\n| ---: | --- | ---: |\n");
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++)
		attach_row(sizes[i], false, progs);
	attach_row(CGROUP_MAX_DEPTH - 1, true, progs);
	return 0;
}

/* ---- traffic */

static void join(const char *procs)
{
	int fd;

	if (!strcmp(procs, "-"))
		return;
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0", 1) != 1)
		die(procs);
	close(fd);
}

static struct sockaddr_in address(const char *text, u16 port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, text, &sa.sin_addr) != 1)
		die(text);
	return sa;
}

static int udp_bound(struct sockaddr_in *sa)
{
	struct timeval wait = {.tv_sec = 5};
	socklen_t len = sizeof(*sa);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), room = 32 << 20;

	*sa = address("127.0.0.1", 0);
	if (fd < 0 || bind(fd, (void *)sa, sizeof(*sa)) < 0 ||
	    getsockname(fd, (void *)sa, &len) < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static void move_one(int from, int to, const struct sockaddr_in *sa)
{
	char buf[64] = {0};

	if (sendto(from, buf, sizeof(buf), 0, (void *)sa, sizeof(*sa)) < 0)
		die("sendto");
	if (to >= 0 && recv(to, buf, sizeof(buf), 0) < 0)
		die("recv");
}

static int bench_packets(u32 burst, const char *procs)
{
	struct sockaddr_in to, from;
	int in = udp_bound(&to), out;
	long long start;
	char buf[64];
	u32 sent = 0;

	join(procs);
	out = udp_bound(&from);
	start = now();
	while (sent < PACKETS) {
		for (u32 i = 0; i < burst; i++, sent++)
			move_one(out, -1, &to);
		for (u32 i = 0; i < burst; i++)
			if (recv(in, buf, sizeof(buf), 0) < 0)
				die("recv");
	}
	printf("%.0f\n", sent * 1e9 / (double)(now() - start));
	return 0;
}

static int bench_rr(const char *procs)
{
	static long long took[ROUND_TRIPS];
	struct sockaddr_in a, b;
	int fa, fb;

	join(procs);
	fa = udp_bound(&a);
	fb = udp_bound(&b);
	for (u32 i = 0; i < ROUND_TRIPS; i++) {
		long long start = now();

		move_one(fa, fb, &b);
		move_one(fb, fa, &a);
		took[i] = now() - start;
	}
	qsort(took, ROUND_TRIPS, sizeof(*took), by_value);
	printf("%lld\n", took[ROUND_TRIPS / 2]);
	return 0;
}

static int sink(const char *text)
{
	struct sockaddr_in sa = address(text, PORT);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd, one = 1;
	static char buf[1 << 18];

	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(l, (void *)&sa, sizeof(sa)) < 0 || listen(l, 1) < 0)
		die("sink");
	fd = accept(l, NULL, NULL);
	while (recv(fd, buf, sizeof(buf), 0) > 0)
		;
	return 0;
}

static int bench_tcp(const char *text, const char *procs)
{
	struct sockaddr_in sa = address(text, PORT);
	static char buf[1 << 18];
	long long start, sent = 0;
	int fd, tries = 100;

	join(procs);
	do {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (!connect(fd, (void *)&sa, sizeof(sa)))
			break;
		close(fd);
		usleep(20000);
	} while (--tries);
	start = now();
	while (now() - start < TCP_NS) {
		ssize_t n = send(fd, buf, sizeof(buf), 0);

		if (n < 0)
			die("send");
		sent += n;
	}
	printf("%.2f\n", (double)sent * 8 / (double)(now() - start));
	return 0;
}

/* ---- files */

static long long run_once(int fd, const char *file)
{
	char packet[64] = {0x45}, report[4096];
	long long start = now();
	int at = fd >= 0 ? fd : open(file, O_RDWR | O_CLOEXEC);

	if (at < 0 || pwrite(at, packet, sizeof(packet), 0) != sizeof(packet) ||
	    pread(at, report, sizeof(report), 0) < 1)
		die(file);
	if (fd < 0)
		close(at);
	return now() - start;
}

static int bench_run(const char *file)
{
	static long long took[ROUND_TRIPS];
	int fd = open(file, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		die(file);
	for (int each = 0; each < 2; each++) {
		for (u32 i = 0; i < ROUND_TRIPS; i++)
			took[i] = run_once(each ? -1 : fd, file);
		qsort(took, ROUND_TRIPS, sizeof(*took), by_value);
		printf("%s%lld", each ? " " : "", took[ROUND_TRIPS / 2]);
	}
	printf("\n");
	return 0;
}

/* A hundred side by side, the others below them. */
static void make_dir(const char *dir, u32 i)
{
	char path[4096];

	if (i < 100)
		snprintf(path, sizeof(path), "%s/%u", dir, i);
	else
		snprintf(path, sizeof(path), "%s/%u/%u", dir, i % 100, i);
	if (mkdir(path, 0755) < 0)
		die(path);
}

static int bench_mkdir(const char *dir)
{
	static const u32 sizes[] = {100, 1000, 10000};
	u32 n = 0, row;
	long long start;

	printf("| cgroups | the last tenth, us each |\n| ---: | ---: |\n");
	for (row = 0; row < ARRAY_SIZE(sizes); row++) {
		while (n < sizes[row] - sizes[row] / 10)
			make_dir(dir, n++);
		start = now();
		while (n < sizes[row])
			make_dir(dir, n++);
		printf("| %u | %.0f |\n", n, (double)(now() - start) / (sizes[row] / 10) / 1000);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "attach"))
		return bench_attach();
	if (!strcmp(what, "packets") && argc == 4)
		return bench_packets((u32)atoi(argv[2]), argv[3]);
	if (!strcmp(what, "rr") && argc == 3)
		return bench_rr(argv[2]);
	if (!strcmp(what, "sink") && argc == 3)
		return sink(argv[2]);
	if (!strcmp(what, "tcp") && argc == 4)
		return bench_tcp(argv[2], argv[3]);
	if (!strcmp(what, "run") && argc == 3)
		return bench_run(argv[2]);
	if (!strcmp(what, "mkdir") && argc == 3)
		return bench_mkdir(argv[2]);
	fprintf(stderr, "usage: bench_cgroup attach|packets|rr|sink|tcp|run|mkdir ...\n");
	return 1;
}
