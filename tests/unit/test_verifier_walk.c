/*
 * test_verifier_walk.c - bpf_check() by itself: what it leaves behind, its log, its limits
 *
 * The verdicts of single rules are in tests/verifier. Here: the facts for the rewriter, the reason
 * and its instruction, the log line by line against the running kernel's, the number of
 * instructions that are walked (pruning finds what Linux finds), and input that no compiler makes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "insn/reg.h"
#include "tests/lib/reason.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"
#include "verifier/domain/bounds.h"
#include "verifier/state/regs.h"
#include "verifier/verifier.h"
#include "map/create.h"

#define R0  BPF_REG_0
#define R1  BPF_REG_1
#define R2  BPF_REG_2
#define R3  BPF_REG_3
#define R4  BPF_REG_4
#define R6  BPF_REG_6
#define R7  BPF_REG_7
#define R10 BPF_REG_10

enum { ARRAY, ARRAY1, HASH, PROGS, MAPS };

static const struct bpf_map_spec specs[MAPS] = {
	[ARRAY] = {BPF_MAP_TYPE_ARRAY, 4, 16, .max_entries = 4},
	[ARRAY1] = {BPF_MAP_TYPE_ARRAY, 4, 32, .max_entries = 1},
	[HASH] = {BPF_MAP_TYPE_HASH, 4, 8, .max_entries = 8},
	[PROGS] = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, .max_entries = 4},
};

static struct bpf_map *maps[MAPS];
static int kernel_maps[MAPS];
static const char *no_kernel;

static int setup(void **state)
{
	no_kernel = kernel_unavailable();
	for (u32 i = 0; i < MAPS; i++) {
		assert_int_equal(bpf_map_create(&specs[i], 0, -1, -1, &maps[i]), 0);
		kernel_maps[i] = no_kernel ? -1 : kernel_map_create(&specs[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	for (u32 i = 0; i < MAPS; i++) {
		bpf_map_put(maps[i]);
		if (kernel_maps[i] >= 0)
			close(kernel_maps[i]);
	}
	return 0;
}

/* ---- one check */

static u32 test_flags; /* of the programs that are checked next */

struct result {
	int err;
	struct bpf_verdict verdict;
	struct bpf_log log;
};

static struct bpf_prog_load_attr attr_of(enum bpf_prog_type type, const struct bpf_insn *insns,
					 u32 cnt)
{
	return (struct bpf_prog_load_attr){
		.prog_type = type,
		.name = "walk",
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
		.maps = maps,
		.map_cnt = MAPS,
		.prog_flags = test_flags,
	};
}

static void check(struct result *r, enum bpf_prog_type type, const struct bpf_insn *insns, u32 cnt,
		  u32 level, const volatile bool *cancel)
{
	struct bpf_prog_load_attr attr = attr_of(type, insns, cnt);
	struct bpf_prog *prog = bpf_prog_alloc(&attr);

	assert_non_null(prog);
	bpf_log_init(&r->log, level, 0);
	r->err = bpf_check(prog, &r->log, cancel, &r->verdict);
	assert_int_equal(r->err, r->verdict.err);
	assert_true(r->err <= 0);
	assert_true(!r->err == !r->verdict.reason_cnt);
	bpf_prog_put(prog);
}

static void done(struct result *r)
{
	bpf_verdict_free(&r->verdict);
	bpf_log_free(&r->log);
}

#define CHECK(R, TYPE, LEVEL, ...)                                                       \
	do {                                                                             \
		const struct bpf_insn _insns[] = {__VA_ARGS__};                          \
		check(R, BPF_PROG_TYPE_##TYPE, _insns, ARRAY_SIZE(_insns), LEVEL, NULL); \
	} while (0)

/* R0 = array[key], the key spilled as 32 bits at fp-8 */
#define LOOKUP(MAP)                                                                      \
	BPF_MOV64_REG(R2, R10), BPF_ALU64_IMM(BPF_ADD, R2, -8), BPF_LD_MAP_IDX(R1, MAP), \
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem)

