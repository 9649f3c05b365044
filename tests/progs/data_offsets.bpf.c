/* References into the middle of data: fields, elements, strings, and several data sections. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct pair {
	__u32 a, b;
};

struct pair pairs[4] = { { 1, 2 }, { 3, 4 }, { 5, 6 }, { 7, 8 } };
static volatile __u32 hidden_value = 1000;
const volatile char text[16] = "abcdefgh";
__u32 extra SEC(".data.extra") = 10000;
__u32 zeros[8] SEC(".bss.zeros");

SEC("socket")
int data_offsets(struct __sk_buff *skb)
{
	zeros[3] = pairs[2].b; /* 6 */
	/* 7 + 6 + 1000 + 10000 + 'c' */
	return pairs[3].a + zeros[3] + hidden_value + extra + text[2];
}

/* Literals: the second lies in the middle of .rodata.str1.1. */
SEC("socket")
int literals(struct __sk_buff *skb)
{
	const char *word = skb->len & 1 ? "odd" : "even";

	asm volatile("" : "+r"(word));
	return word[1];
}

char _license[] SEC("license") = "GPL";
