/*
 * skb_test_run.c - BPF_PROG_TEST_RUN for the types whose context is __sk_buff
 *
 * The packet is an Ethernet frame. A tc program sees it whole; the others see it from the network
 * header on, and the output has the link header's bytes back, as zeros (Linux does the same).
 * Classic filters see it whole, too.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include "util/netdev.h"
#include "prog_type/skb/skb.h"
#include "run/test_run.h"
#include "map/types/cgroup_storage.h"
#include "prog_type/skb/skb_test_run.h"

/*
 * Linux takes what fits into one page beside its own data, 3712 bytes. Captured traffic has packets
 * up to 64 KiB (segmentation offload, the loopback), so we take these too.
 */
#define SKB_TEST_MAX (1u << 16)
#define SKB_TEST_ROOM \
	(BPF_SKB_MAX_LEN + 64) /* before and after: helpers let a packet grow so far */
#define GSO_MAX_SEGS   65535u
#define GSO_LEGACY_MAX 65536u

/* Only these fields of a context may be set by the caller; everything between must be zero. */
static bool ctx_fields_ok(const struct __sk_buff *ctx)
{
	static const struct {
		u16 from, to;
	} must_be_zero[] = {
		{0, offsetof(struct __sk_buff, mark)},
		{__skb_field_end(mark), offsetof(struct __sk_buff, priority)},
		{__skb_field_end(ifindex), offsetof(struct __sk_buff, cb)},
		{__skb_field_end(cb), offsetof(struct __sk_buff, tstamp)},
		{__skb_field_end(gso_segs), offsetof(struct __sk_buff, gso_size)},
		{__skb_field_end(gso_size), offsetof(struct __sk_buff, hwtstamp)},
		{__skb_field_end(hwtstamp), sizeof(struct __sk_buff)},
	};

	for (size_t i = 0; i < ARRAY_SIZE(must_be_zero); i++)
		if (!bpf_range_is_zero(ctx, must_be_zero[i].from, must_be_zero[i].to))
			return false;
	return true;
}

static int ctx_to_skb(const struct __sk_buff *ctx, struct bpf_skb *skb)
{
	if (!ctx_fields_ok(ctx))
		return -EINVAL;
	skb->md.mark = ctx->mark;
	skb->md.priority = ctx->priority;
	skb->md.ingress_ifindex = ctx->ingress_ifindex;
	skb->md.tstamp = ctx->tstamp;
	memcpy(skb->md.cb, ctx->cb, sizeof(ctx->cb));

	if (ctx->wire_len && (ctx->wire_len < skb->md.len || ctx->wire_len > GSO_LEGACY_MAX))
		return -EINVAL;
	skb->md.wire_len = ctx->wire_len ? ctx->wire_len : skb->md.len;
	if (ctx->gso_segs > GSO_MAX_SEGS)
		return -EINVAL;
	skb->md.gso_segs = ctx->gso_segs;
	skb->md.gso_size = (u16)ctx->gso_size;
	skb->md.hwtstamp = ctx->hwtstamp;
	return 0;
}

static void skb_to_ctx(const struct bpf_skb *skb, struct __sk_buff *ctx)
{
	ctx->mark = skb->md.mark;
	ctx->priority = skb->md.priority;
	ctx->ingress_ifindex = skb->md.ingress_ifindex;
	ctx->ifindex = skb->md.ifindex;
	ctx->tstamp = skb->md.tstamp;
	ctx->wire_len = skb->md.wire_len;
	ctx->gso_segs = skb->md.gso_segs;
	ctx->hwtstamp = skb->md.hwtstamp;
	memcpy(ctx->cb, skb->md.cb, sizeof(ctx->cb));
}

/* From where on a program sees the frame. */
enum view {
	FROM_NETWORK,
	FROM_LINK,
	/*
	 * Classic filters are written for a whole frame, good or bad, as packet sockets show it.
	 * Linux has no test run for them, so this is ours to decide.
	 */
	FROM_LINK_UNCHECKED,
};

static enum view view_of_type(enum bpf_prog_type type)
{
	return type == BPF_PROG_TYPE_SCHED_CLS ? FROM_LINK : FROM_NETWORK;
}

