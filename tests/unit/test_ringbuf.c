/*
 * test_ringbuf.c - map/ring/ringbuf.c; guarantees by letter
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include "load.h"
#include "map/map.h"
#include "map/ring/ringbuf.h"
#include "run/test_run.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/map_model.h"
#include "tests/lib/object.h"

static struct bpf_map *make(u32 size, int index_fd, int values_fd)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = size};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, index_fd, values_fd, &map), 0);
	return map;
}

static void all_gone(struct bpf_map *map)
{
	bpf_map_put(map);
	for (u32 i = 0; i < 3; i++)
		bpf_rcu_barrier();
	assert_int_equal(bpf_map_live_count(), 0);
}

static void *reserve(struct bpf_map *map, u64 size)
{
	void *sample;

	bpf_run_enter();
	sample = bpf_ringbuf_reserve(map, size, 0);
	bpf_run_exit();
	return sample;
}

static void commit(void *sample, u64 flags, bool discard)
{
	bpf_run_enter();
	bpf_ringbuf_commit(sample, flags, discard);
	bpf_run_exit();
}

/* ---- A, B: a model of records in order */

struct record {
	u64 seq;
	u32 size;
	bool busy, discarded;
	void *sample;
};

static void fill(void *sample, u64 seq, u32 size)
{
	for (u32 i = 0; i < size; i++)
		((u8 *)sample)[i] = (u8)(seq * 7 + i);
}

static bool filled(const void *sample, u64 seq, u32 size)
{
	for (u32 i = 0; i < size; i++)
		if (((const u8 *)sample)[i] != (u8)(seq * 7 + i))
			return false;
	return true;
}

#define RING 4096

static void test_a_b_model(void **state)
{
	struct bpf_map *map = make(RING, -1, -1);
	static struct record records[1000];
	u32 nr = 0, used = 0, refused = 0;
	struct rnd r = {.state = 11};
	void *buf = NULL;
	size_t cap = 0;
	u64 seq = 0;

	for (u32 step = 0; step < 60000; step++) {
		u32 op = rnd_below(&r, 100), size = rnd_below(&r, 20) ? rnd_below(&r, 200) : 4088;
		s64 len;

		if (op < 40) {
			u32 need = round_up(size + 8, 8);
			void *sample = reserve(map, size);

			/* One byte short of the whole ring at most. */
			assert_int_equal(sample != NULL, used + need < RING);
			if (!sample) {
				refused++;
				continue;
			}
			fill(sample, ++seq, size);
			records[nr++] = (struct record){seq, size, true, false, sample};
			used += need;
		} else if (op < 75 && nr) {
			struct record *rec = &records[rnd_below(&r, nr)];

			if (!rec->busy)
				continue;
			rec->busy = false;
			rec->discarded = op % 5 == 0;
			commit(rec->sample, 0, rec->discarded);
		} else {
			while (nr && !records[0].busy && records[0].discarded) {
				used -= round_up(records[0].size + 8, 8);
				memmove(records, records + 1, --nr * sizeof(records[0]));
			}
			assert_int_equal(bpf_ringbuf_readable(map), nr && !records[0].busy);
			len = bpf_ringbuf_read(map, &buf, &cap);
			if (!nr || records[0].busy) {
				assert_int_equal(len, -EAGAIN);
				continue;
			}
			assert_int_equal(len, records[0].size);
			assert_true(filled(buf, records[0].seq, records[0].size));
			used -= round_up(records[0].size + 8, 8);
			memmove(records, records + 1, --nr * sizeof(records[0]));
		}
	}
	assert_true(refused > 100 && seq > 2000);
	assert_null(reserve(map, RING));
	assert_null(reserve(map, ~0ull));
	free(buf);
	all_gone(map);
}

