/*
 * claims.c - following a run through the verifier's walk (claims.h)
 */
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include "tests/lib/shadow_run.h"
#include "verifier/domain/bounds.h"
#include "verifier/report/reg_text.h"

#define MAX_NODES  40000
#define ARENA_SIZE (96u << 20)

struct claims_frame {
	struct bpf_reg_state regs[MAX_BPF_REG];
	u32 nslots;
	const struct bpf_stack_state *stack;
};

/* Of a pruned path: what the state that covers it does not say, though it seems to. */
struct claims_edge {
	u32 to;
	bool exact; /* it was compared in everything but dead registers */
	u16 imprecise_regs[MAX_CALL_FRAMES], dead_regs[MAX_CALL_FRAMES];
	u64 imprecise_slots[MAX_CALL_FRAMES], dead_slots[MAX_CALL_FRAMES];
};

struct claims_node {
	u32 insn, curframe;
	u32 child, sibling;
	const struct claims_edge *edge; /* the path was pruned here */
	const struct claims_frame *frames[MAX_CALL_FRAMES];
};

/* ---- recording */

static void *take(struct claims *c, size_t size)
{
	void *p = c->arena + c->used;

	size = round_up(size, 16);
	if (c->used + size > ARENA_SIZE) {
		c->overflow = true;
		return NULL;
	}
	c->used += size;
	return p;
}

static const struct claims_frame *copy_frame(struct claims *c, const struct bpf_func_state *func)
{
	struct claims_frame *f = take(c, sizeof(*f));
	struct bpf_stack_state *stack = take(c, func->nslots * sizeof(*stack));

	if (!f || !stack)
		return NULL;
	memcpy(f->regs, func->regs, sizeof(f->regs));
	if (func->nslots)
		memcpy(stack, func->stack, func->nslots * sizeof(*stack));
	f->nslots = func->nslots;
	f->stack = stack;
	return f;
}

static u32 add_node(struct claims *c, const struct bpf_verifier_env *env)
{
	const struct bpf_verifier_state *st = env->cur_state;
	struct claims_node *n, *parent;

	if (c->cnt + 1 >= MAX_NODES)
		c->overflow = true;
	if (c->overflow)
		return 1;
	n = &c->nodes[++c->cnt];
	memset(n, 0, sizeof(*n));
	n->insn = (u32)env->insn_idx;
	n->curframe = st->curframe;
	for (u32 f = 0; f <= st->curframe; f++)
		n->frames[f] = copy_frame(c, st->frame[f]);
	if (st->node) {
		parent = &c->nodes[st->node];
		n->sibling = parent->child;
		parent->child = c->cnt;
	}
	return c->cnt;
}

static u32 on_enter(struct bpf_verifier_observer *obs, const struct bpf_verifier_env *env)
{
	return add_node((struct claims *)obs, env);
}

static void describe_edge(struct claims_edge *e, const struct bpf_verifier_env *env,
			  const struct bpf_verifier_state *old)
{
	for (u32 f = 0; f <= old->curframe; f++) {
		const struct bpf_func_state *func = old->frame[f];

		e->dead_regs[f] = (u16)~env->flow[frame_insn_idx(old, f)].live_regs & 0x3ff;
		if (e->exact)
			continue;
		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (!func->regs[i].precise)
				e->imprecise_regs[f] |= 1u << i;
		e->dead_slots[f] = ~old->stack_read[f];
		for (u32 i = 0; i < func->nslots; i++)
			if (!func->stack[i].spilled_ptr.precise)
				e->imprecise_slots[f] |= 1ULL << i;
	}
}

static void on_prune(struct bpf_verifier_observer *obs, const struct bpf_verifier_env *env,
		     const struct bpf_verifier_state *old, enum exact_level exact)
{
	struct claims *c = (struct claims *)obs;
	u32 n = add_node(c, env);
	struct claims_edge *e = take(c, sizeof(*e));

	if (c->overflow)
		return;
	memset(e, 0, sizeof(*e));
	e->to = old->node;
	e->exact = exact != NOT_EXACT;
	describe_edge(e, env, old);
	c->nodes[n].edge = e;
}

