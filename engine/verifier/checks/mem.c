/*
 * mem.c - loads and stores by kind of pointer: context, map values, packets, memory
 *
 * A pointer is a base, a fixed offset and a variable offset with bounds. An access is allowed if it
 * lies in the object for the smallest and for the largest variable offset.
 */
#include "verifier/checks/call_meta.h"
#include "verifier/held/lock.h"
#include "verifier/checks/mem.h"
#include "verifier/checks/stack.h"
#include "verifier/domain/bounds.h"
#include "verifier/state/print.h"
#include "verifier/state/program.h"
#include "verifier/state/refuse.h"
#include "verifier/state/regs.h"

static int check_generic_ptr_alignment(struct bpf_verifier_env *env,
				       const struct bpf_reg_state *reg, const char *desc, int off,
				       int size, bool strict)
{
	struct tnum reg_off;

	if (!strict || size == 1)
		return 0;
	reg_off = tnum_add(reg->var_off, tnum_const(reg->off + off));
	if (tnum_is_aligned(reg_off, size))
		return 0;
	return refuse(env, MISALIGNED, .num = {reg->off, off, size},
		      .name = {desc, tnum_text(reg->var_off)});
}

/* Packets begin 2 bytes after a 4-byte boundary, so that the IP header is aligned. */
static int check_pkt_ptr_alignment(struct bpf_verifier_env *env, const struct bpf_reg_state *reg,
				   int off, int size, bool strict)
{
	struct tnum reg_off;

	if (!strict || size == 1)
		return 0;
	reg_off = tnum_add(reg->var_off, tnum_const(2 + reg->off + off));
	if (tnum_is_aligned(reg_off, size))
		return 0;
	return refuse(env, MISALIGNED_PACKET, .num = {2, reg->off, off, size},
		      .name = {tnum_text(reg->var_off)});
}

int check_ptr_alignment(struct bpf_verifier_env *env, const struct bpf_reg_state *reg, int off,
			int size, bool strict_once)
{
	bool strict = env->strict_alignment || strict_once;
	const char *desc = "";

	switch (base_type(reg->type)) {
	case PTR_TO_PACKET:
	case PTR_TO_PACKET_META:
		return check_pkt_ptr_alignment(env, reg, off, size, strict);
	case PTR_TO_MAP_KEY:
		desc = "key ";
		break;
	case PTR_TO_MAP_VALUE:
		desc = "value ";
		break;
	case PTR_TO_CTX:
		desc = "context ";
		break;
	case PTR_TO_STACK: /* slots are tracked by 8 bytes */
		desc = "stack ";
		strict = true;
		break;
	}
	return check_generic_ptr_alignment(env, reg, desc, off, size, strict);
}

/* [off, off + size) in a region of mem_size bytes? Says what it is that it is not in. */
static int __check_mem_access(struct bpf_verifier_env *env, u32 regno, s64 off, int size,
			      u32 mem_size, bool zero_size_allowed)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	bool size_ok = size > 0 || (size == 0 && zero_size_allowed);

	if (off >= 0 && size_ok && (u64)off + size <= mem_size)
		return 0;
	switch (base_type(reg->type)) {
	case PTR_TO_MAP_KEY:
		return refuse(env, ACCESS_MAP_KEY, .num = {mem_size, off, size});
	case PTR_TO_MAP_VALUE:
		return refuse(env, ACCESS_MAP_VALUE, .num = {mem_size, off, size});
	case PTR_TO_PACKET:
	case PTR_TO_PACKET_META:
		return refuse(env, ACCESS_PACKET, .reg = regno,
			      .num = {off, size, reg->id, off, (int)mem_size});
	default:
		return refuse(env, ACCESS_MEM, .num = {mem_size, off, size});
	}
}

static int check_mem_region_access(struct bpf_verifier_env *env, u32 regno, int off, int size,
				   u32 mem_size, bool zero_size_allowed)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err;

	if (reg->smin_value < 0 && (reg->smin_value == INT64_MIN ||
				    (off + reg->smin_value != (s64)(s32)(off + reg->smin_value)) ||
				    reg->smin_value + off < 0))
		return refuse(env, MIN_NEGATIVE, .reg = regno);
	/* Not below zero from here on, and within 32 bits or out of the region. */
	err = __check_mem_access(env, regno, (int)min(reg->smin_value, (s64)BPF_MAX_VAR_OFF) + off,
				 size, mem_size, zero_size_allowed);
	if (err) {
		refuse(env, MIN_OUTSIDE, .reg = regno);
		return err;
	}
	if (reg->umax_value >= BPF_MAX_VAR_OFF)
		return refuse(env, UNBOUNDED, .reg = regno);
	err = __check_mem_access(env, regno, (s64)reg->umax_value + off, size, mem_size,
				 zero_size_allowed);
	if (err)
		refuse(env, MAX_OUTSIDE, .reg = regno);
	return err;
}

