/*
 * btf.h - type information of an object: a counted holder of libbpf's parsed BTF
 */
#ifndef UBPFFS_BTF_BTF_H
#define UBPFFS_BTF_BTF_H

#include "util/compat.h"

struct btf; /* libbpf's */

struct bpf_btf {
	struct btf *btf;
	u32 id; /* 0: it was not published */
	u32 uid; /* whose it is, for who publishes it */
	int refcnt;
};

/*
 * Check and parse `size` bytes of raw .BTF data. -EINVAL when it is malformed. *out holds one
 * reference.
 */
int bpf_btf_new(const void *data, u32 size, struct bpf_btf **out);
/*
 * Give it an id, so that others find it; once it has one nothing happens. One thread at a time.
 * -ENOMEM, -ENOSPC.
 */
int bpf_btf_publish(struct bpf_btf *btf, u32 uid);
struct bpf_btf *bpf_btf_get_by_id(u32 id); /* one reference, or NULL */
u32 bpf_btf_next_id(u32 id); /* the lowest above it, 0: there is none */
void bpf_btf_inc(struct bpf_btf *btf);
void bpf_btf_put(struct bpf_btf *btf); /* NULL is ignored */

const void *bpf_btf_raw(const struct bpf_btf *btf, u32 *size);
const char *bpf_btf_str(const struct bpf_btf *btf, u32 off); /* "" when out of range */

#endif
