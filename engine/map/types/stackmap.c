/*
 * stackmap.c - stack_trace maps: each distinct stack once, named by a small number
 *
 * A table of roundup_pow2(max_entries) buckets, one stack in each: the stack's hash says which, and
 * the bucket's number is the stack's id. Programs put stacks in by bpf_get_stackid(); from outside
 * they are looked up, listed and deleted.
 *
 * In the arena: the free list's heads, the buckets (index of an element, 0: empty), the elements.
 * An element is { link, hash, nr, seq } and then value_size bytes of return addresses or build ids.
 * A bucket changes by one atomic exchange.
 *
 * Guarantees
 *   A. Who looks a stack up while another replaces it gets the one or the other whole: `seq`
 *      changes before an element is filled again, and who read it meanwhile reads again.
 *   B. An id that bpf_get_stackid() gave holds that stack until it is deleted or replaced
 *      (BPF_F_REUSE_STACKID).
 *   C. The same stack of the same image (run/sample.h) gets the same id again while it is there.
 *      With BPF_F_FAST_STACK_CMP the same hash is enough.
 *   D. -EEXIST: the bucket holds another stack, and BPF_F_REUSE_STACKID was not given; -ENOMEM: no
 *      element is free; -EFAULT: there is no stack, or nothing of it is left after the skipped
 *      frames. As in Linux.
 *   E. After a crash the buckets are the truth; an element in none is free.
 * Lock-free. Tests: tests/unit/test_stackmap.c names each case by its letter.
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include "map/types/stackmap.h"
#include "run/sample.h"
#include "map/map.h"
#include "map/arena/percpu_freelist.h"
#include "map/iter.h"

#define STACK_FLAGS (BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_STACK_BUILD_ID)

struct stack_elem {
	union {
		u32 link; /* the free list's */
		u32 image; /* in use: whose addresses these are; it ends with the server */
	};
	u32 hash;
	u32 nr; /* addresses or build ids */
	/* odd: being filled. Ordered by read-modify-writes, which ThreadSanitizer understands */
	u32 seq;
	u64 data[];
};

struct bpf_stack_map {
	struct bpf_map map;
	u32 n_buckets;
	u32 stack_size; /* bytes of one address or build id */
	u32 elem_bytes;
	u32 *buckets;
	struct pcpu_freelist free;
};

static struct bpf_stack_map *stackmap_of(const struct bpf_map *map)
{
	return container_of(map, struct bpf_stack_map, map);
}

static u32 roundup_pow2(u32 n)
{
	return n <= 1 ? 1 : 1u << (32 - __builtin_clz(n - 1));
}

static u32 stack_size(const struct bpf_map_spec *spec)
{
	return spec->map_flags & BPF_F_STACK_BUILD_ID ? sizeof(struct bpf_stack_build_id)
						      : sizeof(u64);
}

static int stackmap_alloc_check(const struct bpf_map_spec *spec, const char **why)
{
	int err = bpf_spec_check_sizes(spec, 4, BPF_SPEC_ANY, STACK_FLAGS, why);
	u32 size = stack_size(spec);

	if (err)
		return err;
	if (spec->value_size < 8 || spec->value_size % size ||
	    spec->value_size / size > BPF_MAX_STACK_DEPTH)
		return bpf_spec_refuse(why, EINVAL,
				       "value_size is 8 bytes (32 with BPF_F_STACK_BUILD_ID) for "
				       "each of 1 to 127 addresses");
	if (spec->max_entries > 1u << 29)
		return bpf_spec_refuse(why, E2BIG, "max_entries is at most 2^29");
	return 0;
}

static u32 elem_bytes(const struct bpf_map_spec *spec)
{
	return sizeof(struct stack_elem) + round_up(spec->value_size, 8);
}

static u64 buckets_bytes(u32 max_entries)
{
	return round_up((u64)roundup_pow2(max_entries) * sizeof(u32), 64);
}

static int stackmap_layout(const struct bpf_map_spec *spec, u32 nr_slots, u64 *index, u64 *values)
{
	*values = 0;
	*index = pcpu_freelist_bytes(nr_slots) + buckets_bytes(spec->max_entries) +
		 ((u64)spec->max_entries + 1) * elem_bytes(spec);
	return *index > BPF_ARENA_MAX_SIZE ? -ENOMEM : 0;
}

