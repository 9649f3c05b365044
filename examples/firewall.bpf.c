/*
 * firewall.bpf.c - which ports the processes of a cgroup may talk to, changed with echo and rm
 *
 * An entry of `blocked` is a TCP or UDP port that must not be talked to, and counts the packets
 * that were dropped for it; `sent` counts the bytes that went out, by cgroup. With the bpffs
 * mounted on M, by `ubpffs -o enforce M`:
 *
 *	cat build/examples/firewall.bpf.o > M/progs/new
 *	mkdir M/cgroup/app; echo firewall > M/cgroup/app/egress.attach
 *	echo $$ > M/cgroup/app/cgroup.procs		this shell and its children
 *	echo 0 > M/maps/blocked/entries/8080		nothing goes to port 8080 from now on
 *	cat M/maps/blocked/entries/8080			packets that were dropped
 *	rm M/maps/blocked/entries/8080			and it flows again
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u16); /* port */
	__type(value, __u64);
	__uint(max_entries, 1024);
} blocked SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, __u64); /* cgroup id, as in its stats file */
	__type(value, __u64);
	__uint(max_entries, 1024);
} sent SEC(".maps");

enum { DROP, PASS };

/*
 * The destination port of a TCP or UDP packet, 0 for others. A packet begins with its network
 * header here.
 */
static __always_inline __u16 destination_port(struct __sk_buff *skb)
{
	__u32 transport;
	__u8 protocol;
	__be16 port;

	if (skb->protocol == bpf_htons(0x0800)) {
		struct iphdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return 0;
		protocol = ip.protocol;
		transport = ip.ihl * 4;
	} else {
		struct ipv6hdr ip;

		if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
			return 0;
		protocol = ip.nexthdr;
		transport = sizeof(ip);
	}
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP)
		return 0;
	if (bpf_skb_load_bytes(skb, transport + 2, &port, sizeof(port)))
		return 0;
	return bpf_ntohs(port);
}

SEC("cgroup_skb/egress")
int firewall(struct __sk_buff *skb)
{
	__u16 port = destination_port(skb);
	__u64 *count = bpf_map_lookup_elem(&blocked, &port), cgroup;

	if (count) {
		__sync_fetch_and_add(count, 1);
		return DROP;
	}
	cgroup = bpf_skb_cgroup_id(skb);
	count = bpf_map_lookup_elem(&sent, &cgroup);
	if (count) {
		__sync_fetch_and_add(count, skb->len);
	} else {
		__u64 first = skb->len;

		bpf_map_update_elem(&sent, &cgroup, &first, BPF_ANY);
	}
	return PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";
