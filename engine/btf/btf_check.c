/*
 * btf_check.c - is this BTF one that a parser may trust?
 *
 * libbpf's btf.h follows type ids and string offsets without looking, and prints types by
 * recursion. So before it sees BTF from outside, this pass makes sure of:
 *   A. header, types and strings lie inside the data, and the strings end with NUL;
 *   B. every type is of a known kind and complete, every id and string offset is in range;
 *   C. no type contains itself by value, and a chain of pointers, modifiers, arrays and prototypes
 *      ends: every cycle passes through a pointer and a named struct or union, as in C;
 *   D. no such chain is longer than BTF_MAX_DEPTH, so recursion over types is bounded.
 *   E. types mean something: values have sizes that exist, members lie inside of their struct,
 *      functions have prototypes, sections hold variables.
 * The data may have any alignment. Tests: tests/unit/test_elf.c.
 */
#include <linux/btf.h>
#include "btf/btf_check.h"

#define BTF_MAX_DEPTH 64
#define BTF_MAX_SIZE  (1u << 30) /* bytes of one value */

/* Height of a type in a graph, while the walk is on it, and before it came. */
#define HEIGHT_UNKNOWN 0xff
#define HEIGHT_WALKING 0xfe

struct checked_btf {
	const u8 *types, *strs;
	u32 types_len, strs_len;
	u32 *offs; /* offset of type id - 1 in types */
	u32 cnt; /* types, without void */
	bool by_value; /* which of the two graphs is walked */
	u8 *height;
};

static u32 get32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* Bytes of what follows struct btf_type, or -EINVAL for an unknown kind. */
static int tail_size(u32 info)
{
	u32 vlen = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_PTR:
	case BTF_KIND_FWD:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FLOAT:
	case BTF_KIND_TYPE_TAG:
		return 0;
	case BTF_KIND_INT:
		return sizeof(u32);
	case BTF_KIND_ARRAY:
		return sizeof(struct btf_array);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return vlen * sizeof(struct btf_member);
	case BTF_KIND_ENUM:
		return vlen * sizeof(struct btf_enum);
	case BTF_KIND_ENUM64:
		return vlen * sizeof(struct btf_enum64);
	case BTF_KIND_FUNC_PROTO:
		return vlen * sizeof(struct btf_param);
	case BTF_KIND_VAR:
		return sizeof(struct btf_var);
	case BTF_KIND_DATASEC:
		return vlen * sizeof(struct btf_var_secinfo);
	case BTF_KIND_DECL_TAG:
		return sizeof(struct btf_decl_tag);
	}
	return -EINVAL;
}

/* Where one entry of the tail keeps a type id and a name, or -1. */
struct tail_layout {
	int size, type, name, count;
};

static struct tail_layout tail_layout(u32 info)
{
	int vlen = BTF_INFO_VLEN(info);

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return (struct tail_layout){sizeof(struct btf_member),
					    offsetof(struct btf_member, type),
					    offsetof(struct btf_member, name_off), vlen};
	case BTF_KIND_ENUM:
		return (struct tail_layout){sizeof(struct btf_enum), -1,
					    offsetof(struct btf_enum, name_off), vlen};
	case BTF_KIND_ENUM64:
		return (struct tail_layout){sizeof(struct btf_enum64), -1,
					    offsetof(struct btf_enum64, name_off), vlen};
	case BTF_KIND_FUNC_PROTO:
		return (struct tail_layout){sizeof(struct btf_param),
					    offsetof(struct btf_param, type),
					    offsetof(struct btf_param, name_off), vlen};
	case BTF_KIND_DATASEC:
		return (struct tail_layout){sizeof(struct btf_var_secinfo),
					    offsetof(struct btf_var_secinfo, type), -1, vlen};
	case BTF_KIND_ARRAY: /* element and index type: two ids in a row */
		return (struct tail_layout){sizeof(u32), 0, -1, 2};
	}
	return (struct tail_layout){0, -1, -1, 0};
}

static bool has_type_ref(u32 kind)
{
	switch (kind) {
	case BTF_KIND_PTR:
	case BTF_KIND_TYPEDEF:
	case BTF_KIND_VOLATILE:
	case BTF_KIND_CONST:
	case BTF_KIND_RESTRICT:
	case BTF_KIND_FUNC:
	case BTF_KIND_FUNC_PROTO:
	case BTF_KIND_VAR:
	case BTF_KIND_DECL_TAG:
	case BTF_KIND_TYPE_TAG:
		return true;
	}
	return false;
}

