/*
 * test_recovery.c - fs/store/names/recovery.c: what the last server left becomes objects again,
 * and what cannot be read is kept
 *
 * A case names the step of recovery.c's comment that it is about, or says what may fail there.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "object/image.h"
#include "rcu/rcu.h"
#include "tests/lib/state.h"
#include "uapi/bpf_insn.h"
#include "map/syscall.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/create.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/names.h"

static u32 first, second, third; /* ids */
static int read_error; /* of objects' files, while it is not 0 */

/* The C library's, for this program. */
ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	char self[64], path[PATH_MAX];
	ssize_t n;

	if (read_error) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		n = readlink(self, path, sizeof(path) - 1);
		path[n < 0 ? 0 : n] = 0;
		if (strstr(path, "/objects/")) {
			errno = read_error;
			return -1;
		}
	}
	return syscall(SYS_pread64, fd, buf, len, off);
}

static u64 value_of(struct bpf_map *map, u32 key)
{
	u64 value;

	assert_int_equal(bpf_map_lookup(map, &key, &value, 0), 0);
	return value;
}

static void set_value(struct bpf_map *map, u32 key, u64 value)
{
	assert_int_equal(bpf_map_update(map, &key, &value, BPF_ANY), 0);
}

/* With a reference, and awake. */
static int get(enum store_kind kind, u32 id, struct store_object **out)
{
	int err = store_by_id(kind, id, out);

	return err ? err : store_wake(*out);
}

static void assert_broken(enum store_kind kind, u32 id, const char *why)
{
	struct store_object *obj;

	assert_int_equal(get(kind, id, &obj), 0);
	assert_non_null(obj->broken);
	assert_non_null(strstr(obj->broken, why));
	assert_null(obj->map);
	assert_null(obj->prog);
	store_put(obj);
	assert_true(state_has("objects/%u", id));
}

/* A program that uses a map with a value; then this server ends. */
static void make_both(void)
{
	struct store_object *map = state_map("m"), *prog = state_prog("p", 1, map);

	set_value(map->map, 1, 42);
	first = map->id;
	second = prog->id;
	store_put(prog);
	store_put(map);
	state_stop();
}

static void names_values_and_ids_are_there_again(void **state)
{
	struct store_object *map, *prog;

	make_both();
	assert_int_equal(state_start(), 0);
	assert_int_equal(get(STORE_MAP, first, &map), 0);
	assert_null(map->broken);
	assert_string_equal(map->map->name, "m");
	assert_int_equal(value_of(map->map, 0), 0);
	assert_int_equal(value_of(map->map, 1), 42);
	assert_int_equal(get(STORE_PROG, second, &prog), 0);
	assert_null(prog->broken);
	assert_int_equal(prog->prog->used_map_cnt, 1);
	assert_ptr_equal(prog->prog->used_maps[0], map->map);
	assert_int_equal(store_by_id(STORE_PROG, first, &map), -ENOENT); /* of the other kind */
	assert_true(store_next_id() > second);
	store_put(prog);
	store_put(map);
}

/* What its names held is held once: without them the object goes, and its files. */
static void a_start_leaves_no_reference_behind(void **state)
{
	make_both();
	assert_int_equal(state_start(), 0);
	state_unname("progs/p", "prog");
	state_unname("maps/m", "map");
	bpf_rcu_barrier();
	bpf_rcu_barrier();
	assert_false(state_has("objects/%u", second));
	assert_false(state_has("objects/%u", first));
	assert_false(state_has("objects/%u.values", first));
}

static void make_killed(void)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
				    .key_size = 4,
				    .value_size = 8,
				    .max_entries = 2,
				    .name = "nameless"};
	struct store_object *named;
	struct bpf_map *map;

	if (state_start() || store_map_create(&spec, &state_me, 0600, &map, NULL))
		_exit(1);
	named = state_map("named");
	set_value(named->map, 0, 5);
	if (map->id != first || named->id != first + 1)
		_exit(1);
}

static void step_5_removes_what_nothing_names(void **state)
{
	struct store_object *obj;

	first = store_next_id() + 1;
	state_stop();
	state_killed(make_killed);
	assert_int_equal(state_start(), 0);
	assert_int_equal(store_by_id(STORE_MAP, first, &obj), -ENOENT);
	assert_false(state_has("objects/%u", first));
	assert_false(state_has("objects/%u.values", first));
	assert_int_equal(get(STORE_MAP, first + 1, &obj), 0);
	assert_int_equal(value_of(obj->map, 0), 5);
	store_put(obj);
}

