/*
 * test_rewrite.c - from verified to executable instructions
 *
 * Each case loads a program through the whole pipeline, looks at what it became, and runs it in
 * both engines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "helpers/helpers.h"
#include "load.h"
#include "run/interp.h"
#include "run/test_run.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

#define MAP(reg, idx)                                                             \
	BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, reg, BPF_PSEUDO_MAP_IDX, 0, idx), \
		BPF_RAW_INSN(0, 0, 0, 0, 0)
#define CALL_LOCAL(off) BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, off)

static struct bpf_map *maps[4];
enum { ARRAY, HASH, ONE, PROGS };

static int make_maps(void **state)
{
	const struct bpf_map_spec specs[] = {
		{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 12, .max_entries = 5},
		{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 5},
		{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 64, .max_entries = 1},
		{.map_type = BPF_MAP_TYPE_PROG_ARRAY,
		 .key_size = 4,
		 .value_size = 4,
		 .max_entries = 2},
	};

	for (u32 i = 0; i < ARRAY_SIZE(specs); i++)
		if (bpf_map_create(&specs[i], 0, -1, -1, &maps[i]))
			return -1;
	return 0;
}

static int put_maps(void **state)
{
	for (u32 i = 0; i < ARRAY_SIZE(maps); i++)
		bpf_map_put(maps[i]);
	return 0;
}

static struct bpf_prog *load_flags(enum bpf_prog_type type, const struct bpf_insn *insns, u32 cnt,
				   u32 flags)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = type,
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
		.maps = maps,
		.map_cnt = ARRAY_SIZE(maps),
		.prog_flags = flags,
	};
	struct bpf_prog *prog;
	struct bpf_log log;

	bpf_log_init(&log, 1, 0);
	if (bpf_prog_load(&attr, &log, &log, NULL, &prog))
		fail_msg("refused: %s", bpf_log_text(&log));
	bpf_log_free(&log);
	for (u32 i = 0; i < prog->len; i++) { /* every index is one of the original's, in order */
		assert_true(prog->orig_idx[i] < cnt);
		assert_true(!i || prog->orig_idx[i - 1] <= prog->orig_idx[i]);
	}
	return prog;
}

static struct bpf_prog *load_type(enum bpf_prog_type type, const struct bpf_insn *insns, u32 cnt)
{
	return load_flags(type, insns, cnt, 0);
}

#define LOAD(insns) load_type(BPF_PROG_TYPE_SOCKET_FILTER, insns, ARRAY_SIZE(insns))

/* Run in both engines; they must agree. */
static u32 run(struct bpf_prog *prog)
{
	static u8 packet[64] = {[12] = 8, [13] = 0, [14] = 0x45};
	struct bpf_test_run r = {.data_in = packet, .data_size_in = sizeof(packet)};
	struct bpf_jit_image *jit = prog->jit;
	bpf_prog_fn native = prog->bpf_func;
	u32 retval;

	assert_int_equal(bpf_prog_test_run(prog, &r), 0);
	retval = r.retval;
	if (jit) {
		prog->jit = NULL;
		prog->bpf_func = bpf_interp_run;
		assert_int_equal(bpf_prog_test_run(prog, &r), 0);
		prog->jit = jit;
		prog->bpf_func = native;
		assert_int_equal(r.retval, retval);
	}
	return retval;
}

static u32 count_code(const struct bpf_prog *prog, u8 code)
{
	u32 n = 0;

	for (u32 i = 0; i < prog->len; i++)
		n += prog->insnsi[i].code == code;
	return n;
}

#define CALLS(prog) count_code(prog, BPF_JMP | BPF_CALL)

