/*
 * fuzz_state.c - damaged files of maps against their opening, and against all that is done with
 * them then
 *
 *	fuzz_state -seconds 60 [-seed S]
 *
 * A map of each type is made and used; its files are copied as they are at some moment (a server
 * that is killed) or at its end, damaged in a few places (bits, words, ranges that are zeroed or
 * copied, a cut end, pages that are zeroed or another's, links that lead back), and opened. Opening
 * must refuse or succeed within seconds; what opened is read, walked, updated, emptied and closed,
 * and none of that may crash or go on for ever, whatever it says. A copy that is not damaged must
 * open with what it had. Meant to run under -fsanitize=address,undefined, too.
 *
 * The seed that was tried last is printed by the watchdog and by the handler of fatal signals.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "run/run.h"
#include "map/arena/arena.h"
#include "map/map.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"
#include "tests/lib/fuzzing.h"
#include "tests/lib/map_model.h"

#define WATCHDOG_SECONDS 20
#define MAX_WALK	 100000 /* steps of a walk over a damaged map of at most 64 entries */

static const struct bpf_map_spec specs[] = {
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 12, .value_size = 40, .max_entries = 5},
	{.map_type = BPF_MAP_TYPE_LRU_HASH, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_LRU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .max_entries = 64,
	 .map_flags = BPF_F_NO_COMMON_LRU},
	{.map_type = BPF_MAP_TYPE_PERCPU_HASH, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_LRU_PERCPU_HASH,
	 .key_size = 4,
	 .value_size = 8,
	 .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_PERCPU_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_LPM_TRIE,
	 .key_size = 8,
	 .value_size = 8,
	 .max_entries = 64,
	 .map_flags = BPF_F_NO_PREALLOC},
	{.map_type = BPF_MAP_TYPE_QUEUE, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_STACK, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_BLOOM_FILTER, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096},
	{.map_type = BPF_MAP_TYPE_STACK_TRACE, .key_size = 4, .value_size = 80, .max_entries = 16},
	{.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 16},
	{.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	 .key_size = 4,
	 .value_size = 4,
	 .max_entries = 4},
	{.map_type = BPF_MAP_TYPE_CGROUP_STORAGE, .key_size = 8, .value_size = 8},
	{.map_type = BPF_MAP_TYPE_DEVMAP, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_DEVMAP_HASH, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_CPUMAP, .key_size = 4, .value_size = 8, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_XSKMAP, .key_size = 4, .value_size = 4, .max_entries = 64},
	{.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 16},
	{.map_type = BPF_MAP_TYPE_HASH_OF_MAPS, .key_size = 4, .value_size = 4, .max_entries = 16},
};

static struct rnd rng;
static struct fuzzing fuzzing = {.name = "fuzz_state", .doing = "starting"};

static u32 rnd(u32 n)
{
	return n ? rnd_below(&rng, n) : 0;
}

static void fill(void *buf, size_t len)
{
	u8 *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (u8)rnd_next(&rng);
}

/* A key of few, so that they meet. */
static void make_key(const struct bpf_map *map, u8 *key)
{
	u32 word = rnd(96);

	memset(key, 0, map->key_size);
	memcpy(key, &word, min(map->key_size, 4u));
	if (map->map_type == BPF_MAP_TYPE_LPM_TRIE) {
		word = rnd(8 * (map->key_size - 4) + 1);
		memcpy(key, &word, sizeof(word));
		fill(key + 4, 1);
	}
}

/* Some of everything that a client can do; results do not matter. */
static void use(struct bpf_map *map, u32 ops)
{
	static u8 key[512], value[1 << 20];

	if (bpf_map_value_size(map) > sizeof(value) || map->key_size > sizeof(key))
		return;
	for (u32 i = 0; i < ops; i++) {
		make_key(map, key);
		fill(value, min(bpf_map_value_size(map), 64u));
		switch (rnd(7)) {
		case 0:
		case 1:
		case 2:
			bpf_map_update(map, key, value, rnd(3));
			break;
		case 3:
			bpf_map_delete(map, key);
			break;
		case 4:
			bpf_map_pop(map, value, 0);
			break;
		default:
			bpf_map_lookup(map, key, value, 0);
		}
	}
}