static void test_errors(void **state)
{
	static const struct {
		u32 key_size, value_size, max_entries, flags;
	} rows[] = {{4, 0, 4096, 0},
		    {0, 4, 4096, 0},
		    {0, 0, 0, 0},
		    {0, 0, 4095, 0},
		    {0, 0, 12288, 0},
		    {0, 0, 2048, 0},
		    {0, 0, 4096, BPF_F_MMAPABLE},
		    {0, 0, 4096, BPF_F_RDONLY}};
	struct bpf_map *map;
	u64 value = 0;

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_RINGBUF,
					    .key_size = rows[i].key_size,
					    .value_size = rows[i].value_size,
					    .max_entries = rows[i].max_entries,
					    .map_flags = rows[i].flags};

		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), -EINVAL);
	}
	map = make(8192, -1, -1);
	assert_int_equal(bpf_map_lookup(map, NULL, &value, 0), -EOPNOTSUPP);
	assert_int_equal(bpf_map_update(map, NULL, &value, 0), -EOPNOTSUPP);
	assert_int_equal(bpf_map_delete(map, NULL), -EOPNOTSUPP);
	assert_int_equal(bpf_map_next_key(map, NULL, &value), -EOPNOTSUPP);
	assert_int_equal(bpf_ringbuf_output(map, &value, 8, 4), -EINVAL);
	assert_int_equal(bpf_ringbuf_query(map, BPF_RB_RING_SIZE), 8192);
	assert_int_equal(bpf_ringbuf_query(map, 17), 0);
	all_gone(map);
}

/* ---- C: when the consumer is told */

static u32 told;

static void count_notify(struct bpf_map *map)
{
	__atomic_fetch_add(&told, 1, __ATOMIC_RELAXED);
}

static void test_c_notify(void **state)
{
	struct bpf_map *map = make(RING, -1, -1);
	u64 value = 5;
	void *a, *b, *buf = NULL;
	size_t cap = 0;

	told = 0;
	__atomic_store_n(&bpf_map_notify, count_notify, __ATOMIC_RELEASE);
	bpf_ringbuf_output(map, &value, 8, 0);
	assert_int_equal(told, 1); /* caught up with */
	bpf_ringbuf_output(map, &value, 8, 0);
	assert_int_equal(told, 1); /* behind another */
	bpf_ringbuf_output(map, &value, 8, BPF_RB_FORCE_WAKEUP);
	assert_int_equal(told, 2);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), 8);
	bpf_ringbuf_output(map, &value, 8, BPF_RB_NO_WAKEUP);
	assert_int_equal(told, 2);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), 8);
	a = reserve(map, 8);
	b = reserve(map, 8);
	commit(b, 0, false);
	assert_int_equal(told, 2); /* held back by the first */
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), -EAGAIN);
	commit(a, 0, true);
	assert_int_equal(told, 3);
	assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), 8);
	__atomic_store_n(&bpf_map_notify, NULL, __ATOMIC_RELEASE);
	free(buf);
	all_gone(map);
}

/* ---- threads: each record whole, once, in each producer's order */

#define PRODUCERS  3
#define PER_THREAD 30000

struct producer {
	struct bpf_map *map;
	u32 index;
	u64 full;
};

static void *produce(void *arg)
{
	struct producer *p = arg;
	struct rnd r = {.state = p->index + 1};

	for (u64 i = 0; i < PER_THREAD;) {
		u32 words = 2 + rnd_below(&r, 6);
		u64 *sample;

		bpf_run_enter();
		sample = bpf_ringbuf_reserve(p->map, words * 8, 0);
		if (sample) {
			sample[0] = p->index;
			for (u32 w = 1; w < words; w++)
				sample[w] = i;
			if (rnd_below(&r, 10))
				i++;
			else
				sample[0] = ~0ull;
			bpf_ringbuf_commit(sample, 0, sample[0] == ~0ull);
		}
		bpf_run_exit();
		if (!sample) {
			p->full++;
			sched_yield();
		}
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct bpf_map *map = make(RING, -1, -1);
	struct producer producers[PRODUCERS];
	u64 next[PRODUCERS] = {}, got = 0;
	pthread_t tid[PRODUCERS];
	u64 *record = NULL;
	size_t cap = 0;

	for (u32 i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){map, i, 0};
		pthread_create(&tid[i], NULL, produce, &producers[i]);
	}
	while (got < PRODUCERS * PER_THREAD) {
		s64 len = bpf_ringbuf_read(map, (void **)&record, &cap);

		if (len == -EAGAIN) {
			sched_yield();
			continue;
		}
		assert_true(len >= 16 && len % 8 == 0 && record[0] < PRODUCERS);
		for (u32 w = 1; w < len / 8; w++)
			assert_int_equal(record[w], next[record[0]]);
		next[record[0]]++;
		got++;
	}
	for (u32 i = 0; i < PRODUCERS; i++)
		pthread_join(tid[i], NULL);
	assert_int_equal(bpf_ringbuf_query(map, BPF_RB_AVAIL_DATA), 0);
	free(record);
	all_gone(map);
}

/* ---- a consumer that maps the file, as libbpf would */

