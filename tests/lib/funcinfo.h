/*
 * funcinfo.h - BTF for programs that are written as instructions: one FUNC for each function
 *
 * Linux gives functions that are called by helpers only to programs whose BTF names their
 * functions.
 */
#ifndef UBPFFS_TESTS_FUNCINFO_H
#define UBPFFS_TESTS_FUNCINFO_H

#include "btf/btf.h"
#include "core/prog.h"

#define FUNCINFO_MAX 64

struct funcinfo {
	struct bpf_btf *btf; /* NULL: nothing was made */
	struct bpf_func_info info[FUNCINFO_MAX];
	u32 cnt;
};

/*
 * Does the program take the address of a function? Then attr gets BTF: `int f(void)`, the main
 * program global, the others with this linkage.
 */
void funcinfo_add(struct funcinfo *f, struct bpf_prog_load_attr *attr, u32 linkage);
void funcinfo_free(struct funcinfo *f);

#endif