void claims_init(struct claims *c)
{
	memset(c, 0, sizeof(*c));
	c->nodes = calloc(MAX_NODES, sizeof(*c->nodes));
	c->arena = mmap(NULL, ARENA_SIZE, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!c->nodes || c->arena == MAP_FAILED)
		abort();
	c->observer.enter = on_enter;
	c->observer.prune = on_prune;
}

void claims_free(struct claims *c)
{
	free(c->nodes);
	munmap(c->arena, ARENA_SIZE);
}

void claims_begin(struct claims *c)
{
	c->cnt = 0;
	c->used = 0;
	c->overflow = false;
	bpf_verifier_observer = &c->observer;
}

void claims_end(struct claims *c)
{
	bpf_verifier_observer = NULL;
}

/* ---- one claim */

/* Why the candidate at hand does not fit; the last one is told. */
static char why[256];

static bool no(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static bool no(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(why, sizeof(why), fmt, args);
	va_end(args);
	return false;
}

static bool within(const struct bpf_reg_state *reg, u64 v)
{
	return v >= reg->umin_value && v <= reg->umax_value && (s64)v >= reg->smin_value &&
	       (s64)v <= reg->smax_value && (u32)v >= reg->u32_min_value &&
	       (u32)v <= reg->u32_max_value && (s32)v >= reg->s32_min_value &&
	       (s32)v <= reg->s32_max_value && (v & ~reg->var_off.mask) == reg->var_off.value;
}

static const char *text_of(const struct bpf_reg_state *reg)
{
	static char buf[192];
	struct bpf_log log;

	bpf_log_init(&log, 1, 0);
	print_reg_state(&log, reg, 0);
	snprintf(buf, sizeof(buf), "%s", bpf_log_text(&log));
	bpf_log_free(&log);
	return buf;
}

static bool same_kind(const struct bpf_map *claimed, const struct bpf_map *map)
{
	return claimed == map ||
	       (claimed->map_type == map->map_type && claimed->key_size == map->key_size &&
		claimed->value_size == map->value_size);
}

static bool is_map(struct run *run, const struct bpf_reg_state *reg, struct val v)
{
	const struct bpf_map *map = (const void *)(uintptr_t)v.v;

	return v.origin == MAP && !reg->off && same_kind(reg->map_ptr, map);
}

/* The address that the claim's offsets count from; false: the object is another one. */
static bool base_of(struct run *run, const struct bpf_reg_state *reg, struct val v, u64 *base)
{
	u32 i = v.origin - VALUE;

	switch (base_type(reg->type)) {
	case PTR_TO_CTX:
		*base = run->context;
		return v.origin == CONTEXT;
	case PTR_TO_STACK:
		*base = (uintptr_t)run->frames[reg->frameno].bytes + MAX_BPF_STACK;
		return v.origin == STACK + reg->frameno;
	case PTR_TO_PACKET:
		*base = (uintptr_t)run->s->packet;
		return v.origin == PACKET;
	case PTR_TO_PACKET_END:
		*base = (uintptr_t)run->s->packet + run->s->packet_len;
		return v.origin == PACKET_END;
	case PTR_TO_MAP_VALUE:
	case PTR_TO_MAP_KEY:
		if (v.origin < VALUE)
			return false;
		*base = (uintptr_t)run->values[i].base;
		return run->values[i].map && same_kind(reg->map_ptr, run->values[i].map) &&
		       run->values[i].constant == (base_type(reg->type) == PTR_TO_MAP_KEY);
	case PTR_TO_MEM:
		if (v.origin < VALUE)
			return false;
		*base = (uintptr_t)run->values[i].base;
		return run->values[i].len >= reg->mem_size;
	default:
		return false;
	}
}

static bool pointer_fits(struct run *run, const struct bpf_reg_state *reg, struct val v)
{
	u64 base = 0, end = (uintptr_t)run->s->packet + run->s->packet_len;

	if (reg->type & PTR_MAYBE_NULL && !v.v && v.origin == NUMBER)
		return true;
	switch (base_type(reg->type)) {
	case CONST_PTR_TO_MAP:
		return is_map(run, reg, v);
	case PTR_TO_FUNC:
		return v.origin == FUNC;
	case PTR_TO_MAP_VALUE:
		if (reg->type & PTR_MAYBE_NULL && reg->map_ptr->inner_map_meta)
			return v.origin == MAP &&
			       same_kind(reg->map_ptr->inner_map_meta, (void *)(uintptr_t)v.v);
	}
	if (!base_of(run, reg, v, &base) || !within(reg, v.v - base - (u64)(s64)reg->off))
		return false;
	if (base_type(reg->type) != PTR_TO_PACKET)
		return true;
	if (reg->range == AT_PKT_END || reg->range == BEYOND_PKT_END)
		return reg->range == AT_PKT_END ? v.v >= end : v.v > end;
	return reg->range <= 0 || v.v - (u64)(s64)reg->off + (u32)reg->range <= end;
}

/* loose: if it is a number, it may be any. */
static bool value_fits(struct run *run, const struct bpf_reg_state *reg, struct val v, bool loose)
{
	if (reg->type == NOT_INIT)
		return true;
	if (v.origin == NOTHING)
		return false;
	if (reg->type == SCALAR_VALUE)
		return loose || within(reg, v.v);
	return pointer_fits(run, reg, v);
}

/* ---- ids: those of one family are compared with the first member of each kind */

struct family {
	u32 id;
	bool has64, has32, pointer;
	u64 base64;
	u32 base32;
};

struct families {
	struct family f[64];
	u32 cnt;
};

static bool has_identity(const struct bpf_reg_state *reg)
{
	return reg->id && (reg->type == SCALAR_VALUE || reg->type == PTR_TO_PACKET ||
			   reg->type & PTR_MAYBE_NULL);
}

/* False: it is not what its id says. */
static bool join(struct families *all, const struct bpf_reg_state *reg, u64 v)
{
	u32 id = BPF_REG_ID(reg->id), i = 0;
	bool scalar = reg->type == SCALAR_VALUE, is32 = scalar && reg->id & BPF_ADD_CONST32;
	struct family *f;

	if (!scalar || reg->id & BPF_ADD_CONST)
		v -= (u64)(s64)reg->off;
	while (i < all->cnt && (all->f[i].id != id || all->f[i].pointer == scalar))
		i++;
	if (i == ARRAY_SIZE(all->f))
		return true;
	f = &all->f[i];
	if (i == all->cnt) {
		memset(f, 0, sizeof(*f));
		f->id = id;
		f->pointer = !scalar;
		all->cnt++;
	}
	if ((!is32 && f->has64 && f->base64 != v) ||
	    ((is32 || f->has32) && (f->has64 || f->has32) &&
	     (f->has64 ? (u32)f->base64 : f->base32) != (u32)v))
		return false;
	if (is32) {
		f->has32 = true;
		f->base32 = (u32)v;
	} else {
		f->has64 = true;
		f->base64 = v;
	}
	return true;
}

/* ---- a whole node */

static const struct val *regs_of(const struct run *run, u32 frame)
{
	return frame == run->depth ? run->r : run->frames[frame + 1].saved;
}

static u32 spilled_bytes(const struct bpf_stack_state *slot)
{
	u32 n = 0;

	while (n < 8 && slot->slot_type[7 - n] == STACK_SPILL)
		n++;
	return n;
}

/* What was spilled; false: only part of it is there. */
static bool spilled_value(const struct run *run, u32 frame, u32 i,
			  const struct bpf_stack_state *slot, struct val *v)
{
	const struct frame *f = &run->frames[frame];
	u32 at = MAX_STACK_SLOTS - 1 - i, n = spilled_bytes(slot);

	*v = (struct val){f->bytes[at], n == 8 ? f->origins[at] : NUMBER};
	if (n == 8)
		return true;
	v->v &= (1ULL << 8 * n) - 1;
	return slot->spilled_ptr.umax_value < 1ULL << 8 * n;
}

static bool bytes_fit(const struct run *run, u32 frame, u32 i, const struct bpf_stack_state *slot,
		      bool zero_stack)
{
	const struct frame *f = &run->frames[frame];
	const u8 *bytes = (const u8 *)f->bytes;

	for (u32 k = 0; k < 8; k++) {
		u32 at = MAX_BPF_STACK - 1 - 8 * i - k;

		if (slot->slot_type[k] == STACK_ZERO && bytes[at])
			return no("fp[%u]-%u is %#x, not 0", frame, 8 * i + k + 1, bytes[at]);
		if (slot->slot_type[k] != STACK_INVALID && !f->written[at] && !zero_stack)
			return no("fp[%u]-%u was never written", frame, 8 * i + k + 1);
	}
	if (is_dynptr_slot(slot) && !is_dynptr(f->origins[MAX_STACK_SLOTS - 1 - i]))
		return no("fp[%u]-%u is no dynptr", frame, 8 * (i + 1));
	return true;
}

/*
 * Only the low n bytes of what was spilled are there: what a load of them or of a part of them may
 * give.
 */
static bool part_fits(const struct bpf_reg_state *reg, u64 v, u32 n)
{
	for (u32 size = 1; size <= n; size *= 2) {
		struct bpf_reg_state zx = *reg, sx = *reg;
		u32 shift = 64 - 8 * size;

		coerce_reg_to_size(&zx, (int)size);
		coerce_reg_to_size_sx(&sx, (int)size);
		if (!within(&zx, v << shift >> shift) ||
		    !within(&sx, (u64)((s64)(v << shift) >> shift)))
			return false;
	}
	return true;
}

static bool slot_fits(struct run *run, u32 frame, u32 i, const struct bpf_stack_state *slot,
		      bool loose)
{
	const struct bpf_reg_state *reg = &slot->spilled_ptr;
	struct val v;

	if (!bytes_fit(run, frame, i, slot, run->claimed.zero_stack))
		return false;
	if (!is_spilled_reg(slot))
		return true;
	if (spilled_value(run, frame, i, slot, &v)) {
		if (value_fits(run, reg, v, loose))
			return true;
	} else if (loose || part_fits(reg, v.v, spilled_bytes(slot))) {
		return true;
	}
	return no("fp[%u]-%u is %#llx (origin %u), not %s", frame, 8 * (i + 1),
		  (unsigned long long)v.v, v.origin, text_of(reg));
}

static bool ids_fit(struct run *run, const struct claims_node *n, const struct claims_loose *loose)
{
	struct families all = {.cnt = 0};

	for (u32 f = 0; f <= n->curframe; f++) {
		const struct claims_frame *fr = n->frames[f];
		const struct val *r = regs_of(run, f);

		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (has_identity(&fr->regs[i]) &&
			    !((loose->regs[f] | loose->dead_regs[f]) & 1u << i) &&
			    !join(&all, &fr->regs[i], r[i].v))
				return no("frame %u R%u is %#llx, not what its id says: %s", f, i,
					  (unsigned long long)r[i].v, text_of(&fr->regs[i]));
		for (u32 i = 0; i < fr->nslots; i++) {
			const struct bpf_stack_state *slot = &fr->stack[i];
			struct val v;

			if (!is_spilled_reg(slot) || !has_identity(&slot->spilled_ptr) ||
			    (loose->slots[f] | loose->dead_slots[f]) & 1ULL << i ||
			    !spilled_value(run, f, i, slot, &v) ||
			    join(&all, &slot->spilled_ptr, v.v))
				continue;
			return no("fp[%u]-%u is %#llx, not what its id says: %s", f, 8 * (i + 1),
				  (unsigned long long)v.v, text_of(&slot->spilled_ptr));
		}
	}
	return true;
}

/* Without the ids. Pointers are never loose. */
static bool values_fit(struct run *run, const struct claims_node *n, struct claims_loose *loose)
{
	for (u32 f = 0; f <= n->curframe; f++) {
		const struct claims_frame *fr = n->frames[f];
		const struct val *r = regs_of(run, f);

		for (u32 i = 0; i < MAX_BPF_REG; i++) {
			if (loose->dead_regs[f] & 1u << i)
				continue;
			if (fr->regs[i].type != SCALAR_VALUE)
				loose->regs[f] &= ~(1u << i);
			if (!value_fits(run, &fr->regs[i], r[i], loose->regs[f] & 1u << i))
				return no("frame %u R%u is %#llx (origin %u), not %s", f, i,
					  (unsigned long long)r[i].v, r[i].origin,
					  text_of(&fr->regs[i]));
		}
		for (u32 i = 0; i < fr->nslots; i++)
			if (!(loose->dead_slots[f] & 1ULL << i) &&
			    !slot_fits(run, f, i, &fr->stack[i], loose->slots[f] & 1ULL << i))
				return false;
	}
	return true;
}

/* ---- over to the state that covers a pruned one */

/*
 * What need not fit there, and does not, is loose from now on. If the states were compared in
 * everything, that is only what was loose before.
 */
static bool cross(struct run *run, const struct claims_edge *e, struct claims_loose *loose)
{
	const struct claims_node *to = &run->claimed.claims->nodes[e->to];
	struct claims_loose may = *loose;

	for (u32 f = 0; f <= to->curframe; f++) {
		const struct claims_frame *fr = to->frames[f];
		const struct val *r = regs_of(run, f);

		if (!e->exact) {
			may.regs[f] = e->imprecise_regs[f];
			may.slots[f] = e->imprecise_slots[f];
		}
		loose->dead_regs[f] |= e->dead_regs[f];
		loose->dead_slots[f] |= e->dead_slots[f];
		loose->regs[f] = 0;
		loose->slots[f] = 0;
		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (may.regs[f] & 1u << i && fr->regs[i].type == SCALAR_VALUE &&
			    !value_fits(run, &fr->regs[i], r[i], false))
				loose->regs[f] |= 1u << i;
		for (u32 i = 0; i < fr->nslots; i++)
			if (may.slots[f] & 1ULL << i && is_spilled_scalar_reg(&fr->stack[i]) &&
			    !slot_fits(run, f, i, &fr->stack[i], false))
				loose->slots[f] |= 1ULL << i;
	}
	if (!values_fit(run, to, loose))
		return false;
	if (ids_fit(run, to, loose))
		return true;
	/* Kinships of what is not precise do not matter. */
	for (u32 f = 0; f <= to->curframe; f++) {
		const struct claims_frame *fr = to->frames[f];

		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (fr->regs[i].type == SCALAR_VALUE && fr->regs[i].id)
				loose->regs[f] |= may.regs[f] & 1u << i;
		for (u32 i = 0; i < fr->nslots; i++)
			if (is_spilled_scalar_reg(&fr->stack[i]) && fr->stack[i].spilled_ptr.id)
				loose->slots[f] |= may.slots[f] & 1ULL << i;
	}
	return ids_fit(run, to, loose);
}

/* ---- what an instruction does to what is loose */

static void set_bit(u16 *mask, u32 i, bool on)
{
	*mask = (u16)(on ? *mask | 1u << i : *mask & ~(1u << i));
}

static u64 touched_slots(const struct run *run)
{
	u64 mask = 0;

	for (u32 i = 0; i < run->claimed.touched.size; i++)
		mask |= 1ULL << (MAX_BPF_STACK - 1 - run->claimed.touched.first - i) / 8;
	return mask;
}

/* All that is linked to a register. */
static void loosen_family(const struct claims_node *n, struct claims_loose *loose, u32 regno)
{
	u32 id = BPF_REG_ID(n->frames[n->curframe]->regs[regno].id);

	set_bit(&loose->regs[n->curframe], regno, true);
	for (u32 f = 0; id && f <= n->curframe; f++) {
		const struct claims_frame *fr = n->frames[f];

		for (u32 i = 0; i < BPF_REG_FP; i++)
			if (fr->regs[i].type == SCALAR_VALUE && BPF_REG_ID(fr->regs[i].id) == id)
				set_bit(&loose->regs[f], i, true);
		for (u32 i = 0; i < fr->nslots; i++)
			if (is_spilled_scalar_reg(&fr->stack[i]) &&
			    BPF_REG_ID(fr->stack[i].spilled_ptr.id) == id)
				loose->slots[f] |= 1ULL << i;
	}
}

static bool reads_src(const struct bpf_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_LDX:
	case BPF_STX:
		return true;
	case BPF_ALU:
	case BPF_ALU64:
		return BPF_OP(insn->code) != BPF_END && BPF_OP(insn->code) != BPF_NEG &&
		       BPF_SRC(insn->code) == BPF_X;
	case BPF_JMP:
	case BPF_JMP32:
		return BPF_OP(insn->code) < BPF_CALL || BPF_OP(insn->code) > BPF_EXIT
			       ? BPF_OP(insn->code) != BPF_JA && BPF_SRC(insn->code) == BPF_X
			       : false;
	}
	return false;
}

