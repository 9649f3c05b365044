/*
 * maps.c - the maps of an object: .maps, maps, and the data sections
 *
 * A definition in .maps is a variable whose *type* says everything: __uint(name, n) is a pointer to
 * an array of n ints, __type(name, T) a pointer to T, __array(values, T) an array of pointers to T.
 * Its bytes matter only for
 * `values`, whose relocations say what the slots hold at first. A definition in the older `maps`
 * section is a struct of five numbers. A data section becomes an array of one value.
 */
#include <bpf/btf.h>
#include <stdio.h>
#include "btf/btf_field.h"
#include "object/elf/btf.h"
#include "object/elf/elf.h"
#include "object/read/funcs.h"
#include "object/read/maps.h"

/* What __uint(pinning, ...) may say, as <bpf/bpf_helpers.h> numbers it: nothing, or by name. */
#define PIN_BY_NAME	  1
#define MAX_MODIFIERS	  64
#define LEGACY_DEF_BYTES  20 /* type, key_size, value_size, max_entries, map_flags */
#define IPROUTE_DEF_BYTES 36 /* what the older iproute2's struct bpf_elf_map had in addition */

/* ---- the list of maps */

static int check_map_name(struct obj_reader *r, const char *name, bool c_name)
{
	static const char *const chars =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.";
	size_t n = strlen(name);

	if (n >= sizeof(((struct bpf_object_map *)0)->name))
		return obj_fail(r, -ENAMETOOLONG, "map '%s': the name is longer than 63 bytes",
				name);
	if (!n || strspn(name, chars) != n || (c_name && name[0] == '.'))
		return obj_fail(r, -EINVAL, "map '%s': this is no name of a C variable", name);
	for (u32 i = 0; i < r->out->map_cnt; i++)
		if (!strcmp(r->out->maps[i].name, name))
			return obj_fail(r, -EINVAL, "two maps are named '%s'", name);
	return 0;
}

/* A new map at the end of the list; *out is valid until the next call. */
static int add_map(struct obj_reader *r, const char *name, enum bpf_object_map_kind kind,
		   struct bpf_object_map **out)
{
	struct bpf_object_map *map;
	int err = check_map_name(r, name, kind == BPF_OBJECT_MAP_DEFINED);

	if (err)
		return err;
	if (r->out->map_cnt == BPF_OBJECT_MAX_MAPS)
		return obj_fail(r, -E2BIG, "more than %u maps", BPF_OBJECT_MAX_MAPS);
	if (r->out->map_cnt == r->map_cap) {
		u32 cap = r->map_cap ? r->map_cap * 2 : 16;

		map = realloc(r->out->maps, cap * sizeof(*map));
		if (!map)
			return -ENOMEM;
		r->out->maps = map;
		r->map_cap = cap;
	}
	map = &r->out->maps[r->out->map_cnt++];
	memset(map, 0, sizeof(*map));
	strcpy(map->name, name);
	snprintf(map->spec.name, sizeof(map->spec.name), "%.15s", name);
	map->kind = kind;
	map->inner_map = -1;
	*out = map;
	return 0;
}

static int add_map_ref(struct obj_reader *r, u32 sec, u32 off, u32 map)
{
	struct map_ref *refs = realloc(r->map_refs, (r->map_ref_cnt + 1) * sizeof(*refs));

	if (!refs)
		return -ENOMEM;
	r->map_refs = refs;
	refs[r->map_ref_cnt++] = (struct map_ref){sec, off, map};
	return 0;
}

static int cmp_map_ref(const void *a, const void *b)
{
	const struct map_ref *x = a, *y = b;

	if (x->sec != y->sec)
		return x->sec < y->sec ? -1 : 1;
	return (x->off > y->off) - (x->off < y->off);
}

int obj_map_at(const struct obj_reader *r, u32 sec, u64 off)
{
	u32 lo = 0, hi = r->map_ref_cnt;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct map_ref *m = &r->map_refs[mid];

		if (m->sec < sec || (m->sec == sec && m->off < off))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->map_ref_cnt || r->map_refs[lo].sec != sec || r->map_refs[lo].off != off)
		return -1;
	return r->map_refs[lo].map;
}

/* ---- the legacy section */

