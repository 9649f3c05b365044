/*
 * btf_info.h - what a caller says about its program or map beside the types
 */
#ifndef UBPFFS_CORE_BTF_INFO_H
#define UBPFFS_CORE_BTF_INFO_H

#include "btf/btf.h"
#include "core/map.h"
#include "core/prog.h"

struct bpf_log;

/*
 * What bpf(2) asks of the records beside a program: functions begin where the instructions say and
 * have types, lines rise and have strings. -EINVAL, and the kernel's sentence in the log.
 */
int bpf_btf_check_info(const struct bpf_btf *btf, const struct bpf_insn *insns, u32 insn_cnt,
		       const struct bpf_func_info *funcs, u32 func_cnt,
		       const struct bpf_line_info *lines, u32 line_cnt, struct bpf_log *log);
/*
 * May a map have these types? The sizes agree, and an array's key is a number. -EINVAL. Else 0, and
 * where a value's lock ends (0: it has none), or what bpf_btf_find_spin_lock() fails with.
 */
int bpf_btf_check_map(const struct bpf_btf *btf, struct bpf_map_spec *spec);

struct bpf_line { /* borrowed from the program's types */
	const char *text; /* without the blanks before it */
	const char *file; /* without directories */
	u32 number;
};

/*
 * The source line of an instruction of orig_insns. False where it has none, or the one at *last: a
 * listing begins with NULL there and shows each line once.
 */
bool bpf_btf_next_line(const struct bpf_prog *prog, u32 insn, const struct bpf_line_info **last,
		       struct bpf_line *line);

#endif
