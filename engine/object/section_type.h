/*
 * section_type.h - which program type a SEC() name means
 */
#ifndef UBPFFS_OBJECT_SECTION_TYPE_H
#define UBPFFS_OBJECT_SECTION_TYPE_H

#include "util/compat.h"

/* Program type of a SEC() name, libbpf's conventions. 0, or -ENOENT when the name says nothing. */
int bpf_section_type(const char *section, enum bpf_prog_type *type,
		     enum bpf_attach_type *attach_type);
/* The same of what a person calls a type: such a name, or the type's own (sched_cls). */
int bpf_named_type(const char *name, enum bpf_prog_type *type, enum bpf_attach_type *attach_type);

#endif
