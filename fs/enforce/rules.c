/*
 * rules.c - nf_tables by netlink (see enforce/rules.h)
 *
 * A transaction is one message to the kernel: batch begin, the changes, batch end. The kernel
 * answers with the errors of the changes, or acknowledges the last of them, which asks for it. This
 * kernel's nf_tables has no queue expression of its own, so that the target NFQUEUE of xtables is
 * used in its place.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/xt_NFQUEUE.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "fs/enforce/rules.h"

#define CHANGE_MAX 1024u /* bytes of the largest change */
#define HOOK_PRIORITY \
	300 /* after everybody's filters and translations, as near to the socket as can be */
#define VERDICT_TYPE   0xffffff00u
#define CGROUP_ID_TYPE 46 /* nft(8)'s number of cgroupsv2, for its listings */

struct batch {
	struct nft_rules *rules;
	char *buf;
	size_t len, room;
	struct nlmsghdr *last;
	int err;
};

/* ---- batches */

static struct nlmsghdr *put_header(struct batch *b, u16 type, u16 flags, u8 family, u16 res_id)
{
	struct nlmsghdr *nlh;
	struct nfgenmsg *nfg;
	size_t at;

	if (!b->err && b->room - b->len < CHANGE_MAX) {
		char *more = realloc(b->buf, b->room * 2 + 64 * CHANGE_MAX);

		if (more) {
			at = b->last ? (size_t)((char *)b->last - b->buf) : 0;
			b->last = b->last ? (struct nlmsghdr *)(more + at) : NULL;
			b->buf = more;
			b->room = b->room * 2 + 64 * CHANGE_MAX;
		} else {
			b->err = -ENOMEM;
		}
	}
	if (b->err)
		return NULL;
	nlh = mnl_nlmsg_put_header(b->buf + b->len);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nlh->nlmsg_seq = ++b->rules->seq;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(res_id);
	return nlh;
}

static void put_done(struct batch *b, struct nlmsghdr *nlh)
{
	b->len += MNL_ALIGN(nlh->nlmsg_len);
}

static void batch_begin(struct batch *b, struct nft_rules *rules)
{
	struct nlmsghdr *nlh;

	memset(b, 0, sizeof(*b));
	b->rules = rules;
	nlh = put_header(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (nlh)
		put_done(b, nlh);
}

/* A change to our table; NULL after a failed allocation. */
static struct nlmsghdr *change(struct batch *b, u16 type, u16 flags)
{
	return put_header(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NFPROTO_INET, 0);
}

static void change_done(struct batch *b, struct nlmsghdr *nlh)
{
	b->last = nlh;
	put_done(b, nlh);
}

/* Errors of the kernel until the acknowledgement of `last`. */
static int read_answers(struct mnl_socket *nl, u32 last)
{
	char buf[32768];
	int err = 0;

	for (;;) {
		ssize_t n = recv(mnl_socket_get_fd(nl), buf, sizeof(buf), err ? MSG_DONTWAIT : 0);
		const struct nlmsghdr *nlh = (void *)buf;
		int left = (int)n;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err ? err : -errno;
		for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			if (nlh->nlmsg_type != NLMSG_ERROR)
				continue;
			if (e->error && !err)
				err = e->error;
			if (!e->error && nlh->nlmsg_seq == last)
				return err;
		}
	}
}

