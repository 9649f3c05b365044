/*
 * test_callback.c - a callback is called whatever it begins with; loops of loops that would take
 * years end when they are cancelled
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "load.h"
#include "map/ring/ringbuf.h"
#include "run/test_run.h"
#include "tests/lib/funcinfo.h"
#include "tests/lib/instance.h"
#include "tests/lib/object.h"
#include "uapi/bpf_insn.h"
#include "map/syscall.h"

#define FUNC(reg, off)                                                         \
	BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_FUNC, 0, off), \
		BPF_RAW_INSN(0, 0, 0, 0, 0)
/* The function that follows, 2^23 times: eight places. */
#define LOOP                                                                                \
	BPF_MOV64_IMM(BPF_REG_1, 8 << 20), FUNC(BPF_REG_2, 6), BPF_MOV64_IMM(BPF_REG_3, 0), \
		BPF_MOV64_IMM(BPF_REG_4, 0), BPF_EMIT_CALL(BPF_FUNC_loop),                  \
		BPF_MOV64_IMM(BPF_REG_0, 0), BPF_EXIT_INSN()

static volatile bool cancel;

static void *cancel_soon(void *unused)
{
	nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
	__atomic_store_n(&cancel, true, __ATOMIC_RELAXED);
	return NULL;
}

static void ends(const struct bpf_insn *insns, u32 cnt, enum engine engine)
{
	static const u8 data[64];
	struct instance *in = instance_new(engine, NULL, 0);
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "endless",
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
	};
	struct bpf_test_run run = {
		.data_in = data, .data_size_in = sizeof(data), .cancel = &cancel};
	struct timespec used;
	struct funcinfo f;
	pthread_t tid;

	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	assert_int_equal(instance_load(in, &attr, 0), 0);
	funcinfo_free(&f);
	__atomic_store_n(&cancel, false, __ATOMIC_RELAXED);
	assert_int_equal(pthread_create(&tid, NULL, cancel_soon, NULL), 0);
	assert_int_equal(bpf_prog_test_run(in->prog, &run), -EINTR);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used); /* of this test program so far */
	assert_in_range(used.tv_sec, 0, 60);
	pthread_join(tid, NULL);
	instance_free(in);
}

static void loops_of_loops(void **state)
{
	const struct bpf_insn insns[] = {
		LOOP, LOOP, LOOP, LOOP, BPF_MOV64_IMM(BPF_REG_0, 0), BPF_EXIT_INSN()};

	ends(insns, ARRAY_SIZE(insns), ENGINE_JIT);
	ends(insns, ARRAY_SIZE(insns), ENGINE_INTERP);
}

/* With the whole stack in use the outermost stays a call of the helper. */
static void a_helper_around_loops(void **state)
{
	const struct bpf_insn insns[] = {BPF_ST_MEM(BPF_DW, BPF_REG_10, -512, 0),
					 LOOP,
					 LOOP,
					 LOOP,
					 BPF_MOV64_IMM(BPF_REG_0, 0),
					 BPF_EXIT_INSN()};

	ends(insns, ARRAY_SIZE(insns), ENGINE_JIT);
	ends(insns, ARRAY_SIZE(insns), ENGINE_INTERP);
}

/* ---- callbacks whose first instruction is a jump to the next, which the rewriter drops */

/* -> retval, with the map of index 0 where there is one */
static u32 retval(enum engine engine, const struct bpf_insn *insns, u32 cnt,
		  const struct bpf_map_spec *spec)
{
	static const u8 data[64];
	struct instance *in = instance_new(engine, spec, spec ? 1 : 0);
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "callback",
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
	};
	struct bpf_test_run run = {.data_in = data, .data_size_in = sizeof(data)};
	struct funcinfo f;

	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	assert_int_equal(instance_load(in, &attr, 0), 0);
	funcinfo_free(&f);
	assert_int_equal(instance_run(in, &run), 0);
	instance_free(in);
	return run.retval;
}

#define NOTHING BPF_JMP_IMM(BPF_JA, 0, 0, 0)

