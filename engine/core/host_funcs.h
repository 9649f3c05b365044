/*
 * host_funcs.h - helper functions of who embeds the engine
 *
 * A table is filled first and used then: the first program that is loaded with it closes it, and
 * from there on it is constant, so that nothing that reads it takes a lock. Programs hold
 * references. Ids are above all that Linux has and may come to have; a program that is loaded
 * without the table knows none of them.
 *
 * A helper is called by its distance from the engine's text, which a function of the host need not
 * be near to: so each gets one of a fixed number of stubs here, which jumps to it.
 */
#ifndef UBPFFS_CORE_HOST_FUNCS_H
#define UBPFFS_CORE_HOST_FUNCS_H

#include "insn/func.h"

#define BPF_FUNC_HOST_FIRST 0x20000u
#define BPF_HOST_FUNC_NAME  48
#define BPF_HOST_FUNCS	    256 /* of a process */

struct bpf_host_funcs;

int bpf_host_funcs_new(struct bpf_host_funcs **out); /* one reference; -ENOMEM */
void bpf_host_funcs_put(struct bpf_host_funcs *funcs); /* NULL is ignored */
/* A reference of a program: the table is closed. */
void bpf_host_funcs_use(struct bpf_host_funcs *funcs);

/*
 * Copies proto and its name. -EINVAL: the id is below BPF_FUNC_HOST_FIRST, or the name too long;
 * -EEXIST: the table has that id; -EBUSY: it is closed; -ENOSPC: no stub is left, -ENOMEM.
 */
int bpf_host_funcs_add(struct bpf_host_funcs *funcs, const struct bpf_func_proto *proto);

/* NULL: there is none; funcs may be NULL. */
const struct bpf_func_proto *bpf_host_func(const struct bpf_host_funcs *funcs, u32 id);
/* The i-th of a closed table, or NULL. */
const struct bpf_func_proto *bpf_host_func_at(const struct bpf_host_funcs *funcs, u32 i);

#endif
