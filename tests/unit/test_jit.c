/*
 * test_jit.c - jumps, calls, tail calls, packet loads, and what is refused
 */
#include "tests/lib/jitprog.h"

#include <linux/filter.h>
#include <time.h>

#include "prog_type/skb/skb.h"
#include "map/create.h"
#include "map/syscall.h"

/* ---- control flow */

static void jumps_always(void **state)
{
	assert_int_equal(
		RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP_A(1), BPF_MOV64_IMM(0, 2), BPF_EXIT_INSN()),
		1);
	assert_int_equal(RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP32_A(1), BPF_MOV64_IMM(0, 2),
			     BPF_EXIT_INSN()),
			 1);
	/* to the next instruction, backward, and back to the very first one */
	assert_int_equal(
		RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP_A(0), BPF_JMP32_A(0), BPF_EXIT_INSN()), 1);
	assert_int_equal(RUN(NULL, BPF_MOV64_IMM(0, 1), BPF_JMP_A(2), BPF_ALU64_IMM(BPF_ADD, 0, 5),
			     BPF_EXIT_INSN(), BPF_JMP32_A(-3)),
			 6);
}

/* A jump to the first instruction does not enter the function again. */
static void jumps_to_first(void **state)
{
	const struct bpf_insn p[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_IMM(BPF_SUB, 0, 1),
		BPF_STX_MEM(BPF_DW, 1, 0, 0),
		BPF_MOV64_REG(6, 0),
		BPF_JMP_IMM(BPF_JSGT, 0, 0, -5),
		BPF_MOV64_IMM(0, 3),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jitprog_compile1(p, ARRAY_SIZE(p));
	u64 n = 100000; /* frames, if each jump made one, would not fit on the stack */

	assert_int_equal(jitprog_call(prog, &n), 3);
	assert_int_equal(n, 0);
	jitprog_free(prog);
}

/* Distances around every boundary between short and long jumps, in both directions. */
static void jumps_of_all_lengths(void **state)
{
	static struct bpf_insn p[40000];

	for (u32 fill = 0; fill < 33000; fill += fill < 80 ? 1 : fill < 32000 ? 6311 : 100) {
		bool far = fill > 32700;
		u32 n = 0;
		u64 ctx;

		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 2, 1, 0);
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 1);
		if (far) {
			p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JNE, 2, 7, 1);
			p[n++] = (struct bpf_insn)BPF_JMP32_A(fill + 3);
		} else {
			p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JEQ, 2, 7, fill + 1);
		}
		for (u32 i = 0; i < fill; i++)
			p[n++] = (struct bpf_insn)BPF_ALU32_IMM(BPF_ADD, 0, i & 1 ? 1 : 1000);
		if (far) {
			p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JNE, 2, 9, 2);
			p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 2, 1);
			p[n++] = (struct bpf_insn)BPF_JMP32_A(-(s32)fill - 3);
		} else {
			p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 2, 1);
			p[n - 1] = (struct bpf_insn)BPF_EXIT_INSN();
		}
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
		ctx = 7;
		assert_int_equal(jitprog_run(p, n, &(struct jitprog_sub){0, 0}, 1, &ctx), 1);
		ctx = 8;
		assert_int_equal(jitprog_run(p, n, &(struct jitprog_sub){0, 0}, 1, &ctx),
				 1 + fill / 2 + (u64)(fill - fill / 2) * 1000);
		ctx = 9;
		assert_int_equal(jitprog_run(p, n, &(struct jitprog_sub){0, 0}, 1, &ctx),
				 1 + (far ? 2 : 1) * (fill / 2 + (u64)(fill - fill / 2) * 1000));
	}
}

