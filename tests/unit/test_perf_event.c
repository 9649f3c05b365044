/*
 * test_perf_event.c - map/ring/perf_event.c; guarantees by letter
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include "map/create.h"
#include "map/map.h"
#include "map/ring/perf_event_array.h"
#include "map/syscall.h"

#define PAGE 4096u

struct consumer {
	struct bpf_perf_event *event;
	struct perf_event_mmap_page *page;
	const u8 *data;
	int memfd;
};

static void make_event(struct consumer *c, const struct bpf_perf_event_attr *attr, u32 pages)
{
	void *p;

	c->memfd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	assert_true(c->memfd >= 0);
	assert_int_equal(bpf_perf_event_new(attr, dup(c->memfd), &c->event), 0);
	assert_int_equal(bpf_perf_event_ring(c->event, (1 + pages) * PAGE), 0);
	p = mmap(NULL, (1 + pages) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, c->memfd, 0);
	assert_ptr_not_equal(p, MAP_FAILED);
	c->page = p;
	c->data = (u8 *)p + PAGE;
}

static void end_event(struct consumer *c)
{
	munmap(c->page, PAGE + c->page->data_size);
	close(c->memfd);
	bpf_perf_event_put(c->event);
	bpf_rcu_barrier();
}

static long put(struct consumer *c, u32 cpu, const void *data, u32 len, bool *tell)
{
	struct bpf_perf_part parts[] = {{data, len / 2}, {(u8 *)data + len / 2, len - len / 2}};

	return bpf_perf_event_output(c->event, cpu, parts, 2, len, tell);
}

/* The next record into `out`: its type, or 0. */
static u32 take(struct consumer *c, u8 *out)
{
	u64 head = __atomic_load_n(&c->page->data_head, __ATOMIC_ACQUIRE);
	u64 tail = c->page->data_tail, size = c->page->data_size;
	struct perf_event_header *header = (struct perf_event_header *)out;

	if (head == tail)
		return 0;
	for (u32 i = 0; i < sizeof(*header) || i < header->size; i++)
		out[i] = c->data[(tail + i) % size];
	assert_int_equal(header->size % 8, 0);
	__atomic_store_n(&c->page->data_tail, tail + header->size, __ATOMIC_RELEASE);
	return header->type;
}

static void test_a_layout(void **state)
{
	struct bpf_perf_event_attr attr = {
		.cpu = 1, .sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU};
	u8 out[UINT16_MAX], data[100];
	struct consumer c;
	bool tell;
	u32 raw;

	memset(data, 7, sizeof(data));
	make_event(&c, &attr, 1);
	assert_int_equal(c.page->data_offset, PAGE);
	assert_int_equal(c.page->data_size, PAGE);
	assert_false(bpf_perf_event_ready(c.event));
	for (u32 len = 0; len < sizeof(data); len++) {
		assert_int_equal(put(&c, 1, data, len, &tell), 0);
		assert_true(tell && bpf_perf_event_ready(c.event));
		assert_int_equal(take(&c, out), PERF_RECORD_SAMPLE);
		assert_int_equal(*(u32 *)(out + 16), 1);
		memcpy(&raw, out + 24, sizeof(raw));
		assert_int_equal(raw, round_up(len + 4, 8u) - 4);
		assert_memory_equal(out + 28, data, len);
		for (u32 i = len; i < raw; i++)
			assert_int_equal(out[28 + i], 0);
		assert_false(bpf_perf_event_ready(c.event));
	}
	assert_int_equal(put(&c, 0, data, 1, &tell), -EOPNOTSUPP);
	bpf_perf_event_enable(c.event, false);
	assert_int_equal(put(&c, 1, data, 1, &tell), -EOPNOTSUPP);
	assert_false(tell);
	end_event(&c);
}

/* A: whatever the consumer writes. */
static void test_a_nonsense(void **state)
{
	struct bpf_perf_event_attr attr = {.sample_type = PERF_SAMPLE_RAW};
	struct consumer c;
	u64 data = 5, head = 0;
	bool tell;

	make_event(&c, &attr, 1);
	for (u64 tail = 1; tail; tail <<= 1) {
		c.page->data_tail = head + tail;
		c.page->data_size = tail;
		c.page->data_head = c.page->data_offset = ~tail;
		assert_int_equal(put(&c, 0, &data, 8, &tell), -ENOSPC);
		c.page->data_tail = head;
		assert_int_equal(put(&c, 0, &data, 8, &tell), 0);
		head += 24 + 24; /* the loss is told first */
		assert_int_equal(c.page->data_head, head);
	}
	c.page->data_size = PAGE;
	end_event(&c);
}

