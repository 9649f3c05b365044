/*
 * hashtab.h - the table under hash, percpu_hash and the LRU kinds: elements, buckets, hashing, finding
 *
 * hashtab.c lays it out, walks and recovers it; hashtab_write.h is the writers' side; hash.c, percpu_hash.c
 * and lru_hash.c are the map types.
 *
 * A bucket is one 64-bit word:
 *	bits 0-31   link to the first element; bit 30 is the writers' lock
 *	bits 32-47  changes: how often an element was taken out of the chain
 *	bits 48-63  filter: 4 bits of the hash (never 0) of each element of the chain, up to four, in any order;
 *	            0xf at the top says that there may be more, and is in place of all that
 * so that a miss mostly costs one cache line, and locking, publishing a new head and unlocking are
 * one atomic and one store on the line that had to be read anyway. A word of zero is an empty chain
 * (untouched arena memory).
 *
 * A link is
 *	0x00000001 .. 0x3fffffff  an element's index
 *	0x80000000 | bucket       the end of this bucket's chain (a "nulls" marker)
 *	0xc0000000 | index        a free element (percpu_freelist.h)
 *
 * A reader may stand on an element while it is taken out, freed, and linked somewhere else. It goes on to an
 * end that is not its bucket's, or finds at the end that something was taken out since it began: then
 * it starts again. So a miss is certain. An element is put in only in front: who is carried from the middle
 * of a chain to its front sees all of it. `changes` rises before an element is taken out, so who
 * sees the element gone sees the rise. It is 16 bits long: a reader would have to lose its CPU
 * for exactly a multiple of 65536 changes of its bucket to be deceived.
 *
 * An element is a header, for the LRU kinds its list node's number, the key (zero-padded to a multiple of
 * 8, but for 4-byte keys of the LRU kinds) and, but for the per-CPU kinds, the value. `version` is odd in a
 * live element; it is made so after key and value are complete and before the element is linked, and even
 * again after it was unlinked and before the bucket is unlocked. A replacing element's version is above that of
 * the element that it replaces.
 *
 * Per-CPU values lie apart: slot s has those of all elements at pcpu + s * pcpu_stride.
 */
#ifndef UBPFFS_MAP_HASHTAB_H
#define UBPFFS_MAP_HASHTAB_H

#include "map/map.h"
#include "map/percpu_freelist.h"

#define HTAB_LINK_END	 0x80000000u
#define HTAB_LOCK	 0x40000000ull
#define HTAB_MAX_ENTRIES (1u << 27) /* there are up to twice as many buckets */

/* A page of buckets that was written to has its bit in `used`: walks and recovery skip the others. */
#define HTAB_USED_SHIFT 9

struct htab_elem {
	u32 next;
	u16 version;
	u8 ref; /* LRU: it was looked up or updated since the list last asked */
	u8 pad;
	u32 node; /* LRU only: the list node that stands for this entry; else part of the key */
};

/* Where the key begins. Sizes other than 4, 8 and 16 are passed as 0. */
#define HTAB_KEY_OFF(key_size, lru) ((lru) ? ((key_size) == 4 ? 12 : 16) : 8)

struct bpf_lru;

struct bpf_htab {
	struct bpf_map map;

	/* What a lookup needs, on one line. */
	u64 *buckets __attribute__((aligned(64)));
	char *elems; /* element i is at elems + i * elem_size */
	u64 seed;
	u32 mask; /* buckets - 1 */
	u32 elem_size;
	u32 value_off; /* of the value in an element */
	u32 key_off;
	char *pcpu; /* NULL: values are in the elements */
	u64 pcpu_stride;
	u32 pcpu_size; /* of one value */

	u32 total_elems; /* element 0 is none */
	u32 nr_slots; /* that the arena was laid out for */
	u32 nr_spares; /* nr_slots + 1, or 0: values that are updated in place need none */
	u32 *spares; /* a cache line each: see spare_take() */
	u64 *used;
	struct pcpu_freelist freelist; /* not used by the LRU kinds */
	struct bpf_lru *lru; /* NULL for the others */
	u8 *lru_backed; /* a byte for each so many nodes: they have memory */
};