/* Compile, run, check; the processor time of compiling. */
static double cost(const struct bpf_insn *p, u32 n, u64 result)
{
	struct timespec start, end;
	struct bpf_prog *prog;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
	prog = jitprog_compile1(p, n);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	assert_int_equal(bpf_prog_run(prog, NULL), result);
	jitprog_free(prog);
	return (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
}

/* Eight times the program may cost much more than eight times as much, but not sixty-four times. */
static void assert_no_square(double (*of_size)(u32 size), u32 size)
{
	double small = of_size(size / 8), large = of_size(size);

	if (large > 32 * small)
		fail_msg("%f s for %u, %f s for %u", small, size / 8, large, size);
}

/* Blocks that run from the last to the first, and R6 is read in the very last. */
static double backward(u32 blocks)
{
	struct bpf_insn *p = malloc((blocks * 2 + 8) * sizeof(*p));
	double spent;
	u32 n = 0;

	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6, 7);
	p[n++] = (struct bpf_insn)BPF_JMP32_A(blocks * 2);
	p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6);
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	for (u32 i = 0; i < blocks; i++) {
		p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 1);
		p[n++] = (struct bpf_insn)BPF_JMP_A(-4);
	}
	spent = cost(p, n, blocks + 7);
	free(p);
	return spent;
}

static void jumps_backward_all_the_way(void **state)
{
	assert_no_square(backward, 120000);
}

/*
 * Each jump spans 124 bytes, and more when one of the twelve inside of it is long; the last one has
 * to be.
 */
static double growing(u32 cnt)
{
	struct bpf_insn *p = malloc(cnt * sizeof(*p));
	double spent;
	u32 n = 0;

	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
	while (n < cnt - 64) {
		p[n++] = (struct bpf_insn)BPF_JMP_IMM(BPF_JEQ, 0, 1, 25);
		p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_ADD, 0, 4);
	}
	while (n < cnt - 1)
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(1, -1);
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	spent = cost(p, n, (cnt - 64) / 2 * 4);
	free(p);
	return spent;
}

static void jumps_that_grow_one_by_one(void **state)
{
	assert_no_square(growing, 600000);
}

/* ---- calls */

static void calls_helper(void **state)
{
	/* with 0 to 4 registers to keep, and stacks of every alignment */
	for (u32 depth = 0; depth <= MAX_BPF_STACK; depth += 8) {
		for (int keep = 0; keep <= 4; keep++) {
			struct bpf_insn p[32];
			u32 n = 0;

			for (int k = 0; k < keep; k++)
				p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6 + k, 100 + k);
			for (int k = 1; k <= 5; k++)
				p[n++] = (struct bpf_insn)BPF_MOV64_IMM(k, k);
			p[n++] = (struct bpf_insn)CALL_C(jitprog_helper);
			for (int k = 0; k < keep; k++)
				p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6 + k);
			p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
			assert_int_equal(
				jitprog_run(p, n, &(struct jitprog_sub){0, depth}, 1, NULL),
				54321 + keep * 100 + keep * (keep - 1) / 2);
		}
	}
}

static void calls_keep_c_registers(void **state)
{
	for (u32 mask = 0; mask < 16; mask++) {
		struct bpf_insn p[16];
		struct bpf_prog *prog;
		u32 n = 0;

		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
		for (int k = 0; k < 4; k++)
			if (mask >> k & 1) {
				p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6 + k, 1 << k);
				p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6 + k);
			}
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
		prog = jitprog_compile1(p, n);
		assert_int_equal(jitprog_call(prog, NULL), mask);
		jitprog_free(prog);
	}
}

/* Eight frames, each with its own 512 bytes and its own R6 to R9. */
static void calls_nested(void **state)
{
	struct bpf_insn p[128];
	struct jitprog_sub subs[8];
	u32 n = 0;

	for (u32 f = 0; f < 8; f++) {
		subs[f] = (struct jitprog_sub){n, MAX_BPF_STACK};
		if (!f)
			p[n++] = (struct bpf_insn)BPF_MOV64_IMM(1, 3);
		p[n++] = (struct bpf_insn)BPF_MOV64_REG(6 + f % 4, 1);
		p[n++] = (struct bpf_insn)BPF_STX_MEM(BPF_DW, 10, 1, -512);
		p[n++] = (struct bpf_insn)BPF_STX_MEM(BPF_DW, 10, 1, -8);
		p[n++] = (struct bpf_insn)BPF_ALU64_IMM(BPF_MUL, 1, 3);
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, 0);
		if (f < 7) {
			p[n] = (struct bpf_insn)BPF_CALL_REL(7);
			n++;
		}
		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 2, 10, -512);
		p[n++] = (struct bpf_insn)BPF_LDX_MEM(BPF_DW, 3, 10, -8);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 2);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 3);
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 0, 6 + f % 4);
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	}
	for (u32 f = 0; f < 7; f++) /* the call is the sixth before the last of each frame */
		for (u32 i = subs[f].start; i < subs[f + 1].start; i++)
			if (bpf_insn_is_pseudo_call(&p[i]))
				p[i].imm = subs[f + 1].start - i - 1;
	/* 3 * (3 + 9 + ... + 3^8) */
	assert_int_equal(jitprog_run(p, n, subs, 8, NULL), 3 * ((6561 * 3 - 3) / 2));
}