static int add_legacy_map(struct obj_reader *r, const struct elf_sym *sym, u64 size)
{
	const struct elf_sec *sec = &r->secs[sym->shndx];
	u8 def[LEGACY_DEF_BYTES] = {0};
	struct bpf_object_map *map;
	int err;

	if (sym->size)
		size = sym->size;
	if (sym->value > sec->size || size > sec->size - sym->value || size < 16 || size % 4)
		return obj_fail(r, -EINVAL,
				"map '%s': its definition in section 'maps' is malformed",
				sym->name);
	memcpy(def, sec->data + sym->value, min(size, (u64)sizeof(def)));
	for (u64 i = sizeof(def); i < size; i++)
		if (sec->data[sym->value + i])
			return obj_fail(
				r, -EINVAL, "map '%s': byte %llu of its definition is not zero; %s",
				sym->name, (unsigned long long)i,
				size == IPROUTE_DEF_BYTES
					? "iproute2's id, pinning and inner maps are unknown here: "
					  "use a BTF definition (SEC(\".maps\"))"
					: "only type, key_size, value_size, max_entries and "
					  "map_flags "
					  "are known");
	err = add_map(r, sym->name, BPF_OBJECT_MAP_DEFINED, &map);
	if (err)
		return err;
	map->spec.map_type = get_u32(def);
	map->spec.key_size = get_u32(def + 4);
	map->spec.value_size = get_u32(def + 8);
	map->spec.max_entries = get_u32(def + 12);
	map->spec.map_flags = get_u32(def + 16);
	return add_map_ref(r, sym->shndx, sym->value, r->out->map_cnt - 1);
}

static int read_legacy_maps(struct obj_reader *r)
{
	u32 cnt = 0;
	int err = 0;

	for (u32 i = 1; i < r->sym_cnt; i++)
		if (r->syms[i].shndx < r->sec_cnt && r->syms[i].type != STT_SECTION &&
		    r->secs[r->syms[i].shndx].kind == SEC_LEGACY_MAPS)
			cnt++;
	for (u32 i = 1; !err && i < r->sym_cnt; i++) {
		const struct elf_sym *sym = &r->syms[i];

		if (sym->shndx >= r->sec_cnt || sym->type == STT_SECTION ||
		    r->secs[sym->shndx].kind != SEC_LEGACY_MAPS)
			continue;
		/* A symbol without a size: an equal share of the section. */
		err = add_legacy_map(r, sym, r->secs[sym->shndx].size / cnt);
	}
	return err;
}

/* ---- .maps: what a member says */

static const struct btf *btf_of(const struct obj_reader *r)
{
	return r->out->btf->btf;
}

static const struct btf_type *skip_modifiers(const struct btf *btf, u32 id, u32 *res)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	for (int i = 0; t && (btf_is_mod(t) || btf_is_typedef(t)); i++) {
		if (i == MAX_MODIFIERS)
			return NULL;
		id = t->type;
		t = btf__type_by_id(btf, id);
	}
	if (res)
		*res = id;
	return t;
}

/* The number in __uint() (int (*name)[n]) and __ulong() (enum { unique = n } name). */
static bool member_number(const struct btf *btf, const struct btf_member *m, u64 *n)
{
	const struct btf_type *t = skip_modifiers(btf, m->type, NULL);

	if (t && btf_is_enum(t) && btf_vlen(t) == 1) {
		*n = (u32)btf_enum(t)->val;
		return true;
	}
	if (t && btf_is_enum64(t) && btf_vlen(t) == 1) {
		*n = btf_enum64_value(btf_enum64(t));
		return true;
	}
	if (!t || !btf_is_ptr(t))
		return false;
	t = skip_modifiers(btf, t->type, NULL);
	if (!t || !btf_is_array(t))
		return false;
	*n = btf_array(t)->nelems;
	return true;
}

/* The type in __type() and its size. */
static int member_type(struct obj_reader *r, const char *map, const char *field,
		       const struct btf_member *m, u32 *id, u32 *size)
{
	const struct btf_type *t = btf__type_by_id(btf_of(r), m->type);
	s64 bytes = t && btf_is_ptr(t) ? btf__resolve_size(btf_of(r), t->type) : -EINVAL;

	if (bytes < 0 || bytes > BPF_OBJECT_MAX_DATA)
		return obj_fail(r, -EINVAL, "map '%s': '%s' is no type with a size", map, field);
	*id = t->type;
	*size = bytes;
	return 0;
}

