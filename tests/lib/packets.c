/*
 * packets.c - Ethernet frames: TCP and UDP over IPv4 and IPv6, ARP, a cut one, an empty one
 */
#include "tests/lib/packets.h"

#define ETH(TYPE) 0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, (TYPE) >> 8, (TYPE)&0xff

#define IPV4(LEN, PROTO) \
	0x45, 0, (LEN) >> 8, (LEN)&0xff, 0, 1, 0x40, 0, 64, PROTO, 0, 0, 127, 0, 0, 1, 10, 0, 0, 7

#define IPV6(LEN, PROTO)                                                                         \
	0x60, 0, 0, 0, (LEN) >> 8, (LEN)&0xff, PROTO, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
		0, 0, 0, 1, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2

#define TCP(SPORT, DPORT, FLAGS)                                                              \
	(SPORT) >> 8, (SPORT)&0xff, (DPORT) >> 8, (DPORT)&0xff, 1, 2, 3, 4, 5, 6, 7, 8, 0x50, \
		FLAGS, 0x10, 0, 0xab, 0xcd, 0, 0

#define UDP(SPORT, DPORT, LEN) \
	(SPORT) >> 8, (SPORT)&0xff, (DPORT) >> 8, (DPORT)&0xff, (LEN) >> 8, (LEN)&0xff, 0x12, 0x34

const struct packet packets[] = {
	{"tcp syn", {ETH(0x0800), IPV4(44, 6), TCP(40000, 80, 2), 2, 4, 5, 0xb4}, 58},
	{"tcp data",
	 {ETH(0x0800), IPV4(60, 6), TCP(443, 51000, 0x18), 'G', 'E', 'T', ' ', '/', ' ', 'H', 'T',
	  'T', 'P', '/', '1', '.', '1', '\r', '\n'},
	 74},
	{"udp",
	 {ETH(0x0800), IPV4(40, 17), UDP(53, 33000, 20), 'a', ' ', 'q', 'u', 'e', 's', 't', 'i',
	  'o', 'n', '?'},
	 54},
	{"icmp", {ETH(0x0800), IPV4(28, 1), 8, 0, 0xf7, 0xff, 0, 0, 0, 0}, 42},
	{"ipv6 tcp", {ETH(0x86dd), IPV6(20, 6), TCP(1234, 22, 0x10)}, 74},
	{"ipv6 udp", {ETH(0x86dd), IPV6(16, 17), UDP(5353, 5353, 16), 1, 2, 3, 4, 5, 6, 7, 8}, 70},
	{"arp", {ETH(0x0806), 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 2, 10, 0, 0, 1}, 60},
	{"cut in the IP header", {ETH(0x0800), 0x45, 0, 0, 60}, 20},
	{"IP options",
	 {ETH(0x0800), 0x46, 0, 0, 52, 0, 1, 0, 0, 64, 17, 0, 0,
	  1,	       2,    3, 4, 5,  6, 7, 8, 1, 1,  1,  0, UDP(7, 9, 12)},
	 64},
	{"zeros", {0}, 64},
	{"long", {ETH(0x0800), IPV4(230, 17), UDP(4789, 4789, 210), 0xff, 0x80, 0x7f}, 244},
	{"full frame",
	 {ETH(0x0800), IPV4(1500, 6), TCP(8080, 50000, 0x10), 0xaa, 0x55, 0xff},
	 1514},
};

const u32 packet_cnt = ARRAY_SIZE(packets);
