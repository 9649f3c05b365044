/*
 * compat.h - <linux/bpf.h> plus what a 6.1 header lacks
 *
 * Every part of the engine includes this file instead of <linux/bpf.h>. Values are those of the
 * kernel's UAPI header (6.18) and of RFC 9669.
 */
#ifndef UBPFFS_UTIL_COMPAT_H
#define UBPFFS_UTIL_COMPAT_H

#include <linux/bpf.h>
#include "util/types.h"

#ifndef BPF_MEMSX
#define BPF_MEMSX 0x80 /* load with sign extension (ISA v4) */
#endif
#ifndef BPF_LOAD_ACQ
#define BPF_LOAD_ACQ  0x100
#define BPF_STORE_REL 0x110
#endif

/* Kernel-internal opcode: what a tail call becomes after rewriting. Never accepted from outside. */
#define BPF_TAIL_CALL 0xf0
/*
 * With BPF_ST, another one: the machine does nothing behind it before it knows that it comes here.
 */
#define BPF_NOSPEC    0xc0

#define MAX_BPF_STACK		   512 /* bytes of stack a frame */
#define MAX_CALL_FRAMES		   8 /* bpf-to-bpf nesting, the main program included */
#define MAX_TAIL_CALL_CNT	   33
#define BPF_COMPLEXITY_LIMIT_INSNS 1000000
#define BPF_MAX_SUBPROGS	   256
#define BPF_MAX_USED_MAPS	   64
#define BPF_MAX_VAR_OFF		   (1 << 29)
#define BPF_MAX_VAR_SIZ		   (1 << 29)

/* Registers: R0 to R10, and one for the rewriter and the JITs. */
#define MAX_BPF_REG	__MAX_BPF_REG
#define BPF_REG_AX	MAX_BPF_REG
#define MAX_BPF_EXT_REG (MAX_BPF_REG + 1)
#define BPF_REG_FP	BPF_REG_10

#endif
