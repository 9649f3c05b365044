/*
 * test_load.c - the pipeline: attributes, verdicts, reports, objects as transactions, faults,
 * cancelling
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include "rcu/rcu.h"
#include "fault.h"
#include "jit/jit.h"
#include "load.h"
#include "run/interp.h"
#include "run/test_run.h"
#include "tests/lib/object.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

static const struct bpf_insn two[] = {BPF_MOV64_IMM(0, 2), BPF_EXIT_INSN()};

static u64 live(void)
{
	bpf_rcu_barrier();
	bpf_rcu_barrier(); /* what the first freed may have freed more */
	return bpf_prog_live_count() + bpf_map_live_count();
}

/* ---- one program */

static int load_attr(const struct bpf_prog_load_attr *attr, char *report, size_t size)
{
	struct bpf_prog *prog = NULL;
	struct bpf_log log;
	int err;

	bpf_log_init(&log, 0, 0);
	err = bpf_prog_load(attr, NULL, &log, NULL, &prog);
	snprintf(report, size, "%s", bpf_log_text(&log));
	bpf_log_free(&log);
	assert_int_equal(!err, !!prog);
	bpf_prog_put(prog);
	return err;
}

/* Refused before anything is verified, with bpf(2)'s errno and a sentence. */
static void attributes_are_checked(void **state)
{
	const struct bpf_prog_load_attr good = {
		.prog_type = BPF_PROG_TYPE_XDP, .name = "p", .insns = two, .insn_cnt = 2};
	struct bpf_prog_load_attr attr = good;
	struct bpf_map *maps[BPF_MAX_USED_MAPS + 1] = {0};
	char report[512];

	assert_int_equal(load_attr(&attr, report, sizeof(report)), 0);
	assert_non_null(strstr(report, "verdict: accepted"));

	attr.insn_cnt = 0;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -E2BIG);
	attr.insn_cnt = BPF_COMPLEXITY_LIMIT_INSNS + 1;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -E2BIG);
	assert_non_null(strstr(report, "1000001 instructions"));

	attr = good;
	attr.prog_type = BPF_PROG_TYPE_KPROBE;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -ENOTSUP);
	assert_non_null(strstr(report, "kprobe"));
	attr.prog_type = 999;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -EINVAL);
	attr.prog_type = BPF_PROG_TYPE_UNSPEC;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -EINVAL);

	attr = good;
	attr.prog_type = BPF_PROG_TYPE_CGROUP_SKB;
	attr.expected_attach_type = BPF_CGROUP_INET_SOCK_CREATE;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -EINVAL);

	attr = good;
	attr.prog_flags = 1u << 20;
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -EINVAL);

	attr = good;
	attr.maps = maps;
	attr.map_cnt = ARRAY_SIZE(maps);
	assert_int_equal(load_attr(&attr, report, sizeof(report)), -E2BIG);
	assert_int_equal(live(), 0);
}

static void a_rejected_program_leaves_nothing(void **state)
{
	const struct bpf_insn bad[] = {BPF_MOV64_REG(0, 5), BPF_EXIT_INSN()};
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .name = "bad", .insns = bad, .insn_cnt = 2};
	char report[1024];

	assert_int_equal(load_attr(&attr, report, sizeof(report)), -EACCES);
	assert_non_null(strstr(report, "program: bad (xdp), 2 instructions\n"));
	assert_non_null(strstr(report, "verdict: rejected, EACCES (Permission denied)\n"));
	assert_non_null(strstr(report, "reason: R5 !read_ok\n"));
	assert_non_null(strstr(report, "instruction: 0: (bf) r0 = r5\n"));
	assert_non_null(strstr(report, "hint: "));
	assert_int_equal(live(), 0);
}

