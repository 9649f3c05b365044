/*
 * lines.bpf.c - rules for examples/local.c: which lines to keep, and how many there were
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct line {
	char text[64]; /* zeroes follow it */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} lines SEC(".maps"); /* all, kept */

const volatile __u32 limit = 8;

static void count(__u32 which)
{
	__u64 *n = bpf_map_lookup_elem(&lines, &which);

	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline int keep(int yes)
{
	count(0);
	if (yes)
		count(1);
	return yes;
}

SEC("raw")
int long_lines(struct line *line)
{
	return keep(line->text[limit & 63] != 0);
}

SEC("raw")
int short_lines(struct line *line)
{
	return keep(line->text[limit & 63] == 0);
}
