/*
 * core_spec.c - a way into a type: "0:2:1" is member 1 of member 2 of the first of possibly many
 *
 * For fields, the first number counts whole types, as the index of a pointer does, and each further
 * one is a member or an element. Enumerators have one number, types "0".
 */
#include <stdio.h>
#include "object/co_re/core.h"

#define MAX_MODIFIERS 64 /* btf/btf_check.c lets no longer chain pass */

const struct btf_type *core_skip_mods(const struct btf *btf, u32 *id)
{
	const struct btf_type *t = btf__type_by_id(btf, *id);

	for (int i = 0; t && (btf_is_mod(t) || btf_is_typedef(t)); i++) {
		if (i == MAX_MODIFIERS)
			return NULL;
		*id = t->type;
		t = btf__type_by_id(btf, *id);
	}
	return t;
}

/* Three underscores between two other characters begin a flavour. The last such place counts. */
size_t core_essential_len(const char *name)
{
	size_t n = strlen(name);

	for (size_t i = n; i-- > 4;)
		if (name[i - 4] != '_' && name[i - 3] == '_' && name[i - 2] == '_' &&
		    name[i - 1] == '_' && name[i] != '_')
			return i - 3;
	return n;
}

enum core_class core_kind_class(u32 kind)
{
	switch (kind) {
	case BPF_CORE_FIELD_BYTE_OFFSET:
	case BPF_CORE_FIELD_BYTE_SIZE:
	case BPF_CORE_FIELD_EXISTS:
	case BPF_CORE_FIELD_SIGNED:
	case BPF_CORE_FIELD_LSHIFT_U64:
	case BPF_CORE_FIELD_RSHIFT_U64:
		return CORE_FIELD;
	case BPF_CORE_TYPE_ID_LOCAL:
	case BPF_CORE_TYPE_ID_TARGET:
	case BPF_CORE_TYPE_EXISTS:
	case BPF_CORE_TYPE_SIZE:
	case BPF_CORE_TYPE_MATCHES:
		return CORE_TYPE;
	case BPF_CORE_ENUMVAL_EXISTS:
	case BPF_CORE_ENUMVAL_VALUE:
		return CORE_ENUMVAL;
	}
	return CORE_UNKNOWN;
}

bool core_kind_is_question(u32 kind)
{
	return kind == BPF_CORE_FIELD_EXISTS || kind == BPF_CORE_TYPE_EXISTS ||
	       kind == BPF_CORE_TYPE_MATCHES || kind == BPF_CORE_ENUMVAL_EXISTS;
}

/* "1:20:3" to numbers: how many, or -errno. */
static int parse_access(const char *s, u32 *idx)
{
	u32 n = 0;

	do {
		u64 v = 0;

		if (n == CORE_MAX_DEPTH)
			return -E2BIG;
		if (*s < '0' || *s > '9')
			return -EINVAL;
		for (; *s >= '0' && *s <= '9'; s++) {
			v = v * 10 + (u64)(*s - '0');
			if (v > INT32_MAX)
				return -EINVAL;
		}
		idx[n++] = (u32)v;
	} while (*s++ == ':');
	return s[-1] ? -EINVAL : (int)n;
}

bool core_is_flex_array(const struct btf *btf, const struct core_step *last,
			const struct btf_array *array)
{
	const struct btf_type *t;

	if (!last->name || array->nelems)
		return false;
	t = btf__type_by_id(btf, last->type);
	return last->idx + 1 == btf_vlen(t);
}

static void add_step(struct core_spec *spec, u32 type, u32 idx, const char *name)
{
	spec->steps[spec->len++] = (struct core_step){type, idx, name};
}

static int add_elem(struct core_spec *spec, u32 type, u32 idx)
{
	s64 size = btf__resolve_size(spec->btf, type);

	if (size < 0)
		return -EINVAL;
	add_step(spec, type, idx, NULL);
	spec->bit_off += (u64)idx * (u64)size * 8;
	return 0;
}

/* One number of the way, from *type on. */
static int parse_step(struct core_spec *spec, u32 *type, u32 idx)
{
	const struct btf_type *t = core_skip_mods(spec->btf, type);
	const struct btf_member *m;

	if (t && btf_is_composite(t)) {
		if (idx >= btf_vlen(t))
			return -EINVAL;
		m = &btf_members(t)[idx];
		spec->bit_off += btf_member_bit_offset(t, idx);
		if (m->name_off)
			add_step(spec, *type, idx, core_str(spec->btf, m->name_off));
		*type = m->type;
		return 0;
	}
	if (t && btf_is_array(t)) {
		const struct btf_array *array = btf_array(t);

		if (idx >= array->nelems &&
		    !core_is_flex_array(spec->btf, &spec->steps[spec->len - 1], array))
			return -EINVAL;
		*type = array->type;
		core_skip_mods(spec->btf, type);
		return add_elem(spec, *type, idx);
	}
	return -EINVAL;
}

