/*
 * lpm_trie.c - longest prefix match: which of the stored prefixes fits an address best
 *
 * A binary trie whose nodes stand only where paths part or a prefix ends. A key is a u32 prefixlen
 * and the address in network order; a node keeps its address as big-endian 64-bit words, so that
 * the length of a common prefix is an exclusive or and a count of zeroes. Intermediate nodes hold
 * no value and always have two children. There are never more of them than of prefixes.
 *
 * A node is written once and then only its two links change. It is taken out of the trie under
 * `lock`, but may be used again only after a grace period: nodes wait in `limbo`, all that came in
 * one period for one callback. The arena has room for nodes that wait (LPM_LIMBO_BYTES of
 * addresses); a writer that outruns the grace periods by so much gets -ENOMEM, as Linux gives when
 * an allocation fails.
 *
 * Guarantees
 *   A. A lookup takes no lock. It finds the longest prefix that was there at one moment of the
 *      call, or, when prefixes are exchanged meanwhile, a prefix that fits and was there during it.
 *   B. What a lookup returned keeps its key and its memory until the caller's RCU section ends; an
 *      update of the same prefix puts another element in its place.
 *   C. -ENOSPC when max_entries prefixes are there and a new one comes; never for one that is
 *      there.
 *   D. After a crash the trie is built again from the live nodes: nothing acknowledged is lost, and
 *      of a prefix that was being replaced the old or the new value is there, whole.
 *   E. A walk goes in the order of the addresses, a prefix before the longer ones in it, and gives
 *      what stays exactly once.
 * Lock order: `lock` is a leaf.
 * Tests: tests/unit/test_lpm_trie.c.
 */
#include <endian.h>
#include "util/lock.h"
#include "map/map.h"
#include "map/iter.h"

#define LPM_FLAGS	 (BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_ACCESS_MASK)
#define LPM_DATA_MAX	 256
#define LPM_WORDS_MAX	 (LPM_DATA_MAX / 8)
#define LPM_KEY_MIN	 (sizeof(struct bpf_lpm_trie_key) + 1)
#define LPM_KEY_MAX	 (sizeof(struct bpf_lpm_trie_key) + LPM_DATA_MAX)
#define LINUX_NODE_SIZE	 40 /* what Linux's limit of a value leaves for its own node */
#define LPM_LIMBO_BYTES	 (256ull << 20)
#define LPM_LIMBO_MIN	 64u
#define LPM_LIMBO_MAX	 (1u << 20)
#define LPM_RESERVE_STEP (1u << 20)

enum lpm_state { /* what a reader that stands on a node makes of it */
		 LPM_LIVE = 1, /* a prefix with its value */
		 LPM_INTERMEDIATE,
};

struct lpm_node {
	u32 child[2]; /* 0: none */
	/* in limbo or on the free list; apart from child[], on which readers may stand */
	u32 next_free;
	u32 prefixlen;
	u32 state;
	/*
	 * What recovery goes by: 0 unless the node holds an entry. Written when the node is
	 * complete, before it is linked; of two nodes with one prefix the later version counts.
	 */
	u32 version;
	u64 data[]; /* words of the address, big-endian; then the value */
};

struct lpm_arena { /* at the beginning of the index */
	u32 fresh; /* nodes from here on were never used */
};

#define LPM_NODES_OFF 64

struct lpm_limbo;

struct bpf_lpm_trie {
	struct bpf_map map;
	struct lpm_arena *arena;
	char *nodes; /* node 0 is none */
	u32 node_size, words, data_size, value_off;
	u32 max_prefixlen;
	u32 root;
	u32 total; /* nodes, node 0 included */

	struct bpf_lock lock; /* writers and walks; all below */
	u64 reserved; /* bytes of nodes that surely have memory under them */
	u32 n_entries;
	u32 free;
	u32 limbo; /* came since the callback in flight was asked for */
	struct lpm_limbo *flight; /* NULL: none */
};

