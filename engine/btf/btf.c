/*
 * btf.c - a counted holder of libbpf's parsed BTF
 *
 * Several programs and maps of one object share it; the last put frees it. Immutable once made and
 * published, so readers need no lock.
 */
#include <bpf/btf.h>
#include "btf/btf.h"
#include "btf/btf_check.h"
#include "rcu/ids.h"

static struct bpf_ids ids = BPF_IDS_INIT;

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
	holder->refcnt = 1;
	*out = holder;
	return 0;
}

int bpf_btf_publish(struct bpf_btf *btf, u32 uid)
{
	u32 id = 0;
	int err;

	if (btf->id)
		return 0;
	btf->uid = uid;
	err = bpf_ids_add(&ids, &id, btf);
	if (!err)
		btf->id = id;
	return err;
}

static bool inc_not_zero(void *object)
{
	struct bpf_btf *btf = object;
	int count = __atomic_load_n(&btf->refcnt, __ATOMIC_RELAXED);

	while (count && !__atomic_compare_exchange_n(&btf->refcnt, &count, count + 1, true,
						     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		;
	return count;
}

struct bpf_btf *bpf_btf_get_by_id(u32 id)
{
	return bpf_ids_get(&ids, id, inc_not_zero);
}

u32 bpf_btf_next_id(u32 id)
{
	return bpf_ids_next(&ids, id);
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
	if (btf->id)
		bpf_ids_remove(&ids, btf->id); /* nobody finds it from here on */
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
