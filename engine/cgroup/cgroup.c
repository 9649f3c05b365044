/*
 * cgroup.c - the hierarchy and its effective sets (see cgroup.h)
 *
 * A change has two phases: update_effective() computes the new array of the cgroup and of each
 * descendant aside, and only when all are there switches to them. Walks of a subtree go over the
 * lists of children without recursion, so depth costs no stack.
 */
#include <pthread.h>
#include "cgroup/cgroup.h"
#include "run/run.h"
#include "map/types/cgroup_storage.h"

struct attachment {
	struct bpf_prog *prog;
	struct bpf_cgroup_storages storages;
	struct attachment *next;
};

struct cgroup_bpf {
	struct attachment *progs; /* attached here, in order */
	u32 flags;
	struct bpf_prog_array *effective; /* RCU */
	struct bpf_prog_array *pending; /* during a change */
};

struct hierarchy {
	pthread_mutex_t lock;
	u64 next_id;
	u32 refs; /* cgroups */
};

struct cgroup {
	struct hierarchy *h;
	struct cgroup *parent; /* referenced */
	struct cgroup *children, *sibling;
	u64 id;
	u32 depth;
	bool dead;
	u32 refs;
	struct cgroup_bpf bpf[MAX_CGROUP_BPF_ATTACH_TYPE];
	struct cgroup_stats stats;
};

u32 cgroup_fail_alloc;

static void *alloc(size_t size)
{
	if (unlikely(cgroup_fail_alloc) && --cgroup_fail_alloc == 0)
		return NULL;
	return calloc(1, size);
}

/* ---- arrays */

static void array_free(struct bpf_prog_array *array)
{
	if (!array)
		return;
	for (u32 i = 0; i < array->nr; i++)
		if (array->items[i].prog)
			bpf_prog_put(array->items[i].prog);
	free(array);
}

static void array_free_rcu(struct rcu_head *head)
{
	array_free(container_of(head, struct bpf_prog_array, rcu));
}

static void array_retire(struct bpf_prog_array *array)
{
	if (array)
		bpf_call_rcu(&array->rcu, array_free_rcu);
}

static u32 list_length(const struct attachment *list)
{
	u32 nr = 0;

	for (; list; list = list->next)
		nr++;
	return nr;
}

/*
 * What is effective in a cgroup: its own programs, then upwards those of each ancestor that allows
 * several; of the others only the nearest that has any.
 */
static struct bpf_prog_array *compute_effective(const struct cgroup *cgrp, u32 type)
{
	const struct cgroup *p;
	struct bpf_prog_array *array;
	u32 nr = 0;

	for (p = cgrp; p; p = p->parent)
		if (!nr || p->bpf[type].flags & BPF_F_ALLOW_MULTI)
			nr += list_length(p->bpf[type].progs);
	array = alloc(sizeof(*array) + nr * sizeof(array->items[0]));
	if (!array)
		return NULL;
	for (p = cgrp; p; p = p->parent) {
		const struct attachment *a = p->bpf[type].progs;

		if (array->nr && !(p->bpf[type].flags & BPF_F_ALLOW_MULTI))
			continue;
		for (; a; a = a->next) {
			bpf_prog_inc(a->prog);
			array->items[array->nr++] = (struct cgroup_bpf_item){
				a->prog, p->id, p->bpf[type].flags, a->storages};
		}
	}
	return array;
}

/* The next of a subtree, parents before children; NULL at the end. */
static struct cgroup *subtree_next(struct cgroup *top, struct cgroup *pos)
{
	if (pos->children)
		return pos->children;
	while (pos != top) {
		if (pos->sibling)
			return pos->sibling;
		pos = pos->parent;
	}
	return NULL;
}

/* Both phases. -ENOMEM: nothing has changed. */
static int update_effective(struct cgroup *cgrp, u32 type)
{
	struct cgroup *pos, *failed = NULL;

	for (pos = cgrp; pos && !failed; pos = subtree_next(cgrp, pos)) {
		pos->bpf[type].pending = compute_effective(pos, type);
		if (!pos->bpf[type].pending)
			failed = pos;
	}
	if (failed) {
		for (pos = cgrp; pos != failed; pos = subtree_next(cgrp, pos)) {
			array_free(pos->bpf[type].pending);
			pos->bpf[type].pending = NULL;
		}
		return -ENOMEM;
	}
	for (pos = cgrp; pos; pos = subtree_next(cgrp, pos)) {
		struct cgroup_bpf *bpf = &pos->bpf[type];

		array_retire(bpf_rcu_xchg_pointer(bpf->effective, bpf->pending));
		bpf->pending = NULL;
	}
	return 0;
}

