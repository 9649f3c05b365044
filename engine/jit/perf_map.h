/*
 * perf_map.h - where native code lies, told to profilers
 *
 * Each compiled function appends a line to the file that was set: begin and size in hexadecimal,
 * and a name as the kernel's, bpf_prog_<tag>_<function>. Nothing is taken back: whose code came to
 * the same place later says so in a later line.
 */
#ifndef UBPFFS_JIT_PERF_MAP_H
#define UBPFFS_JIT_PERF_MAP_H

#include "core/prog.h"

/*
 * Before the first program is compiled. fd is borrowed for good, and open for appending. Programs
 * get memory that profilers ask this file about (execmem_use_no_files()).
 */
void bpf_jit_perf_map(int fd);

/* For jit.c. offs: where each instruction's code begins in the `len` bytes at addr. */
void perf_map_add(const struct bpf_prog *prog, const void *addr, const u32 *offs, u32 len);

#endif
