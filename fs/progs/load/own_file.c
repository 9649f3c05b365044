/*
 * own_file.c - see own_file.h
 */
#include "fs/progs/load/own_file.h"

#include <fcntl.h>
#include <stdlib.h>

struct owner {
	uid_t uid;
	gid_t gid;
	bool may; /* its groups are known only at the lookup */
};

int own_file_bind(struct fs_node *node, const struct fs_cred *cred, int want)
{
	struct owner *owner = malloc(sizeof(*owner));
	struct stat st;

	if (!owner)
		return -ENOMEM;
	node->priv = owner;
	owner->uid = cred->uid;
	owner->gid = cred->gid;
	owner->may = !want;
	if (!want)
		return 0;
	/* What cannot be looked at is no missing right. */
	if (fstatat(fs_node_fd(fs_node_base(node)), "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	owner->may = !perm_check(cred, &st, want);
	return 0;
}

void own_file_free(struct fs_node *node)
{
	free(node->priv);
}

int own_file_getattr(struct fs_node *node, struct stat *st)
{
	const struct owner *owner = node->priv;

	if (fstatat(fs_node_fd(fs_node_base(node)), "", st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (owner) {
		st->st_mode = S_IFREG | (owner->may ? node->attr->mode & 0700 : 0);
		st->st_uid = owner->uid;
		st->st_gid = owner->gid;
	} else {
		st->st_mode = S_IFREG | (st->st_mode & node->attr->mode);
	}
	st->st_nlink = 1;
	return 0;
}