static bool reads_dst(const struct bpf_insn *insn)
{
	switch (BPF_CLASS(insn->code)) {
	case BPF_ST:
	case BPF_STX:
		return true;
	case BPF_ALU:
	case BPF_ALU64:
		return BPF_OP(insn->code) != BPF_MOV;
	case BPF_JMP:
	case BPF_JMP32:
		return BPF_OP(insn->code) != BPF_JA && BPF_OP(insn->code) != BPF_CALL &&
		       BPF_OP(insn->code) != BPF_EXIT;
	}
	return false;
}

static bool reads_r0(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_EXIT) ||
	       (BPF_CLASS(insn->code) == BPF_STX && BPF_MODE(insn->code) == BPF_ATOMIC &&
		insn->imm == BPF_CMPXCHG);
}

static void store_step(struct run *run, const struct claims_node *n, struct claims_loose *loose,
		       const struct bpf_insn *insn, bool src_loose)
{
	const struct bpf_reg_state *at = &n->frames[n->curframe]->regs[insn->dst_reg];
	u64 slots = touched_slots(run);
	u32 f = run->claimed.touched.frame;
	bool whole = run->claimed.touched.size == 8 && !(run->claimed.touched.first % 8) &&
		     tnum_is_const(at->var_off);

	if (!slots)
		return;
	if (whole) {
		loose->slots[f] &= ~slots;
		loose->dead_slots[f] &= ~slots;
	}
	if (src_loose)
		loose->slots[f] |= slots;
}

