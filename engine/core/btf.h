/*
 * btf.h - type information of an object: a counted holder of libbpf's parsed BTF
 */
#ifndef UBPFFS_CORE_BTF_H
#define UBPFFS_CORE_BTF_H

#include "core/compat.h"

struct btf; /* libbpf's */

struct bpf_btf {
	struct btf *btf;
	u32 id;
	int refcnt;
};

/*
 * Is raw BTF complete and consistent, every id and string in range, no chain of types endless?
 * -EINVAL when not. What passes may be given to libbpf's btf.h. (btf_check.c)
 */
int bpf_btf_check(const void *data, u32 size);

/*
 * Check and parse `size` bytes of raw .BTF data. -EINVAL when it is malformed. *out holds one
 * reference.
 */
int bpf_btf_new(const void *data, u32 size, struct bpf_btf **out);
void bpf_btf_inc(struct bpf_btf *btf);
void bpf_btf_put(struct bpf_btf *btf); /* NULL is ignored */

/*
 * Where in a value of this type the one struct bpf_spin_lock is: its offset, or -ENOENT. -E2BIG
 * (two of them, too many types),
 * -EINVAL (in a union). (btf_field.c)
 */
int bpf_btf_find_spin_lock(const struct bpf_btf *btf, u32 type_id, u32 value_size);
const void *bpf_btf_raw(const struct bpf_btf *btf, u32 *size);
const char *bpf_btf_str(const struct bpf_btf *btf, u32 off); /* "" when out of range */

#endif
