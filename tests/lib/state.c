/*
 * state.c - see state.h
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/wait.h>
#include <cmocka.h>
#include "fs/node/node.h"
#include "fs/store/names/map_owner.h"
#include "fs/store/names/publish.h"
#include "fs/store/names/recovery.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_open.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/create.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/names.h"
#include "tests/lib/state.h"
#include "load.h"
#include "uapi/bpf_insn.h"

static const struct fs_groups none;
static const struct fs_node_ops dir_ops = {.name = "directory", .type = S_IFDIR};
static char dir[32];
static int dir_fd; /* also while no server has it */

struct fs_cred state_me, state_other;
struct fs_node *state_root;

int state_start(void)
{
	struct error_record why = {0};
	int err;

	assert_int_equal(tree_open(dir, "/m", &why), 0);
	assert_int_equal(fs_node_root(&dir_ops, &state_root), 0);
	err = store_start();
	if (err)
		state_stop();
	return err;
}

void state_stop(void)
{
	fs_node_unpin();
	fs_node_put(state_root);
	store_stop();
	tree_close();
}

int state_begin(void **state)
{
	strcpy(dir, "/tmp/ubpffs-test-XXXXXX");
	assert_non_null(mkdtemp(dir));
	dir_fd = open(dir, O_DIRECTORY | O_CLOEXEC);
	assert_return_code(dir_fd, errno);
	state_me = (struct fs_cred){geteuid(), getegid(), getpid(), &none};
	state_other = (struct fs_cred){geteuid() + 4321, getegid() + 4321, getpid(), &none};
	return state_start();
}

int state_end(void **state)
{
	char command[64];

	state_stop();
	close(dir_fd);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

void state_killed(void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (!pid) {
		fn();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static struct store_object *new_map(const char *name)
{
	struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 2};
	struct bpf_map *map;

	snprintf(spec.name, sizeof(spec.name), "%s", name);
	assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
	return store_of_map(map);
}

static struct store_object *new_prog(const char *name, int ret, struct store_object *obj)
{
	const struct bpf_insn insns[] = {
		BPF_LD_MAP_IDX(BPF_REG_1, 0),
		BPF_MOV64_IMM(BPF_REG_0, ret),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_CGROUP_SKB,
					  .expected_attach_type = BPF_CGROUP_INET_EGRESS,
					  .name = name,
					  .license = "GPL",
					  .insns = obj ? insns : insns + 2,
					  .insn_cnt = obj ? ARRAY_SIZE(insns)
							  : ARRAY_SIZE(insns) - 2,
					  .maps = obj ? &obj->map : NULL,
					  .map_cnt = obj ? 1 : 0,
					  .id = store_next_id()};
	struct bpf_prog *prog;

	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
	assert_int_equal(store_prog_add(prog, &state_me, 0600, NULL), 0);
	return store_of_prog(prog);
}

static struct publish *names_begin(void)
{
	struct publish *pub;

	assert_int_equal(publish_begin(&state_me, 022, "progs", "maps", &pub, NULL), 0);
	return pub;
}

static void names_end(struct publish *pub)
{
	assert_int_equal(publish_commit(pub, NULL), 0);
	publish_end(pub);
}

static struct store_object *named(struct store_object *obj, const char *name)
{
	struct publish *pub = names_begin();

	assert_int_equal(publish_add(pub, obj, name, NULL, NULL), 0);
	names_end(pub);
	return obj;
}

struct store_object *state_map(const char *name)
{
	return named(new_map(name), name);
}

struct store_object *state_prog(const char *name, int ret, struct store_object *map)
{
	return named(new_prog(name, ret, map), name);
}

void state_load_all(const char *const *progs, u32 nr_progs, const char *const *maps, u32 nr_maps)
{
	struct store_object *objs[16];
	struct publish *pub = names_begin();
	char owner[128] = "";
	u32 n = 0;

	assert_true(nr_progs + nr_maps <= ARRAY_SIZE(objs));
	for (u32 i = 0; i < nr_maps; i++)
		objs[n++] = new_map(maps[i]);
	for (u32 i = 0; i < nr_progs; i++) {
		objs[n] = new_prog(progs[i], 0, objs[0]);
		sprintf(owner + strlen(owner), "%u\n", objs[n]->id);
		assert_int_equal(publish_add(pub, objs[n++], progs[i], NULL, NULL), 0);
	}
	for (u32 i = 0; i < nr_maps; i++)
		assert_int_equal(publish_add(pub, objs[i], maps[i], owner, NULL), 0);
	names_end(pub);
	while (n--)
		store_put(objs[n]);
}

void state_load(const char *prog, const char *map)
{
	state_load_all(&prog, 1, &map, 1);
}

bool state_has(const char *fmt, ...)
{
	char path[256];
	va_list args;
	int there;

	va_start(args, fmt);
	vsnprintf(path, sizeof(path), fmt, args);
	va_end(args);
	there = tree_has(dir_fd, path);
	assert_true(there >= 0);
	return there;
}

void state_unname(const char *path, const char *object)
{
	int fd = openat(tree.tree_fd, path, O_DIRECTORY | O_CLOEXEC);
	struct store_object *obj;

	assert_return_code(fd, errno);
	tree_wrlock();
	assert_int_equal(store_unname(fd, object, NULL, &obj, NULL), 0);
	assert_int_equal(tree_rmdir(tree.tree_fd, path, NULL), 0);
	if (obj->kind == STORE_PROG)
		map_owner_prog_gone(obj->id);
	tree_unlock();
	store_put(obj);
	close(fd);
}

void state_write(const char *path, const void *data, size_t len)
{
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}
