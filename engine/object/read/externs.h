/*
 * externs.h - what an object expects from outside
 */
#ifndef UBPFFS_OBJECT_READ_EXTERNS_H
#define UBPFFS_OBJECT_READ_EXTERNS_H

#include "object/elf/reader.h"

int obj_read_externs(struct obj_reader *r);
const struct obj_extern *obj_extern_find(const struct obj_reader *r, u32 sym); /* or NULL */

#endif
