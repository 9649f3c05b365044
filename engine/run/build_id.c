/*
 * build_id.c - which file, and where in it, an address of a process is (see sample.h)
 *
 * This process's own mappings are read from /proc/self/maps and kept with their files' build ids
 * for a second, under one lock, which is held while /proc is read: programs that ask for build ids
 * are profilers, and wait.
 */
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "run/sample.h"
#include "util/clock.h"

#define BUILD_ID_SIZE 20
#define MAX_MAPPINGS  65536
#define KEEP_NS	      1000000000ULL

struct bpf_mapping {
	u64 start, end, offset;
	bool has_id;
	u8 id[BUILD_ID_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct bpf_mappings own;
static u64 read_at; /* ns; 0: never */

static bool read_build_id(int fd, u8 *id)
{
	const void *found;
	ssize_t len = 0;
	Elf *elf;

	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf)
		len = dwelf_elf_gnu_build_id(elf, &found);
	if (len > 0 && len <= BUILD_ID_SIZE) {
		memset(id, 0, BUILD_ID_SIZE);
		memcpy(id, found, (size_t)len);
	}
	elf_end(elf);
	return len > 0 && len <= BUILD_ID_SIZE;
}

/* One line of maps; false when it maps no code of a file. *path: the file's, PATH_MAX bytes. */
static bool parse_mapping(const char *line, struct bpf_mapping *m, char *path)
{
	unsigned long long start, end, offset;
	char perms[8];

	if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %4095[^\n]", &start, &end, perms, &offset,
		   path) != 5)
		return false;
	m->start = start;
	m->end = end;
	m->offset = offset;
	return perms[2] == 'x' && path[0] == '/';
}

static struct bpf_mapping *add_mapping(struct bpf_mappings *all)
{
	u32 cap = all->cap * 2 + 64;
	struct bpf_mapping *more;

	if (all->nr == MAX_MAPPINGS)
		return NULL;
	if (all->nr == all->cap) {
		more = realloc(all->v, cap * sizeof(*more));
		if (!more)
			return NULL;
		all->v = more;
		all->cap = cap;
	}
	return &all->v[all->nr];
}

void bpf_mappings_read(struct bpf_mappings *all, FILE *maps, int (*open_file)(void *, const char *),
		       void *arg)
{
	char path[PATH_MAX], last[PATH_MAX] = "", *line = NULL;
	struct bpf_mapping *m;
	size_t cap = 0;

	all->nr = 0;
	while ((m = add_mapping(all)) && getline(&line, &cap, maps) > 0) {
		if (!parse_mapping(line, m, path))
			continue;
		if (!strcmp(path, last)) { /* mappings of a file stand together */
			m->has_id = m[-1].has_id;
			memcpy(m->id, m[-1].id, BUILD_ID_SIZE);
		} else {
			__do_close int fd = open_file(arg, path);

			m->has_id = fd >= 0 && read_build_id(fd, m->id);
			strcpy(last, path);
		}
		all->nr++;
	}
	free(line);
}

void bpf_mappings_free(struct bpf_mappings *all)
{
	free(all->v);
	memset(all, 0, sizeof(*all));
}

/* The mapping of that address; they ascend. */
static const struct bpf_mapping *find_mapping(const struct bpf_mappings *all, u64 ip)
{
	u32 low = 0, high = all->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (ip < all->v[mid].start)
			high = mid;
		else if (ip >= all->v[mid].end)
			low = mid + 1;
		else
			return &all->v[mid];
	}
	return NULL;
}

void bpf_mappings_build_ids(const struct bpf_mappings *all, const u64 *ips, u32 nr,
			    struct bpf_stack_build_id *out)
{
	for (u32 i = 0; i < nr; i++) {
		const struct bpf_mapping *m = find_mapping(all, ips[i]);

		memset(&out[i], 0, sizeof(out[i]));
		out[i].status = BPF_STACK_BUILD_ID_IP;
		out[i].ip = ips[i];
		if (!m || !m->has_id)
			continue;
		out[i].status = BPF_STACK_BUILD_ID_VALID;
		memcpy(out[i].build_id, m->id, BUILD_ID_SIZE);
		out[i].offset = ips[i] - m->start + m->offset;
	}
}

static int open_own(void *arg, const char *path)
{
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

void bpf_own_build_ids(const u64 *ips, u32 nr, struct bpf_stack_build_id *out)
{
	FILE *maps;

	pthread_mutex_lock(&lock);
	if (!read_at || monotonic_ns() - read_at > KEEP_NS) {
		maps = fopen("/proc/self/maps", "re");
		own.nr = 0;
		if (maps) {
			bpf_mappings_read(&own, maps, open_own, NULL);
			fclose(maps);
		}
		read_at = monotonic_ns();
	}
	bpf_mappings_build_ids(&own, ips, nr, out);
	pthread_mutex_unlock(&lock);
}
