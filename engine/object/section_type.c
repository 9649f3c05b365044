/*
 * section_type.c - what SEC() means
 */
#include "object/object.h"
#include "object/section_type.h"

/* UAPI values that a 6.1 header lacks. */
enum {
	PROG_TYPE_NETFILTER = 32,
	ATTACH_STRUCT_OPS = 44,
	ATTACH_NETFILTER,
	ATTACH_TCX_INGRESS,
	ATTACH_TCX_EGRESS,
	ATTACH_UPROBE_MULTI,
	ATTACH_UNIX_CONNECT,
	ATTACH_UNIX_SENDMSG,
	ATTACH_UNIX_RECVMSG,
	ATTACH_UNIX_GETPEERNAME,
	ATTACH_UNIX_GETSOCKNAME,
	ATTACH_NETKIT_PRIMARY,
	ATTACH_NETKIT_PEER,
	ATTACH_KPROBE_SESSION,
	ATTACH_UPROBE_SESSION,
};

/*
 * How a name matches:
 *   EXACT   this name only
 *   ARGS    this name, or this name followed by "/..."
 *   LOOSE   EXACT, and what older objects write: the name followed by something that is no letter
 *           ("socket1", "xdp_drop", "classifier/ingress")
 */
enum match {
	EXACT,
	ARGS,
	LOOSE,
};

struct section_def {
	const char *name;
	enum match match;
	u32 type;
	u8 attach;
};

#define DEF(name, match, type, attach)                    \
	{                                                 \
		name, match, BPF_PROG_TYPE_##type, attach \
	}

