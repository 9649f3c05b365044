/*
 * btf_field.h - where in a type something lies
 */
#ifndef UBPFFS_BTF_BTF_FIELD_H
#define UBPFFS_BTF_BTF_FIELD_H

#include "util/types.h"

struct bpf_btf;

/*
 * Where in a value of this type the one struct bpf_spin_lock is: its offset, or -ENOENT. -E2BIG
 * (two of them, too many types),
 * -EINVAL (in a union).
 */
int bpf_btf_find_spin_lock(const struct bpf_btf *btf, u32 type_id, u32 value_size);

#endif
