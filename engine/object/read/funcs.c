/*
 * funcs.c - which functions an object has
 *
 * A function is a symbol of type FUNC in a code section. Those of a SEC() are programs; those of
 * .text are subprograms, which reloc.c appends to the programs that reach them.
 */
#include "object/read/funcs.h"
#include "object/section_type.h"

/* Program names become names of directories. */
static int check_prog_name(struct obj_reader *r, const char *name)
{
	size_t n = strlen(name);

	if (n >= sizeof(((struct bpf_object_prog *)0)->name))
		return obj_fail(r, -ENAMETOOLONG, "program '%s': the name is longer than 63 bytes",
				name);
	if (!n || name[0] == '.' ||
	    strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.") != n)
		return obj_fail(r, -EINVAL, "program '%s': this is no name of a C function", name);
	for (u32 i = 0; i < r->out->prog_cnt; i++)
		if (!strcmp(r->out->progs[i].name, name))
			return obj_fail(r, -EINVAL, "two programs are named '%s'", name);
	return 0;
}

static int add_prog(struct obj_reader *r, struct elf_func *func)
{
	const char *name = r->syms[func->sym].name, *section = r->secs[func->sec].name;
	struct bpf_object_prog *prog;
	int err;

	if (section[0] == '?') {
		bpf_log_printf(r->log, "note: program '%s' is not loaded, as SEC(\"%s\") asks\n",
			       name, section);
		return 0;
	}
	err = check_prog_name(r, name);
	if (err)
		return err;
	if (r->out->prog_cnt == BPF_OBJECT_MAX_PROGS)
		return obj_fail(r, -E2BIG, "more than %u programs", BPF_OBJECT_MAX_PROGS);
	if (strlen(section) >= sizeof(prog->section))
		return obj_fail(r, -ENAMETOOLONG,
				"program '%s': its SEC() is longer than 127 bytes", name);
	prog = &r->out->progs[r->out->prog_cnt];
	strcpy(prog->name, name);
	strcpy(prog->section, section);
	if (bpf_section_type(section, &prog->type, &prog->expected_attach_type) &&
	    (!r->type || bpf_named_type(r->type, &prog->type, &prog->expected_attach_type)))
		return obj_fail(r, -ENOTSUP,
				"program '%s': SEC(\"%s\") names no program type: say which it is "
				"(ubpfctl load -t TYPE, or a line `type TYPE` before the object); "
				"features has those that there are",
				name, section);
	func->prog = r->out->prog_cnt++;
	return 0;
}

static int add_func(struct obj_reader *r, u32 i)
{
	const struct elf_sym *sym = &r->syms[i];
	const struct elf_sec *sec = &r->secs[sym->shndx];

	if (sym->value % BPF_INSN_BYTES || sym->size % BPF_INSN_BYTES || !sym->size ||
	    sym->value > sec->size || sym->size > sec->size - sym->value)
		return obj_fail(r, -EINVAL, "function '%s' does not lie inside of section '%s'",
				sym->name, sec->name);
	if (sym->size / BPF_INSN_BYTES > BPF_COMPLEXITY_LIMIT_INSNS)
		return obj_fail(r, -E2BIG, "function '%s' has more than %u instructions", sym->name,
				BPF_COMPLEXITY_LIMIT_INSNS);
	if (r->func_cnt == BPF_OBJECT_MAX_FUNCS)
		return obj_fail(r, -E2BIG, "more than %u functions", BPF_OBJECT_MAX_FUNCS);
	r->funcs[r->func_cnt++] = (struct elf_func){
		.sec = sym->shndx,
		.start = sym->value / BPF_INSN_BYTES,
		.cnt = sym->size / BPF_INSN_BYTES,
		.sym = i,
		.prog = NO_INDEX,
	};
	return 0;
}

static int cmp_func(const void *a, const void *b)
{
	const struct elf_func *x = a, *y = b;

	if (x->sec != y->sec)
		return x->sec < y->sec ? -1 : 1;
	if (x->start != y->start)
		return x->start < y->start ? -1 : 1;
	return (x->sym > y->sym) - (x->sym < y->sym);
}

static bool is_func(const struct obj_reader *r, const struct elf_sym *sym)
{
	return sym->type == STT_FUNC && sym->shndx < r->sec_cnt &&
	       (r->secs[sym->shndx].kind == SEC_CODE || r->secs[sym->shndx].kind == SEC_TEXT);
}

int obj_read_funcs(struct obj_reader *r)
{
	u32 cnt = 0;
	int err = 0;

	for (u32 i = 1; i < r->sym_cnt; i++)
		cnt += is_func(r, &r->syms[i]);
	r->funcs = calloc((size_t)cnt + 1, sizeof(*r->funcs));
	r->out->progs = calloc(min(cnt, BPF_OBJECT_MAX_PROGS) + 1, sizeof(*r->out->progs));
	if (!r->funcs || !r->out->progs)
		return -ENOMEM;
	for (u32 i = 1; !err && i < r->sym_cnt; i++)
		if (is_func(r, &r->syms[i]))
			err = add_func(r, i);
	if (err)
		return err;
	if (r->func_cnt)
		qsort(r->funcs, r->func_cnt, sizeof(*r->funcs), cmp_func);
	/* A static function beside the programs of a SEC() is one of their subprograms. */
	for (u32 i = 0; !err && i < r->func_cnt; i++)
		if (r->secs[r->funcs[i].sec].kind == SEC_CODE &&
		    r->syms[r->funcs[i].sym].bind != STB_LOCAL)
			err = add_prog(r, &r->funcs[i]);
	if (!err && !r->out->prog_cnt)
		return obj_fail(
			r, -EINVAL,
			"the object has no program: a program is a global function with SEC()");
	return err;
}

int obj_func_at(const struct obj_reader *r, u32 sec, u32 start)
{
	u32 lo = 0, hi = r->func_cnt;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		const struct elf_func *f = &r->funcs[mid];

		if (f->sec < sec || (f->sec == sec && f->start < start))
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->func_cnt || r->funcs[lo].sec != sec || r->funcs[lo].start != start)
		return -1;
	return lo;
}
