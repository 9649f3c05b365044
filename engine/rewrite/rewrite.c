/*
 * rewrite.c - from the instructions that were verified to those that run
 *
 * Four steps over arrays that are indexed like the original program:
 *   1. prune     what no path reaches is dropped; a conditional jump with one live side becomes
 *                that side; a jump to the next instruction goes
 *   2. expand    each instruction that stays becomes one or more: addresses of maps and values,
 *                converted context accesses, helper distances, inlined lookups, the tail call
 *                instruction; barriers that the verifier asks for stand before and behind it
 *   3. link      jumps and bpf-to-bpf calls get their new distances
 *   4. subprogs  those that are still called, with their new starts
 *
 * Invariants: the first instruction of an expansion stands where jumps to the original one go;
 * inside an expansion jumps are relative and stay; what a helper call's replacement may clobber is
 * what the call may clobber.
 */
#include "run/callback.h"
#include "insn/insn.h"
#include "insn/reg.h"
#include "rewrite/rewrite.h"

#define EXPAND_MAX 32 /* the longest replacement of one instruction, without its barriers */

/* What becomes of an instruction. */
enum keep {
	KEEP_NO,
	KEEP_YES,
	KEEP_TAKEN, /* a conditional jump, of which only that side */
	KEEP_NOT_TAKEN,
};

struct rewriter {
	struct bpf_prog *prog;
	const struct bpf_verdict *verdict;
	const struct bpf_prog_type_ops *ops;
	u32 len; /* of the original */
	const struct bpf_insn *in; /* the original */
	u8 *keep; /* enum keep by original index; both halves of LD_IMM64 */
	u32 *new_idx; /* original index (and len) -> where it, or what follows it, is now */

	struct bpf_insn *out;
	u32 *orig_idx;
	u32 out_len, out_cap;
};

static bool is_jump(const struct bpf_insn *insn)
{
	u8 class = BPF_CLASS(insn->code), op = BPF_OP(insn->code);

	return (class == BPF_JMP || class == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT &&
	       op != BPF_TAIL_CALL;
}

static bool is_ja(const struct bpf_insn *insn)
{
	return is_jump(insn) && BPF_OP(insn->code) == BPF_JA;
}

static bool is_ja32(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP32 | BPF_JA);
}

static s64 jump_distance(const struct bpf_insn *insn)
{
	return is_ja32(insn) ? insn->imm : insn->off;
}

static u32 jump_target(const struct rewriter *rw, u32 i)
{
	return (u32)((s64)i + 1 + (rw->keep[i] == KEEP_NOT_TAKEN ? 0 : jump_distance(&rw->in[i])));
}

/* Does it go nowhere else? */
static bool is_goto(const struct rewriter *rw, u32 i)
{
	return is_ja(&rw->in[i]) || rw->keep[i] == KEEP_TAKEN || rw->keep[i] == KEEP_NOT_TAKEN;
}

/* Behind the barrier, if there is one: what the instruction itself became. */
static u32 body(const struct rewriter *rw, u32 i)
{
	return rw->new_idx[i] + (rw->keep[i] && rw->verdict->aux[i].nospec);
}

/* ---- 1. prune */

static struct bpf_insn insn_ja(s16 off)
{
	return (struct bpf_insn){.code = BPF_JMP | BPF_JA, .off = off};
}

static void prune_dead(struct rewriter *rw)
{
	const struct bpf_insn_aux_data *aux = rw->verdict->aux;

	for (u32 i = 0; i < rw->len; i++) {
		rw->keep[i] = aux[i].seen ? KEEP_YES : KEEP_NO;
		if (bpf_insn_is_imm64(&rw->in[i])) {
			rw->keep[i + 1] = rw->keep[i];
			i++;
		}
	}
}

static void prune_branches(struct rewriter *rw)
{
	for (u32 i = 0; i < rw->len; i++) {
		const struct bpf_insn *insn = &rw->in[i];

		if (bpf_insn_is_imm64(insn)) {
			i++;
			continue;
		}
		if (!rw->keep[i] || !is_jump(insn) || is_ja(insn))
			continue;
		if (!rw->keep[jump_target(rw, i)])
			rw->keep[i] = KEEP_NOT_TAKEN;
		else if (!rw->keep[i + 1])
			rw->keep[i] = KEEP_TAKEN;
	}
}