static int check_map_access_type(struct bpf_verifier_env *env, u32 regno, int off, int size,
				 enum bpf_access_type type)
{
	const struct bpf_map *map = cur_regs(env)[regno].map_ptr;

	if (type == BPF_WRITE && (map->map_flags & BPF_F_RDONLY_PROG || map->ops->rdonly_prog ||
				  map_is_lent_rdonly(env, map)))
		return refuse(env, MAP_WRITE, .num = {map->value_size, off, size});
	if (type == BPF_READ && map->map_flags & BPF_F_WRONLY_PROG)
		return refuse(env, MAP_READ, .num = {map->value_size, off, size});
	return 0;
}

static int check_packet_access(struct bpf_verifier_env *env, u32 regno, int off, int size,
			       bool zero_size_allowed)
{
	const struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err;

	if (reg->smin_value < 0)
		return refuse(env, MIN_NEGATIVE, .reg = regno);
	/*
	 * The range was proved for the same variable part: only the fixed one is left to look at.
	 */
	err = reg->range < 0
		      ? -EINVAL
		      : __check_mem_access(env, regno, off, size, reg->range, zero_size_allowed);
	if (err)
		refuse(env, OUTSIDE_PACKET, .reg = regno);
	return err;
}

/* A strict program stores no address where somebody else may read it. */
static int check_leak(struct bpf_verifier_env *env, enum bpf_access_type t, int value_regno,
		      const char *into)
{
	if (t != BPF_WRITE || value_regno < 0 || !is_pointer_value(env, value_regno))
		return 0;
	return refuse(env, ADDR_LEAK, .reg = value_regno, .name = {into});
}

int check_map_value_range(struct bpf_verifier_env *env, u32 regno, int off, int size)
{
	return check_mem_region_access(env, regno, off, size,
				       cur_regs(env)[regno].map_ptr->value_size, false);
}

/* ---- the kinds */

static int check_ctx_access(struct bpf_verifier_env *env, int insn_idx, u32 regno, int off,
			    int size, enum bpf_access_type t, int value_regno, bool is_ldsx)
{
	struct bpf_reg_state *regs = cur_regs(env);
	struct bpf_insn_access_aux info = {.reg_type = SCALAR_VALUE};
	int err;

	err = check_leak(env, t, value_regno, "ctx");
	if (!err)
		err = check_ptr_off_reg(env, &regs[regno], regno);
	if (err)
		return err;
	/* Half of an address, or one with its sign extended, is none. */
	if (!env->ops->is_valid_access(off, size, t, env->prog, &info) ||
	    (is_ldsx && info.reg_type != SCALAR_VALUE)) {
		if (info.unsupported)
			return refuse(env, CTX_UNSUPPORTED, .num = {off, size});
		return refuse(env, CTX_ACCESS, .num = {off, size});
	}
	env->aux[insn_idx].ctx_field_size = info.ctx_field_size;
	if (t != BPF_READ || value_regno < 0)
		return 0;
	mark_reg_unknown(regs, value_regno);
	if (info.reg_type != SCALAR_VALUE) {
		mark_reg_known_zero(regs, value_regno);
		regs[value_regno].type = info.reg_type;
		if (info.reg_type & PTR_MAYBE_NULL)
			regs[value_regno].id = ++env->id_gen;
	}
	return 0;
}

/* The bytes of a map that never change again are constants. */
static bool read_frozen_map(const struct bpf_reg_state *reg, int off, int size, bool is_ldsx,
			    u64 *val)
{
	const struct bpf_map *map = reg->map_ptr;
	u64 addr, start = (u64)off + reg->var_off.value;

	if (!tnum_is_const(reg->var_off) || !bpf_map_is_rdonly(map) ||
	    map->map_type != BPF_MAP_TYPE_ARRAY || map->max_entries != 1 ||
	    !map->ops->map_direct_value_addr || map->ops->map_direct_value_addr(map, &addr, 0))
		return false;
	*val = 0;
	memcpy(val, (const char *)(uintptr_t)addr + start, size);
	if (is_ldsx && size < 8)
		*val = (u64)((s64)(*val << (64 - 8 * size)) >> (64 - 8 * size));
	return true;
}

static int check_map_value_access(struct bpf_verifier_env *env, u32 regno, int off, int size,
				  enum bpf_access_type t, int value_regno, bool is_ldsx)
{
	struct bpf_reg_state *regs = cur_regs(env), *reg = &regs[regno];
	u64 val;
	int err;

