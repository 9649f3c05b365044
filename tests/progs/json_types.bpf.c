/* Keys and values of many kinds, for dump.json. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum color { RED, GREEN = 5, BLUE = -1 };

struct point {
	int x, y;
};

struct key {
	__u16 port;
	__u8 proto;
	char tag[5];
};

struct value {
	char name[16];
	unsigned char raw[4];
	enum color color, odd;
	struct point corners[2];
	union {
		__u32 word;
		__u8 bytes[4];
	};
	__s64 below;
	__u64 above;
	_Bool yes, no;
	unsigned int low : 3, high : 5;
	int small : 4;
	float ratio;
	double exact;
	void *where;
	int grid[2][3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct key);
	__type(value, struct value);
	__uint(max_entries, 16);
} things SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct point);
	__uint(max_entries, 2);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
	__uint(max_entries, 600);
} mapped SEC(".maps");

const volatile char greeting[8] = "hi\n";
enum color favourite = GREEN;
struct point origin = {-1, 2};
static volatile __u64 counts[3];

SEC("socket")
int json_types(struct __sk_buff *skb)
{
	__u32 zero = 0, one = 1;
	struct key key = {.port = 80, .proto = 6, .tag = "ab"};
	struct value value;
	struct point *p;
	__u64 *slot;

	__builtin_memset(&value, 0, sizeof(value));
	__builtin_memcpy(value.name, "caf\xc3\xa9 \"q\"", 9);
	value.raw[0] = 200;
	value.color = BLUE;
	value.odd = 77;
	value.corners[1].x = -3;
	value.word = 0x01020304;
	value.below = -5;
	value.above = ~0ull;
	value.yes = 1;
	value.low = 5;
	value.high = 17;
	value.small = -2;
	value.grid[1][2] = 9;
	bpf_map_update_elem(&things, &key, &value, BPF_ANY);
	key.port = 81;
	key.tag[0] = 1; /* no text */
	bpf_map_update_elem(&things, &key, &value, BPF_ANY);

	p = bpf_map_lookup_elem(&per_cpu, &one);
	if (p)
		p->x = 7;
	counts[1] += 2;
	slot = bpf_map_lookup_elem(&mapped, &one);
	if (!slot)
		return 0;
	*slot += greeting[0] == 'h';
	return *slot + favourite + origin.x + zero;
}

char _license[] SEC("license") = "GPL";