/* ---- what the rewriter gets */

static void const_key_of_array(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_W, R10, -8, 3), LOOKUP(ARRAY),
	      BPF_LDX_MEM(BPF_W, R0, R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_int_equal(r.verdict.aux[5].map_idx, ARRAY + 1);
	assert_int_equal(r.verdict.aux[5].const_key, 3);
	assert_int_equal(r.verdict.aux[3].map_idx, ARRAY + 1);
	assert_int_equal(r.verdict.aux[6].ptr_type, PTR_TO_MAP_VALUE);
	assert_int_equal(r.verdict.aux[0].ptr_type, PTR_TO_STACK);
	assert_int_equal(r.verdict.subprogs[0].stack_depth, 8);
	done(&r);
}

static void zero_bytes_are_a_key(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_DW, R10, -8, 0), BPF_MOV64_REG(R2, R10),
	      BPF_ST_MEM(BPF_W, R10, -4, 0), BPF_ALU64_IMM(BPF_ADD, R2, -4),
	      BPF_LD_MAP_IDX(R1, ARRAY), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
	      BPF_LDX_MEM(BPF_W, R0, R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_int_equal(r.verdict.aux[6].const_key, 0);
	done(&r);
}

/* As clang places a key: in the upper half of a slot. */
static void key_in_the_upper_half(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_MOV32_IMM(R1, 2),
	      BPF_ST_MEM(BPF_W, R10, -16, 9), BPF_STX_MEM(BPF_W, R10, R1, -4),
	      BPF_ST_MEM(BPF_W, R10, -8, 5), BPF_MOV64_REG(R2, R10), BPF_ALU64_IMM(BPF_ADD, R2, -4),
	      BPF_LD_MAP_IDX(R1, ARRAY), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
	      BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_int_equal(r.verdict.aux[9].const_key, 2);
	done(&r);
	/* Overwritten in part, behind a jump, from a changed register, through another pointer. */
	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_W, R10, -4, 2), BPF_ST_MEM(BPF_B, R10, -3, 1),
	      BPF_MOV64_REG(R2, R10), BPF_ALU64_IMM(BPF_ADD, R2, -4), BPF_LD_MAP_IDX(R1, ARRAY),
	      BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.verdict.aux[6].const_key, -1);
	done(&r);
	CHECK(&r, SOCKET_FILTER, 0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_ST_MEM(BPF_W, R10, -4, 2),
	      BPF_JMP_IMM(BPF_JEQ, R6, 7, 1), BPF_ST_MEM(BPF_W, R10, -4, 1), BPF_MOV64_REG(R2, R10),
	      BPF_ALU64_IMM(BPF_ADD, R2, -4), BPF_LD_MAP_IDX(R1, ARRAY),
	      BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.verdict.aux[8].const_key, -1);
	done(&r);
	CHECK(&r, SOCKET_FILTER, 0, BPF_MOV64_IMM(R1, 2), BPF_ALU64_IMM(BPF_ADD, R1, 1),
	      BPF_STX_MEM(BPF_W, R10, R1, -4), BPF_MOV64_REG(R2, R10),
	      BPF_ALU64_IMM(BPF_ADD, R2, -4), BPF_LD_MAP_IDX(R1, ARRAY),
	      BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.verdict.aux[7].const_key, -1);
	done(&r);
	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_W, R10, -4, 2), BPF_MOV64_REG(R2, R10),
	      BPF_ALU64_IMM(BPF_ADD, R2, -4), BPF_ST_MEM(BPF_W, R2, 0, 1),
	      BPF_LD_MAP_IDX(R1, ARRAY), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
	      BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.verdict.aux[6].const_key, -1);
	done(&r);
}

static void key_past_the_end_may_be_null(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_W, R10, -8, 4), LOOKUP(ARRAY),
	      BPF_LDX_MEM(BPF_W, R0, R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, -EACCES);
	assert_int_equal(r.verdict.err_insn, 6);
	assert_string_equal(reason_of(&r.verdict), "R0 invalid mem access 'map_value_or_null'");
	done(&r);
}

