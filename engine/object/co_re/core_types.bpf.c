/*
 * core_types.bpf.c - the types that programs see here, with the kernel's names for their fields
 *
 * Compiled for its BTF alone, which the engine carries: what a program's CO-RE relocations against
 * contexts, wire formats and helpers' structures are answered from, also on machines whose kernel
 * shows no BTF. Where user space's header names fields otherwise than the kernel does (struct
 * pt_regs), the kernel's layout stands here.
 */
#ifdef __TARGET_x86_64__
#define __x86_64__ /* the C library's headers ask for the host */
#endif
#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_vlan.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/mpls.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* Of the kernel, without a header for user space. */
struct vlan_hdr {
	__be16 h_vlan_TCI;
	__be16 h_vlan_encapsulated_proto;
};

struct vlan_ethhdr {
	union {
		struct {
			unsigned char h_dest[ETH_ALEN];
			unsigned char h_source[ETH_ALEN];
		};
		struct {
			unsigned char h_dest[ETH_ALEN];
			unsigned char h_source[ETH_ALEN];
		} addrs;
	};
	__be16 h_vlan_proto;
	__be16 h_vlan_TCI;
	__be16 h_vlan_encapsulated_proto;
};

struct frag_hdr {
	__u8 nexthdr;
	__u8 reserved;
	__be16 frag_off;
	__be32 identification;
};

#if defined(__TARGET_x86_64__)
struct pt_regs {
	unsigned long r15, r14, r13, r12;
	unsigned long bp, bx;
	unsigned long r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di;
	unsigned long orig_ax;
	unsigned long ip, cs, flags, sp, ss;
};

typedef struct pt_regs bpf_user_pt_regs_t;
#elif defined(__TARGET_aarch64__)
struct user_pt_regs {
	__u64 regs[31];
	__u64 sp, pc, pstate;
};

typedef struct user_pt_regs bpf_user_pt_regs_t;
#endif

#if defined(__TARGET_x86_64__) || defined(__TARGET_aarch64__)
struct bpf_perf_event_data {
	bpf_user_pt_regs_t regs;
	__u64 sample_period;
	__u64 addr;
};
#endif

/* A member a type: clang describes in full what a variable contains. */
struct {
	/* contexts */
	struct __sk_buff sk_buff;
	struct xdp_md xdp;
	struct bpf_sock_addr sock_addr;
	struct bpf_sock_ops sock_ops;
	struct bpf_sockopt sockopt;
	struct bpf_sysctl sysctl;
	struct bpf_cgroup_dev_ctx cgroup_dev;
	struct sk_msg_md sk_msg;
	struct sk_reuseport_md sk_reuseport;
	struct bpf_sk_lookup sk_lookup;
	struct bpf_raw_tracepoint_args raw_tracepoint;
#if defined(__TARGET_x86_64__) || defined(__TARGET_aarch64__)
	struct bpf_perf_event_data perf_event;
#endif

	/* what helpers take and give */
	struct bpf_sock sock;
	struct bpf_tcp_sock tcp_sock;
	struct bpf_sock_tuple sock_tuple;
	struct bpf_tunnel_key tunnel_key;
	struct bpf_xfrm_state xfrm_state;
	struct bpf_fib_lookup fib_lookup;
	struct bpf_redir_neigh redir_neigh;
	struct bpf_perf_event_value perf_event_value;
	struct bpf_stack_build_id stack_build_id;
	struct bpf_pidns_info pidns_info;
	struct bpf_flow_keys flow_keys;
	struct bpf_spin_lock spin_lock;
	struct bpf_timer timer;
	struct bpf_dynptr dynptr;
	struct bpf_cgroup_storage_key cgroup_storage_key;
	struct btf_ptr btf_ptr;
	struct bpf_devmap_val devmap_val;
	struct bpf_cpumap_val cpumap_val;
	enum xdp_action xdp_action;
	enum sk_action sk_action;
	enum bpf_ret_code ret_code;

	/* wire formats */
	struct ethhdr ethhdr;
	struct vlan_hdr vlan_hdr;
	struct vlan_ethhdr vlan_ethhdr;
	struct arphdr arphdr;
	struct mpls_label mpls_label;
	struct iphdr iphdr;
	struct ipv6hdr ipv6hdr;
	struct ipv6_opt_hdr ipv6_opt_hdr;
	struct ipv6_rt_hdr ipv6_rt_hdr;
	struct frag_hdr frag_hdr;
	struct in_addr in_addr;
	struct in6_addr in6_addr;
	struct sockaddr_in sockaddr_in;
	struct sockaddr_in6 sockaddr_in6;
	struct tcphdr tcphdr;
	struct udphdr udphdr;
	struct icmphdr icmphdr;
	struct icmp6hdr icmp6hdr;
} core_types;
