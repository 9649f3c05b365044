/*
 * mmap.c - the file that a client may map to reach an array's values
 *
 * That is the arena's values file, but for maps that programs may only read (BPF_F_RDONLY_PROG):
 * once such a map is frozen the verifier takes its values as constants, so nobody may have a
 * writable mapping of them. Clients get a mirror: a memfd with F_SEAL_FUTURE_WRITE, which the
 * kernel maps read-only for everybody but us. (Through a descriptor of its own, that is: FUSE
 * passthrough does not look at the seals of what lies behind it.) Such a map changes by
 * bpf_map_update() only, which copies what it wrote to the mirror.
 *
 * Guarantees
 *   A. A mapping of the mirror shows every update that has returned.
 *   B. It can be neither written, grown nor shrunk by who it is handed to.
 * Lock: mirror_lock, a leaf. Making the mirror and following an update both copy from the values
 * under it, so the later of the two copies sees what the earlier did.
 * Tests: tests/unit/test_arraymap.c.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "map/arena/arena.h"
#include "map/arena/copy.h"
#include "map/mmap.h"

static pthread_mutex_t mirror_lock = PTHREAD_MUTEX_INITIALIZER;

bool bpf_map_mmapable(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_ARRAY && map->map_flags & BPF_F_MMAPABLE &&
	       !(map->map_flags & BPF_F_WRONLY) && map->spin_lock_off < 0;
}

bool bpf_map_mmap_sealed(const struct bpf_map *map)
{
	return bpf_map_mmapable(map) && map->map_flags & BPF_F_RDONLY_PROG;
}

/* Words that are zero are left alone: a sparse map has a sparse mirror. */
static void copy_words(u64 *to, const u64 *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		u64 word = __atomic_load_n(from + i, __ATOMIC_RELAXED);

		if (__atomic_load_n(to + i, __ATOMIC_RELAXED) != word)
			__atomic_store_n(to + i, word, __ATOMIC_RELAXED);
	}
}

static int __mirror_make(struct bpf_arena *arena)
{
	int fd = memfd_create("bpf-map-values", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;
	void *addr = MAP_FAILED;

	if (fd < 0)
		return -errno;
	if (!fchmod(fd, 0400) && !ftruncate(fd, (off_t)arena->values_size))
		addr = mmap(NULL, arena->values_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (addr != MAP_FAILED &&
	    !fcntl(fd, F_ADD_SEALS,
		   F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)) {
		arena->mirror = addr;
		arena->mirror_fd = fd;
		copy_words(addr, arena->values, arena->values_size / sizeof(u64));
		return 0;
	}
	err = -errno;
	if (addr != MAP_FAILED)
		munmap(addr, arena->values_size);
	close(fd);
	return err;
}

int bpf_map_mmap_fd(struct bpf_map *map)
{
	struct bpf_arena *arena = map->arena;
	int ret;

	if (map->spin_lock_off >= 0) /* the words of locks are nobody's to write */
		return -EOPNOTSUPP;
	if (!bpf_map_mmapable(map))
		return -ENODEV;
	if (!bpf_map_mmap_sealed(map))
		return arena->values_fd < 0 ? -EBADF : arena->values_fd;
	pthread_mutex_lock(&mirror_lock);
	ret = arena->mirror ? 0 : __mirror_make(arena);
	if (!ret)
		ret = arena->mirror_fd < 0 ? -EBADF : arena->mirror_fd;
	pthread_mutex_unlock(&mirror_lock);
	return ret;
}

void bpf_map_mmap_drop(struct bpf_map *map)
{
	struct bpf_arena *arena = map->arena;

	pthread_mutex_lock(&mirror_lock);
	if (arena->mirror_fd >= 0)
		close(arena->mirror_fd);
	arena->mirror_fd = -1;
	pthread_mutex_unlock(&mirror_lock);
}

void bpf_map_mirror_elem(struct bpf_map *map, const void *key)
{
	struct bpf_arena *arena = map->arena;
	u64 off;
	u32 index;

	memcpy(&index, key, sizeof(index));
	off = (u64)index * map->elem_size;
	pthread_mutex_lock(&mirror_lock);
	if (arena->mirror)
		copy_words((u64 *)((char *)arena->mirror + off),
			   (const u64 *)((const char *)map->values + off),
			   map->elem_size / sizeof(u64));
	pthread_mutex_unlock(&mirror_lock);
}
