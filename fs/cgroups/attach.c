/*
 * attach.c - see attach.h
 */
#include "fs/cgroups/attach.h"
#include "fs/cgroups/attachments.h"
#include "fs/cgroups/files.h"
#include "fs/cgroups/lookup/lookup.h"
#include "fs/enforce/enforce.h"
#include "fs/keeper/requests.h"
#include "fs/store/state/state_tree.h"

#define ANY_FLAGS UINT32_MAX

/* Attached already, exactly so? NULL: is any program? */
static bool is_attached(struct cgroup *cgrp, u32 type, const struct bpf_prog *prog, u32 want)
{
	struct cgroup_bpf_item *items;
	u32 nr, flags, i;
	bool found = false;

	if (cgroup_bpf_query(cgrp, type, false, &items, &nr, &flags))
		return false;
	for (i = 0; i < nr; i++)
		found |= (!prog || items[i].prog == prog) && (want == ANY_FLAGS || flags == want);
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

enum { WAS_ATTACHED = 1, WAS_NOT };

/* Was it there before this request was begun, by this server or one before it? Noted. */
static bool was_attached(u64 unique, bool attached)
{
	u64 before = unique ? requests_intended(unique) : 0;

	if (before)
		return before == WAS_ATTACHED;
	if (unique)
		requests_intent(unique, attached ? WAS_ATTACHED : WAS_NOT);
	return attached;
}

int cgroup_prog_attach(struct fs_req *req, struct fs_node *dir, u32 type, struct store_object *obj,
		       struct store_object *replace, u32 flags, bool as_bpf)
{
	struct cgroup *cgrp = NULL;
	bool attached, made;
	int err;

	tree_wrlock();
	err = enforce_make_rules(cgroups_enforce);
	if (!err)
		err = cgroup_of_node(dir, &cgrp);
	if (!err) {
		attached = is_attached(cgrp, type, obj->prog, flags & ~BPF_F_REPLACE);
		made = !was_attached(req->unique, attached) && attached;
		if (!made && (as_bpf || !is_attached(cgrp, type, obj->prog, flags)))
			err = cgroup_link_attach(dir, cgrp, type, obj, replace, flags, fs_why(req));
	}
	tree_unlock();
	cgroup_put(cgrp);
	return err;
}

int cgroup_prog_detach(struct fs_req *req, struct fs_node *dir, u32 type, struct store_object *obj,
		       bool as_bpf)
{
	struct cgroup *cgrp = NULL;
	bool attached, made;
	int err;

	tree_wrlock();
	err = cgroup_of_node(dir, &cgrp);
	if (!err && as_bpf && !has_list(cgrp, type))
		obj = NULL;
	if (!err) {
		attached = is_attached(cgrp, type, obj ? obj->prog : NULL, ANY_FLAGS);
		made = was_attached(req->unique, attached) && !attached;
		if (!made)
			err = cgroup_link_detach(dir, cgrp, type, obj, fs_why(req));
	}
	tree_unlock();
	cgroup_put(cgrp);
	return err;
}