	err = check_leak(env, t, value_regno, "map");
	if (!err)
		err = check_map_access_type(env, regno, off, size, t);
	if (!err)
		err = check_map_value_range(env, regno, off, size);
	if (!err)
		err = check_lock_untouched(env, reg, off, size);
	if (err || t != BPF_READ || value_regno < 0)
		return err;
	if (read_frozen_map(reg, off, size, is_ldsx, &val)) {
		mark_reg_unknown(regs, value_regno);
		__mark_reg_known(&regs[value_regno], val);
	} else {
		mark_reg_unknown(regs, value_regno);
	}
	return 0;
}

static int check_pkt_mem_access(struct bpf_verifier_env *env, u32 regno, int off, int size,
				enum bpf_access_type t, int value_regno)
{
	int err;

	if (t == BPF_WRITE && !env->ops->may_write_packet)
		return refuse(env, PACKET_WRITE);
	err = check_leak(env, t, value_regno, "packet");
	if (!err)
		err = check_packet_access(env, regno, off, size, false);
	if (!err && t == BPF_READ && value_regno >= 0)
		mark_reg_unknown(cur_regs(env), value_regno);
	return err;
}

static int check_plain_mem_access(struct bpf_verifier_env *env, u32 regno, int off, int size,
				  enum bpf_access_type t, int value_regno)
{
	struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err;

	if (t == BPF_WRITE && reg->type & MEM_RDONLY)
		return refuse(env, WRITE_INTO, .reg = regno, .type = reg->type);
	err = check_leak(env, t, value_regno, "mem");
	if (!err)
		err = check_mem_region_access(env, regno, off, size, reg->mem_size, false);
	if (!err && t == BPF_READ && value_regno >= 0)
		mark_reg_unknown(cur_regs(env), value_regno);
	return err;
}

/* The key that a callback is given lies in the map. */
static int check_map_key_access(struct bpf_verifier_env *env, u32 regno, int off, int size,
				enum bpf_access_type t, int value_regno)
{
	u32 key_size = cur_regs(env)[regno].map_ptr->key_size;
	int err;

	if (t == BPF_WRITE)
		return refuse(env, KEY_WRITE, .reg = regno);
	err = check_mem_region_access(env, regno, off, size, key_size, false);
	if (!err && value_regno >= 0)
		mark_reg_unknown(cur_regs(env), value_regno);
	return err;
}

static int check_stack_mem_access(struct bpf_verifier_env *env, int insn_idx, u32 regno, int off,
				  int size, enum bpf_access_type t, int value_regno)
{
	int err = check_stack_access_within_bounds(env, regno, off, size, t);

	if (err)
		return err;
	if (t == BPF_READ)
		return check_stack_read(env, regno, off, size, value_regno);
	return check_stack_write(env, regno, off, size, value_regno, insn_idx);
}

/*
 * check_mem_access - an access of one instruction through register regno
 *
 * value_regno: the register that a load fills or a store takes from; -1: none (an immediate, an
 * atomic). `off` is the instruction's.
 */
int check_mem_access(struct bpf_verifier_env *env, int insn_idx, u32 regno, int off, int bpf_size,
		     enum bpf_access_type t, int value_regno, bool strict_once, bool is_ldsx)
{
	struct bpf_reg_state *regs = cur_regs(env), *reg = &regs[regno];
	int size = bpf_size_to_bytes(bpf_size), err;

	err = check_ptr_alignment(env, reg, off, size, strict_once);
	if (err)
		return err;
	off += reg->off; /* the fixed part of the pointer is just more offset */
	switch ((int)reg->type) {
	case PTR_TO_MAP_VALUE:
		err = check_map_value_access(env, regno, off, size, t, value_regno, is_ldsx);
		break;
	case PTR_TO_MAP_KEY:
		err = check_map_key_access(env, regno, off, size, t, value_regno);
		break;
	case PTR_TO_CTX:
		err = check_ctx_access(env, insn_idx, regno, off, size, t, value_regno, is_ldsx);
		break;
	case PTR_TO_STACK:
		err = check_stack_mem_access(env, insn_idx, regno, off, size, t, value_regno);
		break;
	case PTR_TO_PACKET:
	case PTR_TO_PACKET_META:
		err = check_pkt_mem_access(env, regno, off, size, t, value_regno);
		break;
	case PTR_TO_MEM:
	case PTR_TO_MEM | MEM_RDONLY:
	case PTR_TO_MEM | MEM_RINGBUF:
		err = check_plain_mem_access(env, regno, off, size, t, value_regno);
		break;
	default:
		return refuse(env, MEM_ACCESS, .reg = regno, .type = reg->type);
	}
	if (err || size == 8 || value_regno < 0 || t != BPF_READ ||
	    regs[value_regno].type != SCALAR_VALUE)
		return err;
	/* What was spilled is another value than what is filled, unless all of it is there. */
	if (!reg_fits(&regs[value_regno], size, is_ldsx))
		clear_scalar_id(&regs[value_regno]);
	if (is_ldsx)
		coerce_reg_to_size_sx(&regs[value_regno], size);
	else
		coerce_reg_to_size(&regs[value_regno], size);
	return 0;
}

