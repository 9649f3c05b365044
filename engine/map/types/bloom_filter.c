/*
 * bloom_filter.c - a set that answers "surely not" or "perhaps"
 *
 * A value sets up to 15 bits of a bitmap, chosen by as many hashes of it; peek says whether all of
 * them are set. There is no removing. The number of hashes is the low 4 bits of map_extra (5 when
 * they are 0), the bitmap has about max_entries * hashes / ln 2 bits, rounded up to a power of two:
 * both as in Linux, so that filters of one definition are equally good; the hash is our own. The
 * hashes are two, combined (Kirsch and Mitzenmacher 2006).
 *
 * Guarantees
 *   A. A value that was pushed is always found, by any thread that learnt of the push, also after a
 *      crash.
 *   B. No locks: bits are set by atomic or.
 * Tests: tests/unit/test_bloom_filter.c.
 */
#include "map/hash/hashtab_find.h"
#include "map/map.h"

#define BLOOM_FLAGS (BPF_F_NUMA_NODE | BPF_F_ZERO_SEED | BPF_F_ACCESS_MASK)

struct bpf_bloom_filter {
	struct bpf_map map;
	u64 *bits;
	u32 mask; /* bits - 1 */
	u32 hashes;
	u64 seed;
};

#define BLOOM_BITS_OFF 64

struct bloom_arena { /* at the beginning of the index */
	u64 pushed;
};

static struct bpf_bloom_filter *bloom(const struct bpf_map *map)
{
	return container_of(map, struct bpf_bloom_filter, map);
}

static u32 nr_hashes(const struct bpf_map_spec *spec)
{
	return spec->map_extra ? (u32)spec->map_extra : 5;
}

/* As bits - 1. 7/5 is 1/ln 2. */
static u32 bit_mask(const struct bpf_map_spec *spec)
{
	u32 bits;

	if (__builtin_mul_overflow(spec->max_entries, nr_hashes(spec), &bits) ||
	    __builtin_mul_overflow(bits / 5, 7u, &bits) || bits > 1u << 31)
		return UINT32_MAX;
	if (bits <= 64)
		return 63;
	return (u32)((1ull << (64 - __builtin_clzll(bits - 1ull))) - 1);
}

static int bloom_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = bpf_spec_check_sizes(spec, 0, BPF_SPEC_ANY, BLOOM_FLAGS, why);

	if (!err && spec->map_extra & ~15ull)
		err = bpf_spec_refuse(why, EINVAL, "map_extra is the number of hashes, up to 15");
	return err;
}

static int bloom_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*values = 0;
	*index = BLOOM_BITS_OFF + ((u64)bit_mask(spec) + 1) / 8;
	return 0;
}

static int bloom_attach(struct bpf_map *map)
{
	const struct bpf_arena_header *header = map->arena->header;
	struct bpf_bloom_filter *filter = bloom(map);

	filter->bits = (u64 *)((char *)map->arena->index + BLOOM_BITS_OFF);
	filter->mask = bit_mask(&header->spec);
	filter->hashes = nr_hashes(&header->spec);
	filter->seed = header->hash_seed;
	bpf_arena_advise_huge(map->arena->index, map->arena->index_size - BPF_ARENA_HEADER_SIZE);
	return bpf_arena_reserve(map->arena, map->arena->header, map->arena->index_size);
}

static void bloom_free(struct bpf_map *map)
{
}

static u64 *bit_word(const struct bpf_bloom_filter *filter, u64 one, u64 two, u32 i, u64 *bit)
{
	u32 at = (u32)(one + i * two) & filter->mask;

	*bit = 1ull << (at % 64);
	return &filter->bits[at / 64];
}

static void hash_value(const struct bpf_bloom_filter *filter, const void *value, u64 *one, u64 *two)
{
	*one = htab_hash_bytes(value, filter->map.value_size, filter->seed);
	*two = htab_mix(*one, HTAB_MUL1) | 1;
}

static long bloom_push_elem(struct bpf_map *map, const void *value, u64 flags)
{
	struct bpf_bloom_filter *filter = bloom(map);
	u64 one, two, bit, *word;

	if (flags != BPF_ANY) {
		bpf_map_count(map, failed_updates, 1);
		return -EINVAL;
	}
	hash_value(filter, value, &one, &two);
	for (u32 i = 0; i < filter->hashes; i++) {
		word = bit_word(filter, one, two, i, &bit);
		if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
			__atomic_fetch_or(word, bit, __ATOMIC_RELAXED);
	}
	__atomic_fetch_add(&((struct bloom_arena *)map->arena->index)->pushed, 1, __ATOMIC_RELAXED);
	bpf_map_count(map, updates, 1);
	return 0;
}

/* `value` is asked for, and not changed. */
static long bloom_peek_elem(struct bpf_map *map, void *value)
{
	struct bpf_bloom_filter *filter = bloom(map);
	u64 one, two, bit, *word;

	hash_value(filter, value, &one, &two);
	for (u32 i = 0; i < filter->hashes; i++) {
		word = bit_word(filter, one, two, i, &bit);
		if (!(__atomic_load_n(word, __ATOMIC_RELAXED) & bit))
			return -ENOENT;
	}
	return 0;
}

/* How many values were pushed, whether or not they were there already. */
static u64 bloom_entries(const struct bpf_map *map)
{
	const struct bloom_arena *arena = map->arena->index;

	return __atomic_load_n(&arena->pushed, __ATOMIC_RELAXED);
}

const struct bpf_map_ops bloom_filter_map_ops = {
	.name = "bloom_filter",
	.map_size = sizeof(struct bpf_bloom_filter),
	.alloc_check = bloom_alloc_check,
	.map_layout = bloom_layout,
	.alloc = bloom_attach,
	.open = bloom_attach,
	.free = bloom_free,
	.map_push_elem = bloom_push_elem,
	.map_peek_elem = bloom_peek_elem,
	.map_entries = bloom_entries,
};
