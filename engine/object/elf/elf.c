/*
 * elf.c - the container: sections, symbols and relocations
 *
 * Copies them into arrays in which each offset, name and link has been checked; no other file of
 * the reader sees libelf.
 */
#include <gelf.h>
#include "object/elf/elf.h"

/* ---- sections and symbols */

/* The NUL-terminated string at `off` of a string table, NULL when there is none. */
static const char *sec_string(const struct elf_sec *strtab, u64 off)
{
	if (strtab->type != SHT_STRTAB || !strtab->data || off >= strtab->size)
		return NULL;
	if (!memchr(strtab->data + off, 0, min(strtab->size - off, BPF_OBJECT_MAX_NAME + 1ul)))
		return NULL;
	return (const char *)strtab->data + off;
}

static bool name_or_dotted(const char *name, const char *base)
{
	size_t n = strlen(base);

	return !strncmp(name, base, n) && (!name[n] || name[n] == '.');
}

static enum sec_kind sec_classify(const struct elf_sec *sec)
{
	if (sec->flags & SHF_COMPRESSED)
		return SEC_OTHER;
	if (sec->type == SHT_NOBITS)
		return name_or_dotted(sec->name, ".bss") ? SEC_BSS : SEC_OTHER;
	if (sec->type != SHT_PROGBITS)
		return SEC_OTHER;
	if (sec->flags & SHF_EXECINSTR)
		return strcmp(sec->name, ".text") ? SEC_CODE : SEC_TEXT;
	if (!strcmp(sec->name, ".maps"))
		return SEC_BTF_MAPS;
	if (!strcmp(sec->name, "maps"))
		return SEC_LEGACY_MAPS;
	if (name_or_dotted(sec->name, ".data"))
		return SEC_DATA;
	if (name_or_dotted(sec->name, ".rodata"))
		return SEC_RODATA;
	return SEC_OTHER;
}

static int read_section(struct obj_reader *r, Elf *elf, u32 i, size_t file_len)
{
	struct elf_sec *sec = &r->secs[i];
	Elf_Scn *scn = elf_getscn(elf, i);
	GElf_Shdr sh; /* a copy: in the file it may have any alignment */
	Elf_Data *data;

	sec->name = "";
	sec->map = NO_INDEX;
	if (!scn || !gelf_getshdr(scn, &sh))
		return obj_fail(r, -EINVAL, "ELF: the header of section %u cannot be read", i);
	sec->type = sh.sh_type;
	sec->flags = sh.sh_flags;
	sec->link = sh.sh_link;
	sec->info = sh.sh_info;
	sec->size = sh.sh_size;
	if (sh.sh_type == SHT_NULL || sh.sh_type == SHT_NOBITS || !sh.sh_size)
		return 0;
	if (sh.sh_offset > file_len || sh.sh_size > file_len - sh.sh_offset)
		return obj_fail(r, -EINVAL, "ELF: section %u reaches beyond the file", i);
	data = elf_rawdata(scn, NULL);
	if (!data || !data->d_buf || data->d_size != sh.sh_size)
		return obj_fail(r, -EINVAL, "ELF: the content of section %u cannot be read", i);
	sec->data = data->d_buf;
	return 0;
}

static int read_section_names(struct obj_reader *r, Elf *elf)
{
	size_t shstrndx;

	if (elf_getshdrstrndx(elf, &shstrndx) || shstrndx >= r->sec_cnt)
		return obj_fail(r, -EINVAL, "ELF: there is no table of section names");
	for (u32 i = 1; i < r->sec_cnt; i++) {
		struct elf_sec *sec = &r->secs[i];
		GElf_Shdr sh;

		sec->name = gelf_getshdr(elf_getscn(elf, i), &sh)
				    ? sec_string(&r->secs[shstrndx], sh.sh_name)
				    : NULL;
		if (!sec->name)
			return obj_fail(r, -EINVAL,
					"ELF: the name of section %u is out of range, or "
					"longer than %u bytes",
					i, BPF_OBJECT_MAX_NAME);
		sec->kind = sec_classify(sec);
	}
	return 0;
}

static int read_sections(struct obj_reader *r, Elf *elf, size_t file_len)
{
	size_t cnt;
	int err = 0;

	if (elf_getshdrnum(elf, &cnt) || cnt < 2)
		return obj_fail(r, -EINVAL, "ELF: the object has no sections");
	if (cnt > BPF_OBJECT_MAX_SECTIONS)
		return obj_fail(r, -E2BIG, "ELF: %zu sections, more than %u", cnt,
				BPF_OBJECT_MAX_SECTIONS);
	r->secs = calloc(cnt, sizeof(*r->secs));
	if (!r->secs)
		return -ENOMEM;
	r->sec_cnt = cnt;
	for (u32 i = 0; !err && i < cnt; i++)
		err = read_section(r, elf, i, file_len);
	return err ? err : read_section_names(r, elf);
}

