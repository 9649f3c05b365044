/*
 * diff_dynptr.c - random programs with dynptrs, held against the running kernel
 *
 * Each program makes, uses, overwrites and gives back dynptrs at a few places of its stack, in the
 * main program and in functions, in callbacks, in loops, on ways that fork; most steps are chosen
 * so that they should be allowed. The verdict, the errno and the sentence that explains it must be
 * the kernel's. What is accepted runs in the kernel, by our JIT and by our interpreter, twice, and
 * once more under tests/lib/shadow.h: return value and map contents must agree. EFAULT is the
 * kernel's word for mistakes of its own verifier: a slot that once held a slice, and was
 * overwritten in part, is taken for a copy of the dynptr; a call with a callback that it found dead
 * has no callback.
 * Every fourth program has some fields changed: of these nothing may be accepted that the kernel
 * refuses.
 *
 * UBPFFS_SEED=n tries one program and prints both logs; UBPFFS_PROGRAMS=n changes how many there
 * are.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <bpf/btf.h>
#include <cmocka.h>
#include "run/test_run.h"
#include "tests/lib/funcinfo.h"
#include "tests/lib/instance.h"
#include "tests/lib/kernel.h"
#include "tests/lib/progen.h"
#include "tests/lib/shadow.h"
#include "uapi/bpf_insn.h"

#define PROGRAMS   1500
#define PER_MAPS   25 /* programs that share maps */
#define VALUE_SIZE 64
#define PLACES	   8 /* dynptrs begin at fp-16 ... fp-72 */
#define DATA_AT	   -128 /* 32 bytes that are always initialised */
#define ROUNDS_AT  -104
#define MAX_INSNS  1024

enum { VALUES, RING, HASH, MAPS };

static const struct bpf_map_spec specs[MAPS] = {
	[VALUES] = {BPF_MAP_TYPE_ARRAY, 4, VALUE_SIZE, 1, .name = "values"},
	[RING] = {BPF_MAP_TYPE_RINGBUF, 0, 0, 8192, .name = "ring"},
	[HASH] = {BPF_MAP_TYPE_HASH, 4, 8, 16, .name = "hash"},
};

/* ---- the generator */

enum kind { NONE, LOCAL, RECORD };

enum sub { SUB_READ, SUB_SUBMIT, SUB_OVERWRITE, SUB_MAKE, SUB_DATA, SUB_RECORD, SUBS };

struct gen {
	struct bpf_insn insns[MAX_INSNS];
	u32 cnt;
	u64 rnd;
	enum kind at[PLACES + 1]; /* what the straight way has at fp-16-8*i; two places each */
	bool in_branch;
	u32 sub_calls[2 * SUBS][64], sub_call_cnt[2 * SUBS]; /* from SUBS on: callbacks */
};

static u32 below(struct gen *g, u32 n)
{
	return (u32)(progen_random(&g->rnd) >> 33) % n;
}

static bool often(struct gen *g)
{
	return below(g, 100) < 98;
}

static void emit(struct gen *g, struct bpf_insn insn)
{
	if (g->cnt < MAX_INSNS)
		g->insns[g->cnt++] = insn;
}

static void emit2(struct gen *g, const struct bpf_insn *insns)
{
	emit(g, insns[0]);
	emit(g, insns[1]);
}

static void emit_map(struct gen *g, u8 reg, u32 map)
{
	const struct bpf_insn insns[] = {BPF_LD_MAP_IDX(reg, map)};

	emit2(g, insns);
}

static void emit_fp(struct gen *g, u8 reg, int off)
{
	emit(g, BPF_MOV64_REG(reg, 10));
	emit(g, BPF_ALU64_IMM(BPF_ADD, reg, off));
}

/* R9 = R9 * 31 + R0 */
static void mix(struct gen *g)
{
	emit(g, BPF_ALU64_IMM(BPF_MUL, 9, 31));
	emit(g, BPF_ALU64_REG(BPF_ADD, 9, 0));
}

static int place_off(u32 place)
{
	return -16 - 8 * (int)place;
}

/* A place with a dynptr of this kind (NONE: any), or anywhere. */
static u32 pick(struct gen *g, enum kind kind)
{
	u32 place = below(g, PLACES);

	for (u32 i = 0; often(g) && i < PLACES; i++, place = (place + 1) % PLACES)
		if (g->at[place] && (kind == NONE || g->at[place] == kind))
			return place;
	return place;
}

