/* Keys, values and variables that people read and write by name. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

enum mode { OFF, WATCH = 3, DROP = -1 };

struct flow {
	__u32 saddr, daddr;
	__u16 port;
	__u8 proto, flags;
};

struct padded {
	__u8 kind;
	__u32 id;
	char name[8];
};

struct counts {
	__u64 packets, bytes;
	enum mode mode;
	char note[12];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct flow);
	__type(value, struct counts);
	__uint(max_entries, 16);
} flows SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct padded);
	__type(value, double);
	__uint(max_entries, 16);
} padded SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct counts);
	__uint(max_entries, 2);
} array SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct counts);
	__uint(max_entries, 1);
} per_cpu SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__type(value, enum mode);
	__uint(max_entries, 4);
} queue SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, enum mode);
	__type(value, __s32);
	__uint(max_entries, 4);
} modes SEC(".maps");

const volatile __u32 answer = 42;
const volatile char device[16] = "lo";
enum mode mode = WATCH;
struct counts total = {1, 2, DROP, "first"};
int list[4] = {1, 2, 3, 4};
__s16 small = -2;
_Bool on = 1;
__u64 runs;

static __attribute__((noinline)) int one(void)
{
	static int n = 10;

	__sync_fetch_and_add(&n, 1);
	return n;
}

static __attribute__((noinline)) int two(void)
{
	static int n = 20;

	__sync_fetch_and_add(&n, 1);
	return n;
}

SEC("socket")
int typed(struct __sk_buff *skb)
{
	__sync_fetch_and_add(&runs, 1);
	if (mode == OFF)
		return answer;
	return one() + two() + total.packets + device[0] + list[1] + small + on;
}

char _license[] SEC("license") = "GPL";
