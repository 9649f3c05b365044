/* A map of a type that this build lacks. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__type(key, int);
	__type(value, int);
	__uint(max_entries, 4);
} sockets SEC(".maps");

SEC("xdp")
int refuse_map_type(struct xdp_md *ctx)
{
	int key = 0;

	return bpf_map_delete_elem(&sockets, &key) ? XDP_PASS : XDP_DROP;
}

char _license[] SEC("license") = "GPL";