/* What is said twice must be the same. */
static int set_size(struct obj_reader *r, const char *map, const char *field, u32 *size, u64 value)
{
	if (value > BPF_OBJECT_MAX_DATA || (*size && *size != value))
		return obj_fail(r, -EINVAL,
				"map '%s': %s is %llu here and %u elsewhere in the definition", map,
				field, (unsigned long long)value, *size);
	*size = value;
	return 0;
}

/* ---- .maps: a definition */

struct map_def { /* one definition while it is read; the list of maps may move meanwhile */
	char name[64];
	struct bpf_map_spec spec;
	bool pin_by_name, inner;
	u32 inner_type; /* BTF id of the template's struct, 0: none */
	bool has_values;
	u32 values_off; /* byte of the variable where the slots begin */
};

static int def_number(struct obj_reader *r, struct map_def *d, const char *field, u64 n)
{
	if (!strcmp(field, "map_extra")) {
		d->spec.map_extra = n;
		return 0;
	}
	if (n > UINT32_MAX)
		return obj_fail(r, -EINVAL, "map '%s': %s is too large", d->name, field);
	if (!strcmp(field, "type")) {
		d->spec.map_type = n;
	} else if (!strcmp(field, "max_entries")) {
		d->spec.max_entries = n;
	} else if (!strcmp(field, "map_flags")) {
		d->spec.map_flags = n;
	} else if (!strcmp(field, "key_size")) {
		return set_size(r, d->name, field, &d->spec.key_size, n);
	} else if (!strcmp(field, "value_size")) {
		return set_size(r, d->name, field, &d->spec.value_size, n);
	} else if (!strcmp(field, "numa_node")) {
		return 0; /* where memory should be: it changes no result */
	} else if (!strcmp(field, "pinning")) {
		if (n > PIN_BY_NAME || (n && d->inner))
			return obj_fail(r, -EINVAL, "map '%s': pinning %llu is unknown", d->name,
					(unsigned long long)n);
		d->pin_by_name = n == PIN_BY_NAME;
	} else {
		return obj_fail(r, -ENOTSUP, "map '%s': the attribute '%s' is unknown", d->name,
				field);
	}
	return 0;
}

static int def_values(struct obj_reader *r, struct map_def *d, const struct btf_type *def,
		      const struct btf_member *m)
{
	const struct btf_type *t = btf__type_by_id(btf_of(r), m->type);
	u32 id;

	if (d->inner || m != btf_members(def) + btf_vlen(def) - 1)
		return obj_fail(
			r, -EINVAL,
			"map '%s': 'values' must be the last member, and not of an inner map",
			d->name);
	t = t && btf_is_array(t) && !btf_array(t)->nelems
		    ? skip_modifiers(btf_of(r), btf_array(t)->type, NULL)
		    : NULL;
	t = t && btf_is_ptr(t) ? skip_modifiers(btf_of(r), t->type, &id) : NULL;
	if (!t || m->offset % 8 || BTF_INFO_KFLAG(def->info))
		return obj_fail(r, -EINVAL, "map '%s': 'values' is not an array of pointers",
				d->name);
	if (d->spec.map_type == BPF_MAP_TYPE_PROG_ARRAY ? !btf_is_func_proto(t) : !btf_is_struct(t))
		return obj_fail(r, -EINVAL, "map '%s': 'values' does not fit the map's type",
				d->name);
	if (d->spec.map_type != BPF_MAP_TYPE_PROG_ARRAY &&
	    d->spec.map_type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
	    d->spec.map_type != BPF_MAP_TYPE_HASH_OF_MAPS)
		return obj_fail(r, -ENOTSUP,
				"map '%s': only prog_array and maps of maps take 'values'",
				d->name);
	d->inner_type = btf_is_struct(t) ? id : 0;
	d->has_values = true;
	d->values_off = m->offset / 8;
	return set_size(r, d->name, "value_size", &d->spec.value_size, 4);
}

