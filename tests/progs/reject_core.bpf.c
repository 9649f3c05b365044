/*
 * A field that no machine has, read where code gets to: must be rejected with the relocation as the
 * reason.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct core_outer {
	int gone;
} __attribute__((preserve_access_index));

SEC("socket")
int reject_core(struct __sk_buff *skb)
{
	char buf[64] = {};
	struct core_outer *outer = (void *)buf;

	barrier_var(outer);
	return outer->gone;
}

char _license[] SEC("license") = "GPL";
