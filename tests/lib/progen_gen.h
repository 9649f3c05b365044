/*
 * progen_gen.h - inside of the generator: what progen.c and progen_callback.c share
 */
#ifndef UBPFFS_TESTS_PROGEN_GEN_H
#define UBPFFS_TESTS_PROGEN_GEN_H

#include "tests/lib/progen.h"
#include "uapi/bpf_insn.h"

#define MAX_CALLBACKS 8

/* What a callback is for, and so what it is given. */
enum gen_callback_kind { CB_LOOP, CB_ARRAY, CB_HASH, CB_OFFSET };

struct gen_callback {
	u32 at; /* the LD_IMM64 of its address */
	enum gen_callback_kind kind;
	u32 level; /* callbacks around it */
};

struct gen {
	struct progen *p;
	u64 rng;
	bool risky, main; /* main: the whole invariant holds */
	bool r9_taken; /* R9 counts a loop */
	u32 depth, calls[8], call_to[8], call_cnt;
	u32 loop_depth;
	struct gen_callback callbacks[MAX_CALLBACKS];
	u32 callback_cnt;
};

static inline u32 rnd(struct gen *g, u32 n)
{
	return (u32)(progen_random(&g->rng) >> 33) % n;
}

static inline void emit(struct gen *g, struct bpf_insn insn)
{
	if (g->p->cnt < PROGEN_MAX)
		g->p->insns[g->p->cnt++] = insn;
}

static inline bool room(const struct gen *g)
{
	return g->p->cnt < PROGEN_MAX - 400;
}

/* Jumps forward are made with offset 0 and aimed when their target is known. */
static inline u32 emit_jump(struct gen *g, struct bpf_insn insn)
{
	emit(g, insn);
	return g->p->cnt - 1;
}

static inline void aim(struct gen *g, u32 jump)
{
	g->p->insns[jump].off = (s16)(g->p->cnt - jump - 1);
}

static inline u8 size_code(u32 log2)
{
	static const u8 codes[] = {BPF_B, BPF_H, BPF_W, BPF_DW};

	return codes[log2];
}

/* Where a function begins: now and then with what a rewriter drops. */
static inline void func_begins(struct gen *g)
{
	if (!rnd(g, 8))
		emit(g, BPF_JMP_IMM(BPF_JA, 0, 0, 0));
}

/* ---- progen.c */
s32 progen_imm(struct gen *g);
void progen_map(struct gen *g, int reg, int map);
int progen_scalar(struct gen *g);
void progen_access(struct gen *g, int base, int off, int len, bool atomic_too);
void progen_use(struct gen *g, int ptr, int off, u32 log2);
void progen_bound(struct gen *g, int reg, u32 limit);
void progen_after_call(struct gen *g);
void progen_stack(struct gen *g);
void progen_statements(struct gen *g, u32 n);

/* ---- progen_callback.c: a call with a callback; then, behind the main program, the callbacks */
void progen_callback_call(struct gen *g);
void progen_callbacks(struct gen *g);

/* ---- progen_aim.c */
void progen_aim(struct gen *g, u64 seed);

/* ---- progen_mix.c */
void progen_mix(struct gen *g);

#endif
