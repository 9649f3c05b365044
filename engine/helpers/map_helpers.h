/*
 * map_helpers.h - helpers of the map types that are more than a table
 */
#ifndef UBPFFS_HELPERS_MAP_HELPERS_H
#define UBPFFS_HELPERS_MAP_HELPERS_H

#include "insn/func.h"

extern const struct bpf_func_proto bpf_map_push_elem_proto;
extern const struct bpf_func_proto bpf_map_pop_elem_proto;
extern const struct bpf_func_proto bpf_map_peek_elem_proto;
extern const struct bpf_func_proto bpf_ringbuf_output_proto;
extern const struct bpf_func_proto bpf_ringbuf_reserve_proto;
extern const struct bpf_func_proto bpf_ringbuf_submit_proto;
extern const struct bpf_func_proto bpf_ringbuf_discard_proto;
extern const struct bpf_func_proto bpf_ringbuf_query_proto;

#endif