/* Entries that a walk shows; -1: it does not end. */
static int walk(struct bpf_map *map)
{
	static u8 key[512], next[512], value[1 << 20];
	struct bpf_map_iter it;
	struct bpf_map_stats stats;
	int n = 0, steps = 0;

	if (bpf_map_value_size(map) > sizeof(value) || map->key_size > sizeof(key))
		return 0;
	bpf_map_stats_read(map, &stats);
	bpf_map_iter_init(&it, map, rnd(2));
	while (n <= MAX_WALK && bpf_map_iter_next(&it, key, value) == 1)
		n++;
	bpf_map_iter_end(&it);
	if (map->key_size && !bpf_map_next_key(map, NULL, next))
		do
			memcpy(key, next, map->key_size);
		while (++steps <= MAX_WALK && !bpf_map_next_key(map, key, next));
	/*
	 * get_next_key may go in circles while keys change, and in a damaged map; an iteration
	 * never.
	 */
	return n > MAX_WALK ? -1 : n;
}

static int empty(struct bpf_map *map)
{
	static u8 key[512], value[1 << 20];
	int n = 0;

	if (bpf_map_value_size(map) > sizeof(value) || map->key_size > sizeof(key))
		return 0;
	if (!map->key_size) {
		while (n++ < MAX_WALK && !bpf_map_pop(map, value, 0))
			;
		return 0;
	}
	while (n++ < MAX_WALK && !bpf_map_next_key(map, NULL, key) && !bpf_map_delete(map, key))
		;
	return n > MAX_WALK ? -1 : 0;
}

static void end(struct bpf_map *map)
{
	bpf_map_put(map);
	bpf_rcu_barrier();
	bpf_rcu_barrier();
}

static int copy_file(int from)
{
	int to = memfd_create("copy", MFD_CLOEXEC);
	struct stat st;
	off_t size;

	if (to < 0 || fstat(from, &st) || ftruncate(to, st.st_size))
		exit(2);
	/* Holes stay holes. */
	for (off_t at = 0; (at = lseek(from, at, SEEK_DATA)) >= 0; at += size) {
		off_t stop = lseek(from, at, SEEK_HOLE);
		u8 buf[1 << 16];
		ssize_t n = pread(from, buf, min((size_t)(stop - at), sizeof(buf)), at);

		if (n <= 0 || pwrite(to, buf, (size_t)n, at) != n)
			exit(2);
		size = n;
	}
	return to;
}

static u32 strange(u32 old)
{
	static const u32 words[] = {0,	1,	    2,		3,	    63,	       64,
				    65, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};

	switch (rnd(4)) {
	case 0:
		return old ^ 1u << rnd(32);
	case 1:
		return old + rnd(9) - 4;
	case 2:
		return words[rnd(ARRAY_SIZE(words))];
	default:
		return (u32)rnd_next(&rng);
	}
}

/*
 * Where the structures are, more often than anywhere; the header rarely, because what it refuses
 * teaches nothing.
 */
static off_t somewhere(off_t size)
{
	off_t head = BPF_ARENA_HEADER_SIZE;

	if (size > head && rnd(20)) {
		off_t span = min(size - head, rnd(3) ? (off_t)4096 : size - head);

		return (head + (off_t)(rnd_next(&rng) % (u64)span)) & ~3;
	}
	return (off_t)(rnd_next(&rng) % (u64)min(size, rnd(4) ? (off_t)256 : size)) & ~3;
}

/* What a torn write leaves: a page of zeroes, or another one of the file, perhaps its own half. */
static void damage_page(int fd, off_t at, off_t size)
{
	static u8 page[4096];
	size_t from = rnd(2) ? 0 : rnd(sizeof(page));
	size_t len;

	at &= ~(off_t)(sizeof(page) - 1);
	len = min((u64)(size - at), (u64)sizeof(page));
	memset(page, 0, sizeof(page));
	if (rnd(2) && pread(fd, page, len, somewhere(size) & ~(off_t)(sizeof(page) - 1)) < 0)
		exit(2);
	if (from < len && pwrite(fd, page + from, len - from, at + (off_t)from) < 0)
		exit(2);
}