static int batch_commit(struct batch *b)
{
	struct mnl_socket *nl = b->rules->nl;
	struct nlmsghdr *nlh;
	u32 last_seq = 0;
	int err, room;

	if (b->last) {
		b->last->nlmsg_flags |= NLM_F_ACK;
		last_seq = b->last->nlmsg_seq;
	}
	nlh = put_header(b, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (nlh)
		put_done(b, nlh);
	err = b->err;
	room = (int)b->len + 65536;
	if (!err && room > 200000)
		setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	if (!err && mnl_socket_sendto(nl, b->buf, b->len) < 0)
		err = -errno;
	if (!err)
		err = read_answers(nl, last_seq);
	free(b->buf);
	return err;
}

/* ---- what rules consist of */

static void put_u32(struct nlmsghdr *nlh, u16 type, u32 v)
{
	mnl_attr_put_u32(nlh, type, htonl(v));
}

static struct nlattr *expr_begin(struct nlmsghdr *nlh, const char *name, struct nlattr **data)
{
	struct nlattr *elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);

	mnl_attr_put_strz(nlh, NFTA_EXPR_NAME, name);
	*data = mnl_attr_nest_start(nlh, NFTA_EXPR_DATA);
	return elem;
}

static void expr_end(struct nlmsghdr *nlh, struct nlattr *elem, struct nlattr *data)
{
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, elem);
}

/*
 * Register 1 = the id of the ancestor at `at` of the socket's cgroup; no socket, or less deep: the
 * rule ends.
 */
static void put_socket(struct nlmsghdr *nlh, u32 at)
{
	struct nlattr *data, *elem = expr_begin(nlh, "socket", &data);

	put_u32(nlh, NFTA_SOCKET_KEY, NFT_SOCKET_CGROUPV2);
	put_u32(nlh, NFTA_SOCKET_DREG, NFT_REG_1);
	put_u32(nlh, NFTA_SOCKET_LEVEL, at);
	expr_end(nlh, elem, data);
}

static void put_verdict(struct nlmsghdr *nlh, u16 type, u32 code, const char *chain)
{
	struct nlattr *value = mnl_attr_nest_start(nlh, type);
	struct nlattr *verdict = mnl_attr_nest_start(nlh, NFTA_DATA_VERDICT);

	put_u32(nlh, NFTA_VERDICT_CODE, code);
	if (chain)
		mnl_attr_put_strz(nlh, NFTA_VERDICT_CHAIN, chain);
	mnl_attr_nest_end(nlh, verdict);
	mnl_attr_nest_end(nlh, value);
}

static struct nlmsghdr *rule_begin(struct batch *b, const char *chain, u16 flags,
				   struct nlattr **list)
{
	struct nlmsghdr *nlh = change(b, NFT_MSG_NEWRULE, NLM_F_CREATE | flags);

	if (!nlh)
		return NULL;
	mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, b->rules->table);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	*list = mnl_attr_nest_start(nlh, NFTA_RULE_EXPRESSIONS);
	return nlh;
}

static void rule_end(struct batch *b, struct nlmsghdr *nlh, struct nlattr *list)
{
	mnl_attr_nest_end(nlh, list);
	change_done(b, nlh);
}

/* ---- changes */

static void put_table(struct batch *b, u16 type, u16 flags)
{
	struct nlmsghdr *nlh = change(b, type, flags);

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_TABLE_NAME, b->rules->table);
	change_done(b, nlh);
}

static void put_chain(struct batch *b, u16 type, const char *name, int hook)
{
	struct nlmsghdr *nlh = change(b, type, type == NFT_MSG_NEWCHAIN ? NLM_F_CREATE : 0);
	struct nlattr *nest;

	if (!nlh)
		return;
	mnl_attr_put_strz(nlh, NFTA_CHAIN_TABLE, b->rules->table);
	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, name);
	if (hook >= 0) {
		nest = mnl_attr_nest_start(nlh, NFTA_CHAIN_HOOK);
		put_u32(nlh, NFTA_HOOK_HOOKNUM, (u32)hook);
		put_u32(nlh, NFTA_HOOK_PRIORITY, HOOK_PRIORITY);
		mnl_attr_nest_end(nlh, nest);
		put_u32(nlh, NFTA_CHAIN_POLICY, NF_ACCEPT);
		mnl_attr_put_strz(nlh, NFTA_CHAIN_TYPE, "filter");
	}
	change_done(b, nlh);
}

