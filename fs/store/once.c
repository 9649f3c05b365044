/*
 * once.c - see store/once.h
 */
#include "fs/store/once.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/object.h"
#include "map/syscall.h"

/* Marks of changes that their key identifies; a map's own marks are counters and positions. */
#define MARK_DELETE (~0ULL)
#define MARK_CREATE (~1ULL)

static bool was_made(u32 id, u64 mark, const void *data, u32 len)
{
	bool made = true; /* with its map gone it is of no use to anybody */
	struct store_object *obj;
	struct bpf_map *map;

	if (!store_by_id(STORE_MAP, id, &obj)) {
		store_wake(obj);
		store_put(obj);
	}
	map = bpf_map_get_by_id(id);
	if (!map)
		return made;
	if (mark != MARK_DELETE && mark != MARK_CREATE)
		made = bpf_map_made(map, mark);
	else if (len >= map->key_size)
		made = bpf_map_contains(map, data) == (mark == MARK_DELETE ? -ENOENT : 0);
	bpf_map_put(map);
	return made;
}

void map_once_recover(void)
{
	if (shared_taking_over())
		requests_recover(was_made);
}

static void note_change(struct bpf_map_note *note, u64 mark, const void *data, u32 len)
{
	struct map_once *once = container_of(note, struct map_once, note);

	if (mark)
		requests_note(once->req->unique, once->map, mark, data, len);
	else
		requests_unnote(once->req->unique);
}

void map_once_begin(struct map_once *once, const struct bpf_map *map, struct fs_req *req)
{
	*once = (struct map_once){.note = {note_change}, .req = req, .map = map->id};
}

int map_once_before(struct map_once *once, const void **data, u32 *len)
{
	int ret = once->all_repeated ? 0 : requests_noted(once->req->unique, &once->at, data, len);

	once->all_repeated = !ret; /* what follows is noted by this server */
	if (ret < 0)
		return fs_error(once->req, EIO,
				"the server was replaced in the middle of this, and what it had "
				"done was more than can be kept");
	return ret;
}

void map_once_note(struct map_once *once)
{
	if (shared && once->req->unique)
		bpf_map_noting = &once->note;
}

void map_once_end(void)
{
	bpf_map_noting = NULL;
}

int map_once_push(struct map_once *once, struct bpf_map *map, const void *value, u64 flags)
{
	const void *data;
	u32 len;
	int ret = map_once_before(once, &data, &len);

	if (ret)
		return min(ret, 0);
	map_once_note(once);
	ret = bpf_map_update(map, NULL, value, flags);
	map_once_end();
	return ret;
}

int map_once_pop(struct map_once *once, struct bpf_map *map, void *value, u64 flags)
{
	const void *data;
	u32 len;
	int ret = map_once_before(once, &data, &len);

	if (ret > 0)
		memcpy(value, data, min(len, bpf_map_value_size(map)));
	if (ret)
		return min(ret, 0);
	map_once_note(once);
	ret = bpf_map_pop(map, value, flags);
	map_once_end();
	return ret;
}

int map_once_delete(struct map_once *once, struct bpf_map *map, const void *what, u32 len)
{
	int err;

	requests_note(once->req->unique, once->map, MARK_DELETE, what, len);
	err = bpf_map_delete(map, what);
	if (err)
		map_once_undo(once);
	return err;
}

void map_once_create(struct map_once *once, const struct bpf_map *map, const void *key)
{
	requests_note(once->req->unique, once->map, MARK_CREATE, key, map->key_size);
}

void map_once_undo(struct map_once *once)
{
	requests_unnote(once->req->unique);
}
