/*
 * events.c - M/events and M/events/<source>: directories that are event sources, made, removed, and
 * started again
 *
 * Lock order: event_run_lock(), then tree_lock.
 */
#include <fcntl.h>
#include <stdio.h>
#include "fs/events/definition.h"
#include "fs/events/files.h"
#include "fs/events/running.h"
#include "fs/events/events.h"
#include "fs/dirs/user_dir.h"
#include "fs/dirs/object_dir.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/asleep.h"

/* ---- a source's directory */

/*
 * attach first: rm -r begins with it, which gives the source up. Only ever add at the end: rows are
 * part of node ids.
 */
static const struct fs_attr source_attrs[] = {
	{"attach", 0666, &event_attach_ops, -1},
	{"type", 0666, &event_attr_ops, SOURCE_TYPE},
	{"event", 0666, &event_attr_ops, SOURCE_EVENT},
	{"pid", 0666, &event_attr_ops, SOURCE_PID},
	{"freq", 0666, &event_attr_ops, SOURCE_FREQ},
	{"period", 0666, &event_attr_ops, SOURCE_PERIOD},
	{"unwind", 0666, &event_attr_ops, SOURCE_UNWIND},
	{"file", 0666, &event_attr_ops, SOURCE_FILE},
	{"interface", 0666, &event_attr_ops, SOURCE_INTERFACE},
	{"filter", 0666, &event_attr_ops, SOURCE_FILTER},
	{"out", 0666, &event_attr_ops, SOURCE_OUT},
	{"interval_ms", 0666, &event_attr_ops, SOURCE_INTERVAL_MS},
	{"stats", 0444, &event_stats_ops, -1},
};

/* The rows that a directory has: those of its type, and before it has one only that. */
static int attrs_of(struct fs_node *dir, u32 *attrs)
{
	const struct source_kind *kind;
	struct source_def def;
	int err = event_def_read(fs_node_fd(dir), &def);

	*attrs = 1 << SOURCE_TYPE;
	if (err)
		return err == -ENOENT ? 0 : err;
	kind = source_kind_of(&def);
	if (kind)
		*attrs = kind->attrs;
	source_def_free(&def);
	return 0;
}

static bool row_visible(u32 attrs, u32 row)
{
	return source_attrs[row].arg < 0 || attrs >> source_attrs[row].arg & 1;
}

static int find_row(const char *name, u32 *row)
{
	for (*row = 0; *row < ARRAY_SIZE(source_attrs); ++*row)
		if (!strcmp(source_attrs[*row].name, name))
			return 0;
	return -ENOENT;
}

static bool given_up(struct fs_node *dir)
{
	return event_def_there(fs_node_fd(dir)) == 0;
}

static int source_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			 struct fs_node **out)
{
	u32 row, attrs;
	int err;

	tree_rdlock();
	err = find_row(name, &row);
	/* What was given up is still found, so that rm can unlink what it has listed. */
	if (!err && !given_up(dir)) {
		err = attrs_of(dir, &attrs);
		if (!err && !row_visible(attrs, row))
			err = -ENOENT;
	}
	if (!err)
		err = fs_node_attr(dir, source_attrs, row, out);
	tree_unlock();
	return err;
}

static int source_readdir(struct fs_open *open, struct fs_req *req, u64 cursor, fs_emit_fn emit,
			  void *arg)
{
	struct fs_node *dir = open->node;
	u32 attrs;
	int err;

	tree_rdlock();
	err = attrs_of(dir, &attrs);
	if (given_up(dir))
		cursor = ARRAY_SIZE(source_attrs);
	for (; !err && cursor < ARRAY_SIZE(source_attrs); cursor++)
		if (row_visible(attrs, (u32)cursor) &&
		    !emit(arg, source_attrs[cursor].name, cursor + 1, S_IFREG,
			  dir->ino << 8 | (cursor + 1)))
			break;
	tree_unlock();
	return err;
}

/* event_run_lock() held: stop it, let the program go, and forget the definition. */
static int give_up(u64 ino, int dirfd, struct error_record *why)
{
	int err;

	event_run_forget(ino);
	tree_wrlock();
	err = event_def_remove(dirfd, why);
	tree_unlock();
	return err;
}

static int source_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	int err;
	u32 row;

	err = find_row(name, &row);
	if (err || given_up(dir))
		return err;
	if (source_attrs[row].ops != &event_attach_ops)
		return fs_error(req, EPERM,
				"this file shows the source and goes with it: rm -r the directory");
	event_run_lock();
	err = give_up(dir->ino, fs_node_fd(dir), fs_why(req));
	event_run_unlock();
	return err;
}

