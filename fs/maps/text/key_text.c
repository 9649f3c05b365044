/*
 * key_text.c - see key_text.h
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include "text/value_text.h"
#include "fs/lib/write_buffer.h"
#include "fs/maps/text/key_text.h"
#include "text/typed.h"
#include "fs/store/objects/object.h"
#include "fs/store/state/state_file.h"
#include "fs/store/state/state_tree.h"
#include "fs/store/node_object.h"

/* ---- addresses */

/* Where a key's address begins: behind the length of a trie's prefix. */
static u32 address_at(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_LPM_TRIE ? sizeof(u32) : 0;
}

static int family(const struct bpf_map *map)
{
	u32 size = map->key_size - address_at(map);

	return size == sizeof(struct in_addr)	 ? AF_INET
	       : size == sizeof(struct in6_addr) ? AF_INET6
						 : 0;
}

static void print_ip(const struct bpf_map *map, const char *key, struct fs_text *out)
{
	char text[INET6_ADDRSTRLEN] = "";
	u32 bits;

	inet_ntop(family(map), key + address_at(map), text, sizeof(text));
	fs_text_printf(out, "%s", text);
	if (!address_at(map))
		return;
	memcpy(&bits, key, sizeof(bits));
	fs_text_printf(out, "_%u", bits);
}

/* 10.0.0.1; of a trie 10.0.0.0_8, 2001:db8::_32, as no name holds a slash. */
static int parse_ip(const struct bpf_map *map, const char *s, size_t len, char *key)
{
	u32 at = address_at(map), size = map->key_size - at, bits;
	const char *under = at ? memchr(s, '_', len) : s + len;
	char address[INET6_ADDRSTRLEN];
	struct in6_addr in;
	u64 number;
	size_t n;

	if (!under || !family(map))
		return -EINVAL;
	n = (size_t)(under - s);
	if (n >= sizeof(address) || memchr(s, 0, n))
		return -EINVAL;
	memcpy(address, s, n);
	address[n] = 0;
	if (inet_pton(family(map), address, &in) != 1)
		return -EINVAL;
	if (at) {
		if (n + 1 == len || under[1] < '0' || under[1] > '9' ||
		    text_parse_u64(under + 1, len - n - 1, size * 8, &number) != TEXT_COMPLETE)
			return -EINVAL;
		bits = (u32)number;
		memcpy(key, &bits, sizeof(bits));
	}
	memcpy(key + at, &in, size);
	return 0;
}

/* ---- by type */

#define MAX_LEAVES 256
#define MAX_STEPS  (1u << 17) /* enums are looked up name by name */
#define MAX_DEPTH  16

enum leaf_kind { LEAF_NUMBER, LEAF_CHARS, LEAF_BYTES };

/* A part of a key that is no struct and no list of such. */
struct leaf {
	enum leaf_kind kind;
	const struct btf_type *t; /* of a number: an integer, an enum or a pointer */
	u32 bit_off, bits; /* chars and bytes: bits / 8 bytes */
};

struct leaves {
	const struct btf *btf;
	char path[NAME_MAX + 1];
	u32 room; /* bits of the key: a type may say otherwise */
	u32 depth, count, steps;
	/* false: no more */
	bool (*each)(struct leaves *all, const struct leaf *leaf);
	void *arg;
};

static bool walk(struct leaves *all, u32 id, u32 bit_off, u32 bitfield);

static bool give(struct leaves *all, const struct leaf *leaf)
{
	return leaf->bits <= all->room && leaf->bit_off <= all->room - leaf->bits &&
	       all->each(all, leaf);
}

static bool walk_named(struct leaves *all, const char *name, u32 id, u32 bit_off, u32 bitfield)
{
	size_t len = strlen(all->path);
	int n = snprintf(all->path + len, sizeof(all->path) - len, "%s%s", len && *name ? "." : "",
			 name);
	bool more = n >= 0 && (size_t)n < sizeof(all->path) - len && ++all->depth <= MAX_DEPTH &&
		    walk(all, id, bit_off, bitfield);

	all->depth--;
	all->path[len] = 0;
	return more;
}

