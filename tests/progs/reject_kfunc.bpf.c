/* A weak function of the kernel, called without asking for it: must be rejected by its name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int no_such_kfunc(int x) __ksym __weak;

SEC("socket")
int reject_kfunc(struct __sk_buff *skb)
{
	return no_such_kfunc(skb->len);
}

char _license[] SEC("license") = "GPL";
