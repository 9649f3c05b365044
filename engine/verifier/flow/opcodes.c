/*
 * opcodes.c - each instruction by itself: is it one of the table, and which map does it refer to?
 */
#include "verifier/flow/assume.h"
#include "verifier/flow/opcodes.h"
#include "verifier/state/env.h"
#include "verifier/state/refuse.h"

static int check_map_value_ref(struct bpf_verifier_env *env, const struct bpf_map *map, u32 off)
{
	u64 addr;

	if (off >= BPF_MAX_VAR_OFF)
		return refuse(env, VALUE_OFFSET, .num = {off});
	if (!map->ops->map_direct_value_addr)
		return refuse(env, VALUE_NO_ADDRESS);
	if (map->max_entries != 1)
		return refuse(env, VALUE_ONE_ENTRY, .num = {map->max_entries});
	if (off >= map->value_size || map->ops->map_direct_value_addr(map, &addr, off))
		return refuse(env, VALUE_ADDRESS, .num = {map->value_size, off});
	return 0;
}

/* One map of each kind: the attachment has one storage of each. */
static int note_cgroup_storage(struct bpf_verifier_env *env, struct bpf_map *map)
{
	int type = bpf_cgroup_storage_type(map);

	if (type < 0)
		return 0;
	if (env->out->cgroup_storage[type] && env->out->cgroup_storage[type] != map)
		return refuse(env, TWO_STORAGES);
	env->out->cgroup_storage[type] = map;
	return 0;
}

/*
 * A map that the program names: programs of some types cannot have locks, for they may interrupt a
 * holder.
 */
static int check_map_lock_use(struct bpf_verifier_env *env, const struct bpf_map *map)
{
	const char *kind = NULL;

	if (!map_has_spin_lock(map))
		return 0;
	if (env->prog->type == BPF_PROG_TYPE_SOCKET_FILTER)
		kind = "socket filter";
	else if (env->prog->type == BPF_PROG_TYPE_PERF_EVENT)
		kind = "tracing";
	if (!kind)
		return 0;
	return refuse(env, LOCK_PROG_TYPE, .name = {kind});
}

static int resolve_imm64(struct bpf_verifier_env *env, u32 i)
{
	const struct bpf_insn *insn = &env->insns[i];
	u32 idx = insn->imm;

	if (i + 1 >= env->insn_cnt || !bpf_insn_valid_imm64(&insn[1]))
		return refuse(env, IMM64);
	switch (insn->src_reg) {
	case 0:
		return 0;
	case BPF_PSEUDO_MAP_IDX:
	case BPF_PSEUDO_MAP_IDX_VALUE:
		break;
	case BPF_PSEUDO_FUNC: /* subprog.c looked where it goes */
		return 0;
	case BPF_PSEUDO_BTF_ID:
		return refuse(env, IMM64_KIND, .num = {i});
	default:
		return refuse(env, IMM64_UNKNOWN);
	}
	if (idx >= bpf_prog_nr_maps(env->prog))
		return refuse(env, MAP_INDEX, .num = {idx});
	env->aux[i].map_idx = idx + 1;
	if (check_map_lock_use(env, env->prog->used_maps[idx]))
		return -EINVAL;
	if (note_cgroup_storage(env, env->prog->used_maps[idx]))
		return -EBUSY;
	if (insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE)
		return check_map_value_ref(env, env->prog->used_maps[idx], insn[1].imm);
	if (insn[1].imm)
		return refuse(env, IMM64_UNKNOWN);
	return 0;
}

/*
 * Code bytes of the table, whole LD_IMM64 and maps that exist; the other fields when the walk comes
 * by.
 */
int check_opcodes(struct bpf_verifier_env *env)
{
	int err;

	for (u32 i = 0; i < env->insn_cnt; i++) {
		const struct bpf_insn *insn = &env->insns[i];

		if (bpf_insn_is_imm64(insn)) {
			err = resolve_imm64(env, i);
			if (err)
				return err;
			i++;
			continue;
		}
		if (env->prog->unverified && is_callx(insn))
			continue;
		/* Linux looks at this one before the walk, so also where nothing comes by. */
		if (BPF_CLASS(insn->code) == BPF_LDX && bpf_op_by_code(insn->code) >= 0 &&
		    insn->imm)
			return refuse(env, RESERVED_FIELDS, .name = {"BPF_LDX"});
		if (bpf_op_by_code(insn->code) < 0 || bpf_insn_is_internal(insn))
			return refuse(env, OPCODE, .num = {insn->code});
	}
	return 0;
}
