/*
 * resolve.c - see resolve.h
 */
#include "fs/store/resolve.h"
#include "text/value_text.h"
#include "fs/store/load_dir.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/asleep.h"

#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define RESOLVE_MAX_LINKS 8

int resolve_may_link(struct fs_req *req, struct store_object *obj)
{
	struct stat st;
	int err = store_stat(obj, &st);

	if (err)
		return err;
	if (!req->cred.uid || req->cred.uid == st.st_uid ||
	    !perm_check(&req->cred, &st, R_OK | W_OK))
		return 0;
	return fs_error(
		req, EPERM,
		"a pin keeps the object alive: only its owner, and who may read and write it, "
		"may make one");
}

static const char *kind_name(enum store_kind kind)
{
	static const char *const names[] = {
		[STORE_PROG] = "program", [STORE_MAP] = "map", [STORE_LINK] = "link"};

	return names[kind];
}

/*
 * What was found is what was asked for, and the caller may use it. Consumes the reference on
 * failure.
 */
static int resolve_check(struct fs_req *req, enum store_kind kind, const char *text, int mask,
			 struct store_object *obj)
{
	struct stat st;
	int err = store_stat(obj, &st);

	if (!err && obj->kind != kind)
		err = fs_error(req, EINVAL, "%s is a %s, not a %s", text, kind_name(obj->kind),
			       kind_name(kind));
	if (!err && perm_check(&req->cred, &st, mask))
		err = fs_error(req, EACCES, "%s: its permission bits do not let you use it", text);
	if (!err)
		err = store_wake(obj);
	if (!err && obj->broken)
		err = fs_error(req, EBADMSG, "%s: %s", text, obj->broken);
	if (err)
		store_put(obj);
	return err;
}

/*
 * In a directory where everybody makes names (sticky and writable by all) a link is followed for
 * its own maker, or when it is the directory's owner's: fs.protected_symlinks.
 */
static bool may_follow(const struct fs_cred *cred, const struct stat *dir, uid_t owner)
{
	return (dir->st_mode & (S_ISVTX | S_IWOTH)) != (S_ISVTX | S_IWOTH) || owner == cred->uid ||
	       owner == dir->st_uid;
}

/*
 * Walk a path from a directory of the tree. Returns an O_PATH descriptor of the last component,
 * never of a symlink.
 */
static int walk(struct fs_req *req, const char *path, u32 links)
{
	int at = dup(tree.tree_fd);

	if (at < 0)
		return -errno;
	while (*path) {
		char name[NAME_MAX + 1], target[PATH_MAX], rest[PATH_MAX];
		size_t len = strcspn(path, "/");
		struct stat st, link;
		uid_t owner;
		ssize_t n;
		int next, err = 0;

		if (!len) {
			path++;
			continue;
		}
		if (len > NAME_MAX)
			err = -ENAMETOOLONG;
		if (!err && fstatat(at, "", &st, AT_EMPTY_PATH) < 0)
			err = -errno;
		if (!err && !S_ISDIR(st.st_mode))
			err = -ENOTDIR;
		if (!err)
			err = perm_check(&req->cred, &st, X_OK);
		snprintf(name, sizeof(name), "%.*s", (int)(len > NAME_MAX ? NAME_MAX : len), path);
		/* "." and ".." are refused there: a path goes down only */
		next = err ? err : tree_openat(at, name);
		if (next < 0) {
			close(at);
			return next;
		}
		path += len;
		n = readlinkat(next, "", target, sizeof(target) - 1);
		if (n < 0) {
			close(at);
			at = next;
			continue;
		}
		owner = fstatat(next, "", &link, AT_EMPTY_PATH) ? (uid_t)-1 : link.st_uid;
		close(next);
		target[n] = 0;
		/* A link is followed when it names something below its own directory's root: M. */
		if (target[0] == '/' || links >= RESOLVE_MAX_LINKS ||
		    !may_follow(&req->cred, &st, owner)) {
			close(at);
			return -ELOOP;
		}
		if (snprintf(rest, sizeof(rest), "%s%s", target, path) >= (int)sizeof(rest)) {
			close(at);
			return -ENAMETOOLONG;
		}
		{
			/* Relative to the directory of the link: prefix its own path. */
			char self[64], where[PATH_MAX], full[2 * PATH_MAX];
			size_t root = strlen(tree.path) + strlen("/tree");

			snprintf(self, sizeof(self), "/proc/self/fd/%d", at);
			n = readlink(self, where, sizeof(where) - 1);
			close(at);
			if (n < (ssize_t)root)
				return -ENOENT;
			where[n] = 0;
			snprintf(full, sizeof(full), "%s/%s", where + root, rest);
			return walk(req, full, links + 1);
		}
	}
	return at;
}

