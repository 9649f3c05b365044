/*
 * descriptor.c - where a node is: its descriptor, and its path for people
 *
 * A node of the state tree has a descriptor while a request uses it, and for some time after
 * (FD_CACHE of them, the one that was used longest ago is closed first). It is opened by the chain
 * of names up to the root or to a directory near it that is open, an object's file by its id.
 * Whoever changes names holds names_lock for writing around each change and tells of it here
 * (__fs_nodes_lock()), so a chain always leads to its node. Who wants to change names does not wait
 * for those who come after him.
 */
#include "fs/node/node.h"
#include "fs/node/backing.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define FD_CACHE   128
#define MAX_PINNED 16 /* of one request, which has two or three */
#define NEAR	   16 /* levels up to which an open directory is looked for */

static pthread_rwlock_t names_lock = PTHREAD_RWLOCK_WRITER_NONRECURSIVE_INITIALIZER_NP;

static __thread struct {
	struct fs_node *v[MAX_PINNED];
	u32 n;
	int err; /* the last that could not be */
} pinned;

void __fs_nodes_lock(void)
{
	pthread_rwlock_wrlock(&names_lock);
}

void __fs_nodes_unlock(void)
{
	pthread_rwlock_unlock(&names_lock);
}

/*
 * names_lock held. The path of a node of the tree from a directory above it (NULL: the root);
 * malloc()ed, "" for the root.
 */
static char *__path_of(const struct fs_node *node, const struct fs_node *from, size_t *len)
{
	const struct fs_node *at;
	size_t n = 0;
	char *path;

	for (at = node; at->dir && at != from; at = at->dir)
		n += strlen(at->name) + 1;
	path = malloc(n + 1);
	if (!path)
		return NULL;
	*len = n ? n - 1 : 0;
	path[*len] = 0;
	for (at = node; at->dir && at != from; at = at->dir) {
		size_t k = strlen(at->name);

		n -= k + 1;
		memcpy(path + n, at->name, k);
		if (n)
			path[n - 1] = '/';
	}
	return path;
}