/* Memory of up to access_size bytes that a helper is given in a register. */
int check_helper_mem_access(struct bpf_verifier_env *env, u32 regno, int access_size,
			    enum bpf_access_type access_type, bool zero_size_allowed,
			    struct bpf_call_arg_meta *meta)
{
	struct bpf_reg_state *reg = &cur_regs(env)[regno];
	int err;

	switch ((int)reg->type) {
	case PTR_TO_PACKET:
	case PTR_TO_PACKET_META:
		if (access_type == BPF_WRITE && !env->ops->may_write_packet)
			return refuse(env, PACKET_WRITE);
		return check_packet_access(env, regno, reg->off, access_size, zero_size_allowed);
	case PTR_TO_MAP_VALUE:
		if (check_map_access_type(env, regno, reg->off, access_size, access_type))
			return -EACCES;
		err = check_mem_region_access(env, regno, reg->off, access_size,
					      reg->map_ptr->value_size, zero_size_allowed);
		return err ? err : check_lock_untouched(env, reg, reg->off, access_size);
	case PTR_TO_MAP_KEY:
		if (access_type == BPF_WRITE)
			return refuse(env, WRITE_INTO, .reg = regno, .type = reg->type);
		return check_mem_region_access(env, regno, reg->off, access_size,
					       reg->map_ptr->key_size, zero_size_allowed);
	case PTR_TO_MEM:
	case PTR_TO_MEM | MEM_RDONLY:
	case PTR_TO_MEM | MEM_RINGBUF:
		if (access_type == BPF_WRITE && reg->type & MEM_RDONLY)
			return refuse(env, WRITE_INTO, .reg = regno, .type = reg->type);
		return check_mem_region_access(env, regno, reg->off, access_size, reg->mem_size,
					       zero_size_allowed);
	case PTR_TO_STACK:
		return check_stack_range_initialized(env, regno, reg->off, access_size,
						     zero_size_allowed, access_type, meta);
	default:
		if (zero_size_allowed && !access_size && register_is_null(reg))
			return 0;
		return refuse(env, ARG_TYPE, .reg = regno, .type = reg->type, .name = {"fp"});
	}
}

/*
 * Which instruction field names which register, and what kinds of memory may be changed in place.
 */
static int check_atomic_operands(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	const struct bpf_reg_state *dst = &cur_regs(env)[insn->dst_reg];
	int err;

	err = check_reg_arg(env, insn->src_reg, SRC_OP);
	if (!err)
		err = check_reg_arg(env, insn->dst_reg, SRC_OP);
	if (!err && insn->imm == BPF_CMPXCHG)
		err = check_reg_arg(env, BPF_REG_0, SRC_OP);
	if (!err && insn->imm == BPF_CMPXCHG)
		err = check_leak(env, BPF_WRITE, BPF_REG_0, "mem");
	if (!err)
		err = check_leak(env, BPF_WRITE, insn->src_reg, "mem");
	if (err)
		return err;
	if (dst->type == PTR_TO_CTX || type_is_pkt_pointer(dst->type))
		return refuse(env, ATOMIC_INTO, .reg = insn->dst_reg, .type = dst->type);
	return 0;
}

/* Read, fill the register that gets the old value, write. */
int check_atomic(struct bpf_verifier_env *env, const struct bpf_insn *insn)
{
	int idx = env->insn_idx, size = BPF_SIZE(insn->code), load_reg = -1, err;

	err = check_atomic_operands(env, insn);
	if (err)
		return err;
	if (insn->imm == BPF_CMPXCHG)
		load_reg = BPF_REG_0;
	else if (insn->imm & BPF_FETCH)
		load_reg = insn->src_reg;
	if (load_reg >= 0) {
		err = check_reg_arg(env, load_reg, DST_OP);
		if (err)
			return err;
	}
	err = check_mem_access(env, idx, insn->dst_reg, insn->off, size, BPF_READ, -1, true, false);
	if (!err && load_reg >= 0)
		err = check_mem_access(env, idx, insn->dst_reg, insn->off, size, BPF_READ, load_reg,
				       true, false);
	if (!err)
		err = check_mem_access(env, idx, insn->dst_reg, insn->off, size, BPF_WRITE, -1,
				       true, false);
	return err;
}