static bool walk_array(struct leaves *all, const struct btf_type *t, u32 bit_off)
{
	const struct btf_array *array = btf_array(t);
	const struct btf_type *elem = typed_resolve(all->btf, array->type);
	s64 size = btf__resolve_size(all->btf, array->type);
	struct leaf leaf = {LEAF_BYTES, t, bit_off, 0};

	if (!elem || size <= 0 || array->nelems > ENTRIES_MAX_KEY)
		return false;
	if (btf_is_int(elem) && size == 1) {
		leaf.kind = typed_is_char(all->btf, array->type) ? LEAF_CHARS : LEAF_BYTES;
		leaf.bits = array->nelems * 8;
		return give(all, &leaf);
	}
	for (u32 i = 0; i < array->nelems; i++) {
		char name[12];

		snprintf(name, sizeof(name), "%u", i);
		if (!walk_named(all, name, array->type, bit_off + i * (u32)size * 8, 0))
			return false;
	}
	return true;
}

static bool walk_struct(struct leaves *all, const struct btf_type *t, u32 bit_off)
{
	for (u32 i = 0; i < btf_vlen(t); i++) {
		const struct btf_member *m = &btf_members(t)[i];
		const struct btf_type *inner = typed_resolve(all->btf, m->type);
		const char *name = typed_name(all->btf, m->name_off);

		if (!*name && inner && !btf_is_composite(inner))
			continue; /* padding */
		if (!walk_named(all, name, m->type, bit_off + btf_member_bit_offset(t, i),
				btf_member_bitfield_size(t, i)))
			return false;
	}
	return true;
}

/* What a union says depends on who reads it. */
static bool walk(struct leaves *all, u32 id, u32 bit_off, u32 bitfield)
{
	const struct btf_type *t = typed_resolve(all->btf, id);
	struct leaf leaf = {LEAF_NUMBER, t, bit_off, bitfield};

	if (!t || ++all->count > MAX_LEAVES)
		return false;
	if (btf_is_any_enum(t))
		all->steps += btf_vlen(t);
	if (all->steps > MAX_STEPS)
		return false;
	if (btf_is_struct(t))
		return walk_struct(all, t, bit_off);
	if (btf_is_array(t))
		return walk_array(all, t, bit_off);
	if (!btf_is_int(t) && !btf_is_any_enum(t) && !btf_is_ptr(t))
		return false;
	if (!leaf.bits)
		leaf.bits = btf_is_ptr(t) ? 64 : t->size * 8;
	return leaf.bits <= 64 && give(all, &leaf);
}

static bool leaf_is_signed(const struct btf_type *t)
{
	return btf_is_int(t) ? btf_int_encoding(t) & BTF_INT_SIGNED
			     : btf_is_any_enum(t) && btf_kflag(t);
}

static const char *enumerator(const struct btf *btf, const struct btf_type *t, u64 v, u32 bits)
{
	u64 mask = bits < 64 ? (1ull << bits) - 1 : ~0ull;

	for (u32 i = 0; btf_is_any_enum(t) && i < btf_vlen(t); i++) {
		bool wide = btf_is_enum64(t);
		u64 has = wide ? btf_enum64_value(&btf_enum64(t)[i]) : (u64)btf_enum(t)[i].val;

		if ((has & mask) == (v & mask))
			return typed_name(btf, wide ? btf_enum64(t)[i].name_off
						    : btf_enum(t)[i].name_off);
	}
	return NULL;
}

struct key_out {
	const u8 *key;
	struct fs_text *out;
};