/* openat() of a path of any length. */
static int open_long(int from, char *path, size_t len)
{
	int dir = from, fd;

	for (;;) {
		char *cut = NULL;

		if (len >= PATH_MAX)
			cut = memrchr(path, '/', PATH_MAX - 1);
		if (cut)
			*cut = 0;
		fd = openat(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (dir != from)
			close(dir);
		if (fd < 0)
			return -errno;
		if (!cut)
			return fd;
		dir = fd;
		len -= (size_t)(cut + 1 - path);
		path = cut + 1;
	}
}

/* names_lock held. `near` (or NULL) is open and above it. */
static int __node_open(const struct fs_node *node, const struct fs_node *near)
{
	__do_close int fd = -1;
	struct stat st;

	if (node->gone || !node->dir) {
		fd = fcntl(node->gone ? fs_backing.gone_fd : fs_backing.root_fd, F_DUPFD_CLOEXEC,
			   3);
		return fd < 0 ? -errno : move_fd(fd);
	}
	if (node->object) {
		char name[16];

		snprintf(name, sizeof(name), "%u", node->object);
		fd = openat(fs_backing.numbered_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		fd = fd < 0 ? -errno : fd;
	} else {
		size_t len;
		__do_free char *path = __path_of(node, near, &len);

		fd = path ? open_long(near ? near->path_fd : fs_backing.root_fd, path, len)
			  : -ENOMEM;
	}
	if (fd < 0)
		return fd == -ENOENT ? -ESTALE : fd;
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	return st.st_ino == node->ino ? move_fd(fd) : -ESTALE;
}

/* True: it is open, and now pinned once more. */
static bool __node_pin_open(struct fs_node *node)
{
	if (node->path_fd < 0)
		return false;
	if (!node->pins++)
		__fs_node_fd_unlist(node);
	node->refs++;
	return true;
}

/*
 * names_lock held. A directory that is open, pinned, and not far above: in a deep tree the whole
 * path would cost what the tree is deep.
 */
static struct fs_node *__pin_near(const struct fs_node *node)
{
	struct fs_node *at = node->dir;

	pthread_mutex_lock(&fs_node_lock);
	for (u32 i = 0; i < NEAR && at && at->path_fd < 0; i++)
		at = at->dir;
	if (at && !__node_pin_open(at))
		at = NULL;
	pthread_mutex_unlock(&fs_node_lock);
	return at;
}

static void node_unpin(struct fs_node *node);

static int node_open(const struct fs_node *node)
{
	struct fs_node *near = NULL;
	int fd;

	pthread_rwlock_rdlock(&names_lock);
	if (!node->gone && !node->object)
		near = __pin_near(node);
	fd = __node_open(node, near);
	pthread_rwlock_unlock(&names_lock);
	if (near)
		node_unpin(near);
	return fd;
}

int fs_node_pin(struct fs_node *node)
{
	bool pins;
	int fd;

	for (u32 i = 0; i < pinned.n; i++)
		if (pinned.v[i] == node)
			return 0;
	if (pinned.n == MAX_PINNED)
		return pinned.err = -EMFILE;
	pthread_mutex_lock(&fs_node_lock);
	pins = __node_pin_open(node);
	pthread_mutex_unlock(&fs_node_lock);
	if (!pins) {
		fd = node_open(node);
		if (fd < 0)
			return pinned.err = fd;
		pthread_mutex_lock(&fs_node_lock);
		if (!__node_pin_open(node)) { /* no other thread was first */
			node->path_fd = move_fd(fd);
			node->pins = 1;
			node->refs++;
		}
		pthread_mutex_unlock(&fs_node_lock);
		if (fd >= 0)
			close(fd);
	}
	pinned.v[pinned.n++] = node;
	return 0;
}

int fs_node_fd(struct fs_node *node)
{
	return fs_node_pin(node) ? -1 : node->path_fd;
}

int fs_node_pin_error(void)
{
	return pinned.err;
}

static void node_unpin(struct fs_node *node)
{
	struct fs_node *oldest;
	int old = -1;

	pthread_mutex_lock(&fs_node_lock);
	if (!--node->pins) {
		oldest = __fs_node_fd_list(node, FD_CACHE);
		if (oldest) {
			old = move_fd(oldest->path_fd);
			__fs_node_fd_unlist(oldest);
		}
	}
	pthread_mutex_unlock(&fs_node_lock);
	if (old >= 0)
		close(old);
	fs_node_put(node);
}

void fs_node_unpin(void)
{
	while (pinned.n)
		node_unpin(pinned.v[--pinned.n]);
	pinned.err = 0;
}

/* ---- paths */

/* What a node that is no file of the state tree is called in the directory that it is in. */
static void inner_name(const struct fs_node *node, struct fs_text *out)
{
	if (node->attr)
		fs_text_printf(out, "%s", node->attr->name);
	else if (node->ops->key_name)
		node->ops->key_name(node, out);
	else
		fs_text_hex(out, node->key, node->key_len, "");
}

/* The names below `base`, each with a slash before it. */
static void inner_path(const struct fs_node *node, const struct fs_node *base, struct fs_text *out)
{
	if (node == base)
		return;
	inner_path(node->dir, base, out);
	fs_text_append(out, "/", 1);
	inner_name(node, out);
}

const char *fs_node_path(struct fs_node *node, const char *name, char *buf, size_t len)
{
	const struct fs_node *base = fs_node_base(node);
	struct fs_text inner = {0};
	__do_free char *where = NULL;
	size_t n;

	inner_path(node, base, &inner);
	pthread_rwlock_rdlock(&names_lock);
	where = __path_of(base, NULL, &n);
	pthread_rwlock_unlock(&names_lock);
	if (!where)
		where = strdup("?");
	snprintf(buf, len, "%s%s%s%s", where ? where : "", inner.buf ? inner.buf : "",
		 name ? "/" : "", name ? name : "");
	fs_text_free(&inner);
	if (buf[0] == '/' && buf[1])
		memmove(buf, buf + 1, strlen(buf));
	return buf;
}
