/*
 * btf.c - a counted holder of libbpf's parsed BTF
 *
 * Several programs and maps of one object share it; the last put frees it. Immutable once made, so
 * readers need no lock.
 */
#include <bpf/btf.h>
#include "core/btf.h"

static u32 last_id;

int bpf_btf_new(const void *data, u32 size, struct bpf_btf **out)
{
	struct bpf_btf *holder;
	int err = bpf_btf_check(data, size);

	*out = NULL;
	if (err)
		return err;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return -ENOMEM;
	holder->btf = btf__new(data, size);
	if (!holder->btf) {
		/*
		 * libbpf gives -EINVAL and, for a magic or version of its own, others: one fault to
		 * us.
		 */
		err = errno == ENOMEM ? -ENOMEM : -EINVAL;
		free(holder);
		return err;
	}
	holder->id = __atomic_add_fetch(&last_id, 1, __ATOMIC_RELAXED);
	holder->refcnt = 1;
	*out = holder;
	return 0;
}

void bpf_btf_inc(struct bpf_btf *btf)
{
	if (btf)
		__atomic_add_fetch(&btf->refcnt, 1, __ATOMIC_RELAXED);
}

void bpf_btf_put(struct bpf_btf *btf)
{
	if (!btf || __atomic_sub_fetch(&btf->refcnt, 1, __ATOMIC_ACQ_REL))
		return;
	btf__free(btf->btf);
	free(btf);
}

const void *bpf_btf_raw(const struct bpf_btf *btf, u32 *size)
{
	return btf__raw_data(btf->btf, size);
}

const char *bpf_btf_str(const struct bpf_btf *btf, u32 off)
{
	const char *str = btf && btf->btf ? btf__str_by_offset(btf->btf, off) : NULL;

	return str ? str : "";
}