/* A link that leads back: the word of one element in another one. */
static void damage_link(int fd, off_t at, off_t size)
{
	u32 words[16];
	ssize_t n = pread(fd, words, sizeof(words), at);
	u32 nr = n > 0 ? (u32)n / 4 : 0;
	off_t to = min(somewhere(size), size - 4);

	if (nr && pwrite(fd, &words[rnd(nr)], 4, to) < 0)
		exit(2);
}

static void damage(int fd)
{
	static u8 range[256];
	struct stat st;
	off_t at;
	u32 word, len;

	if (fstat(fd, &st) || st.st_size < 8)
		return;
	for (u32 n = 1 + rnd(4); n; n--) {
		at = min(somewhere(st.st_size), st.st_size - 4);
		len = min((u64)(st.st_size - at), (u64)(1 + rnd(sizeof(range))));
		switch (rnd(20)) {
		case 16:
		case 17:
			damage_page(fd, at, st.st_size);
			break;
		case 18:
		case 19:
			damage_link(fd, at, st.st_size);
			break;
		case 0:
			memset(range, rnd(2) ? 0 : 0xff, sizeof(range));
			if (pwrite(fd, range, len, at) < 0)
				exit(2);
			break;
		case 1:
			if (pread(fd, range, len, somewhere(st.st_size)) < 0 ||
			    pwrite(fd, range, len, at) < 0)
				exit(2);
			break;
		case 2:
			if (!rnd(8) && ftruncate(fd, rnd(2) ? at & ~4095 : at))
				exit(2);
			break;
		default:
			if (pread(fd, &word, sizeof(word), at) != sizeof(word))
				break;
			word = strange(word);
			if (pwrite(fd, &word, sizeof(word), at) < 0)
				exit(2);
		}
		if (fstat(fd, &st) || st.st_size < 8)
			return;
	}
}

static int slot_gone(u32 id, void *priv, void **object)
{
	*object = rnd(2) ? bpf_map_get_by_id(id) : NULL;
	return *object ? 0 : rnd(2) ? -ENOENT : -EIO;
}

/* Open what may be damaged, and do all with it. */
static int try_open(int index, int values, int want, u64 *opened)
{
	struct bpf_map *map;
	int err, n;

	fuzzing.doing = "opening";
	err = bpf_map_open(index, values, &map);
	if (err)
		return want >= 0 ? fprintf(stderr,
					   "fuzz_state: seed %llu: an undamaged map does not open: "
					   "%d\n",
					   (unsigned long long)fuzzing.seed, err)
				 : 0;
	++*opened;
	fuzzing.doing = "restoring slots";
	if (map->ops->map_restore_slots)
		bpf_map_restore_slots(map, slot_gone, NULL);
	fuzzing.doing = "walking";
	n = walk(map);
	if (n < 0 || (want >= 0 && !map->ops->map_restore_slots && n != want))
		return fprintf(stderr,
			       "fuzz_state: seed %llu: %s: a walk shows %d entries, not %d\n",
			       (unsigned long long)fuzzing.seed, map->ops->name, n, want);
	fuzzing.doing = "using";
	use(map, 100);
	fuzzing.doing = "emptying";
	empty(map);
	fuzzing.doing = "filling";
	use(map, 300);
	if (walk(map) < 0)
		return fprintf(stderr, "fuzz_state: seed %llu: %s: a walk does not end\n",
			       (unsigned long long)fuzzing.seed, map->ops->name);
	fuzzing.doing = "closing";
	end(map);
	return 0;
}

/*
 * A copy has an id of its own, since the map that it is of may live: one that is free, and low,
 * because new maps get the number after the highest that ever was. At the end there is none.
 */
