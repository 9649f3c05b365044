/*
 * classic_helpers.h - what only converted classic filters call; ids are in insn/func.h
 */
#ifndef UBPFFS_PROG_TYPE_SKB_CLASSIC_HELPERS_H
#define UBPFFS_PROG_TYPE_SKB_CLASSIC_HELPERS_H

#include "insn/func.h"

struct bpf_skb;

/* The prototype for one of these ids, NULL for any other. */
const struct bpf_func_proto *bpf_classic_func_proto(enum bpf_func_id id);

/*
 * poff.c: offset of the payload behind the transport header, from data. 0: not a packet that we
 * know.
 */
u32 bpf_skb_get_poff(const struct bpf_skb *skb);

#endif
