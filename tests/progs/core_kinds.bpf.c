/*
 * Every kind of CO-RE relocation, against the types of core_target: the program returns the number
 * of the first check that fails, or 0.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct core_inner___mine { /* the other way round */
	__u16 y;
	int x;
	int missing;
};

struct core_outer {
	__u32 before;
	struct core_inner___mine arr[4];
	__u32 deeper, wide_not_there;
	__u32 bf2 : 9;
	__u32 bf1 : 1;
	int bf3 : 11;
	__u64 big : 40;
	char name[8];
	struct core_inner___mine in;
	void *ptr;
	__u32 grown;
	short number;
	__u32 cnt;
	__u32 flex[];
};

struct core_twice {
	int same;
};

struct core_only_here___v2 {
	int x;
};

struct core_nowhere {
	int x;
};

union core_union {
	__u32 u;
};

typedef struct core_inner___mine core_typedef;

#pragma clang attribute pop

typedef int (*core_fn)(struct core_outer *o, int x);
typedef long (*core_fn___other)(struct core_outer *o);

enum core_enum {
	CORE_A = 1, CORE_B, CORE_MISSING};
enum core_enum___v2 {CORE_C___x = 9};
#if __clang_major__ >= 16 /* has 64-bit enumerations in BTF */
enum core_big {CORE_BIG = 1ULL << 40};
#endif

#define CHECK(n, expr, want)                      \
	do {                                      \
		if ((__u64)(expr) != (__u64)(want)) \
			return n;                 \
	} while (0)

static __noinline int fields(void)
{
	struct core_outer *o = 0;

	CHECK(1, bpf_core_field_exists(o->cnt), 1);
	CHECK(2, bpf_core_field_exists(o->before), 0);
	CHECK(3, bpf_core_field_exists(o->in.x), 1);
	CHECK(4, bpf_core_field_exists(o->in.missing), 0);
	CHECK(5, __builtin_preserve_field_info(o->deeper, BPF_FIELD_BYTE_OFFSET), 12);
	CHECK(6, __builtin_preserve_field_info(o->in.x, BPF_FIELD_BYTE_OFFSET), 24);
	CHECK(7, __builtin_preserve_field_info(o->arr[2].y, BPF_FIELD_BYTE_OFFSET), 76);
	CHECK(8, __builtin_preserve_field_info(o->name, BPF_FIELD_BYTE_SIZE), 16);
	CHECK(9, __builtin_preserve_field_info(o->arr[1], BPF_FIELD_BYTE_SIZE), 16);
	CHECK(10, __builtin_preserve_field_info(o->arr, BPF_FIELD_BYTE_SIZE), 64);
	CHECK(11, __builtin_preserve_field_info(o[1].deeper, BPF_FIELD_BYTE_OFFSET),
	      12 + 144);
	CHECK(12, __builtin_preserve_field_info(o->flex[3], BPF_FIELD_BYTE_OFFSET), 144 + 12);
	CHECK(13, __builtin_preserve_field_info(o->in.x, BPF_FIELD_SIGNED), 1);
	CHECK(14, __builtin_preserve_field_info(o->cnt, BPF_FIELD_SIGNED), 0);
	return 0;
}

static __noinline int bitfields(void)
{
	struct core_outer *o = 0;

	CHECK(20, __builtin_preserve_field_info(o->bf1, BPF_FIELD_BYTE_OFFSET), 96);
	CHECK(21, __builtin_preserve_field_info(o->bf2, BPF_FIELD_BYTE_SIZE), 4);
	CHECK(22, __builtin_preserve_field_info(o->bf2, BPF_FIELD_LSHIFT_U64), 64 - 18);
	CHECK(23, __builtin_preserve_field_info(o->bf2, BPF_FIELD_RSHIFT_U64), 64 - 7);
	CHECK(24, __builtin_preserve_field_info(o->bf3, BPF_FIELD_SIGNED), 1);
	CHECK(25, __builtin_preserve_field_info(o->big, BPF_FIELD_RSHIFT_U64), 64 - 33);
	CHECK(26, __builtin_preserve_field_info(o->big, BPF_FIELD_BYTE_SIZE), 8);
	return 0;
}

