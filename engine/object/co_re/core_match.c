/*
 * core_match.c - the way of a local spec, found again in a type of the target
 *
 * Members are found by name, wherever they are, also in structs and unions without a name. Types on
 * the way must be of the same kind; sizes and signs of numbers may differ. Types as a whole are
 * compared in two strengths: compatible (same kind of thing; what a pointer points to, too) and
 * matching (all that the local type says is so in the target). Recursion over types is bounded by
 * MATCH_DEPTH, and the work by core_spend(): more is an error.
 */
#include "object/co_re/core.h"
#include "object/co_re/core_match.h"

#define MATCH_DEPTH 32

/* `a` is the object's: it may be long. */
static bool same_essence(u64 *spent, const char *a, const char *b)
{
	size_t n = core_essential_len(b);

	if (!core_spend(spent, 1) || strncmp(a, b, n))
		return false;
	return core_spend(spent, strlen(a + n)) && core_essential_len(a) == n;
}

/* An enumeration is one, whatever its width. */
bool core_kinds_agree(const struct btf_type *a, const struct btf_type *b)
{
	return btf_kind(a) == btf_kind(b) || (btf_is_any_enum(a) && btf_is_any_enum(b));
}

/* ---- fields */

static bool fields_agree(const struct core_spec *local, u32 local_id, const struct btf *btf, u32 id)
{
	for (int depth = 0; depth < CORE_MAX_DEPTH; depth++) {
		const struct btf_type *a = core_skip_mods(local->btf, &local_id);
		const struct btf_type *b = core_skip_mods(btf, &id);
		const char *x, *y;

		if (!a || !b)
			return false;
		if (btf_is_composite(a) && btf_is_composite(b))
			return true;
		if (!core_kinds_agree(a, b))
			return false;
		switch (btf_kind(a)) {
		case BTF_KIND_PTR:
		case BTF_KIND_FLOAT:
			return true;
		case BTF_KIND_FWD:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
			x = core_str(local->btf, a->name_off);
			y = core_str(btf, b->name_off);
			return !*x || !*y || same_essence(local->spent, x, y);
		case BTF_KIND_INT:
			return !btf_int_offset(a) && !btf_int_offset(b);
		case BTF_KIND_ARRAY:
			local_id = btf_array(a)->type;
			id = btf_array(b)->type;
			continue;
		default:
			return false;
		}
	}
	return false;
}

/* Follow one named member from *id. 1, 0 (no such member, or another kind of one). */
static int match_member(const struct core_spec *local, const struct core_step *step,
			struct core_spec *targ, u32 *id, int depth)
{
	const struct btf_type *owner = btf__type_by_id(local->btf, step->type);
	const struct btf_type *t = core_skip_mods(targ->btf, id);
	u32 type = *id;

	if (!t || !btf_is_composite(t))
		return 0;
	if (depth == MATCH_DEPTH)
		return -E2BIG;
	for (u32 i = 0; i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		u32 off = btf_member_bit_offset(t, i);
		int ret;

		if (!core_spend(local->spent, 1))
			return -E2BIG;
		if (!m->name_off) {
			u32 inner = m->type;

			targ->bit_off += off;
			ret = match_member(local, step, targ, &inner, depth + 1);
			if (ret) {
				*id = inner;
				return ret;
			}
			targ->bit_off -= off;
			continue;
		}
		if (strcmp(core_str(targ->btf, m->name_off), step->name))
			continue;
		if (!fields_agree(local, btf_members(owner)[step->idx].type, targ->btf, m->type))
			return 0;
		targ->bit_off += off;
		targ->steps[targ->len++] = (struct core_step){type, i, step->name};
		*id = m->type;
		return 1;
	}
	return 0;
}

static int match_elem(const struct core_step *step, bool first, struct core_spec *targ, u32 *id)
{
	const struct btf_type *t = core_skip_mods(targ->btf, id);
	s64 size;

	if (!t)
		return 0;
	if (!first) {
		if (!btf_is_array(t))
			return 0;
		if (step->idx >= btf_array(t)->nelems &&
		    !core_is_flex_array(targ->btf, &targ->steps[targ->len - 1], btf_array(t)))
			return 0;
		*id = btf_array(t)->type;
		if (!core_skip_mods(targ->btf, id))
			return 0;
	}
	size = btf__resolve_size(targ->btf, *id);
	if (size < 0)
		return -EINVAL;
	targ->steps[targ->len++] = (struct core_step){*id, step->idx, NULL};
	targ->bit_off += (u64)step->idx * (u64)size * 8;
	return 1;
}

