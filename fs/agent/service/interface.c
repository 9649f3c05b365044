/*
 * interface.c - libpcap on an interface (see interface.h)
 */
#define PCAP_DONT_INCLUDE_PCAP_BPF_H /* its struct bpf_insn is the classic one */
#include <pcap/pcap.h>
#include <poll.h>
#include "fs/agent/agent.h"
#include "fs/agent/format/pcap_filter.h"
#include "fs/agent/service/interface.h"
#include "fs/agent/service/packets.h"

#define RING_BYTES (4 << 20)
#define RING_MS	   50 /* the kernel hands out packets after that time at the latest */
#define LOOK_MS	   100 /* ... and we ask what was lost */

static int open_failed(int sock, const char *name, pcap_t *pcap, int err)
{
	if (err == PCAP_ERROR_PERM_DENIED)
		agent_report(sock, -EPERM, "%s: the server has no right to capture (CAP_NET_RAW)",
			     name);
	else
		agent_report(sock, -EIO, "%s: %s", name, pcap_geterr(pcap));
	return -1;
}

static int open_ring(int sock, const char *name, pcap_t *pcap)
{
	char error[PCAP_ERRBUF_SIZE];
	int err;

	pcap_set_snaplen(pcap, CAPTURE_SNAPLEN);
	pcap_set_promisc(pcap, 0);
	pcap_set_timeout(pcap, RING_MS);
	pcap_set_buffer_size(pcap, RING_BYTES);
	err = pcap_activate(pcap);
	if (err < 0)
		return open_failed(sock, name, pcap, err);
	if (!pcap_setnonblock(pcap, 1, error))
		return 0;
	agent_report(sock, -EIO, "%s: %s", name, error);
	return -1;
}

static void say_lost(pcap_t *pcap, u32 *lost)
{
	struct pcap_stat stat;

	if (pcap_stats(pcap, &stat) || stat.ps_drop == *lost)
		return;
	packets_say(CAPTURE_LOST, (s32)(stat.ps_drop - *lost), NULL);
	*lost = stat.ps_drop;
}

static void read_packets(pcap_t *pcap)
{
	struct pollfd fd = {.fd = pcap_get_selectable_fd(pcap), .events = POLLIN};
	struct pcap_pkthdr *hdr;
	const u_char *data;
	u32 lost = 0;
	int ret;

	while ((ret = pcap_next_ex(pcap, &hdr, &data)) >= 0) {
		if (ret) {
			packets_add((struct capture_packet){(u32)hdr->ts.tv_sec,
							    (u32)hdr->ts.tv_usec, hdr->caplen,
							    hdr->len},
				    data);
			continue;
		}
		packets_flush();
		say_lost(pcap, &lost);
		poll(&fd, 1, LOOK_MS);
	}
	packets_say(CAPTURE_ERROR, 0, pcap_geterr(pcap));
}

void interface_service(int sock, const void *arg, size_t len)
{
	const char *name = (const char *)arg + sizeof(struct interface_request), *filter;
	struct interface_request req;
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap;
	int err;

	filter = len > sizeof(req) ? name + strnlen(name, len - sizeof(req)) + 1 : NULL;
	if (!filter || filter >= (const char *)arg + len) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	memcpy(&req, arg, sizeof(req));
	pcap = pcap_create(name, error);
	if (!pcap) {
		agent_report(sock, -EIO, "%s: %s", name, error);
		return;
	}
	if (open_ring(sock, name, pcap))
		return;
	if (*filter && pcap_filter_set(pcap, filter)) {
		agent_report(sock, -EINVAL, "filter: %s", pcap_geterr(pcap));
		return;
	}
	if (req.incoming)
		pcap_setdirection(pcap, PCAP_D_IN);
	err = packets_begin(sock);
	agent_report(sock, err, NULL);
	if (err)
		return;
	packets_say(CAPTURE_LINK, pcap_datalink(pcap), NULL);
	read_packets(pcap);
}
