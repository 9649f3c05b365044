/*
 * json_parse.c - see json_parse.h
 *
 * Along the type and the text at once: a function a kind of type. Strings are decoded into one
 * buffer, which is as long as the text.
 */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "text/value_text.h"
#include "text/json_parse.h"
#include "text/typed.h"

#define MIN_STEPS    (1u << 20)
#define STEPS_A_BYTE 1024 /* an enum is looked up name by name */
#define DEEPEST	     64

struct parse {
	const struct btf *btf;
	const char *s;
	size_t len, pos;
	u8 *data, *said;
	u32 size;
	u64 budget;
	u32 depth;
	char *str; /* the last string, decoded */
	size_t str_len;
	char member[64]; /* the last that was named, for sentences */
	struct error_record *why;
	int err;
};

static bool parse_type(struct parse *p, u32 id, u64 off, u64 room);

/* Returns false, so that functions may return it. */
static bool bad_json(struct parse *p, int err, const char *fmt, ...)
{
	char text[128];
	va_list args;

	if (p->err)
		return false;
	p->err = err;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	error_set(p->why, -err, "%s%s%s", p->member, p->member[0] ? ": " : "", text);
	return false;
}

static bool spend(struct parse *p, u64 steps)
{
	if (steps > p->budget)
		return bad_json(p, -EINVAL, "the type is too large to be read");
	p->budget -= steps;
	return true;
}

/* ---- the text */

static char peek(struct parse *p)
{
	while (p->pos < p->len && text_is_blank(p->s[p->pos]))
		p->pos++;
	return p->pos < p->len ? p->s[p->pos] : 0;
}

static bool take(struct parse *p, char c)
{
	if (peek(p) != c)
		return false;
	p->pos++;
	return true;
}

static bool is_word(char c)
{
	return !text_is_blank(c) && c && !strchr(",:[]{}\"", c);
}

/* A number, true, false: what no bracket or comma ends. */
static void next_word(struct parse *p, const char **word, size_t *n)
{
	peek(p);
	*word = p->s + p->pos;
	while (p->pos < p->len && is_word(p->s[p->pos]))
		p->pos++;
	*n = (size_t)(p->s + p->pos - *word);
}

static bool hex4(const char *s, u32 *v)
{
	*v = 0;
	for (u32 i = 0; i < 4; i++) {
		char c = s[i];
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
			    : c >= 'A' && c <= 'F' ? c - 'A' + 10
						   : -1;

		if (digit < 0)
			return false;
		*v = *v << 4 | (u32)digit;
	}
	return true;
}

static void put_utf8(struct parse *p, u32 c)
{
	char *to = p->str + p->str_len;

	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	p->str_len = (size_t)(to - p->str);
}

/* \uXXXX, of which two may be one character; `at` is behind the u. */
static bool unescape_unicode(struct parse *p, size_t *at)
{
	u32 c, low;

	if (p->len - *at < 4 || !hex4(p->s + *at, &c))
		return false;
	*at += 4;
	if (c >= 0xd800 && c < 0xdc00 && p->len - *at >= 6 && p->s[*at] == '\\' &&
	    p->s[*at + 1] == 'u' && hex4(p->s + *at + 2, &low) && low >= 0xdc00 && low < 0xe000) {
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		*at += 6;
	} else if (c >= 0xd800 && c < 0xe000) {
		return false;
	}
	put_utf8(p, c);
	return true;
}

static bool unescape(struct parse *p, size_t *at)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *known;
	char c = *at < p->len ? p->s[(*at)++] : 0;

	if (c == 'u')
		return unescape_unicode(p, at);
	known = c ? strchr(from, c) : NULL;
	if (known)
		p->str[p->str_len++] = to[known - from];
	return known;
}

