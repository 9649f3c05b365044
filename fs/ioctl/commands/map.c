/*
 * map.c - the commands on map fds
 */
#include <fcntl.h>
#include <stdio.h>
#include "core/btf_info.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "map/ring/perf_event_array.h"
#include "fs/ioctl/commands/btf.h"
#include "fs/keeper/requests.h"
#include "fs/ioctl/commands/object.h"
#include "fs/ioctl/commands/map.h"
#include "fs/store/once.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/resolve.h"
#include "fs/store/create.h"
#include "fs/store/objects/files.h"

int control_map_lookup(struct control_call *call)
{
	struct bpf_map *map;
	char *value;
	bool asks;
	u32 size;
	int err = control_map(call, O_RDONLY, &map);

	if (err)
		return err;
	size = bpf_map_value_size(map);
	/* A bloom filter is asked about a value; other maps without keys may be sent one, too. */
	asks = !map->key_size && call->in_len == size;
	if ((call->in_len != map->key_size && !asks) || call->room < size ||
	    (!asks && map->ops->map_peek_elem && !map->ops->map_pop_elem))
		return -EINVAL;
	value = malloc(size + 1);
	if (!value)
		return -ENOMEM;
	if (asks)
		memcpy(value, call->in, size);
	err = bpf_map_lookup(map, call->in, value, call->io.flags);
	if (!err)
		control_answer(call, value, size);
	free(value);
	return err;
}

/* An id that goes into a slot is used with the rights of who opened the descriptor. */
static int put_slot(struct control_call *call, struct bpf_map *map, const char *key)
{
	bool maps = map->inner_map_meta;
	struct store_object *obj;
	char text[16];
	u32 id;
	int err;

	memcpy(&id, key + map->key_size, sizeof(id));
	snprintf(text, sizeof(text), "%u", id);
	err = resolve_object(call->req, maps ? STORE_MAP : STORE_PROG, text, RESOLVE_USE, &obj);
	if (err)
		return err;
	err = bpf_map_update_slot(map, key, maps ? (void *)obj->map : obj->prog, call->io.flags);
	store_put(obj);
	return err;
}

/* The id of an event, which is its opener's; it goes when this descriptor does, as in Linux. */
static int put_event(struct control_call *call, struct bpf_map *map, const char *pair)
{
	struct bpf_perf_event *event;
	u32 index, id;
	int err;

	memcpy(&index, pair, sizeof(index));
	memcpy(&id, pair + map->key_size, sizeof(id));
	if (!bpf_map_may_write(map))
		return -EPERM;
	if (call->io.flags != BPF_ANY)
		return -EINVAL;
	if (index >= map->max_entries)
		return -E2BIG;
	event = bpf_perf_event_by_id(id);
	if (!event)
		return -EBADF;
	if (call->req->cred.uid && call->req->cred.uid != bpf_perf_event_uid(event))
		err = fs_error(call->req, EACCES, "the event %u is somebody else's", id);
	else
		err = bpf_perf_array_put(map, index, event, call->control);
	bpf_perf_event_put(event);
	return err;
}

/* `pair`: a key and its value, one behind the other. */
static int put_pair(struct control_call *call, struct bpf_map *map, const char *pair)
{
	if (map->ops->map_update_slot)
		return put_slot(call, map, pair);
	if (map->map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY)
		return put_event(call, map, pair);
	return bpf_map_update(map, pair, pair + map->key_size, call->io.flags);
}

enum { WAS_ABSENT = 1, WAS_THERE }; /* before a change that a server may have made and died */

/* What the key was before the first time; noted when this is it. */
static u64 change_repeated(struct control_call *call, struct bpf_map *map, const void *key)
{
	u64 unique = call->req->unique, before = unique ? requests_intended(unique) : 0;

	if (unique && !before)
		requests_intent(unique, bpf_map_contains(map, key) ? WAS_ABSENT : WAS_THERE);
	return before;
}

