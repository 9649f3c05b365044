/*
 * open.c - an open file: made, read, written, released
 *
 * Every open file is in one list, so that the server can end those that clients still had when it
 * stops.
 *
 * With a keeper each has a record too, which the kernel's handle names, and the next server opens
 * the same files again. What a kind's open file needs beyond that (ops->keep) is written after each
 * of its requests, before the answer, and beside what was there before: the first request after a
 * takeover tells whether the last one before it was answered, and so which of the two holds
 * (fs_fuse_begin_open()).
 */
#include "fs/fuse/fuse.h"
#include "fs/fuse/open.h"
#include "fs/fuse/protocol/current.h"
#include "fs/caller/limits.h"
#include "fs/lib/metrics.h"
#include "util/clock.h"
#include "fs/caller/caller.h"
#include "fs/keeper/open_records.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/lib/write_buffer.h"
#include "fs/node/backing.h"

#include <fcntl.h>

/* A text of this size is bounded by the number of open files. */
#define TEXT_FREE 4096

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

/* ---- making and ending */

static struct fs_open **by_place; /* with a keeper */

struct fs_open *fs_open_of(const struct fuse_file_info *fi)
{
	struct open_record *r;

	if (!shared)
		return (struct fs_open *)(uintptr_t)fi->fh;
	r = open_record_of(fi->fh);
	return r ? __atomic_load_n(&by_place[open_record_place(r)], __ATOMIC_ACQUIRE) : NULL;
}

static u64 handle_of(struct fs_open *open)
{
	if (!shared)
		return (uintptr_t)open;
	__atomic_store_n(&by_place[open_record_place(open->record)], open, __ATOMIC_RELEASE);
	return open_record_handle(open->record);
}

/* Without a place the kernel could not name it. */
static int record_open(struct fs_open *open, const struct fs_req *req)
{
	struct open_record *r;

	if (!shared)
		return 0;
	r = open_record_new(req->unique & ~REQUEST_AGAIN);
	if (!r)
		return -ENFILE;
	r->node = open->node->id;
	r->flags = (u32)open->flags;
	r->uid = open->opener.uid;
	r->gid = open->opener.gid;
	r->pid = (u32)open->opener.pid;
	r->created = open->created;
	if (!S_ISDIR(open->node->ops->type))
		r->object = fs_backing.object_of ? fs_backing.object_of(open->node) : 0;
	open->record = r;
	return 0;
}

static void forget_record(struct fs_open *open)
{
	struct open_record *r = open->record;

	if (!r)
		return;
	__atomic_store_n(&by_place[open_record_place(r)], NULL, __ATOMIC_RELEASE);
	open_record_end(r);
}

/* Whose groups were not kept has none beyond its gid: never those of who calls later. */
static const struct fs_groups no_groups;

static struct fs_open *open_alloc(struct fs_node *node, const struct fs_cred *cred, int flags,
				  bool created)
{
	struct fs_open *open = calloc(1, sizeof(*open));

	if (!open)
		return NULL;
	pthread_mutex_init(&open->lock, NULL);
	pthread_mutex_init(&open->queue_lock, NULL);
	open->node = node;
	open->flags = flags;
	open->opener = *cred;
	open->opener.groups = &no_groups;
	open->created = created;
	open->slow = node->ops->slow;
	open->queue_tail = &open->queue;
	fs_node_get(node);
	return open;
}

/* What the last server's kept beside the object that it shows, in either of its records. */
static void hold_kept(struct fs_open *open)
{
	for (u32 i = 0; i < ARRAY_SIZE(open->kept_objects); i++) {
		const struct kept *kept = &open->record->kept[i];

		if (kept->valid && kept->object && fs_backing.hold)
			open->kept_objects[i] = fs_backing.hold(kept->object);
	}
}

static void let_kept(void *objects[2])
{
	for (u32 i = 0; i < 2; i++)
		if (objects[i])
			fs_backing.let(objects[i]);
}