static int read_symbol(struct obj_reader *r, const struct elf_sec *strtab, const u8 *raw, u32 i)
{
	struct elf_sym *sym = &r->syms[i];
	Elf64_Sym s;

	memcpy(&s, raw, sizeof(s));
	sym->name = s.st_name ? sec_string(strtab, s.st_name) : "";
	if (!sym->name)
		return obj_fail(r, -EINVAL,
				"ELF: the name of symbol %u is out of range, or longer than %u "
				"bytes",
				i, BPF_OBJECT_MAX_NAME);
	sym->value = s.st_value;
	sym->size = s.st_size;
	sym->type = ELF64_ST_TYPE(s.st_info);
	sym->bind = ELF64_ST_BIND(s.st_info);
	sym->visibility = ELF64_ST_VISIBILITY(s.st_other);
	sym->shndx = s.st_shndx;
	if (sym->shndx >= r->sec_cnt && sym->shndx != SHN_ABS && sym->shndx != SHN_COMMON)
		return obj_fail(r, -EINVAL, "ELF: symbol '%s' is in section %u of %u", sym->name,
				sym->shndx, r->sec_cnt);
	return 0;
}

static int cmp_sym_name(const void *a, const void *b, void *priv)
{
	const struct obj_reader *r = priv;
	u32 x = *(const u32 *)a, y = *(const u32 *)b;
	int c = strcmp(r->syms[x].name, r->syms[y].name);

	return c ? c : (x > y) - (x < y);
}

static int index_symbols(struct obj_reader *r)
{
	r->sym_by_name = calloc((size_t)r->sym_cnt + 1, sizeof(u32));
	if (!r->sym_by_name)
		return -ENOMEM;
	for (u32 i = 0; i < r->sym_cnt; i++)
		if (r->syms[i].name[0] && r->syms[i].shndx != SHN_UNDEF &&
		    r->syms[i].type != STT_SECTION && r->syms[i].type != STT_FILE)
			r->sym_by_name[r->sym_by_name_cnt++] = i;
	qsort_r(r->sym_by_name, r->sym_by_name_cnt, sizeof(u32), cmp_sym_name, r);
	return 0;
}

static int read_symbols(struct obj_reader *r)
{
	const struct elf_sec *symtab = NULL;
	int err = 0;

	for (u32 i = 1; i < r->sec_cnt; i++) {
		if (r->secs[i].type != SHT_SYMTAB)
			continue;
		if (symtab)
			return obj_fail(r, -EINVAL, "ELF: two symbol tables");
		symtab = &r->secs[i];
	}
	if (!symtab || !symtab->data)
		return obj_fail(r, -EINVAL, "ELF: the object has no symbol table");
	if (symtab->size % sizeof(Elf64_Sym) || symtab->link >= r->sec_cnt)
		return obj_fail(r, -EINVAL, "ELF: the symbol table is malformed");
	r->sym_cnt = symtab->size / sizeof(Elf64_Sym);
	r->syms = calloc(r->sym_cnt, sizeof(*r->syms));
	if (!r->syms)
		return -ENOMEM;
	for (u32 i = 0; !err && i < r->sym_cnt; i++)
		err = read_symbol(r, &r->secs[symtab->link],
				  symtab->data + (size_t)i * sizeof(Elf64_Sym), i);
	return err ? err : index_symbols(r);
}

