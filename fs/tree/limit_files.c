/*
 * limit_files.c - M/limits: what users may hold, as files that root sets
 *
 *	limits/usage          the caller's own: what is used, and the limit
 *	limits/default/NAME   what counts for who has no limit of his own
 *	limits/all/NAME       what all users together may hold; limits/all/usage
 *	limits/UID/NAME       one user's; mkdir makes the directory, rmdir removes it and its limits
 *	limits/UID/usage      the same as limits/usage, of that user
 *
 * In the state tree they are directories with a hidden file that has what was set, a line a limit.
 * Root and who runs the server may write; a user reads what is his, and the defaults.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/tree/limit_files.h"
#include "fs/dirs/user_dir.h"
#include "fs/caller/limits.h"
#include "fs/lib/write_buffer.h"
#include "text/value_text.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/problem.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "load.h"

#define LIMITS_FILE ".limits"
#define DEFAULT	    "default"
#define ALL	    "all"

/* Whose limits: a uid, or one of these. */
enum { OF_ALL = -2, OF_NOBODY = -1 };

/* The defaults of this machine, and what was set instead (tree_lock): of nobody, of all. */
static u64 sized[2][LIMIT_CNT];
static bool given[2][LIMIT_CNT];

static bool is_admin(const struct fs_req *req)
{
	return !req->cred.uid || req->cred.uid == geteuid();
}

/* "default", "all", or a uid as the kernel prints it. */
static int parse_who(const char *name, s64 *who)
{
	char again[16];
	unsigned long v = strtoul(name, NULL, 10);

	*who = strcmp(name, ALL) ? OF_NOBODY : OF_ALL;
	if (*who == OF_ALL || !strcmp(name, DEFAULT))
		return 0;
	snprintf(again, sizeof(again), "%u", (uid_t)v);
	if (v >= (uid_t)-1 || strcmp(again, name))
		return -EINVAL;
	*who = (s64)v;
	return 0;
}

/* Directories of limits are never renamed. */
static s64 who_of(struct fs_node *node)
{
	s64 who;

	parse_who(fs_node_base(node)->name, &who);
	return who;
}

static bool has(s64 who, enum limit what)
{
	return who == OF_ALL ? limits_is_of_all(what) : what != LIMIT_VERIFY_MEMORY;
}

static u64 limit_of(s64 who, enum limit what)
{
	return who == OF_ALL	  ? limits_all(what)
	       : who == OF_NOBODY ? limits_default(what)
				  : limits_of((uid_t)who, what);
}

static bool is_set(s64 who, enum limit what, u64 *limit)
{
	if (who >= 0)
		return !limits_own((uid_t)who, what, limit);
	*limit = limit_of(who, what);
	return given[who == OF_ALL][what];
}

static void set_common(s64 who, enum limit what, u64 limit)
{
	if (who == OF_NOBODY) {
		limits_set_default(what, limit);
		return;
	}
	limits_set_all(what, limit);
	if (what == LIMIT_VERIFY_MEMORY)
		bpf_load_share_mem(limit);
}

static int set(s64 who, enum limit what, u64 limit)
{
	if (who >= 0)
		return limits_set((uid_t)who, what, limit);
	given[who == OF_ALL][what] = true;
	set_common(who, what, limit);
	return 0;
}

static void unset(s64 who, enum limit what)
{
	if (who >= 0) {
		limits_unset((uid_t)who, what);
		return;
	}
	given[who == OF_ALL][what] = false;
	set_common(who, what, sized[who == OF_ALL][what]);
}

static void print_limit(struct fs_text *out, u64 limit, const char *end)
{
	if (limit == LIMIT_NONE)
		fs_text_printf(out, "none%s", end);
	else
		fs_text_printf(out, "%llu%s", (unsigned long long)limit, end);
}

/* ---- kept in the state */

static int save(int dirfd, s64 who, struct error_record *why)
{
	struct fs_text text = {0};
	u64 limit;
	int err;

	for (u32 i = 0; i < LIMIT_CNT; i++)
		if (has(who, i) && is_set(who, i, &limit)) {
			fs_text_printf(&text, "%s ", limits_name(i));
			print_limit(&text, limit, "\n");
		}
	err = text.err ? text.err
		       : tree_write_small(dirfd, LIMITS_FILE, text.buf ? text.buf : "", text.len,
					  why);
	fs_text_free(&text);
	return err;
}

static int read_back(int dirfd, s64 who)
{
	__do_free char *text = NULL;
	ssize_t len = tree_read_small(dirfd, LIMITS_FILE, &text);
	char *line, *save;

	if (len < 0)
		return len == -ENOENT ? 0 : (int)len;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' '), *end;
		u64 limit = LIMIT_NONE;
		enum limit what;
		int err;

		if (!value)
			return -EBADMSG;
		*value++ = 0;
		if (limits_find(line, &what) || !has(who, what)) /* of a newer server */
			continue;
		if (strcmp(value, "none")) {
			limit = strtoull(value, &end, 10);
			if (*end || end == value)
				return -EBADMSG;
		}
		err = set(who, what, limit);
		if (err)
			return err;
	}
	return 0;
}

