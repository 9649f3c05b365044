/*
 * csum.h - 16-bit ones' complement sums, as RFC 1071
 */
#ifndef UBPFFS_PROG_TYPE_SKB_CSUM_H
#define UBPFFS_PROG_TYPE_SKB_CSUM_H

#include "insn/func.h"

u16 csum_fold(u32 sum);
u32 csum_add(u32 a, u32 b);
u32 csum_sub(u32 a, u32 b);
extern const struct bpf_func_proto bpf_csum_diff_proto;

#endif