static void the_log_of_an_accepted_program_is_made_again(void **state)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = two, .insn_cnt = 2, .no_jit = true};
	struct bpf_log log, again;
	struct bpf_prog *prog;

	bpf_log_init(&log, 2, 0);
	bpf_log_init(&again, 2, 0);
	assert_int_equal(bpf_prog_load(&attr, &log, NULL, NULL, &prog), 0);
	assert_int_equal(bpf_prog_log(prog, &again, NULL), 0);
	assert_string_equal(bpf_log_text(&again), bpf_log_text(&log));
	assert_non_null(strstr(bpf_log_text(&log), "(b7) r0 = 2"));
	bpf_log_free(&again);
	assert_int_equal(prog->jited_len, 0);
	assert_null(prog->jit);
	assert_ptr_equal(prog->bpf_func, bpf_interp_run);
	assert_int_equal(prog->verified_insns, 2);
	bpf_log_free(&log);
	bpf_prog_put(prog);
	assert_int_equal(live(), 0);
}

static void a_log_on_refusal_is_empty_for_an_accepted_program(void **state)
{
	struct bpf_insn bad[] = {BPF_MOV64_REG(BPF_REG_0, BPF_REG_5), BPF_EXIT_INSN()};
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = two, .insn_cnt = 2, .no_jit = true};
	struct bpf_prog *prog;
	struct bpf_log log;

	bpf_log_init(&log, BPF_LOG_LEVEL1 | BPF_LOG_ON_REFUSAL, 0);
	assert_int_equal(bpf_prog_load(&attr, &log, NULL, NULL, &prog), 0);
	assert_string_equal(bpf_log_text(&log), "");
	bpf_prog_put(prog);
	attr.insns = bad;
	assert_int_equal(bpf_prog_load(&attr, &log, NULL, NULL, &prog), -EACCES);
	assert_non_null(strstr(bpf_log_text(&log), "R5 !read_ok"));
	bpf_log_free(&log);
	assert_int_equal(live(), 0);
}

/* ---- objects */

static int load_object(const char *name, const struct bpf_object_load_opts *opts,
		       struct bpf_loaded *out)
{
	size_t size;
	void *data = test_object_bytes(name, &size);
	int err = bpf_object_load(data, size, opts, out);

	free(data);
	return err;
}

/* Whatever an object is, loading and freeing leaves nothing; a failure says why and is whole. */
static void every_object_is_loaded_whole_or_not_at_all(void **state)
{
	const char *const *names = test_object_names();
	u32 loaded = 0, refused = 0;

	for (; *names; names++) {
		struct bpf_loaded l;
		int err = load_object(*names, NULL, &l);

		if (err) {
			refused++;
			assert_null(l.progs);
			assert_null(l.maps);
			assert_null(l.file);
			assert_true(l.report.len > 0);
			assert_int_equal(live(), 0);
			if (!strncmp(*names, "refuse_", 7))
				assert_int_equal(err, -ENOTSUP);
		} else {
			loaded++;
			assert_true(strncmp(*names, "reject_", 7) && strncmp(*names, "refuse_", 7));
			for (u32 i = 0; i < l.file->prog_cnt; i++) {
				assert_non_null(l.progs[i]);
				assert_string_equal(l.progs[i]->name, l.file->progs[i].name);
				assert_true(l.progs[i]->id > 0);
			}
			for (u32 i = 0; i < l.file->map_cnt; i++)
				assert_non_null(l.maps[i]);
		}
		bpf_loaded_free(&l);
		assert_int_equal(live(), 0);
	}
	assert_true(loaded >= 10);
	assert_true(refused >= 8);
}

static void a_report_names_the_source_line(void **state)
{
	struct bpf_loaded l;

	assert_int_equal(load_object("reject_null_check", NULL, &l), -EACCES);
	assert_non_null(strstr(l.report.buf, "program: reject_null_check (socket_filter)"));
	assert_non_null(strstr(l.report.buf, "source: reject_null_check.bpf.c:18: *value += 1;"));
	assert_non_null(strstr(l.report.buf, "hint: compare what bpf_map_lookup_elem() returns"));
	assert_string_equal(l.error.prog, "reject_null_check");
	assert_string_equal(l.error.reason, "R0 invalid mem access 'map_value_or_null'");
	assert_non_null(strstr(l.error.hint, "bpf_map_lookup_elem() returns"));
	assert_string_equal(l.error.source, "reject_null_check.bpf.c:18: *value += 1;");
	assert_int_equal(l.error.insn, 7);
	assert_non_null(strstr(l.report.buf, "\nlog of reject_null_check:\n"));
	/* The block comes first, then the log. */
	assert_true(strstr(l.report.buf, "reason:") < strstr(l.report.buf, "log of"));
	bpf_loaded_free(&l);
}

