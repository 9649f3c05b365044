/* A program that asks what there is: this build answers for itself, not for the kernel below it. */
#include <linux/types.h>
#define SEC(name)	    __attribute__((section(name), used))
#define value(type, v, how) __builtin_preserve_enum_value(*(type *)v, how)
enum { EXISTS, VALUE };

struct __sk_buff;

enum bpf_func_id {BPF_FUNC_map_lookup_elem = 5, BPF_FUNC_override_return = 58};
enum bpf_map_type {BPF_MAP_TYPE_HASH = 7, BPF_MAP_TYPE_STRUCT_OPS = 26};
enum bpf_prog_type {BPF_PROG_TYPE_XDP = 1, BPF_PROG_TYPE_LSM = 29};

SEC("socket")
int core_features(struct __sk_buff *skb)
{
	return value(enum bpf_func_id, BPF_FUNC_map_lookup_elem, EXISTS) |
	       value(enum bpf_func_id, BPF_FUNC_override_return, EXISTS) << 1 |
	       value(enum bpf_map_type, BPF_MAP_TYPE_HASH, EXISTS) << 2 |
	       value(enum bpf_map_type, BPF_MAP_TYPE_STRUCT_OPS, EXISTS) << 3 |
	       value(enum bpf_prog_type, BPF_PROG_TYPE_XDP, EXISTS) << 4 |
	       value(enum bpf_prog_type, BPF_PROG_TYPE_LSM, EXISTS) << 5 |
	       value(enum bpf_map_type, BPF_MAP_TYPE_HASH, VALUE) << 8 |
	       value(enum bpf_prog_type, BPF_PROG_TYPE_XDP, VALUE) << 16;
}

char _license[] SEC("license") = "GPL";
