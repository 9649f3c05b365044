/*
 * events.c - M/events and M/events/<source>: directories that are event sources
 *
 * mkdir makes a directory with attributes; the write that completes the definition starts the source, which is the
 * attribute written last or the program's attachment. In the state tree the directory holds
 *
 *	.def	the attributes, lines `name: value`; a directory without it was given up (rm -r) and reads as empty
 *	.attach	a hard link of the program's object: the attachment keeps the program
 *	.ended	the source has seen all its events: a restarted server does not start it again
 *	.since	when the sampled process began, so that another one of that number is not sampled after a restart
 *
 * Rights: a source acts with the rights of its directory's owner, also after a restart. So only the owner, or root on the
 * owner's behalf, may write attributes or attach, whatever the bits say: nobody lends his rights to another's file.
 *
 * Lock order: events.lock, then tree_lock. A source's thread takes neither.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/events.h"
#include "fs/kinds.h"
#include "fs/pending.h"
#include "fs/perm.h"
#include "fs/pins.h"
#include "fs/source/source.h"
#include "fs/store.h"
#include "fs/text.h"
#include "fs/tree.h"

#define DEF_FILE    ".def"
#define ATTACH_FILE ".attach"
#define ATTACH_TEMP ".attach.new"
#define ENDED_FILE  ".ended"
#define SINCE_FILE  ".since"

struct event_dir { /* one directory that has, or had, a source */
	u64 ino;
	int fd; /* O_PATH of the directory: keeps the inode number ours */
	struct source *src;
	struct event_dir *next;
};

static struct {
	pthread_mutex_t lock;
	struct event_dir *dirs;
} events = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the state tree's part */

static bool has_file(int dirfd, const char *name)
{
	struct stat st;

	return !fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW);
}

/* Values are one line each, so the file needs no quoting. */
static int def_read(int dirfd, struct source_def *def)
{
	const char *line;
	char *text = NULL;
	size_t pos = 0, n;
	ssize_t len = tree_read_small(dirfd, DEF_FILE, &text);
	int err = 0;

	memset(def, 0, sizeof(*def));
	if (len < 0)
		return (int)len;
	while (!err && text_next_line(text, (size_t)len, true, &pos, &line, &n)) {
		for (u32 i = 0; i < SOURCE_ATTR_NR; i++) {
			const char *name = source_attr_name(i);
			size_t k = strlen(name);
			__do_free char *value = NULL;

			if (n < k + 2 || memcmp(line, name, k) || memcmp(line + k, ": ", 2))
				continue;
			value = strndup(line + k + 2, n - k - 2);
			err = value ? source_def_set(def, i, value) : -ENOMEM;
		}
	}
	free(text);
	if (err)
		source_def_free(def);
	return err;
}

static int def_write(int dirfd, const struct source_def *def)
{
	struct fs_text text = {0};
	int err;

	for (u32 i = 0; i < SOURCE_ATTR_NR; i++)
		if (def->value[i])
			fs_text_printf(&text, "%s: %s\n", source_attr_name(i), def->value[i]);
	err = text.err ? text.err
		       : tree_write_small(dirfd, DEF_FILE, text.buf ? text.buf : "", text.len);
	fs_text_free(&text);
	return err;
}