static void data_sections_are_filled_and_frozen(void **state)
{
	struct bpf_loaded l;
	u32 seen = 0;

	assert_int_equal(load_object("global_data", NULL, &l), 0);
	for (u32 i = 0; i < l.file->map_cnt; i++) {
		const struct bpf_object_map *def = &l.file->maps[i];
		char value[4096];
		u32 key = 0;

		if (def->kind != BPF_OBJECT_MAP_DATA)
			continue;
		assert_true(def->spec.value_size <= sizeof(value));
		assert_int_equal(bpf_map_lookup(l.maps[i], &key, value, 0), 0);
		if (def->init)
			assert_memory_equal(value, def->init, def->spec.value_size);
		assert_int_equal(l.maps[i]->frozen, def->readonly);
		assert_ptr_equal(l.maps[i]->btf, l.file->btf);
		seen++;
	}
	assert_true(seen >= 2);
	bpf_loaded_free(&l);
	assert_int_equal(live(), 0);
}

static void a_program_holds_only_the_maps_that_it_names(void **state)
{
	struct bpf_loaded l;
	struct bpf_prog *prog;
	u64 all;

	assert_int_equal(load_object("global_data", NULL, &l), 0);
	all = bpf_map_live_count();
	prog = NULL;
	for (u32 i = 0; i < l.file->prog_cnt; i++)
		if (!strcmp(l.progs[i]->name, "read_bytes"))
			prog = l.progs[i];
	assert_non_null(prog);
	assert_int_equal(prog->used_map_cnt, 1);
	assert_true(all > 1);
	bpf_prog_inc(prog);
	bpf_loaded_free(&l);
	assert_int_equal(live(), 2); /* the program and its one map */
	bpf_prog_put(prog);
	assert_int_equal(live(), 0);
}

struct taken { /* a get_map that hands out an existing map, or fails at one */
	struct bpf_map *map;
	const char *name;
	int fail;
	u32 calls;
};

static int get_map(void *priv, const struct bpf_object_file *obj, u32 index,
		   const struct bpf_map_spec *spec, struct bpf_map **map, bool *existing,
		   struct bpf_log *log)
{
	struct taken *t = priv;

	t->calls++;
	if (t->fail && t->calls == 2) {
		bpf_log_printf(log, "no such luck\n");
		return t->fail;
	}
	if (t->name && !strcmp(obj->maps[index].name, t->name)) {
		bpf_map_inc(t->map);
		*map = t->map;
		*existing = true;
		return 0;
	}
	return bpf_map_create(spec, 0, -1, -1, map);
}

static void the_caller_decides_about_maps(void **state)
{
	struct taken t = {.name = ".data"};
	struct bpf_object_load_opts opts = {.get_map = get_map, .priv = &t};
	struct bpf_map_spec spec = {0};
	struct bpf_loaded l;
	char before[4096] = {0}, after[4096];
	u32 key = 0;

	/* An existing map keeps its content: initial data is not written into it. */
	assert_int_equal(load_object("global_data", NULL, &l), 0);
	for (u32 i = 0; i < l.file->map_cnt; i++)
		if (!strcmp(l.file->maps[i].name, ".data"))
			spec = l.file->maps[i].spec;
	bpf_loaded_free(&l);
	assert_true(spec.value_size > 0);
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &t.map), 0);
	memset(before, 0x5a, spec.value_size);
	assert_int_equal(bpf_map_update(t.map, &key, before, 0), 0);
	assert_int_equal(load_object("global_data", &opts, &l), 0);
	assert_int_equal(bpf_map_lookup(t.map, &key, after, 0), 0);
	assert_memory_equal(before, after, spec.value_size);
	bpf_loaded_free(&l);
	bpf_map_put(t.map);

	/* A refusal ends the load, and what was made before is dropped. */
	t = (struct taken){.fail = -EPERM};
	assert_int_equal(load_object("global_data", &opts, &l), -EPERM);
	assert_non_null(strstr(l.report.buf, "no such luck"));
	bpf_loaded_free(&l);
	assert_int_equal(live(), 0);
}

