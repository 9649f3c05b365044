/*
 * xdp.c - programs that see a packet before anything else does
 */
#include <linux/if_ether.h>
#include "helpers/helpers.h"
#include "prog_type/perf_output.h"
#include "prog_type/route/mtu.h"
#include "prog_type/redirect.h"
#include "prog_type/route/fib.h"
#include "prog_type/skb/csum.h"
#include "util/netdev.h"
#include "prog_type/skb/packet_proto.h"
#include "prog_type/xdp.h"
#include "run/test_run.h"

/*
 * Linux: linear data and metadata end where the shared info of a page begins; metadata is 255 bytes
 * at most.
 */
#define XDP_PAGE      4096u
#define XDP_TAILROOM  320u
#define XDP_META_MAX  255
#define XDP_MAX_FRAGS 17 /* pages */

void bpf_xdp_init(struct bpf_xdp *xdp, void *buf, u32 size, u32 headroom, u32 len)
{
	memset(xdp, 0, sizeof(*xdp));
	xdp->head = buf;
	xdp->end = xdp->head + size;
	xdp->data = xdp->data_meta = xdp->head + headroom;
	xdp->data_end = xdp->data + len;
}

/* ---- helpers */

static bool metalen_ok(s64 len)
{
	return !(len & 3) && len >= 0 && len <= XDP_META_MAX;
}

BPF_HELPER(xdp_adjust_head)
{
	struct bpf_xdp *xdp = PTR(r1);
	s64 off = (s32)r2, metalen = xdp->data - xdp->data_meta;
	s64 room = xdp->data - (xdp->head + BPF_XDP_FRAME_SIZE + metalen);
	s64 len = xdp->data_end - xdp->data;

	if (off < -room || off > len - ETH_HLEN)
		return (u64)-EINVAL;
	if (metalen)
		memmove(xdp->data_meta + off, xdp->data_meta, (size_t)metalen);
	xdp->data_meta += off;
	xdp->data += off;
	return 0;
}
static PACKET_PROTO(xdp_adjust_head, true, ARG_PTR_TO_CTX, ARG_ANYTHING);

static u64 xdp_len(const struct bpf_xdp *xdp)
{
	return (u64)(xdp->data_end - xdp->data) + xdp->frag_len;
}

/* Grow within the last fragment's page, or take from the end, fragments first. */
static s64 xdp_frags_adjust_tail(struct bpf_xdp *xdp, s64 off)
{
	s64 from_frags;

	if (off >= 0) {
		if (off > (s64)xdp->frag_room - xdp->frag_len)
			return -EINVAL;
		memset(xdp->frags + xdp->frag_len, 0, (size_t)off);
		xdp->frag_len += (u32)off;
		return 0;
	}
	if (-off > (s64)xdp_len(xdp) - ETH_HLEN)
		return -EINVAL;
	from_frags = min(-off, (s64)xdp->frag_len);
	xdp->frag_len -= (u32)from_frags;
	xdp->frag_room = round_up(xdp->frag_len, XDP_PAGE);
	xdp->data_end -= -off - from_frags;
	return 0;
}

BPF_HELPER(xdp_adjust_tail)
{
	struct bpf_xdp *xdp = PTR(r1);
	s64 off = (s32)r2, len = xdp->data_end - xdp->data;

	if (xdp->frag_len)
		return (u64)xdp_frags_adjust_tail(xdp, off);
	if (off > xdp->end - xdp->data_end || len + off < ETH_HLEN)
		return (u64)-EINVAL;
	if (off > 0)
		memset(xdp->data_end, 0, (size_t)off);
	xdp->data_end += off;
	return 0;
}
static PACKET_PROTO(xdp_adjust_tail, true, ARG_PTR_TO_CTX, ARG_ANYTHING);

BPF_HELPER(xdp_adjust_meta)
{
	struct bpf_xdp *xdp = PTR(r1);
	s64 off = (s32)r2, metalen = xdp->data - xdp->data_meta - off;

	if (metalen < 0 || xdp->data_meta - xdp->head + off < BPF_XDP_FRAME_SIZE)
		return (u64)-EINVAL;
	if (!metalen_ok(metalen))
		return (u64)-EACCES;
	xdp->data_meta += off;
	return 0;
}
static PACKET_PROTO(xdp_adjust_meta, true, ARG_PTR_TO_CTX, ARG_ANYTHING);

BPF_HELPER(xdp_get_buff_len)
{
	return xdp_len(PTR(r1));
}
static PACKET_PROTO(xdp_get_buff_len, false, ARG_PTR_TO_CTX);

/* Copy [off, off + len) of the packet out of it or into it. 0, or the errno of Linux. */
static s64 xdp_copy(const struct bpf_xdp *xdp, u32 off, u8 *mem, u32 len, bool to_packet)
{
	u64 linear = (u64)(xdp->data_end - xdp->data);

	if (off > 0xffff || len > 0xffff)
		return -EFAULT;
	if ((u64)off + len > xdp_len(xdp))
		return -EINVAL;
	while (len) {
		u8 *at = off < linear ? xdp->data + off : xdp->frags + (off - linear);
		u32 part = off < linear ? (u32)min((u64)len, linear - off) : len;

		memcpy(to_packet ? at : mem, to_packet ? mem : at, part);
		off += part;
		mem += part;
		len -= part;
	}
	return 0;
}

