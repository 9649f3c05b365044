/*
 * ops.c - FUSE callbacks about names and attributes: each finds its node, calls its kind, replies
 *
 * The kernel caches nothing (timeouts are 0) but the directories that only it changes
 * (ops->stable): names elsewhere appear and go by loads and by other clients' last closes. The
 * kernel checks permissions (default_permissions) against the attributes given here.
 */
#include "fs/lib/reopen.h"
#include "fs/node/tree_stat.h"
#include "fs/keeper/requests.h"
#include "fs/keeper/shared.h"
#include "fs/node/backing.h"
#include "fs/fuse/open.h"
#include "fs/fuse/io.h"
#include "fs/fuse/fuse.h"
#include "fs/lib/metrics.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <time.h>

/* Callbacks that change something are logged when they fail; lookups and stats are not. */
#define QUIET NULL

static void reply_done(fuse_req_t fuse, struct fs_req *req, int err)
{
	err = (int)fs_fuse_settle(req, err);
	fuse_reply_err(fuse, fs_fuse_error(req, err));
	fs_fuse_end(req);
}

/* Of what changes something: its directory's descriptor is there before anything is done. */
static bool change_begin(fuse_req_t fuse, fuse_ino_t ino, const char *op, const char *name,
			 struct fs_req *req)
{
	int err;

	if (!fs_fuse_begin(fuse, ino, op, name, req))
		return false;
	err = fs_node_pin(fs_node_base(req->node));
	if (!err)
		return true;
	reply_done(fuse, req, err);
	return false;
}

/*
 * A change of names that a server made and did not live to answer is asked for again. What the name
 * was before it began is noted, so that the second time tells what the first one did: the kernel
 * keeps the directory locked until the answer, and nobody else changes it through the mount.
 */
enum before {
	NOT_BEGUN, /* or not repeated */
	WAS_ABSENT,
	WAS_THERE, /* and which inode it was, above these bits */
	BEFORE_BITS = 2,
};

static u64 name_now(struct fs_req *req)
{
	struct fs_req look = {.cred = req->cred, .node = req->node, .quiet = true};
	struct fs_node *node = NULL;
	u64 now = WAS_ABSENT;

	if (req->node->ops->lookup && !req->node->ops->lookup(req->node, &look, req->name, &node)) {
		now = WAS_THERE | node->ino << BEFORE_BITS;
		fs_node_put(node);
	}
	error_clear(&look.error);
	return now;
}

/* What it was before the server that died began it; noted when this is the first time. */
static u64 change_repeated(struct fs_req *req)
{
	u64 before = req->unique ? requests_intended(req->unique) : NOT_BEGUN;

	if (!before && req->unique)
		requests_intent(req->unique, name_now(req));
	return before;
}

static bool was_there(u64 before)
{
	return (before & ((1u << BEFORE_BITS) - 1)) == WAS_THERE;
}

/* Made by the first time. */
static int made_before(struct fs_req *req, u64 before, int err, struct fs_node **out)
{
	if (err != -EEXIST || before != WAS_ABSENT)
		return err;
	error_clear(&req->error);
	return req->node->ops->lookup(req->node, req, req->name, out);
}

/* Removed by the first time. */
static int removed_before(struct fs_req *req, u64 before, int err)
{
	if (err != -ENOENT || !was_there(before))
		return err;
	error_clear(&req->error);
	return 0;
}

/* The kind has no such change of names. */
static int refused(struct fs_req *req)
{
	return fs_error(req, EPERM,
			"the names in this directory are the filesystem's own, and come and go "
			"with what it shows");
}

static int no_plain_file(struct fs_req *req)
{
	return fs_error(req, EPERM,
			"plain files are not made here: mkdir in maps/ makes a map, writing an "
			"object to progs/new a program, ln a pin");
}

/* ---- attributes */

/*
 * Attributes and keyed nodes: the bits of the object (or, before there is one, of the directory).
 */
static int attr_stat(struct fs_node *node, struct stat *st)
{
	struct fs_node *base = fs_node_base(node), *row = node;
	bool dir = node->ops->type == S_IFDIR;
	mode_t bits;
	int err;

	if (!base->ops->rows_stat || base->ops->rows_stat(base, st)) {
		err = fs_node_tree_stat(base, st);
		if (err)
			return err;
	}
	while (!row->attr && !row->in_tree)
		row = row->dir;
	bits = st->st_mode & 0666;
	if (row->attr)
		bits &= row->attr->mode;
	if (dir) /* who may read or write the entries may reach them */
		bits |= ((bits >> 1) | (bits >> 2)) & 0111;
	if (S_ISLNK(node->ops->type))
		bits = 0777;
	st->st_size = st->st_blocks = 0; /* not the object's */
	st->st_mode = node->ops->type | bits;
	st->st_nlink = 1;
	return 0;
}

