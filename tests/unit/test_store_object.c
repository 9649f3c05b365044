/*
 * test_store_object.c - fs/store/objects/table.c: an object lives as long as a name or a
 * reference, and its owner is charged for it
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/node/node.h"
#include "fs/store/node_object.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/create.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/names.h"
#include "rcu/rcu.h"
#include "map/syscall.h"
#include "tests/lib/state.h"

static const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
					 .key_size = 4,
					 .value_size = 8,
					 .max_entries = 2,
					 .name = "m"};

/* The C library's, for this program: the files of objects cannot be looked at for a while. */
static int stat_error;

int fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	if (stat_error && fd == tree.objects_fd) {
		errno = stat_error;
		return -1;
	}
	return (int)syscall(SYS_newfstatat, fd, path, st, flags);
}

static void link_to(struct store_object *obj, const char *name)
{
	tree_wrlock();
	assert_int_equal(store_link(obj, tree.tree_fd, name, NULL), 0);
	tree_unlock();
}

static void unlink_from(const char *name)
{
	struct store_object *obj;

	tree_wrlock();
	assert_int_equal(store_unname(tree.tree_fd, name, NULL, &obj, NULL), 0);
	tree_unlock();
	store_put(obj);
}

static bool has_ended(u32 id)
{
	struct store_object *obj;

	bpf_rcu_barrier();
	bpf_rcu_barrier();
	if (store_by_id(STORE_MAP, id, &obj))
		return true;
	store_put(obj);
	return false;
}

static void without_a_name_it_goes_with_its_last_reference(void **state)
{
	struct bpf_map *map;
	u32 id;

	assert_int_equal(store_map_create(&spec, &state_me, 0640, &map, NULL), 0);
	id = map->id;
	assert_true(state_has("objects/%u", id));
	assert_true(state_has("objects/%u.values", id));
	bpf_map_put(map);
	assert_true(has_ended(id));
	assert_false(state_has("objects/%u", id));
	assert_false(state_has("objects/%u.values", id));
}

static void a_name_is_a_reference(void **state)
{
	struct store_object *obj;
	struct bpf_map *map;
	struct stat st;
	u32 id;

	assert_int_equal(store_map_create(&spec, &state_me, 0640, &map, NULL), 0);
	obj = store_of_map(map);
	id = obj->id;
	link_to(obj, "a");
	link_to(obj, "b");
	assert_int_equal(store_stat(obj, &st), 0);
	assert_int_equal(st.st_nlink, 3);
	assert_int_equal(st.st_mode, S_IFREG | 0640);
	store_put(obj);
	assert_false(has_ended(id));
	unlink_from("a");
	assert_false(has_ended(id));
	assert_int_equal(store_by_ino(st.st_ino, &obj), 0);
	assert_int_equal(obj->id, id);
	unlink_from("b");
	assert_false(has_ended(id)); /* ours is there */
	assert_true(state_has("objects/%u", id));
	link_to(obj, "c"); /* it may get a name again */
	store_put(obj);
	assert_false(has_ended(id));
	unlink_from("c");
	assert_true(has_ended(id));
	assert_int_equal(store_by_ino(st.st_ino, &obj), -ENOENT);
}

/* Made behind the store's back: the file is the name's, too. */
static void a_file_that_has_a_name_is_not_removed(void **state)
{
	static const struct {
		bool named;
		int error;
		bool stays;
	} cases[] = {
		{false, 0, false}, {true, 0, true},	   {false, EIO, true}, /* it may have one */
		{true, EIO, true}, {false, ENOENT, false}, /* gone: what is left goes, too */
	};
	char name[32];

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bpf_map *map;
		u32 id;

		assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
		id = map->id;
		store_part_name(id, STORE_OBJECT, name);
		if (cases[i].named)
			assert_return_code(linkat(tree.objects_fd, name, tree.tree_fd, name, 0),
					   errno);
		stat_error = cases[i].error;
		bpf_map_put(map);
		assert_true(has_ended(id));
		stat_error = 0;
		assert_int_equal(state_has("objects/%u", id), cases[i].stays);
		assert_int_equal(state_has("objects/%u.values", id), cases[i].stays);
	}
}