static void step_2_removes_directories_without_an_object(void **state)
{
	static const char *const kept[] = {"maps/to-be", "progs/place", "progs/place/maps",
					   "maps/m"};
	static const char *const gone[] = {"maps/half", "progs/half", "progs/place/half",
					   "progs/place/maps/half"};

	store_put(state_map("m"));
	for (u32 i = 0; i < ARRAY_SIZE(kept) - 1; i++)
		assert_return_code(mkdirat(tree.tree_fd, kept[i], 0755), errno);
	for (u32 i = 0; i < ARRAY_SIZE(gone); i++)
		assert_return_code(mkdirat(tree.tree_fd, gone[i], 0755), errno);
	state_write("tree/maps/half/.load", "1\n", 2); /* hidden files go along */
	state_write("tree/maps/to-be/.def", "", 0);
	state_write("tree/progs/place/" LOAD_DIR_FILE, "", 0);
	state_write("tree/progs/place/maps/" LOAD_DIR_FILE, "", 0);
	state_write("tree/maps/file", "", 0); /* no directory: nothing of ours */
	state_stop();
	assert_int_equal(state_start(), 0);
	for (u32 i = 0; i < ARRAY_SIZE(kept); i++)
		assert_true(state_has("tree/%s", kept[i]));
	for (u32 i = 0; i < ARRAY_SIZE(gone); i++)
		assert_false(state_has("tree/%s", gone[i]));
	assert_true(state_has("tree/maps/file"));
}

static void a_damaged_map_stays_and_so_does_what_nothing_names(void **state)
{
	char path[64];

	make_both();
	snprintf(path, sizeof(path), "objects/%u", first);
	state_write(path, "nonsense", 8);
	state_write("objects/4000", "", 0); /* a good start removes it */
	assert_int_equal(state_start(), 0);
	assert_broken(STORE_MAP, first, "could not be opened");
	assert_true(state_has("objects/%u.values", first));
	snprintf(path, sizeof(path), "uses map %u, which cannot be read", first);
	assert_broken(STORE_PROG, second, path);
	assert_true(state_has("objects/4000"));
	state_stop();
	assert_int_equal(state_start(), 0); /* the next start sees the same */
	assert_broken(STORE_MAP, first, "could not be opened");
	assert_broken(STORE_PROG, second, path);
}

static void a_map_under_another_id_is_damaged(void **state)
{
	struct store_object *other;
	char path[32], *bytes;
	struct stat st;
	int fd;

	make_both();
	assert_int_equal(state_start(), 0);
	other = state_map("other");
	third = other->id;
	store_put(other);
	fd = store_part_open(first, STORE_OBJECT, O_RDONLY);
	assert_return_code(fstat(fd, &st), errno);
	bytes = malloc(st.st_size);
	assert_int_equal(pread(fd, bytes, st.st_size, 0), st.st_size);
	close(fd);
	state_stop();
	snprintf(path, sizeof(path), "objects/%u", third);
	state_write(path, bytes, st.st_size);
	free(bytes);
	assert_int_equal(state_start(), 0);
	assert_broken(STORE_MAP, third, "could not be opened");
}

static void a_damaged_program_stays(void **state)
{
	struct store_object *obj;
	char path[32];

	make_both();
	snprintf(path, sizeof(path), "objects/%u", second);
	state_write(path, "nonsense", 8);
	assert_int_equal(state_start(), 0);
	assert_broken(STORE_PROG, second, "could not be read");
	assert_int_equal(get(STORE_MAP, first, &obj), 0);
	assert_null(obj->broken);
	store_put(obj);
}

