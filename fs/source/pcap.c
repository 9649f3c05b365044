/*
 * pcap.c - packets of a capture file or of an interface (libpcap)
 *
 * Programs see Ethernet frames; packets captured without a link header (raw IP, Linux cooked, BSD loopback) get one. What a
 * program lets pass is written to `out`, as the program left it: a socket_filter says how many bytes to keep, xdp and
 * sched_cls an action (XDP_PASS; TC_ACT_OK, TC_ACT_PIPE, TC_ACT_RECLASSIFY, TC_ACT_UNSPEC). Everything else counts as
 * dropped: there is nowhere to send or redirect a packet to.
 *
 * An interface is opened by the server, so its owner must be root, or whoever runs the server (who then needs the right
 * to capture). A file and `out` are opened with the owner's rights.
 */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* its struct bpf_insn is the classic one */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/pkt_cls.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <pcap/pcap.h>
#include <pcap/dlt.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include "fs/source/pcap_filter.h"
#include "fs/source/source.h"
#include "prog_type/skb.h"
#include "prog_type/xdp.h"

#define SNAPLEN	   65535
#define ROOM	   (SNAPLEN + 4096u) /* what a program may add, at either end */
#define BURST	   64
#define RING_BYTES (4 << 20)

struct pcap_source {
	pcap_t *pcap;
	bool live;
	int link; /* of the packets */
	int ifindex;
	FILE *out;
	int out_err; /* of the first write that failed; nothing is written after it */
	u64 kernel_lost; /* counted so far */
	u8 buf[BPF_SKB_HEADROOM + ROOM];
};

struct out_header { /* of a pcap file */
	u32 magic;
	u16 major, minor;
	u32 zone, accuracy, snaplen, link;
};

struct out_record {
	u32 sec, usec, caplen, len;
};

#define OUT_MAGIC 0xa1b2c3d4u

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

