/*
 * reloc.c - a program's instructions, complete: subprograms appended, references resolved
 *
 * A program is its own function followed by every subprogram that it reaches, in the order in which
 * the first calls to them are met (depth first), so that instruction numbers in a log are those
 * that libbpf would give. Calls become distances in the program; references to maps and to data
 * become indices into the object's list of maps. Only references that a relocation made are left
 * with a pseudo class: an instruction that came with one in the file is refused.
 */
#include <stdio.h>
#include "object/co_re/core_reloc.h"
#include "object/elf/btf_ext.h"
#include "object/elf/elf.h"
#include "object/read/externs.h"
#include "object/read/funcs.h"
#include "object/read/maps.h"
#include "object/read/reloc.h"

#define POISON_KFUNC 2002000000 /* the number that libbpf gives such calls */

struct linker {
	struct obj_reader *r;
	struct bpf_object_prog *prog;
	u32 cap;
	/* by function: first instruction in the program, NO_INDEX when it is not in it */
	u32 *base;
	u32 order[BPF_MAX_SUBPROGS]; /* the functions in the program */
	u32 cnt;
};

static const char *func_name(const struct obj_reader *r, u32 func)
{
	return r->syms[r->funcs[func].sym].name;
}

static const Elf64_Rel *reloc_of(const struct obj_reader *r, const struct elf_func *f, u32 i,
				 Elf64_Rel *buf)
{
	const struct elf_sec *sec = &r->secs[f->sec];
	u32 at = sec->reloc_at ? sec->reloc_at[f->start + i] : 0;

	if (!at)
		return NULL;
	*buf = sec_rel(&r->secs[sec->rel], at - 1);
	return buf;
}

static bool is_code(const struct obj_reader *r, u32 sec)
{
	return sec < r->sec_cnt && (r->secs[sec].kind == SEC_CODE || r->secs[sec].kind == SEC_TEXT);
}

/* The function that starts at instruction `at` of a section, or -errno. */
static int target_func(struct linker *l, u32 func, u32 i, u32 sec, s64 at)
{
	int target = -1;

	if (is_code(l->r, sec) && at >= 0 && at < UINT32_MAX)
		target = obj_func_at(l->r, sec, at);
	if (target < 0)
		return obj_fail(
			l->r, -EINVAL,
			"'%s', instruction %u: the call goes to no function's first instruction",
			func_name(l->r, func), i);
	return target;
}

static int append_func(struct linker *l, u32 func);

/* A weak function of the kernel, which has none for us: a call of a helper that never exists. */
static int poison_call(struct linker *l, u32 pos, const struct elf_sym *sym)
{
	char *text = NULL;

	l->prog->insns[pos] = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = POISON_KFUNC};
	if (asprintf(&text,
		     "the kernel function '%s' (__ksym __weak) does not exist here: call it only "
		     "if (bpf_ksym_exists(%s))",
		     sym->name, sym->name) < 0)
		return -ENOMEM;
	return obj_add_note(l->prog, pos, text);
}

/* The distance for a call or function address at `pos` to `target`, appending it if need be. */
static int link_call(struct linker *l, u32 target, u32 pos, s32 *imm)
{
	int err = 0;

	if (l->base[target] == NO_INDEX)
		err = append_func(l, target);
	if (!err)
		*imm = (s32)l->base[target] - (s32)pos - 1;
	return err;
}

static int reloc_call(struct linker *l, u32 func, u32 i, const Elf64_Rel *rel)
{
	struct obj_reader *r = l->r;
	u32 pos = l->base[func] + i;
	u32 sec = r->funcs[func].sec;
	s64 at = (s64)r->funcs[func].start + i + l->prog->insns[pos].imm + 1;
	int target, err;
	s32 imm;

	if (rel) {
		const struct elf_sym *sym = &r->syms[ELF64_R_SYM(rel->r_info)];

		if (ELF64_R_TYPE(rel->r_info) != R_BPF_64_32 || sym->value % BPF_INSN_BYTES)
			return obj_fail(r, -EINVAL,
					"'%s', instruction %u: a call with a relocation of type %u",
					func_name(r, func), i, (u32)ELF64_R_TYPE(rel->r_info));
		if (sym->shndx == SHN_UNDEF && obj_extern_find(r, ELF64_R_SYM(rel->r_info)))
			return poison_call(l, pos, sym);
		sec = sym->shndx;
		at = (s64)(sym->value / BPF_INSN_BYTES) + l->prog->insns[pos].imm + 1;
	}
	target = target_func(l, func, i, sec, at);
	if (target < 0)
		return target;
	err = link_call(l, target, pos, &imm);
	if (!err)
		l->prog->insns[pos].imm = imm;
	return err;
}

