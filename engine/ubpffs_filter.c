/*
 * ubpffs_filter.c - the public face of classic filters: thin calls of classic/
 */
#include <arpa/inet.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include "classic/classic.h"
#include "classic/create.h"
#include "classic/text.h"
#include "run/run.h"
#include "prog_type/skb/skb.h"
#include "ubpffs_filter.h"

#define API UBPFFS_EXPORT

/* Filters never write, so the packet may stay where it is. */
static void skb_of_packet(struct bpf_skb *skb, const struct ubpffs_packet *packet)
{
	u32 network = min(packet->network_offset, packet->len);

	bpf_skb_init(skb, (void *)(uintptr_t)packet->data, packet->len, 0, packet->len);
	skb->network += network;
	if (!network)
		skb->mac = NULL;
	skb->hatype = packet->hatype;
	skb->md.protocol = htons(packet->protocol);
	skb->md.pkt_type = packet->pkt_type;
	skb->md.ifindex = packet->ifindex;
	skb->md.mark = packet->mark;
	skb->md.queue_mapping = packet->queue;
	skb->md.hash = packet->hash;
	skb->md.vlan_present = packet->vlan_present;
	skb->md.vlan_tci = packet->vlan_tci;
	skb->md.vlan_proto = htons(packet->vlan_proto);
}

API void ubpffs_packet_ethernet(struct ubpffs_packet *packet, const void *frame, uint32_t len)
{
	struct bpf_skb skb;

	memset(packet, 0, sizeof(*packet));
	packet->data = frame;
	packet->len = len;
	packet->hatype = ARPHRD_ETHER;
	if (len < ETH_HLEN)
		return;
	bpf_skb_init(&skb, (void *)(uintptr_t)frame, len, 0, len);
	bpf_skb_parse_ethernet(&skb, NULL);
	packet->network_offset = ETH_HLEN;
	packet->protocol = ntohs((u16)skb.md.protocol);
	packet->pkt_type = skb.md.pkt_type;
}

/* The sentence for the caller, without its newline. */
static void give_why(struct bpf_log *log, int err, char **why)
{
	if (why)
		*why = err && log->len ? strndup(log->buf, strcspn(log->buf, "\n")) : NULL;
	bpf_log_free(log);
}

API int ubpffs_filter_create(const struct sock_filter *insns, uint32_t cnt, char **why,
			     struct bpf_prog **filter)
{
	struct bpf_log log;
	int err;

	bpf_log_init(&log, 0, 0);
	err = bpf_prog_create(insns, cnt, &log, filter);
	give_why(&log, err, why);
	return err;
}

API uint32_t ubpffs_filter_run(const struct bpf_prog *filter, const struct ubpffs_packet *packet)
{
	struct bpf_skb skb;
	u32 ret;

	skb_of_packet(&skb, packet);
	bpf_run_enter();
	ret = (u32)bpf_prog_run(filter, &skb);
	bpf_run_exit();
	return ret;
}

API void ubpffs_filter_free(struct bpf_prog *filter)
{
	bpf_prog_destroy(filter);
}

API int ubpffs_filter_parse(const char *text, size_t len, char **why, struct sock_filter **insns,
			    uint32_t *cnt)
{
	struct bpf_classic_text parsed;
	struct bpf_log log;
	size_t end;
	int ret;

	bpf_log_init(&log, 0, 0);
	ret = bpf_classic_text_parse(text, len, &end, &parsed, &log);
	if (!ret)
		bpf_log_printf(&log, "the text ends before its last line does\n");
	*insns = ret > 0 ? move_ptr(parsed.insns) : NULL;
	*cnt = ret > 0 ? parsed.cnt : 0;
	ret = ret > 0 ? 0 : ret ? ret : -EINVAL;
	give_why(&log, ret, why);
	return ret;
}
