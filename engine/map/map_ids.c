/*
 * map_ids.c - live maps by id: open addressing, see map_ids.h
 */
#include <pthread.h>
#include "map/map_ids.h"

static pthread_mutex_t ids_lock = PTHREAD_MUTEX_INITIALIZER;
static struct bpf_map **table; /* NULL is free; at most half full */
static u32 table_size, table_used, last_id;

/* The same by the id's halves, for readers without a lock. Pages of it are never given back. */
#define ID_PAGE (1u << 16)
static struct bpf_map **id_pages[1u << 16];

static int id_publish(u32 id, struct bpf_map *map)
{
	struct bpf_map **page = id_pages[id / ID_PAGE];

	if (!page) {
		page = calloc(ID_PAGE, sizeof(*page));
		if (!page)
			return -ENOMEM;
		bpf_rcu_assign_pointer(id_pages[id / ID_PAGE], page);
	}
	bpf_rcu_assign_pointer(page[id % ID_PAGE], map);
	return 0;
}

struct bpf_map *bpf_map_ids_find(u32 id)
{
	struct bpf_map **page = bpf_rcu_dereference(id_pages[id / ID_PAGE]);

	return page ? bpf_rcu_dereference(page[id % ID_PAGE]) : NULL;
}

static u32 ids_slot(struct bpf_map **maps, u32 size, u32 id)
{
	u32 i = id * 2654435761u & (size - 1);

	while (maps[i] && maps[i]->id != id)
		i = (i + 1) & (size - 1);
	return i;
}

static int ids_make_room(void)
{
	u32 size = table_size ? table_size * 2 : 64;
	struct bpf_map **maps;

	if ((table_used + 1) * 2 <= table_size)
		return 0;
	maps = calloc(size, sizeof(*maps));
	if (!maps)
		return -ENOMEM;
	for (u32 i = 0; i < table_size; i++)
		if (table[i])
			maps[ids_slot(maps, size, table[i]->id)] = table[i];
	free(table);
	table = maps;
	table_size = size;
	return 0;
}

int bpf_map_ids_add(struct bpf_map *map)
{
	int err;

	pthread_mutex_lock(&ids_lock);
	err = ids_make_room();
	if (!err) {
		u32 id = map->id ? map->id : last_id + 1;
		u32 slot = ids_slot(table, table_size, id);

		if (table[slot]) {
			err = -EEXIST;
		} else if (!(err = id_publish(id, map))) {
			map->id = id;
			table[slot] = map;
			table_used++;
			last_id = max(last_id, id);
		}
	}
	pthread_mutex_unlock(&ids_lock);
	return err;
}

void bpf_map_ids_remove(struct bpf_map *map)
{
	u32 gap;

	pthread_mutex_lock(&ids_lock);
	id_publish(map->id, NULL); /* the page is there */
	gap = ids_slot(table, table_size, map->id);
	table[gap] = NULL;
	table_used--;
	/* What was pushed past the gap moves up. */
	for (u32 i = (gap + 1) & (table_size - 1); table[i]; i = (i + 1) & (table_size - 1)) {
		struct bpf_map *moved = table[i];

		table[i] = NULL;
		table[ids_slot(table, table_size, moved->id)] = moved;
	}
	pthread_mutex_unlock(&ids_lock);
}

struct bpf_map *bpf_map_get_by_id(u32 id)
{
	struct bpf_map *map = NULL;

	pthread_mutex_lock(&ids_lock);
	if (table_size && id)
		map = table[ids_slot(table, table_size, id)];
	if (map && !bpf_map_inc_not_zero(map))
		map = NULL;
	pthread_mutex_unlock(&ids_lock);
	return map;
}
