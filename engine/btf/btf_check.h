/*
 * btf_check.h - is raw BTF what it claims to be?
 */
#ifndef UBPFFS_BTF_BTF_CHECK_H
#define UBPFFS_BTF_BTF_CHECK_H

#include "util/types.h"

/*
 * Is raw BTF complete and consistent, every id and string in range, no chain of types endless?
 * -EINVAL when not. What passes may be given to libbpf's btf.h.
 */
int bpf_btf_check(const void *data, u32 size);

#endif