/* From the end, so that a jump that goes makes those before it short enough to go too. */
static int prune_short_jumps(struct rewriter *rw)
{
	__do_free u32 *next_kept = malloc((rw->len + 1) * sizeof(*next_kept));

	if (!next_kept)
		return -ENOMEM;
	next_kept[rw->len] = rw->len;
	for (u32 i = rw->len; i-- > 0;) {
		bool second = i > 0 && bpf_insn_is_imm64(&rw->in[i - 1]);

		if (rw->keep[i] && !second && is_goto(rw, i)) {
			u32 to = jump_target(rw, i);

			if (to > i && next_kept[to] == next_kept[i + 1] &&
			    !rw->verdict->aux[i].nospec)
				rw->keep[i] = KEEP_NO;
		}
		next_kept[i] = rw->keep[i] ? i : next_kept[i + 1];
	}
	return 0;
}

/* ---- 2. expand */

static int out_reserve(struct rewriter *rw, u32 more)
{
	u32 cap = rw->out_cap;
	void *p;

	if (rw->out_len + more <= cap)
		return 0;
	cap = max(cap * 2, rw->out_len + more);
	p = realloc(rw->out, cap * sizeof(*rw->out));
	if (!p)
		return -ENOMEM;
	rw->out = p;
	p = realloc(rw->orig_idx, cap * sizeof(*rw->orig_idx));
	if (!p)
		return -ENOMEM;
	rw->orig_idx = p;
	rw->out_cap = cap;
	return 0;
}

static u32 put_imm64(struct bpf_insn *buf, u8 dst, u8 pseudo, u64 value)
{
	buf[0] = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW,
				   .dst_reg = dst,
				   .src_reg = pseudo,
				   .imm = (s32)(u32)value};
	buf[1] = (struct bpf_insn){.imm = (s32)(u32)(value >> 32)};
	return 2;
}

/* A function is there when its first instruction was walked, also where that one is dropped. */
static bool is_walked(const struct rewriter *rw, u32 start)
{
	return rw->verdict->aux[start].seen;
}

/* Where the function that a call calls, or whose address is taken, begins in the original. */
static u32 func_target(u32 i, const struct bpf_insn *insn)
{
	return (u32)((s64)i + 1 + insn->imm);
}

static int expand_imm64(const struct rewriter *rw, u32 i, struct bpf_insn *buf)
{
	const struct bpf_insn *insn = &rw->in[i];
	const struct bpf_map *map;
	u64 addr;
	int err;

	switch (insn->src_reg) {
	case BPF_PSEUDO_FUNC:
		/* No path calls it, and it is not there any more. */
		if (!is_walked(rw, func_target(i, insn)))
			return (int)put_imm64(buf, insn->dst_reg, 0, 0);
		break;
	case BPF_PSEUDO_MAP_IDX:
	case BPF_PSEUDO_MAP_IDX_VALUE:
		if ((u32)insn->imm >= rw->prog->used_map_cnt)
			return -EINVAL;
		map = rw->prog->used_maps[insn->imm];
		addr = (uintptr_t)map;
		if (insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE) {
			if (!map->ops->map_direct_value_addr)
				return -EINVAL;
			err = map->ops->map_direct_value_addr(map, &addr, (u32)insn[1].imm);
			if (err)
				return err;
		}
		return (int)put_imm64(buf, insn->dst_reg, insn->src_reg, addr);
	}
	buf[0] = insn[0];
	buf[1] = insn[1];
	return 2;
}

/* Where in memory the element of a constant key is; 0: the key is past the end. */
static u64 const_key_addr(const struct bpf_map *map, s64 key)
{
	if ((u64)key >= map->max_entries)
		return 0;
	return (uintptr_t)map->values + (u64)key * map->elem_size;
}

static u32 put_call(struct bpf_insn *buf, const void *func)
{
	buf[0] = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = BPF_CALL_IMM(func)};
	return 1;
}

