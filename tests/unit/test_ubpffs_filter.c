/*
 * test_ubpffs_filter.c - the public face: a filter from text or instructions, on described packets
 */
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "util/types.h"
#include "tests/lib/classic_rows.h"
#include "ubpffs_filter.h"

/* 10.0.0.1:1000 to 10.0.0.2:53, UDP, "abcd" */
static const u8 frame[] = {
	0x02, 0,    0,	0,  0, 1,  0x02, 0, 0,	 0,   0,   2,	0x08, 0x00, /* Ethernet */
	0x45, 0,    0,	32, 0, 0,  0,	 0, 64,	 17,  0,   0,	10,   0,
	0,    1,    10, 0,  0, 2, /* IP */
	0x03, 0xe8, 0,	53, 0, 12, 0,	 0, 'a', 'b', 'c', 'd', /* UDP */
};

static struct bpf_prog *create(const struct sock_filter *insns, u32 cnt)
{
	struct bpf_prog *filter;
	char *why;

	assert_int_equal(ubpffs_filter_create(insns, cnt, &why, &filter), 0);
	assert_null(why);
	return filter;
}

static u32 once(const struct sock_filter *insns, u32 cnt, const struct ubpffs_packet *packet)
{
	struct bpf_prog *filter = create(insns, cnt);
	u32 ret = ubpffs_filter_run(filter, packet);

	ubpffs_filter_free(filter);
	return ret;
}

#define ONCE(packet, ...)                             \
	once((const struct sock_filter[])__VA_ARGS__, \
	     sizeof((struct sock_filter[])__VA_ARGS__) / sizeof(struct sock_filter), packet)

static void test_frame(void **state)
{
	struct ubpffs_packet p;

	ubpffs_packet_ethernet(&p, frame, sizeof(frame));
	assert_int_equal(ONCE(&p, {S(BPF_LD | BPF_W | BPF_LEN, 0), RETA}), sizeof(frame));
	assert_int_equal(ONCE(&p, {LD(H, 12), RETA}), ETH_P_IP);
	assert_int_equal(ONCE(&p, {LD(B, (u32)SKF_NET_OFF + 9), RETA}), 17);
	assert_int_equal(ONCE(&p, {LD(W, (u32)SKF_LL_OFF + 10), RETA}), 0x00020800);
	assert_int_equal(ONCE(&p, {MSH(14), LDI(H, 16), RETA}), 53);
	assert_int_equal(ONCE(&p, {ANC(PROTOCOL), RETA}), ETH_P_IP);
	assert_int_equal(ONCE(&p, {ANC(PKTTYPE), RETA}), PACKET_OTHERHOST);
	assert_int_equal(ONCE(&p, {ANC(PAY_OFFSET), RETA}), 42);
	assert_int_equal(ONCE(&p, {LDA(3), ANC(IFINDEX), RETK(1)}), 3); /* no device: as it was */
	assert_int_equal(ONCE(&p, {LD(B, sizeof(frame)), RETK(1)}), 0);
}

static void test_ancillary(void **state)
{
	struct ubpffs_packet p;

	ubpffs_packet_ethernet(&p, frame, sizeof(frame));
	p.ifindex = 7;
	p.mark = 0x80000001;
	p.queue = 3;
	p.hash = 0xabcdef01;
	p.vlan_present = true;
	p.vlan_tci = 0x2005;
	p.vlan_proto = ETH_P_8021Q;
	assert_int_equal(ONCE(&p, {ANC(IFINDEX), RETA}), 7);
	assert_int_equal(ONCE(&p, {ANC(HATYPE), RETA}), ARPHRD_ETHER);
	assert_int_equal(ONCE(&p, {ANC(MARK), RETA}), 0x80000001);
	assert_int_equal(ONCE(&p, {ANC(QUEUE), RETA}), 3);
	assert_int_equal(ONCE(&p, {ANC(RXHASH), RETA}), 0xabcdef01);
	assert_int_equal(ONCE(&p, {ANC(VLAN_TAG), RETA}), 0x2005);
	assert_int_equal(ONCE(&p, {ANC(VLAN_TAG_PRESENT), RETA}), 1);
	assert_int_equal(ONCE(&p, {ANC(VLAN_TPID), RETA}), ETH_P_8021Q);
	assert_int_equal(ONCE(&p, {ANC(PAY_OFFSET), RETA}), 42);
}