static struct stack_elem *elem_at(const struct bpf_stack_map *sm, u32 idx)
{
	return (struct stack_elem *)(sm->free.nodes + (u64)idx * sm->elem_bytes);
}

static int stackmap_attach(struct bpf_map *map)
{
	struct bpf_stack_map *sm = stackmap_of(map);
	struct bpf_map_spec *spec = &map->arena->header->spec;
	char *mem = map->arena->index;
	u32 slots = map->arena->header->nr_slots;
	u64 buckets = buckets_bytes(map->max_entries);
	u64 lists = pcpu_freelist_bytes(slots);

	sm->n_buckets = roundup_pow2(map->max_entries);
	sm->stack_size = stack_size(spec);
	sm->elem_bytes = elem_bytes(spec);
	sm->buckets = (u32 *)(mem + lists);
	pcpu_freelist_init(&sm->free, mem, slots, mem + lists + buckets, sm->elem_bytes,
			   map->max_entries + 1);
	return bpf_arena_reserve(map->arena, mem, map->arena->index_size - BPF_ARENA_HEADER_SIZE);
}

/*
 * E. What a bucket names is in use; every other element that was ever used is free. Each is in one
 * bucket only.
 */
static int stackmap_recover(struct bpf_stack_map *sm)
{
	u32 fresh = pcpu_freelist_fresh(&sm->free), i, idx;
	__do_free u8 *used = calloc((size_t)fresh + 1, 1);

	if (!used)
		return -ENOMEM;
	pcpu_freelist_reset(&sm->free);
	for (i = 0; i < sm->n_buckets; i++) {
		idx = sm->buckets[i];
		if (!idx)
			continue;
		if (idx >= fresh || used[idx] || elem_at(sm, idx)->seq & 1 ||
		    (u64)elem_at(sm, idx)->nr * sm->stack_size > sm->map.value_size) {
			sm->buckets[i] = 0;
		} else {
			used[idx] = 1;
			elem_at(sm, idx)->image = 0;
		}
	}
	for (idx = 1; idx < fresh; idx++)
		if (!used[idx])
			pcpu_freelist_push(&sm->free, idx, idx);
	return 0;
}

static u64 count_entries(const struct bpf_stack_map *sm)
{
	u64 entries = 0;
	u32 i;

	for (i = 0; i < sm->n_buckets; i++)
		entries += sm->buckets[i] != 0;
	return entries;
}

static int stackmap_open(struct bpf_map *map)
{
	struct bpf_stack_map *sm = stackmap_of(map);
	int err = stackmap_attach(map);

	if (!err) /* also after an ordered end: what is in the file may be damaged */
		err = stackmap_recover(sm);
	if (!err)
		bpf_map_set_entries(map, count_entries(sm));
	return err;
}

static void stackmap_free(struct bpf_map *map)
{
}

/* ---- one bucket */

static u32 bucket_get(const struct bpf_stack_map *sm, u32 id)
{
	return __atomic_load_n(&sm->buckets[id], __ATOMIC_ACQUIRE);
}

/* Put idx (0: nothing) into the bucket and free what was there. */
static bool bucket_set(struct bpf_stack_map *sm, u32 id, u32 idx)
{
	u32 old = __atomic_exchange_n(&sm->buckets[id], idx, __ATOMIC_ACQ_REL);

	if (old)
		pcpu_freelist_push(&sm->free, bpf_map_slot(), old);
	if (!old && idx)
		bpf_map_count(&sm->map, entries, 1);
	else if (old && !idx)
		bpf_map_count(&sm->map, entries, -1);
	return old != 0;
}

/*
 * A. Copy the stack of a bucket. Returns its number of addresses, or -ENOENT. With `room` zero only
 * the hash and the image are read.
 */
static int bucket_read(const struct bpf_stack_map *sm, u32 id, void *data, u32 *hash, u32 *image)
{
	for (;;) {
		u32 idx = bucket_get(sm, id), seq, nr;
		struct stack_elem *elem;

		if (!idx)
			return -ENOENT;
		elem = elem_at(sm, idx);
		seq = __atomic_load_n(&elem->seq, __ATOMIC_ACQUIRE);
		nr = __atomic_load_n(&elem->nr, __ATOMIC_RELAXED);
		*hash = __atomic_load_n(&elem->hash, __ATOMIC_RELAXED);
		*image = __atomic_load_n(&elem->image, __ATOMIC_RELAXED);
		if (data)
			bpf_copy_from_arena(data, elem->data,
					    min(nr * sm->stack_size, sm->map.value_size));
		if (!(seq & 1) && seq == __atomic_fetch_add(&elem->seq, 0, __ATOMIC_ACQ_REL) &&
		    bucket_get(sm, id) == idx)
			return (int)nr;
	}
}

