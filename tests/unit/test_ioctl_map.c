/*
 * test_ioctl_map.c - fs/ioctl/commands/map.c: the commands on map fds, with sizes that fit and
 * that do not
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/ioctl/commands/map.h"
#include "fs/store/create.h"
#include "tests/lib/control.h"
#include "tests/lib/state.h"

#define NR 20

struct pair {
	u32 key;
	u64 value;
} __attribute__((packed));

static struct store_object *hash;
static struct fs_open *file;

static struct store_object *new_map(enum bpf_map_type type, u32 key_size, u32 value_size, u32 nr)
{
	const struct bpf_map_spec spec = {.map_type = type,
					  .key_size = key_size,
					  .value_size = value_size,
					  .max_entries = nr,
					  .name = "x"};
	struct bpf_map *map;

	assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
	return store_of_map(map);
}

static int begin(void **state)
{
	int err = state_begin(state);

	hash = new_map(BPF_MAP_TYPE_HASH, 4, 8, 100);
	file = control_test_open(hash, &state_me, O_RDWR);
	return err;
}

static int end(void **state)
{
	control_test_close(file);
	store_put(hash);
	return state_end(state);
}

static int update(u32 key, u64 value, u64 flags)
{
	struct pair pair = {key, value};
	struct ubpffs_io io = {.flags = flags};

	return control_test_call(file, UBPFFS_MAP_UPDATE_ELEM, &io, &pair, sizeof(pair), NULL, 0);
}

static int lookup(u32 key, u64 *value)
{
	return control_test_simple(file, UBPFFS_MAP_LOOKUP_ELEM, &key, 4, value, 8);
}

static int remove_key(u32 key)
{
	return control_test_simple(file, UBPFFS_MAP_DELETE_ELEM, &key, 4, NULL, 0);
}

static void one_element(void **state)
{
	u64 value = 0;
	u32 key = 1, next;

	assert_int_equal(lookup(1, &value), -ENOENT);
	assert_int_equal(remove_key(1), -ENOENT);
	assert_int_equal(update(1, 10, BPF_EXIST), -ENOENT);
	assert_int_equal(update(1, 10, BPF_NOEXIST), 0);
	assert_int_equal(update(1, 11, BPF_NOEXIST), -EEXIST);
	assert_int_equal(lookup(1, &value), 0);
	assert_int_equal(value, 10);
	assert_int_equal(update(1, 12, BPF_EXIST), 0);
	assert_int_equal(control_test_simple(file, UBPFFS_MAP_GET_NEXT_KEY, NULL, 0, &next, 4), 0);
	assert_int_equal(next, 1);
	assert_int_equal(control_test_simple(file, UBPFFS_MAP_GET_NEXT_KEY, &key, 4, &next, 4),
			 -ENOENT);
	assert_int_equal(
		control_test_simple(file, UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, &key, 4, &value, 8),
		0);
	assert_int_equal(value, 12);
	assert_int_equal(
		control_test_simple(file, UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, &key, 4, &value, 8),
		-ENOENT);
	assert_int_equal(control_test_simple(file, UBPFFS_MAP_FREEZE, NULL, 0, NULL, 0), 0);
	assert_int_equal(update(1, 10, 0), -EPERM);
}

static void sizes_that_do_not_fit_are_einval(void **state)
{
	static const struct {
		u32 cmd, in, room;
	} bad[] = {
		{UBPFFS_MAP_LOOKUP_ELEM, 3, 8},
		{UBPFFS_MAP_LOOKUP_ELEM, 5, 8},
		{UBPFFS_MAP_LOOKUP_ELEM, 0, 8},
		{UBPFFS_MAP_LOOKUP_ELEM, 8, 8}, /* a value: only maps without keys */
		{UBPFFS_MAP_LOOKUP_ELEM, 4, 7},
		{UBPFFS_MAP_UPDATE_ELEM, 11, 0},
		{UBPFFS_MAP_UPDATE_ELEM, 13, 0},
		{UBPFFS_MAP_UPDATE_ELEM, 4, 0},
		{UBPFFS_MAP_DELETE_ELEM, 3, 0},
		{UBPFFS_MAP_DELETE_ELEM, 5, 0},
		{UBPFFS_MAP_GET_NEXT_KEY, 3, 4},
		{UBPFFS_MAP_GET_NEXT_KEY, 4, 3},
		{UBPFFS_MAP_GET_NEXT_KEY, 0, 3},
		{UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, 3, 8},
		{UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, 4, 7},
	};
	char in[16] = {0}, out[16];
	u64 value;

	assert_int_equal(update(0, 5, 0), 0);
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(
			control_test_simple(file, bad[i].cmd, in, bad[i].in, out, bad[i].room),
			-EINVAL);
	assert_int_equal(lookup(0, &value), 0);
	assert_int_equal(value, 5);
}

