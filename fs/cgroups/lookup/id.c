/*
 * id.c - see cgroups/lookup/id.h
 */
#include <stdio.h>
#include "fs/store/state/durable.h"
#include "fs/cgroups/lookup/id.h"
#include "fs/store/objects/files.h"

#include <unistd.h>
#include "map/types/cgroup_storage.h"

#define ID_LINK ".id"
#define ROOT_ID 1

int cgroup_dir_id(int fd, u64 *id)
{
	char text[32], *end;
	ssize_t n = readlinkat(fd, ID_LINK, text, sizeof(text) - 1);

	if (n < 0 && errno != ENOENT)
		return -errno; /* it may have one, and storages of that */
	if (n > 0) {
		text[n] = 0;
		*id = strtoull(text, &end, 10);
		if (!*end && *id > ROOT_ID) {
			store_id_seen(*id);
			return 0;
		}
		durable_unlinkat(fd, ID_LINK, 0);
	}
	do
		*id = store_next_id();
	while (*id <= ROOT_ID);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)*id);
	return durable_symlinkat(text, fd, ID_LINK) < 0 ? -errno : 0;
}

void cgroup_dir_id_remove(int fd)
{
	durable_unlinkat(fd, ID_LINK, 0);
}

/* For the callback: one thread starts a server. */
static const u64 *there;
static size_t nr_there;

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static bool is_there(u64 id)
{
	return bsearch(&id, there, nr_there, sizeof(id), compare);
}

void cgroup_ids_sweep(u64 *ids, size_t n)
{
	qsort(ids, n, sizeof(*ids), compare);
	there = ids;
	nr_there = n;
	bpf_cgroup_storage_keep(is_there);
	there = NULL;
	nr_there = 0;
}