/* ---- bpf_get_stackid() */

static s64 put_stack(struct bpf_stack_map *sm, u32 id, u32 hash, u32 image, const void *data,
		     u32 nr)
{
	u32 idx = pcpu_freelist_pop(&sm->free, bpf_map_slot());
	struct stack_elem *elem;
	u32 seq;

	if (!idx)
		return -ENOMEM;
	elem = elem_at(sm, idx);
	seq = __atomic_load_n(&elem->seq, __ATOMIC_RELAXED) | 1;
	__atomic_exchange_n(&elem->seq, seq, __ATOMIC_SEQ_CST);
	__atomic_store_n(&elem->image, image, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->hash, hash, __ATOMIC_RELAXED);
	__atomic_store_n(&elem->nr, nr, __ATOMIC_RELAXED);
	bpf_copy_to_arena(elem->data, data, nr * sm->stack_size);
	__atomic_store_n(&elem->seq, seq + 1, __ATOMIC_RELEASE);
	bucket_set(sm, id, idx);
	bpf_map_count(&sm->map, updates, 1);
	return id;
}

/* The kernel's addresses are in no file: they stay addresses, as in Linux. */
static void stack_build_ids(bool user, const u64 *ips, u32 skip, u32 nr,
			    struct bpf_stack_build_id *ids)
{
	if (user) {
		bpf_stack_build_ids(ips, skip, nr, ids);
		return;
	}
	memset(ids, 0, nr * sizeof(*ids));
	for (u32 i = 0; i < nr; i++) {
		ids[i].status = BPF_STACK_BUILD_ID_IP;
		ids[i].ip = ips[skip + i];
	}
}

static s64 get_stackid(struct bpf_stack_map *sm, u64 flags)
{
	u32 skip = flags & BPF_F_SKIP_FIELD_MASK, depth = sm->map.value_size / sm->stack_size;
	struct bpf_stack_build_id ids[BPF_MAX_STACK_DEPTH];
	u64 ips[BPF_MAX_STACK_DEPTH], old[BPF_MAX_STACK_DEPTH * 4];
	bool user = flags & BPF_F_USER_STACK, build_ids = sm->stack_size != sizeof(u64);
	const void *data = ips;
	u32 nr, hash, id, image = 0, old_hash = 0, old_image = 0;
	int found;

	if (flags & ~(u64)(BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_FAST_STACK_CMP |
			   BPF_F_REUSE_STACKID))
		return -EINVAL;
	found = bpf_stack_ips(user, ips, min(depth + skip, (u32)BPF_MAX_STACK_DEPTH));
	if (found < 0 || (u32)found <= skip)
		return -EFAULT;
	nr = min((u32)found - skip, depth);
	if (user && !build_ids && bpf_this.sample)
		image = bpf_this.sample->image;
	hash = (u32)XXH3_64bits_withSeed(ips + skip, nr * sizeof(u64), image);
	id = hash & (sm->n_buckets - 1);
	if (flags & BPF_F_FAST_STACK_CMP) {
		found = bucket_read(sm, id, NULL, &old_hash, &old_image);
		if (found >= 0 && old_hash == hash)
			return id;
	}
	data = ips + skip;
	if (build_ids) {
		stack_build_ids(user, ips, skip, nr, ids);
		data = ids;
	}
	found = bucket_read(sm, id, old, &old_hash, &old_image);
	if (found == (int)nr && old_hash == hash && old_image == image &&
	    !memcmp(old, data, nr * sm->stack_size))
		return id;
	if (found >= 0 && !(flags & BPF_F_REUSE_STACKID))
		return -EEXIST;
	return put_stack(sm, id, hash, image, data, nr);
}

static u64 bpf_get_stackid(u64 ctx, u64 map, u64 flags, u64 r4, u64 r5)
{
	struct bpf_stack_map *sm = stackmap_of((struct bpf_map *)(uintptr_t)map);
	s64 ret = get_stackid(sm, flags);

	if (ret < 0)
		bpf_map_count(&sm->map, failed_updates, 1);
	return (u64)ret;
}