/* What was removed while the kernel, an open file or a working directory, still has it. */
static void gone_stat(const struct fs_node *node, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_mode = node->mode;
	st->st_uid = node->uid;
	st->st_gid = node->gid;
	st->st_ino = node->ino;
}

#define LOOK_WORK  (4u << 20) /* bytes and steps: a look must stay cheap */
#define LONG_BOUND (32u << 20) /* no text of a show that is not slow is longer */

/* The length of the very text that a read by this caller would give. 0: it would fail. */
static u64 text_size(struct fs_node *node, const struct fs_req *caller)
{
	struct fs_req req = {.cred = caller->cred, .node = node, .quiet = true};
	struct fs_text text = {.most_work = LOOK_WORK};
	u64 size = 0;

	if (!node->ops->show(node, &req, &text) && !text.err)
		size = text.len;
	else if (text.err == -EFBIG)
		size = LONG_BOUND;
	fs_text_free(&text);
	error_clear(&req.error);
	return size;
}

static u64 file_size(struct fs_node *node, struct fs_req *req)
{
	const struct fs_node_ops *ops = node->ops;
	u64 size = ops->size ? ops->size(node, req) : 0;

	return size || !ops->show || (ops->slow && !ops->short_show) ? size : text_size(node, req);
}

/*
 * What a synthesized file shows changes without the state's file, and that one is written back when
 * nothing has changed: the time is that of the session's start, for as long as the server runs.
 */
static struct timespec begin;

/* What stat(2) shows. */
static int fs_node_stat(struct fs_node *node, struct fs_req *req, struct stat *st)
{
	int err = 0;

	if (__atomic_load_n(&node->gone, __ATOMIC_ACQUIRE)) {
		gone_stat(node, st);
		return node->mode ? 0 : -ESTALE;
	}
	if (node->ops->getattr)
		err = node->ops->getattr(node, st);
	else
		err = node->in_tree ? fs_node_tree_stat(node, st) : attr_stat(node, st);
	if (err)
		return err;
	st->st_ino = node->ino;
	/* not counted: loads make directories that the kernel does not see */
	if (S_ISDIR(st->st_mode))
		st->st_nlink = 1;
	if (S_ISREG(st->st_mode)) {
		st->st_size = (off_t)file_size(node, req);
		st->st_blocks = (st->st_size + 511) / 512;
		if (!node->in_tree)
			st->st_atim = st->st_mtim = st->st_ctim = begin;
	}
	return 0;
}

/*
 * Seconds that the kernel may believe a node's attributes, and its name. Attributes that came with
 * a lookup serve for the permission check that follows it (a moment is rounded up to a tick; 0
 * would make it ask again).
 */
static double attr_timeout(const struct fs_node *node)
{
	/*
	 * A directory of an object comes and goes by loads, but its bits and owner change through
	 * the kernel only.
	 */
	return node->ops->stable || node->ops->object ? 1.0 : 1e-6;
}

static double entry_timeout(const struct fs_node *node)
{
	return node->ops->stable ? 1.0 : 0.0;
}

static void op_getattr(fuse_req_t fuse, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_req req;
	struct stat st;
	int err;

	if (!fs_fuse_begin(fuse, ino, QUIET, NULL, &req))
		return;
	err = fs_node_stat(req.node, &req, &st);
	if (err)
		fuse_reply_err(fuse, fs_fuse_error(&req, err));
	else
		fuse_reply_attr(fuse, &st, attr_timeout(req.node));
	fs_fuse_end(&req);
}

/*
 * A file that the server's own user may not read is changed by its path, which root's server never
 * needs.
 */
static int set_mode(int fd, mode_t mode)
{
	__do_close int again = reopen(fd);
	char self[32];

	if (again >= 0)
		return fchmod(again, mode) ? -errno : 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return errno != EACCES || chmod(self, mode) ? -errno : 0;
}

static int set_times(int fd, const struct timespec ts[2])
{
	__do_close int again = reopen(fd);
	char self[32];

	if (again >= 0)
		return futimens(again, ts) ? -errno : 0;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return errno != EACCES || utimensat(AT_FDCWD, self, ts, 0) ? -errno : 0;
}