/* A place that takes a new one: no record under it. */
static u32 pick_free(struct gen *g)
{
	u32 place = below(g, PLACES);

	for (u32 i = 0; often(g) && i < PLACES; i++, place = (place + 1) % PLACES)
		if (g->at[place] == NONE && (!place || g->at[place - 1] == NONE) &&
		    g->at[place + 1] == NONE)
			return place;
	return place;
}

static void set_place(struct gen *g, u32 place, enum kind kind)
{
	if (g->in_branch)
		return;
	if (place)
		g->at[place - 1] = NONE;
	g->at[place + 1] = NONE;
	g->at[place] = kind;
}

static void op_from_mem(struct gen *g)
{
	u32 place = pick_free(g), off = below(g, 8), size = below(g, 56);

	emit(g, BPF_MOV64_REG(1, 6));
	emit(g, BPF_ALU64_IMM(BPF_ADD, 1, (s32)off));
	emit(g, BPF_MOV64_IMM(2, (s32)(often(g) ? size : size + 16)));
	emit(g, BPF_MOV64_IMM(3, below(g, 20) == 0));
	emit_fp(g, 4, place_off(place));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_from_mem));
	mix(g);
	set_place(g, place, LOCAL);
}

static void op_reserve(struct gen *g)
{
	static const u32 sizes[] = {0, 1, 8, 24, 100, 8192, 1 << 24, (1 << 24) - 1};
	u32 place = pick_free(g);

	if (g->in_branch && often(g))
		return;
	emit_map(g, 1, below(g, 60) ? RING : HASH);
	emit(g, BPF_MOV64_IMM(2, (s32)sizes[below(g, ARRAY_SIZE(sizes))]));
	emit(g, BPF_MOV64_IMM(3, below(g, 20) == 0));
	emit_fp(g, 4, place_off(place));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_ringbuf_reserve_dynptr));
	mix(g);
	set_place(g, place, RECORD);
}

static void give_back(struct gen *g, u32 place)
{
	emit_fp(g, 1, place_off(place));
	emit(g, BPF_MOV64_IMM(2, 0));
	emit(g, BPF_EMIT_CALL(below(g, 2) ? BPF_FUNC_ringbuf_submit_dynptr
					  : BPF_FUNC_ringbuf_discard_dynptr));
	set_place(g, place, NONE);
}

static void op_give_back(struct gen *g)
{
	u32 place = pick(g, RECORD);

	if ((g->in_branch || g->at[place] != RECORD) && often(g))
		return;
	give_back(g, place);
}

static u32 any_len(struct gen *g)
{
	return below(g, 10) ? below(g, 9) : below(g, 33);
}

static void op_read(struct gen *g)
{
	int to = often(g) ? DATA_AT + (int)below(g, 8) : -88 + (int)below(g, 80);

	emit_fp(g, 1, to);
	emit(g, BPF_MOV64_IMM(2, (s32)any_len(g)));
	emit_fp(g, 3, place_off(pick(g, NONE)));
	emit(g, BPF_MOV64_IMM(4, (s32)below(g, 20)));
	emit(g, BPF_MOV64_IMM(5, below(g, 20) == 0));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_read));
	mix(g);
}

static void op_write(struct gen *g)
{
	emit_fp(g, 1, place_off(pick(g, NONE)));
	emit(g, BPF_MOV64_IMM(2, (s32)below(g, 20)));
	emit_fp(g, 3, DATA_AT + (int)below(g, 8));
	emit(g, BPF_MOV64_IMM(4, (s32)min(any_len(g), 24u)));
	emit(g, BPF_MOV64_IMM(5, below(g, 20) == 0));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_write));
	mix(g);
}

/* R7 or R8 = a slice; R9 counts whether there is one. */
static void op_data(struct gen *g)
{
	emit_fp(g, 1, place_off(pick(g, NONE)));
	emit(g, BPF_MOV64_IMM(2, (s32)below(g, 12)));
	emit(g, BPF_MOV64_IMM(3, (s32)below(g, 12)));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_data));
	emit(g, BPF_MOV64_REG((u8)(7 + below(g, 2)), 0));
	emit(g, BPF_JMP_IMM(BPF_JEQ, 0, 0, 1));
	emit(g, BPF_ALU64_IMM(BPF_ADD, 9, 1));
}