/* An object whose names could not be counted is held until somebody's can be. */
static void what_cannot_be_counted_is_counted_later(void **state)
{
	struct store_object *other = state_map("other");
	u64 names = limits_used(state_me.uid, LIMIT_NAMES);
	struct bpf_map *map;
	u32 id;

	assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
	id = map->id;
	link_to(store_of_map(map), "a");
	stat_error = EIO;
	unlink_from("a");
	bpf_map_put(map);
	assert_false(has_ended(id));
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), names + 1);
	link_to(other, "b"); /* it can still not be told */
	assert_false(has_ended(id));
	stat_error = 0;
	link_to(other, "c");
	assert_true(has_ended(id));
	assert_false(state_has("objects/%u", id));
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), names + 2); /* b and c */
	store_put(other);
}

static void attributes_are_read_again_after_a_change_of_names(void **state)
{
	struct store_object *obj = state_map("m");
	struct stat st;
	char name[32];

	assert_int_equal(store_stat(obj, &st), 0);
	store_part_name(obj->id, STORE_OBJECT, name);
	assert_return_code(fchmodat(tree.objects_fd, name, 0644, 0), errno);
	assert_int_equal(store_stat(obj, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600); /* all changes go through the server */
	link_to(obj, "more");
	assert_int_equal(store_stat(obj, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_nlink, 3);
	store_put(obj);
}

static void a_name_that_is_not_the_objects_is_enoent(void **state)
{
	struct store_object *obj;

	tree_wrlock();
	assert_int_equal(store_unname(tree.tree_fd, "none", NULL, &obj, NULL), -ENOENT);
	assert_null(obj);
	assert_int_equal(store_unname(tree.tree_fd, "maps", NULL, &obj, NULL), -EISDIR);
	assert_null(obj);
	state_write("tree/foreign", "", 0);
	assert_int_equal(store_unname(tree.tree_fd, "foreign", NULL, &obj, NULL), 0);
	assert_null(obj); /* the store does not know it */
	tree_unlock();
	assert_false(state_has("tree/foreign"));
}

static void assert_used(u64 objects, u64 bytes, u64 names)
{
	assert_int_equal(limits_used(state_me.uid, LIMIT_OBJECTS), objects);
	assert_int_equal(limits_used(state_me.uid, LIMIT_BYTES), bytes);
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), names);
}

static void the_owner_is_charged_for_all_of_it(void **state)
{
	u64 names = limits_used(state_me.uid, LIMIT_NAMES);
	struct store_object *obj;
	struct bpf_map *map;
	u64 bytes;

	assert_used(0, 0, names);
	assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
	obj = store_of_map(map);
	bytes = bpf_map_mem_usage(map);
	assert_int_equal(obj->bytes, bytes);
	assert_used(1, bytes, names);
	link_to(obj, "a");
	link_to(obj, "b");
	assert_used(1, bytes, names + 2);
	unlink_from("a");
	assert_used(1, bytes, names + 1);
	/* The same after a restart. */
	store_put(obj);
	state_stop();
	assert_used(0, 0, names);
	assert_int_equal(state_start(), 0);
	assert_used(1, bytes, names + 1);
	unlink_from("b");
	bpf_rcu_barrier();
	bpf_rcu_barrier();
	assert_used(0, 0, names);
}

