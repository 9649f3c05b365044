/*
 * btf_ext.h - .BTF.ext of an object: what is said of functions, lines and CO-RE relocations
 */
#ifndef UBPFFS_OBJECT_ELF_BTF_EXT_H
#define UBPFFS_OBJECT_ELF_BTF_EXT_H

#include "object/elf/reader.h"

int obj_read_btf_ext(struct obj_reader *r);

/* The info of one function of a program, which got its instructions at index `base`. */
int obj_add_func_info(struct obj_reader *r, struct bpf_object_prog *prog,
		      const struct elf_func *func, u32 base);
int obj_add_line_info(struct obj_reader *r, struct bpf_object_prog *prog,
		      const struct elf_func *func, u32 base);

/* The records of a function's instructions in one of the tables: how many, and the first. */
u32 obj_ext_records(const struct ext_block *table, const struct elf_func *func, const u8 **recs);

#endif
