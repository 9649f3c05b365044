/*
 * map_owner.c - see store/map_owner.h
 */
#include "fs/store/map_owner.h"
#include "fs/store/object.h"
#include "fs/store/state_tree.h"

#include <fcntl.h>
#include <stdio.h>

static bool unfinished; /* the last sweep met an error; written under tree_wrlock */

struct inos {
	u64 *v;
	size_t n;
};

/* The objects' inodes behind the names in progs/. */
static int named_progs(struct inos *out)
{
	int fd = openat(tree.tree_fd, "progs", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	int err = fd < 0 ? -errno : tree_list(fd, false, &names);

	memset(out, 0, sizeof(*out));
	if (!err) {
		out->v = calloc(names.n ? names.n : 1, sizeof(*out->v));
		err = out->v ? 0 : -ENOMEM;
		for (size_t i = 0; !err && i < names.n; i++) {
			__do_close int dir = tree_openat(fd, names.v[i].name);
			struct stat st;

			if (dir < 0)
				err = dir;
			else if (!fstatat(dir, "prog", &st, AT_SYMLINK_NOFOLLOW))
				out->v[out->n++] = st.st_ino;
			else if (errno != ENOENT && errno != ENOTDIR)
				err = -errno;
		}
		tree_names_free(&names);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/*
 * Lines of ids: what a torn page or another hand left is none, and says nothing about who needs
 * the map.
 */
static bool is_ids(const char *text, size_t len)
{
	bool digit = false;

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n' ? !digit : text[i] < '0' || text[i] > '9')
			return false;
		digit = text[i] != '\n';
	}
	return len && !digit;
}

/* Does one of the ids in this text have a name? An id that cannot be looked at may. */
static bool any_named(char *text, const struct inos *named)
{
	char *id, *save;
	struct stat st;

	for (id = strtok_r(text, " \n", &save); id; id = strtok_r(NULL, " \n", &save)) {
		if (fstatat(tree.objects_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno != ENOENT)
				return true;
			continue;
		}
		for (size_t i = 0; i < named->n; i++)
			if (named->v[i] == st.st_ino)
				return true;
	}
	return false;
}

/* The map loses its name, and the directory goes. */
static int remove_name(int parent, const char *name)
{
	__do_close int fd = tree_openat(parent, name);
	struct store_object *obj;
	int err = fd < 0 ? fd : store_unname(fd, "map", &obj);

	if (!err)
		store_put(obj);
	else if (err == -ENOENT && fd >= 0)
		err = tree_remove_hidden(fd);
	return err ? err : tree_rmdir(parent, name);
}

static int sweep(void)
{
	int fd = openat(tree.tree_fd, "maps", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names = {0};
	struct inos named = {0};
	int err, first = 0;

	if (fd < 0)
		return -errno;
	err = named_progs(&named);
	if (!err)
		err = tree_list(fd, false, &names);
	for (size_t i = 0; !err && i < names.n; i++) {
		__do_close int dir = tree_openat(fd, names.v[i].name);
		__do_free char *text = NULL;
		ssize_t len = dir < 0 ? dir : tree_read_small(dir, LOADS_FILE, &text);
		int failed = 0;

		if (len < 0 && len != -ENOENT && len != -ENOTDIR)
			failed = (int)len;
		else if (len >= 0 && !is_ids(text, (size_t)len))
			failed = -EBADMSG;
		else if (len >= 0 && !any_named(text, &named))
			failed = remove_name(fd, names.v[i].name);
		if (failed && !first)
			first = failed;
	}
	tree_names_free(&names);
	free(named.v);
	close(fd);
	return err ? err : first;
}

int loads_sweep(void)
{
	int err = sweep();

	__atomic_store_n(&unfinished, err != 0, __ATOMIC_RELAXED);
	return err;
}

bool loads_unfinished(void)
{
	return __atomic_load_n(&unfinished, __ATOMIC_RELAXED);
}