/* What waits for a grace period. It may outlive the map. */
struct lpm_limbo {
	struct rcu_head rcu;
	struct bpf_lpm_trie *trie; /* NULL: the map is gone; with limbo_lock */
	u32 first;
};

static struct bpf_lock limbo_lock; /* lpm_limbo.trie; before a trie's lock */

static struct bpf_lpm_trie *lpm_trie(const struct bpf_map *map)
{
	return container_of(map, struct bpf_lpm_trie, map);
}

static struct lpm_node *node_at(const struct bpf_lpm_trie *trie, u32 idx)
{
	return (struct lpm_node *)(trie->nodes + (u64)idx * trie->node_size);
}

static void *node_value(const struct bpf_lpm_trie *trie, struct lpm_node *node)
{
	return (char *)node + trie->value_off;
}

/* ---- layout */

static int lpm_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = bpf_spec_check_sizes(spec, BPF_SPEC_ANY, BPF_SPEC_ANY, LPM_FLAGS, why);

	if (err)
		return err;
	if (!(spec->map_flags & BPF_F_NO_PREALLOC))
		return bpf_spec_refuse(why, EINVAL, "map_flags must hold 1 (BPF_F_NO_PREALLOC)");
	if (spec->key_size < LPM_KEY_MIN || spec->key_size > LPM_KEY_MAX)
		return bpf_spec_refuse(why, EINVAL,
				       "key_size is 4 + the address's bytes, 1 to 256");
	if (spec->value_size > KMALLOC_MAX_SIZE - LPM_DATA_MAX - LINUX_NODE_SIZE)
		return bpf_spec_refuse(why, EINVAL, "value_size is at most about 4 MiB");
	return 0;
}

static u32 value_off(const struct bpf_map_spec *spec)
{
	return sizeof(struct lpm_node) +
	       round_up(spec->key_size - (u32)sizeof(struct bpf_lpm_trie_key), 8);
}

static u32 node_size(const struct bpf_map_spec *spec)
{
	return value_off(spec) + round_up(spec->value_size, 8);
}

static u64 total_nodes(const struct bpf_map_spec *spec)
{
	u64 limbo = LPM_LIMBO_BYTES / node_size(spec);

	limbo = min(max(limbo, (u64)LPM_LIMBO_MIN), (u64)LPM_LIMBO_MAX);
	return 1 + 2 * (u64)spec->max_entries + limbo;
}

static int lpm_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	u64 total = total_nodes(spec);

	*values = 0;
	*index = LPM_NODES_OFF + total * node_size(spec);
	return total > UINT32_MAX || *index > BPF_ARENA_MAX_SIZE ? -ENOMEM : 0;
}

static int lpm_attach(struct bpf_map *map)
{
	const struct bpf_map_spec *spec = &map->arena->header->spec;
	struct bpf_lpm_trie *trie = lpm_trie(map);
	int err;

	trie->arena = map->arena->index;
	trie->nodes = (char *)map->arena->index + LPM_NODES_OFF;
	trie->node_size = node_size(spec);
	trie->value_off = value_off(spec);
	trie->data_size = map->key_size - (u32)sizeof(struct bpf_lpm_trie_key);
	trie->words = (trie->data_size + 7) / 8;
	trie->max_prefixlen = trie->data_size * 8;
	trie->total = (u32)total_nodes(spec);
	err = bpf_arena_reserve(map->arena, trie->arena, LPM_NODES_OFF);
	if (!err && !trie->arena->fresh)
		trie->arena->fresh = 1;
	return err;
}

/* ---- keys */

struct lpm_key {
	u32 prefixlen;
	u64 words[LPM_WORDS_MAX];
};

static void key_load(const struct bpf_lpm_trie *trie, struct lpm_key *to, const void *key)
{
	const char *data = (const char *)key + sizeof(u32);
	u32 size = trie->data_size, i;

	memcpy(&to->prefixlen, key, sizeof(u32));
	for (i = 0; size >= 8; i++, size -= 8, data += 8) {
		memcpy(&to->words[i], data, 8);
		to->words[i] = be64toh(to->words[i]);
	}
	if (size) {
		to->words[i] = 0;
		memcpy(&to->words[i], data, size);
		to->words[i] = be64toh(to->words[i]);
	}
}