static int skb_prepare(struct bpf_skb *skb, enum view view, const struct __sk_buff *ctx,
		       bool have_ctx)
{
	u8 dev_addr[6];
	int err;

	err = bpf_netdev_address(ctx->ifindex, dev_addr, &skb->hatype);
	if (err)
		return err;
	bpf_skb_pull_ethernet(skb, dev_addr);
	/* The loopback has no broadcast address. */
	if (ctx->ifindex <= 1 && skb->md.pkt_type == PACKET_BROADCAST)
		skb->md.pkt_type = PACKET_MULTICAST;
	if (view != FROM_LINK_UNCHECKED &&
	    ((skb->md.protocol == htons(ETH_P_IP) && skb->md.len < sizeof(struct iphdr)) ||
	     (skb->md.protocol == htons(ETH_P_IPV6) && skb->md.len < sizeof(struct ipv6hdr))))
		return -EINVAL;
	bpf_skb_fill_addresses(skb);
	if (view != FROM_NETWORK)
		bpf_skb_push(skb, ETH_HLEN);
	skb->md.ifindex = ctx->ifindex ? ctx->ifindex : 1;
	skb->md.wire_len = 0;
	return have_ctx ? ctx_to_skb(ctx, skb) : 0;
}

/*
 * What the caller gets back begins with a link header; where the type saw none, zeros take its
 * place.
 */
static void skb_restore_l2(struct bpf_skb *skb)
{
	if (skb->data - skb->head < ETH_HLEN)
		return;
	bpf_skb_push(skb, ETH_HLEN);
	memset(skb->data, 0, ETH_HLEN);
}

static int skb_test_run(enum view view, struct bpf_test_run *run,
			int (*loop)(void *priv, struct bpf_skb *skb, struct bpf_test_run *run),
			void *priv)
{
	const u32 buf_size = SKB_TEST_ROOM + run->data_size_in + SKB_TEST_ROOM;
	struct __sk_buff ctx = {0};
	__do_free u8 *buf = NULL;
	struct bpf_skb skb;
	bool have_ctx;
	int err, err2;

	if (run->flags || run->data_size_in < ETH_HLEN || run->data_size_in > SKB_TEST_MAX)
		return -EINVAL;
	err = bpf_ctx_init(run, &ctx, sizeof(ctx), &have_ctx);
	if (err)
		return err;
	buf = malloc(buf_size);
	if (!buf)
		return -ENOMEM;
	memcpy(buf + SKB_TEST_ROOM, run->data_in, run->data_size_in);
	bpf_skb_init(&skb, buf, buf_size, SKB_TEST_ROOM, run->data_size_in);

	err = skb_prepare(&skb, view, &ctx, have_ctx);
	if (!err)
		err = loop(priv, &skb, run);
	if (err)
		return err;
	if (view == FROM_NETWORK)
		skb_restore_l2(&skb);
	skb_to_ctx(&skb, &ctx);
	err = bpf_test_finish(run, skb.data, skb.md.len);
	err2 = err ? 0 : bpf_ctx_finish(run, &ctx, sizeof(ctx));
	return err ? err : err2;
}

int __bpf_skb_test_run(enum bpf_prog_type type, struct bpf_test_run *run,
		       int (*loop)(void *priv, struct bpf_skb *skb, struct bpf_test_run *run),
		       void *priv)
{
	return skb_test_run(view_of_type(type), run, loop, priv);
}

static int run_prog(void *priv, struct bpf_skb *skb, struct bpf_test_run *run)
{
	const struct bpf_cgroup_storages *outer = bpf_this.storages;
	struct bpf_cgroup_storages storages;
	struct bpf_prog *prog = priv;
	int err = bpf_cgroup_storages_temporary(prog, &storages);

	if (err)
		return err;
	bpf_this.storages = &storages;
	err = bpf_test_run_loop(prog, skb, run);
	bpf_this.storages = outer;
	bpf_cgroup_storages_free(&storages);
	return err;
}

int bpf_skb_test_run(struct bpf_prog *prog, struct bpf_test_run *run)
{
	enum view view = prog->classic_len ? FROM_LINK_UNCHECKED : view_of_type(prog->type);

	return skb_test_run(view, run, run_prog, prog);
}