/* Of one that nobody knows yet, or any more. */
static void open_destroy(struct fs_open *open)
{
	let_kept(open->kept_objects);
	fs_open_let(open, open->held);
	fs_node_put(open->node);
	pthread_mutex_destroy(&open->lock);
	pthread_mutex_destroy(&open->queue_lock);
	limits_uncharge(open->opener.uid, LIMIT_FILES, 1);
	free(open->groups);
	free(open);
}

int fs_open_new(struct fs_req *req, struct fs_node *node, struct fuse_file_info *fi, bool created)
{
	struct fs_open *open;
	int err = limits_charge(req->cred.uid, LIMIT_FILES, 1, fs_why(req));

	if (err)
		return err;
	open = open_alloc(node, &req->cred, fi->flags, created);
	if (!open) {
		limits_uncharge(req->cred.uid, LIMIT_FILES, 1);
		return -ENOMEM;
	}
	err = record_open(open, req);
	if (!err && node->ops->open)
		err = node->ops->open(open, req);
	if (err) {
		forget_record(open);
		open_destroy(open);
		return err;
	}
	opens_add(open);
	fi->fh = handle_of(open);
	if (open->record)
		open_record_valid(open->record);
	fi->direct_io = !S_ISDIR(node->ops->type);
	/* Then close(2) has nothing to ask us, and costs no round trip. */
	fi->noflush = !node->ops->flush && !node->ops->slow_flush && !fs_backing.closed;
	return 0;
}

void fs_open_free(struct fs_open *open)
{
	opens_remove(open);
	forget_record(open);
	if (open->node->ops->release && open->lost != OPEN_NOT_OPENED)
		open->node->ops->release(open);
	fs_text_free(&open->text);
	open_destroy(open);
}

/* ---- a takeover */

static void restore(struct open_record *r, u32 place)
{
	struct fs_cred cred = {.uid = r->uid, .gid = r->gid, .pid = (pid_t)r->pid};
	struct fs_req req = {.cred = cred, .op = "open", .again = true};
	struct fs_node *node = fs_node_find(r->node);
	struct fs_open *open = node ? open_alloc(node, &cred, (int)r->flags, r->created != 0)
				    : NULL;
	bool shown;
	int err = 0;

	fs_node_put(node);
	if (!open) { /* its calls are EIO */
		open_record_end(r);
		return;
	}
	limits_charge_anyway(cred.uid, LIMIT_FILES, 1);
	req.node = node;
	open->record = r;
	shown = r->object && fs_backing.restored_open(node, r->object);
	if (node->ops->open)
		err = node->ops->open(open, &req);
	if (shown)
		fs_backing.restored_open(node, 0);
	if (err) {
		fs_error(&req, err, "%s", strerror(-err));
		fs_error_report(&req);
	}
	error_clear(&req.error);
	fs_node_unpin();
	open->lost = err ? OPEN_NOT_OPENED : OPEN_FOUND;
	open->restored = true;
	hold_kept(open);
	opens_add(open);
	__atomic_store_n(&by_place[place], open, __ATOMIC_RELEASE);
}

int fs_opens_restore(void)
{
	if (!shared)
		return 0;
	by_place = calloc(shared_table_max(SHARED_OPENS), sizeof(struct fs_open *));
	if (!by_place)
		return -ENOMEM;
	for (u32 i = 0; shared_taking_over() && i < open_records_high(); i++) {
		struct open_record *r = open_record_at(i);

		if (!r)
			continue;
		/* The request that made it will make it again. */
		if (r->closed || requests_pending(r->made_by))
			open_record_end(r);
		else
			restore(r, i);
	}
	return 0;
}

