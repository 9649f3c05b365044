/*
 * test_verifier_functions.c - calls in compiled programs: static, global, and functions that end
 * early
 *
 * Here BTF names the functions and says what they take. The sentences are Linux's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/reason.h"
#include "tests/lib/object.h"
#include "uapi/bpf_insn.h"
#include "verifier/verifier.h"
#include "map/create.h"

#define MAX_MAPS 8

struct checked {
	struct bpf_object_file *obj;
	struct bpf_map *maps[MAX_MAPS];
	struct bpf_log log;
	struct bpf_verdict verdict;
	int err;
};

static void check(struct checked *c, const char *object, const char *name)
{
	struct bpf_prog_load_attr attr = {0};
	const struct bpf_object_prog *p;
	struct bpf_prog *prog;
	size_t size;
	void *data = test_object_bytes(object, &size);

	memset(c, 0, sizeof(*c));
	assert_int_equal(bpf_object_read(data, size, NULL, &c->obj), 0);
	free(data);
	assert_in_range(c->obj->map_cnt, 0, MAX_MAPS);
	for (u32 i = 0; i < c->obj->map_cnt; i++)
		assert_int_equal(bpf_map_create(&c->obj->maps[i].spec, 0, -1, -1, &c->maps[i]), 0);
	p = test_object_prog(c->obj, name);
	assert_non_null(p);
	attr.prog_type = p->type;
	attr.name = p->name;
	attr.license = c->obj->license;
	attr.insns = p->insns;
	attr.insn_cnt = p->insn_cnt;
	attr.maps = c->maps;
	attr.map_cnt = c->obj->map_cnt;
	attr.btf = c->obj->btf;
	attr.func_info = p->func_info;
	attr.func_info_cnt = p->func_info_cnt;
	attr.line_info = p->line_info;
	attr.line_info_cnt = p->line_info_cnt;
	prog = bpf_prog_alloc(&attr);
	assert_non_null(prog);
	bpf_log_init(&c->log, 2, 0);
	c->err = bpf_check(prog, &c->log, NULL, &c->verdict);
	bpf_prog_put(prog);
}

static void done(struct checked *c)
{
	bpf_verdict_free(&c->verdict);
	bpf_log_free(&c->log);
	for (u32 i = 0; i < c->obj->map_cnt; i++)
		bpf_map_put(c->maps[i]);
	bpf_object_file_free(c->obj);
}

static void says(const struct checked *c, const char *text)
{
	if (!strstr(bpf_log_text(&c->log), text))
		fail_msg("\"%s\" is not in:\n%s", text, bpf_log_text(&c->log));
}

static u32 count(const struct checked *c, const char *text)
{
	u32 n = 0;

	for (const char *p = bpf_log_text(&c->log); (p = strstr(p, text)); p++)
		n++;
	return n;
}

static void global_with_memory(void **state)
{
	struct checked c;

	check(&c, "functions", "global_memory");
	assert_int_equal(c.err, 0);
	says(&c, "Func#1 ('slot_of') is global and assumed valid.");
	says(&c, "Validating slot_of() func#1...");
	says(&c, "R1=mem_or_null(id=");
	says(&c, "Func#1 ('slot_of') is safe for any args that match its prototype");
	assert_string_equal(c.verdict.subprogs[1].name, "slot_of");
	done(&c);
}

/* Called twenty times, from a function that is itself global: walked once. */
static void globals_are_walked_once(void **state)
{
	struct checked c;

	check(&c, "functions", "global_nested");
	assert_int_equal(c.err, 0);
	assert_int_equal(count(&c, "Validating sum_to()"), 1);
	assert_int_equal(count(&c, "Validating length_and_sum()"), 1);
	done(&c);
}

/* No NULL check: the caller's argument is never NULL, but the function is for any. */
static void global_must_check_null(void **state)
{
	struct checked c;

	check(&c, "reject_global_null", "caller");
	assert_int_equal(c.err, -EACCES);
	assert_string_equal(reason_of(&c.verdict), "R1 invalid mem access 'mem_or_null'");
	assert_true(c.verdict.err_insn >= (int)c.verdict.subprogs[1].start);
	done(&c);
}

