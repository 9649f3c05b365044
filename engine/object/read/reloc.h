/*
 * reloc.h - a program's instructions, complete
 */
#ifndef UBPFFS_OBJECT_READ_RELOC_H
#define UBPFFS_OBJECT_READ_RELOC_H

#include "object/elf/reader.h"

int obj_link_progs(struct obj_reader *r);

#endif
