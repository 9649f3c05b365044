/* A function that no object here defines: must be refused by name (ENOTSUP). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int defined_elsewhere(int x);

SEC("socket")
int refuse_undefined(struct __sk_buff *skb)
{
	return defined_elsewhere(skb->len);
}

char _license[] SEC("license") = "GPL";
