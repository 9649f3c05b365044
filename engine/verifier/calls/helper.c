/*
 * helper.c - calls of helper functions, checked against their prototypes
 *
 * Every argument must be of the kind that the prototype names; memory must be readable or writable
 * for as many bytes as the helper may touch. After the call R1 to R5 are gone, and R0 is what the
 * prototype returns.
 */
#include <stdio.h>
#include "helpers/printk.h"
#include "verifier/checks/call_meta.h"
#include "verifier/calls/callback.h"
#include "verifier/held/dynptr.h"
#include "verifier/calls/dynptr_arg.h"
#include "verifier/calls/helper.h"
#include "verifier/held/lock.h"
#include "verifier/checks/mem.h"
#include "verifier/held/reference.h"
#include "verifier/checks/stack.h"
#include "verifier/domain/bounds.h"
#include "verifier/flow/constkey.h"
#include "verifier/report/reg_text.h"
#include "verifier/history/precise.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

/* ---- kinds of registers that an argument may be */

static const u32 mem_types[] = {
	PTR_TO_STACK,	  PTR_TO_PACKET, PTR_TO_PACKET_META,	   PTR_TO_MAP_KEY,
	PTR_TO_MAP_VALUE, PTR_TO_MEM,	 PTR_TO_MEM | MEM_RINGBUF, __BPF_REG_TYPE_MAX};
static const u32 ringbuf_mem_types[] = {PTR_TO_MEM | MEM_RINGBUF, __BPF_REG_TYPE_MAX};
static const u32 scalar_types[] = {SCALAR_VALUE, __BPF_REG_TYPE_MAX};
static const u32 context_types[] = {PTR_TO_CTX, __BPF_REG_TYPE_MAX};
static const u32 const_map_ptr_types[] = {CONST_PTR_TO_MAP, __BPF_REG_TYPE_MAX};
static const u32 stack_ptr_types[] = {PTR_TO_STACK, __BPF_REG_TYPE_MAX};
static const u32 func_ptr_types[] = {PTR_TO_FUNC, __BPF_REG_TYPE_MAX};
static const u32 dynptr_types[] = {PTR_TO_STACK, CONST_PTR_TO_DYNPTR, __BPF_REG_TYPE_MAX};
static const u32 map_value_types[] = {PTR_TO_MAP_VALUE, __BPF_REG_TYPE_MAX};

static const u32 *compatible_types(u32 arg_type)
{
	switch (base_type(arg_type)) {
	case ARG_CONST_MAP_PTR:
		return const_map_ptr_types;
	case ARG_PTR_TO_MAP_KEY:
	case ARG_PTR_TO_MAP_VALUE:
	case ARG_PTR_TO_MEM:
	case ARG_PTR_TO_LONG:
	case ARG_PTR_TO_INT:
		return mem_types;
	case ARG_PTR_TO_RINGBUF_MEM:
		return ringbuf_mem_types;
	case ARG_CONST_ALLOC_SIZE_OR_ZERO:
	case ARG_CONST_SIZE:
	case ARG_CONST_SIZE_OR_ZERO:
		return scalar_types;
	case ARG_PTR_TO_CTX:
		return context_types;
	case ARG_PTR_TO_STACK:
		return stack_ptr_types;
	case ARG_PTR_TO_FUNC:
		return func_ptr_types;
	case ARG_PTR_TO_DYNPTR:
		return dynptr_types;
	case ARG_PTR_TO_CONST_STR:
	case ARG_PTR_TO_SPIN_LOCK:
		return map_value_types;
	default:
		return NULL;
	}
}

static void expected_text(const u32 *types, char *buf, size_t len)
{
	size_t n = 0;

	for (u32 i = 0; types[i] != __BPF_REG_TYPE_MAX && n < len; i++)
		n += (size_t)snprintf(buf + n, len - n, "%s%s", i ? ", " : "",
				      reg_type_str(types[i]));
}

