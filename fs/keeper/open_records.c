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
	u32 turn;

	if (!r)
		return NULL;
	/* Not the first word: a release that is sent again looks whether it is in use. */
	turn = r->turn;
	memset(&r->made_by, 0, sizeof(*r) - offsetof(struct open_record, made_by));
	r->made_by = unique;
	r->turn = turn + 1;
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

u64 open_record_handle(const struct open_record *r)
{
	return (u64)r->turn << 32 | (open_record_place(r) + 1);
}

struct open_record *open_record_of(u64 handle)
{
	u32 place = (u32)handle;
	struct open_record *r = place ? slots_at(&records, place - 1) : NULL;

	return r && r->turn == handle >> 32 ? r : NULL;
}

u32 open_records_high(void)
{
	return shared ? slots_high(&records) : 0;
}

void open_records_closed(u64 handle)
{
	struct open_record *r = open_record_of(handle);

	if (r)
		__atomic_store_n(&r->closed, 1, __ATOMIC_RELEASE);
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

void open_records_polled(u64 handle, u64 poller)
{
	struct open_record *r = open_record_of(handle);

	if (!r)
		return;
	r->poll = poller;
	__atomic_store_n(&r->polled, 1, __ATOMIC_RELEASE);
}

void open_records_each_poller(void (*wake)(u64 poller))
{
	for (u32 i = 0; i < open_records_high(); i++) {
		struct open_record *r = slots_at(&records, i);

		if (r && r->polled)
			wake(r->poll);
	}
}
