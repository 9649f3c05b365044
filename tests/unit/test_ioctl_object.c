/*
 * test_ioctl_object.c - fs/ioctl/commands/object.c and link.c: info, pins, ids, links
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/ioctl/commands/object.h"
#include "fs/store/link.h"
#include "fs/store/state/state_tree.h"
#include "tests/lib/control.h"
#include "tests/lib/state.h"

static struct store_object *map, *prog;
static struct fs_open *map_file, *prog_file;

static int begin(void **state)
{
	int err = state_begin(state);

	map = state_map("m");
	prog = state_prog("p", 1, map);
	map_file = control_test_open(map, &state_me, O_RDONLY);
	prog_file = control_test_open(prog, &state_me, O_RDONLY);
	return err;
}

static int end(void **state)
{
	control_test_close(prog_file);
	control_test_close(map_file);
	store_put(prog);
	store_put(map);
	return state_end(state);
}

static void what_bpf2_says_of_a_map(void **state)
{
	struct bpf_map_info info;
	struct ubpffs_io io = {0};
	char text[512] = "", expected[64];

	assert_int_equal(
		control_test_call(map_file, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info, sizeof(info)),
		0);
	assert_int_equal(io.flags, UBPFFS_MAP);
	assert_int_equal(io.count, 0);
	assert_int_equal(info.type, BPF_MAP_TYPE_ARRAY);
	assert_int_equal(info.id, map->id);
	assert_int_equal(info.key_size, 4);
	assert_int_equal(info.value_size, 8);
	assert_int_equal(info.max_entries, 2);
	assert_string_equal(info.name, "m");
	/* Less room: the beginning. */
	io = (struct ubpffs_io){0};
	memset(&info, 0xee, sizeof(info));
	assert_int_equal(control_test_call(map_file, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info, 8),
			 0);
	assert_int_equal(io.out_len, 8);
	assert_int_equal(info.id, map->id);
	assert_int_equal(info.key_size, 0xeeeeeeee);
	assert_int_equal(control_test_simple(map_file, UBPFFS_OBJ_FDINFO, NULL, 0, text, 511), 0);
	snprintf(expected, sizeof(expected), "map_id:\t%u\nfrozen:\t0\n", map->id);
	assert_non_null(strstr(text, expected));
	assert_non_null(
		strstr(text, "map_type:\t2\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t2\n"));
}

static void what_bpf2_says_of_a_program(void **state)
{
	struct bpf_prog_info info;
	struct ubpffs_io io = {0};
	char text[512] = "", expected[64];

	assert_int_equal(control_test_call(prog_file, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info,
					   sizeof(info)),
			 0);
	assert_int_equal(io.flags, UBPFFS_PROG);
	assert_int_equal(info.type, BPF_PROG_TYPE_CGROUP_SKB);
	assert_int_equal(info.id, prog->id);
	assert_memory_equal(info.tag, prog->prog->tag, sizeof(info.tag));
	assert_int_equal(info.nr_map_ids, 1);
	assert_int_equal(info.xlated_prog_len, prog->prog->len * 8);
	assert_int_equal(info.jited_prog_len, prog->prog->jited_len);
	assert_int_equal(info.created_by_uid, state_me.uid);
	assert_int_equal(info.gpl_compatible, 1);
	assert_string_equal(info.name, "p");
	assert_int_equal(control_test_simple(prog_file, UBPFFS_OBJ_FDINFO, NULL, 0, text, 511), 0);
	snprintf(expected, sizeof(expected), "prog_id:\t%u\n", prog->id);
	assert_non_null(strstr(text, expected));
}

static int pin(struct fs_open *file, const char *path, size_t len)
{
	return control_test_simple(file, UBPFFS_OBJ_PIN, path, len, NULL, 0);
}

static void a_pin_is_a_name_where_one_may_make_names(void **state)
{
	struct fs_open *theirs = control_test_open(map, &state_other, O_RDWR);
	struct stat st;

	assert_int_equal(pin(map_file, "pin", 4), 0);
	assert_return_code(fstatat(tree.tree_fd, "pin", &st, 0), errno);
	assert_int_equal(st.st_ino, map->ino);
	assert_int_equal(st.st_nlink, 3);
	assert_int_equal(pin(prog_file, "pin", 4), -EEXIST);
	assert_int_equal(pin(map_file, "maps/pin", 9), -EPERM);
	assert_int_equal(pin(map_file, "none/pin", 9), -ENOENT);
	assert_int_equal(pin(map_file, "pin2", 4), -EINVAL); /* without its NUL */
	assert_int_equal(pin(map_file, "", 0), -EINVAL);
	assert_int_equal(pin(map_file, "", 1), -EINVAL);
	assert_int_equal(pin(theirs, "theirs", 7), -EPERM); /* who may not read and write it */
	assert_false(state_has("tree/theirs"));
	control_test_close(theirs);
}

static int next_id(u64 kind, u32 after, u32 *id)
{
	struct fs_open *ctl = control_test_open(NULL, &state_me, O_RDWR);
	struct ubpffs_io io = {.flags = kind, .count = after};
	int ret = control_test_call(ctl, UBPFFS_GET_NEXT_ID, &io, NULL, 0, id, 4);

	control_test_close(ctl);
	return ret;
}

