/*
 * execmem.c - packs of executable memory
 *
 * A pack is a memfd that is mapped PROT_READ|PROT_EXEC, shared, and never in any other way. It is
 * divided into chunks of 64 bytes; a program takes a run of them. All packs lie in a window of 1
 * GiB to each side of the engine's text where the address space has room, so that a displacement of
 * 32 bits reaches every function of the engine.
 *
 * Guarantees
 *   A. No page of a pack is ever writable through a mapping; no page is writable and executable.
 *   B. Writing one program's code does not disturb programs that run in the same page.
 *   C. Freed code is overwritten with int3.
 *   D. execmem_owner() takes no lock and reads nothing that is ever unmapped.
 *   E. After fork() parent and child share the files of the packs that existed. Neither of them
 *      puts new code into those or overwrites what the other may run: such packs are closed for
 *      good.
 *   F. Nobody opens a pack's file again through /proc, not even as the same user: its mode is 0. It
 *      keeps its size.
 *
 * Where memfds cannot be had or executed (seccomp, SELinux), or are not wanted, a pack is anonymous
 * memory for one program: written while PROT_READ|PROT_WRITE, then made PROT_READ|PROT_EXEC.
 *
 * Packs are never unmapped, so that D holds; an empty one is used again. Lock: pack_lock, a leaf.
 * Tests: tests/unit/test_execmem.c.
 */
#include <fcntl.h>
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "insn/func.h"
#include "jit/execmem.h"
#include "util/write_all.h"

#define PACK_SIZE (2u << 20)
#ifdef __aarch64__ /* what a call reaches is a sixteenth */
#define NEAR_WINDOW (1LL << 26)
#else
#define NEAR_WINDOW (1LL << 30)
#endif
#define PACK_RESERVED 1 /* the first chunk stays a trap: nobody reads before a pack's start */

struct execmem_pack {
	struct execmem_pack *next; /* set before publication */
	u8 *addr;
	u32 chunks;
	u32 used; /* chunks in use, the reserved one not counted */
	u32 hint; /* where the next search starts */
	int fd; /* -1: anonymous */
	bool near, closed;
	u64 *bitmap; /* chunk is taken */
	const void **owner; /* per chunk; read without the lock */
};

static pthread_mutex_t pack_lock = PTHREAD_MUTEX_INITIALIZER;
static struct execmem_pack *packs; /* release-published, only ever grows */
static bool have_sync_core;
static bool no_files;

void execmem_use_no_files(void)
{
	no_files = true;
}

static s64 distance(const void *a, const void *b)
{
	return (s64)((u64)a - (u64)b);
}

bool execmem_near(const void *target)
{
	s64 d = distance(target, (const void *)__bpf_call_base);

	/* A pack lies in the window; so a target at most one window away is within 2 GiB. */
	return d > -NEAR_WINDOW + 4096 && d < NEAR_WINDOW - 4096;
}

static void before_fork(void)
{
	pthread_mutex_lock(&pack_lock);
}

static void after_fork(void)
{
	for (struct execmem_pack *p = packs; p; p = p->next)
		p->closed = p->closed || p->fd >= 0;
	pthread_mutex_unlock(&pack_lock);
}

/*
 * Before main(): the kernel answers a process with one thread at once, and lets one with several
 * wait for a grace period of its own (10 to 20 ms), which the first program would pay for.
 */