/* Its image is whole, and the verifier refuses what it holds. */
static void a_program_that_is_refused_stays_with_its_log_and_its_maps(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LD_MAP_IDX(BPF_REG_1, 0),
		BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, 1000),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_SKB,
					  .name = "bad",
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = ARRAY_SIZE(insns),
					  .map_cnt = 1};
	struct store_object *map, *obj;
	struct bpf_prog *prog;
	int fd;

	make_both();
	assert_int_equal(state_start(), 0);
	assert_int_equal(get(STORE_MAP, first, &map), 0);
	attr.maps = &map->map;
	prog = bpf_prog_alloc(&attr);
	assert_non_null(prog);
	fd = store_part_open(second, STORE_OBJECT, O_WRONLY | O_TRUNC);
	assert_return_code(fd, errno);
	assert_int_equal(bpf_image_write(fd, prog), 0);
	close(fd);
	bpf_prog_put(prog);
	store_put(map);
	state_unname("maps/m", "map"); /* only the program needs it now */
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_broken(STORE_PROG, second, "is no longer accepted");
	assert_int_equal(get(STORE_PROG, second, &obj), 0);
	assert_non_null(store_broken_log(obj));
	assert_non_null(strstr(store_broken_log(obj), "0: "));
	store_put(obj);
	assert_int_equal(get(STORE_MAP, first, &map), 0);
	assert_int_equal(value_of(map->map, 1), 42);
	store_put(map);
}

static void what_is_nothing_of_ours_is_left_alone(void **state)
{
	struct store_object *obj;

	assert_return_code(mkdirat(tree.objects_fd, "70", 0700), errno);
	assert_return_code(mkfifoat(tree.objects_fd, "71", 0600), errno);
	state_write("objects/72.values", "v", 1);
	state_write("objects/073", "", 0);
	state_write("objects/74.tmp", "", 0);
	state_write("objects/0", "", 0);
	state_write("objects/4294967295", "", 0);
	state_write("objects/notes", "", 0);
	state_write("objects/75", "", 0); /* this one could be ours, and nothing names it */
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_true(state_has("objects/70"));
	assert_true(state_has("objects/71"));
	assert_true(state_has("objects/72.values"));
	assert_true(state_has("objects/74.tmp"));
	assert_true(state_has("objects/0"));
	assert_true(state_has("objects/4294967295"));
	assert_true(state_has("objects/notes"));
	assert_false(state_has("objects/75"));
	assert_int_equal(store_next(STORE_MAP, 0, &obj), -ENOENT);
	assert_int_equal(store_next(STORE_PROG, 0, &obj), -ENOENT);
	assert_true(store_next_id() > 75); /* whatever was there has used its id */
}

static void the_counter_of_ids_may_be_damaged(void **state)
{
	static const u64 damaged[] = {0, UINT32_MAX, UINT64_MAX};

	make_both();
	for (u32 i = 0; i < ARRAY_SIZE(damaged); i++) {
		state_write("next_id", &damaged[i], sizeof(damaged[i]));
		assert_int_equal(state_start(), 0);
		assert_true(store_next_id() > second);
		state_stop();
	}
	assert_int_equal(state_start(), 0);
}

/* Slots name programs, which have maps, which no name leads to. */
static void step_4_fills_slots(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = 3,
				    .name = "jumps"};
	struct store_object *map = state_map("m"), *prog = state_prog("p", 0, map), *array;
	u32 key = 1, id = 0;
	struct bpf_map *jumps;
	char path[64];

	assert_int_equal(store_map_create(&spec, &state_me, 0600, &jumps, NULL), 0);
	array = store_of_map(jumps);
	tree_wrlock();
	assert_int_equal(store_link(array, tree.tree_fd, "jumps", NULL), 0);
	tree_unlock();
	assert_int_equal(bpf_map_update_slot(jumps, &key, prog->prog, BPF_ANY), 0);
	set_value(map->map, 0, 9);
	first = map->id;
	second = prog->id;
	third = array->id;
	store_put(array);
	store_put(prog);
	store_put(map);
	state_unname("progs/p", "prog");
	state_unname("maps/m", "map");
	for (u32 i = 0; i < 2; i++) {
		state_stop();
		assert_int_equal(state_start(), 0);
		assert_int_equal(get(STORE_MAP, third, &array), 0);
		assert_int_equal(bpf_map_lookup(array->map, &key, &id, 0), 0);
		assert_int_equal(id, second);
		assert_int_equal(get(STORE_MAP, first, &map), 0);
		assert_int_equal(value_of(map->map, 0), 9);
		store_put(map);
		store_put(array);
	}
	/* The slot's program is damaged: the array is there, and keeps the id. */
	state_stop();
	snprintf(path, sizeof(path), "objects/%u", second);
	state_write(path, "nonsense", 8);
	assert_int_equal(state_start(), 0);
	assert_int_equal(get(STORE_MAP, third, &array), 0);
	assert_null(array->broken);
	store_put(array);
	assert_true(state_has("objects/%u", second));
	assert_true(state_has("objects/%u", first)); /* what it would have named is not known */
	/* Such a one is held until the process ends. */
	assert_int_equal(get(STORE_PROG, second, &prog), 0);
	store_put(prog);
	store_put(prog);
}

