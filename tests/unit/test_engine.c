/*
 * test_engine.c - the public header alone: what a program that links the library can do
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "engine/ubpffs_engine.h"
#include "tests/lib/object.h"
#include "uapi/bpf_insn.h"

static struct bpf_map *make_map(uint32_t type, uint32_t value_size, uint32_t max)
{
	const struct ubpffs_map_spec spec = {.type = type,
					     .key_size = 4,
					     .value_size = value_size,
					     .max_entries = max,
					     .name = "m"};
	struct bpf_map *map;

	assert_int_equal(ubpffs_map_create(&spec, &map), 0);
	return map;
}

static void maps_as_bpf2_has_them(void **state)
{
	struct bpf_map *map = make_map(BPF_MAP_TYPE_HASH, 8, 2), *array;
	uint32_t key = 1, next;
	uint64_t value = 10, out = 0;

	assert_int_equal(ubpffs_map_value_size(map), 8);
	assert_int_equal(ubpffs_map_lookup(map, &key, &out, 0), -ENOENT);
	assert_int_equal(ubpffs_map_update(map, &key, &value, BPF_EXIST), -ENOENT);
	assert_int_equal(ubpffs_map_update(map, &key, &value, BPF_NOEXIST), 0);
	assert_int_equal(ubpffs_map_update(map, &key, &value, BPF_NOEXIST), -EEXIST);
	assert_int_equal(ubpffs_map_lookup(map, &key, &out, 0), 0);
	assert_int_equal(out, 10);
	key = 2;
	assert_int_equal(ubpffs_map_update(map, &key, &value, BPF_ANY), 0);
	key = 3;
	assert_int_equal(ubpffs_map_update(map, &key, &value, BPF_ANY), -E2BIG);
	assert_int_equal(ubpffs_map_next_key(map, NULL, &next), 0);
	key = next;
	assert_int_equal(ubpffs_map_next_key(map, &key, &next), 0);
	assert_int_not_equal(next, key);
	key = next;
	assert_int_equal(ubpffs_map_next_key(map, &key, &next), -ENOENT);
	assert_int_equal(ubpffs_map_delete(map, &key), 0);
	assert_int_equal(ubpffs_map_delete(map, &key), -ENOENT);
	ubpffs_map_get(map);
	ubpffs_map_put(map);
	ubpffs_map_put(map);
	ubpffs_map_put(NULL);

	array = make_map(BPF_MAP_TYPE_ARRAY, 8, 2);
	key = 0;
	assert_int_equal(ubpffs_map_delete(array, &key), -EINVAL);
	ubpffs_map_put(array);
}

static void maps_that_cannot_be(void **state)
{
	struct ubpffs_map_spec spec = {
		.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 0};
	struct bpf_map *map = (void *)1;

	assert_int_equal(ubpffs_map_create(&spec, &map), -EINVAL);
	assert_null(map);
	spec.max_entries = 1;
	spec.name = "sixteen bytes ..";
	assert_int_equal(ubpffs_map_create(&spec, &map), -EINVAL);
	spec.name = NULL;
	spec.type = BPF_MAP_TYPE_SOCKMAP;
	assert_int_equal(ubpffs_map_create(&spec, &map), -EOPNOTSUPP);
	spec.type = 9999;
	assert_int_equal(ubpffs_map_create(&spec, &map), -EINVAL);
}

static const struct bpf_insn add_len[] = {
	/* *(map value) += skb->len; return the sum */
	BPF_LDX_MEM(BPF_W, 6, 1, offsetof(struct __sk_buff, len)),
	BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0),
	BPF_RAW_INSN(0, 0, 0, 0, 0),
	BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 1, 6, 0),
	BPF_LDX_MEM(BPF_DW, 0, 1, 0),
	BPF_EXIT_INSN(),
};

static int load_add_len(struct bpf_map *map, bool no_jit, char **log, struct bpf_prog **prog)
{
	const struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_SOCKET_FILTER,
		.name = "add_len",
		.insns = add_len,
		.insn_cnt = sizeof(add_len) / sizeof(add_len[0]),
		.maps = &map,
		.map_cnt = 1,
	};
	const struct ubpffs_load_opts opts = {
		.size = sizeof(opts), .log_level = 2, .no_jit = no_jit};

	return ubpffs_prog_load(&spec, &opts, log, prog);
}