/* A raw sample's data are behind its size, of 4 bytes. */
static u64 u64_at(const u8 *at)
{
	u64 v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static void test_b_lost(void **state)
{
	struct bpf_perf_event_attr attr = {.sample_type = PERF_SAMPLE_RAW};
	u64 data[4] = {0}, taken = 0, lost = 0, told = 0, n;
	u8 out[UINT16_MAX];
	struct consumer c;
	bool tell;
	u32 type;

	make_event(&c, &attr, 2);
	for (n = 0; n < 20000; n++) {
		data[0] = n;
		lost += put(&c, 0, data, 8 + n % 24, &tell) == -ENOSPC;
		if (n % 500 < 300)
			continue;
		for (u32 i = 0; i < 3 && (type = take(&c, out)); i++) {
			if (type == PERF_RECORD_LOST) {
				told += u64_at(out + 16);
				continue;
			}
			/* In order, and what is missing was told before. */
			assert_int_equal(u64_at(out + 12), taken + told);
			taken++;
		}
	}
	assert_true(lost > 100 && told > 100 && taken > 100);
	end_event(&c);
}

static void test_wakeups(void **state)
{
	struct bpf_perf_event_attr third = {.sample_type = PERF_SAMPLE_RAW, .wakeup = 3};
	struct bpf_perf_event_attr bytes = {
		.sample_type = PERF_SAMPLE_RAW, .wakeup = 100, .watermark = true};
	u8 out[UINT16_MAX];
	struct consumer c;
	u64 data = 1;
	bool tell;

	make_event(&c, &third, 1);
	for (int i = 1; i < 7; i++) {
		assert_int_equal(put(&c, 0, &data, 8, &tell), 0);
		assert_int_equal(tell, i == 3); /* it was told, and has not taken them */
		assert_int_equal(bpf_perf_event_ready(c.event), i >= 3);
	}
	while (take(&c, out))
		;
	for (int i = 1; i < 4; i++) {
		assert_int_equal(put(&c, 0, &data, 8, &tell), 0);
		assert_true(i != 3 || tell);
	}
	end_event(&c);
	make_event(&c, &bytes, 1);
	for (int i = 1; i < 7; i++) {
		assert_int_equal(put(&c, 0, &data, 8, &tell), 0);
		assert_int_equal(tell, i == 5);
	}
	end_event(&c);
}

static void test_c_memory(void **state)
{
	struct bpf_perf_event_attr attr = {.sample_type = PERF_SAMPLE_RAW};
	int memfd = memfd_create("test", MFD_ALLOW_SEALING | MFD_CLOEXEC);
	struct bpf_perf_event *event;
	struct bpf_perf_part part = {"12345678", 8};
	bool tell;

	attr.sample_type = PERF_SAMPLE_IP;
	assert_int_equal(bpf_perf_event_new(&attr, dup(memfd), &event), -EINVAL);
	attr.sample_type = PERF_SAMPLE_RAW | PERF_SAMPLE_REGS_USER;
	assert_int_equal(bpf_perf_event_new(&attr, dup(memfd), &event), -EINVAL);
	attr.sample_type = PERF_SAMPLE_RAW;
	assert_int_equal(bpf_perf_event_new(&attr, dup(memfd), &event), 0);
	assert_int_equal(bpf_perf_event_output(event, 0, &part, 1, 8, &tell), -ENOSPC);
	static const u64 wrong[] = {0, 1, PAGE, 2 * PAGE + 1, 4 * PAGE, 1ull << 40, ~0ull};
	for (u32 i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(bpf_perf_event_ring(event, wrong[i]), -EINVAL);
	assert_int_equal(bpf_perf_event_ring(event, 3 * PAGE), 0);
	assert_int_equal(bpf_perf_event_ring(event, 3 * PAGE), 0);
	assert_int_equal(bpf_perf_event_ring(event, 2 * PAGE), -EINVAL);
	assert_int_equal(ftruncate(memfd, 0), -1);
	assert_int_equal(ftruncate(memfd, 8 * PAGE), -1);
	bpf_perf_event_put(event);
	close(memfd);
	bpf_rcu_barrier();
}

static void test_elements(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = BPF_MAX_SLOTS};
	struct bpf_perf_event_attr attr = {.sample_type = PERF_SAMPLE_RAW};
	struct bpf_perf_part part = {"12345678", 8};
	struct bpf_perf_event *found;
	struct consumer c;
	struct bpf_map *map;
	u8 out[UINT16_MAX];
	u32 slot, id;

	bpf_slot_keep();
	bpf_run_enter();
	slot = attr.cpu = bpf_map_slot();
	bpf_run_exit();
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	make_event(&c, &attr, 1);
	id = bpf_perf_event_id(c.event);
	found = bpf_perf_event_by_id(id);
	assert_ptr_equal(found, c.event);
	bpf_perf_event_put(found);
	assert_int_equal(bpf_perf_array_put(map, BPF_MAX_SLOTS, c.event, &c), -E2BIG);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(bpf_perf_array_put(map, slot, c.event, &c), 0);
		assert_int_equal(bpf_perf_array_put(map, slot, c.event, &c), 0);
		bpf_run_enter();
		assert_int_equal(bpf_perf_output(map, BPF_F_CURRENT_CPU, &part, 1), 0);
		bpf_run_exit();
		assert_int_equal(take(&c, out), PERF_RECORD_SAMPLE);
		bpf_perf_array_release(map, state); /* somebody else */
		if (round) {
			bpf_perf_array_release(map, &c);
		} else {
			assert_int_equal(bpf_map_delete(map, &slot), 0);
			assert_int_equal(bpf_map_delete(map, &slot), -ENOENT);
		}
		bpf_run_enter();
		assert_int_equal(bpf_perf_output(map, BPF_F_CURRENT_CPU, &part, 1), -ENOENT);
		bpf_run_exit();
	}
	/* The map's own reference. */
	assert_int_equal(bpf_perf_array_put(map, slot, c.event, &c), 0);
	end_event(&c);
	found = bpf_perf_event_by_id(id);
	assert_non_null(found);
	bpf_perf_event_put(found);
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_null(bpf_perf_event_by_id(id));
	bpf_slot_release();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_layout), cmocka_unit_test(test_a_nonsense),
		cmocka_unit_test(test_b_lost),	 cmocka_unit_test(test_wakeups),
		cmocka_unit_test(test_c_memory), cmocka_unit_test(test_elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
