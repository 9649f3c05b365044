/*
 * perf_event.c - see perf_event.h
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>
#include "map/map.h"
#include "map/ring/perf_event.h"
#include "rcu/ids.h"
#include "util/clock.h"
#include "util/lock.h"

#define PAGE	   4096u
#define MAX_PAGES  (1u << 18) /* 1 GiB */
#define SAMPLES	   (PERF_SAMPLE_RAW | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU)
#define LOST_BYTES (sizeof(struct perf_event_header) + 2 * sizeof(u64))

struct bpf_perf_event {
	struct bpf_lock lock;
	struct bpf_perf_event_attr attr;
	u32 id;
	int refcnt;
	struct rcu_head rcu;
	int memfd;
	bool enabled; /* from here on under `lock`; `page` and `size` stay once set */
	struct perf_event_mmap_page *page; /* NULL: no ring yet */
	u8 *data;
	u64 size;
	u64 head; /* bytes written, ever */
	u64 lost;
	u64 since; /* records since the last wakeup */
	bool woken;
};

static struct bpf_ids ids = BPF_IDS_INIT;

int bpf_perf_event_new(const struct bpf_perf_event_attr *attr, int memfd,
		       struct bpf_perf_event **out)
{
	struct bpf_perf_event *event = NULL;
	int err = -EINVAL;

	if (attr->sample_type & ~(u64)SAMPLES || !(attr->sample_type & PERF_SAMPLE_RAW))
		goto close_memory;
	err = -ENOMEM;
	event = aligned_alloc(64, round_up(sizeof(*event), (size_t)64));
	if (!event)
		goto close_memory;
	memset(event, 0, sizeof(*event));
	event->attr = *attr;
	event->enabled = !attr->disabled;
	event->memfd = memfd;
	event->refcnt = 1;
	err = bpf_ids_add(&ids, &event->id, event);
	if (err)
		goto free_event;
	*out = event;
	return 0;
free_event:
	free(event);
close_memory:
	close(memfd);
	return err;
}

static void event_free(struct rcu_head *head)
{
	struct bpf_perf_event *event = container_of(head, struct bpf_perf_event, rcu);

	if (event->page)
		munmap(event->page, PAGE + event->size);
	close(event->memfd);
	free(event);
}

void bpf_perf_event_put(struct bpf_perf_event *event)
{
	if (!event || __atomic_sub_fetch(&event->refcnt, 1, __ATOMIC_ACQ_REL))
		return;
	bpf_ids_remove(&ids, event->id);
	bpf_call_rcu(&event->rcu, event_free);
}