static int def_member(struct obj_reader *r, struct map_def *d, const struct btf_type *def,
		      const struct btf_member *m)
{
	const char *field = bpf_btf_str(r->out->btf, m->name_off);
	u64 n;
	u32 size = 0;
	int err;

	if (!strcmp(field, "key")) {
		err = member_type(r, d->name, field, m, &d->spec.btf_key_type_id, &size);
		return err ? err : set_size(r, d->name, "key_size", &d->spec.key_size, size);
	}
	if (!strcmp(field, "value")) {
		err = member_type(r, d->name, field, m, &d->spec.btf_value_type_id, &size);
		return err ? err : set_size(r, d->name, "value_size", &d->spec.value_size, size);
	}
	if (!strcmp(field, "values"))
		return def_values(r, d, def, m);
	if (!member_number(btf_of(r), m, &n))
		return obj_fail(r, -EINVAL, "map '%s': the attribute '%s' is no number", d->name,
				field);
	return def_number(r, d, field, n);
}

static int read_def(struct obj_reader *r, struct map_def *d, u32 type)
{
	const struct btf_type *t = skip_modifiers(btf_of(r), type, NULL);
	int err = 0;

	if (!t || !btf_is_struct(t))
		return obj_fail(r, -EINVAL, "map '%s': its definition is no struct", d->name);
	for (u32 i = 0; !err && i < btf_vlen(t); i++)
		err = def_member(r, d, t, &btf_members(t)[i]);
	if (!err && d->spec.map_type == BPF_MAP_TYPE_UNSPEC)
		return obj_fail(r, -EINVAL, "map '%s': the definition has no 'type'", d->name);
	return err;
}

static int add_def(struct obj_reader *r, const struct map_def *d, enum bpf_object_map_kind kind)
{
	struct bpf_object_map *map;
	int err = add_map(r, d->name, kind, &map);

	if (err)
		return err;
	map->spec = d->spec;
	snprintf(map->spec.name, sizeof(map->spec.name), "%.15s", d->name);
	map->pin_by_name = d->pin_by_name;
	return 0;
}

static int add_inner(struct obj_reader *r, const struct map_def *outer, u32 outer_idx)
{
	struct map_def d = {.inner = true};
	int err;

	if (snprintf(d.name, sizeof(d.name), "%s.inner", outer->name) >= (int)sizeof(d.name))
		return obj_fail(r, -ENAMETOOLONG,
				"map '%s': the name is too long for a map of maps", outer->name);
	err = read_def(r, &d, outer->inner_type);
	if (!err)
		err = add_def(r, &d, BPF_OBJECT_MAP_INNER);
	if (!err)
		r->out->maps[outer_idx].inner_map = r->out->map_cnt - 1;
	return err;
}

static int add_values(struct obj_reader *r, const struct map_values *v)
{
	struct map_values *values = realloc(r->values, (r->values_cnt + 1) * sizeof(*values));

	if (!values)
		return -ENOMEM;
	r->values = values;
	values[r->values_cnt++] = *v;
	return 0;
}

static int read_btf_map(struct obj_reader *r, u32 sec, const struct btf_var_secinfo *info)
{
	const struct btf_type *var = btf__type_by_id(btf_of(r), info->type);
	const char *name = bpf_btf_str(r->out->btf, var->name_off);
	struct map_def d = {0};
	u32 idx = r->out->map_cnt;
	int err;

	if (btf_var(var)->linkage == BTF_VAR_GLOBAL_EXTERN)
		return obj_fail(r, -ENOTSUP, "map '%s' is extern: link the objects first", name);
	if (strlen(name) >= sizeof(d.name))
		return obj_fail(r, -ENAMETOOLONG, "map '%s': the name is longer than 63 bytes",
				name);
	strcpy(d.name, name);
	err = read_def(r, &d, var->type);
	if (!err)
		err = add_def(r, &d, BPF_OBJECT_MAP_DEFINED);
	if (!err)
		err = add_map_ref(r, sec, info->offset, idx);
	if (!err && d.inner_type)
		err = add_inner(r, &d, idx);
	if (!err && d.has_values)
		err = add_values(r, &(struct map_values){
					    .map = idx,
					    .sec = sec,
					    .off = info->offset + d.values_off,
					    .end = info->offset + info->size,
				    });
	return err;
}