static struct bpf_insn spill(u8 reg, int off)
{
	return (struct bpf_insn){.code = BPF_STX | BPF_MEM | BPF_DW,
				 .dst_reg = BPF_REG_FP,
				 .src_reg = reg,
				 .off = (s16)off};
}

static struct bpf_insn fill(u8 reg, int off)
{
	return (struct bpf_insn){.code = BPF_LDX | BPF_MEM | BPF_DW,
				 .dst_reg = reg,
				 .src_reg = BPF_REG_FP,
				 .off = (s16)off};
}

/* The function that instruction i of the original is in. */
static const struct bpf_subprog_info *subprog_of(const struct rewriter *rw, u32 i)
{
	u32 s = rw->verdict->subprog_cnt - 1;

	while (s && rw->verdict->subprogs[s].start > i)
		s--;
	return &rw->verdict->subprogs[s];
}

/* A map helper whose map is known: without the dispatch, or without the call. 0: leave it. */
static u32 expand_map_call(const struct rewriter *rw, u32 i, struct bpf_insn *buf)
{
	const struct bpf_insn_aux_data *aux = &rw->verdict->aux[i];
	struct bpf_map *map;
	int n;

	if (!aux->map_idx || aux->map_idx > rw->prog->used_map_cnt)
		return 0;
	map = rw->prog->used_maps[aux->map_idx - 1];
	switch (rw->in[i].imm) {
	case BPF_FUNC_map_lookup_elem:
		if (aux->const_key >= 0 && map->values && map->ops->map_gen_lookup)
			return put_imm64(buf, BPF_REG_0, 0, const_key_addr(map, aux->const_key));
		n = map->ops->map_gen_lookup ? map->ops->map_gen_lookup(map, buf, EXPAND_MAX)
					     : -EOPNOTSUPP;
		return n > 0 ? (u32)n : put_call(buf, map->ops->map_lookup_elem);
	case BPF_FUNC_map_update_elem:
		return put_call(buf, map->ops->map_update_elem);
	case BPF_FUNC_map_delete_elem:
		return put_call(buf, map->ops->map_delete_elem);
	}
	return 0;
}

/*
 * bpf_loop(R1 times, a known function, R3, 0) as a loop of the program. Its counters are R6 to R8,
 * which are kept below the function's stack meanwhile; they survive the call of the callback, as
 * they do any. The call's distance is put in by link_loop(), until then it is the number of the
 * callback's first instruction. Where the stack has no room the call stays; the count is looked at
 * before, as all 64 bits count here and 32 in the helper. A run that is cancelled begins no round
 * any more (run.h). 0: it stays as it is.
 */
#define LOOP_STACK 24

static const struct bpf_insn too_often = {.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -E2BIG};

static struct bpf_insn skip_if_few(s16 off)
{
	return (struct bpf_insn){.code = BPF_JMP | BPF_JLE | BPF_K,
				 .dst_reg = BPF_REG_1,
				 .off = off,
				 .imm = BPF_MAX_LOOPS};
}

static u32 expand_loop(const struct rewriter *rw, u32 i, struct bpf_insn *buf)
{
	const struct bpf_insn_aux_data *aux = &rw->verdict->aux[i];
	const struct bpf_subprog_info *callee;
	s16 depth;

	if (rw->in[i].imm != BPF_FUNC_loop || aux->loop_inline != 1)
		return 0;
	callee = &rw->verdict->subprogs[aux->loop_callback];
	depth = (s16)round_up((u32)subprog_of(rw, i)->stack_depth, 8u);
	if (!is_walked(rw, callee->start))
		return 0;
	if (depth + LOOP_STACK > MAX_BPF_STACK) {
		buf[0] = skip_if_few(2);
		buf[1] = too_often;
		buf[2] = insn_ja(1);
		return 3 + put_call(&buf[3], bpf_loop_proto.func);
	}
	const struct bpf_insn loop[] = {
		skip_if_few(2),
		too_often,
		insn_ja(18),
		spill(BPF_REG_6, -depth - 8),
		spill(BPF_REG_7, -depth - 16),
		spill(BPF_REG_8, -depth - 24),
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_6, .src_reg = BPF_REG_1},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_7},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_8, .src_reg = BPF_REG_3},
		/* Once more, while there is a turn left and the callback returns 0. */
		{.code = BPF_JMP | BPF_JGE | BPF_X,
		 .dst_reg = BPF_REG_7,
		 .src_reg = BPF_REG_6,
		 .off = 7},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_CALL_IMM(bpf_run_cancelled_call)},
		{.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = BPF_REG_0, .off = 5},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_7},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_8},
		{.code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = (s32)callee->start},
		{.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_7, .imm = 1},
		{.code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = -8},
		{.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_7},
		fill(BPF_REG_6, -depth - 8),
		fill(BPF_REG_7, -depth - 16),
		fill(BPF_REG_8, -depth - 24),
	};

	memcpy(buf, loop, sizeof(loop));
	return ARRAY_SIZE(loop);
}