/* A string, into p->str. */
static bool parse_string(struct parse *p)
{
	size_t at;

	if (!take(p, '"'))
		return bad_json(p, -EINVAL, "a string in quotes belongs here");
	p->str_len = 0;
	for (at = p->pos; at < p->len && p->s[at] != '"';) {
		if (p->s[at] != '\\')
			p->str[p->str_len++] = p->s[at++];
		else if (at++, !unescape(p, &at))
			return bad_json(p, -EINVAL, "a string holds an escape that JSON has not");
	}
	if (at == p->len)
		return bad_json(p, -EINVAL, "a string does not end");
	p->str[p->str_len] = 0;
	p->pos = at + 1;
	return true;
}

/* What stands here, a string's content or a word. */
static bool parse_scalar(struct parse *p, const char **s, size_t *n)
{
	char c = peek(p);

	if (c == '"') {
		if (!parse_string(p))
			return false;
		*s = p->str;
		*n = p->str_len;
		return true;
	}
	next_word(p, s, n);
	if (!*n)
		return bad_json(p, -EINVAL,
				c == '{' || c == '[' ? "it is one number or name"
						     : "a value is missing");
	return true;
}

/* ---- bytes */

static bool has_room(struct parse *p, u64 off, u64 n)
{
	if (off > p->size || n > p->size - off)
		return bad_json(p, -EINVAL, "it does not lie inside of the value");
	return true;
}

static bool put(struct parse *p, u64 off, const void *bytes, u64 n)
{
	if (!has_room(p, off, n))
		return false;
	memcpy(p->data + off, bytes, n);
	memset(p->said + off, 1, n);
	return true;
}

/* What an earlier word says goes before this. */
static bool put_weak(struct parse *p, u64 off, const u8 *bytes, u64 n)
{
	if (!has_room(p, off, n))
		return false;
	for (u64 i = off; i < off + n; i++)
		if (!p->said[i]) {
			p->data[i] = bytes ? bytes[i - off] : 0;
			p->said[i] = 1;
		}
	return true;
}

static bool put_number(struct parse *p, u64 off, u64 v, u32 size)
{
	u32 four = (u32)v;
	u16 two = (u16)v;
	u8 one = (u8)v;

	return put(p, off,
		   size == 1   ? (const void *)&one
		   : size == 2 ? (const void *)&two
		   : size == 4 ? (const void *)&four
			       : (const void *)&v,
		   size);
}

/* bit_off == 0 and bits of whole bytes: a number; else a bit field from bit bit_off of off on. */
static bool put_bits(struct parse *p, u64 off, u64 bit_off, u32 bits, u64 v)
{
	u64 first = off + bit_off / 8, last = off + (bit_off + bits + 7) / 8;

	if (!has_room(p, first, last - first))
		return false;
	typed_store_bits(p->data + off, bit_off, bits, v);
	memset(p->said + first, 1, last - first);
	return true;
}

static bool put_hex(struct parse *p, u64 off, u64 size)
{
	__do_free u8 *bytes = malloc(size ? size : 1);

	if (!bytes)
		return bad_json(p, -ENOMEM, "no memory");
	if (!parse_string(p))
		return false;
	if (text_parse_hex(p->str, p->str_len, bytes, size) != TEXT_COMPLETE)
		return bad_json(p, -EINVAL, "it is a string of %llu hexadecimal bytes",
				(unsigned long long)size);
	return put(p, off, bytes, size);
}

/* ---- numbers */

static bool integer(struct parse *p, const char *s, size_t n, u32 bits, bool is_signed, u64 *v)
{
	u64 top = bits < 64 ? 1ull << bits : 0; /* one beyond the largest */
	bool minus = n && s[0] == '-';
	u64 max = minus ? 1ull << (bits - 1) : is_signed ? (1ull << (bits - 1)) - 1 : top - 1;
	int ret = text_parse_u64(s + minus, n - minus, UINT64_MAX, v);

	if (ret != TEXT_COMPLETE || text_is_blank(s[minus]))
		return bad_json(p, ret == -ERANGE ? -ERANGE : -EINVAL,
				"\"%.*s\" is no number for it",
				text_first_line(s, min(n, (size_t)40)), s);
	if ((minus && !is_signed) || *v > max)
		return is_signed ? bad_json(p, -ERANGE, "it is a number from -%llu to %llu",
					    1ull << (bits - 1), (1ull << (bits - 1)) - 1)
				 : bad_json(p, -ERANGE, "it is a number from 0 to %llu",
					    (unsigned long long)(top - 1));
	if (minus)
		*v = -*v;
	return true;
}

