/* Values of the kernel's configuration, and symbols of a kernel that are not there. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern unsigned long CONFIG_HZ __kconfig;
extern _Bool CONFIG_NET __kconfig;
extern enum libbpf_tristate CONFIG_BPF_SYSCALL __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[16] __kconfig;
extern int CONFIG_NO_SUCH_THING __kconfig __weak;
extern const void no_such_symbol __ksym __weak;
extern int no_such_kfunc(int x) __ksym __weak;

SEC("socket")
int externs(struct __sk_buff *skb)
{
	if (LINUX_KERNEL_VERSION < 0x40000)
		return 1;
	if (CONFIG_HZ < 50 || CONFIG_HZ > 10000)
		return 2;
	if (!CONFIG_NET || CONFIG_BPF_SYSCALL != TRI_YES)
		return 3;
	if (CONFIG_DEFAULT_HOSTNAME[0] != '(')
		return 4;
	if (CONFIG_NO_SUCH_THING)
		return 5;
	if (&no_such_symbol)
		return 6;
	if (no_such_kfunc)
		return no_such_kfunc(7);
	return 0;
}

char _license[] SEC("license") = "GPL";