/*
 * callx: a helper by the number in a register, which only programs have that were not verified.
 * Each helper that it may be is compared with, so that what runs are calls as all others. A number
 * that is none gives -EINVAL.
 */
#define CALLX_MAX (3 * (BPF_FUNC_MAX + BPF_HOST_FUNCS) + 1)

static bool is_callx(const struct rewriter *rw, const struct bpf_insn *insn)
{
	return rw->prog->unverified && insn->code == (BPF_JMP | BPF_CALL | BPF_X);
}

static u32 put_callx_case(struct bpf_insn *buf, u8 reg, const struct bpf_func_proto *proto)
{
	if (!proto || !proto->func || proto->id == BPF_FUNC_tail_call)
		return 0;
	buf[0] = (struct bpf_insn){
		.code = BPF_JMP | BPF_JNE | BPF_K, .dst_reg = reg, .off = 2, .imm = (s32)proto->id};
	put_call(&buf[1], proto->func);
	buf[2] = insn_ja(0); /* until it is known where the cases end */
	return 3;
}

static u32 expand_callx(const struct rewriter *rw, const struct bpf_insn *insn,
			struct bpf_insn *buf)
{
	const struct bpf_func_proto *proto;
	u32 n = 0;

	for (u32 id = 1; id < BPF_FUNC_MAX; id++)
		n += put_callx_case(buf + n, insn->dst_reg, bpf_prog_func_proto(rw->prog, id));
	for (u32 i = 0; (proto = bpf_host_func_at(rw->prog->host_funcs, i)); i++)
		n += put_callx_case(buf + n, insn->dst_reg, proto);
	for (u32 i = 2; i < n; i += 3)
		buf[i].off = (s16)(n - i);
	buf[n++] = (struct bpf_insn){.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = -EINVAL};
	return n;
}

static int expand_call(const struct rewriter *rw, u32 i, struct bpf_insn *buf)
{
	const struct bpf_insn *insn = &rw->in[i];
	const struct bpf_func_proto *proto;
	u32 n;

	if (insn->src_reg == BPF_PSEUDO_CALL) {
		buf[0] = *insn;
		return 1;
	}
	if (insn->imm == BPF_FUNC_tail_call) {
		buf[0] = (struct bpf_insn){.code = BPF_JMP | BPF_TAIL_CALL};
		return 1;
	}
	n = expand_map_call(rw, i, buf);
	if (!n)
		n = expand_loop(rw, i, buf);
	if (n)
		return (int)n;
	proto = bpf_prog_func_proto(rw->prog, (u32)insn->imm);
	if (!proto || !proto->func)
		return -EINVAL;
	return (int)put_call(buf, proto->func);
}

static int expand(const struct rewriter *rw, u32 i, struct bpf_insn *buf)
{
	const struct bpf_insn *insn = &rw->in[i];
	const struct bpf_insn_aux_data *aux = &rw->verdict->aux[i];
	u8 class = BPF_CLASS(insn->code);

	if (bpf_insn_is_imm64(insn))
		return expand_imm64(rw, i, buf);
	if (insn->code == (BPF_JMP | BPF_CALL))
		return expand_call(rw, i, buf);
	if (is_callx(rw, insn))
		return (int)expand_callx(rw, insn, buf);
	if ((class == BPF_LDX || class == BPF_ST || class == BPF_STX) &&
	    base_type(aux->ptr_type) == PTR_TO_CTX)
		return (int)rw->ops->convert_ctx_access(insn, aux->ctx_field_size, buf, EXPAND_MAX);
	buf[0] = rw->keep[i] == KEEP_YES ? *insn
					 : insn_ja(insn->off); /* link_jump() says how far */
	return 1;
}

