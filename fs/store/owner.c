/*
 * owner.c - see owner.h
 */
#include "fs/store/owner.h"
#include "fs/store/objects/charge.h"
#include "fs/store/objects/object.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/dirs/change.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>

/* The charge for an object, a directory or a symlink goes with its owner; tree_wrlock held. */
static int __charge_move(struct fs_node *node, uid_t from, uid_t to, struct error_record *why)
{
	struct store_object *obj;
	int err;

	if (from == to)
		return 0;
	if (node->object) {
		err = store_by_ino(node->ino, &obj);
		if (err)
			return err;
		err = store_set_owner(obj, to, why);
		store_put(obj);
		return err;
	}
	err = limits_charge(to, LIMIT_NAMES, 1, why);
	if (!err)
		limits_uncharge(from, LIMIT_NAMES, 1);
	return err;
}

static int __chown(struct fs_node *node, uid_t uid, gid_t gid, struct error_record *why)
{
	int fd = fs_node_fd(node), err;
	struct stat st;

	if (fstatat(fd, "", &st, AT_EMPTY_PATH) < 0)
		return -errno;
	if (uid == (uid_t)-1)
		uid = st.st_uid;
	err = __charge_move(node, st.st_uid, uid, why);
	if (err)
		return err;
	err = tree_chown(fd, uid, gid);
	if (err)
		__charge_move(node, uid, st.st_uid, NULL); /* what was free a moment ago */
	if (!err)
		durable_file(fd);
	return err;
}

int store_chown(struct fs_node *node, uid_t uid, gid_t gid, struct error_record *why)
{
	int err;

	tree_wrlock();
	err = __chown(node, uid, gid, why);
	tree_unlock();
	return err;
}
