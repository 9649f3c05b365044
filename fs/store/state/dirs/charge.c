/*
 * charge.c - what the owners of directories and symlinks are charged, at a start
 */
#include "fs/store/state/dirs/change.h"
#include "fs/caller/limits.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>

struct level {
	struct tree_names names;
	size_t next;
	bool hidden; /* dots begin names of users here, too */
};

/* A level for the directory that *fd is. */
static int level_push(struct level **levels, size_t *n, int fd, bool hidden)
{
	struct level *v = realloc(*levels, (*n + 1) * sizeof(*v));
	int err;

	if (!v)
		return -ENOMEM;
	*levels = v;
	v[*n] = (struct level){.hidden = hidden};
	err = tree_list(fd, hidden, &v[*n].names);
	if (!err)
		++*n;
	return err;
}

/* What is in M/progs, M/maps, M/events and M/limits has only files of ours in it. */
static bool is_flat(const char *name)
{
	return !strcmp(name, "progs") || !strcmp(name, "maps") || !strcmp(name, "events") ||
	       !strcmp(name, "limits");
}

/* One directory is open at a time, whatever the depth. */
static int step_to(int *fd, const char *name)
{
	int to = openat(*fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (to < 0)
		return -errno;
	close(*fd);
	*fd = to;
	return 0;
}

int tree_charge(void)
{
	__do_close int fd = openat(tree.tree_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct level *levels = NULL, *at;
	size_t n = 0;
	int err = fd < 0 ? -errno : level_push(&levels, &n, fd, true);

	while (!err && n) {
		const char *name, *top;
		struct stat st;

		at = &levels[n - 1];
		if (at->next == at->names.n) {
			tree_names_free(&at->names);
			if (--n)
				err = step_to(&fd, "..");
			continue;
		}
		name = at->names.v[at->next++].name;
		if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			err = -errno;
			break;
		}
		if (S_ISREG(st.st_mode))
			continue;
		limits_charge_anyway(st.st_uid, LIMIT_NAMES, 1);
		top = levels[0].names.v[levels[0].next - 1].name;
		/* A load directory has one more in it, which the number of links says, if any. */
		if (n == 2 && is_flat(top) &&
		    (strcmp(top, "progs") || st.st_nlink == 2 || tree_load_dir_at(fd, name) <= 0))
			continue;
		/*
		 * What its owner closed to himself is closed to a server that is not root; that
		 * owner has no limit.
		 */
		if (S_ISDIR(st.st_mode) && (tree.may_chown || (st.st_mode & 0500) == 0500)) {
			bool hidden = at->hidden && (n > 1 || strcmp(name, "cgroup"));

			err = step_to(&fd, name);
			if (!err)
				err = level_push(&levels, &n, fd, hidden);
		}
	}
	while (n)
		tree_names_free(&levels[--n].names);
	free(levels);
	return err;
}