static int match_field(const struct core_spec *local, u32 id, struct core_spec *targ)
{
	int ret = 1;

	for (u32 i = 0; ret > 0 && i < local->len; i++)
		ret = local->steps[i].name ? match_member(local, &local->steps[i], targ, &id, 0)
					   : match_elem(&local->steps[i], !i, targ, &id);
	return ret;
}

static int match_enumval(const struct core_spec *local, u32 id, struct core_spec *targ)
{
	const struct btf_type *t = core_skip_mods(targ->btf, &id);

	if (!t || !btf_is_any_enum(t))
		return 0;
	for (u32 i = 0; i < btf_vlen(t); i++) {
		const char *name = core_str(targ->btf, btf_is_enum(t) ? btf_enum(t)[i].name_off
								      : btf_enum64(t)[i].name_off);

		if (!core_spend(local->spent, 1))
			return -E2BIG;
		if (!same_essence(local->spent, local->steps[0].name, name))
			continue;
		targ->steps[targ->len++] = (struct core_step){id, i, name};
		return 1;
	}
	return 0;
}

/* ---- whole types: compatible */

struct matcher {
	const struct btf *a, *b;
	u64 *spent;
};

static int types_agree(const struct matcher *m, u32 a_id, u32 b_id, int depth)
{
	const struct btf_type *a, *b;
	int ret;

	for (;; depth++) {
		if (depth > MATCH_DEPTH || !core_spend(m->spent, 1))
			return -E2BIG;
		a = core_skip_mods(m->a, &a_id);
		b = core_skip_mods(m->b, &b_id);
		if (!a || !b)
			return -EINVAL;
		if (!core_kinds_agree(a, b))
			return 0;
		switch (btf_kind(a)) {
		case BTF_KIND_UNKN:
		case BTF_KIND_STRUCT:
		case BTF_KIND_UNION:
		case BTF_KIND_ENUM:
		case BTF_KIND_ENUM64:
		case BTF_KIND_FWD:
			return 1;
		case BTF_KIND_INT:
			return !btf_int_offset(a) && !btf_int_offset(b);
		case BTF_KIND_PTR:
			a_id = a->type;
			b_id = b->type;
			continue;
		case BTF_KIND_ARRAY:
			a_id = btf_array(a)->type;
			b_id = btf_array(b)->type;
			continue;
		case BTF_KIND_FUNC_PROTO:
			if (btf_vlen(a) != btf_vlen(b))
				return 0;
			for (u32 i = 0; i < btf_vlen(a); i++) {
				ret = types_agree(m, btf_params(a)[i].type, btf_params(b)[i].type,
						  depth + 1);
				if (ret <= 0)
					return ret;
			}
			a_id = a->type;
			b_id = b->type;
			continue;
		default:
			return 0;
		}
	}
}

/* ---- whole types: matching */

static int types_match(const struct matcher *m, u32 a_id, u32 b_id, bool behind_ptr, int depth);

static bool names_match(const struct matcher *m, u32 a_name, u32 b_name)
{
	return same_essence(m->spent, core_str(m->a, a_name), core_str(m->b, b_name));
}

static u32 enum_name(const struct btf_type *t, u32 i)
{
	return btf_is_enum(t) ? btf_enum(t)[i].name_off : btf_enum64(t)[i].name_off;
}

static int enums_match(const struct matcher *m, const struct btf_type *a, const struct btf_type *b)
{
	if (a->size != b->size)
		return 0;
	for (u32 i = 0; i < btf_vlen(a); i++) {
		u32 j = 0;

		while (j < btf_vlen(b) && !names_match(m, enum_name(a, i), enum_name(b, j)))
			j++;
		if (!core_spend(m->spent, 1))
			return -E2BIG;
		if (j == btf_vlen(b))
			return 0;
	}
	return 1;
}