/* The stored address, with the bits behind the prefix as they were given. */
static void key_store(const struct bpf_lpm_trie *trie, const struct lpm_node *node, void *key)
{
	char *data = (char *)key + sizeof(u32);
	u32 left = trie->data_size;

	memcpy(key, &node->prefixlen, sizeof(u32));
	for (u32 i = 0; left; i++) {
		u64 word = htobe64(node->data[i]);
		u32 n = min(left, 8u);

		memcpy(data + i * 8, &word, n);
		left -= n;
	}
}

static u32 bit_at(const u64 *words, u32 bit)
{
	return (u32)(words[bit / 64] >> (63 - bit % 64)) & 1;
}

/*
 * Bits that two addresses have in common, at most `limit`; the first `from` words are known to be
 * equal.
 */
static u32 common_bits(const u64 *a, const u64 *b, u32 from, u32 limit)
{
	for (u32 i = from; i * 64 < limit; i++) {
		u64 diff = a[i] ^ b[i];

		if (diff)
			return min(i * 64 + (u32)__builtin_clzll(diff), limit);
	}
	return limit;
}

static u32 match_bits(const struct lpm_node *node, const struct lpm_key *key)
{
	return common_bits(node->data, key->words, 0, min(node->prefixlen, key->prefixlen));
}

/* ---- lookup */

static void *lpm_lookup_elem(struct bpf_map *map, const void *_key)
{
	struct bpf_lpm_trie *trie = lpm_trie(map);
	struct lpm_node *node, *found = NULL;
	struct lpm_key key;
	u32 idx, match = 0;

	key_load(trie, &key, _key);
	if (key.prefixlen > trie->max_prefixlen)
		return NULL;
	idx = bpf_rcu_dereference(trie->root);
	while (idx) {
		node = node_at(trie, idx);
		match = common_bits(node->data, key.words, match / 64,
				    min(node->prefixlen, key.prefixlen));
		if (match < node->prefixlen)
			break;
		if (__atomic_load_n(&node->state, __ATOMIC_RELAXED) == LPM_LIVE)
			found = node;
		if (match == key.prefixlen)
			break;
		idx = bpf_rcu_dereference(node->child[bit_at(key.words, match)]);
	}
	return found ? node_value(trie, found) : NULL;
}

/* ---- nodes */

/*
 * What was in limbo when the callback was asked for is free now; what came since asks for the next
 * one.
 */
static void limbo_ended(struct rcu_head *head);

/* Caller holds trie->lock. */
static void __limbo_start(struct bpf_lpm_trie *trie)
{
	struct lpm_limbo *flight;

	if (trie->flight || !trie->limbo)
		return;
	flight = malloc(sizeof(*flight));
	if (!flight) /* they wait for the next who comes by */
		return;
	flight->trie = trie;
	flight->first = trie->limbo;
	trie->limbo = 0;
	trie->flight = flight;
	bpf_call_rcu(&flight->rcu, limbo_ended);
}

static void limbo_ended(struct rcu_head *head)
{
	struct lpm_limbo *flight = container_of(head, struct lpm_limbo, rcu);
	struct bpf_lpm_trie *trie;
	struct lpm_node *last;

	bpf_lock(&limbo_lock);
	trie = flight->trie;
	if (trie) {
		bpf_lock(&trie->lock);
		for (last = node_at(trie, flight->first); last->next_free;
		     last = node_at(trie, last->next_free))
			;
		last->next_free = trie->free;
		trie->free = flight->first;
		trie->flight = NULL;
		__limbo_start(trie);
		bpf_unlock(&trie->lock);
	}
	bpf_unlock(&limbo_lock);
	free(flight);
}

