/*
 * test_perf_event_array.c - map/ring/perf_event_array.c; guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "load.h"
#include "map/map.h"
#include "map/ring/perf_event_array.h"
#include "run/test_run.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/map_model.h"
#include "tests/lib/object.h"

static struct bpf_map *make(u32 max_entries)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PERF_EVENT_ARRAY,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = max_entries};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

static void all_gone(struct bpf_map *map)
{
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static long output(struct bpf_map *map, u64 flags, const void *data, u64 len)
{
	struct bpf_perf_part part = {data, len};
	long err;

	bpf_run_enter();
	err = bpf_perf_output(map, flags, &part, 1);
	bpf_run_exit();
	return err;
}

static void test_c_nobody_reads(void **state)
{
	struct bpf_map *map = make(BPF_MAX_SLOTS);
	struct bpf_perf_record record = {};
	u64 value = 7;
	u32 key = 0;

	assert_int_equal(output(map, BPF_F_CURRENT_CPU, &value, 8), -ENOENT);
	assert_int_equal(output(map, BPF_MAX_SLOTS, &value, 8), -E2BIG);
	assert_int_equal(bpf_perf_read(map, &record), -EAGAIN);
	assert_int_equal(bpf_perf_open(map), 0);
	assert_int_equal(bpf_perf_open(map), 0);
	assert_int_equal(output(map, BPF_F_CURRENT_CPU, &value, 8), 0);
	bpf_perf_close(map);
	assert_int_equal(bpf_perf_read(map, &record), 0);
	assert_int_equal(record.len, 8);
	assert_memory_equal(record.data, &value, 8);
	bpf_perf_close(map);
	assert_int_equal(output(map, BPF_F_CURRENT_CPU, &value, 8), -ENOENT);
	assert_int_equal(bpf_map_lookup(map, &key, &key, 0), -EOPNOTSUPP);
	assert_int_equal(bpf_map_update(map, &key, &key, 0), -EOPNOTSUPP);
	assert_int_equal(bpf_map_delete(map, &key), -ENOENT);
	free(record.data);
	all_gone(map);
}

/* ---- A, B: a model of one slot's records; the ring wraps and overflows */

static void test_a_b_model(void **state)
{
	struct bpf_map *map = make(BPF_MAX_SLOTS);
	struct rnd r = {.state = 21};
	u64 written = 0, next = 0, lost = 0, lost_told = 0;
	static u64 queue[100000], data[1024];
	u32 head = 0, tail = 0;
	struct bpf_perf_record record = {};

	bpf_slot_keep();
	bpf_run_enter();
	bpf_run_exit();
	assert_int_equal(bpf_perf_open(map), 0);
	for (u32 step = 0; step < 100000; step++) {
		if (rnd_below(&r, step / 5000 % 2 ? 3 : 5) < 2) {
			u32 len = 8 + rnd_below(&r, 100);

			memset(data, (int)written & 0xff, sizeof(data));
			data[0] = written;
			queue[head % ARRAY_SIZE(queue)] = written << 16 | len;
			assert_int_equal(output(map, BPF_F_CURRENT_CPU, data, len), 0);
			written++;
			head++;
		} else if (rnd_below(&r, 3) == 0) {
			int err = bpf_perf_read(map, &record);

			if (err) {
				assert_int_equal(err, -EAGAIN);
				assert_int_equal(tail, head);
				continue;
			}
			lost_told += record.lost;
			if (!record.len)
				continue;
			/* What was lost is not there; the rest is in order and whole. */
			memcpy(data, record.data, 8);
			while (tail < head && queue[tail % ARRAY_SIZE(queue)] >> 16 != data[0]) {
				tail++;
				lost++;
			}
			assert_true(tail < head && data[0] >= next);
			assert_int_equal(record.len, queue[tail % ARRAY_SIZE(queue)] & 0xffff);
			for (size_t i = 8; i < record.len; i++)
				assert_int_equal(((u8 *)record.data)[i], data[0] & 0xff);
			next = data[0] + 1;
			tail++;
		}
	}
	while (!bpf_perf_read(map, &record)) {
		lost_told += record.lost;
		next += record.len != 0;
		tail += record.len != 0;
	}
	lost += head - tail;
	assert_true(lost > 100);
	assert_int_equal(lost, lost_told);
	bpf_perf_close(map);
	bpf_slot_release();
	free(record.data);
	all_gone(map);
}

