/*
 * test_reloc.c - programs put together from functions, and references resolved, on clang's own
 * output
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include "btf/btf.h"
#include "tests/lib/object.h"

static struct bpf_object_file *read_good(const char *name)
{
	struct bpf_object_file *obj = NULL;
	struct bpf_log log;
	size_t size;
	void *data = test_object_bytes(name, &size);

	bpf_log_init(&log, 1, 0);
	if (bpf_object_read(data, size, &log, &obj))
		fail_msg("%s: %s", name, bpf_log_text(&log));
	bpf_log_free(&log);
	free(data);
	return obj;
}

static const struct bpf_object_prog *find(const struct bpf_object_file *obj, const char *name)
{
	const struct bpf_object_prog *prog = test_object_prog(obj, name);

	if (!prog)
		fail_msg("no program '%s'", name);
	return prog;
}

/* The name of the function that starts at an instruction, "" when none does. */
static const char *func_at(const struct bpf_object_file *obj, const struct bpf_object_prog *prog,
			   u32 at)
{
	for (u32 i = 0; i < prog->func_info_cnt; i++)
		if (prog->func_info[i].insn_off == at)
			return bpf_btf_str(
				obj->btf, btf__type_by_id(obj->btf->btf, prog->func_info[i].type_id)
						  ->name_off);
	return "";
}

/* "caller>callee " for every call, in the order of the instructions. */
static void call_list(const struct bpf_object_file *obj, const struct bpf_object_prog *prog,
		      char *out)
{
	const char *in = "";

	*out = 0;
	for (u32 i = 0; i < prog->insn_cnt; i++) {
		if (*func_at(obj, prog, i))
			in = func_at(obj, prog, i);
		if (bpf_insn_is_pseudo_call(&prog->insns[i]))
			out += sprintf(out, "%s>%s ", in,
				       func_at(obj, prog, i + prog->insns[i].imm + 1));
		i += bpf_insn_is_imm64(&prog->insns[i]);
	}
}

static void subprograms_follow_in_the_order_of_their_first_call(void **state)
{
	struct bpf_object_file *obj = read_good("subprograms");
	const struct bpf_object_prog *first = find(obj, "first");
	char calls[512], funcs[256], *p = funcs;

	call_list(obj, first, calls);
	assert_string_equal(calls, "first>bump first>sum_of_squares first>twice "
				   "sum_of_squares>square sum_of_squares>square square>bump "
				   "twice>bump ");
	for (u32 i = 0; i < first->func_info_cnt; i++)
		p += sprintf(p, "%s ", func_at(obj, first, first->func_info[i].insn_off));
	assert_string_equal(funcs, "first bump sum_of_squares square twice ");
	bpf_object_file_free(obj);
}

static void programs_share_subprograms(void **state)
{
	struct bpf_object_file *obj = read_good("subprograms");
	char calls[512];

	call_list(obj, find(obj, "second"), calls);
	assert_string_equal(calls, "second>twice twice>bump ");
	call_list(obj, find(obj, "third"), calls);
	assert_string_equal(calls, "third>bump ");
	assert_int_equal(find(obj, "third")->type, BPF_PROG_TYPE_XDP);
	bpf_object_file_free(obj);
}

static void calls_inside_one_section(void **state)
{
	struct bpf_object_file *obj = read_good("static_in_section");
	char calls[512];

	assert_int_equal(obj->prog_cnt, 1);
	call_list(obj, &obj->progs[0], calls);
	assert_string_equal(calls, "static_in_section>verdict ");
	bpf_object_file_free(obj);
}

static void addresses_of_functions(void **state)
{
	struct bpf_object_file *obj = read_good("callback");
	const struct bpf_object_prog *prog = find(obj, "callback");
	u32 found = 0;

	for (u32 i = 0; i < prog->insn_cnt; i++) {
		if (bpf_insn_is_imm64(&prog->insns[i]) &&
		    prog->insns[i].src_reg == BPF_PSEUDO_FUNC) {
			assert_string_equal(func_at(obj, prog, i + prog->insns[i].imm + 1), "add");
			found++;
		}
		i += bpf_insn_is_imm64(&prog->insns[i]);
	}
	assert_int_equal(found, 1);
	bpf_object_file_free(obj);
}

static void hidden_functions_are_static(void **state)
{
	struct bpf_object_file *obj = read_good("subprograms");
	const struct btf *btf = obj->btf->btf;
	int hidden = btf__find_by_name_kind(btf, "sum_of_squares", BTF_KIND_FUNC);
	int global = btf__find_by_name_kind(btf, "twice", BTF_KIND_FUNC);

	assert_true(hidden > 0 && global > 0);
	assert_int_equal(btf_vlen(btf__type_by_id(btf, hidden)), BTF_FUNC_STATIC);
	assert_int_equal(btf_vlen(btf__type_by_id(btf, global)), BTF_FUNC_GLOBAL);
	bpf_object_file_free(obj);
}

static void data_section_types_are_complete(void **state)
{
	struct bpf_object_file *obj = read_good("global_data");
	const struct bpf_object_map *map = test_object_map(obj, ".data");
	const struct btf_type *t = btf__type_by_id(obj->btf->btf, map->spec.btf_value_type_id);
	const struct btf_var_secinfo *info = btf_var_secinfos(t);

	assert_true(btf_is_datasec(t));
	assert_int_equal(t->size, map->spec.value_size);
	assert_int_equal(btf_vlen(t), 2);
	assert_int_equal(info[0].offset, 0); /* limit */
	assert_int_equal(info[0].size, 4);
	assert_int_equal(info[1].offset, 8); /* step */
	bpf_object_file_free(obj);
}