static void test_mmap(void **state)
{
	int index_fd = memfd_create("index", 0), values_fd = memfd_create("values", 0);
	struct bpf_map *map = make(RING, index_fd, values_fd);
	u64 *cons, *prod, seq = 0, got = 0;
	char *data;

	cons = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, values_fd, 0);
	prod = mmap(NULL, 4096 + 2 * RING, PROT_READ, MAP_SHARED, index_fd, 4096);
	assert_ptr_not_equal(cons, MAP_FAILED);
	assert_ptr_not_equal(prod, MAP_FAILED);
	data = (char *)prod + 4096;
	assert_ptr_not_equal(
		mmap(data + RING, RING, PROT_READ, MAP_SHARED | MAP_FIXED, index_fd, 8192),
		MAP_FAILED);
	while (got < 500) {
		char text[100];

		memset(text, (int)seq & 0x7f, sizeof(text));
		if (!bpf_ringbuf_output(map, text, sizeof(text), 0)) {
			seq++;
			continue;
		}
		while (*cons < __atomic_load_n(prod, __ATOMIC_ACQUIRE)) {
			u32 *hdr = (u32 *)(data + (*cons & (RING - 1)));

			assert_int_equal(hdr[0], 100);
			assert_int_equal(hdr[1], (*cons & (RING - 1)) / 4096 + 2);
			for (u32 i = 0; i < 100; i++)
				assert_int_equal(((char *)(hdr + 2))[i], got & 0x7f);
			__atomic_store_n(cons, *cons + 112, __ATOMIC_RELEASE);
			got++;
		}
	}
	munmap(cons, 4096);
	munmap(prod, 4096 + 2 * RING);
	close(index_fd);
	close(values_fd);
	all_gone(map);
}

/* E: a consumer that writes nonsense everywhere */
static void test_e_hostile(void **state)
{
	int index_fd = memfd_create("index", 0), values_fd = memfd_create("values", 0);
	struct bpf_map *map = make(RING, index_fd, values_fd);
	struct rnd r = {.state = 3};
	u64 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, values_fd, 0);
	u64 *data = mmap(NULL, RING, PROT_READ | PROT_WRITE, MAP_SHARED, index_fd, 8192);
	void *buf = NULL, *held = NULL;
	size_t cap = 0;
	u64 mark = 0x1234;
	s64 len;

	for (u32 i = 0; i < 200000; i++) {
		u64 junk = rnd_below(&r, 2) ? rnd_next(&r) : rnd_below(&r, 2 * RING);

		switch (rnd_below(&r, 6)) {
		case 0:
			page[rnd_below(&r, 8) ? 0 : rnd_below(&r, 512)] = junk;
			break;
		case 1:
			data[rnd_below(&r, RING / 8)] = junk; /* more than a client can do */
			break;
		case 2:
			bpf_ringbuf_output(map, &junk, 8, 0);
			break;
		case 3:
			assert_true(bpf_ringbuf_read(map, &buf, &cap) < RING);
			break;
		case 4:
			if (!held)
				held = reserve(map, 64);
			break;
		default:
			if (held)
				commit(held, 0, junk & 1);
			held = NULL;
		}
		bpf_ringbuf_ready(map);
		bpf_ringbuf_query(map, junk % 5);
		if (i % 5000 == 0) {
			bpf_map_put(map);
			bpf_rcu_barrier();
			held = NULL;
			assert_int_equal(bpf_map_open(index_fd, values_fd, &map), 0);
		}
	}
	if (held)
		commit(held, 0, true);
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(bpf_map_open(index_fd, values_fd, &map), 0);
	/* Whatever the position says, producers and readers go on. */
	for (u32 i = 0; i < 2000; i++) {
		__atomic_store_n(page, i % 3 ? rnd_next(&r) : *page - 8 * rnd_below(&r, RING / 8),
				 __ATOMIC_SEQ_CST);
		for (u32 reads = 0; (len = bpf_ringbuf_read(map, &buf, &cap)) != -EAGAIN; reads++)
			assert_true(reads < RING / 8 + 2);
		assert_int_equal(bpf_ringbuf_output(map, &mark, 8, 0), 0);
		assert_true(bpf_ringbuf_ready(map));
		assert_int_equal(bpf_ringbuf_read(map, &buf, &cap), 8);
		assert_memory_equal(buf, &mark, 8);
	}
	munmap(page, 4096);
	munmap(data, RING);
	free(buf);
	close(index_fd);
	close(values_fd);
	all_gone(map);
}