static bool load_step(struct run *run, struct claims_loose *loose, u16 *regs, u32 dst)
{
	u64 slots = touched_slots(run);
	u32 f = run->claimed.touched.frame;

	if (slots & loose->dead_slots[f])
		return no("stack is read that was said not to be");
	set_bit(regs, dst, slots & loose->slots[f]);
	return true;
}

static void call_step(const struct claims_node *n, const struct claims_node *child,
		      struct claims_loose *loose, const struct bpf_insn *insn)
{
	u32 d = n->curframe;
	u16 *regs = &loose->regs[d], *dead = &loose->dead_regs[d];

	if (child->curframe == d) {
		*regs &= ~0x3f;
		*dead &= ~0x3f;
		return;
	}
	loose->slots[d + 1] = loose->dead_slots[d + 1] = 0;
	loose->regs[d + 1] = loose->dead_regs[d + 1] = 0;
	if (insn->src_reg == BPF_PSEUDO_CALL) {
		loose->regs[d + 1] = *regs & 0x3e;
		loose->dead_regs[d + 1] = *dead & 0x3e;
		*regs &= ~0x3f;
		*dead &= ~0x3f;
	} else {
		set_bit(&loose->regs[d + 1], insn->imm == BPF_FUNC_loop ? 2 : 4, *regs & 1u << 3);
	}
}