static int check_reg_type(struct bpf_verifier_env *env, u32 regno, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	const u32 *types = compatible_types(arg_type);
	u32 type = reg->type;
	char expected[128];

	if (!types)
		return refuse(env, ARG_KIND, .reg = regno);
	if (arg_type & MEM_RDONLY || !(arg_type & (MEM_WRITE | MEM_UNINIT)))
		type &= ~MEM_RDONLY;
	for (u32 i = 0; types[i] != __BPF_REG_TYPE_MAX; i++)
		if (types[i] == type)
			return 0;
	expected_text(types, expected, sizeof(expected));
	return refuse(env, ARG_TYPE, .reg = regno, .type = reg->type, .name = {expected});
}

/* ---- one argument */

static int check_mem_size_reg(struct bpf_verifier_env *env, u32 regno,
			      enum bpf_access_type access_type, bool zero_size_allowed,
			      struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err;

	meta->msize_max_value = reg->umax_value;
	/* No helper is run ahead with a size that may be wrong. */
	env->aux[env->insn_idx].nospec |= env->strict && reg->believed;
	/* Of an unknown size the helper may fill only part: the memory must be readable before. */
	if (!tnum_is_const(reg->var_off))
		meta = NULL;
	if (reg->smin_value < 0)
		return refuse(env, SIZE_NEGATIVE, .reg = regno);
	if (!reg->umin_value && !zero_size_allowed)
		return refuse(env, SIZE_ZERO, .reg = regno,
			      .num = {reg->umin_value, reg->umax_value});
	if (reg->umax_value >= BPF_MAX_VAR_SIZ)
		return refuse(env, SIZE_UNBOUNDED, .reg = regno);
	err = check_helper_mem_access(env, regno - 1, reg->umax_value, access_type,
				      zero_size_allowed, meta);
	return err ? err : mark_chain_precision(env, regno);
}

static enum bpf_access_type access_of(u32 arg_type)
{
	return arg_type & (MEM_WRITE | MEM_UNINIT) ? BPF_WRITE : BPF_READ;
}

static bool is_array_kind(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_ARRAY || map->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static int check_map_key_arg(struct bpf_verifier_env *env, u32 regno,
			     struct bpf_call_arg_meta *meta)
{
	int err;

	if (!meta->map_ptr)
		return refuse(env, KEY_WITHOUT_MAP);
	err = check_helper_mem_access(env, regno, meta->map_ptr->key_size, BPF_READ, false, NULL);
	if (err || !is_array_kind(meta->map_ptr))
		return err;
	if (get_constant_map_key(env, &cur_regs(env)[regno], meta->map_ptr->key_size,
				 &meta->const_map_key))
		meta->const_map_key = -1;
	return 0;
}

static int check_fixed_size(struct bpf_verifier_env *env, u32 regno, int size, u32 arg_type,
			    struct bpf_call_arg_meta *meta)
{
	meta->raw_mode = arg_type & MEM_UNINIT;
	return check_helper_mem_access(env, regno, size, access_of(arg_type), false, meta);
}

/* How much to reserve: a number that is known when the program is loaded. */
static int check_alloc_size(struct bpf_verifier_env *env, u32 regno, struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];

	if (!tnum_is_const(reg->var_off))
		return refuse(env, ALLOC_SIZE, .reg = regno);
	meta->mem_size = (u32)reg->var_off.value;
	return mark_chain_precision(env, regno);
}

/* What is given back is what was given, not a place in it. */
static int check_release_arg(struct bpf_verifier_env *env, u32 regno, u32 arg_type)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];

	/* A dynptr stands for the object, wherever on the stack it is. */
	if (base_type(arg_type) == ARG_PTR_TO_DYNPTR && reg->type == PTR_TO_STACK)
		return 0;
	if (reg->off)
		return refuse(env, RELEASE_OFFSET, .reg = regno);
	return check_ptr_off_reg(env, reg, regno);
}