static int check_header(struct checked_btf *b, const u8 *data, u32 size)
{
	struct btf_header hdr;
	u64 left;

	if (size < sizeof(hdr))
		return -EINVAL;
	memcpy(&hdr, data, sizeof(hdr));
	if (hdr.magic != BTF_MAGIC || hdr.version != BTF_VERSION || hdr.flags)
		return -EINVAL;
	if (hdr.hdr_len < sizeof(hdr) || hdr.hdr_len > size || hdr.hdr_len % 4)
		return -EINVAL;
	left = size - hdr.hdr_len;
	if (hdr.type_off % 4 || hdr.type_len % 4 || (u64)hdr.type_off + hdr.type_len > left ||
	    (u64)hdr.type_off + hdr.type_len > hdr.str_off ||
	    (u64)hdr.str_off + hdr.str_len > left || !hdr.str_len)
		return -EINVAL;
	b->types = data + hdr.hdr_len + hdr.type_off;
	b->types_len = hdr.type_len;
	b->strs = data + hdr.hdr_len + hdr.str_off;
	b->strs_len = hdr.str_len;
	return b->strs[0] || b->strs[b->strs_len - 1] ? -EINVAL : 0;
}

/* Guarantee B, first half: sizes. Fills offs, or only counts when it is NULL. */
static int scan_types(struct checked_btf *b)
{
	u32 off = 0;

	b->cnt = 0;
	while (off < b->types_len) {
		int tail;

		if (b->types_len - off < sizeof(struct btf_type))
			return -EINVAL;
		tail = tail_size(get32(b->types + off + offsetof(struct btf_type, info)));
		if (tail < 0 || b->types_len - off - sizeof(struct btf_type) < (u32)tail)
			return -EINVAL;
		if (b->offs)
			b->offs[b->cnt] = off;
		b->cnt++;
		off += sizeof(struct btf_type) + tail;
	}
	return 0;
}

static int check_type(const struct checked_btf *b, const u8 *t)
{
	u32 info = get32(t + offsetof(struct btf_type, info));
	struct tail_layout l = tail_layout(info);

	if (get32(t) >= b->strs_len)
		return -EINVAL;
	if (has_type_ref(BTF_INFO_KIND(info)) &&
	    get32(t + offsetof(struct btf_type, type)) > b->cnt)
		return -EINVAL;
	t += sizeof(struct btf_type);
	for (int i = 0; i < l.count; i++, t += l.size) {
		if (l.type >= 0 && get32(t + l.type) > b->cnt)
			return -EINVAL;
		if (l.name >= 0 && get32(t + l.name) >= b->strs_len)
			return -EINVAL;
	}
	return 0;
}

/* Types that the current graph has no edges from. */
static bool is_leaf(const struct checked_btf *b, const u8 *t)
{
	u32 kind = BTF_INFO_KIND(get32(t + offsetof(struct btf_type, info)));

	if (b->by_value)
		return kind == BTF_KIND_PTR || kind == BTF_KIND_FUNC_PROTO || kind == BTF_KIND_FUNC;
	return (kind == BTF_KIND_STRUCT || kind == BTF_KIND_UNION) && get32(t);
}

/*
 * Guarantees C and D: the height of a type over its leaves, -ELOOP for a cycle or a chain too long.
 */
static int walk(struct checked_btf *b, u32 id, int level)
{
	const u8 *t = id ? b->types + b->offs[id - 1] : NULL;
	struct tail_layout l;
	int height = 0, h;
	u32 info;

	if (!t || is_leaf(b, t))
		return 0;
	if (b->height[id - 1] == HEIGHT_WALKING || level > BTF_MAX_DEPTH)
		return -ELOOP;
	if (b->height[id - 1] != HEIGHT_UNKNOWN)
		return b->height[id - 1];
	b->height[id - 1] = HEIGHT_WALKING;
	info = get32(t + offsetof(struct btf_type, info));
	if (has_type_ref(BTF_INFO_KIND(info))) {
		height = walk(b, get32(t + offsetof(struct btf_type, type)), level + 1);
		if (height < 0)
			return height;
	}
	l = tail_layout(info);
	t += sizeof(struct btf_type);
	for (int i = 0; l.type >= 0 && i < l.count; i++, t += l.size) {
		h = walk(b, get32(t + l.type), level + 1);
		if (h < 0)
			return h;
		height = max(height, h);
	}
	if (++height > BTF_MAX_DEPTH)
		return -ELOOP;
	b->height[id - 1] = height;
	return height;
}

static int check_graphs(struct checked_btf *b)
{
	for (int pass = 0; pass < 2; pass++) {
		b->by_value = !pass;
		memset(b->height, HEIGHT_UNKNOWN, b->cnt);
		for (u32 id = 1; id <= b->cnt; id++)
			if (walk(b, id, 0) < 0)
				return -EINVAL;
	}
	return 0;
}

