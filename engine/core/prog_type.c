/*
 * prog_type.c - program types by their numbers
 */
#include "core/prog.h"

/* As bpftool prints them; the index is the UAPI number. Ours is not one of them. */
static const char *const type_names[] = {
	[BPF_PROG_TYPE_UNSPEC] = "unspec",
	[BPF_PROG_TYPE_SOCKET_FILTER] = "socket_filter",
	[BPF_PROG_TYPE_KPROBE] = "kprobe",
	[BPF_PROG_TYPE_SCHED_CLS] = "sched_cls",
	[BPF_PROG_TYPE_SCHED_ACT] = "sched_act",
	[BPF_PROG_TYPE_TRACEPOINT] = "tracepoint",
	[BPF_PROG_TYPE_XDP] = "xdp",
	[BPF_PROG_TYPE_PERF_EVENT] = "perf_event",
	[BPF_PROG_TYPE_CGROUP_SKB] = "cgroup_skb",
	[BPF_PROG_TYPE_CGROUP_SOCK] = "cgroup_sock",
	[BPF_PROG_TYPE_LWT_IN] = "lwt_in",
	[BPF_PROG_TYPE_LWT_OUT] = "lwt_out",
	[BPF_PROG_TYPE_LWT_XMIT] = "lwt_xmit",
	[BPF_PROG_TYPE_SOCK_OPS] = "sock_ops",
	[BPF_PROG_TYPE_SK_SKB] = "sk_skb",
	[BPF_PROG_TYPE_CGROUP_DEVICE] = "cgroup_device",
	[BPF_PROG_TYPE_SK_MSG] = "sk_msg",
	[BPF_PROG_TYPE_RAW_TRACEPOINT] = "raw_tracepoint",
	[BPF_PROG_TYPE_CGROUP_SOCK_ADDR] = "cgroup_sock_addr",
	[BPF_PROG_TYPE_LWT_SEG6LOCAL] = "lwt_seg6local",
	[BPF_PROG_TYPE_LIRC_MODE2] = "lirc_mode2",
	[BPF_PROG_TYPE_SK_REUSEPORT] = "sk_reuseport",
	[BPF_PROG_TYPE_FLOW_DISSECTOR] = "flow_dissector",
	[BPF_PROG_TYPE_CGROUP_SYSCTL] = "cgroup_sysctl",
	[BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE] = "raw_tracepoint_writable",
	[BPF_PROG_TYPE_CGROUP_SOCKOPT] = "cgroup_sockopt",
	[BPF_PROG_TYPE_TRACING] = "tracing",
	[BPF_PROG_TYPE_STRUCT_OPS] = "struct_ops",
	[BPF_PROG_TYPE_EXT] = "ext",
	[BPF_PROG_TYPE_LSM] = "lsm",
	[BPF_PROG_TYPE_SK_LOOKUP] = "sk_lookup",
	[BPF_PROG_TYPE_SYSCALL] = "syscall",
	[32] = "netfilter",
};

const struct bpf_prog_type_ops *bpf_prog_type_ops_find(enum bpf_prog_type type)
{
	for (u32 i = 0; i < bpf_prog_types_cnt; i++)
		if (bpf_prog_types[i]->type == type)
			return bpf_prog_types[i];
	return NULL;
}

const struct bpf_func_proto *bpf_prog_func_proto(const struct bpf_prog *prog, u32 id)
{
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(prog->type);

	if (id >= BPF_FUNC_HOST_FIRST)
		return bpf_host_func(prog->host_funcs, id);
	return ops ? ops->get_func_proto((enum bpf_func_id)id, prog) : NULL;
}

const char *bpf_prog_type_name(enum bpf_prog_type type)
{
	if ((u32)type == BPF_PROG_TYPE_RAW)
		return "raw";
	return (u32)type < ARRAY_SIZE(type_names) ? type_names[type] : NULL;
}

u32 bpf_prog_type_next(u32 type)
{
	if (type + 1 < ARRAY_SIZE(type_names))
		return type + 1;
	return type < BPF_PROG_TYPE_RAW ? BPF_PROG_TYPE_RAW : 0;
}