static void calls_many_subprogs(void **state)
{
	static struct bpf_insn p[256 * 4 + 512];
	static struct jitprog_sub subs[256];
	u32 n = 0;

	subs[0] = (struct jitprog_sub){0, 0};
	p[n++] = (struct bpf_insn)BPF_MOV64_IMM(6, 0);
	for (u32 f = 1; f < 256; f++) {
		p[n] = (struct bpf_insn)BPF_CALL_REL(255 * 2 + 3 + (f - 1) * 2 - n - 1);
		n++;
		p[n++] = (struct bpf_insn)BPF_ALU64_REG(BPF_ADD, 6, 0);
	}
	p[n++] = (struct bpf_insn)BPF_MOV64_REG(0, 6);
	p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	assert_int_equal(n, 255 * 2 + 3);
	for (u32 f = 1; f < 256; f++) {
		subs[f] = (struct jitprog_sub){n, 0};
		p[n++] = (struct bpf_insn)BPF_MOV64_IMM(0, f);
		p[n++] = (struct bpf_insn)BPF_EXIT_INSN();
	}
	assert_int_equal(jitprog_run(p, n, subs, 256, NULL), 255 * 256 / 2);
}

/* R10 where an operand is wanted: compared, added, subtracted, stored. */
static void fp_as_operand(void **state)
{
	for (int keep = 0; keep < 2;
	     keep++) { /* with and without a register saved above the stack */
		struct bpf_insn save = keep ? (struct bpf_insn)BPF_MOV64_IMM(6, 1)
					    : (struct bpf_insn)BPF_MOV64_IMM(5, 1);

		assert_int_equal(RUN(NULL, save, BPF_MOV64_REG(2, 10),
				     BPF_ALU64_IMM(BPF_ADD, 2, -16), BPF_MOV64_REG(3, 10),
				     BPF_ALU64_REG(BPF_SUB, 3, 2), BPF_MOV64_IMM(0, -16),
				     BPF_ALU64_REG(BPF_ADD, 0, 10), BPF_ALU64_REG(BPF_SUB, 0, 2),
				     BPF_ALU64_REG(BPF_ADD, 0, 3), BPF_JMP_REG(BPF_JGT, 10, 2, 1),
				     BPF_MOV64_IMM(0, -1), BPF_JMP_REG(BPF_JLT, 2, 10, 1),
				     BPF_MOV64_IMM(0, -2), BPF_JMP_IMM(BPF_JNE, 10, 0, 1),
				     BPF_MOV64_IMM(0, -3), BPF_JMP_IMM(BPF_JSET, 10, -8, 1),
				     BPF_MOV64_IMM(0, -4), BPF_EXIT_INSN()),
				 16);
		assert_int_equal(RUN(NULL, save, BPF_STX_MEM(BPF_DW, 10, 10, -8),
				     BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_ALU64_REG(BPF_SUB, 0, 10),
				     BPF_EXIT_INSN()),
				 0);
		assert_int_equal(RUN(NULL, save, BPF_ST_MEM(BPF_DW, 10, -8, 5),
				     BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 10, 10, -8),
				     BPF_LDX_MEM(BPF_DW, 0, 10, -8), BPF_ALU64_REG(BPF_SUB, 0, 10),
				     BPF_EXIT_INSN()),
				 5);
		assert_int_equal(RUN(NULL, save, BPF_ST_MEM(BPF_DW, 10, -8, 5), BPF_MOV64_IMM(0, 5),
				     BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, 10, 10, -8),
				     BPF_LDX_MEM(BPF_DW, 1, 10, -8), BPF_ALU64_REG(BPF_SUB, 1, 10),
				     BPF_ALU64_REG(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
				 5);
	}
}

