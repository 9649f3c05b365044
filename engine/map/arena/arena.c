/*
 * arena.c - creating, mapping and checking the memory of a map (see arena.h)
 */
#define XXH_INLINE_ALL
#include <xxhash.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include "run/run.h"
#include "map/arena/arena.h"

#define HUGE_PAGE (2UL << 20)
#ifndef MADV_POPULATE_WRITE /* Linux 5.14 */
#define MADV_POPULATE_WRITE 23
#endif

bool bpf_arena_private;

/* With its padding, as it lies in the file. Never 0. */
u64 bpf_arena_checksum(const struct bpf_arena_header *header)
{
	struct bpf_arena_header standing;

	memcpy(&standing, header, sizeof(standing));
	standing.magic = 0; /* written last */
	standing.map_id = standing.clean = standing.frozen = 0; /* of these one may change */
	standing.entries = standing.checksum = standing.closed = 0;
	return XXH64(&standing, sizeof(standing), BPF_ARENA_MAGIC) | 1;
}

static u64 closed_checksum(const struct bpf_arena_header *header)
{
	const u64 words[] = {header->checksum, header->entries, header->frozen, header->map_id};

	return XXH64(words, sizeof(words), BPF_ARENA_MAGIC) | 1;
}

static u64 page_align(u64 size)
{
	return round_up(size, (u64)BPF_ARENA_HEADER_SIZE);
}

/* Anonymous memory, placed so that huge pages can lie under it. */
static void *map_anonymous(size_t size)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	uintptr_t start, from;
	void *addr;

	if (size < HUGE_PAGE) {
		addr = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
		return addr == MAP_FAILED ? NULL : addr;
	}
	addr = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (addr == MAP_FAILED)
		return NULL;
	start = (uintptr_t)addr;
	from = round_up(start, HUGE_PAGE);
	if (from > start)
		munmap(addr, from - start);
	if (start + HUGE_PAGE > from)
		munmap((void *)(from + size), start + HUGE_PAGE - from);
	return (void *)from;
}

/* One of the two mappings: of a file made `size` bytes long, or anonymous. */
static int map_part(struct bpf_arena *arena, int fd, size_t size, bool resize, void **out)
{
	int err;

	if (fd < 0) {
		*out = map_anonymous(size);
		return *out ? 0 : -ENOMEM;
	}
	if (resize && ftruncate(fd, (off_t)size))
		return errno == EFBIG ? -E2BIG : -errno;
	*out = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    bpf_arena_private ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED, fd, 0);
	if (*out == MAP_FAILED) {
		*out = NULL;
		return -errno;
	}
	err = bpf_arena_watch(arena, *out, size);
	if (err) {
		munmap(*out, size);
		*out = NULL;
	}
	return err;
}

/* Most of it stays addresses: a huge page would be zeroed for the header alone. */
static bool is_sparse(const struct bpf_map_spec *spec)
{
	return spec->map_type == BPF_MAP_TYPE_LPM_TRIE ||
	       spec->map_type == BPF_MAP_TYPE_CGROUP_STORAGE ||
	       spec->map_type == BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
}

/* What map_part() mapped; NULL is ignored. */
static void unmap_part(bool in_file, void *addr, size_t size)
{
	if (!addr)
		return;
	if (in_file)
		bpf_arena_unwatch(addr);
	munmap(addr, size);
}

static int dup_fd(int fd)
{
	int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	return copy < 0 ? -errno : copy;
}

