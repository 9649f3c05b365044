/*
 * Dynptrs handed to global functions, which are checked by themselves: they may be used, and
 * nothing else. Loaded program by program: some of them are refused.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

__u64 number;

__noinline int sum(const struct bpf_dynptr *ptr, __u32 len)
{
	__u8 byte;
	int ret = 0;

	for (__u32 i = 0; i < 16; i++) {
		if (i >= len)
			return ret;
		if (bpf_dynptr_read(&byte, 1, ptr, i, 0))
			return -1;
		ret += byte;
	}
	return ret;
}

__noinline int fill(struct bpf_dynptr *ptr)
{
	__u8 *slice = bpf_dynptr_data(ptr, 1, 2);
	__u16 word = 0x101;

	if (!slice || bpf_dynptr_write(ptr, 4, &word, sizeof(word), 0))
		return -1;
	slice[0] = 3;
	slice[1] = 4;
	return 0;
}

__noinline int pass_on(const struct bpf_dynptr *ptr)
{
	return sum(ptr, 8);
}

SEC("tc")
int local_sum(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	number = skb->len;
	bpf_dynptr_from_mem(&number, sizeof(number), 0, &ptr);
	if (fill(&ptr))
		return 1;
	return pass_on(&ptr) + sum(&ptr, 9);
}

SEC("tc")
int record_sum(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;
	int ret;

	bpf_ringbuf_reserve_dynptr(&events, 12, 0, &ptr);
	ret = fill(&ptr);
	bpf_ringbuf_submit_dynptr(&ptr, 0);
	return ret;
}

__noinline int submits(struct bpf_dynptr *ptr)
{
	bpf_ringbuf_submit_dynptr(ptr, 0);
	return 0;
}

SEC("tc")
int refused_submits(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	bpf_ringbuf_reserve_dynptr(&events, 12, 0, &ptr);
	submits(&ptr);
	return 0;
}

__noinline int looks_inside(const struct bpf_dynptr *ptr)
{
	return *(const volatile int *)ptr;
}

SEC("tc")
int refused_looks_inside(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(&number, sizeof(number), 0, &ptr);
	return looks_inside(&ptr);
}

__noinline int makes_again(struct bpf_dynptr *ptr)
{
	return bpf_dynptr_from_mem(&number, sizeof(number), 0, ptr);
}

SEC("tc")
int refused_makes_again(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(&number, sizeof(number), 0, &ptr);
	return makes_again(&ptr);
}

__noinline int second(const struct bpf_dynptr *ptr)
{
	return sum(ptr + 1, 1);
}

SEC("tc")
int refused_offset(struct __sk_buff *skb)
{
	struct bpf_dynptr two[2];

	bpf_dynptr_from_mem(&number, sizeof(number), 0, &two[0]);
	bpf_dynptr_from_mem(&number, sizeof(number), 0, &two[1]);
	return second(two);
}

SEC("tc")
int refused_none(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	__builtin_memset(&ptr, 0, sizeof(ptr));
	return sum(&ptr, 1);
}

__noinline int any_memory(__u64 *word)
{
	return word ? (int)*word : 0;
}

SEC("tc")
int refused_as_memory(struct __sk_buff *skb)
{
	struct bpf_dynptr ptr;

	bpf_dynptr_from_mem(&number, sizeof(number), 0, &ptr);
	return any_memory((__u64 *)&ptr);
}

char _license[] SEC("license") = "GPL";
