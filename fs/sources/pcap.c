/*
 * pcap.c - packets of a capture file or of an interface (libpcap)
 *
 * Programs see Ethernet frames; packets captured without a link header (raw IP, Linux cooked, BSD
 * loopback) get one. What a program lets pass is written to `out`, as the program left it: a
 * socket_filter says how many bytes to keep, xdp and sched_cls an action (XDP_PASS; TC_ACT_OK,
 * TC_ACT_PIPE, TC_ACT_RECLASSIFY, TC_ACT_UNSPEC). What it redirects is counted and goes nowhere;
 * everything else counts as dropped.
 *
 * Files and interfaces are read, and `out` is written, by processes of the owner's (capture.h,
 * agent/service/interface.h, out.h): they may be slow or hang, and then this source's thread waits
 * for them, without a slot, until it is stopped. An interface's owner must be root, or whoever runs
 * the server, and needs the right to capture.
 */
#include <arpa/inet.h>
#include <linux/pkt_cls.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pcap/dlt.h>
#include <poll.h>
#include <sys/socket.h>
#include "fs/agent/service/capture.h"
#include "fs/agent/service/interface.h"
#include "fs/agent/service/out.h"
#include "fs/agent/service/packets.h"
#include "fs/sources/source.h"
#include "prog_type/skb/skb.h"
#include "prog_type/xdp.h"

#define SNAPLEN	 CAPTURE_SNAPLEN
#define ROOM	 (SNAPLEN + 4096u) /* what a program may add, at either end */
#define OUT_FULL 65536 /* bytes for `out` that are worth a message */
#define OUT_ROOM (OUT_FULL + sizeof(struct out_record) + ROOM)
#define BURST	 64

struct pcap_source {
	bool live;
	int link; /* of the packets */
	int ifindex;
	int sock; /* packets come from there */
	char *message; /* of that process, AGENT_MSG_MAX */
	size_t at, end; /* packets in it that were not run yet */
	int out_sock; /* -1: no out */
	u8 *out; /* whole records, OUT_ROOM */
	size_t out_len;
	u8 buf[BPF_SKB_HEADROOM + ROOM];
};

_Static_assert(OUT_ROOM <= AGENT_MSG_MAX, "records are sent whole");

static const char *pcap_missing(const struct source_def *def)
{
	return def->value[SOURCE_FILE] || def->value[SOURCE_INTERFACE] ? NULL
								       : "file (or interface)";
}

static bool pcap_accepts(enum bpf_prog_type type)
{
	return type == BPF_PROG_TYPE_SOCKET_FILTER || type == BPF_PROG_TYPE_XDP ||
	       type == BPF_PROG_TYPE_SCHED_CLS;
}

/* ---- out */

static int out_open(struct source *src, struct pcap_source *ps)
{
	const char *path = src->def.value[SOURCE_OUT];
	char request[sizeof(struct out_request) + SOURCE_VALUE_MAX + 1];
	struct out_request req = {src->again && ps->live, SNAPLEN, DLT_EN10MB};
	int err;

	if (!path)
		return 0;
	memcpy(request, &req, sizeof(req));
	strcpy(request + sizeof(req), path);
	ps->out = malloc(OUT_ROOM);
	if (!ps->out)
		return -ENOMEM;
	ps->out_sock =
		source_agent(src, AGENT_OUT, request, sizeof(req) + strlen(path) + 1, &src->why);
	if (ps->out_sock < 0)
		return ps->out_sock;
	err = agent_status(ps->out_sock, src->stop_fd, -1, &src->why);
	if (err)
		error_about(&src->why, err, "out");
	return err;
}

/* There is room: a burst ends with OUT_FULL. */
static void out_write(struct pcap_source *ps, const struct capture_packet *packet, const u8 *data,
		      u32 caplen, u32 len)
{
	struct out_record record = {packet->sec, packet->usec, caplen, len};

	if (ps->out_sock < 0)
		return;
	memcpy(ps->out + ps->out_len, &record, sizeof(record));
	memcpy(ps->out + ps->out_len + sizeof(record), data, caplen);
	ps->out_len += sizeof(record) + caplen;
}

/*
 * Why the file's process has ended before the source did: the disk is full, say. What is whole
 * stays.
 */
static int out_failed(struct source *src, struct pcap_source *ps)
{
	int err = agent_status(ps->out_sock, src->stop_fd, 1000, &src->why);

	source_count(src, errors, 1);
	if (!err)
		err = error_set(&src->why, EIO, "it was closed");
	error_about(&src->why, err, "out");
	return err;
}

