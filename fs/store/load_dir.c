/*
 * load_dir.c - see load_dir.h
 */
#include "fs/store/load_dir.h"
#include "text/value_text.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/object.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

bool load_dir_name_ok(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)name[i] <= ' ' || name[i] == 0x7f)
			return false;
	return tree_name_ok(name) && name[0] != '.' && len + sizeof("progs//maps") <= LOAD_DIR_MAX;
}

bool load_dir_own_name(const char *name)
{
	static const char *const own[] = {"new", "log", "constants", LOAD_DIR_MAPS};

	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!strcmp(name, own[i]))
			return true;
	return false;
}

/* Those that a start has found; nobody makes or removes one meanwhile. */
static struct tree_names held;
static bool is_held;

/* 0: it is none. */
static int is_load_dir(int progs, const char *name)
{
	int is = tree_load_dir_at(progs, name);

	return is > 0 ? load_dir_name_ok(name) : is;
}

int load_dir_hold(void)
{
	__do_close int fd = openat(tree.tree_fd, "progs", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int err = fd < 0 ? -errno : tree_list(fd, false, &held);
	size_t n = 0;

	if (err)
		return err;
	for (size_t i = 0; !err && i < held.n; i++) {
		struct tree_name name = held.v[i];
		int is = is_load_dir(fd, name.name);

		err = min(is, 0);
		if (is <= 0)
			continue;
		held.v[i] = held.v[n];
		held.v[n++] = name;
	}
	is_held = !err;
	while (!err && held.n > n)
		free(held.v[--held.n].name);
	if (err)
		tree_names_free(&held);
	return err;
}

void load_dir_let(void)
{
	if (is_held)
		tree_names_free(&held);
	is_held = false;
}

int load_dir_each(int (*fn)(void *arg, const char *progs, const char *maps), void *arg)
{
	__do_close int fd = openat(tree.tree_fd, "progs", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names = held;
	int err = fd < 0 ? -errno : is_held ? 0 : tree_list(fd, false, &names);

	if (err)
		return err;
	err = fn(arg, "progs", "maps");
	for (size_t i = 0; !err && i < names.n; i++) {
		char progs[LOAD_DIR_MAX], maps[LOAD_DIR_MAX];
		int is = is_held ? 1 : is_load_dir(fd, names.v[i].name);

		if (is <= 0) {
			err = is;
			continue;
		}
		snprintf(progs, sizeof(progs), "progs/%s", names.v[i].name);
		snprintf(maps, sizeof(maps), "progs/%s/" LOAD_DIR_MAPS, names.v[i].name);
		if (tree_has(tree.tree_fd, maps) > 0)
			err = fn(arg, progs, maps);
	}
	if (!is_held)
		tree_names_free(&names);
	return err;
}

struct search {
	const struct store_object *obj;
	char *path;
	size_t len;
};

/* 1: it is this one. */
static int is_map(const struct search *search, const char *dir, const char *name)
{
	char file[LOAD_DIR_MAX + NAME_MAX + sizeof("//map")];
	struct stat st;

	snprintf(file, sizeof(file), "%s/%s/map", dir, name);
	if (fstatat(tree.tree_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_ino != search->obj->ino)
		return 0;
	snprintf(search->path, search->len, "%s/%s", dir, name);
	return 1;
}

/* Most have the name that they were made with. */
static int look_guess(void *arg, const char *progs, const char *maps)
{
	const struct search *search = arg;

	const char *name = store_name(search->obj);

	return *name && is_map(search, maps, name);
}

static int look_all(void *arg, const char *progs, const char *maps)
{
	__do_close int fd = openat(tree.tree_fd, maps, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	int ret = fd < 0 ? -errno : tree_list(fd, false, &names);

	if (ret)
		return ret;
	for (size_t i = 0; !ret && i < names.n; i++)
		ret = is_map(arg, maps, names.v[i].name);
	tree_names_free(&names);
	return ret;
}

int load_dir_map_path(const struct store_object *obj, char *path, size_t len)
{
	struct search search = {obj, path, len};
	int ret = load_dir_each(look_guess, &search);

	if (!ret)
		ret = load_dir_each(look_all, &search);
	return ret ? min(ret, 0) : -ENOENT;
}