/* Is the first component of a path one of ours, as opposed to a user's directory? */
static bool is_ours(const char *path)
{
	static const char *const ours[] = {"progs", "maps", "ids", "cgroup", "events", "limits"};
	size_t len, i;

	path += strspn(path, "/");
	len = strcspn(path, "/");
	for (i = 0; i < ARRAY_SIZE(ours); i++)
		if (len == strlen(ours[i]) && !memcmp(path, ours[i], len))
			return true;
	return false;
}

int resolve_parent(struct fs_req *req, const char *path, char **name)
{
	const char *slash = strrchr(path, '/'), *last = slash ? slash + 1 : path;
	char parent[PATH_MAX];
	struct stat st;
	int fd, err = 0;

	if (slash && slash - path >= (ptrdiff_t)sizeof(parent))
		return -ENAMETOOLONG;
	snprintf(parent, sizeof(parent), "%.*s", slash ? (int)(slash - path) : 0, path);
	if (is_ours(path))
		return fs_error(req, EPERM, "pins go into directories of your own, not into %s",
				path);
	if (!tree_name_ok(last) || last[0] == '.')
		return fs_error(req, EINVAL, "\"%s\" cannot be a pin's name", last);
	fd = walk(req, parent, 0);
	if (fd < 0)
		return fd;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		err = -errno;
	else if (!S_ISDIR(st.st_mode))
		err = -ENOTDIR;
	else
		err = perm_check(&req->cred, &st, W_OK | X_OK);
	*name = err ? NULL : strdup(last);
	if (!err && !*name)
		err = -ENOMEM;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
}

/*
 * The object that an O_PATH descriptor leads to: the file itself, or the object's file in its
 * directory.
 */
static int object_at(struct fs_req *req, int fd, enum store_kind kind, struct store_object **out)
{
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode)) {
		int err = perm_check(&req->cred, &st, X_OK);

		if (err)
			return err;
		if (fstatat(fd, kind == STORE_PROG ? "prog" : "map", &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
	}
	return store_by_ino(st.st_ino, out);
}

static int by_path(struct fs_req *req, enum store_kind kind, const char *path,
		   struct store_object **out)
{
	int fd, err;

	tree_rdlock();
	fd = walk(req, path, 0);
	err = fd < 0 ? fd : object_at(req, fd, kind, out);
	tree_unlock();
	if (fd >= 0)
		close(fd);
	return err;
}

/* "v2/count": of the load directory progs/v2, when there is nothing else of that path. */
static bool in_load_dir(const char *path, enum store_kind kind, char full[PATH_MAX])
{
	const char *slash = strchr(path, '/');

	if (slash == path || strchr(slash + 1, '/') || strlen(path) > PATH_MAX / 2)
		return false;
	snprintf(full, PATH_MAX, "progs/%.*s%s%s", (int)(slash - path), path,
		 kind == STORE_MAP ? "/" LOAD_DIR_MAPS : "", slash);
	return true;
}

int resolve_object(struct fs_req *req, enum store_kind kind, const char *text, int mask,
		   struct store_object **out)
{
	char path[PATH_MAX], place[PATH_MAX], *end;
	unsigned long long id;
	size_t len;
	int err;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		len--;
	if (!len || len > sizeof(path) - 16)
		return fs_error(req, len ? ENAMETOOLONG : EINVAL,
				"a %s's name, path or id goes here", kind_name(kind));
	snprintf(path, sizeof(path), "%.*s", (int)len, text);

	errno = 0;
	id = strtoull(path, &end, 0);
	if (isdigit((unsigned char)path[0]) && !*end && !errno && id <= UINT32_MAX) {
		err = store_by_id(kind, id, out);
	} else if (!strchr(path, '/')) {
		char full[PATH_MAX];

		snprintf(full, sizeof(full), "%s/%.*s", kind == STORE_PROG ? "progs" : "maps",
			 (int)sizeof(full) - 16, path);
		err = by_path(req, kind, full, out);
		if (err == -ENOENT)
			err = by_path(req, kind, path, out);
	} else {
		err = by_path(req, kind, path, out);
		if (err == -ENOENT && in_load_dir(path, kind, place))
			err = by_path(req, kind, place, out);
	}
	if (err)
		return fs_error(req, -err,
				"%s names no %s that you can reach: give a name in %s/, a path in "
				"the mount, or an id",
				path, kind_name(kind), kind == STORE_PROG ? "progs" : "maps");
	err = resolve_check(req, kind, path, mask, *out);
	if (err)
		*out = NULL;
	return err;
}

int resolve_word(struct fs_req *req, enum store_kind kind, const char *text, size_t len, int mask,
		 char *name, struct store_object **out)
{
	size_t pos = 0, n;
	const char *word;
	int err;

	if (!text_next_word(text, len, &pos, &word, &n))
		return TEXT_INCOMPLETE;
	if (n >= PATH_MAX)
		return -ENAMETOOLONG;
	if (memchr(word, 0, n))
		return fs_error(req, EINVAL, "a name holds no NUL");
	memcpy(name, word, n);
	name[n] = 0;
	err = resolve_object(req, kind, name, mask, out);
	return err ? err : TEXT_COMPLETE;
}
