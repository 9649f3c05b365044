/* A value of the kernel's configuration: must be refused by name (ENOTSUP). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern unsigned long CONFIG_HZ __kconfig;

SEC("socket")
int refuse_kconfig(struct __sk_buff *skb)
{
	return CONFIG_HZ;
}

char _license[] SEC("license") = "GPL";