static int read_btf_maps(struct obj_reader *r)
{
	const struct btf_type *t;
	u32 sec = 0, id;
	int err = 0;

	for (u32 i = 1; i < r->sec_cnt; i++) {
		if (r->secs[i].kind != SEC_BTF_MAPS)
			continue;
		if (sec)
			return obj_fail(r, -EINVAL, "two sections are named '.maps'");
		sec = i;
	}
	if (!sec)
		return 0;
	id = obj_btf_datasec(r, ".maps");
	if (!id)
		return obj_fail(
			r, -EINVAL,
			"section '.maps' has no BTF: compile with -g, and keep .BTF when you "
			"strip");
	t = btf__type_by_id(btf_of(r), id);
	for (u32 i = 0; !err && i < btf_vlen(t); i++)
		err = read_btf_map(r, sec, &btf_var_secinfos(t)[i]);
	return err;
}

/* ---- data sections */

static int add_data_map(struct obj_reader *r, u32 i)
{
	struct elf_sec *sec = &r->secs[i];
	struct bpf_object_map *map;
	int err;

	if (sec->size > BPF_OBJECT_MAX_DATA)
		return obj_fail(r, -E2BIG, "section '%s' is larger than %u bytes", sec->name,
				BPF_OBJECT_MAX_DATA);
	err = add_map(r, sec->name, BPF_OBJECT_MAP_DATA, &map);
	if (err)
		return err;
	map->spec.map_type = BPF_MAP_TYPE_ARRAY;
	map->spec.key_size = sizeof(u32);
	map->spec.value_size = sec->size;
	map->spec.max_entries = 1;
	map->spec.btf_value_type_id = obj_btf_datasec(r, sec->name);
	map->readonly = sec->kind == SEC_RODATA;
	if (map->readonly)
		map->spec.map_flags = BPF_F_RDONLY_PROG;
	sec->map = r->out->map_cnt - 1;
	if (sec->kind == SEC_BSS)
		return 0;
	map->init = malloc(max(sec->size, (typeof(sec->size))1));
	if (!map->init)
		return -ENOMEM;
	if (sec->size)
		memcpy(map->init, sec->data, sec->size);
	return 0;
}

static int add_kconfig_map(struct obj_reader *r)
{
	struct bpf_object_map *map;
	int err;

	if (!r->kconfig)
		return 0;
	err = add_map(r, ".kconfig", BPF_OBJECT_MAP_DATA, &map);
	if (err)
		return err;
	map->spec.map_type = BPF_MAP_TYPE_ARRAY;
	map->spec.key_size = sizeof(u32);
	map->spec.value_size = r->kconfig_size;
	map->spec.max_entries = 1;
	map->spec.btf_value_type_id = obj_btf_datasec(r, ".kconfig");
	map->spec.map_flags = BPF_F_RDONLY_PROG;
	map->readonly = true;
	map->init = r->kconfig;
	r->kconfig = NULL;
	r->kconfig_map = r->out->map_cnt - 1;
	return 0;
}

/* ---- locks */

/* Where the type of a map's values has its lock is part of what the map is. */
static int find_locks(struct obj_reader *r)
{
	for (u32 i = 0; r->out->btf && i < r->out->map_cnt; i++) {
		struct bpf_object_map *map = &r->out->maps[i];
		u32 id = map->spec.btf_value_type_id;
		int off = id ? bpf_btf_find_spin_lock(r->out->btf, id, map->spec.value_size)
			     : -ENOENT;

		if (off >= 0)
			map->spec.spin_lock_end = (u32)off + sizeof(struct bpf_spin_lock);
		else if (off != -ENOENT)
			return obj_fail(r, off,
					"map '%s': a value has at most one struct bpf_spin_lock, "
					"and not in a union",
					map->name);
	}
	return 0;
}

int obj_read_maps(struct obj_reader *r)
{
	int err = read_legacy_maps(r);

	if (!err)
		err = read_btf_maps(r);
	for (u32 i = 1; !err && i < r->sec_cnt; i++)
		if (r->secs[i].size &&
		    (r->secs[i].kind == SEC_DATA || r->secs[i].kind == SEC_RODATA ||
		     r->secs[i].kind == SEC_BSS))
			err = add_data_map(r, i);
	if (!err)
		err = add_kconfig_map(r);
	if (!err)
		err = find_locks(r);
	if (r->map_ref_cnt)
		qsort(r->map_refs, r->map_ref_cnt, sizeof(*r->map_refs), cmp_map_ref);
	for (u32 i = 1; !err && i < r->map_ref_cnt; i++)
		if (!cmp_map_ref(&r->map_refs[i - 1], &r->map_refs[i]))
			err = obj_fail(r, -EINVAL, "maps '%s' and '%s' are in the same place",
				       r->out->maps[r->map_refs[i - 1].map].name,
				       r->out->maps[r->map_refs[i].map].name);
	return err;
}

