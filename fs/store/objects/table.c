/*
 * table.c - the table of objects, their references, and how an object and its files end together
 *
 * objects/<id> exists as long as the object does: it is made before the object is usable and
 * removed by the engine's on_free, unless a name is left (the server is ending) or the store is
 * stopping (a map that only a named program uses must be there at the next start; what nobody needs
 * is removed then).
 */
#include "fs/store/objects/private.h"
#include "fs/fuse/protocol/passthrough.h"
#include "fs/node/backing.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/charge.h"
#include "fs/store/objects/files.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_tree.h"
#include "map/syscall.h"

#include <fcntl.h>

struct store store = {.lock = PTHREAD_MUTEX_INITIALIZER};

/*
 * New ids are the highest; a start goes through them in their order, too, but for what is found
 * through another.
 */
static void __order_insert(struct store_object *obj)
{
	struct store_object *below = store.highest[obj->kind];

	while (below && below->id > obj->id)
		below = below->lower;
	obj->lower = below;
	obj->higher = below ? below->higher : store.lowest[obj->kind];
	*(below ? &below->higher : &store.lowest[obj->kind]) = obj;
	*(obj->higher ? &obj->higher->lower : &store.highest[obj->kind]) = obj;
}

static void __order_remove(struct store_object *obj)
{
	*(obj->lower ? &obj->lower->higher : &store.lowest[obj->kind]) = obj->higher;
	*(obj->higher ? &obj->higher->lower : &store.highest[obj->kind]) = obj->lower;
}

static void __store_insert(struct store_object *obj)
{
	hash_add(&store.by_id, &obj->id_link, obj->id);
	hash_add(&store.by_ino, &obj->ino_link, obj->ino);
	__order_insert(obj);
}

static void __store_remove(struct store_object *obj)
{
	hash_remove(&store.by_id, &obj->id_link);
	hash_remove(&store.by_ino, &obj->ino_link);
	__order_remove(obj);
}

/* Ids are of one counter for all kinds. */
static struct store_object *__store_find(enum store_kind kind, u32 id)
{
	struct hash_link *link = hash_find(&store.by_id, id);
	struct store_object *obj = link ? container_of(link, struct store_object, id_link) : NULL;

	return obj && obj->kind == kind ? obj : NULL;
}

/*
 * The count that is kept here, when it is: then `change` was added to it, unless it is 0. Else the
 * engine's object is there already, or has ended.
 */
