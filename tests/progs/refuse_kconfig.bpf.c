/* A value that no kernel is configured with: must be refused by name (ENOTSUP). */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern unsigned long CONFIG_NO_SUCH_THING __kconfig;

SEC("socket")
int refuse_kconfig(struct __sk_buff *skb)
{
	return CONFIG_NO_SUCH_THING;
}

char _license[] SEC("license") = "GPL";