static void op_slice(struct gen *g)
{
	u8 reg = (u8)(7 + below(g, 2));

	if (often(g))
		emit(g, BPF_JMP_IMM(BPF_JEQ, reg, 0, 1));
	if (below(g, 2))
		emit(g, BPF_ST_MEM(BPF_B, reg, (s16)below(g, often(g) ? 3 : 14), 0x5a));
	else
		emit(g, BPF_LDX_MEM(BPF_B, 9, reg, (s16)below(g, often(g) ? 3 : 14)));
}

static void op_forget_slices(struct gen *g)
{
	emit(g, BPF_MOV64_IMM(7, 0));
	emit(g, BPF_MOV64_IMM(8, 0));
}

static void op_spill(struct gen *g)
{
	int off = often(g) ? -96 : -8 * (int)(1 + below(g, 10));
	u8 reg = (u8)(7 + below(g, 2));

	if (below(g, 2))
		emit(g, BPF_STX_MEM(BPF_DW, 10, reg, (s16)off));
	else
		emit(g, BPF_LDX_MEM(BPF_DW, reg, 10, (s16)off));
}

static void op_store(struct gen *g)
{
	static const u8 sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	u32 s = below(g, 4);
	int off = -88 + (int)(below(g, 88 >> s) << s), first = (off - 15) / 8 * -1;

	if (often(g)) /* not on a record */
		for (int i = first - 3; i <= first; i++)
			if (i >= 0 && i < PLACES && g->at[i] == RECORD)
				return;
	emit(g, BPF_ST_MEM(sizes[s], 10, (s16)off, (s32)below(g, 3)));
	for (int i = 0; i < PLACES && !g->in_branch; i++)
		if (off >= place_off((u32)i) - 7 && off < place_off((u32)i) + 16)
			g->at[i] = NONE;
}

static void op_load(struct gen *g)
{
	static const u8 sizes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};
	u32 s = below(g, 4);

	if (often(g))
		emit(g,
		     BPF_LDX_MEM(sizes[s], 9, 10, (s16)(DATA_AT + (int)(below(g, 32 >> s) << s))));
	else
		emit(g, BPF_LDX_MEM(sizes[s], 0, 10, (s16)(-88 + (int)(below(g, 88 >> s) << s))));
}

/* Stack memory for another helper. */
static void op_update(struct gen *g)
{
	emit_map(g, 1, HASH);
	emit_fp(g, 2, DATA_AT + 4 * (int)below(g, 4));
	emit_fp(g, 3, often(g) ? DATA_AT + 8 : -88 + (int)below(g, 80));
	emit(g, BPF_MOV64_IMM(4, 0));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_update_elem));
	mix(g);
}

static void note_call(struct gen *g, u32 sub)
{
	if (g->sub_call_cnt[sub] < 64)
		g->sub_calls[sub][g->sub_call_cnt[sub]++] = g->cnt;
}

static void call_back(struct gen *g, enum sub sub, u32 place)
{
	const struct bpf_insn func[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
	};

	emit(g, BPF_MOV64_IMM(1, (s32)below(g, 4)));
	note_call(g, SUBS + sub);
	emit2(g, func);
	emit_fp(g, 3, place_off(place));
	emit(g, BPF_MOV64_IMM(4, 0));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_loop));
	mix(g);
}

static void op_call(struct gen *g)
{
	enum sub sub = (enum sub)below(g, SUBS);
	bool callback = !below(g, 3);
	u32 place;

	if (g->in_branch && often(g))
		return;
	if (sub == SUB_SUBMIT)
		place = pick(g, RECORD);
	else if (sub == SUB_OVERWRITE)
		place = pick(g, LOCAL);
	else if (sub == SUB_MAKE)
		place = pick_free(g);
	else
		place = pick(g, NONE);
	if (callback && sub == SUB_SUBMIT && often(g))
		return;
	if (sub == SUB_SUBMIT && g->at[place] != RECORD && often(g))
		return;
	if (sub == SUB_OVERWRITE && g->at[place] == RECORD && often(g))
		return;
	if (callback) {
		call_back(g, sub, place);
		if (sub == SUB_SUBMIT || sub == SUB_OVERWRITE || sub == SUB_MAKE)
			set_place(g, place, NONE);
		return;
	}
	emit_fp(g, 1, place_off(place));
	note_call(g, sub);
	emit(g, BPF_CALL_REL(0));
	if (sub == SUB_DATA)
		emit(g, BPF_MOV64_REG((u8)(7 + below(g, 2)), 0));
	else
		mix(g);
	if (sub == SUB_SUBMIT || sub == SUB_OVERWRITE || sub == SUB_MAKE)
		set_place(g, place, sub == SUB_MAKE ? LOCAL : NONE);
}