static bool is(const char *s, size_t n, const char *word)
{
	return n == strlen(word) && !memcmp(s, word, n);
}

static bool int_word(struct parse *p, const struct btf_type *t, u32 bits, u64 *v)
{
	const char *s;
	size_t n;

	if (!parse_scalar(p, &s, &n))
		return false;
	*v = is(s, n, "true");
	if (btf_int_encoding(t) & BTF_INT_BOOL && (*v || is(s, n, "false")))
		return true;
	return integer(p, s, n, bits, btf_int_encoding(t) & BTF_INT_SIGNED, v);
}

static bool parse_int(struct parse *p, const struct btf_type *t, u64 off)
{
	u32 bits = btf_int_bits(t);
	u64 v;

	if (bits > 64 || (bits == t->size * 8 && !text_number_size(t->size)))
		return put_hex(p, off, t->size);
	if (!bits || !int_word(p, t, bits, &v))
		return bits ? false : bad_json(p, -EINVAL, "it has no bits");
	if (bits == t->size * 8)
		return put_number(p, off, v, t->size);
	return put_bits(p, off, btf_int_offset(t), bits, v);
}

static bool enum_word(struct parse *p, const struct btf_type *t, u32 bits, u64 *v)
{
	bool wide = btf_is_enum64(t);
	const char *s;
	size_t n;

	if (!parse_scalar(p, &s, &n) || !spend(p, btf_vlen(t)))
		return false;
	for (u32 i = 0; i < btf_vlen(t); i++) {
		u32 name = wide ? btf_enum64(t)[i].name_off : btf_enum(t)[i].name_off;

		if (!is(s, n, typed_name(p->btf, name)))
			continue;
		*v = wide ? btf_enum64_value(&btf_enum64(t)[i]) : (u64)btf_enum(t)[i].val;
		return true;
	}
	if (n && s[0] != '-' && (s[0] < '0' || s[0] > '9'))
		return bad_json(p, -EINVAL, "enum %s has no %.*s", typed_name(p->btf, t->name_off),
				text_first_line(s, min(n, (size_t)40)), s);
	return integer(p, s, n, bits, s[0] == '-' || btf_kflag(t), v);
}

static bool parse_enum(struct parse *p, const struct btf_type *t, u64 off)
{
	u64 v;

	if (!text_number_size(t->size))
		return bad_json(p, -EINVAL, "an enum of such a size cannot be read");
	return enum_word(p, t, t->size * 8, &v) && put_number(p, off, v, t->size);
}

static bool parse_float(struct parse *p, const struct btf_type *t, u64 off)
{
	char word[64], *end;
	const char *s;
	size_t n;
	double d;
	float f;

	if (t->size != sizeof(f) && t->size != sizeof(d))
		return put_hex(p, off, t->size);
	if (!parse_scalar(p, &s, &n))
		return false;
	if (n >= sizeof(word))
		return bad_json(p, -EINVAL, "it is a number");
	memcpy(word, s, n);
	word[n] = 0;
	d = strtod(word, &end);
	if (!n || *end)
		return bad_json(p, -EINVAL, "\"%s\" is no number", word);
	f = (float)d;
	/* One text stands for many bit patterns. */
	if (isnan(d))
		return put_weak(p, off, t->size == sizeof(f) ? (u8 *)&f : (u8 *)&d, t->size);
	return put(p, off, t->size == sizeof(f) ? (void *)&f : (void *)&d, t->size);
}

