/*
 * map_model.c - see map_model.h
 */
#include "tests/lib/map_model.h"

void map_model_init(struct map_model *m, u32 key_size, u32 value_size, u32 max_entries)
{
	*m = (struct map_model){
		.key_size = key_size, .value_size = value_size, .max_entries = max_entries};
	m->keys = malloc((size_t)key_size * max_entries);
	m->values = malloc((size_t)value_size * max_entries);
	if (!m->keys || !m->values)
		abort();
}

void map_model_free(struct map_model *m)
{
	free(m->keys);
	free(m->values);
}

int map_model_find(const struct map_model *m, const void *key)
{
	for (u32 i = 0; i < m->nr; i++)
		if (!memcmp(m->keys + (size_t)i * m->key_size, key, m->key_size))
			return (int)i;
	return -1;
}

int map_model_lookup(const struct map_model *m, const void *key, void *value)
{
	int i = map_model_find(m, key);

	if (i < 0)
		return -ENOENT;
	memcpy(value, m->values + (size_t)i * m->value_size, m->value_size);
	return 0;
}

int map_model_update(struct map_model *m, const void *key, const void *value, u64 flags)
{
	int i = map_model_find(m, key);

	if (flags > BPF_EXIST)
		return -EINVAL;
	if (i >= 0 && flags == BPF_NOEXIST)
		return -EEXIST;
	if (i < 0 && flags == BPF_EXIST)
		return -ENOENT;
	if (i < 0) {
		if (m->nr == m->max_entries)
			return -E2BIG;
		i = (int)m->nr++;
		memcpy(m->keys + (size_t)i * m->key_size, key, m->key_size);
	}
	memcpy(m->values + (size_t)i * m->value_size, value, m->value_size);
	return 0;
}

int map_model_delete(struct map_model *m, const void *key)
{
	int i = map_model_find(m, key);
	u32 last = m->nr - 1;

	if (i < 0)
		return -ENOENT;
	memmove(m->keys + (size_t)i * m->key_size, m->keys + (size_t)last * m->key_size,
		m->key_size);
	memmove(m->values + (size_t)i * m->value_size, m->values + (size_t)last * m->value_size,
		m->value_size);
	m->nr--;
	return 0;
}

u64 rnd_next(struct rnd *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state * 0x2545f4914f6cdd1dull;
}