/* The address of a subprogram, as callbacks are passed, can be called by C. */
static u64 helper_callback(u64 func, u64 arg, u64 c, u64 d, u64 e)
{
	return ((u64(*)(u64))func)(arg) + 1;
}

static void calls_callback(void **state)
{
	const struct bpf_insn p[] = {
		BPF_LD_IMM64_RAW_FULL(1, BPF_PSEUDO_FUNC, 0, 0, 4, 0),
		BPF_MOV64_IMM(2, 20),
		CALL_C(helper_callback),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(6, 1),
		BPF_MOV64_REG(0, 6),
		BPF_ALU64_IMM(BPF_MUL, 0, 2),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog =
		jitprog_compile(p, ARRAY_SIZE(p), (struct jitprog_sub[]){{0, 0}, {5, 8}}, 2);

	assert_int_equal(bpf_prog_run(prog, NULL), 41);
	jitprog_free(prog);
}

/* ---- tail calls */

static struct bpf_map *make_prog_array(u32 max_entries)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_PROG_ARRAY,
				    .key_size = 4,
				    .value_size = 4,
				    .max_entries = max_entries};
	struct bpf_map *map;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	return map;
}

/* A counted program with an id, so that an array can hold it. */
static struct bpf_prog *jit_counted(const struct bpf_insn *insns, u32 cnt,
				    const struct jitprog_sub *subs, u32 sub_cnt)
{
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
					  .name = "tail",
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = cnt};
	struct bpf_prog *raw = jitprog_new(insns, cnt, subs, sub_cnt),
			*prog = bpf_prog_alloc(&attr);

	jitprog_need_jit();
	assert_non_null(prog);
	free(prog->subprogs);
	prog->insnsi = raw->insnsi;
	prog->len = raw->len;
	prog->subprogs = raw->subprogs;
	prog->subprog_cnt = raw->subprog_cnt;
	prog->has_tail_call = raw->has_tail_call;
	free(raw);
	assert_int_equal(bpf_jit_compile(prog), 0);
	assert_int_equal(bpf_prog_publish(prog), 0);
	return prog;
}

static void set_slot(struct bpf_map *map, u32 slot, const struct bpf_prog *prog)
{
	assert_int_equal(bpf_map_update(map, &slot, &prog->id, 0), 0);
}

static u64 run_in_section(const struct bpf_prog *prog, const void *ctx)
{
	u64 ret;

	bpf_run_enter();
	ret = jitprog_call(prog, ctx);
	bpf_run_exit();
	return ret;
}

static void clear_slot(struct bpf_map *map, u32 slot)
{
	assert_int_equal(bpf_map_delete(map, &slot), 0);
}

#define TAIL(map, index)                                                     \
	BPF_LD_IMM64(2, (u64)(map)), BPF_LD_IMM64(3, 0x500000000 + (index)), \
		BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0)

static bool has_bytes(const struct bpf_prog *prog, u32 value)
{
	u32 len;
	const u8 *code = bpf_jit_code(prog, &len);

	return memmem(code, len, &value, sizeof(value));
}