static void op(struct gen *g)
{
	static void (*const ops[])(struct gen * g) = {
		op_from_mem, op_from_mem, op_reserve, op_reserve, op_give_back,
		op_read,     op_read,	  op_write,   op_write,	  op_data,
		op_data,     op_slice,	  op_slice,   op_spill,	  op_store,
		op_store,    op_load,	  op_update,  op_call,	  op_forget_slices,
	};

	ops[below(g, ARRAY_SIZE(ops))](g);
}

/* A step that only one of two ways takes. */
static void branch(struct gen *g)
{
	u32 at = g->cnt;

	emit(g, BPF_JMP_IMM(BPF_JSET, 9, 1 << below(g, 4), 0));
	g->in_branch = true;
	op(g);
	g->in_branch = false;
	if (at < MAX_INSNS)
		g->insns[at].off = (s16)(g->cnt - at - 1);
}

static void emit_sub(struct gen *g, u32 nr)
{
	const struct bpf_insn value[] = {BPF_LD_MAP_IDX_VALUE(1, VALUES, 3)};
	enum sub sub = (enum sub)(nr % SUBS);

	for (u32 i = 0; i < g->sub_call_cnt[nr]; i++)
		g->insns[g->sub_calls[nr][i]].imm = (s32)(g->cnt - g->sub_calls[nr][i] - 1);
	if (nr >= SUBS)
		emit(g, BPF_MOV64_REG(1, 2));
	switch (sub) {
	case SUB_READ:
		emit(g, BPF_MOV64_REG(3, 1));
		emit_fp(g, 1, -8);
		emit(g, BPF_MOV64_IMM(2, 4));
		emit(g, BPF_MOV64_IMM(4, 1));
		emit(g, BPF_MOV64_IMM(5, 0));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_read));
		break;
	case SUB_SUBMIT:
		emit(g, BPF_MOV64_IMM(2, 0));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_ringbuf_submit_dynptr));
		emit(g, BPF_MOV64_IMM(0, 1));
		break;
	case SUB_OVERWRITE:
		emit(g, BPF_ST_MEM(BPF_DW, 1, 8, 5));
		emit(g, BPF_MOV64_IMM(0, 2));
		break;
	case SUB_MAKE:
		emit(g, BPF_MOV64_REG(4, 1));
		emit2(g, value);
		emit(g, BPF_MOV64_IMM(2, 20));
		emit(g, BPF_MOV64_IMM(3, 0));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_from_mem));
		break;
	case SUB_RECORD:
		emit_map(g, 1, RING);
		emit(g, BPF_MOV64_IMM(2, 8));
		emit(g, BPF_MOV64_IMM(3, 0));
		emit_fp(g, 4, -24);
		emit(g, BPF_EMIT_CALL(BPF_FUNC_ringbuf_reserve_dynptr));
		give_back(g, 1);
		emit(g, BPF_MOV64_IMM(0, 1));
		break;
	default:
		emit(g, BPF_MOV64_IMM(2, 0));
		emit(g, BPF_MOV64_IMM(3, 4));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_data));
	}
	if (nr >= SUBS)
		emit(g, BPF_MOV64_IMM(0, 0));
	emit(g, BPF_EXIT_INSN());
}