/* It stands for the map while the file is open; what finds the map by it holds the map. */
static void a_token_is_no_reference_and_gives_one(void **state)
{
	struct store_object *m = state_map("n");
	struct fs_open *r = control_test_open(m, &state_me, O_RDONLY),
		       *rw = control_test_open(m, &state_me, O_RDWR);
	int refs = m->map->refcnt;
	struct bpf_map *found;
	u64 token[2];
	bool rdonly;

	assert_int_equal(control_test_simple(r, UBPFFS_OBJ_TOKEN, NULL, 0, &token[0], 8), 0);
	assert_int_equal(control_test_simple(rw, UBPFFS_OBJ_TOKEN, NULL, 0, &token[1], 8), 0);
	assert_int_equal(m->map->refcnt, refs);
	for (u32 i = 0; i < 2; i++) {
		found = control_map_by_token(token[i], &rdonly);
		assert_ptr_equal(found, m->map);
		assert_int_equal(rdonly, !i);
		assert_int_equal(found->refcnt, refs + 1);
		bpf_map_put(found);
	}
	assert_null(control_map_by_token(token[0] ^ token[1], &rdonly));
	control_test_close(r);
	assert_null(control_map_by_token(token[0], &rdonly));
	control_test_close(rw);
	assert_null(control_map_by_token(token[1], &rdonly));
	store_put(m);
}

static void ids_of_each_kind(void **state)
{
	u32 id;

	assert_int_equal(next_id(BPF_MAP_GET_NEXT_ID, 0, &id), 0);
	assert_int_equal(id, map->id);
	assert_int_equal(next_id(BPF_MAP_GET_NEXT_ID, id, &id), -ENOENT);
	assert_int_equal(next_id(BPF_PROG_GET_NEXT_ID, 0, &id), 0);
	assert_int_equal(id, prog->id);
	assert_int_equal(next_id(BPF_LINK_GET_NEXT_ID, 0, &id), -ENOENT);
	assert_int_equal(next_id(BPF_BTF_GET_NEXT_ID, UINT32_MAX - 1, &id), -ENOENT);
	assert_int_equal(next_id(BPF_MAP_CREATE, 0, &id), -EINVAL);
}

static void links(void **state)
{
	struct store_object *second = state_prog("q", 0, NULL), *link;
	struct cgroup *root = cgroup_root_new();
	struct ubpffs_attach args = {.prog_id = second->id, .old_id = second->id};
	struct bpf_link_info info = {0};
	struct ubpffs_io io = {0};
	struct fs_open *file, *r;
	char text[512] = "", expected[64];

	assert_int_equal(
		store_link_create(prog->prog, root, CGROUP_INET_EGRESS, &state_me, &link, NULL), 0);
	file = control_test_open(link, &state_me, O_RDWR);
	r = control_test_open(link, &state_me, O_RDONLY);
	assert_int_equal(
		control_test_call(r, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info, sizeof(info)), 0);
	assert_int_equal(io.flags, UBPFFS_LINK);
	assert_int_equal(info.type, BPF_LINK_TYPE_CGROUP);
	assert_int_equal(info.id, link->id);
	assert_int_equal(info.prog_id, prog->id);
	assert_int_equal(info.cgroup.cgroup_id, cgroup_id(root));
	assert_int_equal(info.cgroup.attach_type, CGROUP_INET_EGRESS);
	assert_int_equal(control_test_simple(r, UBPFFS_LINK_UPDATE, &args, sizeof(args), NULL, 0),
			 -EPERM);
	assert_int_equal(control_test_simple(r, UBPFFS_LINK_DETACH, NULL, 0, NULL, 0), -EPERM);
	assert_int_equal(
		control_test_simple(file, UBPFFS_LINK_UPDATE, &args, sizeof(args), NULL, 0),
		-EPERM); /* that one was not there */
	args.old_id = prog->id;
	assert_int_equal(
		control_test_simple(file, UBPFFS_LINK_UPDATE, &args, sizeof(args) - 1, NULL, 0),
		-EINVAL);
	assert_int_equal(
		control_test_simple(file, UBPFFS_LINK_UPDATE, &args, sizeof(args), NULL, 0), 0);
	args.prog_id = 1 << 20;
	assert_int_equal(
		control_test_simple(file, UBPFFS_LINK_UPDATE, &args, sizeof(args), NULL, 0),
		-ENOENT);
	assert_int_equal(control_test_simple(r, UBPFFS_OBJ_FDINFO, NULL, 0, text, 511), 0);
	snprintf(expected, sizeof(expected), "prog_id:\t%u\ncgroup_id:\t%llu\nattach_type:\t1\n",
		 second->id, (unsigned long long)cgroup_id(root));
	assert_non_null(strstr(text, expected));
	assert_int_equal(control_test_simple(file, UBPFFS_LINK_DETACH, NULL, 0, NULL, 0), 0);
	assert_int_equal(
		control_test_call(r, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info, sizeof(info)), 0);
	assert_int_equal(info.cgroup.cgroup_id, 0);
	assert_int_equal(info.prog_id, second->id);
	control_test_close(r);
	control_test_close(file);
	store_put(link);
	store_put(second);
	cgroup_put(root);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_bpf2_says_of_a_map),
		CASE(what_bpf2_says_of_a_program),
		CASE(a_pin_is_a_name_where_one_may_make_names),
		CASE(a_token_is_no_reference_and_gives_one),
		CASE(ids_of_each_kind),
		CASE(links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
