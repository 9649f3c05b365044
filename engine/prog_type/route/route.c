/*
 * route.c - see route.h
 */
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "prog_type/route/route.h"

#define ANSWER_MAX 16384

struct message {
	struct nlmsghdr header;
	union {
		struct rtmsg route;
		struct netconfmsg conf;
		struct ndmsg neigh;
	};
	char attrs[256];
};

int bpf_route_open(void)
{
	int nl = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	return nl < 0 ? -errno : nl;
}

static void begin(struct message *m, u16 type, size_t body)
{
	memset(m, 0, sizeof(*m));
	m->header.nlmsg_type = type;
	m->header.nlmsg_flags = NLM_F_REQUEST;
	m->header.nlmsg_len = (u32)NLMSG_LENGTH(body);
}

static void put(struct message *m, u16 type, const void *data, size_t len)
{
	struct rtattr *attr = (void *)((char *)m + NLMSG_ALIGN(m->header.nlmsg_len));

	attr->rta_type = type;
	attr->rta_len = (u16)RTA_LENGTH(len);
	memcpy(RTA_DATA(attr), data, len);
	m->header.nlmsg_len = NLMSG_ALIGN(m->header.nlmsg_len) + (u32)RTA_ALIGN(attr->rta_len);
}

/* The answer's header in `buf`, of ANSWER_MAX bytes, with a body of at least `body` bytes. */
static int ask(int nl, struct message *m, void *buf, size_t body)
{
	const struct nlmsghdr *header = buf;
	const struct nlmsgerr *err = NLMSG_DATA(header);
	ssize_t len;

	if (send(nl, m, m->header.nlmsg_len, 0) < 0)
		return -errno;
	do
		len = recv(nl, buf, ANSWER_MAX, 0);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	if ((size_t)len < NLMSG_LENGTH(sizeof(int)) || header->nlmsg_len > (size_t)len)
		return -EBADMSG;
	if (header->nlmsg_type == NLMSG_ERROR)
		return err->error ? err->error : -EBADMSG;
	return header->nlmsg_len < NLMSG_LENGTH(body) ? -EBADMSG : 0;
}

/* The attributes by their number; what is shorter than it must be is left out. */
static void parse(const void *buf, size_t body, const struct rtattr **attrs, u32 nr)
{
	const struct nlmsghdr *header = buf;
	const struct rtattr *a = (const void *)((const char *)buf + NLMSG_SPACE(body));
	size_t len = header->nlmsg_len > NLMSG_SPACE(body) ? header->nlmsg_len - NLMSG_SPACE(body)
							   : 0;

	memset(attrs, 0, nr * sizeof(*attrs));
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) < nr)
			attrs[a->rta_type & NLA_TYPE_MASK] = a;
}

static bool get(const struct rtattr *attr, void *out, size_t len)
{
	if (!attr || RTA_PAYLOAD(attr) < len)
		return false;
	memcpy(out, RTA_DATA(attr), len);
	return true;
}

static size_t address_len(u8 family)
{
	return family == AF_INET ? 4 : 16;
}

static u32 own_mtu(const struct rtattr *metrics)
{
	size_t len = metrics ? RTA_PAYLOAD(metrics) : 0;
	const struct rtattr *a = metrics ? RTA_DATA(metrics) : NULL;
	u32 mtu = 0, lock = 0;

	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == RTAX_MTU)
			get(a, &mtu, sizeof(mtu));
		else if (a->rta_type == RTAX_LOCK)
			get(a, &lock, sizeof(lock));
	return lock & 1u << RTAX_MTU ? mtu : 0;
}

static void read_gateway(const struct rtattr *const *attrs, u8 family, struct bpf_route *out)
{
	struct {
		u16 family;
		u8 addr[16];
	} via;

	if (get(attrs[RTA_GATEWAY], out->gw, address_len(family)))
		out->gw_family = family;
	else if (get(attrs[RTA_VIA], &via, sizeof(via)) && via.family == AF_INET6) {
		out->gw_family = AF_INET6;
		memcpy(out->gw, via.addr, sizeof(out->gw));
	}
}

