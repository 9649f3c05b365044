/*
 * diff_net.c - helpers about the network behind a packet, held against the running kernel: routes
 * and neighbours, tunnels, the other version of IP
 *
 * Routes are those of a network namespace of this test's own.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "run/test_run.h"
#include "tests/lib/both.h"
#include "uapi/bpf_insn.h"

#define PACKET 128
#define CB(i)  (offsetof(struct __sk_buff, cb) + 4 * (i))

static int start_over(void **state)
{
	both_differ = 0;
	return 0;
}

/* ---- routes */

static const char set_up[] =
	"ip link set lo up && "
	"ip link add d0 type veth peer name p0 && ip link add d1 type veth peer name p1 && "
	"ip link set d0 up && ip link set p0 up && ip link set d1 up mtu 1400 && "
	"ip link set p1 up && "
	"ip addr add 10.1.0.1/24 dev d0 && ip addr add 10.2.0.1/24 dev d1 && "
	"ip addr add 2001:db8:1::1/64 dev d0 nodad && "
	"ip addr add 2001:db8:2::1/64 dev d1 nodad && "
	"echo 1 > /proc/sys/net/ipv4/conf/d0/forwarding && "
	"echo 0 > /proc/sys/net/ipv4/conf/d1/forwarding && "
	"echo 1 > /proc/sys/net/ipv6/conf/d0/forwarding && "
	"ip neigh add 10.2.0.2 lladdr 02:00:00:00:00:02 dev d1 && "
	"ip neigh add 2001:db8:2::2 lladdr 02:00:00:00:00:06 dev d1 && "
	"ip route add 10.9.0.0/16 via 10.2.0.2 metric 55 && "
	"ip route add 10.13.0.0/16 via 10.2.0.2 mtu 600 src 10.1.0.1 && "
	"ip route add 10.19.0.0/16 via 10.2.0.2 mtu lock 600 && "
	"ip route add 10.14.0.0/16 via inet6 2001:db8:2::2 dev d1 && "
	"ip route add 10.17.0.0/16 via 10.2.0.9 && "
	"ip route add blackhole 10.10.0.0/16 && ip route add unreachable 10.11.0.0/16 && "
	"ip route add prohibit 10.12.0.0/16 && ip route add throw 10.18.0.0/16 && "
	"ip route add 2001:db8:9::/48 via 2001:db8:2::2 metric 77 && "
	"ip route add 2001:db8:13::/48 via 2001:db8:2::2 mtu 1300 && "
	"ip route add 2001:db8:14::/48 via 2001:db8:2::2 mtu lock 1300 && "
	"ip route add blackhole 2001:db8:10::/48 && ip route add unreachable 2001:db8:11::/48 && "
	"ip route add prohibit 2001:db8:12::/48";

/* The parameters lie in the packet, and so does what becomes of them. */
static void load_fib(struct both *b, enum bpf_prog_type type, u32 plen, u32 flags)
{
	bool xdp = type == BPF_PROG_TYPE_XDP;
	struct bpf_insn insns[32], *p = insns;

	*p++ = BPF_MOV64_REG(6, 1);
	*p++ = BPF_MOV64_IMM(2, ETH_HLEN);
	*p++ = BPF_MOV64_REG(3, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 3, -64);
	*p++ = BPF_MOV64_IMM(4, 64);
	*p++ = BPF_EMIT_CALL(xdp ? BPF_FUNC_xdp_load_bytes : BPF_FUNC_skb_load_bytes);
	*p++ = BPF_MOV64_REG(1, 6);
	*p++ = BPF_MOV64_REG(2, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 2, -64);
	*p++ = BPF_MOV64_IMM(3, (s32)plen);
	*p++ = BPF_MOV64_IMM(4, (s32)flags);
	*p++ = BPF_EMIT_CALL(BPF_FUNC_fib_lookup);
	*p++ = BPF_MOV64_REG(7, 0);
	*p++ = BPF_MOV64_REG(1, 6);
	*p++ = BPF_MOV64_IMM(2, ETH_HLEN);
	*p++ = BPF_MOV64_REG(3, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 3, -64);
	*p++ = BPF_MOV64_IMM(4, 64);
	*p++ = BPF_MOV64_IMM(5, 0);
	*p++ = BPF_EMIT_CALL(xdp ? BPF_FUNC_xdp_store_bytes : BPF_FUNC_skb_store_bytes);
	*p++ = BPF_MOV64_REG(0, 7);
	*p++ = BPF_EXIT_INSN();
	both_load(b, type, 0, insns, (u32)(p - insns));
}