static bool parse_ptr(struct parse *p, u64 off)
{
	const char *s;
	size_t n;
	u64 v;

	return parse_scalar(p, &s, &n) && integer(p, s, n, 64, false, &v) &&
	       put_number(p, off, v, 8);
}

/* ---- arrays */

static bool parse_chars(struct parse *p, u64 off, u64 count)
{
	if (!parse_string(p))
		return false;
	if (p->str_len > count)
		return bad_json(p, -ERANGE, "it has room for %llu bytes",
				(unsigned long long)count);
	return put(p, off, p->str, p->str_len) &&
	       put_weak(p, off + p->str_len, NULL, count - p->str_len);
}

static bool parse_array(struct parse *p, const struct btf_type *t, u64 off, u64 room)
{
	const struct btf_array *array = btf_array(t);
	s64 elem = btf__resolve_size(p->btf, array->type);
	u64 count = array->nelems;

	if (elem < 0 || (elem && count > room / (u64)elem))
		return bad_json(p, -EINVAL, "its type is larger than its place");
	if (!elem)
		count = 0;
	if (peek(p) == '"' && typed_is_char(p->btf, array->type))
		return parse_chars(p, off, count);
	if (!take(p, '['))
		return bad_json(p, -EINVAL, "it is a list [...] of %llu",
				(unsigned long long)count);
	if (take(p, ']'))
		return true;
	for (u64 i = 0;; i++) {
		if (i == count)
			return bad_json(p, -ERANGE, "the list has more than %llu elements",
					(unsigned long long)count);
		if (!parse_type(p, array->type, off + i * (u64)elem, (u64)elem))
			return false;
		if (take(p, ']'))
			return true;
		if (!take(p, ','))
			return bad_json(p, -EINVAL, "a comma or ] is missing in a list");
	}
}

/* ---- structs, unions, data sections */

static bool parse_bitfield(struct parse *p, u32 id, u64 off, u32 bit_off, u32 bits)
{
	const struct btf_type *t = typed_resolve(p->btf, id);
	u64 v;

	if (!t || bits > 64 || !(btf_is_int(t) || btf_is_any_enum(t)))
		return bad_json(p, -EINVAL, "a bit field of such a type cannot be read");
	if (btf_is_int(t) ? !int_word(p, t, bits, &v) : !enum_word(p, t, bits, &v))
		return false;
	return put_bits(p, off, bit_off, bits, v);
}

/* A member, or one of a member without a name. 1: found, and its value was read. */
static int parse_member(struct parse *p, const struct btf_type *t, u64 off, u64 room, u32 *from,
			const char *name)
{
	u32 n = btf_vlen(t);

	if (++p->depth > DEEPEST)
		return bad_json(p, -EINVAL, "the type is nested too deep");
	for (u32 k = 0; k < n; k++) {
		u32 i = (*from + k) % n;
		const struct btf_member *m = &btf_members(t)[i];
		u32 bits = btf_member_bitfield_size(t, i), at = btf_member_bit_offset(t, i);
		const struct btf_type *inner;
		const char *has = typed_name(p->btf, m->name_off);
		u32 first = 0;
		int ret;

		if (!spend(p, 1))
			return 0;
		if (at / 8 > room)
			continue;
		if (!*has && !bits) {
			inner = typed_resolve(p->btf, m->type);
			if (!inner || !btf_is_composite(inner) || inner->size > room - at / 8)
				continue;
			ret = parse_member(p, inner, off + at / 8, inner->size, &first, name);
			if (ret || p->err) {
				*from = i;
				p->depth--;
				return ret;
			}
			continue;
		}
		if (strcmp(has, name))
			continue;
		*from = i + 1;
		p->depth--;
		return bits ? parse_bitfield(p, m->type, off, at, bits)
			    : parse_type(p, m->type, off + at / 8, room - at / 8);
	}
	p->depth--;
	return 0;
}

