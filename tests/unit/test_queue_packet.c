/*
 * test_queue_packet.c - messages of the kernel's packet queues, honest and hostile
 * (fs/enforce/queue/packet.c)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fs/enforce/queue/packet.h"
#include "tests/lib/nfqmsg.h"

static u32 room[32768] __attribute__((aligned(8)));

static void test_a_captured_message(void **state)
{
	const u8 *payload = (u8 *)room + NFQMSG_PAYLOAD;
	struct nfq_packet p;
	struct bpf_skb skb;

	assert_true(nfq_packet_parse(nfqmsg_copy(room), &p));
	assert_int_equal(p.id, 1);
	assert_int_equal(p.hook, NF_INET_LOCAL_OUT);
	assert_int_equal(p.mark, 7);
	assert_int_equal(p.priority, 3);
	assert_int_equal(p.indev, 0);
	assert_int_equal(p.outdev, 1);
	assert_ptr_equal(p.data, payload);
	assert_int_equal(p.copied, 33);
	assert_int_equal(p.len, 33);
	assert_false(p.has_vlan);
	nfq_packet_skb(&p, NULL, &skb);
	assert_int_equal(skb.md.family, AF_INET);
	assert_int_equal(skb.md.len, 33);
	assert_int_equal(skb.md.mark, 7);
	assert_int_equal(skb.md.priority, 3);
	assert_int_equal(skb.md.ifindex, 1);
	assert_int_equal(skb.md.ingress_ifindex, 0);
	assert_int_equal(skb.md.local_port, 4000);
	assert_int_equal(skb.md.remote_port, htons(5353));
}

/* On its way in the receiver is local; the device is the one it came by. */
static void test_the_other_way(void **state)
{
	struct nlmsghdr *nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 9, NF_INET_LOCAL_IN);
	u8 ip[28] = {0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 53, 1, 0};
	struct nfq_packet p;
	struct bpf_skb skb;
	u32 from, to;

	mnl_attr_put_u32(nlh, NFQA_IFINDEX_INDEV, htonl(4));
	mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip), ip);
	assert_true(nfq_packet_parse(nlh, &p));
	nfq_packet_skb(&p, NULL, &skb);
	memcpy(&from, ip + 12, 4);
	memcpy(&to, ip + 16, 4);
	assert_int_equal(skb.md.local_ip4, to);
	assert_int_equal(skb.md.remote_ip4, from);
	assert_int_equal(skb.md.local_port, 256);
	assert_int_equal(skb.md.remote_port, htons(53));
	assert_int_equal(skb.md.ifindex, 4);
	assert_int_equal(skb.md.ingress_ifindex, 4);
}

/* All of both addresses, in both directions. */
static void test_ipv6(void **state)
{
	u8 ip[48] = {0x60, 0, 0, 0, 0, 8, 17};
	struct nfq_packet p;
	struct bpf_skb skb;

	for (u32 i = 8; i < sizeof(ip); i++)
		ip[i] = (u8)(0x80 + i);
	for (u32 in = 0; in < 2; in++) {
		u8 hook = in ? NF_INET_LOCAL_IN : NF_INET_LOCAL_OUT;
		struct nlmsghdr *nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 9, hook);

		mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip), ip);
		assert_true(nfq_packet_parse(nlh, &p));
		nfq_packet_skb(&p, NULL, &skb);
		assert_int_equal(skb.md.family, AF_INET6);
		assert_memory_equal(skb.md.local_ip6, ip + (in ? 24 : 8), 16);
		assert_memory_equal(skb.md.remote_ip6, ip + (in ? 8 : 24), 16);
		assert_int_equal(skb.md.local_port, in ? 0xaaab : 0xa8a9);
		assert_int_equal(skb.md.remote_port, htons(in ? 0xa8a9 : 0xaaab));
	}
}

static u32 local_port(const u8 *ip, u32 len)
{
	struct nlmsghdr *nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 9, NF_INET_LOCAL_OUT);
	struct nfq_packet p;
	struct bpf_skb skb;

	mnl_attr_put(nlh, NFQA_PAYLOAD, len, ip);
	assert_true(nfq_packet_parse(nlh, &p));
	nfq_packet_skb(&p, NULL, &skb);
	return skb.md.local_port;
}

/*
 * Ports are where they are, and zero where there are none: fragments, other protocols, cut off
 * packets.
 */
static void test_ports(void **state)
{
	u8 ip[64] = {0x46, 0, 0, 60, 0, 0, 0, 0, 64, 6};
	u8 ip6[64] = {0x60, 0, 0, 0, 0, 24, 6};

	ip[24] = 0x12;
	ip[25] = 0x34;
	assert_int_equal(local_port(ip, 28), 0x1234);
	assert_int_equal(local_port(ip, 27), 0);
	ip[7] = 1;
	assert_int_equal(local_port(ip, 28), 0);
	ip[7] = 0;
	ip[6] = 0x20; /* the first of several */
	assert_int_equal(local_port(ip, 28), 0x1234);
	ip[6] = 0x10;
	assert_int_equal(local_port(ip, 28), 0);
	ip[6] = 0;
	ip[9] = IPPROTO_ICMP;
	assert_int_equal(local_port(ip, 28), 0);
	ip[9] = IPPROTO_SCTP;
	assert_int_equal(local_port(ip, 28), 0x1234);
	ip6[40] = 0x43;
	ip6[41] = 0x21;
	assert_int_equal(local_port(ip6, 44), 0x4321);
	assert_int_equal(local_port(ip6, 43), 0);
	assert_int_equal(local_port(ip6, 40), 0);
	assert_int_equal(local_port(ip6, 20), 0);
}

