/*
 * machine.h - what objects ask of the machine: its types, its configuration, what this build has
 */
#ifndef UBPFFS_OBJECT_MACHINE_H
#define UBPFFS_OBJECT_MACHINE_H

#include "util/types.h"

/* The kernel's types: the path of raw BTF or of an ELF file that has it. Before the first load. */
void bpf_core_set_kernel_btf(const char *path);
int bpf_core_try_kernel_btf(void); /* can it be read? 0 or -errno */

/*
 * What this build has of the kernel's enumerations, for programs that ask. Before the first load.
 */
struct bpf_core_features {
	bool (*has_func)(u32 id);
	bool (*has_map)(u32 type);
	bool (*has_prog)(u32 type);
};
void bpf_core_set_features(const struct bpf_core_features *features);

#endif
