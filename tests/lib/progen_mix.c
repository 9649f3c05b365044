/*
 * progen_mix.c - programs that hold records, locks and dynptrs while callbacks and functions of
 * theirs run
 *
 * All that is held stands in 96 bytes of stack, the same in every frame: R6 points at the caller's
 * (a callback's context, a function's argument), R9 at the function's own, or is R6. R7 is a
 * number; R8 a pointer within a statement. Most steps are chosen so that they should be allowed
 * where the straight way leads; few programs are allowed as a whole.
 */
#include "tests/lib/progen_gen.h"

enum { /* the 96 bytes */
       A = 0, /* numbers */
       B = 8,
       REC = 16, /* two records, or 0 */
       DYN = 32, /* two dynptrs */
       VALUE = 64, /* a value with a lock */
       KEY = 72,
       SLICE = 80, /* of a dynptr, or 0 */
       SPARE = 88,
       AREA = 96,
};

enum { MAP_ARRAY, MAP_HASH, MAP_LOCK, MAP_RING };

#define MAX_FUNCS 6

struct mix {
	struct gen *g;
	u8 rec[2], dyn[2]; /* what the straight way has: 1: it may, of dyn 2: a record */
	bool value;
	u32 depth, level;
	struct mix_func {
		u32 at;
		enum { BY_LOOP, BY_EACH, BY_CALL } by;
		bool quiet; /* calls nothing */
		u8 rec[2], dyn[2];
		bool value;
		u32 level;
	} funcs[MAX_FUNCS];
	u32 func_cnt;
};

static bool often(struct gen *g)
{
	return rnd(g, 60) != 0;
}

static void body(struct mix *m, u32 n);

static int base(struct mix *m)
{
	return m->level && !rnd(m->g, 4) ? BPF_REG_9 : BPF_REG_6;
}

static void address(struct gen *g, int reg, int from, int off)
{
	emit(g, BPF_MOV64_REG(reg, from));
	emit(g, BPF_ALU64_IMM(BPF_ADD, reg, off));
}

static void number(struct mix *m)
{
	struct gen *g = m->g;
	int b = base(m), off = rnd(g, 2) ? A : B;

	switch (rnd(g, 6)) {
	case 0:
		emit(g, BPF_ST_MEM(BPF_DW, b, off, (s32)rnd(g, 4)));
		break;
	case 1:
		emit(g, BPF_STX_MEM(BPF_DW, b, BPF_REG_7, off));
		break;
	case 2:
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_7, 15));
		break;
	case 3:
		emit(g, BPF_ALU64_IMM(BPF_ADD, BPF_REG_7, 1 + (s32)rnd(g, 3)));
		break;
	default:
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_7, b, off));
	}
}

/* R7 decides. What is made or given back in there is not counted on behind it. */
static void fork_way(struct mix *m)
{
	static const u8 conds[] = {BPF_JEQ, BPF_JNE, BPF_JGT, BPF_JSET, BPF_JSLT};
	struct gen *g = m->g;
	struct mix before = *m;
	u32 jump = emit_jump(g, BPF_JMP_IMM(conds[rnd(g, 5)], BPF_REG_7, (s32)rnd(g, 5), 0));

	m->depth++;
	body(m, 1 + rnd(g, 2));
	m->depth--;
	aim(g, jump);
	memcpy(m->dyn, before.dyn, sizeof(m->dyn));
	memcpy(m->rec, before.rec, sizeof(m->rec));
}

/* ---- records */

static void put_record(struct gen *g, int b, int off)
{
	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_1, b, off));
	emit(g, BPF_MOV64_IMM(BPF_REG_2, 0));
	emit(g, BPF_EMIT_CALL(rnd(g, 2) ? BPF_FUNC_ringbuf_submit : BPF_FUNC_ringbuf_discard));
	if (often(g))
		emit(g, BPF_ST_MEM(BPF_DW, b, off, 0));
}

static void put_if_there(struct gen *g, int b, int off)
{
	u32 jump;

	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_1, b, off));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_1, 0, 0));
	put_record(g, b, off);
	aim(g, jump);
}

static void reserve(struct gen *g, int b, int off)
{
	u32 jump;

	progen_map(g, BPF_REG_1, MAP_RING);
	emit(g, BPF_MOV64_IMM(BPF_REG_2, 8));
	emit(g, BPF_MOV64_IMM(BPF_REG_3, 0));
	emit(g, BPF_EMIT_CALL(BPF_FUNC_ringbuf_reserve));
	if (rnd(g, 6)) {
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
		emit(g, BPF_STX_MEM(BPF_DW, b, BPF_REG_0, off));
		aim(g, jump);
	} else {
		emit(g, BPF_STX_MEM(BPF_DW, b, BPF_REG_0, off));
	}
}