static void dead_sides_of_branches_go(void **state)
{
	const struct bpf_insn never[] = {
		BPF_MOV64_IMM(0, 3),
		BPF_JMP_IMM(BPF_JEQ, 0, 4, 2), /* never */
		BPF_ALU64_IMM(BPF_ADD, 0, 10),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 99),
		BPF_MOV64_IMM(0, 98),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn always[] = {
		BPF_MOV64_IMM(0, 3),	       BPF_JMP_IMM(BPF_JEQ, 0, 3, 2), /* always */
		BPF_MOV64_IMM(0, 99),	       BPF_EXIT_INSN(),
		BPF_ALU64_IMM(BPF_ADD, 0, 20), BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = LOAD(never);

	assert_int_equal(prog->len, 3);
	assert_int_equal(run(prog), 13);
	bpf_prog_put(prog);
	prog = LOAD(always);
	assert_int_equal(prog->len, 3);
	assert_int_equal(prog->orig_idx[1], 4);
	assert_int_equal(run(prog), 23);
	bpf_prog_put(prog);
}

static void jumps_to_the_next_instruction_go(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(0, 1),
		BPF_JMP_A(0),
		BPF_JMP_IMM(BPF_JNE, 0, 7, 2), /* always, over what is dead */
		BPF_MOV64_IMM(0, 99),
		BPF_EXIT_INSN(),
		BPF_JMP_A(0),
		BPF_ALU64_IMM(BPF_ADD, 0, 1),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = LOAD(insns);

	assert_int_equal(prog->len, 3);
	assert_int_equal(run(prog), 2);
	bpf_prog_put(prog);
}

/* A backward jump to its own next instruction does not exist; one that closes a loop must stay. */
static void loops_keep_their_jumps(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(0, 0),
		BPF_JMP_A(1),
		BPF_ALU64_IMM(BPF_ADD, 0, 3),
		BPF_ALU64_IMM(BPF_ADD, 0, 1),
		BPF_JMP_IMM(BPF_JGE, 0, 20, 1),
		BPF_JMP_A(-4),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = LOAD(insns);

	assert_int_equal(run(prog), 21);
	bpf_prog_put(prog);
}

static void unused_subprograms_go(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(1, 5),
		BPF_MOV64_IMM(2, 1),
		BPF_JMP_IMM(BPF_JEQ, 2, 0, 2), /* never */
		CALL_LOCAL(4), /* 8: add 2 */
		BPF_EXIT_INSN(),
		CALL_LOCAL(5), /* 11: dead */
		BPF_MOV64_IMM(0, 1),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(0, 1),
		BPF_ALU64_IMM(BPF_ADD, 0, 2),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 77),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = LOAD(insns);

	assert_int_equal(prog->subprog_cnt, 2);
	assert_int_equal(prog->subprogs[0].start, 0);
	assert_int_equal(prog->insnsi[prog->subprogs[1].start].code, BPF_ALU64 | BPF_MOV | BPF_X);
	assert_int_equal(run(prog), 7);
	bpf_prog_put(prog);
}

static void context_fields_are_redirected(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_W, 2, 1, offsetof(struct __sk_buff, data)),
		BPF_LDX_MEM(BPF_W, 3, 1, offsetof(struct __sk_buff, data_end)),
		BPF_MOV64_IMM(0, 0),
		BPF_MOV64_REG(4, 2),
		BPF_ALU64_IMM(BPF_ADD, 4, 14),
		BPF_JMP_REG(BPF_JGT, 4, 3, 1),
		BPF_LDX_MEM(BPF_H, 0, 2, 12),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = load_type(BPF_PROG_TYPE_SCHED_CLS, insns, ARRAY_SIZE(insns));

	assert_int_equal(prog->insnsi[0].code, BPF_LDX | BPF_MEM | BPF_DW);
	assert_true(prog->insnsi[0].off >= (int)sizeof(struct __sk_buff));
	assert_int_equal(run(prog), 8);
	bpf_prog_put(prog);
}

static void lookup_of_key(s32 key, struct bpf_insn *p)
{
	const struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_W, 10, -4, key),
		MAP(1, ARRAY),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, 0, 0, 2),
		BPF_LDX_MEM(BPF_W, 0, 0, 8),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 55),
		BPF_EXIT_INSN(),
	};

	memcpy(p, insns, sizeof(insns));
}

static void constant_keys_become_addresses(void **state)
{
	struct bpf_insn insns[11];
	struct bpf_prog *prog;

	for (u32 key = 0; key < 7; key++) {
		u32 value[3] = {0, 0, 100 + key};

		if (key < 5)
			assert_int_equal(bpf_map_update(maps[ARRAY], &key, value, 0), 0);
		lookup_of_key((s32)key, insns);
		prog = LOAD(insns);
		assert_int_equal(CALLS(prog), 0);
		assert_int_equal(run(prog), key < 5 ? 100 + key : 55);
		bpf_prog_put(prog);
	}
	lookup_of_key(-1, insns);
	prog = LOAD(insns);
	assert_int_equal(run(prog), 55);
	bpf_prog_put(prog);
}