/* ready: what poll tells a consumer that maps the ring, and it moves nothing */
static void test_ready(void **state)
{
	int index_fd = memfd_create("index", 0), values_fd = memfd_create("values", 0);
	struct bpf_map *map = make(RING, index_fd, values_fd);
	u64 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, values_fd, 0);
	void *a, *b;

	assert_false(bpf_ringbuf_ready(map));
	a = reserve(map, 8);
	b = reserve(map, 8);
	commit(b, 0, false);
	assert_false(bpf_ringbuf_ready(map)); /* the first holds it back */
	commit(a, 0, true);
	assert_true(bpf_ringbuf_ready(map)); /* a discarded record is the consumer's to step over */
	assert_int_equal(*page, 0);
	*page = 16;
	assert_true(bpf_ringbuf_ready(map));
	*page = 32;
	assert_false(bpf_ringbuf_ready(map));
	*page = 40;
	assert_false(bpf_ringbuf_ready(map));
	munmap(page, 4096);
	close(index_fd);
	close(values_fd);
	all_gone(map);
}

/* Two consumers that take turns, and one that is always late: the position never goes back. */
struct taker {
	struct bpf_map *map;
	u64 taken;
	bool stop;
};

static void *take(void *arg)
{
	struct taker *t = arg;
	u64 *record = NULL, last = 0;
	size_t cap = 0;

	while (!__atomic_load_n(&t->stop, __ATOMIC_ACQUIRE)) {
		s64 len = bpf_ringbuf_read(t->map, (void **)&record, &cap);

		if (len == -EAGAIN) {
			sched_yield();
			continue;
		}
		assert_int_equal(len, 8);
		assert_true(*record > last);
		last = *record;
		t->taken++;
	}
	free(record);
	return NULL;
}

static void test_two_consumers(void **state)
{
	int index_fd = memfd_create("index", 0), values_fd = memfd_create("values", 0);
	struct bpf_map *map = make(RING, index_fd, values_fd);
	u64 *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, values_fd, 0);
	u64 *ring = mmap(NULL, 4096 + RING, PROT_READ, MAP_SHARED, index_fd, 4096);
	struct taker t = {map, 0, false};
	u64 seq = 0, last = 0, mine = 0;
	pthread_t tid;

	pthread_create(&tid, NULL, take, &t);
	while (seq < 100000) {
		u64 pos = __atomic_load_n(page, __ATOMIC_ACQUIRE), next = seq + 1;
		u64 value;

		if (!bpf_ringbuf_output(map, &next, 8, 0))
			seq++;
		else
			sched_yield(); /* it is full: on one CPU only the other can empty it */
		if (seq % 3 || pos >= __atomic_load_n(ring, __ATOMIC_ACQUIRE))
			continue;
		value = __atomic_load_n(&ring[512 + (pos + 8) % RING / 8], __ATOMIC_RELAXED);
		if (__atomic_compare_exchange_n(page, &pos, pos + 16, false, __ATOMIC_SEQ_CST,
						__ATOMIC_RELAXED)) {
			assert_true(value > last);
			last = value;
			mine++;
		}
	}
	while (bpf_ringbuf_ready(map))
		sched_yield();
	__atomic_store_n(&t.stop, true, __ATOMIC_RELEASE);
	pthread_join(tid, NULL);
	assert_int_equal(mine + t.taken, seq); /* who moves the position has the record */
	assert_true(mine && t.taken);
	munmap(page, 4096);
	munmap(ring, 4096 + RING);
	close(index_fd);
	close(values_fd);
	all_gone(map);
}

/* ---- D: SIGKILL at any moment */

struct ledger {
	u64 done; /* committed and told */
};

static void hammer(struct bpf_map *map, struct ledger *ledger)
{
	struct rnd r = {.state = (u64)getpid()};

	for (u64 seq = ledger->done + 1;;) {
		u32 words = 1 + rnd_below(&r, 9);
		u64 *sample;

		bpf_run_enter();
		sample = bpf_ringbuf_reserve(map, words * 8, 0);
		for (u32 i = 0; sample && i < words; i++)
			sample[i] = seq;
		if (sample) {
			bpf_ringbuf_commit(sample, 0, false);
			__atomic_store_n(&ledger->done, seq++, __ATOMIC_SEQ_CST);
		}
		bpf_run_exit();
		if (!sample)
			pause();
	}
}

#define KILLS 40u

