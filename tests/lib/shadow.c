/*
 * shadow.c - values with origins
 *
 * An address is a real one, so that map helpers can be called with it; its origin says which bytes
 * it may be used for. Origins survive a spill of all eight bytes to an aligned stack slot and
 * nothing else.
 */
#include <stdarg.h>
#include <stdio.h>
#include "run/run.h"
#include "tests/lib/shadow_run.h"
#include "tests/lib/testop.h"

#define MAX_STEPS	2000000
#define MAX_STEPS_ALONE 200000 /* where claims are compared: a path has fewer nodes */

int shadow_fault(struct run *run, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(run->s->fault, sizeof(run->s->fault), fmt, args);
	va_end(args);
	run->s->fault_insn = run->pc;
	return -EFAULT;
}

/* ---- memory */

static int bytes_of(struct run *run, u32 origin, u64 *base, u32 *len)
{
	if (origin == PACKET) {
		*base = (uintptr_t)run->s->packet;
		*len = run->s->packet_len;
	} else if (origin >= VALUE) {
		*base = (uintptr_t)run->values[origin - VALUE].base;
		*len = run->values[origin - VALUE].len;
	} else if (origin >= STACK) {
		if (origin - STACK > run->depth)
			return shadow_fault(run,
					    "access to the stack of a function that has returned");
		*base = (uintptr_t)run->frames[origin - STACK].bytes;
		*len = MAX_BPF_STACK;
	} else {
		return shadow_fault(run, "access through what is no address (origin %u)", origin);
	}
	return 0;
}

static bool touches_lock(int lock, u32 first, u32 size)
{
	return lock >= 0 && first < (u32)lock + 4 && (u32)lock < first + size;
}

/* One byte of a slot is read or written. */
static int touch_slot(struct run *run, struct frame *f, u32 slot, bool write)
{
	u32 origin = f->origins[slot];

	if (is_dynptr(origin) && !write)
		return shadow_fault(run, "load of a dynptr's bytes");
	if (origin == RECORD || origin == RECORD_END)
		return shadow_fault(run, "a record's dynptr is overwritten");
	if (origin == LOCAL)
		f->origins[slot + 1] = NUMBER;
	else if (origin == LOCAL_END)
		f->origins[slot - 1] = NUMBER;
	if (write)
		f->origins[slot] = NUMBER;
	return 0;
}

int shadow_check(struct run *run, struct val at, s64 off, u32 size, bool write)
{
	u64 base = 0, addr = at.v + (u64)off;
	struct frame *f;
	u32 len = 0, first;
	int err = bytes_of(run, at.origin, &base, &len);

	if (err)
		return err;
	if (addr < base || addr - base > len || size > len - (addr - base))
		return shadow_fault(run, "%s of %u bytes at %lld of %u", write ? "store" : "load",
				    size, (long long)(addr - base), len);
	first = (u32)(addr - base);
	if (at.origin >= VALUE && write && run->values[at.origin - VALUE].constant)
		return shadow_fault(run, "a key is written");
	if (at.origin >= VALUE && touches_lock(run->values[at.origin - VALUE].lock, first, size))
		return shadow_fault(run, "access to the lock of a value");
	if (at.origin < STACK || at.origin >= VALUE)
		return 0;
	f = &run->frames[at.origin - STACK];
	run->claimed.touched.frame = at.origin - STACK;
	run->claimed.touched.first = first;
	run->claimed.touched.size = size;
	for (u32 i = first; i < first + size && !err; i++) {
		err = touch_slot(run, f, i / 8, write);
		if (write)
			f->written[i] = true;
	}
	for (u32 i = first; i < first + size && !write && (size != 8 || first % 8); i++)
		run->s->address_parts += f->origins[i / 8] > NOTHING;
	for (u32 i = first; i < first + size && !err; i++) {
		if (!f->written[i]) {
			run->s->uninit_stack++;
			break;
		}
	}
	return err;
}

static u32 *spill_slot(struct run *run, struct val at, s64 off, u32 size)
{
	struct frame *f;
	u64 pos;

	if (at.origin < STACK || at.origin >= VALUE)
		return NULL;
	f = &run->frames[at.origin - STACK];
	pos = at.v + (u64)off - (uintptr_t)f->bytes;
	return size == 8 && pos % 8 == 0 ? &f->origins[pos / 8] : NULL;
}

