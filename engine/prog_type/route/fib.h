/*
 * fib.h - bpf_fib_lookup: where would this machine forward a packet to?
 */
#ifndef UBPFFS_PROG_TYPE_ROUTE_FIB_H
#define UBPFFS_PROG_TYPE_ROUTE_FIB_H

#include "insn/func.h"

extern const struct bpf_func_proto bpf_xdp_fib_lookup_proto, bpf_skb_fib_lookup_proto;

#endif