static void maps_without_keys(void **state)
{
	struct store_object *queue = new_map(BPF_MAP_TYPE_QUEUE, 0, 8, 4),
			    *bloom = new_map(BPF_MAP_TYPE_BLOOM_FILTER, 0, 4, 10);
	struct fs_open *q = control_test_open(queue, &state_me, O_RDWR),
		       *b = control_test_open(bloom, &state_me, O_RDWR);
	struct ubpffs_io io = {.count = 1};
	u64 value = 6;
	u32 word = 77;

	assert_int_equal(control_test_simple(q, UBPFFS_MAP_UPDATE_ELEM, &value, 8, NULL, 0), 0);
	value = 0;
	assert_int_equal(control_test_simple(q, UBPFFS_MAP_LOOKUP_ELEM, NULL, 0, &value, 8), 0);
	assert_int_equal(value, 6);
	assert_int_equal(
		control_test_simple(q, UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, NULL, 0, &value, 8), 0);
	assert_int_equal(value, 6);
	assert_int_equal(
		control_test_simple(q, UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, NULL, 0, &value, 8),
		-ENOENT);
	assert_int_equal(control_test_call(q, UBPFFS_MAP_UPDATE_BATCH, &io, &value, 8, NULL, 0),
			 -EOPNOTSUPP);
	assert_int_equal(control_test_simple(b, UBPFFS_MAP_UPDATE_ELEM, &word, 4, NULL, 0), 0);
	assert_int_equal(control_test_simple(b, UBPFFS_MAP_LOOKUP_ELEM, &word, 4, &word, 4), 0);
	word = 78;
	assert_int_equal(control_test_simple(b, UBPFFS_MAP_LOOKUP_ELEM, &word, 4, &word, 4),
			 -ENOENT);
	assert_int_equal(control_test_simple(b, UBPFFS_MAP_LOOKUP_ELEM, NULL, 0, &word, 4),
			 -EINVAL);
	assert_int_equal(
		control_test_simple(b, UBPFFS_MAP_LOOKUP_AND_DELETE_ELEM, NULL, 0, &word, 4),
		-EOPNOTSUPP);
	control_test_close(b);
	control_test_close(q);
	store_put(bloom);
	store_put(queue);
}

static void fill(void)
{
	struct pair pairs[NR];
	struct ubpffs_io io = {.count = NR};

	for (u32 i = 0; i < NR; i++)
		pairs[i] = (struct pair){i, i * 3};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_UPDATE_BATCH, &io, pairs, sizeof(pairs),
					   NULL, 0),
			 0);
	assert_int_equal(io.count, NR);
}

/* Each once, in as many calls as it takes; ENOENT with the last ones. */
static u32 walk(u32 cmd, u32 at_once)
{
	struct ubpffs_io io = {0};
	u32 seen = 0, bits = 0;
	struct pair pairs[NR + 4];
	int ret;

	do {
		io.count = at_once;
		io.flags = 0;
		io.xfer = 0;
		ret = control_test_call(file, cmd, &io, NULL, 0, pairs, at_once * sizeof(*pairs));
		assert_true(!ret || ret == -ENOENT);
		assert_true(ret || io.count == at_once);
		assert_int_equal(io.out_len, io.count * sizeof(*pairs));
		for (u32 i = 0; i < io.count; i++) {
			assert_in_range(pairs[i].key, 0, NR - 1);
			assert_int_equal(pairs[i].value, pairs[i].key * 3);
			assert_int_equal(bits & 1u << pairs[i].key, 0);
			bits |= 1u << pairs[i].key;
		}
		seen += io.count;
	} while (!ret);
	return seen;
}

static void batches_give_each_element_once(void **state)
{
	u32 keys[] = {3, 4, 99};
	struct ubpffs_io io = {.count = 3};
	u64 value;

	fill();
	for (u32 at_once = 1; at_once <= NR + 4; at_once++)
		assert_int_equal(walk(UBPFFS_MAP_LOOKUP_BATCH, at_once), NR);
	assert_int_equal(
		control_test_call(file, UBPFFS_MAP_DELETE_BATCH, &io, keys, sizeof(keys), NULL, 0),
		-ENOENT);
	assert_int_equal(io.count, 2); /* that many were done */
	assert_int_equal(lookup(3, &value), -ENOENT);
	assert_int_equal(lookup(4, &value), -ENOENT);
	assert_int_equal(walk(UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH, 5), NR - 2);
	assert_int_equal(walk(UBPFFS_MAP_LOOKUP_BATCH, 5), 0);
}