static u64 get(u64 addr, u32 size)
{
	u64 v = 0;

	memcpy(&v, (void *)(uintptr_t)addr, size);
	return v;
}

static void put(u64 addr, u64 v, u32 size)
{
	memcpy((void *)(uintptr_t)addr, &v, size);
}

static int load_context(struct run *run, const struct bpf_insn *insn)
{
	struct val *dst = &run->r[insn->dst_reg];

	if (run->r[insn->src_reg].v != run->context)
		return shadow_fault(run, "context with an offset");
	if (insn->code != (BPF_LDX | BPF_MEM | BPF_W))
		return -EOPNOTSUPP;
	switch (insn->off) {
	case offsetof(struct __sk_buff, len):
		*dst = (struct val){run->s->packet_len, NUMBER};
		return 0;
	case offsetof(struct __sk_buff, data):
		*dst = (struct val){(uintptr_t)run->s->packet, PACKET};
		return 0;
	case offsetof(struct __sk_buff, data_end):
		*dst = (struct val){(uintptr_t)run->s->packet + run->s->packet_len, PACKET_END};
		return 0;
	}
	return -EOPNOTSUPP;
}

static int load(struct run *run, const struct bpf_insn *insn)
{
	struct val src = run->r[insn->src_reg];
	u32 size = bpf_size_to_bytes(insn->code), *slot;
	struct val got = {0, NUMBER};
	int err;

	if (src.origin == CONTEXT)
		return load_context(run, insn);
	err = shadow_check(run, src, insn->off, size, false);
	if (err)
		return err;
	got.v = get(src.v + (u64)(s64)insn->off, size);
	if (BPF_MODE(insn->code) == BPF_MEMSX)
		got.v = (u64)((s64)(got.v << (64 - 8 * size)) >> (64 - 8 * size));
	slot = spill_slot(run, src, insn->off, size);
	if (slot)
		got.origin = *slot;
	run->r[insn->dst_reg] = got;
	return 0;
}

static int store(struct run *run, const struct bpf_insn *insn)
{
	struct val dst = run->r[insn->dst_reg], what = {(u64)(s64)insn->imm, NUMBER};
	u32 size = bpf_size_to_bytes(insn->code), *slot;
	int err;

	if (BPF_CLASS(insn->code) == BPF_STX)
		what = run->r[insn->src_reg];
	if (what.origin == NOTHING)
		return shadow_fault(run, "stores R%d, which was never written", insn->src_reg);
	if (dst.origin == CONTEXT)
		return -EOPNOTSUPP;
	err = shadow_check(run, dst, insn->off, size, true);
	if (err)
		return err;
	put(dst.v + (u64)(s64)insn->off, what.v, size);
	slot = spill_slot(run, dst, insn->off, size);
	if (slot)
		*slot = what.origin;
	return 0;
}

static int atomic(struct run *run, const struct bpf_insn *insn)
{
	struct val dst = run->r[insn->dst_reg], *src = &run->r[insn->src_reg];
	u32 size = bpf_size_to_bytes(insn->code);
	u64 addr = dst.v + (u64)(s64)insn->off, mask = size == 8 ? ~0ULL : 0xffffffff, old, new;
	u32 *slot, origin = NUMBER;
	int err;

	if (src->origin == NOTHING)
		return shadow_fault(run, "R%d was never written", insn->src_reg);
	err = shadow_check(run, dst, insn->off, size, false);
	if (err)
		return err;
	slot = spill_slot(run, dst, insn->off, size);
	if (slot) /* what was there comes back, a pointer too */
		origin = *slot;
	err = shadow_check(run, dst, insn->off, size, true);
	if (err)
		return err;
	old = new = get(addr, size);
	switch (insn->imm & ~BPF_FETCH) {
	case BPF_ADD:
		new += src->v;
		break;
	case BPF_OR:
		new |= src->v;
		break;
	case BPF_AND:
		new &= src->v;
		break;
	case BPF_XOR:
		new ^= src->v;
		break;
	default:
		if (insn->imm == BPF_XCHG || old == (run->r[0].v & mask))
			new = src->v;
	}
	if (insn->imm & BPF_FETCH && dst.origin >= STACK && dst.origin < VALUE)
		run->s->stack_fetches++;
	if (insn->imm == BPF_CMPXCHG)
		run->r[0] = (struct val){old, origin};
	else if (insn->imm & BPF_FETCH)
		*src = (struct val){old, origin};
	put(addr, new, size);
	return 0;
}

