/*
 * kconfig.h - the configuration of the running kernel, for externs of objects
 */
#ifndef UBPFFS_OBJECT_READ_KCONFIG_H
#define UBPFFS_OBJECT_READ_KCONFIG_H

#include "object/elf/reader.h"

/*
 * kconfig_value - the value of one extern, as its BTF type takes it
 *
 * CONFIG_* is looked up in the kernel's configuration, LINUX_* is calculated. A weak one that is
 * not there is 0; a strong one is refused. 0, -ENOTSUP, -EINVAL (a value that the type cannot
 * hold), or an error of reading.
 */
int kconfig_value(struct obj_reader *r, const char *name, u32 type, bool weak, void *to, u32 size);

/* Another file than the running kernel's configuration; for tests. */
void bpf_object_set_kconfig(const char *path);

#endif