BPF_HELPER(xdp_load_bytes)
{
	return (u64)xdp_copy(PTR(r1), (u32)r2, PTR(r3), (u32)r4, false);
}
static const struct bpf_func_proto bpf_xdp_load_bytes_proto = {
	.name = "bpf_xdp_load_bytes",
	.id = BPF_FUNC_xdp_load_bytes,
	.func = bpf_xdp_load_bytes,
	.may_leave_uninit = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE},
};

BPF_HELPER(xdp_store_bytes)
{
	return (u64)xdp_copy(PTR(r1), (u32)r2, PTR(r3), (u32)r4, true);
}
static PACKET_PROTO(xdp_store_bytes, false, ARG_PTR_TO_CTX, ARG_ANYTHING,
		    ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE);

static u64 xdp_output(u64 ctx, u64 map, u64 flags, u64 data, u64 size)
{
	const struct bpf_xdp *xdp = PTR(ctx);
	u64 bytes = perf_output_packet(flags), linear = (u64)(xdp->data_end - xdp->data);
	struct bpf_perf_part parts[] = {{PTR(data), size},
					{xdp->data, min(bytes, linear)},
					{xdp->frags, bytes - min(bytes, linear)}};

	if (flags & ~(BPF_F_CTXLEN_MASK | BPF_F_INDEX_MASK))
		return (u64)-EINVAL;
	if (bytes > linear + xdp->frag_len)
		return (u64)-EFAULT;
	return (u64)bpf_perf_output(PTR(map), flags, parts, 3);
}

static PERF_OUTPUT_PROTO(bpf_xdp_event_output_proto, xdp_output);

static u64 xdp_check_mtu(u64 r1, u64 ifindex, u64 mtu_len, u64 len_diff, u64 flags)
{
	const struct bpf_xdp *xdp = PTR(r1);
	u32 len = (u32)xdp_len(xdp);

	if (flags)
		return (u64)-EINVAL;
	return (u64)bpf_mtu_check((u32)ifindex ? (u32)ifindex : xdp->md.ingress_ifindex,
				  PTR(mtu_len), (s32)len_diff, len);
}

static MTU_PROTO(bpf_xdp_check_mtu_proto, xdp_check_mtu);

static const struct bpf_func_proto *const protos[] = {
	&bpf_csum_diff_proto,	    &bpf_xdp_adjust_head_proto,	 &bpf_xdp_adjust_meta_proto,
	&bpf_xdp_adjust_tail_proto, &bpf_xdp_get_buff_len_proto, &bpf_xdp_load_bytes_proto,
	&bpf_xdp_store_bytes_proto, &bpf_xdp_event_output_proto, &bpf_xdp_check_mtu_proto,
	&bpf_xdp_redirect_proto,    &bpf_xdp_redirect_map_proto, &bpf_xdp_fib_lookup_proto,
};

static const u8 missing[] = {
	BPF_FUNC_sk_lookup_tcp,
	BPF_FUNC_sk_lookup_udp,
	BPF_FUNC_sk_release,
	BPF_FUNC_skc_lookup_tcp,
	BPF_FUNC_tcp_check_syncookie,
	BPF_FUNC_tcp_gen_syncookie,
	BPF_FUNC_tcp_raw_gen_syncookie_ipv4,
	BPF_FUNC_tcp_raw_gen_syncookie_ipv6,
	BPF_FUNC_tcp_raw_check_syncookie_ipv4,
	BPF_FUNC_tcp_raw_check_syncookie_ipv6,
};

static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_type_func_proto(id, prog, protos, ARRAY_SIZE(protos), missing,
				   ARRAY_SIZE(missing));
}

/* ---- fields */

static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *aux)
{
	if (type == BPF_WRITE || size != 4 || off < 0 || off % 4 ||
	    off >= (int)sizeof(struct xdp_md))
		return false;
	if (off == offsetof(struct xdp_md, egress_ifindex) &&
	    prog->expected_attach_type != BPF_XDP_DEVMAP)
		return false;

	aux->reg_type = SCALAR_VALUE;
	aux->ctx_field_size = 4;
	switch (off) {
	case offsetof(struct xdp_md, data):
		aux->reg_type = PTR_TO_PACKET;
		break;
	case offsetof(struct xdp_md, data_meta):
		aux->reg_type = PTR_TO_PACKET_META;
		break;
	case offsetof(struct xdp_md, data_end):
		aux->reg_type = PTR_TO_PACKET_END;
		break;
	}
	return true;
}