/* How often a program refers to a byte of a map (off -1: to the map itself). */
static u32 refs(const struct bpf_object_file *obj, const struct bpf_object_prog *prog,
		const char *map, s64 off)
{
	u32 n = 0;

	for (u32 i = 0; i < prog->insn_cnt; i++) {
		const struct bpf_insn *insn = &prog->insns[i];

		if (!bpf_insn_is_imm64(insn))
			continue;
		if (insn->src_reg == (off < 0 ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_IDX_VALUE) &&
		    !strcmp(obj->maps[insn->imm].name, map) && (off < 0 || insn[1].imm == off))
			n++;
		i++;
	}
	return n;
}

static void map_references_are_indices(void **state)
{
	struct bpf_object_file *obj = read_good("count_ports");
	const struct bpf_object_prog *prog = find(obj, "count_ports");

	assert_int_equal(refs(obj, prog, "by_proto", -1), 1);
	assert_int_equal(refs(obj, prog, "by_port", -1), 2);
	bpf_object_file_free(obj);

	obj = read_good("legacy_maps");
	prog = find(obj, "legacy");
	assert_int_equal(refs(obj, prog, "total", -1), 1);
	assert_int_equal(refs(obj, prog, "lengths", -1), 2);
	bpf_object_file_free(obj);
}

static void data_references_have_offsets(void **state)
{
	struct bpf_object_file *obj = read_good("data_offsets");
	const struct bpf_object_prog *prog = find(obj, "data_offsets");

	assert_true(refs(obj, prog, ".data", 0) >= 1); /* pairs */
	assert_int_equal(refs(obj, prog, ".data", 32), 1); /* hidden_value */
	assert_int_equal(refs(obj, prog, ".rodata", 0), 1);
	assert_int_equal(refs(obj, prog, ".data.extra", 0), 1);
	assert_int_equal(refs(obj, prog, ".bss.zeros", 0), 1);
	bpf_object_file_free(obj);
}

static void prog_array_values(void **state)
{
	struct bpf_object_file *obj = read_good("tail_calls");
	const struct bpf_object_map *steps = test_object_map(obj, "steps");

	assert_int_equal(steps->spec.map_type, BPF_MAP_TYPE_PROG_ARRAY);
	assert_int_equal(steps->spec.value_size, 4);
	assert_int_equal(steps->init_cnt, 2);
	for (u32 i = 0; i < 2; i++) {
		bool one = steps->init_slot[i] == 1;

		assert_true(one || steps->init_slot[i] == 5);
		assert_string_equal(obj->progs[steps->init_target[i]].name,
				    one ? "tail_one" : "tail_two");
	}
	bpf_object_file_free(obj);
}

/*
 * Every line of a program is text of the source file, and the first instruction of a function has
 * one.
 */
static void line_info_follows_the_functions(void **state)
{
	struct bpf_object_file *obj = read_good("subprograms");
	const struct bpf_object_prog *prog = find(obj, "first");
	u32 line = 0;

	for (u32 i = 0; i < prog->func_info_cnt; i++) {
		bool found = false;

		for (u32 j = 0; j < prog->line_info_cnt; j++)
			found |= prog->line_info[j].insn_off == prog->func_info[i].insn_off;
		assert_true(found);
	}
	for (u32 j = 0; j < prog->line_info_cnt; j++) {
		const char *text = bpf_btf_str(obj->btf, prog->line_info[j].line_off);

		if (strstr(text, "return x * x;"))
			line = prog->line_info[j].insn_off;
		assert_non_null(strstr(bpf_btf_str(obj->btf, prog->line_info[j].file_name_off),
				       "subprograms.bpf.c"));
	}
	/* square() is the fourth function. */
	assert_true(line >= prog->func_info[3].insn_off && line < prog->func_info[4].insn_off);
	bpf_object_file_free(obj);
}

static void malformed_references_are_refused(void **state)
{
	static const struct {
		const char *object, *word;
	} rows[] = {
		{"malformed_pseudo", "without a relocation"},
		{"malformed_call", "no function's first instruction"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_object_file *obj = NULL;
		struct bpf_log log;
		size_t size;
		void *data = test_object_bytes(rows[i].object, &size);

		bpf_log_init(&log, 1, 0);
		assert_int_equal(bpf_object_read(data, size, &log, &obj), -EINVAL);
		if (!strstr(bpf_log_text(&log), rows[i].word))
			fail_msg("%s: %s", rows[i].object, bpf_log_text(&log));
		bpf_log_free(&log);
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subprograms_follow_in_the_order_of_their_first_call),
		cmocka_unit_test(programs_share_subprograms),
		cmocka_unit_test(calls_inside_one_section),
		cmocka_unit_test(addresses_of_functions),
		cmocka_unit_test(hidden_functions_are_static),
		cmocka_unit_test(data_section_types_are_complete),
		cmocka_unit_test(map_references_are_indices),
		cmocka_unit_test(data_references_have_offsets),
		cmocka_unit_test(prog_array_values),
		cmocka_unit_test(line_info_follows_the_functions),
		cmocka_unit_test(malformed_references_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