/* One too many of each kind of charge: nothing is made, and nothing is charged. */
static void who_has_no_room_gets_none(void **state)
{
	static const enum limit each[] = {LIMIT_OBJECTS, LIMIT_BYTES};
	u64 names = limits_used(state_me.uid, LIMIT_NAMES);
	struct store_object *obj;
	struct bpf_map *map;
	u32 id;

	for (u32 i = 0; i < ARRAY_SIZE(each); i++) {
		assert_int_equal(limits_set(state_me.uid, each[i], 0), 0);
		assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), -EDQUOT);
		assert_null(map);
		limits_unset(state_me.uid, each[i]);
		bpf_rcu_barrier();
		bpf_rcu_barrier();
		assert_used(0, 0, names);
	}
	id = store_next_id();
	for (u32 old = id > 8 ? id - 8 : 1; old < id; old++)
		assert_false(state_has("objects/%u", old));
	/* A name too many. */
	obj = state_map("m");
	names = limits_used(state_me.uid, LIMIT_NAMES);
	assert_int_equal(limits_set(state_me.uid, LIMIT_NAMES, names), 0);
	tree_wrlock();
	assert_int_equal(store_link(obj, tree.tree_fd, "more", NULL), -EDQUOT);
	tree_unlock();
	limits_unset(state_me.uid, LIMIT_NAMES);
	assert_false(state_has("tree/more"));
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), names);
	/* A name that is taken is not charged either. */
	tree_wrlock();
	assert_int_equal(store_link(obj, tree.tree_fd, "maps", NULL), -EEXIST);
	tree_unlock();
	assert_int_equal(limits_used(state_me.uid, LIMIT_NAMES), names);
	store_put(obj);
}

static void who_is_not_root_makes_no_objects_of_others(void **state)
{
	bool before = tree.may_chown;
	struct bpf_map *map;

	tree.may_chown = false;
	assert_int_equal(store_map_create(&spec, &state_other, 0600, &map, NULL), -EPERM);
	assert_null(map);
	tree.may_chown = before;
	assert_int_equal(limits_used(state_other.uid, LIMIT_OBJECTS), 0);
}

static void ids_are_walked_in_their_order_by_kind(void **state)
{
	struct store_object *maps[5], *progs[2], *obj;
	u32 id = 0;

	maps[0] = state_map("m0");
	progs[0] = state_prog("p0", 1, NULL);
	maps[1] = state_map("m1");
	maps[2] = state_map("m2");
	progs[1] = state_prog("p1", 1, NULL);
	maps[3] = state_map("m3");
	maps[4] = state_map("m4");
	for (u32 i = 0; i < ARRAY_SIZE(maps); i++) {
		assert_int_equal(store_next(STORE_MAP, id, &obj), 0);
		assert_ptr_equal(obj, maps[i]);
		id = obj->id;
		store_put(obj);
	}
	assert_int_equal(store_next(STORE_MAP, id, &obj), -ENOENT);
	assert_null(obj);
	/* From ids in between that are gone, or of the other kind. */
	assert_int_equal(store_next(STORE_MAP, progs[0]->id, &obj), 0);
	assert_ptr_equal(obj, maps[1]);
	store_put(obj);
	id = maps[2]->id;
	store_put(maps[2]);
	state_unname("maps/m2", "map");
	assert_true(has_ended(id));
	assert_int_equal(store_next(STORE_MAP, id, &obj), 0);
	assert_ptr_equal(obj, maps[3]);
	store_put(obj);
	assert_int_equal(store_next(STORE_MAP, maps[1]->id, &obj), 0);
	assert_ptr_equal(obj, maps[3]);
	store_put(obj);
	assert_int_equal(store_next(STORE_MAP, 1u << 30, &obj), -ENOENT);
	assert_int_equal(store_next(STORE_PROG, progs[0]->id, &obj), 0);
	assert_ptr_equal(obj, progs[1]);
	store_put(obj);
	assert_int_equal(store_next(STORE_LINK, 0, &obj), -ENOENT);
	/* After a start, which finds them in another order. */
	for (u32 i = 0; i < ARRAY_SIZE(progs); i++)
		store_put(progs[i]);
	for (u32 i = 0; i < ARRAY_SIZE(maps); i++)
		if (i != 2)
			store_put(maps[i]);
	state_stop();
	assert_int_equal(state_start(), 0);
	for (id = 0; !store_next(STORE_MAP, id, &obj); id = obj->id) {
		assert_true(obj->id > id);
		store_put(obj);
	}
}

static void ids_are_never_0_nor_the_highest(void **state)
{
	*tree.next_id = UINT32_MAX - 1;
	assert_int_equal(store_next_id(), UINT32_MAX - 1);
	assert_int_equal(store_next_id(), 1);
	*tree.next_id = 2;
	store_id_seen(5);
	assert_int_equal(store_next_id(), 6);
	store_id_seen(3); /* a lower one changes nothing */
	assert_int_equal(store_next_id(), 7);
	store_id_seen(8); /* the next one */
	assert_int_equal(store_next_id(), 9);
	store_id_seen(UINT32_MAX);
	assert_int_equal(store_next_id(), 10);
}

