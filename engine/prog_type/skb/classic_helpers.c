/*
 * classic_helpers.c - what ancillary loads need beyond the fields of a packet
 *
 * Only converted classic filters may call these (socket_filter.c asks whether a program is one).
 */
#include <linux/netlink.h>
#include "prog_type/skb/classic_helpers.h"
#include "prog_type/skb/skb.h"

static u32 skb_len(const struct bpf_skb *skb)
{
	return (u32)(skb->data_end - skb->data);
}

/* Is there a whole attribute at `off` of the packet, of at most `left` bytes? Reads it to *nla. */
static bool nlattr_ok(const struct bpf_skb *skb, u32 off, s64 left, struct nlattr *nla)
{
	if (left < (s64)sizeof(*nla))
		return false;
	memcpy(nla, skb->data + off, sizeof(*nla));
	return nla->nla_len >= sizeof(*nla) && nla->nla_len <= left;
}

/* The offset of the first attribute of this type among those in `left` bytes at `off`, or 0. */
static u32 nlattr_find(const struct bpf_skb *skb, u32 off, s64 left, u32 type)
{
	struct nlattr nla;

	while (nlattr_ok(skb, off, left, &nla)) {
		if ((nla.nla_type & NLA_TYPE_MASK) == type)
			return off;
		off += NLA_ALIGN(nla.nla_len);
		left -= NLA_ALIGN(nla.nla_len);
	}
	return 0;
}

static u64 bpf_skb_get_nlattr(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_skb *skb = PTR(r1);
	u32 len = skb_len(skb), off = (u32)r2;

	return off <= len ? nlattr_find(skb, off, (s64)len - off, (u32)r3) : 0;
}

/* The same among the attributes inside of the one at A. */
static u64 bpf_skb_get_nlattr_nest(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_skb *skb = PTR(r1);
	u32 len = skb_len(skb), off = (u32)r2;
	struct nlattr nest;

	if (off > len || !nlattr_ok(skb, off, (s64)len - off, &nest))
		return 0;
	return nlattr_find(skb, off + NLA_HDRLEN, (s64)nest.nla_len - NLA_HDRLEN, (u32)r3);
}

static u64 bpf_skb_get_pay_offset(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	return bpf_skb_get_poff(PTR(r1));
}

static u64 bpf_skb_get_hatype(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_skb *skb = PTR(r1);

	return skb->hatype;
}

static const struct bpf_func_proto protos[] = {
	{
		.name = "bpf_skb_get_pay_offset",
		.id = (enum bpf_func_id)BPF_FUNC_skb_get_pay_offset,
		.func = bpf_skb_get_pay_offset,
		.ret_type = RET_INTEGER,
		.arg_type = {ARG_PTR_TO_CTX},
	},
	{
		.name = "bpf_skb_get_nlattr",
		.id = (enum bpf_func_id)BPF_FUNC_skb_get_nlattr,
		.func = bpf_skb_get_nlattr,
		.ret_type = RET_INTEGER,
		.arg_type = {ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING},
	},
	{
		.name = "bpf_skb_get_nlattr_nest",
		.id = (enum bpf_func_id)BPF_FUNC_skb_get_nlattr_nest,
		.func = bpf_skb_get_nlattr_nest,
		.ret_type = RET_INTEGER,
		.arg_type = {ARG_PTR_TO_CTX, ARG_ANYTHING, ARG_ANYTHING},
	},
	{
		.name = "bpf_skb_get_hatype",
		.id = (enum bpf_func_id)BPF_FUNC_skb_get_hatype,
		.func = bpf_skb_get_hatype,
		.ret_type = RET_INTEGER,
		.arg_type = {ARG_PTR_TO_CTX},
	},
};

const struct bpf_func_proto *bpf_classic_func_proto(enum bpf_func_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].id == id)
			return &protos[i];
	return NULL;
}
