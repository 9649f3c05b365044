/* A map of a type that this build lacks. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP);
	__type(key, int);
	__type(value, int);
	__uint(max_entries, 4);
} ports SEC(".maps");

SEC("xdp")
int refuse_map_type(struct xdp_md *ctx)
{
	return bpf_redirect_map(&ports, 0, 0);
}

char _license[] SEC("license") = "GPL";
