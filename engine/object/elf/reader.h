/*
 * reader.h - what is known of an object while it is read, and how a step says why it fails
 *
 * Every step (read/read.c lists them) finds what the ones before it left in the reader. Each
 * returns 0 or -errno, and has said why in the log when it fails.
 */
#ifndef UBPFFS_OBJECT_ELF_READER_H
#define UBPFFS_OBJECT_ELF_READER_H

#include <elf.h>
#include <linux/btf.h>
#include "object/object.h"

#define R_BPF_ABS64    2
#define BPF_INSN_BYTES sizeof(struct bpf_insn)
#define NO_INDEX       0xffffffffu

enum sec_kind {
	SEC_OTHER, /* ignored unless something refers to it */
	SEC_CODE, /* SEC() programs */
	SEC_TEXT, /* subprograms */
	SEC_DATA,
	SEC_RODATA,
	SEC_BSS,
	SEC_BTF_MAPS, /* .maps */
	SEC_LEGACY_MAPS, /* maps */
};

struct elf_sec {
	const char *name; /* "" when it has none */
	enum sec_kind kind;
	u32 type, link, info;
	u64 flags, size;
	const u8 *data; /* size bytes, NULL for SHT_NOBITS */
	u32 rel; /* the SHT_REL section for it, 0: none */
	u32 map; /* data sections: index of their map, NO_INDEX */
	u32 *reloc_at; /* code: number of the relocation of each instruction + 1, 0: none */
};

struct elf_sym {
	const char *name;
	u64 value, size;
	u32 shndx; /* below sec_cnt, or SHN_UNDEF, SHN_ABS, SHN_COMMON */
	u8 type, bind, visibility;
};

struct elf_func {
	u32 sec, start, cnt; /* instructions */
	u32 sym;
	u32 prog; /* index into out->progs, or NO_INDEX */
};

struct ext_block { /* records of .BTF.ext for one section */
	u32 sec, cnt, rec_size;
	const u8 *recs;
};

struct map_ref { /* where a map definition lies */
	u32 sec, off, map;
};

struct map_values { /* a `values` member whose .rel.maps entries initialise slots */
	u32 map, sec, off, end;
};

struct obj_extern { /* what is defined outside of the object, and allowed to be */
	u32 sym;
	bool weak;
	bool kconfig; /* else a kernel symbol that is not there */
	u32 off; /* in .kconfig */
};

struct obj_reader {
	struct bpf_log *log;
	const char *type; /* of programs whose SEC() says none, or NULL (section_type.h) */
	struct bpf_object_file *out;

	struct Elf *elf; /* owns what the sections point to */
	struct elf_sec *secs;
	u32 sec_cnt;
	struct elf_sym *syms;
	u32 sym_cnt;
	u32 *sym_by_name; /* named, defined symbols, sorted by name */
	u32 sym_by_name_cnt;

	u32 btf_sec, btf_ext_sec; /* 0: none */
	u32 *datasecs; /* ids of the BTF's data sections */
	u32 datasec_cnt;
	struct ext_block *func_info, *line_info, *core; /* indexed by section; NULL: none at all */
	u64 core_spent; /* steps that CO-RE relocations made so far */

	struct elf_func *funcs; /* sorted by section, then start */
	u32 func_cnt;

	struct map_ref *map_refs; /* sorted by section, then offset */
	u32 map_ref_cnt;
	struct map_values *values;
	u32 values_cnt;

	struct obj_extern *externs;
	u32 extern_cnt;
	u8 *kconfig; /* the content of .kconfig, until it is a map's */
	u32 kconfig_size, kconfig_map;

	u32 insn_total;
	u32 map_cap;
};

static inline u32 get_u32(const u8 *p)
{
	u32 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline u64 get_u64(const u8 *p)
{
	u64 v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline u32 sec_rel_cnt(const struct elf_sec *rel)
{
	return rel->size / sizeof(Elf64_Rel);
}

/* The i-th relocation of a SHT_REL section; its symbol is below sym_cnt (elf.c checked). */
static inline Elf64_Rel sec_rel(const struct elf_sec *rel, u32 i)
{
	Elf64_Rel v;

	memcpy(&v, rel->data + (size_t)i * sizeof(v), sizeof(v));
	return v;
}

/* Say why and return err, so that callers can `return obj_fail(r, -EINVAL, ...)`. */
int obj_fail(struct obj_reader *r, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * What the verifier shall say of an instruction if the program can reach it. Takes `text`, also
 * when it fails; NULL is -ENOMEM.
 */
int obj_add_note(struct bpf_object_prog *prog, u32 insn, char *text);

#endif
