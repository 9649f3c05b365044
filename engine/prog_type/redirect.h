/*
 * redirect.h - helpers that send packets elsewhere
 */
#ifndef UBPFFS_PROG_TYPE_REDIRECT_H
#define UBPFFS_PROG_TYPE_REDIRECT_H

#include "insn/func.h"

extern const struct bpf_func_proto bpf_xdp_redirect_proto;
extern const struct bpf_func_proto bpf_xdp_redirect_map_proto;
extern const struct bpf_func_proto bpf_skb_redirect_proto;
extern const struct bpf_func_proto bpf_skb_redirect_neigh_proto;
extern const struct bpf_func_proto bpf_skb_redirect_peer_proto;
extern const struct bpf_func_proto bpf_skb_clone_redirect_proto;

#endif
