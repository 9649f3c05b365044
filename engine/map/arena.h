/*
 * arena.h - the memory of a map
 *
 * One or two file-backed shared mappings: the index file (header, specification, buckets, elements and, but
 * for arrays, the values) and, for types whose values a client may map, the values file, which holds
 * values from offset 0 and nothing else. Links inside are 32-bit indices, never pointers. Pages come as they
 * are touched. Valid at any address, in any process, after any restart.
 */
#ifndef UBPFFS_MAP_ARENA_H
#define UBPFFS_MAP_ARENA_H

#include "core/map.h"

#define BPF_ARENA_MAGIC	  0x6e657261667062ULL /* "bpfaren" */
#define BPF_ARENA_VERSION 1

struct bpf_arena_header { /* at offset 0 of the index file */
	u64 magic;
	u32 version;
	u32 nr_slots; /* per-slot parts were laid out for this many */
	u64 index_size, values_size;
	u32 map_id;
	u32 clean; /* 1: closed in order; 0: recover on open */
	u32 frozen;
	u32 hash_seed;
	struct bpf_map_spec spec;
};

struct bpf_arena {
	struct bpf_arena_header *header;
	void *index; /* first byte after the header's page */
	void *values; /* NULL without a values file */
	size_t index_size, values_size; /* of the mappings, header page included */
	int index_fd, values_fd; /* -1 when absent */
	bool was_clean; /* as found on open */
};

/*
 * bpf_arena_create - size the files and map them
 *
 * Descriptors are duplicated; -1 makes a memfd (the values memfd is sealed against resizing). index_bytes
 * and values_bytes are what the type needs beside the header. -ENOMEM, -E2BIG (does not fit in the
 * address space), or the errno of ftruncate/mmap (-ENOSPC).
 */
int bpf_arena_create(const struct bpf_map_spec *spec, u32 map_id, size_t index_bytes,
		     size_t values_bytes, int index_fd, int values_fd, struct bpf_arena **out);
/* Map what a file holds; -EBADMSG when sizes, magic, version or slots do not fit. Nothing in the files is
 * trusted beyond what is checked here. */
int bpf_arena_open(int index_fd, int values_fd, struct bpf_arena **out);
/* Marks it clean when asked, and unmaps. */
void bpf_arena_close(struct bpf_arena *arena, bool clean);

#endif