/* The attached program with a reference, or -ENOENT. */
static int attached(int dirfd, struct store_object **out)
{
	struct stat st;

	if (fstatat(dirfd, ATTACH_FILE, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	return store_by_ino(st.st_ino, out);
}

/* tree_wrlock held: let `obj` (NULL: nothing) be what is attached here. */
static int attach_link(int dirfd, struct store_object *obj)
{
	struct store_object *old = NULL;
	int err = 0;

	attached(dirfd, &old);
	if (obj) {
		unlinkat(dirfd, ATTACH_TEMP, 0);
		err = store_link(obj, dirfd, ATTACH_TEMP);
		if (!err && renameat(dirfd, ATTACH_TEMP, dirfd, ATTACH_FILE))
			err = -errno;
		/* Renaming one link of a file over another does nothing and leaves both. */
		unlinkat(dirfd, ATTACH_TEMP, 0);
	} else if (unlinkat(dirfd, ATTACH_FILE, 0) && errno != ENOENT) {
		err = -errno;
	}
	if (obj)
		store_names_changed(obj);
	if (old) {
		store_names_changed(old);
		store_put(old);
	}
	return err;
}

/* When a process began, in clock ticks since the boot: with its number, which process it is. */
static u64 process_began(const char *pid)
{
	char path[64], line[1024], *p;
	u64 began = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	/* the 22nd field; the second ends at the last parenthesis */
	for (int field = 2; p && field < 22; field++)
		p = strchr(p + 1, ' ');
	if (p)
		began = strtoull(p, NULL, 10);
	fclose(f);
	return began;
}

static void write_since(int dirfd, const struct source_def *def)
{
	const char *pid = def->value[SOURCE_PID];
	char text[32];
	int n;

	if (!pid || !strcmp(pid, "all"))
		return;
	n = snprintf(text, sizeof(text), "%llu\n", (unsigned long long)process_began(pid));
	tree_write_small(dirfd, SINCE_FILE, text, (size_t)n);
}

static bool same_process(int dirfd, const struct source_def *def)
{
	const char *pid = def->value[SOURCE_PID];
	char *text = NULL;
	bool same;

	if (!pid || !strcmp(pid, "all"))
		return true;
	same = tree_read_small(dirfd, SINCE_FILE, &text) > 0 &&
	       strtoull(text, NULL, 10) == process_began(pid) && process_began(pid);
	free(text);
	return same;
}

/* ---- the running part; events.lock held */

static struct event_dir *__find(u64 ino)
{
	struct event_dir *dir = events.dirs;

	while (dir && dir->ino != ino)
		dir = dir->next;
	return dir;
}

/* On the source's thread: there is nothing more to see. */
static void source_ended(void *arg)
{
	const struct event_dir *dir = arg;
	int fd = openat(dir->fd, ENDED_FILE, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
}

static void __stop(struct event_dir *dir)
{
	if (dir && dir->src)
		source_stop(dir->src);
}

static bool __running(const struct event_dir *dir)
{
	return dir && dir->src && source_state(dir->src) == SOURCE_RUNNING;
}

static void __forget(u64 ino)
{
	struct event_dir **p = &events.dirs, *dir;

	while (*p && (*p)->ino != ino)
		p = &(*p)->next;
	dir = *p;
	if (!dir)
		return;
	*p = dir->next;
	__stop(dir);
	source_free(dir->src);
	close(dir->fd);
	free(dir);
}

static struct event_dir *__make(u64 ino, int dirfd)
{
	struct event_dir *dir = __find(ino);

	if (dir)
		return dir;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return NULL;
	dir->ino = ino;
	dir->fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 3);
	if (dir->fd < 0) {
		free(dir);
		return NULL;
	}
	dir->next = events.dirs;
	events.dirs = dir;
	return dir;
}

/* Start it. *why (SOURCE_WHY_MAX) says why it does not. `prog` stays the caller's. */
static int __start(u64 ino, int dirfd, const struct source_def *def, struct bpf_prog *prog,
		   bool again, char *why)
{
	struct event_dir *dir = __make(ino, dirfd);
	struct source *src;
	bool had_ended;
	struct stat st;
	int err;

	if (!dir || fstatat(dirfd, "", &st, AT_EMPTY_PATH))
		return -ENOMEM;
	src = source_new(def, st.st_uid, st.st_gid);
	if (!src)
		return -ENOMEM;
	__stop(dir);
	had_ended = !unlinkat(dirfd, ENDED_FILE, 0);
	src->again = again;
	src->ended = source_ended;
	src->ended_arg = dir;
	bpf_prog_inc(prog);
	err = source_start(src, prog);
	if (!err) {
		write_since(dirfd, def);
	} else {
		bpf_prog_put(prog);
		snprintf(why, SOURCE_WHY_MAX, "%s", src->why);
		if (had_ended)
			source_ended(dir);
		if (!again) { /* the writer is told, and all is as before */
			source_free(src);
			return err;
		}
	}
	source_free(dir->src);
	dir->src = src;
	return err;
}

/* What of the definition is missing; NULL when only a program is. */
static const char *missing(const struct source_def *def)
{
	const struct source_kind *kind = source_kind_of(def);

	return kind ? kind->missing(def) : "type (perf, pcap or timer)";
}

/* ---- attributes */

static int attr_open(struct fs_open *open, struct fs_req *req)
{
	open->priv = calloc(1, sizeof(struct pending));
	return open->priv ? 0 : -ENOMEM;
}

static void attr_release(struct fs_open *open)
{
	pending_free(open->priv);
	free(open->priv);
}

static int attr_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	enum source_attr attr = node->attr->arg;
	struct source_def def;
	int err = def_read(fs_node_place(node)->fd, &def);

	if (err)
		return err;
	if (def.value[attr])
		fs_text_printf(out, "%s\n", def.value[attr]);
	source_def_free(&def);
	return 0;
}

/* Only the owner of the source, and root for it, may say what it does: it acts with the owner's rights. */
static int check_owner(struct fs_node *dir, struct fs_req *req)
{
	struct stat st;

	if (fstatat(dir->fd, "", &st, AT_EMPTY_PATH))
		return -errno;
	if (!req->cred.uid || req->cred.uid == st.st_uid)
		return 0;
	return fs_error(
		req, EPERM,
		"an event source acts with the rights of its owner (uid %u): only that user "
		"may set it up",
		st.st_uid);
}

/* events.lock held: a new value (NULL: none) for one attribute; it may be the one that starts the source. */
static int __attr_set(struct fs_node *dir, struct fs_req *req, enum source_attr attr,
		      const char *value)
{
	struct store_object *obj = NULL;
	char why[SOURCE_WHY_MAX] = "";
	struct source_def def;
	int err = def_read(dir->fd, &def);

	if (err)
		return err;
	if (attr == SOURCE_TYPE && def.value[SOURCE_TYPE] && value &&
	    strcmp(def.value[SOURCE_TYPE], value))
		err = fs_error(req, EBUSY, "the type is fixed: make another source");
	else if (attr != SOURCE_TYPE && !def.value[SOURCE_TYPE])
		err = fs_error(req, EINVAL,
			       "the type comes first: echo perf > type (or pcap, timer)");
	else if (__running(__find(dir->ino)))
		err = fs_error(req, EBUSY,
			       "the source is running and its attributes are fixed: stop it first "
			       "(echo > attach)");
	if (!err)
		err = source_def_set(&def, attr, value);
	if (!err && !missing(&def) && !attached(dir->fd, &obj)) {
		err = obj->prog ? __start(dir->ino, dir->fd, &def, obj->prog, false, why)
				: -EBADMSG;
		if (err)
			fs_error(req, -err, "%s", why[0] ? why : "the attached program is broken");
		store_put(obj);
	}
	if (!err) {
		tree_wrlock();
		err = def_write(dir->fd, &def);
		tree_unlock();
	}
	source_def_free(&def);
	return err;
}

static ssize_t attr_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	struct fs_node *dir = fs_node_place(open->node);
	enum source_attr attr = open->node->attr->arg;
	char value[SOURCE_VALUE_MAX + 1], why[SOURCE_WHY_MAX] = "";
	struct pending *p = open->priv;
	struct source_def def;
	size_t n, skip;
	bool line;
	int ret;

	if (!len)
		return 0;
	ret = check_owner(dir, req);
	if (!ret)
		ret = pending_add(p, buf, len, off, open->flags & O_APPEND, SOURCE_VALUE_MAX);
	if (ret)
		return ret;
	line = p->buf[p->len - 1] == '\n';
	for (n = p->len; n && strchr(" \t\r\n", p->buf[n - 1]); n--)
		;
	for (skip = 0; skip < n && strchr(" \t", p->buf[skip]); skip++)
		;
	if (memchr(p->buf, 0, p->len) || memchr(p->buf + skip, '\n', n - skip)) {
		pending_drop(p, p->len);
		return fs_error(req, EINVAL, "%s takes one line", source_attr_name(attr));
	}
	snprintf(value, sizeof(value), "%.*s", (int)(n - skip), p->buf + skip);
	if (!value[0] && !line)
		return (ssize_t)len;
	pthread_mutex_lock(&events.lock);
	ret = def_read(dir->fd, &def);
	if (!ret) {
		ret = value[0] ? source_check(&def, attr, value, why) : 1;
		source_def_free(&def);
		if (!ret && line)
			ret = fs_error(req, EINVAL, "%s: that is not all of a value", value);
		else if (ret < 0)
			fs_error(req, -ret, "%s", why);
		else if (ret > 0)
			ret = __attr_set(dir, req, attr, value[0] ? value : NULL);
	}
	pthread_mutex_unlock(&events.lock);
	if (line || ret < 0)
		pending_drop(p, p->len);
	return ret < 0 ? ret : (ssize_t)len;
}