/* BPF_NOEXIST that finds what it has made itself. */
static int create_once(struct control_call *call, struct bpf_map *map)
{
	u64 before = change_repeated(call, map, call->in);
	int err = put_pair(call, map, call->in);
	u32 size = bpf_map_value_size(map);
	__do_free char *now = NULL;

	if (err != -EEXIST || before != WAS_ABSENT)
		return err;
	now = malloc(size);
	if (now && !bpf_map_lookup(map, call->in, now, 0) &&
	    !memcmp(now, call->in + map->key_size, size))
		err = 0;
	return err;
}

int control_map_update(struct control_call *call)
{
	struct map_once once;
	struct bpf_map *map;
	int err = control_map(call, O_WRONLY, &map);

	if (err)
		return err;
	if (call->in_len != (u64)map->key_size + bpf_map_value_size(map))
		return -EINVAL;
	if (map->key_size && call->io.flags & BPF_NOEXIST)
		return create_once(call, map);
	map_once_begin(&once, map, call->req);
	if (!map->key_size)
		return map_once_push(&once, map, call->in, call->io.flags);
	return put_pair(call, map, call->in);
}

int control_map_delete(struct control_call *call)
{
	struct bpf_map *map;
	u64 before;
	int err = control_map(call, O_WRONLY, &map);

	if (err)
		return err;
	if (call->in_len != map->key_size)
		return -EINVAL;
	before = change_repeated(call, map, call->in);
	err = bpf_map_delete(map, call->in);
	return err == -ENOENT && before == WAS_THERE ? 0 : err;
}

int control_map_next_key(struct control_call *call)
{
	struct bpf_map *map;
	char *next;
	int err = control_map(call, O_RDONLY, &map);

	if (err)
		return err;
	if ((call->in_len && call->in_len != map->key_size) || call->room < map->key_size)
		return -EINVAL;
	next = malloc(map->key_size + 1);
	if (!next)
		return -ENOMEM;
	err = bpf_map_next_key(map, call->in_len ? call->in : NULL, next);
	if (!err)
		control_answer(call, next, map->key_size);
	free(next);
	return err;
}

/* A key and its value are looked up, then deleted: whoever deletes them has the value. */
static int take_pair(struct map_once *once, struct control_call *call, struct bpf_map *map,
		     char *pair)
{
	u32 size = map->key_size + bpf_map_value_size(map);
	int err = bpf_map_lookup(map, pair, pair + map->key_size, call->io.flags);

	return err ? err : map_once_delete(once, map, pair, size);
}

/* The same, of a request that may be a repetition. */
static int take_once(struct map_once *once, struct control_call *call, struct bpf_map *map,
		     char *pair)
{
	const void *data;
	u32 len;
	int ret = map_once_before(once, &data, &len);

	if (ret > 0)
		memcpy(pair, data, min(len, map->key_size + bpf_map_value_size(map)));
	return ret ? min(ret, 0) : take_pair(once, call, map, pair);
}

/* Whose elements bpf(2) takes out by key; queues and stacks aside, of no other type. */
static bool takes_by_key(const struct bpf_map *map)
{
	switch (map->map_type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return true;
	default:
		return false;
	}
}

int control_map_lookup_and_delete(struct control_call *call)
{
	__do_free char *pair = NULL;
	struct map_once once;
	struct bpf_map *map;
	u32 size;
	int err = control_map(call, O_RDONLY, &map);

	if (!err)
		err = control_map(call, O_WRONLY, &map);
	if (err)
		return err;
	size = bpf_map_value_size(map);
	if (call->in_len != map->key_size || call->room < size)
		return -EINVAL;
	if (!map->ops->map_pop_elem && !takes_by_key(map))
		return -EOPNOTSUPP;
	pair = malloc((size_t)map->key_size + size + 1);
	if (!pair)
		return -ENOMEM;
	if (map->key_size)
		memcpy(pair, call->in, map->key_size);
	map_once_begin(&once, map, call->req);
	err = map->ops->map_pop_elem ? map_once_pop(&once, map, pair, call->io.flags)
				     : take_once(&once, call, map, pair);
	if (!err)
		control_answer(call, pair + map->key_size, size);
	return err;
}

int control_map_freeze(struct control_call *call)
{
	struct bpf_map *map;
	int err = control_map(call, O_WRONLY, &map);

	return err ? err : bpf_map_freeze(map);
}

/* ---- batches */

