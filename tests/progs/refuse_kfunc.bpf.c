/* A function of the kernel: must be refused by name (ENOTSUP). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern void bpf_rcu_read_lock(void) __ksym;

SEC("socket")
int refuse_kfunc(struct __sk_buff *skb)
{
	bpf_rcu_read_lock();
	return 0;
}

char _license[] SEC("license") = "GPL";
