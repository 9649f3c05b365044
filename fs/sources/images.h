/*
 * images.h - all images that stacks were taken of (agent/format/image.h), by number
 *
 * A sample's stack carries the number of its process's image (run/sample.h). An image stays when
 * its processes have ended, so that their stacks can still be named.
 *
 * Guarantees
 *   A. A number means the same addresses for ever: an image that would change what is mapped
 *	somewhere, or that several processes share, is copied first. One that had to make room is
 *	known by no number any more.
 *   B. There are at most IMAGES of them, with IMAGES_BYTES, of one user half as much. Room is made
 *	by the user who has most, with his image that was longest without a process. A source
 *	knows at most IMAGE_PROCESSES.
 *   C. An image is told to its source's user and to root; to others as `foreign`.
 * Any thread. Tests: tests/unit/test_images.c names each case by its letter.
 */
#ifndef UBPFFS_FS_SOURCES_IMAGES_H
#define UBPFFS_FS_SOURCES_IMAGES_H

#include <sys/types.h>
#include "fs/agent/format/image.h"

#define IMAGES		4096 /* a power of two */
#define IMAGES_BYTES	(64u << 20)
#define IMAGE_PROCESSES 32768

struct image_source { /* who samples: zeroes but for uid */
	uid_t uid;
	u32 processes;
};

/*
 * What a source's processes do. A process has its parent's image until one of them maps something;
 * a program that is executed begins a new one. 0: none, as there was no room.
 */
u32 image_of(const struct image_source *src, u32 pid);
void image_exec(struct image_source *src, u32 pid);
void image_fork(struct image_source *src, u32 pid, u32 parent);
void image_exit(struct image_source *src, u32 pid);
void image_map(struct image_source *src, u32 pid, const struct image_map *map, const char *path);
void image_source_end(struct image_source *src); /* all of its processes exit */

/* The images that a process has, of all sources: at most `max`. */
u32 images_of_process(u32 pid, u32 *ids, u32 max);
/* C. A copy, to be freed; false: it is not known (any more), or there is no memory. */
bool image_get(u32 id, uid_t uid, struct image *out);

#endif
