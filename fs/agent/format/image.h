/*
 * image.h - an image: the code that a process has mapped, and from which files
 *
 * Addresses of a stack mean something only together with what was mapped when the stack was taken.
 * A source of samples keeps images (sources/images.h), from the kernel's records and, of processes
 * that were there before it, from /proc (agent/service/stack/maps.c); the process that reads
 * symbols (agent/service/stack/symbols.c) gets those that it is to name. On the way an image is one
 * message.
 *
 * Guarantees
 *   A. Mappings ascend and do not overlap: a later one replaces what was at its addresses. What
 *	belongs together and touches is one.
 *   B. Whatever the bytes of a message are, image_read() reads nothing outside of them, and what it
 *	takes is as A says, with paths that end in it.
 *   C. An image has at most IMAGE_MAPS mappings and IMAGE_NAMES bytes of paths: others are left
 *	out.
 * Pure functions. Tests: tests/unit/test_image_maps.c names each case by its letter.
 */
#ifndef UBPFFS_FS_AGENT_FORMAT_IMAGE_H
#define UBPFFS_FS_AGENT_FORMAT_IMAGE_H

#include "util/types.h"

#define IMAGE_MAPS    1024
#define IMAGE_NAMES   65536
#define IMAGE_MESSAGE (64 + IMAGE_MAPS * sizeof(struct image_map) + IMAGE_NAMES)

struct image_map {
	u64 start, end;
	u64 offset; /* in the file; of code without a file the address itself */
	u64 ino; /* 0: not known */
	u64 time; /* s since 1970: when it was seen; 0: it is mapped now */
	u32 path; /* in names; "": code without a file */
	u32 unused;
};

struct image {
	u32 id, pid; /* pid: of the process that made it */
	u32 foreign; /* a source of another user's: who reads may compare, and tell nothing of it */
	u64 ended; /* s since 1970: when its last process did; 0: it has some */
	u32 nr, names_len;
	u32 cap, names_cap;
	struct image_map *maps;
	char *names;
};

static inline const char *image_path(const struct image *img, const struct image_map *map)
{
	return img->names + map->path;
}

/* What the kernel and /proc call code that lies in no file of a name. */
bool image_path_is_none(const char *path);

/* Is that mapped there already? */
bool image_holds(const struct image *img, const struct image_map *map, const char *path);
/* Is something else mapped where this one is? */
bool image_differs(const struct image *img, const struct image_map *map, const char *path);
/* C, else 0 or -ENOMEM; map->path does not count. */
int image_add(struct image *img, const struct image_map *map, const char *path);
int image_copy(struct image *to, const struct image *from); /* `to` is zeroes */
void image_free(struct image *img); /* what it holds */
size_t image_bytes(const struct image *img); /* of memory */

/* Into a buffer of IMAGE_MESSAGE bytes; the length. */
size_t image_write(const struct image *img, void *buf);
/* B. The pointers of *out lead into the message, which is 8-byte aligned. */
bool image_read(const void *buf, size_t len, struct image *out);

#endif
