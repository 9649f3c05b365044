/*
 * queue.c - the thread between the kernel's queues and the programs (see enforce/queue.h)
 *
 * Answers to configuration requests come on the socket that packets come on, so the thread reads them and wakes the
 * one who asked. A burst of packets is a run section with a kept slot; while the thread waits it has none.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "core/run.h"
#include "fs/enforce/host_cgroup.h"
#include "fs/enforce/listener.h"
#include "fs/fuse/pace.h"
#include "fs/enforce/queue.h"
#include "prog_type/skb.h"
#include "util/clock.h"

#define NR_QUEUES    (65536u - NFQUEUE_FIRST)
#define BURST	     32u /* messages a system call */
#define MESSAGE_MAX  (65536u + 4096u)
#define COPY_RANGE   0xffffu
#define QUEUE_LEN    16384u /* packets that may wait for us in one queue */
#define RECEIVE_ROOM (64 << 20)
#define VERDICT_ROOM 65536u
#define SPIN_MAX     50000u /* ns that the thread looks for the next packet before it sleeps */
#define SPIN_MIN     5000u
#define RUN_LIMIT_NS 1000000000ULL /* processor time of the programs on one packet */

struct queue {
	struct cgroup *cgrp; /* RCU; referenced */
	u64 id; /* the kernel's of that cgroup */
	struct queue *next; /* of the same bucket of ids */
	bool bound, listeners; /* listeners: for SYN-ACKs */
	u32 last; /* the newest packet of the run of verdicts that is not sent yet */
	u32 verdict;
	bool waiting; /* there is such a run */
};

static struct pace pace; /* the thread's */
static volatile bool run_over;

static struct mnl_socket *nl;
static pthread_t thread;
static bool running, stopping;
static struct queue *queues;
static u32 next_queue;

/* Cgroups by the kernel's id, for SYN-ACKs. */
#define ID_BUCKETS 4096
static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue *ids[ID_BUCKETS];

/* A configuration request and its answer. */
static pthread_mutex_t ask_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ask_cond = PTHREAD_COND_INITIALIZER;
static u32 ask_seq; /* never 0: verdicts have that */
static bool ask_done;
static int ask_err;

/* ---- verdicts */

static char out[VERDICT_ROOM + MESSAGE_MAX];
static size_t out_len;
static u16 dirty[BURST]; /* queues with a waiting run */
static u32 nr_dirty;

static void out_send(void)
{
	if (out_len)
		mnl_socket_sendto(nl, out, out_len); /* a failure means the queue is gone */
	out_len = 0;
}

static struct nlmsghdr *verdict_begin(u16 type, u32 queue, u32 id, u32 verdict)
{
	struct nfqnl_msg_verdict_hdr hdr = {.verdict = htonl(verdict), .id = htonl(id)};
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(out + out_len);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons((u16)queue);
	mnl_attr_put(nlh, NFQA_VERDICT_HDR, sizeof(hdr), &hdr);
	return nlh;
}

static void verdict_end(struct nlmsghdr *nlh)
{
	out_len += MNL_ALIGN(nlh->nlmsg_len);
	if (out_len > VERDICT_ROOM)
		out_send();
}

static void run_end(struct queue *q)
{
	if (q->waiting)
		verdict_end(verdict_begin(NFQNL_MSG_VERDICT_BATCH,
					  (u32)(q - queues) + NFQUEUE_FIRST, q->last, q->verdict));
	q->waiting = false;
}

static void run_add(struct queue *q, u32 id, u32 verdict)
{
	if (q->waiting && q->verdict != verdict)
		run_end(q);
	if (!q->waiting) {
		u32 i;

		for (i = 0; i < nr_dirty && &queues[dirty[i]] != q; i++)
			;
		if (i == nr_dirty)
			dirty[nr_dirty++] = (u16)(q - queues);
	}
	q->waiting = true;
	q->verdict = verdict;
	q->last = id;
}

static void burst_end(void)
{
	for (u32 i = 0; i < nr_dirty; i++)
		run_end(&queues[dirty[i]]);
	nr_dirty = 0;
	out_send();
}

/* ---- packets */

