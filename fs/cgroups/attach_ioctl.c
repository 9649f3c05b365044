/*
 * attach_ioctl.c - bpf(2)'s commands on a cgroup, by its attach files
 *
 * Programs are named by id and used with the rights of who opened the file, as in its lines.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include "fs/cgroups/attach.h"
#include "fs/cgroups/attach_ioctl.h"
#include "fs/cgroups/files.h"
#include "fs/cgroups/lookup/lookup.h"
#include "fs/enforce/enforce.h"
#include "fs/store/link.h"
#include "fs/store/resolve.h"
#include "fs/store/state/state_tree.h"
#include "uapi/ubpffs.h"

struct attach_call {
	struct fs_open *open;
	struct fs_req *req;
	struct fs_node *dir;
	u32 type;
	struct ubpffs_io io;
	const char *in;
	char *out; /* out_len bytes of room, of which io.out_len are the answer in the end */
	size_t room;
};

struct command {
	struct fs_command fuse; /* first: what FUSE has is this */
	int mode; /* O_RDONLY, O_WRONLY: what the descriptor has to be open for */
	int (*run)(struct attach_call *call);
};

static int prog_by_id(struct attach_call *call, u32 id, int mask, struct store_object **out)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", id);
	return resolve_object(call->req, STORE_PROG, text, mask, out);
}

/* The programs that a call names, one reference each; old may stay NULL. */
static int progs_of(struct attach_call *call, int mask, struct store_object **prog,
		    struct store_object **old)
{
	struct ubpffs_attach args;
	int err;

	*prog = *old = NULL;
	if (call->io.in_len != sizeof(args) || call->io.flags > UINT32_MAX)
		return -EINVAL;
	memcpy(&args, call->in, sizeof(args));
	err = args.prog_id || mask != RESOLVE_READ ? prog_by_id(call, args.prog_id, mask, prog) : 0;
	if (!err && args.old_id)
		err = prog_by_id(call, args.old_id, RESOLVE_READ, old);
	return err;
}

static int cmd_attach(struct attach_call *call)
{
	struct store_object *prog, *old;
	int err = progs_of(call, RESOLVE_USE, &prog, &old);

	if (!err)
		err = cgroup_prog_attach(call->req, call->dir, call->type, prog, old,
					 call->io.flags, true);
	store_put(prog);
	store_put(old);
	return err;
}

static int cmd_detach(struct attach_call *call)
{
	struct store_object *prog, *old;
	int err = progs_of(call, RESOLVE_READ, &prog, &old);

	if (!err)
		err = old ? -EINVAL
			  : cgroup_prog_detach(call->req, call->dir, call->type, prog, true);
	store_put(prog);
	store_put(old);
	return err;
}

static int cmd_query(struct attach_call *call)
{
	struct cgroup_bpf_item *items;
	struct cgroup *cgrp;
	u32 nr, flags = 0;
	int err;

	if (call->io.flags & ~(u64)BPF_F_QUERY_EFFECTIVE)
		return -EINVAL;
	err = cgroup_of_node(call->dir, &cgrp);
	if (err)
		return err;
	err = cgroup_bpf_query(cgrp, call->type, call->io.flags, &items, &nr, &flags);
	cgroup_put(cgrp);
	if (err)
		return err;
	for (u32 i = 0; i < nr; i++) {
		struct ubpffs_attached item = {.prog_id = items[i].prog->id,
					       .flags = items[i].flags,
					       .cgroup_id = items[i].cgroup_id};

		if (call->room - call->io.out_len < sizeof(item))
			break;
		memcpy(call->out + call->io.out_len, &item, sizeof(item));
		call->io.out_len += sizeof(item);
	}
	cgroup_bpf_items_free(items, nr);
	call->io.count = nr;
	call->io.flags = call->io.flags ? 0 : flags;
	return 0;
}

