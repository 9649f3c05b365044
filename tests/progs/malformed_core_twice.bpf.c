/*
 * A field that two types of one name have in different places: must be refused (EINVAL), as libbpf
 * does.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct core_twice {
	int differs;
} __attribute__((preserve_access_index));

SEC("socket")
int malformed_core_twice(struct __sk_buff *skb)
{
	struct core_twice *t = 0;

	return __builtin_preserve_field_info(t->differs, 0);
}

char _license[] SEC("license") = "GPL";
