/*
 * raw.c - programs over a block of memory, for whatever their host makes of it
 *
 * R1 is the block's address. Its size is stated at the load (bpf_prog_block_size()); all of it may
 * be read and written, at known and at variable offsets, and given to helpers as memory. Any number
 * may be returned. The block is 8-byte aligned where the program uses atomics.
 */
#include "helpers/helpers.h"
#include "run/test_run.h"

static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_base_func_proto(id, prog);
}

/* The block is memory, so no program of this type has a context that is none. */
static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *aux)
{
	return false;
}

static u32 convert_ctx_access(const struct bpf_insn *insn, u32 ctx_field_size, struct bpf_insn *buf,
			      u32 max)
{
	buf[0] = *insn;
	return 1;
}

static bool is_valid_attach_type(enum bpf_attach_type type)
{
	return (u32)type <= BPF_BLOCK_MAX;
}

/* The input is the block, with zeroes behind it up to its size; the output is all of it. */
static int raw_test_run(struct bpf_prog *prog, struct bpf_test_run *run)
{
	u32 size = bpf_prog_block_size(prog);
	__do_free void *block = NULL;
	int err;

	if (run->data_size_in > size || run->ctx_in || run->ctx_out)
		return -EINVAL;
	block = calloc(1, max(size, 1u));
	if (!block)
		return -ENOMEM;
	if (run->data_size_in)
		memcpy(block, run->data_in, run->data_size_in);
	err = bpf_test_run_loop(prog, block, run);
	return err ? err : bpf_test_finish(run, block, size);
}

const struct bpf_prog_type_ops bpf_raw_ops = {
	.type = BPF_PROG_TYPE_RAW,
	.name = "raw",
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.convert_ctx_access = convert_ctx_access,
	.is_valid_attach_type = is_valid_attach_type,
	.has_block = true,
	.test_run = raw_test_run,
};