static void killed(void)
{
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int index_fd = memfd_create("index", 0), values_fd = memfd_create("values", 0), status;
	struct bpf_map *map = make(1u << 20, index_fd, values_fd);
	u64 *record = NULL, next = 1;
	size_t cap = 0;

	for (u32 round = 0; round < KILLS; round++) {
		pid_t child;
		s64 len;

		bpf_map_put(map);
		bpf_rcu_barrier();
		bpf_rcu_barrier();
		child = fork();
		if (!child) {
			if (bpf_map_open(index_fd, values_fd, &map))
				_exit(2);
			hammer(map, ledger);
		}
		/* So many records, however long they take; then at any moment. */
		while (__atomic_load_n(&ledger->done, __ATOMIC_SEQ_CST) < next + 25 + round &&
		       !waitpid(child, &status, WNOHANG))
			usleep(50);
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(bpf_map_open(index_fd, values_fd, &map), 0);
		while ((len = bpf_ringbuf_read(map, (void **)&record, &cap)) > 0) {
			for (u32 i = 0; i < len / 8; i++)
				assert_int_equal(record[i], next);
			next++;
		}
		assert_int_equal(len, -EAGAIN);
		/* The last may have been committed and not told. */
		assert_true(next - 1 == ledger->done || next - 1 == ledger->done + 1);
		ledger->done = next - 1;
	}
	assert_true(next > KILLS * 25);
	munmap(ledger, sizeof(*ledger));
	free(record);
	close(index_fd);
	close(values_fd);
	all_gone(map);
}

static void test_d_sigkill(void **state)
{
#ifdef __SANITIZE_THREAD__
	print_message("ThreadSanitizer has no threads after a fork\n");
	skip();
#endif
	killed();
}

/* ---- from programs */

static void test_programs(void **state)
{
	for (u32 no_jit = 0; no_jit < 2; no_jit++) {
		struct bpf_object_load_opts opts = {.no_jit = no_jit};
		u8 packet[64] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
		struct {
			u32 len, seq;
			u8 bytes[16];
		} *event = NULL;
		struct bpf_loaded l;
		size_t size, cap = 0;
		void *data = test_object_bytes("ringbuf", &size);
		static const u32 want[] = {2, 32, 2, 2};

		if (bpf_object_load(data, size, &opts, &l))
			fail_msg("%s", bpf_log_text(&l.report));
		for (u32 p = 0; p < 4; p++) {
			struct bpf_test_run run = {.data_in = packet, .data_size_in = 60 + p};

			assert_int_equal(bpf_prog_test_run(l.progs[p == 1 ? 1 : 0], &run), 0);
			if (p != 1)
				assert_int_equal(run.retval, want[p]);
		}
		assert_int_equal(bpf_ringbuf_read(l.maps[0], (void **)&event, &cap), 24);
		assert_int_equal(event->len, 60);
		assert_int_equal(event->seq, 0);
		assert_memory_equal(event->bytes, packet, 16);
		assert_int_equal(bpf_ringbuf_read(l.maps[0], (void **)&event, &cap), 8);
		assert_int_equal(event->len, 61);
		assert_int_equal(event->seq, 77);
		assert_int_equal(bpf_ringbuf_read(l.maps[0], (void **)&event, &cap), 24);
		assert_int_equal(event->seq, 1);
		for (u32 i = 0; i < 10; i++) {
			struct bpf_test_run run = {.data_in = packet, .data_size_in = 40 + i};

			assert_int_equal(bpf_prog_test_run(l.progs[2], &run), 0);
			assert_int_equal(run.retval, i < 4 ? 0 : (36 + i) * 1000 + 40 + i);
		}
		free(event);
		free(data);
		bpf_loaded_free(&l);
	}
	bpf_rcu_barrier();
}

static void test_leak_is_refused(void **state)
{
	struct bpf_loaded l;
	size_t size;
	void *data = test_object_bytes("reject_ringbuf_leak", &size);

	assert_int_equal(bpf_object_load(data, size, NULL, &l), -EINVAL);
	assert_non_null(strstr(bpf_log_text(&l.report), "reference leak"));
	bpf_loaded_free(&l);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_d_sigkill), /* forks: before there are threads */
		cmocka_unit_test(test_a_b_model), cmocka_unit_test(test_errors),
		cmocka_unit_test(test_c_notify),  cmocka_unit_test(test_threads),
		cmocka_unit_test(test_mmap),	  cmocka_unit_test(test_e_hostile),
		cmocka_unit_test(test_ready),	  cmocka_unit_test(test_two_consumers),
		cmocka_unit_test(test_programs),  cmocka_unit_test(test_leak_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