static void begins_with_nothing(void **state)
{
	static const struct bpf_map_spec array = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 5};
	const struct bpf_insn loop[] = {
		BPF_MOV64_IMM(BPF_REG_1, 7),
		FUNC(BPF_REG_2, 5),
		BPF_MOV64_IMM(BPF_REG_3, 0),
		BPF_MOV64_IMM(BPF_REG_4, 0),
		BPF_EMIT_CALL(BPF_FUNC_loop),
		BPF_EXIT_INSN(),
		NOTHING,
		NOTHING,
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn full_stack[] = {
		BPF_ST_MEM(BPF_DW, BPF_REG_10, -512, 0),
		BPF_MOV64_IMM(BPF_REG_1, 7),
		FUNC(BPF_REG_2, 5),
		BPF_MOV64_IMM(BPF_REG_3, 0),
		BPF_MOV64_IMM(BPF_REG_4, 0),
		BPF_EMIT_CALL(BPF_FUNC_loop),
		BPF_EXIT_INSN(),
		NOTHING,
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn for_each[] = {
		BPF_LD_MAP_IDX(BPF_REG_1, 0),
		FUNC(BPF_REG_2, 5),
		BPF_MOV64_IMM(BPF_REG_3, 0),
		BPF_MOV64_IMM(BPF_REG_4, 0),
		BPF_EMIT_CALL(BPF_FUNC_for_each_map_elem),
		BPF_EXIT_INSN(),
		NOTHING,
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};

	for (enum engine e = ENGINE_JIT; e < ENGINE_MAX; e++) {
		assert_int_equal(retval(e, loop, ARRAY_SIZE(loop), NULL), 7);
		assert_int_equal(retval(e, full_stack, ARRAY_SIZE(full_stack), NULL), 7);
		assert_int_equal(retval(e, for_each, ARRAY_SIZE(for_each), &array), 5);
	}
}

/* ---- tests/progs/endless.bpf.c */

static struct bpf_map *map_of(const struct bpf_loaded *l, const char *name)
{
	return l->maps[test_object_map(l->file, name) - l->file->maps];
}

static void every_way_ends(bool no_jit)
{
	static const u8 data[64];
	const u32 zero = 0, one = 1;
	struct bpf_object_load_opts opts = {.no_jit = no_jit};
	struct bpf_loaded l;
	void *record = NULL;
	size_t size, cap = 0;
	void *bytes = test_object_bytes("endless", &size);

	assert_int_equal(bpf_object_load(bytes, size, &opts, &l), 0);
	free(bytes);
	assert_int_equal(bpf_map_update(map_of(&l, "go"), &zero, &one, BPF_ANY), 0);
	for (u32 i = 0; i < l.file->prog_cnt; i++) {
		bool packet = l.progs[i]->type != BPF_PROG_TYPE_PERF_EVENT;
		struct bpf_test_run run = {.data_in = packet ? data : NULL,
					   .data_size_in = packet ? sizeof(data) : 0,
					   .cancel = &cancel};
		pthread_t tid;

		__atomic_store_n(&cancel, false, __ATOMIC_RELAXED);
		assert_int_equal(pthread_create(&tid, NULL, cancel_soon, NULL), 0);
		assert_int_equal(bpf_prog_test_run(l.progs[i], &run), -EINTR);
		pthread_join(tid, NULL);
		assert_int_equal(bpf_this.depth, 0);
		assert_int_equal(bpf_this.slot, -1);
		assert_ptr_equal(bpf_this.cancel, &bpf_never_cancelled);
	}
	/* What was reserved when the run was cancelled is there for the consumer. */
	assert_int_equal(bpf_ringbuf_read(map_of(&l, "ring"), &record, &cap), 8);
	assert_int_equal(*(u64 *)record, 1);
	free(record);
	bpf_loaded_free(&l);
}

static void every_way_ends_in_the_jit(void **state)
{
	every_way_ends(false);
}

static void every_way_ends_in_the_interpreter(void **state)
{
	every_way_ends(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_with_nothing),
		cmocka_unit_test(loops_of_loops),
		cmocka_unit_test(a_helper_around_loops),
		cmocka_unit_test(every_way_ends_in_the_jit),
		cmocka_unit_test(every_way_ends_in_the_interpreter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