static int tree_setattr(struct fs_req *req, const struct stat *attr, int set)
{
	struct fs_node *node = req->node;
	bool dir = S_ISDIR(node->ops->type);
	int err;

	if (set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) {
		uid_t uid = set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1;
		gid_t gid = set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1;

		err = fs_backing.chown(node, uid, gid, fs_why(req));
		if (err)
			return err;
	}
	if (set & FUSE_SET_ATTR_MODE) {
		mode_t mode = attr->st_mode & (dir ? 03777 : 0777);

		err = set_mode(fs_node_fd(node), mode);
		if (err)
			return fs_error(req, -err, "chmod: %s", strerror(-err));
	}
	if (set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)) {
		struct timespec ts[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_nsec = UTIME_OMIT}};

		if (set & FUSE_SET_ATTR_ATIME)
			ts[0] = attr->st_atim;
		if (set & FUSE_SET_ATTR_MTIME)
			ts[1] = attr->st_mtim;
		if (set & FUSE_SET_ATTR_ATIME_NOW)
			ts[0].tv_nsec = UTIME_NOW;
		if (set & FUSE_SET_ATTR_MTIME_NOW)
			ts[1].tv_nsec = UTIME_NOW;
		err = set_times(fs_node_fd(node), ts);
		if (err)
			return err;
	}
	if (fs_backing.changed)
		fs_backing.changed(fs_node_fd(node));
	return 0;
}

/* Sizes are accepted without effect: a shell's `>` truncates before it writes. */
static void op_setattr(fuse_req_t fuse, fuse_ino_t ino, struct stat *attr, int set,
		       struct fuse_file_info *fi)
{
	struct fs_req req;
	struct stat st;
	int err = 0;

	if (!change_begin(fuse, ino, "setattr", NULL, &req))
		return;
	if (req.node->in_tree && !S_ISLNK(req.node->ops->type))
		err = tree_setattr(&req, attr, set);
	else if (req.node->in_tree)
		err = tree_setattr(&req, attr, set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID));
	if (req.node->ops->attr_changed)
		req.node->ops->attr_changed(req.node);
	fs_attrs_changed();
	if (!err)
		err = fs_node_stat(req.node, &req, &st);
	err = (int)fs_fuse_settle(&req, err);
	if (err)
		fuse_reply_err(fuse, fs_fuse_error(&req, err));
	else
		fuse_reply_attr(fuse, &st, attr_timeout(req.node));
	fs_fuse_end(&req);
}

static void op_readlink(fuse_req_t fuse, fuse_ino_t ino)
{
	char target[PATH_MAX];
	struct fs_req req;
	ssize_t n;

	if (!fs_fuse_begin(fuse, ino, QUIET, NULL, &req))
		return;
	if (req.node->ops->readlink) {
		n = req.node->ops->readlink(req.node, &req, target, sizeof(target));
		if (!n)
			n = strlen(target);
	} else {
		n = !req.node->in_tree
			    ? -1
			    : readlinkat(fs_node_fd(req.node), "", target, sizeof(target) - 1);
	}
	if (n < 0) {
		fuse_reply_err(fuse, EINVAL);
	} else {
		target[n] = 0;
		fuse_reply_readlink(fuse, target);
	}
	fs_fuse_end(&req);
}

static void op_statfs(fuse_req_t fuse, fuse_ino_t ino)
{
	struct statvfs sv;

	fs_count(requests);
	if (fstatvfs(fs_backing.root_fd, &sv) < 0)
		fuse_reply_err(fuse, errno);
	else
		fuse_reply_statfs(fuse, &sv);
}

/* ---- names */

/* Answer with a node; its reference becomes the kernel's lookup. */
static void reply_entry(fuse_req_t fuse, struct fs_req *req, int err, struct fs_node *node)
{
	struct fuse_entry_param entry = {0};

	if (!err)
		err = fs_node_stat(node, req, &entry.attr);
	err = (int)fs_fuse_settle(req, err);
	if (err) {
		fs_node_put(node);
		reply_done(fuse, req, err);
		return;
	}
	entry.ino = node->id;
	entry.attr_timeout = attr_timeout(node);
	entry.entry_timeout = entry_timeout(node);
	fs_node_add_lookups(node, 1);
	if (fuse_reply_entry(fuse, &entry) < 0) {
		fs_node_add_lookups(node, -1);
		fs_node_put(node);
	}
	fs_fuse_end(req);
}

static void op_lookup(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct fs_node *node = NULL;
	struct fs_req req;
	int err;

	if (!fs_fuse_begin(fuse, parent, QUIET, name, &req))
		return;
	err = req.node->ops->lookup ? req.node->ops->lookup(req.node, &req, name, &node) : -ENOTDIR;
	reply_entry(fuse, &req, err, node);
}