/* ---- arithmetic */

static u32 origin_of_sum(const struct bpf_insn *insn, u32 a, u32 b)
{
	if (BPF_CLASS(insn->code) != BPF_ALU64)
		return NUMBER;
	if (BPF_OP(insn->code) == BPF_MOV)
		return insn->off ? NUMBER : b;
	if (BPF_OP(insn->code) == BPF_ADD)
		return a == NUMBER ? b : b == NUMBER ? a : NUMBER;
	if (BPF_OP(insn->code) == BPF_SUB)
		return b == NUMBER ? a : NUMBER;
	return NUMBER;
}

static int alu(struct run *run, const struct bpf_insn *insn)
{
	struct val *dst = &run->r[insn->dst_reg], src = {(u64)(s64)insn->imm, NUMBER};
	u8 op = BPF_OP(insn->code);

	if (op != BPF_END && op != BPF_NEG && BPF_SRC(insn->code) == BPF_X)
		src = run->r[insn->src_reg];
	if (src.origin == NOTHING)
		return shadow_fault(run, "R%d was never written", insn->src_reg);
	if (op == BPF_MOV)
		dst->v = 0; /* whatever it was */
	else if (dst->origin == NOTHING)
		return shadow_fault(run, "R%d was never written", insn->dst_reg);
	dst->origin = origin_of_sum(insn, dst->origin, src.origin);
	dst->v = testop_alu(insn, dst->v, src.v);
	return 0;
}

/* ---- calls */

void shadow_forget(struct run *run, int first, int last)
{
	for (int reg = first; reg <= last; reg++)
		run->r[reg] = (struct val){0xdeadbeefdeadbeef, NOTHING};
}

/* These bytes of the map: a value, or a key. */
static u32 part_of(struct run *run, void *base, const struct bpf_map *map, bool is_key)
{
	u32 i = 0;

	while (i < run->value_cnt && run->values[i].base != base)
		i++;
	if (i == MAX_VALUES)
		abort();
	run->values[i].base = base;
	run->values[i].map = map;
	run->values[i].len = is_key ? map->key_size : map->value_size;
	run->values[i].lock = is_key ? -1 : map->spin_lock_off;
	run->values[i].constant = is_key;
	run->value_cnt = max(run->value_cnt, i + 1);
	return VALUE + i;
}

static u32 value_of(struct run *run, void *base, const struct bpf_map *map)
{
	return part_of(run, base, map, false);
}

static int map_helper(struct run *run, s32 id)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)run->r[1].v;
	const void *key = (const void *)(uintptr_t)run->r[2].v;
	const void *value = (const void *)(uintptr_t)run->r[3].v;
	int err;

	if (run->r[1].origin != MAP)
		return shadow_fault(run, "R1 is no map");
	err = shadow_check(run, run->r[2], 0, map->key_size, false);
	if (!err && id == BPF_FUNC_map_update_elem)
		err = shadow_check(run, run->r[3], 0, map->value_size, false);
	if (err)
		return err;
	if (id == BPF_FUNC_map_lookup_elem) {
		void *found = map->ops->map_lookup_elem(map, key);

		run->r[0] = (struct val){(uintptr_t)found, NUMBER};
		if (found)
			run->r[0].origin = map->inner_map_meta ? MAP : value_of(run, found, map);
	} else {
		long ret = id == BPF_FUNC_map_update_elem
				   ? map->ops->map_update_elem(map, key, value, run->r[4].v)
				   : map->ops->map_delete_elem(map, key);

		run->r[0] = (struct val){(u64)ret, NUMBER};
	}
	return 0;
}

