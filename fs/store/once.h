/*
 * once.h - changes of a map that a request makes once, also when its server is killed
 *
 * After a push, a pop or a delete the map does not show whether it was made once or twice. So
 * each change is noted just before it is made (keeper/requests.h), and the next server, before it
 * changes anything, finds out of the last one whether it was made: of maps without keys by the
 * map's mark (bpf_map_made()), of keys by whether they are there. A request that is sent again gets
 * what it has done from the notes, and does the rest.
 *
 *	map_once_begin(&once, map, req);
 *	ret = map_once_before(&once, &data, &len);	1: done before, and this was taken out
 *	map_once_note(&once);				else changes of this thread are noted
 *	...
 *	map_once_end();
 */
#ifndef UBPFFS_FS_STORE_ONCE_H
#define UBPFFS_FS_STORE_ONCE_H

#include "core/map.h"
#include "fs/node/node.h"

struct map_once {
	struct bpf_map_note note;
	struct fs_req *req;
	u32 map, at;
	bool all_repeated;
};

/* At a start, when all maps are there and nobody has changed one. */
void map_once_recover(void);

void map_once_begin(struct map_once *once, const struct bpf_map *map, struct fs_req *req);
/* The next change that the request made before: 1; 0: none; -EIO and a sentence: not known. */
int map_once_before(struct map_once *once, const void **data, u32 *len);
void map_once_note(struct map_once *once);
void map_once_end(void);

/* The same, of one change: a push, a pop (value: bpf_map_value_size() bytes). */
int map_once_push(struct map_once *once, struct bpf_map *map, const void *value, u64 flags);
int map_once_pop(struct map_once *once, struct bpf_map *map, void *value, u64 flags);
/* Delete the key that `what` begins with, of len bytes, which map_once_before() gives. */
int map_once_delete(struct map_once *once, struct bpf_map *map, const void *what, u32 len);
/* It is about to be made with BPF_NOEXIST. Not made after all: map_once_undo(). */
void map_once_create(struct map_once *once, const struct bpf_map *map, const void *key);
void map_once_undo(struct map_once *once);

#endif
