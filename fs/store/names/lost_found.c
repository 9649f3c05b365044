/*
 * lost_found.c - see names/lost_found.h
 */
#include "fs/store/names/lost_found.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define LOST_FOUND "lost+found"
#define MAX_DEPTH  256

/* ---- names */

struct walk {
	int (*fn)(void *arg, const char *path, const struct stat *st);
	void *arg;
	char path[PATH_MAX];
};

/*
 * Hidden files are text of ours, but for those that are links of objects: attachments and the like,
 * which more names have.
 */
static bool is_name(const char *name, const struct stat *st)
{
	return S_ISREG(st->st_mode) && (name[0] != '.' || st->st_nlink > 1);
}

static int walk_dir(struct walk *walk, int fd, size_t len, u32 depth)
{
	struct tree_names names;
	int err = depth > MAX_DEPTH ? -ELOOP : tree_list(fd, true, &names);

	if (err)
		return err;
	for (size_t i = 0; !err && i < names.n; i++) {
		const char *name = names.v[i].name;
		struct stat st;
		int n = snprintf(walk->path + len, sizeof(walk->path) - len, "%s%s", len ? "/" : "",
				 name);

		if (n >= (int)(sizeof(walk->path) - len) ||
		    fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			err = errno ? -errno : -ENAMETOOLONG;
		} else if (S_ISDIR(st.st_mode)) {
			__do_close int child =
				openat(fd, name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			err = child < 0 ? -errno
					: walk_dir(walk, child, len + (size_t)n, depth + 1);
		} else if (is_name(name, &st)) {
			err = walk->fn(walk->arg, walk->path, &st);
		}
	}
	tree_names_free(&names);
	return err;
}

int lost_found_names(int (*fn)(void *arg, const char *path, const struct stat *st), void *arg)
{
	__do_close int fd = openat(tree.tree_fd, ".", O_DIRECTORY | O_CLOEXEC);
	struct walk walk = {.fn = fn, .arg = arg};

	return fd < 0 ? -errno : walk_dir(&walk, fd, 0, 0);
}

/* ---- moving */

static int open_lost_found(void)
{
	int fd;

	if (durable_mkdirat(tree.dir_fd, LOST_FOUND, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(tree.dir_fd, LOST_FOUND, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Nothing that is there is replaced. */
static int move(int dirfd, const char *path, int to, const char *name)
{
	if (!durable_renameat2(dirfd, path, to, name, RENAME_NOREPLACE))
		return 0;
	return -errno;
}

static int write_reason(int to, const char *name, const struct fs_text *text)
{
	char file[NAME_MAX + 1];

	if (text->err)
		return text->err;
	snprintf(file, sizeof(file), "%.200s.reason", name);
	return tree_write_small(to, file, text->buf, text->len, NULL);
}

struct names_of {
	u64 ino;
	struct fs_text text; /* each with its NUL */
};

static int add_name(void *arg, const char *path, const struct stat *st)
{
	struct names_of *names = arg;

	if (st->st_ino == names->ino)
		fs_text_append(&names->text, path, strlen(path) + 1);
	return names->text.err;
}

/* A directory that showed the object goes with its name, and its definition before it. */
static int remove_name(const char *path)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char above[PATH_MAX];
	__do_close int dir = -1;

	snprintf(above, sizeof(above), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
	dir = openat(tree.tree_fd, above, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	if (tree_has(dir, ".def") > 0 && durable_unlinkat(dir, ".def", 0) < 0)
		return -errno;
	if (durable_unlinkat(dir, base, 0) < 0)
		return -errno;
	if (!strncmp(path, "progs/", strlen("progs/")) ||
	    !strncmp(path, "maps/", strlen("maps/"))) {
		tree_remove_hidden(dir, NULL);
		durable_unlinkat(tree.tree_fd, above, AT_REMOVEDIR);
	}
	return 0;
}

static int remove_names(const struct fs_text *names)
{
	int err = 0;

	for (size_t at = 0; !err && at < names->len; at += strlen(names->buf + at) + 1)
		err = remove_name(names->buf + at);
	return err;
}

static int move_parts(u32 id, int to)
{
	char name[32];
	int err = 0;

	for (int part = STORE_PARTS - 1; !err && part >= 0; part--) {
		store_part_name(id, part, name);
		err = move(tree.objects_fd, name, to, name);
		if (err == -ENOENT)
			err = 0;
	}
	return err;
}

/* The reason first, and the file last: who is killed in between begins again. */
int lost_found_object(const struct store_object *obj, const char *why)
{
	struct names_of names = {.ino = obj->ino};
	struct fs_text text = {0};
	__do_close int to = open_lost_found();
	char name[32];
	int err = to < 0 ? to : lost_found_names(add_name, &names);

	fs_text_printf(&text, "file: objects/%u\nreason: %s\n", obj->id, why);
	for (size_t at = 0; at < names.text.len; at += strlen(names.text.buf + at) + 1)
		fs_text_printf(&text, "name: %s\n", names.text.buf + at);
	store_part_name(obj->id, STORE_OBJECT, name);
	if (!err)
		err = write_reason(to, name, &text);
	if (!err)
		err = remove_names(&names.text);
	if (!err)
		err = move_parts(obj->id, to);
	fs_text_free(&text);
	fs_text_free(&names.text);
	return err;
}

int lost_found_file(const char *path, const char *why)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	__do_close int to = open_lost_found();
	struct fs_text text = {0};
	int err;

	fs_text_printf(&text, "file: %s\nreason: %s\n", path, why);
	err = to < 0 ? to : write_reason(to, name, &text);
	if (!err)
		err = move(tree.dir_fd, path, to, name);
	fs_text_free(&text);
	return err;
}
