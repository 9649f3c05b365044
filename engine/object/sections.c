/*
 * sections.c - what SEC() means, and which functions an object has
 *
 * A function is a symbol of type FUNC in a code section. Those of a SEC() are programs; those of .text are
 * subprograms, which reloc.c appends to the programs that reach them.
 */
#include "object/read.h"

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
	u8 type, attach;
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

/* ---- functions */

/* Program names become names of directories. */
static int check_prog_name(struct obj_reader *r, const char *name)
{
	size_t n = strlen(name);

	if (n >= sizeof(((struct bpf_object_prog *)0)->name))
		return obj_fail(r, -ENAMETOOLONG, "program '%s': the name is longer than 63 bytes",
				name);
	if (!n || name[0] == '.' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") != n)
		return obj_fail(r, -EINVAL, "program '%s': this is no name of a C function", name);
	for (u32 i = 0; i < r->out->prog_cnt; i++)
		if (!strcmp(r->out->progs[i].name, name))
			return obj_fail(r, -EINVAL, "two programs are named '%s'", name);
	return 0;
}

static int add_prog(struct obj_reader *r, struct elf_func *func)
{
	const char *name = r->syms[func->sym].name, *section = r->secs[func->sec].name;
	struct bpf_object_prog *prog;
	int err;

	if (section[0] == '?') {
		bpf_log_printf(r->log, "note: program '%s' is not loaded, as SEC(\"%s\") asks\n",
			       name, section);
		return 0;
	}
	err = check_prog_name(r, name);
	if (err)
		return err;
	if (r->out->prog_cnt == BPF_OBJECT_MAX_PROGS)
		return obj_fail(r, -E2BIG, "more than %u programs", BPF_OBJECT_MAX_PROGS);
	if (strlen(section) >= sizeof(prog->section))
		return obj_fail(r, -ENAMETOOLONG,
				"program '%s': its SEC() is longer than 127 bytes", name);
	prog = &r->out->progs[r->out->prog_cnt];
	strcpy(prog->name, name);
	strcpy(prog->section, section);
	if (bpf_section_type(section, &prog->type, &prog->expected_attach_type))
		return obj_fail(r, -ENOTSUP,
				"program '%s': SEC(\"%s\") names no program type; see features for "
				"those that there are",
				name, section);
	func->prog = r->out->prog_cnt++;
	return 0;
}

static int add_func(struct obj_reader *r, u32 i)
{
	const struct elf_sym *sym = &r->syms[i];
	const struct elf_sec *sec = &r->secs[sym->shndx];

	if (sym->value % BPF_INSN_BYTES || sym->size % BPF_INSN_BYTES || !sym->size ||
	    sym->value > sec->size || sym->size > sec->size - sym->value)
		return obj_fail(r, -EINVAL, "function '%s' does not lie inside of section '%s'",
				sym->name, sec->name);
	if (sym->size / BPF_INSN_BYTES > BPF_COMPLEXITY_LIMIT_INSNS)
		return obj_fail(r, -E2BIG, "function '%s' has more than %u instructions", sym->name,
				BPF_COMPLEXITY_LIMIT_INSNS);
	if (r->func_cnt == BPF_OBJECT_MAX_FUNCS)
		return obj_fail(r, -E2BIG, "more than %u functions", BPF_OBJECT_MAX_FUNCS);
	r->funcs[r->func_cnt++] = (struct elf_func){
		.sec = sym->shndx,
		.start = sym->value / BPF_INSN_BYTES,
		.cnt = sym->size / BPF_INSN_BYTES,
		.sym = i,
		.prog = NO_INDEX,
	};
	return 0;
}

static int cmp_func(const void *a, const void *b)
{
	const struct elf_func *x = a, *y = b;

	if (x->sec != y->sec)
		return x->sec < y->sec ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->sym > y->sym) - (x->sym < y->sym);
}

static bool is_func(const struct obj_reader *r, const struct elf_sym *sym)
{
	return sym->type == STT_FUNC && sym->shndx < r->sec_cnt &&
	       (r->secs[sym->shndx].kind == SEC_CODE || r->secs[sym->shndx].kind == SEC_TEXT);
}

int obj_read_funcs(struct obj_reader *r)
{
	u32 cnt = 0;
	int err = 0;

	for (u32 i = 1; i < r->sym_cnt; i++)
		cnt += is_func(r, &r->syms[i]);
	r->funcs = calloc((size_t)cnt + 1, sizeof(*r->funcs));
	r->out->progs = calloc(min(cnt, BPF_OBJECT_MAX_PROGS) + 1, sizeof(*r->out->progs));
	if (!r->funcs || !r->out->progs)
		return -ENOMEM;
	for (u32 i = 1; !err && i < r->sym_cnt; i++)
		if (is_func(r, &r->syms[i]))
			err = add_func(r, i);
	if (err)
		return err;
	qsort(r->funcs, r->func_cnt, sizeof(*r->funcs), cmp_func);
	/* A static function beside the programs of a SEC() is one of their subprograms. */
	for (u32 i = 0; !err && i < r->func_cnt; i++)
		if (r->secs[r->funcs[i].sec].kind == SEC_CODE &&
		    r->syms[r->funcs[i].sym].bind != STB_LOCAL)
			err = add_prog(r, &r->funcs[i]);
	if (!err && !r->out->prog_cnt)
		return obj_fail(
			r, -EINVAL,
			"the object has no program: a program is a global function with SEC()");
	return err;
}

int obj_func_at(const struct obj_reader *r, u32 sec, u32 start)
{
	u32 lo = 0, hi = r->func_cnt;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct elf_func *f = &r->funcs[mid];

		if (f->sec < sec || (f->sec == sec && f->start < start))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->func_cnt || r->funcs[lo].sec != sec || r->funcs[lo].start != start)
		return -1;
	return lo;
}