static __noinline int types(void)
{
	CHECK(30, bpf_core_type_exists(struct core_outer), 1);
	CHECK(31, bpf_core_type_exists(struct core_only_here___v2), 1);
	CHECK(32, bpf_core_type_exists(struct core_nowhere), 0);
	CHECK(33, bpf_core_type_size(struct core_inner___mine), 16);
	CHECK(34, bpf_core_type_size(union core_union), 12);
	CHECK(47, bpf_core_type_size(struct core_nowhere), 0);
	CHECK(48, bpf_core_type_id_kernel(struct core_nowhere), 0);
	CHECK(35, bpf_core_type_exists(core_typedef), 1);
	CHECK(36, bpf_core_type_exists(core_fn), 1);
	CHECK(37, bpf_core_type_exists(core_fn___other), 0);
	CHECK(38, bpf_core_type_id_kernel(struct core_outer) != 0, 1);
	CHECK(39, bpf_core_type_id_local(struct core_outer) != 0, 1);
#if __clang_major__ >= 15
	CHECK(40, __builtin_preserve_type_info(*(struct core_only_here___v2 *)0, 2), 1);
	CHECK(41, __builtin_preserve_type_info(*(struct core_outer *)0, 2), 0);
	CHECK(42, __builtin_preserve_type_info(*(union core_union *)0, 2), 1);
	CHECK(43, __builtin_preserve_type_info(*(struct core_nowhere *)0, 2), 0);
	CHECK(44, __builtin_preserve_type_info(*(enum core_enum___v2 *)0, 2), 1);
	CHECK(45, __builtin_preserve_type_info(*(enum core_enum *)0, 2), 0);
	CHECK(46, __builtin_preserve_type_info(*(core_fn *)0, 2), 1);
#endif
	return 0;
}

static __noinline int enums(void)
{
	CHECK(50, bpf_core_enum_value_exists(enum core_enum, CORE_A), 1);
	CHECK(51, bpf_core_enum_value_exists(enum core_enum, CORE_MISSING), 0);
	CHECK(52, bpf_core_enum_value(enum core_enum, CORE_B), 77);
	CHECK(53, bpf_core_enum_value(enum core_enum___v2, CORE_C___x), -3);
#if __clang_major__ >= 16
	CHECK(54, bpf_core_enum_value(enum core_big, CORE_BIG), 0x1100000022ULL);
#endif
	return 0;
}

/* Memory that is there under another layout; what is not there is dead. */
static __noinline int accesses(void)
{
	struct {
		char bytes[256];
	} mem = {};
	struct core_outer *o = (void *)&mem;

	__builtin_memset(&mem, 0, sizeof(mem));
	*(__u64 *)&mem.bytes[128] = 0x1122334455667788ULL;
	*(__u32 *)&mem.bytes[12] = 4711;
	barrier_var(o);
	CHECK(60, o->deeper, 4711);
	CHECK(61, (__u32)o->grown, 0x55667788);
	if (bpf_core_field_exists(o->before))
		CHECK(62, o->before, 1);
	if (bpf_core_field_exists(o->in.missing))
		o->in.missing = 3;
	if (bpf_core_enum_value_exists(enum core_enum, CORE_MISSING))
		CHECK(63, bpf_core_enum_value(enum core_enum, CORE_MISSING), 1);
	return 0;
}

SEC("socket")
int core_kinds(struct __sk_buff *skb)
{
	int ret = fields();

	if (!ret)
		ret = bitfields();
	if (!ret)
		ret = types();
	if (!ret)
		ret = enums();
	return ret ? ret : accesses();
}

SEC("socket")
int core_twice_same(struct __sk_buff *skb)
{
	struct core_twice *t = 0;

	return __builtin_preserve_field_info(t->same, BPF_FIELD_BYTE_OFFSET);
}

char _license[] SEC("license") = "GPL";