/* Caller holds trie->lock. The node may be under a reader. */
static void __node_retire(struct bpf_lpm_trie *trie, u32 idx)
{
	struct lpm_node *node = node_at(trie, idx);

	__atomic_store_n(&node->next_free, trie->limbo, __ATOMIC_RELAXED);
	trie->limbo = idx;
	__limbo_start(trie);
}

/* Caller holds trie->lock. 0: no more. */
static u32 __node_alloc(struct bpf_lpm_trie *trie)
{
	u32 idx = trie->free;
	u64 need, to;

	if (idx) {
		trie->free = node_at(trie, idx)->next_free;
		return idx;
	}
	idx = trie->arena->fresh;
	if (idx == trie->total)
		return 0;
	need = (u64)(idx + 1) * trie->node_size;
	if (need > trie->reserved) {
		to = min(max(need, trie->reserved + LPM_RESERVE_STEP),
			 (u64)trie->total * trie->node_size);
		if (bpf_arena_reserve(trie->map.arena, trie->nodes + trie->reserved,
				      to - trie->reserved))
			return 0;
		trie->reserved = to;
	}
	__atomic_store_n(&trie->arena->fresh, idx + 1, __ATOMIC_RELEASE);
	return idx;
}

/* Never linked: free at once. */
static void __node_undo(struct bpf_lpm_trie *trie, u32 idx)
{
	if (!idx)
		return;
	node_at(trie, idx)->next_free = trie->free;
	trie->free = idx;
}

static void node_fill(const struct bpf_lpm_trie *trie, struct lpm_node *node, const u64 *words,
		      u32 prefixlen)
{
	node->child[0] = node->child[1] = 0;
	node->next_free = 0;
	node->prefixlen = prefixlen;
	memcpy(node->data, words, trie->words * sizeof(u64));
}

static void set_version(struct lpm_node *node, u32 version)
{
	__atomic_store_n(&node->version, version, __ATOMIC_RELEASE);
}

static u32 version_after(u32 version)
{
	return version + 1 ? version + 1 : 1;
}

/* ---- where a key belongs. All of it with trie->lock held. */

struct lpm_place {
	u32 *slot; /* the link that leads there */
	u32 match; /* bits that the key shares with the node there */
	u32 cur; /* that node, or 0 */
};

static struct lpm_place __find_place(struct bpf_lpm_trie *trie, const struct lpm_key *key)
{
	struct lpm_place place = {.slot = &trie->root};

	while ((place.cur = *place.slot)) {
		struct lpm_node *node = node_at(trie, place.cur);

		place.match = match_bits(node, key);
		if (place.match != node->prefixlen || node->prefixlen == key->prefixlen)
			break;
		place.slot = &node->child[bit_at(key->words, node->prefixlen)];
	}
	return place;
}

/* Does the place hold a node of exactly this prefix? */
static bool place_exact(const struct bpf_lpm_trie *trie, const struct lpm_place *place,
			const struct lpm_key *key)
{
	return place->cur && node_at(trie, place->cur)->prefixlen == key->prefixlen &&
	       place->match == key->prefixlen;
}

static bool place_needs_middle(const struct bpf_lpm_trie *trie, const struct lpm_place *place,
			       const struct lpm_key *key)
{
	return place->cur && !place_exact(trie, place, key) && place->match != key->prefixlen;
}

/*
 * Link `idx`, a complete node without children, where its prefix belongs; `mid` is a spare node if
 * one is needed.
 */
static void __link(struct bpf_lpm_trie *trie, const struct lpm_place *place,
		   const struct lpm_key *key, u32 idx, u32 mid)
{
	struct lpm_node *node = node_at(trie, idx), *cur, *middle;
	u32 top = idx;

	if (place_exact(trie, place, key)) {
		cur = node_at(trie, place->cur);
		node->child[0] = cur->child[0];
		node->child[1] = cur->child[1];
	} else if (place->cur &&
		   place->match == key->prefixlen) { /* an ancestor of what is there */
		cur = node_at(trie, place->cur);
		node->child[bit_at(cur->data, key->prefixlen)] = place->cur;
	} else if (place->cur) { /* a brother */
		middle = node_at(trie, mid);
		node_fill(trie, middle, key->words, place->match);
		middle->state = LPM_INTERMEDIATE;
		middle->child[bit_at(key->words, place->match)] = idx;
		middle->child[!bit_at(key->words, place->match)] = place->cur;
		top = mid;
	}
	bpf_rcu_assign_pointer(*place->slot, top);
}

