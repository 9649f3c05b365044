/*
 * btf_field.c - fields of a map's value that are more than data
 *
 * Found by the name of their type, wherever they lie: in the value's struct, in a struct inside it,
 * in a variable of a data section. The rules are Linux's: a field that is not aligned, or whose
 * type is a typedef, is plain bytes; a value with an array of locks, or structs nested too deeply,
 * has none; two locks in one value, and one in a union, are mistakes.
 */
#include <bpf/btf.h>
#include "btf/btf.h"
#include "btf/btf_field.h"

#define MAX_DEPTH   32
#define MAX_MEMBERS (1u << 20) /* that are looked at: unions of unions double with each level */

struct field_search {
	const struct btf *btf;
	u32 value_size;
	int found; /* -ENOENT: none yet */
	u32 members; /* looked at so far */
	bool none; /* there is something that makes the whole value one without */
};

static int search_struct(struct field_search *s, const struct btf_type *type, u64 base, u32 depth);

static bool is_struct(const struct btf_type *type)
{
	return type && (btf_is_struct(type) || btf_is_union(type));
}

static int found_lock(struct field_search *s, u64 off, u64 nelems)
{
	if (s->found >= 0)
		return -E2BIG;
	if (off + sizeof(struct bpf_spin_lock) > s->value_size)
		return -EINVAL;
	s->none |= nelems > 1;
	s->found = (int)off;
	return 0;
}

static int search_elems(struct field_search *s, const struct btf_type *type, u64 at, u64 nelems,
			u32 depth)
{
	int before = s->found, err = search_struct(s, type, at, depth);

	if (err || s->found == before)
		return err;
	s->none |= nelems > 1; /* each element would have one */
	return btf_is_union(type) ? -EINVAL : 0;
}

/* A member or variable: `off` bytes from where its struct or section begins, that at `base`. */
static int search_one(struct field_search *s, u32 id, u64 base, u64 off, u32 var_size, u32 depth)
{
	const struct btf_type *type = btf__type_by_id(s->btf, id);
	u64 nelems = 1;
	u32 i;

	for (i = 0; type && btf_is_array(type) && i < MAX_DEPTH; i++) {
		nelems *= btf_array(type)->nelems;
		if (nelems > UINT32_MAX)
			return -EINVAL;
		type = btf__type_by_id(s->btf, btf_array(type)->type);
	}
	if (i == MAX_DEPTH) {
		s->none = true;
		return 0;
	}
	if (!nelems || !is_struct(type) || (var_size && var_size != type->size * nelems))
		return 0;
	if (!strcmp(btf__name_by_offset(s->btf, type->name_off), "bpf_spin_lock")) {
		if (off % sizeof(struct bpf_spin_lock) || base % sizeof(struct bpf_spin_lock) ||
		    type->size != sizeof(struct bpf_spin_lock))
			return 0;
		return found_lock(s, base + off, nelems);
	}
	if (depth + 1 >= MAX_DEPTH) {
		s->none = true;
		return 0;
	}
	return search_elems(s, type, base + off, nelems, depth + 1);
}

static int search_struct(struct field_search *s, const struct btf_type *type, u64 base, u32 depth)
{
	int err = 0;

	for (u32 i = 0; !err && i < btf_vlen(type); i++) {
		u32 bits = btf_member_bit_offset(type, i);

		if (++s->members > MAX_MEMBERS)
			return -E2BIG;
		if (btf_member_bitfield_size(type, i) || bits % 8)
			continue;
		err = search_one(s, btf_members(type)[i].type, base, bits / 8, 0, depth);
	}
	return err;
}

static int search_section(struct field_search *s, const struct btf_type *section)
{
	int err = 0;

	for (u32 i = 0; !err && i < btf_vlen(section); i++) {
		const struct btf_var_secinfo *info = &btf_var_secinfos(section)[i];
		const struct btf_type *var = btf__type_by_id(s->btf, info->type);

		if (var && btf_is_var(var))
			err = search_one(s, var->type, 0, info->offset, info->size, 0);
	}
	return err;
}

int bpf_btf_find_spin_lock(const struct bpf_btf *btf, u32 type_id, u32 value_size)
{
	struct field_search s = {.btf = btf->btf, .value_size = value_size, .found = -ENOENT};
	const struct btf_type *type = btf__type_by_id(s.btf, type_id);
	int err = 0;

	for (u32 i = 0; type && (btf_is_mod(type) || btf_is_typedef(type)); i++) {
		if (i == MAX_DEPTH)
			return -ENOENT;
		type = btf__type_by_id(s.btf, type->type);
	}
	if (is_struct(type))
		err = search_elems(&s, type, 0, 1, 0);
	else if (type && btf_is_datasec(type))
		err = search_section(&s, type);
	return err ? err : s.none ? -ENOENT : s.found;
}
