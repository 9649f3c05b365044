/*
 * iter.c - all entries of a map, one after the other: copies, a few at a time
 */
#include "map/iter.h"
#include "map/syscall.h"

void bpf_map_iter_init(struct bpf_map_iter *it, struct bpf_map *map, bool keys_only)
{
	memset(it, 0, sizeof(*it));
	bpf_map_inc_internal(map);
	it->map = map;
	it->keys_only = keys_only;
	it->entry_size = round_up(map->key_size, 8);
	if (!keys_only)
		it->entry_size += round_up(bpf_map_value_size(map), 8);
}

int bpf_map_iter_reserve(struct bpf_map_iter *it, u32 nr)
{
	size_t need;
	char *buf;

	if (__builtin_mul_overflow((size_t)nr, (size_t)it->entry_size, &need))
		return -ENOMEM;
	if (need <= it->cap)
		return 0;
	need = max(need, 2 * it->cap);
	buf = realloc(it->buf, need);
	if (!buf)
		return -ENOMEM;
	it->buf = buf;
	it->cap = need;
	return 0;
}

int bpf_map_iter_next(struct bpf_map_iter *it, void *key, void *value)
{
	struct bpf_map *map = it->map;
	int ret;

	if (!bpf_map_may_read(map))
		return -EPERM;
	if (!map->ops->map_iter)
		return -EOPNOTSUPP;
	if (it->next == it->nr) {
		it->next = it->nr = 0;
		ret = map->ops->map_iter(it);
		if (ret <= 0)
			return ret;
		it->nr = (u32)ret;
	}
	if (map->key_size)
		memcpy(key, bpf_map_iter_key(it, it->next), map->key_size);
	if (!it->keys_only && value)
		memcpy(value, bpf_map_iter_value(it, it->next), bpf_map_value_size(map));
	it->next++;
	return 1;
}

void bpf_map_iter_rewind(struct bpf_map_iter *it)
{
	it->pos = it->end = 0;
	it->nr = it->next = 0;
}

void bpf_map_iter_end(struct bpf_map_iter *it)
{
	free(it->buf);
	it->buf = NULL;
	if (it->map)
		bpf_map_put_internal(it->map);
	it->map = NULL;
}

struct iter_place {
	u64 pos, end;
	u32 entry_size, nr;
	char entries[];
};

bool bpf_map_iter_save(const struct bpf_map_iter *it, void *place, size_t room)
{
	struct iter_place *p = place;
	u32 left = it->nr - it->next;
	size_t bytes = (size_t)left * it->entry_size;

	if (it->map->map_type == BPF_MAP_TYPE_LPM_TRIE || room < sizeof(*p))
		return false;
	p->pos = it->pos;
	p->end = it->end;
	if (it->map->values && bytes > room - sizeof(*p)) { /* an array: they are looked at again */
		p->pos -= left;
		left = 0;
		bytes = 0;
	}
	p->nr = left;
	p->entry_size = it->entry_size;
	if (bytes > room - sizeof(*p))
		return false;
	if (bytes)
		memcpy(p->entries, it->buf + (size_t)it->next * it->entry_size, bytes);
	return true;
}

int bpf_map_iter_resume(struct bpf_map_iter *it, const void *place, size_t room)
{
	const struct iter_place *p = place;

	it->pos = p->pos;
	it->end = p->end;
	it->nr = it->next = 0;
	if (!p->nr)
		return 0;
	if (bpf_map_iter_reserve(it, p->nr))
		return -ENOMEM;
	if (it->entry_size != p->entry_size || p->nr > (room - sizeof(*p)) / p->entry_size)
		return -EINVAL;
	memcpy(it->buf, p->entries, (size_t)p->nr * p->entry_size);
	it->nr = p->nr;
	return 0;
}