static const struct fs_node_ops source_attr_ops = {
	.name = "source attribute",
	.type = S_IFREG,
	.slow = true,
	.open = attr_open,
	.show = attr_show,
	.write = attr_write,
	.release = attr_release,
};

/* ---- attach */

/* The program's name when it has one in progs/, else its id. */
static int attach_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct fs_node *dir = fs_node_place(node);
	struct store_object *obj;
	char path[128];
	struct stat st;
	int err = attached(dir->fd, &obj);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (obj->prog) {
		snprintf(path, sizeof(path), "progs/%s/prog", obj->prog->name);
		if (!fstatat(tree.tree_fd, path, &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == obj->ino)
			fs_text_printf(out, "%s\n", obj->prog->name);
		else
			fs_text_printf(out, "%u\n", obj->id);
	} else {
		fs_text_printf(out, "%u\n", obj->id);
	}
	store_put(obj);
	return 0;
}

static int __detach(struct fs_node *dir)
{
	int err;

	__stop(__find(dir->ino));
	tree_wrlock();
	err = attach_link(dir->fd, NULL);
	tree_unlock();
	return err;
}

/* events.lock held. A running source goes on with the new program, without a gap; else this may start it. */
static int __attach(struct fs_node *dir, struct fs_req *req, const struct source_def *def,
		    struct store_object *obj)
{
	struct event_dir *ev = __find(dir->ino);
	char why[SOURCE_WHY_MAX] = "";
	int err = 0;

