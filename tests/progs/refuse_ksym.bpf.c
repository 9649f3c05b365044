/* A kernel symbol: must be refused by name (ENOTSUP). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const void bpf_prog_fops __ksym;

SEC("socket")
int refuse_ksym(struct __sk_buff *skb)
{
	return (long)&bpf_prog_fops;
}

char _license[] SEC("license") = "GPL";