#define COPY_ID 2 /* after the inner map's; and as many as there are rounds */
#define ROUNDS	12
#define MAX_ID	(1u << 20)

static void set_copy_id(int fd, u32 round, bool damaged)
{
	const off_t at = offsetof(struct bpf_arena_header, map_id);
	u32 id;

	if (pread(fd, &id, sizeof(id), at) != sizeof(id))
		return;
	if (damaged && (id <= MAX_ID || id == UINT32_MAX))
		return;
	id = COPY_ID + round;
	if (pwrite(fd, &id, sizeof(id), at) != sizeof(id))
		exit(2);
}

/* What is refused for its checksum alone teaches nothing: as somebody may have made it. */
static void seal(int fd)
{
	const off_t at = offsetof(struct bpf_arena_header, checksum);
	struct bpf_arena_header header;

	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		return;
	header.checksum = bpf_arena_checksum(&header);
	if (pwrite(fd, &header.checksum, sizeof(header.checksum), at) < 0)
		exit(2);
}

static int one(u64 seed, struct bpf_map *inner, u64 *opened)
{
	struct bpf_map_spec spec = specs[seed % ARRAY_SIZE(specs)];
	int index = memfd_create("index", MFD_CLOEXEC), values = -1, want;
	bool clean;
	struct bpf_map *map;
	int err;

	rng.state = seed * 0x9e3779b97f4a7c15ULL | 1;
	alarm(WATCHDOG_SECONDS);
	fuzzing.doing = "making";
	if (spec.map_type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	    spec.map_type == BPF_MAP_TYPE_HASH_OF_MAPS)
		spec.inner_map_id = inner->id;
	if (bpf_map_has_values_file(&spec))
		values = memfd_create("values", MFD_CLOEXEC);
	err = bpf_map_create(&spec, 0, index, values, &map);
	if (err)
		return fprintf(stderr, "fuzz_state: cannot make map %llu: %d\n",
			       (unsigned long long)(seed % ARRAY_SIZE(specs)), err);
	use(map, rnd(400));
	for (u32 key = 0; map->ops->map_update_slot && spec.inner_map_id && key < 8; key++)
		bpf_map_update_slot(map, &key, inner, 0);
	want = walk(map);
	clean = rnd(2);
	if (clean)
		end(map);
	for (u32 round = 0; !err && round < ROUNDS; round++) {
		int i = copy_file(index), v = values >= 0 ? copy_file(values) : -1;

		set_copy_id(i, round, false);
		if (round)
			damage(v >= 0 && !rnd(4) ? v : i);
		set_copy_id(i, round, true);
		if (rnd(4))
			seal(i);
		err = try_open(i, v, round ? -1 : want, opened);
		close(i);
		if (v >= 0)
			close(v);
	}
	if (!clean)
		end(map);
	close(index);
	if (values >= 0)
		close(values);
	alarm(0);
	return err;
}

int main(int argc, char **argv)
{
	static const struct bpf_map_spec inner_spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 3};
	u64 runs = 0, opened = 0;
	struct bpf_map *inner, *map;
	time_t until;

	if (fuzzing_args(&fuzzing, argc, argv))
		return 2;
	fuzzing_tell_crashes(&fuzzing);
	if (bpf_map_create(&inner_spec, 0, -1, -1, &inner))
		return 2;
	for (u32 i = 0; i < ROUNDS; i++) { /* the numbers of copies are no map's */
		if (bpf_map_create(&inner_spec, 0, -1, -1, &map))
			return 2;
		end(map);
	}
	until = time(NULL) + (time_t)fuzzing.seconds;
	do {
		if (one(fuzzing.seed, inner, &opened))
			return 1;
		fuzzing.seed++;
		runs++;
	} while (time(NULL) < until);
	bpf_map_put(inner);
	bpf_rcu_barrier();
	printf("fuzz_state: %llu maps, %llu damaged or whole copies opened\n",
	       (unsigned long long)runs, (unsigned long long)opened);
	return 0;
}
