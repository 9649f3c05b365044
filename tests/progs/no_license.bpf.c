/* No license section: loads, as it uses no helper that is GPL only. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int no_license(struct __sk_buff *skb)
{
	return skb->len + (bpf_ktime_get_ns() == 0);
}
