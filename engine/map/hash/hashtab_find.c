/*
 * hashtab_find.c - keys of sizes that have no code of their own in hashtab_find.h
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "map/hash/hashtab_find.h"

u64 htab_hash_bytes(const void *key, u32 size, u64 seed)
{
	return XXH3_64bits_withSeed(key, size, seed);
}

/* Word i of a key, zero-padded. */
static u64 key_word(const void *key, u32 key_size, u32 i)
{
	u32 left = key_size - i * 8;
	u64 word = 0;

	memcpy(&word, (const char *)key + i * 8, min(left, 8u));
	return word;
}

bool htab_key_equal_words(const struct bpf_htab *htab, const struct htab_elem *elem,
			  const void *key)
{
	const u64 *theirs = htab_elem_key(htab, elem);

	for (u32 i = 0; i * 8 < htab->map.key_size; i++)
		if (__atomic_load_n(&theirs[i], __ATOMIC_ACQUIRE) !=
		    key_word(key, htab->map.key_size, i))
			return false;
	return true;
}

void htab_elem_set_key_words(const struct bpf_htab *htab, struct htab_elem *elem, const void *key)
{
	u64 *to = htab_elem_key(htab, elem);

	for (u32 i = 0; i * 8 < htab->map.key_size; i++)
		__atomic_store_n(&to[i], key_word(key, htab->map.key_size, i), __ATOMIC_RELEASE);
}

u64 htab_key_hash(const struct bpf_htab *htab, const void *key)
{
	HTAB_BY_KEY_SIZE(&htab->map, htab_hash, htab, key);
}

u64 htab_elem_hash(const struct bpf_htab *htab, const struct htab_elem *elem)
{
	return htab_key_hash(htab, htab_elem_key(htab, elem));
}
