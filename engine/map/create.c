/*
 * create.c - a map is created or opened: the checks that all types share, its arena, its id
 *
 * A map's file is made by bpf_map_create() and taken over by bpf_map_open(); its arena is marked
 * clean when the last reference is gone (after a grace period), and a type rebuilds what was not.
 */
#include <ctype.h>
#include "map/create.h"
#include "map/map.h"

/* The lock that BTF said to be in the value: may it be there? */
static int spin_lock_check(const struct bpf_map_spec *spec, const struct bpf_map_ops *ops,
			   const char **why)
{
	u32 end = spec->spin_lock_end;

	if (!end)
		return 0;
	if (end > spec->value_size || end < sizeof(struct bpf_spin_lock) ||
	    end % sizeof(struct bpf_spin_lock))
		return bpf_spec_refuse(why, EINVAL, "the bpf_spin_lock lies outside of the value");
	if (spec->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return bpf_spec_refuse(why, EACCES,
				       "programs read and write values with a bpf_spin_lock");
	if (!ops->spin_lock)
		return bpf_spec_refuse(why, EOPNOTSUPP,
				       "values of this type hold no bpf_spin_lock");
	return 0;
}

/* The rules of bpf(2) that hold for every type, and the type's own. */
static int spec_check(const struct bpf_map_spec *spec, const struct bpf_map_ops **ops,
		      const char **why)
{
	const char *end = memchr(spec->name, 0, sizeof(spec->name));
	int err;

	if (!end)
		return bpf_spec_refuse(why, EINVAL, "a map's name has at most 15 characters");
	for (const char *c = spec->name; c < end; c++)
		if (!isalnum((unsigned char)*c) && *c != '_' && *c != '.')
			return bpf_spec_refuse(why, EINVAL,
					       "a map's name has letters, digits, _ and . only");
	if (!bpf_map_type_name(spec->map_type))
		return bpf_spec_refuse(why, EINVAL, "there is no such map type");
	*ops = bpf_map_ops_find(spec->map_type);
	if (!*ops)
		return bpf_spec_refuse(why, EOPNOTSUPP, "this build lacks the map type");
	if (spec->map_extra && spec->map_type != BPF_MAP_TYPE_BLOOM_FILTER)
		return bpf_spec_refuse(why, EINVAL, "map_extra is for bloom filters");
	if ((spec->map_flags & (BPF_F_RDONLY | BPF_F_WRONLY)) == (BPF_F_RDONLY | BPF_F_WRONLY) ||
	    (spec->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG)) ==
		    (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return bpf_spec_refuse(why, EINVAL,
				       "read-only and write-only do not go together in map_flags");
	err = (*ops)->alloc_check(spec, why);
	return err ? err : spin_lock_check(spec, *ops, why);
}

/* The same, and what such a map needs. */
static int spec_layout(const struct bpf_map_spec *spec, const struct bpf_map_ops **ops, u64 *index,
		       u64 *values, const char **why)
{
	int err = spec_check(spec, ops, why);

	if (err)
		return err;
	*values = 0;
	err = (*ops)->map_layout(spec, bpf_nr_slots(), index, values);
	return err ? bpf_spec_refuse(why, -err, "it is larger than a map can be") : 0;
}

int bpf_map_spec_check(const struct bpf_map_spec *spec, const char **why)
{
	const struct bpf_map_ops *ops;
	u64 index, values;

	return spec_layout(spec, &ops, &index, &values, why);
}

static void map_free(struct bpf_map *map, bool clean)
{
	if (map->arena && clean)
		map->arena->header->entries = bpf_map_count_entries(map);
	bpf_arena_close(map->arena, clean);
	free(map->slot_stats);
	free(map);
}

static void map_destroy(struct bpf_map *map)
{
	map_free(map, true);
}

static struct bpf_map *map_alloc(const struct bpf_map_ops *ops, const struct bpf_map_spec *spec)
{
	size_t stats_size = (bpf_nr_slots() + 1) * sizeof(struct bpf_map_slot_stats);
	struct bpf_map *map = aligned_alloc(64, round_up(ops->map_size, (size_t)64));

	if (!map)
		return NULL;
	memset(map, 0, ops->map_size);
	map->slot_stats = aligned_alloc(64, stats_size);
	if (!map->slot_stats) {
		free(map);
		return NULL;
	}
	memset(map->slot_stats, 0, stats_size);
	map->ops = ops;
	map->map_type = spec->map_type;
	map->key_size = spec->key_size;
	map->value_size = spec->value_size;
	map->max_entries = spec->max_entries;
	map->map_flags = spec->map_flags;
	map->map_extra = spec->map_extra;
	memcpy(map->name, spec->name, sizeof(map->name));
	map->btf_key_type_id = spec->btf_key_type_id;
	map->btf_value_type_id = spec->btf_value_type_id;
	map->spin_lock_off = bpf_spec_spin_lock_off(spec);
	map->destroy = map_destroy;
	map->refcnt = map->uref = 1;
	return map;
}

static int map_publish(struct bpf_map *map, struct bpf_map **out)
{
	int err = bpf_map_publish(map);

	if (err)
		return err;
	map->arena->header->map_id = map->id;
	*out = map;
	return 0;
}

int bpf_map_create(const struct bpf_map_spec *spec, u32 id, int index_fd, int values_fd,
		   struct bpf_map **out)
{
	const struct bpf_map_ops *ops;
	u64 index, values;
	struct bpf_map *map;
	const char *why;
	int err;

	err = spec_layout(spec, &ops, &index, &values, &why);
	if (err)
		return err;
	map = map_alloc(ops, spec);
	if (!map)
		return -ENOMEM;
	map->id = id;
	err = bpf_arena_create(spec, id, index, values, index_fd, values_fd, &map->arena);
	if (err)
		goto fail;
	err = ops->alloc(map);
	if (err)
		goto fail;
	err = map_publish(map, out);
	if (!err)
		return 0;
	ops->free(map);
fail:
	map_free(map, false);
	return err;
}

/* Nothing in it is believed that bpf_map_open() would not believe. */
static int header_check(const struct bpf_arena_header *header, const struct bpf_map_ops **ops)
{
	u64 index, values = 0;
	const char *why;

	/* No map has these ids: 0 would be given another, and after the last one comes none. */
	if (!header->map_id || header->map_id == UINT32_MAX ||
	    spec_check(&header->spec, ops, &why) ||
	    (*ops)->map_layout(&header->spec, header->nr_slots, &index, &values))
		return -EBADMSG;
	return bpf_arena_check_size(header->index_size, header->values_size, index, values);
}

/* Nothing of it is this process's to mark. */
static void map_destroy_shared(struct bpf_map *map)
{
	map_free(map, false);
}

static int share_arena(const struct bpf_map_spec *spec, u64 values, int fd, bool rdonly,
		       struct bpf_arena **out)
{
	struct bpf_arena *arena;
	int err;

	if (values)
		return bpf_arena_share(spec, values, fd, rdonly, out);
	err = bpf_arena_peek(fd, &arena);
	if (err)
		return err;
	if (arena->header->spec.map_type != spec->map_type ||
	    arena->header->spec.key_size != spec->key_size ||
	    arena->header->spec.value_size != spec->value_size ||
	    arena->header->spec.max_entries != spec->max_entries ||
	    arena->header->spec.map_flags != spec->map_flags)
		err = -EBADMSG;
	else if (arena->header->spec.spin_lock_end)
		err = -EOPNOTSUPP;
	if (err)
		bpf_arena_close(arena, false);
	else
		*out = arena;
	return err;
}

/* What the file's header says is believed as bpf_map_open() would. */
static int share_check(const struct bpf_map *map)
{
	const struct bpf_map_ops *ops;

	return map->ops->lookup_only ? header_check(map->arena->header, &ops) : 0;
}

int bpf_map_share(const struct bpf_map_spec *spec, int fd, bool rdonly, struct bpf_map **out)
{
	const struct bpf_map_ops *ops;
	u64 index, values;
	struct bpf_map *map;
	const char *why;
	int err;

	err = spec_layout(spec, &ops, &index, &values, &why);
	if (err)
		return err;
	if (spec->map_type == BPF_MAP_TYPE_HASH && rdonly)
		ops = &htab_shared_map_ops;
	else if (spec->map_type != BPF_MAP_TYPE_ARRAY)
		return -EOPNOTSUPP;
	if (spec->spin_lock_end)
		return -EOPNOTSUPP;
	map = map_alloc(ops, spec);
	if (!map)
		return -ENOMEM;
	map->destroy = map_destroy_shared;
	err = share_arena(spec, values, fd, rdonly, &map->arena);
	if (!err)
		err = share_check(map);
	if (!err)
		err = ops->open(map);
	map->frozen = rdonly;
	if (!err)
		err = bpf_map_publish(map);
	if (err)
		map_free(map, false);
	else
		*out = map;
	return err;
}

int bpf_map_look(int index_fd, const struct stat *index, const struct stat *values,
		 struct bpf_map_look *out)
{
	const struct bpf_map_ops *ops;
	struct bpf_arena_header header;
	int err = bpf_arena_look(index_fd, index, values, &header);

	if (!err)
		err = header_check(&header, &ops);
	if (err)
		return err;
	*out = (struct bpf_map_look){
		.spec = header.spec,
		.id = header.map_id,
		.frozen = header.frozen,
		.at_start = ops->at_start,
		.bytes = ops->map_mem_usage ? ops->map_mem_usage(&header.spec, header.nr_slots)
					    : header.index_size + header.values_size,
	};
	return 0;
}

int bpf_map_open(int index_fd, int values_fd, struct bpf_map **out)
{
	const struct bpf_map_ops *ops;
	const struct bpf_map_spec *spec;
	struct bpf_arena *arena;
	struct bpf_map *map, *live;
	int err;

	err = bpf_arena_open(index_fd, values_fd, &arena);
	if (err)
		return err;
	spec = &arena->header->spec;
	if (header_check(arena->header, &ops)) {
		bpf_arena_close(arena, arena->was_clean);
		return -EBADMSG;
	}
	map = map_alloc(ops, spec);
	if (!map) {
		bpf_arena_close(arena, arena->was_clean);
		return -ENOMEM;
	}
	map->arena = arena;
	map->id = arena->header->map_id;
	live = bpf_map_get_by_id(map->id);
	if (live) { /* most likely this very arena: opening would work on the live map's memory */
		bpf_map_put(live);
		map_free(map, false);
		return -EEXIST;
	}
	map->frozen = arena->header->frozen;
	if (arena->was_clean)
		bpf_map_set_entries(map, arena->header->entries);
	err = ops->open(map);
	if (err) {
		map_free(map, arena->was_clean);
		return err;
	}
	err = map_publish(map, out);
	if (err) {
		ops->free(map);
		map_free(map, true);
	}
	return err;
}

void bpf_map_drop_files(struct bpf_map *map)
{
	bpf_arena_drop_files(map->arena);
}

bool bpf_map_has_values_file(const struct bpf_map_spec *spec)
{
	const struct bpf_map_ops *ops;
	const char *why;
	u64 index, values;

	return !spec_layout(spec, &ops, &index, &values, &why) && values;
}
