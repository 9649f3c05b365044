/*
 * dynptr.h - what a struct bpf_dynptr on a program's stack holds
 *
 * A dynptr is a pointer with its size beside it: memory whose size the verifier does not know,
 * looked at through helpers that check each access when it happens. Programs cannot read or write
 * the 16 bytes themselves (verifier/held/dynptr.c), so what a helper finds in them is what another
 * helper put there. A data pointer of NULL is a dynptr that failed to be made: everything refuses
 * it, and a program must still give back one that it reserved.
 */
#ifndef UBPFFS_HELPERS_DYNPTR_H
#define UBPFFS_HELPERS_DYNPTR_H

#include "insn/func.h"

#define DYNPTR_MAX_SIZE ((1u << 24) - 1)

struct bpf_dynptr_kern {
	void *data;
	u32 size;
	u32 offset; /* of the dynptr's first byte in data */
};

_Static_assert(sizeof(struct bpf_dynptr_kern) == sizeof(struct bpf_dynptr), "the UAPI's size");

extern const struct bpf_func_proto bpf_dynptr_from_mem_proto;
extern const struct bpf_func_proto bpf_dynptr_read_proto;
extern const struct bpf_func_proto bpf_dynptr_write_proto;
extern const struct bpf_func_proto bpf_dynptr_data_proto;
extern const struct bpf_func_proto bpf_ringbuf_reserve_dynptr_proto;
extern const struct bpf_func_proto bpf_ringbuf_submit_dynptr_proto;
extern const struct bpf_func_proto bpf_ringbuf_discard_dynptr_proto;

#endif