static bool print_leaf(struct leaves *all, const struct leaf *leaf)
{
	struct key_out *o = all->arg;
	const char *data = (const char *)o->key + leaf->bit_off / 8, *name;
	u64 v;

	if (all->path[0])
		fs_text_printf(o->out, "%s%s=", o->out->len ? "," : "", all->path);
	if (leaf->kind == LEAF_BYTES) {
		fs_text_hex(o->out, data, leaf->bits / 8, "");
		return true;
	}
	if (leaf->kind == LEAF_CHARS) {
		for (u32 i = 0; i < leaf->bits / 8 && data[i]; i++)
			fs_text_printf(o->out,
				       isalnum((unsigned char)data[i]) ||
						       (data[i] > ' ' && data[i] < 0x7f &&
							!strchr(",=%/#\"{[", data[i]))
					       ? "%c"
					       : "%%%02x",
				       (unsigned char)data[i]);
		return true;
	}
	v = typed_load_bits(o->key, leaf->bit_off, leaf->bits);
	name = enumerator(all->btf, leaf->t, v, leaf->bits);
	if (name && *name) {
		fs_text_printf(o->out, "%s", name);
	} else if (leaf_is_signed(leaf->t)) {
		if (leaf->bits < 64 && v >> (leaf->bits - 1) & 1)
			v |= ~0ull << leaf->bits;
		fs_text_printf(o->out, "%lld", (long long)v);
	} else {
		fs_text_printf(o->out, "%llu", (unsigned long long)v);
	}
	return true;
}

/* One name=value, or the value alone of a key that is no struct. */
struct key_in {
	u8 *key;
	const char *name, *s;
	size_t name_len, len;
	bool found;
};

static bool parse_chars(const struct key_in *in, u8 *to, u32 size)
{
	u32 n = 0;

	memset(to, 0, size);
	for (size_t i = 0; i < in->len; i++, n++) {
		if (n == size)
			return false;
		to[n] = (u8)in->s[i];
		if (in->s[i] != '%')
			continue;
		if (in->len - i < 3 || text_parse_hex(in->s + i + 1, 2, &to[n], 1) != TEXT_COMPLETE)
			return false;
		i += 2;
	}
	return true;
}

static bool parse_number(const struct btf *btf, const struct key_in *in, const struct leaf *leaf,
			 u64 *v)
{
	bool minus = in->len && in->s[0] == '-', is_signed = leaf_is_signed(leaf->t);
	u64 top = 1ull << (leaf->bits - 1);
	u64 max = minus ? top : is_signed ? top - 1 : top - 1 + top;

	for (u32 i = 0; btf_is_any_enum(leaf->t) && i < btf_vlen(leaf->t); i++) {
		bool wide = btf_is_enum64(leaf->t);
		const char *name = typed_name(btf, wide ? btf_enum64(leaf->t)[i].name_off
							: btf_enum(leaf->t)[i].name_off);

		if (strlen(name) != in->len || memcmp(name, in->s, in->len))
			continue;
		*v = wide ? btf_enum64_value(&btf_enum64(leaf->t)[i])
			  : (u64)btf_enum(leaf->t)[i].val;
		return true;
	}
	if (text_parse_u64(in->s + minus, in->len - minus, max, v) != TEXT_COMPLETE ||
	    (minus && !is_signed && !btf_is_any_enum(leaf->t)))
		return false;
	if (minus)
		*v = -*v;
	return true;
}

/* False ends the walk: with `found` when it was this one, and well said. */
static bool parse_leaf(struct leaves *all, const struct leaf *leaf)
{
	struct key_in *in = all->arg;
	u8 *data = in->key + leaf->bit_off / 8;
	u64 v = 0;

	if (strlen(all->path) != in->name_len || memcmp(all->path, in->name, in->name_len))
		return true;
	if (leaf->kind == LEAF_BYTES)
		in->found = text_parse_hex(in->s, in->len, data, leaf->bits / 8) == TEXT_COMPLETE;
	else if (leaf->kind == LEAF_CHARS)
		in->found = parse_chars(in, data, leaf->bits / 8);
	else
		in->found = parse_number(all->btf, in, leaf, &v);
	if (in->found && leaf->kind == LEAF_NUMBER)
		typed_store_bits(in->key, leaf->bit_off, leaf->bits, v);
	return false;
}