static void batches_that_do_not_fit_are_einval(void **state)
{
	struct pair pairs[3] = {{1, 1}, {2, 2}, {3, 3}};
	struct ubpffs_io io;
	static const struct {
		u32 cmd, count, in, room;
		u64 flags;
	} bad[] = {
		{UBPFFS_MAP_LOOKUP_BATCH, 0, 0, 36, 0},
		{UBPFFS_MAP_LOOKUP_BATCH, 3, 0, 35, 0},
		{UBPFFS_MAP_LOOKUP_BATCH, UINT32_MAX, 0, 36, 0},
		{UBPFFS_MAP_LOOKUP_BATCH, 3, 0, 36, BPF_F_LOCK}, /* its values have none */
		{UBPFFS_MAP_LOOKUP_BATCH, 3, 0, 36, BPF_NOEXIST},
		{UBPFFS_MAP_UPDATE_BATCH, 0, 0, 0, 0},
		{UBPFFS_MAP_UPDATE_BATCH, 2, 36, 0, 0},
		{UBPFFS_MAP_UPDATE_BATCH, 3, 35, 0, 0},
		{UBPFFS_MAP_UPDATE_BATCH, 2, 25, 0, 0},
		{UBPFFS_MAP_DELETE_BATCH, 0, 0, 0, 0},
		{UBPFFS_MAP_DELETE_BATCH, 2, 12, 0, 0},
		{UBPFFS_MAP_DELETE_BATCH, 2, 9, 0, 0},
		{UBPFFS_MAP_DELETE_BATCH, 3, 12, 0, BPF_NOEXIST},
	};
	u64 value;

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		io = (struct ubpffs_io){.count = bad[i].count, .flags = bad[i].flags};
		assert_int_equal(control_test_call(file, bad[i].cmd, &io, pairs, bad[i].in, pairs,
						   bad[i].room),
				 -EINVAL);
	}
	assert_int_equal(lookup(1, &value), -ENOENT); /* nothing was changed */
	io = (struct ubpffs_io){.count = 1, .cursor = 12345};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, pairs, 12),
			 -EINVAL);
}

/* The oldest of nine walks ends. */
static void an_open_file_has_eight_walks(void **state)
{
	u64 cursors[CONTROL_WALKS + 1];
	struct ubpffs_io io;
	struct pair pair;

	fill();
	for (u32 i = 0; i < ARRAY_SIZE(cursors); i++) {
		io = (struct ubpffs_io){.count = 1};
		assert_int_equal(
			control_test_call(file, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, &pair, 12),
			0);
		cursors[i] = io.cursor;
		for (u32 k = 0; k < i; k++)
			assert_int_not_equal(cursors[k], io.cursor);
	}
	io = (struct ubpffs_io){.count = 1, .cursor = cursors[0]};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, &pair, 12),
			 -EINVAL);
	for (u32 i = 1; i < ARRAY_SIZE(cursors); i++) {
		io = (struct ubpffs_io){.count = 1, .cursor = cursors[i]};
		assert_int_equal(
			control_test_call(file, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, &pair, 12),
			0);
	}
	/* Where one was goes on under another number, once. */
	io = (struct ubpffs_io){.count = 1, .cursor = cursors[1]};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, &pair, 12),
			 -EINVAL);
}

static void who_gives_up_ends_a_batch(void **state)
{
	struct pair pairs[NR] = {{1, 1}};
	struct ubpffs_io io = {.count = NR};
	u64 value;

	fill();
	control_test_cancel = true;
	assert_int_equal(control_test_call(file, UBPFFS_MAP_LOOKUP_BATCH, &io, NULL, 0, pairs,
					   sizeof(pairs)),
			 -EINTR);
	assert_int_equal(io.count, 0);
	io = (struct ubpffs_io){.count = 1};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_UPDATE_BATCH, &io, pairs, 12, NULL, 0),
			 -EINTR);
	assert_int_equal(io.count, 0);
	io = (struct ubpffs_io){.count = 1};
	assert_int_equal(control_test_call(file, UBPFFS_MAP_DELETE_BATCH, &io, pairs, 4, NULL, 0),
			 -EINTR);
	control_test_cancel = false;
	assert_int_equal(lookup(1, &value), 0);
	assert_int_equal(value, 3);
}

static void taking_batches_are_of_hashes(void **state)
{
	struct store_object *array = new_map(BPF_MAP_TYPE_ARRAY, 4, 8, 4);
	struct fs_open *a = control_test_open(array, &state_me, O_RDWR),
		       *r = control_test_open(hash, &state_me, O_RDONLY),
		       *w = control_test_open(hash, &state_me, O_WRONLY);
	struct ubpffs_io io = {.count = 1};
	struct pair pair;

	assert_int_equal(
		control_test_call(a, UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH, &io, NULL, 0, &pair, 12),
		-EOPNOTSUPP);
	io = (struct ubpffs_io){.count = 1};
	assert_int_equal(
		control_test_call(r, UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH, &io, NULL, 0, &pair, 12),
		-EPERM);
	io = (struct ubpffs_io){.count = 1};
	assert_int_equal(
		control_test_call(w, UBPFFS_MAP_LOOKUP_AND_DELETE_BATCH, &io, NULL, 0, &pair, 12),
		-EPERM);
	control_test_close(w);
	control_test_close(r);
	control_test_close(a);
	store_put(array);
}