/*
 * The key comes from the packet: array lookups are made of instructions, those of a hash call it
 * directly.
 */
static void known_maps_lose_the_dispatch(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_W, 2, 1, offsetof(struct __sk_buff, protocol)), /* 8 */
		BPF_ALU64_IMM(BPF_SUB, 2, 5),
		BPF_STX_MEM(BPF_W, 10, 2, -4), /* 3 */
		MAP(1, ARRAY),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, 0, 0, 10),
		BPF_LDX_MEM(BPF_W, 6, 0, 8),
		MAP(1, HASH),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, 0, 0, 4),
		BPF_LDX_MEM(BPF_DW, 0, 0, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 6),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 0),
		BPF_MOV64_IMM(0, 44),
		BPF_EXIT_INSN(),
	};
	const struct bpf_map_ops *hash = maps[HASH]->ops;
	u32 key = 3, value[3] = {0, 0, 103};
	u64 big = 1000;
	struct bpf_prog *prog;

	assert_int_equal(bpf_map_update(maps[ARRAY], &key, value, 0), 0);
	prog = LOAD(insns);
	assert_int_equal(run(prog), 44);
	assert_int_equal(bpf_map_update(maps[HASH], &key, &big, 0), 0);
	assert_int_equal(run(prog), 1103);
	for (u32 i = 0; i < prog->len; i++) {
		const struct bpf_insn *insn = &prog->insnsi[i];

		if (bpf_insn_is_imm64(insn)) {
			i++;
		} else if (insn->code == (BPF_JMP | BPF_CALL)) {
			assert_true(BPF_CALL_FUNC(insn->imm) !=
				    bpf_base_func_proto(BPF_FUNC_map_lookup_elem, NULL)->func);
			if (!hash->map_gen_lookup)
				assert_ptr_equal(BPF_CALL_FUNC(insn->imm), hash->map_lookup_elem);
		}
	}
	bpf_prog_put(prog);
	bpf_map_delete(maps[HASH], &key);
}

/* Programs reach the values of every slot, one by one; a lookup reaches its own. */
static void values_of_each_slot(void **state)
{
	const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PERCPU_ARRAY,
					  .key_size = 4,
					  .value_size = 8,
					  .max_entries = 2};
	struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_W, 10, -4, 1),
		MAP(1, 0),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_MOV64_IMM(3, 0),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_percpu_elem),
		BPF_JMP_IMM(BPF_JEQ, 0, 0, 2),
		BPF_LDX_MEM(BPF_DW, 0, 0, 0),
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 1),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = ARRAY_SIZE(insns),
					  .map_cnt = 1};
	u64 *values = calloc(bpf_nr_slots(), sizeof(*values));
	struct bpf_prog *prog;
	struct bpf_map *map;
	u32 key = 1;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	for (u32 i = 0; i < bpf_nr_slots(); i++)
		values[i] = 100 + i;
	assert_int_equal(bpf_map_update(map, &key, values, 0), 0);
	attr.maps = &map;
	for (u32 i = 0; i < bpf_nr_slots() + 1; i++) {
		insns[5].imm = (s32)i;
		assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
		assert_int_equal(run(prog), i < bpf_nr_slots() ? 100 + i : 1);
		bpf_prog_put(prog);
	}
	/* Only maps that have such values are taken. */
	attr.maps = &maps[ARRAY];
	assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), -EINVAL);
	bpf_map_put(map);
	free(values);
}

static void direct_values(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_IDX_VALUE, 0, ONE),
		BPF_RAW_INSN(0, 0, 0, 0, 24),
		BPF_LDX_MEM(BPF_W, 0, 1, 4),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = LOAD(insns);
	u32 key = 0, value[16] = {0};

	value[7] = 4711;
	assert_int_equal(bpf_map_update(maps[ONE], &key, value, 0), 0);
	assert_int_equal(run(prog), 4711);
	assert_int_equal(bpf_insn_imm64(prog->insnsi), (uintptr_t)maps[ONE]->values + 24);
	assert_int_equal(prog->insnsi[0].src_reg, BPF_PSEUDO_MAP_IDX_VALUE);
	bpf_prog_put(prog);
}