static u32 open_files(void)
{
	DIR *fds = opendir("/proc/self/fd");
	u32 nr = 0;

	assert_non_null(fds);
	while (readdir(fds))
		nr++;
	closedir(fds);
	return nr - 3; /* "." and ".." and itself */
}

/*
 * With one descriptor more each time until it starts: no start that is refused takes anything away.
 */
/* The disk's error is not the object's: the next start finds it, and nothing is left open. */
static void what_cannot_be_read_is_kept(void **state)
{
	struct store_object *obj;
	u32 fds;

	make_both();
	fds = open_files();
	read_error = EIO;
	assert_int_equal(state_start(), 0);
	read_error = 0;
	assert_broken(STORE_MAP, first, "could not be opened");
	state_stop();
	assert_int_equal(open_files(), fds);
	assert_int_equal(state_start(), 0);
	assert_int_equal(get(STORE_MAP, first, &obj), 0);
	assert_null(obj->broken);
	store_put(obj);
}

static void an_error_that_passes_refuses_the_start_and_removes_nothing(void **state)
{
	struct rlimit all, few;
	u32 refused = 0, nr;
	int err;

	make_both();
	assert_return_code(getrlimit(RLIMIT_NOFILE, &all), errno);
	nr = open_files();
	for (u32 more = 7;; more++) { /* those of tree_open() */
		struct store_object *obj;

		assert_true(more < 40);
		few = all;
		few.rlim_cur = nr + more;
		assert_return_code(setrlimit(RLIMIT_NOFILE, &few), errno);
		err = state_start();
		assert_return_code(setrlimit(RLIMIT_NOFILE, &all), errno);
		if (!err) {
			assert_int_equal(get(STORE_MAP, first, &obj), 0);
			assert_null(obj->broken);
			store_put(obj);
			assert_int_equal(get(STORE_PROG, second, &obj), 0);
			assert_null(obj->broken);
			store_put(obj);
			break;
		}
		assert_int_equal(err, -EMFILE);
		refused++;
	}
	assert_true(refused > 0);
	assert_true(state_has("tree/progs/p/prog"));
	assert_true(state_has("tree/maps/m/map"));
}

static void bits_of_clients_do_not_keep_the_server_out(void **state)
{
	struct store_object *obj;
	struct stat st;
	char name[32];

	make_both();
	assert_int_equal(state_start(), 0);
	assert_return_code(
		fchmodat(tree.objects_fd, store_part_name(first, STORE_OBJECT, name), 0, 0), errno);
	state_stop();
	assert_int_equal(state_start(), 0);
	assert_int_equal(get(STORE_MAP, first, &obj), 0);
	assert_null(obj->broken);
	assert_int_equal(value_of(obj->map, 1), 42);
	assert_int_equal(store_stat(obj, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0);
	store_put(obj);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, state_begin, state_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(names_values_and_ids_are_there_again),
		CASE(a_start_leaves_no_reference_behind),
		CASE(step_2_removes_directories_without_an_object),
		CASE(step_4_fills_slots),
		CASE(step_5_removes_what_nothing_names),
		CASE(a_damaged_map_stays_and_so_does_what_nothing_names),
		CASE(a_map_under_another_id_is_damaged),
		CASE(a_damaged_program_stays),
		CASE(a_program_that_is_refused_stays_with_its_log_and_its_maps),
		CASE(what_is_nothing_of_ours_is_left_alone),
		CASE(the_counter_of_ids_may_be_damaged),
		CASE(what_cannot_be_read_is_kept),
		CASE(an_error_that_passes_refuses_the_start_and_removes_nothing),
		CASE(bits_of_clients_do_not_keep_the_server_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
