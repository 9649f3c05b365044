/*
 * diff_context.c - contexts, test runs and packet helpers, held against the running kernel
 *
 * Each case is a program that stores what it sees (a field, a helper's result) where the test run
 * gives it back: in cb[], or for XDP in the return value. The same program runs on the same input
 * in the kernel and here; error, return value, packet and context must be equal, byte for byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "insn/reg.h"
#include "load.h"
#include "run/test_run.h"
#include "tests/lib/both.h"
#include "uapi/bpf_insn.h"

#define CB(i) (offsetof(struct __sk_buff, cb) + 4 * (i))
#define F(x)  offsetof(struct __sk_buff, x)

struct input {
	const char *name;
	u8 data[4096];
	u32 len;
};

static struct input inputs[24];
static u32 input_cnt;
static void compare_on_inputs(const struct both *b, const char *what, u32 ctx_size)
{
	for (u32 i = 0; i < input_cnt; i++) {
		const struct bpf_test_run run = {
			.data_in = inputs[i].data,
			.data_size_in = inputs[i].len,
			.data_size_out = BOTH_OUT_MAX,
			.ctx_size_out = ctx_size,
		};

		/* Linux takes the tag for the IP header that follows it, and marks that. */
		if (!strcmp(inputs[i].name, "two VLANs") && strstr(what, "ecn"))
			continue;
		both_compare(b, &run, what, inputs[i].name);
	}
}

/* ---- inputs */

static struct input *add_input(const char *name, u32 len)
{
	struct input *in = &inputs[input_cnt++];

	in->name = name;
	in->len = len;
	for (u32 i = 0; i < len; i++)
		in->data[i] = (u8)(i * 7 + 3);
	memset(in->data, 0, min(len, 12u));
	return in;
}

static void set_proto(struct input *in, u16 proto)
{
	in->data[12] = (u8)(proto >> 8);
	in->data[13] = (u8)proto;
}

static int start_over(void **state)
{
	both_differ = 0;
	return 0;
}

static int make_inputs(void **state)
{
	struct input *in;

	in = add_input("IPv4", 64);
	set_proto(in, 0x0800);
	in->data[14] = 0x45;
	in->data[23] = 6;
	in = add_input("IPv6", 90);
	set_proto(in, 0x86dd);
	in->data[14] = 0x60;
	for (u32 ecn = 1; ecn < 4; ecn++) {
		in = add_input("IPv4 with ECN", 64);
		set_proto(in, 0x0800);
		in->data[14] = 0x45;
		in->data[15] = (u8)(0x20 | ecn);
		in = add_input("IPv6 with ECN", 64);
		set_proto(in, 0x86dd);
		in->data[14] = 0x60;
		in->data[15] = (u8)(ecn << 4 | 3);
	}
	set_proto(add_input("ARP", 42), 0x0806);
	set_proto(add_input("IPv4 that is cut", 20), 0x0800);
	set_proto(add_input("IPv6 that is cut", 30), 0x86dd);
	set_proto(add_input("VLAN", 64), 0x8100);
	in = add_input("two VLANs", 64);
	set_proto(in, 0x88a8);
	memcpy(in->data + 14, "\x20\x05\x81\x00\x00\x07\x08\x00", 8);
	set_proto(add_input("VLAN that is cut", 17), 0x8100);
	set_proto(add_input("802.2", 64), 0x0030);
	in = add_input("802.3 raw", 64);
	set_proto(in, 0x0030);
	in->data[14] = in->data[15] = 0xff;
	set_proto(add_input("header only", 14), 0x0800);
	set_proto(add_input("header only, ARP", 14), 0x0806);
	set_proto(add_input("too short", 13), 0);
	in = add_input("broadcast", 64);
	memset(in->data, 0xff, 6);
	set_proto(in, 0x0800);
	in = add_input("multicast", 64);
	in->data[0] = 1;
	in->data[5] = 7;
	set_proto(in, 0x0800);
	in = add_input("for another host", 64);
	in->data[0] = 2;
	set_proto(in, 0x0800);
	set_proto(add_input("1500 bytes", 1514), 0x0800);
	return 0;
}

/* ---- __sk_buff fields */

struct skb_case {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type attach;
};