/* Static variables of functions may share a name: in the order in which they are printed. */
static int parse_var(struct parse *p, const struct btf_type *t, u64 off, u64 room, u32 *from,
		     const char *name)
{
	const struct btf_var_secinfo *info = btf_var_secinfos(t);
	u32 n = btf_vlen(t);

	for (u32 k = 0; k < n; k++) {
		u32 i = (*from + k) % n;
		const struct btf_type *var = btf__type_by_id(p->btf, info[i].type);

		if (!spend(p, 1))
			return 0;
		if (!var || !btf_is_var(var) || info[i].offset > room ||
		    strcmp(typed_name(p->btf, var->name_off), name))
			continue;
		*from = i + 1;
		return parse_type(p, var->type, off + info[i].offset, room - info[i].offset);
	}
	return 0;
}

static bool parse_object(struct parse *p, const struct btf_type *t, u64 off, u64 room)
{
	u32 from = 0;

	if (!take(p, '{'))
		return bad_json(p, -EINVAL, "it is an object {...}");
	if (take(p, '}'))
		return true;
	for (;;) {
		char name[sizeof(p->member)];
		int found;

		if (!parse_string(p))
			return false;
		snprintf(name, sizeof(name), "%s", p->str);
		snprintf(p->member, sizeof(p->member), "%s", name);
		if (p->str_len >= sizeof(name) || strlen(p->str) != p->str_len)
			return bad_json(p, -EINVAL, "there is no such member");
		if (!take(p, ':'))
			return bad_json(p, -EINVAL, "a colon is missing");
		found = btf_is_datasec(t) ? parse_var(p, t, off, room, &from, name)
					  : parse_member(p, t, off, room, &from, name);
		if (p->err)
			return false;
		if (!found) {
			p->member[0] = 0;
			return bad_json(p, -EINVAL, "%s %s has no %s",
					btf_is_datasec(t) ? "section"
					: btf_is_union(t) ? "union"
							  : "struct",
					typed_name(p->btf, t->name_off), name);
		}
		p->member[0] = 0;
		if (take(p, '}'))
			return true;
		if (!take(p, ','))
			return bad_json(p, -EINVAL, "a comma or } is missing behind %s", name);
	}
}

/* ---- any type */

static bool parse_any(struct parse *p, u32 id, u64 off, u64 room)
{
	const struct btf_type *t = typed_resolve(p->btf, id);

	if (!t)
		return bad_json(p, -EINVAL, "its type is not known");
	if (!spend(p, 1))
		return false;
	if (btf_is_array(t))
		return parse_array(p, t, off, room);
	if (btf_is_datasec(t))
		return parse_object(p, t, off, room);
	if (btf_is_ptr(t))
		return parse_ptr(p, off);
	if (t->size > room)
		return bad_json(p, -EINVAL, "its type is larger than its place");
	if (btf_is_int(t))
		return parse_int(p, t, off);
	if (btf_is_any_enum(t))
		return parse_enum(p, t, off);
	if (btf_is_float(t))
		return parse_float(p, t, off);
	if (btf_is_composite(t))
		return parse_object(p, t, off, t->size);
	return bad_json(p, -EINVAL, "a value of its type cannot be read");
}

static bool parse_type(struct parse *p, u32 id, u64 off, u64 room)
{
	bool ret;

	if (++p->depth > DEEPEST)
		return bad_json(p, -EINVAL, "the type is nested too deep");
	ret = parse_any(p, id, off, room);
	p->depth--;
	return ret;
}

/* As json_print.c prints what has no type. */
static bool parse_plain(struct parse *p)
{
	const char *s;
	size_t n;
	u64 v;

	if (!text_number_size(p->size))
		return put_hex(p, 0, p->size);
	return parse_scalar(p, &s, &n) && integer(p, s, n, p->size * 8, false, &v) &&
	       put_number(p, 0, v, p->size);
}