struct packet {
	u32 id, hook;
	u32 len; /* of the packet; what is copied may be less */
	u8 *data;
	u32 copied;
	u32 mark, indev, outdev, priority;
	bool has_vlan;
	u32 vlan_tci, vlan_proto;
};

static u32 attr_u32(const struct nlattr *attr)
{
	return mnl_attr_get_payload_len(attr) >= 4 ? ntohl(mnl_attr_get_u32(attr)) : 0;
}

static void parse_vlan(const struct nlattr *nest, struct packet *p)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, nest)
	{
		if (mnl_attr_get_payload_len(attr) < 2)
			continue;
		if (mnl_attr_get_type(attr) == NFQA_VLAN_TCI)
			p->vlan_tci = ntohs(mnl_attr_get_u16(attr));
		if (mnl_attr_get_type(attr) == NFQA_VLAN_PROTO)
			p->vlan_proto = mnl_attr_get_u16(attr);
		p->has_vlan = true;
	}
}

static bool parse_packet(const struct nlmsghdr *nlh, struct packet *p)
{
	const struct nfqnl_msg_packet_hdr *hdr = NULL;
	const struct nlattr *attr;

	memset(p, 0, sizeof(*p));
	mnl_attr_for_each(attr, nlh, sizeof(struct nfgenmsg))
	{
		switch (mnl_attr_get_type(attr)) {
		case NFQA_PACKET_HDR:
			if (mnl_attr_get_payload_len(attr) >= sizeof(*hdr))
				hdr = mnl_attr_get_payload(attr);
			break;
		case NFQA_PAYLOAD:
			p->data = mnl_attr_get_payload(attr);
			p->copied = mnl_attr_get_payload_len(attr);
			break;
		case NFQA_CAP_LEN:
			p->len = attr_u32(attr);
			break;
		case NFQA_MARK:
			p->mark = attr_u32(attr);
			break;
		case NFQA_IFINDEX_INDEV:
			p->indev = attr_u32(attr);
			break;
		case NFQA_IFINDEX_OUTDEV:
			p->outdev = attr_u32(attr);
			break;
		case NFQA_PRIORITY:
			p->priority = attr_u32(attr);
			break;
		case NFQA_VLAN:
			parse_vlan(attr, p);
			break;
		}
	}
	if (!hdr)
		return false;
	p->id = ntohl(hdr->packet_id);
	p->hook = hdr->hook;
	p->len = max(p->len, p->copied);
	return true;
}

/* Ports of the first fragment of what has them: local in host order, remote in network order, as __sk_buff says. */
static void fill_ports(struct bpf_skb *skb, bool out)
{
	const u8 *p = skb->network;
	u32 room = (u32)(skb->data_end - p), off, proto;
	u16 src, dst;

	if (room < 20)
		return;
	if (skb->md.family == AF_INET) {
		off = (p[0] & 15u) * 4;
		proto = p[9];
		if ((p[6] & 0x1f) || p[7])
			return;
	} else {
		off = 40;
		proto = room > 40 ? p[6] : 0;
	}
	if ((proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_UDPLITE &&
	     proto != IPPROTO_SCTP) ||
	    room < off + 4)
		return;
	memcpy(&src, p + off, 2);
	memcpy(&dst, p + off + 2, 2);
	skb->md.local_port = ntohs(out ? src : dst);
	skb->md.remote_port = out ? dst : src;
}

static void swap_u32(u32 *a, u32 *b)
{
	u32 t = *a;

	*a = *b;
	*b = t;
}

static void fill_skb(struct bpf_skb *skb, const struct packet *p, struct cgroup *cgrp)
{
	bool out = p->hook == NF_INET_LOCAL_OUT;

	bpf_skb_init(skb, p->data, p->copied, 0, p->copied);
	bpf_skb_parse_ip(skb);
	bpf_skb_fill_addresses(skb); /* local is the sender's */
	if (!out) {
		swap_u32(&skb->md.local_ip4, &skb->md.remote_ip4);
		for (u32 i = 0; i < 4; i++)
			swap_u32(&skb->md.local_ip6[i], &skb->md.remote_ip6[i]);
	}
	fill_ports(skb, out);
	skb->md.len = skb->md.wire_len = p->len;
	skb->md.mark = p->mark;
	skb->md.priority = p->priority;
	skb->md.ifindex = out ? p->outdev : p->indev;
	skb->md.ingress_ifindex = p->indev;
	if (p->has_vlan) {
		skb->md.vlan_present = 1;
		skb->md.vlan_tci = p->vlan_tci;
		skb->md.vlan_proto = p->vlan_proto;
	}
	skb->cgrp = cgrp;
}

