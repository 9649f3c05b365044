/* A global function must look for NULL itself, whatever this program passes. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair {
	__u64 a, b;
};

__attribute__((noinline)) int first(struct pair *p)
{
	return p->a;
}

SEC("tc")
int caller(struct __sk_buff *skb)
{
	struct pair p = {skb->len, 0};

	return first(&p);
}

char _license[] SEC("license") = "GPL";
