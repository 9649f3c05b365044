/*
 * object.c - the table of objects, their files, and how both end together
 *
 * objects/<id> exists as long as the object does: it is made before the object is usable and
 * removed by the engine's on_free, unless a name is left (the server is ending) or the store is
 * stopping (a map that only a named program uses must be there at the next start; what nobody needs
 * is removed then).
 *
 * Lock: store.lock guards the tables and `held`; a leaf but for the engine's own (a reference is
 * taken under it by inc_not_zero only, and never dropped under it).
 */
#include "fs/store/object.h"
#include "fs/node/backing.h"
#include "fs/caller/limits.h"
#include "fs/fuse/protocol/passthrough.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/next_id.h"
#include "fs/store/state/state_tree.h"
#include "map/create.h"
#include "map/syscall.h"

#include <fcntl.h>
#include <stdio.h>

static struct {
	pthread_mutex_t lock;
	struct hash_table by_id, by_ino;
	struct store_object *lowest[STORE_KINDS], *highest[STORE_KINDS];
	bool keep_files;
	u32 asleep;
	pthread_mutex_t wake_lock; /* a leaf: `waking` of all, and the end of `asleep` */
	pthread_cond_t woken;
	bool unsure; /* some object's names could not be counted when they changed */
	u32 *leaving; /* ids of objects that are no more, and whose files are */
	size_t nr_leaving;
	bool removing; /* remove_job is under way */
} store = {.lock = PTHREAD_MUTEX_INITIALIZER,
	   .wake_lock = PTHREAD_MUTEX_INITIALIZER,
	   .woken = PTHREAD_COND_INITIALIZER};

#define REFS_ARE_THE_ENGINES (-1)
#define REFS_BIAS	     (1 << 29) /* while those that are counted here become the engine's */

const char *store_part_suffix(enum store_part part)
{
	static const char *const suffix[STORE_PARTS] = {
		[STORE_OBJECT] = "", [STORE_VALUES] = ".values", [STORE_BTF] = ".btf"};

	return suffix[part];
}

const char *store_part_name(u32 id, enum store_part part, char buf[32])
{
	snprintf(buf, 32, "%u%s", id, store_part_suffix(part));
	return buf;
}

void store_remove_files(u32 id)
{
	char name[32];

	if (durable_only_look())
		return;
	/* Not noted: what comes back without a name goes at the next start. */
	for (int part = STORE_PARTS - 1; part >= 0; part--)
		if (unlinkat(tree.objects_fd, store_part_name(id, part, name), 0) < 0 &&
		    errno != ENOENT)
			return;
}

/* Never 0, and never UINT32_MAX, whatever a damaged counter said. */
u32 store_next_id(void)
{
	u32 id;

	do
		id = (u32)__atomic_fetch_add(tree.next_id, 1, __ATOMIC_RELAXED);
	while (!id || id == UINT32_MAX);
	tree_reserve_id(id);
	return id;
}

void store_id_seen(u64 id)
{
	u64 next = __atomic_load_n(tree.next_id, __ATOMIC_RELAXED);

	while (next <= id && id < UINT32_MAX &&
	       !__atomic_compare_exchange_n(tree.next_id, &next, id + 1, true, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED))
		;
}