/* ---- what each kind may refer to; runs when ids are in range and all chains end */

static const u8 *type_at(const struct checked_btf *b, u32 id)
{
	return id ? b->types + b->offs[id - 1] : NULL;
}

static u32 type_kind(const u8 *t)
{
	return t ? BTF_INFO_KIND(get32(t + offsetof(struct btf_type, info))) : BTF_KIND_UNKN;
}

static u32 type_ref(const u8 *t)
{
	return get32(t + offsetof(struct btf_type, type));
}

/* Past typedefs and modifiers; NULL: void. */
static const u8 *resolve(const struct checked_btf *b, u32 id)
{
	for (;;) {
		const u8 *t = type_at(b, id);

		switch (type_kind(t)) {
		case BTF_KIND_TYPEDEF:
		case BTF_KIND_VOLATILE:
		case BTF_KIND_CONST:
		case BTF_KIND_RESTRICT:
		case BTF_KIND_TYPE_TAG:
			id = type_ref(t);
			break;
		default:
			return t;
		}
	}
}

/*
 * Bytes of a value of this type; -EINVAL when it has no values (void, FWD, functions) or too many.
 */
static s64 value_size(const struct checked_btf *b, u32 id)
{
	const u8 *t = resolve(b, id);
	u64 elems;
	s64 size;

	switch (type_kind(t)) {
	case BTF_KIND_INT:
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
	case BTF_KIND_FLOAT:
		return get32(t + offsetof(struct btf_type, size));
	case BTF_KIND_PTR:
		return 8;
	case BTF_KIND_ARRAY:
		t += sizeof(struct btf_type);
		elems = get32(t + offsetof(struct btf_array, nelems));
		size = value_size(b, get32(t + offsetof(struct btf_array, type)));
		return size < 0 || size * elems > BTF_MAX_SIZE ? -EINVAL : (s64)(size * elems);
	}
	return -EINVAL;
}

static bool is_size(u32 size, u32 largest)
{
	return size && size <= largest && !(size & (size - 1));
}

static bool is_data_or_void(const struct checked_btf *b, u32 id)
{
	return !resolve(b, id) || value_size(b, id) >= 0;
}

/* A member must lie inside of its struct; a bit field inside of an integer of its type's size. */
static int check_member(const struct checked_btf *b, const u8 *t, const u8 *member)
{
	u64 bits = (u64)get32(t + offsetof(struct btf_type, size)) * 8;
	u32 offset = get32(member + offsetof(struct btf_member, offset));
	u32 type = get32(member + offsetof(struct btf_member, type));
	s64 size = value_size(b, type);
	u32 field = 0;

	if (size < 0)
		return -EINVAL;
	if (BTF_INFO_KFLAG(get32(t + offsetof(struct btf_type, info)))) {
		field = BTF_MEMBER_BITFIELD_SIZE(offset);
		offset = BTF_MEMBER_BIT_OFFSET(offset);
	}
	if (field) {
		u32 kind = type_kind(resolve(b, type));

		if ((kind != BTF_KIND_INT && kind != BTF_KIND_ENUM && kind != BTF_KIND_ENUM64) ||
		    field > size * 8)
			return -EINVAL;
		return offset + (u64)field > bits ? -EINVAL : 0;
	}
	return offset % 8 || offset + (u64)size * 8 > bits ? -EINVAL : 0;
}

static int check_int(const u8 *t)
{
	u32 size = get32(t + offsetof(struct btf_type, size));
	u32 data = get32(t + sizeof(struct btf_type));
	u32 nr_bits = BTF_INT_BITS(data), encoding = BTF_INT_ENCODING(data);

	if (!is_size(size, 16) || !nr_bits || nr_bits + BTF_INT_OFFSET(data) > size * 8)
		return -EINVAL;
	return encoding & (encoding - 1) || encoding > BTF_INT_BOOL ? -EINVAL : 0;
}

static int check_array(const struct checked_btf *b, const u8 *t, u32 id)
{
	const u8 *index = resolve(
		b, get32(t + sizeof(struct btf_type) + offsetof(struct btf_array, index_type)));

	return value_size(b, id) < 0 || type_kind(index) != BTF_KIND_INT ? -EINVAL : 0;
}