static void compare_fib(const struct both *b, const struct bpf_fib_lookup *params, const char *what)
{
	u8 packet[PACKET] = {[12] = 8, [ETH_HLEN + sizeof(*params)] = 0};
	const struct bpf_test_run run = {
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.data_size_out = sizeof(packet),
	};

	memcpy(packet + ETH_HLEN, params, sizeof(*params));
	both_compare(b, &run, "fib_lookup", what);
}

static void ask(const struct both *b, const char *device, const char *src, const char *dst,
		u16 tot_len, const char *how)
{
	bool v6 = strchr(dst, ':');
	struct bpf_fib_lookup params = {
		.family = v6 ? AF_INET6 : AF_INET,
		.l4_protocol = 6,
		.sport = htons(1234),
		.dport = htons(80),
		.tot_len = tot_len,
		.ifindex = device ? if_nametoindex(device) : 0x7ffffff,
	};
	char what[160];

	inet_pton(params.family, src, v6 ? (void *)params.ipv6_src : &params.ipv4_src);
	inet_pton(params.family, dst, v6 ? (void *)params.ipv6_dst : &params.ipv4_dst);
	snprintf(what, sizeof(what), "%s from %s, %u bytes, by %s: %s", dst, src, tot_len,
		 device ? device : "none", how);
	compare_fib(b, &params, what);
}

static void routes(void **state)
{
	static const char *const devices[] = {"d0", "d1", "lo", NULL};
	static const char *const to4[] = {"10.1.0.1",	"10.1.0.9",	  "10.2.0.2",  "10.2.0.3",
					  "10.2.0.255", "10.9.1.1",	  "10.10.1.1", "10.11.1.1",
					  "10.12.1.1",	"10.13.1.1",	  "10.14.1.1", "10.17.1.1",
					  "10.18.1.1",	"10.19.1.1",	  "8.8.8.8",   "127.0.0.1",
					  "224.0.0.5",	"255.255.255.255"};
	static const char *const to6[] = {"2001:db8:1::1",
					  "2001:db8:2::2",
					  "2001:db8:2::3",
					  "2001:db8:9::1",
					  "2001:db8:10::1",
					  "2001:db8:11::1",
					  "2001:db8:12::1",
					  "2001:db8:13::1",
					  "2001:db8:14::1",
					  "2001:db9::1",
					  "fe80::1",
					  "ff02::1",
					  "::1"};
	static const u32 flags[] = {0,
				    BPF_FIB_LOOKUP_OUTPUT,
				    BPF_FIB_LOOKUP_SKIP_NEIGH,
				    16 /* SRC */,
				    BPF_FIB_LOOKUP_SKIP_NEIGH | 16,
				    64};
	static const enum bpf_prog_type types[] = {BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS};
	static const u16 lens[] = {0, 500, 1350, 1401};

	if (unshare(CLONE_NEWNET) || system("ip link > /dev/null 2>&1")) {
		print_message("needs root and ip(8)\n");
		skip();
	}
	assert_int_equal(system(set_up), 0);
	for (u32 t = 0; t < ARRAY_SIZE(types); t++)
		for (u32 f = 0; f < ARRAY_SIZE(flags); f++) {
			struct both b;
			char how[32];

			snprintf(how, sizeof(how), "%s, flags %u", t ? "tc" : "xdp", flags[f]);
			load_fib(&b, types[t], 64, flags[f]);
			for (u32 d = 0; d < ARRAY_SIZE(devices); d++)
				for (u32 l = 0; l < ARRAY_SIZE(lens); l++) {
					for (u32 i = 0; i < ARRAY_SIZE(to4); i++)
						ask(&b, devices[d], "10.1.0.7", to4[i], lens[l],
						    how);
					for (u32 i = 0; i < ARRAY_SIZE(to6); i++)
						ask(&b, devices[d], "2001:db8:1::7", to6[i],
						    lens[l], how);
				}
			both_free(&b);
		}
	assert_int_equal(both_differ, 0);
}

