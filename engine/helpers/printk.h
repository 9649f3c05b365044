/*
 * printk.h - formatted output of programs
 */
#ifndef UBPFFS_HELPERS_PRINTK_H
#define UBPFFS_HELPERS_PRINTK_H

#include "insn/func.h"

#define BPF_FORMAT_MAX_ARGS 12

/* Is this a format that `arg_cnt` arguments are enough for? 0 or -EINVAL. */
int bpf_format_check(const char *fmt, u32 arg_cnt);

extern const struct bpf_func_proto bpf_trace_printk_proto;
extern const struct bpf_func_proto bpf_trace_vprintk_proto;
extern const struct bpf_func_proto bpf_snprintf_proto;

#endif
