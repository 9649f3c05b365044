/*
 * shared.c - see shared.h
 */
#include "fs/keeper/shared.h"
#include "fs/keeper/records.h"

#include <errno.h>
#include <sys/mman.h>

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

int shared_map(void)
{
	void *p = mmap(NULL, table_offset(SHARED_TABLES), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	shared = p;
	return 0;
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