static const struct section_def section_defs[] = {
	DEF("socket", LOOSE, SOCKET_FILTER, 0),
	DEF("xdp.frags/devmap", EXACT, XDP, BPF_XDP_DEVMAP),
	DEF("xdp/devmap", EXACT, XDP, BPF_XDP_DEVMAP),
	DEF("xdp.frags/cpumap", EXACT, XDP, BPF_XDP_CPUMAP),
	DEF("xdp/cpumap", EXACT, XDP, BPF_XDP_CPUMAP),
	DEF("xdp.frags", EXACT, XDP, BPF_XDP),
	DEF("xdp", LOOSE, XDP, BPF_XDP),
	DEF("tc/ingress", EXACT, SCHED_CLS, ATTACH_TCX_INGRESS),
	DEF("tc/egress", EXACT, SCHED_CLS, ATTACH_TCX_EGRESS),
	DEF("tcx/ingress", EXACT, SCHED_CLS, ATTACH_TCX_INGRESS),
	DEF("tcx/egress", EXACT, SCHED_CLS, ATTACH_TCX_EGRESS),
	DEF("tc", LOOSE, SCHED_CLS, 0),
	DEF("classifier", LOOSE, SCHED_CLS, 0),
	DEF("action", LOOSE, SCHED_ACT, 0),
	DEF("netkit/primary", EXACT, SCHED_CLS, ATTACH_NETKIT_PRIMARY),
	DEF("netkit/peer", EXACT, SCHED_CLS, ATTACH_NETKIT_PEER),
	DEF("cgroup_skb/ingress", EXACT, CGROUP_SKB, BPF_CGROUP_INET_INGRESS),
	DEF("cgroup_skb/egress", EXACT, CGROUP_SKB, BPF_CGROUP_INET_EGRESS),
	DEF("cgroup/skb", LOOSE, CGROUP_SKB, BPF_CGROUP_INET_INGRESS),
	DEF("perf_event", LOOSE, PERF_EVENT, 0),
	DEF("cgroup/sock_create", EXACT, CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE),
	DEF("cgroup/sock_release", EXACT, CGROUP_SOCK, BPF_CGROUP_INET_SOCK_RELEASE),
	DEF("cgroup/sock", EXACT, CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE),
	DEF("cgroup/post_bind4", EXACT, CGROUP_SOCK, BPF_CGROUP_INET4_POST_BIND),
	DEF("cgroup/post_bind6", EXACT, CGROUP_SOCK, BPF_CGROUP_INET6_POST_BIND),
	DEF("cgroup/bind4", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND),
	DEF("cgroup/bind6", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_BIND),
	DEF("cgroup/connect4", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT),
	DEF("cgroup/connect6", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT),
	DEF("cgroup/connect_unix", EXACT, CGROUP_SOCK_ADDR, ATTACH_UNIX_CONNECT),
	DEF("cgroup/sendmsg4", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG),
	DEF("cgroup/sendmsg6", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG),
	DEF("cgroup/sendmsg_unix", EXACT, CGROUP_SOCK_ADDR, ATTACH_UNIX_SENDMSG),
	DEF("cgroup/recvmsg4", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_RECVMSG),
	DEF("cgroup/recvmsg6", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_RECVMSG),
	DEF("cgroup/recvmsg_unix", EXACT, CGROUP_SOCK_ADDR, ATTACH_UNIX_RECVMSG),
	DEF("cgroup/getpeername4", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME),
	DEF("cgroup/getpeername6", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_GETPEERNAME),
	DEF("cgroup/getpeername_unix", EXACT, CGROUP_SOCK_ADDR, ATTACH_UNIX_GETPEERNAME),
	DEF("cgroup/getsockname4", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETSOCKNAME),
	DEF("cgroup/getsockname6", EXACT, CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_GETSOCKNAME),
	DEF("cgroup/getsockname_unix", EXACT, CGROUP_SOCK_ADDR, ATTACH_UNIX_GETSOCKNAME),
	DEF("cgroup/sysctl", EXACT, CGROUP_SYSCTL, BPF_CGROUP_SYSCTL),
	DEF("cgroup/getsockopt", EXACT, CGROUP_SOCKOPT, BPF_CGROUP_GETSOCKOPT),
	DEF("cgroup/setsockopt", EXACT, CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT),
	DEF("cgroup/dev", EXACT, CGROUP_DEVICE, BPF_CGROUP_DEVICE),
	DEF("sockops", EXACT, SOCK_OPS, BPF_CGROUP_SOCK_OPS),
	DEF("sk_skb/stream_parser", EXACT, SK_SKB, BPF_SK_SKB_STREAM_PARSER),
	DEF("sk_skb/stream_verdict", EXACT, SK_SKB, BPF_SK_SKB_STREAM_VERDICT),
	DEF("sk_skb/verdict", EXACT, SK_SKB, BPF_SK_SKB_VERDICT),
	DEF("sk_skb", EXACT, SK_SKB, 0),
	DEF("sk_msg", EXACT, SK_MSG, BPF_SK_MSG_VERDICT),
	DEF("sk_lookup", EXACT, SK_LOOKUP, BPF_SK_LOOKUP),
	DEF("sk_reuseport/migrate", EXACT, SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT_OR_MIGRATE),
	DEF("sk_reuseport", EXACT, SK_REUSEPORT, BPF_SK_REUSEPORT_SELECT),
	DEF("lwt_in", EXACT, LWT_IN, 0),
	DEF("lwt_out", EXACT, LWT_OUT, 0),
	DEF("lwt_xmit", EXACT, LWT_XMIT, 0),
	DEF("lwt_seg6local", EXACT, LWT_SEG6LOCAL, 0),
	DEF("lirc_mode2", EXACT, LIRC_MODE2, BPF_LIRC_MODE2),
	DEF("flow_dissector", EXACT, FLOW_DISSECTOR, BPF_FLOW_DISSECTOR),
	DEF("kprobe.multi", ARGS, KPROBE, BPF_TRACE_KPROBE_MULTI),
	DEF("kretprobe.multi", ARGS, KPROBE, BPF_TRACE_KPROBE_MULTI),
	DEF("kprobe.session", ARGS, KPROBE, ATTACH_KPROBE_SESSION),
	DEF("uprobe.multi", ARGS, KPROBE, ATTACH_UPROBE_MULTI),
	DEF("uretprobe.multi", ARGS, KPROBE, ATTACH_UPROBE_MULTI),
	DEF("uprobe.session", ARGS, KPROBE, ATTACH_UPROBE_SESSION),
	DEF("uprobe.multi.s", ARGS, KPROBE, ATTACH_UPROBE_MULTI),
	DEF("uretprobe.multi.s", ARGS, KPROBE, ATTACH_UPROBE_MULTI),
	DEF("uprobe.session.s", ARGS, KPROBE, ATTACH_UPROBE_SESSION),
	DEF("kprobe", ARGS, KPROBE, 0),
	DEF("kretprobe", ARGS, KPROBE, 0),
	DEF("uprobe", ARGS, KPROBE, 0),
	DEF("uprobe.s", ARGS, KPROBE, 0),
	DEF("uretprobe", ARGS, KPROBE, 0),
	DEF("uretprobe.s", ARGS, KPROBE, 0),
	DEF("ksyscall", ARGS, KPROBE, 0),
	DEF("kretsyscall", ARGS, KPROBE, 0),
	DEF("usdt", ARGS, KPROBE, 0),
	DEF("usdt.s", ARGS, KPROBE, 0),
	DEF("tracepoint", ARGS, TRACEPOINT, 0),
	DEF("tp", ARGS, TRACEPOINT, 0),
	DEF("raw_tracepoint.w", ARGS, RAW_TRACEPOINT_WRITABLE, 0),
	DEF("raw_tp.w", ARGS, RAW_TRACEPOINT_WRITABLE, 0),
	DEF("raw_tracepoint", ARGS, RAW_TRACEPOINT, 0),
	DEF("raw_tp", ARGS, RAW_TRACEPOINT, 0),
	DEF("tp_btf", ARGS, TRACING, BPF_TRACE_RAW_TP),
	DEF("fentry", ARGS, TRACING, BPF_TRACE_FENTRY),
	DEF("fentry.s", ARGS, TRACING, BPF_TRACE_FENTRY),
	DEF("fexit", ARGS, TRACING, BPF_TRACE_FEXIT),
	DEF("fexit.s", ARGS, TRACING, BPF_TRACE_FEXIT),
	DEF("fmod_ret", ARGS, TRACING, BPF_MODIFY_RETURN),
	DEF("fmod_ret.s", ARGS, TRACING, BPF_MODIFY_RETURN),
	DEF("iter", ARGS, TRACING, BPF_TRACE_ITER),
	DEF("iter.s", ARGS, TRACING, BPF_TRACE_ITER),
	DEF("freplace", ARGS, EXT, 0),
	DEF("lsm", ARGS, LSM, BPF_LSM_MAC),
	DEF("lsm.s", ARGS, LSM, BPF_LSM_MAC),
	DEF("lsm_cgroup", ARGS, LSM, BPF_LSM_CGROUP),
	DEF("syscall", EXACT, SYSCALL, 0),
	DEF("struct_ops", ARGS, STRUCT_OPS, 0),
	DEF("struct_ops.s", ARGS, STRUCT_OPS, 0),
	{"netfilter", EXACT, PROG_TYPE_NETFILTER, ATTACH_NETFILTER},
	{"raw", EXACT, BPF_PROG_TYPE_RAW, 0},
};