/* NULL: none of ours. What is returned cannot go while the caller is in a run section. */
static struct cgroup *cgroup_by_id(u64 id)
{
	struct cgroup *cgrp = NULL;
	struct queue *q;

	pthread_mutex_lock(&ids_lock);
	for (q = ids[id % ID_BUCKETS]; q && q->id != id; q = q->next)
		;
	if (q)
		cgrp = bpf_rcu_dereference(q->cgrp);
	pthread_mutex_unlock(&ids_lock);
	return cgrp;
}

static bool is_ours(u64 id)
{
	return cgroup_by_id(id) != NULL;
}

/* In the run section. NULL: none of ours. */
static struct cgroup *cgroup_of_listener(const struct packet *p)
{
	struct cgroup *cgrp;
	struct bpf_skb skb;
	u64 id = 0;

	fill_skb(&skb, p, NULL);
	if (skb.md.local_port && skb.md.family == AF_INET)
		id = listener_cgroup(AF_INET, &skb.md.local_ip4, htons((u16)skb.md.local_port),
				     p->outdev);
	else if (skb.md.local_port)
		id = listener_cgroup(AF_INET6, skb.md.local_ip6, htons((u16)skb.md.local_port),
				     p->outdev);
	if (!id)
		return NULL;
	cgrp = cgroup_by_id(id);
	/* In a directory that somebody made below one of ours, perhaps. */
	return cgrp ? cgrp : cgroup_by_id(hostcg_nearest(id, is_ours));
}

/* The bytes that bpf_skb_ecn_set_ce() may change: traffic class, IPv4 checksum. */
#define WRITABLE 12u

static void packet_run(const struct nlmsghdr *nlh)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);
	u32 number = ntohs(nfg->res_id);
	u8 before[WRITABLE];
	struct cgroup *cgrp;
	struct bpf_skb skb;
	struct packet p;
	struct queue *q;
	u32 verdict;
	bool changed;

	if (number < NFQUEUE_FIRST || !parse_packet(nlh, &p))
		return;
	q = &queues[number - NFQUEUE_FIRST];
	if (q->listeners && p.copied >= 20) {
		cgrp = cgroup_of_listener(&p);
		if (!cgrp) { /* somebody else's */
			run_add(q, p.id, NF_ACCEPT);
			return;
		}
	} else {
		cgrp = bpf_rcu_dereference(q->cgrp);
		if (!cgrp)
			return; /* its queue is gone, and the kernel's packet with it */
	}
	if (p.copied < 20) {
		run_add(q, p.id, NF_DROP); /* not even a header */
		return;
	}
	fill_skb(&skb, &p, cgrp);
	memcpy(before, p.data, WRITABLE);
	bpf_this.cancelled_prog = NULL;
	pace_go_on(&pace);
	verdict = cgroup_bpf_run(cgrp,
				 p.hook == NF_INET_LOCAL_OUT ? CGROUP_INET_EGRESS
							     : CGROUP_INET_INGRESS,
				 &skb, NULL)
			  ? NF_ACCEPT
			  : NF_DROP;
	/* All packets of all cgroups wait for it. It will be no quicker with the next one: it runs no more, and drops. */
	if (pace_pause(&pace) && bpf_this.cancelled_prog)
		WRITE_ONCE(bpf_this.cancelled_prog->poisoned, true);
	changed = memcmp(before, p.data, WRITABLE) && p.len == p.copied;
	if (verdict == NF_DROP ||
	    (skb.md.mark == p.mark && skb.md.priority == p.priority && !changed)) {
		run_add(q, p.id, verdict);
		return;
	}
	run_end(q);
	{
		struct nlmsghdr *v = verdict_begin(NFQNL_MSG_VERDICT, number, p.id, NF_ACCEPT);

		if (skb.md.mark != p.mark)
			mnl_attr_put_u32(v, NFQA_MARK, htonl(skb.md.mark));
		if (skb.md.priority != p.priority)
			mnl_attr_put_u32(v, NFQA_PRIORITY, htonl(skb.md.priority));
		if (changed)
			mnl_attr_put(v, NFQA_PAYLOAD, p.copied, p.data);
		verdict_end(v);
	}
}