static void end_walk(struct bpf_map_iter *it)
{
	if (it)
		bpf_map_iter_end(it);
	free(it);
}

void control_end_walks(struct control *c)
{
	size_t i;

	for (i = 0; i < CONTROL_WALKS; i++)
		if (c->walks[i].id)
			end_walk(c->walks[i].it);
}

/* Of an element, a batch knows BPF_F_LOCK, for values that have one. */
static bool batch_flags_ok(const struct bpf_map *map, u64 flags)
{
	return !(flags & ~bpf_map_lock_flag(map));
}

/* A walk is out of the table while a command uses it. */
static struct bpf_map_iter *take_walk(struct control *c, u64 id)
{
	struct bpf_map_iter *it = NULL;
	size_t i;

	pthread_mutex_lock(&c->lock);
	for (i = 0; i < CONTROL_WALKS; i++)
		if (c->walks[i].id == id) {
			it = c->walks[i].it;
			c->walks[i].id = 0;
			break;
		}
	pthread_mutex_unlock(&c->lock);
	return it;
}

/* Put it under a new number; the oldest ends when there is no room. */
static u64 keep_walk(struct control *c, struct bpf_map_iter *it)
{
	struct bpf_map_iter *old = NULL;
	size_t i, at = 0;
	u64 id;

	pthread_mutex_lock(&c->lock);
	for (i = 1; i < CONTROL_WALKS; i++)
		if (c->walks[i].id < c->walks[at].id)
			at = i;
	if (c->walks[at].id)
		old = c->walks[at].it;
	id = ++c->next_walk;
	c->walks[at].id = id;
	c->walks[at].it = it;
	pthread_mutex_unlock(&c->lock);
	end_walk(old);
	return id;
}

/* A batch is of keys: for maps without, -EOPNOTSUPP as bpf(2) (its ENOTSUPP). */
static int batch_map(struct control_call *call, int mode, struct bpf_map **map)
{
	int err = control_map(call, mode, map);

	return err ? err : (*map)->key_size ? 0 : -EOPNOTSUPP;
}

/*
 * Where a batch goes on. What takes entries out may begin anew after a takeover: those that it has
 * taken are not there any more.
 */
static int batch_walk(struct control_call *call, struct bpf_map *map, bool take,
		      struct bpf_map_iter **out)
{
	struct bpf_map_iter *it = NULL;

	if (call->io.cursor) {
		it = take_walk(call->control, call->io.cursor);
		if (!it && !call->control->lost_walks)
			return -EINVAL;
		if (!it && !take)
			return fs_error(call->req, EIO,
					"the server was replaced in the middle of a walk: begin it "
					"again");
	}
	if (!it) {
		it = calloc(1, sizeof(*it));
		if (!it)
			return -ENOMEM;
		bpf_map_iter_init(it, map, false);
	}
	it->flags = call->io.flags;
	*out = it;
	return 0;
}

/* What the request had taken out when its server was killed. */
static int batch_before(struct map_once *once, struct control_call *call, u32 size, u32 *done)
{
	const void *data;
	u32 len;
	int ret;

	while ((ret = map_once_before(once, &data, &len)) > 0) {
		if (len != size || *done == call->io.count)
			return -EIO;
		control_answer(call, data, len);
		++*done;
	}
	return ret;
}

static int lookup_batch(struct control_call *call, struct bpf_map *map, bool take)
{
	u32 count = call->io.count, done = 0, size;
	struct bpf_map_iter *it = NULL;
	__do_free char *pair = NULL;
	struct map_once once;
	int ret;

	size = map->key_size + bpf_map_value_size(map);
	if (!count || call->room / size < count || !batch_flags_ok(map, call->io.flags))
		return -EINVAL;
	map_once_begin(&once, map, call->req);
	pair = malloc(size + 8);
	ret = pair ? batch_walk(call, map, take, &it) : -ENOMEM;
	if (ret)
		return ret;
	ret = take ? batch_before(&once, call, size, &done) : 0;
	ret = ret ? ret : 1;
	while (ret > 0 && done < count) {
		if (fs_cancelled(call->req))
			ret = -EINTR;
		else
			ret = bpf_map_iter_next(it, pair, pair + map->key_size);
		if (ret > 0 && take) {
			ret = take_pair(&once, call, map, pair);
			if (ret == -ENOENT) { /* somebody else has it */
				ret = 1;
				continue;
			}
			ret = ret ? ret : 1;
		}
		if (ret > 0) {
			control_answer(call, pair, size);
			done++;
		}
	}
	call->io.count = done;
	if (ret <= 0) {
		end_walk(it);
		return ret ? ret : -ENOENT;
	}
	call->io.cursor = keep_walk(call->control, it);
	return 0;
}

