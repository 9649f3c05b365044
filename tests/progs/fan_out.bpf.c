/* Types that show a word in many ways, and take long to print: for looks at what is large. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

union v0 {
	int a, b;
};

#define TWICE(n, half)              \
	union v##n {                \
		union v##half a, b; \
	};

TWICE(1, 0)
TWICE(2, 1)
TWICE(3, 2)
TWICE(4, 3)
TWICE(5, 4)
TWICE(6, 5)
TWICE(7, 6)
TWICE(8, 7)
TWICE(9, 8)
TWICE(10, 9)
TWICE(11, 10)
TWICE(12, 11)
TWICE(13, 12)
TWICE(14, 13)
TWICE(15, 14)
TWICE(16, 15)
TWICE(17, 16)
TWICE(18, 17)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, int);
	__type(value, union v18);
} many SEC(".maps");

union v18 one;

SEC("socket")
int fan_out(void *ctx)
{
	int key = 0;

	return bpf_map_lookup_elem(&many, &key) || one.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a;
}

char LICENSE[] SEC("license") = "GPL";
