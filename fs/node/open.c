/*
 * open.c - what a kind keeps in an open file: memory, its opener's groups, a value being written
 */
#include "fs/node/open.h"
#include "fs/keeper/records.h"
#include "fs/lib/write_buffer.h"
#include "fs/node/request.h"

#include <fcntl.h>
#include <stdlib.h>

/*
 * What is as small is bounded by the number of open files: also at the limit M/log can be read, and
 * a number written.
 */
#define HELD_ANYWAY (64u << 10)

/* More than there is room for are none after a takeover: fewer rights, never others. */
static void record_groups(struct open_record *r, const struct fs_groups *groups)
{
	if (!r || groups->nr > RECORD_GROUPS)
		return;
	memcpy(r->groups, groups->gid, groups->nr * sizeof(gid_t));
	r->nr_groups = groups->nr;
}

static struct fs_groups *recorded_groups(const struct open_record *r)
{
	u32 nr = min(r->nr_groups, (u32)RECORD_GROUPS);
	struct fs_groups *groups = malloc(sizeof(*groups) + nr * sizeof(gid_t));

	if (!groups)
		return NULL;
	groups->nr = nr;
	memcpy(groups->gid, r->groups, nr * sizeof(gid_t));
	return groups;
}

int fs_open_keep_groups(struct fs_open *open, struct fs_req *req)
{
	if (!req->cred.uid || open->groups) /* uid 0 needs none */
		return 0;
	open->groups = req->again ? recorded_groups(open->record) : perm_groups(&req->cred);
	if (!open->groups)
		return -ENOMEM;
	open->opener.groups = open->groups;
	if (!req->again)
		record_groups(open->record, open->groups);
	return 0;
}

int fs_open_hold(struct fs_open *open, u64 bytes, struct error_record *why)
{
	u64 held = __atomic_add_fetch(&open->held, bytes, __ATOMIC_RELAXED);
	int err = 0;

	if (held <= HELD_ANYWAY)
		limits_charge_anyway(open->opener.uid, LIMIT_MEMORY, bytes);
	else
		err = limits_charge(open->opener.uid, LIMIT_MEMORY, bytes, why);
	if (err)
		__atomic_fetch_sub(&open->held, bytes, __ATOMIC_RELAXED);
	return err;
}

void fs_open_let(struct fs_open *open, u64 bytes)
{
	__atomic_fetch_sub(&open->held, bytes, __ATOMIC_RELAXED);
	limits_uncharge(open->opener.uid, LIMIT_MEMORY, bytes);
}

int fs_open_buffer(struct fs_open *open, struct fs_req *req, struct write_buffer *p,
		   const char *data, size_t len, off_t off, bool append, size_t max)
{
	size_t had = p->cap, cap = len <= max ? write_buffer_cap(p, len) : had;
	int err = fs_open_hold(open, cap - had, fs_why(req));

	if (err)
		return err;
	err = write_buffer_add(p, data, len, off, append, max, fs_why(req));
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

int fs_value_await(struct write_buffer *p, struct fs_req *req, bool ended)
{
	p->incomplete = !ended || write_buffer_blank(p);
	if (p->incomplete)
		return 0;
	write_buffer_drop(p, p->len);
	return fs_error(req, EINVAL, "the value is not complete: nothing was changed");
}

void fs_value_release(struct fs_open *open)
{
	write_buffer_free(open->priv);
	free(open->priv);
}

void fs_buffer_keep(const struct write_buffer *p, struct kept *kept, u32 first)
{
	kept->lost |= !write_buffer_keep(p, kept->v + first);
}

/* Without memory it is as if nothing had been written. */
void fs_buffer_restore(struct fs_open *open, struct write_buffer *p, const struct kept *kept,
		       u32 first)
{
	if (!write_buffer_restore(p, kept->v + first))
		fs_open_hold(open, p->cap, NULL);
}

#define KEPT_FLAGS (WRITE_BUFFER_WORDS + 1)

void fs_value_keep(struct fs_open *open, struct kept *kept)
{
	fs_buffer_keep(open->priv, kept, 0);
	kept->v[KEPT_FLAGS] = (u64)READ_ONCE(open->flags) & O_EXCL;
}

/* An exclusive create was used up by the first value. */
void fs_value_restore(struct fs_open *open, const struct kept *kept)
{
	fs_buffer_restore(open, open->priv, kept, 0);
	open->flags &= ~O_EXCL | (int)kept->v[KEPT_FLAGS];
}