/* Two paths come to one call with different keys: no key may be built in. */
static void different_keys_on_paths(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_ST_MEM(BPF_W, R10, -8, 1),
	      BPF_JMP_IMM(BPF_JEQ, R6, 7, 1), BPF_ST_MEM(BPF_W, R10, -8, 2), LOOKUP(ARRAY),
	      BPF_LDX_MEM(BPF_W, R0, R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_int_equal(r.verdict.aux[8].map_idx, ARRAY + 1);
	assert_int_equal(r.verdict.aux[8].const_key, -1);
	done(&r);
}

static void different_maps_on_paths(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_LDX_MEM(BPF_W, R6, R1, 0), BPF_ST_MEM(BPF_W, R10, -8, 1),
	      BPF_MOV64_REG(R2, R10), BPF_ALU64_IMM(BPF_ADD, R2, -8), BPF_LD_MAP_IDX(R1, ARRAY),
	      BPF_JMP_IMM(BPF_JEQ, R6, 7, 2), BPF_LD_MAP_IDX(R1, ARRAY1),
	      BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_int_equal(r.verdict.aux[9].map_idx, 0);
	assert_int_equal(r.verdict.aux[9].const_key, -1);
	done(&r);
}

static void dead_branch_is_not_seen(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_MOV64_IMM(R0, 1), BPF_JMP_IMM(BPF_JEQ, R0, 1, 1),
	      BPF_LDX_MEM(BPF_DW, R0, R3, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_true(r.verdict.aux[1].seen);
	assert_false(r.verdict.aux[2].seen);
	assert_true(r.verdict.aux[3].seen);
	done(&r);
}

static void subprograms_and_their_stack(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_DW, R10, -24, 0), BPF_CALL_REL(1),
	      BPF_EXIT_INSN(), BPF_ST_MEM(BPF_B, R10, -41, 0), BPF_MOV64_IMM(R0, 0),
	      BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_int_equal(r.verdict.subprog_cnt, 2);
	assert_int_equal(r.verdict.subprogs[0].stack_depth, 24);
	assert_int_equal(r.verdict.subprogs[1].start, 3);
	assert_int_equal(r.verdict.subprogs[1].stack_depth, 48);
	done(&r);
}

static void tail_call_is_noted(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_LD_MAP_IDX(R2, PROGS), BPF_MOV64_IMM(R3, 1),
	      BPF_EMIT_CALL(BPF_FUNC_tail_call), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, 0);
	assert_true(r.verdict.subprogs[0].has_tail_call);
	assert_int_equal(r.verdict.aux[3].map_idx, PROGS + 1);
	done(&r);
}

/* ---- reasons */

static void reason_of_structure(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_JMP_A(5), BPF_EXIT_INSN());
	assert_int_equal(r.err, -EINVAL);
	assert_string_equal(reason_of(&r.verdict), "jump out of range from insn 0 to 6");
	assert_int_equal(r.verdict.err_insn, -1);
	done(&r);
}

static void reason_joins_both_sentences(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_ST_MEM(BPF_W, R10, -8, 0), LOOKUP(HASH),
	      BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R3, R0, 8), BPF_MOV64_IMM(R0, 0),
	      BPF_EXIT_INSN());
	assert_int_equal(r.err, -EACCES);
	assert_int_equal(r.verdict.err_insn, 7);
	assert_string_equal(
		reason_of(&r.verdict),
		"invalid access to map value, value_size=8 off=8 size=8; R0 min value is "
		"outside of the allowed memory range");
	done(&r);
}

/*
 * What a map of maps holds is a map, also where a comparison with a pointer that is not NULL says
 * that it is there: its memory is not for programs.
 */
