/*
 * core_value.c - the constant that a way stands for: an offset, a size, a shift, an enumerator's
 * value
 *
 * A bitfield is read as the compiler reads it: the smallest aligned load that holds all of it, then
 * two shifts.
 */
#include "object/co_re/core.h"
#include "object/co_re/core_value.h"

struct field {
	u64 byte_off, byte_size;
	u64 bit_off, bit_size;
	u32 type;
	bool bitfield;
	bool is_signed;
};

static int find_load(struct field *f)
{
	f->byte_off = f->bit_off / 8 / f->byte_size * f->byte_size;
	while (f->bit_off + f->bit_size - f->byte_off * 8 > f->byte_size * 8) {
		if (f->byte_size >= 8)
			return -E2BIG;
		f->byte_size *= 2;
		f->byte_off = f->bit_off / 8 / f->byte_size * f->byte_size;
	}
	return 0;
}

static int look_at_field(const struct core_spec *spec, struct field *f)
{
	const struct core_step *last = &spec->steps[spec->len - 1];
	const struct btf_type *owner = btf__type_by_id(spec->btf, last->type), *t;
	s64 size;

	f->type = btf_members(owner)[last->idx].type;
	t = core_skip_mods(spec->btf, &f->type);
	if (!t)
		return -EINVAL;
	f->bit_off = spec->bit_off;
	f->bit_size = btf_member_bitfield_size(owner, last->idx);
	f->bitfield = f->bit_size;
	f->is_signed = btf_is_any_enum(t) ||
		       (btf_is_int(t) && btf_int_encoding(t) & BTF_INT_SIGNED);
	if (f->bitfield) {
		f->byte_size = t->size;
		return f->byte_size && f->byte_size <= 8 ? find_load(f) : -EINVAL;
	}
	size = btf__resolve_size(spec->btf, f->type);
	if (size < 0)
		return -EINVAL;
	f->byte_size = (u64)size;
	f->bit_size = f->byte_size * 8;
	f->byte_off = f->bit_off / 8;
	return 0;
}

/* An element of an array has no member that says more about it. */
static int elem_value(const struct core_spec *spec, u32 kind, struct core_value *v)
{
	const struct core_step *last = &spec->steps[spec->len - 1];
	s64 size = btf__resolve_size(spec->btf, last->type);

	if (size < 0)
		return -EINVAL;
	v->fixed = true;
	if (kind == BPF_CORE_FIELD_BYTE_OFFSET) {
		v->val = spec->bit_off / 8;
		v->size = (u32)size;
		v->type = last->type;
	} else if (kind == BPF_CORE_FIELD_BYTE_SIZE) {
		v->val = (u64)size;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int field_value(const struct core_spec *spec, u32 kind, struct core_value *v)
{
	struct field f;
	int err;

	if (kind == BPF_CORE_FIELD_EXISTS) {
		v->val = 1;
		v->fixed = true;
		return 0;
	}
	if (!spec->steps[spec->len - 1].name)
		return elem_value(spec, kind, v);
	err = look_at_field(spec, &f);
	if (err)
		return err;
	v->fixed = !f.bitfield;
	switch (kind) {
	case BPF_CORE_FIELD_BYTE_OFFSET:
		v->val = f.byte_off;
		if (!f.bitfield) {
			v->size = (u32)f.byte_size;
			v->type = f.type;
		}
		return 0;
	case BPF_CORE_FIELD_BYTE_SIZE:
		v->val = f.byte_size;
		return 0;
	case BPF_CORE_FIELD_SIGNED:
		v->val = f.is_signed;
		v->fixed = true;
		return 0;
	case BPF_CORE_FIELD_LSHIFT_U64:
		v->val = 64 - (f.bit_off + f.bit_size - f.byte_off * 8);
		return 0;
	case BPF_CORE_FIELD_RSHIFT_U64:
		v->val = 64 - f.bit_size;
		v->fixed = true;
		return 0;
	}
	return -EINVAL;
}

static int type_value(const struct core_spec *spec, u32 kind, struct core_value *v)
{
	s64 size;

	switch (kind) {
	case BPF_CORE_TYPE_ID_LOCAL:
	case BPF_CORE_TYPE_ID_TARGET: /* ids change when objects are linked */
		v->val = spec->root;
		return 0;
	case BPF_CORE_TYPE_SIZE:
		size = btf__resolve_size(spec->btf, spec->root);
		if (size < 0)
			return -EINVAL;
		v->val = (u64)size;
		v->fixed = true;
		return 0;
	default: /* it exists, it matches */
		v->val = 1;
		v->fixed = true;
		return 0;
	}
}

static int enumval_value(const struct core_spec *spec, u32 kind, struct core_value *v)
{
	const struct core_step *step = &spec->steps[0];
	const struct btf_type *t = btf__type_by_id(spec->btf, step->type);

	v->fixed = true;
	if (kind == BPF_CORE_ENUMVAL_EXISTS)
		v->val = 1;
	else if (btf_is_enum(t))
		v->val = (u64)(s64)btf_enum(t)[step->idx].val;
	else
		v->val = btf_enum64_value(&btf_enum64(t)[step->idx]);
	return 0;
}

int core_value(const struct core_spec *spec, u32 kind, struct core_value *v)
{
	*v = (struct core_value){0};
	/* Of a type that is not there, size and id are 0, which programs can ask for. */
	if (!spec)
		return core_kind_class(kind) == CORE_TYPE || core_kind_is_question(kind) ? 0 : 1;
	switch (core_kind_class(kind)) {
	case CORE_FIELD:
		return field_value(spec, kind, v);
	case CORE_TYPE:
		return type_value(spec, kind, v);
	case CORE_ENUMVAL:
		return enumval_value(spec, kind, v);
	case CORE_UNKNOWN:
		break;
	}
	return -EINVAL;
}