static void level_map(char name[16], u32 at)
{
	snprintf(name, 16, "level%u", at);
}

static void put_map(struct batch *b, u32 at)
{
	struct nlmsghdr *nlh = change(b, NFT_MSG_NEWSET, NLM_F_CREATE);
	char name[16];

	if (!nlh)
		return;
	level_map(name, at);
	mnl_attr_put_strz(nlh, NFTA_SET_TABLE, b->rules->table);
	mnl_attr_put_strz(nlh, NFTA_SET_NAME, name);
	put_u32(nlh, NFTA_SET_ID, at);
	put_u32(nlh, NFTA_SET_FLAGS, NFT_SET_MAP);
	put_u32(nlh, NFTA_SET_KEY_TYPE, CGROUP_ID_TYPE);
	put_u32(nlh, NFTA_SET_KEY_LEN, sizeof(u64));
	put_u32(nlh, NFTA_SET_DATA_TYPE, VERDICT_TYPE);
	change_done(b, nlh);
}

static void put_element(struct batch *b, u16 type, const struct nft_cgroup *cgroup,
			const char *chain)
{
	struct nlmsghdr *nlh = change(b, type, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0);
	struct nlattr *list, *elem, *key;
	char name[16];

	if (!nlh)
		return;
	level_map(name, cgroup->level);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_TABLE, b->rules->table);
	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, name);
	list = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_LIST_ELEMENTS);
	elem = mnl_attr_nest_start(nlh, NFTA_LIST_ELEM);
	key = mnl_attr_nest_start(nlh, NFTA_SET_ELEM_KEY);
	mnl_attr_put(nlh, NFTA_DATA_VALUE, sizeof(cgroup->id), &cgroup->id);
	mnl_attr_nest_end(nlh, key);
	if (type == NFT_MSG_NEWSETELEM)
		put_verdict(nlh, NFTA_SET_ELEM_DATA, (u32)NFT_GOTO, chain);
	mnl_attr_nest_end(nlh, elem);
	mnl_attr_nest_end(nlh, list);
	change_done(b, nlh);
}

/* Levels are inserted before the others: the deepest comes first. */
static void put_level(struct batch *b, u32 at)
{
	struct nlattr *list, *data, *elem;
	struct nlmsghdr *nlh;
	char name[16];

	put_map(b, at);
	nlh = rule_begin(b, "tree", 0, &list);
	if (!nlh)
		return;
	level_map(name, at);
	put_socket(nlh, at);
	elem = expr_begin(nlh, "lookup", &data);
	mnl_attr_put_strz(nlh, NFTA_LOOKUP_SET, name);
	put_u32(nlh, NFTA_LOOKUP_SREG, NFT_REG_1);
	put_u32(nlh, NFTA_LOOKUP_DREG, NFT_REG_VERDICT);
	expr_end(nlh, elem, data);
	rule_end(b, nlh, list);
}

static void put_data(struct nlmsghdr *nlh, u16 type, const void *value, u32 len)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, type);

	mnl_attr_put(nlh, NFTA_DATA_VALUE, len, value);
	mnl_attr_nest_end(nlh, nest);
}

static void put_cmp(struct nlmsghdr *nlh, const void *value, u32 len)
{
	struct nlattr *data, *elem = expr_begin(nlh, "cmp", &data);

	put_u32(nlh, NFTA_CMP_SREG, NFT_REG_1);
	put_u32(nlh, NFTA_CMP_OP, NFT_CMP_EQ);
	put_data(nlh, NFTA_CMP_DATA, value, len);
	expr_end(nlh, elem, data);
}