	if (__running(ev) && ev->src->prog_type == obj->prog->type) {
		bpf_prog_inc(obj->prog);
		source_replace(ev->src, obj->prog);
	} else if (!missing(def)) {
		err = __start(dir->ino, dir->fd, def, obj->prog, false, why);
	}
	if (err)
		return fs_error(req, -err, "%s", why[0] ? why : strerror(-err));
	tree_wrlock();
	err = attach_link(dir->fd, obj);
	tree_unlock();
	return err;
}

static int attach_set(struct fs_node *dir, struct fs_req *req, const char *name)
{
	const struct source_kind *kind;
	struct store_object *obj;
	struct source_def def;
	int err;

	if (!*name) {
		pthread_mutex_lock(&events.lock);
		err = __detach(dir);
		pthread_mutex_unlock(&events.lock);
		return err;
	}
	err = perm_resolve(req, STORE_PROG, name, R_OK, &obj);
	if (err)
		return err;
	pthread_mutex_lock(&events.lock);
	err = def_read(dir->fd, &def);
	if (!err) {
		kind = source_kind_of(&def);
		if (!kind)
			err = fs_error(req, EINVAL,
				       "the type comes first: echo perf > type (or pcap, timer)");
		else if (!kind->accepts(obj->prog->type))
			err = fs_error(req, EINVAL, "%s is a %s program: a %s source runs %s", name,
				       bpf_prog_type_name(obj->prog->type), kind->name,
				       kind->accepted);
		else
			err = __attach(dir, req, &def, obj);
		source_def_free(&def);
	}
	pthread_mutex_unlock(&events.lock);
	store_put(obj);
	return err;
}

static ssize_t attach_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			    off_t off)
{
	struct fs_node *dir = fs_node_place(open->node);
	struct pending *p = open->priv;
	char name[PATH_MAX];
	size_t n;
	bool line;
	int ret;

	if (!len)
		return 0;
	ret = check_owner(dir, req);
	if (!ret)
		ret = pending_add(p, buf, len, off, open->flags & O_APPEND, sizeof(name) - 1);
	if (ret)
		return ret;
	line = p->buf[p->len - 1] == '\n';
	for (n = p->len; n && strchr(" \t\r\n", p->buf[n - 1]); n--)
		;
	snprintf(name, sizeof(name), "%.*s", (int)n, p->buf);
	if (!n && !line)
		return (ssize_t)len;
	ret = attach_set(dir, req, name);
	if (line || ret)
		pending_drop(p, p->len);
	return ret ? ret : (ssize_t)len;
}

static const struct fs_node_ops source_attach_ops = {
	.name = "attach",
	.type = S_IFREG,
	.slow = true,
	.open = attr_open,
	.show = attach_show,
	.write = attach_write,
	.release = attr_release,
};