/* ---- the thread */

static void answer(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	if (!nlh->nlmsg_seq)
		return;
	pthread_mutex_lock(&ask_lock);
	if (nlh->nlmsg_seq == ask_seq) {
		ask_err = e->error;
		ask_done = true;
		pthread_cond_broadcast(&ask_cond);
	}
	pthread_mutex_unlock(&ask_lock);
}

static void messages(char *buf, size_t len)
{
	const struct nlmsghdr *nlh = (void *)buf;
	int left = (int)len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (nlh->nlmsg_type == NLMSG_ERROR)
			answer(nlh);
		else if (nlh->nlmsg_type == (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET))
			packet_run(nlh);
	}
}

/* Room for a burst; untouched pages cost nothing. */
struct burst {
	struct mmsghdr hdrs[BURST];
	struct iovec iov[BURST];
	char buf[BURST][MESSAGE_MAX];
};

/*
 * A thread that sleeps is woken late: on an idle CPU, and in a virtual machine more so, that takes several times as long as
 * a packet does here. The next one is often near (the other hook of the same packet, the reply), so the thread looks for
 * it for a moment before it sleeps: for *spin ns, which grow while it would have paid and shrink to nothing else.
 */
static int receive(int fd, struct burst *b, u64 *spin)
{
	u64 begin = monotonic_ns(), waited;
	int n;

	while (*spin && monotonic_ns() - begin < *spin) {
		n = recvmmsg(fd, b->hdrs, BURST, MSG_DONTWAIT, NULL);
		if (n > 0)
			return n;
		sched_yield(); /* who wants this CPU goes first */
	}
	n = recvmmsg(fd, b->hdrs, BURST, MSG_WAITFORONE, NULL);
	waited = monotonic_ns() - begin;
	if (waited > SPIN_MAX)
		*spin /= 2;
	else
		*spin = min(*spin * 2, (u64)SPIN_MAX);
	if (*spin < SPIN_MIN)
		*spin = waited > SPIN_MAX ? 0 : SPIN_MIN;
	return n;
}

static void *loop(void *arg)
{
	struct burst *b = arg;
	int fd = mnl_socket_get_fd(nl);
	u64 spin = 0;

	for (u32 i = 0; i < BURST; i++) {
		b->iov[i] = (struct iovec){b->buf[i], MESSAGE_MAX};
		b->hdrs[i].msg_hdr.msg_iov = &b->iov[i];
		b->hdrs[i].msg_hdr.msg_iovlen = 1;
	}
	bpf_run_set_cancel(&run_over);
	pace_begin(&pace, PACE_PACKETS, RUN_LIMIT_NS, &run_over);
	pace_pause(&pace);
	while (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE)) {
		int n = receive(fd, b, &spin);

		if (n <= 0)
			continue;
		bpf_slot_keep();
		bpf_run_enter();
		for (int i = 0; i < n; i++)
			messages(b->buf[i], b->hdrs[i].msg_len);
		bpf_run_exit();
		burst_end();
		bpf_slot_release();
	}
	pace_end(&pace);
	free(b);
	return NULL;
}

/* ---- configuration */

/* Send a request and wait for the thread to read the answer. */
static int ask(struct nlmsghdr *nlh)
{
	struct timespec until;
	int err;

	pthread_mutex_lock(&ask_lock);
	ask_seq = ask_seq + 1 ? ask_seq + 1 : 1;
	ask_done = false;
	nlh->nlmsg_seq = ask_seq;
	err = mnl_socket_sendto(nl, nlh, nlh->nlmsg_len) < 0 ? -errno : 0;
	until = clock_after(CLOCK_REALTIME, 10000000000ULL);
	while (!err && !ask_done)
		err = -pthread_cond_timedwait(&ask_cond, &ask_lock, &until);
	if (!err)
		err = ask_err;
	pthread_mutex_unlock(&ask_lock);
	return err;
}

static struct nlmsghdr *config_begin(char *buf, u32 queue)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons((u16)queue);
	return nlh;
}