const struct elf_sym *obj_sym_find(const struct obj_reader *r, const char *name)
{
	u32 lo = 0, hi = r->sym_by_name_cnt;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (strcmp(r->syms[r->sym_by_name[mid]].name, name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == r->sym_by_name_cnt || strcmp(r->syms[r->sym_by_name[lo]].name, name))
		return NULL;
	return &r->syms[r->sym_by_name[lo]];
}

const char *obj_sym_name(const struct obj_reader *r, const struct elf_sym *sym)
{
	if (sym->name[0])
		return sym->name;
	return sym->shndx < r->sec_cnt ? r->secs[sym->shndx].name : "(no name)";
}

/* ---- relocation sections: found, checked as a whole, and tied to what they relocate */

static int check_relocs(struct obj_reader *r, const struct elf_sec *rel, const struct elf_sec *sec)
{
	if (rel->size % sizeof(Elf64_Rel))
		return obj_fail(r, -EINVAL, "ELF: relocations for '%s' are malformed", sec->name);
	for (u32 i = 0; i < sec_rel_cnt(rel); i++) {
		Elf64_Rel v = sec_rel(rel, i);

		if (ELF64_R_SYM(v.r_info) >= r->sym_cnt || v.r_offset >= sec->size)
			return obj_fail(r, -EINVAL, "ELF: relocation %u for '%s' is out of range",
					i, sec->name);
	}
	return 0;
}

/* Relocation number of each instruction: at most one each, at its first byte. */
static int index_code_relocs(struct obj_reader *r, struct elf_sec *sec)
{
	const struct elf_sec *rel = &r->secs[sec->rel];

	sec->reloc_at = calloc(sec->size / BPF_INSN_BYTES + 1, sizeof(u32));
	if (!sec->reloc_at)
		return -ENOMEM;
	for (u32 i = 0; i < sec_rel_cnt(rel); i++) {
		u64 off = sec_rel(rel, i).r_offset;

		if (off % BPF_INSN_BYTES || off + BPF_INSN_BYTES > sec->size ||
		    sec->reloc_at[off / BPF_INSN_BYTES])
			return obj_fail(r, -EINVAL,
					"ELF: relocation %u for '%s' is not at an instruction", i,
					sec->name);
		sec->reloc_at[off / BPF_INSN_BYTES] = i + 1;
	}
	return 0;
}

static int note_data_relocs(struct obj_reader *r, const struct elf_sec *rel,
			    const struct elf_sec *sec)
{
	Elf64_Rel v = sec_rel(rel, 0);

	bpf_log_printf(
		r->log,
		"note: %s holds the address of '%s' at byte %llu; maps cannot hold addresses of "
		"maps, data or functions, and a program that reads it gets a plain number\n",
		sec->name, obj_sym_name(r, &r->syms[ELF64_R_SYM(v.r_info)]),
		(unsigned long long)v.r_offset);
	return 0;
}

static int read_relocs(struct obj_reader *r)
{
	for (u32 i = 1; i < r->sec_cnt; i++) {
		struct elf_sec *rel = &r->secs[i], *sec;
		int err = 0;

		if ((rel->type != SHT_REL && rel->type != SHT_RELA) || !rel->data)
			continue;
		if (!rel->info || rel->info >= r->sec_cnt)
			return obj_fail(r, -EINVAL, "ELF: '%s' relocates no section", rel->name);
		sec = &r->secs[rel->info];
		if (sec->kind == SEC_OTHER)
			continue;
		if (rel->type == SHT_RELA || sec->rel)
			return obj_fail(
				r, -EINVAL,
				"ELF: '%s' has relocations of a form that clang never writes",
				sec->name);
		sec->rel = i;
		err = check_relocs(r, rel, sec);
		if (!err && (sec->kind == SEC_CODE || sec->kind == SEC_TEXT))
			err = index_code_relocs(r, sec);
		else if (!err && (sec->kind == SEC_DATA || sec->kind == SEC_RODATA))
			err = note_data_relocs(r, rel, sec);
		if (err)
			return err;
	}
	return 0;
}

/* ---- license and version */

static int read_small_sections(struct obj_reader *r)
{
	struct bpf_object_file *out = r->out;

	for (u32 i = 1; i < r->sec_cnt; i++) {
		const struct elf_sec *sec = &r->secs[i];

		if (sec->type != SHT_PROGBITS || !sec->data || (sec->flags & SHF_COMPRESSED))
			continue;
		if (!strcmp(sec->name, "license")) {
			size_t n = strnlen((const char *)sec->data, sec->size);

			if (n >= sizeof(out->license))
				return obj_fail(r, -EINVAL,
						"the license is longer than %zu characters",
						sizeof(out->license) - 1);
			memcpy(out->license, sec->data, n);
			out->license[n] = 0;
		} else if (!strcmp(sec->name, "version")) {
			if (sec->size != sizeof(u32))
				return obj_fail(r, -EINVAL, "section 'version' is not one u32");
			out->kern_version = get_u32(sec->data);
		} else if (!strcmp(sec->name, ".BTF")) {
			r->btf_sec = i;
		} else if (!strcmp(sec->name, ".BTF.ext")) {
			r->btf_ext_sec = i;
		}
	}
	return 0;
}

/* ---- the door */

int obj_read_elf(struct obj_reader *r, const void *data, size_t len)
{
	int err;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return obj_fail(r, -ENOTSUP, "libelf is too old");
	/* elf_memory() wants a char * but a descriptor opened so is never written through. */
	r->elf = elf_memory((char *)(uintptr_t)data, len);
	if (!r->elf && len >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG))
		return obj_fail(r, -ENOMEM, "no memory to read it");
	if (!r->elf || elf_kind(r->elf) != ELF_K_ELF)
		return obj_fail(r, -ENOEXEC, "this is not an ELF object");
	err = read_sections(r, r->elf, len);
	if (!err)
		err = read_symbols(r);
	if (!err)
		err = read_relocs(r);
	return err ? err : read_small_sections(r);
}

void obj_free_elf(struct obj_reader *r)
{
	for (u32 i = 0; i < r->sec_cnt; i++)
		free(r->secs[i].reloc_at);
	free(r->secs);
	free(r->syms);
	free(r->sym_by_name);
	elf_end(r->elf);
}
