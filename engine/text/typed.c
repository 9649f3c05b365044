/*
 * typed.c - see typed.h
 */
#include <string.h>
#include "text/typed.h"

const struct btf_type *typed_resolve(const struct btf *btf, u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

const char *typed_name(const struct btf *btf, u32 off)
{
	const char *name = btf__name_by_offset(btf, off);

	return name ? name : "";
}

bool typed_is_char(const struct btf *btf, u32 id)
{
	const struct btf_type *t = typed_resolve(btf, id);

	if (!t || !btf_is_int(t) || t->size != 1)
		return false;
	return btf_int_encoding(t) & BTF_INT_CHAR || !strcmp(typed_name(btf, t->name_off), "char");
}

bool typed_fits(const struct btf *btf, u32 id, u32 size)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	if (t && btf_is_datasec(t))
		return t->size <= size;
	return t && btf__resolve_size(btf, id) == (s64)size;
}

u64 typed_load_bits(const u8 *data, u64 off, u32 bits)
{
	u64 v = 0;

	for (u32 i = 0; i < bits; i++) {
		u64 at = off + i;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		v |= (u64)(data[at / 8] >> at % 8 & 1) << i;
#else
		v = v << 1 | (data[at / 8] >> (7 - at % 8) & 1);
#endif
	}
	return v;
}

void typed_store_bits(u8 *data, u64 off, u32 bits, u64 v)
{
	for (u32 i = 0; i < bits; i++) {
		u64 at = off + i;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
		u8 bit = (u8)(1u << at % 8), on = v >> i & 1;
#else
		u8 bit = (u8)(1u << (7 - at % 8)), on = v >> (bits - 1 - i) & 1;
#endif

		data[at / 8] = on ? data[at / 8] | bit : data[at / 8] & (u8)~bit;
	}
}