/*
 * The object's program with another main function: what it calls stays, and so do the types. Ways
 * meet before a call with NULL on the first and any number on the second.
 */
static void null_is_not_any_number(void **state)
{
	const struct bpf_insn before[] = {
		BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32),
		BPF_MOV64_REG(BPF_REG_6, BPF_REG_0),
		BPF_MOV64_REG(BPF_REG_1, BPF_REG_6),
		BPF_JMP_IMM(BPF_JGT, BPF_REG_6, 100, 1),
		BPF_MOV64_IMM(BPF_REG_1, 0),
	};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS, .license = "GPL"};
	struct bpf_object_file *obj;
	const struct bpf_object_prog *p;
	struct bpf_verdict verdict;
	struct bpf_insn insns[4096];
	struct bpf_func_info funcs[2];
	struct bpf_prog *prog;
	struct bpf_log log;
	u32 n = 0, start;
	size_t size;
	void *data = test_object_bytes("reject_global_null", &size);

	assert_int_equal(bpf_object_read(data, size, NULL, &obj), 0);
	free(data);
	p = test_object_prog(obj, "caller");
	assert_int_equal(p->func_info_cnt, 2);
	memcpy(funcs, p->func_info, sizeof(funcs));
	for (; n < ARRAY_SIZE(before); n++)
		insns[n] = before[n];
	for (u32 i = 0; i < 20; i++) /* far enough for a checkpoint */
		insns[n++] = (struct bpf_insn)BPF_JMP_A(0);
	insns[n++] = (struct bpf_insn)BPF_CALL_REL(2);
	insns[n++] = (struct bpf_insn)BPF_MOV64_IMM(BPF_REG_0, 0);
	insns[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	/* if (!p) return 0; return *p; */
	start = n;
	insns[n++] = (struct bpf_insn)BPF_MOV64_IMM(BPF_REG_0, 0);
	insns[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 1);
	insns[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_1, 0);
	insns[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	funcs[1].insn_off = start;
	attr.insns = insns;
	attr.insn_cnt = n;
	attr.btf = obj->btf;
	attr.func_info = funcs;
	attr.func_info_cnt = 2;
	prog = bpf_prog_alloc(&attr);
	assert_non_null(prog);
	bpf_log_init(&log, 2, 0);
	assert_int_equal(bpf_check(prog, &log, NULL, &verdict), -EINVAL);
	assert_non_null(strstr(bpf_log_text(&log), "is global and assumed valid"));
	bpf_prog_put(prog);
	bpf_verdict_free(&verdict);
	bpf_log_free(&log);
	bpf_object_file_free(obj);
}

static void static_returns_a_pointer(void **state)
{
	struct checked c;

	check(&c, "functions", "static_pointer");
	assert_int_equal(c.err, 0);
	says(&c, "frame1: R0=map_value_or_null(id=");
	assert_int_equal(count(&c, "is global"), 0);
	done(&c);
}

static void packet_load_ends_the_function(void **state)
{
	struct checked c;

	check(&c, "functions", "early_load");
	assert_int_equal(c.err, 0);
	says(&c, "returning from callee:\n frame1: R0=0 ");
	says(&c, "1: R0=0\n");
	assert_true(c.verdict.subprogs[1].has_ld_abs);
	done(&c);
}

static void tail_call_ends_the_function(void **state)
{
	struct checked c;

	check(&c, "functions", "early_tail_call");
	assert_int_equal(c.err, 0);
	says(&c, "returning from callee:\n frame1: R0=scalar() ");
	assert_true(c.verdict.subprogs[0].tail_call_reachable);
	assert_true(c.verdict.subprogs[1].has_tail_call);
	done(&c);
}

static void source_lines(void **state)
{
	struct checked c;

	check(&c, "functions", "static_pointer");
	says(&c, "; struct value *v = find(skb->len & 3); @ functions.bpf.c:");
	done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(global_with_memory),
		cmocka_unit_test(globals_are_walked_once),
		cmocka_unit_test(global_must_check_null),
		cmocka_unit_test(null_is_not_any_number),
		cmocka_unit_test(static_returns_a_pointer),
		cmocka_unit_test(packet_load_ends_the_function),
		cmocka_unit_test(tail_call_ends_the_function),
		cmocka_unit_test(source_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