static const struct skb_case skb_cases[] = {
	{"socket_filter", BPF_PROG_TYPE_SOCKET_FILTER, 0},
	{"sched_cls", BPF_PROG_TYPE_SCHED_CLS, 0},
	{"cgroup_skb ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS},
	{"cgroup_skb egress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS},
};

static bool can_read(const struct skb_case *c, int off, int size)
{
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(c->type);
	const struct bpf_prog prog = {.type = c->type, .expected_attach_type = c->attach};
	struct bpf_insn_access_aux aux = {0};

	return ops->is_valid_access(off, size, BPF_READ, &prog, &aux) && !aux.unsupported &&
	       aux.reg_type == SCALAR_VALUE;
}

static bool can_write(const struct skb_case *c, int off, int size)
{
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(c->type);
	const struct bpf_prog prog = {.type = c->type, .expected_attach_type = c->attach};
	struct bpf_insn_access_aux aux = {0};

	return ops->is_valid_access(off, size, BPF_WRITE, &prog, &aux);
}

static const u8 size_codes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

static void skb_fields_hold_what_the_kernels_hold(void **state)
{
	char what[128];

	for (u32 c = 0; c < ARRAY_SIZE(skb_cases); c++)
		for (u32 s = 0; s < 4; s++)
			for (int off = 0; off < (int)sizeof(struct __sk_buff); off++) {
				const struct bpf_insn insns[] = {
					BPF_LDX_MEM(size_codes[s], 2, 1, off),
					BPF_STX_MEM(BPF_W, 1, 2, CB(0)),
					BPF_ALU64_IMM(BPF_RSH, 2, 32),
					BPF_STX_MEM(BPF_W, 1, 2, CB(1)),
					BPF_MOV64_IMM(0, 1),
					BPF_EXIT_INSN(),
				};
				struct both b;

				if (!can_read(&skb_cases[c], off, 1 << s))
					continue;
				both_load(&b, skb_cases[c].type, skb_cases[c].attach, insns,
					  ARRAY_SIZE(insns));
				snprintf(what, sizeof(what), "%s: %d bytes at %d",
					 skb_cases[c].name, 1 << s, off);
				compare_on_inputs(&b, what, sizeof(struct __sk_buff));
				both_free(&b);
			}
	assert_int_equal(both_differ, 0);
}

/* Store a pattern, by register and by immediate, then read the whole field back. */
static void skb_stores_change_what_the_kernels_change(void **state)
{
	static const s32 values[] = {0, 1, 7, 0x12345, 0xffff, 0x10000, -1, 0x7fffffff};
	char what[128];

	for (u32 c = 0; c < ARRAY_SIZE(skb_cases); c++)
		for (u32 s = 0; s < 4; s++)
			for (int off = 0; off < (int)sizeof(struct __sk_buff); off++)
				for (u32 v = 0; v < ARRAY_SIZE(values) * 2; v++) {
					s32 value = values[v / 2];
					bool wide = off == F(tstamp);
					bool is_cb = off >= (int)CB(0) && off < (int)CB(5);
					/* cb[3] and cb[4] show what other fields hold */
					const struct bpf_insn insns[] = {
						BPF_MOV64_IMM(2, value),
						v & 1 ? BPF_ST_MEM(size_codes[s], 1, off, value)
						      : BPF_STX_MEM(size_codes[s], 1, 2, off),
						BPF_LDX_MEM(wide ? BPF_DW : BPF_W, 3, 1,
							    is_cb ? off & ~3 : off),
						BPF_STX_MEM(BPF_W, 1, 3, is_cb ? off & ~3 : CB(3)),
						BPF_MOV64_IMM(0, 1),
						BPF_EXIT_INSN(),
					};
					struct both b;

					if (!can_write(&skb_cases[c], off, 1 << s))
						continue;
					both_load(&b, skb_cases[c].type, skb_cases[c].attach, insns,
						  ARRAY_SIZE(insns));
					snprintf(what, sizeof(what),
						 "%s: store 0x%x, %d bytes at %d",
						 skb_cases[c].name, value, 1 << s, off);
					const struct bpf_test_run run = {
						.data_in = inputs[0].data,
						.data_size_in = inputs[0].len,
						.data_size_out = BOTH_OUT_MAX,
						.ctx_size_out = sizeof(struct __sk_buff),
					};

					both_compare(&b, &run, what, inputs[0].name);
					both_free(&b);
				}
	assert_int_equal(both_differ, 0);
}

/* data, data_end, data_meta: only their distances can be both_compared. */
static void skb_packet_pointers(void **state)
{
	for (u32 c = 1; c < ARRAY_SIZE(skb_cases); c++) {
		const struct bpf_insn insns[] = {
			BPF_LDX_MEM(BPF_W, 2, 1, F(data)),
			BPF_LDX_MEM(BPF_W, 3, 1, F(data_end)),
			BPF_MOV64_REG(4, 3),
			BPF_ALU64_REG(BPF_SUB, 4, 2),
			BPF_STX_MEM(BPF_W, 1, 4, CB(0)),
			BPF_MOV64_REG(4, 2),
			BPF_ALU64_IMM(BPF_ADD, 4, 16),
			BPF_JMP_REG(BPF_JGT, 4, 3, 4),
			BPF_LDX_MEM(BPF_DW, 5, 2, 0),
			BPF_STX_MEM(BPF_DW, 1, 5, CB(2)),
			BPF_LDX_MEM(BPF_W, 5, 2, 12),
			BPF_STX_MEM(BPF_W, 1, 5, CB(4)),
			BPF_MOV64_IMM(0, 1),
			BPF_EXIT_INSN(),
		};
		struct both b;

		both_load(&b, skb_cases[c].type, skb_cases[c].attach, insns, ARRAY_SIZE(insns));
		compare_on_inputs(&b, skb_cases[c].name, sizeof(struct __sk_buff));
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

/* ---- what a test run takes and gives */

static const struct bpf_insn pass[] = {BPF_MOV64_IMM(0, 1), BPF_EXIT_INSN()};

static void skb_contexts_in(void **state)
{
	struct {
		struct __sk_buff ctx;
		u8 more[16];
	} in;
	char what[128];
	struct both b;

	for (u32 c = 0; c < ARRAY_SIZE(skb_cases); c++) {
		struct bpf_test_run run = {
			.data_in = inputs[0].data,
			.data_size_in = inputs[0].len,
			.data_size_out = BOTH_OUT_MAX,
			.ctx_in = &in,
			.ctx_size_in = sizeof(in.ctx),
			.ctx_size_out = sizeof(in.ctx),
		};

		both_load(&b, skb_cases[c].type, skb_cases[c].attach, pass, 2);
		for (u32 off = 0; off < sizeof(in.ctx); off++) {
			memset(&in, 0, sizeof(in));
			((u8 *)&in)[off] = 1;
			snprintf(what, sizeof(what), "%s: ctx byte %u", skb_cases[c].name, off);
			both_compare(&b, &run, what, inputs[0].name);
		}
		memset(&in, 0, sizeof(in));
		in.ctx.mark = 0x11223344;
		in.ctx.priority = 5;
		in.ctx.ingress_ifindex = 7;
		in.ctx.tstamp = 0x123456789abcULL;
		in.ctx.hwtstamp = 77;
		in.ctx.gso_segs = 3;
		in.ctx.gso_size = 100;
		memcpy(in.ctx.cb, "abcdefghijklmnopqrst", 20);
		both_compare(&b, &run, skb_cases[c].name, "a full context");
		for (u32 i = 0; i < 6; i++) {
			static const u32 ifs[] = {0, 1, 2, 3, 4, 99999};

			in.ctx.ifindex = ifs[i];
			snprintf(what, sizeof(what), "%s: ifindex %u", skb_cases[c].name, ifs[i]);
			both_compare(&b, &run, what, inputs[0].name);
		}
		in.ctx.ifindex = 0;
		for (u32 i = 0; i < 8; i++) {
			static const u32 lens[] = {1, 49, 50, 64, 65, 65535, 65536, 65537};

			in.ctx.wire_len = lens[i];
			snprintf(what, sizeof(what), "%s: wire_len %u", skb_cases[c].name, lens[i]);
			both_compare(&b, &run, what, inputs[0].name);
		}
		in.ctx.wire_len = 0;
		in.ctx.gso_segs = 65535;
		both_compare(&b, &run, skb_cases[c].name, "gso_segs 65535");
		in.ctx.gso_segs = 65536;
		both_compare(&b, &run, skb_cases[c].name, "gso_segs 65536");
		in.ctx.gso_segs = 0;
		in.ctx.gso_size = 0x12345;
		both_compare(&b, &run, skb_cases[c].name, "gso_size 0x12345");
		in.ctx.gso_size = 0;

		/* sizes */
		run.ctx_size_in = 40;
		both_compare(&b, &run, skb_cases[c].name, "a short context");
		run.ctx_size_in = sizeof(in);
		both_compare(&b, &run, skb_cases[c].name, "a long context of zeros");
		in.more[15] = 1;
		both_compare(&b, &run, skb_cases[c].name, "a long context");
		in.more[15] = 0;
		run.ctx_size_in = sizeof(in.ctx);
		run.ctx_size_out = 50;
		both_compare(&b, &run, skb_cases[c].name, "little room for the context");
		run.ctx_size_out = 250;
		both_compare(&b, &run, skb_cases[c].name, "much room for the context");
		run.ctx_in = NULL;
		both_compare(&b, &run, skb_cases[c].name, "a size without a context");
		run.ctx_size_in = 0;
		run.ctx_size_out = sizeof(in.ctx);
		both_compare(&b, &run, skb_cases[c].name, "no context in");
		run.ctx_size_out = 0;
		both_compare(&b, &run, skb_cases[c].name, "no context at all");
		run.data_size_out = 20;
		both_compare(&b, &run, skb_cases[c].name, "little room for the packet");
		run.data_size_out = 64;
		both_compare(&b, &run, skb_cases[c].name, "just enough room");
		run.data_size_out = BOTH_OUT_MAX;
		for (u32 f = 0; f < 8; f++) {
			run.flags = 1u << f;
			snprintf(what, sizeof(what), "%s: flags %u", skb_cases[c].name, run.flags);
			if (run.flags != 4) /* BPF_F_TEST_SKB_CHECKSUM_COMPLETE */
				both_compare(&b, &run, what, inputs[0].name);
		}
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

static void packet_sizes(void **state)
{
	static u8 big[BOTH_OUT_MAX];
	static const u32 lens[] = {0,	 1,    13,   14,   15,	 34,   1514, 3520, 3521,
				   3648, 3712, 3713, 3776, 3777, 4000, 4096, 9000, 65535};
	char what[128];
	struct both b;

	big[12] = 8;
	for (u32 c = 0; c < ARRAY_SIZE(skb_cases); c++) {
		both_load(&b, skb_cases[c].type, skb_cases[c].attach, pass, 2);
		for (u32 i = 0; i < ARRAY_SIZE(lens); i++) {
			const struct bpf_test_run run = {
				.data_in = big,
				.data_size_in = lens[i],
				.data_size_out = BOTH_OUT_MAX,
			};

			if (lens[i] > 3712) { /* ours are larger: see skb_test_run.c */
				struct bpf_test_run ours = run, theirs = run;

				ours.data_size_out = theirs.data_size_out = 0;
				assert_int_equal(kernel_test_run(b.fd, &theirs), -EINVAL);
				assert_int_equal(bpf_prog_test_run(b.prog, &ours), 0);
				continue;
			}
			snprintf(what, sizeof(what), "%s: %u bytes", skb_cases[c].name, lens[i]);
			both_compare(&b, &run, what, "zeros");
		}
		both_free(&b);
	}
	both_load(&b, BPF_PROG_TYPE_XDP, 0, pass, 2);
	for (u32 i = 0; i < ARRAY_SIZE(lens); i++) {
		const struct bpf_test_run run = {
			.data_in = big,
			.data_size_in = lens[i],
			.data_size_out = BOTH_OUT_MAX,
		};

		snprintf(what, sizeof(what), "xdp: %u bytes", lens[i]);
		both_compare(&b, &run, what, "zeros");
	}
	both_free(&b);
	assert_int_equal(both_differ, 0);
}

/* ---- xdp_md */

static void xdp_fields_and_contexts(void **state)
{
	struct {
		struct xdp_md md;
		u8 more[8];
	} in;
	char what[128];
	struct both b;

	for (int off = 0; off < 20; off += 4) {
		/*
		 * What is a pointer is both_compared as its distance from data; data itself from
		 * data_end.
		 */
		const struct bpf_insn number[] = {
			BPF_LDX_MEM(BPF_W, 0, 1, off),
			BPF_EXIT_INSN(),
		};
		const struct bpf_insn pointer[] = {
			BPF_LDX_MEM(BPF_W, 0, 1, off),
			BPF_LDX_MEM(BPF_W, 2, 1, off ? 0 : 4),
			BPF_ALU64_REG(BPF_SUB, 0, 2),
			BPF_EXIT_INSN(),
		};

		both_load(&b, BPF_PROG_TYPE_XDP, 0, off < 12 ? pointer : number,
			  off < 12 ? ARRAY_SIZE(pointer) : ARRAY_SIZE(number));
		snprintf(what, sizeof(what), "xdp: field at %d", off);
		compare_on_inputs(&b, what, sizeof(struct xdp_md));
		for (u32 byte = 0; byte < 24; byte++)
			for (u32 v = 1; v < 256; v *= 2) {
				struct bpf_test_run run = {
					.data_in = inputs[0].data,
					.data_size_in = inputs[0].len,
					.data_size_out = BOTH_OUT_MAX,
					.ctx_in = &in,
					.ctx_size_in = sizeof(in.md),
					.ctx_size_out = sizeof(in.md),
				};

				memset(&in, 0, sizeof(in));
				in.md.data_end = 64;
				((u8 *)&in)[byte] = (u8)v;
				snprintf(what, sizeof(what), "xdp: field %d, ctx byte %u is %u",
					 off, byte, v);
				both_compare(&b, &run, what, inputs[0].name);
				in.md.ingress_ifindex = 1;
				snprintf(what, sizeof(what), "xdp lo: field %d, ctx byte %u is %u",
					 off, byte, v);
				both_compare(&b, &run, what, inputs[0].name);
			}
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

/* ---- helpers */

static u64 rng = 88172645463325252ULL;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng >> 11) % n;
}

/* Lengths, offsets and both_differences where helpers decide. */
static s32 edge(void)
{
	static const s32 edges[] = {
		0,    1,    2,	  3,	4,    8,     10,    12,	   13,	  14,	 16,	20,
		24,   26,   32,	  36,	40,   49,    50,    51,	   60,	  62,	 63,	64,
		65,   100,  200,  214,	215,  216,   217,   252,   255,	  256,	 257,	1000,
		3000, 3455, 3456, 3457, 4096, 16063, 16064, 16065, 65535, 65536, 70000, 0x7fffffff};
	s32 e = edges[rnd(ARRAY_SIZE(edges))];

	return rnd(4) ? e : -e;
}

/*
 * Call `id` with the context, up to four numbers, and for memory arguments 16 bytes of stack that
 * are then stored to the context. Result and stack are what is both_compared.
 */
struct call {
	enum bpf_func_id id;
	const char
		*args; /* a letter each: n number, m memory, s its size, f flags, 0 1 2 v values */
	u32 max_flags;
};

static void call_prog(const struct call *call, enum bpf_prog_type type, struct bpf_insn *p,
		      u32 *cnt)
{
	struct bpf_insn *start = p;
	const u8 sizes[] = {1, 2, 4, 6, 8, 16};
	int reg = 2;

	*p++ = BPF_MOV64_REG(6, 1);
	*p++ = BPF_MOV64_IMM(7, (s32)rnd(1u << 30));
	*p++ = BPF_STX_MEM(BPF_DW, 10, 7, -8);
	*p++ = BPF_ALU64_IMM(BPF_MUL, 7, 0x1234567);
	*p++ = BPF_STX_MEM(BPF_DW, 10, 7, -16);
	for (const char *a = call->args; *a; a++, reg++)
		switch (*a) {
		case 'm':
			*p++ = BPF_MOV64_REG(reg, 10);
			*p++ = BPF_ALU64_IMM(BPF_ADD, reg, -16);
			break;
		case 's':
			*p++ = BPF_MOV64_IMM(reg, sizes[rnd(sizeof(sizes))]);
			break;
		case 'f':
			*p++ = BPF_MOV64_IMM(reg, (s32)rnd(call->max_flags));
			break;
		case '1': /* BPF_ADJ_ROOM_MAC */
		case '2': /* BPF_ADJ_ROOM_NET */
			*p++ = BPF_MOV64_IMM(reg, *a == '1' ? 1 : 0);
			break;
		case 'v':
			*p++ = BPF_MOV64_IMM(reg, rnd(2) ? 0x0081 : 0xa888);
			break;
		case '0':
			*p++ = BPF_MOV64_IMM(reg, rnd(8) ? 0 : 1);
			break;
		default:
			*p++ = BPF_MOV64_IMM(reg, edge());
		}
	*p++ = BPF_EMIT_CALL(call->id);
	if (type == BPF_PROG_TYPE_XDP) {
		/* Fold the stack into the result. */
		*p++ = BPF_LDX_MEM(BPF_DW, 2, 10, -8);
		*p++ = BPF_ALU64_IMM(BPF_MUL, 2, 31);
		*p++ = BPF_LDX_MEM(BPF_DW, 3, 10, -16);
		*p++ = BPF_ALU64_REG(BPF_XOR, 2, 3);
		*p++ = BPF_MOV64_REG(3, 2);
		*p++ = BPF_ALU64_IMM(BPF_RSH, 3, 32);
		*p++ = BPF_ALU64_IMM(BPF_MUL, 0, 7);
		*p++ = BPF_ALU64_REG(BPF_XOR, 0, 2);
		*p++ = BPF_ALU64_REG(BPF_XOR, 0, 3);
	} else {
		*p++ = BPF_STX_MEM(BPF_W, 6, 0, CB(0));
		for (int i = 0; i < 4; i++) {
			*p++ = BPF_LDX_MEM(BPF_W, 2, 10, -16 + 4 * i);
			*p++ = BPF_STX_MEM(BPF_W, 6, 2, CB(1 + i));
		}
		*p++ = BPF_LDX_MEM(BPF_W, 2, 6, F(len));
		*p++ = BPF_STX_MEM(BPF_W, 6, 2, F(mark));
		/* what a helper may have changed beside the packet */
		*p++ = BPF_LDX_MEM(BPF_W, 2, 6, F(pkt_type));
		*p++ = BPF_LDX_MEM(BPF_W, 3, 6, F(protocol));
		*p++ = BPF_ALU64_IMM(BPF_LSH, 3, 8);
		*p++ = BPF_ALU64_REG(BPF_XOR, 2, 3);
		*p++ = BPF_LDX_MEM(BPF_W, 3, 6, F(vlan_tci));
		*p++ = BPF_ALU64_IMM(BPF_MUL, 3, 31);
		*p++ = BPF_ALU64_REG(BPF_XOR, 2, 3);
		*p++ = BPF_LDX_MEM(BPF_W, 3, 6, F(vlan_proto));
		*p++ = BPF_ALU64_IMM(BPF_MUL, 3, 1021);
		*p++ = BPF_ALU64_REG(BPF_XOR, 2, 3);
		*p++ = BPF_LDX_MEM(BPF_W, 3, 6, F(vlan_present));
		*p++ = BPF_ALU64_IMM(BPF_LSH, 3, 31);
		*p++ = BPF_ALU64_REG(BPF_XOR, 2, 3);
		*p++ = BPF_STX_MEM(BPF_W, 6, 2, F(priority));
		*p++ = BPF_MOV64_IMM(0, 1);
	}
	*p++ = BPF_EXIT_INSN();
	*cnt = (u32)(p - start);
}

static void run_calls(const struct call *calls, u32 cnt, enum bpf_prog_type type,
		      enum bpf_attach_type attach, u32 rounds, u32 ctx_size)
{
	struct bpf_insn insns[64];
	char what[256];
	struct both b;
	u32 len;

	for (u32 c = 0; c < cnt; c++)
		for (u32 i = 0; i < rounds; i++) {
			int n;

			call_prog(&calls[c], type, insns, &len);
			both_load(&b, type, attach, insns, len);
			n = snprintf(what, sizeof(what), "%s(", bpf_func_name(calls[c].id));
			for (u32 k = 5; k < len; k++)
				if (insns[k].code == (BPF_ALU64 | BPF_MOV | BPF_K) &&
				    insns[k].dst_reg >= 2 && insns[k].dst_reg <= 5)
					n += snprintf(what + n, sizeof(what) - (size_t)n, " r%d=%d",
						      insns[k].dst_reg, insns[k].imm);
			compare_on_inputs(&b, what, ctx_size);
			both_free(&b);
		}
	assert_int_equal(both_differ, 0);
}

static void tc_helpers(void **state)
{
	static const struct call calls[] = {
		{BPF_FUNC_skb_load_bytes, "nms", 0},
		{BPF_FUNC_skb_load_bytes_relative, "nmsf", 4},
		{BPF_FUNC_skb_store_bytes, "nmsf", 4},
		{BPF_FUNC_skb_pull_data, "n", 0},
		{BPF_FUNC_skb_change_tail, "n0", 0},
		{BPF_FUNC_skb_change_head, "n0", 0},
		{BPF_FUNC_skb_change_type, "f", 8},
		{BPF_FUNC_l3_csum_replace, "nnnf", 18},
		{BPF_FUNC_l3_csum_replace, "n0nf", 8},
		{BPF_FUNC_l4_csum_replace, "nnnf", 300},
		{BPF_FUNC_l4_csum_replace, "n0nf", 300},
		{BPF_FUNC_csum_update, "n", 0},
		{BPF_FUNC_csum_level, "f", 6},
		{BPF_FUNC_set_hash_invalid, "", 0},
		{BPF_FUNC_set_hash, "n", 0},
		{BPF_FUNC_skb_adjust_room, "n10", 0},
		{BPF_FUNC_skb_adjust_room, "n20", 0},
		{BPF_FUNC_skb_adjust_room, "nff", 1024},
		{BPF_FUNC_skb_adjust_room, "n2f", 1024},
		{BPF_FUNC_skb_vlan_push, "nn", 0},
		{BPF_FUNC_skb_vlan_push, "vn", 0},
		{BPF_FUNC_skb_vlan_pop, "", 0},
		{BPF_FUNC_skb_ecn_set_ce, "", 0},
	};

	run_calls(calls, ARRAY_SIZE(calls), BPF_PROG_TYPE_SCHED_CLS, 0, 60,
		  sizeof(struct __sk_buff));
}

static void cgroup_helpers(void **state)
{
	static const struct call calls[] = {
		{BPF_FUNC_skb_load_bytes, "nms", 0},
		{BPF_FUNC_skb_load_bytes_relative, "nmsf", 4},
		{BPF_FUNC_skb_ecn_set_ce, "", 0},
	};

	run_calls(calls, ARRAY_SIZE(calls), BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS, 60,
		  sizeof(struct __sk_buff));
}

static void xdp_helpers(void **state)
{
	static const struct call calls[] = {
		{BPF_FUNC_xdp_adjust_head, "n", 0},  {BPF_FUNC_xdp_adjust_tail, "n", 0},
		{BPF_FUNC_xdp_adjust_meta, "n", 0},  {BPF_FUNC_xdp_get_buff_len, "", 0},
		{BPF_FUNC_xdp_load_bytes, "nms", 0}, {BPF_FUNC_xdp_store_bytes, "nms", 0},
	};

	run_calls(calls, ARRAY_SIZE(calls), BPF_PROG_TYPE_XDP, 0, 80, sizeof(struct xdp_md));
}

/* The same on packets of which only a part is linear: the rest is in fragments. */
static void xdp_fragments(void **state)
{
	static const struct call calls[] = {
		{BPF_FUNC_xdp_adjust_head, "n", 0},   {BPF_FUNC_xdp_adjust_tail, "n", 0},
		{BPF_FUNC_xdp_get_buff_len, "", 0},   {BPF_FUNC_xdp_load_bytes, "nms", 0},
		{BPF_FUNC_xdp_store_bytes, "nms", 0},
	};
	static const u32 linear[] = {0, 14, 20, 50, 1000, 3520}, sizes[] = {64, 1514, 4096, 9000};
	static u8 data[9000];
	struct bpf_insn insns[64];
	struct both b;
	u32 len;

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 13 + 1);
	for (u32 round = 0; round < 400; round++) {
		const struct call *call = &calls[rnd(ARRAY_SIZE(calls))];
		struct xdp_md md = {.data_end = linear[rnd(ARRAY_SIZE(linear))]};
		const struct bpf_test_run run = {
			.data_in = data,
			.data_size_in = sizes[rnd(ARRAY_SIZE(sizes))],
			.data_size_out = BOTH_OUT_MAX,
			.ctx_in = &md,
			.ctx_size_in = sizeof(md),
			.ctx_size_out = sizeof(md),
		};
		char what[128];

		call_prog(call, BPF_PROG_TYPE_XDP, insns, &len);
		both_load(&b, BPF_PROG_TYPE_XDP, 0, insns, len);
		snprintf(what, sizeof(what), "%s(%d), %u of %u bytes linear",
			 bpf_func_name(call->id), insns[5].imm, md.data_end, run.data_size_in);
		both_compare(&b, &run, what, "a packet");
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

/* csum_diff(from, from_size, to, to_size, seed) has no context; its own program. */
static void csum_diff(void **state)
{
	for (u32 i = 0; i < 200; i++) {
		const struct bpf_insn insns[] = {
			BPF_MOV64_REG(6, 1),
			BPF_MOV64_IMM(7, (s32)rnd(1u << 31)),
			BPF_STX_MEM(BPF_DW, 10, 7, -8),
			BPF_ALU64_IMM(BPF_MUL, 7, (s32)rnd(1u << 31)),
			BPF_STX_MEM(BPF_DW, 10, 7, -16),
			BPF_MOV64_REG(1, 10),
			BPF_ALU64_IMM(BPF_ADD, 1, -16),
			BPF_MOV64_IMM(2, (s32)rnd(9)),
			BPF_MOV64_REG(3, 10),
			BPF_ALU64_IMM(BPF_ADD, 3, -8),
			BPF_MOV64_IMM(4, (s32)rnd(9)),
			BPF_MOV64_IMM(5, edge()),
			BPF_EMIT_CALL(BPF_FUNC_csum_diff),
			BPF_STX_MEM(BPF_W, 6, 0, CB(0)),
			BPF_ALU64_IMM(BPF_RSH, 0, 32),
			BPF_STX_MEM(BPF_W, 6, 0, CB(1)),
			BPF_MOV64_IMM(0, 0),
			BPF_EXIT_INSN(),
		};
		struct both b;

		both_load(&b, BPF_PROG_TYPE_SCHED_CLS, 0, insns, ARRAY_SIZE(insns));
		compare_on_inputs(&b, "csum_diff", sizeof(struct __sk_buff));
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

/* LD_ABS and LD_IND at every kind of offset. */
static void packet_loads(void **state)
{
	static const u8 widths[] = {BPF_B, BPF_H, BPF_W};
	static const s32 bases[] = {0, -0x100000, -0x200000, -0x1000, 0x7fffff00};

	for (u32 i = 0; i < 400; i++) {
		s32 off = bases[rnd(5)] + (s32)rnd(80) - 4;
		bool ind = rnd(2);
		const struct bpf_insn insns[] = {
			BPF_MOV64_REG(6, 1),
			BPF_MOV64_IMM(7, (s32)rnd(20) - 10),
			BPF_MOV64_IMM(0, 0x55),
			BPF_STX_MEM(BPF_W, 6, 0, CB(0)),
			ind ? BPF_LD_IND(widths[i % 3], 7, off) : BPF_LD_ABS(widths[i % 3], off),
			BPF_STX_MEM(BPF_W, 6, 0, CB(0)),
			BPF_MOV64_IMM(0, 1),
			BPF_EXIT_INSN(),
		};
		enum bpf_prog_type type = rnd(2) ? BPF_PROG_TYPE_SCHED_CLS
						 : BPF_PROG_TYPE_SOCKET_FILTER;
		char what[64];
		struct both b;

		both_load(&b, type, 0, insns, ARRAY_SIZE(insns));
		snprintf(what, sizeof(what), "%s ld_%s %d", type == 1 ? "filter" : "tc",
			 ind ? "ind" : "abs", off);
		compare_on_inputs(&b, what, sizeof(struct __sk_buff));
		both_free(&b);
	}
	assert_int_equal(both_differ, 0);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(skb_fields_hold_what_the_kernels_hold, start_over),
		cmocka_unit_test_setup(skb_stores_change_what_the_kernels_change, start_over),
		cmocka_unit_test_setup(skb_packet_pointers, start_over),
		cmocka_unit_test_setup(skb_contexts_in, start_over),
		cmocka_unit_test_setup(packet_sizes, start_over),
		cmocka_unit_test_setup(xdp_fields_and_contexts, start_over),
		cmocka_unit_test_setup(tc_helpers, start_over),
		cmocka_unit_test_setup(cgroup_helpers, start_over),
		cmocka_unit_test_setup(xdp_helpers, start_over),
		cmocka_unit_test_setup(xdp_fragments, start_over),
		cmocka_unit_test_setup(csum_diff, start_over),
		cmocka_unit_test_setup(packet_loads, start_over),
	};
	int err;

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	err = cmocka_run_group_tests(tests, make_inputs, NULL);
	printf("%llu runs compared\n", (unsigned long long)both_compared);
	return err;
}