/* One lock at a time, and the one that is held is given back. */
static int lock_helper(struct run *run, s32 id)
{
	struct val at = run->r[1];
	struct bpf_spin_lock *lock = (struct bpf_spin_lock *)(uintptr_t)at.v;
	bool take = id == BPF_FUNC_spin_lock;

	if (at.origin < VALUE || run->values[at.origin - VALUE].lock < 0 ||
	    at.v != (uintptr_t)run->values[at.origin - VALUE].base +
			    (u32)run->values[at.origin - VALUE].lock)
		return shadow_fault(run, "R1 is no lock");
	if (run->held != (take ? NULL : lock))
		return shadow_fault(run, take ? "a lock is held already" : "this lock is not held");
	if (take && lock->val) /* a single thread: nobody will give it back */
		return shadow_fault(run, "the lock was left held");
	run->held = take ? lock : NULL;
	lock->val = take;
	run->r[0].origin = NOTHING;
	return 0;
}

static int skb_load_bytes(struct run *run)
{
	u32 off = (u32)run->r[2].v, len = (u32)run->r[4].v;
	bool fits = off <= INT32_MAX && len <= run->s->packet_len &&
		    off <= run->s->packet_len - len;
	int err;

	if (run->r[1].origin != CONTEXT || run->r[1].v != run->context)
		return shadow_fault(run, "R1 is no context");
	err = shadow_check(run, run->r[3], 0, len, true);
	if (err)
		return err;
	if (fits)
		memcpy((void *)(uintptr_t)run->r[3].v, run->s->packet + off, len);
	else
		memset((void *)(uintptr_t)run->r[3].v, 0, len);
	run->r[0] = (struct val){fits ? 0 : (u64)-EFAULT, NUMBER};
	return 0;
}

static int enter(struct run *run)
{
	struct frame *f;

	if (run->depth + 1 >= MAX_CALL_FRAMES)
		return shadow_fault(run, "more than %d frames", MAX_CALL_FRAMES);
	f = &run->frames[++run->depth];
	memset(f->written, 0, sizeof(f->written));
	memset(f->origins, 0, sizeof(f->origins));
	memcpy(f->saved, run->r, sizeof(f->saved));
	f->ret = run->pc + 1;
	shadow_forget(run, 6, 9);
	run->r[0].origin = NOTHING;
	run->r[10] = (struct val){(uintptr_t)f->bytes + MAX_BPF_STACK, STACK + run->depth};
	return 0;
}

/* ---- callbacks: run to their end inside of the helper that calls them */

static int one_step(struct run *run);

/* 1: it wants no more calls. args are R1 to R4. */
static int call_back(struct run *run, u32 entry, const struct val *args)
{
	u32 pc = run->pc, depth = run->depth, steps_here = run->steps_here;
	struct val before[MAX_BPF_REG], r0;
	int err = enter(run);

	memcpy(before, run->frames[run->depth].saved, sizeof(before));
	if (err)
		return err;
	shadow_forget(run, 5, 5);
	memcpy(&run->r[1], args, 4 * sizeof(*args));
	run->pc = entry;
	run->steps_here = 0;
	while (!err && run->depth > depth)
		err = one_step(run);
	if (err)
		return err;
	run->steps_here = steps_here;
	run->pc = pc;
	r0 = run->r[0];
	if (r0.origin != NUMBER || r0.v > 1)
		return shadow_fault(run, "a callback returns neither 0 nor 1");
	/* Back at the call, as it was. */
	memcpy(run->r, before, sizeof(before));
	err = run->s->claims ? claims_check(run) : 0;
	return err ? err : (int)r0.v;
}

static int loop_helper(struct run *run)
{
	struct val nr = run->r[1], func = run->r[2], ctx = run->r[3];
	bool bad_flags = run->r[4].v;
	u64 i = 0;
	int err = 0;

	if (func.origin != FUNC)
		return shadow_fault(run, "R2 is no function");
	if (bad_flags || nr.v > 8 * 1024 * 1024) {
		run->r[0] = (struct val){bad_flags ? (u64)-EINVAL : (u64)-E2BIG, NUMBER};
		return 0;
	}
	while (!err && i < nr.v) {
		const struct val args[4] = {{i++, NUMBER}, ctx, {0, NOTHING}, {0, NOTHING}};

		err = call_back(run, (u32)func.v, args);
	}
	run->r[0] = (struct val){i, NUMBER};
	return min(err, 0);
}

struct each {
	struct run *run;
	u32 entry;
	struct val ctx;
	int err;
};