static int __refs_change(struct store_object *obj, int change)
{
	int refs = __atomic_load_n(&obj->refs, __ATOMIC_ACQUIRE);

	while (refs > 0 && !__atomic_compare_exchange_n(&obj->refs, &refs, refs + change, true,
							__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		;
	return refs;
}

/* One more reference, unless the last was dropped; store.lock is held, or a read section. */
bool store_get_unless_gone(struct store_object *obj)
{
	int refs = __refs_change(obj, 1);
	struct bpf_map *map;
	struct bpf_prog *prog;

	if (refs > 0)
		return true;
	map = bpf_rcu_dereference(obj->map);
	if (map)
		return bpf_map_inc_not_zero(map);
	prog = bpf_rcu_dereference(obj->prog);
	return prog && bpf_prog_inc_not_zero(prog);
}

static int file_stat(const struct store_object *obj, struct stat *st)
{
	char name[32];

	store_part_name(obj->id, STORE_OBJECT, name);
	return fstatat(tree.objects_fd, name, st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int store_stat(struct store_object *obj, struct stat *st)
{
	int err = 0;

	pthread_mutex_lock(&obj->stat_lock);
	if (!obj->st_known) {
		err = file_stat(obj, &obj->st);
		obj->st_known = !err;
	}
	*st = obj->st;
	pthread_mutex_unlock(&obj->stat_lock);
	return err;
}

/* Its file's owner, bits or times were changed. */
void store_stat_changed(struct store_object *obj)
{
	pthread_mutex_lock(&obj->stat_lock);
	obj->st_known = false;
	pthread_mutex_unlock(&obj->stat_lock);
}

/*
 * Of objects/<id> alone, or also names? What cannot be seen counts as named: an error is no
 * absence.
 */
static bool __store_named(const struct store_object *obj)
{
	struct stat st;
	int err = file_stat(obj, &st);

	return err ? err != -ENOENT : st.st_nlink > 1;
}

static void object_free(struct rcu_head *head)
{
	struct store_object *obj = container_of(head, struct store_object, rcu);

	pthread_mutex_destroy(&obj->stat_lock);
	store_seen_free(obj->seen);
	free(obj->broken);
	free(obj->broken_log);
	free(obj->log);
	free(obj);
}

/* One holder less; who has found it in a node may still look at it. */
static void object_let_go(struct store_object *obj)
{
	if (!__atomic_sub_fetch(&obj->holders, 1, __ATOMIC_ACQ_REL))
		bpf_call_rcu(&obj->rcu, object_free);
}

static void object_end(struct store_object *obj)
{
	if (obj->charged)
		store_uncharge(obj);
	passthrough_remove(obj->backing_id, store_backing_key(obj->id, STORE_VALUES));
	passthrough_remove(obj->ring_backing_id[STORE_RING_CONSUMER],
			   store_backing_key(obj->id, STORE_VALUES));
	passthrough_remove(obj->ring_backing_id[STORE_RING_DATA],
			   store_backing_key(obj->id, STORE_OBJECT));
	store_let_uses(obj);
	object_let_go(obj);
}

/* The last reference is gone: take it out, and its file unless a later start needs it. */
static void store_ended(struct store_object *obj)
{
	/*
	 * Nodes may hold it for long yet; the engine frees its own after the read sections of now.
	 */
	bpf_rcu_assign_pointer(obj->map, NULL);
	bpf_rcu_assign_pointer(obj->prog, NULL);
	store_ended_asleep(obj);
	if (obj->kind_end)
		obj->kind_end(obj);
	pthread_mutex_lock(&store.lock);
	__store_remove(obj);
	if (!store.keep_files && !__store_named(obj)) {
		__fs_node_gone(&(struct stat){.st_ino = obj->ino});
		if (durable_mode() == DURABLE_NONE)
			store_remove_files(obj->id);
		else
			store_remove_files_later(obj->id);
	}
	pthread_mutex_unlock(&store.lock);
	object_end(obj);
}

void store_map_ended(struct bpf_map *map, void *priv)
{
	store_ended(priv);
}

void store_prog_ended(struct bpf_prog *prog, void *priv)
{
	store_ended(priv);
}

void store_get(struct store_object *obj)
{
	store_get_unless_gone(obj); /* the caller has one: it cannot fail */
}

void store_put(struct store_object *obj)
{
	int refs = obj ? __refs_change(obj, -1) : 0;

	if (!obj || refs > 1)
		return;
	if (refs == 1)
		store_ended(obj);
	else if (bpf_rcu_dereference(obj->map))
		bpf_map_put(obj->map);
	else
		bpf_prog_put(obj->prog);
}

int store_by_id(enum store_kind kind, u32 id, struct store_object **out)
{
	struct store_object *obj;
	int err = -ENOENT;

	pthread_mutex_lock(&store.lock);
	obj = __store_find(kind, id);
	if (obj && store_get_unless_gone(obj)) {
		*out = obj;
		err = 0;
	}
	pthread_mutex_unlock(&store.lock);
	return err;
}

int store_by_ino(u64 ino, struct store_object **out)
{
	struct store_object *obj = NULL;
	struct hash_link *link;
	int err = -ENOENT;

	pthread_mutex_lock(&store.lock);
	link = hash_find(&store.by_ino, ino);
	if (link)
		obj = container_of(link, struct store_object, ino_link);
	if (obj && store_get_unless_gone(obj)) {
		*out = obj;
		err = 0;
	}
	pthread_mutex_unlock(&store.lock);
	return err;
}

void store_bind(struct fs_node *node, struct store_object *obj)
{
	if (obj)
		__atomic_add_fetch(&obj->holders, 1, __ATOMIC_RELAXED);
	obj = bpf_rcu_xchg_pointer(node->obj, obj);
	if (obj)
		object_let_go(obj);
}

struct store_object *store_of_map(struct bpf_map *map)
{
	return map->priv;
}

struct store_object *store_of_prog(struct bpf_prog *prog)
{
	return prog->priv;
}

const char *store_broken_log(const struct store_object *obj)
{
	return obj->broken_log;
}

/* The first above an id: one step where that id is still there, as it is in a walk. */
static struct store_object *__store_above(enum store_kind kind, u32 id)
{
	struct store_object *obj;

	if (!id)
		return store.lowest[kind];
	obj = __store_find(kind, id);
	if (obj)
		return obj->higher;
	obj = store.highest[kind];
	if (!obj || obj->id < id)
		return NULL;
	while (obj->lower && obj->lower->id > id)
		obj = obj->lower;
	return obj;
}

int store_next(enum store_kind kind, u32 id, struct store_object **out)
{
	struct store_object *obj;

	pthread_mutex_lock(&store.lock);
	obj = __store_above(kind, id);
	while (obj && !store_get_unless_gone(obj))
		obj = obj->higher;
	pthread_mutex_unlock(&store.lock);
	*out = obj;
	return obj ? 0 : -ENOENT;
}

/* ---- those that come to be known */

struct store_object *store_object_new(u32 id, enum store_kind kind, const struct stat *st)
{
	struct store_object *obj = calloc(1, sizeof(*obj));

	if (!obj)
		return NULL;
	pthread_mutex_init(&obj->stat_lock, NULL);
	obj->holders = 1;
	obj->id = id;
	obj->kind = kind;
	obj->ino = st->st_ino;
	obj->owner = st->st_uid;
	return obj;
}

void store_object_drop(struct store_object *obj)
{
	if (obj->charged)
		store_uncharge(obj);
	pthread_mutex_destroy(&obj->stat_lock);
	free(obj);
}

void store_adopt_map(struct store_object *obj, struct bpf_map *map)
{
	bpf_map_drop_files(map);
	obj->map = map;
	map->priv = obj;
	map->on_free = store_map_ended;
	if (map->btf)
		bpf_btf_publish(map->btf, obj->owner); /* without an id they serve as well */
	store_charge_anyway(obj);
	pthread_mutex_lock(&store.lock);
	__store_insert(obj);
	pthread_mutex_unlock(&store.lock);
}

void store_adopt_prog(struct store_object *obj, struct bpf_prog *prog)
{
	obj->prog = prog;
	prog->priv = obj;
	prog->on_free = store_prog_ended;
	if (prog->btf)
		bpf_btf_publish(prog->btf, obj->owner);
	store_charge_anyway(obj);
	pthread_mutex_lock(&store.lock);
	__store_insert(obj);
	pthread_mutex_unlock(&store.lock);
}

void store_adopt_counted(struct store_object *obj)
{
	obj->refs = 1;
	store_charge_anyway(obj);
	pthread_mutex_lock(&store.lock);
	__store_insert(obj);
	pthread_mutex_unlock(&store.lock);
}

/* ---- the end */

void store_keep_files(bool keep)
{
	pthread_mutex_lock(&store.lock);
	store.keep_files = keep;
	pthread_mutex_unlock(&store.lock);
}

void store_stop(void)
{
	struct store_object *obj;

	pthread_mutex_lock(&store.lock);
	store.keep_files = true;
	bpf_map_keep_slots = true;
	for (enum store_kind kind = 0; kind < STORE_KINDS; kind++) {
		while (store.lowest[kind]) {
			/* From the start again: the list has changed meanwhile. */
			for (obj = store.lowest[kind]; obj && !obj->held; obj = obj->higher)
				;
			if (!obj)
				break;
			obj->held = false;
			pthread_mutex_unlock(&store.lock);
			store_put(obj);
			pthread_mutex_lock(&store.lock);
		}
	}
	pthread_mutex_unlock(&store.lock);
	/*
	 * Programs drop their maps after a grace period, and those are closed (marked clean) after
	 * another.
	 */
	bpf_rcu_barrier();
}
