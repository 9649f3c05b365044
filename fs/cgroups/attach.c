/*
 * attach.c - see attach.h
 */
#include "fs/cgroups/attach.h"
#include "fs/cgroups/attachments.h"
#include "fs/cgroups/files.h"
#include "fs/cgroups/lookup.h"
#include "fs/enforce/enforce.h"
#include "fs/store/state/state_tree.h"

/* Attached already, exactly so? */
static bool is_attached(struct cgroup *cgrp, u32 type, const struct bpf_prog *prog, u32 want)
{
	struct cgroup_bpf_item *items;
	u32 nr, flags, i;
	bool found = false;

	if (cgroup_bpf_query(cgrp, type, false, &items, &nr, &flags))
		return false;
	for (i = 0; i < nr; i++)
		found |= items[i].prog == prog && flags == want;
	cgroup_bpf_items_free(items, nr);
	return found;
}

static bool has_list(struct cgroup *cgrp, u32 type)
{
	struct cgroup_bpf_item *items;
	u32 nr, flags;

	if (cgroup_bpf_query(cgrp, type, false, &items, &nr, &flags))
		return false;
	cgroup_bpf_items_free(items, nr);
	return flags & BPF_F_ALLOW_MULTI;
}

int cgroup_prog_attach(struct fs_node *dir, u32 type, struct store_object *obj,
		       struct store_object *replace, u32 flags, bool as_bpf)
{
	struct cgroup *cgrp = NULL;
	int err;

	tree_wrlock();
	err = enforce_make_rules(cgroups_enforce);
	if (!err)
		err = cgroup_of_node(dir, &cgrp);
	if (!err && (as_bpf || !is_attached(cgrp, type, obj->prog, flags)))
		err = cgroup_link_attach(dir, cgrp, type, obj, replace, flags);
	tree_unlock();
	cgroup_put(cgrp);
	return err;
}

int cgroup_prog_detach(struct fs_node *dir, u32 type, struct store_object *obj, bool as_bpf)
{
	struct cgroup *cgrp = NULL;
	int err;

	tree_wrlock();
	err = cgroup_of_node(dir, &cgrp);
	if (!err && as_bpf && !has_list(cgrp, type))
		obj = NULL;
	if (!err)
		err = cgroup_link_detach(dir, cgrp, type, obj);
	tree_unlock();
	cgroup_put(cgrp);
	return err;
}
