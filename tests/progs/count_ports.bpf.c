/*
 * Hash map by (protocol, destination port), array by protocol; both are BTF definitions. A socket
 * filter in a test run sees the packet from its IP header on, as in Linux.
 */
#include <linux/bpf.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <stddef.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>

struct count {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32);
	__type(value, struct count);
	__uint(max_entries, 1024);
} by_port SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 256);
} by_proto SEC(".maps");

SEC("socket")
int count_ports(struct __sk_buff *skb)
{
	struct count one = { 1, skb->len }, *count;
	__u16 dport = 0;
	__u8 proto, ihl;
	__u64 *packets;
	__u32 key;

	if (bpf_skb_load_bytes(skb, 0, &ihl, 1) || ihl >> 4 != 4 ||
	    bpf_skb_load_bytes(skb, offsetof(struct iphdr, protocol), &proto, 1))
		return 0;
	if (proto == IPPROTO_TCP || proto == IPPROTO_UDP)
		bpf_skb_load_bytes(skb, (ihl & 15) * 4 + 2, &dport, sizeof(dport));

	key = proto;
	packets = bpf_map_lookup_elem(&by_proto, &key);
	if (packets)
		__sync_fetch_and_add(packets, 1);

	key = (__u32)proto << 16 | bpf_ntohs(dport);
	count = bpf_map_lookup_elem(&by_port, &key);
	if (!count) {
		bpf_map_update_elem(&by_port, &key, &one, BPF_ANY);
		return skb->len;
	}
	__sync_fetch_and_add(&count->packets, 1);
	__sync_fetch_and_add(&count->bytes, skb->len);
	return skb->len;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