/* Constants of a strict program, in every place that one has: the same results without them. */
static void blinded(void **state)
{
	const u32 payload = 0x3c909090; /* no-operations, and what hides the next opcode */
	const struct bpf_insn insns[] = {
		BPF_MOV64_REG(9, 1),
		BPF_LDX_MEM(BPF_DW, 6, 1, 0),
		BPF_MOV64_IMM(0, payload),
		BPF_ALU64_IMM(BPF_ADD, 0, payload),
		BPF_ALU32_IMM(BPF_XOR, 0, payload),
		BPF_ALU64_IMM(BPF_OR, 0, payload),
		BPF_ALU64_IMM(BPF_MUL, 0, payload),
		BPF_ALU64_IMM(BPF_SUB, 0, payload),
		BPF_ALU64_IMM(BPF_DIV, 0, payload),
		BPF_ALU64_IMM(BPF_MOD, 0, payload),
		BPF_LD_IMM64(2, (u64)payload << 32 | payload),
		BPF_ALU64_REG(BPF_ADD, 0, 2),
		BPF_JMP_IMM(BPF_JEQ, 6, payload, 1),
		BPF_JMP32_IMM(BPF_JSET, 6, payload, 0),
		BPF_ST_MEM(BPF_DW, 10, -8, payload),
		BPF_ST_MEM(BPF_W, 9, 8, payload),
		BPF_LDX_MEM(BPF_DW, 3, 10, -8),
		BPF_ALU64_REG(BPF_ADD, 0, 3),
		BPF_LDX_MEM(BPF_DW, 4, 9, 8), /* a counter in memory */
		BPF_ALU64_IMM(BPF_ADD, 4, payload),
		BPF_STX_MEM(BPF_DW, 9, 4, 8),
		BPF_MOV64_REG(5, 9), /* an address */
		BPF_ALU64_IMM(BPF_ADD, 5, payload),
		BPF_ALU64_IMM(BPF_SUB, 5, payload),
		BPF_ALU64_IMM(BPF_ADD, 5, 8),
		BPF_LDX_MEM(BPF_DW, 4, 5, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 4),
		BPF_EXIT_INSN(),
	};
	u64 plain[2] = {7, 0}, mixed[2] = {7, 0}, ret;
	struct bpf_prog *prog = jitprog_compile1(insns, ARRAY_SIZE(insns));

#ifdef __x86_64__
	assert_true(has_bytes(prog, payload));
#endif
	ret = bpf_prog_run(prog, plain);
	jitprog_free(prog);
	for (int i = 0; i < 50; i++) {
		jitprog_blind = true;
		prog = jitprog_compile1(insns, ARRAY_SIZE(insns));
		jitprog_blind = false;
		assert_false(has_bytes(prog, payload));
		memcpy(mixed, (u64[]){7, 0}, sizeof(mixed));
		assert_int_equal(bpf_prog_run(prog, mixed), ret);
		assert_memory_equal(mixed, plain, sizeof(plain));
		jitprog_free(prog);
	}
}

/* What a strict program runs ahead of: nothing, at a barrier, nor past a tail call's index. */
static void barriers(void **state)
{
	struct bpf_map *map = make_prog_array(4);
	const struct bpf_insn insns[] = {
		BPF_RAW_INSN(BPF_ST | BPF_NOSPEC, 0, 0, 0, 0),
		TAIL(map, 9),
		BPF_MOV64_IMM(0, 5),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jitprog_new1(insns, ARRAY_SIZE(insns));
	u64 ctx = 0;

	jitprog_need_jit();
	assert_int_equal(bpf_jit_compile(prog), 0);
	assert_int_equal(jitprog_count(prog, JITPROG_BARRIER), 1);
	assert_int_equal(run_in_section(prog, &ctx), 5);
	jitprog_free(prog);
	prog = jitprog_new1(insns, ARRAY_SIZE(insns));
	prog->prog_flags |= PROG_F_STRICT;
	assert_int_equal(bpf_jit_compile(prog), 0);
	assert_int_equal(jitprog_count(prog, JITPROG_BARRIER), 2);
	assert_int_equal(run_in_section(prog, &ctx), 5);
	jitprog_free(prog);
	bpf_map_put(map);
}

/* Taken with the context and all frames undone; not taken: goes on. */
static void tail_calls(void **state)
{
	struct bpf_map *map = make_prog_array(4);
	const struct bpf_insn target[] = {
		BPF_MOV64_IMM(6, 1),
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 6),
		BPF_EXIT_INSN(),
	};
	const struct bpf_insn caller[] = {
		BPF_MOV64_REG(7, 1),
		BPF_MOV64_IMM(8, 9),
		BPF_MOV64_IMM(9, 9),
		BPF_LDX_MEM(BPF_DW, 6, 1, 8),
		BPF_LD_IMM64(2, (u64)map),
		BPF_MOV64_REG(3, 6),
		BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0),
		BPF_LDX_MEM(BPF_DW, 0, 7, 0),
		BPF_ALU64_REG(BPF_ADD, 0, 8),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *b =
		jit_counted(target, ARRAY_SIZE(target), &(struct jitprog_sub){0, 24}, 1);
	struct bpf_prog *a =
		jit_counted(caller, ARRAY_SIZE(caller), &(struct jitprog_sub){0, 40}, 1);
	u64 ctx[2] = {100, 2};

	set_slot(map, 2, b);
	assert_int_equal(run_in_section(a, ctx), 101);
	ctx[1] = 0x700000002; /* the index is 32 bits */
	assert_int_equal(run_in_section(a, ctx), 101);
	ctx[1] = 1; /* empty */
	assert_int_equal(run_in_section(a, ctx), 109);
	ctx[1] = 4; /* beyond the end */
	assert_int_equal(run_in_section(a, ctx), 109);
	ctx[1] = UINT32_MAX;
	assert_int_equal(run_in_section(a, ctx), 109);
	clear_slot(map, 2);
	bpf_prog_put(a);
	bpf_prog_put(b);
	bpf_map_put(map);
}