/* ---- .values */

/* What a slot of `map` refers to: a program's or a map's index, or -errno. */
static s64 value_target(struct obj_reader *r, const struct bpf_object_map *map,
			const struct elf_sym *sym, u64 addend)
{
	u64 off = sym->value + addend;
	int at;

	if (sym->shndx >= r->sec_cnt)
		goto bad;
	if (map->spec.map_type == BPF_MAP_TYPE_PROG_ARRAY) {
		at = off % BPF_INSN_BYTES || off > r->secs[sym->shndx].size
			     ? -1
			     : obj_func_at(r, sym->shndx, off / BPF_INSN_BYTES);
		if (at >= 0 && r->funcs[at].prog == NO_INDEX)
			return obj_fail(r, -EINVAL,
					"map '%s': '%s' in its values is no program that is loaded",
					map->name, obj_sym_name(r, sym));
		if (at >= 0)
			return r->funcs[at].prog;
	} else {
		at = obj_map_at(r, sym->shndx, off);
		if (at >= 0)
			return at;
	}
bad:
	return obj_fail(r, -EINVAL, "map '%s': '%s' does not fit into its values", map->name,
			obj_sym_name(r, sym));
}

static int add_value(struct obj_reader *r, const struct map_values *v, const Elf64_Rel *rel)
{
	struct bpf_object_map *map = &r->out->maps[v->map];
	const struct elf_sec *sec = &r->secs[v->sec];
	u32 slot = (rel->r_offset - v->off) / 8, *p;
	s64 target;

	if ((rel->r_offset - v->off) % 8 || sec->size - rel->r_offset < 8 ||
	    ELF64_R_TYPE(rel->r_info) != R_BPF_ABS64)
		return obj_fail(r, -EINVAL, "map '%s': the values are not pointers", map->name);
	if (slot >= map->spec.max_entries)
		return obj_fail(r, -E2BIG,
				"map '%s': slot %u is initialised, but max_entries is %u",
				map->name, slot, map->spec.max_entries);
	target = value_target(r, map, &r->syms[ELF64_R_SYM(rel->r_info)],
			      get_u64(sec->data + rel->r_offset));
	if (target < 0)
		return target;
	p = realloc(map->init_slot, (map->init_cnt + 1) * sizeof(u32));
	if (!p)
		return -ENOMEM;
	map->init_slot = p;
	p = realloc(map->init_target, (map->init_cnt + 1) * sizeof(u32));
	if (!p)
		return -ENOMEM;
	map->init_target = p;
	map->init_slot[map->init_cnt] = slot;
	map->init_target[map->init_cnt++] = target;
	return 0;
}

static const struct map_values *values_at(const struct obj_reader *r, u32 sec, u64 off)
{
	for (u32 i = 0; i < r->values_cnt; i++)
		if (r->values[i].sec == sec && off >= r->values[i].off && off < r->values[i].end)
			return &r->values[i];
	return NULL;
}

int obj_read_map_values(struct obj_reader *r)
{
	for (u32 i = 1; i < r->sec_cnt; i++) {
		const struct elf_sec *sec = &r->secs[i];
		int err = 0;

		if ((sec->kind != SEC_BTF_MAPS && sec->kind != SEC_LEGACY_MAPS) || !sec->rel)
			continue;
		for (u32 j = 0; !err && j < sec_rel_cnt(&r->secs[sec->rel]); j++) {
			Elf64_Rel rel = sec_rel(&r->secs[sec->rel], j);
			const struct map_values *v = values_at(r, i, rel.r_offset);

			if (!v)
				err = obj_fail(r, -EINVAL,
					       "section '%s': relocation %u is in the values of no "
					       "map",
					       sec->name, j);
			else
				err = add_value(r, v, &rel);
		}
		if (err)
			return err;
	}
	return 0;
}
