/*
 * map_in_map.c - the template of a map of maps (see map_in_map.h)
 */
#include "btf/btf.h"
#include "map/fd/map_in_map.h"

/* A map that has nothing but what the verifier looks at. */
static int meta_new(const struct bpf_map_spec *spec, struct bpf_map **out)
{
	const struct bpf_map_ops *ops = bpf_map_ops_find(spec->map_type);
	struct bpf_map *meta;

	if (!ops)
		return -EBADMSG;
	meta = calloc(1, sizeof(*meta));
	if (!meta)
		return -ENOMEM;
	meta->ops = ops;
	meta->map_type = spec->map_type;
	meta->key_size = spec->key_size;
	meta->value_size = spec->value_size;
	meta->max_entries = spec->max_entries;
	meta->map_flags = spec->map_flags;
	meta->map_extra = spec->map_extra;
	meta->spin_lock_off = bpf_spec_spin_lock_off(spec);
	*out = meta;
	return 0;
}

void map_in_map_free(struct bpf_map *map)
{
	if (map->inner_map_meta)
		bpf_btf_put(map->inner_map_meta->btf);
	free(map->inner_map_meta);
	map->inner_map_meta = NULL;
}

int map_in_map_take(struct bpf_map *map, struct map_in_map_template *keep)
{
	struct bpf_map *inner = bpf_map_get_by_id(map->arena->header->spec.inner_map_id);
	int err;

	if (!inner)
		return -EBADF;
	if (inner->inner_map_meta)
		err = -EINVAL; /* one level only */
	else if (inner->ops->not_inner)
		err = -EOPNOTSUPP;
	else
		err = bpf_arena_reserve(map->arena, keep, sizeof(*keep));
	if (!err) {
		keep->spec = inner->arena->header->spec;
		err = meta_new(&keep->spec, &map->inner_map_meta);
	}
	if (!err) {
		map->inner_map_meta->btf = inner->btf;
		if (inner->btf)
			bpf_btf_inc(inner->btf);
	}
	bpf_map_put(inner);
	return err;
}

int map_in_map_read(struct bpf_map *map, const struct map_in_map_template *kept)
{
	const struct bpf_map_ops *ops = bpf_map_ops_find(kept->spec.map_type);
	const char *why;

	if (!ops || ops->not_inner || ops->alloc_check(&kept->spec, &why) ||
	    kept->used_end > map->max_entries)
		return -EBADMSG;
	return meta_new(&kept->spec, &map->inner_map_meta);
}

bool map_in_map_fits(const struct bpf_map *outer, const struct bpf_map *map)
{
	const struct bpf_map *meta = outer->inner_map_meta;

	return meta->map_type == map->map_type && meta->key_size == map->key_size &&
	       meta->value_size == map->value_size && meta->map_flags == map->map_flags &&
	       meta->spin_lock_off == map->spin_lock_off &&
	       (!meta->ops->map_meta_equal || meta->ops->map_meta_equal(meta, map));
}

long map_in_map_sys_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	struct bpf_map *inner;
	u32 id;
	int err;

	memcpy(&id, value, sizeof(id));
	inner = bpf_map_get_by_id(id);
	if (!inner)
		return -ENOENT;
	err = map->ops->map_update_slot(map, key, inner, flags);
	bpf_map_put(inner);
	return err;
}

long map_in_map_count_update(struct bpf_map *map, long err)
{
	if (err)
		bpf_map_count(map, failed_updates, 1);
	else
		bpf_map_count(map, updates, 1);
	return err;
}

int map_in_map_restored(struct bpf_map *outer, u32 id, bpf_slot_get_fn get, void *priv,
			struct bpf_map **out)
{
	void *inner = NULL;
	int err = get(id, priv, &inner);

	*out = NULL;
	if (err)
		return err;
	if (map_in_map_fits(outer, inner)) {
		bpf_map_inc_internal(inner);
		*out = inner;
	} else {
		err = -EINVAL;
	}
	bpf_map_put(inner);
	return err;
}
