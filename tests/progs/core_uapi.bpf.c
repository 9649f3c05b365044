/*
 * What a program with vmlinux.h looks like: types of the UAPI, and relocations for each field.
 * Counts TCP.
 */
#define __KERNEL_FIELDS __attribute__((preserve_access_index))
#define SEC(name)	__attribute__((section(name), used))

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

struct ethhdr {
	u8 h_dest[6], h_source[6];
	u16 h_proto;
} __attribute__((packed)) __KERNEL_FIELDS;

struct iphdr {
	u8 ihl : 4, version : 4;
	u8 tos;
	u16 tot_len, id, frag_off;
	u8 ttl, protocol;
	u16 check;
	union {
		struct {
			u32 saddr, daddr;
		};
		struct {
			u32 saddr, daddr;
		} addrs;
	};
} __KERNEL_FIELDS;

struct xdp_md { /* in another order: only the names count */
	u32 data_end, data;
} __KERNEL_FIELDS;

u64 tcp_packets;

SEC("xdp")
int core_uapi(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if ((void *)(ip + 1) > end || eth->h_proto != 0x0008 || ip->version != 4)
		return 2;
	if (ip->protocol == 6 && ip->daddr)
		tcp_packets++;
	return 2;
}

char _license[] SEC("license") = "GPL";
