/*
 * diff_classic.c - classic programs here, on sockets of the running kernel, and in libpcap
 *
 * Rows: the same verdict (EINVAL or not) and the same result as SO_ATTACH_FILTER, and as libpcap's
 * interpreter where that has the same machine. Ancillary data and header offsets: on frames through
 * the loopback, as a packet socket sees them. Expressions: what libpcap compiles, on frames that
 * were captured from real sockets and on made ones.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <cmocka.h>
#include "classic/create.h"
#include "tests/lib/classic.h"
#include "tests/lib/classic_kernel.h"
#include "tests/lib/classic_rows.h"
#include "tests/lib/frames.h"
#include "tests/lib/pcap_filter.h"

static struct classic_kernel loopback;
static int loopback_err;

static void test_rows(void **state)
{
	u32 runs = 0, refusals = 0, pcap = 0, failed = 0;
	struct classic_kernel k;

	if (classic_kernel_unix(&k)) {
		print_message("no socket takes a filter here\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(classic_rows); i++) {
		const struct classic_row *row = &classic_rows[i];
		int ret;

		if (row->refused) {
			ret = classic_kernel_attach(&k, row->insns, row->cnt);
			refusals++;
			if (ret == -EINVAL)
				continue;
			print_error("%s: the kernel says %d\n", row->name, ret);
			failed++;
			continue;
		}
		ret = classic_kernel_returns(&k, row->insns, row->cnt, row->data, row->len,
					     row->want);
		runs++;
		if (ret != 1) {
			print_error("%s: not %#x on the kernel (%d)\n", row->name, row->want, ret);
			failed++;
		}
		if (row->linux_only)
			continue;
		pcap++;
		if (bpf_filter(row->insns, (const u8 *)row->data, row->len, row->len) !=
		    row->want) {
			print_error("%s: not %#x in libpcap\n", row->name, row->want);
			failed++;
		}
	}
	classic_kernel_close(&k);
	print_message("%u results and %u refusals of the kernel, %u results of libpcap\n", runs,
		      refusals, pcap);
	assert_int_equal(failed, 0);
}

/* ---- frames through the loopback */

static int setup_loopback(void **state)
{
	loopback_err = classic_kernel_loopback(&loopback);
	return 0;
}

static void need_loopback(void)
{
	if (loopback_err) {
		print_message("no network namespace with a loopback: %s\n",
			      strerror(-loopback_err));
		skip();
	}
}

static int close_loopback(void **state)
{
	classic_kernel_close(&loopback);
	return 0;
}

#define FRAME_PROG(text, ...)                     \
	{                                         \
		.name = (text), PROG(__VA_ARGS__) \
	}

static const struct classic_row frame_progs[] = {
	FRAME_PROG("protocol", {ANC(PROTOCOL), RETA}),
	FRAME_PROG("pkttype", {ANC(PKTTYPE), RETA}),
	FRAME_PROG("ifindex", {ANC(IFINDEX), RETA}),
	FRAME_PROG("hatype", {ANC(HATYPE), RETA}),
	FRAME_PROG("pay_offset", {ANC(PAY_OFFSET), RETA}),
	FRAME_PROG("vlan_tag", {ANC(VLAN_TAG), RETA}),
	FRAME_PROG("vlan_tag_present", {ANC(VLAN_TAG_PRESENT), RETA}),
	FRAME_PROG("vlan_tpid", {ANC(VLAN_TPID), RETA}),
	FRAME_PROG("len", {S(BPF_LD | BPF_W | BPF_LEN, 0), RETA}),
	FRAME_PROG("ld [12]", {LD(H, 12), RETA}),
	FRAME_PROG("ld [net + 0]", {LD(W, (u32)SKF_NET_OFF), RETA}),
	FRAME_PROG("ld [net + 30]", {LD(W, (u32)SKF_NET_OFF + 30), RETA}),
	FRAME_PROG("ld [net - 2] is not of the link header", {LD(H, (u32)SKF_NET_OFF - 2), RETA}),
	FRAME_PROG("ld [ll + 10]", {LD(W, (u32)SKF_LL_OFF + 10), RETA}),
	FRAME_PROG("ldb [ll + x]", {LDXI(15), LDI(B, (u32)SKF_LL_OFF), RETA}),
	FRAME_PROG("ldh [net + x]", {LDXI(5), LDI(H, (u32)SKF_NET_OFF), RETA}),
	FRAME_PROG("msh of the network header", {MSH((u32)SKF_NET_OFF), TXA, RETA}),
	FRAME_PROG("nlattr", {LDXI(0x45), LDA(14), ANC(NLATTR), RETA}),
	FRAME_PROG("nlattr inside the one at 14", {LDXI(1), LDA(14), ANC(NLATTR_NEST), RETA}),
	FRAME_PROG("mark", {ANC(MARK), RETA}),
	FRAME_PROG("queue", {ANC(QUEUE), RETA}),
	FRAME_PROG("rxhash", {ANC(RXHASH), RETA}),
	FRAME_PROG("A ^ X", {ANC(PROTOCOL), TAX, LD(W, 0), ANC(ALU_XOR_X), RETA}),
	FRAME_PROG("a cpu there is", {ANC(CPU), ALUK(RSH, 13), RETA}),
	FRAME_PROG("random without its bits", {LDXI(7), ANC(RANDOM), ALUK(AND, 0), TXA, RETA}),
	FRAME_PROG("the payload's first byte", {ANC(PAY_OFFSET), TAX, LDI(B, 0), RETA}),
};

