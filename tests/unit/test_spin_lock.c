/*
 * test_spin_lock.c - spin_lock.h's guarantees A to D, and where a lock may be
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <cmocka.h>
#include "fault.h"
#include "jit/jit.h"
#include "load.h"
#include "map/hash/hashtab.h"
#include "map/mmap.h"
#include "map/spin_lock.h"
#include "run/test_run.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"
#include "map/iter.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define ROUNDS 50000
#else
#define ROUNDS 2000000
#endif

/* A lock between data on both sides, and data after the last whole word. */
struct value {
	u32 before;
	struct bpf_spin_lock lock;
	u64 a, b;
	u32 after;
};

static const struct bpf_map_spec hash_spec = {
	.map_type = BPF_MAP_TYPE_HASH,
	.key_size = 4,
	.value_size = 28,
	.max_entries = 4,
	.spin_lock_end = 8,
};

static struct bpf_map *map_of(enum bpf_map_type type)
{
	struct bpf_map_spec spec = hash_spec;
	struct bpf_map *map;

	spec.map_type = type;
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	assert_int_equal(map->spin_lock_off, 4);
	return map;
}

/* The element itself; nobody else works on the map. */
static struct value *elem(struct bpf_map *map, u32 key)
{
	struct value *v;

	bpf_rcu_read_lock();
	v = map->ops->map_lookup_elem(map, &key);
	bpf_rcu_read_unlock();
	return v;
}

static const enum bpf_map_type types[] = {BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_ARRAY};

/* ---- which maps */

static void where_a_lock_may_be(void **state)
{
	static const struct {
		struct bpf_map_spec spec;
		int err;
	} rows[] = {
		{{BPF_MAP_TYPE_HASH, 4, 4, 1, .spin_lock_end = 4}, 0},
		{{BPF_MAP_TYPE_HASH, 4, 8, 1, .spin_lock_end = 12}, -EINVAL},
		{{BPF_MAP_TYPE_HASH, 4, 8, 1, .spin_lock_end = 6}, -EINVAL},
		{{BPF_MAP_TYPE_HASH, 4, 8, 1, .spin_lock_end = 3}, -EINVAL},
		{{BPF_MAP_TYPE_HASH, 4, 8, 1, BPF_F_NO_PREALLOC, .spin_lock_end = 8}, 0},
		{{BPF_MAP_TYPE_HASH, 4, 8, 1, BPF_F_RDONLY_PROG, .spin_lock_end = 8}, -EACCES},
		{{BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_WRONLY_PROG, .spin_lock_end = 8}, -EACCES},
		{{BPF_MAP_TYPE_ARRAY, 4, 8, 1, BPF_F_MMAPABLE, .spin_lock_end = 8}, 0},
		{{BPF_MAP_TYPE_LRU_HASH, 4, 8, 1, .spin_lock_end = 8}, -EOPNOTSUPP},
		{{BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 1, .spin_lock_end = 8}, -EOPNOTSUPP},
		{{BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 1, .spin_lock_end = 8}, -EOPNOTSUPP},
		{{BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 1, .spin_lock_end = 8}, -EOPNOTSUPP},
		{{BPF_MAP_TYPE_QUEUE, 0, 8, 1, .spin_lock_end = 8}, -EOPNOTSUPP},
		{{BPF_MAP_TYPE_LPM_TRIE, 8, 8, 1, BPF_F_NO_PREALLOC, .spin_lock_end = 8},
		 -EOPNOTSUPP},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_map *map = NULL;
		int err = bpf_map_create(&rows[i].spec, 0, -1, -1, &map);

		if (err != rows[i].err)
			fail_msg("row %zu: %d", i, err);
		if (err)
			continue;
		assert_false(bpf_map_mmapable(map));
		assert_int_equal(bpf_map_mmap_fd(map), -EOPNOTSUPP);
		bpf_map_put(map);
	}
}

/* ---- A: nobody but its takers touches the word */

#define HELD 0x5a5a5a5au

static void write_some(struct bpf_map *map, u32 key, u64 n, u64 flags)
{
	struct value v = {(u32)n, {0xffffffff}, n, n, (u32)n};

	assert_int_equal(bpf_map_update(map, &key, &v, flags), 0);
}

static void check_copy(const struct value *v, u64 n)
{
	assert_int_equal(v->before, (u32)n);
	assert_int_equal(v->lock.val, 0);
	assert_int_equal(v->a, n);
	assert_int_equal(v->b, n);
	assert_int_equal(v->after, (u32)n);
}

