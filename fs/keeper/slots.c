/*
 * slots.c - see slots.h
 */
#include "fs/keeper/slots.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static u64 *record_at(const struct slots *slots, u32 index)
{
	return (u64 *)(slots->base + (size_t)index * slots->size);
}

static bool __free_push(struct slots *slots, u32 index)
{
	if (slots->nr_free == slots->cap) {
		u32 cap = slots->cap ? 2 * slots->cap : 64;
		u32 *v = realloc(slots->free, cap * sizeof(*v));

		if (!v)
			return false;
		slots->free = v;
		slots->cap = cap;
	}
	slots->free[slots->nr_free++] = index;
	return true;
}

int slots_start(struct slots *slots)
{
	bool ok = true;

	slots->base = shared_table(slots->table);
	slots->size = shared_table_size(slots->table);
	slots->max = shared_table_max(slots->table);
	slots->nr_free = 0;
	shared->high[slots->table] = min(shared->high[slots->table], slots->max);
	for (u32 i = shared->high[slots->table]; ok && i-- > 0;)
		if (!*record_at(slots, i))
			ok = __free_push(slots, i);
	return ok ? 0 : -ENOMEM;
}

void *slots_take(struct slots *slots)
{
	u32 *high = &shared->high[slots->table];
	void *record = NULL;

	pthread_mutex_lock(&slots->lock);
	if (slots->nr_free)
		record = record_at(slots, slots->free[--slots->nr_free]);
	else if (*high < slots->max)
		record = record_at(slots, __atomic_fetch_add(high, 1, __ATOMIC_SEQ_CST));
	pthread_mutex_unlock(&slots->lock);
	return record;
}

void slots_valid(void *record, u64 first)
{
	__atomic_store_n((u64 *)record, first, __ATOMIC_RELEASE);
}

/* Without memory for the list the place stays unused until the next server looks. */
void slots_give(struct slots *slots, void *record)
{
	__atomic_store_n((u64 *)record, 0, __ATOMIC_RELEASE);
	pthread_mutex_lock(&slots->lock);
	(void)__free_push(slots, slots_index(slots, record));
	pthread_mutex_unlock(&slots->lock);
}

void *slots_at(struct slots *slots, u32 index)
{
	u64 *record = index < slots_high(slots) ? record_at(slots, index) : NULL;

	return record && __atomic_load_n(record, __ATOMIC_ACQUIRE) ? record : NULL;
}

u32 slots_index(const struct slots *slots, const void *record)
{
	return (u32)((size_t)((const char *)record - slots->base) / slots->size);
}

u32 slots_high(const struct slots *slots)
{
	return __atomic_load_n(&shared->high[slots->table], __ATOMIC_ACQUIRE);
}
