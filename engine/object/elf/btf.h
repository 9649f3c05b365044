/*
 * btf.h - .BTF of an object: checked, completed, parsed
 */
#ifndef UBPFFS_OBJECT_ELF_BTF_H
#define UBPFFS_OBJECT_ELF_BTF_H

#include "object/elf/reader.h"

int obj_read_btf(struct obj_reader *r);
void obj_sort_datasec(struct btf_type *t); /* variables by offset */
u32 obj_btf_datasec(const struct obj_reader *r, const char *name); /* type id or 0 */

#endif