/* 33 of them a run, and a run starts at zero again. */
static void tail_calls_are_limited(void **state)
{
	struct bpf_map *map = make_prog_array(1);
	const struct bpf_insn self[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_IMM(BPF_ADD, 0, 1),
		BPF_STX_MEM(BPF_DW, 1, 0, 0),
		BPF_MOV64_REG(6, 1),
		TAIL(map, 0),
		BPF_LDX_MEM(BPF_DW, 0, 6, 0),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog =
		jit_counted(self, ARRAY_SIZE(self), &(struct jitprog_sub){0, 512}, 1);

	set_slot(map, 0, prog);
	for (int i = 0; i < 3; i++) {
		u64 n = 0;

		assert_int_equal(run_in_section(prog, &n), MAX_TAIL_CALL_CNT + 1);
	}
	clear_slot(map, 0);
	bpf_prog_put(prog);
	bpf_map_put(map);
}

/* From a subprogram: only its frame goes, and the counter is the run's. */
static void tail_calls_in_subprog(void **state)
{
	struct bpf_map *map = make_prog_array(1);
	const struct bpf_insn main_sub[] = {
		BPF_MOV64_REG(6, 1), /* calls it twice */
		BPF_CALL_REL(5),
		BPF_MOV64_REG(7, 0),
		BPF_MOV64_REG(1, 6),
		BPF_CALL_REL(2),
		BPF_ALU64_REG(BPF_ADD, 0, 7),
		BPF_EXIT_INSN(),
		BPF_LDX_MEM(BPF_DW, 6, 1, 0),
		BPF_ALU64_IMM(BPF_ADD, 6, 1),
		BPF_STX_MEM(BPF_DW, 1, 6, 0),
		TAIL(map, 0),
		BPF_MOV64_IMM(0, 1000),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *prog = jit_counted(main_sub, ARRAY_SIZE(main_sub),
					    (struct jitprog_sub[]){{0, 8}, {7, 64}}, 2);
	u64 n = 0;

	set_slot(map, 0, prog);
	/* each level runs main, which calls the subprogram twice: both chains share the 33 */
	assert_int_equal(run_in_section(prog, &n), 1000 * 35);
	assert_int_equal(n, 33 + 35);
	clear_slot(map, 0);
	bpf_prog_put(prog);
	bpf_map_put(map);
}

/* Programs that keep the count in a register and such that keep it in memory count together. */
static void tail_calls_count_together(void **state)
{
	struct bpf_map *map = make_prog_array(2);
	const struct bpf_insn leaf[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0), BPF_ALU64_IMM(BPF_ADD, 0, 1),
		BPF_STX_MEM(BPF_DW, 1, 0, 0), TAIL(map, 1),
		BPF_MOV64_IMM(0, 1),	      BPF_EXIT_INSN(),
	};
	const struct bpf_insn calls[] = {
		BPF_LDX_MEM(BPF_DW, 0, 1, 0),
		BPF_ALU64_IMM(BPF_ADD, 0, 1000),
		BPF_STX_MEM(BPF_DW, 1, 0, 0),
		BPF_MOV64_REG(6, 1),
		BPF_MOV64_IMM(2, 0),
		BPF_MOV64_IMM(3, 0),
		BPF_MOV64_IMM(4, 0),
		BPF_MOV64_IMM(5, 0),
		CALL_C(jitprog_helper),
		BPF_MOV64_REG(1, 6),
		TAIL(map, 0),
		BPF_MOV64_IMM(0, 2),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog *a = jit_counted(leaf, ARRAY_SIZE(leaf), &(struct jitprog_sub){0, 0}, 1);
	struct bpf_prog *b = jit_counted(calls, ARRAY_SIZE(calls), &(struct jitprog_sub){0, 8}, 1);
	u64 n = 0;

	set_slot(map, 0, a);
	set_slot(map, 1, b);
	assert_int_equal(run_in_section(a, &n), 2); /* 33 of them: the 34th program is a b */
	assert_int_equal(n, 17 * 1001);
	n = 0;
	assert_int_equal(run_in_section(b, &n), 1);
	assert_int_equal(n, 17 * 1001);
	clear_slot(map, 0);
	clear_slot(map, 1);
	bpf_prog_put(a);
	bpf_prog_put(b);
	bpf_map_put(map);
}

/* ---- classic packet loads */

struct packet {
	struct bpf_skb skb;
	u8 buf[64];
};

static void make_packet(struct packet *p)
{
	for (u32 i = 0; i < sizeof(p->buf); i++)
		p->buf[i] = 0x80 + i;
	bpf_skb_init(&p->skb, p->buf, sizeof(p->buf), 0, sizeof(p->buf));
}

static u64 packet_value(const struct packet *p, u32 off, u32 size)
{
	u64 v = 0;

	for (u32 i = 0; i < size; i++)
		v = v << 8 | p->buf[off + i];
	return v;
}

static void packet_loads(void **state)
{
	static const u8 sizes[] = {BPF_B, BPF_H, BPF_W};
	struct packet p;

	make_packet(&p);
	for (int s = 0; s < 3; s++) {
		u32 bytes = bpf_size_to_bytes(sizes[s]);

		for (u32 off = 0; off < 70; off += 3) {
			bool in = off + bytes <= sizeof(p.buf);
			u64 want = in ? packet_value(&p, off, bytes) + 1 : 0;

			assert_int_equal(RUN(&p.skb, BPF_MOV64_REG(6, 1), BPF_LD_ABS(sizes[s], off),
					     BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
					 want);
			for (int src = 1; src < 10; src++) {
				if (src == 6)
					continue;
				assert_int_equal(RUN(&p.skb, BPF_MOV64_REG(6, 1),
						     BPF_LD_IMM64(src, 0xf00000000 + off - 1),
						     BPF_LD_IND(sizes[s], src, 1),
						     BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
						 want);
			}
		}
	}
}

/* Negative offsets begin at the network or the link header; what is none of those is outside. */
static void packet_loads_negative(void **state)
{
	static const struct {
		s32 off;
		u64 want;
	} rows[] = {
		{SKF_NET_OFF, 0x8081 + 1},
		{SKF_NET_OFF + 10, 0x8a8b + 1},
		{SKF_LL_OFF, 0x8081 + 1},
		{SKF_NET_OFF + 63, 0},
		{-1, 0},
		{INT32_MIN, 0},
		{INT32_MAX, 0},
	};
	struct packet p;

	make_packet(&p);
	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		assert_int_equal(RUN(&p.skb, BPF_MOV64_REG(6, 1), BPF_LD_ABS(BPF_H, rows[i].off),
				     BPF_ALU64_IMM(BPF_ADD, 0, 1), BPF_EXIT_INSN()),
				 rows[i].want);
		assert_int_equal(RUN(&p.skb, BPF_MOV64_REG(6, 1), BPF_MOV64_IMM(7, rows[i].off),
				     BPF_LD_IND(BPF_H, 7, 0), BPF_ALU64_IMM(BPF_ADD, 0, 1),
				     BPF_EXIT_INSN()),
				 rows[i].want);
	}
}

/*
 * A load outside of the packet leaves the subprogram that it stands in, with 0, and keeps R6 to R9.
 */
static void packet_load_fails_in_subprog(void **state)
{
	const struct bpf_insn p[] = {
		BPF_MOV64_IMM(7, 40),
		BPF_CALL_REL(3),
		BPF_ALU64_REG(BPF_ADD, 0, 7),
		BPF_ALU64_IMM(BPF_ADD, 0, 2),
		BPF_EXIT_INSN(),
		BPF_MOV64_REG(6, 1),
		BPF_MOV64_IMM(7, 1),
		BPF_LD_ABS(BPF_W, 1000),
		BPF_MOV64_IMM(0, 5),
		BPF_EXIT_INSN(),
	};
	struct packet packet;

	make_packet(&packet);
	assert_int_equal(jitprog_run(p, ARRAY_SIZE(p), (struct jitprog_sub[]){{0, 16}, {5, 32}}, 2,
				     &packet.skb),
			 42);
}

/* ---- what is not a program */

static void refuses_broken_code(void **state)
{
	static const struct {
		struct bpf_insn insn[4];
		u32 cnt, sub;
	} bad[] = {
		{{BPF_MOV64_IMM(0, 0)}, 1, 0}, /* falls off */
		{{BPF_JMP_A(1), BPF_EXIT_INSN()}, 2, 0}, /* beyond the end */
		{{BPF_JMP_A(-2), BPF_EXIT_INSN()}, 2, 0},
		{{BPF_JMP_A(1), BPF_LD_IMM64(0, 1), BPF_EXIT_INSN()}, 4, 0}, /* into a constant */
		{{BPF_MOV64_IMM(10, 0), BPF_EXIT_INSN()}, 2, 0}, /* R10 is read-only */
		{{BPF_RAW_INSN(0xff, 0, 0, 0, 0), BPF_EXIT_INSN()}, 2, 0},
		{{BPF_CALL_REL(0), BPF_EXIT_INSN()}, 2, 0}, /* no subprogram there */
		{{BPF_JMP_A(1), BPF_EXIT_INSN(), BPF_EXIT_INSN()}, 3, 2}, /* into another one */
		{{BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_KFUNC_CALL, 0, 1),
		  BPF_EXIT_INSN()},
		 2,
		 0},
		{{BPF_LD_IMM64(0, 1)}, 1, 0},
	};

	jitprog_need_jit();
	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		struct bpf_prog *prog = jitprog_new(bad[i].insn, bad[i].cnt,
						    (struct jitprog_sub[]){{0, 0}, {bad[i].sub, 0}},
						    bad[i].sub ? 2 : 1);

		assert_int_equal(bpf_jit_compile(prog), -EINVAL);
		assert_null(prog->jit);
		assert_null(prog->bpf_func);
		jitprog_free(prog);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jumps_always),
		cmocka_unit_test(jumps_to_first),
		cmocka_unit_test(jumps_of_all_lengths),
		cmocka_unit_test(jumps_backward_all_the_way),
		cmocka_unit_test(jumps_that_grow_one_by_one),
		cmocka_unit_test(calls_helper),
		cmocka_unit_test(calls_keep_c_registers),
		cmocka_unit_test(calls_nested),
		cmocka_unit_test(calls_many_subprogs),
		cmocka_unit_test(fp_as_operand),
		cmocka_unit_test(calls_callback),
		cmocka_unit_test(blinded),
		cmocka_unit_test(barriers),
		cmocka_unit_test(tail_calls),
		cmocka_unit_test(tail_calls_are_limited),
		cmocka_unit_test(tail_calls_in_subprog),
		cmocka_unit_test(tail_calls_count_together),
		cmocka_unit_test(packet_loads),
		cmocka_unit_test(packet_loads_negative),
		cmocka_unit_test(packet_load_fails_in_subprog),
		cmocka_unit_test(refuses_broken_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
