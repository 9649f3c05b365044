/*
 * takeover.c - see node/takeover.h
 */
#include "fs/node/takeover.h"
#include "fs/keeper/node_records.h"
#include "fs/keeper/shared.h"
#include "fs/node/backing.h"

#include <fcntl.h>
#include <stdio.h>

/* ---- restoring */

struct restored { /* by place */
	struct fs_node *node;
	bool begun;
	u32 next; /* in the bucket of its id: place, and one */
};

static struct restored *restored;
static u32 restored_cnt, *buckets, bucket_cnt;

static u32 place_of(u64 id)
{
	u32 i = buckets[id * 0x9e3779b97f4a7c15ULL >> 32 & (bucket_cnt - 1)];

	while (i && *(u64 *)node_record_at(i - 1) != id)
		i = restored[i - 1].next;
	return i;
}

static bool is_there(int dirfd, const char *name, u64 ino)
{
	struct stat st;

	return !fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) && st.st_ino == ino;
}

/* Is what the record says still so? */
static bool still_there(const struct fs_node *node)
{
	char name[16];
	bool there;
	int fd;

	if (!node->in_tree)
		return true;
	if (node->object) {
		snprintf(name, sizeof(name), "%u", node->object);
		return is_there(fs_backing.numbered_fd, name, node->ino);
	}
	fd = fs_node_fd(node->dir);
	there = fd >= 0 && is_there(fd, node->name, node->ino);
	fs_node_unpin();
	return there;
}

/* The row that it is; NULL: it is none. */
static const struct fs_attr *row_of_record(const struct node_record *r, const struct fs_node *dir)
{
	u32 row = r->index - 1;

	return !r->kind[0] && row < dir->ops->nr_rows ? &dir->ops->rows[row] : NULL;
}

static const struct fs_node_ops *kind_of_record(const struct node_record *r)
{
	bool whole = memchr(r->kind, 0, sizeof(r->kind));

	return whole ? fs_kind_ops(r->kind) : NULL;
}

static struct fs_node *node_of_record(const struct node_record *r, struct fs_node *dir)
{
	const struct fs_attr *attr = row_of_record(r, dir);
	const struct fs_node_ops *ops = attr ? attr->ops : kind_of_record(r);
	struct fs_node *node = ops ? calloc(1, sizeof(*node)) : NULL;
	bool keyed = r->flags & NODE_KEYED;

	if (!node)
		return NULL;
	node->ops = ops;
	node->path_fd = -1;
	node->id = r->id;
	node->ino = r->ino;
	node->index = r->index;
	node->object = r->object;
	node->in_tree = r->flags & NODE_IN_TREE;
	node->gone = r->flags & NODE_GONE;
	node->mode = r->mode;
	node->uid = r->uid;
	node->gid = r->gid;
	node->dir = dir;
	node->attr = attr;
	if (keyed && r->key_len <= RECORD_KEY) {
		node->key_len = r->key_len;
		node->key = malloc(r->key_len ? r->key_len : 1);
		if (node->key)
			memcpy(node->key, r->name, r->key_len);
	} else if (node->in_tree) {
		node->name = strndup(r->name, sizeof(r->name) - 1);
	}
	if (node->in_tree ? !node->name : keyed ? !node->key : !node->attr) {
		free(node);
		return NULL;
	}
	return node;
}

static struct fs_node *restore(u32 place, u32 depth)
{
	struct restored *made = &restored[place];
	struct node_record *r = node_record_at(place);
	struct fs_node *dir = NULL, *node;
	u32 above;

	if (made->begun || !r || depth > 4096)
		return made->node; /* of a circle: none */
	made->begun = true;
	above = r->dir == 1 ? 0 : place_of(r->dir);
	if (r->dir == 1)
		dir = fs_node_find(1);
	else if (above && restore(above - 1, depth + 1))
		dir = fs_node_find(r->dir);
	node = dir ? node_of_record(r, dir) : NULL;
	if (!node) {
		fs_node_put(dir);
		node_record_end(r);
		return NULL;
	}
	if (!node->gone && !still_there(node)) {
		node->gone = true;
		node_record_gone(r);
	}
	node->record = r;
	fs_node_adopt(node, r->nlookup + 1);
	fs_node_put(dir);
	if (fs_backing.restored && !node->gone)
		fs_backing.restored(node);
	fs_node_unpin();
	made->node = node;
	return node;
}

int fs_nodes_restore(void)
{
	if (!shared_taking_over())
		return 0;
	restored_cnt = node_records_high();
	for (bucket_cnt = 64; bucket_cnt < restored_cnt; bucket_cnt *= 2)
		;
	restored = calloc(restored_cnt ? restored_cnt : 1, sizeof(*restored));
	buckets = calloc(bucket_cnt, sizeof(*buckets));
	if (!restored || !buckets)
		return -ENOMEM;
	for (u32 i = 0; i < restored_cnt; i++) {
		const u64 *id = (u64 *)node_record_at(i);
		u32 *bucket;

		if (!id)
			continue;
		if (place_of(*id)) { /* twice: never ours */
			node_record_end((void *)id);
			continue;
		}
		bucket = &buckets[*id * 0x9e3779b97f4a7c15ULL >> 32 & (bucket_cnt - 1)];
		restored[i].next = *bucket;
		*bucket = i + 1;
	}
	for (u32 i = 0; i < restored_cnt; i++)
		restore(i, 0);
	return 0;
}

void fs_nodes_restored(void)
{
	for (u32 i = 0; i < restored_cnt; i++)
		if (restored[i].node)
			fs_node_put(restored[i].node);
	free(restored);
	free(buckets);
	restored = NULL;
	buckets = NULL;
	restored_cnt = 0;
}