static int command(u32 queue, u8 cmd)
{
	struct nfqnl_msg_config_cmd c = {.command = cmd, .pf = htons(AF_UNSPEC)};
	char buf[256];
	struct nlmsghdr *nlh = config_begin(buf, queue);

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(c), &c);
	return ask(nlh);
}

static int bind_queue(u32 queue)
{
	struct nfqnl_msg_config_cmd c = {.command = NFQNL_CFG_CMD_BIND, .pf = htons(AF_UNSPEC)};
	struct nfqnl_msg_config_params params = {.copy_range = htonl(COPY_RANGE),
						 .copy_mode = NFQNL_COPY_PACKET};
	char buf[256];
	struct nlmsghdr *nlh = config_begin(buf, queue);

	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(c), &c);
	/* Without GSO the kernel cuts large packets up and computes their checksums before we see them. */
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO | NFQA_CFG_F_FAIL_OPEN));
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(QUEUE_LEN));
	return ask(nlh);
}

int nfqueue_start(u32 first)
{
	int room = RECEIVE_ROOM, one = 1, err;
	struct burst *b = calloc(1, sizeof(*b));

	queues = calloc(NR_QUEUES, sizeof(*queues));
	nl = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
	if (!b || !queues || !nl || mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) < 0) {
		err = b && queues ? -errno : -ENOMEM;
		free(b);
		return err;
	}
	if (setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) < 0)
		setsockopt(mnl_socket_get_fd(nl), SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	setsockopt(mnl_socket_get_fd(nl), SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	stopping = false;
	next_queue = first % NR_QUEUES;
	err = listener_start();
	if (!err)
		err = -pthread_create(&thread, NULL, loop, b);
	if (err)
		free(b);
	running = !err;
	return err;
}

static void ids_add(struct queue *q)
{
	pthread_mutex_lock(&ids_lock);
	q->next = ids[q->id % ID_BUCKETS];
	ids[q->id % ID_BUCKETS] = q;
	pthread_mutex_unlock(&ids_lock);
}

static void ids_remove(struct queue *q)
{
	struct queue **at;

	pthread_mutex_lock(&ids_lock);
	for (at = &ids[q->id % ID_BUCKETS]; *at && *at != q; at = &(*at)->next)
		;
	if (*at)
		*at = q->next;
	pthread_mutex_unlock(&ids_lock);
}

int nfqueue_bind(struct cgroup *cgrp, u64 id, u16 *queue)
{
	for (u32 tries = 0; tries < NR_QUEUES; tries++) {
		u32 i = next_queue++ % NR_QUEUES;
		int err;

		if (queues[i].bound)
			continue;
		err = bind_queue(i + NFQUEUE_FIRST);
		if (err == -EBUSY || (err == -EPERM && tries < 64))
			continue; /* somebody else's */
		if (err)
			return err;
		queues[i].bound = true;
		queues[i].listeners = !cgrp;
		queues[i].id = id;
		if (cgrp) {
			cgroup_get(cgrp);
			bpf_rcu_assign_pointer(queues[i].cgrp, cgrp);
			ids_add(&queues[i]);
		}
		*queue = (u16)(i + NFQUEUE_FIRST);
		return 0;
	}
	return -ENOSPC;
}

void nfqueue_unbind(u16 queue)
{
	struct queue *q = &queues[queue - NFQUEUE_FIRST];
	struct cgroup *cgrp = q->cgrp;

	command(queue, NFQNL_CFG_CMD_UNBIND);
	ids_remove(q);
	bpf_rcu_assign_pointer(q->cgrp, NULL);
	bpf_synchronize_rcu();
	q->bound = false;
	cgroup_put(cgrp);
}

void nfqueue_stop(void)
{
	if (running) {
		__atomic_store_n(&stopping, true, __ATOMIC_RELEASE);
		command(0, NFQNL_CFG_CMD_PF_BIND); /* nothing but an answer, to wake the thread */
		pthread_join(thread, NULL);
	}
	running = false;
	if (nl)
		mnl_socket_close(nl);
	nl = NULL;
	listener_stop();
	memset(ids, 0, sizeof(ids));
	for (u32 i = 0; queues && i < NR_QUEUES; i++)
		cgroup_put(queues[i].cgrp);
	free(queues);
	queues = NULL;
}
