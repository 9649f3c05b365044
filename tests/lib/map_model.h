/*
 * map_model.h - the plainest possible hash map, to hold others against
 *
 * An unsorted list searched from the front. Returns what bpf(2) returns for a hash map.
 */
#ifndef UBPFFS_TESTS_MAP_MODEL_H
#define UBPFFS_TESTS_MAP_MODEL_H

#include "util/compat.h"

struct map_model {
	u32 key_size, value_size, max_entries;
	u32 nr;
	char *keys, *values;
};

void map_model_init(struct map_model *m, u32 key_size, u32 value_size, u32 max_entries);
void map_model_free(struct map_model *m);
int map_model_find(const struct map_model *m, const void *key); /* index or -1 */
int map_model_lookup(const struct map_model *m, const void *key, void *value);
int map_model_update(struct map_model *m, const void *key, const void *value, u64 flags);
int map_model_delete(struct map_model *m, const void *key);

/* A small repeatable generator (xorshift). */
struct rnd {
	u64 state;
};
u64 rnd_next(struct rnd *r);
static inline u32 rnd_below(struct rnd *r, u32 n)
{
	return (u32)((rnd_next(r) >> 32) * n >> 32);
}

#endif