/* ---- stats */

static int stats_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	static const char *const states[] = {"stopped", "running", "ended", "failed"};
	struct fs_node *dir = fs_node_place(node);
	struct source_stats stats = {0};
	const char *lacks, *state = "stopped";
	char why[SOURCE_WHY_MAX] = "";
	struct source_def def;
	struct event_dir *ev;
	int err;

	pthread_mutex_lock(&events.lock);
	err = def_read(dir->fd, &def);
	ev = __find(dir->ino);
	if (ev && ev->src) {
		enum source_state now = source_state(ev->src);

		source_read_stats(ev->src, &stats);
		state = states[now];
		if (now == SOURCE_FAILED)
			snprintf(why, sizeof(why), "%s", ev->src->why);
	} else if (has_file(dir->fd, ENDED_FILE)) {
		state = "ended";
	}
	pthread_mutex_unlock(&events.lock);
	if (err)
		return err;
	fs_text_printf(out, "state: %s\n", state);
	lacks = missing(&def);
	if (lacks)
		fs_text_printf(out, "missing: %s\n", lacks);
	else if (!has_file(dir->fd, ATTACH_FILE))
		fs_text_printf(out, "missing: attach\n");
	if (why[0])
		fs_text_printf(out, "why: %s\n", why);
	fs_text_printf(out, "seen: %llu\nrun: %llu\ndropped: %llu\nlost: %llu\nerrors: %llu\n",
		       (unsigned long long)stats.seen, (unsigned long long)stats.run,
		       (unsigned long long)stats.dropped, (unsigned long long)stats.lost,
		       (unsigned long long)stats.errors);
	source_def_free(&def);
	return 0;
}

static const struct fs_node_ops source_stats_ops = {
	.name = "source stats",
	.type = S_IFREG,
	.slow = true, /* it may wait for a source that is being started */
	.show = stats_show,
};

/* ---- a source's directory */

/* attach first: rm -r begins with it, which gives the source up. Only ever add at the end: rows are part of node ids. */
static const struct fs_attr source_attrs[] = {
	{"attach", 0666, &source_attach_ops, -1},
	{"type", 0666, &source_attr_ops, SOURCE_TYPE},
	{"event", 0666, &source_attr_ops, SOURCE_EVENT},
	{"pid", 0666, &source_attr_ops, SOURCE_PID},
	{"freq", 0666, &source_attr_ops, SOURCE_FREQ},
	{"period", 0666, &source_attr_ops, SOURCE_PERIOD},
	{"unwind", 0666, &source_attr_ops, SOURCE_UNWIND},
	{"file", 0666, &source_attr_ops, SOURCE_FILE},
	{"interface", 0666, &source_attr_ops, SOURCE_INTERFACE},
	{"filter", 0666, &source_attr_ops, SOURCE_FILTER},
	{"out", 0666, &source_attr_ops, SOURCE_OUT},
	{"interval_ms", 0666, &source_attr_ops, SOURCE_INTERVAL_MS},
	{"stats", 0444, &source_stats_ops, -1},
};

/* The rows that a directory has: those of its type, and before it has one only that. */
static u32 attrs_of(struct fs_node *dir)
{
	const struct source_kind *kind = NULL;
	struct source_def def;

	if (!def_read(dir->fd, &def)) {
		kind = source_kind_of(&def);
		source_def_free(&def);
	}
	return kind ? kind->attrs : 1 << SOURCE_TYPE;
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
	return !has_file(dir->fd, DEF_FILE);
}

static int source_lookup(struct fs_node *dir, struct fs_req *req, const char *name,
			 struct fs_node **out)
{
	int err;
	u32 row;

	tree_rdlock();
	err = find_row(name, &row);
	/* What was given up is still found, so that rm can unlink what it has listed. */
	if (!err && !given_up(dir) && !row_visible(attrs_of(dir), row))
		err = -ENOENT;
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

	tree_rdlock();
	attrs = attrs_of(dir);
	if (given_up(dir))
		cursor = ARRAY_SIZE(source_attrs);
	for (; cursor < ARRAY_SIZE(source_attrs); cursor++)
		if (row_visible(attrs, (u32)cursor) &&
		    !emit(arg, source_attrs[cursor].name, cursor + 1, S_IFREG,
			  dir->ino << 8 | (cursor + 1)))
			break;
	tree_unlock();
	return 0;
}