/* Which object does the call take, or look at? */
static int note_reference(struct bpf_verifier_env *env, u32 regno, u32 arg_type,
			  struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];

	if (arg_type & OBJ_RELEASE) {
		if (base_type(arg_type) == ARG_PTR_TO_DYNPTR) {
			if (check_dynptr_release(env, regno))
				return -EINVAL;
		} else if (!reg->ref_obj_id && !register_is_null(reg))
			return refuse(env, RELEASE_UNREFERENCED, .reg = regno);
		meta->release_regno = regno;
	}
	if (reg->ref_obj_id) {
		if (meta->ref_obj_id)
			return refuse(env, TWO_REFERENCES, .reg = regno,
				      .num = {reg->ref_obj_id, meta->ref_obj_id});
		meta->ref_obj_id = reg->ref_obj_id;
	}
	return 0;
}

/* A string in memory that never changes, whose end is there. */
static int check_const_str(struct bpf_verifier_env *env, u32 regno)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	const struct bpf_map *map = reg->map_ptr;
	u64 addr;
	s64 off;
	int err;

	if (!bpf_map_is_rdonly(map))
		return refuse(env, STR_NOT_RDONLY, .reg = regno);
	if (!tnum_is_const(reg->var_off))
		return refuse(env, STR_NOT_CONST, .reg = regno);
	if (!map->ops->map_direct_value_addr)
		return refuse(env, STR_NO_ADDRESS);
	err = check_helper_mem_access(env, regno, max((int)map->value_size - reg->off, 1), BPF_READ,
				      false, NULL);
	if (err)
		return err;
	off = reg->off + (s64)reg->var_off.value;
	if (map->ops->map_direct_value_addr(map, &addr, 0))
		return refuse(env, STR_ADDRESS);
	if (!memchr((const char *)(uintptr_t)addr + off, 0, map->value_size - (size_t)off))
		return refuse(env, STR_UNTERMINATED);
	return 0;
}

/* The format is known now, so what is wrong with it is said now. */
static int check_snprintf_call(struct bpf_verifier_env *env)
{
	const struct bpf_reg_state *fmt = &cur_regs(env)[BPF_REG_3];
	u64 bytes = cur_regs(env)[BPF_REG_5].var_off.value, addr;

	if (bytes % 8)
		return refuse(env, FORMAT_ARGS, .num = {(s64)bytes});
	if (fmt->map_ptr->ops->map_direct_value_addr(fmt->map_ptr, &addr, 0))
		return refuse(env, STR_ADDRESS);
	addr += (u64)fmt->off + fmt->var_off.value;
	if (!bpf_format_check((const char *)(uintptr_t)addr, (u32)(bytes / 8)))
		return 0;
	return refuse(env, FORMAT);
}

/*
 * The context of a program that works on a block: memory from its first byte on, as large as a
 * block is. The block itself, or what the program that is called may take for it.
 */
static bool is_block(const struct bpf_verifier_env *env, const struct bpf_reg_state *reg)
{
	return env->ops->has_block && reg->type == PTR_TO_MEM && !reg->off &&
	       tnum_equals_const(reg->var_off, 0) &&
	       reg->mem_size >= bpf_prog_block_size(env->prog);
}

