/*
 * node_object.c - which object a node shows
 */
#include "fs/store/node_object.h"
#include "fs/node/backing.h"
#include "fs/store/state/durable.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/files.h"
#include "map/syscall.h"

#include <fcntl.h>

int store_resolve(struct fs_node *dir)
{
	struct store_object *obj;
	struct stat st;

	if (READ_ONCE(dir->obj_known))
		return 0;
	if (!fstatat(fs_node_fd(dir), dir->ops->object, &st, AT_SYMLINK_NOFOLLOW)) {
		int err = store_by_ino(st.st_ino, &obj);

		if (err)
			return err == -ENOENT ? 0 : err;
		store_bind(dir, obj);
		store_put(obj);
	} else if (errno != ENOENT) {
		return -errno;
	}
	WRITE_ONCE(dir->obj_known, true);
	return 0;
}

static void bind_id(struct fs_node *node, u32 id)
{
	struct store_object *obj;

	for (u32 kind = 0; kind < STORE_KINDS; kind++) {
		if (store_by_id(kind, id, &obj))
			continue;
		store_bind(node, obj);
		store_put(obj);
		return;
	}
}

static void node_restored(struct fs_node *node)
{
	if (node->object)
		bind_id(node, node->object);
	else if (node->in_tree && node->ops->object)
		store_resolve(node);
}

static bool open_restored(struct fs_node *node, u32 id)
{
	struct fs_node *dir = fs_node_base(node);

	if (!id)
		store_bind(dir, NULL);
	if (!id || dir->obj || (!dir->object && !dir->ops->object))
		return false;
	bind_id(dir, id);
	return true;
}

static u32 object_of(struct fs_node *node)
{
	struct fs_node *dir = fs_node_base(node);
	struct store_object *obj;
	u32 id = dir->object;

	if (!id && dir->ops->object && !store_of_node(dir, &obj)) {
		id = obj->id;
		store_put(obj);
	}
	return id;
}

static bool asleep(struct fs_node *node)
{
	struct store_object *obj;
	bool sleeps;

	if (!node)
		return store_asleep();
	bpf_rcu_read_lock();
	obj = bpf_rcu_dereference(fs_node_base(node)->obj);
	sleeps = obj && store_is_asleep(obj);
	bpf_rcu_read_unlock();
	return sleeps;
}

static void *hold(u32 id)
{
	struct store_object *obj;

	for (u32 kind = 0; kind < STORE_KINDS; kind++)
		if (!store_by_id(kind, id, &obj))
			return obj;
	return NULL;
}

static void let(void *held)
{
	store_put(held);
}

void store_restore_nodes(void)
{
	fs_backing.asleep = asleep;
	fs_backing.hold = hold;
	fs_backing.let = let;
	fs_backing.object_of = object_of;
	fs_backing.restored = node_restored;
	fs_backing.restored_open = open_restored;
}

/* What could not be looked at counts as named: nothing is made or let go then. */
bool store_node_named(struct fs_node *node)
{
	struct fs_node *dir = fs_node_base(node);

	return !READ_ONCE(dir->obj_known) || bpf_rcu_dereference(dir->obj);
}

int store_node_stat(struct fs_node *node, struct stat *st)
{
	struct store_object *obj;
	int err = store_of_node(node, &obj);

	if (err)
		return node->in_tree ? -ESTALE : err;
	err = store_stat(obj, st);
	store_put(obj);
	return err;
}

void store_node_changed(struct fs_node *node)
{
	struct store_object *obj;

	if (store_of_node(node, &obj))
		return;
	store_stat_changed(obj);
	store_put(obj);
}

void store_node_free(struct fs_node *node)
{
	store_bind(node, NULL);
}

int store_of_node(struct fs_node *node, struct store_object **out)
{
	struct store_object *obj;
	int err = -ENOENT;

	bpf_rcu_read_lock();
	obj = bpf_rcu_dereference(fs_node_base(node)->obj);
	if (obj && store_get_unless_gone(obj)) {
		*out = obj;
		err = 0;
	}
	bpf_rcu_read_unlock();
	return err;
}

static int store_usable(struct fs_node *node, struct fs_req *req, enum store_kind kind,
			struct store_object **out)
{
	int err = store_of_node(node, out);

	if (err)
		return err;
	err = store_wake(*out);
	if (!err && (*out)->broken)
		err = fs_error(req, EBADMSG, "%s", (*out)->broken);
	else if (!err && (*out)->kind != kind)
		err = -EINVAL;
	if (err)
		store_put(*out);
	return err;
}

int store_map_of_node(struct fs_node *node, struct store_object **out)
{
	u32 id;
	int err;

	if (node->key) {
		memcpy(&id, node->key, sizeof(id));
		err = store_by_id(STORE_MAP, id, out);
	} else {
		err = store_of_node(node, out);
	}
	if (err)
		return err;
	err = store_wake(*out);
	if (err)
		store_put(*out);
	return err;
}

int store_wake_node(struct fs_node *node)
{
	struct store_object *obj;
	int err = store_of_node(node, &obj);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = store_wake(obj);
	store_put(obj);
	return err;
}

int store_prog(struct fs_node *node, struct fs_req *req, struct bpf_prog **out)
{
	struct store_object *obj;
	int err = store_usable(node, req, STORE_PROG, &obj);

	*out = err ? NULL : obj->prog;
	return err;
}

int store_map(struct fs_node *node, struct fs_req *req, struct bpf_map **out)
{
	struct store_object *obj;
	int err = store_usable(node, req, STORE_MAP, &obj);

	*out = err ? NULL : obj->map;
	return err;
}

/* ---- fsync(2), close(2) */

static int sync_error(struct error_record *why, int err)
{
	return err ? error_set(why, EIO, "the disk of the state directory: %s", strerror(-err)) : 0;
}

/* The map that a node shows or is a part of, with a reference; NULL: none. */
static struct bpf_map *map_of(struct fs_node *node)
{
	struct store_object *obj;

	if (store_of_node(node, &obj))
		return NULL;
	if (!store_wake(obj) && obj->map)
		return obj->map;
	store_put(obj);
	return NULL;
}

int store_node_sync(struct fs_node *node, struct error_record *why)
{
	struct bpf_map *map = node->ops->type == S_IFDIR ? NULL : map_of(node);
	int err;

	if (!map)
		return sync_error(why, durable_sync_all());
	err = bpf_map_sync(map);
	if (!err) {
		__do_close int fd = store_part_open(map->id, STORE_OBJECT, O_RDONLY);

		err = fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
	}
	bpf_map_put(map);
	return sync_error(why, err);
}

int store_node_closed(struct fs_node *node, struct error_record *why)
{
	struct bpf_map *map = map_of(node);
	int err;

	if (!map)
		return 0;
	err = bpf_map_sync(map);
	bpf_map_put(map);
	return sync_error(why, err);
}
