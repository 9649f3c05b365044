/*
 * tree_stat.c - see tree_stat.h
 *
 * What was seen is kept with the node, with the count of changes of then.
 */
#include "fs/node/tree_stat.h"
#include "fs/node/node.h"

#include <fcntl.h>

struct known_stat {
	u64 at; /* attr_changes */
	struct stat st;
};

static u64 attr_changes;

void fs_attrs_changed(void)
{
	__atomic_add_fetch(&attr_changes, 1, __ATOMIC_RELEASE);
}

static bool find_stat(const struct fs_node *node, u64 at, struct stat *st)
{
	bool known;

	pthread_mutex_lock(&fs_node_lock);
	known = node->known_stat && node->known_stat->at == at;
	if (known)
		*st = node->known_stat->st;
	pthread_mutex_unlock(&fs_node_lock);
	return known;
}

/* Without memory it is looked at again. */
static void keep_stat(struct fs_node *node, u64 at, const struct stat *st)
{
	pthread_mutex_lock(&fs_node_lock);
	if (!node->known_stat)
		node->known_stat = malloc(sizeof(*node->known_stat));
	if (node->known_stat)
		*node->known_stat = (struct known_stat){at, *st};
	pthread_mutex_unlock(&fs_node_lock);
}

int fs_node_tree_stat(struct fs_node *node, struct stat *st)
{
	/* What changes from here on makes the look an old one. */
	u64 at = __atomic_load_n(&attr_changes, __ATOMIC_ACQUIRE);
	int err;

	if (node->ops->object && find_stat(node, at, st))
		return 0;
	err = fs_node_pin(node);
	if (!err && fstatat(fs_node_fd(node), "", st, AT_EMPTY_PATH) < 0)
		err = -errno;
	if (!err && node->ops->object)
		keep_stat(node, at, st);
	return err;
}