static void tail_call_tables_are_filled(void **state)
{
	struct bpf_loaded l;
	u32 filled = 0;

	assert_int_equal(load_object("tail_calls", NULL, &l), 0);
	for (u32 i = 0; i < l.file->map_cnt; i++) {
		const struct bpf_object_map *def = &l.file->maps[i];

		for (u32 k = 0; k < def->init_cnt; k++) {
			u32 id;

			assert_int_equal(bpf_map_lookup(l.maps[i], &def->init_slot[k], &id, 0), 0);
			assert_int_equal(id, l.progs[def->init_target[k]]->id);
			filled++;
		}
	}
	assert_true(filled > 0);
	bpf_loaded_free(&l);
	assert_int_equal(live(), 0);
}

static void what_is_no_object(void **state)
{
	struct bpf_loaded l;

	assert_int_equal(bpf_object_load("hello", 5, NULL, &l), -ENOEXEC);
	assert_null(l.file);
	bpf_loaded_free(&l);
	assert_true(bpf_object_load("", 0, NULL, &l) < 0);
	bpf_loaded_free(&l);
}

static u32 give_id(void *priv)
{
	return (*(u32 *)priv)++;
}

static void the_caller_gives_ids(void **state)
{
	u32 next = 5000;
	struct bpf_object_load_opts opts = {.get_prog_id = give_id, .priv = &next, .no_jit = true};
	struct bpf_loaded l;

	assert_int_equal(load_object("bounded_loops", &opts, &l), 0);
	for (u32 i = 0; i < l.file->prog_cnt; i++) {
		assert_int_equal(l.progs[i]->id, 5000 + i);
		assert_null(l.progs[i]->jit);
	}
	bpf_loaded_free(&l);
}

/* ---- two clients at once */

static void *loader(void *arg)
{
	for (int i = 0; i < 15; i++) {
		struct bpf_loaded l;
		int err = load_object(i % 3 ? "count_ports" : "reject_null_check", NULL, &l);

		if (!err == !(i % 3))
			__atomic_add_fetch((int *)arg, 1, __ATOMIC_RELAXED);
		bpf_loaded_free(&l);
	}
	return NULL;
}

static void loads_at_once(void **state)
{
	pthread_t threads[3];
	int wrong = 0;

	for (int i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, loader, &wrong);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
	assert_int_equal(live(), 0);
}

/* ---- cancelling */

static void cancelled_loads_and_runs(void **state)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = two, .insn_cnt = 2};
	volatile bool cancel = true;
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet,
				   .data_size_in = sizeof(packet),
				   .repeat = UINT32_MAX,
				   .cancel = &cancel};
	struct bpf_object_load_opts opts = {.cancel = &cancel};
	struct bpf_loaded l;
	struct bpf_prog *prog;

	assert_int_equal(load_object("reject_endless_loop", &opts, &l), -EINTR);
	bpf_loaded_free(&l);
	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
	assert_int_equal(bpf_prog_test_run(prog, &run), -EINTR);
	bpf_prog_put(prog);
	assert_int_equal(live(), 0);
}

static void *stop_it(void *arg)
{
	usleep(30000);
	__atomic_store_n((volatile bool *)arg, true, __ATOMIC_RELAXED);
	return NULL;
}

static void a_long_run_is_cancelled_and_lets_others_run(void **state)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = two, .insn_cnt = 2};
	volatile bool cancel = false;
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet,
				   .data_size_in = sizeof(packet),
				   .repeat = UINT32_MAX,
				   .cancel = &cancel};
	struct bpf_prog *prog;
	pthread_t stopper;

	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
	pthread_create(&stopper, NULL, stop_it, (void *)&cancel);
	assert_int_equal(bpf_prog_test_run(prog, &run), -EINTR);
	pthread_join(stopper, NULL);
	bpf_prog_put(prog);
}

/* ---- faults */

/* cmocka puts its own handler in place for each test; this is the engine's, as it was before. */
static struct sigaction engine_action;

/*
 * A program that reads where nothing is: the verifier would never pass it, so its code is changed
 * afterwards.
 */
