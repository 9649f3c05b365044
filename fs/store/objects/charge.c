/*
 * charge.c - see charge.h
 */
#include "fs/store/objects/charge.h"
#include "fs/caller/limits.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/files.h"
#include "fs/store/objects/private.h"
#include "fs/store/state/state_tree.h"
#include "map/syscall.h"

#include <fcntl.h>

void store_uncharge(const struct store_object *obj)
{
	limits_uncharge(obj->owner, LIMIT_OBJECTS, 1);
	limits_uncharge(obj->owner, LIMIT_BYTES, obj->bytes);
	limits_uncharge(obj->owner, LIMIT_NAMES, obj->names);
}

static int charge(uid_t uid, const struct store_object *obj, struct error_record *why)
{
	int err = limits_charge(uid, LIMIT_OBJECTS, 1, why);

	if (err)
		return err;
	err = limits_charge(uid, LIMIT_BYTES, obj->bytes, why);
	if (err)
		goto fail;
	err = limits_charge(uid, LIMIT_NAMES, obj->names, why);
	if (!err)
		return 0;
	limits_uncharge(uid, LIMIT_BYTES, obj->bytes);
fail:
	limits_uncharge(uid, LIMIT_OBJECTS, 1);
	return err;
}

static u64 part_bytes(struct store_object *obj, enum store_part part)
{
	struct stat st;
	char name[32];
	int err;

	if (part == STORE_OBJECT)
		err = store_stat(obj, &st);
	else
		err = fstatat(tree.objects_fd, store_part_name(obj->id, part, name), &st,
			      AT_SYMLINK_NOFOLLOW);
	return err ? 0 : min((u64)st.st_size, (u64)st.st_blocks * 512);
}

/* What its files hold, with what a map may grow to. */
u64 store_bytes(struct store_object *obj)
{
	if (obj->map)
		return bpf_map_mem_usage(obj->map) +
		       (obj->map->btf ? part_bytes(obj, STORE_BTF) : 0);
	if (!obj->broken) /* a program or a link has nothing beside it */
		return part_bytes(obj, STORE_OBJECT);
	return part_bytes(obj, STORE_OBJECT) + part_bytes(obj, STORE_VALUES) +
	       part_bytes(obj, STORE_BTF);
}

int store_charge(struct store_object *obj, u64 bytes, struct error_record *why)
{
	int err;

	obj->bytes = bytes;
	err = charge(obj->owner, obj, why);

	obj->charged = !err;
	return err;
}

int store_charge_types(struct store_object *obj, struct error_record *why)
{
	u64 more;
	int err;

	pthread_mutex_lock(&store.lock);
	more = store_bytes(obj) - obj->bytes;
	err = limits_charge(obj->owner, LIMIT_BYTES, more, why);
	if (!err)
		obj->bytes += more;
	pthread_mutex_unlock(&store.lock);
	return err;
}

void store_charge_anyway(struct store_object *obj)
{
	struct stat st;

	if (obj->charged)
		return;
	if (!store_stat(obj, &st))
		obj->owner = st.st_uid;
	if (!obj->asleep) /* else it was counted */
		obj->bytes = store_bytes(obj);
	limits_charge_anyway(obj->owner, LIMIT_OBJECTS, 1);
	limits_charge_anyway(obj->owner, LIMIT_BYTES, obj->bytes);
	obj->charged = true;
}

void __store_charge_names(struct store_object *obj, u32 names)
{
	if (names > obj->names)
		limits_charge_anyway(obj->owner, LIMIT_NAMES, names - obj->names);
	else
		limits_uncharge(obj->owner, LIMIT_NAMES, obj->names - names);
	obj->names = names;
}

int store_set_owner(struct store_object *obj, uid_t uid, struct error_record *why)
{
	int err = 0;

	pthread_mutex_lock(&store.lock);
	if (uid != obj->owner) {
		err = charge(uid, obj, why);
		if (!err) {
			store_uncharge(obj);
			obj->owner = uid;
		}
	}
	pthread_mutex_unlock(&store.lock);
	return err;
}