static void tail_calls_become_an_instruction(void **state)
{
	const struct bpf_insn target[] = {BPF_MOV64_IMM(0, 42), BPF_EXIT_INSN()};
	const struct bpf_insn insns[] = {
		MAP(2, PROGS),	     BPF_MOV64_IMM(3, 1), BPF_EMIT_CALL(BPF_FUNC_tail_call),
		BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = LOAD(insns), *to = LOAD(target);
	u32 key = 1;

	assert_true(prog->has_tail_call);
	assert_int_equal(count_code(prog, BPF_JMP | BPF_TAIL_CALL), 1);
	assert_int_equal(run(prog), 7);
	assert_int_equal(bpf_map_update_slot(maps[PROGS], &key, to, BPF_ANY), 0);
	assert_int_equal(run(prog), 42);
	assert_int_equal(bpf_map_delete(maps[PROGS], &key), 0);
	assert_int_equal(run(prog), 7);
	bpf_prog_put(prog);
	bpf_prog_put(to);
}

/* A jump over many expanded instructions: a goto that no longer fits 16 bits becomes one of 32. */
static void long_jumps(void **state)
{
	enum { N = 9000 };
	struct bpf_insn *insns = calloc(N + 32, sizeof(*insns)), *p = insns;
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
					  .license = "GPL",
					  .maps = maps,
					  .map_cnt = 4};
	struct bpf_prog *prog;
	struct bpf_log log;
	u32 body, at_goto;

	/* Every lookup becomes seven or eight instructions. */
	*p++ = BPF_LDX_MEM(BPF_W, 6, 1, offsetof(struct __sk_buff, len));
	*p++ = BPF_STX_MEM(BPF_W, 10, 6, -4);
	*p++ = BPF_JMP_IMM(BPF_JGT, 6, 10, 1);
	at_goto = (u32)(p - insns);
	*p++ = BPF_JMP_A(1);
	*p++ = BPF_JMP_A(0); /* the distance is filled in */
	body = (u32)(p - insns);
	while (p - insns < N) {
		const struct bpf_insn lookup[] = {
			MAP(1, ARRAY),
			BPF_MOV64_REG(2, 10),
			BPF_ALU64_IMM(BPF_ADD, 2, -4),
			BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		};

		memcpy(p, lookup, sizeof(lookup));
		p += ARRAY_SIZE(lookup);
	}
	insns[at_goto + 1].off = (s16)(p - insns - (at_goto + 2));
	*p++ = BPF_MOV64_IMM(0, 12);
	*p++ = BPF_EXIT_INSN();
	attr.insns = insns;
	attr.insn_cnt = (u32)(p - insns);

	bpf_log_init(&log, 1, 0);
	if (bpf_prog_load(&attr, NULL, &log, NULL, &prog))
		fail_msg("refused: %s", bpf_log_text(&log));
	bpf_log_free(&log);
	assert_true(prog->len > attr.insn_cnt + N / 5 * 5);
	assert_true(body > 0);
	assert_int_equal(run(prog), 12);
	bpf_prog_put(prog);
	free(insns);
}

/* ---- at random: programs of branches that are decided, or not, with dead code in between */

static u64 rng = 0x9e3779b97f4a7c15ULL;

static u32 rnd(u32 n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (u32)(rng >> 11) % n;
}

static u32 random_prog(struct bpf_insn *insns, u32 n)
{
	static const u8 jumps[] = {BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JLE, BPF_JSET, BPF_JSLT};
	u32 i = 0;

	insns[i++] = BPF_LDX_MEM(BPF_W, 6, 1, offsetof(struct __sk_buff, len));
	insns[i++] = BPF_MOV64_IMM(0, 1);
	insns[i++] = BPF_MOV64_IMM(7, (s32)rnd(4));
	while (i < n - 2) {
		u32 room = n - 2 - i; /* a jump may go as far as the last MOV */
		s16 off = (s16)rnd(min(room, 6u));

		switch (rnd(6)) {
		case 0:
			insns[i++] = BPF_JMP_A(rnd(8) ? 0 : off);
			break;
		case 1: /* decided */
			insns[i++] = BPF_JMP_IMM(jumps[rnd(6)], 7, (s32)rnd(4), off);
			break;
		case 2: /* not decided */
			insns[i++] = BPF_JMP_IMM(jumps[rnd(6)], 6, (s32)rnd(100), off);
			break;
		case 3:
			insns[i++] = BPF_ALU64_IMM(BPF_XOR, 7, (s32)rnd(4));
			break;
		default:
			insns[i++] = BPF_ALU64_IMM(rnd(2) ? BPF_MUL : BPF_ADD, 0, (s32)rnd(1000));
		}
	}
	insns[i++] = BPF_ALU64_IMM(BPF_ADD, 0, 1);
	insns[i++] = BPF_EXIT_INSN();
	return i;
}