/* ---- update */

/* May it be put there? Caller holds trie->lock. */
static int __update_check(const struct bpf_lpm_trie *trie, const struct lpm_node *old, u64 flags)
{
	if (old)
		return flags == BPF_NOEXIST ? -EEXIST : 0;
	if (flags == BPF_EXIST)
		return -ENOENT;
	return trie->n_entries == trie->map.max_entries ? -ENOSPC : 0;
}

static long __update(struct bpf_lpm_trie *trie, const struct lpm_key *key, const void *value,
		     u64 flags)
{
	struct lpm_place place = __find_place(trie, key);
	bool exact = place_exact(trie, &place, key);
	struct lpm_node *old = NULL, *node;
	u32 idx, mid = 0;
	int err;

	if (exact && node_at(trie, place.cur)->state == LPM_LIVE)
		old = node_at(trie, place.cur);
	err = __update_check(trie, old, flags);
	if (err)
		return err;
	idx = __node_alloc(trie);
	if (idx && place_needs_middle(trie, &place, key)) {
		mid = __node_alloc(trie);
		if (!mid) {
			__node_undo(trie, idx);
			idx = 0;
		}
	}
	if (!idx)
		return -ENOMEM;
	node = node_at(trie, idx);
	node_fill(trie, node, key->words, key->prefixlen);
	node->state = LPM_LIVE;
	bpf_copy_to_arena(node_value(trie, node), value, trie->map.value_size);
	set_version(node, old ? version_after(old->version) : 1);
	__link(trie, &place, key, idx, mid);
	if (exact) {
		set_version(node_at(trie, place.cur), 0);
		__node_retire(trie, place.cur);
	}
	if (!old)
		trie->n_entries++;
	return 0;
}

static long lpm_update_elem(struct bpf_map *map, const void *_key, const void *value, u64 flags)
{
	struct bpf_lpm_trie *trie = lpm_trie(map);
	struct lpm_key key;
	long err = -EINVAL;

	key_load(trie, &key, _key);
	if (flags <= BPF_EXIST && key.prefixlen <= trie->max_prefixlen) {
		bpf_lock(&trie->lock);
		err = __update(trie, &key, value, flags);
		bpf_unlock(&trie->lock);
	}
	if (err)
		bpf_map_count(map, failed_updates, 1);
	else
		bpf_map_count(map, updates, 1);
	return err;
}

/* ---- delete */

static long __delete(struct bpf_lpm_trie *trie, const struct lpm_key *key)
{
	u32 *slot = &trie->root, *parent_slot = NULL, cur, parent = 0, sibling;
	struct lpm_node *node = NULL;

	for (; (cur = *slot); parent_slot = slot, parent = cur,
			      slot = &node->child[bit_at(key->words, node->prefixlen)]) {
		u32 match;

		node = node_at(trie, cur);
		match = match_bits(node, key);
		if (match != node->prefixlen)
			return -ENOENT;
		if (node->prefixlen == key->prefixlen)
			break;
	}
	if (!cur || node->state != LPM_LIVE)
		return -ENOENT;
	set_version(node, 0);
	trie->n_entries--;
	if (node->child[0] && node->child[1]) {
		__atomic_store_n(&node->state, LPM_INTERMEDIATE, __ATOMIC_RELAXED);
		return 0;
	}
	if (parent && !node->child[0] && !node->child[1] &&
	    node_at(trie, parent)->state == LPM_INTERMEDIATE) {
		sibling = node_at(trie, parent)->child[slot == &node_at(trie, parent)->child[0]];
		bpf_rcu_assign_pointer(*parent_slot, sibling);
		__node_retire(trie, parent);
	} else {
		bpf_rcu_assign_pointer(*slot, node->child[0] ? node->child[0] : node->child[1]);
	}
	__node_retire(trie, cur);
	return 0;
}

