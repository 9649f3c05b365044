/*
 * build_id.c - which file, and where in it, an address of a process is (see sample.h)
 *
 * A process's executable mappings are read from /proc/<pid>/maps and kept with their files' build ids for a second: a
 * burst of samples of a few processes reads them once. One table for the whole library, under one lock, which is
 * held while /proc is read: who asks is this process about itself, or a process that does nothing else.
 */
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "core/sample.h"

#define BUILD_ID_SIZE 20
#define MAX_MAPPINGS  65536
#define KEPT	      16
#define KEEP_NS	      1000000000ULL

struct mapping {
	u64 start, end, offset;
	bool has_id;
	u8 id[BUILD_ID_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
struct process {
	u32 pid;
	u64 read_at; /* 0: nothing was read */
	struct mapping *v;
	u32 nr, cap;
};

static struct process kept[KEPT]; /* asked about last */

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

static bool read_build_id(const char *path, u8 *id)
{
	__do_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const void *found;
	ssize_t len = 0;
	Elf *elf;

	if (fd < 0)
		return false;
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

/*
 * One line of maps; false when it maps no code of a file. The file is opened through the process's own root, once for
 * mappings of it that stand together: `last` is the mapping before, of the file `last_path`.
 */
static bool parse_mapping(u32 pid, const char *line, const struct mapping *last, char *last_path,
			  struct mapping *m)
{
	unsigned long long start, end, offset;
	char perms[8], path[4096], full[4200];

	if (sscanf(line, "%llx-%llx %7s %llx %*s %*s %4095[^\n]", &start, &end, perms, &offset,
		   path) != 5)
		return false;
	if (perms[2] != 'x' || path[0] != '/')
		return false;
	m->start = start;
	m->end = end;
	m->offset = offset;
	if (last && !strcmp(path, last_path)) {
		m->has_id = last->has_id;
		memcpy(m->id, last->id, BUILD_ID_SIZE);
		return true;
	}
	snprintf(full, sizeof(full), "/proc/%u/root%s", pid, path);
	m->has_id = read_build_id(full, m->id);
	strcpy(last_path, path);
	return true;
}

static struct mapping *add_mapping(struct process *p)
{
	u32 cap = p->cap * 2 + 64;
	struct mapping *more;

	if (p->nr == MAX_MAPPINGS)
		return NULL;
	if (p->nr == p->cap) {
		more = realloc(p->v, cap * sizeof(*more));
		if (!more)
			return NULL;
		p->v = more;
		p->cap = cap;
	}
	return &p->v[p->nr];
}

static void read_mappings(struct process *p, u32 pid)
{
	char path[64], last_path[4096], *line = NULL;
	struct mapping *m;
	size_t cap = 0;
	FILE *f;

	p->nr = 0;
	p->pid = pid;
	p->read_at = now_ns();
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	f = fopen(path, "re");
	if (!f)
		return;
	while ((m = add_mapping(p)) && getline(&line, &cap, f) > 0)
		if (parse_mapping(pid, line, p->nr ? m - 1 : NULL, last_path, m))
			p->nr++;
	free(line);
	fclose(f);
}

/* The lock is held. */
static const struct process *__find_process(u32 pid)
{
	struct process *p = &kept[0];

	for (u32 i = 0; i < KEPT; i++) {
		if (kept[i].pid == pid && kept[i].read_at) {
			p = &kept[i];
			break;
		}
		if (kept[i].read_at < p->read_at)
			p = &kept[i];
	}
	if (p->pid != pid || now_ns() - p->read_at > KEEP_NS)
		read_mappings(p, pid);
	return p;
}

void bpf_build_ids_forget(u32 pid)
{
	pthread_mutex_lock(&lock);
	for (u32 i = 0; i < KEPT; i++)
		if (kept[i].pid == pid)
			kept[i].read_at = 0;
	pthread_mutex_unlock(&lock);
}

/* The mapping of that address; they ascend. */
static const struct mapping *find_mapping(const struct process *p, u64 ip)
{
	u32 low = 0, high = p->nr;

	while (low < high) {
		u32 mid = low + (high - low) / 2;

		if (ip < p->v[mid].start)
			high = mid;
		else if (ip >= p->v[mid].end)
			low = mid + 1;
		else
			return &p->v[mid];
	}
	return NULL;
}

void bpf_build_ids(u32 pid, const u64 *ips, u32 nr, struct bpf_stack_build_id *out)
{
	const struct process *p;

	if (!pid)
		pid = (u32)getpid();
	pthread_mutex_lock(&lock);
	p = __find_process(pid);
	for (u32 i = 0; i < nr; i++) {
		const struct mapping *m = find_mapping(p, ips[i]);

		memset(&out[i], 0, sizeof(out[i]));
		out[i].status = BPF_STACK_BUILD_ID_IP;
		out[i].ip = ips[i];
		if (!m || !m->has_id)
			continue;
		out[i].status = BPF_STACK_BUILD_ID_VALID;
		memcpy(out[i].build_id, m->id, BUILD_ID_SIZE);
		out[i].offset = ips[i] - m->start + m->offset;
	}
	pthread_mutex_unlock(&lock);
}