static void map_of_maps_is_no_memory(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LD_MAP_IDX_VALUE(R6, 1, 0),
		BPF_ST_MEM(BPF_W, R10, -8, 0),
		LOOKUP(0),
		BPF_JMP_REG(BPF_JNE, R0, R6, 1),
		BPF_ST_MEM(BPF_W, R0, 0, 1),
		BPF_MOV64_IMM(R0, 0),
		BPF_EXIT_INSN(),
	};
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = 2};
	struct bpf_prog_load_attr attr =
		attr_of(BPF_PROG_TYPE_SOCKET_FILTER, insns, ARRAY_SIZE(insns));
	struct bpf_map *both[2] = {NULL, maps[ARRAY1]};
	struct bpf_verdict verdict;
	struct bpf_prog *prog;

	spec.inner_map_id = maps[ARRAY]->id;
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &both[0]), 0);
	attr.maps = both;
	attr.map_cnt = 2;
	prog = bpf_prog_alloc(&attr);
	assert_non_null(prog);
	assert_int_equal(bpf_check(prog, NULL, NULL, &verdict), -EACCES);
	assert_string_equal(reason_of(&verdict), "R0 invalid mem access 'map_ptr'");
	bpf_verdict_free(&verdict);
	bpf_prog_put(prog);
	bpf_map_put(both[0]);
}

static void what_this_build_lacks(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 0, BPF_LD_IMM64_RAW(R1, BPF_PSEUDO_BTF_ID, 1),
	      BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, -ENOTSUP);
	assert_non_null(strstr(reason_of(&r.verdict), "not supported by this build"));
	done(&r);
	CHECK(&r, LSM, 0, BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, -ENOTSUP);
	done(&r);
}

/* ---- limits */

static void cancelled(void **state)
{
	const struct bpf_insn loop[] = {
		BPF_MOV64_IMM(R0, 0),
		BPF_ALU64_IMM(BPF_ADD, R0, 1),
		BPF_JMP_IMM(BPF_JLT, R0, 400000, -2),
		BPF_EXIT_INSN(),
	};
	volatile bool cancel = true;
	struct result r;

	check(&r, BPF_PROG_TYPE_SOCKET_FILTER, loop, ARRAY_SIZE(loop), 0, &cancel);
	assert_int_equal(r.err, -EINTR);
	assert_true(r.verdict.insn_processed < 1000);
	done(&r);
}

static void too_many_instructions(void **state)
{
	struct result r;

	CHECK(&r, SOCKET_FILTER, 1, BPF_MOV64_IMM(R0, 0), BPF_ALU64_IMM(BPF_ADD, R0, 1),
	      BPF_JMP_IMM(BPF_JNE, R0, 600000, -2), BPF_EXIT_INSN());
	assert_int_equal(r.err, -E2BIG);
	assert_string_equal(reason_of(&r.verdict),
			    "BPF program is too large. Processed 1000001 insn");
	done(&r);
}

