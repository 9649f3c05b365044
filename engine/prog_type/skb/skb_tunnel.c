/*
 * skb_tunnel.c - see skb_tunnel.h
 *
 * No packet comes out of a tunnel here, and none goes into one: what a program sets stays with the
 * packet, where it can be read again, as in a test run of Linux. Who sent it is who it is sent from
 * then, and the other way round.
 */
#include <arpa/inet.h>
#include "prog_type/skb/packet_proto.h"
#include "prog_type/skb/skb_tunnel.h"

#define NO_TUNNEL_KEY (1ULL << 4) /* what older headers lack */
#define TUNINFO_FLAGS (1ULL << 4)
#define SET_FLAGS                                                                           \
	(BPF_F_TUNINFO_IPV6 | BPF_F_ZERO_CSUM_TX | BPF_F_DONT_FRAGMENT | BPF_F_SEQ_NUMBER | \
	 NO_TUNNEL_KEY)

enum { /* bits of tunnel_flags */
       TUNNEL_CSUM = 0x0001,
       TUNNEL_KEY = 0x0004,
       TUNNEL_SEQ = 0x0008,
       TUNNEL_DONT_FRAGMENT = 0x0100,
       TUNNEL_NOCACHE = 0x2000,
};

#define KEY_UP_TO(FIELD) offsetof(struct bpf_tunnel_key, FIELD)

/* The structure as earlier versions of it ended. */
static bool earlier_size(u64 size, bool v4)
{
	return size == KEY_UP_TO(local_ipv4) || size == KEY_UP_TO(tunnel_label) ||
	       size == KEY_UP_TO(tunnel_ext) || (v4 && size == KEY_UP_TO(remote_ipv6[1]));
}

BPF_HELPER(skb_set_tunnel_key)
{
	struct bpf_skb *skb = PTR(r1);
	bool v6 = r4 & BPF_F_TUNINFO_IPV6;
	struct bpf_tunnel_key key = {0};
	u16 flags = TUNNEL_KEY | TUNNEL_CSUM | TUNNEL_NOCACHE;

	if (r4 & ~(u64)SET_FLAGS)
		return (u64)-EINVAL;
	if (r3 != sizeof(key) && !earlier_size(r3, true))
		return (u64)-EINVAL;
	memcpy(&key, PTR(r2), r3);
	if ((!v6 && key.tunnel_label) || key.tunnel_ext)
		return (u64)-EINVAL;
	if (r4 & BPF_F_DONT_FRAGMENT)
		flags |= TUNNEL_DONT_FRAGMENT;
	if (r4 & BPF_F_ZERO_CSUM_TX)
		flags &= (u16)~TUNNEL_CSUM;
	if (r4 & BPF_F_SEQ_NUMBER)
		flags |= TUNNEL_SEQ;
	if (r4 & NO_TUNNEL_KEY)
		flags &= (u16)~TUNNEL_KEY;
	if (v6)
		key.tunnel_label &= 0xfffff;
	skb->tunnel =
		(struct bpf_skb_tunnel){.family = v6 ? 6 : 4, .flags = htons(flags), .key = key};
	return 0;
}
PACKET_PROTO(skb_set_tunnel_key, false, ARG_PTR_TO_CTX, ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE,
	     ARG_ANYTHING);

static int get_key(const struct bpf_skb *skb, struct bpf_tunnel_key *out, u64 size, u64 flags)
{
	const struct bpf_tunnel_key *key = &skb->tunnel.key;
	bool v6 = flags & BPF_F_TUNINFO_IPV6;

	if (!skb->tunnel.family || flags & ~(u64)(BPF_F_TUNINFO_IPV6 | TUNINFO_FLAGS))
		return -EINVAL;
	if ((skb->tunnel.family == 6) != v6)
		return -EPROTO;
	if (size != sizeof(*out) && !earlier_size(size, !v6))
		return -EINVAL;
	*out = (struct bpf_tunnel_key){.tunnel_id = key->tunnel_id,
				       .tunnel_tos = key->tunnel_tos,
				       .tunnel_ttl = key->tunnel_ttl};
	if (flags & TUNINFO_FLAGS)
		out->tunnel_ext = skb->tunnel.flags; /* tunnel_flags */
	if (v6) {
		memcpy(out->remote_ipv6, key->local_ipv6, sizeof(out->remote_ipv6));
		memcpy(out->local_ipv6, key->remote_ipv6, sizeof(out->local_ipv6));
		out->tunnel_label = key->tunnel_label;
	} else {
		out->remote_ipv4 = key->local_ipv4;
		out->local_ipv4 = key->remote_ipv4;
	}
	return 0;
}

BPF_HELPER(skb_get_tunnel_key)
{
	struct bpf_tunnel_key key;
	int err = get_key(PTR(r1), &key, r3, r4);

	if (err)
		memset(PTR(r2), 0, r3);
	else
		memcpy(PTR(r2), &key, r3);
	return (u64)err;
}
PACKET_PROTO(skb_get_tunnel_key, false, ARG_PTR_TO_CTX, ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE,
	     ARG_ANYTHING);
