/*
 * elf.h - the container: sections, symbols and relocations
 */
#ifndef UBPFFS_OBJECT_ELF_ELF_H
#define UBPFFS_OBJECT_ELF_ELF_H

#include "object/elf/reader.h"

/*
 * Fill the reader's sections and symbols from the bytes, which must stay where they are until
 * obj_free_elf(). Offsets, names and links that the reader keeps have been checked.
 */
int obj_read_elf(struct obj_reader *r, const void *data, size_t len);
void obj_free_elf(struct obj_reader *r);

const struct elf_sym *obj_sym_find(const struct obj_reader *r, const char *name);
/* What to call a symbol in a message: its name, or its section's. */
const char *obj_sym_name(const struct obj_reader *r, const struct elf_sym *sym);

#endif
