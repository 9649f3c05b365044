/*
 * traffic.bpf.c - who talks to which port, and how much
 *
 * Counts the packets and bytes of each (protocol, destination port). To load it and to look at what
 * it counts, with the bpffs mounted on M:
 *
 *	cat build/examples/traffic.bpf.o > M/progs/new
 *	cat M/maps/port_bytes/dump		one line a port: "600443 18230"
 *	cat M/maps/port_bytes/entries/600443	TCP (protocol 6), port 443
 *	cat M/maps/proto_packets/entries/17	UDP packets
 *
 * A key of the port maps is protocol * 100000 + port, so that it can be read in decimal.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 65536);
} port_packets SEC(".maps"), port_bytes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32); /* IP protocol number */
	__type(value, __u64);
	__uint(max_entries, 256);
} proto_packets SEC(".maps");

/* Add n to the value of a key, making the entry when it is the first time. */
static __always_inline void add(void *map, __u32 key, __u64 n)
{
	__u64 zero = 0, *value = bpf_map_lookup_elem(map, &key);

	if (!value) {
		bpf_map_update_elem(map, &key, &zero, BPF_NOEXIST);
		value = bpf_map_lookup_elem(map, &key);
	}
	if (value) /* the map may be full */
		__sync_fetch_and_add(value, n);
}

SEC("xdp")
int traffic(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	void *transport;
	__u16 *ports, port = 0;
	__u8 protocol;

	/* The verifier accepts no access to the packet that was not compared with its end. */
	if ((void *)(eth + 1) > end)
		return XDP_PASS;

	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		protocol = ip->protocol;
		transport = (void *)ip + ip->ihl * 4;
	} else if (eth->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(eth + 1);

		if ((void *)(ip + 1) > end)
			return XDP_PASS;
		protocol = ip->nexthdr;
		transport = ip + 1;
	} else {
		return XDP_PASS;
	}

	/* TCP and UDP both begin with the source and the destination port. */
	ports = transport;
	if ((protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && (void *)(ports + 2) <= end)
		port = bpf_ntohs(ports[1]);

	add(&port_packets, protocol * 100000 + port, 1);
	add(&port_bytes, protocol * 100000 + port, end - data);
	add(&proto_packets, protocol, 1);
	return XDP_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