static void too_many_branches(void **state)
{
	struct result r;

	CHECK(&r, SCHED_CLS, 0, BPF_LDX_MEM(BPF_W, R2, R1, 76), BPF_LDX_MEM(BPF_W, R3, R1, 80),
	      BPF_ALU64_IMM(BPF_ADD, R2, 20), BPF_JMP_REG(BPF_JGT, R2, R3, 2),
	      BPF_MOV64_IMM(R7, -1), BPF_JMP_A(-4), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
	assert_int_equal(r.err, -E2BIG);
	assert_non_null(strstr(reason_of(&r.verdict), "jumps is too complex"));
	done(&r);
}

static void no_instructions(void **state)
{
	static const struct bpf_insn none[1];
	struct result r;

	check(&r, BPF_PROG_TYPE_SOCKET_FILTER, none, 0, 1, NULL);
	assert_int_equal(r.err, -E2BIG);
	done(&r);
}

/* ---- input that no compiler makes */

static u64 random_bits(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void random_bytes(void **state)
{
	u64 rng = 88172645463325252ULL;

	for (u32 n = 0; n < 20000; n++) {
		struct bpf_insn insns[16];
		u32 cnt = 1 + random_bits(&rng) % ARRAY_SIZE(insns);
		struct result r;

		for (u32 i = 0; i < cnt; i++) {
			u64 bits = random_bits(&rng);

			memcpy(&insns[i], &bits, sizeof(bits));
		}
		check(&r, BPF_PROG_TYPE_XDP, insns, cnt, n % 3, NULL);
		done(&r);
	}
}

/* Opcodes of the table, so that more than the first check is reached. */
static void random_opcodes(void **state)
{
	u64 rng = 1442695040888963407ULL;
	u32 accepted = 0;

	for (u32 n = 0; n < 40000; n++) {
		struct bpf_insn insns[12];
		struct result r;

		for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
			const struct bpf_op_info *op = &bpf_op_info[random_bits(&rng) % BPF_OP_MAX];

			insns[i] = (struct bpf_insn){
				.code = op->code,
				.dst_reg = op->dst ? random_bits(&rng) % 11 : 0,
				.src_reg = op->src ? random_bits(&rng) % 11 : 0,
				.off = op->off >= OPF_ANY ? random_bits(&rng) % 24 - 12 : op->off,
				.imm = op->imm >= OPF_ANY ? random_bits(&rng) % 16 : op->imm,
			};
		}
		insns[0] = BPF_MOV64_IMM(R0, 0);
		insns[ARRAY_SIZE(insns) - 1] = BPF_EXIT_INSN();
		check(&r, BPF_PROG_TYPE_SCHED_CLS, insns, ARRAY_SIZE(insns), n % 3, NULL);
		accepted += !r.err;
		done(&r);
	}
	assert_in_range(accepted, 1, 40000 - 1);
}

/* Every prefix of a program that loads. */
static void truncated_programs(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_W, R10, -8, 3),
		LOOKUP(ARRAY),
		BPF_LDX_MEM(BPF_W, R0, R0, 0),
		BPF_CALL_REL(1),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(R0, 0),
		BPF_EXIT_INSN(),
	};

	for (u32 cnt = 1; cnt <= ARRAY_SIZE(insns); cnt++) {
		struct result r;

		check(&r, BPF_PROG_TYPE_SOCKET_FILTER, insns, cnt, 2, NULL);
		assert_int_equal(!r.err, cnt == ARRAY_SIZE(insns));
		done(&r);
	}
}

/* ---- against the running kernel: the same log, the same work */

static char kernel_log[1 << 22], kernel_lines[1 << 22], our_lines[1 << 22];

/* Lines of the kernel's own bookkeeping, and numbers that differ between any two machines. */
static bool skip_line(const char *line)
{
	const char *p = line + strspn(line, " 0123456789");

	if (!strncmp(line, "SCC ", 4) || !strncmp(line, "verification time", 17))
		return true;
	if (*line == '(' && line[1] >= '0' && line[1] <= '9' && !strstr(line, ": ("))
		return true; /* its analysis of live stack */
	return *line == ' ' && *p == ':'; /* live registers: with the number of a loop */
}

static void normalise(const char *log, char *out)
{
	while (*log) {
		size_t len = strcspn(log, "\n");
		char line[4096], *addr, *end;

		snprintf(line, sizeof(line), "%.*s", (int)len, log);
		log += len + (log[len] == '\n');
		if (skip_line(line))
			continue;
		addr = strstr(line, "(18)") ? strstr(line, " = 0x") : NULL;
		if (addr) {
			end = strchr(addr, ';');
			memmove(addr, end ? end : "", end ? strlen(end) + 1 : 1);
		}
		end = strstr(line, " total_states");
		if (end)
			*end = 0;
		out += sprintf(out, "%s\n", line);
	}
	*out = 0;
}

static void same_log(enum bpf_prog_type type, const struct bpf_insn *insns, u32 cnt, u32 level)
{
	struct bpf_prog_load_attr attr = attr_of(type, insns, cnt);
	struct result r;
	int fd;

	if (no_kernel) {
		print_message("not compared: %s\n", no_kernel);
		skip();
	}
	fd = kernel_prog_load(&attr, kernel_maps, level, kernel_log, sizeof(kernel_log));
	check(&r, type, insns, cnt, level, NULL);
	normalise(kernel_log, kernel_lines);
	normalise(bpf_log_text(&r.log), our_lines);
	assert_string_equal(our_lines, kernel_lines);
	assert_int_equal(r.err, fd < 0 ? fd : 0);
	if (fd >= 0)
		close(fd);
	done(&r);
}