/* May wait as long as the file does, or as `timeout` says. */
static int out_flush(struct source *src, struct pcap_source *ps, int timeout)
{
	int err;

	if (!ps->out_len)
		return 0;
	err = agent_send(ps->out_sock, ps->out, ps->out_len, src->stop_fd, timeout);
	if (err == -ECANCELED)
		return err;
	ps->out_len = 0;
	return err ? out_failed(src, ps) : 0;
}

/* All is in the file, or the source is being stopped. */
static int out_finish(struct source *src, struct pcap_source *ps)
{
	int err;

	if (ps->out_sock < 0)
		return 0;
	err = out_flush(src, ps, -1);
	if (err)
		return err;
	shutdown(ps->out_sock, SHUT_WR);
	err = agent_status(ps->out_sock, src->stop_fd, -1, &src->why);
	if (!err || err == -ECANCELED)
		return err;
	source_count(src, errors, 1);
	error_about(&src->why, err, "out");
	return err;
}

/* Something else has failed, and src->why says it: what was found before that is kept. */
static void out_give_up(struct source *src, struct pcap_source *ps)
{

	if (ps->out_sock < 0 ||
	    (ps->out_len && agent_send(ps->out_sock, ps->out, ps->out_len, src->stop_fd, -1)))
		return;
	ps->out_len = 0;
	shutdown(ps->out_sock, SHUT_WR);
	agent_status(ps->out_sock, src->stop_fd, -1, NULL);
}

/* ---- opening */

static int next_message(struct source *src, struct pcap_source *ps, int timeout)
{
	struct capture_message *msg = (void *)ps->message;
	ssize_t len = agent_recv(ps->sock, msg, AGENT_MSG_MAX, NULL, src->stop_fd, timeout);

	if (len < 0)
		return (int)len;
	if (len < (ssize_t)sizeof(*msg))
		return error_set(&src->why, EIO, "the process that read the packets has ended");
	ps->at = sizeof(*msg);
	ps->end = (size_t)len;
	if (msg->kind == CAPTURE_LOST)
		source_count(src, lost, (u32)msg->value);
	return 0;
}

/* A process of the owner's, and what its packets are. */
static int open_packets(struct source *src, struct pcap_source *ps, enum agent_service service,
			const void *req, size_t req_len, const char *name)
{
	const char *filter = src->def.value[SOURCE_FILTER] ?: "";
	size_t n = strlen(name) + 1, m = strlen(filter) + 1;
	struct capture_message *msg;
	__do_free char *arg = malloc(req_len + n + m);
	int err;

	msg = malloc(AGENT_MSG_MAX);
	ps->message = (char *)msg;
	if (!arg || !msg)
		return -ENOMEM;
	if (req_len)
		memcpy(arg, req, req_len);
	memcpy(arg + req_len, name, n);
	memcpy(arg + req_len + n, filter, m);
	ps->sock = source_agent(src, service, arg, req_len + n + m, &src->why);
	if (ps->sock < 0)
		return ps->sock;
	err = agent_status(ps->sock, src->stop_fd, -1, &src->why);
	if (!err)
		err = next_message(src, ps, -1);
	if (!err && msg->kind != CAPTURE_LINK)
		err = -EIO;
	if (err)
		return err;
	ps->link = msg->value;
	ps->at = ps->end;
	return 0;
}

/* What leaves is not XDP's; and the loopback shows each packet twice, leaving and coming. */
static bool only_incoming(const struct source *src, const char *name)
{
	return src->prog_type == BPF_PROG_TYPE_XDP || !strcmp(name, "lo");
}

static int open_interface(struct source *src, struct pcap_source *ps)
{
	const char *name = src->def.value[SOURCE_INTERFACE];
	const struct interface_request req = {only_incoming(src, name)};

	if (src->uid != geteuid())
		return error_set(&src->why, EPERM,
				 "only root, or the user that runs the server, captures on an "
				 "interface: this source is uid %u's",
				 src->uid);
	if (strcmp(name, "any") && !(ps->ifindex = (int)if_nametoindex(name)))
		return error_set(&src->why, ENODEV,
				 "there is no interface %s (`ip link` lists them; `any` is all)",
				 name);
	ps->live = true;
	return open_packets(src, ps, AGENT_INTERFACE, &req, sizeof(req), name);
}

static int pcap_source_open(struct source *src)
{
	const char *file = src->def.value[SOURCE_FILE];
	struct pcap_source *ps = calloc(1, sizeof(*ps));
	int err;

	if (!ps)
		return -ENOMEM;
	src->priv = ps;
	ps->sock = ps->out_sock = -1;
	err = file ? open_packets(src, ps, AGENT_CAPTURE, NULL, 0, file) : open_interface(src, ps);
	return err ? err : out_open(src, ps);
}