static void A_copies_leave_the_word_alone(void **state)
{
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		struct bpf_map *map = map_of(types[t]);
		struct bpf_map_iter it;
		struct value v;
		u32 key = 1, got, seen = 0;
		int ret;

		write_some(map, key, 5, BPF_ANY);
		assert_int_equal(elem(map, key)->lock.val, 0); /* not what the value said */
		write_some(map, key, 6, BPF_F_LOCK | BPF_EXIST);
		assert_int_equal(elem(map, key)->lock.val, 0);
		assert_int_equal(elem(map, key)->a, 6);

		elem(map, key)->lock.val = HELD;
		memset(&v, 0xee, sizeof(v));
		assert_int_equal(bpf_map_lookup(map, &key, &v, 0), 0);
		check_copy(&v, 6);
		bpf_map_iter_init(&it, map, false);
		while ((ret = bpf_map_iter_next(&it, &got, &v)) > 0)
			if (got == key) {
				check_copy(&v, 6);
				seen++;
			}
		bpf_map_iter_end(&it);
		assert_int_equal(ret, 0);
		assert_int_equal(seen, 1);
		assert_int_equal(elem(map, key)->lock.val, HELD);
		if (types[t] == BPF_MAP_TYPE_ARRAY) { /* in place */
			write_some(map, key, 7, BPF_ANY);
			assert_int_equal(elem(map, key)->lock.val, HELD);
			assert_int_equal(elem(map, key)->a, 7);
			assert_int_equal(elem(map, key)->before, 7);
			assert_int_equal(elem(map, key)->after, 7);
		}
		bpf_map_put(map);
	}
}

/*
 * A lock at every place of values of every size: what is around it is copied, and nothing beyond.
 */
static void A_every_offset(void **state)
{
	for (u32 size = 4; size <= 40; size++) {
		for (u32 end = 4; end <= size; end += 4) {
			struct bpf_map_spec spec = {BPF_MAP_TYPE_ARRAY, 4, size, 2,
						    .spin_lock_end = end};
			u8 in[40], out[48], *at;
			struct bpf_map *map;
			u32 key = 0;

			assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
			at = (u8 *)elem(map, 0);
			memset(at + round_up(size, 8), 0x11, round_up(size, 8)); /* key 1 */
			for (u32 i = 0; i < size; i++)
				in[i] = (u8)(i + 1);
			assert_int_equal(bpf_map_update(map, &key, in, BPF_ANY), 0);
			memset(in + end - 4, 0, 4);
			assert_memory_equal(at, in, size);
			assert_int_equal(at[round_up(size, 8)], 0x11);
			memset(out, 0x77, sizeof(out));
			memset(at + end - 4, 0x22, 4);
			assert_int_equal(bpf_map_lookup(map, &key, out, 0), 0);
			assert_memory_equal(out, in, size);
			assert_int_equal(out[size], 0x77);
			bpf_map_put(map);
		}
	}
}

/*
 * Who holds the lock of an element that is deleted and given to another key still holds it there.
 */
static void A_an_element_keeps_its_word(void **state)
{
	struct bpf_map *map = map_of(BPF_MAP_TYPE_HASH);
	struct value *old;
	bool again = false;

	for (u32 key = 0; key < 4; key++)
		write_some(map, key, key, BPF_NOEXIST);
	old = elem(map, 2);
	old->lock.val = HELD;
	assert_int_equal(bpf_map_delete(map, &(u32){2}), 0);
	write_some(map, 9, 9, BPF_NOEXIST);
	assert_ptr_equal(elem(map, 9), old); /* the only one that was free */
	assert_int_equal(old->lock.val, HELD);
	old->lock.val = 0;
	/* And the one that an update replaces. */
	old = elem(map, 9);
	old->lock.val = HELD;
	for (u32 i = 0; i < 4; i++) {
		write_some(map, 9, 100 + i, BPF_ANY);
		again |= elem(map, 9) == old;
		assert_int_equal(elem(map, 9)->lock.val, elem(map, 9) == old ? HELD : 0);
	}
	assert_true(again);
	bpf_map_put(map);
}

/* ---- flags */

