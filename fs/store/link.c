/*
 * link.c - links of cgroups as objects (see link.h)
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <fcntl.h>
#include <stdio.h>
#include "fs/store/link.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/create.h"
#include "fs/store/objects/files.h"

struct link_image { /* objects/<id> */
	u64 magic;
	u64 cgroup_id;
	u32 prog_id, attach_type;
	u64 checksum; /* of what is before it */
};

struct store_link {
	pthread_mutex_t lock;
	struct bpf_prog *prog; /* a reference */
	struct cgroup *cgrp; /* a reference; NULL: not attached */
	u64 cgroup_id; /* of the file: also before it is attached at a start */
	u32 type;
};

static struct store_link *link_of(struct store_object *obj)
{
	return obj->kind_priv;
}

/* ---- the file: a few bytes of one block, written at once */

static int write_image(int fd, u32 prog_id, u64 cgroup_id, u32 type)
{
	struct link_image image = {.magic = STORE_LINK_MAGIC,
				   .cgroup_id = cgroup_id,
				   .prog_id = prog_id,
				   .attach_type = type};
	ssize_t n;

	image.checksum = XXH64(&image, offsetof(struct link_image, checksum), STORE_LINK_MAGIC);
	n = pwrite(fd, &image, sizeof(image), 0);
	durable_file(fd);
	return n == sizeof(image) ? 0 : n < 0 ? -errno : -ENOSPC;
}

static int rewrite(u32 id, u32 prog_id, u64 cgroup_id, u32 type)
{
	__do_close int fd = store_part_open(id, STORE_OBJECT, O_WRONLY);

	return fd < 0 ? fd : write_image(fd, prog_id, cgroup_id, type);
}

int store_link_read(int fd, struct link_state *state)
{
	struct link_image image;
	ssize_t n = pread(fd, &image, sizeof(image), 0);

	if (n < 0)
		return -errno;
	if (n != sizeof(image) || image.magic != STORE_LINK_MAGIC ||
	    image.checksum !=
		    XXH64(&image, offsetof(struct link_image, checksum), STORE_LINK_MAGIC) ||
	    image.attach_type >= MAX_CGROUP_BPF_ATTACH_TYPE)
		return -EBADMSG;
	state->prog_id = image.prog_id;
	state->cgroup_id = image.cgroup_id;
	state->attach_type = image.attach_type;
	return 0;
}

/* ---- the object */

/* The cgroup may have been removed meanwhile, and its attachments with it. */
static bool __attached(const struct store_link *link)
{
	struct cgroup_bpf_item *items;
	bool found = false;
	u32 nr, flags;

	if (!link->cgrp || cgroup_bpf_query(link->cgrp, link->type, false, &items, &nr, &flags))
		return false;
	for (u32 i = 0; i < nr; i++)
		found |= items[i].prog == link->prog;
	cgroup_bpf_items_free(items, nr);
	return found;
}

static void __detach(struct store_link *link)
{
	if (!link->cgrp)
		return;
	cgroup_bpf_detach(link->cgrp, link->type, link->prog);
	cgroup_put(link->cgrp);
	link->cgrp = NULL;
}

static void link_end(struct store_object *obj)
{
	struct store_link *link = link_of(obj);

	__detach(link);
	bpf_prog_put(link->prog);
	pthread_mutex_destroy(&link->lock);
	free(link);
}

static struct store_link *link_new(struct bpf_prog *prog, u64 cgroup_id, u32 type)
{
	struct store_link *link = calloc(1, sizeof(*link));

	if (!link)
		return NULL;
	pthread_mutex_init(&link->lock, NULL);
	link->prog = prog;
	link->cgroup_id = cgroup_id;
	link->type = type;
	return link;
}

int store_link_adopt(struct store_object *obj, const struct link_state *state,
		     struct bpf_prog *prog)
{
	struct store_link *link = link_new(prog, state->cgroup_id, state->attach_type);

	if (!link)
		return -ENOMEM;
	obj->kind_priv = link;
	obj->kind_end = link_end;
	store_adopt_counted(obj);
	return 0;
}

int store_link_create(struct bpf_prog *prog, struct cgroup *cgrp, u32 type,
		      const struct fs_cred *cred, struct store_object **out,
		      struct error_record *why)
{
	struct link_state state = {prog->id, type, cgroup_id(cgrp)};
	struct store_object *obj;
	int fd, err;

