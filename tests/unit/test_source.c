/*
 * test_source.c - what a source's thread does with one event (fs/sources/source.c), on this thread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/bpf_perf_event.h>
#include "rcu/rcu.h"
#include "fs/sources/source.h"
#include "ubpffs_engine.h"
#include "uapi/bpf_insn.h"

static struct bpf_prog *returns(int ret)
{
	struct bpf_insn insns[] = {BPF_MOV64_IMM(BPF_REG_0, ret), BPF_EXIT_INSN()};
	struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_PERF_EVENT, .license = "GPL", .insns = insns, .insn_cnt = 2};
	struct bpf_prog *prog = NULL;

	assert_int_equal(ubpffs_prog_load(&spec, NULL, NULL, &prog), 0);
	return prog;
}

static struct source *timer(void)
{
	struct source_def def = {{NULL}};
	struct source *src;

	assert_int_equal(source_def_set(&def, SOURCE_TYPE, "timer"), 0);
	src = source_new(&def, getuid(), getgid());
	assert_non_null(src);
	source_def_free(&def);
	return src;
}

static void test_an_event_runs_the_program(void **state)
{
	struct bpf_perf_event_data data = {0};
	struct source *src = timer();
	struct source_stats stats;
	u32 ret = 0;

	assert_false(source_run(src, &data, NULL, &ret)); /* there is none */
	source_replace(src, returns(5));
	assert_true(source_run(src, &data, NULL, &ret));
	assert_int_equal(ret, 5);
	source_replace(src, returns(6));
	assert_true(source_run(src, &data, NULL, &ret));
	assert_int_equal(ret, 6);
	source_read_stats(src, &stats);
	assert_int_equal(stats.run, 2);
	source_replace(src, NULL);
	source_free(src);
	bpf_rcu_barrier();
}

/* A fault in its code stopped it for good: it is not run, and not counted as if it had. */
static void test_a_stopped_program_runs_on_no_event(void **state)
{
	struct bpf_perf_event_data data = {0};
	struct source *src = timer();
	struct bpf_prog *prog = returns(5);
	struct source_stats stats;
	u32 ret = 77;

	source_replace(src, prog);
	prog->poisoned = true;
	assert_false(source_run(src, &data, NULL, &ret));
	assert_int_equal(ret, 77);
	source_read_stats(src, &stats);
	assert_int_equal(stats.run, 0);
	source_replace(src, NULL);
	source_free(src);
	bpf_rcu_barrier();
}

/* Also where another one calls it, or nobody asks before: packets, cgroups, the library's users. */
static void test_a_stopped_program_returns_zero(void **state)
{
	struct bpf_perf_event_data data = {0};
	struct bpf_prog *prog = returns(5);

	bpf_run_enter();
	assert_int_equal(bpf_prog_run(prog, &data), 5);
	prog->poisoned = true;
	assert_int_equal(bpf_prog_run(prog, &data), 0);
	bpf_run_exit();
	ubpffs_prog_put(prog);
	bpf_rcu_barrier();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_event_runs_the_program),
		cmocka_unit_test(test_a_stopped_program_runs_on_no_event),
		cmocka_unit_test(test_a_stopped_program_returns_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
