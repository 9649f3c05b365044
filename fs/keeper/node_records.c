/*
 * node_records.c - see node_records.h
 */
#include "fs/keeper/node_records.h"
#include "fs/keeper/slots.h"

static struct slots records = SLOTS_INIT(SHARED_NODES);

int node_records_start(void)
{
	return shared ? slots_start(&records) : 0;
}

struct node_record *node_record_new(void)
{
	struct node_record *r = shared ? slots_take(&records) : NULL;

	if (r)
		memset(r, 0, offsetof(struct node_record, name));
	return r;
}

void node_record_valid(struct node_record *r, u64 id)
{
	slots_valid(r, id);
}

void node_record_end(struct node_record *r)
{
	if (r)
		slots_give(&records, r);
}

struct node_record *node_record_at(u32 place)
{
	return slots_at(&records, place);
}

u32 node_records_high(void)
{
	return slots_high(&records);
}

bool node_record_name(struct node_record *r, const void *name, size_t len)
{
	bool keyed = r->flags & NODE_KEYED;

	if (len > (keyed ? RECORD_KEY : sizeof(r->name) - 1))
		return false;
	memcpy(r->name, name, len);
	if (keyed)
		r->key_len = (u32)len;
	else
		r->name[len] = 0;
	return true;
}

void node_record_gone(struct node_record *r)
{
	__atomic_or_fetch(&r->flags, NODE_GONE, __ATOMIC_RELEASE);
}

void node_record_add_lookups(struct node_record *r, s64 times)
{
	bool all = times < 0 && (u64)-times > r->nlookup;

	__atomic_store_n(&r->nlookup, all ? 0 : r->nlookup + (u64)times, __ATOMIC_RELAXED);
}
