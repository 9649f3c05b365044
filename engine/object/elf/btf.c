/*
 * btf.c - an object's type information, made complete
 *
 * clang leaves in .BTF what only a linker knows: the sizes of data sections and the offsets of
 * their variables. Here they are filled in from the ELF sections and symbols, and global functions
 * with hidden visibility are marked static, which lets the verifier check them with what their
 * callers pass.
 */
#include <bpf/btf.h>
#include "object/elf/btf.h"
#include "object/elf/elf.h"

/* libbpf hands out const types of a copy that bpf_btf_new() made and nobody else has seen yet. */
static struct btf_type *type_of(const struct obj_reader *r, u32 id)
{
	return (struct btf_type *)(uintptr_t)btf__type_by_id(r->out->btf->btf, id);
}

static const char *type_name(const struct obj_reader *r, const struct btf_type *t)
{
	return bpf_btf_str(r->out->btf, t->name_off);
}

/*
 * Also a section that nothing else here uses (license): the kernel refuses BTF that leaves it open.
 */
static const struct elf_sec *data_section(const struct obj_reader *r, const char *name)
{
	for (u32 i = 1; i < r->sec_cnt; i++)
		if (!strcmp(r->secs[i].name, name))
			return &r->secs[i];
	return NULL;
}

static int cmp_secinfo(const void *a, const void *b)
{
	const struct btf_var_secinfo *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

void obj_sort_datasec(struct btf_type *t)
{
	qsort(btf_var_secinfos(t), btf_vlen(t), sizeof(struct btf_var_secinfo), cmp_secinfo);
}

static int fix_variable(struct obj_reader *r, const struct elf_sec *sec,
			struct btf_var_secinfo *info)
{
	struct btf_type *t = type_of(r, info->type);
	const struct elf_sym *sym;

	if (!t || !btf_is_var(t))
		return obj_fail(r, -EINVAL, "BTF: '%s' holds something that is no variable",
				sec->name);
	/*
	 * The offsets of static variables are in place already, and their names need not be unique.
	 */
	if (btf_var(t)->linkage == BTF_VAR_GLOBAL_ALLOCATED) {
		sym = obj_sym_find(r, type_name(r, t));
		if (!sym || sym->shndx != (u32)(sec - r->secs))
			return obj_fail(r, -EINVAL, "BTF: variable '%s' is not in section '%s'",
					type_name(r, t), sec->name);
		info->offset = sym->value > sec->size ? sec->size + 1 : sym->value;
		if (sym->visibility == STV_HIDDEN || sym->visibility == STV_INTERNAL)
			btf_var(t)->linkage = BTF_VAR_STATIC;
	}
	if (info->offset > sec->size || info->size > sec->size - info->offset)
		return obj_fail(r, -EINVAL, "BTF: variable '%s' reaches beyond section '%s'",
				type_name(r, t), sec->name);
	return 0;
}

static int fix_datasec(struct obj_reader *r, struct btf_type *t)
{
	const struct elf_sec *sec = data_section(r, type_name(r, t));
	struct btf_var_secinfo *info = btf_var_secinfos(t);
	int err = 0;

	if (!sec)
		return 0;
	if (sec->size > BPF_OBJECT_MAX_DATA)
		return obj_fail(r, -E2BIG, "section '%s' is larger than %u bytes", sec->name,
				BPF_OBJECT_MAX_DATA);
	t->size = sec->size;
	for (u32 i = 0; !err && i < btf_vlen(t); i++)
		err = fix_variable(r, sec, &info[i]);
	if (!err)
		obj_sort_datasec(t);
	return err;
}

static void fix_func(struct obj_reader *r, struct btf_type *t)
{
	const struct elf_sym *sym;

	if (btf_vlen(t) != BTF_FUNC_GLOBAL)
		return;
	sym = obj_sym_find(r, type_name(r, t));
	if (sym && sym->type == STT_FUNC &&
	    (sym->visibility == STV_HIDDEN || sym->visibility == STV_INTERNAL))
		t->info = (t->info & ~0xffffu) | BTF_FUNC_STATIC;
}

int obj_read_btf(struct obj_reader *r)
{
	const struct elf_sec *sec = &r->secs[r->btf_sec];
	int err;

	if (!r->btf_sec)
		return 0;
	if (sec->size > BPF_OBJECT_MAX_DATA)
		return obj_fail(r, -E2BIG, "BTF: .BTF is larger than %u bytes",
				BPF_OBJECT_MAX_DATA);
	err = bpf_btf_new(sec->data, sec->size, &r->out->btf);
	if (err)
		return obj_fail(r, err, "BTF: .BTF is malformed");
	r->datasecs = calloc(r->sec_cnt + 1, sizeof(*r->datasecs));
	if (!r->datasecs)
		return -ENOMEM;
	for (u32 id = 1; !err && id < btf__type_cnt(r->out->btf->btf); id++) {
		struct btf_type *t = type_of(r, id);

		if (btf_is_func(t))
			fix_func(r, t);
		if (!btf_is_datasec(t))
			continue;
		if (r->datasec_cnt > r->sec_cnt)
			return obj_fail(r, -EINVAL, "BTF: more data sections than the object has");
		r->datasecs[r->datasec_cnt++] = id;
		err = fix_datasec(r, t);
	}
	return err;
}

u32 obj_btf_datasec(const struct obj_reader *r, const char *name)
{
	for (u32 i = 0; i < r->datasec_cnt; i++)
		if (!strcmp(type_name(r, type_of(r, r->datasecs[i])), name))
			return r->datasecs[i];
	return 0;
}
