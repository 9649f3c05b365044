/*
 * node.c - the tables of nodes, found by FUSE id, by identity and by name
 *
 * Identity of a node: its inode for files of the state tree (and whether it is a pin), (directory,
 * row) for attributes, (directory, key) for keyed ones, none for fresh ones. Directories and
 * symlinks are found by (directory, name), too, so that a known name costs no look at the state
 * tree. One mutex, fs_node_lock, guards the tables, every refs, and the descriptors; it is a leaf.
 *
 * A FUSE id follows from the inode of the state tree and the row, so that a restarted server gives
 * the same ones. Inode numbers are used again (by ext4 at once) while the kernel may still ask for
 * the node of a file that is gone: such a node has lost its identity and keeps its id, and the new
 * file gets an id from the counter.
 *
 * Lock order: tree_lock, names_lock (node/descriptor.c), fs_node_lock.
 */
#include "fs/node/node.h"
#include "fs/node/backing.h"
#include "fs/keeper/node_records.h"
#include "fs/lib/hash.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>

#define NODE_ROW_BITS 8
#define NODE_PIN      ((1u << NODE_ROW_BITS) - 1) /* the row of a pin: no table is that long */
#define NODE_COUNTED  (1ULL << 62) /* ids that come from the counter */
#define NODE_INO_MAX  (1ULL << (62 - NODE_ROW_BITS))

pthread_mutex_t fs_node_lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	struct hash_table by_id, by_identity, by_name;
	u64 counter;
} nodes;

struct fs_backing fs_backing = {.root_fd = -1, .numbered_fd = -1, .gone_fd = -1};

static u64 in_dir(const struct fs_node *dir, u64 key)
{
	return (dir->id * 0x9e3779b97f4a7c15ULL) ^ key;
}

/* Does this node have an identity, and by which key is it found? */
static bool identity_key(const struct fs_node *node, u64 *key)
{
	if (node->in_tree)
		*key = node->ino;
	else if (node->key)
		*key = in_dir(node->dir, hash_bytes(node->key, node->key_len));
	else
		*key = in_dir(node->dir, node->index);
	return node->in_tree ? !node->gone : node->key || !node->attr->ops->fresh;
}

/* What has one name for as long as it is there; an object's file may have several. */
static bool is_named(const struct fs_node *node)
{
	return node->in_tree && node->dir && !node->object && !node->gone;
}

u64 fs_nodes_count(void)
{
	u64 n;

	pthread_mutex_lock(&fs_node_lock);
	n = nodes.by_id.count;
	pthread_mutex_unlock(&fs_node_lock);
	return n;
}

static struct fs_node *__node_find(u64 id)
{
	struct hash_link *link = hash_find(&nodes.by_id, id);

	return link ? container_of(link, struct fs_node, id_link) : NULL;
}

static void __node_insert(struct fs_node *node)
{
	u64 key;

	hash_add(&nodes.by_id, &node->id_link, node->id);
	if (identity_key(node, &key))
		hash_add(&nodes.by_identity, &node->identity_link, key);
	if (is_named(node))
		hash_add(&nodes.by_name, &node->name_link,
			 in_dir(node->dir, hash_text(node->name)));
}

static void __node_lose_identity(struct fs_node *node)
{
	u64 key;

	if (identity_key(node, &key))
		hash_remove(&nodes.by_identity, &node->identity_link);
	if (is_named(node))
		hash_remove(&nodes.by_name, &node->name_link);
}

static void __node_remove(struct fs_node *node)
{
	hash_remove(&nodes.by_id, &node->id_link);
	__node_lose_identity(node);
}

/* The nodes of one key, from the first that `is`. */
static struct fs_node *__identity_find(u64 key, bool (*is)(const struct fs_node *, const void *),
				       const void *arg)
{
	struct hash_link *link = hash_find(&nodes.by_identity, key);

	for (; link; link = hash_again(link)) {
		struct fs_node *node = container_of(link, struct fs_node, identity_link);

		if (is(node, arg))
			return node;
	}
	return NULL;
}

/* ---- for the next server */

_Static_assert(FS_KIND_NAME == RECORD_KIND, "a kind's name fits");