int control_map_lookup_batch(struct control_call *call)
{
	struct bpf_map *map;
	int err = batch_map(call, O_RDONLY, &map);

	return err ? err : lookup_batch(call, map, false);
}

int control_map_lookup_and_delete_batch(struct control_call *call)
{
	struct bpf_map *map;
	int err = batch_map(call, O_RDONLY, &map);

	if (!err)
		err = control_map(call, O_WRONLY, &map);
	if (err)
		return err;
	return takes_by_key(map) ? lookup_batch(call, map, true) : -EOPNOTSUPP;
}

/* How many of its changes a repeated batch has made. */
static int changed_before(struct map_once *once, u32 max, u32 *done)
{
	const void *data;
	u32 len;
	int ret = 0;

	while (*done < max && (ret = map_once_before(once, &data, &len)) > 0)
		++*done;
	return min(ret, 0);
}

/* Of a new key it must be known who made it; other updates are the same when repeated. */
static int batch_put(struct map_once *once, struct control_call *call, struct bpf_map *map,
		     const char *pair)
{
	bool create = call->req->unique && call->io.flags & BPF_NOEXIST;
	int err;

	if (create && bpf_map_contains(map, pair) == 0)
		return -EEXIST;
	if (create)
		map_once_create(once, map, pair);
	err = put_pair(call, map, pair);
	if (err && create)
		map_once_undo(once);
	return err;
}

int control_map_update_batch(struct control_call *call)
{
	u32 count = call->io.count, i = 0;
	struct map_once once;
	struct bpf_map *map;
	size_t size;
	int err = batch_map(call, O_WRONLY, &map);

	if (!err) {
		size = (size_t)map->key_size + bpf_map_value_size(map);
		if (!count || call->in_len / size != count || call->in_len % size)
			err = -EINVAL;
	}
	if (!err) {
		map_once_begin(&once, map, call->req);
		err = changed_before(&once, count, &i);
	}
	for (; !err && i < count; i += !err)
		err = fs_cancelled(call->req) ? -EINTR
					      : batch_put(&once, call, map, call->in + i * size);
	call->io.count = i;
	return err;
}

int control_map_delete_batch(struct control_call *call)
{
	u32 count = call->io.count, i = 0;
	struct map_once once;
	struct bpf_map *map;
	int err = batch_map(call, O_WRONLY, &map);

	if (!err && (!count || call->in_len / map->key_size != count ||
		     call->in_len % map->key_size || !batch_flags_ok(map, call->io.flags)))
		err = -EINVAL;
	if (!err) {
		map_once_begin(&once, map, call->req);
		err = changed_before(&once, count, &i);
	}
	for (; !err && i < count; i += !err)
		err = fs_cancelled(call->req)
			      ? -EINTR
			      : map_once_delete(&once, map, call->in + (size_t)i * map->key_size,
						map->key_size);
	call->io.count = i;
	return err;
}

/* ---- making one */

/* Here inner_map_fd is an id of a map that may be read. */
static int inner_map(struct control_call *call, u32 id, struct bpf_map_spec *spec)
{
	struct store_object *obj;
	char text[16];
	int err;

	if (spec->map_type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
	    spec->map_type != BPF_MAP_TYPE_HASH_OF_MAPS)
		return 0;
	if (!id)
		return -EBADF;
	snprintf(text, sizeof(text), "%u", id);
	err = resolve_object(call->req, STORE_MAP, text, RESOLVE_READ, &obj);
	if (err)
		return err;
	spec->inner_map_id = id;
	store_put(obj);
	return 0;
}

static int types_of_map(struct control_call *call, const union bpf_attr *attr,
			struct bpf_map_spec *spec, struct bpf_btf **btf)
{
	int err;

