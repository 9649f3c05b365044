/*
 * skb_tunnel.h - what a packet's tunnel is to be, or was
 */
#ifndef UBPFFS_PROG_TYPE_SKB_SKB_TUNNEL_H
#define UBPFFS_PROG_TYPE_SKB_SKB_TUNNEL_H

#include "insn/func.h"

extern const struct bpf_func_proto bpf_skb_get_tunnel_key_proto, bpf_skb_set_tunnel_key_proto;

#endif