static struct bpf_prog *faulty(const struct bpf_insn *insns, u32 cnt, bool interpreted)
{
	const struct bpf_insn good[] = {BPF_MOV64_IMM(1, 0), BPF_MOV64_IMM(2, 0),
					BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()};
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP, .insns = good, .insn_cnt = 4, .no_jit = true};
	struct bpf_prog *prog;

	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
	assert_int_equal(prog->len, cnt);
	memcpy(prog->insnsi, insns, cnt * sizeof(*insns));
	if (interpreted) {
		assert_int_equal(bpf_interp_prepare(prog), 0);
		return prog;
	}
	if (bpf_jit_compile(prog)) {
		bpf_prog_put(prog);
		return NULL;
	}
	prog->free_native = bpf_jit_free;
	return prog;
}

static void a_fault_stops_the_run(const struct bpf_insn *insns, bool interpreted)
{
	struct bpf_prog *prog = faulty(insns, 4, interpreted);
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet), .repeat = 3};
	u64 before = bpf_fault_count();
	struct sigaction cmockas;
	sigset_t mask;

	if (!prog) {
		print_message("no JIT on this machine\n");
		skip();
	}
	assert_false(prog->poisoned);
	sigaction(SIGSEGV, &engine_action, &cmockas);
	bpf_run_enter();
	assert_int_equal(bpf_prog_run(prog, packet), 0);
	bpf_run_exit();
	assert_true(prog->poisoned);
	assert_int_equal(bpf_prog_test_run(prog, &run), -EIO);
	assert_int_equal(bpf_fault_count(), before + 1); /* it did not run again */
	assert_int_equal(bpf_this.slot, -1);
	assert_null(bpf_this.guard);
	assert_null(bpf_this.interpreted);
	bpf_synchronize_rcu(); /* the read section was left */
	sigprocmask(SIG_BLOCK, NULL, &mask);
	assert_false(sigismember(&mask, SIGSEGV));
	bpf_prog_put(prog);

	/* And another one, in the same thread. */
	prog = faulty(insns, 4, interpreted);
	assert_int_equal(bpf_prog_test_run(prog, &run), -EIO);
	assert_int_equal(bpf_fault_count(), before + 2);
	bpf_prog_put(prog);
	sigaction(SIGSEGV, &cmockas, NULL);
	assert_int_equal(live(), 0);
}

/* Each kind of access, to where nothing is. */
static const struct bpf_insn accesses[][4] = {
	{BPF_MOV64_IMM(1, 16), BPF_LDX_MEM(BPF_DW, 2, 1, 0), BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()},
	{BPF_MOV64_IMM(1, 16), BPF_LDX_MEMSX(BPF_W, 2, 1, 0), BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()},
	{BPF_MOV64_IMM(1, 16), BPF_ST_MEM(BPF_B, 1, 0, 1), BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()},
	{BPF_MOV64_IMM(1, 16), BPF_STX_MEM(BPF_H, 1, 1, 0), BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()},
	{BPF_MOV64_IMM(1, 16), BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 1, 1, 0), BPF_MOV64_IMM(0, 7),
	 BPF_EXIT_INSN()},
	{BPF_MOV64_IMM(1, 16), BPF_ATOMIC_OP(BPF_W, BPF_CMPXCHG, 1, 1, 0), BPF_MOV64_IMM(0, 7),
	 BPF_EXIT_INSN()},
};

static void a_fault_stops_the_run_and_poisons_the_program(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		a_fault_stops_the_run(accesses[i], false);
}

static void a_fault_in_the_interpreter_does_the_same(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++)
		a_fault_stops_the_run(accesses[i], true);
}

