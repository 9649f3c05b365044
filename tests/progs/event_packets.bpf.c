/*
 * Programs for M/events: packets (seen from the link header on), samples, ticks. They do something
 * that can be counted.
 */
#include <linux/bpf.h>
#include <linux/bpf_perf_event.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 256);
} seen SEC(".maps"); /* by IP protocol; 255: ticks */

static __always_inline void count(__u32 key)
{
	__u64 *n = bpf_map_lookup_elem(&seen, &key);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* Keeps 40 bytes of each UDP packet and nothing of others. */
SEC("socket")
int keep_udp(struct __sk_buff *skb)
{
	struct iphdr ip;

	if (skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)))
		return 0;
	count(ip.protocol);
	return ip.protocol == IPPROTO_UDP ? 40 : 0;
}

/* Drops UDP. */
SEC("xdp")
int drop_udp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct iphdr *ip = data + ETH_HLEN;

	if ((void *)(ip + 1) > end)
		return XDP_PASS;
	count(ip->protocol);
	return ip->protocol == IPPROTO_UDP ? XDP_DROP : XDP_PASS;
}

/* Lets everything pass, 20 bytes longer. */
SEC("tc")
int grow(struct __sk_buff *skb)
{
	return bpf_skb_change_tail(skb, skb->len + 20, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

SEC("perf_event")
int tick(struct bpf_perf_event_data *ctx)
{
	count(255);
	return 0;
}

SEC("socket")
int tick_packet(struct __sk_buff *skb)
{
	if (!skb->len)
		count(255);
	return 0;
}

char _license[] SEC("license") = "GPL";