static const struct bpf_insn barrier = {.code = BPF_ST | BPF_NOSPEC};

static int expand_with_barriers(const struct rewriter *rw, u32 i, struct bpf_insn *buf)
{
	const struct bpf_insn_aux_data *aux = &rw->verdict->aux[i];
	int before = aux->nospec, n;

	if (before)
		buf[0] = barrier;
	n = expand(rw, i, buf + before);
	if (n < 0)
		return n;
	if (aux->nospec_result)
		buf[before + n++] = barrier;
	return before + n;
}

static int expand_all(struct rewriter *rw)
{
	int n, err;

	for (u32 i = 0; i < rw->len; i++) {
		bool wide = bpf_insn_is_imm64(&rw->in[i]);

		rw->new_idx[i] = rw->out_len;
		if (rw->keep[i]) {
			err = out_reserve(rw,
					  (is_callx(rw, &rw->in[i]) ? CALLX_MAX : EXPAND_MAX) + 2);
			if (err)
				return err;
			n = expand_with_barriers(rw, i, &rw->out[rw->out_len]);
			if (n < 0)
				return n;
			for (int k = 0; k < n; k++)
				rw->orig_idx[rw->out_len + (u32)k] = i;
			rw->out_len += (u32)n;
		}
		if (wide) {
			i++;
			rw->new_idx[i] = rw->out_len;
		}
	}
	rw->new_idx[rw->len] = rw->out_len;
	return 0;
}

/* ---- 3. link */

static int link_jump(struct rewriter *rw, u32 i)
{
	struct bpf_insn *insn = &rw->out[body(rw, i)];
	s64 distance = (s64)rw->new_idx[jump_target(rw, i)] - body(rw, i) - 1;

	if (is_ja32(insn)) {
		insn->imm = (s32)distance;
	} else if (distance == (s16)distance) {
		insn->off = (s16)distance;
	} else if (is_ja(insn)) {
		*insn = (struct bpf_insn){.code = BPF_JMP32 | BPF_JA, .imm = (s32)distance};
	} else {
		return -E2BIG; /* grew past what a conditional jump can reach */
	}
	return 0;
}

/* What expand_loop() made of instruction i: it is longer than a call. */
static void link_loop(struct rewriter *rw, u32 i)
{
	for (u32 k = rw->new_idx[i]; k < rw->new_idx[i + 1]; k++)
		if (bpf_insn_is_pseudo_call(&rw->out[k]))
			rw->out[k].imm = (s32)rw->new_idx[rw->out[k].imm] - (s32)k - 1;
}

/* A call's distance, or that of an address; `func`: of the expansion of instruction i. */
static void link_func(struct rewriter *rw, u32 i, struct bpf_insn *func)
{
	func->imm = (s32)rw->new_idx[func_target(i, &rw->in[i])] - (s32)body(rw, i) - 1;
}

static int link_all(struct rewriter *rw)
{
	int err;

	for (u32 i = 0; i < rw->len; i++) {
		const struct bpf_insn *insn = &rw->in[i];

		if (bpf_insn_is_imm64(insn)) {
			if (rw->keep[i] && bpf_insn_is_pseudo_func(&rw->out[body(rw, i)]))
				link_func(rw, i, &rw->out[body(rw, i)]);
			i++;
			continue;
		}
		if (!rw->keep[i])
			continue;
		if (bpf_insn_is_pseudo_call(insn)) {
			link_func(rw, i, &rw->out[body(rw, i)]);
		} else if (insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg &&
			   insn->imm == BPF_FUNC_loop) {
			link_loop(rw, i);
		} else if (is_jump(insn)) {
			err = link_jump(rw, i);
			if (err)
				return err;
		}
	}
	return 0;
}

/* ---- 4. subprograms */