static void programs_run_and_count(void **state)
{
	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct bpf_map *map = make_map(BPF_MAP_TYPE_ARRAY, 8, 1);
		uint8_t packet[64] = {[12] = 8}, out[64];
		struct ubpffs_test_run run = {.data_in = packet,
					      .data_size_in = sizeof(packet),
					      .data_out = out,
					      .data_size_out = sizeof(out),
					      .repeat = 3};
		struct bpf_prog *prog;
		uint32_t key = 0;
		uint64_t sum;
		char *log;

		assert_int_equal(load_add_len(map, no_jit, &log, &prog), 0);
		assert_non_null(strstr(log, "program: add_len (socket_filter)"));
		assert_non_null(strstr(log, "(95) exit"));
		free(log);
		if (no_jit)
			assert_false(ubpffs_prog_jited(prog));
		ubpffs_map_put(map); /* the program holds it */
		assert_int_equal(ubpffs_prog_test_run(prog, &run), 0);
		assert_int_equal(run.retval, 150);
		assert_int_equal(run.data_size_out, 64);
		run.data_size_out = 10;
		assert_int_equal(ubpffs_prog_test_run(prog, &run), -ENOSPC);
		assert_int_equal(run.data_size_out, 64);
		run.data_size_in = 5;
		assert_int_equal(ubpffs_prog_test_run(prog, &run), -EINVAL);
		assert_int_equal(ubpffs_map_lookup(map, &key, &sum, 0), 0);
		assert_int_equal(sum, 300);
		ubpffs_prog_get(prog);
		ubpffs_prog_put(prog);
		ubpffs_prog_put(prog);
		ubpffs_prog_put(NULL);
	}
}

static void options_of_other_versions(void **state)
{
	struct {
		struct ubpffs_load_opts opts;
		uint64_t newer;
	} o = {.opts = {.size = sizeof(o)}};
	struct bpf_insn two[] = {BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};
	const struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_XDP, .insns = two, .insn_cnt = 2};
	struct bpf_prog *prog;

	assert_int_equal(ubpffs_prog_load(&spec, &o.opts, NULL, &prog), 0);
	ubpffs_prog_put(prog);
	o.newer = 1; /* asks for what this build does not know */
	assert_int_equal(ubpffs_prog_load(&spec, &o.opts, NULL, &prog), -E2BIG);
	assert_null(prog);
	o.opts.size = sizeof(size_t);
	assert_int_equal(ubpffs_prog_load(&spec, &o.opts, NULL, &prog), 0);
	ubpffs_prog_put(prog);
	o.opts.size = 0;
	assert_int_equal(ubpffs_prog_load(&spec, &o.opts, NULL, &prog), -EINVAL);
	assert_int_equal(ubpffs_prog_load(&spec, NULL, NULL, &prog), 0);
	ubpffs_prog_put(prog);
}

static void verdicts_have_reasons(void **state)
{
	struct bpf_insn bad[] = {BPF_LDX_MEM(BPF_W, 0, 1, 400), BPF_EXIT_INSN()};
	const struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_XDP, .name = "bad", .insns = bad, .insn_cnt = 2};
	struct bpf_prog *prog;
	char *log;

	assert_int_equal(ubpffs_prog_load(&spec, NULL, &log, &prog), -EACCES);
	assert_null(prog);
	assert_non_null(strstr(log, "reason: invalid bpf_context access off=400 size=4"));
	free(log);
	assert_int_equal(ubpffs_prog_load(&spec, NULL, NULL, &prog), -EACCES);
}

static void objects(void **state)
{
	struct ubpffs_object *obj;
	struct ubpffs_error error = {.size = sizeof(error)};
	struct bpf_prog *prog;
	uint8_t packet[64] = {[12] = 8, [14] = 0x45};
	struct ubpffs_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
	size_t size;
	void *elf = test_object_bytes("count_ports", &size);

	assert_int_equal(ubpffs_object_load(elf, size, NULL, &obj), 0);
	assert_non_null(strstr(ubpffs_object_report(obj), "program: count_ports"));
	prog = ubpffs_object_prog(obj, "count_ports");
	assert_non_null(prog);
	assert_null(ubpffs_object_prog(obj, "no such program"));
	assert_null(ubpffs_object_map(obj, "no such map"));
	assert_int_equal(ubpffs_object_error(obj, &error), -ENOENT);
	ubpffs_prog_get(prog);
	ubpffs_object_free(obj);
	assert_int_equal(ubpffs_prog_test_run(prog, &run), 0);
	ubpffs_prog_put(prog);

	/* On failure there is an object too, for its report. */
	assert_int_equal(ubpffs_object_load(elf, size / 2, NULL, &obj), -EINVAL);
	assert_non_null(obj);
	assert_true(strlen(ubpffs_object_report(obj)) > 0);
	assert_int_equal(ubpffs_object_error(obj, &error), 0);
	assert_string_equal(error.prog, "");
	assert_true(!strncmp(ubpffs_object_report(obj), error.reason, strlen(error.reason)));
	assert_int_equal(error.insn, -1);
	assert_null(ubpffs_object_prog(obj, "count_ports"));
	ubpffs_object_free(obj);
	ubpffs_object_free(NULL);
	assert_int_equal(ubpffs_object_load("no", 2, NULL, &obj), -ENOEXEC);
	ubpffs_object_free(obj);
	free(elf);
	/* Of one that was not made. */
	ubpffs_object_free(NULL);
	assert_string_equal(ubpffs_object_report(NULL), "");
	assert_null(ubpffs_object_prog(NULL, "count"));
	assert_null(ubpffs_object_map(NULL, "counts"));
}

