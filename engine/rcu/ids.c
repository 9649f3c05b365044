/*
 * ids.c - objects by their number (see ids.h)
 */
#include <stdlib.h>
#include "rcu/ids.h"

static void page_free_rcu(struct rcu_head *head)
{
	free(container_of(head, struct bpf_ids_page, rcu));
}

/*
 * An empty page goes, but for that of the highest number: the next object comes into it. Caller
 * holds ids->lock.
 */
static void __page_drop_empty(struct bpf_ids *ids, u32 nr)
{
	struct bpf_ids_page *page = ids->pages[nr];

	if (!page || page->used || nr == ids->last / BPF_IDS_PAGE)
		return;
	bpf_rcu_assign_pointer(ids->pages[nr], NULL);
	bpf_call_rcu(&page->rcu, page_free_rcu);
}

/* Caller holds ids->lock. */
static int __ids_add(struct bpf_ids *ids, u32 id, void *object)
{
	struct bpf_ids_page **at = &ids->pages[id / BPF_IDS_PAGE], *page = *at;

	if (page && page->objects[id % BPF_IDS_PAGE])
		return -EEXIST;
	if (!page) {
		page = calloc(1, sizeof(*page));
		if (!page)
			return -ENOMEM;
		bpf_rcu_assign_pointer(*at, page);
	}
	bpf_rcu_assign_pointer(page->objects[id % BPF_IDS_PAGE], object);
	page->used++;
	return 0;
}

int bpf_ids_add(struct bpf_ids *ids, u32 *id, void *object)
{
	u32 number, last;
	int err;

	pthread_mutex_lock(&ids->lock);
	number = *id ? *id : ids->last + 1;
	err = number ? __ids_add(ids, number, object) : -ENOSPC;
	if (!err) {
		*id = number;
		last = ids->last;
		ids->last = max(last, number);
		__page_drop_empty(ids, last / BPF_IDS_PAGE);
	}
	pthread_mutex_unlock(&ids->lock);
	return err;
}

void bpf_ids_remove(struct bpf_ids *ids, u32 id)
{
	struct bpf_ids_page *page;

	pthread_mutex_lock(&ids->lock);
	page = ids->pages[id / BPF_IDS_PAGE];
	bpf_rcu_assign_pointer(page->objects[id % BPF_IDS_PAGE], NULL);
	page->used--;
	__page_drop_empty(ids, id / BPF_IDS_PAGE);
	pthread_mutex_unlock(&ids->lock);
}

u32 bpf_ids_next(struct bpf_ids *ids, u32 id)
{
	u64 at = (u64)id + 1;

	pthread_mutex_lock(&ids->lock);
	while (at <= ids->last) {
		const struct bpf_ids_page *page = ids->pages[at / BPF_IDS_PAGE];

		if (page && page->objects[at % BPF_IDS_PAGE])
			break;
		at = page ? at + 1 : (at / BPF_IDS_PAGE + 1) * BPF_IDS_PAGE;
	}
	if (at > ids->last)
		at = 0;
	pthread_mutex_unlock(&ids->lock);
	return at;
}

void *bpf_ids_get(struct bpf_ids *ids, u32 id, bool (*inc)(void *object))
{
	void *object;

	pthread_mutex_lock(&ids->lock);
	object = bpf_ids_find(ids, id);
	if (object && !inc(object))
		object = NULL;
	pthread_mutex_unlock(&ids->lock);
	return object;
}
