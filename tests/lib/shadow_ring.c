/*
 * shadow_ring.c - dynptrs, and records of rings with and without them: the engine's own helpers, on
 * places that were checked
 */
#include "helpers/dynptr.h"
#include "helpers/map_helpers.h"
#include "tests/lib/shadow_run.h"

/* ---- dynptrs */

static u64 call_helper(struct run *run, const struct bpf_func_proto *proto)
{
	const struct val *r = run->r;

	return proto->func(r[1].v, r[2].v, r[3].v, r[4].v, r[5].v);
}

/* The two slots that an argument points at. */
static u32 *dynptr_slots(struct run *run, struct val at)
{
	struct frame *f;
	u64 pos;

	if (at.origin < STACK || at.origin >= VALUE || at.origin - STACK > run->depth)
		return NULL;
	f = &run->frames[at.origin - STACK];
	pos = at.v - (uintptr_t)f->bytes;
	return pos % 8 || pos > MAX_BPF_STACK - 16 ? NULL : &f->origins[pos / 8];
}

static int use_dynptr(struct run *run, struct val at, enum origin kind)
{
	const u32 *slots = dynptr_slots(run, at);

	if (!slots || (kind && slots[0] != kind) || (slots[0] != LOCAL && slots[0] != RECORD) ||
	    slots[1] != slots[0] + 1)
		return shadow_fault(run, "no dynptr");
	return 0;
}

static int make_dynptr(struct run *run, enum origin kind, const struct bpf_func_proto *proto)
{
	struct val at = run->r[4];
	u32 *slots = dynptr_slots(run, at);
	int err = slots ? shadow_check(run, at, 0, 16, true)
			: shadow_fault(run, "no place for a dynptr");

	if (err)
		return err;
	run->r[0] = (struct val){call_helper(run, proto), NUMBER};
	slots[0] = kind;
	slots[1] = kind + 1;
	run->records += kind == RECORD;
	return 0;
}

static int from_mem(struct run *run)
{
	int err = run->r[1].origin < VALUE
			  ? shadow_fault(run, "a dynptr of what is no value")
			  : shadow_check(run, run->r[1], 0, (u32)run->r[2].v, true);

	return err ? err : make_dynptr(run, LOCAL, &bpf_dynptr_from_mem_proto);
}

static int reserve_dynptr(struct run *run)
{
	const struct bpf_map *map = (const void *)(uintptr_t)run->r[1].v;

	if (run->r[1].origin != MAP || map->map_type != BPF_MAP_TYPE_RINGBUF)
		return shadow_fault(run, "R1 is no ring");
	return make_dynptr(run, RECORD, &bpf_ringbuf_reserve_dynptr_proto);
}

/* With the record go its slices. */
static int give_dynptr_back(struct run *run, const struct bpf_func_proto *proto)
{
	u32 *slots = dynptr_slots(run, run->r[1]);
	struct bpf_dynptr_kern ptr;
	int err = use_dynptr(run, run->r[1], RECORD);

	if (err)
		return err;
	memcpy(&ptr, (void *)(uintptr_t)run->r[1].v, sizeof(ptr));
	for (u32 i = 0; ptr.data && i < run->value_cnt; i++)
		if (run->values[i].base >= (u8 *)ptr.data &&
		    run->values[i].base <= (u8 *)ptr.data + ptr.size)
			run->values[i].len = 0;
	call_helper(run, proto);
	slots[0] = slots[1] = NUMBER;
	run->records--;
	shadow_forget(run, 0, 0);
	return 0;
}

static int dynptr_data(struct run *run)
{
	u32 len = (u32)run->r[3].v;
	u64 slice;
	int err = use_dynptr(run, run->r[1], NUMBER);

	if (err)
		return err;
	slice = call_helper(run, &bpf_dynptr_data_proto);
	run->r[0] = (struct val){slice, NUMBER};
	if (!slice)
		return 0;
	if (run->value_cnt == MAX_VALUES)
		return -EOPNOTSUPP;
	run->values[run->value_cnt].base = (u8 *)(uintptr_t)slice;
	run->values[run->value_cnt].map = NULL;
	run->values[run->value_cnt].len = len;
	run->values[run->value_cnt].constant = false;
	run->values[run->value_cnt].lock = -1;
	run->r[0].origin = VALUE + run->value_cnt++;
	return 0;
}

/* Bytes from one to the other; what is read and does not fit stays as it was. */
static int copy_dynptr(struct run *run, bool read)
{
	int err = shadow_check(run, run->r[read ? 1 : 3], 0, (u32)run->r[read ? 2 : 4].v, read);

	if (!err)
		err = use_dynptr(run, run->r[read ? 3 : 1], NUMBER);
	if (!err)
		run->r[0] = (struct val){
			call_helper(run, read ? &bpf_dynptr_read_proto : &bpf_dynptr_write_proto),
			NUMBER};
	return err;
}

/* ---- records without a dynptr */

static int reserve(struct run *run)
{
	const struct bpf_map *map = (const void *)(uintptr_t)run->r[1].v;
	u32 len = (u32)run->r[2].v, n = run->value_cnt;

	if (run->r[1].origin != MAP || map->map_type != BPF_MAP_TYPE_RINGBUF)
		return shadow_fault(run, "R1 is no ring");
	if (n == MAX_VALUES)
		return -EOPNOTSUPP;
	run->r[0] = (struct val){call_helper(run, &bpf_ringbuf_reserve_proto), NUMBER};
	if (!run->r[0].v)
		return 0;
	run->values[n].base = (u8 *)(uintptr_t)run->r[0].v;
	run->values[n].map = NULL;
	run->values[n].len = len;
	run->values[n].constant = false;
	run->values[n].record = true;
	run->values[n].lock = -1;
	run->r[0].origin = VALUE + run->value_cnt++;
	run->records++;
	return 0;
}

static int give_back(struct run *run, const struct bpf_func_proto *proto)
{
	u32 i = run->r[1].origin - VALUE;

	if (run->r[1].origin < VALUE || !run->values[i].record ||
	    run->r[1].v != (uintptr_t)run->values[i].base)
		return shadow_fault(run, "R1 is no record");
	run->values[i].record = false;
	run->values[i].len = 0;
	run->records--;
	call_helper(run, proto);
	shadow_forget(run, 0, 0);
	return 0;
}

int shadow_ring_helper(struct run *run, s32 id)
{
	switch (id) {
	case BPF_FUNC_dynptr_from_mem:
		return from_mem(run);
	case BPF_FUNC_ringbuf_reserve:
		return reserve(run);
	case BPF_FUNC_ringbuf_submit:
		return give_back(run, &bpf_ringbuf_submit_proto);
	case BPF_FUNC_ringbuf_discard:
		return give_back(run, &bpf_ringbuf_discard_proto);
	case BPF_FUNC_ringbuf_reserve_dynptr:
		return reserve_dynptr(run);
	case BPF_FUNC_ringbuf_submit_dynptr:
		return give_dynptr_back(run, &bpf_ringbuf_submit_dynptr_proto);
	case BPF_FUNC_ringbuf_discard_dynptr:
		return give_dynptr_back(run, &bpf_ringbuf_discard_dynptr_proto);
	case BPF_FUNC_dynptr_data:
		return dynptr_data(run);
	case BPF_FUNC_dynptr_read:
	case BPF_FUNC_dynptr_write:
		return copy_dynptr(run, id == BPF_FUNC_dynptr_read);
	default:
		return -EOPNOTSUPP;
	}
}