/* What differs by map type in the table's layout. */
static inline bool htab_type_is_lru(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}
static inline bool htab_type_is_percpu(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* ---- hashtab.c: what all types share */

int htab_map_alloc_check(const struct bpf_map_spec *spec);
int htab_map_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values);
/* Find the parts of the arena. The LRU kinds also get their list. */
int htab_attach(struct bpf_htab *htab);
/* Provide memory for these elements and their values. */
int htab_reserve_elems(struct bpf_htab *htab, u32 from, u32 end);
/* Link all live elements below `end` again; returns how many there are. */
u32 htab_recover_chains(struct bpf_htab *htab, u32 end);
int htab_map_get_next_key(struct bpf_map *map, const void *key, void *next_key);
int htab_map_iter(struct bpf_map_iter *it);
long htab_map_for_each_callback(struct bpf_map *map, u64 callback, u64 ctx); /* htab_for_each.c */
u32 htab_bucket_next_used(const struct bpf_htab *htab, u32 bucket);
void htab_map_free(struct bpf_map *map);
/* A value as it is seen from outside; flags: 0 or BPF_F_LOCK. The caller holds the bucket's lock. */
void htab_copy_value(const struct bpf_htab *htab, u32 idx, void *value, u64 flags);
long htab_sys_lookup_elem(struct bpf_map *map, const void *key, void *value);
long htab_sys_lookup_locked(struct bpf_map *map, const void *key, void *value);

static inline struct bpf_htab *bpf_htab(const struct bpf_map *map)
{
	return container_of(map, struct bpf_htab, map);
}

static inline struct htab_elem *htab_elem(const struct bpf_htab *htab, u32 idx)
{
	return (struct htab_elem *)(htab->elems + (u64)idx * htab->elem_size);
}

static inline void *htab_elem_value(const struct bpf_htab *htab, struct htab_elem *elem)
{
	return (char *)elem + htab->value_off;
}

static inline void *htab_elem_key(const struct bpf_htab *htab, const struct htab_elem *elem)
{
	return (char *)elem + htab->key_off;
}

static inline void *htab_pcpu_value(const struct bpf_htab *htab, u32 idx, u32 slot)
{
	return htab->pcpu + slot * htab->pcpu_stride + (u64)idx * htab->pcpu_size;
}

static inline bool htab_elem_live(const struct htab_elem *elem)
{
	return __atomic_load_n(&elem->version, __ATOMIC_ACQUIRE) & 1;
}

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

/* What a filter holds of an element: 1 .. 15. */
static inline u32 htab_filter_of(u64 hash)
{
	u32 part = (u32)(hash >> 60);

	return part + !part;
}

#define HTAB_FILTER_MORE 0xf000u

/* The top bit of each of the filter's four places that holds `part`; the lowest one is exact. */
static inline u32 htab_filter_places(u32 filter, u32 part)
{
	u32 diff = filter ^ part * 0x1111;

	return (diff - 0x1111) & ~diff & 0x8888;
}

/* false: no element of the bucket has this hash. */
static inline bool htab_filter_may_have(u64 word, u64 hash)
{
	u32 filter = (u32)(word >> 48);

	return htab_filter_places(filter, htab_filter_of(hash)) ||
	       unlikely(filter >= HTAB_FILTER_MORE);
}

/* ---- keys */

bool htab_key_equal_words(const struct bpf_htab *htab, const struct htab_elem *elem,
			  const void *key);

/*
 * Is this element's key the wanted one? Keys of up to 8 bytes are one atomic word. Longer ones may be
 * rewritten under a reader's eyes when the element is freed and used again: then its version has changed,
 * *torn becomes true and the reader starts again.
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

/*
 * htab_find - the element with this key, or NULL; takes no lock
 *
 * Inside an RCU section. The element was in the table at some moment of the call. *idx (may be NULL) gets
 * its index.
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