/* An id in a slot is used with the rights of who opened the map. */
static void slots_take_ids_that_the_opener_may_use(void **state)
{
	struct store_object *array = new_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2),
			    *prog = state_prog("p", 1, NULL);
	struct fs_open *mine = control_test_open(array, &state_me, O_RDWR),
		       *theirs = control_test_open(array, &state_other, O_RDWR);
	u32 pair[] = {0, prog->id}, id = 0;

	assert_int_equal(control_test_simple(theirs, UBPFFS_MAP_UPDATE_ELEM, pair, 8, NULL, 0),
			 -EACCES);
	assert_int_equal(control_test_simple(mine, UBPFFS_MAP_LOOKUP_ELEM, pair, 4, &id, 4),
			 -ENOENT);
	assert_int_equal(control_test_simple(mine, UBPFFS_MAP_UPDATE_ELEM, pair, 8, NULL, 0), 0);
	assert_int_equal(control_test_simple(mine, UBPFFS_MAP_LOOKUP_ELEM, pair, 4, &id, 4), 0);
	assert_int_equal(id, prog->id);
	pair[1] = array->id; /* a map is no program */
	assert_int_not_equal(control_test_simple(mine, UBPFFS_MAP_UPDATE_ELEM, pair, 8, NULL, 0),
			     0);
	assert_int_equal(control_test_simple(mine, UBPFFS_MAP_DELETE_ELEM, pair, 4, NULL, 0), 0);
	control_test_close(theirs);
	control_test_close(mine);
	store_put(prog);
	store_put(array);
}

static int create(union bpf_attr *attr, size_t len)
{
	struct fs_open *ctl = control_test_open(NULL, &state_me, O_RDWR);
	u32 id;
	int err = control_test_simple(ctl, UBPFFS_MAP_CREATE, attr, len, &id, 4);

	control_test_close(ctl);
	return err;
}

static void creating_takes_what_bpf2_takes(void **state)
{
	char longer[sizeof(union bpf_attr) + 8] = {0};
	union bpf_attr attr = {0}, bad;

	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = 4;
	attr.value_size = 8;
	attr.max_entries = 10;
	assert_int_equal(create(&attr, sizeof(attr)), 0);
	assert_int_equal(create(&attr, 16), 0); /* what is not there is zero */
	assert_int_not_equal(create(&attr, 12), 0);
	memcpy(longer, &attr, sizeof(attr));
	assert_int_equal(create((union bpf_attr *)longer, sizeof(longer)), 0);
	longer[sizeof(longer) - 1] = 1;
	assert_int_equal(create((union bpf_attr *)longer, sizeof(longer)), -E2BIG);
	bad = attr;
	((char *)&bad)[sizeof(bad) - 1] = 1; /* another command's */
	assert_int_equal(create(&bad, sizeof(bad)), -EINVAL);
	bad = attr;
	bad.map_ifindex = 1;
	assert_int_equal(create(&bad, sizeof(bad)), -EOPNOTSUPP);
	bad = attr;
	memcpy(bad.map_name, "a/b", 4);
	assert_int_equal(create(&bad, sizeof(bad)), -EINVAL);
	memset(bad.map_name, 'a', BPF_OBJ_NAME_LEN); /* no NUL */
	assert_int_equal(create(&bad, sizeof(bad)), -EINVAL);
	bad.map_name[BPF_OBJ_NAME_LEN - 1] = 0;
	assert_int_equal(create(&bad, sizeof(bad)), 0);
	bad = attr;
	bad.btf_key_type_id = 1; /* of types that there are not */
	assert_int_equal(create(&bad, sizeof(bad)), -EBADF);
	bad = attr;
	bad.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
	bad.value_size = 4;
	assert_int_equal(create(&bad, sizeof(bad)), -EBADF); /* no template */
	bad.inner_map_fd = 1 << 20;
	assert_int_equal(create(&bad, sizeof(bad)), -ENOENT);
	bad.inner_map_fd = hash->id;
	assert_int_equal(create(&bad, sizeof(bad)), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(one_element),
		CASE(sizes_that_do_not_fit_are_einval),
		CASE(maps_without_keys),
		CASE(batches_give_each_element_once),
		CASE(batches_that_do_not_fit_are_einval),
		CASE(an_open_file_has_eight_walks),
		CASE(who_gives_up_ends_a_batch),
		CASE(taking_batches_are_of_hashes),
		CASE(slots_take_ids_that_the_opener_may_use),
		CASE(creating_takes_what_bpf2_takes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
