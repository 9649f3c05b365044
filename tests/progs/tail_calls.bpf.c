/* A prog_array that its definition fills; a chain of tail calls, one into an empty slot. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

int tail_one(struct __sk_buff *skb);
int tail_two(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 8);
	__array(values, int(struct __sk_buff *));
} steps SEC(".maps") = {
	.values = {
		[1] = (void *)&tail_one,
		[5] = (void *)&tail_two,
	},
};

__u64 visited;

SEC("socket")
int tail_two(struct __sk_buff *skb)
{
	visited |= 4;
	bpf_tail_call(skb, &steps, 3); /* empty: falls through */
	return 200 + visited;
}

SEC("socket")
int tail_one(struct __sk_buff *skb)
{
	visited |= 2;
	bpf_tail_call(skb, &steps, 5);
	return 100;
}

SEC("socket")
int start(struct __sk_buff *skb)
{
	visited = 1;
	bpf_tail_call(skb, &steps, 1);
	return 1;
}

/* Calls itself until the limit of 33 stops it. */
SEC("socket")
int endless(struct __sk_buff *skb);

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(key_size, sizeof(__u32));
	__uint(max_entries, 1);
	__array(values, int(struct __sk_buff *));
} self SEC(".maps") = {
	.values = { (void *)&endless },
};

__u64 rounds;

SEC("socket")
int endless(struct __sk_buff *skb)
{
	rounds++;
	bpf_tail_call(skb, &self, 0);
	return rounds;
}

char _license[] SEC("license") = "GPL";