/* Out of a function: to the call itself if a helper called it. */
static void exit_step(const struct claims_node *n, const struct claims_node *child,
		      struct claims_loose *loose, const struct bpf_insn *at_child, bool r0_loose)
{
	u32 d = child->curframe;
	bool from_helper = at_child->code == (BPF_JMP | BPF_CALL) && !at_child->src_reg &&
			   n->frames[d]->regs[1].type != NOT_INIT;

	loose->regs[d + 1] = loose->dead_regs[d + 1] = 0;
	loose->slots[d + 1] = loose->dead_slots[d + 1] = 0;
	if (from_helper)
		return;
	loose->regs[d] &= ~0x3f;
	loose->dead_regs[d] &= ~0x3f;
	set_bit(&loose->regs[d], 0, r0_loose);
}

/* From n, whose instruction was carried out, to child. */
static bool step_loose(struct run *run, const struct claims_node *n,
		       const struct claims_node *child, struct claims_loose *loose)
{
	const struct bpf_insn *insn = &run->s->insns[n->insn];
	u32 d = n->curframe, dst = insn->dst_reg, src = insn->src_reg;
	u16 *regs = &loose->regs[d], *dead = &loose->dead_regs[d];
	bool src_loose = reads_src(insn) && *regs & 1u << src;
	u8 op = BPF_OP(insn->code);

	if (*dead && ((reads_src(insn) && *dead & 1u << src) ||
		      (reads_dst(insn) && *dead & 1u << dst) || (reads_r0(insn) && *dead & 1)))
		return no("a register is read that was said not to be");
	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		set_bit(regs, dst, src_loose || (op != BPF_MOV && *regs & 1u << dst));
		set_bit(dead, dst, false);
		return true;
	case BPF_LDX:
		set_bit(dead, dst, false);
		return load_step(run, loose, regs, dst);
	case BPF_ST:
		store_step(run, n, loose, insn, false);
		return true;
	case BPF_STX:
		if (BPF_MODE(insn->code) == BPF_ATOMIC) {
			u32 got = insn->imm == BPF_CMPXCHG ? BPF_REG_0 : src;
			u16 before = *regs;

			if (!load_step(run, loose, regs, got))
				return false;
			if (!(insn->imm & BPF_FETCH))
				*regs = before;
			else
				set_bit(dead, got, false);
		}
		store_step(run, n, loose, insn, src_loose);
		return true;
	case BPF_LD:
		if (bpf_insn_is_imm64(insn)) {
			set_bit(regs, dst, false);
			set_bit(dead, dst, false);
		} else if (child->curframe < d) {
			exit_step(n, child, loose, &run->s->insns[child->insn], false);
		} else {
			*regs &= ~0x3f;
			*dead &= ~0x3f;
		}
		return true;
	}
	if (op == BPF_CALL) {
		call_step(n, child, loose, insn);
	} else if (op == BPF_EXIT) {
		exit_step(n, child, loose, &run->s->insns[child->insn], *regs & 1);
	} else if (op != BPF_JA && (src_loose || *regs & 1u << dst)) {
		loosen_family(n, loose, dst);
		if (reads_src(insn))
			loosen_family(n, loose, src);
	}
	return true;
}