static void lines_of_trace_printk(void **state)
{
	const struct bpf_insn hello[] = {
		BPF_ST_MEM(BPF_W, 10, -8, 0x6c6c6568), /* "hell" */
		BPF_ST_MEM(BPF_W, 10, -4, 0x6425206f), /* "o %d" */
		BPF_ST_MEM(BPF_DW, 10, -16, 0),
		BPF_LDX_MEM(BPF_DW, 2, 10, -8),
		BPF_STX_MEM(BPF_DW, 10, 2, -16),
		BPF_ST_MEM(BPF_DW, 10, -8, 0),
		BPF_MOV64_REG(1, 10),
		BPF_ALU64_IMM(BPF_ADD, 1, -16),
		BPF_MOV64_IMM(2, 16),
		BPF_MOV64_IMM(3, 42),
		BPF_MOV64_IMM(4, 0),
		BPF_MOV64_IMM(5, 0),
		BPF_EMIT_CALL(BPF_FUNC_trace_printk),
		BPF_EXIT_INSN(),
	};
	const struct ubpffs_prog_spec spec = {.type = BPF_PROG_TYPE_XDP,
					      .license = "GPL",
					      .insns = hello,
					      .insn_cnt = sizeof(hello) / sizeof(hello[0])};
	uint8_t packet[64] = {0};
	struct ubpffs_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
	struct bpf_prog *prog;
	char line[256], *text;
	size_t len;

	assert_int_equal(ubpffs_prog_load(&spec, NULL, NULL, &prog), 0);
	while (ubpffs_trace_read(line, sizeof(line)))
		;
	assert_int_equal(ubpffs_prog_test_run(prog, &run), 0);
	assert_int_equal(run.retval, strlen("hello 42"));
	len = ubpffs_trace_read(line, sizeof(line) - 1);
	line[len] = 0;
	text = strstr(line, ": bpf_trace_printk: hello 42\n");
	assert_non_null(text);
	assert_non_null(strchr(line, '[')); /* [cpu] */
	assert_int_equal(ubpffs_trace_read(line, sizeof(line)), 0);
	ubpffs_prog_put(prog);
}

/* ---- from any thread */

struct shared {
	struct bpf_map *map;
	struct bpf_prog *prog;
};

static void *run_and_read(void *arg)
{
	struct shared *s = arg;
	uint8_t packet[64] = {[12] = 8};
	struct ubpffs_test_run run = {
		.data_in = packet, .data_size_in = sizeof(packet), .repeat = 1000};
	uint32_t key = 0;
	uint64_t sum;
	intptr_t bad = 0;

	for (int i = 0; i < 20; i++) {
		bad += !!ubpffs_prog_test_run(s->prog, &run);
		bad += !!ubpffs_map_lookup(s->map, &key, &sum, 0);
	}
	return (void *)bad;
}

static void any_number_of_threads(void **state)
{
	struct shared s = {.map = make_map(BPF_MAP_TYPE_ARRAY, 8, 1)};
	pthread_t threads[4];
	uint32_t key = 0;
	uint64_t sum;

	assert_int_equal(load_add_len(s.map, false, NULL, &s.prog), 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, run_and_read, &s);
	for (int i = 0; i < 4; i++) {
		void *bad;

		pthread_join(threads[i], &bad);
		assert_null(bad);
	}
	assert_int_equal(ubpffs_map_lookup(s.map, &key, &sum, 0), 0);
	assert_int_equal(sum, 4 * 20 * 1000 * 50);
	ubpffs_prog_put(s.prog);
	ubpffs_map_put(s.map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(maps_as_bpf2_has_them),
		cmocka_unit_test(maps_that_cannot_be),
		cmocka_unit_test(programs_run_and_count),
		cmocka_unit_test(options_of_other_versions),
		cmocka_unit_test(verdicts_have_reasons),
		cmocka_unit_test(objects),
		cmocka_unit_test(lines_of_trace_printk),
		cmocka_unit_test(any_number_of_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