/* Before the first request of one that outlived a server: -EIO when what it held is lost. */
static int recover_content(struct fs_open *open, struct fs_req *req)
{
	struct open_record *r = open->record;
	u64 unique = req->unique & ~REQUEST_AGAIN;
	void *objects[2] = {NULL, NULL};
	int err = 0;

	pthread_mutex_lock(&open->lock);
	if (open->lost == OPEN_NOT_OPENED) {
		err = fs_error(req, EIO,
			       "the server was replaced, and this open file could not be opened "
			       "again: open it anew");
	} else if (open->restored) {
		const struct kept *kept = &r->kept[r->latest & 1];

		if (kept->by == unique) /* not answered: as before it */
			kept = &r->kept[~r->latest & 1];
		if (kept->valid && kept->lost)
			err = fs_error(req, EIO,
				       "the server was replaced, and what this open file held was "
				       "lost: begin again");
		else if (kept->valid && open->node->ops->restore)
			open->node->ops->restore(open, kept);
		memcpy(objects, open->kept_objects, sizeof(objects));
		memset(open->kept_objects, 0, sizeof(open->kept_objects));
		WRITE_ONCE(open->restored, false);
	}
	pthread_mutex_unlock(&open->lock);
	let_kept(objects);
	return err;
}

struct fs_open *fs_fuse_begin_open(fuse_req_t fuse, const struct fuse_file_info *fi, const char *op,
				   struct fs_req *req)
{
	struct fs_open *open = fs_open_of(fi);
	int err;

	fs_count(requests);
	memset(req, 0, sizeof(*req));
	req->unique = current_request();
	req->op = op;
	req->began = op ? monotonic_ns() : 0;
	if (!open) {
		fuse_reply_err(fuse, EIO);
		return NULL;
	}
	req->cred = open->opener;
	req->cred.pid = fuse_req_ctx(fuse)->pid;
	req->node = open->node;
	if (READ_ONCE(open->restored)) {
		err = recover_content(open, req);
		if (err) {
			fuse_reply_err(fuse, fs_fuse_error(req, err));
			fs_fuse_end_open(req);
			return NULL;
		}
	}
	return open;
}

void fs_open_keep(struct fs_open *open, struct fs_req *req)
{
	struct open_record *r = open->record;
	u64 unique = req->unique & ~REQUEST_AGAIN;
	struct kept kept = {.valid = 1}, *latest;
	u32 to;

	if (!r || !unique || !open->node->ops->keep)
		return;
	open->node->ops->keep(open, &kept);
	pthread_mutex_lock(&open->queue_lock); /* ioctls are beside each other */
	latest = &r->kept[r->latest & 1];
	to = latest->by == unique ? r->latest & 1 : ~r->latest & 1;
	kept.by = latest->by;
	if (memcmp(&kept, latest, sizeof(kept))) {
		kept.by = unique;
		r->kept[to] = kept;
		__atomic_store_n(&r->latest, to, __ATOMIC_RELEASE);
	}
	pthread_mutex_unlock(&open->queue_lock);
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
			err = fs_open_hold(open, text_bytes(text), fs_why(req));
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

	ssize_t n;

	if (ops->takes) {
		requests_keep(req->unique);
		WRITE_ONCE(open->changed, true);
	}
	if (ops->read)
		n = ops->read(open, req, buf, len, off);
	else if (ops->show)
		n = text_read(open, req, buf, len, off);
	else
		n = 0; /* for writing, or for ioctls: who copies or searches all of M gets on */
	fs_open_keep(open, req);
	return n;
}

ssize_t fs_open_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
		      off_t off)
{
	ssize_t n;

	if (!open->node->ops->write)
		return fs_error(req, EPERM, "this file is not written to");
	n = open->node->ops->write(open, req, buf, len, off);
	WRITE_ONCE(open->changed, true);
	fs_open_keep(open, req);
	return n;
}

int fs_open_flush(struct fs_open *open, struct fs_req *req)
{
	int err = open->node->ops->flush ? open->node->ops->flush(open, req) : 0;

	fs_open_keep(open, req);
	return err;
}

bool fs_open_close_waits(const struct fs_open *open)
{
	return fs_backing.closed && READ_ONCE(open->changed);
}

bool fs_open_may_wait(const struct fs_open *open)
{
	return open->waitq && !(READ_ONCE(open->flags) & O_NONBLOCK);
}