/* ---- the run */

static bool stands_here(const struct run *run, const struct claims_node *n)
{
	return n->insn == run->pc && n->curframe == run->depth;
}

static void add_candidate(struct claims_run *cr, u32 node, const struct claims_loose *loose)
{
	for (u32 i = 0; i < cr->cnt; i++)
		if (cr->at[i].node == node && !memcmp(&cr->at[i].loose, loose, sizeof(*loose)))
			return;
	if (cr->cnt == CLAIMS_CANDIDATES)
		return;
	cr->at[cr->cnt].node = node;
	cr->at[cr->cnt++].loose = *loose;
}

/* If the run may be at this node, it is at it, or where the path was pruned into. */
static void try_node(struct run *run, u32 node, struct claims_loose loose)
{
	struct claims_run *cr = &run->claimed;
	const struct claims_node *n = &cr->claims->nodes[node];

	if (!values_fit(run, n, &loose) || !ids_fit(run, n, &loose))
		return;
	if (!n->edge) {
		add_candidate(cr, node, &loose);
		return;
	}
	if (!n->edge->to || !stands_here(run, &cr->claims->nodes[n->edge->to])) {
		no("pruned into another place");
		return;
	}
	if (cross(run, n->edge, &loose))
		add_candidate(cr, n->edge->to, &loose);
}

int claims_check(struct run *run)
{
	struct claims_run *cr = &run->claimed, before = *cr;
	const struct claims_node *nodes = cr->claims->nodes;
	static const struct claims_loose nothing;

	snprintf(why, sizeof(why), "no path leads here");
	cr->cnt = 0;
	if (!cr->started) {
		cr->started = true;
		try_node(run, 1, nothing);
	}
	for (u32 i = 0; i < before.cnt; i++) {
		const struct claims_node *n = &nodes[before.at[i].node];

		for (u32 child = n->child; child; child = nodes[child].sibling) {
			struct claims_loose loose = before.at[i].loose;

			if (stands_here(run, &nodes[child]) &&
			    step_loose(run, n, &nodes[child], &loose))
				try_node(run, child, loose);
		}
	}
	/*
	 * An instruction may be walked again with what it was to be split into
	 * (maybe_fork_scalars()).
	 */
	for (u32 i = 0; i < cr->cnt; i++)
		for (u32 child = nodes[cr->at[i].node].child; child; child = nodes[child].sibling)
			if (stands_here(run, &nodes[child]))
				try_node(run, child, cr->at[i].loose);
	cr->touched.size = 0;
	return cr->cnt ? 0 : shadow_fault(run, "claim: %s", why);
}
