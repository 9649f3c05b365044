/* No license section and a helper that is GPL only: must be rejected. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("socket")
int no_license_gpl_helper(struct __sk_buff *skb)
{
	char text[] = "x\n";

	bpf_trace_printk(text, sizeof(text));
	return 0;
}