#define SAME_LOG(TYPE, LEVEL, ...)                                                 \
	do {                                                                       \
		const struct bpf_insn _insns[] = {__VA_ARGS__};                    \
		same_log(BPF_PROG_TYPE_##TYPE, _insns, ARRAY_SIZE(_insns), LEVEL); \
	} while (0)

static void log_of_spills(void **state)
{
	SAME_LOG(SOCKET_FILTER, 2, BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_JMP_IMM(BPF_JEQ, R0, 5, 1),
		 BPF_MOV64_IMM(R0, 1), BPF_STX_MEM(BPF_DW, R10, R0, -8),
		 BPF_LDX_MEM(BPF_DW, R1, R10, -8), BPF_STX_MEM(BPF_W, R10, R1, -16),
		 BPF_LDX_MEM(BPF_W, R3, R10, -20), BPF_STX_MEM(BPF_DW, R10, R10, -32),
		 BPF_STX_MEM(BPF_B, R10, R3, -31), BPF_EXIT_INSN());
}

static void log_of_lookup(void **state)
{
	SAME_LOG(SOCKET_FILTER, 2, BPF_ST_MEM(BPF_W, R10, -8, 0), LOOKUP(HASH),
		 BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R3, R0, 0),
		 BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
}

static void log_of_bad_lookup(void **state)
{
	for (u32 level = 1; level <= 2; level++)
		SAME_LOG(SOCKET_FILTER, level, BPF_ST_MEM(BPF_W, R10, -8, 0), LOOKUP(HASH),
			 BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R3, R0, 8),
			 BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
}

static void log_of_packet(void **state)
{
	SAME_LOG(XDP, 2, BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_LDX_MEM(BPF_W, R3, R1, 4),
		 BPF_MOV64_REG(R4, R2), BPF_ALU64_IMM(BPF_ADD, R4, 14),
		 BPF_JMP_REG(BPF_JGT, R4, R3, 2), BPF_LDX_MEM(BPF_B, R0, R2, 13),
		 BPF_LDX_MEM(BPF_B, R0, R2, 14), BPF_MOV64_IMM(R0, 2), BPF_EXIT_INSN());
}

static void log_of_variable_packet_offset(void **state)
{
	SAME_LOG(XDP, 2, BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_LDX_MEM(BPF_W, R3, R1, 4),
		 BPF_LDX_MEM(BPF_W, R4, R1, 12), BPF_ALU64_IMM(BPF_AND, R4, 255),
		 BPF_ALU64_REG(BPF_ADD, R2, R4), BPF_MOV64_REG(R6, R2),
		 BPF_ALU64_IMM(BPF_ADD, R6, 4), BPF_JMP_REG(BPF_JGE, R6, R3, 2),
		 BPF_LDX_MEM(BPF_W, R0, R2, 0), BPF_LDX_MEM(BPF_B, R0, R6, 0), BPF_MOV64_IMM(R0, 2),
		 BPF_EXIT_INSN());
}

static void log_of_calls(void **state)
{
	SAME_LOG(SOCKET_FILTER, 2, BPF_MOV64_REG(R6, R1), BPF_MOV64_REG(R1, R10),
		 BPF_ALU64_IMM(BPF_ADD, R1, -8), BPF_CALL_REL(3), BPF_LDX_MEM(BPF_DW, R0, R10, -8),
		 BPF_ALU64_REG(BPF_ADD, R0, R6), BPF_EXIT_INSN(), BPF_MOV64_IMM(R2, 7),
		 BPF_STX_MEM(BPF_DW, R1, R2, 0), BPF_STX_MEM(BPF_DW, R10, R1, -8),
		 BPF_MOV64_IMM(R0, 1), BPF_EXIT_INSN());
}

static void log_of_linked_registers(void **state)
{
	SAME_LOG(SOCKET_FILTER, 2, BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_MOV64_REG(R3, R2),
		 BPF_ALU64_IMM(BPF_ADD, R3, -16), BPF_JMP_IMM(BPF_JGT, R3, 10, 1),
		 BPF_MOV64_REG(R4, R2), BPF_ALU64_IMM(BPF_ADD, R3, 3), BPF_MOV64_REG(R4, R2),
		 BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
}

static void log_of_precision(void **state)
{
	SAME_LOG(SOCKET_FILTER, 2, BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_MOV64_IMM(R7, 8),
		 BPF_JMP_IMM(BPF_JEQ, R2, 1, 1), BPF_MOV64_IMM(R7, 16),
		 BPF_STX_MEM(BPF_DW, R10, R7, -24), BPF_LDX_MEM(BPF_DW, R3, R10, -24),
		 BPF_MOV64_REG(R6, R10), BPF_ALU64_IMM(BPF_ADD, R6, -16),
		 BPF_ALU64_IMM(BPF_AND, R3, 7), BPF_ALU64_REG(BPF_ADD, R6, R3),
		 BPF_ST_MEM(BPF_B, R6, 0, 1), BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
}

static void log_of_infinite_loop(void **state)
{
	SAME_LOG(SOCKET_FILTER, 2, BPF_MOV64_IMM(R0, 0), BPF_LDX_MEM(BPF_W, R2, R1, 0),
		 BPF_JMP_IMM(BPF_JEQ, R2, 5, -2), BPF_EXIT_INSN());
}

static void log_of_exit_value(void **state)
{
	SAME_LOG(CGROUP_SKB, 2, BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_EXIT_INSN());
}

/* ---- as much work as Linux does: loops, branches, precise and imprecise */

static void work_of_counted_loop(void **state)
{
	SAME_LOG(SOCKET_FILTER, 4, BPF_MOV64_IMM(R0, 0), BPF_MOV64_IMM(R1, 0),
		 BPF_ALU64_IMM(BPF_ADD, R0, 1), BPF_ALU64_REG(BPF_ADD, R1, R0),
		 BPF_ALU64_IMM(BPF_AND, R1, 0xff), BPF_STX_MEM(BPF_DW, R10, R1, -8),
		 BPF_LDX_MEM(BPF_DW, R2, R10, -8), BPF_JMP_IMM(BPF_JLT, R0, 10000, -6),
		 BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
}

static void work_of_branches(void **state)
{
	struct bpf_insn insns[200];
	u32 n = 0;

	insns[n++] = BPF_MOV64_REG(R6, R1);
	insns[n++] = BPF_MOV64_IMM(R7, 0);
	for (u32 i = 0; i < 12; i++) {
		insns[n++] = BPF_LDX_MEM(BPF_W, R0, R6, 4);
		insns[n++] = BPF_JMP_IMM(BPF_JGT, R0, i, 1);
		insns[n++] = BPF_ALU64_IMM(BPF_ADD, R7, 1 << i);
	}
	insns[n++] = BPF_ALU64_IMM(BPF_AND, R7, 15);
	insns[n++] = BPF_MOV64_IMM(R0, 0);
	insns[n++] = BPF_JMP_IMM(BPF_JNE, R7, 3, 1);
	insns[n++] = BPF_MOV64_IMM(R0, 1);
	insns[n++] = BPF_EXIT_INSN();
	same_log(BPF_PROG_TYPE_SOCKET_FILTER, insns, n, 4);
}

static void work_of_nested_loops(void **state)
{
	SAME_LOG(SOCKET_FILTER, 4, BPF_MOV64_IMM(R6, 0), BPF_MOV64_IMM(R7, 0),
		 BPF_ALU64_IMM(BPF_ADD, R7, 1), BPF_JMP_IMM(BPF_JLT, R7, 30, -2),
		 BPF_ALU64_IMM(BPF_ADD, R6, 1), BPF_JMP_IMM(BPF_JLT, R6, 40, -5),
		 BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN());
}

/* ---- the flags for tests of the verifier */

static u32 states_of_branches(u32 flags)
{
	const char *states;
	struct result r;

	test_flags = flags;
	CHECK(&r, SOCKET_FILTER, 4, BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_JMP_IMM(BPF_JEQ, R0, 1, 1),
	      BPF_MOV64_IMM(R0, 2), BPF_JMP_IMM(BPF_JEQ, R0, 3, 1), BPF_MOV64_IMM(R0, 4),
	      BPF_EXIT_INSN());
	test_flags = 0;
	assert_int_equal(r.err, 0);
	states = strstr(bpf_log_text(&r.log), " total_states ");
	assert_non_null(states);
	flags = strtoul(states + strlen(" total_states "), NULL, 10);
	done(&r);
	return flags;
}

static void state_freq(void **state)
{
	assert_true(states_of_branches(0) < 3);
	assert_true(states_of_branches(BPF_F_TEST_STATE_FREQ) >= 3);
}

static void work_with_state_freq(void **state)
{
	test_flags = BPF_F_TEST_STATE_FREQ;
	work_of_branches(state);
	work_of_nested_loops(state);
	log_of_precision(state);
	test_flags = 0;
}

/* No program is known that comes to such a register: the function by itself. */
static void reg_invariants(void **state)
{
	struct bpf_verifier_env *env = calloc(1, sizeof(*env));
	struct bpf_verdict verdict = {0};
	struct bpf_reg_state reg;

	assert_non_null(env);
	env->out = &verdict;
	__mark_reg_unknown(&reg);
	assert_int_equal(check_bounds_sane(env, &reg, "test"), 0);
	reg.umin_value = 2;
	reg.umax_value = 1;
	env->test_reg_invariants = true;
	assert_int_equal(check_bounds_sane(env, &reg, "test"), -EFAULT);
	assert_non_null(
		strstr(reason_of(env->out), "REG INVARIANTS VIOLATION (test): u64=[0x2, 0x1]"));
	env->test_reg_invariants = false;
	assert_int_equal(check_bounds_sane(env, &reg, "test"), 0);
	assert_true(reg_bounds_sane(&reg));
	free(env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(const_key_of_array),
		cmocka_unit_test(zero_bytes_are_a_key),
		cmocka_unit_test(key_in_the_upper_half),
		cmocka_unit_test(key_past_the_end_may_be_null),
		cmocka_unit_test(different_keys_on_paths),
		cmocka_unit_test(different_maps_on_paths),
		cmocka_unit_test(dead_branch_is_not_seen),
		cmocka_unit_test(subprograms_and_their_stack),
		cmocka_unit_test(tail_call_is_noted),
		cmocka_unit_test(reason_of_structure),
		cmocka_unit_test(reason_joins_both_sentences),
		cmocka_unit_test(map_of_maps_is_no_memory),
		cmocka_unit_test(what_this_build_lacks),
		cmocka_unit_test(cancelled),
		cmocka_unit_test(too_many_instructions),
		cmocka_unit_test(too_many_branches),
		cmocka_unit_test(no_instructions),
		cmocka_unit_test(random_bytes),
		cmocka_unit_test(random_opcodes),
		cmocka_unit_test(truncated_programs),
		cmocka_unit_test(log_of_spills),
		cmocka_unit_test(log_of_lookup),
		cmocka_unit_test(log_of_bad_lookup),
		cmocka_unit_test(log_of_packet),
		cmocka_unit_test(log_of_variable_packet_offset),
		cmocka_unit_test(log_of_calls),
		cmocka_unit_test(log_of_linked_registers),
		cmocka_unit_test(log_of_precision),
		cmocka_unit_test(log_of_infinite_loop),
		cmocka_unit_test(log_of_exit_value),
		cmocka_unit_test(work_of_counted_loop),
		cmocka_unit_test(work_of_branches),
		cmocka_unit_test(work_of_nested_loops),
		cmocka_unit_test(state_freq),
		cmocka_unit_test(work_with_state_freq),
		cmocka_unit_test(reg_invariants),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