/* A tagged frame without two bytes behind its type, before any socket sees it. */
static bool dropped_by_linux(const u8 *frame, u32 len)
{
	u32 proto = (u32)(frame[12] << 8 | frame[13]);

	return len < 20 && (proto == ETH_P_8021Q || proto == ETH_P_8021AD);
}

static void compare_frame(const struct classic_row *row, const struct bpf_prog *prog,
			  const u8 *frame, u32 len, u32 *failed)
{
	u32 want = classic_run_frame(prog, frame, len);

	if (dropped_by_linux(frame, len))
		return;
	if (classic_kernel_returns(&loopback, row->insns, row->cnt, frame, len, want) == 1)
		return;
	if (++*failed > 10)
		return;
	print_error("%s: not %#x on the kernel, for", row->name, want);
	for (u32 i = 0; i < len; i++)
		print_error(" %02x", frame[i]);
	print_error("\n");
}

static void test_frames(void **state)
{
	struct bpf_prog *progs[ARRAY_SIZE(frame_progs)];
	struct rnd r = {.state = 1};
	u32 failed = 0, frames = 400;
	u8 frame[FRAME_MAX];

	need_loopback();
	for (size_t i = 0; i < ARRAY_SIZE(frame_progs); i++)
		assert_int_equal(
			bpf_prog_create(frame_progs[i].insns, frame_progs[i].cnt, NULL, &progs[i]),
			0);
	for (u32 n = 0; n < frames; n++) {
		u32 len = frame_make(&r, frame);

		for (size_t i = 0; i < ARRAY_SIZE(frame_progs); i++)
			compare_frame(&frame_progs[i], progs[i], frame, len, &failed);
	}
	/* Where the payload begins depends on much: more of that one. */
	for (u32 n = 0; n < 20 * frames; n++) {
		u32 len = frame_make(&r, frame);

		compare_frame(&frame_progs[4], progs[4], frame, len, &failed);
	}
	for (size_t i = 0; i < ARRAY_SIZE(frame_progs); i++)
		bpf_prog_destroy(progs[i]);
	print_message("%u frames for each of %zu programs, %u for pay_offset\n", frames,
		      ARRAY_SIZE(frame_progs), 21 * frames);
	assert_int_equal(failed, 0);
}

/* ---- expressions */

#define CAPTURE_MAX 400

struct capture {
	u8 data[CAPTURE_MAX][FRAME_MAX];
	u32 len[CAPTURE_MAX], cnt;
};

/* A server that answers one datagram, and one connection. */
static void *serve(void *priv)
{
	int *fds = priv, conn;
	struct sockaddr_in from;
	socklen_t from_len = sizeof(from);
	char buf[64];
	ssize_t n = recvfrom(fds[0], buf, sizeof(buf), 0, (struct sockaddr *)&from, &from_len);

	if (n > 0)
		sendto(fds[0], buf, (size_t)n, 0, (struct sockaddr *)&from, from_len);
	conn = accept(fds[1], NULL, NULL);
	if (conn >= 0) {
		n = read(conn, buf, sizeof(buf));
		if (n > 0 && write(conn, buf, (size_t)n) < 0)
			print_error("write: %s\n", strerror(errno));
		close(conn);
	}
	return NULL;
}