static u32 convert_ctx_access(const struct bpf_insn *insn, u32 ctx_field_size, struct bpf_insn *buf,
			      u32 max)
{
	static const u16 pointers[] = {
		[offsetof(struct xdp_md, data) / 4] = offsetof(struct bpf_xdp, data),
		[offsetof(struct xdp_md, data_end) / 4] = offsetof(struct bpf_xdp, data_end),
		[offsetof(struct xdp_md, data_meta) / 4] = offsetof(struct bpf_xdp, data_meta),
	};

	buf[0] = *insn;
	if (insn->off / 4 < (int)ARRAY_SIZE(pointers))
		buf[0] =
			BPF_LDX_INSN(BPF_DW, insn->dst_reg, insn->src_reg, pointers[insn->off / 4]);
	return 1;
}

/* ---- test runs */

/*
 * The context says where in data_in things are: metadata at 0, the packet at `data`, the end of the
 * linear part at data_end, and fragments after that.
 */
static int ctx_check(const struct xdp_md *ctx, u32 size)
{
	u8 unused[6];
	u16 hatype;

	if (ctx->data_meta || ctx->data_end > size || ctx->data > ctx->data_end ||
	    ctx->egress_ifindex)
		return -EINVAL;
	if (!metalen_ok(ctx->data) || ctx->data > BPF_XDP_HEADROOM - BPF_XDP_FRAME_SIZE ||
	    size - ctx->data < ETH_HLEN)
		return -EINVAL;
	/* A queue belongs to an interface; those that we know of have one. */
	if (ctx->rx_queue_index)
		return -EINVAL;
	return ctx->ingress_ifindex ? bpf_netdev_address(ctx->ingress_ifindex, unused, &hatype) : 0;
}

static void ctx_out(const struct bpf_xdp *xdp, struct xdp_md *ctx)
{
	ctx->data = (u32)(xdp->data - xdp->data_meta);
	ctx->data_end = (u32)(xdp->data_end - xdp->data_meta);
}

/* Metadata, packet and fragments as one piece, for the output. */
static int xdp_finish(const struct bpf_xdp *xdp, struct bpf_test_run *run)
{
	u32 linear = (u32)(xdp->data_end - xdp->data_meta);
	__do_free u8 *whole = NULL;

	if (!xdp->frag_len)
		return bpf_test_finish(run, xdp->data_meta, linear);
	whole = malloc(linear + xdp->frag_len);
	if (!whole)
		return -ENOMEM;
	memcpy(whole, xdp->data_meta, linear);
	memcpy(whole + linear, xdp->frags, xdp->frag_len);
	return bpf_test_finish(run, whole, linear + xdp->frag_len);
}

static int test_run(struct bpf_prog *prog, struct bpf_test_run *run)
{
	const u32 size = run->data_size_in, buf_size = XDP_PAGE - XDP_TAILROOM;
	u32 linear = min(size, buf_size - BPF_XDP_HEADROOM), metalen = 0;
	u8 buf[XDP_PAGE - XDP_TAILROOM];
	__do_free u8 *frags = NULL;
	struct xdp_md ctx = {0};
	struct bpf_xdp xdp;
	bool have_ctx;
	int err;

	if (run->flags || prog->expected_attach_type == BPF_XDP_DEVMAP ||
	    prog->expected_attach_type == BPF_XDP_CPUMAP)
		return -EINVAL;
	if (size < ETH_HLEN)
		return -EINVAL;
	err = bpf_ctx_init(run, &ctx, sizeof(ctx), &have_ctx);
	if (!err && have_ctx)
		err = ctx_check(&ctx, size);
	if (err)
		return err;
	if (have_ctx) {
		metalen = ctx.data;
		linear = min(ctx.data_end, buf_size - BPF_XDP_HEADROOM + metalen);
	}
	if (size - linear > XDP_MAX_FRAGS * XDP_PAGE)
		return -ENOMEM;
	memset(buf, 0, sizeof(buf));
	memcpy(buf + BPF_XDP_HEADROOM - metalen, run->data_in, linear);
	bpf_xdp_init(&xdp, buf, buf_size, BPF_XDP_HEADROOM, linear - metalen);
	xdp.data_meta = xdp.data - metalen;
	xdp.md.ingress_ifindex = ctx.ingress_ifindex ? ctx.ingress_ifindex : 1;
	xdp.md.rx_queue_index = ctx.rx_queue_index;
	if (size > linear) {
		xdp.frag_len = size - linear;
		xdp.frag_room = round_up(xdp.frag_len, XDP_PAGE);
		xdp.frags = frags = malloc(xdp.frag_room);
		if (!frags)
			return -ENOMEM;
		memcpy(frags, (const u8 *)run->data_in + linear, xdp.frag_len);
	}

	err = bpf_test_run_loop(prog, &xdp, run);
	if (err)
		return err;
	ctx_out(&xdp, &ctx);
	err = xdp_finish(&xdp, run);
	return err ? err : bpf_ctx_finish(run, &ctx, sizeof(ctx));
}

const struct bpf_prog_type_ops bpf_xdp_ops = {
	.type = BPF_PROG_TYPE_XDP,
	.name = "xdp",
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.convert_ctx_access = convert_ctx_access,
	.may_write_packet = true,
	.has_packet = true,
	.test_run = test_run,
};