/* GSO: the packet is longer than a message; what is copied is what there is to read. */
static void test_what_is_copied_may_be_less(void **state)
{
	struct nlmsghdr *nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 2, NF_INET_LOCAL_OUT);
	static const u8 ip[40] = {0x45};
	struct nfq_packet p;
	struct bpf_skb skb;

	mnl_attr_put_u32(nlh, NFQA_CAP_LEN, htonl(70000));
	mnl_attr_put_u32(nlh, NFQA_SKB_INFO, htonl(NFQA_SKB_GSO));
	mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip), ip);
	assert_true(nfq_packet_parse(nlh, &p));
	assert_int_equal(p.len, 70000);
	assert_int_equal(p.copied, 40);
	nfq_packet_skb(&p, NULL, &skb);
	assert_int_equal(skb.md.len, 70000);
	assert_int_equal(skb.md.wire_len, 70000);
	assert_int_equal(skb.data_end - skb.data, 40);

	/* It cannot be shorter than what we have of it. */
	nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 2, NF_INET_LOCAL_OUT);
	mnl_attr_put_u32(nlh, NFQA_CAP_LEN, htonl(8));
	mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip), ip);
	assert_true(nfq_packet_parse(nlh, &p));
	assert_int_equal(p.len, 40);
}

static void test_vlan(void **state)
{
	struct nlmsghdr *nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 2, NF_INET_LOCAL_IN);
	static const u8 ip[20] = {0x45};
	struct nlattr *nest;
	struct nfq_packet p;
	struct bpf_skb skb;

	nest = mnl_attr_nest_start(nlh, NFQA_VLAN);
	mnl_attr_put_u8(nlh, NFQA_VLAN_TCI, 1); /* too short to be one */
	mnl_attr_put_u16(nlh, NFQA_VLAN_TCI, htons(0x2005));
	mnl_attr_put_u16(nlh, NFQA_VLAN_PROTO, htons(0x8100));
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_put(nlh, NFQA_PAYLOAD, sizeof(ip), ip);
	assert_true(nfq_packet_parse(nlh, &p));
	nfq_packet_skb(&p, NULL, &skb);
	assert_int_equal(skb.md.vlan_present, 1);
	assert_int_equal(skb.md.vlan_tci, 0x2005);
	assert_int_equal(skb.md.vlan_proto, htons(0x8100));
}

static void test_short_attributes_are_not_there(void **state)
{
	struct nlmsghdr *nlh = nfqmsg_begin(room, NFQMSG_QUEUE, 2, NF_INET_LOCAL_IN);
	static const u16 types[] = {NFQA_MARK, NFQA_IFINDEX_INDEV, NFQA_IFINDEX_OUTDEV,
				    NFQA_PRIORITY, NFQA_CAP_LEN};
	struct nfq_packet p;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		mnl_attr_put(nlh, types[i], 3, "\xff\xff\xff");
	assert_true(nfq_packet_parse(nlh, &p));
	assert_int_equal(p.mark | p.indev | p.outdev | p.priority | p.len, 0);
	assert_int_equal(p.copied, 0);

	nlh = mnl_nlmsg_put_header(room);
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nfgenmsg));
	assert_false(nfq_packet_parse(nlh, &p)); /* whose verdict? */
	mnl_attr_put(nlh, NFQA_PACKET_HDR, sizeof(struct nfqnl_msg_packet_hdr) - 1, "\0\0\0\0\0\0");
	assert_false(nfq_packet_parse(nlh, &p));
}

/* Every message that is cut off, and every one with one byte changed: what is found lies inside. */
static void test_damaged_messages_stay_inside(void **state)
{
	const size_t size = sizeof(nfqmsg_captured);
	struct nlmsghdr *nlh;
	struct nfq_packet p;

	for (size_t len = sizeof(*nlh) + sizeof(struct nfgenmsg); len < size; len++) {
		u8 *cut = calloc(1, MNL_ALIGN(len)); /* the sanitizer sees what is read behind it */

		memcpy(cut, nfqmsg_captured, len);
		((struct nlmsghdr *)cut)->nlmsg_len = (u32)len;
		if (nfq_packet_parse((void *)cut, &p) && p.data)
			assert_true(p.data + p.copied <= cut + MNL_ALIGN(len));
		free(cut);
	}
	for (size_t at = sizeof(*nlh); at < size * 4; at++) {
		static const u8 values[] = {0, 1, 0x7f, 0xff};
		u8 *bad = calloc(1, MNL_ALIGN(size));

		memcpy(bad, nfqmsg_captured, size);
		bad[at % size] = at % size < sizeof(*nlh) ? bad[at % size] : values[at / size];
		if (nfq_packet_parse((void *)bad, &p) && p.data)
			assert_true(p.data >= bad && p.data + p.copied <= bad + MNL_ALIGN(size));
		free(bad);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_captured_message),
		cmocka_unit_test(test_the_other_way),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_what_is_copied_may_be_less),
		cmocka_unit_test(test_vlan),
		cmocka_unit_test(test_short_attributes_are_not_there),
		cmocka_unit_test(test_damaged_messages_stay_inside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