static bool def_matches(const struct section_def *def, const char *section, bool loose)
{
	size_t n = strlen(def->name);
	char next;

	if (strncmp(section, def->name, n))
		return false;
	next = section[n];
	if (!next)
		return true;
	if (def->match == ARGS)
		return next == '/';
	return loose && def->match == LOOSE && !((next | 0x20) >= 'a' && (next | 0x20) <= 'z');
}

int bpf_section_type(const char *section, enum bpf_prog_type *type,
		     enum bpf_attach_type *attach_type)
{
	if (*section == '?')
		section++;
	/* The conventions of today come first, the loose ones of old only for what they leave. */
	for (int loose = 0; loose < 2; loose++)
		for (size_t i = 0; i < ARRAY_SIZE(section_defs); i++)
			if (def_matches(&section_defs[i], section, loose)) {
				*type = section_defs[i].type;
				*attach_type = section_defs[i].attach;
				return 0;
			}
	return -ENOENT;
}

int bpf_named_type(const char *name, enum bpf_prog_type *type, enum bpf_attach_type *attach_type)
{
	if (!bpf_section_type(name, type, attach_type))
		return 0;
	for (u32 i = bpf_prog_type_next(0); i; i = bpf_prog_type_next(i))
		if (!strcmp(bpf_prog_type_name(i), name)) {
			*type = i;
			*attach_type = 0;
			return 0;
		}
	return -ENOENT;
}

bool bpf_object_type_ok(const char *type)
{
	enum bpf_attach_type attach;
	enum bpf_prog_type found;

	return !bpf_named_type(type, &found, &attach);
}