static int parse_btf(const struct bpf_map *map, const char *s, size_t len, u8 *key)
{
	size_t pos = 0;

	memset(key, 0, map->key_size);
	while (pos <= len) {
		const char *end = memchr(s + pos, ',', len - pos) ?: s + len, *equal;
		struct key_in in = {.key = key, .s = s + pos};
		struct leaves all = {.btf = map->btf->btf,
				     .room = map->key_size * 8,
				     .each = parse_leaf,
				     .arg = &in};

		in.len = (size_t)(end - in.s);
		equal = memchr(in.s, '=', in.len);
		if (equal) {
			in.name = in.s;
			in.name_len = (size_t)(equal - in.s);
			in.s = equal + 1;
			in.len = (size_t)(end - in.s);
		} else {
			in.name = "";
		}
		if (memchr(in.s, 0, in.len) || (walk(&all, map->btf_key_type_id, 0, 0), !in.found))
			return -EINVAL;
		pos = (size_t)(end - s) + 1;
	}
	return 0;
}

/* Where digits of all bytes cannot be taken for a number. */
static bool may_be_hex(const struct bpf_map *map, enum key_form form)
{
	const struct btf_type *t;

	if (form != KEYS_BTF)
		return form == KEYS_HEX;
	t = typed_resolve(map->btf->btf, map->btf_key_type_id);
	return btf_is_struct(t) || btf_is_array(t);
}

static void print_btf(const struct bpf_map *map, const u8 *key, struct fs_text *out)
{
	u8 again[ENTRIES_MAX_KEY + 1];
	struct fs_text text = {0};
	struct key_out o = {key, &text};
	struct leaves all = {
		.btf = map->btf->btf, .room = map->key_size * 8, .each = print_leaf, .arg = &o};
	bool good = map->key_size <= ENTRIES_MAX_KEY && walk(&all, map->btf_key_type_id, 0, 0) &&
		    !text.err && text.len && text.len <= NAME_MAX && text.buf[0] != '.';

	if (good && !parse_btf(map, text.buf, text.len, again) &&
	    !memcmp(again, key, map->key_size))
		fs_text_append(out, text.buf, text.len);
	else
		fs_text_hex(out, key, map->key_size, "");
	fs_text_spend(out, all.steps + text.work);
	fs_text_free(&text);
}

static bool never(struct leaves *all, const struct leaf *leaf)
{
	return true;
}

/* ---- any form */

bool key_form_fits(const struct bpf_map *map, enum key_form form)
{
	struct leaves all = {.each = never, .room = map->key_size * 8};

	if (form == KEYS_IP)
		return family(map);
	if (form != KEYS_BTF)
		return true;
	if (!map->btf || !map->btf_key_type_id ||
	    !typed_fits(map->btf->btf, map->btf_key_type_id, map->key_size))
		return false;
	all.btf = map->btf->btf;
	return walk(&all, map->btf_key_type_id, 0, 0);
}

void key_print(const struct bpf_map *map, enum key_form form, const void *key, struct fs_text *out)
{
	if (form == KEYS_IP)
		print_ip(map, key, out);
	else if (form == KEYS_BTF)
		print_btf(map, key, out);
	else if (form == KEYS_HEX)
		fs_text_hex(out, key, map->key_size, "");
	else
		text_print_key(out, key, map->key_size);
}

int key_parse(const struct bpf_map *map, enum key_form form, const char *s, size_t len, void *key)
{
	for (size_t i = 0; i < len; i++)
		if (text_is_blank(s[i]))
			return -EINVAL;
	if (form == KEYS_NUMBER && !text_parse_key(s, len, key, map->key_size))
		return 0;
	if (may_be_hex(map, form) && len == 2 * (size_t)map->key_size &&
	    text_parse_hex(s, len, key, map->key_size) == TEXT_COMPLETE)
		return 0;
	if (form == KEYS_IP || map->map_type == BPF_MAP_TYPE_LPM_TRIE)
		if (!parse_ip(map, s, len, key))
			return 0;
	return form == KEYS_BTF ? parse_btf(map, s, len, key) : -EINVAL;
}

const char *key_form_about(const struct bpf_map *map, enum key_form form)
{
	if (form == KEYS_IP)
		return map->map_type == BPF_MAP_TYPE_LPM_TRIE ? "a prefix (10.0.0.0_8)"
							      : "an address";
	if (form == KEYS_BTF)
		return "as its type says, of a struct name=value,name=value,";
	return form == KEYS_NUMBER && text_number_size(map->key_size) ? "a number"
								      : "the hexadecimal digits";
}