static int lookup(int nl, const struct bpf_route_ask *q, u32 flags, void *buf,
		  const struct rtattr **attrs)
{
	size_t len = address_len(q->family);
	struct message m;
	int err;

	begin(&m, RTM_GETROUTE, sizeof(m.route));
	m.route.rtm_family = q->family;
	m.route.rtm_dst_len = (u8)(len * 8);
	m.route.rtm_tos = q->family == AF_INET ? q->tos & 0xfc : 0;
	m.route.rtm_flags = flags;
	put(&m, RTA_DST, q->dst, len);
	if (q->oif)
		put(&m, RTA_OIF, &q->oif, sizeof(q->oif));
	if (q->mark)
		put(&m, RTA_MARK, &q->mark, sizeof(q->mark));
	if (q->proto == IPPROTO_TCP || q->proto == IPPROTO_UDP) {
		put(&m, RTA_IP_PROTO, &q->proto, sizeof(q->proto));
		if (q->sport)
			put(&m, RTA_SPORT, &q->sport, sizeof(q->sport));
		if (q->dport)
			put(&m, RTA_DPORT, &q->dport, sizeof(q->dport));
	}
	err = ask(nl, &m, buf, sizeof(m.route));
	if (!err)
		parse(buf, sizeof(m.route), attrs, RTA_MAX + 1);
	return err;
}

int bpf_route_lookup(int nl, const struct bpf_route_ask *q, struct bpf_route *out)
{
	const struct rtattr *attrs[RTA_MAX + 1];
	u64 buf[ANSWER_MAX / 8];
	const struct rtmsg *route = NLMSG_DATA((struct nlmsghdr *)buf);
	int err = lookup(nl, q, RTM_F_FIB_MATCH, buf, attrs);
	bool chosen;

	*out = (struct bpf_route){0};
	if (err)
		return err;
	out->type = route->rtm_type;
	out->encap = attrs[RTA_ENCAP_TYPE];
	out->mtu = own_mtu(attrs[RTA_METRICS]);
	get(attrs[RTA_PRIORITY], &out->priority, sizeof(out->priority));
	chosen = get(attrs[RTA_OIF], &out->oif, sizeof(out->oif));
	read_gateway(attrs, q->family, out);
	/* Which of several next hops, and the address to send from: what the lookup comes to. */
	err = lookup(nl, q, 0, buf, attrs);
	if (err)
		return err;
	out->has_src = get(attrs[RTA_PREFSRC], out->src, address_len(q->family));
	if (!chosen) {
		get(attrs[RTA_OIF], &out->oif, sizeof(out->oif));
		out->gw_family = 0;
		read_gateway(attrs, q->family, out);
	}
	return 0;
}

int bpf_route_forwards(int nl, u8 family, u32 ifindex)
{
	const struct rtattr *attrs[NETCONFA_MAX + 1];
	u64 buf[ANSWER_MAX / 8];
	struct message m;
	s32 on = 0;
	int err;

	begin(&m, RTM_GETNETCONF, sizeof(m.conf));
	m.conf.ncm_family = family;
	put(&m, NETCONFA_IFINDEX, &ifindex, sizeof(ifindex));
	err = ask(nl, &m, buf, sizeof(m.conf));
	if (err == -EINVAL || err == -ENODEV) /* nothing of this family is configured there */
		return 0;
	if (err)
		return err;
	parse(buf, sizeof(m.conf), attrs, NETCONFA_MAX + 1);
	get(attrs[NETCONFA_FORWARDING], &on, sizeof(on));
	return on != 0;
}

#define NUD_VALID (NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY)

int bpf_route_neighbour(int nl, u8 family, u32 ifindex, const void *dst, u8 mac[6])
{
	const struct rtattr *attrs[NDA_MAX + 1];
	u64 buf[ANSWER_MAX / 8];
	const struct ndmsg *neigh = NLMSG_DATA((struct nlmsghdr *)buf);
	struct message m;
	int err;

	begin(&m, RTM_GETNEIGH, sizeof(m.neigh));
	m.neigh.ndm_family = family;
	m.neigh.ndm_ifindex = (s32)ifindex;
	put(&m, NDA_DST, dst, address_len(family));
	err = ask(nl, &m, buf, sizeof(m.neigh));
	if (err)
		return err;
	parse(buf, sizeof(m.neigh), attrs, NDA_MAX + 1);
	if (!(neigh->ndm_state & NUD_VALID))
		return -ENOENT;
	memset(mac, 0, 6);
	get(attrs[NDA_LLADDR], mac, 6);
	return 0;
}