static void flags_say_what_bpf_says(void **state)
{
	struct bpf_map_spec plain = {.key_size = 4, .value_size = 28, .max_entries = 4};
	struct value v = {0};
	struct bpf_map *map;
	u32 key = 0;

	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		bool array = types[t] == BPF_MAP_TYPE_ARRAY;

		map = map_of(types[t]);
		assert_int_equal(bpf_map_update(map, &key, &v, BPF_F_LOCK | BPF_EXIST),
				 array ? 0 : -ENOENT);
		assert_int_equal(bpf_map_update(map, &key, &v, BPF_F_LOCK | 3), -EINVAL);
		assert_int_equal(bpf_map_update(map, &key, &v, BPF_F_LOCK | 8), -EINVAL);
		assert_int_equal(bpf_map_update(map, &key, &v, BPF_F_LOCK | BPF_NOEXIST),
				 array ? -EEXIST : 0);
		assert_int_equal(bpf_map_update(map, &key, &v, BPF_F_LOCK | BPF_NOEXIST), -EEXIST);
		assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_F_LOCK), 0);
		assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_EXIST), -EINVAL);
		key = 99;
		assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_F_LOCK), -ENOENT);
		key = 0;
		bpf_map_put(map);
		plain.map_type = types[t];
		assert_int_equal(bpf_map_create(&plain, 0, -1, -1, &map), 0);
		assert_int_equal(bpf_map_update(map, &key, &v, BPF_F_LOCK), -EINVAL);
		assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_F_LOCK), -EINVAL);
		bpf_map_put(map);
	}
}

/* ---- B: programs, lookups and updates at once */

#define LOOKUP_KEY0(map)                                                                   \
	BPF_ST_MEM(BPF_W, 10, -4, 0), BPF_MOV64_REG(2, 10), BPF_ALU64_IMM(BPF_ADD, 2, -4), \
		BPF_LD_MAP_IDX(1, map), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem)

/* a++, b++ under the lock of the value under key 0. */
static struct bpf_prog *counter(struct bpf_map *map, bool no_jit)
{
	const struct bpf_insn insns[] = {
		LOOKUP_KEY0(0),
		BPF_JMP_IMM(BPF_JNE, 0, 0, 2),
		BPF_MOV64_IMM(0, 1),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(6, 0),
		BPF_MOV64_REG(1, 6),
		BPF_ALU64_IMM(BPF_ADD, 1, 4),
		BPF_EMIT_CALL(BPF_FUNC_spin_lock),
		BPF_LDX_MEM(BPF_DW, 1, 6, 8),
		BPF_ALU64_IMM(BPF_ADD, 1, 1),
		BPF_STX_MEM(BPF_DW, 6, 1, 8),
		BPF_LDX_MEM(BPF_DW, 2, 6, 16),
		BPF_ALU64_IMM(BPF_ADD, 2, 1),
		BPF_STX_MEM(BPF_DW, 6, 2, 16),
		BPF_MOV64_REG(1, 6),
		BPF_ALU64_IMM(BPF_ADD, 1, 4),
		BPF_EMIT_CALL(BPF_FUNC_spin_unlock),
		BPF_MOV64_IMM(0, 0),
		BPF_EXIT_INSN(),
	};
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.insns = insns,
		.insn_cnt = ARRAY_SIZE(insns),
		.maps = &map,
		.map_cnt = 1,
		.no_jit = no_jit,
	};
	struct bpf_prog *prog;

	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
	return prog;
}

struct work {
	struct bpf_map *map;
	struct bpf_prog *prog;
	bool *stop;
	u64 done, wrong;
};

static void *run_program(void *arg)
{
	struct work *w = arg;
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet, .data_size_in = 64, .repeat = ROUNDS};

	w->wrong = bpf_prog_test_run(w->prog, &run) || run.retval;
	return NULL;
}

static void *update_pairs(void *arg)
{
	struct work *w = arg;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		struct value v = {.a = w->done << 32, .b = w->done << 32};
		u32 key = 0;

		w->wrong += bpf_map_update(w->map, &key, &v, BPF_F_LOCK) != 0;
		w->done++;
	}
	return NULL;
}

static void *look(void *arg)
{
	struct work *w = arg;

	while (!__atomic_load_n(w->stop, __ATOMIC_RELAXED)) {
		struct bpf_map_iter it;
		struct value v;
		u32 key = 0;

		w->wrong += bpf_map_lookup(w->map, &key, &v, BPF_F_LOCK) || v.a != v.b;
		bpf_map_iter_init(&it, w->map, false);
		it.flags = BPF_F_LOCK;
		w->wrong += bpf_map_iter_next(&it, &key, &v) != 1 || v.a != v.b;
		bpf_map_iter_end(&it);
		w->done++;
	}
	return NULL;
}