static int sealed_memfd(const char *name, size_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int err;

	if (fd < 0)
		return -errno;
	/* 0600: who has no descriptor gets one through /proc as the same user only. */
	if (!fchmod(fd, 0600) && !ftruncate(fd, (off_t)size) &&
	    !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static struct bpf_arena *arena_alloc(void)
{
	struct bpf_arena *arena = calloc(1, sizeof(*arena));

	if (arena)
		arena->index_fd = arena->values_fd = arena->mirror_fd = -1;
	return arena;
}

static int arena_map_values(struct bpf_arena *arena, const struct bpf_map_spec *spec, int values_fd)
{
	bool resize = values_fd >= 0;

	if (values_fd >= 0)
		arena->values_fd = dup_fd(values_fd);
	else if (spec->map_flags & BPF_F_MMAPABLE || spec->map_type == BPF_MAP_TYPE_RINGBUF)
		arena->values_fd = sealed_memfd("bpf-map-values", arena->values_size);
	if (arena->values_fd < -1) {
		int err = arena->values_fd;

		arena->values_fd = -1;
		return err;
	}
	arena->values_in_file = arena->values_fd >= 0;
	return map_part(arena, arena->values_fd, arena->values_size, resize, &arena->values);
}

static void arena_init_header(struct bpf_arena *arena, const struct bpf_map_spec *spec, u32 map_id)
{
	struct bpf_arena_header *header = arena->header;

	header->version = BPF_ARENA_VERSION;
	header->nr_slots = bpf_nr_slots();
	header->index_size = arena->index_size;
	header->values_size = arena->values_size;
	header->map_id = map_id;
	header->spec = *spec;
	if (!(spec->map_flags & BPF_F_ZERO_SEED) &&
	    getrandom(&header->hash_seed, sizeof(header->hash_seed), GRND_NONBLOCK) < 0)
		header->hash_seed = (u32)((uintptr_t)arena >> 4) ^ map_id;
	header->checksum = bpf_arena_checksum(header);
	__atomic_store_n(&header->magic, BPF_ARENA_MAGIC, __ATOMIC_RELEASE);
}

int bpf_arena_create(const struct bpf_map_spec *spec, u32 map_id, u64 index_bytes, u64 values_bytes,
		     int index_fd, int values_fd, struct bpf_arena **out)
{
	struct bpf_arena *arena;
	int err;

	if (index_bytes > BPF_ARENA_MAX_SIZE || values_bytes > BPF_ARENA_MAX_SIZE)
		return -E2BIG;
	if (!values_bytes && values_fd >= 0)
		return -EINVAL;
	if (values_bytes && (index_fd >= 0) != (values_fd >= 0))
		return -EINVAL;
	arena = arena_alloc();
	if (!arena)
		return -ENOMEM;
	arena->index_size = BPF_ARENA_HEADER_SIZE + page_align(index_bytes);
	arena->values_size = page_align(values_bytes);

	if (index_fd >= 0 || spec->map_type == BPF_MAP_TYPE_RINGBUF) {
		err = index_fd >= 0 ? dup_fd(index_fd)
				    : sealed_memfd("bpf-map-ring", arena->index_size);
		if (err < 0)
			goto fail;
		arena->index_fd = err;
		arena->index_in_file = true;
	}
	err = map_part(arena, arena->index_fd, arena->index_size, index_fd >= 0,
		       (void **)&arena->header);
	if (!err)
		err = bpf_arena_reserve(arena, arena->header, BPF_ARENA_HEADER_SIZE);
	if (err)
		goto fail;
	if (index_fd < 0 && arena->index_size >= 2 * HUGE_PAGE && !is_sparse(spec))
		bpf_arena_advise_huge(arena->header, HUGE_PAGE); /* before it is touched */
	if (arena->values_size) {
		err = arena_map_values(arena, spec, values_fd);
		if (err)
			goto fail;
	}
	arena->index = (char *)arena->header + BPF_ARENA_HEADER_SIZE;
	arena_init_header(arena, spec, map_id);
	*out = arena;
	return 0;
fail:
	bpf_arena_close(arena, false);
	return err;
}

/* The file's own size decides what may be touched, before anything in it is believed. */
static bool size_fits(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_size > 0 &&
	       st->st_size % BPF_ARENA_HEADER_SIZE == 0 &&
	       (u64)st->st_size <= BPF_ARENA_MAX_SIZE + BPF_ARENA_HEADER_SIZE;
}

static int file_size(int fd, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!size_fits(&st))
		return -EBADMSG;
	*size = (size_t)st.st_size;
	return 0;
}

static int header_check(const struct bpf_arena_header *header, u64 index_size, u64 values_size)
{
	if (header->magic != BPF_ARENA_MAGIC || header->version != BPF_ARENA_VERSION ||
	    header->index_size != index_size || header->values_size != values_size ||
	    !header->nr_slots || header->nr_slots > BPF_MAX_SLOTS || header->frozen > 1 ||
	    (header->checksum && header->checksum != bpf_arena_checksum(header)) ||
	    memchr(header->spec.name, 0, sizeof(header->spec.name)) == NULL)
		return -EBADMSG;
	return 0;
}

int bpf_arena_look(int index_fd, const struct stat *index, const struct stat *values,
		   struct bpf_arena_header *out)
{
	ssize_t n;

	if (!size_fits(index) || (values && !size_fits(values)))
		return -EBADMSG;
	n = pread(index_fd, out, sizeof(*out), 0);
	if (n != sizeof(*out))
		return n < 0 ? -errno : -EBADMSG;
	return header_check(out, (u64)index->st_size, values ? (u64)values->st_size : 0);
}

int bpf_arena_open(int index_fd, int values_fd, struct bpf_arena **out)
{
	struct bpf_arena *arena = arena_alloc();
	int err;

	if (!arena)
		return -ENOMEM;
	err = dup_fd(index_fd);
	if (err < 0)
		goto fail;
	arena->index_fd = err;
	arena->index_in_file = true;
	arena->values_in_file = values_fd >= 0;
	if (values_fd >= 0) {
		err = dup_fd(values_fd);
		if (err < 0)
			goto fail;
		arena->values_fd = err;
		err = file_size(values_fd, &arena->values_size);
		if (err)
			goto fail;
	}
	err = file_size(index_fd, &arena->index_size);
	if (!err)
		err = map_part(arena, arena->index_fd, arena->index_size, false,
			       (void **)&arena->header);
	if (!err)
		err = header_check(arena->header, arena->index_size, arena->values_size);
	if (!err && arena->values_size)
		err = map_part(arena, arena->values_fd, arena->values_size, false, &arena->values);
	if (err)
		goto fail;
	arena->index = (char *)arena->header + BPF_ARENA_HEADER_SIZE;
	arena->was_clean =
		arena->header->clean == 1 &&
		(!arena->header->closed || arena->header->closed == closed_checksum(arena->header));
	arena->header->closed = 0;
	__atomic_store_n(&arena->header->clean, 0, __ATOMIC_RELEASE);
	*out = arena;
	return 0;
fail:
	bpf_arena_close(arena, false);
	return err;
}

int bpf_arena_share(const struct bpf_map_spec *spec, u64 values_bytes, int values_fd, bool rdonly,
		    struct bpf_arena **out)
{
	struct bpf_arena *arena = arena_alloc();
	void *addr;
	int err;

	if (!arena)
		return -ENOMEM;
	arena->index_size = BPF_ARENA_HEADER_SIZE;
	err = file_size(values_fd, &arena->values_size);
	if (!err && arena->values_size != page_align(values_bytes))
		err = -EBADMSG;
	if (!err)
		err = map_part(arena, -1, arena->index_size, false, (void **)&arena->header);
	if (err)
		goto fail;
	/* Of what is only read nothing is reserved, and no page needs another in its place. */
	addr = mmap(NULL, arena->values_size, rdonly ? PROT_READ : PROT_READ | PROT_WRITE,
		    MAP_SHARED, values_fd, 0);
	if (addr == MAP_FAILED) {
		err = -errno;
		goto fail;
	}
	arena->values = addr;
	arena->index = (char *)arena->header + BPF_ARENA_HEADER_SIZE;
	arena_init_header(arena, spec, 0);
	*out = arena;
	return 0;
fail:
	bpf_arena_close(arena, false);
	return err;
}

int bpf_arena_peek(int index_fd, struct bpf_arena **out)
{
	struct bpf_arena *arena = arena_alloc();
	void *addr;
	int err;

	if (!arena)
		return -ENOMEM;
	err = file_size(index_fd, &arena->index_size);
	if (err)
		goto fail;
	addr = mmap(NULL, arena->index_size, PROT_READ, MAP_SHARED, index_fd, 0);
	if (addr == MAP_FAILED) {
		err = -errno;
		goto fail;
	}
	arena->header = addr;
	err = header_check(arena->header, arena->index_size, 0);
	if (err)
		goto fail;
	arena->index = (char *)arena->header + BPF_ARENA_HEADER_SIZE;
	*out = arena;
	return 0;
fail:
	bpf_arena_close(arena, false);
	return err;
}

int bpf_arena_check_size(u64 index_size, u64 values_size, u64 index_bytes, u64 values_bytes)
{
	if (index_bytes > BPF_ARENA_MAX_SIZE || values_bytes > BPF_ARENA_MAX_SIZE ||
	    index_size != BPF_ARENA_HEADER_SIZE + page_align(index_bytes) ||
	    values_size != page_align(values_bytes))
		return -EBADMSG;
	return 0;
}

int bpf_arena_sync(const struct bpf_arena *arena)
{
	if (arena->index_in_file && msync(arena->header, arena->index_size, MS_SYNC))
		return -errno;
	if (arena->values_in_file && arena->values &&
	    msync(arena->values, arena->values_size, MS_SYNC))
		return -errno;
	return 0;
}

void bpf_arena_close(struct bpf_arena *arena, bool clean)
{
	if (!arena)
		return;
	if (clean && arena->header && !READ_ONCE(arena->lossy)) {
		arena->header->closed = closed_checksum(arena->header);
		__atomic_store_n(&arena->header->clean, 1, __ATOMIC_RELEASE);
	}
	unmap_part(arena->values_in_file, arena->values, arena->values_size);
	if (arena->mirror)
		munmap(arena->mirror, arena->values_size);
	if (arena->mirror_fd >= 0)
		close(arena->mirror_fd);
	unmap_part(arena->index_in_file, arena->header, arena->index_size);
	bpf_arena_drop_files(arena);
	free(arena);
}

void bpf_arena_drop_files(struct bpf_arena *arena)
{
	if (arena->values_fd >= 0)
		close(arena->values_fd);
	if (arena->index_fd >= 0)
		close(arena->index_fd);
	arena->index_fd = arena->values_fd = -1;
}

/* The same as by fallocate(), but that the pages are there at once: for what is touched next. */
static int populate(const void *addr, u64 len)
{
	uintptr_t from = (uintptr_t)addr & -4096ul, to = round_up((uintptr_t)addr + len, 4096ul);

	while (madvise((void *)from, to - from, MADV_POPULATE_WRITE))
		switch (errno) {
		case EINTR:
		case EAGAIN:
			continue;
		case EFAULT: /* SIGBUS, had it been touched */
			return -ENOSPC;
		case EINVAL: /* a kernel that cannot */
			return 0;
		default:
			return -errno;
		}
	return 0;
}

int bpf_arena_reserve(const struct bpf_arena *arena, const void *addr, u64 len)
{
	bool in_values = arena->values && (const char *)addr >= (const char *)arena->values &&
			 (const char *)addr < (const char *)arena->values + arena->values_size;
	const void *start = in_values ? arena->values : (const void *)arena->header;
	bool in_file = in_values ? arena->values_in_file : arena->index_in_file;
	int fd = in_values ? arena->values_fd : arena->index_fd;
	int err;

	if (!in_file || !len || bpf_arena_private)
		return 0;
	if (fd < 0)
		return populate(addr, len);
	do {
		err = fallocate(fd, FALLOC_FL_KEEP_SIZE, (const char *)addr - (const char *)start,
				(off_t)len)
			      ? -errno
			      : 0;
	} while (err == -EINTR);
	return err == -EOPNOTSUPP || err == -ENOSYS ? 0 : err;
}

void bpf_arena_advise_huge(void *addr, size_t len)
{
	uintptr_t from = round_up((uintptr_t)addr, HUGE_PAGE);
	uintptr_t to = ((uintptr_t)addr + len) / HUGE_PAGE * HUGE_PAGE;

	if (from < to)
		madvise((void *)from, to - from, MADV_HUGEPAGE); /* a hint: failing is fine */
}
