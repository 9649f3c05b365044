/*
 * block.h - how large the block of memory is that a raw program works on
 */
#ifndef UBPFFS_OBJECT_READ_BLOCK_H
#define UBPFFS_OBJECT_READ_BLOCK_H

#include "object/elf/reader.h"

/* Of each raw program: the size of what its argument points to becomes its attach type. */
int obj_read_blocks(struct obj_reader *r);

#endif