	fd = store_file_create(STORE_LINK, cred, 0600, &obj, why);
	if (fd < 0)
		return fd;
	err = write_image(fd, state.prog_id, state.cgroup_id, type);
	close(fd);
	if (err) {
		store_file_drop(obj);
		return tree_error(why, -err, "a link");
	}
	bpf_prog_inc(prog);
	err = store_link_adopt(obj, &state, prog);
	if (err) {
		bpf_prog_put(prog);
		store_file_drop(obj);
		return err;
	}
	err = cgroup_bpf_attach(cgrp, type, prog, NULL, BPF_F_ALLOW_MULTI);
	if (err) {
		store_put(obj);
		return err;
	}
	cgroup_get(cgrp);
	link_of(obj)->cgrp = cgrp;
	*out = obj;
	return 0;
}

int store_link_update(struct store_object *obj, struct bpf_prog *prog, const struct bpf_prog *old)
{
	struct store_link *link = link_of(obj);
	struct bpf_prog *was;
	int err = 0;

	pthread_mutex_lock(&link->lock);
	was = link->prog;
	if (!__attached(link))
		err = -ENOLINK;
	else if (old && old != was)
		err = -EPERM;
	else if (prog->type != was->type)
		err = -EINVAL;
	/* First the model, which decides; what the file then fails to say is taken back. */
	if (!err && prog != was) {
		err = cgroup_bpf_attach(link->cgrp, link->type, prog, was,
					BPF_F_ALLOW_MULTI | BPF_F_REPLACE);
		if (!err) {
			err = rewrite(obj->id, prog->id, link->cgroup_id, link->type);
			if (err)
				cgroup_bpf_attach(link->cgrp, link->type, was, prog,
						  BPF_F_ALLOW_MULTI | BPF_F_REPLACE);
		}
		if (!err) {
			bpf_prog_inc(prog);
			link->prog = prog;
			bpf_prog_put(was);
		}
	}
	pthread_mutex_unlock(&link->lock);
	return err;
}

int store_link_detach(struct store_object *obj)
{
	struct store_link *link = link_of(obj);
	int err = 0;

	pthread_mutex_lock(&link->lock);
	if (link->cgrp)
		err = rewrite(obj->id, link->prog->id, 0, link->type);
	if (!err) {
		__detach(link);
		link->cgroup_id = 0;
	}
	pthread_mutex_unlock(&link->lock);
	return err;
}

void store_link_state(struct store_object *obj, struct link_state *state)
{
	struct store_link *link = link_of(obj);

	pthread_mutex_lock(&link->lock);
	state->prog_id = link->prog->id;
	state->attach_type = link->type;
	state->cgroup_id = __attached(link) ? link->cgroup_id : 0;
	pthread_mutex_unlock(&link->lock);
}

void store_link_tag(struct store_object *obj, u8 tag[BPF_TAG_SIZE])
{
	struct store_link *link = link_of(obj);

	pthread_mutex_lock(&link->lock);
	memcpy(tag, link->prog->tag, BPF_TAG_SIZE);
	pthread_mutex_unlock(&link->lock);
}

/* ---- the start */

static void start_one(struct store_object *obj, struct cgroup *(*get)(u64 id))
{
	struct store_link *link = link_of(obj);
	struct cgroup *cgrp = link->cgroup_id ? get(link->cgroup_id) : NULL;
	int err = cgrp ? cgroup_bpf_attach(cgrp, link->type, link->prog, NULL, BPF_F_ALLOW_MULTI)
		       : 0;
	char path[64];

	if (cgrp && !err) {
		link->cgrp = cgrp;
		return;
	}
	if (err) {
		snprintf(path, sizeof(path), "objects/%u", obj->id);
		state_problem(path, "links", REMEDY_NONE, "link %u is not attached: %s", obj->id,
			      strerror(-err));
	}
	cgroup_put(cgrp);
}

void links_start(struct cgroup *(*get)(u64 id))
{
	struct store_object *obj;
	u32 id = 0;

	while (!store_next(STORE_LINK, id, &obj)) {
		id = obj->id;
		if (!obj->broken)
			start_one(obj, get);
		store_put(obj);
	}
}