static void record(struct mix *m)
{
	struct gen *g = m->g;
	u32 i = rnd(g, 2), jump = 0;
	int b = base(m), off = REC + 8 * (int)i;
	bool mine = b == BPF_REG_6;

	if (mine && m->rec[i] && often(g)) { /* there may be one */
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_8, b, off));
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_8, 0, 0));
		if (rnd(g, 3))
			emit(g, BPF_ST_MEM(BPF_B, BPF_REG_8, (s16)rnd(g, often(g) ? 8 : 10), 7));
		else
			put_record(g, b, off);
		aim(g, jump);
		return;
	}
	if (rnd(g, 2)) { /* around a block */
		reserve(g, b, off);
		m->rec[i] |= mine;
		m->depth++;
		body(m, 1 + rnd(g, 3));
		m->depth--;
		if (often(g))
			put_if_there(g, b, off);
		m->rec[i] = 0;
	} else { /* one more, if there is none */
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_8, b, off));
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JNE, BPF_REG_8, 0, 0));
		reserve(g, b, off);
		aim(g, jump);
		if (mine)
			m->rec[i] = 1;
		else
			put_if_there(g, b, off);
	}
}

/* ---- locks: R8 is the value while it is held */

static void lock_call(struct gen *g, s32 func)
{
	address(g, BPF_REG_1, BPF_REG_8, PROGEN_LOCK);
	emit(g, BPF_EMIT_CALL(func));
}

static void call_func(struct mix *m, bool quiet);

static void under_lock(struct mix *m)
{
	struct gen *g = m->g;
	int b = BPF_REG_6;
	u32 jump, way;

	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_8, b, VALUE));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_8, 0, 0));
	lock_call(g, BPF_FUNC_spin_lock);
	for (u32 n = rnd(g, 4); n; n--) {
		switch (rnd(g, 6)) {
		case 0:
			emit(g, BPF_ST_MEM(BPF_DW, BPF_REG_8, often(g) ? 32 : PROGEN_LOCK, 3));
			break;
		case 1:
			way = emit_jump(g, BPF_JMP_IMM(BPF_JSET, BPF_REG_7, 1 << rnd(g, 3), 0));
			if (!often(g))
				lock_call(g, BPF_FUNC_spin_unlock);
			number(m);
			aim(g, way);
			break;
		case 2:
			emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_0, b, REC + 8 * (int)rnd(g, 2)));
			emit(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 1));
			emit(g, BPF_ST_MEM(BPF_B, BPF_REG_0, 3, 9));
			break;
		case 3:
			call_func(m, true);
			break;
		case 4:
			if (!often(g))
				emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_8, b, VALUE));
			break;
		default:
			number(m);
		}
	}
	if (often(g))
		lock_call(g, BPF_FUNC_spin_unlock);
	aim(g, jump);
}

static void lookup(struct gen *g, int b, int map, u32 key)
{
	emit(g, BPF_ST_MEM(BPF_W, b, KEY, (s32)key));
	address(g, BPF_REG_2, b, KEY);
	progen_map(g, BPF_REG_1, map);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem));
}

static void another_value(struct mix *m)
{
	struct gen *g = m->g;
	u32 jump;

	lookup(g, BPF_REG_6, MAP_LOCK, rnd(g, PROGEN_ARRAY + 1));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
	emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_6, BPF_REG_0, VALUE));
	aim(g, jump);
	m->value = true;
}

/* ---- dynptrs */

static void make_local(struct gen *g, int b, int off)
{
	lookup(g, b, rnd(g, 8) ? MAP_ARRAY : MAP_LOCK, rnd(g, PROGEN_ARRAY));
	emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_0));
	emit(g, BPF_MOV64_IMM(BPF_REG_2, (s32)rnd(g, often(g) ? 24 : 64)));
	emit(g, BPF_MOV64_IMM(BPF_REG_3, 0));
	address(g, BPF_REG_4, b, off);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_from_mem));
}

static void make_record(struct gen *g, int b, int off)
{
	progen_map(g, BPF_REG_1, MAP_RING);
	emit(g, BPF_MOV64_IMM(BPF_REG_2, (s32)rnd(g, 40)));
	emit(g, BPF_MOV64_IMM(BPF_REG_3, 0));
	address(g, BPF_REG_4, b, off);
	emit(g, BPF_EMIT_CALL(BPF_FUNC_ringbuf_reserve_dynptr));
}

static void give_back(struct gen *g, int b, int off)
{
	address(g, BPF_REG_1, b, off);
	emit(g, BPF_MOV64_IMM(BPF_REG_2, 0));
	emit(g, BPF_EMIT_CALL(rnd(g, 2) ? BPF_FUNC_ringbuf_submit_dynptr
					: BPF_FUNC_ringbuf_discard_dynptr));
}