static void generate(struct gen *g, u64 seed)
{
	const struct bpf_insn value[] = {BPF_LD_MAP_IDX_VALUE(6, VALUES, 0)};
	u32 steps, start;
	bool loop;

	memset(g, 0, sizeof(*g));
	g->rnd = seed * 0x9e3779b97f4a7c15ULL + 1;
	steps = 4 + below(g, 24);
	emit2(g, value);
	op_forget_slices(g);
	emit(g, BPF_MOV64_IMM(9, 0));
	for (int i = 0; i < 4; i++)
		emit(g, BPF_ST_MEM(BPF_DW, 10, (s16)(DATA_AT + 8 * i), 0x1010101 * (i + 1)));
	emit(g, BPF_ST_MEM(BPF_DW, 10, -96, 0));
	loop = !below(g, 4);
	if (loop)
		emit(g, BPF_ST_MEM(BPF_DW, 10, ROUNDS_AT, 2 + (s32)below(g, 2)));
	start = g->cnt;
	for (u32 i = 0; i < steps; i++) {
		if (below(g, 6))
			op(g);
		else
			branch(g);
	}
	for (u32 i = 0; i < PLACES; i++)
		if (g->at[i] == RECORD && below(g, 40))
			give_back(g, i);
	if (loop) {
		emit(g, BPF_LDX_MEM(BPF_DW, 0, 10, ROUNDS_AT));
		emit(g, BPF_ALU64_IMM(BPF_ADD, 0, -1));
		emit(g, BPF_STX_MEM(BPF_DW, 10, 0, ROUNDS_AT));
		emit(g, BPF_JMP_IMM(BPF_JNE, 0, 0, (s16)((int)start - (int)g->cnt - 1)));
	}
	emit(g, BPF_MOV64_REG(0, 9));
	emit(g, BPF_EXIT_INSN());
	for (u32 s = 0; s < 2 * SUBS; s++)
		if (g->sub_call_cnt[s])
			emit_sub(g, s);
}

/* ---- the comparison */

static u32 accepted, refused, mistaken, runs, watches, faults;

#define FAULT(...)                        \
	do {                              \
		faults++;                 \
		print_error(__VA_ARGS__); \
	} while (0)

/* The sentence that explains the verdict, without the states of a loop that never ends. */
static void last_line(const char *log, char *buf, size_t len)
{
	const char *best = "";

	for (const char *p = log; *p; p += strcspn(p, "\n") + (strchr(p, '\n') != NULL))
		if (strncmp(p, "processed ", 10) && strncmp(p + 3, " state:", 7) && *p != '\n')
			best = p;
	snprintf(buf, len, "%.*s", (int)strcspn(best, "\n"), best);
	/* Which turn of a loop is looked at first is not the same. */
	if (strstr(buf, "infinite loop detected"))
		*strstr(buf, " at insn") = 0;
}

/* The same again, with every access watched; maps of its own go the same way. */
static void watch(u64 seed, struct instance *watched, const struct gen *g, u32 retval,
		  const void *values, size_t size)
{
	static u8 packet[64];
	struct shadow s = {
		.insns = g->insns,
		.cnt = g->cnt,
		.maps = watched->maps,
		.map_cnt = MAPS,
		.packet = packet,
		.packet_len = sizeof(packet),
	};
	int err = shadow_run(&s);
	size_t got_size;
	void *got = instance_dump(watched, VALUES, &got_size);

	watches++;
	if (err)
		FAULT("seed %llu: watched: %s at %u (%d)\n", (unsigned long long)seed, s.fault,
		      s.fault_insn, err);
	else if ((u32)s.r0 != retval || got_size != size || memcmp(got, values, size))
		FAULT("seed %llu: watched: %#x, not %#x, or another value\n",
		      (unsigned long long)seed, (u32)s.r0, retval);
	free(got);
}

static void compare_runs(u64 seed, struct instance **in, enum engine first,
			 struct instance *watched, const struct gen *g)
{
	static const u8 packet[64];

