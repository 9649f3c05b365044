/*
 * Functions: static ones, walked at each call; global ones, checked once for any arguments of their
 * types; and such as end early, by a packet load or a tail call.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define noinline __attribute__((noinline))

unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");

struct value {
	__u64 hits, bytes;
	__u32 slot[4];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, struct value);
} values SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 4);
	__type(key, __u32);
	__type(value, __u32);
} next SEC(".maps");

noinline int slot_of(struct value *v, unsigned int i)
{
	if (!v || i >= 4)
		return 0;
	return v->slot[i];
}

noinline int sum_to(int n)
{
	int sum = 0;

	for (int i = 0; i < 100; i++) {
		if (i == n)
			break;
		sum += i * 3;
	}
	return sum;
}

noinline int length_and_sum(struct __sk_buff *skb, int n)
{
	return sum_to(n) + skb->len;
}

static noinline struct value *find(__u32 key)
{
	return bpf_map_lookup_elem(&values, &key);
}

static noinline int first_byte(struct __sk_buff *skb)
{
	return load_byte(skb, 0) + 5;
}

static noinline int go_on(struct __sk_buff *skb)
{
	bpf_tail_call(skb, &next, 1);
	return 3;
}

SEC("tc")
int global_memory(struct __sk_buff *skb)
{
	__u32 key = 1;

	return slot_of(bpf_map_lookup_elem(&values, &key), skb->len);
}

SEC("tc")
int global_nested(struct __sk_buff *skb)
{
	int sum = 0;

	for (int i = 0; i < 20; i++)
		sum += length_and_sum(skb, i);
	return sum;
}

SEC("tc")
int static_pointer(struct __sk_buff *skb)
{
	struct value *v = find(skb->len & 3);

	if (!v)
		return 0;
	v->hits++;
	return v->slot[skb->mark & 3];
}

SEC("tc")
int early_load(struct __sk_buff *skb)
{
	return first_byte(skb) + 1;
}

SEC("tc")
int early_tail_call(struct __sk_buff *skb)
{
	return go_on(skb) + 1;
}

char _license[] SEC("license") = "GPL";