static void use_dynptr(struct gen *g, int b, int off)
{
	u32 jump;

	switch (rnd(g, 4)) {
	case 0:
		address(g, BPF_REG_1, b, SPARE);
		emit(g, BPF_MOV64_IMM(BPF_REG_2, 1 + (s32)rnd(g, 8)));
		address(g, BPF_REG_3, b, off);
		emit(g, BPF_MOV64_IMM(BPF_REG_4, (s32)rnd(g, 20)));
		emit(g, BPF_MOV64_IMM(BPF_REG_5, 0));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_read));
		break;
	case 1:
		address(g, BPF_REG_1, b, off);
		emit(g, BPF_MOV64_IMM(BPF_REG_2, (s32)rnd(g, 20)));
		address(g, BPF_REG_3, b, KEY);
		emit(g, BPF_MOV64_IMM(BPF_REG_4, 1 + (s32)rnd(g, 4)));
		emit(g, BPF_MOV64_IMM(BPF_REG_5, 0));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_write));
		break;
	default:
		address(g, BPF_REG_1, b, off);
		emit(g, BPF_MOV64_IMM(BPF_REG_2, (s32)rnd(g, 12)));
		emit(g, BPF_MOV64_IMM(BPF_REG_3, 8));
		emit(g, BPF_EMIT_CALL(BPF_FUNC_dynptr_data));
		emit(g, BPF_STX_MEM(BPF_DW, b, BPF_REG_0, SLICE));
		jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 0));
		emit(g, BPF_ST_MEM(BPF_B, BPF_REG_0, (s16)rnd(g, 8), 5));
		aim(g, jump);
	}
}

static void use_slice(struct mix *m)
{
	struct gen *g = m->g;
	int b = base(m);
	u32 jump;

	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_8, b, SLICE));
	jump = emit_jump(g, BPF_JMP_IMM(BPF_JEQ, BPF_REG_8, 0, 0));
	emit(g, BPF_ST_MEM(BPF_B, BPF_REG_8, (s16)rnd(g, 8), 5));
	aim(g, jump);
	if (rnd(g, 2))
		emit(g, BPF_ST_MEM(BPF_DW, b, SLICE, 0));
}

static void dynptr(struct mix *m)
{
	struct gen *g = m->g;
	u32 i = rnd(g, 2);
	int b = base(m), off = DYN + 16 * (int)i;
	bool mine = b == BPF_REG_6;

	if (m->level && mine && !m->dyn[i])
		b = BPF_REG_9, mine = false;
	if (mine && m->dyn[i]) {
		if (!often(g)) /* destroyed, or given back */
			emit(g, BPF_ST_MEM(BPF_DW, b, off + 8 * (int)rnd(g, 2), 1));
		else if (!often(g))
			give_back(g, b, off);
		else
			use_dynptr(g, b, off);
		return;
	}
	if (rnd(g, 2)) {
		make_local(g, b, off);
		if (mine)
			m->dyn[i] = 1;
		use_dynptr(g, b, off);
		return;
	}
	make_record(g, b, off);
	if (mine)
		m->dyn[i] = 2;
	m->depth++;
	body(m, 1 + rnd(g, 3));
	m->depth--;
	if (often(g))
		give_back(g, b, off);
	if (often(g))
		emit(g, BPF_ST_MEM(BPF_DW, b, SLICE, 0));
	if (mine)
		m->dyn[i] = 0;
}

/* ---- functions */

static struct mix_func *new_func(struct mix *m, int by, bool quiet)
{
	struct mix_func *f = &m->funcs[m->func_cnt++];

	*f = (struct mix_func){.at = m->g->p->cnt, .by = by, .quiet = quiet, .value = m->value};
	f->level = m->level + 1;
	memcpy(f->rec, m->rec, sizeof(f->rec));
	memcpy(f->dyn, m->dyn, sizeof(f->dyn));
	return f;
}

static void call_func(struct mix *m, bool quiet)
{
	if (m->func_cnt == MAX_FUNCS || m->level > 1)
		return;
	emit(m->g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_6));
	new_func(m, BY_CALL, quiet);
	emit(m->g, BPF_CALL_REL(0));
}

static void call_back(struct mix *m)
{
	struct gen *g = m->g;
	bool each = !rnd(g, 3);

	if (m->func_cnt == MAX_FUNCS || m->level > 1)
		return;
	if (each)
		progen_map(g, BPF_REG_1, (int)(rnd(g, 2) ? MAP_LOCK : MAP_ARRAY));
	else if (rnd(g, 3))
		emit(g, BPF_MOV64_IMM(BPF_REG_1, (s32)rnd(g, 5)));
	else
		emit(g, BPF_MOV64_REG(BPF_REG_1, BPF_REG_7));
	/* Too many: Linux gives -E2BIG as 32 bits where the call becomes a loop. */
	if (!each)
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_1, 7));
	new_func(m, each ? BY_EACH : BY_LOOP, false);
	emit(g, BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_2, BPF_PSEUDO_FUNC, 0, 0));
	emit(g, BPF_RAW_INSN(0, 0, 0, 0, 0));
	emit(g, BPF_MOV64_REG(BPF_REG_3, BPF_REG_6));
	emit(g, BPF_MOV64_IMM(BPF_REG_4, often(g) ? 0 : 1));
	emit(g, BPF_EMIT_CALL(each ? BPF_FUNC_for_each_map_elem : BPF_FUNC_loop));
	if (rnd(g, 2))
		emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_7, BPF_REG_0));
}