/* All of FS_KIND(), as the linker has put them beside each other; none in some tests. */
extern const struct fs_kind *const __start_fs_kinds[] __attribute__((weak));
extern const struct fs_kind *const __stop_fs_kinds[] __attribute__((weak));

static const char *kind_name(const struct fs_node_ops *ops)
{
	for (const struct fs_kind *const *kind = __start_fs_kinds; kind < __stop_fs_kinds; kind++)
		if ((*kind)->ops == ops)
			return (*kind)->name;
	return NULL;
}

const struct fs_node_ops *fs_kind_ops(const char *name)
{
	for (const struct fs_kind *const *kind = __start_fs_kinds; kind < __stop_fs_kinds; kind++)
		if (!strcmp((*kind)->name, name))
			return (*kind)->ops;
	return NULL;
}

static bool __record_name(struct node_record *r, const struct fs_node *node)
{
	if (node->key)
		return node_record_name(r, node->key, node->key_len);
	return !node->name || node_record_name(r, node->name, strlen(node->name));
}

/* False: a later server would not know what it is. */
static bool __record_kind(struct node_record *r, const struct fs_node *node)
{
	const char *kind = kind_name(node->ops);

	if (node->attr)
		return true;
	if (kind)
		memcpy(r->kind, kind, strlen(kind));
	return kind;
}

static void __record(struct fs_node *node)
{
	struct node_record *r = node->dir ? node_record_new() : NULL;

	if (!r)
		return;
	r->dir = node->dir->id;
	r->ino = node->ino;
	r->index = node->index;
	r->object = node->object;
	r->flags = (node->in_tree ? NODE_IN_TREE : 0) | (node->key ? NODE_KEYED : 0);
	if (!__record_kind(r, node) || !__record_name(r, node)) {
		node_record_end(r);
		return;
	}
	node_record_valid(r, node->id);
	node->record = r;
}

static void __record_moved(struct fs_node *node)
{
	struct node_record *r = node->record;

	if (!r)
		return;
	__atomic_store_n(&r->dir, node->dir->id, __ATOMIC_RELAXED);
	if (__record_name(r, node))
		return;
	node_record_end(r);
	node->record = NULL;
}

static void __record_gone(struct fs_node *node)
{
	struct node_record *r = node->record;

	if (!r)
		return;
	r->mode = node->mode;
	r->uid = node->uid;
	r->gid = node->gid;
	node_record_gone(r);
}

/* ---- open and not pinned, by when they were used; one that goes may be among them */

static struct {
	struct fs_node *newest, *oldest;
	u32 nr;
} open_nodes;

struct fs_node *__fs_node_fd_list(struct fs_node *node, u32 max)
{
	node->older = open_nodes.newest;
	*(node->older ? &node->older->newer : &open_nodes.oldest) = node;
	open_nodes.newest = node;
	return ++open_nodes.nr > max ? open_nodes.oldest : NULL;
}

void __fs_node_fd_unlist(struct fs_node *node)
{
	*(node->newer ? &node->newer->older : &open_nodes.newest) = node->older;
	*(node->older ? &node->older->newer : &open_nodes.oldest) = node->newer;
	node->newer = node->older = NULL;
	open_nodes.nr--;
}

/* ---- references */

struct fs_node *fs_node_find(u64 id)
{
	struct fs_node *node;

	pthread_mutex_lock(&fs_node_lock);
	node = __node_find(id);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&fs_node_lock);
	return node;
}

void fs_node_get(struct fs_node *node)
{
	pthread_mutex_lock(&fs_node_lock);
	node->refs++;
	pthread_mutex_unlock(&fs_node_lock);
}

static void node_release(struct fs_node *node)
{
	if (node->path_fd >= 0)
		close(node->path_fd);
	free(node->name);
	free(node->key);
	free(node->known_stat);
	free(node);
}

