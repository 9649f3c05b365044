/*
 * block.c - see block.h
 *
 *	SEC("raw") int decide(struct event *event)
 *
 * BTF has the function and its argument. Without BTF, or where the argument points to something of
 * no size, there is nothing that the program could touch: then it is refused, with what is missing.
 */
#include <bpf/btf.h>
#include "object/elf/btf_ext.h"
#include "object/read/block.h"

/* The BTF id of a function: its first record of func_info has it. 0: there is none. */
static u32 func_type_id(const struct obj_reader *r, const struct elf_func *func)
{
	const u8 *recs;

	return obj_ext_records(r->func_info, func, &recs) ? get_u32(recs + sizeof(u32)) : 0;
}

static s64 block_size(const struct btf *btf, u32 func_id)
{
	const struct btf_type *type = func_id ? btf__type_by_id(btf, func_id) : NULL;

	type = type && btf_is_func(type) ? btf__type_by_id(btf, type->type) : NULL;
	if (!type || !btf_is_func_proto(type) || !btf_vlen(type))
		return -ENOENT;
	type = btf__type_by_id(btf, btf_params(type)[0].type);
	for (u32 n = 0; type && (btf_is_mod(type) || btf_is_typedef(type)) && n < 32; n++)
		type = btf__type_by_id(btf, type->type);
	if (!type || !btf_is_ptr(type))
		return -ENOENT;
	return btf__resolve_size(btf, type->type);
}

int obj_read_blocks(struct obj_reader *r)
{
	const struct bpf_btf *btf = r->out->btf;

	for (u32 i = 0; i < r->func_cnt; i++) {
		const struct elf_func *func = &r->funcs[i];
		struct bpf_object_prog *prog;
		s64 size;

		if (func->prog == NO_INDEX)
			continue;
		prog = &r->out->progs[func->prog];
		if ((u32)prog->type != BPF_PROG_TYPE_RAW)
			continue;
		size = btf ? block_size(btf->btf, func_type_id(r, func)) : -ENOENT;
		if (size <= 0)
			return obj_fail(
				r, -EINVAL,
				"program '%s': a raw program's argument is a pointer to the "
				"block that it works on, of a type whose size is known%s",
				prog->name, btf ? "" : " (compile with -g)");
		if (size > BPF_BLOCK_MAX)
			return obj_fail(r, -E2BIG, "program '%s': its block has more than %u bytes",
					prog->name, BPF_BLOCK_MAX);
		prog->expected_attach_type = (enum bpf_attach_type)size;
	}
	return 0;
}