	if (!attr->btf_key_type_id && !attr->btf_value_type_id)
		return 0;
	err = control_btf_by_id(call, attr->btf_fd, btf);
	if (err)
		return err;
	spec->btf_key_type_id = attr->btf_key_type_id;
	spec->btf_value_type_id = attr->btf_value_type_id;
	err = bpf_btf_check_map(*btf, spec);
	return err == -EINVAL ? fs_error(call->req, EINVAL,
					 "the types do not have the sizes of key and value")
			      : err;
}

int control_map_create(struct control_call *call)
{
	struct bpf_map_spec spec = {0};
	union bpf_attr attr;
	struct bpf_btf *btf = NULL;
	struct bpf_map *map;
	size_t i;
	int err;

	memset(&attr, 0, sizeof(attr)); /* {0} need not reach beyond a union's first member */
	for (i = sizeof(attr); i < call->in_len; i++)
		if (call->in[i])
			return -E2BIG;
	memcpy(&attr, call->in, min(call->in_len, sizeof(attr)));
	/* What follows map_extra belongs to other commands. */
	for (i = offsetof(union bpf_attr, map_extra) + sizeof(attr.map_extra); i < sizeof(attr);
	     i++)
		if (((const char *)&attr)[i])
			return -EINVAL;
	if (attr.map_ifindex || attr.btf_vmlinux_value_type_id)
		return fs_error(call->req, EOPNOTSUPP,
				"map_ifindex and btf_vmlinux_value_type_id are not taken here");
	if (!control_name_ok(attr.map_name))
		return -EINVAL;
	spec.map_type = attr.map_type;
	spec.key_size = attr.key_size;
	spec.value_size = attr.value_size;
	spec.max_entries = attr.max_entries;
	spec.map_flags = attr.map_flags;
	spec.map_extra = attr.map_extra;
	memcpy(spec.name, attr.map_name, sizeof(spec.name));
	err = inner_map(call, attr.inner_map_fd, &spec);
	if (!err)
		err = types_of_map(call, &attr, &spec, &btf);
	if (!err)
		err = store_map_create(&spec, &call->req->cred, 0600, &map, fs_why(call->req));
	if (!err && btf) {
		err = store_map_btf(map, btf, NULL, fs_why(call->req));
		if (err)
			bpf_map_put(map);
	}
	bpf_btf_put(btf);
	if (err)
		return err;
	control_answer(call, &map->id, sizeof(map->id));
	control_hold(call->open, NULL, map, NULL, 0);
	return 0;
}

/* ---- in another process */

/*
 * Values without locks or links, so that a process that is killed leaves nothing behind in them; or
 * a table that is only looked up.
 */
static bool may_be_shared(const struct bpf_map *map)
{
	return (map->map_type == BPF_MAP_TYPE_ARRAY || map->map_type == BPF_MAP_TYPE_HASH) &&
	       !map_has_spin_lock(map);
}

int control_map_memory(struct control_call *call)
{
	struct ubpffs_map_memory memory = {0};
	struct bpf_map *map;
	char part[32];
	int err = control_map(call, O_RDONLY, &map);

	if (!err)
		err = control_server_user(call);
	if (err)
		return err;
	if (!may_be_shared(map))
		return fs_error(
			call->req, EOPNOTSUPP,
			"map %s (%s): only arrays without locks, and lookups in hash maps, "
			"can be shared with a process, as it may be killed in the middle of "
			"a change",
			map->name, map->ops->name);
	if (call->room < sizeof(memory))
		return -EINVAL;
	memory.rdonly = bpf_map_is_rdonly(map) || map->map_type == BPF_MAP_TYPE_HASH;
	memory.frozen = __atomic_load_n(&map->frozen, __ATOMIC_RELAXED);
	snprintf(memory.path, sizeof(memory.path), "/proc/%d/fd/%d/%s", getpid(), tree.objects_fd,
		 store_part_name(map->id,
				 map->map_type == BPF_MAP_TYPE_HASH ? STORE_OBJECT : STORE_VALUES,
				 part));
	control_answer(call, &memory, sizeof(memory));
	return 0;
}
