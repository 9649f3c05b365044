/*
 * extent.h - where in a stream an object ends
 */
#ifndef UBPFFS_OBJECT_EXTENT_H
#define UBPFFS_OBJECT_EXTENT_H

#include "util/types.h"

/*
 * bpf_object_extent - where the object ends
 *
 * Given the first `len` bytes of a stream: 1 and *end when the object is complete at *end bytes (<=
 * len); 0 when it cannot tell yet, and not before there are *end bytes; -ENOEXEC when this is no
 * little-endian 64-bit eBPF ELF (decided as soon as the bytes tell). The end is the maximum over
 * the header tables, sections and segments. -EFBIG when the headers claim more than `max` bytes, or
 * more tables than any eBPF object has.
 */
int bpf_object_extent(const void *data, size_t len, size_t max, size_t *end);

#endif
