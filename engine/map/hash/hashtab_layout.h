/*
 * hashtab_layout.h - the table under hash, percpu_hash and the LRU kinds: elements and buckets
 *
 * hashtab.c lays it out, walks and recovers it; hashtab_find.h is the readers' side and
 * hashtab_write.h the writers'; hash.c and lru_hash.c are the map types.
 *
 * A bucket is one 64-bit word:
 *	bits 0-31   link to the first element; bit 30 is the writers' lock
 *	bits 32-47  changes: how often an element was taken out of the chain
 *	bits 48-63  filter: 4 bits of the hash (never 0) of each element of the chain, up to four,
 *	            in any order; 0xf at the top says that there may be more, and is in place of all
 * so that a miss mostly costs one cache line, and locking, publishing a new head and unlocking are
 * one atomic and one store on the line that had to be read anyway. A word of zero is an empty chain
 * (untouched arena memory).
 *
 * A link is
 *	0x00000001 .. 0x3fffffff  an element's index
 *	0x80000000 | bucket       the end of this bucket's chain (a "nulls" marker)
 *	0xc0000000 | index        a free element (percpu_freelist.h)
 *
 * A reader may stand on an element while it is taken out, freed, and linked somewhere else. It goes
 * on to an end that is not its bucket's, or finds at the end that something was taken out since it
 * began: then it starts again. So a miss is certain. An element is put in only in front: who is
 * carried from the middle of a chain to its front sees all of it. `changes` rises before an element
 * is taken out, so who sees the element gone sees the rise. It is 16 bits long: a reader would have
 * to lose its CPU for exactly a multiple of 65536 changes of its bucket to be deceived.
 *
 * An element is a header, for the LRU kinds its list node's number, the key (zero-padded to a
 * multiple of 8, but for 4-byte keys of the LRU kinds) and, but for the per-CPU kinds, the value.
 * `version` is odd in a live element; it is made so after key and value are complete and before the
 * element is linked, and even again after it was unlinked and before the bucket is unlocked. A
 * replacing element's version is above that of the element that it replaces.
 *
 * Per-CPU values lie apart: slot s has those of all elements at pcpu + s * pcpu_stride.
 */
#ifndef UBPFFS_MAP_HASH_HASHTAB_LAYOUT_H
#define UBPFFS_MAP_HASH_HASHTAB_LAYOUT_H

#include "map/map.h"
#include "map/arena/percpu_freelist.h"

#define HTAB_LINK_END	 0x80000000u
#define HTAB_LOCK	 0x40000000ull
#define HTAB_MAX_ENTRIES (1u << 27) /* there are up to twice as many buckets */

/*
 * A page of buckets that was written to has its bit in `used`: walks and recovery skip the others.
 */
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

/* ---- a bucket's filter */

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

#endif