static void step(struct mix *m)
{
	switch (rnd(m->g, 12)) {
	case 0:
	case 1:
		number(m);
		break;
	case 2:
		if (m->depth < 3)
			fork_way(m);
		break;
	case 3:
	case 4:
		if (m->depth < 3)
			record(m);
		break;
	case 5:
		under_lock(m);
		break;
	case 6:
		another_value(m);
		break;
	case 7:
	case 8:
		if (m->depth < 3)
			dynptr(m);
		break;
	case 9:
		use_slice(m);
		break;
	case 10:
		call_back(m);
		break;
	default:
		call_func(m, false);
	}
}

static void body(struct mix *m, u32 n)
{
	while (n-- && m->g->p->cnt < PROGEN_MAX - 1000)
		step(m);
}

static void clear_area(struct gen *g)
{
	for (int off = -AREA; off < 0; off += 8)
		emit(g, BPF_ST_MEM(BPF_DW, BPF_REG_10, off, 0));
}

static void function(struct mix *m, const struct mix_func f)
{
	struct gen *g = m->g;
	struct bpf_insn *at = &g->p->insns[f.at];

	at->imm = (s32)(g->p->cnt - f.at - 1);
	m->level = f.level;
	m->value = f.value;
	memcpy(m->rec, f.rec, sizeof(m->rec));
	memcpy(m->dyn, f.dyn, sizeof(m->dyn));
	func_begins(g);
	emit(g, BPF_MOV64_REG(BPF_REG_6, f.by == BY_CALL   ? BPF_REG_1
					 : f.by == BY_LOOP ? BPF_REG_2
							   : BPF_REG_4));
	emit(g, BPF_MOV64_REG(BPF_REG_7, f.by == BY_LOOP ? BPF_REG_1 : BPF_REG_6));
	if (f.by != BY_LOOP)
		emit(g, BPF_MOV64_IMM(BPF_REG_7, 1));
	if (f.by == BY_EACH && rnd(g, 2) && m->value) /* the element, for the caller's lock */
		emit(g, BPF_STX_MEM(BPF_DW, BPF_REG_6, BPF_REG_3, VALUE));
	if (f.quiet) {
		emit(g, BPF_MOV64_REG(BPF_REG_9, BPF_REG_6));
		number(m);
		number(m);
		if (!often(g))
			lock_call(g, BPF_FUNC_spin_unlock);
	} else {
		clear_area(g);
		address(g, BPF_REG_9, BPF_REG_10, -AREA);
		emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_8, BPF_REG_6, A));
		body(m, 1 + rnd(g, 3));
	}
	emit(g, BPF_MOV64_REG(BPF_REG_0, BPF_REG_7));
	if (f.by != BY_CALL)
		emit(g, BPF_ALU64_IMM(BPF_AND, BPF_REG_0, often(g) ? 1 : 3));
	if (f.by != BY_CALL && rnd(g, 2))
		emit(g, BPF_MOV64_IMM(BPF_REG_0, 0));
	emit(g, BPF_EXIT_INSN());
}

void progen_mix(struct gen *g)
{
	struct mix m = {.g = g};

	clear_area(g);
	address(g, BPF_REG_6, BPF_REG_10, -AREA);
	emit(g, BPF_MOV64_REG(BPF_REG_9, BPF_REG_6));
	emit(g, BPF_MOV64_IMM(BPF_REG_7, (s32)rnd(g, 8)));
	if (rnd(g, 2)) {
		emit(g, BPF_EMIT_CALL(BPF_FUNC_ktime_get_ns));
		emit(g, BPF_ALU64_IMM(BPF_MUL, BPF_REG_0, 0));
		emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_7, BPF_REG_0));
	}
	another_value(&m);
	body(&m, 3 + rnd(g, 5));
	for (int i = 0; i < 2; i++)
		if (often(g))
			put_if_there(g, BPF_REG_6, REC + 8 * i);
	emit(g, BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_6, A));
	emit(g, BPF_ALU64_REG(BPF_ADD, BPF_REG_0, BPF_REG_7));
	emit(g, BPF_EXIT_INSN());
	for (u32 i = 0; i < m.func_cnt; i++)
		function(&m, m.funcs[i]);
}
