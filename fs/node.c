/*
 * node.c - the table of nodes, found by FUSE id and by identity
 *
 * Identity of a node: (inode of the state tree, row) for files and attributes, (directory, key) for keyed
 * ones, none for fresh ones. All fields but refs and the chains are constant from publication on. One mutex
 * guards both tables and every refs; it is a leaf: nothing else is taken under it.
 *
 * A node of the state tree holds an O_PATH descriptor, so its inode number is not given to another file
 * while the kernel may still ask for the node (ext4 reuses numbers at once).
 */
#include "fs/node.h"
#include "fs/tree.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define NODE_BUCKETS  4096
#define NODE_ROW_BITS 8
#define NODE_COUNTED  (1ULL << 62) /* ids that come from the counter */
#define NODE_INO_MAX  (1ULL << (62 - NODE_ROW_BITS))

static struct {
	pthread_mutex_t lock;
	struct fs_node *by_id[NODE_BUCKETS];
	struct fs_node *by_key[NODE_BUCKETS];
	u64 count, counter;
} nodes = {.lock = PTHREAD_MUTEX_INITIALIZER};

static u32 hash64(u64 v)
{
	return (v * 0x9e3779b97f4a7c15ULL) >> 40;
}

static u32 hash_key(const struct fs_node *dir, const void *key, u32 len)
{
	const u8 *p = key;
	u64 h = dir->id ^ 0xcbf29ce484222325ULL;

	for (u32 i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return hash64(h);
}

static struct fs_node **id_bucket(u64 id)
{
	return &nodes.by_id[hash64(id) % NODE_BUCKETS];
}

static struct fs_node **key_bucket(const struct fs_node *dir, const void *key, u32 len)
{
	return &nodes.by_key[hash_key(dir, key, len) % NODE_BUCKETS];
}

u64 fs_nodes_count(void)
{
	u64 n;

	pthread_mutex_lock(&nodes.lock);
	n = nodes.count;
	pthread_mutex_unlock(&nodes.lock);
	return n;
}

static struct fs_node *__node_find(u64 id)
{
	struct fs_node *node = *id_bucket(id);

	while (node && node->id != id)
		node = node->next_id;
	return node;
}

static void __node_insert(struct fs_node *node)
{
	struct fs_node **bucket = id_bucket(node->id);

	node->next_id = *bucket;
	*bucket = node;
	if (node->key) {
		bucket = key_bucket(node->dir, node->key, node->key_len);
		node->next_key = *bucket;
		*bucket = node;
	}
	nodes.count++;
}

static void __node_remove(struct fs_node *node)
{
	struct fs_node **p = id_bucket(node->id);

	while (*p != node)
		p = &(*p)->next_id;
	*p = node->next_id;
	if (node->key) {
		p = key_bucket(node->dir, node->key, node->key_len);
		while (*p != node)
			p = &(*p)->next_key;
		*p = node->next_key;
	}
	nodes.count--;
}

struct fs_node *fs_node_find(u64 id)
{
	struct fs_node *node;

	pthread_mutex_lock(&nodes.lock);
	node = __node_find(id);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&nodes.lock);
	return node;
}

void fs_node_get(struct fs_node *node)
{
	pthread_mutex_lock(&nodes.lock);
	node->refs++;
	pthread_mutex_unlock(&nodes.lock);
}

static void node_free(struct fs_node *node)
{
	struct fs_node *dir = node->dir;

	if (node->ops->free)
		node->ops->free(node);
	if (node->fd >= 0)
		close(node->fd);
	free(node->key);
	free(node);
	fs_node_put(dir);
}

void fs_node_put_many(struct fs_node *node, u64 count)
{
	bool last;

	pthread_mutex_lock(&nodes.lock);
	if (count >
	    node->refs) /* a FORGET for more than we gave: the kernel's word is not trusted */
		count = node->refs;
	node->refs -= count;
	last = !node->refs;
	if (last)
		__node_remove(node);
	pthread_mutex_unlock(&nodes.lock);
	if (last)
		node_free(node);
}

/*
 * Publish a new node, or take the one that is there already. `node` is consumed either way.
 */