static long lpm_delete_elem(struct bpf_map *map, const void *_key)
{
	struct bpf_lpm_trie *trie = lpm_trie(map);
	struct lpm_key key;
	long err;

	key_load(trie, &key, _key);
	if (key.prefixlen > trie->max_prefixlen)
		return -EINVAL;
	bpf_lock(&trie->lock);
	err = __delete(trie, &key);
	bpf_unlock(&trie->lock);
	if (!err)
		bpf_map_count(map, deletes, 1);
	return err;
}

/* ---- walks. All of it with trie->lock held. */

/* The first entry at or below a node; an intermediate node has one on either side. 0: no node. */
static u32 __first_below(const struct bpf_lpm_trie *trie, u32 idx)
{
	while (idx && node_at(trie, idx)->state != LPM_LIVE)
		idx = node_at(trie, idx)->child[0];
	return idx;
}

/*
 * The first entry behind `key`, which need not be there. *exact: it is. Going down, `later` is the
 * nearest subtree to the right of the way: all of it is behind the key.
 */
static u32 __next_entry(const struct bpf_lpm_trie *trie, const struct lpm_key *key, bool *exact)
{
	u32 idx = trie->root, later = 0, match;

	*exact = false;
	while (idx) {
		const struct lpm_node *node = node_at(trie, idx);

		match = match_bits(node, key);
		if (match < node->prefixlen) {
			/* It parts from the key, or lies below it. */
			if (match == key->prefixlen || bit_at(node->data, match))
				later = idx;
			break;
		}
		if (match == key->prefixlen) {
			*exact = node->state == LPM_LIVE;
			if (node->child[1])
				later = node->child[1];
			if (node->child[0])
				later = node->child[0];
			break;
		}
		if (!bit_at(key->words, match) && node->child[1])
			later = node->child[1];
		idx = node->child[bit_at(key->words, match)];
	}
	return __first_below(trie, later);
}

static int lpm_get_next_key(struct bpf_map *map, const void *_key, void *next_key)
{
	struct bpf_lpm_trie *trie = lpm_trie(map);
	struct lpm_key key = {};
	bool exact = false;
	u32 idx = 0;

	if (_key)
		key_load(trie, &key, _key);
	bpf_lock(&trie->lock);
	if (_key && key.prefixlen <= trie->max_prefixlen)
		idx = __next_entry(trie, &key, &exact);
	if (!exact)
		idx = __first_below(trie, trie->root);
	if (idx)
		key_store(trie, node_at(trie, idx), next_key);
	bpf_unlock(&trie->lock);
	return idx ? 0 : -ENOENT;
}

/* it->pos: 1 + where the last entry that was given lies in the iterator's own buffer. */
static int lpm_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;
	struct bpf_lpm_trie *trie = lpm_trie(map);
	u32 room = map->value_size > 4096 ? 1 : 64, nr = 0, idx;
	struct lpm_key key;
	bool exact;

	if (bpf_map_iter_reserve(it, room))
		return -ENOMEM;
	if (it->pos)
		key_load(trie, &key, bpf_map_iter_key(it, (u32)it->pos - 1));
	bpf_lock(&trie->lock);
	idx = it->pos ? __next_entry(trie, &key, &exact) : __first_below(trie, trie->root);
	while (idx) {
		struct lpm_node *node = node_at(trie, idx);

		key_store(trie, node, bpf_map_iter_key(it, nr));
		if (!it->keys_only)
			bpf_copy_from_arena(bpf_map_iter_value(it, nr), node_value(trie, node),
					    map->value_size);
		if (++nr == room)
			break;
		key.prefixlen = node->prefixlen;
		memcpy(key.words, node->data, trie->words * sizeof(u64));
		idx = __next_entry(trie, &key, &exact);
	}
	bpf_unlock(&trie->lock);
	if (nr)
		it->pos = nr;
	return (int)nr;
}