/*
 * B. A detach without memory for new arrays: every array of the subtree that holds the program as
 *    attached here gets a hole. What an override hid comes back only with the next change of that
 *    cgroup.
 */
static void purge_effective(struct cgroup *cgrp, u32 type, struct bpf_prog *prog)
{
	struct cgroup *pos;

	for (pos = cgrp; pos; pos = subtree_next(cgrp, pos)) {
		struct bpf_prog_array *array = pos->bpf[type].effective;

		for (u32 i = 0; i < array->nr; i++) {
			struct cgroup_bpf_item *item = &array->items[i];

			if (item->prog != prog || item->cgroup_id != cgrp->id)
				continue;
			bpf_rcu_assign_pointer(item->prog, NULL);
			bpf_prog_put(prog); /* freed after a grace period: a packet may be in it */
		}
	}
}

/* ---- the tree */

static void cgroup_free(struct cgroup *cgrp)
{
	struct hierarchy *h = cgrp->h;
	struct cgroup *parent = cgrp->parent;

	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
		struct attachment *a = cgrp->bpf[type].progs, *next;

		for (; a; a = next) {
			next = a->next;
			bpf_prog_put(a->prog);
			free(a);
		}
		array_retire(cgrp->bpf[type].effective);
	}
	bpf_cgroup_storage_gone(cgrp->id);
	free(cgrp);
	if (__atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) == 0) {
		pthread_mutex_destroy(&h->lock);
		free(h);
	}
	if (parent)
		cgroup_put(parent);
}

void cgroup_get(struct cgroup *cgrp)
{
	__atomic_fetch_add(&cgrp->refs, 1, __ATOMIC_RELAXED);
}

void cgroup_put(struct cgroup *cgrp)
{
	if (cgrp && __atomic_sub_fetch(&cgrp->refs, 1, __ATOMIC_ACQ_REL) == 0)
		cgroup_free(cgrp);
}

u64 cgroup_id(const struct cgroup *cgrp)
{
	return cgrp->id;
}

u64 cgroup_ancestor_id(const struct cgroup *cgrp, u32 level)
{
	if (level > cgrp->depth)
		return 0;
	while (cgrp->depth > level)
		cgrp = cgrp->parent;
	return cgrp->id;
}

/* Caller holds the lock when there is a parent. */
static struct cgroup *cgroup_new(struct hierarchy *h, struct cgroup *parent, u64 id)
{
	struct cgroup *cgrp = alloc(sizeof(*cgrp));

	if (!cgrp)
		return NULL;
	cgrp->parent = parent;
	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
		cgrp->bpf[type].effective = compute_effective(cgrp, type);
		if (!cgrp->bpf[type].effective) {
			while (type--)
				array_free(cgrp->bpf[type].effective);
			free(cgrp);
			return NULL;
		}
	}
	cgrp->h = h;
	cgrp->refs = 1;
	cgrp->id = id ? id : h->next_id;
	h->next_id = max(h->next_id, cgrp->id) + 1;
	__atomic_fetch_add(&h->refs, 1, __ATOMIC_RELAXED);
	if (parent) {
		cgroup_get(parent);
		cgrp->depth = parent->depth + 1;
		cgrp->sibling = parent->children;
		parent->children = cgrp;
		cgroup_get(cgrp); /* the list's */
	}
	return cgrp;
}

struct cgroup *cgroup_root_new(void)
{
	struct hierarchy *h = alloc(sizeof(*h));
	struct cgroup *root;

	if (!h)
		return NULL;
	pthread_mutex_init(&h->lock, NULL);
	h->next_id = 1;
	root = cgroup_new(h, NULL, 0);
	if (!root)
		free(h);
	return root;
}

int cgroup_create(struct cgroup *parent, u64 id, struct cgroup **out)
{
	int err = 0;

	pthread_mutex_lock(&parent->h->lock);
	*out = NULL;
	if (parent->dead)
		err = -ENODEV;
	else if (parent->depth >= CGROUP_MAX_DEPTH)
		err = -EAGAIN;
	else
		*out = cgroup_new(parent->h, parent, id);
	pthread_mutex_unlock(&parent->h->lock);
	return err ? err : *out ? 0 : -ENOMEM;
}

/* ---- attaching */

/* Does every ancestor that has programs let a descendant have its own? */
static bool hierarchy_allows_attach(const struct cgroup *cgrp, u32 type)
{
	const struct cgroup *p;

	for (p = cgrp->parent; p; p = p->parent) {
		if (p->bpf[type].flags & BPF_F_ALLOW_MULTI)
			return true;
		if (p->bpf[type].progs)
			return p->bpf[type].flags & BPF_F_ALLOW_OVERRIDE;
	}
	return true;
}

