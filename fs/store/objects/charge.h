/*
 * charge.h - what the owner of an object is charged (limits.h)
 */
#ifndef UBPFFS_FS_STORE_OBJECTS_CHARGE_H
#define UBPFFS_FS_STORE_OBJECTS_CHARGE_H

#include "fs/store/objects/object.h"

/* What its files hold, with what a map may grow to. */
u64 store_bytes(struct store_object *obj);
/* Its owner pays for a new object of so many bytes; and for types that come to a map later. */
int store_charge(struct store_object *obj, u64 bytes, struct error_record *why);
int store_charge_types(struct store_object *obj, struct error_record *why);
/* Of an earlier server: it is there, and cannot be refused. */
void store_charge_anyway(struct store_object *obj);
void store_uncharge(const struct store_object *obj);
/* The names are those that there are now; store.lock is held. */
void __store_charge_names(struct store_object *obj, u32 names);
/* Somebody else is its owner from now on, and is charged for it. -EDQUOT: nothing has changed. */
int store_set_owner(struct store_object *obj, uid_t uid, struct error_record *why);

#endif