int json_parse(const char *s, size_t len, const struct bpf_btf *btf, u32 type_id, void *data,
	       u8 *said, u32 size, struct error_record *why)
{
	__do_free char *str = malloc(len + 1);
	__do_free u8 *own = said ? NULL : calloc(1, size ? size : 1);
	struct parse p = {
		.btf = btf ? btf->btf : NULL,
		.s = s,
		.len = len,
		.data = data,
		.said = said ? said : own,
		.size = size,
		.budget = MIN_STEPS + (u64)STEPS_A_BYTE * size + 16 * len,
		.str = str,
		.why = why,
	};
	bool good;

	if (!p.str || !p.said)
		return -ENOMEM;
	if (p.btf && type_id && typed_fits(p.btf, type_id, size))
		good = parse_type(&p, type_id, 0, size);
	else
		good = parse_plain(&p);
	if (good && peek(&p))
		bad_json(&p, -EINVAL, "something stands behind the value");
	return p.err;
}

/* ---- the text alone */

bool json_begins(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && text_is_blank(s[i]))
		i++;
	s += i;
	len -= i;
	if (!len)
		return false;
	if (strchr("{[\"-", s[0]) && s[0])
		return true;
	return (len >= 3 && !memcmp(s, "tru", 3)) || (len >= 3 && !memcmp(s, "fal", 3));
}

static ssize_t string_end(const char *s, size_t len, size_t i)
{
	for (i++; i < len && s[i] != '"'; i++)
		if (s[i] == '\\')
			i++;
	return i < len ? (ssize_t)i + 1 : 0;
}

ssize_t json_extent(const char *s, size_t len)
{
	size_t i = 0, depth = 0;
	ssize_t end;

	while (i < len && text_is_blank(s[i]))
		i++;
	if (i == len)
		return 0;
	if (is_word(s[i])) {
		while (i < len && is_word(s[i]))
			i++;
		return (ssize_t)i;
	}
	while (i < len) {
		if (s[i] == '"') {
			end = string_end(s, len, i);
			if (!end)
				return 0;
			i = (size_t)end;
		} else if (s[i] == '{' || s[i] == '[') {
			depth++;
			i++;
		} else if (s[i] == '}' || s[i] == ']') {
			if (!depth)
				return -EINVAL;
			depth--;
			i++;
		} else if (!depth || !s[i]) {
			return -EINVAL;
		} else {
			i++;
		}
		if (!depth)
			return (ssize_t)i;
	}
	return 0;
}

static size_t skip_blanks(const char *s, size_t len, size_t i)
{
	while (i < len && text_is_blank(s[i]))
		i++;
	return i;
}

bool json_member(const char *s, size_t len, const char *name, const char **value, size_t *n)
{
	size_t i = skip_blanks(s, len, 0), name_len = strlen(name), from;
	ssize_t end;
	bool found;

	if (i == len || s[i] != '{')
		return false;
	for (i = skip_blanks(s, len, i + 1); i < len && s[i] == '"';) {
		end = string_end(s, len, i);
		if (!end)
			return false;
		found = (size_t)end - i == name_len + 2 && !memcmp(s + i + 1, name, name_len);
		i = skip_blanks(s, len, (size_t)end);
		if (i == len || s[i] != ':')
			return false;
		from = i + 1;
		end = json_extent(s + from, len - from);
		if (end <= 0)
			return false;
		*value = s + from;
		*n = (size_t)end;
		if (found)
			return true;
		i = skip_blanks(s, len, from + (size_t)end);
		if (i < len && s[i] == ',')
			i = skip_blanks(s, len, i + 1);
	}
	return false;
}

bool json_element(const char *s, size_t len, size_t *pos, const char **value, size_t *n)
{
	size_t i = skip_blanks(s, len, *pos);
	ssize_t end;

	if (i == len || s[i] != (*pos ? ',' : '['))
		return false;
	end = json_extent(s + i + 1, len - i - 1);
	if (end <= 0)
		return false;
	*value = s + i + 1;
	*n = (size_t)end;
	*pos = i + 1 + (size_t)end;
	return true;
}
