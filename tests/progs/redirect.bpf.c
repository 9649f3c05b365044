/*
 * Packets that are sent elsewhere: by interface, by map, to a CPU. The first byte of an Ethernet
 * address says which entry, and the last program copies.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

#define TARGETS(TYPE, VALUE)               \
	__uint(type, BPF_MAP_TYPE_##TYPE); \
	__type(key, __u32);                \
	__type(value, VALUE);              \
	__uint(max_entries, 8)

struct {
	TARGETS(DEVMAP, struct bpf_devmap_val);
} devs SEC(".maps");

struct {
	TARGETS(DEVMAP_HASH, __u32);
} hashed SEC(".maps");

struct {
	TARGETS(CPUMAP, __u32);
} cpus SEC(".maps");

struct {
	TARGETS(XSKMAP, __u32);
} sockets SEC(".maps");

static __u32 key_of(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	struct ethhdr *eth = data;

	return (void *)(eth + 1) > (void *)(long)ctx->data_end ? 0 : eth->h_dest[0];
}

SEC("xdp") int to_interface(struct xdp_md *ctx)
{
	return bpf_redirect(ctx->ingress_ifindex, 0);
}

SEC("xdp") int to_map(struct xdp_md *ctx)
{
	return bpf_redirect_map(&devs, key_of(ctx), XDP_DROP);
}

SEC("xdp") int to_hashed(struct xdp_md *ctx)
{
	return bpf_redirect_map(&hashed, key_of(ctx), XDP_PASS);
}

SEC("xdp") int to_all(struct xdp_md *ctx)
{
	return bpf_redirect_map(&devs, 0, BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS);
}

SEC("xdp") int to_cpu(struct xdp_md *ctx)
{
	return bpf_redirect_map(&cpus, key_of(ctx), XDP_TX);
}

SEC("xdp") int to_socket(struct xdp_md *ctx)
{
	__u32 queue = ctx->rx_queue_index;

	if (bpf_map_lookup_elem(&sockets, &queue))
		return bpf_redirect_map(&sockets, queue, 0);
	return XDP_PASS;
}

SEC("tc") int tc_in(struct __sk_buff *skb)
{
	return bpf_redirect(skb->ifindex, BPF_F_INGRESS);
}

SEC("tc") int tc_peer(struct __sk_buff *skb)
{
	return bpf_redirect_peer(skb->ifindex, 0);
}

SEC("tc") int tc_neigh(struct __sk_buff *skb)
{
	return bpf_redirect_neigh(skb->ifindex, (void *)0, 0, 0);
}

SEC("tc") int tc_clone(struct __sk_buff *skb)
{
	return bpf_clone_redirect(skb, skb->ifindex, 0) ? TC_ACT_SHOT : TC_ACT_OK;
}

char _license[] SEC("license") = "GPL";