/* ---- threads: writers, and readers that come and go */

struct writer {
	struct bpf_map *map;
	u32 index;
	bool stop;
	u64 done, refused;
};

static void *write_all(void *arg)
{
	struct writer *w = arg;

	for (u64 i = 0; !__atomic_load_n(&w->stop, __ATOMIC_RELAXED); i++) {
		u64 data[] = {w->index, i, i, i};
		long err = output(w->map, BPF_F_CURRENT_CPU, data, sizeof(data));

		if (err)
			w->refused++;
		else
			w->done++;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct bpf_map *map = make(BPF_MAX_SLOTS);
	struct writer w[2] = {{map, 0, false, 0, 0}, {map, 1, false, 0, 0}};
	struct bpf_perf_record record = {};
	u64 got = 0;
	pthread_t tid[2];

	for (u32 i = 0; i < 2; i++)
		pthread_create(&tid[i], NULL, write_all, &w[i]);
	for (u32 round = 0; round < 200; round++) {
		assert_int_equal(bpf_perf_open(map), 0);
		for (u32 i = 0; i < 200; i++) {
			u64 *data;

			if (bpf_perf_read(map, &record)) {
				sched_yield();
				continue;
			}
			if (!record.len)
				continue;
			data = record.data;
			assert_int_equal(record.len, 32);
			assert_true(data[0] < 2 && data[1] == data[2] && data[2] == data[3]);
			got++;
		}
		bpf_perf_close(map);
	}
	for (u32 i = 0; i < 2; i++)
		__atomic_store_n(&w[i].stop, true, __ATOMIC_RELAXED);
	for (u32 i = 0; i < 2; i++)
		pthread_join(tid[i], NULL);
	assert_true(got > 100 && w[0].done + w[1].done >= got);
	free(record.data);
	all_gone(map);
}

/* ---- from programs */

static u32 run(struct bpf_prog *prog)
{
	u8 packet[64];
	struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};

	for (u32 i = 0; i < sizeof(packet); i++)
		packet[i] = (u8)i;
	assert_int_equal(bpf_prog_test_run(prog, &run), 0);
	return run.retval;
}

static void test_programs(void **state)
{
	for (u32 no_jit = 0; no_jit < 2; no_jit++) {
		static const u8 tc[] = {64, 0, 0, 0, 0, 1, 2, 3};
		static const u8 xdp[] = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
					 0,    1,    2,	   3,	 4,    5,    6,	   7,
					 8,    9,    10,   11,	 12,   13};
		struct bpf_object_load_opts opts = {.no_jit = no_jit};
		struct bpf_perf_record record = {};
		struct bpf_loaded l;
		size_t size;
		void *data = test_object_bytes("perf_output", &size);

		if (bpf_object_load(data, size, &opts, &l))
			fail_msg("%s", bpf_log_text(&l.report));
		assert_int_equal(run(l.progs[0]), 256 - ENOENT);
		assert_int_equal(bpf_perf_open(l.maps[0]), 0);
		assert_int_equal(run(l.progs[0]), 1);
		assert_int_equal(run(l.progs[1]), 256 - EFAULT);
		assert_int_equal(run(l.progs[2]), 256 - E2BIG);
		assert_int_equal(run(l.progs[3]), 1);
		for (u32 i = 0; i < 2; i++) {
			const u8 *want = i ? xdp : tc;
			size_t len = i ? sizeof(xdp) : sizeof(tc);

			assert_int_equal(bpf_perf_read(l.maps[0], &record), 0);
			if (record.len != len && !i) { /* the other slot's may come first */
				want = xdp;
				len = sizeof(xdp);
			}
			assert_int_equal(record.len, len);
			assert_memory_equal(record.data, want, len);
			if (want == xdp)
				break;
		}
		bpf_perf_close(l.maps[0]);
		free(record.data);
		free(data);
		bpf_loaded_free(&l);
	}
	bpf_rcu_barrier();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_c_nobody_reads),
		cmocka_unit_test(test_a_b_model),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