/* ---- recovery: the nodes with a version are the entries; all links are made anew */

static void recover_node(struct bpf_lpm_trie *trie, u32 idx)
{
	struct lpm_node *node = node_at(trie, idx), *other;
	struct lpm_place place;
	struct lpm_key key;
	u32 mid = 0;

	key.prefixlen = node->prefixlen;
	memcpy(key.words, node->data, trie->words * sizeof(u64));
	node->child[0] = node->child[1] = node->next_free = 0;
	place = __find_place(trie, &key);
	if (place_exact(trie, &place, &key)) {
		other = node_at(trie, place.cur);
		if (other->state == LPM_LIVE && (s32)(node->version - other->version) < 0) {
			set_version(node, 0);
			__node_undo(trie, idx);
			return;
		}
	} else if (place_needs_middle(trie, &place, &key)) {
		mid = __node_alloc(trie);
		if (!mid) /* cannot be: there is room for two nodes an entry */
			goto drop;
		set_version(node_at(trie, mid), 0);
	}
	if (!place_exact(trie, &place, &key) || node_at(trie, place.cur)->state != LPM_LIVE) {
		if (trie->n_entries == trie->map.max_entries)
			goto drop;
		trie->n_entries++;
	}
	__link(trie, &place, &key, idx, mid);
	if (place_exact(trie, &place, &key)) {
		set_version(node_at(trie, place.cur), 0);
		__node_undo(trie, place.cur);
	}
	return;
drop:
	set_version(node, 0);
	__node_undo(trie, mid);
	__node_undo(trie, idx);
}

static int lpm_open(struct bpf_map *map)
{
	struct bpf_lpm_trie *trie = lpm_trie(map);
	u32 fresh, idx;
	int err = lpm_attach(map);

	if (err)
		return err;
	fresh = trie->arena->fresh;
	if (fresh > trie->total)
		return -EBADMSG;
	trie->reserved = (u64)fresh * trie->node_size;
	for (idx = fresh - 1; idx; idx--) {
		struct lpm_node *node = node_at(trie, idx);

		if (node->version && node->state == LPM_LIVE &&
		    node->prefixlen <= trie->max_prefixlen)
			continue;
		set_version(node, 0);
		__node_undo(trie, idx);
	}
	for (idx = 1; idx < fresh; idx++)
		if (node_at(trie, idx)->version)
			recover_node(trie, idx);
	return 0;
}

static void lpm_free(struct bpf_map *map)
{
	struct bpf_lpm_trie *trie = lpm_trie(map);

	bpf_lock(&limbo_lock);
	if (trie->flight)
		trie->flight->trie = NULL;
	bpf_unlock(&limbo_lock);
}

static u64 lpm_entries(const struct bpf_map *map)
{
	return __atomic_load_n(&lpm_trie(map)->n_entries, __ATOMIC_RELAXED);
}

/* The room for nodes that wait is addresses, hardly ever memory. */
static u64 lpm_mem_usage(const struct bpf_map_spec *spec, u32 nr_slots)
{
	return LPM_NODES_OFF + (1 + 2 * (u64)spec->max_entries) * node_size(spec);
}

const struct bpf_map_ops lpm_trie_map_ops = {
	.name = "lpm_trie",
	.map_size = sizeof(struct bpf_lpm_trie),
	.alloc_check = lpm_alloc_check,
	.map_layout = lpm_layout,
	.alloc = lpm_attach,
	.open = lpm_open,
	.free = lpm_free,
	.map_lookup_elem = lpm_lookup_elem,
	.map_update_elem = lpm_update_elem,
	.map_delete_elem = lpm_delete_elem,
	.map_get_next_key = lpm_get_next_key,
	.map_iter = lpm_iter,
	.map_entries = lpm_entries,
	.map_mem_usage = lpm_mem_usage,
};