/* With `writer` no value is torn; without one no increment is lost, either. */
static void hammer(enum bpf_map_type type, bool writer)
{
	struct bpf_map *map = map_of(type);
	struct bpf_prog *progs[2] = {counter(map, false), counter(map, true)};
	bool stop = false;
	struct work work[4] = {
		{.prog = progs[0]}, {.prog = progs[1]}, {.prog = NULL}, {.prog = NULL}};
	pthread_t threads[4];
	struct value v;
	u32 key = 0;

	write_some(map, 0, 0, BPF_ANY);
	for (int i = 0; i < 4; i++) {
		work[i].map = map;
		work[i].stop = &stop;
		if (i < 3 || writer)
			assert_int_equal(pthread_create(&threads[i], NULL,
							i < 2	 ? run_program
							: i == 2 ? look
								 : update_pairs,
							&work[i]),
					 0);
	}
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	pthread_join(threads[2], NULL);
	if (writer)
		pthread_join(threads[3], NULL);
	for (int i = 0; i < 4; i++)
		assert_int_equal(work[i].wrong, 0);
	assert_true(work[2].done > 0);
	assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_F_LOCK), 0);
	assert_int_equal(v.a, v.b);
	if (!writer)
		assert_int_equal(v.a, 2 * ROUNDS);
	bpf_prog_put(progs[0]);
	bpf_prog_put(progs[1]);
	bpf_map_put(map);
}

static void B_no_increment_is_lost_hash(void **state)
{
	hammer(BPF_MAP_TYPE_HASH, false);
}

static void B_no_increment_is_lost_array(void **state)
{
	hammer(BPF_MAP_TYPE_ARRAY, false);
}

static void B_no_value_is_torn_hash(void **state)
{
	hammer(BPF_MAP_TYPE_HASH, true);
}

static void B_no_value_is_torn_array(void **state)
{
	hammer(BPF_MAP_TYPE_ARRAY, true);
}

static void B_an_existing_element_stays_where_it_is(void **state)
{
	struct bpf_map *map = map_of(BPF_MAP_TYPE_HASH);
	struct value *v;

	write_some(map, 3, 1, BPF_F_LOCK);
	v = elem(map, 3);
	for (u32 i = 0; i < 4; i++)
		write_some(map, 3, i, BPF_F_LOCK);
	assert_ptr_equal(elem(map, 3), v);
	write_some(map, 3, 9, BPF_ANY);
	assert_ptr_not_equal(elem(map, 3), v);
	bpf_map_put(map);
}

/* ---- C: a fault with a lock held */

static struct sigaction engine_action;

static void C_a_fault_gives_the_lock_back(void **state)
{
	struct bpf_map *map = map_of(BPF_MAP_TYPE_ARRAY);
	struct bpf_spin_lock *lock = &elem(map, 0)->lock;
	const struct bpf_insn good[] = {
		BPF_LD_IMM64(1, 1),  BPF_MOV64_IMM(0, 0), BPF_MOV64_IMM(1, 0),
		BPF_MOV64_IMM(2, 0), BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN(),
	};
	const struct bpf_insn bad[] = {
		BPF_LD_IMM64(1, (u64)(uintptr_t)lock),
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_CALL_IMM(bpf_spin_lock_proto.func)},
		BPF_MOV64_IMM(1, 16),
		BPF_LDX_MEM(BPF_DW, 2, 1, 0),
		BPF_MOV64_IMM(0, 7),
		BPF_EXIT_INSN(),
	};
	const struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
						.insns = good,
						.insn_cnt = ARRAY_SIZE(good),
						.no_jit = true};
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet, .data_size_in = 64};
	struct sigaction cmockas;
	struct bpf_prog *prog;
	u32 key = 0;
	struct value v;

	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
	assert_int_equal(prog->len, ARRAY_SIZE(bad));
	memcpy(prog->insnsi, bad, sizeof(bad));
	if (bpf_jit_compile(prog)) {
		bpf_prog_put(prog);
		bpf_map_put(map);
		print_message("no JIT on this machine\n");
		skip();
	}
	prog->free_native = bpf_jit_free;
	sigaction(SIGSEGV, &engine_action, &cmockas);
	assert_int_equal(bpf_prog_test_run(prog, &run), -EIO);
	sigaction(SIGSEGV, &cmockas, NULL);
	assert_true(prog->poisoned);
	assert_int_equal(lock->val, 0);
	assert_null(bpf_this.spin_lock);
	assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_F_LOCK), 0);
	bpf_prog_put(prog);
	bpf_map_put(map);
}