static const struct fs_node_ops shows = {.name = "map", .type = S_IFDIR, .object = "map"};

static struct fs_node *map_dir(struct fs_node *maps, const char *name)
{
	struct fs_node *node;
	struct stat st;

	assert_return_code(fstatat(fs_node_fd(maps), name, &st, AT_SYMLINK_NOFOLLOW), errno);
	assert_int_equal(fs_node_tree(maps, name, st.st_ino, 0, &shows, &node), 0);
	return node;
}

/* What a node shows is found once, lives without it, and is told apart from nothing. */
static void a_node_knows_its_object(void **state)
{
	struct store_object *obj = state_map("m"), *found;
	static const struct fs_node_ops dir_ops = {.name = "maps", .type = S_IFDIR};
	struct fs_req req = {.cred = state_me};
	struct fs_node *maps, *dir;
	struct bpf_prog *prog;
	struct bpf_map *map;
	struct stat st;
	u32 id = obj->id;

	assert_return_code(fstatat(tree.tree_fd, "maps", &st, 0), errno);
	tree_rdlock();
	assert_int_equal(fs_node_tree(state_root, "maps", st.st_ino, 0, &dir_ops, &maps), 0);
	dir = map_dir(maps, "m");
	assert_int_equal(store_of_node(dir, &found), -ENOENT); /* nobody has looked yet */
	assert_true(store_node_named(dir)); /* so it may well be */
	assert_int_equal(store_resolve(dir), 0);
	tree_unlock();
	assert_int_equal(store_of_node(dir, &found), 0);
	assert_ptr_equal(found, obj);
	store_put(found);
	assert_int_equal(store_map(dir, &req, &map), 0);
	assert_ptr_equal(map, obj->map);
	bpf_map_put(map);
	assert_int_equal(store_prog(dir, &req, &prog), -EINVAL);
	assert_null(prog);
	assert_int_equal(store_node_stat(dir, &st), 0);
	assert_int_equal(st.st_ino, obj->ino);
	assert_true(store_node_named(dir));
	state_unname("maps/m", "map");
	assert_false(store_node_named(dir));
	assert_int_equal(store_of_node(dir, &found), -ENOENT);
	assert_int_equal(store_node_stat(dir, &st), -ESTALE);
	store_put(obj);
	assert_true(has_ended(id));
	fs_node_put(dir);
	fs_node_put(maps);
}

static void an_ended_object_is_not_found_through_a_node(void **state)
{
	static const struct fs_node_ops file_ops = {
		.name = "pin", .type = S_IFREG, .pin = true, .free = store_node_free};
	struct store_object *obj, *found;
	struct fs_node *node;
	struct bpf_map *map;
	u32 id;

	assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
	obj = store_of_map(map);
	id = obj->id;
	tree_rdlock();
	assert_int_equal(fs_node_tree(state_root, "file", obj->ino, id, &file_ops, &node), 0);
	store_bind(node, obj);
	tree_unlock();
	bpf_map_put(map);
	assert_true(has_ended(id));
	assert_int_equal(store_of_node(node, &found), -ENOENT); /* its memory is there, though */
	fs_node_put(node);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, state_begin, state_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(without_a_name_it_goes_with_its_last_reference),
		CASE(a_name_is_a_reference),
		CASE(a_file_that_has_a_name_is_not_removed),
		CASE(what_cannot_be_counted_is_counted_later),
		CASE(attributes_are_read_again_after_a_change_of_names),
		CASE(a_name_that_is_not_the_objects_is_enoent),
		CASE(the_owner_is_charged_for_all_of_it),
		CASE(who_has_no_room_gets_none),
		CASE(who_is_not_root_makes_no_objects_of_others),
		CASE(ids_are_walked_in_their_order_by_kind),
		CASE(ids_are_never_0_nor_the_highest),
		CASE(a_node_knows_its_object),
		CASE(an_ended_object_is_not_found_through_a_node),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
