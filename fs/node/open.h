/*
 * open.h - an open file, and what a kind keeps in it
 */
#ifndef UBPFFS_FS_NODE_OPEN_H
#define UBPFFS_FS_NODE_OPEN_H

#include "text/text.h"
#include "fs/node/request.h"

struct fs_node;
struct fs_job;
struct kept;
struct open_record;
struct write_buffer;

/* One open file description. `priv` is the kind's; release frees it. */
struct fs_open {
	struct fs_node *node;
	int flags; /* O_ACCMODE, O_NONBLOCK, O_EXCL, O_APPEND */
	struct fs_cred opener; /* who opened: permissions are checked against it */
	struct fs_groups *groups; /* its supplementary groups, when they were kept */
	bool created; /* by ops->create in the same call */
	bool slow; /* its reads and writes belong on a worker: ops->slow, or set by ops->open */
	struct fs_text text; /* for ops->show: the content, made by a read at offset 0 */
	bool text_made;
	struct fs_waitq *waitq; /* where -EAGAIN parks; set by ops->open */
	int backing_id; /* what mmap reaches (passthrough.h), 0: nothing; set by ops->open */
	void *priv;
	u64 held; /* bytes: fs_open_hold() */
	struct open_record *record; /* with a keeper */
	bool changed; /* something may have been, through it: what its close waits for */
	bool restored; /* of the last server's, and not used since: fs_fuse_begin_open() */
	void *kept_objects[2]; /* while it is: fs_backing.hold() */
	enum { OPEN_FOUND, OPEN_NOT_OPENED } lost;

	pthread_mutex_t
		lock; /* of open.c and fuse/deferred.c, from here on; held while a handler runs */
	struct fs_open *next, **pprev; /* all of them */
	pthread_mutex_t queue_lock; /* never for long */
	bool busy; /* a job of the queue is under way */
	struct fs_job *queue, **queue_tail;
};

/*
 * For ops->open of files through which a client names something: keep the opener's supplementary
 * groups, which cannot be asked for later. Without, only its uid and gid count.
 */
int fs_open_keep_groups(struct fs_open *open, struct fs_req *req);

/*
 * Memory that an open file keeps between two requests, and that its client chooses the size of, is
 * charged to its opener before it is allocated: 0, or -EDQUOT and why. A few KiB are never refused.
 * What is still held at the release is given back there.
 */
int fs_open_hold(struct fs_open *open, u64 bytes, struct error_record *why);
void fs_open_let(struct fs_open *open, u64 bytes);
/* write_buffer_add(), charged. */
int fs_open_buffer(struct fs_open *open, struct fs_req *req, struct write_buffer *p,
		   const char *data, size_t len, off_t off, bool append, size_t max);

/*
 * Handlers of a file that takes one value as text: open->priv is a struct write_buffer. A close is
 * -EINVAL while what was written is only the beginning of a value: ops->write sets `incomplete`.
 */
int fs_value_open(struct fs_open *open, struct fs_req *req);
int fs_value_flush(struct fs_open *open, struct fs_req *req);
/*
 * What is waiting is the beginning of a value only: await the rest (0), or, when it was ended,
 * forget it (-EINVAL). Many shells lose the error of a close, so no write leaves one to it that can
 * have it.
 */
int fs_value_await(struct write_buffer *p, struct fs_req *req, bool ended);
void fs_value_release(struct fs_open *open);
void fs_value_keep(struct fs_open *open, struct kept *kept);
void fs_value_restore(struct fs_open *open, const struct kept *kept);
/* The same of a write buffer among other things: its words begin at kept->v[first]. */
void fs_buffer_keep(const struct write_buffer *p, struct kept *kept, u32 first);
void fs_buffer_restore(struct fs_open *open, struct write_buffer *p, const struct kept *kept,
		       u32 first);

#endif
