/*
 * core_reloc.h - CO-RE relocations of one function
 */
#ifndef UBPFFS_OBJECT_CO_RE_CORE_RELOC_H
#define UBPFFS_OBJECT_CO_RE_CORE_RELOC_H

#include "object/elf/reader.h"

/* Of the function's instructions, which are the program's from index `base` on. */
int obj_apply_core(struct obj_reader *r, struct bpf_object_prog *prog, const struct elf_func *func,
		   u32 base);

#endif
