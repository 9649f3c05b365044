/*
 * perf_images.h - which image (images.h) each sampled process has, from the records of a source
 *
 * The records come in the order of their time (perf_rings.h). What a process had mapped before the
 * first of them is read from /proc by a process of the source's owner (stack/maps.h), with the
 * events on already: a mapping that is told twice is one.
 *
 * Used by the source's thread.
 */
#ifndef UBPFFS_FS_SOURCES_PERF_IMAGES_H
#define UBPFFS_FS_SOURCES_PERF_IMAGES_H

#include "fs/sources/images.h"
#include "fs/sources/source.h"

/* pid -1: of all processes. Waits two seconds at most; what is not there by then is not known. */
void perf_images_read(struct source *src, struct image_source *images, pid_t pid);
/* The body of a PERF_RECORD_MMAP2, as the kernel wrote it. */
void perf_images_map(struct image_source *images, const void *body, size_t size);

#endif
