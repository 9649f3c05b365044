/*
 * test_prog_types.c - what each program type allows, held against the running kernel
 *
 * Every offset and size of a context, read and written, and every helper: the kernel's verdict on a
 * program of a few instructions must be ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "prog_type/skb/skb.h"
#include "prog_type/xdp.h"
#include "run/packet.h"
#include "tests/lib/kernel.h"

struct type_case {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
	int ctx_size;
};

static const struct type_case cases[] = {
	{"socket_filter", BPF_PROG_TYPE_SOCKET_FILTER, 0, sizeof(struct __sk_buff)},
	{"sched_cls", BPF_PROG_TYPE_SCHED_CLS, 0, sizeof(struct __sk_buff)},
	{"cgroup_skb ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS,
	 sizeof(struct __sk_buff)},
	{"cgroup_skb egress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS,
	 sizeof(struct __sk_buff)},
	{"xdp", BPF_PROG_TYPE_XDP, 0, sizeof(struct xdp_md)},
	{"xdp devmap", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, sizeof(struct xdp_md)},
};

static const u8 sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
static char log_buf[1 << 16];

static int kernel_load(const struct type_case *c, const struct bpf_insn *insns, u32 cnt,
		       const char *license)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = c->type,
		.expected_attach_type = c->attach,
		.license = license,
		.insns = insns,
		.insn_cnt = cnt,
	};
	int fd;

	log_buf[0] = 0;
	fd = kernel_prog_load(&attr, NULL, 1, log_buf, sizeof(log_buf));
	if (fd >= 0)
		close(fd);
	return fd;
}

static bool kernel_allows_access(const struct type_case *c, int off, u8 size, bool write)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2},
		{.code = (u8)((write ? BPF_STX : BPF_LDX) | BPF_MEM | size),
		 .dst_reg = write ? 1 : 2,
		 .src_reg = write ? 2 : 1,
		 .off = (s16)off},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return kernel_load(c, insns, ARRAY_SIZE(insns), "GPL") >= 0;
}

static bool we_allow_access(const struct type_case *c, int off, u8 size, bool write)
{
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(c->type);
	const struct bpf_prog prog = {.type = c->type, .expected_attach_type = c->attach};
	struct bpf_insn_access_aux aux = {0};
	int bytes = (int)bpf_size_to_bytes(size);

	return ops->is_valid_access(off, bytes, write ? BPF_WRITE : BPF_READ, &prog, &aux);
}

static void context_accesses_are_the_kernels(void **state)
{
	u32 differ = 0, allowed = 0;

	if (kernel_unavailable()) {
		print_message("no bpf(2): %s\n", kernel_unavailable());
		skip();
	}
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		for (u32 s = 0; s < ARRAY_SIZE(sizes); s++)
			for (int off = -8; off < cases[i].ctx_size + 8; off++)
				for (int write = 0; write < 2; write++) {
					bool k = kernel_allows_access(&cases[i], off, sizes[s],
								      write);
					bool o = we_allow_access(&cases[i], off, sizes[s], write);

					allowed += k;
					if (k == o)
						continue;
					differ++;
					print_error("%s: %s of %u bytes at %d: kernel %s, we %s\n",
						    cases[i].name, write ? "write" : "read",
						    bpf_size_to_bytes(sizes[s]), off,
						    k ? "allows" : "refuses",
						    o ? "allow" : "refuse");
				}
	assert_int_equal(differ, 0);
	assert_true(allowed > 500);
}

static bool kernel_has_helper(const struct type_case *c, u32 id)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = (s32)id},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return kernel_load(c, insns, ARRAY_SIZE(insns), "GPL") >= 0 ||
	       (!strstr(log_buf, "cannot use helper") && !strstr(log_buf, "unknown func") &&
		!strstr(log_buf, "invalid func"));
}

static bool kernel_helper_is_gpl(const struct type_case *c, u32 id)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_JMP | BPF_CALL, .imm = (s32)id},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return kernel_load(c, insns, ARRAY_SIZE(insns), "Proprietary") < 0 &&
	       strstr(log_buf, "GPL-restricted");
}

static void helpers_are_the_kernels(void **state)
{
	u32 differ = 0, have = 0;

	if (kernel_unavailable()) {
		print_message("no bpf(2): %s\n", kernel_unavailable());
		skip();
	}
	for (u32 i = 0; i < ARRAY_SIZE(cases); i++)
		for (u32 id = 1; id < BPF_FUNC_MAX + 4; id++) {
			const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(cases[i].type);
			const struct bpf_func_proto *proto = ops->get_func_proto(id, NULL);

			if (kernel_has_helper(&cases[i], id) != !!proto) {
				differ++;
				print_error("%s: helper %s#%u: we say %s\n", cases[i].name,
					    bpf_func_name(id), id, proto ? "yes" : "no");
			}
			if (!proto || !proto->func)
				continue;
			have++;
			assert_int_equal(proto->id, id);
			assert_string_equal(proto->name + 4, bpf_func_name(id));
			if (kernel_helper_is_gpl(&cases[i], id) != proto->gpl_only) {
				differ++;
				print_error("%s: helper %s: GPL only differs\n", cases[i].name,
					    bpf_func_name(id));
			}
		}
	assert_int_equal(differ, 0);
	assert_true(have > 80);
}

static void what_this_build_lacks_is_told_apart(void **state)
{
	const struct bpf_prog_type_ops *xdp = bpf_prog_type_ops_find(BPF_PROG_TYPE_XDP);
	const struct bpf_func_proto *proto;

	proto = xdp->get_func_proto(BPF_FUNC_sk_lookup_tcp, NULL);
	assert_non_null(proto);
	assert_null(proto->func);
	assert_string_equal(proto->name, "bpf_sk_lookup_tcp");
	assert_null(xdp->get_func_proto(BPF_FUNC_skb_load_bytes, NULL));
}

static void pointers_are_told_from_numbers(void **state)
{
	const struct bpf_prog_type_ops *xdp = bpf_prog_type_ops_find(BPF_PROG_TYPE_XDP);
	const struct bpf_prog_type_ops *tc = bpf_prog_type_ops_find(BPF_PROG_TYPE_SCHED_CLS);
	const struct bpf_prog prog = {0};
	struct bpf_insn_access_aux aux = {0};

	assert_true(xdp->is_valid_access(0, 4, BPF_READ, &prog, &aux));
	assert_int_equal(aux.reg_type, PTR_TO_PACKET);
	assert_true(xdp->is_valid_access(4, 4, BPF_READ, &prog, &aux));
	assert_int_equal(aux.reg_type, PTR_TO_PACKET_END);
	assert_true(xdp->is_valid_access(8, 4, BPF_READ, &prog, &aux));
	assert_int_equal(aux.reg_type, PTR_TO_PACKET_META);
	assert_true(
		tc->is_valid_access(offsetof(struct __sk_buff, data), 4, BPF_READ, &prog, &aux));
	assert_int_equal(aux.reg_type, PTR_TO_PACKET);
	assert_true(tc->is_valid_access(offsetof(struct __sk_buff, mark) + 1, 1, BPF_READ, &prog,
					&aux));
	assert_int_equal(aux.reg_type, SCALAR_VALUE);
	assert_int_equal(aux.ctx_field_size, 4);
}

static void names_are_those_of_bpftool(void **state)
{
	assert_string_equal(bpf_prog_type_name(BPF_PROG_TYPE_SOCKET_FILTER), "socket_filter");
	assert_string_equal(bpf_prog_type_name(BPF_PROG_TYPE_CGROUP_SKB), "cgroup_skb");
	assert_string_equal(bpf_prog_type_name(BPF_PROG_TYPE_SYSCALL), "syscall");
	assert_string_equal(bpf_prog_type_name(32), "netfilter");
	assert_null(bpf_prog_type_name(33));
	assert_int_equal(bpf_prog_type_next(32), BPF_PROG_TYPE_RAW);
	assert_string_equal(bpf_prog_type_name(BPF_PROG_TYPE_RAW), "raw");
	assert_int_equal(bpf_prog_type_next(BPF_PROG_TYPE_RAW), 0);
	assert_null(bpf_prog_type_ops_find(BPF_PROG_TYPE_KPROBE));
}

static void cgroup_skb_results(void **state)
{
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(BPF_PROG_TYPE_CGROUP_SKB);
	struct bpf_prog prog = {.expected_attach_type = BPF_CGROUP_INET_INGRESS};
	s32 lo, hi;

	assert_true(ops->retval_range(&prog, &lo, &hi));
	assert_int_equal(lo, 0);
	assert_int_equal(hi, 1);
	prog.expected_attach_type = BPF_CGROUP_INET_EGRESS;
	assert_true(ops->retval_range(&prog, &lo, &hi));
	assert_int_equal(hi, 3);
	assert_false(ops->is_valid_attach_type(BPF_CGROUP_INET_SOCK_CREATE));
}

/* ---- contexts made outside of a test run */