void fs_node_put_many(struct fs_node *node, u64 count)
{
	struct fs_node *dir;
	bool last;

	for (; node;
	     node = dir,
	     count = 1) { /* the last reference on a directory may be that of what was in it */
		pthread_mutex_lock(&fs_node_lock);
		if (count >
		    /* a FORGET for more than we gave: the kernel's word is not trusted */
		    node->refs)
			count = node->refs;
		node->refs -= count;
		last = !node->refs;
		if (last) {
			__node_remove(node);
			node_record_end(node->record);
			if (node->path_fd >= 0)
				__fs_node_fd_unlist(node);
		}
		pthread_mutex_unlock(&fs_node_lock);
		if (!last)
			return;
		if (node->ops->free)
			node->ops->free(node);
		dir = node->dir;
		node_release(node);
	}
}

/*
 * Publish a new node, or take the one that is there already. `node` is consumed either way.
 */
static struct fs_node *node_publish(struct fs_node *node, struct fs_node *found)
{
	if (found) {
		found->refs++;
		pthread_mutex_unlock(&fs_node_lock);
		node_release(node);
		return found;
	}
	node->refs = 1;
	if (node->dir)
		node->dir->refs++;
	__node_insert(node);
	__record(node);
	pthread_mutex_unlock(&fs_node_lock);
	return node;
}

void fs_node_adopt(struct fs_node *node, u64 refs)
{
	pthread_mutex_lock(&fs_node_lock);
	node->refs = refs;
	node->dir->refs++;
	if (node->id & NODE_COUNTED)
		nodes.counter = max(nodes.counter, node->id & ~NODE_COUNTED);
	__node_insert(node);
	pthread_mutex_unlock(&fs_node_lock);
}

void fs_node_add_lookups(struct fs_node *node, s64 times)
{
	pthread_mutex_lock(&fs_node_lock);
	if (node->record)
		node_record_add_lookups(node->record, times);
	pthread_mutex_unlock(&fs_node_lock);
}

static struct fs_node *node_alloc(const struct fs_node_ops *ops)
{
	struct fs_node *node = calloc(1, sizeof(*node));

	if (node) {
		node->ops = ops;
		node->path_fd = -1;
	}
	return node;
}

static u64 node_id(u64 ino, u32 row)
{
	/* The root of the mount is 1 for FUSE; no other file has inode 1 in a subdirectory. */
	return ino << NODE_ROW_BITS | row;
}

/* One from the counter when a node has it whose file is gone. */
static u64 __node_free_id(u64 id)
{
	return __node_find(id) ? NODE_COUNTED | ++nodes.counter : id;
}

struct tree_identity {
	u64 ino;
	u32 row; /* 0, or NODE_PIN */
};

static bool is_tree_node(const struct fs_node *node, const void *arg)
{
	const struct tree_identity *want = arg;

	return node->in_tree && node->ino == want->ino && node->index == want->row;
}

static struct fs_node *__node_by_ino(u64 ino, u32 row)
{
	return __identity_find(ino, is_tree_node, &(struct tree_identity){ino, row});
}

int fs_node_root(const struct fs_node_ops *ops, struct fs_node **out)
{
	struct fs_node *node = node_alloc(ops);

	if (!node)
		return -ENOMEM;
	node->in_tree = true;
	node->ino = fs_backing.root_ino;
	node->id = 1;
	pthread_mutex_lock(&fs_node_lock);
	*out = node_publish(node, NULL);
	return 0;
}

int fs_node_tree(struct fs_node *dir, const char *name, u64 ino, u32 object,
		 const struct fs_node_ops *ops, struct fs_node **out)
{
	struct fs_node *node = node_alloc(ops), *found;

	if (node)
		node->name = strdup(name);
	if (!node || !node->name || ino >= NODE_INO_MAX) {
		int err = node && node->name ? -EOVERFLOW : -ENOMEM;

		if (node)
			node_release(node);
		return err;
	}
	node->in_tree = true;
	node->dir = dir;
	node->object = object;
	node->ino = ino;
	node->index = ops->pin ? NODE_PIN : 0;
	pthread_mutex_lock(&fs_node_lock);
	found = __node_by_ino(ino, node->index);
	if (found && found->ops != ops) { /* another file: the first was removed by somebody else */
		__node_lose_identity(found);
		__atomic_store_n(&found->gone, true, __ATOMIC_RELEASE);
		__record_gone(found);
		found = NULL;
	}
	if (!found)
		node->id = __node_free_id(node_id(ino, node->index));
	*out = node_publish(node, found);
	return 0;
}