static void random_branches_run_as_in_the_kernel(void **state)
{
	static u8 packet[64];
	u32 loaded = 0, shorter = 0;

	if (kernel_unavailable()) {
		print_message("no bpf(2): %s\n", kernel_unavailable());
		skip();
	}
	for (u32 round = 0; round < 1500; round++) {
		struct bpf_insn insns[48];
		struct bpf_prog_load_attr attr = {
			.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .license = "GPL", .insns = insns};
		struct bpf_test_run r = {.data_in = packet, .data_size_in = sizeof(packet)};
		struct bpf_prog *prog;
		int fd;

		attr.insn_cnt = random_prog(insns, 8 + rnd(40));
		fd = kernel_prog_load(&attr, NULL, 0, NULL, 0);
		if (fd < 0) /* code that no jump reaches at all is refused */
			continue;
		loaded++;
		assert_int_equal(bpf_prog_load(&attr, NULL, NULL, NULL, &prog), 0);
		shorter += prog->len < attr.insn_cnt;
		assert_int_equal(kernel_test_run(fd, &r), 0);
		assert_int_equal(run(prog), r.retval);
		bpf_prog_put(prog);
		close(fd);
	}
	assert_true(loaded > 300);
	assert_true(shorter > 100);
}

/* ---- barriers of strict programs */

#define STRICT(type, insns) load_flags(type, insns, ARRAY_SIZE(insns), PROG_F_STRICT)
#define BARRIER		    (BPF_ST | BPF_NOSPEC)

/* Of the original's instruction i: how many barriers stand before it, and how many behind it. */
static void expect_barriers(const struct bpf_prog *prog, u32 i, u32 before, u32 behind)
{
	u32 n = 0, at[2] = {0, 0};
	bool body = false;

	for (u32 k = 0; k < prog->len; k++) {
		if (prog->orig_idx[k] != i)
			continue;
		n++;
		if (prog->insnsi[k].code == BARRIER)
			at[body]++;
		else
			body = true;
	}
	assert_true(n);
	assert_int_equal(at[0], before);
	assert_int_equal(at[1], behind);
}

static void barriers(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_W, 6, 1, 0), /* len */
		BPF_MOV64_REG(7, 6),
		BPF_ST_MEM(BPF_W, 10, -4, 0), /* 2: a number over nothing */
		BPF_STX_MEM(BPF_DW, 10, 1, -16), /* 3: an address */
		BPF_ST_MEM(BPF_DW, 10, -16, 0), /* 4: a number over an address */
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		MAP(1, ARRAY),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), /* 9: the key is known: an address */
		BPF_ALU64_IMM(BPF_AND, 6, 3),
		BPF_ALU64_REG(BPF_ADD, 0, 6), /* 11: calculated bounds */
		BPF_JMP_IMM(BPF_JGT, 7, 3, 1),
		BPF_ALU64_REG(BPF_ADD, 0, 7), /* 13: compared bounds */
		BPF_LDX_MEM(BPF_B, 0, 0, 0),
		BPF_MOV64_IMM(0, 3),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = STRICT(BPF_PROG_TYPE_SOCKET_FILTER, insns);

	expect_barriers(prog, 3, 0, 1);
	expect_barriers(prog, 4, 0, 1);
	expect_barriers(prog, 13, 1, 0);
	assert_int_equal(count_code(prog, BARRIER), 3);
	assert_true(prog->fence_stack);
	assert_int_equal(run(prog), 3);
	bpf_prog_put(prog);
	prog = LOAD(insns);
	assert_int_equal(count_code(prog, BARRIER), 0);
	assert_false(prog->fence_stack);
	bpf_prog_put(prog);
}