static struct attachment *find(struct attachment *list, const struct bpf_prog *prog)
{
	for (; list && list->prog != prog; list = list->next)
		;
	return list;
}

/* The attachment whose program is replaced; NULL: a new one is added. */
static int attach_place(struct cgroup_bpf *bpf, struct bpf_prog *prog, struct bpf_prog *replace,
			u32 flags, struct attachment **place)
{
	*place = bpf->progs;
	if (!(flags & BPF_F_ALLOW_MULTI))
		return 0;
	if (prog != replace && find(bpf->progs, prog))
		return -EINVAL; /* twice in one list */
	*place = replace ? find(bpf->progs, replace) : NULL;
	return replace && !*place ? -ENOENT : 0;
}

static int __attach(struct cgroup *cgrp, u32 type, struct bpf_prog *prog, struct bpf_prog *replace,
		    u32 flags)
{
	struct cgroup_bpf *bpf = &cgrp->bpf[type];
	u32 kept = flags & (BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI), old_flags = bpf->flags;
	struct bpf_cgroup_storages storages, old_storages = {0};
	struct attachment *place, **end;
	struct bpf_prog *old = NULL;
	int err;

	if (cgrp->dead)
		return -ENODEV;
	if (!hierarchy_allows_attach(cgrp, type))
		return -EPERM;
	if (bpf->progs && bpf->flags != kept)
		return -EPERM;
	if (list_length(bpf->progs) >= BPF_CGROUP_MAX_PROGS)
		return -E2BIG;
	err = attach_place(bpf, prog, replace, flags, &place);
	if (!err)
		err = bpf_cgroup_storages_get(prog, cgrp->id, type, &storages);
	if (err)
		return err;
	end = &bpf->progs;
	if (place) {
		old = place->prog;
		old_storages = place->storages;
	} else {
		while (*end)
			end = &(*end)->next;
		place = *end = alloc(sizeof(*place));
		if (!place) {
			bpf_cgroup_storages_undo(&storages);
			return -ENOMEM;
		}
	}
	place->prog = prog;
	place->storages = storages;
	bpf->flags = kept;
	err = update_effective(cgrp, type);
	if (err) {
		bpf->flags = old_flags;
		place->prog = old;
		place->storages = old_storages;
		bpf_cgroup_storages_undo(&storages);
		if (!old) {
			*end = NULL;
			free(place);
		}
		return err;
	}
	bpf_prog_inc(prog);
	if (old)
		bpf_prog_put(old);
	return 0;
}

int cgroup_bpf_attach(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, struct bpf_prog *prog,
		      struct bpf_prog *replace, u32 flags)
{
	bool override = flags & BPF_F_ALLOW_OVERRIDE, multi = flags & BPF_F_ALLOW_MULTI;
	int err;

	if (flags & ~CGROUP_BPF_FLAGS_MASK || (override && multi) ||
	    (flags & BPF_F_REPLACE && !multi) || !(flags & BPF_F_REPLACE) != !replace)
		return -EINVAL;
	if ((u32)type >= MAX_CGROUP_BPF_ATTACH_TYPE || prog->type != BPF_PROG_TYPE_CGROUP_SKB)
		return -EINVAL;
	/*
	 * A program that said where it belongs (SEC("cgroup_skb/egress")) may be nowhere else: it
	 * may return more.
	 */
	if (prog->expected_attach_type == BPF_CGROUP_INET_EGRESS && type == CGROUP_INET_INGRESS)
		return -EINVAL;
	pthread_mutex_lock(&cgrp->h->lock);
	err = __attach(cgrp, type, prog, replace, flags);
	pthread_mutex_unlock(&cgrp->h->lock);
	return err;
}

static int __detach(struct cgroup *cgrp, u32 type, struct bpf_prog *prog)
{
	struct cgroup_bpf *bpf = &cgrp->bpf[type];
	struct attachment **at = &bpf->progs, *gone;
	u32 flags = bpf->flags;

	if (flags & BPF_F_ALLOW_MULTI) {
		if (!prog)
			return -EINVAL;
		while (*at && (*at)->prog != prog)
			at = &(*at)->next;
	}
	gone = *at;
	if (!gone)
		return -ENOENT;
	*at = gone->next;
	if (!bpf->progs)
		bpf->flags = 0;
	if (update_effective(cgrp, type))
		purge_effective(cgrp, type, gone->prog);
	bpf_prog_put(gone->prog);
	free(gone);
	return 0;
}

