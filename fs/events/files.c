/*
 * files.c - what a client writes and reads in a source's directory: attributes, attach, stats
 *
 * The write that completes the definition starts the source: the attribute written last, or the
 * program's attachment.
 *
 * Rights: a source acts with the rights of its directory's owner, also after a restart. So only the
 * owner, or root on the owner's behalf, may write attributes or attach, whatever the bits say:
 * nobody lends his rights to another's file.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "fs/events/definition.h"
#include "fs/events/files.h"
#include "fs/events/running.h"
#include "fs/lib/write_buffer.h"
#include "fs/store/resolve.h"
#include "text/value_text.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/objects/asleep.h"

/* ---- a write that starts the source: it is answered when that has worked, or not */

struct starter {
	struct fs_req *req;
	struct fs_node *dir;
	struct write_buffer *buffer; /* of the open: dropped if it fails */
	size_t len; /* of the write */
	struct source_def def; /* to be kept: an attribute was written */
	struct store_object *obj; /* to be kept, or NULL: a program was attached */
};

static void starter_free(struct starter *s)
{
	source_def_free(&s->def);
	store_put(s->obj);
	free(s);
}

static void start_cancel(void *start)
{
	event_run_cancel(start);
}

static void start_done(void *arg, int err, const struct error_record *why)
{
	struct starter *s = arg;

	if (err == -ECANCELED && fs_cancelled(s->req))
		err = -EINTR;
	if (err) {
		fs_error(s->req, -err, "%s", error_why(why, err));
		write_buffer_drop(s->buffer, s->buffer->len);
	} else {
		err = fs_node_pin(s->dir);
		tree_wrlock();
		if (!err)
			err = s->obj ? event_attach_link(fs_node_fd(s->dir), s->obj, fs_why(s->req))
				     : event_def_write(fs_node_fd(s->dir), &s->def, fs_why(s->req));
		tree_unlock();
		fs_node_unpin();
		if (err) /* it is all or nothing */
			event_run_stop(s->dir->ino);
	}
	fs_finish(s->req, err ? err : (ssize_t)s->len);
	starter_free(s);
}

/* event_run_lock() held. FS_LATER, or -errno. obj: the program is new, else the definition is. */
static int __start(struct fs_open *open, struct fs_req *req, size_t len,
		   const struct source_def *def, struct bpf_prog *prog, struct store_object *obj)
{
	struct starter *s = calloc(1, sizeof(*s));
	struct event_start *start;
	int err;

	if (!s || source_def_copy(&s->def, def)) {
		free(s);
		return -ENOMEM;
	}
	s->req = req;
	s->dir = fs_node_base(open->node);
	s->buffer = open->priv;
	s->len = len;
	if (obj) {
		store_get(obj);
		s->obj = obj;
	}
	err = event_run_start(s->dir->ino, fs_node_fd(s->dir), def, prog, false, 0, start_done, s,
			      &start, fs_why(req));
	if (err) {
		starter_free(s);
		return err;
	}
	fs_later(req, start_cancel, start);
	return FS_LATER;
}

static int refuse_starting(struct fs_req *req)
{
	return fs_error(req, EBUSY,
			"the source is being started, which waits for what it names: echo > attach "
			"stops it");
}

/* ---- attributes */

static int attr_open(struct fs_open *open, struct fs_req *req)
{
	int err = fs_open_keep_groups(open, req); /* attach names a program */

	return err ? err : fs_value_open(open, req);
}

static int attr_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	enum source_attr attr = node->attr->arg;
	struct source_def def;
	int err = event_def_read(fs_node_fd(fs_node_base(node)), &def);

	if (err)
		return err;
	if (def.value[attr])
		fs_text_printf(out, "%s\n", def.value[attr]);
	source_def_free(&def);
	return 0;
}

/*
 * Only the owner of the source, and root for it, may say what it does: it acts with the owner's
 * rights.
 */
static int check_owner(struct fs_node *dir, struct fs_req *req)
{
	struct stat st;

	if (fstatat(fs_node_fd(dir), "", &st, AT_EMPTY_PATH))
		return -errno;
	if (!req->cred.uid || req->cred.uid == st.st_uid)
		return 0;
	return fs_error(
		req, EPERM,
		"an event source acts with the rights of its owner (uid %u): only that user "
		"may set it up",
		st.st_uid);
}

/*
 * event_run_lock() held: a new value (NULL: none) for one attribute; it may be the one that starts
 * the source: FS_LATER.
 */