/* events.lock held: stop it, let the program go, and forget the definition. */
static void __give_up(u64 ino, int dirfd)
{
	__forget(ino);
	tree_wrlock();
	attach_link(dirfd, NULL);
	tree_remove_hidden(dirfd);
	tree_unlock();
}

static int source_unlink(struct fs_node *dir, struct fs_req *req, const char *name)
{
	int err;
	u32 row;

	err = find_row(name, &row);
	if (err || given_up(dir))
		return err;
	if (source_attrs[row].ops != &source_attach_ops)
		return fs_error(req, EPERM,
				"this file shows the source and goes with it: rm -r the directory");
	pthread_mutex_lock(&events.lock);
	__give_up(dir->ino, dir->fd);
	pthread_mutex_unlock(&events.lock);
	return 0;
}

static const struct fs_node_ops source_dir_ops = {
	.name = "event source",
	.type = S_IFDIR,
	.lookup = source_lookup,
	.readdir = source_readdir,
	.unlink = source_unlink,
};

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
	static const struct source_def empty;
	int err, fd;

	if (name[0] == '.')
		return fs_error(req, EINVAL, "a source's name does not begin with a dot");
	tree_wrlock();
	err = tree_mkdir(dir->fd, name, mode, &req->cred);
	if (!err) {
		fd = tree_openat(dir->fd, name);
		err = fd < 0 ? fd : def_write(fd, &empty);
		if (!err)
			err = fs_tree_lookup(dir, name, &source_dir_ops, out);
		if (err && fd >= 0)
			tree_remove_hidden(fd);
		if (fd >= 0)
			close(fd);
		if (err)
			unlinkat(dir->fd, name, AT_REMOVEDIR);
	}
	tree_unlock();
	return err;
}

static int events_rmdir(struct fs_node *dir, struct fs_req *req, const char *name)
{
	int fd, err = 0;
	struct stat st;

	if (!tree_name_ok(name) || name[0] == '.')
		return -ENOENT;
	fd = openat(dir->fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstatat(fd, "", &st, AT_EMPTY_PATH)) {
		err = -errno;
	} else {
		pthread_mutex_lock(&events.lock);
		__give_up(st.st_ino, fd);
		tree_wrlock();
		if (unlinkat(dir->fd, name, AT_REMOVEDIR))
			err = -errno;
		tree_unlock();
		pthread_mutex_unlock(&events.lock);
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

/* ---- the server's start and end */

static void start_again(int dirfd, u64 ino, const char *name)
{
	struct store_object *obj = NULL;
	char why[SOURCE_WHY_MAX] = "";
	struct source_def def;
	int err = 0;

	if (has_file(dirfd, ENDED_FILE) || def_read(dirfd, &def))
		return;
	if (!missing(&def) && !attached(dirfd, &obj)) {
		if (!same_process(dirfd, &def)) {
			source_ended(&(struct event_dir){.fd = dirfd});
		} else if (!obj->prog) {
			err = -EBADMSG;
			snprintf(why, sizeof(why), "its program is broken");
		} else {
			err = __start(ino, dirfd, &def, obj->prog, true, why);
		}
		store_put(obj);
	}
	if (err)
		fs_warn("events/%s could not be started again: %s", name,
			why[0] ? why : strerror(-err));
	source_def_free(&def);
}

void events_start(void)
{
	__do_close int fd = openat(tree.tree_fd, "events", O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct tree_names names;

	if (fd < 0 || tree_list(fd, false, &names))
		return;
	pthread_mutex_lock(&events.lock);
	for (size_t i = 0; i < names.n; i++) {
		__do_close int dir =
			openat(fd, names.v[i].name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (dir < 0 || fstatat(dir, "", &st, AT_EMPTY_PATH))
			continue;
		if (has_file(dir, DEF_FILE)) {
			start_again(dir, st.st_ino, names.v[i].name);
		} else { /* between rm and rmdir */
			attach_link(dir, NULL);
			tree_remove_hidden(dir);
			unlinkat(fd, names.v[i].name, AT_REMOVEDIR);
		}
	}
	pthread_mutex_unlock(&events.lock);
	tree_names_free(&names);
}

void events_stop(void)
{
	pthread_mutex_lock(&events.lock);
	while (events.dirs)
		__forget(events.dirs->ino);
	pthread_mutex_unlock(&events.lock);
}