static int composites_match(const struct matcher *m, const struct btf_type *a,
			    const struct btf_type *b, bool behind_ptr, int depth)
{
	for (u32 i = 0; i < btf_vlen(a); i++) {
		const struct btf_member *x = &btf_members(a)[i];
		int ret = 0;

		for (u32 j = 0; !ret && j < btf_vlen(b); j++) {
			const struct btf_member *y = &btf_members(b)[j];

			if (!core_spend(m->spent, 1))
				return -E2BIG;
			if (names_match(m, x->name_off, y->name_off))
				ret = types_match(m, x->type, y->type, behind_ptr, depth + 1);
		}
		if (ret <= 0)
			return ret;
	}
	return 1;
}

static int protos_match(const struct matcher *m, const struct btf_type *a, const struct btf_type *b,
			int depth)
{
	int ret = btf_vlen(a) == btf_vlen(b);

	for (u32 i = 0; ret > 0 && i < btf_vlen(a); i++)
		ret = types_match(m, btf_params(a)[i].type, btf_params(b)[i].type, false,
				  depth + 1);
	return ret > 0 ? types_match(m, a->type, b->type, false, depth + 1) : ret;
}

/* Behind a pointer a declaration stands for its struct or union. */
static int ptr_targets_match(const struct btf_type *a, const struct btf_type *b)
{
	bool fwd_union = btf_kflag(btf_is_fwd(a) ? a : b);

	if (btf_is_fwd(a) && btf_is_fwd(b))
		return btf_kflag(a) == btf_kflag(b);
	if (btf_is_fwd(a))
		a = b;
	return fwd_union ? btf_is_union(a) : btf_is_struct(a);
}

static int types_match(const struct matcher *m, u32 a_id, u32 b_id, bool behind_ptr, int depth)
{
	const struct btf_type *a = core_skip_mods(m->a, &a_id), *b = core_skip_mods(m->b, &b_id);

	if (!a || !b || depth > MATCH_DEPTH || !core_spend(m->spent, 1))
		return -E2BIG;
	if (!names_match(m, a->name_off, b->name_off))
		return 0;
	if (behind_ptr && (btf_is_fwd(a) || btf_is_fwd(b)) &&
	    (btf_is_fwd(a) || btf_is_composite(a)) && (btf_is_fwd(b) || btf_is_composite(b)))
		return ptr_targets_match(a, b);
	if (!core_kinds_agree(a, b))
		return 0;
	switch (btf_kind(a)) {
	case BTF_KIND_UNKN:
		return 1;
	case BTF_KIND_FWD:
		return btf_kflag(a) == btf_kflag(b);
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return enums_match(m, a, b);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return behind_ptr ? 1 : composites_match(m, a, b, behind_ptr, depth);
	case BTF_KIND_INT:
		return a->size == b->size && !btf_int_offset(a) && !btf_int_offset(b) &&
		       (btf_int_encoding(a) & BTF_INT_SIGNED) ==
			       (btf_int_encoding(b) & BTF_INT_SIGNED);
	case BTF_KIND_PTR:
		return types_match(m, a->type, b->type, true, depth + 1);
	case BTF_KIND_ARRAY:
		if (btf_array(a)->nelems != btf_array(b)->nelems)
			return 0;
		return types_match(m, btf_array(a)->type, btf_array(b)->type, behind_ptr,
				   depth + 1);
	case BTF_KIND_FUNC_PROTO:
		return protos_match(m, a, b, depth);
	}
	return 0;
}

int core_spec_match(const struct core_spec *local, const struct btf *btf, u32 cand,
		    struct core_spec *targ)
{
	const struct matcher m = {local->btf, btf, local->spent};

	targ->btf = btf;
	targ->root = cand;
	targ->kind = local->kind;
	targ->len = 0;
	targ->bit_off = 0;
	switch (core_kind_class(local->kind)) {
	case CORE_TYPE:
		if (local->kind == BPF_CORE_TYPE_MATCHES)
			return types_match(&m, local->root, cand, false, 0);
		return types_agree(&m, local->root, cand, 0);
	case CORE_ENUMVAL:
		return match_enumval(local, cand, targ);
	case CORE_FIELD:
		return match_field(local, cand, targ);
	case CORE_UNKNOWN:
		break;
	}
	return -EINVAL;
}
