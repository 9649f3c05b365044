/* The types of a machine that core_kinds is not compiled for. Used for its BTF alone. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct core_inner {
	__u64 pad;
	int x;
	__u16 y;
};

struct core_outer {
	__u32 a;
	union {
		struct {
			__u32 deep, deeper;
		};
		__u64 wide;
	};
	struct core_inner in;
	struct core_inner arr[4];
	__u8 byte;
	__u32 bf1 : 3, bf2 : 7;
	int bf3 : 5;
	__u64 big : 33;
	char name[16];
	void *ptr;
	__u64 grown; /* narrower where the program was compiled */
	int number; /* the same, with a sign */
	__u32 cnt;
	__u32 flex[];
};

struct core_only_here {
	int x;
};

union core_union {
	__u32 u;
	__u8 bytes[12];
};

typedef struct core_inner core_typedef;
typedef int (*core_fn)(struct core_outer *o, int x);
enum core_enum {CORE_A = 5, CORE_B = 77, CORE_C = -3};
enum core_big {CORE_BIG = 0x1100000022ULL};

/* Two types of one name that agree about `same` and not about `differs`. */
static __always_inline int twice_a(int x)
{
	static volatile struct core_twice {
		int same, differs;
	} t;

	t.same = x;
	return t.differs;
}

static __always_inline int twice_b(int x)
{
	static volatile struct core_twice {
		int same;
		long pad, differs;
	} t;

	t.same = x;
	return t.differs;
}

struct {
	struct core_only_here only;
	union core_union un;
	core_typedef td;
	core_fn fn;
	enum core_enum en;
	enum core_big big;
	struct core_outer outer;
} core_target_types;

SEC("socket")
int core_target(struct __sk_buff *skb)
{
	return twice_a(skb->len) + twice_b(skb->len);
}

char _license[] SEC("license") = "GPL";
