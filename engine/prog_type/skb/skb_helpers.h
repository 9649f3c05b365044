/*
 * skb_helpers.h - helpers on packets: skb_helpers.c, and those that make room in one, skb_room.c
 */
#ifndef UBPFFS_PROG_TYPE_SKB_SKB_HELPERS_H
#define UBPFFS_PROG_TYPE_SKB_SKB_HELPERS_H

#include "insn/func.h"

/* ---- skb_helpers.c */
extern const struct bpf_func_proto bpf_skb_load_bytes_proto;
extern const struct bpf_func_proto bpf_skb_load_bytes_relative_proto;
extern const struct bpf_func_proto bpf_skb_store_bytes_proto;
extern const struct bpf_func_proto bpf_skb_pull_data_proto;
extern const struct bpf_func_proto bpf_skb_change_head_proto;
extern const struct bpf_func_proto bpf_skb_change_tail_proto;
extern const struct bpf_func_proto bpf_skb_change_type_proto;
extern const struct bpf_func_proto bpf_l3_csum_replace_proto;
extern const struct bpf_func_proto bpf_l4_csum_replace_proto;
extern const struct bpf_func_proto bpf_csum_update_proto;
extern const struct bpf_func_proto bpf_csum_level_proto;
extern const struct bpf_func_proto bpf_get_hash_recalc_proto;
extern const struct bpf_func_proto bpf_set_hash_invalid_proto;
extern const struct bpf_func_proto bpf_set_hash_proto;

/* ---- skb_room.c */
extern const struct bpf_func_proto bpf_skb_adjust_room_proto, bpf_skb_change_proto_proto;
extern const struct bpf_func_proto bpf_skb_vlan_push_proto;
extern const struct bpf_func_proto bpf_skb_vlan_pop_proto;
extern const struct bpf_func_proto bpf_skb_ecn_set_ce_proto;

#endif