/* ---- D: what a killed server leaves */

static void D_locks_are_free_after_a_crash(void **state)
{
	for (size_t t = 0; t < ARRAY_SIZE(types); t++) {
		bool array = types[t] == BPF_MAP_TYPE_ARRAY;
		int index = memfd_create("index", 0), values = array ? memfd_create("v", 0) : -1;
		struct bpf_map_spec spec = hash_spec;
		struct bpf_map *map;
		struct value v;

		spec.map_type = types[t];
		spec.max_entries = 5000;
		assert_int_equal(bpf_map_create(&spec, 0, index, values, &map), 0);
		for (u32 key = 0; key < 5000; key += 7)
			write_some(map, key, key, BPF_ANY);
		for (u32 key = 0; key < 5000; key += 21)
			elem(map, key)->lock.val = 1;
		if (!array) { /* one that was free when the server died */
			elem(map, 7)->lock.val = 1;
			assert_int_equal(bpf_map_delete(map, &(u32){7}), 0);
		}
		bpf_map_put(map);
		bpf_synchronize_rcu();
		bpf_rcu_barrier();
		/* As if it had not been closed. */
		assert_int_equal(
			pwrite(index, &(u32){0}, 4, offsetof(struct bpf_arena_header, clean)), 4);
		assert_int_equal(bpf_map_open(index, values, &map), 0);
		assert_int_equal(map->spin_lock_off, 4);
		for (u32 key = 0; key < 5000; key += 7) {
			if (!array && key == 7)
				continue;
			assert_int_equal(elem(map, key)->lock.val, 0);
			assert_int_equal(bpf_map_lookup(map, &key, &v, BPF_F_LOCK), 0);
			check_copy(&v, key);
		}
		for (u32 key = 10000; !array && key < 10000 + 5000 - 714; key++) {
			write_some(map, key, key, BPF_NOEXIST); /* all that is left */
			assert_int_equal(elem(map, key)->lock.val, 0);
		}
		bpf_map_put(map);
		close(index);
		if (array)
			close(values);
	}
}

/* A file that says that its lock is somewhere else than it can be. */
static void D_a_wrong_place_is_no_map(void **state)
{
	int index = memfd_create("index", 0);
	u32 at = offsetof(struct bpf_arena_header, spec) +
		 offsetof(struct bpf_map_spec, spin_lock_end);
	u32 sum = offsetof(struct bpf_arena_header, checksum);
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&hash_spec, 0, index, -1, &map), 0);
	bpf_map_put(map);
	bpf_rcu_barrier();
	assert_int_equal(pwrite(index, &(u64){0}, 8, sum), 8);
	assert_int_equal(pwrite(index, &(u32){32}, 4, at), 4);
	assert_int_equal(bpf_map_open(index, -1, &map), -EBADMSG);
	assert_int_equal(pwrite(index, &(u32){7}, 4, at), 4);
	assert_int_equal(bpf_map_open(index, -1, &map), -EBADMSG);
	close(index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(where_a_lock_may_be),
		cmocka_unit_test(A_copies_leave_the_word_alone),
		cmocka_unit_test(A_every_offset),
		cmocka_unit_test(A_an_element_keeps_its_word),
		cmocka_unit_test(flags_say_what_bpf_says),
		cmocka_unit_test(B_no_increment_is_lost_hash),
		cmocka_unit_test(B_no_increment_is_lost_array),
		cmocka_unit_test(B_no_value_is_torn_hash),
		cmocka_unit_test(B_no_value_is_torn_array),
		cmocka_unit_test(B_an_existing_element_stays_where_it_is),
		cmocka_unit_test(C_a_fault_gives_the_lock_back),
		cmocka_unit_test(D_locks_are_free_after_a_crash),
		cmocka_unit_test(D_a_wrong_place_is_no_map),
	};

	bpf_rcu_thread_online();
	bpf_fault_init();
	sigaction(SIGSEGV, NULL, &engine_action);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