/* The end of the last whole record: a server that was killed may have left half of one. -1: no file of ours. */
static off_t out_end(int fd)
{
	struct out_header header;
	struct out_record record;
	off_t at = sizeof(header);
	struct stat st;

	if (fstat(fd, &st) || pread(fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.magic != OUT_MAGIC || header.link != DLT_EN10MB)
		return -1;
	while (pread(fd, &record, sizeof(record), at) == sizeof(record) &&
	       at + (off_t)sizeof(record) + record.caplen <= st.st_size)
		at += (off_t)sizeof(record) + record.caplen;
	return at;
}

static int out_open(struct source *src, struct pcap_source *ps)
{
	const struct out_header header = {OUT_MAGIC, 2, 4, 0, 0, SNAPLEN, DLT_EN10MB};
	struct client_file file = {src->def.value[SOURCE_OUT], O_RDWR | O_CREAT, 0644};
	bool go_on = src->again && ps->live;
	off_t end;
	int fd;

	if (!file.path)
		return 0;
	fd = client_open_file(src->uid, src->gid, &file);
	if (fd < 0)
		return source_why(src, -fd, "%s: %s", file.path,
				  fd == -EINVAL ? "not a regular file" : strerror(-fd));
	end = go_on ? out_end(fd) : -1;
	if (end < 0)
		end = 0;
	if (ftruncate(fd, end) || lseek(fd, end, SEEK_SET) < 0 || !(ps->out = fdopen(fd, "w"))) {
		close(fd);
		return source_why(src, EIO, "%s: cannot be written", file.path);
	}
	if (!end && fwrite(&header, sizeof(header), 1, ps->out) != 1)
		return source_why(src, EIO, "%s: %s", file.path, strerror(errno));
	return fflush(ps->out) ? source_why(src, errno, "%s: %s", file.path, strerror(errno)) : 0;
}

static void out_write(struct source *src, struct pcap_source *ps, const struct timeval *when,
		      const u8 *data, u32 caplen, u32 len)
{
	struct out_record record = {(u32)when->tv_sec, (u32)when->tv_usec, caplen, len};

	if (!ps->out || ps->out_err)
		return;
	if (fwrite(&record, sizeof(record), 1, ps->out) != 1 ||
	    (caplen && fwrite(data, caplen, 1, ps->out) != 1))
		ps->out_err = errno;
}

/* The disk is full, say: what is whole stays. False: go on. */
static bool out_failed(struct source *src, struct pcap_source *ps, bool flush)
{
	int fd;

	if (flush && ps->out && !ps->out_err && fflush(ps->out))
		ps->out_err = errno;
	if (!ps->out_err)
		return false;
	source_count(src, errors, 1);
	source_why(src, ps->out_err, "out: %s", strerror(ps->out_err));
	fd = fcntl(fileno(ps->out), F_DUPFD_CLOEXEC, 0);
	fclose(ps->out); /* it may try again what is in its buffer */
	ps->out = NULL;
	if (fd >= 0) {
		off_t end = out_end(fd);

		if (end < 0 || ftruncate(fd, end))
			source_count(src, errors, 1);
		close(fd);
	}
	return true;
}

/* ---- opening */

static int open_file(struct source *src, struct pcap_source *ps)
{
	struct client_file file = {src->def.value[SOURCE_FILE], O_RDONLY, 0};
	char error[PCAP_ERRBUF_SIZE];
	int fd = client_open_file(src->uid, src->gid, &file);
	FILE *f;

	if (fd < 0)
		return source_why(src, -fd, "%s: %s", file.path,
				  fd == -EINVAL ? "not a regular file" : strerror(-fd));
	f = fdopen(fd, "r");
	if (!f) {
		close(fd);
		return -ENOMEM;
	}
	ps->pcap = pcap_fopen_offline(f, error);
	if (!ps->pcap) {
		fclose(f);
		return source_why(src, EINVAL, "%s: %s", file.path, error);
	}
	return 0;
}

static int open_interface(struct source *src, struct pcap_source *ps)
{
	const char *name = src->def.value[SOURCE_INTERFACE];
	char error[PCAP_ERRBUF_SIZE];
	int err;

	if (src->uid != geteuid())
		return source_why(src, EPERM,
				  "only root, or the user that runs the server, captures on an "
				  "interface: this source is uid %u's",
				  src->uid);
	if (strcmp(name, "any") && !(ps->ifindex = (int)if_nametoindex(name)))
		return source_why(src, ENODEV, "there is no interface %s", name);
	ps->live = true;
	ps->pcap = pcap_create(name, error);
	if (!ps->pcap)
		return source_why(src, EIO, "%s: %s", name, error);
	pcap_set_snaplen(ps->pcap, SNAPLEN);
	pcap_set_promisc(ps->pcap, 0);
	pcap_set_timeout(ps->pcap, 50);
	pcap_set_buffer_size(ps->pcap, RING_BYTES);
	err = pcap_activate(ps->pcap);
	if (err == PCAP_ERROR_PERM_DENIED)
		return source_why(src, EPERM,
				  "%s: the server has no right to capture (CAP_NET_RAW)", name);
	if (err < 0)
		return source_why(src, EIO, "%s: %s", name, pcap_geterr(ps->pcap));
	if (pcap_setnonblock(ps->pcap, 1, error))
		return source_why(src, EIO, "%s: %s", name, error);
	return 0;
}

/*
 * What leaves is not XDP's; and the loopback shows each packet twice, leaving and coming.
 */
static void set_direction(const struct source *src, struct pcap_source *ps)
{
	const char *name = src->def.value[SOURCE_INTERFACE];

	if (src->prog_type == BPF_PROG_TYPE_XDP || !strcmp(name, "lo"))
		pcap_setdirection(ps->pcap, PCAP_D_IN);
}

static int set_filter(struct source *src, struct pcap_source *ps)
{
	const char *text = src->def.value[SOURCE_FILTER];

	if (text && pcap_filter_set(ps->pcap, text))
		return source_why(src, EINVAL, "filter: %s", pcap_geterr(ps->pcap));
	return 0;
}

static int pcap_source_open(struct source *src)
{
	struct pcap_source *ps = calloc(1, sizeof(*ps));
	int err;

	if (!ps)
		return -ENOMEM;
	src->priv = ps;
	err = src->def.value[SOURCE_FILE] ? open_file(src, ps) : open_interface(src, ps);
	if (!err)
		err = set_filter(src, ps);
	if (err)
		return err;
	if (ps->live)
		set_direction(src, ps);
	ps->link = pcap_datalink(ps->pcap);
	return out_open(src, ps);
}

static void pcap_source_close(struct source *src)
{
	struct pcap_source *ps = src->priv;

	if (!ps)
		return;
	if (ps->out)
		fclose(ps->out);
	if (ps->pcap)
		pcap_close(ps->pcap);
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

/* Copy the frame to buf + headroom, with an Ethernet header. Its length, or 0 when it cannot be one. */
static u32 copy_frame(struct pcap_source *ps, const struct pcap_pkthdr *hdr, const u8 *data)
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

static bool run_filter(struct source *src, struct pcap_source *ps, const struct pcap_pkthdr *hdr,
		       u32 len)
{
	struct bpf_skb skb;
	u32 keep;

	bpf_skb_init(&skb, ps->buf, sizeof(ps->buf), BPF_SKB_HEADROOM, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	skb.md.ifindex = skb.md.ingress_ifindex = (u32)ps->ifindex;
	if (!source_run(src, &skb, NULL, &keep) || !keep)
		return false;
	out_write(src, ps, &hdr->ts, skb.data, min(keep, len), max(hdr->len, len));
	return true;
}

static bool run_cls(struct source *src, struct pcap_source *ps, const struct pcap_pkthdr *hdr,
		    u32 len)
{
	struct bpf_skb skb;
	u32 ret;

	bpf_skb_init(&skb, ps->buf, sizeof(ps->buf), BPF_SKB_HEADROOM, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	skb.md.ifindex = skb.md.ingress_ifindex = (u32)ps->ifindex;
	if (!source_run(src, &skb, NULL, &ret))
		return false;
	if (ret != TC_ACT_OK && ret != TC_ACT_PIPE && ret != TC_ACT_RECLASSIFY &&
	    ret != (u32)TC_ACT_UNSPEC)
		return false;
	out_write(src, ps, &hdr->ts, skb.data, skb.md.len, skb.md.len + (hdr->len - hdr->caplen));
	return true;
}

static bool run_xdp(struct source *src, struct pcap_source *ps, const struct pcap_pkthdr *hdr,
		    u32 len)
{
	struct bpf_xdp xdp;
	u32 ret, now;

	bpf_xdp_init(&xdp, ps->buf, sizeof(ps->buf), BPF_SKB_HEADROOM, len);
	xdp.md.ingress_ifindex = (u32)ps->ifindex;
	if (!source_run(src, &xdp, NULL, &ret) || ret != XDP_PASS)
		return false;
	now = (u32)(xdp.data_end - xdp.data);
	out_write(src, ps, &hdr->ts, xdp.data, now, now + (hdr->len - hdr->caplen));
	return true;
}

static void packet(struct source *src, struct pcap_source *ps, const struct pcap_pkthdr *hdr,
		   const u8 *data)
{
	u32 len = copy_frame(ps, hdr, data);
	bool passed;

	source_count(src, seen, 1);
	if (!len || hdr->len < hdr->caplen) {
		source_count(src, errors, 1);
		return;
	}
	if (src->prog_type == BPF_PROG_TYPE_XDP)
		passed = run_xdp(src, ps, hdr, len);
	else if (src->prog_type == BPF_PROG_TYPE_SCHED_CLS)
		passed = run_cls(src, ps, hdr, len);
	else
		passed = run_filter(src, ps, hdr, len);
	if (!passed)
		source_count(src, dropped, 1);
}

/* Up to BURST packets. 1: there may be more; 0: none now; -1: the end; -2: an error. */
static int burst(struct source *src, struct pcap_source *ps)
{
	struct pcap_pkthdr *hdr;
	const u_char *data;
	int n, ret = 1;

	source_burst_begin();
	for (n = 0; n < BURST && (ret = pcap_next_ex(ps->pcap, &hdr, &data)) == 1; n++)
		packet(src, ps, hdr, data);
	source_burst_end();
	return ret == 1 ? 1 : ret == 0 ? 0 : ret == PCAP_ERROR_BREAK ? -1 : -2;
}

static void count_lost(struct source *src, struct pcap_source *ps)
{
	struct pcap_stat stat;

	if (!ps->live || pcap_stats(ps->pcap, &stat))
		return;
	source_count(src, lost, (u32)(stat.ps_drop - (u32)ps->kernel_lost));
	ps->kernel_lost = stat.ps_drop;
}

static enum source_state pcap_source_run(struct source *src)
{
	struct pcap_source *ps = src->priv;
	struct pollfd fds[] = {
		{.fd = src->stop_fd, .events = POLLIN},
		{.fd = ps->live ? pcap_get_selectable_fd(ps->pcap) : -1, .events = POLLIN}};
	enum source_state state = SOURCE_STOPPED;
	int ret;

	while (!source_stopping(src)) {
		ret = burst(src, ps);
		if (out_failed(src, ps, ret <= 0))
			return SOURCE_FAILED;
		if (ret > 0)
			continue;
		count_lost(src, ps);
		if (ret < 0) {
			state = ret == -1 ? SOURCE_ENDED : SOURCE_FAILED;
			if (ret != -1)
				source_why(src, EIO, "%s", pcap_geterr(ps->pcap));
			break;
		}
		poll(fds, 2, 100);
	}
	return state;
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