int limit_files_start(void)
{
	__do_close int fd = openat(tree.tree_fd, "limits", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	int err;

	if (fd < 0)
		return -errno;
	for (u32 i = 0; i < LIMIT_CNT; i++) {
		sized[0][i] = limits_default(i);
		sized[1][i] = limits_all(i);
	}
	if (durable_mkdirat(fd, DEFAULT, 0755) < 0 && errno != EEXIST)
		return -errno;
	if (durable_mkdirat(fd, ALL, 0755) < 0 && errno != EEXIST)
		return -errno;
	err = tree_list(fd, false, &names);
	for (size_t i = 0; !err && i < names.n; i++) {
		char path[NAME_MAX + sizeof("tree/limits/")];
		__do_close int dir = -1;
		s64 who;

		if (parse_who(names.v[i].name, &who))
			continue;
		dir = openat(fd, names.v[i].name, O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		err = dir < 0 ? -errno : read_back(dir, who);
		if (err) {
			snprintf(path, sizeof(path), "tree/limits/%s", names.v[i].name);
			state_problem(path, "limits", REMEDY_NONE, "they cannot be read: %s",
				      strerror(-err));
		}
	}
	tree_names_free(&names);
	return err;
}

/* ---- the files */

static int may_read(struct fs_req *req, s64 who)
{
	if (who < 0 || who == (s64)req->cred.uid || is_admin(req))
		return 0;
	return fs_error(req, EACCES,
			"these are the limits of another user: yours are in limits/usage");
}

static u64 used_by(s64 who, enum limit what)
{
	if (who >= 0)
		return limits_used((uid_t)who, what);
	return what == LIMIT_VERIFY_MEMORY ? bpf_load_shared_mem() : limits_all_used(what);
}

static int usage_of(s64 who, struct fs_text *out)
{
	for (u32 i = 0; i < LIMIT_CNT; i++) {
		if (!has(who, i))
			continue;
		fs_text_printf(out, "%s: %llu/", limits_name(i),
			       (unsigned long long)used_by(who, i));
		print_limit(out, limit_of(who, i), "\n");
	}
	return 0;
}

static int usage_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	s64 who = who_of(node);
	int err = may_read(req, who);

	return err ? err : usage_of(who, out);
}

static int own_usage_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	return usage_of(req->cred.uid, out);
}

static int limit_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	enum limit what = node->attr->arg;
	s64 who = who_of(node);
	int err = may_read(req, who);

	if (err)
		return err;
	print_limit(out, limit_of(who, what), "\n");
	return 0;
}

static int limit_set(struct fs_node *node, struct fs_req *req, bool unsets, u64 limit)
{
	enum limit what = node->attr->arg;
	s64 who = who_of(node);
	int err = 0;

	tree_wrlock();
	if (unsets)
		unset(who, what);
	else
		err = set(who, what, limit);
	if (!err)
		err = save(fs_node_fd(fs_node_base(node)), who, fs_why(req));
	tree_unlock();
	return err;
}

static bool is_word(const char *text, size_t len, const char *word)
{
	size_t n = strlen(word);

	while (len && strchr(" \t\r\n", text[len - 1]))
		len--;
	return len == n && !memcmp(text, word, n);
}

static ssize_t limit_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			   off_t off)
{
	struct write_buffer *p = open->priv;
	bool none, unsets, line;
	u64 limit = LIMIT_NONE;
	int ret;

	if (!len)
		return 0;
	if (!is_admin(req))
		return fs_error(req, EPERM, "limits are set by root and by who runs the server");
	ret = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, 64);
	if (ret)
		return ret;
	line = p->buf[p->len - 1] == '\n';
	none = is_word(p->buf, p->len, "none");
	unsets = is_word(p->buf, p->len, DEFAULT);
	ret = none || unsets ? TEXT_COMPLETE
			     : text_parse_u64(p->buf, p->len, LIMIT_NONE - 2, &limit);
	if (ret == TEXT_INCOMPLETE || text_begins_word(p->buf, p->len, "none") ||
	    text_begins_word(p->buf, p->len, DEFAULT)) {
		ret = fs_value_await(p, req, write_buffer_ended(p, len, false));
		return ret ? ret : (ssize_t)len;
	}
	if (ret == TEXT_COMPLETE)
		ret = limit_set(open->node, req, unsets, limit);
	else
		fs_error(req, -ret, "a limit is a number, none, or default");
	if (line || ret)
		write_buffer_drop(p, p->len);
	return ret ? ret : (ssize_t)len;
}

static const struct fs_node_ops limit_ops = {
	.name = "limit",
	.type = S_IFREG,
	.open = fs_value_open,
	.show = limit_show,
	.write = limit_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};

static const struct fs_node_ops usage_ops = {
	.name = "usage",
	.type = S_IFREG,
	.show = usage_show,
};

static const struct fs_node_ops own_usage_ops = {
	.name = "usage",
	.type = S_IFREG,
	.show = own_usage_show,
};

/* ---- limits/UID, limits/default, limits/all */