static void talk(int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons((u16)port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timeval limit = {.tv_sec = 5};
	int server[2], client[2], one = 1;
	pthread_t thread;
	char buf[64];

	for (int i = 0; i < 2; i++) {
		int type = i ? SOCK_STREAM : SOCK_DGRAM;

		server[i] = socket(AF_INET, type | SOCK_CLOEXEC, 0);
		client[i] = socket(AF_INET, type | SOCK_CLOEXEC, 0);
		setsockopt(server[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		setsockopt(server[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		setsockopt(client[i], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
		assert_int_equal(bind(server[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
	}
	assert_int_equal(listen(server[1], 1), 0);
	assert_int_equal(pthread_create(&thread, NULL, serve, server), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(connect(client[i], (struct sockaddr *)&addr, sizeof(addr)), 0);
		assert_int_equal(send(client[i], "hello", 5, 0), 5);
		assert_int_equal(recv(client[i], buf, sizeof(buf), 0), 5);
	}
	for (int i = 0; i < 2; i++)
		close(client[i]);
	pthread_join(thread, NULL);
	for (int i = 0; i < 2; i++)
		close(server[i]);
}

static void capture(struct capture *c)
{
	static const struct sock_filter all[] = {RETK(0xffffffff)};
	static const int ports[] = {53, 80, 443, 8080};
	struct rnd r = {.state = 2};

	assert_int_equal(classic_kernel_attach(&loopback, all, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
		talk(ports[i]);
	while (c->cnt < CAPTURE_MAX / 2) {
		ssize_t n = recv(loopback.rx, c->data[c->cnt], FRAME_MAX, MSG_DONTWAIT);

		if (n <= 0)
			break;
		c->len[c->cnt++] = (u32)n;
	}
	print_message("%u frames captured\n", c->cnt);
	assert_true(c->cnt > 30);
	for (; c->cnt < CAPTURE_MAX; c->cnt++)
		c->len[c->cnt] = frame_make(&r, c->data[c->cnt]);
}

static const char *const expressions[] = {
	"ip",
	"ip6",
	"arp",
	"tcp",
	"udp",
	"udp port 53",
	"tcp port 80",
	"port 443 or port 8080",
	"tcp[tcpflags] & (tcp-syn|tcp-fin) != 0",
	"host 127.0.0.1",
	"net 127.0.0.0/8",
	"not host 127.0.0.1",
	"greater 100",
	"less 60",
	"ip[8] = 64",
	"icmp or icmp6",
	"ip proto 47",
	"ip[6:2] & 0x1fff != 0",
	"tcp[12] >> 4 > 5",
	"tcp[((tcp[12] & 0xf0) >> 2):4] = 0x68656c6c",
	"udp[8:4] = 0x68656c6c",
	"ether multicast",
	"ether proto 0x1234",
	"ip6 proto 58",
	"ip6 protochain 6",
	"portrange 50-90",
	"dst port 80 and src net 127",
	"pppoes and ip",
	"mpls",
	"len > 50 and len < 90",
	"ip[0] & 0xf > 5",
	"ether[0] & 1 = 1",
	"sctp",
	"(tcp or udp) and not port 53",
	"ip broadcast or ether broadcast",
	"tcp dst portrange 0-1023",
};

static void test_expressions(void **state)
{
	struct capture *c;
	u64 compared = 0, on_kernel = 0, matched = 0;
	u32 failed = 0;

	need_loopback();
	c = calloc(1, sizeof(*c));
	assert_non_null(c);
	capture(c);
	for (size_t e = 0; e < ARRAY_SIZE(expressions); e++)
		for (int optimize = 0; optimize < 2; optimize++) {
			pcap_t *pcap = pcap_open_dead(DLT_EN10MB, 262144);
			struct bpf_program program;
			struct bpf_prog *prog;

			assert_non_null(pcap);
			if (pcap_compile(pcap, &program, expressions[e], optimize, 0x000000ff))
				fail_msg("%s: %s", expressions[e], pcap_geterr(pcap));
			/* "protochain" loops backward, which Linux does not take either. */
			if (bpf_prog_create(program.bf_insns, program.bf_len, NULL, &prog)) {
				assert_non_null(strstr(expressions[e], "protochain"));
				assert_int_equal(classic_kernel_attach(&loopback, program.bf_insns,
								       program.bf_len),
						 -EINVAL);
				pcap_freecode(&program);
				pcap_close(pcap);
				continue;
			}
			for (u32 i = 0; i < c->cnt; i++) {
				const u8 *data = c->data[i];
				u32 len = c->len[i], ours = classic_run(prog, data, len);

				compared++;
				matched += ours != 0;
				failed += ours != bpf_filter(program.bf_insns, data, len, len);
			}
			assert_int_equal(
				classic_kernel_attach(&loopback, program.bf_insns, program.bf_len),
				0);
			for (u32 i = 0; i < c->cnt; i += 4) {
				u32 ours = classic_run_frame(prog, c->data[i], c->len[i]);
				u32 kept = classic_kernel_run(&loopback, c->data[i], c->len[i]);

				if (dropped_by_linux(c->data[i], c->len[i]))
					continue;
				on_kernel++;
				failed += !ours != !kept;
			}
			bpf_prog_destroy(prog);
			pcap_freecode(&program);
			pcap_close(pcap);
		}
	free(c);
	print_message("%llu results as libpcap's, %llu of them matches; %llu as the kernel's\n",
		      (unsigned long long)compared, (unsigned long long)matched,
		      (unsigned long long)on_kernel);
	assert_int_equal(failed, 0);
	assert_true(matched > compared / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_expressions),
	};

	return cmocka_run_group_tests(tests, setup_loopback, close_loopback);
}
