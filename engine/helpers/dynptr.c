/*
 * dynptr.c - helpers that make, use and give back dynptrs (see dynptr.h)
 *
 * Sizes and offsets are 32 bits wide, as in Linux 6.18: higher bits of the registers are cut off. A
 * helper that cannot make a dynptr leaves an empty one.
 */
#include "insn/func.h"
#include "helpers/dynptr.h"
#include "map/map.h"
#include "map/ring/ringbuf.h"

static long dynptr_set(struct bpf_dynptr_kern *ptr, void *data, u32 size, long err)
{
	*ptr = (struct bpf_dynptr_kern){.data = data, .size = size};
	return err;
}

/* -E2BIG: [offset, offset + len) does not lie in it. */
static long dynptr_check_off_len(const struct bpf_dynptr_kern *ptr, u32 offset, u32 len)
{
	return len > ptr->size || offset > ptr->size - len ? -E2BIG : 0;
}

static char *dynptr_at(const struct bpf_dynptr_kern *ptr, u32 offset)
{
	return (char *)ptr->data + ptr->offset + offset;
}

/* ---- memory of any kind */

BPF_HELPER(dynptr_from_mem)
{
	struct bpf_dynptr_kern *ptr = PTR(r4);

	if (r2 > DYNPTR_MAX_SIZE)
		return (u64)dynptr_set(ptr, NULL, 0, -E2BIG);
	if (r3)
		return (u64)dynptr_set(ptr, NULL, 0, -EINVAL);
	return (u64)dynptr_set(ptr, PTR(r1), (u32)r2, 0);
}

BPF_HELPER(dynptr_read)
{
	const struct bpf_dynptr_kern *ptr = PTR(r3);
	u32 len = (u32)r2, offset = (u32)r4;
	long err;

	if (!ptr->data || r5)
		return (u64)-EINVAL;
	err = dynptr_check_off_len(ptr, offset, len);
	if (!err && len)
		memmove(PTR(r1), dynptr_at(ptr, offset), len); /* two may overlap */
	return (u64)err;
}

BPF_HELPER(dynptr_write)
{
	const struct bpf_dynptr_kern *ptr = PTR(r1);
	u32 offset = (u32)r2, len = (u32)r4;
	long err;

	if (!ptr->data)
		return (u64)-EINVAL;
	err = dynptr_check_off_len(ptr, offset, len);
	if (!err && r5)
		err = -EINVAL;
	if (!err && len)
		memmove(dynptr_at(ptr, offset), PTR(r3), len);
	return (u64)err;
}

BPF_HELPER(dynptr_data)
{
	const struct bpf_dynptr_kern *ptr = PTR(r1);
	u32 offset = (u32)r2, len = (u32)r3;

	if (!ptr->data || dynptr_check_off_len(ptr, offset, len))
		return 0;
	return (uintptr_t)dynptr_at(ptr, offset);
}

/* R1: the verifier takes nothing but a map value. */
const struct bpf_func_proto bpf_dynptr_from_mem_proto = {
	.name = "bpf_dynptr_from_mem",
	.id = BPF_FUNC_dynptr_from_mem,
	.func = bpf_dynptr_from_mem,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE_OR_ZERO, ARG_ANYTHING,
		     ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_LOCAL | MEM_UNINIT | MEM_WRITE},
};

const struct bpf_func_proto bpf_dynptr_read_proto = {
	.name = "bpf_dynptr_read",
	.id = BPF_FUNC_dynptr_read,
	.func = bpf_dynptr_read,
	.may_leave_uninit = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE_OR_ZERO, ARG_PTR_TO_DYNPTR | MEM_RDONLY,
		     ARG_ANYTHING, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_dynptr_write_proto = {
	.name = "bpf_dynptr_write",
	.id = BPF_FUNC_dynptr_write,
	.func = bpf_dynptr_write,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_DYNPTR | MEM_RDONLY, ARG_ANYTHING, ARG_PTR_TO_MEM | MEM_RDONLY,
		     ARG_CONST_SIZE_OR_ZERO, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_dynptr_data_proto = {
	.name = "bpf_dynptr_data",
	.id = BPF_FUNC_dynptr_data,
	.func = bpf_dynptr_data,
	.ret_type = RET_PTR_TO_MEM_OR_NULL,
	.arg_type = {ARG_PTR_TO_DYNPTR | MEM_RDONLY, ARG_ANYTHING, ARG_CONST_ALLOC_SIZE_OR_ZERO},
};

/* ---- records of a ring buffer */

BPF_HELPER(ringbuf_reserve_dynptr)
{
	struct bpf_dynptr_kern *ptr = PTR(r4);
	u32 size = (u32)r2;
	void *sample;

	if (r3)
		return (u64)dynptr_set(ptr, NULL, 0, -EINVAL);
	if (size > DYNPTR_MAX_SIZE)
		return (u64)dynptr_set(ptr, NULL, 0, -E2BIG);
	sample = bpf_ringbuf_reserve(PTR(r1), size, 0);
	if (!sample)
		return (u64)dynptr_set(ptr, NULL, 0, -EINVAL);
	return (u64)dynptr_set(ptr, sample, size, 0);
}

static void give_back(struct bpf_dynptr_kern *ptr, u64 flags, bool discard)
{
	if (!ptr->data)
		return;
	bpf_ringbuf_commit(ptr->data, flags, discard);
	dynptr_set(ptr, NULL, 0, 0);
}

BPF_HELPER(ringbuf_submit_dynptr)
{
	give_back(PTR(r1), r2, false);
	return 0;
}

BPF_HELPER(ringbuf_discard_dynptr)
{
	give_back(PTR(r1), r2, true);
	return 0;
}

const struct bpf_func_proto bpf_ringbuf_reserve_dynptr_proto = {
	.name = "bpf_ringbuf_reserve_dynptr",
	.id = BPF_FUNC_ringbuf_reserve_dynptr,
	.func = bpf_ringbuf_reserve_dynptr,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_CONST_MAP_PTR, ARG_ANYTHING, ARG_ANYTHING,
		     ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | MEM_UNINIT | MEM_WRITE},
};

const struct bpf_func_proto bpf_ringbuf_submit_dynptr_proto = {
	.name = "bpf_ringbuf_submit_dynptr",
	.id = BPF_FUNC_ringbuf_submit_dynptr,
	.func = bpf_ringbuf_submit_dynptr,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | OBJ_RELEASE, ARG_ANYTHING},
};

const struct bpf_func_proto bpf_ringbuf_discard_dynptr_proto = {
	.name = "bpf_ringbuf_discard_dynptr",
	.id = BPF_FUNC_ringbuf_discard_dynptr,
	.func = bpf_ringbuf_discard_dynptr,
	.ret_type = RET_VOID,
	.arg_type = {ARG_PTR_TO_DYNPTR | DYNPTR_TYPE_RINGBUF | OBJ_RELEASE, ARG_ANYTHING},
};