static int check_func_arg(struct bpf_verifier_env *env, u32 arg, struct bpf_call_arg_meta *meta,
			  const struct bpf_func_proto *proto)
{
	u32 regno = BPF_REG_1 + arg, arg_type = proto->arg_type[arg];
	struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err;

	if (arg_type == ARG_DONTCARE)
		return 0;
	/* A bloom filter is asked about the value. */
	if (proto->id == BPF_FUNC_map_peek_elem && meta->map_ptr &&
	    meta->map_ptr->map_type == BPF_MAP_TYPE_BLOOM_FILTER)
		arg_type &= ~(MEM_UNINIT | MEM_WRITE);
	err = check_reg_arg(env, regno, SRC_OP);
	if (!err && arg_type == ARG_ANYTHING && is_pointer_value(env, regno))
		return refuse(env, ADDR_LEAK, .reg = regno, .name = {"helper function"});
	if (err || arg_type == ARG_ANYTHING)
		return err;
	if (type_is_pkt_pointer(reg->type) && !meta->pkt_access)
		return refuse(env, HELPER_PACKET);
	if (base_type(arg_type) == ARG_PTR_TO_CTX && is_block(env, reg)) {
		err = 0;
	} else if (!register_is_null(reg) || !(arg_type & PTR_MAYBE_NULL)) {
		err = check_reg_type(env, regno, arg_type);
		if (!err && arg_type & OBJ_RELEASE)
			err = check_release_arg(env, regno, arg_type);
		else if (!err && (reg->type == PTR_TO_CTX || reg->type == CONST_PTR_TO_MAP ||
				  reg->type == PTR_TO_FUNC || reg->type == CONST_PTR_TO_DYNPTR))
			err = check_ptr_off_reg(env, reg, regno);
		/*
	 * NULL: and a number that is not known to be 0 is none, also where ways meet (Linux forgets
	 * it)
	 */
	} else {
		err = mark_chain_precision(env, regno);
	}
	if (!err)
		err = note_reference(env, regno, arg_type, meta);
	if (err)
		return err;
	switch (base_type(arg_type)) {
	case ARG_CONST_MAP_PTR:
		meta->map_ptr = reg->map_ptr;
		return 0;
	case ARG_PTR_TO_MAP_KEY:
		return check_map_key_arg(env, regno, meta);
	case ARG_PTR_TO_MAP_VALUE:
		if (register_is_null(reg))
			return 0;
		if (!meta->map_ptr)
			return refuse(env, VALUE_WITHOUT_MAP);
		return check_fixed_size(env, regno, meta->map_ptr->value_size, arg_type, meta);
	case ARG_PTR_TO_MEM:
		/* With a size in the next argument, it is checked there. */
		meta->raw_mode = arg_type & MEM_UNINIT;
		if (!proto->arg_size[arg])
			return 0;
		return check_fixed_size(env, regno, proto->arg_size[arg], arg_type, meta);
	case ARG_CONST_ALLOC_SIZE_OR_ZERO:
		return check_alloc_size(env, regno, meta);
	case ARG_CONST_SIZE:
	case ARG_CONST_SIZE_OR_ZERO:
		return check_mem_size_reg(env, regno,
					  arg ? access_of(proto->arg_type[arg - 1]) : BPF_READ,
					  base_type(arg_type) == ARG_CONST_SIZE_OR_ZERO, meta);
	case ARG_PTR_TO_LONG:
	case ARG_PTR_TO_INT: {
		int size = base_type(arg_type) == ARG_PTR_TO_LONG ? 8 : 4;

		err = check_fixed_size(env, regno, size,
				       arg_type & MEM_WRITE ? MEM_WRITE : MEM_UNINIT, meta);
		return err ? err : check_ptr_alignment(env, reg, 0, size, true);
	}
	case ARG_PTR_TO_CONST_STR:
		return check_const_str(env, regno);
	case ARG_PTR_TO_SPIN_LOCK:
		return process_spin_lock(env, regno, proto->id == BPF_FUNC_spin_lock);
	case ARG_PTR_TO_FUNC:
		meta->subprogno = reg->subprogno;
		return 0;
	case ARG_PTR_TO_DYNPTR:
		return process_dynptr_func(env, regno, env->insn_idx, arg_type);
	case ARG_PTR_TO_CTX:
	case ARG_PTR_TO_STACK:
	case ARG_PTR_TO_RINGBUF_MEM: /* see check_release_arg() */
		return 0;
	default:
		return refuse(env, ARG_KIND, .reg = regno);
	}
}

/* ---- maps and what may be done with them */

