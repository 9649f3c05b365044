/* .data, .rodata, .bss, a static variable of each, and strings in .rodata.str1.1. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int limit = 3; /* .data */
static volatile __u64 step = 5; /* .data, static */
const volatile __u32 mask = 0xff; /* .rodata */
__u64 runs; /* .bss */
static __u64 bytes[4]; /* .bss, static: a reference to the section with an addend */
static const char *volatile unused_pointer; /* .bss */

SEC("socket")
int global_data(struct __sk_buff *skb)
{
	__u64 now = __sync_fetch_and_add(&runs, 1);

	if (now >= limit)
		return 0;
	bytes[now & 3] += skb->len & mask;
	step += 2;
	return step;
}

SEC("socket")
int read_bytes(struct __sk_buff *skb)
{
	return bytes[0] + bytes[1] + bytes[2] + bytes[3];
}

SEC("socket")
int print_string(struct __sk_buff *skb)
{
	static const char fmt[] = "len %d\n";

	bpf_trace_printk(fmt, sizeof(fmt), skb->len);
	return unused_pointer == 0;
}

char _license[] SEC("license") = "GPL";