static void forget(u64 ino, u64 count)
{
	struct fs_node *node = fs_node_find(ino);

	if (node && node->id != 1) {
		fs_node_add_lookups(node, -(s64)count);
		fs_node_put_many(node, count + 1);
	} else {
		fs_node_put(node);
	}
}

static void op_forget(fuse_req_t fuse, fuse_ino_t ino, uint64_t count)
{
	forget(ino, count);
	fuse_reply_none(fuse);
}

static void op_forget_multi(fuse_req_t fuse, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(fuse);
}

static void op_mkdir(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs_node *node = NULL;
	struct fs_req req;
	u64 before;
	int err;

	if (!change_begin(fuse, parent, "mkdir", name, &req))
		return;
	before = change_repeated(&req);
	/* It may have come half of the way: what is empty is made anew. */
	if (before == WAS_ABSENT && req.node->ops->rmdir && req.node->ops->mkdir)
		req.node->ops->rmdir(req.node, &req, name);
	error_clear(&req.error);
	err = req.node->ops->mkdir ? req.node->ops->mkdir(req.node, &req, name, mode, &node)
				   : refused(&req);
	err = made_before(&req, before, err, &node);
	reply_entry(fuse, &req, err, node);
}

static void op_symlink(fuse_req_t fuse, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs_node *node = NULL;
	struct fs_req req;
	u64 before;
	int err;

	if (!change_begin(fuse, parent, "symlink", name, &req))
		return;
	before = change_repeated(&req);
	err = req.node->ops->symlink ? req.node->ops->symlink(req.node, &req, name, target, &node)
				     : refused(&req);
	err = made_before(&req, before, err, &node);
	reply_entry(fuse, &req, err, node);
}

static void op_mknod(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct fs_req req;

	if (!change_begin(fuse, parent, "mknod", name, &req))
		return;
	reply_done(fuse, &req, no_plain_file(&req));
}

static void op_unlink(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct fs_req req;
	u64 before;
	int err;

	if (!change_begin(fuse, parent, "unlink", name, &req))
		return;
	before = change_repeated(&req);
	err = req.node->ops->unlink ? req.node->ops->unlink(req.node, &req, name) : refused(&req);
	err = removed_before(&req, before, err);
	if (!err && fs_backing.closed && !req.node->in_tree) /* an entry: nobody will close it */
		err = fs_backing.closed(req.node, fs_why(&req));
	reply_done(fuse, &req, err);
}

static void op_rmdir(fuse_req_t fuse, fuse_ino_t parent, const char *name)
{
	struct fs_req req;
	u64 before;
	int err;

	if (!change_begin(fuse, parent, "rmdir", name, &req))
		return;
	before = change_repeated(&req);
	err = req.node->ops->rmdir ? req.node->ops->rmdir(req.node, &req, name) : refused(&req);
	reply_done(fuse, &req, removed_before(&req, before, err));
}

/* An exchange that was made would be taken back by another one. */
static int rename_once(struct fs_req *req, struct fs_node *newdir, const char *newname,
		       unsigned int flags)
{
	u64 before = change_repeated(req);

	if (was_there(before) && name_now(req) != before)
		return 0;
	return req->node->ops->rename(req->node, req, req->name, newdir, newname, flags);
}

static void op_rename(fuse_req_t fuse, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
		      const char *newname, unsigned int flags)
{
	struct fs_node *newdir;
	struct fs_req req;
	int err;

	if (!change_begin(fuse, parent, "rename", name, &req))
		return;
	newdir = fs_node_find(newparent);
	err = newdir ? fs_node_pin(fs_node_base(newdir)) : -ESTALE;
	if (err)
		;
	else if (!req.node->ops->rename)
		err = refused(&req);
	else
		err = rename_once(&req, newdir, newname, flags);
	fs_node_put(newdir);
	reply_done(fuse, &req, err);
}

static int link_once(struct fs_req *req, struct fs_node *node, struct fs_node **pin)
{
	u64 before = change_repeated(req);
	int err = req->node->ops->link(req->node, req, req->name, node, pin);

	return made_before(req, before, err, pin);
}

static void op_link(fuse_req_t fuse, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	struct fs_node *node, *pin = NULL;
	struct fs_req req;
	int err;

	if (!change_begin(fuse, newparent, "link", newname, &req))
		return;
	node = fs_node_find(ino);
	if (!node)
		err = -ESTALE;
	else if (!req.node->ops->link)
		err = fs_error(&req, EPERM,
			       "pins go into directories of your own: this one shows objects");
	else
		err = link_once(&req, node, &pin);
	fs_node_put(node);
	reply_entry(fuse, &req, err, pin);
}

