/*
 * names.c - see names.h
 */
#include "fs/store/objects/names.h"
#include "fs/caller/limits.h"
#include "fs/node/backing.h"
#include "fs/store/objects/charge.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/private.h"
#include "fs/store/state/dirs/list.h"
#include "fs/store/state/durable.h"
#include "fs/store/state/state_tree.h"

#include <fcntl.h>
#include <stdio.h>

static bool unsure; /* some object's names could not be counted; store.lock */

/* What the store held and holds no longer goes to *drop. */
static void __count_names(struct store_object *obj, struct store_object **drop)
{
	struct stat st;
	bool named;
	int err;

	err = store_stat(obj, &st);
	named = !err && st.st_nlink > 1;
	obj->unsure = err && err != -ENOENT;
	if (obj->unsure) { /* held until the next change of any object's names */
		unsure = true;
		named = true;
	} else {
		__store_charge_names(obj, named ? (u32)st.st_nlink - 1 : 0);
	}
	if (named && !obj->held) {
		obj->held = store_get_unless_gone(obj);
	} else if (!named && obj->held) {
		obj->held = false;
		obj->next_drop = *drop;
		*drop = obj;
	}
}

static void __names_again(struct store_object **drop)
{
	unsure = false;
	for (enum store_kind kind = 0; kind < STORE_KINDS; kind++)
		for (struct store_object *obj = store.lowest[kind]; obj; obj = obj->higher)
			if (obj->unsure)
				__count_names(obj, drop);
}

void store_names_changed(struct store_object *obj)
{
	store_stat_changed(obj);
	store_count_names(obj);
}

void store_count_names(struct store_object *obj)
{
	struct store_object *drop = NULL;

	pthread_mutex_lock(&store.lock);
	if (unsure)
		__names_again(&drop);
	__count_names(obj, &drop);
	pthread_mutex_unlock(&store.lock);
	while ((obj = drop)) {
		drop = obj->next_drop;
		store_put(obj);
	}
}

int store_unname(int dirfd, const char *name, const char *but, struct store_object **out,
		 struct error_record *why)
{
	struct stat st, at;
	struct fs_node *dir;
	int err;

	*out = NULL;
	if (fstatat(dirfd, "", &at, AT_EMPTY_PATH) < 0 ||
	    fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	store_by_ino(st.st_ino, out);
	if (durable_unlinkat(dirfd, name, 0) < 0) {
		err = tree_error(why, errno, name);
		store_put(*out);
		*out = NULL;
		return err;
	}
	dir = fs_node_by_ino(at.st_ino);
	if (dir) {
		store_bind(dir, NULL);
		WRITE_ONCE(dir->obj_known, true);
		fs_node_put(dir);
	}
	/* Who still has the object after a power loss has what stands beside it, too. */
	err = durable_settle(why);
	tree_remove_hidden(dirfd, but);
	if (*out)
		store_names_changed(*out);
	if (err) {
		store_put(*out);
		*out = NULL;
	}
	return err;
}

int store_link(struct store_object *obj, int dirfd, const char *name, struct error_record *why)
{
	uid_t owner = READ_ONCE(obj->owner);
	int err = durable_settle(why); /* what is named is on the disk before its name */
	char id[32];

	if (!err)
		err = limits_charge(owner, LIMIT_NAMES, 1, why);
	if (err)
		return err;
	if (durable_linkat(tree.objects_fd, store_part_name(obj->id, STORE_OBJECT, id), dirfd,
			   name) < 0)
		err = tree_error(why, errno, name);
	limits_uncharge(owner, LIMIT_NAMES, 1);
	if (!err)
		store_names_changed(obj);
	return err;
}