/* Types that have helpers of their own and take no others: a type, then its helpers up to a 0. */
static const struct {
	enum bpf_map_type type;
	u16 funcs[7];
} map_funcs[] = {
	{BPF_MAP_TYPE_PROG_ARRAY, {BPF_FUNC_tail_call}},
	{BPF_MAP_TYPE_PERF_EVENT_ARRAY,
	 {BPF_FUNC_perf_event_read, BPF_FUNC_perf_event_output, BPF_FUNC_skb_output,
	  BPF_FUNC_perf_event_read_value, BPF_FUNC_xdp_output}},
	{BPF_MAP_TYPE_RINGBUF,
	 {BPF_FUNC_ringbuf_output, BPF_FUNC_ringbuf_reserve, BPF_FUNC_ringbuf_query,
	  BPF_FUNC_ringbuf_reserve_dynptr, BPF_FUNC_ringbuf_submit_dynptr,
	  BPF_FUNC_ringbuf_discard_dynptr}},
	{BPF_MAP_TYPE_USER_RINGBUF, {BPF_FUNC_user_ringbuf_drain}},
	{BPF_MAP_TYPE_STACK_TRACE, {BPF_FUNC_get_stackid}},
	{BPF_MAP_TYPE_CGROUP_ARRAY,
	 {BPF_FUNC_skb_under_cgroup, BPF_FUNC_current_task_under_cgroup}},
	{BPF_MAP_TYPE_CGROUP_STORAGE, {BPF_FUNC_get_local_storage}},
	{BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, {BPF_FUNC_get_local_storage}},
	{BPF_MAP_TYPE_DEVMAP, {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem}},
	{BPF_MAP_TYPE_DEVMAP_HASH, {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem}},
	{BPF_MAP_TYPE_CPUMAP, {BPF_FUNC_redirect_map}},
	{BPF_MAP_TYPE_XSKMAP, {BPF_FUNC_redirect_map, BPF_FUNC_map_lookup_elem}},
	{BPF_MAP_TYPE_ARRAY_OF_MAPS, {BPF_FUNC_map_lookup_elem}},
	{BPF_MAP_TYPE_HASH_OF_MAPS, {BPF_FUNC_map_lookup_elem}},
	{BPF_MAP_TYPE_QUEUE,
	 {BPF_FUNC_map_peek_elem, BPF_FUNC_map_pop_elem, BPF_FUNC_map_push_elem}},
	{BPF_MAP_TYPE_STACK,
	 {BPF_FUNC_map_peek_elem, BPF_FUNC_map_pop_elem, BPF_FUNC_map_push_elem}},
	{BPF_MAP_TYPE_BLOOM_FILTER, {BPF_FUNC_map_peek_elem, BPF_FUNC_map_push_elem}},
};

static bool row_has(size_t row, int func_id)
{
	for (size_t i = 0; map_funcs[row].funcs[i]; i++)
		if (map_funcs[row].funcs[i] == func_id)
			return true;
	return false;
}