static void parameters(void **state)
{
	static const u32 sizes[] = {1, 63, 64};
	struct bpf_fib_lookup params = {.family = AF_INET, .ifindex = 1};

	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct both b;

		load_fib(&b, BPF_PROG_TYPE_XDP, sizes[i], 0);
		for (params.family = 0; params.family < 12; params.family++)
			compare_fib(&b, &params, "parameters");
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

/* ---- tunnels */

/* The first `set` bytes of 48 in the packet are set, `get` bytes are got, into the packet. */
static void tunnel(u32 set, u32 set_flags, u32 get, u32 get_flags, const u8 *key)
{
	struct bpf_insn insns[64], *p = insns;
	u8 packet[PACKET] = {[12] = 8};
	const struct bpf_test_run run = {
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.data_size_out = sizeof(packet),
		.ctx_size_out = sizeof(struct __sk_buff),
	};
	char what[128];
	struct both b;

	memcpy(packet + ETH_HLEN, key, 48);
	*p++ = BPF_MOV64_REG(6, 1);
	*p++ = BPF_MOV64_IMM(2, ETH_HLEN);
	*p++ = BPF_MOV64_REG(3, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 3, -64);
	*p++ = BPF_MOV64_IMM(4, 48);
	*p++ = BPF_EMIT_CALL(BPF_FUNC_skb_load_bytes);
	*p++ = BPF_MOV64_IMM(7, 0);
	if (set) {
		*p++ = BPF_MOV64_REG(1, 6);
		*p++ = BPF_MOV64_REG(2, 10);
		*p++ = BPF_ALU64_IMM(BPF_ADD, 2, -64);
		*p++ = BPF_MOV64_IMM(3, (s32)set);
		*p++ = BPF_MOV64_IMM(4, (s32)set_flags);
		*p++ = BPF_EMIT_CALL(BPF_FUNC_skb_set_tunnel_key);
		*p++ = BPF_MOV64_REG(7, 0);
	}
	*p++ = BPF_STX_MEM(BPF_W, 6, 7, CB(0));
	*p++ = BPF_MOV64_REG(1, 6);
	*p++ = BPF_MOV64_REG(2, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 2, -64);
	*p++ = BPF_MOV64_IMM(3, (s32)get);
	*p++ = BPF_MOV64_IMM(4, (s32)get_flags);
	*p++ = BPF_EMIT_CALL(BPF_FUNC_skb_get_tunnel_key);
	*p++ = BPF_STX_MEM(BPF_W, 6, 0, CB(1));
	*p++ = BPF_MOV64_REG(1, 6);
	*p++ = BPF_MOV64_IMM(2, ETH_HLEN);
	*p++ = BPF_MOV64_REG(3, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 3, -64);
	*p++ = BPF_MOV64_IMM(4, 48);
	*p++ = BPF_MOV64_IMM(5, 0);
	*p++ = BPF_EMIT_CALL(BPF_FUNC_skb_store_bytes);
	*p++ = BPF_MOV64_IMM(0, 0);
	*p++ = BPF_EXIT_INSN();
	snprintf(what, sizeof(what), "set %u flags %u, get %u flags %u", set, set_flags, get,
		 get_flags);
	both_load(&b, BPF_PROG_TYPE_SCHED_CLS, 0, insns, (u32)(p - insns));
	both_compare(&b, &run, what, "a tunnel key");
	both_free(&b);
}

static void tunnels(void **state)
{
	struct bpf_tunnel_key key = {.tunnel_id = 77,
				     .remote_ipv6 = {1, 2, 3, 4},
				     .local_ipv6 = {5, 6, 7, 8},
				     .tunnel_tos = 9,
				     .tunnel_ttl = 10};
	u8 raw[48] = {0};

	memcpy(raw, &key, sizeof(key));
	for (u32 size = 0; size <= 48; size++) {
		tunnel(size, 0, 44, 0, raw);
		tunnel(44, 0, size ? size : 1, 0, raw);
		tunnel(44, 1, size ? size : 1, 1, raw);
	}
	for (u32 flags = 0; flags < 64; flags++) {
		tunnel(44, flags, 44, 16, raw);
		tunnel(44, flags, 44, 17, raw);
		tunnel(44, flags & 1, 44, flags, raw);
	}
	key.tunnel_label = 0xfff12345;
	memcpy(raw, &key, sizeof(key));
	tunnel(44, 0, 44, 0, raw);
	tunnel(44, 1, 44, 1, raw);
	key.tunnel_label = 0;
	key.tunnel_ext = 1;
	memcpy(raw, &key, sizeof(key));
	tunnel(44, 1, 44, 1, raw);
	assert_int_equal(both_differ, 0);
}

/* ---- the other version of IP */

static void change_proto(u16 from, u16 to, u32 flags, u32 size, u32 times)
{
	struct bpf_insn insns[64], *p = insns;
	u8 packet[PACKET];
	const struct bpf_test_run run = {
		.data_in = packet,
		.data_size_in = size,
		.data_size_out = sizeof(packet) + 20,
		.ctx_size_out = sizeof(struct __sk_buff),
	};
	char what[96];
	struct both b;

	for (u32 i = 0; i < sizeof(packet); i++)
		packet[i] = (u8)i;
	from = htons(from);
	memcpy(packet + 12, &from, 2);
	packet[ETH_HLEN] = from == htons(ETH_P_IP) ? 0x45 : 0x60;
	*p++ = BPF_MOV64_REG(6, 1);
	for (u32 i = 0; i < times; i++) {
		*p++ = BPF_MOV64_REG(1, 6);
		*p++ = BPF_MOV64_IMM(2, htons(i % 2 ? ntohs(from) : to));
		*p++ = BPF_MOV64_IMM(3, (s32)flags);
		*p++ = BPF_EMIT_CALL(BPF_FUNC_skb_change_proto);
		*p++ = BPF_STX_MEM(BPF_W, 6, 0, (s16)CB(i));
	}
	*p++ = BPF_LDX_MEM(BPF_W, 1, 6, offsetof(struct __sk_buff, protocol));
	*p++ = BPF_STX_MEM(BPF_W, 6, 1, CB(3));
	*p++ = BPF_LDX_MEM(BPF_W, 1, 6, offsetof(struct __sk_buff, len));
	*p++ = BPF_STX_MEM(BPF_W, 6, 1, CB(4));
	*p++ = BPF_MOV64_IMM(0, 0);
	*p++ = BPF_EXIT_INSN();
	snprintf(what, sizeof(what), "0x%x to 0x%x, flags %u, %u times", ntohs(from), to, flags,
		 times);
	both_load(&b, BPF_PROG_TYPE_SCHED_CLS, 0, insns, (u32)(p - insns));
	both_compare(&b, &run, what, "a packet");
	both_free(&b);
}

static void protocols(void **state)
{
	static const u16 protos[] = {ETH_P_IP, ETH_P_IPV6, ETH_P_ARP, 0};
	static const u32 sizes[] = {34, 54, 60, 100};

	for (u32 f = 0; f < ARRAY_SIZE(protos); f++)
		for (u32 t = 0; t < ARRAY_SIZE(protos); t++)
			for (u32 s = 0; s < ARRAY_SIZE(sizes); s++)
				for (u32 times = 1; times < 4; times++)
					change_proto(protos[f], protos[t], 0, sizes[s], times);
	change_proto(ETH_P_IP, ETH_P_IPV6, 1, 100, 1);
	assert_int_equal(both_differ, 0);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tunnels, start_over),
		cmocka_unit_test_setup(protocols, start_over),
		cmocka_unit_test_setup(parameters, start_over),
		cmocka_unit_test_setup(routes, start_over),
	};
	int err;

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	err = cmocka_run_group_tests(tests, NULL, NULL);
	printf("%llu runs compared\n", (unsigned long long)both_compared);
	return err;
}