/* Did instruction i, a call of bpf_loop, become a loop? Then the callback is called in it. */
static bool is_loop(const struct rewriter *rw, u32 i)
{
	for (u32 k = rw->new_idx[i]; k < rw->new_idx[i + 1]; k++)
		if (bpf_insn_is_pseudo_call(&rw->out[k]))
			return true;
	return false;
}

/* Is there such a loop in this function, with its counters on the stack? */
static bool has_loop(const struct rewriter *rw, u32 s)
{
	const struct bpf_subprog_info *subprogs = rw->verdict->subprogs;
	u32 end = s + 1 < rw->verdict->subprog_cnt ? subprogs[s + 1].start : rw->len;

	for (u32 i = subprogs[s].start; i < end; i++)
		if (rw->keep[i] && rw->in[i].code == (BPF_JMP | BPF_CALL) && !rw->in[i].src_reg &&
		    rw->in[i].imm == BPF_FUNC_loop && is_loop(rw, i))
			return true;
	return false;
}

static int link_subprogs(const struct rewriter *rw, struct bpf_subprog_info **out, u32 *out_cnt)
{
	const struct bpf_verdict *v = rw->verdict;
	struct bpf_subprog_info *subs = calloc(max(v->subprog_cnt, 1u), sizeof(*subs));
	u32 n = 0;

	if (!subs)
		return -ENOMEM;
	for (u32 s = 0; s < v->subprog_cnt; s++) {
		u32 start = v->subprogs[s].start;

		if (s && !is_walked(rw, start))
			continue;
		subs[n] = v->subprogs[s];
		subs[n].start = rw->new_idx[start];
		if (has_loop(rw, s))
			subs[n].stack_depth =
				(u16)(round_up((u32)subs[n].stack_depth, 8u) + LOOP_STACK);
		n++;
	}
	*out = subs;
	*out_cnt = max(n, 1u);
	return 0;
}

/* ---- all of it */

static int rewriter_init(struct rewriter *rw, struct bpf_prog *prog,
			 const struct bpf_verdict *verdict)
{
	memset(rw, 0, sizeof(*rw));
	rw->prog = prog;
	rw->verdict = verdict;
	rw->ops = bpf_prog_type_ops_find(prog->type);
	rw->len = prog->orig_len;
	rw->in = prog->orig_insns;
	rw->keep = calloc(rw->len + 1, sizeof(*rw->keep));
	rw->new_idx = calloc(rw->len + 1, sizeof(*rw->new_idx));
	if (!rw->keep || !rw->new_idx)
		return -ENOMEM;
	return rw->ops ? 0 : -ENOTSUP;
}

static void rewriter_free(struct rewriter *rw)
{
	free(rw->keep);
	free(rw->new_idx);
	free(rw->out);
	free(rw->orig_idx);
}

int bpf_rewrite(struct bpf_prog *prog, const struct bpf_verdict *verdict)
{
	struct bpf_subprog_info *subs = NULL;
	struct rewriter rw;
	u32 sub_cnt;
	int err;

	err = rewriter_init(&rw, prog, verdict);
	if (err)
		goto out;
	prune_dead(&rw);
	prune_branches(&rw);
	err = prune_short_jumps(&rw);
	if (!err)
		err = expand_all(&rw);
	if (!err)
		err = link_all(&rw);
	if (!err)
		err = link_subprogs(&rw, &subs, &sub_cnt);
	if (err)
		goto out;

	prog->insnsi = move_ptr(rw.out);
	prog->orig_idx = move_ptr(rw.orig_idx);
	prog->len = rw.out_len;
	prog->subprogs = subs;
	prog->subprog_cnt = sub_cnt;
	prog->changes_pkt_data = verdict->changes_pkt_data;
	prog->wants_build_ids = verdict->wants_build_ids;
	memcpy(prog->cgroup_storage, verdict->cgroup_storage, sizeof(prog->cgroup_storage));
	prog->zero_stack = verdict->zero_stack;
	prog->fence_stack = verdict->fence_stack;
	for (u32 s = 0; s < sub_cnt; s++)
		prog->has_tail_call |= subs[s].has_tail_call;
out:
	rewriter_free(&rw);
	return err;
}