/* The program that a run has come to by a tail call is to blame, and it alone. */
static void a_fault_behind_a_tail_call(void **state)
{
	const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
					  .key_size = 4,
					  .value_size = 4,
					  .max_entries = 1};
	struct bpf_map *table = NULL;
	const struct bpf_insn insns[] = {BPF_LD_MAP_IDX(2, 0), BPF_MOV64_IMM(3, 0),
					 BPF_EMIT_CALL(BPF_FUNC_tail_call), BPF_MOV64_IMM(0, 3),
					 BPF_EXIT_INSN()};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_XDP,
					  .insns = insns,
					  .insn_cnt = ARRAY_SIZE(insns),
					  .maps = &table,
					  .map_cnt = 1};
	u8 packet[64] = {0};
	struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
	struct sigaction cmockas;
	struct bpf_prog *caller, *callee;
	u32 key = 0;

	for (int interpreted = 0; interpreted < 2; interpreted++) {
		callee = faulty(accesses[0], 4, interpreted);
		if (!callee)
			continue;
		assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &table), 0);
		attr.no_jit = interpreted;
		assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &caller), 0);
		assert_int_equal(bpf_map_update_slot(table, &key, callee, 0), 0);
		sigaction(SIGSEGV, &engine_action, &cmockas);
		assert_int_equal(bpf_prog_test_run(caller, &run), 0);
		sigaction(SIGSEGV, &cmockas, NULL);
		assert_int_equal(run.retval, 0);
		assert_false(caller->poisoned);
		assert_true(callee->poisoned);
		assert_int_equal(bpf_this.tail_call_cnt, 0);
		assert_int_equal(bpf_map_delete(table, &key), 0);
		bpf_prog_put(caller);
		bpf_prog_put(callee);
		bpf_map_put(table);
	}
}

/* What a helper holds when it faults nobody knows: that ends the process, as it always did. */
static u64 faulty_helper(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	volatile int *volatile nowhere = (volatile int *)16;

	*nowhere = 1;
	return 0;
}

static void a_fault_in_a_helper_is_not_stopped(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(1, 0),
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_CALL_IMM(faulty_helper)},
		BPF_MOV64_IMM(0, 7),
		BPF_EXIT_INSN(),
	};

	for (int interpreted = 0; interpreted < 2; interpreted++) {
		struct bpf_prog *prog = faulty(insns, 4, interpreted);
		u8 packet[64] = {0};
		int status;
		pid_t pid;

		if (!prog)
			continue;
		pid = fork();
		if (!pid) {
			sigaction(SIGSEGV, &engine_action, NULL);
			close(2); /* a sanitizer's report */
			bpf_run_enter();
			bpf_prog_run(prog, packet);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		assert_false(prog->poisoned);
		bpf_prog_put(prog);
	}
}

/* Outside of programs a fault is what it always was. */
static void other_faults_are_not_ours(void **state)
{
	volatile int *volatile nowhere = (volatile int *)8;
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		sigaction(SIGSEGV, &engine_action, NULL);
		signal(SIGALRM, SIG_DFL);
		alarm(100);
		close(2); /* a sanitizer's report */
		*nowhere = 1;
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_false(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(attributes_are_checked),
		cmocka_unit_test(a_rejected_program_leaves_nothing),
		cmocka_unit_test(the_log_of_an_accepted_program_is_made_again),
		cmocka_unit_test(a_log_on_refusal_is_empty_for_an_accepted_program),
		cmocka_unit_test(every_object_is_loaded_whole_or_not_at_all),
		cmocka_unit_test(a_report_names_the_source_line),
		cmocka_unit_test(data_sections_are_filled_and_frozen),
		cmocka_unit_test(a_program_holds_only_the_maps_that_it_names),
		cmocka_unit_test(the_caller_decides_about_maps),
		cmocka_unit_test(tail_call_tables_are_filled),
		cmocka_unit_test(what_is_no_object),
		cmocka_unit_test(the_caller_gives_ids),
		cmocka_unit_test(loads_at_once),
		cmocka_unit_test(cancelled_loads_and_runs),
		cmocka_unit_test(a_long_run_is_cancelled_and_lets_others_run),
		cmocka_unit_test(a_fault_stops_the_run_and_poisons_the_program),
		cmocka_unit_test(a_fault_in_the_interpreter_does_the_same),
		cmocka_unit_test(a_fault_behind_a_tail_call),
		cmocka_unit_test(a_fault_in_a_helper_is_not_stopped),
		cmocka_unit_test(other_faults_are_not_ours),
	};

	bpf_fault_init();
	sigaction(SIGSEGV, NULL, &engine_action);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
