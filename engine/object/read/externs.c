/*
 * externs.c - what an object expects from outside: values of the kernel's configuration, and its
 * symbols
 *
 * A value of the configuration (__kconfig) becomes a constant: all of them are laid out in a map
 * ".kconfig" that programs may only read, and BTF is given the offsets. Kernel symbols and
 * functions (__ksym) do not exist here: a weak one is 0, as where a kernel lacks it, and a call of
 * it is poisoned; others are refused by name.
 */
#include <bpf/btf.h>
#include "object/read/kconfig.h"
#include "object/elf/btf.h"
#include "object/read/externs.h"

static struct btf_type *type_of(const struct obj_reader *r, u32 id)
{
	return (struct btf_type *)(uintptr_t)btf__type_by_id(r->out->btf->btf, id);
}

static struct btf_var_secinfo *find_var(const struct obj_reader *r, const char *sec,
					const char *name)
{
	u32 id = obj_btf_datasec(r, sec);
	struct btf_type *t = id ? type_of(r, id) : NULL;
	struct btf_var_secinfo *info = t ? btf_var_secinfos(t) : NULL;

	for (u32 i = 0; t && i < btf_vlen(t); i++) {
		const struct btf_type *member = type_of(r, info[i].type);

		if (member && !strcmp(bpf_btf_str(r->out->btf, member->name_off), name))
			return &info[i];
	}
	return NULL;
}

const struct obj_extern *obj_extern_find(const struct obj_reader *r, u32 sym)
{
	u32 lo = 0, hi = r->extern_cnt; /* they are in the order of symbols */

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (r->externs[mid].sym < sym)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < r->extern_cnt && r->externs[lo].sym == sym ? &r->externs[lo] : NULL;
}

/* ---- the configuration */

struct layout {
	struct btf_var_secinfo *info;
	struct obj_extern *ext;
	u32 align, size;
	const char *name;
};

static int cmp_layout(const void *a, const void *b)
{
	const struct layout *x = a, *y = b;

	if (x->align != y->align)
		return x->align > y->align ? -1 : 1;
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int measure(struct obj_reader *r, struct layout *l)
{
	struct btf_type *var = type_of(r, l->info->type);
	s64 size = btf_is_var(var) ? btf__resolve_size(r->out->btf->btf, var->type) : -EINVAL;
	int align = size > 0 ? btf__align_of(r->out->btf->btf, var->type) : 0;

	if (size <= 0 || size > 4096 || align <= 0)
		return obj_fail(r, -EINVAL, "extern '%s' (__kconfig) has no type with a size",
				l->name);
	l->size = (u32)size;
	l->align = (u32)align;
	return 0;
}

/* Lay the values out, largest alignment first, and fill them in. */
static int make_kconfig(struct obj_reader *r, struct layout *l, u32 cnt)
{
	struct btf_type *sec = type_of(r, obj_btf_datasec(r, ".kconfig"));
	u32 off = 0;
	int err = 0;

	for (u32 i = 0; !err && i < cnt; i++)
		err = measure(r, &l[i]);
	if (err)
		return err;
	qsort(l, cnt, sizeof(*l), cmp_layout);
	for (u32 i = 0; i < cnt; i++) {
		off = (off + l[i].align - 1) / l[i].align * l[i].align;
		l[i].ext->off = off;
		off += l[i].size;
	}
	r->kconfig = calloc(1, off);
	if (!r->kconfig)
		return -ENOMEM;
	r->kconfig_size = off;
	for (u32 i = 0; !err && i < cnt; i++) {
		struct btf_type *var = type_of(r, l[i].info->type);

		err = kconfig_value(r, l[i].name, var->type, l[i].ext->weak,
				    r->kconfig + l[i].ext->off, l[i].size);
		l[i].info->offset = l[i].ext->off;
		l[i].info->size = l[i].size;
		btf_var(var)->linkage = BTF_VAR_GLOBAL_ALLOCATED;
	}
	for (u32 i = 0; !err && i < btf_vlen(sec); i++) {
		const struct btf_var_secinfo *info = &btf_var_secinfos(sec)[i];

		if (info->offset > off || info->size > off - info->offset)
			err = obj_fail(r, -EINVAL,
				       "BTF: .kconfig has a variable that is no symbol");
	}
	sec->size = off;
	obj_sort_datasec(sec);
	return err;
}

static int read_kconfig(struct obj_reader *r)
{
	struct layout *l = calloc((size_t)r->extern_cnt + 1, sizeof(*l));
	u32 cnt = 0;
	int err;

	if (!l)
		return -ENOMEM;
	for (u32 i = 0; i < r->extern_cnt; i++) {
		struct obj_extern *ext = &r->externs[i];

		if (ext->kconfig)
			l[cnt++] = (struct layout){
				.info = find_var(r, ".kconfig", r->syms[ext->sym].name),
				.ext = ext,
				.name = r->syms[ext->sym].name,
			};
	}
	err = cnt ? make_kconfig(r, l, cnt) : 0;
	free(l);
	return err;
}

/* ---- all of them */

static int add_extern(struct obj_reader *r, u32 sym, bool weak, bool kconfig)
{
	struct obj_extern *p;

	if (r->extern_cnt == BPF_OBJECT_MAX_MAPS)
		return obj_fail(r, -E2BIG, "more than %u externs", BPF_OBJECT_MAX_MAPS);
	p = realloc(r->externs, (r->extern_cnt + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	r->externs = p;
	p[r->extern_cnt++] = (struct obj_extern){.sym = sym, .weak = weak, .kconfig = kconfig};
	return 0;
}

static int read_extern(struct obj_reader *r, u32 i)
{
	const char *name = r->syms[i].name;
	bool weak = r->syms[i].bind == STB_WEAK;

	if (find_var(r, ".kconfig", name))
		return add_extern(r, i, weak, true);
	if (!find_var(r, ".ksyms", name))
		return obj_fail(r, -ENOTSUP,
				"extern '%s' is not defined in the object: link the objects that "
				"belong together first",
				name);
	if (weak)
		return add_extern(r, i, weak, false);
	return obj_fail(r, -ENOTSUP,
			"extern '%s' is a kernel symbol or function (__ksym): there are none here. "
			"Declare it __weak, and use it only if (bpf_ksym_exists(%s))",
			name, name);
}

int obj_read_externs(struct obj_reader *r)
{
	int err = 0;

	for (u32 i = 1; !err && i < r->sym_cnt; i++)
		if (r->syms[i].shndx == SHN_UNDEF && r->syms[i].name[0])
			err = read_extern(r, i);
	return err ? err : read_kconfig(r);
}