int cgroup_bpf_detach(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, struct bpf_prog *prog)
{
	int err;

	if ((u32)type >= MAX_CGROUP_BPF_ATTACH_TYPE)
		return -EINVAL;
	pthread_mutex_lock(&cgrp->h->lock);
	err = __detach(cgrp, type, prog);
	pthread_mutex_unlock(&cgrp->h->lock);
	return err;
}

/* ---- removing */

/* Now, not with the last reference: a link holds one, and shows what is attached. */
static void drop_attachments(struct cgroup *cgrp)
{
	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++)
		while (cgrp->bpf[type].progs)
			__detach(cgrp, type, cgrp->bpf[type].progs->prog);
}

int cgroup_remove(struct cgroup *cgrp)
{
	struct cgroup **at;
	int err = 0;

	pthread_mutex_lock(&cgrp->h->lock);
	if (cgrp->children || !cgrp->parent)
		err = -EBUSY;
	else if (cgrp->dead)
		err = -ENODEV;
	if (!err) {
		for (at = &cgrp->parent->children; *at != cgrp; at = &(*at)->sibling)
			;
		*at = cgrp->sibling;
		cgrp->sibling = NULL;
		cgrp->dead = true;
		drop_attachments(cgrp);
	}
	pthread_mutex_unlock(&cgrp->h->lock);
	if (!err)
		cgroup_put(cgrp); /* the list's */
	return err;
}

/* ---- asking and running */

int cgroup_bpf_query(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, bool effective,
		     struct cgroup_bpf_item **items, u32 *nr, u32 *flags)
{
	struct cgroup_bpf *bpf = &cgrp->bpf[type];
	const struct attachment *a;
	u32 most, i;

	pthread_mutex_lock(&cgrp->h->lock);
	most = effective ? bpf->effective->nr : list_length(bpf->progs);
	*nr = 0;
	*flags = bpf->flags;
	*items = alloc((most + 1) * sizeof(**items));
	if (*items && effective) {
		for (i = 0; i < most; i++)
			if (bpf->effective->items[i].prog)
				(*items)[(*nr)++] = bpf->effective->items[i];
	} else if (*items) {
		for (a = bpf->progs; a; a = a->next)
			(*items)[(*nr)++] = (struct cgroup_bpf_item){a->prog, cgrp->id, bpf->flags,
								     a->storages};
	}
	for (i = 0; i < *nr; i++)
		bpf_prog_inc((*items)[i].prog);
	pthread_mutex_unlock(&cgrp->h->lock);
	return *items ? 0 : -ENOMEM;
}

void cgroup_bpf_items_free(struct cgroup_bpf_item *items, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		bpf_prog_put(items[i].prog);
	free(items);
}

int cgroup_bpf_run(struct cgroup *cgrp, enum cgroup_bpf_attach_type type, void *ctx,
		   bool *congested)
{
	struct bpf_prog_array *array = bpf_rcu_dereference(cgrp->bpf[type].effective);
	const struct bpf_cgroup_storages *outer = bpf_this.storages;
	bool cn = false;
	int allow = 1;

	for (u32 i = 0; i < array->nr; i++) {
		struct bpf_prog *prog = bpf_rcu_dereference(array->items[i].prog);
		u32 ret;

		if (!prog)
			continue;
		bpf_this.storages = &array->items[i].storages;
		ret = (u32)bpf_prog_run_counted(prog, ctx);
		if (unlikely(bpf_run_cancelled())) { /* it has not decided */
			bpf_this.cancelled_prog = prog;
			allow = 0;
			break;
		}
		if (!(ret & 1))
			allow = 0;
		if (type == CGROUP_INET_EGRESS && ret & 2)
			cn = true;
	}
	bpf_this.storages = outer;
	if (congested)
		*congested = cn;
	__atomic_add_fetch(allow ? &cgrp->stats.allowed[type] : &cgrp->stats.dropped[type], 1,
			   __ATOMIC_RELAXED);
	return allow;
}

void cgroup_stats_read(const struct cgroup *cgrp, struct cgroup_stats *stats)
{
	for (u32 type = 0; type < MAX_CGROUP_BPF_ATTACH_TYPE; type++) {
		stats->allowed[type] =
			__atomic_load_n(&cgrp->stats.allowed[type], __ATOMIC_RELAXED);
		stats->dropped[type] =
			__atomic_load_n(&cgrp->stats.dropped[type], __ATOMIC_RELAXED);
	}
}