static void op_create(fuse_req_t fuse, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *fi)
{
	struct fuse_entry_param entry = {0};
	struct fs_node *node = NULL;
	struct fs_req req;
	int err;

	if (!change_begin(fuse, parent, "create", name, &req))
		return;
	if (req.node->ops->create)
		err = req.node->ops->create(req.node, &req, name, mode, fi->flags, &node);
	else
		err = no_plain_file(&req);
	if (!err)
		err = fs_node_stat(node, &req, &entry.attr);
	err = (int)fs_fuse_settle(&req, err);
	if (!err)
		err = fs_open_new(&req, node, fi, true);
	if (err) {
		fs_node_put(node);
		reply_done(fuse, &req, err);
		return;
	}
	entry.ino = node->id;
	entry.attr_timeout = attr_timeout(node);
	fs_node_add_lookups(node, 1);
	if (fuse_reply_create(fuse, &entry, fi) < 0) {
		fs_node_add_lookups(node, -1);
		fs_open_free(fs_open_of(fi));
		fs_node_put(node);
	}
	fs_fuse_end(&req);
}

/* ---- directories */

struct dir_fill {
	fuse_req_t fuse;
	char *buf;
	size_t len, size;
};

static bool dir_emit(void *arg, const char *name, u64 next_cursor, mode_t type, u64 ino)
{
	struct dir_fill *fill = arg;
	struct stat st = {.st_mode = type, .st_ino = ino};
	size_t n = fuse_add_direntry(fill->fuse, fill->buf + fill->len, fill->size - fill->len,
				     name, &st, next_cursor + 2);

	if (n > fill->size - fill->len)
		return false;
	fill->len += n;
	return true;
}

static void op_readdir(fuse_req_t fuse, fuse_ino_t ino, size_t size, off_t off,
		       struct fuse_file_info *fi)
{
	struct fs_open *open;
	struct dir_fill fill = {.fuse = fuse, .size = size};
	struct fs_req req;
	int err = 0;

	open = fs_fuse_begin_open(fuse, fi, "readdir", &req);
	if (!open)
		return;
	req.cred.uid = fuse_req_ctx(fuse)->uid;
	req.cred.gid = fuse_req_ctx(fuse)->gid;
	req.cred.groups = NULL;
	fill.buf = malloc(size ? size : 1);
	if (!fill.buf)
		err = -ENOMEM;
	if (!err && fs_backing.lost)
		err = fs_backing.lost(&req.error);
	/* Cursors of "." and ".." are 0 and 1; a kind's are shifted by two. */
	if (!err && off == 0 && dir_emit(&fill, ".", (u64)-1, S_IFDIR, req.node->ino))
		off = 1;
	if (!err && off == 1 && dir_emit(&fill, "..", 0, S_IFDIR, req.node->ino))
		off = 2;
	if (!err && off >= 2) {
		pthread_mutex_lock(&open->lock);
		err = req.node->ops->readdir
			      ? req.node->ops->readdir(open, &req, off - 2, dir_emit, &fill)
			      : -ENOTDIR;
		pthread_mutex_unlock(&open->lock);
	}
	if (err)
		fuse_reply_err(fuse, fs_fuse_error(&req, err));
	else
		fuse_reply_buf(fuse, fill.buf, fill.len);
	free(fill.buf);
	fs_fuse_end_open(&req);
}

/* ---- the session's start */

static void op_init(void *unused, struct fuse_conn_info *conn)
{
	/*
	 * O_TRUNC arrives as a SETATTR, which changes nothing. Callers wait for their reads and
	 * writes, so that a request's pid is somebody who is there (node/cancel.h).
	 */
	conn->want &= ~(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_ASYNC_DIO | FUSE_CAP_WRITEBACK_CACHE |
			FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO);
	conn->want |= conn->capable & (FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_IOCTL_DIR);
	clock_gettime(CLOCK_REALTIME, &begin);
	if (shared && shared->begun.tv_sec)
		begin = shared->begun;
	else if (shared)
		shared->begun = begin;
}

const struct fuse_lowlevel_ops ubpffs_fuse_ops = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.create = op_create,
	.open = io_open,
	.read = io_read,
	.write = io_write,
	.flush = io_flush,
	.release = io_release,
	.fsync = io_fsync,
	.fsyncdir = io_fsync,
	.opendir = io_open,
	.readdir = op_readdir,
	.releasedir = io_release,
	.statfs = op_statfs,
	.ioctl = io_ioctl,
	.poll = io_poll,
};
