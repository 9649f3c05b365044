/*
 * lock_btf.c - a value is bytes, the struct bpf_spin_lock, and bytes again
 */
#include <linux/btf.h>
#include "tests/lib/lock_btf.h"

#define KIND(kind, vlen) ((u32)(kind) << 24 | (vlen))

enum { U32 = 1, U8, KEY_BYTES, LOCK, VALUE, BEFORE, AFTER };

static u32 *put(u32 *p, u32 name, u32 info, u32 size)
{
	*p++ = name;
	*p++ = info;
	*p++ = size;
	return p;
}

static u32 *put_array(u32 *p, u32 nelems)
{
	p = put(p, 0, KIND(BTF_KIND_ARRAY, 0), 0);
	*p++ = U8;
	*p++ = U32;
	*p++ = nelems;
	return p;
}

static u32 *put_member(u32 *p, u32 name, u32 type, u32 byte)
{
	return put(p, name, type, byte * 8);
}

u32 lock_btf(const struct bpf_map_spec *spec, u32 buf[LOCK_BTF_WORDS], u32 *key)
{
	static const char strings[] =
		"\0u\0bpf_spin_lock\0v\0a\0l\0b"; /* at 1, 3, 17, 19, 21, 23 */
	u32 off = spec->spin_lock_end - sizeof(struct bpf_spin_lock), types;
	struct btf_header *h = (struct btf_header *)buf;
	u32 *p = buf + sizeof(*h) / sizeof(u32), *first = p;

	p = put(p, 1, KIND(BTF_KIND_INT, 0), 4);
	*p++ = 32;
	p = put(p, 1, KIND(BTF_KIND_INT, 0), 1);
	*p++ = 8;
	p = put_array(p, spec->key_size);
	p = put(p, 3, KIND(BTF_KIND_STRUCT, 1), 4);
	p = put_member(p, 1, U32, 0);
	p = put(p, 17, KIND(BTF_KIND_STRUCT, 3), spec->value_size);
	p = put_member(p, 19, BEFORE, 0);
	p = put_member(p, 21, LOCK, off);
	p = put_member(p, 23, AFTER, spec->spin_lock_end);
	p = put_array(p, off);
	p = put_array(p, spec->value_size - spec->spin_lock_end);
	types = (u32)((char *)p - (char *)first);
	memset(h, 0, sizeof(*h));
	h->magic = BTF_MAGIC;
	h->version = BTF_VERSION;
	h->hdr_len = sizeof(*h);
	h->type_len = types;
	h->str_off = types;
	h->str_len = sizeof(strings);
	memcpy(p, strings, sizeof(strings));
	*key = spec->key_size == 4 ? U32 : KEY_BYTES;
	return (u32)sizeof(*h) + types + (u32)sizeof(strings);
}