const struct bpf_func_proto bpf_get_stackid_proto = {
	.name = "bpf_get_stackid",
	.id = BPF_FUNC_get_stackid,
	.func = bpf_get_stackid,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX, ARG_CONST_MAP_PTR, ARG_ANYTHING},
};

/* ---- from outside */

static u32 key_id(const void *key)
{
	u32 id;

	memcpy(&id, key, sizeof(id));
	return id;
}

/* Programs may not (Linux: the verifier refuses it). */
static void *stackmap_lookup_elem(struct bpf_map *map, const void *key)
{
	return NULL;
}

static long stackmap_sys_lookup_elem(struct bpf_map *map, const void *key, void *value)
{
	struct bpf_stack_map *sm = stackmap_of(map);
	u32 id = key_id(key), hash, image;
	int nr = id < sm->n_buckets ? bucket_read(sm, id, value, &hash, &image) : -ENOENT;

	if (nr < 0 || !value)
		return min(nr, 0);
	memset((char *)value + (u32)nr * sm->stack_size, 0,
	       map->value_size - (u32)nr * sm->stack_size);
	return 0;
}

u32 bpf_stack_image(const struct bpf_map *map, u32 id, const void *value)
{
	const struct bpf_stack_map *sm = stackmap_of(map);
	u64 now[BPF_MAX_STACK_DEPTH];
	u32 hash, image;
	int nr;

	if (map->map_flags & BPF_F_STACK_BUILD_ID || id >= sm->n_buckets)
		return 0;
	nr = bucket_read(sm, id, value ? now : NULL, &hash, &image);
	if (nr < 0 || (value && memcmp(now, value, (u32)nr * sizeof(u64))))
		return 0;
	return image;
}

u32 bpf_stack_ids(const struct bpf_map *map)
{
	return stackmap_of(map)->n_buckets;
}

static long stackmap_update_elem(struct bpf_map *map, const void *key, const void *value, u64 flags)
{
	return -EINVAL;
}

static long stackmap_delete_elem(struct bpf_map *map, const void *key)
{
	struct bpf_stack_map *sm = stackmap_of(map);
	u32 id = key_id(key);

	if (id >= sm->n_buckets)
		return -E2BIG;
	if (!bucket_set(sm, id, 0))
		return -ENOENT;
	bpf_map_count(map, deletes, 1);
	return 0;
}

static int stackmap_get_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	struct bpf_stack_map *sm = stackmap_of(map);
	u32 id = 0;

	if (key) {
		id = key_id(key);
		id = id >= sm->n_buckets || !bucket_get(sm, id) ? 0 : id + 1;
	}
	while (id < sm->n_buckets && !bucket_get(sm, id))
		id++;
	if (id >= sm->n_buckets)
		return -ENOENT;
	memcpy(next_key, &id, sizeof(id));
	return 0;
}

#define ITER_BATCH 32

static int stackmap_iter(struct bpf_map_iter *it)
{
	struct bpf_map *map = it->map;
	struct bpf_stack_map *sm = stackmap_of(map);
	u32 nr = 0;

	if (bpf_map_iter_reserve(it, ITER_BATCH))
		return -ENOMEM;
	for (; nr < ITER_BATCH && it->pos < sm->n_buckets; it->pos++) {
		u32 id = (u32)it->pos;

		if (!bucket_get(sm, id))
			continue;
		memcpy(bpf_map_iter_key(it, nr), &id, sizeof(id));
		if (!it->keys_only &&
		    stackmap_sys_lookup_elem(map, &id, bpf_map_iter_value(it, nr)))
			continue; /* deleted meanwhile */
		nr++;
	}
	return (int)nr;
}

static u64 stackmap_entries(const struct bpf_map *map)
{
	return bpf_map_count_entries(map);
}

const struct bpf_map_ops stack_trace_map_ops = {
	.name = "stack_trace",
	.map_size = sizeof(struct bpf_stack_map),
	.alloc_check = stackmap_alloc_check,
	.map_layout = stackmap_layout,
	.alloc = stackmap_attach,
	.open = stackmap_open,
	.free = stackmap_free,
	.map_lookup_elem = stackmap_lookup_elem,
	.map_update_elem = stackmap_update_elem,
	.map_delete_elem = stackmap_delete_elem,
	.map_get_next_key = stackmap_get_next_key,
	.sys_lookup_elem = stackmap_sys_lookup_elem,
	.map_iter = stackmap_iter,
	.map_entries = stackmap_entries,
};