	for (u32 n = 0; n < 2; n++) {
		u32 retval[ENGINE_MAX] = {0};
		void *values[ENGINE_MAX] = {0};
		size_t size[ENGINE_MAX] = {0};

		for (u32 e = first; e < ENGINE_MAX; e++) {
			struct bpf_test_run run = {.data_in = packet,
						   .data_size_in = sizeof(packet)};

			if (instance_run(in[e], &run))
				FAULT("seed %llu: %s does not run\n", (unsigned long long)seed,
				      engine_name(e));
			retval[e] = run.retval;
			values[e] = instance_dump(in[e], VALUES, &size[e]);
			runs++;
			if (retval[e] != retval[first])
				FAULT("seed %llu: %s returns %#x, not %#x\n",
				      (unsigned long long)seed, engine_name(e), retval[e],
				      retval[first]);
			if (size[e] != size[first] || memcmp(values[e], values[first], size[e]))
				FAULT("seed %llu: %s leaves another value\n",
				      (unsigned long long)seed, engine_name(e));
		}
		watch(seed, watched, g, retval[first], values[first], size[first]);
		for (u32 e = first; e < ENGINE_MAX; e++)
			free(values[e]);
	}
}

static void one_program(u64 seed, struct instance **base, enum engine first, bool verbose)
{
	static struct gen g;
	struct funcinfo btf;
	bool mutated = seed % 4 == 3;
	struct instance *in[ENGINE_MAX] = {0};
	char why[ENGINE_MAX][256];
	int err[ENGINE_MAX];
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "dynptr",
		.license = "GPL",
		.insns = g.insns,
	};

	generate(&g, seed);
	if (mutated)
		progen_mutate(g.insns, g.cnt, seed + 1);
	attr.insn_cnt = g.cnt;
	funcinfo_add(&btf, &attr, BTF_FUNC_STATIC);
	for (u32 e = first; e < ENGINE_MAX; e++) {
		in[e] = instance_beside(base[e]);
		err[e] = instance_load(in[e], &attr, 1);
		last_line(in[e]->log, why[e], sizeof(why[e]));
		if (verbose)
			print_message("=== %s: %d\n%s\n", engine_name(e), err[e], in[e]->log);
		if (err[first] == -EFAULT ||
		    (mutated && first == ENGINE_KERNEL && (err[e] || !err[first])))
			continue;
		if (err[e] != err[first])
			FAULT("seed %llu: %s gives %d (%s), %s %d (%s)\n", (unsigned long long)seed,
			      engine_name(first), err[first], why[first], engine_name(e), err[e],
			      why[e]);
		else if (err[e] && strcmp(why[e], why[first]))
			FAULT("seed %llu: %s says \"%s\", %s \"%s\"\n", (unsigned long long)seed,
			      engine_name(first), why[first], engine_name(e), why[e]);
	}
	if (err[first] == -EFAULT)
		mistaken++;
	else if (err[first])
		refused++;
	else
		accepted++;
	if (!mutated && !err[ENGINE_KERNEL] && !err[ENGINE_JIT] && !err[ENGINE_INTERP])
		compare_runs(seed, in, first, base[ENGINE_MAX], &g);
	for (u32 e = first; e < ENGINE_MAX; e++)
		instance_free(in[e]);
	funcinfo_free(&btf);
}

static void test_programs(void **state)
{
	const char *why = kernel_unavailable(), *only = getenv("UBPFFS_SEED");
	const char *programs = getenv("UBPFFS_PROGRAMS");
	enum engine first = why ? ENGINE_JIT : ENGINE_KERNEL;
	u64 seed = only ? strtoull(only, NULL, 0) : 1;
	u64 end = only ? seed + 1 : seed + (programs ? strtoull(programs, NULL, 0) : PROGRAMS);
	static const u8 key[4], value[VALUE_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

	if (why)
		print_message("%s: JIT and interpreter are compared with each other\n", why);
	while (seed < end) {
		struct instance *base[ENGINE_MAX + 1] = {0}; /* and the watched one */

		for (u32 e = first; e <= ENGINE_MAX; e++) {
			base[e] = instance_new(min(e, (u32)ENGINE_INTERP), specs, MAPS);
			instance_update(base[e], VALUES, key, value);
		}
		for (u32 i = 0; i < PER_MAPS && seed < end; i++, seed++)
			one_program(seed, base, first, only);
		for (u32 e = first; e <= ENGINE_MAX; e++)
			instance_free(base[e]);
	}
	print_message("%u accepted, %u refused, %u mistaken, %u runs, %u watched\n", accepted,
		      refused, mistaken, runs, watches);
	assert_int_equal(faults, 0);
	if (!only && !programs)
		assert_true(mistaken < PROGRAMS / 100 && accepted > PROGRAMS / 10 &&
			    refused > PROGRAMS / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_programs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