__attribute__((constructor)) static void execmem_init(void)
{
	pthread_atfork(before_fork, after_fork, after_fork);
	have_sync_core = !syscall(__NR_membarrier,
				  MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
}

/*
 * A free place of `size` bytes in the window: below the text as near as possible, for the heap
 * grows above it; else as far above as the window goes. 0: none.
 */
static u64 find_place(u64 size)
{
	u64 text = (u64)__bpf_call_base & ~4095ULL;
	u64 lo = text > NEAR_WINDOW ? text - NEAR_WINDOW : 0, hi = text + NEAR_WINDOW;
	u64 gap = 65536, start, end, below = 0, above = 0; /* gap: nothing maps lower */
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	if (!f)
		return 0;
	/* In order of addresses: what follows cannot be nearer. */
	while (gap < hi && !(below && gap > text) && fgets(line, sizeof(line), f)) {
		if (!strchr(line, '\n')) /* a long path: the rest of the line */
			for (int ch; (ch = fgetc(f)) != EOF && ch != '\n';)
				;
		if (sscanf(line, "%lx-%lx", &start, &end) != 2)
			continue;
		u64 from = max(gap, lo), to = min(start, hi);

		if (to > from && to - from >= size + 2 * 65536) {
			if (to <= text)
				below = to - 65536 - size;
			else
				above = to - 65536 - size;
		}
		gap = end;
	}
	fclose(f);
	return below ? below : above;
}

static void *map_at(u64 addr, size_t size, int prot, int flags, int fd)
{
	void *p = mmap((void *)addr, size, prot, flags | (addr ? MAP_FIXED_NOREPLACE : 0), fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Map a pack of `size` bytes. fd is -1 when the pack is anonymous. */
static int map_pack(size_t size, bool near, u8 **addr, int *fd)
{
	__do_close int mfd = no_files ? -1
				      : memfd_create("bpf-jit", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (mfd >= 0 && (fchmod(mfd, 0) || ftruncate(mfd, size) ||
			 fcntl(mfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)))
		return -errno;
	/* Another thread may map what find_place() found: try a few times. */
	for (int tries = 0; tries < 8; tries++) {
		u64 place = near ? find_place(size) : 0;

		if (near && !place)
			return -ENOSPC;
		if (mfd >= 0) {
			*addr = map_at(place, size, PROT_READ | PROT_EXEC, MAP_SHARED, mfd);
			if (!*addr && (errno == EACCES || errno == EPERM)) {
				close(mfd); /* files may not be executed here */
				mfd = -1;
			}
		}
		if (mfd < 0)
			*addr = map_at(place, size, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (*addr) {
			*fd = move_fd(mfd);
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -ENOSPC;
}

static int new_pack(u32 chunks, bool near, struct execmem_pack **out)
{
	struct execmem_pack *p = calloc(1, sizeof(*p));
	u32 want = round_up(chunks + PACK_RESERVED, 4096 / EXECMEM_CHUNK);
	int err = -ENOMEM;

	if (!p)
		return -ENOMEM;
	p->chunks = max(want, PACK_SIZE / EXECMEM_CHUNK);
	p->near = near;
	p->hint = PACK_RESERVED;
	p->bitmap = calloc((p->chunks + 63) / 64, sizeof(u64));
	p->owner = calloc(p->chunks, sizeof(*p->owner));
	if (!p->bitmap || !p->owner)
		goto fail;
	err = map_pack((size_t)p->chunks * EXECMEM_CHUNK, near, &p->addr, &p->fd);
	if (err)
		goto fail;
	if (p->fd < 0) { /* for one program: it cannot be written again */
		munmap(p->addr + (size_t)want * EXECMEM_CHUNK,
		       (size_t)(p->chunks - want) * EXECMEM_CHUNK);
		p->chunks = want;
		p->closed = true;
	}
	p->next = packs;
	__atomic_store_n(&packs, p, __ATOMIC_RELEASE);
	*out = p;
	return 0;
fail:
	free(p->bitmap);
	free(p->owner);
	free(p);
	return err;
}

static bool chunk_taken(const struct execmem_pack *p, u32 i)
{
	return p->bitmap[i / 64] >> (i % 64) & 1;
}

/* The first run of n free chunks at or after `from`, or 0. */
static u32 find_run(const struct execmem_pack *p, u32 from, u32 n)
{
	u32 run = 0;

	for (u32 i = from; i < p->chunks; i++) {
		if (!(i % 64) && p->bitmap[i / 64] == ~0ULL) {
			run = 0;
			i += 63;
			continue;
		}
		run = chunk_taken(p, i) ? 0 : run + 1;
		if (run == n)
			return i + 1 - n;
	}
	return 0;
}

static u32 pack_find(struct execmem_pack *p, u32 n)
{
	u32 i;

	if (p->chunks - PACK_RESERVED - p->used < n)
		return 0;
	i = find_run(p, p->hint, n);
	return i ? i : find_run(p, PACK_RESERVED, n);
}

static void pack_mark(struct execmem_pack *p, u32 first, u32 n, bool taken)
{
	for (u32 i = first; i < first + n; i++) {
		if (taken)
			p->bitmap[i / 64] |= 1ULL << (i % 64);
		else
			p->bitmap[i / 64] &= ~(1ULL << (i % 64));
	}
	p->used += taken ? n : -n;
	p->hint = taken ? first + n : min(p->hint, first);
}

int execmem_alloc(u32 size, bool near, struct execmem *out)
{
	u32 n = (size + EXECMEM_CHUNK - 1) / EXECMEM_CHUNK, first = 0;
	struct execmem_pack *p;
	int err = 0;

	if (!n || size > 1u << 30)
		return -ENOMEM;
	pthread_mutex_lock(&pack_lock);
	for (p = packs; p; p = p->next)
		if (!p->closed && p->near == near && (first = pack_find(p, n)))
			break;
	if (!p) {
		err = new_pack(n, near, &p);
		first = PACK_RESERVED;
	}
	if (!err) {
		pack_mark(p, first, n, true);
		*out = (struct execmem){
			.addr = p->addr + (size_t)first * EXECMEM_CHUNK,
			.size = n * EXECMEM_CHUNK,
			.pack = p,
		};
	}
	pthread_mutex_unlock(&pack_lock);
	return err;
}

static int write_traps(const struct execmem *mem, u32 from)
{
	off_t off = (u8 *)mem->addr - mem->pack->addr;
	u8 traps[1024];
	int err = 0;

	memset(traps, 0xcc, sizeof(traps));
	for (u32 n; !err && from < mem->size; from += n) {
		n = min((u32)sizeof(traps), mem->size - from);
		err = pwrite_all(mem->pack->fd, traps, n, off + from);
	}
	return err;
}

int execmem_write(const struct execmem *mem, const void *code, u32 len)
{
	const struct execmem_pack *p = mem->pack;
	int err;

	if (len > mem->size)
		return -E2BIG;
	if (p->fd < 0) {
		memset(p->addr, 0xcc, (size_t)p->chunks * EXECMEM_CHUNK);
		memcpy(mem->addr, code, len);
		err = mprotect(p->addr, (size_t)p->chunks * EXECMEM_CHUNK, PROT_READ | PROT_EXEC);
		err = err ? -errno : 0;
	} else {
		err = pwrite_all(p->fd, code, len, (u8 *)mem->addr - p->addr);
		if (!err)
			err = write_traps(mem, len);
	}
	if (!err)
		__builtin___clear_cache((char *)mem->addr, (char *)mem->addr + mem->size);
	/* A CPU may have fetched what stood here before: make all of ours start over. */
	if (!err && have_sync_core)
		syscall(__NR_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE, 0, 0);
	return err;
}

void execmem_set_owner(const struct execmem *mem, const void *owner)
{
	struct execmem_pack *p = mem->pack;
	u32 first = ((u8 *)mem->addr - p->addr) / EXECMEM_CHUNK;

	for (u32 i = 0; i < mem->size / EXECMEM_CHUNK; i++)
		__atomic_store_n(&p->owner[first + i], owner, __ATOMIC_RELEASE);
}

void execmem_free(struct execmem *mem)
{
	struct execmem_pack *p = mem->pack;

	if (!p)
		return;
	execmem_set_owner(mem, NULL);
	pthread_mutex_lock(&pack_lock);
	/* A closed pack may be shared with a process that still runs this code. */
	if (!p->closed && !write_traps(mem, 0))
		pack_mark(p, ((u8 *)mem->addr - p->addr) / EXECMEM_CHUNK, mem->size / EXECMEM_CHUNK,
			  false);
	if (p->fd < 0) {
		/*
		 * Private to this process: the pages go, the addresses stay reserved (guarantee D).
		 */
		mmap(p->addr, (size_t)p->chunks * EXECMEM_CHUNK, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	}
	pthread_mutex_unlock(&pack_lock);
	*mem = (struct execmem){0};
}

const void *execmem_owner(const void *pc)
{
	const struct execmem_pack *p = __atomic_load_n(&packs, __ATOMIC_ACQUIRE);

	for (; p; p = p->next) {
		u64 off = (u64)pc - (u64)p->addr;

		if ((u64)pc >= (u64)p->addr && off / EXECMEM_CHUNK < p->chunks)
			return __atomic_load_n(&p->owner[off / EXECMEM_CHUNK], __ATOMIC_ACQUIRE);
	}
	return NULL;
}