static int __attr_set(struct fs_open *open, struct fs_req *req, size_t len, const char *value)
{
	struct fs_node *dir = fs_node_base(open->node);
	enum source_attr attr = open->node->attr->arg;
	struct store_object *obj = NULL;
	struct source_def def;
	int err = event_def_read(fs_node_fd(dir), &def);

	if (err)
		return err;
	if (attr == SOURCE_TYPE && def.value[SOURCE_TYPE] && value &&
	    strcmp(def.value[SOURCE_TYPE], value))
		err = fs_error(req, EBUSY, "the type is fixed: make another source");
	else if (attr != SOURCE_TYPE && !def.value[SOURCE_TYPE])
		err = fs_error(req, EINVAL,
			       "the type comes first: echo perf > type (or pcap, timer)");
	else if (event_starting(dir->ino))
		err = refuse_starting(req);
	else if (event_running(dir->ino))
		err = fs_error(req, EBUSY,
			       "the source is running and its attributes are fixed: stop it first "
			       "(echo > attach)");
	if (!err)
		err = source_def_set(&def, attr, value);
	if (!err && !event_missing(&def) && !event_attached(fs_node_fd(dir), &obj)) {
		err = obj->prog ? __start(open, req, len, &def, obj->prog, NULL)
				: fs_error(req, EBADMSG, "the attached program is broken");
		store_put(obj);
	}
	if (!err) {
		tree_wrlock();
		err = event_def_write(fs_node_fd(dir), &def, fs_why(req));
		tree_unlock();
		if (err && obj)
			event_run_forget(dir->ino);
	}
	source_def_free(&def);
	return err;
}

/* What may have to be started is awake before the lock is taken. */
static int wake_attached(struct fs_node *dir)
{
	struct store_object *obj;
	int err = event_attached(fs_node_fd(dir), &obj);

	if (err)
		return 0; /* whoever needs it says so */
	err = store_wake(obj);
	store_put(obj);
	return err;
}

static ssize_t attr_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	struct fs_node *dir = fs_node_base(open->node);
	enum source_attr attr = open->node->attr->arg;
	char value[SOURCE_VALUE_MAX + 1];
	struct write_buffer *p = open->priv;
	struct source_def def;
	size_t n, skip;
	bool line, ended;
	int ret;

	if (!len)
		return 0;
	ret = check_owner(dir, req);
	if (!ret)
		ret = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND,
				     SOURCE_VALUE_MAX);
	if (ret)
		return ret;
	line = p->buf[p->len - 1] == '\n';
	ended = write_buffer_ended(p, len, false);
	for (n = p->len; n && text_is_blank(p->buf[n - 1]); n--)
		;
	for (skip = 0; skip < n && text_is_blank(p->buf[skip]); skip++)
		;
	if (memchr(p->buf, 0, p->len) || memchr(p->buf + skip, '\n', n - skip)) {
		write_buffer_drop(p, p->len);
		return fs_error(req, EINVAL, "%s takes one line", source_attr_name(attr));
	}
	snprintf(value, sizeof(value), "%.*s", (int)(n - skip), p->buf + skip);
	if (!value[0] && !line)
		return (ssize_t)len;
	ret = wake_attached(dir);
	if (ret)
		return ret;
	event_run_lock();
	ret = event_def_read(fs_node_fd(dir), &def);
	if (!ret) {
		ret = value[0] ? source_check(&def, attr, value, fs_why(req)) : 1;
		source_def_free(&def);
		if (!ret && ended)
			ret = fs_error(req, EINVAL, "%s: that is not all of a value", value);
		else if (ret > 0)
			ret = __attr_set(open, req, len, value[0] ? value : NULL);
		else
			p->incomplete = true;
	}
	if (line || (ret < 0 && ret != FS_LATER))
		write_buffer_drop(p, p->len);
	event_run_unlock(); /* from here on a request that is answered later may be gone */
	return ret < 0 ? ret : (ssize_t)len;
}

const struct fs_node_ops event_attr_ops = {
	.name = "source attribute",
	.type = S_IFREG,
	.slow = true,
	.short_show = true,
	.open = attr_open,
	.show = attr_show,
	.write = attr_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};

/* ---- attach */

/* The program's name when it has one in progs/, else its id. */
static int attach_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	struct fs_node *dir = fs_node_base(node);
	struct store_object *obj;
	char path[128];
	struct stat st;
	int err = event_attached(fs_node_fd(dir), &obj);

	if (err)
		return err == -ENOENT ? 0 : err;
	snprintf(path, sizeof(path), "progs/%s/prog", store_name(obj));
	if (!fstatat(tree.tree_fd, path, &st, AT_SYMLINK_NOFOLLOW) && st.st_ino == obj->ino)
		fs_text_printf(out, "%s\n", store_name(obj));
	else
		fs_text_printf(out, "%u\n", obj->id);
	store_put(obj);
	return 0;
}

static int __detach(struct fs_node *dir, struct fs_req *req)
{
	int err;

	event_run_stop(dir->ino);
	tree_wrlock();
	err = event_attach_link(fs_node_fd(dir), NULL, fs_why(req));
	tree_unlock();
	return err;
}

/*
 * event_run_lock() held. A running source goes on with the new program, without a gap; else this
 * may start it: FS_LATER.
 */
