/*
 * names.h - names of objects: hard links of objects/<id>, counted by its file
 *
 * The store holds a reference on an object as long as it has a name.
 */
#ifndef UBPFFS_FS_STORE_OBJECTS_NAMES_H
#define UBPFFS_FS_STORE_OBJECTS_NAMES_H

#include "fs/store/objects/object.h"

/*
 * Take an object's name away: its link `name` in the directory that shows it, and the hidden files
 * beside, all but `but` (NULL: all). tree_wrlock held. -ENOENT: there is none. *out: the object,
 * with a reference; NULL when the store does not know it.
 */
int store_unname(int dirfd, const char *name, const char *but, struct store_object **out,
		 struct error_record *why);
/* Give it one more name; tree_wrlock held. */
int store_link(struct store_object *obj, int dirfd, const char *name, struct error_record *why);
/*
 * Names of this object were added or removed by other means; tree_wrlock held. Takes or drops the
 * store's reference; the caller needs one of its own to go on using obj.
 */
void store_names_changed(struct store_object *obj);
/* The same at a start, where the file was looked at and nothing has changed since. */
void store_count_names(struct store_object *obj);

#endif
