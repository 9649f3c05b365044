/*
 * funcs.h - which functions an object has
 */
#ifndef UBPFFS_OBJECT_READ_FUNCS_H
#define UBPFFS_OBJECT_READ_FUNCS_H

#include "object/elf/reader.h"

int obj_read_funcs(struct obj_reader *r);
int obj_func_at(const struct obj_reader *r, u32 sec, u32 start); /* index or -1 */

#endif