/* The address of a native callback is even. */
static __attribute__((aligned(16))) u64 each_elem(u64 m, u64 key, u64 value, u64 e, u64 r5)
{
	struct each *each = (struct each *)(uintptr_t)e;
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)m;
	const struct val args[4] = {
		{m, MAP},
		{key, part_of(each->run, (void *)(uintptr_t)key, map, true)},
		{value, part_of(each->run, (void *)(uintptr_t)value, map, false)},
		each->ctx,
	};

	each->err = call_back(each->run, each->entry, args);
	return each->err != 0;
}

static int each_helper(struct run *run)
{
	struct bpf_map *map = (struct bpf_map *)(uintptr_t)run->r[1].v;
	struct each each = {run, (u32)run->r[2].v, run->r[3], 0};
	long n;

	if (run->r[1].origin != MAP || run->r[2].origin != FUNC || !map->ops->map_for_each_callback)
		return shadow_fault(run, "R1 is no map that has elements, or R2 is no function");
	if (run->r[4].v) {
		run->r[0] = (struct val){(u64)-EINVAL, NUMBER};
		return 0;
	}
	n = map->ops->map_for_each_callback(map, (uintptr_t)each_elem, (uintptr_t)&each);
	run->r[0] = (struct val){(u64)n, NUMBER};
	return min(each.err, 0);
}

static int call(struct run *run, const struct bpf_insn *insn)
{
	int err;

	if (insn->src_reg == BPF_PSEUDO_CALL) {
		err = enter(run);
		run->pc += (u32)insn->imm; /* and one more, as for every instruction */
		return err;
	}
	if (run->held && insn->imm != BPF_FUNC_spin_unlock)
		return shadow_fault(run, "a call with a lock held");
	switch (insn->imm) {
	case BPF_FUNC_spin_lock:
	case BPF_FUNC_spin_unlock:
		err = lock_helper(run, insn->imm);
		break;
	case BPF_FUNC_map_lookup_elem:
	case BPF_FUNC_map_update_elem:
	case BPF_FUNC_map_delete_elem:
		err = map_helper(run, insn->imm);
		break;
	case BPF_FUNC_loop:
		err = loop_helper(run);
		break;
	case BPF_FUNC_for_each_map_elem:
		err = each_helper(run);
		break;
	case BPF_FUNC_skb_load_bytes:
		err = skb_load_bytes(run);
		break;
	case BPF_FUNC_ktime_get_ns: /* a number; which one does not matter here */
		run->r[0] = (struct val){1, NUMBER};
		err = 0;
		break;
	case BPF_FUNC_get_prandom_u32:
		run->r[0] = (struct val){run->s->random, NUMBER};
		err = 0;
		break;
	default:
		err = shadow_ring_helper(run, insn->imm);
	}
	shadow_forget(run, 1, 5);
	return err;
}

/* 1: the program is over. */
static int leave(struct run *run)
{
	struct frame *f = &run->frames[run->depth];

	if (run->r[0].origin == NOTHING && !run->depth)
		return shadow_fault(run, "R0 was never written");
	if (!run->depth && run->held)
		return shadow_fault(run, "the end with a lock held");
	if (!run->depth && run->records)
		return shadow_fault(run, "the end with a record that was not given back");
	if (!run->depth)
		return 1;
	shadow_forget(run, 1, 5);
	memcpy(&run->r[6], &f->saved[6], 5 * sizeof(f->saved[0]));
	run->pc = f->ret - 1;
	run->depth--;
	return 0;
}

static int packet_load(struct run *run, const struct bpf_insn *insn)
{
	u32 size = bpf_size_to_bytes(insn->code), v = 0;
	s32 off = insn->imm;

	if (run->r[6].origin != CONTEXT || run->r[6].v != run->context)
		return shadow_fault(run, "R6 is no context");
	if (BPF_MODE(insn->code) == BPF_IND) {
		if (run->r[insn->src_reg].origin == NOTHING)
			return shadow_fault(run, "R%d was never written", insn->src_reg);
		off = (s32)((u32)off + (u32)run->r[insn->src_reg].v);
	}
	if (off < 0)
		return -EOPNOTSUPP;
	if (size > run->s->packet_len || (u32)off > run->s->packet_len - size) {
		run->r[0] = (struct val){0, NUMBER};
		return leave(run);
	}
	for (u32 i = 0; i < size; i++)
		v = v << 8 | run->s->packet[off + (s32)i];
	run->r[0] = (struct val){v, NUMBER};
	shadow_forget(run, 1, 5);
	return 0;
}

