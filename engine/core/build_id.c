/*
 * build_id.c - which file, and where in it, an address of a process is (see sample.h)
 *
 * A process's executable mappings are read from /proc/<pid>/maps and kept with their files' build ids for a second: a
 * burst of samples of one process reads them once. One table for the whole library, under one lock, which is held
 * while /proc is read: programs that ask for build ids are profilers, and wait.
 */
#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <gelf.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "core/sample.h"

#define BUILD_ID_SIZE 20
#define MAX_MAPPINGS  4096
#define KEEP_NS	      1000000000ULL

struct mapping {
	u64 start, end, offset;
	bool has_id;
	u8 id[BUILD_ID_SIZE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
	u32 pid;
	u64 read_at; /* 0: nothing was read */
	struct mapping *v;
	u32 nr;
} table; /* of the process asked about last */

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

/* One line of maps; false when it maps no code of a file. The file is opened through the process's own root. */
static bool parse_mapping(u32 pid, const char *line, struct mapping *m)
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
	snprintf(full, sizeof(full), "/proc/%u/root%s", pid, path);
	m->has_id = read_build_id(full, m->id);
	return true;
}

static void read_mappings(u32 pid)
{
	char path[64], *line = NULL;
	size_t cap = 0;
	FILE *f;

	table.nr = 0;
	table.pid = pid;
	table.read_at = now_ns();
	if (!table.v)
		table.v = calloc(MAX_MAPPINGS, sizeof(*table.v));
	snprintf(path, sizeof(path), "/proc/%u/maps", pid);
	f = table.v ? fopen(path, "re") : NULL;
	if (!f)
		return;
	while (table.nr < MAX_MAPPINGS && getline(&line, &cap, f) > 0)
		if (parse_mapping(pid, line, &table.v[table.nr]))
			table.nr++;
	free(line);
	fclose(f);
}

void bpf_build_ids(u32 pid, const u64 *ips, u32 nr, struct bpf_stack_build_id *out)
{
	u32 i, k;

	if (!pid)
		pid = (u32)getpid();
	pthread_mutex_lock(&lock);
	if (table.pid != pid || now_ns() - table.read_at > KEEP_NS)
		read_mappings(pid);
	for (i = 0; i < nr; i++) {
		memset(&out[i], 0, sizeof(out[i]));
		out[i].status = BPF_STACK_BUILD_ID_IP;
		out[i].ip = ips[i];
		for (k = 0; k < table.nr; k++)
			if (ips[i] >= table.v[k].start && ips[i] < table.v[k].end)
				break;
		if (k == table.nr || !table.v[k].has_id)
			continue;
		out[i].status = BPF_STACK_BUILD_ID_VALID;
		memcpy(out[i].build_id, table.v[k].id, BUILD_ID_SIZE);
		out[i].offset = ips[i] - table.v[k].start + table.v[k].offset;
	}
	pthread_mutex_unlock(&lock);
}
