/*
 * ubpffs_filter.h - classic packet filters as a library
 *
 * What SO_ATTACH_FILTER takes, run on a packet in this process. The same in every build; one
 * without CONFIG_BPF_SYSCALL has nothing else, and needs no library but libc. Link with -lubpffs.
 *
 *	struct sock_filter insns[] = {
 *		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
 *		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 1),
 *		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
 *		BPF_STMT(BPF_RET | BPF_K, 0),
 *	};
 *	struct ubpffs_packet packet;
 *
 *	err = ubpffs_filter_create(insns, 4, NULL, &filter);
 *	ubpffs_packet_ethernet(&packet, frame, len);
 *	keep = ubpffs_filter_run(filter, &packet);
 *	ubpffs_filter_free(filter);
 *
 * Any thread may call any function; a filter may be run by any number of threads at once. Functions
 * that return int give 0 on success and -errno on failure. Sizes are bytes. Source: the behaviour
 * of SO_ATTACH_FILTER, socket(7), and of the kernel's Documentation/networking/filter.rst.
 */
#ifndef UBPFFS_FILTER_H
#define UBPFFS_FILTER_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bpf_prog;

/*
 * A packet, and what ancillary loads (SKF_AD_*) tell about it. Zero is a good value for all that is
 * not known; without an ifindex the loads of it and of hatype end a filter, as without a device.
 */
struct ubpffs_packet {
	const void *data; /* the caller's; read during a run */
	uint32_t len;
	uint32_t network_offset; /* where the network header begins; the link header is before it */
	uint16_t protocol; /* ETH_P_*, host order */
	uint16_t hatype; /* ARPHRD_* */
	uint32_t pkt_type; /* PACKET_* */
	uint32_t ifindex, mark, queue, hash;
	bool vlan_present; /* a tag that the device took out of the packet */
	uint16_t vlan_tci, vlan_proto; /* host order */
};

/*
 * Describe an Ethernet frame: protocol, network_offset, hatype and pkt_type from its header, all
 * else zero. A frame that is shorter than its header has data, len and hatype alone.
 */
void ubpffs_packet_ethernet(struct ubpffs_packet *packet, const void *frame, uint32_t len);

/*
 * ubpffs_filter_create - check and convert a filter of `cnt` instructions
 *
 * *filter is the caller's (ubpffs_filter_free()); the instructions are not kept. -EINVAL: Linux
 * would refuse it; *why (when why is not NULL) is then a malloc()ed sentence, else NULL. -ENOMEM.
 */
int ubpffs_filter_create(const struct sock_filter *insns, uint32_t cnt, char **why,
			 struct bpf_prog **filter);
/* How many bytes to keep, 0: drop. More than the packet has means all. */
uint32_t ubpffs_filter_run(const struct bpf_prog *filter, const struct ubpffs_packet *packet);
/* No thread runs it any more. NULL: nothing. */
void ubpffs_filter_free(struct bpf_prog *filter);

/*
 * ubpffs_filter_parse - read the text of tcpdump -ddd
 *
 * `text` is len bytes, with or without a NUL. *insns is malloc()ed and has *cnt instructions, NULL
 * and 0 on failure. -EINVAL: malformed or cut short (why as above). -ENOMEM. Source: the output of
 * tcpdump(1).
 */
int ubpffs_filter_parse(const char *text, size_t len, char **why, struct sock_filter **insns,
			uint32_t *cnt);

#ifdef __cplusplus
}
#endif
#endif
