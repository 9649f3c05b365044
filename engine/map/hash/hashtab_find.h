/*
 * hashtab_find.h - keys of the table (hashtab_layout.h): hashed, compared, written, found
 */
#ifndef UBPFFS_MAP_HASH_HASHTAB_FIND_H
#define UBPFFS_MAP_HASH_HASHTAB_FIND_H

#include "map/hash/hashtab_layout.h"

/* Return func(..., key size): a call for each of the key sizes that have code of their own. */
#define HTAB_BY_KEY_SIZE(map, func, ...)              \
	do {                                          \
		switch ((map)->key_size) {            \
		case 4:                               \
			return func(__VA_ARGS__, 4);  \
		case 8:                               \
			return func(__VA_ARGS__, 8);  \
		case 16:                              \
			return func(__VA_ARGS__, 16); \
		default:                              \
			return func(__VA_ARGS__, 0);  \
		}                                     \
	} while (0)

#define __htab_inline static inline __attribute__((always_inline))

/* ---- hashing. key_size is a constant where it is 4, 8 or 16; 0 stands for any other. */

u64 htab_hash_bytes(const void *key, u32 size, u64 seed);

/* Both halves of a product: each bit of either factor reaches about half of the result. */
static inline u64 htab_mix(u64 a, u64 b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (u64)product ^ (u64)(product >> 64);
}

#define HTAB_MUL1 0x9e3779b97f4a7c15ull /* 2^64 / golden ratio */
#define HTAB_MUL2 0xd6e8feb86659fd93ull

static inline __attribute__((always_inline)) u64 htab_hash(const struct bpf_htab *htab,
							   const void *key, const u32 key_size)
{
	u64 word[2];
	u32 word4;

	switch (key_size) {
	case 4:
		memcpy(&word4, key, 4);
		return htab_mix(word4 ^ htab->seed, HTAB_MUL1);
	case 8:
		memcpy(word, key, 8);
		return htab_mix(word[0] ^ htab->seed, HTAB_MUL1);
	case 16:
		memcpy(word, key, 16);
		return htab_mix(htab_mix(word[0] ^ htab->seed, HTAB_MUL2) ^ word[1], HTAB_MUL1);
	default:
		return htab_hash_bytes(key, htab->map.key_size, htab->seed);
	}
}

/* For keys of any size. */
u64 htab_key_hash(const struct bpf_htab *htab, const void *key);
u64 htab_elem_hash(const struct bpf_htab *htab, const struct htab_elem *elem);

/* ---- keys */

bool htab_key_equal_words(const struct bpf_htab *htab, const struct htab_elem *elem,
			  const void *key);

/*
 * Is this element's key the wanted one? Keys of up to 8 bytes are one atomic word. Longer ones may
 * be rewritten under a reader's eyes when the element is freed and used again: then its version has
 * changed, *torn becomes true and the reader starts again.
 */
static inline __attribute__((always_inline)) bool htab_key_equal(const struct bpf_htab *htab,
								 const struct htab_elem *elem,
								 const void *key,
								 const u32 key_size, const bool lru,
								 bool *torn)
{
	const u64 *theirs = (const void *)((const char *)elem + HTAB_KEY_OFF(key_size, lru));
	u32 version, word4;
	u64 word[2];
	bool equal;

	if (key_size == 4) {
		memcpy(&word4, key, 4);
		return __atomic_load_n((const u32 *)(const void *)theirs, __ATOMIC_ACQUIRE) ==
		       word4;
	}
	if (key_size == 8) {
		memcpy(word, key, 8);
		return __atomic_load_n(&theirs[0], __ATOMIC_ACQUIRE) == word[0];
	}
	version = __atomic_load_n(&elem->version, __ATOMIC_ACQUIRE);
	if (key_size == 16) {
		memcpy(word, key, 16);
		equal = __atomic_load_n(&theirs[0], __ATOMIC_ACQUIRE) == word[0] &&
			__atomic_load_n(&theirs[1], __ATOMIC_ACQUIRE) == word[1];
	} else {
		equal = htab_key_equal_words(htab, elem, key);
	}
	if (equal && __atomic_load_n(&elem->version, __ATOMIC_ACQUIRE) != version)
		*torn = true;
	return equal;
}

void htab_elem_set_key_words(const struct bpf_htab *htab, struct htab_elem *elem, const void *key);

/*
 * Words are stored so that a reader that still looks at the element sees its version change first.
 */
__htab_inline void htab_elem_set_key(const struct bpf_htab *htab, struct htab_elem *elem,
				     const void *key, const u32 key_size, const bool lru)
{
	u64 *to = (u64 *)((char *)elem + HTAB_KEY_OFF(key_size, lru));
	u64 words[2] = {};

	if (!key_size) {
		htab_elem_set_key_words(htab, elem, key);
		return;
	}
	memcpy(words, key, key_size);
	if (key_size == 4 && lru) {
		__atomic_store_n((u32 *)(void *)to, (u32)words[0], __ATOMIC_RELEASE);
		return;
	}
	__atomic_store_n(&to[0], words[0], __ATOMIC_RELEASE);
	if (key_size == 16)
		__atomic_store_n(&to[1], words[1], __ATOMIC_RELEASE);
}

/* ---- finding */

/*
 * htab_find - the element with this key, or NULL; takes no lock
 *
 * Inside an RCU section. The element was in the table at some moment of the call. *idx (may be
 * NULL) gets its index.
 */
static inline __attribute__((always_inline)) struct htab_elem *htab_find(
	const struct bpf_htab *htab, const void *key, u64 hash, const u32 key_size, const bool lru,
	u32 *idx)
{
	const u32 bucket = (u32)hash & htab->mask;
	const u64 *head = &htab->buckets[bucket];
	struct htab_elem *elem;
	bool torn;
	u64 word;
	u32 link;

again:
	word = __atomic_load_n(head, __ATOMIC_ACQUIRE);
	if (!htab_filter_may_have(word, hash))
		return NULL;
	torn = false;
	link = (u32)(word & ~HTAB_LOCK);
	while (!(link & HTAB_LINK_END)) {
		elem = htab_elem(htab, link);
		if (htab_key_equal(htab, elem, key, key_size, lru, &torn)) {
			if (unlikely(torn))
				goto again;
			if (idx)
				*idx = link;
			if (!elem) /* the compiler need not look again */
				__builtin_unreachable();
			return elem;
		}
		link = __atomic_load_n(&elem->next, __ATOMIC_ACQUIRE);
	}
	if (unlikely(link != (HTAB_LINK_END | bucket)))
		goto again;
	if (unlikely((u16)(__atomic_load_n(head, __ATOMIC_ACQUIRE) >> 32) != (u16)(word >> 32)))
		goto again;
	return NULL;
}

#endif
