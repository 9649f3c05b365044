/*
 * arena.h - the memory of a map
 *
 * One or two mappings: the index (header, specification, buckets, elements and, but for arrays, the
 * values) and, for types whose values a client may map, the values file, which holds values from
 * offset 0 and nothing else. Links inside are 32-bit indices, never pointers. Pages come as they
 * are touched. Valid at any address and after any restart.
 *
 * Guarantees
 *   A. A new arena reads as zero beyond its header.
 *   B. The header's magic is written last: a file whose creation was cut short does not open.
 *   C. `clean` is 1 only in an arena that bpf_arena_close(.., true) ended and nobody opened since,
 *      and is believed only when `closed` agrees.
 *   D. A values memfd can be neither grown nor shrunk by who it is handed to.
 *   E. After bpf_arena_drop_files() all of it goes on.
 *   F. A header of which any byte of what stands is another does not open.
 * One process has an arena open at a time; the store's flock sees to that. Others may share the
 * values alone (bpf_arena_share()).
 *
 * An index without a file is anonymous memory of this process (but a ring buffer's, which consumers
 * map: a memfd), so that huge pages can serve it (a memfd gets none on most systems); after a
 * fork() the child has a copy, not the map.
 * Tests: tests/unit/test_arena.c.
 */
#ifndef UBPFFS_MAP_ARENA_H
#define UBPFFS_MAP_ARENA_H

#include "core/map.h"

#define BPF_ARENA_MAGIC	      0x6e657261667062ULL /* "bpfaren" */
#define BPF_ARENA_VERSION     3
#define BPF_ARENA_HEADER_SIZE 4096
#define BPF_ARENA_MAX_SIZE    (1ULL << 44) /* of one mapping */

struct bpf_arena_header { /* at offset 0 of the index file */
	u64 magic;
	u32 version;
	u32 nr_slots; /* per-slot parts were laid out for this many */
	u64 index_size, values_size;
	u32 map_id;
	u32 clean; /* 1: closed in order; 0: recover on open */
	u32 frozen;
	u32 hash_seed;
	u64 entries; /* in use when it was closed cleanly */
	struct bpf_map_spec spec;
	/*
	 * Of what stands since the map was made. Of an ordered end: of `entries` and `frozen`, too.
	 * 0: an earlier program has made it, or had it last, and knew neither.
	 */
	u64 checksum, closed;
};

struct bpf_arena {
	struct bpf_arena_header *header;
	void *index; /* first byte after the header's page */
	void *values; /* NULL without values of their own */
	size_t index_size, values_size; /* of the mappings, header page included */
	int index_fd, values_fd; /* -1: there is none, or none any more (bpf_arena_drop_files()) */
	bool index_in_file, values_in_file; /* false: anonymous memory */
	void *mirror; /* of the values, for clients that may only read (mmap.c); NULL: none */
	int mirror_fd;
	bool was_clean; /* as found on open */
	/* some page did not fit on the filesystem: what is there goes with the process */
	bool lossy;
};

/*
 * bpf_arena_create - size the files and map them
 *
 * Descriptors are duplicated. index_fd -1 makes anonymous memory; values_fd -1 makes anonymous
 * memory too, or a sealed memfd when the map is BPF_F_MMAPABLE or a ring buffer. index_bytes and
 * values_bytes are what the type needs beside the header. -ENOMEM, -E2BIG (does not fit in the
 * address space), -EINVAL (a values file that nobody asked for, or an index file without it), or
 * the errno of ftruncate/mmap (-ENOSPC).
 */
int bpf_arena_create(const struct bpf_map_spec *spec, u32 map_id, u64 index_bytes, u64 values_bytes,
		     int index_fd, int values_fd, struct bpf_arena **out);

/*
 * Map what a file holds; -EBADMSG when sizes, magic, version or specification do not fit. Nothing
 * in the files is trusted beyond what is checked here. The header's `clean` becomes 0.
 */
int bpf_arena_open(int index_fd, int values_fd, struct bpf_arena **out);

/*
 * True: arenas are opened to be looked at. What opening and recovering them changes is this
 * process's alone, and descriptors for reading will do.
 */
extern bool bpf_arena_private;

/*
 * An arena whose values are in a file that another process has open as its own; the header is this
 * process's. rdonly: mapped for reading only. -EBADMSG when the file has another size.
 */
int bpf_arena_share(const struct bpf_map_spec *spec, u64 values_bytes, int values_fd, bool rdonly,
		    struct bpf_arena **out);

/* What `checksum` is. */
u64 bpf_arena_checksum(const struct bpf_arena_header *header);

/*
 * The index of an arena that another process has open, to be read and never written: no recovery,
 * and no mark of this process's in it. -EBADMSG as bpf_arena_open().
 */
int bpf_arena_peek(int index_fd, struct bpf_arena **out);

/* What was stored to the mappings of files is on the disk when it returns. */
int bpf_arena_sync(const struct bpf_arena *arena);

/*
 * What bpf_arena_open() checks, without mapping anything or changing `clean`: the header, of files
 * with these attributes (values NULL: there is none).
 */
struct stat;
int bpf_arena_look(int index_fd, const struct stat *index, const struct stat *values,
		   struct bpf_arena_header *out);

/* Marks it clean when asked, and unmaps. */
void bpf_arena_close(struct bpf_arena *arena, bool clean);

/*
 * Close the descriptors of the files: the mappings need none. For who keeps many maps and can open
 * the files again by their names. From then on memory is reserved by populating the mapping.
 */
void bpf_arena_drop_files(struct bpf_arena *arena);

/* What the type of an arena needs must be what its files have. -EBADMSG. */
int bpf_arena_check_size(u64 index_size, u64 values_size, u64 index_bytes, u64 values_bytes);

/*
 * bpf_arena_reserve - have memory under a part of a file's mapping before it is touched
 *
 * Touching a page that a full filesystem cannot give is SIGBUS. 0, or -ENOSPC and the like; nothing
 * to do for anonymous memory and where the filesystem cannot say. What is small is reserved as a
 * whole when the map is made (BPF_ARENA_RESERVE_MAX), elements as they come into use.
 */
#define BPF_ARENA_RESERVE_MAX (16u << 20)
int bpf_arena_reserve(const struct bpf_arena *arena, const void *addr, u64 len);

/*
 * A mapping of a file whose holes may be touched when the filesystem is full (arena_fault.c).
 * bpf_arena_fault() is for handlers of SIGBUS that come before ours: true: the page is there now,
 * go on.
 */
int bpf_arena_watch(struct bpf_arena *arena, void *start, size_t size);
void bpf_arena_unwatch(const void *start);
bool bpf_arena_fault(const void *addr);

/* Ask for huge pages under a part that will be used densely, where the system has them for it. */
void bpf_arena_advise_huge(void *addr, size_t len);

#endif