static void put_immediate(struct nlmsghdr *nlh, u32 code, const char *chain)
{
	struct nlattr *data, *elem = expr_begin(nlh, "immediate", &data);

	put_u32(nlh, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	put_verdict(nlh, NFTA_IMMEDIATE_DATA, code, chain);
	expr_end(nlh, elem, data);
}

static void put_goto(struct nlmsghdr *nlh, const char *chain)
{
	put_immediate(nlh, (u32)NFT_GOTO, chain);
}

static void put_drop(struct batch *b, const char *chain)
{
	struct nlattr *list;
	struct nlmsghdr *nlh = rule_begin(b, chain, NLM_F_APPEND, &list);

	if (!nlh)
		return;
	put_immediate(nlh, NF_DROP, NULL);
	rule_end(b, nlh, list);
}

/* A packet whose socket is below the root goes to `tree`. */
static void put_entry(struct batch *b, const char *chain, const struct nft_cgroup *root)
{
	struct nlattr *list;
	struct nlmsghdr *nlh = rule_begin(b, chain, NLM_F_APPEND, &list);

	if (!nlh)
		return;
	put_socket(nlh, root->level);
	put_cmp(nlh, &root->id, sizeof(root->id));
	put_goto(nlh, "tree");
	rule_end(b, nlh, list);
}

/* meta l4proto tcp, tcp flags & (syn | ack) == syn | ack */
static void put_synack(struct batch *b, const char *chain)
{
	static const u8 tcp = IPPROTO_TCP, flags = 0x12, none;
	struct nlattr *list, *data, *elem;
	struct nlmsghdr *nlh = rule_begin(b, chain, NLM_F_APPEND, &list);

	if (!nlh)
		return;
	elem = expr_begin(nlh, "meta", &data);
	put_u32(nlh, NFTA_META_KEY, NFT_META_L4PROTO);
	put_u32(nlh, NFTA_META_DREG, NFT_REG_1);
	expr_end(nlh, elem, data);
	put_cmp(nlh, &tcp, 1);
	elem = expr_begin(nlh, "payload", &data);
	put_u32(nlh, NFTA_PAYLOAD_DREG, NFT_REG_1);
	put_u32(nlh, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	put_u32(nlh, NFTA_PAYLOAD_OFFSET, 13);
	put_u32(nlh, NFTA_PAYLOAD_LEN, 1);
	expr_end(nlh, elem, data);
	elem = expr_begin(nlh, "bitwise", &data);
	put_u32(nlh, NFTA_BITWISE_SREG, NFT_REG_1);
	put_u32(nlh, NFTA_BITWISE_DREG, NFT_REG_1);
	put_u32(nlh, NFTA_BITWISE_LEN, 1);
	put_data(nlh, NFTA_BITWISE_MASK, &flags, 1);
	put_data(nlh, NFTA_BITWISE_XOR, &none, 1);
	expr_end(nlh, elem, data);
	put_cmp(nlh, &flags, 1);
	put_goto(nlh, "synack");
	rule_end(b, nlh, list);
}

static void put_queue(struct batch *b, const char *chain, u16 queue, u16 flags)
{
	struct xt_NFQ_info_v3 info = {.queuenum = queue, .queues_total = 1, .flags = flags};
	char padded[8] = {0}; /* the kernel counts in its own alignment */
	struct nlattr *list, *data, *elem;
	struct nlmsghdr *nlh = rule_begin(b, chain, NLM_F_APPEND, &list);

	if (!nlh)
		return;
	memcpy(padded, &info, sizeof(info));
	elem = expr_begin(nlh, "target", &data);
	mnl_attr_put_strz(nlh, NFTA_TARGET_NAME, "NFQUEUE");
	put_u32(nlh, NFTA_TARGET_REV, 3);
	mnl_attr_put(nlh, NFTA_TARGET_INFO, sizeof(padded), padded);
	expr_end(nlh, elem, data);
	rule_end(b, nlh, list);
}

static void queue_chain(char name[16], const struct nft_cgroup *cgroup)
{
	snprintf(name, 16, "q%u", cgroup->queue);
}

static void put_cgroup(struct batch *b, const struct nft_cgroup *cgroup)
{
	char chain[16];

	queue_chain(chain, cgroup);
	for (; b->rules->deepest < cgroup->level; b->rules->deepest++)
		put_level(b, b->rules->deepest + 1);
	put_chain(b, NFT_MSG_NEWCHAIN, chain, -1);
	put_queue(b, chain, cgroup->queue, b->rules->queue_flags);
	put_element(b, NFT_MSG_NEWSETELEM, cgroup, chain);
}

/* ---- outside */

int nft_start(struct nft_rules *r, const char *name, bool bypass)
{
	memset(r, 0, sizeof(*r));
	snprintf(r->table, sizeof(r->table), "%s", name);
	r->queue_flags = bypass ? NFQ_FLAG_BYPASS : 0;
	r->nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!r->nl || mnl_socket_bind(r->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return 0;
}

static void put_empty_table(struct batch *b)
{
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE); /* so that there is one to delete */
	put_table(b, NFT_MSG_DELTABLE, 0);
	put_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	put_chain(b, NFT_MSG_NEWCHAIN, "tree", -1);
	put_chain(b, NFT_MSG_NEWCHAIN, "input", NF_INET_LOCAL_IN);
	put_chain(b, NFT_MSG_NEWCHAIN, "output", NF_INET_LOCAL_OUT);
}

int nft_hold(struct nft_rules *r, const struct nft_cgroup *tree_root)
{
	struct batch b;

	batch_begin(&b, r);
	put_empty_table(&b);
	if (!(r->queue_flags & NFQ_FLAG_BYPASS)) {
		put_drop(&b, "tree");
		put_entry(&b, "input", tree_root);
		put_entry(&b, "output", tree_root);
	}
	return batch_commit(&b);
}

int nft_replace(struct nft_rules *r, const struct nft_cgroup *cgroups, u32 nr, u16 synack_queue)
{
	struct batch b;

	r->deepest = cgroups[0].level - 1;
	batch_begin(&b, r);
	put_empty_table(&b);
	put_chain(&b, NFT_MSG_NEWCHAIN, "synack", -1);
	put_queue(&b, "synack", synack_queue, NFQ_FLAG_BYPASS);
	for (u32 i = 0; i < nr; i++)
		put_cgroup(&b, &cgroups[i]);
	put_entry(&b, "input", &cgroups[0]);
	put_entry(&b, "output", &cgroups[0]);
	put_synack(&b, "output");
	return batch_commit(&b);
}

int nft_add(struct nft_rules *r, const struct nft_cgroup *cgroups, u32 nr)
{
	u32 before = r->deepest;
	struct batch b;
	int err;

	batch_begin(&b, r);
	for (u32 i = 0; i < nr; i++)
		put_cgroup(&b, &cgroups[i]);
	err = batch_commit(&b);
	if (err)
		r->deepest = before;
	return err;
}

int nft_remove(struct nft_rules *r, const struct nft_cgroup *cgroup)
{
	struct nlmsghdr *nlh;
	struct batch b;
	char chain[16];

	queue_chain(chain, cgroup);
	batch_begin(&b, r);
	put_element(&b, NFT_MSG_DELSETELEM, cgroup, chain);
	nlh = change(&b, NFT_MSG_DELRULE, 0);
	if (nlh) {
		mnl_attr_put_strz(nlh, NFTA_RULE_TABLE, r->table);
		mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
		change_done(&b, nlh);
	}
	put_chain(&b, NFT_MSG_DELCHAIN, chain, -1);
	return batch_commit(&b);
}

void nft_stop(struct nft_rules *r, bool remove)
{
	struct batch b;

	if (r->nl && remove) {
		batch_begin(&b, r);
		put_table(&b, NFT_MSG_DELTABLE, 0);
		batch_commit(&b);
	}
	if (r->nl)
		mnl_socket_close(r->nl);
	r->nl = NULL;
}