static struct fs_node *node_publish(struct fs_node *node, struct fs_node *found)
{
	if (found) {
		found->refs++;
		pthread_mutex_unlock(&nodes.lock);
		if (node->fd >= 0)
			close(node->fd);
		free(node->key);
		free(node);
		return found;
	}
	node->refs = 1;
	if (node->dir)
		node->dir->refs++;
	__node_insert(node);
	pthread_mutex_unlock(&nodes.lock);
	return node;
}

static struct fs_node *node_alloc(const struct fs_node_ops *ops)
{
	struct fs_node *node = calloc(1, sizeof(*node));

	if (node) {
		node->ops = ops;
		node->fd = -1;
	}
	return node;
}

static u64 node_id(u64 ino, u32 row)
{
	/* The root of the mount is 1 for FUSE; no other file has inode 1 in a subdirectory. */
	return ino << NODE_ROW_BITS | row;
}

int fs_node_tree(int fd, const struct fs_node_ops *ops, struct fs_node **out)
{
	struct fs_node *node;
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0) {
		int err = -errno;

		close(fd);
		return err;
	}
	node = node_alloc(ops);
	if (!node || st.st_ino >= NODE_INO_MAX) {
		free(node);
		close(fd);
		return node ? -EOVERFLOW : -ENOMEM;
	}
	node->fd = fd;
	node->ino = st.st_ino;
	node->id = st.st_ino == tree.root_ino ? 1 : node_id(st.st_ino, 0);
	pthread_mutex_lock(&nodes.lock);
	*out = node_publish(node, __node_find(node->id));
	return 0;
}

int fs_node_attr(struct fs_node *dir, const struct fs_attr *table, u32 row, struct fs_node **out)
{
	const struct fs_attr *attr = &table[row];
	struct fs_node *node = node_alloc(attr->ops), *found = NULL;

	if (!node)
		return -ENOMEM;
	node->dir = dir;
	node->attr = attr;
	node->index = row + 1;
	node->ino = node_id(fs_node_place(dir)->ino, row + 1);
	pthread_mutex_lock(&nodes.lock);
	if (attr->ops->fresh) {
		node->id = NODE_COUNTED | ++nodes.counter;
	} else {
		node->id = node->ino;
		found = __node_find(node->id);
	}
	*out = node_publish(node, found);
	return 0;
}

int fs_node_keyed(struct fs_node *dir, const struct fs_node_ops *ops, const void *key, u32 key_len,
		  struct fs_node **out)
{
	struct fs_node *node = node_alloc(ops), *found;

	if (!node)
		return -ENOMEM;
	node->dir = dir;
	node->key_len = key_len;
	node->key = malloc(key_len ? key_len : 1);
	if (!node->key) {
		free(node);
		return -ENOMEM;
	}
	memcpy(node->key, key, key_len);
	pthread_mutex_lock(&nodes.lock);
	found = *key_bucket(dir, key, key_len);
	while (found && (found->dir != dir || found->ops != ops || found->key_len != key_len ||
			 memcmp(found->key, key, key_len)))
		found = found->next_key;
	if (!found) {
		node->id = NODE_COUNTED | ++nodes.counter;
		node->ino = node->id;
	}
	*out = node_publish(node, found);
	return 0;
}

struct fs_node *fs_node_place(struct fs_node *node)
{
	while (node->fd < 0 && node->dir)
		node = node->dir;
	return node;
}

const char *fs_node_path(struct fs_node *node, const char *name, char *buf, size_t len)
{
	char link[64], where[PATH_MAX], inner[128] = "";
	size_t root = strlen(tree.path);
	ssize_t n;

	for (struct fs_node *at = node; at->fd < 0 && at->dir; at = at->dir) {
		char longer[sizeof(inner)];

		snprintf(longer, sizeof(longer), "/%s%s", at->attr ? at->attr->name : "<key>",
			 inner);
		memcpy(inner, longer, sizeof(inner));
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fs_node_place(node)->fd);
	n = readlink(link, where, sizeof(where) - 1);
	where[n > 0 ? n : 0] = 0;
	if (!strncmp(where, tree.path, root) && !strncmp(where + root, "/tree", 5))
		memmove(where, where + root + 5, strlen(where + root + 5) + 1);
	snprintf(buf, len, "%s%s%s%s", where, inner, name ? "/" : "", name ? name : "");
	if (buf[0] == '/' && buf[1])
		memmove(buf, buf + 1, strlen(buf));
	return buf;
}