static bool is_same_row(const struct fs_node *node, const void *row)
{
	const struct fs_node *want = row;

	return !node->in_tree && !node->key && node->dir == want->dir && node->attr == want->attr;
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
	node->ino = node_id(fs_node_base(dir)->ino, row + 1);
	pthread_mutex_lock(&fs_node_lock);
	if (!attr->ops->fresh) {
		u64 key;

		identity_key(node, &key);
		found = __identity_find(key, is_same_row, node);
	}
	if (!found)
		node->id = attr->ops->fresh ? NODE_COUNTED | ++nodes.counter
					    : __node_free_id(node->ino);
	*out = node_publish(node, found);
	return 0;
}

static bool is_same_key(const struct fs_node *node, const void *keyed)
{
	const struct fs_node *want = keyed;

	return node->key && node->dir == want->dir && node->ops == want->ops &&
	       node->key_len == want->key_len && !memcmp(node->key, want->key, node->key_len);
}

int fs_node_keyed(struct fs_node *dir, const struct fs_node_ops *ops, const void *key, u32 key_len,
		  struct fs_node **out)
{
	struct fs_node *node = node_alloc(ops), *found;
	u64 hash;

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
	pthread_mutex_lock(&fs_node_lock);
	identity_key(node, &hash);
	found = __identity_find(hash, is_same_key, node);
	if (!found) {
		node->id = NODE_COUNTED | ++nodes.counter;
		node->ino = node->id;
	}
	*out = node_publish(node, found);
	return 0;
}

/* ---- changes of names */

/* An object's file keeps the name by which it was found first: it is opened by its id. */
void __fs_node_moved(u64 ino, struct fs_node *dir, char **name)
{
	struct fs_node *node, *old = NULL;

	pthread_mutex_lock(&fs_node_lock);
	node = __node_by_ino(ino, 0);
	if (node && !node->object) {
		if (is_named(node))
			hash_remove(&nodes.by_name, &node->name_link);
		old = node->dir;
		dir->refs++;
		node->dir = dir;
		free(node->name);
		node->name = move_ptr(*name);
		if (is_named(node))
			hash_add(&nodes.by_name, &node->name_link,
				 in_dir(dir, hash_text(node->name)));
		__record_moved(node);
	}
	pthread_mutex_unlock(&fs_node_lock);
	fs_node_put(old);
}

static void __node_gone(struct fs_node *node, const struct stat *st)
{
	if (!node)
		return;
	__node_lose_identity(node);
	node->mode = st->st_mode;
	node->uid = st->st_uid;
	node->gid = st->st_gid;
	__atomic_store_n(&node->gone, true, __ATOMIC_RELEASE);
	__record_gone(node);
}

void __fs_node_gone(const struct stat *st)
{
	pthread_mutex_lock(&fs_node_lock);
	__node_gone(__node_by_ino(st->st_ino, 0), st);
	__node_gone(__node_by_ino(st->st_ino, NODE_PIN), st);
	pthread_mutex_unlock(&fs_node_lock);
}

struct fs_node *fs_node_by_ino(u64 ino)
{
	struct fs_node *node;

	pthread_mutex_lock(&fs_node_lock);
	node = __node_by_ino(ino, 0);
	if (node)
		node->refs++;
	pthread_mutex_unlock(&fs_node_lock);
	return node;
}

struct fs_node *fs_node_by_name(struct fs_node *dir, const char *name)
{
	struct fs_node *found = NULL;
	struct hash_link *link;

	pthread_mutex_lock(&fs_node_lock);
	link = hash_find(&nodes.by_name, in_dir(dir, hash_text(name)));
	for (; link && !found; link = hash_again(link)) {
		struct fs_node *node = container_of(link, struct fs_node, name_link);

		if (node->dir == dir && !strcmp(node->name, name))
			found = node;
	}
	if (found)
		found->refs++;
	pthread_mutex_unlock(&fs_node_lock);
	return found;
}

struct fs_node *fs_node_base(struct fs_node *node)
{
	while (!node->in_tree)
		node = node->dir;
	return node;
}