static bool event_inc(void *object)
{
	struct bpf_perf_event *event = object;
	int refs = __atomic_load_n(&event->refcnt, __ATOMIC_RELAXED);

	while (refs && !__atomic_compare_exchange_n(&event->refcnt, &refs, refs + 1, true,
						    __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
		;
	return refs != 0;
}

struct bpf_perf_event *bpf_perf_event_by_id(u32 id)
{
	return bpf_ids_get(&ids, id, event_inc);
}

void bpf_perf_event_get(struct bpf_perf_event *event)
{
	__atomic_add_fetch(&event->refcnt, 1, __ATOMIC_RELAXED);
}

u32 bpf_perf_event_id(const struct bpf_perf_event *event)
{
	return event->id;
}

u32 bpf_perf_event_uid(const struct bpf_perf_event *event)
{
	return event->attr.uid;
}

/* ---- its memory */

int bpf_perf_event_check(u64 len)
{
	u64 pages = len / PAGE;

	return len % PAGE || pages < 2 || pages > MAX_PAGES || (pages - 1) & (pages - 2) ? -EINVAL
											 : 0;
}

static struct perf_event_mmap_page *make_ring(int memfd, u64 len)
{
	void *p = MAP_FAILED;

	/* What is not there when a program writes to it would end the server. */
	if (!fallocate(memfd, 0, 0, (off_t)len) &&
	    !fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	return p == MAP_FAILED ? NULL : p;
}

int bpf_perf_event_ring(struct bpf_perf_event *event, u64 len)
{
	static pthread_mutex_t making = PTHREAD_MUTEX_INITIALIZER;
	struct perf_event_mmap_page *page;
	int err = bpf_perf_event_check(len);

	if (err)
		return err;
	pthread_mutex_lock(&making);
	if (event->page) {
		err = len == PAGE + event->size ? 0 : -EINVAL;
	} else {
		page = make_ring(event->memfd, len);
		err = page ? 0 : -ENOMEM;
		if (page) {
			page->data_offset = PAGE;
			page->data_size = len - PAGE;
			event->size = len - PAGE;
			event->data = (u8 *)page + PAGE;
			bpf_lock(&event->lock);
			event->page = page;
			bpf_unlock(&event->lock);
		}
	}
	pthread_mutex_unlock(&making);
	return err;
}

void bpf_perf_event_enable(struct bpf_perf_event *event, bool on)
{
	bpf_lock(&event->lock);
	event->enabled = on;
	bpf_unlock(&event->lock);
}

/* Bytes that the consumer has not taken; a tail that cannot be true leaves no room. */
static u64 __unread(const struct bpf_perf_event *event)
{
	u64 tail = __atomic_load_n(&event->page->data_tail, __ATOMIC_ACQUIRE);

	return min(event->head - tail, event->size);
}

/* Was the consumer told, and has not taken all since? */
static bool __woken(struct bpf_perf_event *event)
{
	if (!event->page || !__unread(event))
		event->woken = false;
	return event->woken;
}

bool bpf_perf_event_ready(struct bpf_perf_event *event)
{
	bool ready;

	bpf_lock(&event->lock);
	ready = __woken(event);
	bpf_unlock(&event->lock);
	return ready;
}

/* ---- output */

static void __put(const struct bpf_perf_event *event, u64 *pos, const void *data, u64 len)
{
	u64 at = *pos % event->size, first = min(len, event->size - at);

	memcpy(event->data + at, data, first);
	if (len - first)
		memcpy(event->data, (const u8 *)data + first, len - first);
	*pos += len;
}

static void __put_lost(struct bpf_perf_event *event, u64 *pos)
{
	struct perf_event_header header = {.type = PERF_RECORD_LOST, .size = LOST_BYTES};
	u64 body[2] = {event->id, event->lost};

	__put(event, pos, &header, sizeof(header));
	__put(event, pos, body, sizeof(body));
	event->lost = 0;
}

static void __put_sample(const struct bpf_perf_event *event, u64 *pos, u32 size, u32 raw,
			 const struct bpf_perf_part *parts, u32 nr, u32 len)
{
	struct perf_event_header header = {.type = PERF_RECORD_SAMPLE, .size = (u16)size};
	u64 now = clock_ns(CLOCK_MONOTONIC), zero = 0;
	u32 cpu[2] = {event->attr.cpu};

	__put(event, pos, &header, sizeof(header));
	if (event->attr.sample_type & PERF_SAMPLE_TIME)
		__put(event, pos, &now, sizeof(now));
	if (event->attr.sample_type & PERF_SAMPLE_CPU)
		__put(event, pos, cpu, sizeof(cpu));
	__put(event, pos, &raw, sizeof(raw));
	for (u32 i = 0; i < nr; i++)
		if (parts[i].len)
			__put(event, pos, parts[i].data, parts[i].len);
	__put(event, pos, &zero, raw - len);
}

/* Has the consumer to be told now? */
static bool __wakes(struct bpf_perf_event *event)
{
	u32 wakeup = max(event->attr.wakeup, 1u);

	return event->attr.watermark ? __unread(event) >= wakeup : ++event->since >= wakeup;
}

long bpf_perf_event_output(struct bpf_perf_event *event, u32 cpu, const struct bpf_perf_part *parts,
			   u32 nr, u32 len, bool *tell)
{
	/* As Linux: what the consumer sees as the length has the padding in it. */
	u32 raw = round_up(len + (u32)sizeof(u32), 8u) - (u32)sizeof(u32);
	u32 size = (u32)(sizeof(struct perf_event_header) + sizeof(raw)) + raw;
	bool told;
	long err = 0;
	u64 pos;

	size += event->attr.sample_type & PERF_SAMPLE_TIME ? 8 : 0;
	size += event->attr.sample_type & PERF_SAMPLE_CPU ? 8 : 0;
	*tell = false;
	if (size > UINT16_MAX)
		return -E2BIG;
	bpf_lock(&event->lock);
	told = __woken(event);
	if (event->attr.cpu != cpu || !event->enabled) {
		err = -EOPNOTSUPP;
	} else if (!event->page) {
		err = -ENOSPC;
	} else if (__unread(event) + size + (event->lost ? LOST_BYTES : 0) > event->size) {
		event->lost++;
		event->woken = true;
		err = -ENOSPC;
	} else {
		pos = event->head;
		if (event->lost)
			__put_lost(event, &pos);
		__put_sample(event, &pos, size, raw, parts, nr, len);
		event->head = pos;
		__atomic_store_n(&event->page->data_head, pos, __ATOMIC_RELEASE);
		if (__wakes(event)) {
			event->since = 0;
			event->woken = true;
		}
	}
	*tell = event->woken && !told;
	bpf_unlock(&event->lock);
	return err;
}
