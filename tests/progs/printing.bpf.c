/* Text with any number of arguments, compared and parsed text; what came of it is in .bss. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char text[16][64];
long result[32];

SEC("socket")
int printing(struct __sk_buff *skb)
{
	static const char abc[] = "abc";
	char in[8] = "abd";
	char small[4] = {};
	unsigned long long args[3] = {1, 2, 3};

	result[0] = BPF_SNPRINTF(text[0], 64, "%d %u %x %X %i", -1, 2, 0xabc, 0xdef, -7);
	result[1] = BPF_SNPRINTF(text[1], 64, "%ld %lu %llx %lld", -1L, 2UL, 1ULL << 60, -3LL);
	result[2] = BPF_SNPRINTF(text[2], 64, "%05d|%-6u|%+d|% d", 42, 7, 5, 6);
	result[3] = BPF_SNPRINTF(text[3], 64, "%c%c%c %%", 'a', 'b', 'c');
	result[4] = BPF_SNPRINTF(text[4], 5, "cut off here: %d", 12345);
	result[5] = BPF_SNPRINTF(text[5], 64, "nothing");
	result[6] = BPF_SNPRINTF(text[6], 64, "%d %d %d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5,
				 6, 7, 8, 9, 10, 11, 12);
	result[7] = bpf_snprintf(text[7], 64, "%d %d", args, 24);
	result[8] = bpf_snprintf(0, 0, "%d", args, 8);
	result[9] = BPF_SNPRINTF(small, sizeof(small), "%s", "abcdef");
	__builtin_memcpy(text[9], small, sizeof(small));
	result[10] = bpf_strncmp(in, sizeof(in), abc);
	in[2] = 'c';
	result[11] = bpf_strncmp(in, sizeof(in), abc);
	in[2] = 'b';
	result[12] = bpf_strncmp(in, sizeof(in), abc);
	result[13] = bpf_strncmp(in, 2, abc);
	in[2] = 0x80;
	result[14] = bpf_strncmp(in, sizeof(in), abc);
	result[15] = bpf_printk("%d %d %d %d", 1, 2, 3, 4);
	result[16] = bpf_printk("twelve %d %d %d %d %d %d %d %d %d %d %d %d", 1, 2, 3, 4, 5, 6, 7,
				8, 9, 10, 11, 12);
	result[17] = bpf_trace_vprintk("%d", 3, 0, 0);
	result[18] = bpf_trace_vprintk("%d", 3, args, 4);
	return 0;
}

char _license[] SEC("license") = "GPL";
