/*
 * shared.c - see shared.h
 */
#include "fs/keeper/shared.h"
#include "fs/keeper/records.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES 8192

struct shared *shared;

/* Addresses are reserved for all, memory is what was touched. */
static const struct {
	u32 size, max;
} tables[SHARED_TABLES] = {
	[SHARED_NODES] = {sizeof(struct node_record), 1u << 18},
	[SHARED_OPENS] = {sizeof(struct open_record), 1u << 17},
	[SHARED_REQUESTS] = {sizeof(struct request_record), 1u << 14},
	[SHARED_REPLIES] = {sizeof(struct reply_record), 1u << 10},
	[SHARED_NOTES] = {sizeof(struct notes_record), 1u << 8},
	[SHARED_BACKINGS] = {sizeof(struct backing_record), 1u << 16},
};

_Static_assert(sizeof(struct shared) <= HEADER_BYTES, "the header's room");

static size_t table_offset(u32 table)
{
	size_t at = HEADER_BYTES;

	for (u32 i = 0; i < table; i++)
		at += ((size_t)tables[i].size * tables[i].max + 4095) & ~(size_t)4095;
	return at;
}

static int memory = -1;

static bool map(int fd)
{
	void *p =
		mmap(NULL, table_offset(SHARED_TABLES), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	shared = p == MAP_FAILED ? NULL : p;
	return shared;
}

/* Nobody else opens it by /proc: mode 0. */
int shared_map(void)
{
	memory = memfd_create("ubpffs-keeper", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory < 0 || fchmod(memory, 0) ||
	    ftruncate(memory, (off_t)table_offset(SHARED_TABLES)) ||
	    fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) || !map(memory))
		return -errno;
	shared->version = SHARED_VERSION;
	shared->keeper = (u32)getpid();
	shared->sizes[SHARED_TABLES] = sizeof(*shared);
	for (u32 i = 0; i < SHARED_TABLES; i++) {
		shared->sizes[i] = tables[i].size;
		shared->max[i] = tables[i].max;
	}
	return 0;
}

int shared_fd(void)
{
	return memory;
}

static bool is_same(void)
{
	bool same = shared->version == SHARED_VERSION &&
		    shared->sizes[SHARED_TABLES] == sizeof(*shared);

	for (u32 i = 0; i < SHARED_TABLES; i++)
		same = same && shared->sizes[i] == tables[i].size &&
		       shared->max[i] == tables[i].max;
	return same;
}

/* What cannot shrink is no file that is cut short while it is read. */
int shared_join(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) || st.st_size < HEADER_BYTES)
		return -EBADF;
	if (st.st_size != (off_t)table_offset(SHARED_TABLES))
		return -EPROTO;
	if (!map(fd))
		return -errno;
	return is_same() ? 0 : -EPROTO;
}

void shared_for_us(void)
{
	madvise(shared, table_offset(SHARED_TABLES), MADV_DONTFORK);
}

void *shared_table(enum shared_table table)
{
	return (char *)shared + table_offset(table);
}

u32 shared_table_size(enum shared_table table)
{
	return tables[table].size;
}

u32 shared_table_max(enum shared_table table)
{
	return tables[table].max;
}