/* ---- which form */

static const char *const form_names[KEYS_FORMS] = {"number", "hex", "ip", "btf"};

static int form_by_name(const char *s, size_t len)
{
	size_t pos = 0, n;
	const char *word;

	if (!text_next_word(s, len, &pos, &word, &n))
		return -ENOENT;
	for (int form = 0; form < KEYS_FORMS; form++)
		if (n == strlen(form_names[form]) && !memcmp(word, form_names[form], n))
			return form;
	return -EINVAL;
}

int key_form_of(struct fs_node *node, struct bpf_map *map, enum key_form *form)
{
	struct store_object *obj = store_of_map(map);
	u32 known = __atomic_load_n(&obj->key_form, __ATOMIC_RELAXED);
	char *text = NULL;
	ssize_t len;
	int found;

	if (!known) {
		len = tree_read_small(fs_node_fd(fs_node_base(node)), KEYS_FILE, &text);
		if (len < 0 && len != -ENOENT)
			return (int)len;
		found = len > 0 ? form_by_name(text, (size_t)len) : KEYS_NUMBER;
		free(text);
		known = (u32)max(found, 0) + 1;
		if (!key_form_fits(map, known - 1)) /* types that could not be read back */
			known = KEYS_NUMBER + 1;
		__atomic_store_n(&obj->key_form, known, __ATOMIC_RELAXED);
	}
	*form = known - 1;
	return 0;
}

static int keys_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	enum key_form form;
	struct bpf_map *map;
	int err = store_map(node, req, &map);

	if (err)
		return err;
	err = key_form_of(node, map, &form);
	if (!err)
		fs_text_printf(out, "%s\n", form_names[form]);
	bpf_map_put(map);
	return err;
}

static int keys_set(struct fs_node *node, struct fs_req *req, struct bpf_map *map, int form)
{
	int err;

	if (form < 0)
		return fs_error(req, EINVAL, "keys are `number`, `hex`, `ip` or `btf`");
	if (!key_form_fits(map, form))
		return fs_error(req, EINVAL,
				form == KEYS_IP
					? "ip is for keys of 4 or 16 bytes, in a trie behind the "
					  "length of the prefix"
					: "btf is for keys whose type the object's BTF says, "
					  "without unions and floats");
	tree_wrlock();
	err = tree_write_small(fs_node_fd(fs_node_base(node)), KEYS_FILE, form_names[form],
			       strlen(form_names[form]), fs_why(req));
	if (!err)
		__atomic_store_n(&store_of_map(map)->key_form, (u32)form + 1, __ATOMIC_RELAXED);
	tree_unlock();
	return err;
}

static ssize_t keys_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len,
			  off_t off)
{
	struct write_buffer *p = open->priv;
	struct bpf_map *map;
	int err, form;

	if (!len)
		return 0;
	err = store_map(open->node, req, &map);
	if (err)
		return err;
	err = fs_open_buffer(open, req, p, buf, len, off, open->flags & O_APPEND, 64);
	form = err ? err : form_by_name(p->buf, p->len);
	p->incomplete = false;
	for (u32 i = 0; !err && form == -EINVAL && i < KEYS_FORMS; i++)
		p->incomplete |= text_begins_word(p->buf, p->len, form_names[i]);
	if (!err && !p->incomplete) {
		err = keys_set(open->node, req, map, form);
		if (err || p->buf[p->len - 1] == '\n')
			write_buffer_drop(p, p->len);
	}
	bpf_map_put(map);
	return err ? err : (ssize_t)len;
}

const struct fs_node_ops keys_ops = {
	.name = "keys",
	.type = S_IFREG,
	.open = fs_value_open,
	.show = keys_show,
	.write = keys_write,
	.flush = fs_value_flush,
	.release = fs_value_release,
	.keep = fs_value_keep,
	.restore = fs_value_restore,
};