static int __attach(struct fs_open *open, struct fs_req *req, size_t len,
		    const struct source_def *def, struct store_object *obj)
{
	struct fs_node *dir = fs_node_base(open->node);
	int err;

	if (event_starting(dir->ino))
		return refuse_starting(req);
	if (!event_run_replace(dir->ino, obj->prog) && !event_missing(def))
		return __start(open, req, len, def, obj->prog, obj);
	tree_wrlock();
	err = event_attach_link(fs_node_fd(dir), obj, fs_why(req));
	tree_unlock();
	return err;
}

/* event_run_lock() held. */
static int __attach_set(struct fs_open *open, struct fs_req *req, size_t len, const char *name,
			struct store_object *obj)
{
	struct fs_node *dir = fs_node_base(open->node);
	const struct source_kind *kind;
	struct source_def def;
	int err;

	if (!obj)
		return __detach(dir, req);
	err = event_def_read(fs_node_fd(dir), &def);
	if (err)
		return err;
	kind = source_kind_of(&def);
	if (!kind)
		err = fs_error(req, EINVAL,
			       "the type comes first: echo perf > type (or pcap, timer)");
	else if (!kind->accepts(obj->prog->type))
		err = fs_error(req, EINVAL, "%s is a %s program: a %s source runs %s", name,
			       bpf_prog_type_name(obj->prog->type), kind->name, kind->accepted);
	else
		err = __attach(open, req, len, &def, obj);
	source_def_free(&def);
	return err;
}

static ssize_t attach_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			    off_t off)
{
	struct fs_node *dir = fs_node_base(open->node);
	struct write_buffer *p = open->priv;
	struct store_object *obj = NULL;
	char name[PATH_MAX];
	size_t n;
	bool line;
	int ret;

	if (!len)
		return 0;
	ret = check_owner(dir, req);
	if (!ret)
		ret = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND,
				     sizeof(name) - 1);
	if (ret)
		return ret;
	line = p->buf[p->len - 1] == '\n';
	for (n = p->len; n && text_is_blank(p->buf[n - 1]); n--)
		;
	if (memchr(p->buf, 0, n)) {
		write_buffer_drop(p, p->len);
		return fs_error(req, EINVAL, "a name holds no NUL");
	}
	snprintf(name, sizeof(name), "%.*s", (int)n, p->buf);
	if (!n && !line)
		return (ssize_t)len;
	ret = n ? resolve_object(req, STORE_PROG, name, RESOLVE_USE, &obj) : 0;
	event_run_lock();
	if (!ret)
		ret = __attach_set(open, req, len, name, obj);
	if (line || (ret && ret != FS_LATER))
		write_buffer_drop(p, p->len);
	event_run_unlock(); /* from here on a request that is answered later may be gone */
	store_put(obj);
	return ret ? ret : (ssize_t)len;
}

const struct fs_node_ops event_attach_ops = {
	.fresh = true, /* a write may wait for long, and another one gives the start up */
	.name = "attach",
	.type = S_IFREG,
	.slow = true,
	.short_show = true,
	.open = attr_open,
	.show = attach_show,
	.write = attach_write,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};

/* ---- stats */

static int stats_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	static const char *const states[] = {"stopped", "starting", "running", "ended", "failed"};
	struct fs_node *dir = fs_node_base(node);
	struct source_stats stats = {0};
	const char *lacks, *state = "stopped";
	struct error_record why = {0};
	struct source_def def;
	enum source_state now;
	int err;

	event_run_lock();
	err = event_def_read(fs_node_fd(dir), &def);
	if (event_run_state(dir->ino, &now, &stats, &why))
		state = states[now];
	else if (event_ended(fs_node_fd(dir)) > 0)
		state = "ended";
	event_run_unlock();
	if (err)
		goto out;
	fs_text_printf(out, "state: %s\n", state);
	lacks = event_missing(&def);
	if (lacks)
		fs_text_printf(out, "missing: %s\n", lacks);
	else if (!event_has_attached(fs_node_fd(dir)))
		fs_text_printf(out, "missing: attach\n");
	if (why.err)
		fs_text_printf(out, "why: %s\n", error_why(&why, why.err));
	fs_text_printf(out,
		       "seen: %llu\nrun: %llu\ndropped: %llu\nredirected: %llu\nlost: "
		       "%llu\nerrors: %llu\n",
		       (unsigned long long)stats.seen, (unsigned long long)stats.run,
		       (unsigned long long)stats.dropped, (unsigned long long)stats.redirected,
		       (unsigned long long)stats.lost, (unsigned long long)stats.errors);
	source_def_free(&def);
out:
	error_clear(&why);
	return err;
}

const struct fs_node_ops event_stats_ops = {
	.name = "source stats",
	.type = S_IFREG,
	.slow = true, /* it may wait for a source that is being started */
	.short_show = true,
	.show = stats_show,
};