static int reloc_data(struct linker *l, u32 func, u32 i, const struct elf_sec *sec, s64 off)
{
	struct bpf_insn *insn = &l->prog->insns[l->base[func] + i];

	if (sec->map == NO_INDEX || off < 0 || (u64)off >= sec->size)
		return obj_fail(
			l->r, -EINVAL,
			"'%s', instruction %u: byte %lld is not in section '%s' of %llu bytes",
			func_name(l->r, func), i, (long long)off, sec->name,
			(unsigned long long)sec->size);
	insn[0].src_reg = BPF_PSEUDO_MAP_IDX_VALUE;
	insn[0].imm = sec->map;
	insn[1].imm = off;
	return 0;
}

static int reloc_map(struct linker *l, u32 func, u32 i, const struct elf_sym *sym, s64 off)
{
	struct bpf_insn *insn = &l->prog->insns[l->base[func] + i];
	int map = off < 0 ? -1 : obj_map_at(l->r, sym->shndx, off);

	if (map < 0)
		return obj_fail(l->r, -EINVAL, "'%s', instruction %u: '%s' + %lld is no map",
				func_name(l->r, func), i, obj_sym_name(l->r, sym), (long long)off);
	insn[0].src_reg = BPF_PSEUDO_MAP_IDX;
	insn[0].imm = map;
	insn[1].imm = 0;
	return 0;
}

static int reloc_func_addr(struct linker *l, u32 func, u32 i, const struct elf_sym *sym, s64 off)
{
	u32 pos = l->base[func] + i;
	int target, err;
	s32 imm;

	target = target_func(l, func, i, sym->shndx,
			     off % (s64)BPF_INSN_BYTES ? -1 : off / (s64)BPF_INSN_BYTES);
	if (target < 0)
		return target;
	err = link_call(l, target, pos, &imm);
	if (err)
		return err;
	l->prog->insns[pos].src_reg = BPF_PSEUDO_FUNC;
	l->prog->insns[pos].imm = imm;
	l->prog->insns[pos + 1].imm = 0;
	return 0;
}

static int reloc_extern(struct linker *l, u32 func, u32 i, const struct obj_extern *ext)
{
	struct bpf_insn *insn = &l->prog->insns[l->base[func] + i];

	if (ext->kconfig && (insn[0].imm < 0 || (u32)insn[0].imm >= l->r->kconfig_size - ext->off))
		return obj_fail(l->r, -EINVAL,
				"'%s', instruction %u: byte %d of '%s' is outside of .kconfig",
				func_name(l->r, func), i, insn[0].imm, l->r->syms[ext->sym].name);
	insn[1].imm = ext->kconfig ? (s32)ext->off + insn[0].imm : 0;
	insn[0].imm = ext->kconfig ? (s32)l->r->kconfig_map : 0;
	insn[0].src_reg = ext->kconfig ? BPF_PSEUDO_MAP_IDX_VALUE : 0;
	return 0;
}

static int reloc_imm64(struct linker *l, u32 func, u32 i, const Elf64_Rel *rel)
{
	struct obj_reader *r = l->r;
	const struct elf_sym *sym = &r->syms[ELF64_R_SYM(rel->r_info)];
	const struct elf_sec *sec;
	s64 off;

	if (ELF64_R_TYPE(rel->r_info) != R_BPF_64_64 || sym->value > INT32_MAX)
		return obj_fail(r, -EINVAL,
				"'%s', instruction %u: a 64-bit load with a relocation of type %u",
				func_name(r, func), i, (u32)ELF64_R_TYPE(rel->r_info));
	if (sym->shndx == SHN_UNDEF && obj_extern_find(r, ELF64_R_SYM(rel->r_info)))
		return reloc_extern(l, func, i, obj_extern_find(r, ELF64_R_SYM(rel->r_info)));
	if (sym->shndx == SHN_UNDEF || sym->shndx >= r->sec_cnt)
		return obj_fail(r, -EINVAL, "'%s', instruction %u: '%s' is in no section",
				func_name(r, func), i, obj_sym_name(r, sym));
	sec = &r->secs[sym->shndx];
	off = (s64)sym->value + l->prog->insns[l->base[func] + i].imm;
	switch (sec->kind) {
	case SEC_BTF_MAPS:
	case SEC_LEGACY_MAPS:
		return reloc_map(l, func, i, sym, off);
	case SEC_DATA:
	case SEC_RODATA:
	case SEC_BSS:
		return reloc_data(l, func, i, sec, off);
	case SEC_CODE:
	case SEC_TEXT:
		return reloc_func_addr(l, func, i, sym, off);
	case SEC_OTHER:
		break;
	}
	return obj_fail(
		r, -ENOTSUP,
		"'%s', instruction %u refers to '%s' in section '%s', which is neither maps nor "
		"data nor code",
		func_name(r, func), i, obj_sym_name(r, sym), sec->name);
}