int store_part_open(u32 id, enum store_part part, int flags)
{
	char name[32];
	int fd = openat(tree.objects_fd, store_part_name(id, part, name),
			flags | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int store_part_open_own(u32 id, enum store_part part)
{
	const int flags = (durable_only_look() ? O_RDONLY : O_RDWR) | O_NONBLOCK | O_NOCTTY;
	int fd = store_part_open(id, part, flags);
	struct stat st;
	char name[32];

	store_part_name(id, part, name);
	if (fd == -EACCES && !durable_only_look() &&
	    !fstatat(tree.objects_fd, name, &st, AT_SYMLINK_NOFOLLOW) &&
	    !fchmodat(tree.objects_fd, name, st.st_mode | 0600, 0)) {
		fd = store_part_open(id, part, flags);
		fchmodat(tree.objects_fd, name, st.st_mode & 07777, 0);
	}
	return fd;
}

/* ---- the tables */

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

/* ---- what its owner is charged */

static void uncharge(uid_t uid, const struct store_object *obj)
{
	limits_uncharge(uid, LIMIT_OBJECTS, 1);
	limits_uncharge(uid, LIMIT_BYTES, obj->bytes);
	limits_uncharge(uid, LIMIT_NAMES, obj->names);
}

static int charge(uid_t uid, const struct store_object *obj, struct error_record *why)
{
	int err = limits_charge(uid, LIMIT_OBJECTS, 1, why);

	if (err)
		return err;
	err = limits_charge(uid, LIMIT_BYTES, obj->bytes, why);
	if (err)
		goto fail;
	err = limits_charge(uid, LIMIT_NAMES, obj->names, why);
	if (!err)
		return 0;
	limits_uncharge(uid, LIMIT_BYTES, obj->bytes);
fail:
	limits_uncharge(uid, LIMIT_OBJECTS, 1);
	return err;
}

static u64 part_bytes(struct store_object *obj, enum store_part part)
{
	struct stat st;
	char name[32];
	int err;

	if (part == STORE_OBJECT)
		err = store_stat(obj, &st);
	else
		err = fstatat(tree.objects_fd, store_part_name(obj->id, part, name), &st,
			      AT_SYMLINK_NOFOLLOW);
	return err ? 0 : min((u64)st.st_size, (u64)st.st_blocks * 512);
}

/* What its files hold, with what a map may grow to. */
u64 store_bytes(struct store_object *obj)
{
	if (obj->map)
		return bpf_map_mem_usage(obj->map) +
		       (obj->map->btf ? part_bytes(obj, STORE_BTF) : 0);
	if (!obj->broken) /* a program or a link has nothing beside it */
		return part_bytes(obj, STORE_OBJECT);
	return part_bytes(obj, STORE_OBJECT) + part_bytes(obj, STORE_VALUES) +
	       part_bytes(obj, STORE_BTF);
}

int store_charge(struct store_object *obj, u64 bytes, struct error_record *why)
{
	int err;

	obj->bytes = bytes;
	err = charge(obj->owner, obj, why);

	obj->charged = !err;
	return err;
}

int store_charge_types(struct store_object *obj, struct error_record *why)
{
	u64 more;
	int err;

	pthread_mutex_lock(&store.lock);
	more = store_bytes(obj) - obj->bytes;
	err = limits_charge(obj->owner, LIMIT_BYTES, more, why);
	if (!err)
		obj->bytes += more;
	pthread_mutex_unlock(&store.lock);
	return err;
}

/* Of an earlier server: it is there, and cannot be refused. */
static void object_charge_anyway(struct store_object *obj)
{
	struct stat st;

	if (obj->charged)
		return;
	if (!store_stat(obj, &st))
		obj->owner = st.st_uid;
	if (!obj->asleep) /* else it was counted */
		obj->bytes = store_bytes(obj);
	limits_charge_anyway(obj->owner, LIMIT_OBJECTS, 1);
	limits_charge_anyway(obj->owner, LIMIT_BYTES, obj->bytes);
	obj->charged = true;
}

/* The names are those that there are now; store.lock is held. */
static void __charge_names(struct store_object *obj, u32 names)
{
	if (names > obj->names)
		limits_charge_anyway(obj->owner, LIMIT_NAMES, names - obj->names);
	else
		limits_uncharge(obj->owner, LIMIT_NAMES, obj->names - names);
	obj->names = names;
}

int store_set_owner(struct store_object *obj, uid_t uid, struct error_record *why)
{
	int err = 0;

	pthread_mutex_lock(&store.lock);
	if (uid != obj->owner) {
		err = charge(uid, obj, why);
		if (!err) {
			uncharge(obj->owner, obj);
			obj->owner = uid;
		}
	}
	pthread_mutex_unlock(&store.lock);
	return err;
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

/*
 * Maps that others are in, or that belong to others, are awake before a program is found that uses
 * them, and know which references are programs' (bpf_map_inc_internal()).
 */
static bool is_at_start(const struct store_object *map)
{
	return map->seen && map->seen->map.at_start && map->map;
}

struct store_object *store_use(struct store_object *map)
{
	if (is_at_start(map))
		bpf_map_inc_internal(map->map);
	else
		store_get(map);
	return map;
}

static void let_use(struct store_object *map)
{
	if (is_at_start(map))
		bpf_map_put_internal(map->map);
	else
		store_put(map);
}

/* Its program has references of its own now, or there is none any more. */
static void let_uses(struct store_object *obj)
{
	struct store_object **uses = obj->seen ? obj->seen->uses : NULL;

	for (u32 i = 0; uses && i < obj->seen->nr_uses; i++)
		if (uses[i])
			let_use(uses[i]);
	if (obj->seen)
		obj->seen->uses = NULL;
	free(uses);
}

void store_seen_free(struct store_seen *seen)
{
	if (!seen)
		return;
	free(seen->use_ids);
	free(seen->uses);
	free(seen);
}

static void object_end(struct store_object *obj)
{
	if (obj->charged)
		uncharge(obj->owner, obj);
	passthrough_remove(obj->backing_id, store_backing_key(obj->id, STORE_VALUES));
	passthrough_remove(obj->ring_backing_id[STORE_RING_CONSUMER],
			   store_backing_key(obj->id, STORE_VALUES));
	passthrough_remove(obj->ring_backing_id[STORE_RING_DATA],
			   store_backing_key(obj->id, STORE_OBJECT));
	let_uses(obj);
	object_let_go(obj);
}

/* ---- durable modes: files go when whatever named the object is gone from the disk, too */

static void remove_files_later(struct worker_job *job)
{
	__do_free u32 *ids = NULL;
	size_t n;

	pthread_mutex_lock(&store.lock);
	ids = move_ptr(store.leaving);
	n = store.nr_leaving;
	store.nr_leaving = 0;
	pthread_mutex_unlock(&store.lock);
	/* Where the disk does not answer they stay, and a start removes them. */
	if (n && !durable_sync_all())
		for (size_t i = 0; i < n; i++)
			store_remove_files(ids[i]);
	pthread_mutex_lock(&store.lock);
	store.removing = store.nr_leaving;
	if (store.removing)
		worker_submit(job);
	pthread_mutex_unlock(&store.lock);
}

static struct worker_job remove_job = {.run = remove_files_later, .class = WORKER_WAITING};

/* store.lock is held. Without memory the files stay for a start. */
static void __remove_later(u32 id)
{
	u32 *ids = realloc(store.leaving, (store.nr_leaving + 1) * sizeof(*ids));

	if (!ids)
		return;
	store.leaving = ids;
	ids[store.nr_leaving++] = id;
	if (store.removing)
		return;
	store.removing = true;
	worker_submit(&remove_job);
}

/* The last reference is gone: take it out, and its file unless a later start needs it. */
static void store_ended(struct store_object *obj)
{
	/*
	 * Nodes may hold it for long yet; the engine frees its own after the read sections of now.
	 */
	bpf_rcu_assign_pointer(obj->map, NULL);
	bpf_rcu_assign_pointer(obj->prog, NULL);
	if (store_is_asleep(obj))
		__atomic_sub_fetch(&store.asleep, 1, __ATOMIC_RELAXED);
	if (obj->kind_end)
		obj->kind_end(obj);
	pthread_mutex_lock(&store.lock);
	__store_remove(obj);
	if (!store.keep_files && !__store_named(obj)) {
		__fs_node_gone(&(struct stat){.st_ino = obj->ino});
		if (durable_mode() == DURABLE_NONE)
			store_remove_files(obj->id);
		else
			__remove_later(obj->id);
	}
	pthread_mutex_unlock(&store.lock);
	object_end(obj);
}

static void store_map_ended(struct bpf_map *map, void *priv)
{
	store_ended(priv);
}

static void store_prog_ended(struct bpf_prog *prog, void *priv)
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

/* ---- names */

/* What the store held and holds no longer goes to *drop. */
static void __count_names(struct store_object *obj, struct store_object **drop)
{
	struct stat st;
	bool named;
	int err;

	err = store_stat(obj, &st);
	named = !err && st.st_nlink > 1;
	obj->unsure = err && err != -ENOENT;
	if (obj->unsure) { /* held until the next change of any object's names */
		store.unsure = true;
		named = true;
	} else {
		__charge_names(obj, named ? (u32)st.st_nlink - 1 : 0);
	}
	if (named && !obj->held) {
		obj->held = store_get_unless_gone(obj);
	} else if (!named && obj->held) {
		obj->held = false;
		obj->next_drop = *drop;
		*drop = obj;
	}
}

static void __names_again(struct store_object **drop)
{
	store.unsure = false;
	for (enum store_kind kind = 0; kind < STORE_KINDS; kind++)
		for (struct store_object *obj = store.lowest[kind]; obj; obj = obj->higher)
			if (obj->unsure)
				__count_names(obj, drop);
}

void store_names_changed(struct store_object *obj)
{
	store_stat_changed(obj);
	store_count_names(obj);
}

void store_count_names(struct store_object *obj)
{
	struct store_object *drop = NULL;

	pthread_mutex_lock(&store.lock);
	if (store.unsure)
		__names_again(&drop);
	__count_names(obj, &drop);
	pthread_mutex_unlock(&store.lock);
	while ((obj = drop)) {
		drop = obj->next_drop;
		store_put(obj);
	}
}

int store_unname(int dirfd, const char *name, const char *but, struct store_object **out,
		 struct error_record *why)
{
	struct stat st, at;
	struct fs_node *dir;
	int err;

	*out = NULL;
	if (fstatat(dirfd, "", &at, AT_EMPTY_PATH) < 0 ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	store_by_ino(st.st_ino, out);
	if (durable_unlinkat(dirfd, name, 0) < 0) {
		err = tree_error(why, errno, name);
		store_put(*out);
		*out = NULL;
		return err;
	}
	dir = fs_node_by_ino(at.st_ino);
	if (dir) {
		store_bind(dir, NULL);
		WRITE_ONCE(dir->obj_known, true);
		fs_node_put(dir);
	}
	/* Who still has the object after a power loss has what stands beside it, too. */
	err = durable_settle(why);
	tree_remove_hidden(dirfd, but);
	if (*out)
		store_names_changed(*out);
	if (err) {
		store_put(*out);
		*out = NULL;
	}
	return err;
}

int store_link(struct store_object *obj, int dirfd, const char *name, struct error_record *why)
{
	uid_t owner = READ_ONCE(obj->owner);
	int err = durable_settle(why); /* what is named is on the disk before its name */
	char id[32];

	if (!err)
		err = limits_charge(owner, LIMIT_NAMES, 1, why);
	if (err)
		return err;
	if (durable_linkat(tree.objects_fd, store_part_name(obj->id, STORE_OBJECT, id), dirfd,
			   name) < 0)
		err = tree_error(why, errno, name);
	limits_uncharge(owner, LIMIT_NAMES, 1);
	if (!err)
		store_names_changed(obj);
	return err;
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
		uncharge(obj->owner, obj);
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
	object_charge_anyway(obj);
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
	object_charge_anyway(obj);
	pthread_mutex_lock(&store.lock);
	__store_insert(obj);
	pthread_mutex_unlock(&store.lock);
}

void store_adopt_counted(struct store_object *obj)
{
	obj->refs = 1;
	object_charge_anyway(obj);
	pthread_mutex_lock(&store.lock);
	__store_insert(obj);
	pthread_mutex_unlock(&store.lock);
}

/* ---- those that sleep */

int (*store_read_back)(struct store_object *obj);

void store_adopt_asleep(struct store_object *obj, struct store_seen *seen, u64 bytes)
{
	obj->seen = seen;
	obj->bytes = bytes;
	obj->asleep = true;
	__atomic_add_fetch(&store.asleep, 1, __ATOMIC_RELAXED);
	store_adopt_counted(obj);
}

bool store_is_asleep(const struct store_object *obj)
{
	return __atomic_load_n(&obj->asleep, __ATOMIC_ACQUIRE);
}

u32 store_asleep(void)
{
	return __atomic_load_n(&store.asleep, __ATOMIC_RELAXED);
}

/* True: the caller is to do it. False: it is awake. */
static bool begin_waking(struct store_object *obj)
{
	bool mine;

	pthread_mutex_lock(&store.wake_lock);
	while (obj->waking)
		pthread_cond_wait(&store.woken, &store.wake_lock);
	mine = obj->waking = store_is_asleep(obj);
	pthread_mutex_unlock(&store.wake_lock);
	return mine;
}

int store_wake(struct store_object *obj)
{
	int err;

	if (!store_is_asleep(obj) || !begin_waking(obj))
		return 0;
	err = store_read_back(obj);
	pthread_mutex_lock(&store.wake_lock);
	obj->waking = false;
	pthread_cond_broadcast(&store.woken);
	pthread_mutex_unlock(&store.wake_lock);
	return err;
}

static void set_awake(struct store_object *obj)
{
	__atomic_store_n(&obj->asleep, false, __ATOMIC_RELEASE);
	__atomic_sub_fetch(&store.asleep, 1, __ATOMIC_RELAXED);
}

/*
 * Whoever finds the map from now on counts there; then what was counted here is added. Until then
 * the bias keeps it alive, however many of those references are dropped there.
 */
void store_awake_map(struct store_object *obj, struct bpf_map *map)
{
	int refs;

	bpf_map_drop_files(map);
	map->priv = obj;
	map->on_free = store_map_ended;
	if (map->btf)
		bpf_btf_publish(map->btf, obj->owner); /* without an id they serve as well */
	bpf_map_add_refs(map, REFS_BIAS);
	bpf_rcu_assign_pointer(obj->map, map);
	refs = __atomic_exchange_n(&obj->refs, REFS_ARE_THE_ENGINES, __ATOMIC_ACQ_REL);
	bpf_map_add_refs(map, refs - REFS_BIAS - 1);
	set_awake(obj);
}

void store_awake_prog(struct store_object *obj, struct bpf_prog *prog)
{
	int refs;

	prog->priv = obj;
	prog->on_free = store_prog_ended;
	if (prog->btf)
		bpf_btf_publish(prog->btf, obj->owner);
	bpf_prog_add_refs(prog, REFS_BIAS);
	bpf_rcu_assign_pointer(obj->prog, prog);
	refs = __atomic_exchange_n(&obj->refs, REFS_ARE_THE_ENGINES, __ATOMIC_ACQ_REL);
	bpf_prog_add_refs(prog, refs - REFS_BIAS - 1);
	let_uses(obj);
	set_awake(obj);
}

void store_awake_broken(struct store_object *obj, char *sentence, char *log)
{
	obj->broken_log = log;
	obj->broken = sentence;
	set_awake(obj);
}

enum bpf_map_type store_map_type(const struct store_object *obj)
{
	const struct bpf_map *map = bpf_rcu_dereference(obj->map);

	if (map)
		return map->map_type;
	if (obj->kind == STORE_MAP && store_is_asleep(obj))
		return obj->seen->map.spec.map_type;
	return BPF_MAP_TYPE_UNSPEC;
}

const char *store_name(const struct store_object *obj)
{
	const struct bpf_prog *prog = bpf_rcu_dereference(obj->prog);
	const struct bpf_map *map = bpf_rcu_dereference(obj->map);

	if (prog)
		return prog->name;
	if (map)
		return map->name;
	return obj->seen ? obj->seen->name : "";
}

bool store_prog_uses(const struct store_object *obj, u32 map_id)
{
	const struct bpf_prog *prog = bpf_rcu_dereference(obj->prog);

	if (!prog) {
		const struct store_seen *seen = store_is_asleep(obj) ? obj->seen : NULL;

		for (u32 i = 0; seen && i < seen->nr_uses; i++)
			if (seen->use_ids[i] == map_id)
				return true;
		return false;
	}
	for (u32 i = 0; i < bpf_prog_nr_maps(prog); i++)
		if (prog->used_maps[i]->id == map_id)
			return true;
	return false;
}

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
	bpf_rcu_barrier();
}
