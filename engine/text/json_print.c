/*
 * json_print.c - see json_print.h
 *
 * One function a kind; each gets the type, its bytes and how many there are. A kind that cannot be
 * served (its bytes are not there, or the budget of steps is used up) fails the walk, and the value
 * is then printed without BTF.
 */
#include <bpf/btf.h>
#include <math.h>
#include "text/json_print.h"
#include "text/typed.h"

#define MIN_STEPS    (1u << 17) /* an enum is looked up name by name, and has at most 2^16 */
#define STEPS_A_BYTE 256
#define MIN_TEXT     (1u << 20)
#define TEXT_A_BYTE  256

struct walk {
	const struct btf *btf;
	struct fs_text *out;
	u64 budget; /* steps that may still be made: guarantee C */
	size_t limit; /* of the text */
};

static bool print_type(struct walk *w, u32 id, const u8 *data, u64 size);

static bool spend(struct walk *w, u64 steps)
{
	if (steps > w->budget || w->out->len > w->limit)
		return false;
	w->budget -= steps;
	return fs_text_spend(w->out, steps);
}

/* ---- text */

/* Bytes of the UTF-8 character at s, 0 when there is none. */
static size_t utf8_len(const u8 *s, size_t len)
{
	u32 code, min;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	n = s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (n > len)
		return 0;
	code = s[0] & (0xff >> (n + 1));
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	min = n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
	return code < min || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

void json_string(struct fs_text *out, const char *str, size_t len)
{
	const u8 *s = (const u8 *)str;
	size_t n;

	fs_text_append(out, "\"", 1);
	for (size_t i = 0; i < len; i += n) {
		n = utf8_len(s + i, len - i);
		if (!n) {
			fs_text_append(out, "\\ufffd", 6);
			n = 1;
		} else if (s[i] == '"' || s[i] == '\\') {
			fs_text_append(out, "\\", 1);
			fs_text_append(out, s + i, 1);
		} else if (s[i] == '\n') {
			fs_text_append(out, "\\n", 2);
		} else if (s[i] == '\t') {
			fs_text_append(out, "\\t", 2);
		} else if (s[i] < 0x20 || s[i] == 0x7f) {
			fs_text_printf(out, "\\u%04x", s[i]);
		} else {
			fs_text_append(out, s + i, n);
		}
	}
	fs_text_append(out, "\"", 1);
}

static void print_name(struct walk *w, u32 off)
{
	const char *name = btf__name_by_offset(w->btf, off);

	name = name ? name : "";
	json_string(w->out, name, strlen(name));
	fs_text_append(w->out, ":", 1);
}

static void comma(struct walk *w, bool *first)
{
	if (!*first)
		fs_text_append(w->out, ",", 1);
	*first = false;
}

static void print_hex(struct fs_text *out, const u8 *data, u64 size)
{
	fs_text_append(out, "\"", 1);
	fs_text_hex(out, data, size, "");
	fs_text_append(out, "\"", 1);
}

/* A number of 1, 2, 4 or 8 bytes in host order; false for other sizes. */
static bool load_number(const u8 *data, u64 size, u64 *v)
{
	u32 four;
	u16 two;

	switch (size) {
	case 1:
		*v = *data;
		return true;
	case 2:
		memcpy(&two, data, 2);
		*v = two;
		return true;
	case 4:
		memcpy(&four, data, 4);
		*v = four;
		return true;
	case 8:
		memcpy(v, data, 8);
		return true;
	}
	return false;
}

static void print_plain(struct fs_text *out, const u8 *data, u64 size)
{
	u64 v;

	if (load_number(data, size, &v))
		fs_text_printf(out, "%llu", (unsigned long long)v);
	else
		print_hex(out, data, size);
}

/* ---- integers, enums, floats, pointers */

static void print_signed(struct walk *w, u64 v, u32 bits, bool is_signed)
{
	if (is_signed && bits < 64 && v >> (bits - 1) & 1)
		v |= ~0ull << bits;
	if (is_signed)
		fs_text_printf(w->out, "%lld", (long long)v);
	else
		fs_text_printf(w->out, "%llu", (unsigned long long)v);
}

static void print_bool_or_int(struct walk *w, const struct btf_type *t, u64 v, u32 bits)
{
	u8 encoding = btf_int_encoding(t);

	if (encoding & BTF_INT_BOOL && v <= 1)
		fs_text_printf(w->out, v ? "true" : "false");
	else
		print_signed(w, v, bits, encoding & BTF_INT_SIGNED);
}

static bool print_int(struct walk *w, const struct btf_type *t, const u8 *data)
{
	u32 bits = btf_int_bits(t);
	u64 v;

	if (bits > 64 || (bits == t->size * 8 && !load_number(data, t->size, &v)))
		print_hex(w->out, data, t->size);
	else if (bits == t->size * 8)
		print_bool_or_int(w, t, v, bits);
	else /* how old compilers write bit fields */
		print_bool_or_int(w, t, typed_load_bits(data, btf_int_offset(t), bits), bits);
	return true;
}

static bool print_enum(struct walk *w, const struct btf_type *t, u64 v, u32 bits)
{
	u64 mask = bits < 64 ? (1ull << bits) - 1 : ~0ull;
	const char *name;

	if (!spend(w, btf_vlen(t)))
		return false;
	for (u32 i = 0; i < btf_vlen(t); i++) {
		bool wide = btf_is_enum64(t);
		u64 has = wide ? btf_enum64_value(&btf_enum64(t)[i]) : (u64)btf_enum(t)[i].val;
		u32 off = wide ? btf_enum64(t)[i].name_off : btf_enum(t)[i].name_off;

		if ((has & mask) != (v & mask))
			continue;
		name = btf__name_by_offset(w->btf, off);
		if (!name || !*name)
			break;
		json_string(w->out, name, strlen(name));
		return true;
	}
	print_signed(w, v, bits, btf_kflag(t));
	return true;
}

static bool print_float(struct walk *w, const u8 *data, u32 size)
{
	double d;
	float f;

	if (size == sizeof(f)) {
		memcpy(&f, data, sizeof(f));
		d = f;
	} else if (size == sizeof(d)) {
		memcpy(&d, data, sizeof(d));
	} else {
		print_hex(w->out, data, size);
		return true;
	}
	if (isnan(d))
		fs_text_printf(w->out, "\"nan\"");
	else if (isinf(d))
		fs_text_printf(w->out, d < 0 ? "\"-inf\"" : "\"inf\"");
	else
		fs_text_printf(w->out, "%.*g", size == sizeof(f) ? 9 : 17, d);
	return true;
}

static bool print_ptr(struct walk *w, const u8 *data)
{
	u64 v;

	memcpy(&v, data, sizeof(v));
	fs_text_printf(w->out, "\"0x%llx\"", (unsigned long long)v);
	return true;
}

/* ---- arrays */

/* The text before the first NUL, when it is text. */
static bool print_chars(struct walk *w, const u8 *data, u64 size)
{
	u64 len = strnlen((const char *)data, size);
	size_t n;

	if (!spend(w, len))
		return false;
	for (u64 i = 0; i < len; i += n) {
		n = utf8_len(data + i, len - i);
		if (!n || data[i] == 0x7f || (data[i] < 0x20 && !strchr("\t\n\r", data[i])))
			return false;
	}
	json_string(w->out, (const char *)data, len);
	return true;
}

static bool print_array(struct walk *w, const struct btf_type *t, const u8 *data, u64 size)
{
	const struct btf_array *array = btf_array(t);
	s64 elem = btf__resolve_size(w->btf, array->type);
	u64 count = array->nelems;
	bool first = true;

	/* Nothing is in elements of no size, however many there are. */
	if (elem < 0 || (elem && count > size / (u64)elem))
		return false;
	if (!elem)
		count = 0;
	if (count && typed_is_char(w->btf, array->type) && print_chars(w, data, count))
		return true;
	fs_text_append(w->out, "[", 1);
	for (u64 i = 0; i < count; i++) {
		comma(w, &first);
		if (!print_type(w, array->type, data + i * elem, elem))
			return false;
	}
	fs_text_append(w->out, "]", 1);
	return true;
}

/* ---- structs, unions, data sections */

static bool print_members(struct walk *w, const struct btf_type *t, const u8 *data, u64 size,
			  bool *first);

/* A bit field lies inside of its struct, not always of an aligned integer of its type. */
static bool print_bitfield(struct walk *w, u32 id, const u8 *data, u64 size, u64 off, u32 bits)
{
	const struct btf_type *t = typed_resolve(w->btf, id);
	u64 v;

	if (!t || bits > 64 || off + bits > size * 8)
		return false;
	v = typed_load_bits(data, off, bits);
	if (btf_is_int(t))
		print_bool_or_int(w, t, v, bits);
	else
		return print_enum(w, t, v, bits);
	return true;
}

static bool print_member(struct walk *w, const struct btf_type *t, u32 i, const u8 *data, u64 size,
			 bool *first)
{
	const struct btf_member *m = &btf_members(t)[i];
	u32 bits = btf_member_bitfield_size(t, i), off = btf_member_bit_offset(t, i);
	const char *name = btf__name_by_offset(w->btf, m->name_off);
	const struct btf_type *inner = typed_resolve(w->btf, m->type);

	if (off / 8 > size)
		return false;
	if (!name || !*name) {
		if (bits || !inner || !btf_is_composite(inner))
			return true; /* padding */
		return inner->size <= size - off / 8 &&
		       print_members(w, inner, data + off / 8, inner->size, first);
	}
	comma(w, first);
	print_name(w, m->name_off);
	if (bits)
		return print_bitfield(w, m->type, data, size, off, bits);
	return print_type(w, m->type, data + off / 8, size - off / 8);
}

static bool print_members(struct walk *w, const struct btf_type *t, const u8 *data, u64 size,
			  bool *first)
{
	for (u32 i = 0; i < btf_vlen(t); i++) {
		if (!spend(w, 1))
			return false;
		if (!print_member(w, t, i, data, size, first))
			return false;
	}
	return true;
}

static bool print_composite(struct walk *w, const struct btf_type *t, const u8 *data)
{
	bool first = true;

	fs_text_append(w->out, "{", 1);
	if (!print_members(w, t, data, t->size, &first))
		return false;
	fs_text_append(w->out, "}", 1);
	return true;
}

static bool print_datasec(struct walk *w, const struct btf_type *t, const u8 *data, u64 size)
{
	const struct btf_var_secinfo *info = btf_var_secinfos(t);
	bool first = true;

	fs_text_append(w->out, "{", 1);
	for (u32 i = 0; i < btf_vlen(t); i++) {
		const struct btf_type *var = btf__type_by_id(w->btf, info[i].type);

		if (!var || !btf_is_var(var) || info[i].offset > size)
			return false;
		comma(w, &first);
		print_name(w, var->name_off);
		if (!print_type(w, var->type, data + info[i].offset, size - info[i].offset))
			return false;
	}
	fs_text_append(w->out, "}", 1);
	return true;
}

/* ---- any type */

static bool print_type(struct walk *w, u32 id, const u8 *data, u64 size)
{
	const struct btf_type *t = typed_resolve(w->btf, id);
	u64 v;

	if (!t || !spend(w, 1))
		return false;
	if (btf_is_array(t))
		return print_array(w, t, data, size);
	if (btf_is_datasec(t))
		return print_datasec(w, t, data, size);
	if (btf_is_ptr(t))
		return size >= sizeof(u64) && print_ptr(w, data);
	if (t->size > size)
		return false;
	if (btf_is_int(t))
		return print_int(w, t, data);
	if (btf_is_any_enum(t))
		return load_number(data, t->size, &v) && print_enum(w, t, v, t->size * 8);
	if (btf_is_float(t))
		return print_float(w, data, t->size);
	if (btf_is_composite(t))
		return print_composite(w, t, data);
	return false;
}

void json_value(struct fs_text *out, const struct bpf_btf *btf, u32 type_id, const void *data,
		u32 size)
{
	size_t start = out->len;
	struct walk w = {
		.btf = btf ? btf->btf : NULL,
		.out = out,
		.budget = MIN_STEPS + (u64)STEPS_A_BYTE * size,
		.limit = start + MIN_TEXT + (size_t)TEXT_A_BYTE * size,
	};

	if (w.btf && type_id && typed_fits(w.btf, type_id, size) &&
	    print_type(&w, type_id, data, size))
		return;
	out->len = start;
	print_plain(out, data, size);
}
