/*
 * arena_fault.c - a page of an arena that its filesystem has no room for
 *
 * Arenas are sparse, and what they will need first is reserved (bpf_arena_reserve()); but the
 * values of a large array and the buckets of a large table come as they are touched. On a full
 * filesystem that touch is SIGBUS, in the middle of an update, of a dump or of a program. Then the
 * page is replaced by anonymous memory, zeros as the hole was, and the thread goes on: nobody dies,
 * and no lock stays held. What is written there does not outlive the process; the arena remembers
 * it (`lossy`): it is never marked clean, and arrays refuse further updates from outside with
 * -ENOSPC.
 *
 * The handler runs in any thread at any instruction: it walks a list that is only ever added to,
 * and takes a lock that is held for two system calls and never across a touch of an arena.
 * Tests: tests/unit/test_arena_sparse.c.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include "map/arena/arena.h"
#include "util/lock.h"

#define PAGE 4096ul

/* A mapping of a file. Parts are never freed but used again; start 0 is nobody's. */
struct part {
	uintptr_t start;
	size_t size;
	struct bpf_arena *arena;
	u8 *replaced; /* a bit a page, made at the first fault */
	struct part *next; /* of all */
	struct part *peer; /* in its bucket, or of those that are unused */
};

#define BUCKETS 4096u

static struct part *parts;
static struct part *buckets[BUCKETS], *unused; /* by where it starts, for who maps and unmaps */
static struct bpf_lock lock;
static struct sigaction old_action;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct part *part_find(uintptr_t addr)
{
	struct part *p = __atomic_load_n(&parts, __ATOMIC_ACQUIRE);

	for (; p; p = p->next) {
		uintptr_t start = __atomic_load_n(&p->start, __ATOMIC_ACQUIRE);

		if (start && addr >= start && addr - start < p->size)
			return p;
	}
	return NULL;
}

static struct part **bucket_of(const void *start)
{
	return &buckets[(uintptr_t)start / PAGE % BUCKETS];
}

/* Two threads may have met the same hole: the second finds the page there. */
static bool part_replace(struct part *p, size_t page)
{
	void *addr = (void *)(p->start + page * PAGE), *bits = p->replaced;

	if (!bits) {
		bits = mmap(NULL, p->size / PAGE / 8 + 1, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (bits == MAP_FAILED)
			return false;
		p->replaced = bits;
	}
	if (p->replaced[page / 8] & 1u << page % 8)
		return true;
	if (mmap(addr, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
		 0) == MAP_FAILED)
		return false;
	p->replaced[page / 8] |= (u8)(1u << page % 8);
	__atomic_store_n(&p->arena->lossy, true, __ATOMIC_RELEASE);
	return true;
}

bool bpf_arena_fault(const void *addr)
{
	uintptr_t at = (uintptr_t)addr;
	int saved = errno;
	struct part *p;
	bool done;

	bpf_lock(&lock);
	p = part_find(at);
	done = p && part_replace(p, (at - p->start) / PAGE);
	bpf_unlock(&lock);
	errno = saved;
	return done;
}

static void handler(int sig, siginfo_t *info, void *context)
{
	if (bpf_arena_fault(info->si_addr))
		return;
	if (old_action.sa_flags & SA_SIGINFO)
		old_action.sa_sigaction(sig, info, context);
	else if (old_action.sa_handler != SIG_DFL && old_action.sa_handler != SIG_IGN)
		old_action.sa_handler(sig);
	else /* the instruction runs again, and the default action is taken */
		signal(sig, SIG_DFL);
}

static void install(void)
{
	struct sigaction sa = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};

	sigemptyset(&sa.sa_mask);
	sigaction(SIGBUS, &sa, &old_action);
}

/* The lock is never held while SIGBUS could come: nothing here touches an arena. */
int bpf_arena_watch(struct bpf_arena *arena, void *start, size_t size)
{
	struct part **bucket = bucket_of(start), *p;

	pthread_once(&once, install);
	bpf_lock(&lock);
	p = unused;
	if (p) {
		unused = p->peer;
	} else {
		p = calloc(1, sizeof(*p));
		if (p) {
			p->next = parts;
			__atomic_store_n(&parts, p, __ATOMIC_RELEASE);
		}
	}
	if (p) {
		p->size = size;
		p->arena = arena;
		p->peer = *bucket;
		*bucket = p;
		__atomic_store_n(&p->start, (uintptr_t)start, __ATOMIC_RELEASE);
	}
	bpf_unlock(&lock);
	return p ? 0 : -ENOMEM;
}

void bpf_arena_unwatch(const void *start)
{
	struct part **at = bucket_of(start), *p;

	bpf_lock(&lock);
	while ((p = *at) && p->start != (uintptr_t)start)
		at = &p->peer;
	if (p) {
		*at = p->peer;
		p->peer = unused;
		unused = p;
		__atomic_store_n(&p->start, 0, __ATOMIC_RELEASE);
		if (p->replaced)
			munmap(p->replaced, p->size / PAGE / 8 + 1);
		p->replaced = NULL;
	}
	bpf_unlock(&lock);
}