static const struct fs_node_ops source_dir_ops = {
	.name = "event source",
	.type = S_IFDIR,
	.rows = source_attrs,
	.nr_rows = ARRAY_SIZE(source_attrs),
	.lookup = source_lookup,
	.readdir = source_readdir,
	.unlink = source_unlink,
};
FS_KIND(source_dir_ops, "event source");

/* ---- M/events */

static int events_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			 struct fs_node **out)
{
	int err;

	tree_rdlock();
	err = fs_tree_lookup(dir, name, &source_dir_ops, out);
	tree_unlock();
	return err;
}

static int events_mkdir(struct fs_node *dir, struct fs_req *req, const char *name, mode_t mode,
			struct fs_node **out)
{
	if (name[0] == '.')
		return fs_error(req, EINVAL, "a source's name does not begin with a dot");
	return objdir_mkdir(dir, req, name, mode, EVENT_DEF_FILE, &source_dir_ops, out);
}

static int events_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	int fd, err = 0;
	struct stat st;

	if (!tree_name_ok(name) || name[0] == '.')
		return -ENOENT;
	fd = openat(fs_node_fd(dir), name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH)) {
		err = -errno;
	} else {
		event_run_lock();
		err = give_up(st.st_ino, fd, fs_why(req));
		tree_wrlock();
		if (!err)
			err = tree_rmdir(fs_node_fd(dir), name, fs_why(req));
		tree_unlock();
		event_run_unlock();
	}
	if (fd >= 0)
		close(fd);
	return err;
}

const struct fs_node_ops events_dir_ops = {
	.name = "events",
	.type = S_IFDIR,
	.stable = true,
	.lookup = events_lookup,
	.readdir = user_readdir,
	.release = user_release,
	.mkdir = events_mkdir,
	.rmdir = events_rmdir,
	.rename = objdir_rename,
};
FS_KIND(events_dir_ops, "events");

/* ---- the server's start and end */

static void started_again(void *name, int err, const struct error_record *why)
{
	if (err && err != -ECANCELED)
		fs_warn("events/%s could not be started again: %s", (char *)name,
			error_why(why, err));
	free(name);
}

static void start_again(int dirfd, u64 ino, const char *name)
{
	struct store_object *obj = NULL;
	struct source_def def = {0};
	struct error_record why = {0};
	char *copy = NULL;
	int err = event_ended(dirfd);
	u64 began = 0;

	if (err > 0)
		return;
	if (!err)
		err = event_def_read(dirfd, &def);
	if (!err && !event_missing(&def))
		err = event_attached(dirfd, &obj);
	if (err == -ENOENT)
		err = 0; /* nothing is attached */
	if (obj) {
		err = event_since(dirfd, &def, &began);
		if (err == -ENOENT) {
			event_ended_set(dirfd);
			err = 0;
		} else if (!err && (store_wake(obj) || !obj->prog)) {
			err = error_set(&why, EBADMSG, "its program is broken");
		} else if (!err) {
			copy = strdup(name);
			err = copy ? event_run_start(ino, dirfd, &def, obj->prog, true, began,
						     started_again, copy, NULL, &why)
				   : -ENOMEM;
		}
		store_put(obj);
	}
	if (err) {
		fs_warn("events/%s could not be started again: %s", name, error_why(&why, err));
		error_clear(&why);
		free(copy);
	}
	source_def_free(&def);
}

void events_start(void)
{
	__do_close int fd = openat(tree.tree_fd, "events", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;
	int err = fd < 0 ? -errno : tree_list(fd, false, &names);

	if (err) {
		fs_warn("events cannot be read (%s): no source is started", strerror(-err));
		return;
	}
	event_run_lock();
	for (size_t i = 0; i < names.n; i++) {
		__do_close int dir =
			openat(fd, names.v[i].name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;
		int there = dir < 0 || fstatat(dir, "", &st, AT_EMPTY_PATH) ? -errno
									    : event_def_there(dir);

		if (there < 0) {
			fs_warn("events/%s could not be started again: %s", names.v[i].name,
				strerror(-there));
		} else if (there) {
			start_again(dir, st.st_ino, names.v[i].name);
		} else { /* between rm and rmdir */
			event_def_remove(dir, NULL);
			durable_unlinkat(fd, names.v[i].name, AT_REMOVEDIR);
		}
	}
	event_run_unlock();
	tree_names_free(&names);
}

void events_end_starts(void)
{
	event_run_no_more();
}

void events_stop(void)
{
	event_run_no_more(); /* there may have been no mount */
	event_run_forget_all();
}