static void test_short_and_empty(void **state)
{
	struct ubpffs_packet p;

	for (u32 len = 0; len < ETH_HLEN; len++) {
		u8 *copy = malloc(len + 1); /* nothing beyond it may be read */

		memcpy(copy, frame, len);
		ubpffs_packet_ethernet(&p, copy, len);
		assert_int_equal(ONCE(&p, {LD(H, 12), RETK(1)}), 0);
		assert_int_equal(ONCE(&p, {LD(B, (u32)SKF_LL_OFF), RETK(1)}), 0);
		assert_int_equal(ONCE(&p, {ANC(PAY_OFFSET), RETA}), 0);
		free(copy);
	}
	p = (struct ubpffs_packet){.data = frame, .len = 4, .network_offset = 1000};
	assert_int_equal(ONCE(&p, {LD(B, (u32)SKF_NET_OFF), RETK(1)}), 0);
	p = (struct ubpffs_packet){0};
	assert_int_equal(ONCE(&p, {RETK(9)}), 9);
}

/* Cut anywhere, the walk to the payload ends inside. */
static void test_payload_of_cut_frames(void **state)
{
	const struct sock_filter insns[] = {ANC(PAY_OFFSET), RETA};
	struct bpf_prog *filter = create(insns, 2);
	struct ubpffs_packet p;

	for (u32 len = ETH_HLEN; len <= sizeof(frame); len++) {
		u8 *copy = malloc(len);

		memcpy(copy, frame, len);
		ubpffs_packet_ethernet(&p, copy, len);
		/* UDP's length is known without looking. */
		assert_int_equal(ubpffs_filter_run(filter, &p), len < 34 ? 0 : 42);
		free(copy);
	}
	ubpffs_filter_free(filter);
}

static void test_refused(void **state)
{
	const struct sock_filter insns[] = {LDM(0), RETA};
	struct bpf_prog *filter;
	char *why;

	assert_int_equal(ubpffs_filter_create(insns, 2, &why, &filter), -EINVAL);
	assert_non_null(why);
	assert_string_equal(why, "classic instruction 0: reads a word of M[] that not every path "
				 "wrote");
	assert_null(filter);
	free(why);
	assert_int_equal(ubpffs_filter_create(NULL, 0, NULL, &filter), -EINVAL);
	ubpffs_filter_free(NULL);
}

static void test_text(void **state)
{
	static const char text[] = "4\n40 0 0 12\n21 0 1 2048\n6 0 0 96\n6 0 0 0\n";
	struct sock_filter *insns;
	struct ubpffs_packet p;
	char *why;
	u32 cnt;

	assert_int_equal(ubpffs_filter_parse(text, sizeof(text) - 1, &why, &insns, &cnt), 0);
	assert_int_equal(cnt, 4);
	ubpffs_packet_ethernet(&p, frame, sizeof(frame));
	assert_int_equal(once(insns, cnt, &p), 96);
	free(insns);
	assert_int_equal(ubpffs_filter_parse(text, sizeof(text) - 2, &why, &insns, &cnt), -EINVAL);
	assert_string_equal(why, "the text ends before its last line does");
	assert_null(insns);
	free(why);
	assert_int_equal(ubpffs_filter_parse("1\nx", 3, &why, &insns, &cnt), -EINVAL);
	assert_string_equal(why, "line 2: only decimal numbers stand here");
	free(why);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frame),
		cmocka_unit_test(test_ancillary),
		cmocka_unit_test(test_short_and_empty),
		cmocka_unit_test(test_payload_of_cut_frames),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
