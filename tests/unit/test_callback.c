/*
 * test_callback.c - loops of loops: a run of years ends when it is cancelled
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <time.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "tests/lib/funcinfo.h"
#include "tests/lib/instance.h"
#include "uapi/bpf_insn.h"

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
	struct timespec start, end;
	struct funcinfo f;
	pthread_t tid;

	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	assert_int_equal(instance_load(in, &attr, 0), 0);
	funcinfo_free(&f);
	__atomic_store_n(&cancel, false, __ATOMIC_RELAXED);
	clock_gettime(CLOCK_MONOTONIC, &start);
	assert_int_equal(pthread_create(&tid, NULL, cancel_soon, NULL), 0);
	assert_int_equal(bpf_prog_test_run(in->prog, &run), -EINTR);
	clock_gettime(CLOCK_MONOTONIC, &end);
	assert_in_range(end.tv_sec - start.tv_sec, 0, 20);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loops_of_loops),
		cmocka_unit_test(a_helper_around_loops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