static int link_insn(struct linker *l, u32 func, u32 *i)
{
	const struct elf_func *f = &l->r->funcs[func];
	const struct bpf_insn *insn = &l->prog->insns[l->base[func] + *i];
	Elf64_Rel buf;
	const Elf64_Rel *rel = reloc_of(l->r, f, *i, &buf);

	if (bpf_insn_is_imm64(insn)) {
		u32 first = (*i)++;

		if (*i >= f->cnt || reloc_of(l->r, f, *i, &(Elf64_Rel){0}))
			return obj_fail(l->r, -EINVAL,
					"'%s', instruction %u: half of a 64-bit load",
					func_name(l->r, func), first);
		if (rel)
			return reloc_imm64(l, func, first, rel);
		if (insn->src_reg)
			return obj_fail(l->r, -EINVAL,
					"'%s', instruction %u: a reference of class %u without a "
					"relocation",
					func_name(l->r, func), first, insn->src_reg);
		return 0;
	}
	if (bpf_insn_is_pseudo_call(insn))
		return reloc_call(l, func, *i, rel);
	if (rel)
		return obj_fail(l->r, -EINVAL,
				"'%s', instruction %u: a relocation against '%s' where none can be",
				func_name(l->r, func), *i,
				obj_sym_name(l->r, &l->r->syms[ELF64_R_SYM(rel->r_info)]));
	return 0;
}

static int copy_insns(struct linker *l, const struct elf_func *f)
{
	struct bpf_object_prog *prog = l->prog;
	const u8 *from = l->r->secs[f->sec].data + (size_t)f->start * BPF_INSN_BYTES;

	l->r->insn_total += f->cnt;
	if (f->cnt > BPF_COMPLEXITY_LIMIT_INSNS - prog->insn_cnt ||
	    l->r->insn_total > BPF_OBJECT_MAX_INSNS)
		return obj_fail(l->r, -E2BIG, "program '%s' has too many instructions", prog->name);
	if (prog->insn_cnt + f->cnt > l->cap) {
		u32 cap = max(l->cap * 2, prog->insn_cnt + f->cnt);
		struct bpf_insn *p = realloc(prog->insns, cap * sizeof(*p));

		if (!p)
			return -ENOMEM;
		prog->insns = p;
		l->cap = cap;
	}
	memcpy(prog->insns + prog->insn_cnt, from, (size_t)f->cnt * BPF_INSN_BYTES);
	prog->insn_cnt += f->cnt;
	return 0;
}

/* Recursion ends with the BPF_MAX_SUBPROGS-th function: each is appended once. */
static int append_func(struct linker *l, u32 func)
{
	const struct elf_func *f = &l->r->funcs[func];
	int err;

	if (l->cnt == BPF_MAX_SUBPROGS)
		return obj_fail(l->r, -E2BIG, "program '%s' has more than %u subprograms",
				l->prog->name, BPF_MAX_SUBPROGS);
	l->base[func] = l->prog->insn_cnt;
	l->order[l->cnt++] = func;
	err = copy_insns(l, f);
	if (!err)
		err = obj_add_func_info(l->r, l->prog, f, l->base[func]);
	if (!err)
		err = obj_add_line_info(l->r, l->prog, f, l->base[func]);
	if (!err)
		err = obj_apply_core(l->r, l->prog, f, l->base[func]);
	for (u32 i = 0; !err && i < f->cnt; i++)
		err = link_insn(l, func, &i);
	return err;
}

/* They become the program's as they are. */
static void fit_insns(struct linker *l)
{
	struct bpf_insn *p = realloc(l->prog->insns, max(l->prog->insn_cnt, 1u) * sizeof(*p));

	l->prog->insns = p ? p : l->prog->insns;
}

static int link_prog(struct linker *l, u32 func)
{
	int err;

	l->prog = &l->r->out->progs[l->r->funcs[func].prog];
	l->cap = 0;
	l->cnt = 0;
	err = append_func(l, func);
	if (!err)
		fit_insns(l);
	/* Type info for some functions only is of no use to anybody. */
	if (!err && l->prog->func_info_cnt != l->cnt) {
		free(l->prog->func_info);
		l->prog->func_info = NULL;
		l->prog->func_info_cnt = 0;
	}
	for (u32 i = 0; i < l->cnt; i++)
		l->base[l->order[i]] = NO_INDEX;
	return err;
}

int obj_link_progs(struct obj_reader *r)
{
	struct linker *l = calloc(1, sizeof(*l));
	int err = 0;

	if (!l)
		return -ENOMEM;
	l->r = r;
	l->base = malloc(((size_t)r->func_cnt + 1) * sizeof(u32));
	if (!l->base)
		err = -ENOMEM;
	for (u32 i = 0; !err && i < r->func_cnt; i++)
		l->base[i] = NO_INDEX;
	for (u32 i = 0; !err && i < r->func_cnt; i++)
		if (r->funcs[i].prog != NO_INDEX)
			err = link_prog(l, i);
	free(l->base);
	free(l);
	return err;
}
