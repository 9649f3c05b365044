/*
 * bench_memory.c - bytes that an entry takes, and what this machine's memory costs
 *
 *	bench_memory [-max ENTRIES]
 *
 * The first table is what a full map adds to this process and what the kernel charges for the same
 * one. The second is the floor under a map's operations: a load that waits for the one before, at
 * random places of as much memory as a hash map of that many entries has, and an atomic exchange on
 * a line that the CPU has.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include "tests/lib/kernel.h"
#include "tests/lib/mapbench.h"
#include "map/syscall.h"

static const enum bpf_map_type types[] = {
	BPF_MAP_TYPE_ARRAY,	   BPF_MAP_TYPE_HASH,	     BPF_MAP_TYPE_LRU_HASH,
	BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH,
};

/* The number behind a name in a file of /proc, or 0. */
static u64 proc_number(const char *path, const char *name)
{
	FILE *f = fopen(path, "r");
	unsigned long long n = 0;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%llu", &n);
	if (f)
		fclose(f);
	return n;
}

static u64 resident(void)
{
	return proc_number("/proc/self/status", "VmRSS:") * 1024;
}

/* ---- the floor */

#define HASH_BYTES 40 /* an entry of the hash map above */
#define LINE	   64
#define LOADS	   200000

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* A ring through all lines in random order (Sattolo's shuffle), followed LOADS times. */
static double load_ns(u64 bytes)
{
	u32 nr = (u32)(bytes / LINE), at = 0, stride = LINE / sizeof(u32);
	size_t len = round_up((size_t)nr * LINE, (size_t)(2 << 20)) + (2 << 20);
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	u64 x = 88172645463325252ull;
	double best = 1e9;
	u32 *ring;

	if (mem == MAP_FAILED)
		mapbench_die("mmap", errno);
	madvise(mem, len, MADV_HUGEPAGE);
	ring = (u32 *)round_up((uintptr_t)mem, (uintptr_t)(2 << 20));
	for (u32 i = 0; i < nr; i++)
		ring[(size_t)i * stride] = i;
	for (u32 i = nr; i-- > 1;) {
		u32 other, mine = ring[(size_t)i * stride];

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		other = (u32)(x % i);
		ring[(size_t)i * stride] = ring[(size_t)other * stride];
		ring[(size_t)other * stride] = mine;
	}
	for (u32 round = 0; round < 25; round++) {
		double begin = now_ns();

		for (u32 i = 0; i < LOADS; i++)
			at = __atomic_load_n(&ring[(size_t)at * stride], __ATOMIC_RELAXED);
		best = min(best, (now_ns() - begin) / LOADS);
	}
	munmap(mem, len);
	return best;
}

static double atomic_ns(void)
{
	static u64 word;
	double begin = now_ns();

	for (u32 i = 0; i < LOADS; i++) {
		u64 old = i;

		__atomic_compare_exchange_n(&word, &old, i + 1, false, __ATOMIC_ACQUIRE,
					    __ATOMIC_RELAXED);
	}
	return (now_ns() - begin) / LOADS;
}

static void print_floor(void)
{
	printf("\n| the floor, ns | 1 k entries | 100 k | 1 M |\n| --- | --: | --: | --: |\n"
	       "| a load after a load, random line | %.1f | %.1f | %.1f |\n"
	       "| an atomic compare-and-exchange | %.1f | | |\n",
	       load_ns(1000 * HASH_BYTES), load_ns(100000 * HASH_BYTES),
	       load_ns(1000000 * HASH_BYTES), atomic_ns());
}

int main(int argc, char **argv)
{
	u32 entries = 1000000;

	if (argc == 3 && !strcmp(argv[1], "-max"))
		entries = max(1u, (u32)atoi(argv[2]));
	if (kernel_unavailable()) {
		printf("bpf(2) is not to be had: %s\n", kernel_unavailable());
		return 0;
	}
	printf("| bytes an entry, %u entries | kernel | ours, resident | ours, address space |\n"
	       "| --- | --: | --: | --: |\n",
	       entries);
	for (u32 i = 0; i < ARRAY_SIZE(types); i++) {
		struct bpf_map_spec spec = {.map_type = types[i],
					    .key_size = 4,
					    .value_size = 8,
					    .max_entries = entries};
		u64 before = resident();
		struct bpf_map *map;
		char path[64];
		int fd;

		mapbench_make_map(&spec, &map, &fd);
		snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
		printf("| %s | %.1f | %.1f | %.1f |\n", bpf_map_type_name(types[i]),
		       (double)proc_number(path, "memlock:") / entries,
		       (double)(resident() - before) / entries,
		       (double)bpf_map_mem_usage(map) / entries);
		bpf_map_put(map);
		bpf_rcu_barrier();
		close(fd);
	}
	print_floor();
	return 0;
}