/* Jumps go before the barrier; calls and what is behind it keep their distances. */
static void jumps_to_barriers(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_REG(6, 1),
		BPF_LDX_MEM(BPF_W, 2, 1, offsetof(struct __sk_buff, data)),
		BPF_LDX_MEM(BPF_W, 3, 1, offsetof(struct __sk_buff, data_end)),
		BPF_MOV64_REG(4, 2),
		BPF_ALU64_IMM(BPF_ADD, 4, 15),
		BPF_JMP_REG(BPF_JLE, 4, 3, 2),
		BPF_MOV64_IMM(0, 1),
		BPF_EXIT_INSN(),
		BPF_JMP_A(0), /* 8: the packet is long enough, and a jump to the next */
		CALL_LOCAL(2),
		BPF_LDX_MEM(BPF_B, 0, 2, 14), /* 10: never, R2 is gone */
		BPF_EXIT_INSN(),
		BPF_LDX_MEM(BPF_B, 0, 2, 14), /* 12 */
		BPF_EXIT_INSN(),
	};
	struct bpf_insn fixed[ARRAY_SIZE(insns)];
	struct bpf_prog *prog;

	memcpy(fixed, insns, sizeof(insns));
	fixed[10] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 1);
	prog = STRICT(BPF_PROG_TYPE_SCHED_CLS, fixed);
	expect_barriers(prog, 8, 1, 0);
	assert_int_equal(run(prog), 0x46);
	bpf_prog_put(prog);
}

/* The index of a lookup that is not known, what a helper fills, and an index of a tail call. */
static void barriers_of_calls(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_REG(6, 1),
		BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32),
		BPF_STX_MEM(BPF_W, 10, 0, -4),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		MAP(1, ARRAY),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), /* 7 */
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		MAP(1, HASH),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), /* 12: a search */
		BPF_MOV64_REG(1, 6),
		BPF_MOV64_IMM(2, 0),
		BPF_MOV64_REG(3, 10),
		BPF_ALU64_IMM(BPF_ADD, 3, -16),
		BPF_MOV64_IMM(4, 8),
		BPF_EMIT_CALL(BPF_FUNC_skb_load_bytes), /* 18 */
		BPF_MOV64_REG(1, 6),
		MAP(2, PROGS),
		BPF_MOV64_IMM(3, 1),
		BPF_EMIT_CALL(BPF_FUNC_tail_call),
		BPF_MOV64_IMM(0, 7),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = STRICT(BPF_PROG_TYPE_SOCKET_FILTER, insns);

	expect_barriers(prog, 1, 0, 0);
	expect_barriers(prog, 7, 0, 1);
	expect_barriers(prog, 12, 0, 0);
	expect_barriers(prog, 18, 0, 1);
	assert_int_equal(run(prog), 7);
	bpf_prog_put(prog);
}

/* What only a wrong guess reaches is not there any more, and what it may not do has a barrier. */
static void wrong_guesses(void **state)
{
	const struct bpf_insn insns[] = {
		BPF_LDX_MEM(BPF_W, 6, 1, 0), /* len */
		BPF_MOV64_IMM(7, 0),
		BPF_JMP_IMM(BPF_JGT, 6, 1000, 1),
		BPF_MOV64_REG(7, 10), /* an address: of short packets alone */
		BPF_ST_MEM(BPF_DW, 10, -8, 5),
		BPF_JMP_IMM(BPF_JGT, 6, 1000, 2),
		BPF_LDX_MEM(BPF_DW, 0, 7, -8), /* 6 */
		BPF_EXIT_INSN(),
		BPF_MOV64_IMM(0, 2),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = STRICT(BPF_PROG_TYPE_SOCKET_FILTER, insns);

	expect_barriers(prog, 6, 1, 0);
	assert_int_equal(run(prog), 5);
	bpf_prog_put(prog);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(barriers),
		cmocka_unit_test(jumps_to_barriers),
		cmocka_unit_test(barriers_of_calls),
		cmocka_unit_test(wrong_guesses),
		cmocka_unit_test(dead_sides_of_branches_go),
		cmocka_unit_test(jumps_to_the_next_instruction_go),
		cmocka_unit_test(loops_keep_their_jumps),
		cmocka_unit_test(unused_subprograms_go),
		cmocka_unit_test(context_fields_are_redirected),
		cmocka_unit_test(constant_keys_become_addresses),
		cmocka_unit_test(known_maps_lose_the_dispatch),
		cmocka_unit_test(values_of_each_slot),
		cmocka_unit_test(direct_values),
		cmocka_unit_test(tail_calls_become_an_instruction),
		cmocka_unit_test(long_jumps),
		cmocka_unit_test(random_branches_run_as_in_the_kernel),
	};

	return cmocka_run_group_tests(tests, make_maps, put_maps);
}