/* What is on its way to `out` is written there, a moment later. */
static void pcap_source_close(struct source *src)
{
	struct pcap_source *ps = src->priv;

	if (!ps)
		return;
	if (ps->out_sock >= 0)
		close(ps->out_sock);
	if (ps->sock >= 0)
		close(ps->sock);
	free(ps->out);
	free(ps->message);
	free(ps);
	src->priv = NULL;
}

/* ---- packets */

/* Where the network header begins, for links other than Ethernet: -1 is Ethernet. */
static int network_offset(int link)
{
	switch (link) {
	case DLT_EN10MB:
		return -1;
	case DLT_LINUX_SLL:
		return 16;
	case DLT_LINUX_SLL2:
		return 20;
	case DLT_NULL:
	case DLT_LOOP:
		return 4;
	default:
		return 0;
	}
}

/*
 * Copy the frame to buf + headroom, with an Ethernet header. Its length, or 0 when it cannot be
 * one.
 */
static u32 copy_frame(struct pcap_source *ps, const struct capture_packet *hdr, const u8 *data)
{
	struct ether_header *eth = (void *)(ps->buf + BPF_SKB_HEADROOM);
	int off = network_offset(ps->link);
	u32 len = hdr->caplen;

	if (off < 0) {
		if (len < sizeof(*eth) || len > SNAPLEN)
			return 0;
		memcpy(eth, data, len);
		return len;
	}
	if (len <= (u32)off || len - (u32)off > SNAPLEN)
		return 0;
	memset(eth, 0, sizeof(*eth));
	eth->ether_type = htons(data[off] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	memcpy(eth + 1, data + off, len - (u32)off);
	return len - (u32)off + (u32)sizeof(*eth);
}

static bool run_filter(struct source *src, struct pcap_source *ps, const struct capture_packet *hdr,
		       u32 len)
{
	struct bpf_skb skb;
	u32 keep;

	bpf_skb_init(&skb, ps->buf, sizeof(ps->buf), BPF_SKB_HEADROOM, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	skb.md.ifindex = skb.md.ingress_ifindex = (u32)ps->ifindex;
	if (!source_run(src, &skb, NULL, &keep) || !keep)
		return false;
	out_write(ps, hdr, skb.data, min(keep, len), max(hdr->len, len));
	return true;
}

enum fate { DROPPED, PASSED, REDIRECTED };

static enum fate run_cls(struct source *src, struct pcap_source *ps,
			 const struct capture_packet *hdr, u32 len)
{
	struct bpf_skb skb;
	u32 ret;

	bpf_skb_init(&skb, ps->buf, sizeof(ps->buf), BPF_SKB_HEADROOM, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	skb.md.ifindex = skb.md.ingress_ifindex = (u32)ps->ifindex;
	if (!source_run(src, &skb, NULL, &ret))
		return DROPPED;
	if (ret == TC_ACT_REDIRECT)
		return REDIRECTED;
	if (ret != TC_ACT_OK && ret != TC_ACT_PIPE && ret != TC_ACT_RECLASSIFY &&
	    ret != (u32)TC_ACT_UNSPEC)
		return DROPPED;
	out_write(ps, hdr, skb.data, skb.md.len, skb.md.len + (hdr->len - hdr->caplen));
	return PASSED;
}

static enum fate run_xdp(struct source *src, struct pcap_source *ps,
			 const struct capture_packet *hdr, u32 len)
{
	struct bpf_xdp xdp;
	u32 ret, now;

	bpf_xdp_init(&xdp, ps->buf, sizeof(ps->buf), BPF_SKB_HEADROOM, len);
	xdp.md.ingress_ifindex = (u32)ps->ifindex;
	if (!source_run(src, &xdp, NULL, &ret))
		return DROPPED;
	if (ret != XDP_PASS)
		return ret == XDP_REDIRECT ? REDIRECTED : DROPPED;
	now = (u32)(xdp.data_end - xdp.data);
	out_write(ps, hdr, xdp.data, now, now + (hdr->len - hdr->caplen));
	return PASSED;
}

static void packet(struct source *src, struct pcap_source *ps, const struct capture_packet *hdr,
		   const u8 *data)
{
	u32 len = copy_frame(ps, hdr, data);
	enum fate fate;

	source_count(src, seen, 1);
	if (!len || hdr->len < hdr->caplen) {
		source_count(src, errors, 1);
		return;
	}
	if (src->prog_type == BPF_PROG_TYPE_XDP)
		fate = run_xdp(src, ps, hdr, len);
	else if (src->prog_type == BPF_PROG_TYPE_SCHED_CLS)
		fate = run_cls(src, ps, hdr, len);
	else
		fate = run_filter(src, ps, hdr, len) ? PASSED : DROPPED;
	if (fate == REDIRECTED)
		source_count(src, redirected, 1);
	else if (fate == DROPPED)
		source_count(src, dropped, 1);
}

static bool out_full(const struct pcap_source *ps)
{
	return ps->out_len >= OUT_FULL;
}

enum more { MORE, NONE_NOW, THE_END, BROKEN };

/*
 * The next packet of the message, without waiting. What does not add up was not written by
 * packets.c.
 */
static enum more next_packet(struct source *src, struct pcap_source *ps,
			     struct capture_packet *packet, const u8 **data)
{
	const struct capture_message *msg = (void *)ps->message;
	size_t left = ps->end - ps->at;

	if (!left)
		return NONE_NOW;
	if (msg->kind == CAPTURE_ERROR) {
		error_set(&src->why, EIO, "%.*s", (int)left, msg->body);
		return BROKEN;
	}
	memcpy(packet, ps->message + ps->at, min(left, sizeof(*packet)));
	if (msg->kind != CAPTURE_PACKETS || left < sizeof(*packet) ||
	    left - sizeof(*packet) < packet->caplen) {
		error_set(&src->why, EIO, "the process that read the packets made no sense");
		return BROKEN;
	}
	*data = (const u8 *)ps->message + ps->at + sizeof(*packet);
	ps->at += sizeof(*packet) + packet->caplen;
	return MORE;
}

/* Up to BURST packets. */
static enum more burst(struct source *src, struct pcap_source *ps)
{
	struct capture_packet hdr;
	enum more more = MORE;
	const u8 *data;

	source_burst_begin();
	for (int n = 0; n < BURST && !out_full(ps) && !source_stopping(src); n++) {
		more = next_packet(src, ps, &hdr, &data);
		if (more != MORE)
			break;
		packet(src, ps, &hdr, data);
	}
	source_burst_end();
	return more;
}

/* Until there is something to do. What was found so far goes out before. */
static enum more wait_for_file(struct source *src, struct pcap_source *ps)
{
	const struct capture_message *msg = (void *)ps->message;
	int err = next_message(src, ps, 0);

	if (err == -ETIMEDOUT) {
		err = out_flush(src, ps, -1);
		if (!err)
			err = next_message(src, ps, -1);
	}
	if (!err && msg->kind == CAPTURE_END)
		err = out_finish(src, ps) ?: 1;
	return !err ? MORE : err > 0 ? THE_END : BROKEN;
}

/* The same, where packets may not come for long: what is wrong with `out` is said before. */
static enum more wait_for_interface(struct source *src, struct pcap_source *ps)
{
	struct pollfd fds[] = {{.fd = src->stop_fd, .events = POLLIN},
			       {.fd = ps->sock, .events = POLLIN},
			       {.fd = ps->out_sock, .events = POLLIN}};

	if (poll(fds, 2, 0) <= 0 && out_flush(src, ps, -1))
		return BROKEN;
	poll(fds, ARRAY_SIZE(fds), -1);
	if (fds[2].revents) { /* it has nothing to say but that it failed */
		out_failed(src, ps);
		return BROKEN;
	}
	return fds[1].revents && next_message(src, ps, 0) ? BROKEN : MORE;
}

static enum source_state pcap_source_run(struct source *src)
{
	struct pcap_source *ps = src->priv;
	enum more more = MORE;

	while (!source_stopping(src) && (more == MORE || more == NONE_NOW)) {
		more = burst(src, ps);
		if (out_full(ps) && out_flush(src, ps, -1))
			more = BROKEN;
		else if (more == NONE_NOW)
			more = ps->live ? wait_for_interface(src, ps) : wait_for_file(src, ps);
	}
	if (more == BROKEN && !source_stopping(src))
		out_give_up(src, ps);
	if (ps->out_len) /* without waiting for anything */
		agent_send(ps->out_sock, ps->out, ps->out_len, -1, 0);
	return source_stopping(src) ? SOURCE_STOPPED
	       : more == THE_END    ? SOURCE_ENDED
				    : SOURCE_FAILED;
}

const struct source_kind source_pcap = {
	.name = "pcap",
	.attrs = 1 << SOURCE_TYPE | 1 << SOURCE_FILE | 1 << SOURCE_INTERFACE | 1 << SOURCE_FILTER |
		 1 << SOURCE_OUT,
	.missing = pcap_missing,
	.accepts = pcap_accepts,
	.accepted = "socket_filter, xdp or sched_cls",
	.open = pcap_source_open,
	.run = pcap_source_run,
	.close = pcap_source_close,
};