/* The kinds that have a value a slot. */
static bool is_percpu_kind(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_PERCPU_ARRAY || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

static bool func_takes_map(int func_id, enum bpf_map_type type)
{
	bool special = false; /* a helper of some of these types */

	for (size_t i = 0; i < ARRAY_SIZE(map_funcs); i++) {
		if (map_funcs[i].type == type)
			return row_has(i, func_id);
		special |= func_id != BPF_FUNC_map_lookup_elem && row_has(i, func_id);
	}
	if (func_id == BPF_FUNC_map_lookup_percpu_elem)
		return is_percpu_kind(type);
	return !special;
}

/* Through a pointer that these return the program writes no more than through the map. */
static bool func_only_reads(int func_id)
{
	return func_id == BPF_FUNC_map_lookup_elem || func_id == BPF_FUNC_map_lookup_percpu_elem ||
	       func_id == BPF_FUNC_map_peek_elem || func_id == BPF_FUNC_for_each_map_elem ||
	       func_id == BPF_FUNC_ringbuf_query || func_id == BPF_FUNC_get_local_storage;
}

static int check_map_use(struct bpf_verifier_env *env, const struct bpf_map *map, int func_id)
{
	if (!map)
		return 0;
	if (!func_only_reads(func_id) && map_is_lent_rdonly(env, map))
		return refuse(env, MAP_LENT_RDONLY);
	if ((map->map_flags & BPF_F_RDONLY_PROG || map->ops->rdonly_prog) &&
	    (func_id == BPF_FUNC_map_delete_elem || func_id == BPF_FUNC_map_update_elem ||
	     func_id == BPF_FUNC_map_push_elem || func_id == BPF_FUNC_map_pop_elem))
		return refuse(env, MAP_RDONLY);
	if (!func_takes_map(func_id, map->map_type))
		return refuse(env, MAP_FUNC, .num = {map->map_type, func_id},
			      .name = {func_id_name(func_id)});
	return 0;
}

/* The called program's result becomes that of the function; Linux builds a constant index in. */
static int check_tail_call(struct bpf_verifier_env *env, const struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *index = &cur_regs(env)[BPF_REG_3];
	int err;

	if (meta->map_ptr->map_type != BPF_MAP_TYPE_PROG_ARRAY)
		return refuse(env, TAIL_CALL_MAP);
	err = check_resource_leak(env, "tail_call");
	if (err)
		return err;
	if (index->type != SCALAR_VALUE || !tnum_is_const(index->var_off) ||
	    index->var_off.value >= meta->map_ptr->max_entries)
		return 0;
	return mark_chain_precision(env, BPF_REG_3);
}

/* What the rewriter may build into the call, as long as every path agrees. */
static void note_call(struct bpf_verifier_env *env, int insn_idx, int func_id,
		      const struct bpf_call_arg_meta *meta)
{
	struct bpf_insn_aux_data *aux = &env->aux[insn_idx];
	struct bpf_insn_flow *flow = &env->flow[insn_idx];
	const struct bpf_reg_state *key_reg = &cur_regs(env)[BPF_REG_2];
	u32 idx = 0;
	s64 key = -1;

	for (u32 i = 0; meta->map_ptr && i < bpf_prog_nr_maps(env->prog) && !idx; i++)
		if (env->prog->used_maps[i] == meta->map_ptr)
			idx = i + 1;
	if (func_id == BPF_FUNC_map_lookup_elem && meta->map_ptr->key_size == 4) {
		key = meta->const_map_key;
		if (key < 0 && is_array_kind(meta->map_ptr) && key_reg->type == PTR_TO_STACK &&
		    key_reg->frameno == env->cur_state->curframe && tnum_is_const(key_reg->var_off))
			key = find_constant_key(env, insn_idx,
						key_reg->off + (int)key_reg->var_off.value);
	}
	if (!flow->call_seen) {
		flow->call_seen = true;
		aux->map_idx = idx;
		aux->const_key = key;
		return;
	}
	if (aux->map_idx != idx)
		aux->map_idx = 0;
	if (aux->const_key != key || !aux->map_idx)
		aux->const_key = -1;
}

/* What a source of samples is to find out before the program runs. */
static void note_build_ids(struct bpf_verifier_env *env, int func_id,
			   const struct bpf_call_arg_meta *meta)
{
	const struct bpf_reg_state *flags = &cur_regs(env)[BPF_REG_4];

	if (func_id == BPF_FUNC_get_stackid)
		env->out->wants_build_ids |= !!(meta->map_ptr->map_flags & BPF_F_STACK_BUILD_ID);
	else if (func_id == BPF_FUNC_get_stack)
		env->out->wants_build_ids |= (flags->var_off.value | flags->var_off.mask) &
					     BPF_F_USER_BUILD_ID;
}

/* A lookup without bounds: an address that is known, or a search, which ends in the same map. */
static bool is_bounded_lookup(const struct bpf_map *map, const struct bpf_insn_aux_data *aux)
{
	switch ((int)map->map_type) {
	case BPF_MAP_TYPE_ARRAY:
		return aux->const_key >= 0;
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH:
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
		return true;
	default:
		return false;
	}
}

/*
 * A helper looks at bounds itself, and the machine may run ahead of that with what is outside. In a
 * strict program it waits behind a call that gives a pointer or fills memory.
 */
static bool may_run_ahead(const struct bpf_func_proto *proto, const struct bpf_map *map,
			  const struct bpf_insn_aux_data *aux)
{
	if (proto->id == BPF_FUNC_map_lookup_elem && is_bounded_lookup(map, aux))
		return false;
	for (u32 i = 0; i < 5; i++)
		if (proto->arg_type[i] & (MEM_UNINIT | MEM_WRITE) ||
		    base_type(proto->arg_type[i]) == ARG_PTR_TO_DYNPTR)
			return true;
	return base_type(proto->ret_type) != RET_INTEGER && base_type(proto->ret_type) != RET_VOID;
}

static void refine_retval(struct bpf_reg_state *r0, int func_id,
			  const struct bpf_call_arg_meta *meta)
{
	switch (func_id) {
	case BPF_FUNC_get_stack:
	case BPF_FUNC_get_task_stack:
	case BPF_FUNC_probe_read_str:
	case BPF_FUNC_probe_read_kernel_str:
	case BPF_FUNC_probe_read_user_str:
		r0->smax_value = meta->msize_max_value;
		r0->s32_max_value = meta->msize_max_value;
		r0->smin_value = -4095;
		r0->s32_min_value = -4095;
		r0->believed = true; /* the helper compares */
		break;
	case BPF_FUNC_get_smp_processor_id:
		r0->umax_value = r0->smax_value = bpf_nr_slots() - 1;
		r0->u32_max_value = r0->s32_max_value = bpf_nr_slots() - 1;
		r0->umin_value = r0->smin_value = 0;
		r0->u32_min_value = r0->s32_min_value = 0;
		break;
	default:
		return;
	}
	reg_bounds_sync(r0);
}

static int set_retval(struct bpf_verifier_env *env, const struct bpf_func_proto *proto, int func_id,
		      const struct bpf_call_arg_meta *meta)
{
	struct bpf_reg_state *regs = cur_regs(env), *r0 = &regs[BPF_REG_0];
	u32 flags = type_flag(proto->ret_type);

	switch (base_type(proto->ret_type)) {
	case RET_INTEGER:
		mark_reg_unknown(regs, BPF_REG_0);
		refine_retval(r0, func_id, meta);
		return 0;
	case RET_VOID:
		mark_reg_not_init(regs, BPF_REG_0);
		return 0;
	case RET_PTR_TO_MAP_VALUE:
		if (!meta->map_ptr)
			break;
		mark_reg_known_zero(regs, BPF_REG_0);
		/* A place of an array that surely exists. */
		if (func_id == BPF_FUNC_map_lookup_elem && is_array_kind(meta->map_ptr) &&
		    !(meta->map_ptr->map_flags & BPF_F_INNER_MAP) && meta->const_map_key >= 0 &&
		    meta->const_map_key < meta->map_ptr->max_entries)
			flags &= ~PTR_MAYBE_NULL;
		r0->map_ptr = meta->map_ptr;
		r0->type = PTR_TO_MAP_VALUE | flags;
		/* A socket, of which Linux shows the queue's number and nothing else. */
		if (meta->map_ptr->map_type == BPF_MAP_TYPE_XSKMAP) {
			r0->type = PTR_TO_MEM | MEM_RDONLY | flags;
			r0->mem_size = sizeof(struct bpf_xdp_sock);
		}
		if (flags & PTR_MAYBE_NULL || map_has_spin_lock(meta->map_ptr))
			r0->id = ++env->id_gen;
		return 0;
	case RET_PTR_TO_MEM:
		mark_reg_known_zero(regs, BPF_REG_0);
		r0->type = PTR_TO_MEM | flags;
		r0->mem_size = proto->ret_size ? proto->ret_size : meta->mem_size;
		r0->dynptr_id = meta->dynptr_id;
		if (meta->dynptr_id) /* it goes with the dynptr */
			r0->ref_obj_id = meta->ref_obj_id;
		if (flags & PTR_MAYBE_NULL)
			r0->id = ++env->id_gen;
		return 0;
	}
	return refuse(env, HELPER_RESULT, .num = {func_id}, .name = {func_id_name(func_id)});
}

static int find_proto(struct bpf_verifier_env *env, int func_id,
		      const struct bpf_func_proto **proto)
{
	int err = get_helper_proto(env, func_id, proto);

	if (err == -ERANGE)
		return refuse(env, HELPER_UNKNOWN, .num = {func_id},
			      .name = {func_id_name(func_id)});
	if (err || (env->strict && (*proto)->perfmon))
		return refuse(env, HELPER_TYPE, .num = {func_id}, .name = {func_id_name(func_id)});
	if (!(*proto)->func)
		return refuse(env, HELPER_MISSING, .num = {func_id},
			      .name = {func_id_name(func_id)});
	if (!env->prog->gpl_compatible && (*proto)->gpl_only)
		return refuse(env, HELPER_GPL);
	return 0;
}

static int check_release(struct bpf_verifier_env *env, const struct bpf_func_proto *proto,
			 const struct bpf_call_arg_meta *meta)
{
	int func_id = proto->id, err = -EINVAL;

	if (base_type(proto->arg_type[meta->release_regno - BPF_REG_1]) == ARG_PTR_TO_DYNPTR)
		err = unmark_stack_slots_dynptr(env, meta->release_regno);
	else if (meta->ref_obj_id)
		err = release_reference(env, meta->ref_obj_id);
	else if (register_is_null(&cur_regs(env)[meta->release_regno]))
		err = 0;
	if (err)
		refuse(env, RELEASE_NOT_ACQUIRED, .num = {func_id},
		       .name = {func_id_name(func_id)});
	return err;
}

/* R0 is an object that must be given back. */
static int set_acquired(struct bpf_verifier_env *env, int insn_idx)
{
	struct bpf_reg_state *r0 = &cur_regs(env)[BPF_REG_0];
	int id = acquire_reference(env, insn_idx);

	if (id < 0)
		return id;
	r0->id = r0->ref_obj_id = (u32)id;
	return 0;
}

int check_helper_call(struct bpf_verifier_env *env, const struct bpf_insn *insn, int insn_idx)
{
	struct bpf_call_arg_meta meta = {.const_map_key = -1};
	struct bpf_reg_state *regs = cur_regs(env);
	const struct bpf_func_proto *proto;
	int func_id = insn->imm, err;

	err = find_proto(env, func_id, &proto);
	if (err)
		return err;
	meta.pkt_access = proto->pkt_access;
	meta.may_leave_uninit = proto->may_leave_uninit;
	for (u32 i = 0; i < 5; i++) {
		err = check_func_arg(env, i, &meta, proto);
		if (err)
			return err;
	}
	if (func_id == BPF_FUNC_tail_call) {
		err = check_tail_call(env, &meta);
		if (err)
			return err;
	}
	/* Which cannot fail, so it cannot say what is wrong with a flag. */
	if (func_id == BPF_FUNC_get_local_storage && !register_is_null(&regs[BPF_REG_2]))
		return refuse(env, LOCAL_STORAGE_FLAGS);
	note_call(env, insn_idx, func_id, &meta);
	if (env->strict && may_run_ahead(proto, meta.map_ptr, &env->aux[insn_idx]))
		env->aux[insn_idx].nospec_result = true;
	note_build_ids(env, func_id, &meta);
	/* Memory that the helper fills. */
	for (int i = 0; i < meta.access_size; i++) {
		err = check_mem_access(env, insn_idx, meta.regno, i, BPF_B, BPF_WRITE, -1, false,
				       false);
		if (err)
			return err;
	}
	if (meta.release_regno) {
		err = check_release(env, proto, &meta);
		if (err)
			return err;
	}
	if (func_id == BPF_FUNC_dynptr_data)
		err = note_dynptr_slice(env, &meta);
	else if (func_id == BPF_FUNC_dynptr_from_mem)
		err = check_dynptr_from_mem(env);
	else if (func_id == BPF_FUNC_snprintf)
		err = check_snprintf_call(env);
	if (err)
		return err;
	if (env->flow[insn_idx].calls_callback) {
		err = check_callback_call(env, func_id, insn_idx, &meta);
		if (err)
			return err;
	}
	for (u32 i = BPF_REG_0; i <= BPF_REG_5; i++) {
		mark_reg_not_init(regs, i);
		check_reg_arg(env, i, DST_OP_NO_MARK);
	}
	err = set_retval(env, proto, func_id, &meta);
	if (!err && func_id == BPF_FUNC_ringbuf_reserve)
		err = set_acquired(env, insn_idx);
	if (!err)
		err = check_map_use(env, meta.map_ptr, func_id);
	if (err)
		return err;
	if (proto->changes_pkt_data || func_id == BPF_FUNC_tail_call)
		clear_all_pkt_pointers(env);
	if (proto->changes_pkt_data)
		env->out->changes_pkt_data = true;
	return 0;
}