static int parse_enumval(struct core_spec *spec, u32 type, u32 idx)
{
	const struct btf_type *t = core_skip_mods(spec->btf, &type);
	u32 name;

	if (!t || !btf_is_any_enum(t) || idx >= btf_vlen(t))
		return -EINVAL;
	name = btf_is_enum(t) ? btf_enum(t)[idx].name_off : btf_enum64(t)[idx].name_off;
	add_step(spec, type, idx, core_str(spec->btf, name));
	return 0;
}

int core_spec_parse(const struct btf *btf, u32 type, const char *access, u32 kind,
		    struct core_spec *spec)
{
	u32 idx[CORE_MAX_DEPTH];
	int n = parse_access(access, idx), err;

	spec->btf = btf;
	spec->root = type;
	spec->kind = kind;
	spec->len = 0;
	spec->bit_off = 0;
	if (n < 0)
		return n;
	if (!btf__type_by_id(btf, type))
		return -EINVAL;
	switch (core_kind_class(kind)) {
	case CORE_TYPE:
		return n == 1 && !idx[0] ? 0 : -EINVAL;
	case CORE_ENUMVAL:
		return n == 1 ? parse_enumval(spec, type, idx[0]) : -EINVAL;
	case CORE_UNKNOWN:
		return -EINVAL;
	case CORE_FIELD:
		break;
	}
	if (!core_skip_mods(btf, &type))
		return -EINVAL;
	err = add_elem(spec, type, idx[0]);
	for (int i = 1; !err && i < n; i++)
		err = parse_step(spec, &type, idx[i]);
	return err;
}

/* ---- in words */

static const char *const kind_words[] = {
	[BPF_CORE_FIELD_BYTE_OFFSET] = "the byte offset of ",
	[BPF_CORE_FIELD_BYTE_SIZE] = "the size of ",
	[BPF_CORE_FIELD_EXISTS] = "the existence of ",
	[BPF_CORE_FIELD_SIGNED] = "the sign of ",
	[BPF_CORE_FIELD_LSHIFT_U64] = "the left shift of ",
	[BPF_CORE_FIELD_RSHIFT_U64] = "the right shift of ",
	[BPF_CORE_TYPE_ID_LOCAL] = "the id here of ",
	[BPF_CORE_TYPE_ID_TARGET] = "the id in the kernel of ",
	[BPF_CORE_TYPE_EXISTS] = "the existence of ",
	[BPF_CORE_TYPE_SIZE] = "the size of ",
	[BPF_CORE_ENUMVAL_EXISTS] = "the existence of ",
	[BPF_CORE_ENUMVAL_VALUE] = "the value of ",
	[BPF_CORE_TYPE_MATCHES] = "the likeness of ",
};

static const char *type_prefix(const struct btf_type *t)
{
	switch (btf_kind(t)) {
	case BTF_KIND_STRUCT:
		return "struct ";
	case BTF_KIND_UNION:
		return "union ";
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return "enum ";
	}
	return "";
}

__attribute__((format(printf, 4, 5))) static void put(char *buf, size_t len, size_t *n,
						      const char *fmt, ...)
{
	va_list args;
	int w;

	va_start(args, fmt);
	w = vsnprintf(buf + *n, len - *n, fmt, args);
	va_end(args);
	*n = w < 0 ? *n : min(*n + (size_t)w, len - 1);
}

void core_spec_text(const struct core_spec *spec, char *buf, size_t len)
{
	const struct btf_type *t = btf__type_by_id(spec->btf, spec->root);
	const char *name = t && t->name_off ? core_str(spec->btf, t->name_off) : "(no name)";
	size_t n = 0;

	put(buf, len, &n, "%s%s%s",
	    spec->kind < ARRAY_SIZE(kind_words) ? kind_words[spec->kind] : "",
	    t ? type_prefix(t) : "", name);
	if (core_kind_class(spec->kind) == CORE_ENUMVAL && spec->len)
		put(buf, len, &n, "::%s", spec->steps[0].name);
	if (core_kind_class(spec->kind) != CORE_FIELD)
		return;
	for (u32 i = 0; i < spec->len; i++)
		if (spec->steps[i].name)
			put(buf, len, &n, ".%s", spec->steps[i].name);
		else if (i || spec->steps[i].idx)
			put(buf, len, &n, "[%u]", spec->steps[i].idx);
}