/* Only ever add at the end: rows are part of node ids. */
static const struct fs_attr limit_attrs[] = {
	{"objects", 0644, &limit_ops, LIMIT_OBJECTS},
	{"bytes", 0644, &limit_ops, LIMIT_BYTES},
	{"names", 0644, &limit_ops, LIMIT_NAMES},
	{"files", 0644, &limit_ops, LIMIT_FILES},
	{"jobs", 0644, &limit_ops, LIMIT_JOBS},
	{"sources", 0644, &limit_ops, LIMIT_SOURCES},
	{"run_seconds", 0644, &limit_ops, LIMIT_RUN_SECONDS},
	{"verify_seconds", 0644, &limit_ops, LIMIT_VERIFY_SECONDS},
	{"usage", 0444, &usage_ops, -1},
	{"memory", 0644, &limit_ops, LIMIT_MEMORY},
	{"verify_memory", 0644, &limit_ops, LIMIT_VERIFY_MEMORY},
};

_Static_assert(ARRAY_SIZE(limit_attrs) == LIMIT_CNT + 1, "a row a limit");

static bool row_visible(struct fs_node *dir, u32 row)
{
	const struct fs_attr *attr = &limit_attrs[row];
	s64 who = who_of(dir);

	return attr->ops == &usage_ops ? who != OF_NOBODY : has(who, (enum limit)attr->arg);
}

static int limit_dir_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			    struct fs_node **out)
{
	for (u32 i = 0; i < ARRAY_SIZE(limit_attrs); i++)
		if (!strcmp(name, limit_attrs[i].name) && row_visible(dir, i))
			return fs_node_attr(dir, limit_attrs, i, out);
	return -ENOENT;
}

static int limit_dir_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			     void *arg)
{
	for (; cursor < ARRAY_SIZE(limit_attrs); cursor++)
		if (row_visible(open->node, (u32)cursor) &&
		    !emit(arg, limit_attrs[cursor].name, cursor + 1, S_IFREG,
			  open->node->ino << 8 | (cursor + 1)))
			break;
	return 0;
}

static const struct fs_node_ops limit_dir_ops = {
	.name = "limits of a user",
	.type = S_IFDIR,
	.rows = limit_attrs,
	.nr_rows = ARRAY_SIZE(limit_attrs),
	.lookup = limit_dir_lookup,
	.readdir = limit_dir_readdir,
};
FS_KIND(limit_dir_ops, "limits of a user");

/* ---- M/limits */

static const struct fs_attr limits_attrs[] = {
	{"usage", 0444, &own_usage_ops, 0},
};

static int limits_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			 struct fs_node **out)
{
	s64 who;
	int err;

	if (!strcmp(name, limits_attrs[0].name))
		return fs_node_attr(dir, limits_attrs, 0, out);
	if (parse_who(name, &who))
		return -ENOENT;
	tree_rdlock();
	err = fs_tree_lookup(dir, name, &limit_dir_ops, out);
	tree_unlock();
	return err;
}

static int limits_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			  void *arg)
{
	return rows_readdir(open, req, limits_attrs, ARRAY_SIZE(limits_attrs), false, cursor, emit,
			    arg);
}

static int limits_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
			struct fs_node **out)
{
	const struct fs_cred server = {.uid = geteuid(), .gid = getegid()};
	s64 who;
	int err;

	if (!is_admin(req))
		return fs_error(req, EPERM, "limits are set by root and by who runs the server");
	if (parse_who(name, &who))
		return fs_error(req, EINVAL,
				"%s is no uid: mkdir limits/1000 makes limits for uid 1000", name);
	tree_wrlock();
	err = tree_mkdir(fs_node_fd(dir), name, 0755, &server, fs_why(req));
	if (!err)
		err = fs_tree_lookup(dir, name, &limit_dir_ops, out);
	tree_unlock();
	return err;
}

/* The files in it go with it, as those of a cgroup do. */
static int limits_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	s64 who;
	int err;

	if (!is_admin(req))
		return fs_error(req, EPERM, "limits are set by root and by who runs the server");
	if (parse_who(name, &who))
		return -ENOENT;
	if (who < 0)
		return fs_error(req, EPERM,
				"there are always defaults: echo default > NAME resets one");
	tree_wrlock();
	__do_close int fd = tree_openat(fs_node_fd(dir), name);

	err = fd < 0 ? fd : 0;
	if (!err && durable_unlinkat(fd, LIMITS_FILE, 0) < 0 && errno != ENOENT)
		err = -errno;
	if (!err)
		err = tree_rmdir(fs_node_fd(dir), name, fs_why(req));
	for (u32 i = 0; !err && i < LIMIT_CNT; i++)
		limits_unset((uid_t)who, i);
	tree_unlock();
	return err;
}

const struct fs_node_ops limits_dir_ops = {
	.name = "limits",
	.type = S_IFDIR,
	.rows = limits_attrs,
	.nr_rows = ARRAY_SIZE(limits_attrs),
	.stable = true,
	.lookup = limits_lookup,
	.readdir = limits_readdir,
	.release = user_release,
	.mkdir = limits_mkdir,
	.rmdir = limits_rmdir,
};
FS_KIND(limits_dir_ops, "limits");