static int cmd_link_create(struct attach_call *call)
{
	struct attach_open *a = call->open->priv;
	struct store_object *prog, *old, *link = NULL;
	struct cgroup *cgrp = NULL;
	int err = progs_of(call, RESOLVE_USE, &prog, &old);

	if (!err && (old || call->io.flags || call->room < sizeof(link->id)))
		err = -EINVAL;
	if (!err) {
		tree_wrlock();
		err = enforce_make_rules(cgroups_enforce);
		if (!err)
			err = cgroup_of_node(call->dir, &cgrp);
		if (!err)
			err = store_link_create(prog->prog, cgrp, call->type, &call->req->cred,
						&link, fs_why(call->req));
		tree_unlock();
	}
	cgroup_put(cgrp);
	store_put(prog);
	store_put(old);
	if (err)
		return err;
	memcpy(call->out, &link->id, sizeof(link->id));
	call->io.out_len = sizeof(link->id);
	pthread_mutex_lock(&a->lock);
	old = a->link;
	a->link = link;
	pthread_mutex_unlock(&a->lock);
	store_put(old);
	return 0;
}

static int cmd_of_host(struct attach_call *call)
{
	char path[PATH_MAX];
	u64 id;
	int err;

	if (call->io.in_len != sizeof(id))
		return -EINVAL;
	memcpy(&id, call->in, sizeof(id));
	err = enforce_cgroup_find(cgroups_enforce, id, path, sizeof(path));
	if (err)
		return err;
	if (strlen(path) >= call->room)
		return -ENAMETOOLONG;
	call->io.out_len = strlen(path) + 1;
	memcpy(call->out, path, call->io.out_len);
	return 0;
}

#define FIRST UBPFFS_CGROUP_ATTACH
static const struct command commands[] = {
	[UBPFFS_CGROUP_ATTACH - FIRST] = {{true, LIMIT_CNT}, O_WRONLY, cmd_attach},
	[UBPFFS_CGROUP_DETACH - FIRST] = {{true, LIMIT_CNT}, O_WRONLY, cmd_detach},
	[UBPFFS_CGROUP_QUERY - FIRST] = {{true, LIMIT_CNT}, O_RDONLY, cmd_query},
	[UBPFFS_LINK_CREATE - FIRST] = {{true, LIMIT_CNT}, O_WRONLY, cmd_link_create},
	[UBPFFS_CGROUP_OF_HOST - FIRST] = {{true, LIMIT_CNT}, O_RDONLY, cmd_of_host},
};

const struct fs_command *attach_command(unsigned int cmd)
{
	u32 nr = _IOC_NR(cmd) - FIRST;

	return _IOC_TYPE(cmd) == UBPFFS_IOC_TYPE && nr < ARRAY_SIZE(commands) ? &commands[nr].fuse
									      : NULL;
}

int attach_ioctl(struct fs_open *open, struct fs_req *req, const struct fs_command *fuse,
		 const void *in, size_t in_len, void *out, size_t *out_len)
{
	const struct command *command = container_of(fuse, struct command, fuse);
	struct attach_call call = {.open = open,
				   .req = req,
				   .dir = fs_node_base(open->node),
				   .type = open->node->attr->arg};
	int mode = READ_ONCE(open->flags) & O_ACCMODE, ret;

	if (in_len < sizeof(call.io) || *out_len < sizeof(call.io)) {
		*out_len = 0;
		return -EINVAL;
	}
	memcpy(&call.io, in, sizeof(call.io));
	call.room = call.io.out_len;
	call.io.out_len = 0;
	if (call.io.xfer || call.io.in_len > in_len - sizeof(call.io) ||
	    call.room > *out_len - sizeof(call.io)) {
		ret = -EINVAL;
	} else if (mode != O_RDWR && mode != command->mode) {
		ret = -EPERM;
	} else {
		call.in = (const char *)in + sizeof(call.io);
		call.out = (char *)out + sizeof(call.io);
		ret = command->run(&call);
	}
	call.io.in_len = UBPFFS_ANSWERED;
	memcpy(out, &call.io, sizeof(call.io));
	*out_len = sizeof(call.io) + call.io.out_len;
	return ret;
}
