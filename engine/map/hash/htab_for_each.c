/*
 * htab_for_each.c - bpf_for_each_map_elem over the hash kinds
 *
 * A bucket is written down whole, under its lock, and then visited without: the callback may change
 * the map. What was written down and is gone is left out; what was replaced meanwhile is visited as
 * it is now. So
 *   A. an entry that lives through the walk is visited exactly once, also when it is updated;
 *   B. one that the callback deletes, before or in its turn, is safe to delete, and visited at most
 *      once;
 *   C. the walk ends, whatever the callback puts in: a bucket is read once.
 * Key and value are the element's own: while the program runs, what was deleted may be used for
 * another key, as it may in Linux.
 */
#include "run/callback.h"
#include "map/hash/hashtab.h"
#include "map/hash/hashtab_write.h"

/* An element of the bucket: its index, its version, and its key, to find what replaced it. */
struct seen {
	u32 idx;
	u16 version;
	u64 key[];
};

struct bucket_walk {
	struct bpf_htab *htab;
	size_t entry_size;
	char *buf;
	size_t size;
	u64 room[64]; /* what buf is at first */
};

static struct seen *seen_at(const struct bucket_walk *w, u32 i)
{
	return (struct seen *)(w->buf + i * w->entry_size);
}

/* How many there are; more than fit: only so many were written down. */
static u32 write_down(struct bucket_walk *w, u32 bucket)
{
	struct bpf_htab *htab = w->htab;
	u64 *head = &htab->buckets[bucket];
	u64 word = bucket_lock(head);
	u32 nr = 0;

	for (u32 link = word_link(word); is_elem(link); link = htab_elem(htab, link)->next, nr++) {
		struct htab_elem *elem = htab_elem(htab, link);
		struct seen *seen = seen_at(w, nr);

		if ((nr + 1) * w->entry_size > w->size)
			continue;
		seen->idx = link;
		seen->version = elem->version;
		memcpy(seen->key, htab_elem_key(htab, elem), htab->map.key_size);
	}
	bucket_unlock(head, word);
	return nr;
}

static int make_room(struct bucket_walk *w, u32 nr)
{
	char *buf = malloc(nr * w->entry_size);

	if (!buf)
		return -ENOMEM;
	if (w->buf != (char *)w->room)
		free(w->buf);
	w->buf = buf;
	w->size = nr * w->entry_size;
	return 0;
}

__htab_inline u32 find_again(struct bpf_htab *htab, const void *key, const bool lru,
			     const u32 key_size)
{
	u32 idx = 0;

	return htab_find(htab, key, htab_hash(htab, key, key_size), key_size, lru, &idx) ? idx : 0;
}

/* The element that now has the key; 0: none. */
static u32 present(struct bpf_htab *htab, const struct seen *seen)
{
	const u32 version = __atomic_load_n(&htab_elem(htab, seen->idx)->version, __ATOMIC_ACQUIRE);

	if (likely(version == seen->version))
		return seen->idx;
	if (htab_type_is_lru(htab->map.map_type))
		HTAB_BY_KEY_SIZE(&htab->map, find_again, htab, seen->key, true);
	HTAB_BY_KEY_SIZE(&htab->map, find_again, htab, seen->key, false);
}

long htab_map_for_each_callback(struct bpf_map *map, u64 callback, u64 ctx)
{
	struct bpf_htab *htab = bpf_htab(map);
	struct bucket_walk w;
	u32 bucket = 0, nr;
	bool stop = false;
	long visited = 0;

	w.htab = htab;
	w.entry_size = sizeof(struct seen) + round_up(map->key_size, 8u);
	w.buf = (char *)w.room;
	w.size = sizeof(w.room);
	for (; !stop && (bucket = htab_bucket_next_used(htab, bucket)) <= htab->mask; bucket++) {
		if (!is_elem(word_link(__atomic_load_n(&htab->buckets[bucket], __ATOMIC_RELAXED))))
			continue;
		while ((nr = write_down(&w, bucket)) * w.entry_size > w.size) {
			if (make_room(&w, nr)) {
				visited = -ENOMEM;
				goto out;
			}
		}
		for (u32 i = 0; i < nr && !stop; i++) {
			u32 idx = present(htab, seen_at(&w, i));
			struct htab_elem *elem = htab_elem(htab, idx);
			void *value;

			if (!idx)
				continue;
			value = htab->pcpu ? htab_pcpu_value(htab, idx, bpf_map_slot())
					   : htab_elem_value(htab, elem);
			visited++;
			stop = bpf_callback_call(callback, (uintptr_t)map,
						 (uintptr_t)htab_elem_key(htab, elem),
						 (uintptr_t)value, ctx);
		}
	}
out:
	if (w.buf != (char *)w.room)
		free(w.buf);
	return visited;
}