static u8 frame[256 + 64 + 64];

static void skb_from_a_frame(void **state)
{
	u8 *p = frame + 256;
	struct bpf_skb skb;
	u64 v;

	memset(frame, 0, sizeof(frame));
	p[12] = 8; /* IPv4 */
	p[14] = 0x45;
	memcpy(p + 14 + 12, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
	bpf_skb_init(&skb, frame, sizeof(frame), 256, 64);
	bpf_skb_pull_ethernet(&skb, NULL);
	bpf_skb_fill_addresses(&skb);
	assert_int_equal(skb.md.len, 50);
	assert_int_equal(skb.md.protocol, 8);
	assert_int_equal(skb.md.pkt_type, 0);
	assert_int_equal(skb.md.local_ip4, 0x0100000a);
	assert_int_equal(skb.md.remote_ip4, 0x0200000a);

	assert_int_equal(bpf_skb_load(&skb, 0, 1, &v), 0);
	assert_int_equal(v, 0x45);
	assert_int_equal(bpf_skb_load(&skb, 12, 4, &v), 0);
	assert_int_equal(v, 0x0a000001);
	assert_int_equal(bpf_skb_load(&skb, -0x200000 + 12, 2, &v), 0); /* SKF_LL_OFF */
	assert_int_equal(v, 0x0800);
	assert_int_equal(bpf_skb_load(&skb, -0x100000, 1, &v), 0); /* SKF_NET_OFF */
	assert_int_equal(v, 0x45);
	assert_int_not_equal(bpf_skb_load(&skb, 47, 4, &v), 0);
	assert_int_equal(bpf_skb_load(&skb, 46, 4, &v), 0);
	assert_int_not_equal(bpf_skb_load(&skb, INT32_MAX, 4, &v), 0);
	assert_int_not_equal(bpf_skb_load(&skb, INT32_MIN, 1, &v), 0);
	assert_int_not_equal(bpf_skb_load(&skb, -1, 1, &v), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(context_accesses_are_the_kernels),
		cmocka_unit_test(helpers_are_the_kernels),
		cmocka_unit_test(what_this_build_lacks_is_told_apart),
		cmocka_unit_test(pointers_are_told_from_numbers),
		cmocka_unit_test(names_are_those_of_bpftool),
		cmocka_unit_test(cgroup_skb_results),
		cmocka_unit_test(skb_from_a_frame),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
