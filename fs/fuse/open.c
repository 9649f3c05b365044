/*
 * open.c - an open file: made, read, written, released
 *
 * Every open file is in one list, so that the server can end those that clients still had when it
 * stops.
 */
#include "fs/fuse/fuse.h"
#include "fs/fuse/open.h"
#include "fs/caller/limits.h"
#include "fs/lib/metrics.h"
#include "fs/caller/caller.h"
#include "fs/lib/write_buffer.h"

#include <fcntl.h>

/*
 * What is as small is bounded by the number of open files: also at the limit M/log can be read, and
 * a number written.
 */
#define HELD_ANYWAY (64u << 10)
#define TEXT_FREE   4096

static struct {
	pthread_mutex_t lock;
	struct fs_open *first;
} opens = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void opens_add(struct fs_open *open)
{
	pthread_mutex_lock(&opens.lock);
	open->next = opens.first;
	open->pprev = &opens.first;
	if (open->next)
		open->next->pprev = &open->next;
	opens.first = open;
	pthread_mutex_unlock(&opens.lock);
	fs_count(opens);
}

static void opens_remove(struct fs_open *open)
{
	pthread_mutex_lock(&opens.lock);
	*open->pprev = open->next;
	if (open->next)
		open->next->pprev = open->pprev;
	pthread_mutex_unlock(&opens.lock);
	fs_uncount(opens);
}

/* Whose groups were not kept has none beyond its gid: never those of who calls later. */
static const struct fs_groups no_groups;

int fs_open_keep_groups(struct fs_open *open, struct fs_req *req)
{
	if (!req->cred.uid || open->groups) /* uid 0 needs none */
		return 0;
	open->groups = perm_groups(&req->cred);
	if (!open->groups)
		return -ENOMEM;
	open->opener.groups = open->groups;
	return 0;
}

int fs_open_hold(struct fs_open *open, u64 bytes)
{
	u64 held = __atomic_add_fetch(&open->held, bytes, __ATOMIC_RELAXED);
	int err = 0;

	if (held <= HELD_ANYWAY)
		limits_charge_anyway(open->opener.uid, LIMIT_MEMORY, bytes);
	else
		err = limits_charge(open->opener.uid, LIMIT_MEMORY, bytes);
	if (err)
		__atomic_fetch_sub(&open->held, bytes, __ATOMIC_RELAXED);
	return err;
}

void fs_open_let(struct fs_open *open, u64 bytes)
{
	__atomic_fetch_sub(&open->held, bytes, __ATOMIC_RELAXED);
	limits_uncharge(open->opener.uid, LIMIT_MEMORY, bytes);
}

int fs_open_buffer(struct fs_open *open, struct write_buffer *p, const char *data, size_t len,
		   off_t off, bool append, size_t max)
{
	size_t had = p->cap, cap = len <= max ? write_buffer_cap(p, len) : had;
	int err = fs_open_hold(open, cap - had);

	if (err)
		return err;
	err = write_buffer_add(p, data, len, off, append, max);
	fs_open_let(open, cap - p->cap); /* it was refused, or began anew */
	return err;
}

int fs_value_open(struct fs_open *open, struct fs_req *req)
{
	open->priv = calloc(1, sizeof(struct write_buffer));
	return open->priv ? 0 : -ENOMEM;
}

int fs_value_flush(struct fs_open *open, struct fs_req *req)
{
	const struct write_buffer *p = open->priv;

	if (!p->incomplete || write_buffer_blank(p))
		return 0;
	return fs_error(req, EINVAL, "the value is not complete: nothing was changed");
}

void fs_value_release(struct fs_open *open)
{
	write_buffer_free(open->priv);
	free(open->priv);
}

int fs_open_new(struct fs_req *req, struct fs_node *node, struct fuse_file_info *fi, bool created)
{
	struct fs_open *open;
	int err = limits_charge(req->cred.uid, LIMIT_FILES, 1);

	if (err)
		return err;
	open = calloc(1, sizeof(*open));
	if (!open) {
		limits_uncharge(req->cred.uid, LIMIT_FILES, 1);
		return -ENOMEM;
	}
	pthread_mutex_init(&open->lock, NULL);
	pthread_mutex_init(&open->queue_lock, NULL);
	open->node = node;
	open->flags = fi->flags;
	open->opener = req->cred;
	open->opener.groups = &no_groups;
	open->created = created;
	open->slow = node->ops->slow;
	open->queue_tail = &open->queue;
	fs_node_get(node);
	if (node->ops->open)
		err = node->ops->open(open, req);
	if (err) {
		fs_open_let(open, open->held);
		fs_node_put(node);
		pthread_mutex_destroy(&open->lock);
		free(open->groups);
		pthread_mutex_destroy(&open->queue_lock);
		free(open);
		limits_uncharge(req->cred.uid, LIMIT_FILES, 1);
		return err;
	}
	opens_add(open);
	fi->fh = (uintptr_t)open;
	fi->direct_io = !S_ISDIR(node->ops->type);
	return 0;
}

void fs_open_free(struct fs_open *open)
{
	opens_remove(open);
	if (open->node->ops->release)
		open->node->ops->release(open);
	fs_text_free(&open->text);
	fs_open_let(open, open->held);
	fs_node_put(open->node);
	pthread_mutex_destroy(&open->lock);
	pthread_mutex_destroy(&open->queue_lock);
	limits_uncharge(open->opener.uid, LIMIT_FILES, 1);
	free(open->groups);
	free(open);
}

void fs_open_drop_all(void)
{
	while (opens.first)
		fs_open_free(opens.first);
}

/* ---- its kind's handlers */

/*
 * A small text is bounded by the number of open files, and is not charged: reading limits/usage
 * would change it, and tar and rsync say that a file changed while they read it.
 */
static u64 text_bytes(const struct fs_text *text)
{
	return text->cap > TEXT_FREE ? text->cap : 0;
}

static ssize_t text_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	struct fs_text *text = &open->text;
	int err;

	/* Read again from the start, or looked whether there is more: as it is now. */
	if (!open->text_made || !off ||
	    (open->node->ops->appends && off >= 0 && (size_t)off >= text->len)) {
		fs_open_let(open, text_bytes(text));
		fs_text_free(text);
		open->text_made = false;
		text->cancel = &req->cancel;
		err = open->node->ops->show(open->node, req, text);
		text->cancel = NULL;
		if (!err)
			err = text->err;
		if (!err)
			err = fs_open_hold(open, text_bytes(text));
		if (err) {
			fs_text_free(text);
			return err;
		}
		open->text_made = true;
	}
	if (off < 0 || (size_t)off >= text->len)
		return 0;
	len = min(len, text->len - (size_t)off);
	memcpy(buf, text->buf + off, len);
	return len;
}

ssize_t fs_open_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	const struct fs_node_ops *ops = open->node->ops;

	if (ops->read)
		return ops->read(open, req, buf, len, off);
	if (ops->show)
		return text_read(open, req, buf, len, off);
	return fs_error(req, EINVAL, "there is nothing to read here");
}

ssize_t fs_open_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
		      off_t off)
{
	if (!open->node->ops->write)
		return fs_error(req, EPERM, "this file is not written to");
	return open->node->ops->write(open, req, buf, len, off);
}

int fs_open_flush(struct fs_open *open, struct fs_req *req)
{
	return open->node->ops->flush ? open->node->ops->flush(open, req) : 0;
}

bool fs_open_may_wait(const struct fs_open *open)
{
	return open->waitq && !(READ_ONCE(open->flags) & O_NONBLOCK);
}
