/*
 * files.h - the files of objects, by their ids: their names, opening and removing them, new ids
 */
#ifndef UBPFFS_FS_STORE_OBJECTS_FILES_H
#define UBPFFS_FS_STORE_OBJECTS_FILES_H

#include "util/types.h"

/*
 * The files of an object: objects/<id>, and beside it those of a map's values and of the types of
 * its keys and values (maps of one load share that one by hard links).
 */
enum store_part { STORE_OBJECT, STORE_VALUES, STORE_BTF, STORE_PARTS };
const char *store_part_suffix(enum store_part part); /* behind the id */
const char *store_part_name(u32 id, enum store_part part, char buf[32]); /* returns buf */
/*
 * Its file, opened by its name: maps keep no descriptors of theirs. O_RDONLY, O_RDWR. The caller
 * closes it.
 */
int store_part_open(u32 id, enum store_part part, int flags);
/* The same for reading and writing, whatever the bits say, which are its clients'. */
int store_part_open_own(u32 id, enum store_part part);
/* What passthrough.h knows that file by. */
static inline u64 store_backing_key(u32 id, enum store_part part)
{
	return (u64)id << 8 | part;
}

u32 store_next_id(void);
/* At the start: this id is in use, or was; later ones are higher. */
void store_id_seen(u64 id);

/*
 * The companions first, and nothing after what fails: what is left is the object's file, which a
 * start removes again.
 */
void store_remove_files(u32 id);
/*
 * The same when whatever named the object is gone from the disk, too, by a thread of the workers;
 * for the durable modes.
 */
void store_remove_files_later(u32 id);

#endif