static int check_proto(const struct checked_btf *b, const u8 *t)
{
	u32 vlen = BTF_INFO_VLEN(get32(t + offsetof(struct btf_type, info)));

	if (!is_data_or_void(b, type_ref(t)))
		return -EINVAL;
	t += sizeof(struct btf_type);
	for (u32 i = 0; i < vlen; i++, t += sizeof(struct btf_param)) {
		u32 type = get32(t + offsetof(struct btf_param, type));

		/* Void is "...", and ends the list. */
		if (type ? value_size(b, type) < 0 : i != vlen - 1)
			return -EINVAL;
	}
	return 0;
}

static int check_datasec(const struct checked_btf *b, const u8 *t)
{
	u32 vlen = BTF_INFO_VLEN(get32(t + offsetof(struct btf_type, info)));

	t += sizeof(struct btf_type);
	for (u32 i = 0; i < vlen; i++, t += sizeof(struct btf_var_secinfo)) {
		u32 kind = type_kind(type_at(b, get32(t)));

		if (kind != BTF_KIND_VAR && kind != BTF_KIND_FUNC)
			return -EINVAL;
	}
	return 0;
}

static int check_decl_tag(const struct checked_btf *b, const u8 *t)
{
	const u8 *target = type_at(b, type_ref(t));
	s32 component = get32(t + sizeof(struct btf_type));

	switch (type_kind(target)) {
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		break;
	case BTF_KIND_FUNC:
		target = type_at(b, type_ref(target));
		break;
	case BTF_KIND_VAR:
	case BTF_KIND_TYPEDEF:
		return component == -1 ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
	return component >= -1 && component < (s32)BTF_INFO_VLEN(get32(
						      target + offsetof(struct btf_type, info)))
		       ? 0
		       : -EINVAL;
}

/* What pointers and modifiers may be made of: anything that is a type in C. */
static bool is_c_type(const struct checked_btf *b, u32 id)
{
	switch (type_kind(type_at(b, id))) {
	case BTF_KIND_VAR:
	case BTF_KIND_DATASEC:
	case BTF_KIND_FUNC:
	case BTF_KIND_DECL_TAG:
		return false;
	}
	return true;
}

static int check_meaning(const struct checked_btf *b, u32 id)
{
	const u8 *t = type_at(b, id);
	u32 info = get32(t + offsetof(struct btf_type, info));
	u32 size = get32(t + offsetof(struct btf_type, size));
	bool named = get32(t) && b->strs[get32(t)];
	int err = 0;

	switch (BTF_INFO_KIND(info)) {
	case BTF_KIND_INT:
		return check_int(t);
	case BTF_KIND_FLOAT:
		return is_size(size, 16) || size == 12 ? 0 : -EINVAL;
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return is_size(size, 8) ? 0 : -EINVAL;
	case BTF_KIND_ARRAY:
		return check_array(b, t, id);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		for (u32 i = 0; !err && i < BTF_INFO_VLEN(info); i++)
			err = check_member(
				b, t, t + sizeof(struct btf_type) + i * sizeof(struct btf_member));
		return err || size > BTF_MAX_SIZE ? -EINVAL : 0;
	case BTF_KIND_FUNC_PROTO:
		return check_proto(b, t);
	case BTF_KIND_FUNC:
		return named && BTF_INFO_VLEN(info) <= BTF_FUNC_EXTERN &&
				       type_kind(type_at(b, size)) == BTF_KIND_FUNC_PROTO
			       ? 0
			       : -EINVAL;
	case BTF_KIND_VAR:
		return named && is_data_or_void(b, size) ? 0 : -EINVAL;
	case BTF_KIND_DATASEC:
		return named ? check_datasec(b, t) : -EINVAL;
	case BTF_KIND_DECL_TAG:
		return check_decl_tag(b, t);
	case BTF_KIND_FWD:
		return named ? 0 : -EINVAL;
	case BTF_KIND_TYPEDEF:
		return named && is_c_type(b, size) ? 0 : -EINVAL;
	}
	return is_c_type(b, size) ? 0 : -EINVAL; /* PTR and modifiers */
}

int bpf_btf_check(const void *data, u32 size)
{
	struct checked_btf b = {0};
	int err = check_header(&b, data, size);

	if (!err)
		err = scan_types(&b);
	if (err)
		return err;
	b.offs = calloc((size_t)b.cnt + 1, sizeof(*b.offs));
	b.height = calloc((size_t)b.cnt + 1, 1);
	if (!b.offs || !b.height) {
		err = -ENOMEM;
		goto out;
	}
	scan_types(&b);
	for (u32 i = 0; !err && i < b.cnt; i++)
		err = check_type(&b, b.types + b.offs[i]);
	if (!err)
		err = check_graphs(&b);
	for (u32 id = 1; !err && id <= b.cnt; id++)
		err = check_meaning(&b, id);
out:
	free(b.offs);
	free(b.height);
	return err;
}