static int jump(struct run *run, const struct bpf_insn *insn)
{
	struct val dst = run->r[insn->dst_reg], src = {(u64)(s64)insn->imm, NUMBER};

	switch (BPF_OP(insn->code)) {
	case BPF_JA:
		run->pc += BPF_CLASS(insn->code) == BPF_JMP ? (u32)(s32)insn->off : (u32)insn->imm;
		return 0;
	case BPF_CALL:
		return call(run, insn);
	case BPF_EXIT:
		return leave(run);
	}
	if (BPF_SRC(insn->code) == BPF_X)
		src = run->r[insn->src_reg];
	if (dst.origin == NOTHING || src.origin == NOTHING)
		return shadow_fault(run, "compares what was never written");
	if (testop_jump(insn, dst.v, src.v))
		run->pc += (u32)(s32)insn->off;
	return 0;
}

static int load_value(struct run *run, struct val *dst, struct bpf_map *map, u32 off)
{
	u64 base;

	if (!map->ops->map_direct_value_addr || map->ops->map_direct_value_addr(map, &base, 0))
		return -EOPNOTSUPP;
	*dst = (struct val){base + off, part_of(run, (void *)(uintptr_t)base, map, false)};
	return 0;
}

static int load_imm64(struct run *run, const struct bpf_insn *insn)
{
	struct val *dst = &run->r[insn->dst_reg];

	run->pc++;
	if (!insn->src_reg) {
		*dst = (struct val){bpf_insn_imm64(insn), NUMBER};
		return 0;
	}
	if (insn->src_reg == BPF_PSEUDO_FUNC) {
		*dst = (struct val){run->pc + (u32)insn->imm, FUNC};
		return 0;
	}
	if ((u32)insn->imm >= run->s->map_cnt)
		return -EOPNOTSUPP;
	if (insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE)
		return load_value(run, dst, run->s->maps[insn->imm], (u32)insn[1].imm);
	if (insn->src_reg != BPF_PSEUDO_MAP_IDX)
		return -EOPNOTSUPP;
	*dst = (struct val){(uintptr_t)run->s->maps[insn->imm], MAP};
	return 0;
}

static int step(struct run *run)
{
	const struct bpf_insn *insn = &run->s->insns[run->pc];

	switch (BPF_CLASS(insn->code)) {
	case BPF_ALU:
	case BPF_ALU64:
		return alu(run, insn);
	case BPF_LDX:
		return load(run, insn);
	case BPF_ST:
		return store(run, insn);
	case BPF_STX:
		return BPF_MODE(insn->code) == BPF_ATOMIC ? atomic(run, insn) : store(run, insn);
	case BPF_LD:
		return bpf_insn_is_imm64(insn) ? load_imm64(run, insn) : packet_load(run, insn);
	default:
		return jump(run, insn);
	}
}

static int one_step(struct run *run)
{
	int err = 0;

	if (run->pc >= run->s->cnt)
		err = shadow_fault(run, "left the program");
	else if (++run->steps_here > (run->s->claims ? MAX_STEPS_ALONE : MAX_STEPS))
		err = -ELOOP;
	else if (++run->steps > run->s->max_steps) /* a helper may call its callback long */
		err = -EOPNOTSUPP;
	else if (run->s->claims)
		err = claims_check(run);
	if (!err)
		err = step(run);
	run->pc++;
	return err;
}

int shadow_run(struct shadow *s)
{
	struct run *run = calloc(1, sizeof(*run));
	int err = 0;

	if (!run)
		abort();
	run->s = s;
	if (!s->max_steps)
		s->max_steps = MAX_STEPS;
	run->context = (uintptr_t)&run->context;
	s->uninit_stack = s->address_parts = s->stack_fetches = 0;
	run->claimed.claims = s->claims;
	run->claimed.zero_stack = s->zero_stack;
	shadow_forget(run, 0, 9);
	run->r[1] = (struct val){run->context, CONTEXT};
	run->r[10] = (struct val){(uintptr_t)run->frames[0].bytes + MAX_BPF_STACK, STACK};
	bpf_run_enter();
	while (!err)
		err = one_step(run);
	bpf_run_exit();
	s->r0 = run->r[0].v;
	free(run);
	return err == 1 ? 0 : err;
}
