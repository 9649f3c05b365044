/*
 * open_records.c - see open_records.h
 */
#include "fs/keeper/open_records.h"
#include "fs/keeper/slots.h"

static struct slots records = SLOTS_INIT(SHARED_OPENS);

int open_records_start(void)
{
	return shared ? slots_start(&records) : 0;
}

struct open_record *open_record_new(u64 unique)
{
	struct open_record *r = slots_take(&records);

	if (!r)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->made_by = unique;
	return r;
}

void open_record_valid(struct open_record *r)
{
	slots_valid(r, 1);
}

void open_record_end(struct open_record *r)
{
	slots_give(&records, r);
}

u32 open_record_place(const struct open_record *r)
{
	return slots_index(&records, r);
}

struct open_record *open_record_at(u32 place)
{
	return slots_at(&records, place);
}

u32 open_records_high(void)
{
	return shared ? slots_high(&records) : 0;
}

bool open_records_have(u32 object)
{
	for (u32 i = 0; shared_taking_over() && i < slots_high(&records); i++) {
		const struct open_record *r = slots_at(&records, i);

		if (r && (r->object == object || r->kept[0].object == object ||
			  r->kept[1].object == object))
			return true;
	}
	return false;
}

void open_records_polled(u32 place, u64 handle)
{
	struct open_record *r = slots_at(&records, place);

	if (!r)
		return;
	r->poll = handle;
	__atomic_store_n(&r->polled, 1, __ATOMIC_RELEASE);
}

void open_records_each_poller(void (*wake)(u64 handle))
{
	for (u32 i = 0; i < open_records_high(); i++) {
		struct open_record *r = slots_at(&records, i);

		if (r && r->polled)
			wake(r->poll);
	}
}
