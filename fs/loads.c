/*
 * loads.c - see loads.h
 */
#include "fs/loads.h"
#include "fs/kinds.h"
#include "fs/tree.h"

#include <fcntl.h>
#include <stdio.h>

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

			if (dir >= 0 && !fstatat(dir, "prog", &st, AT_SYMLINK_NOFOLLOW))
				out->v[out->n++] = st.st_ino;
		}
		tree_names_free(&names);
	}
	if (fd >= 0)
		close(fd);
	return err;
}

/* Does one of the ids in this text have a name? */
static bool any_named(char *text, const struct inos *named)
{
	char *id, *save;
	struct stat st;

	for (id = strtok_r(text, " \n", &save); id; id = strtok_r(NULL, " \n", &save)) {
		if (fstatat(tree.objects_fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		for (size_t i = 0; i < named->n; i++)
			if (named->v[i] == st.st_ino)
				return true;
	}
	return false;
}

void loads_sweep(void)
{
	int fd = openat(tree.tree_fd, "maps", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names = {0};
	struct inos named = {0};

	if (fd < 0)
		return;
	if (!named_progs(&named) && !tree_list(fd, false, &names)) {
		for (size_t i = 0; i < names.n; i++) {
			__do_close int dir = tree_openat(fd, names.v[i].name);
			__do_free char *text = NULL;

			if (dir < 0 || tree_read_small(dir, LOADS_FILE, &text) < 0)
				continue;
			if (!any_named(text, &named))
				__objdir_remove(&map_dir_kind, fd, names.v[i].name);
		}
	}
	tree_names_free(&names);
	free(named.v);
	close(fd);
}
