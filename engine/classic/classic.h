/*
 * classic.h - classic BPF: programs of struct sock_filter, as tcpdump -ddd and SO_ATTACH_FILTER
 * have them
 *
 * The way of a filter: text or bytes -> bpf_check_classic() -> bpf_convert_filter() -> an eBPF
 * socket_filter that runs as any other. With maps and a verifier in the build (CONFIG_BPF_SYSCALL)
 * the converted program is verified and compiled; alone, the checker is the proof, as in Linux, and
 * the interpreter runs it.
 *
 * The machine: A and X of 32 bits, M[0..15], and the packet. It is converted to
 *	R0 = A   R7 = X   R6 = context   R8 = scratch   M[i] = the stack word at fp - 4 * (16 - i)
 * A load outside of the packet and a division by X = 0 end the program with 0.
 */
#ifndef UBPFFS_CLASSIC_CLASSIC_H
#define UBPFFS_CLASSIC_CLASSIC_H

#include <linux/filter.h>
#include "insn/func.h"
#include "util/log.h"

#ifndef SKF_AD_VLAN_TPID
#define SKF_AD_VLAN_TPID 60
#endif

struct bpf_prog;

/* Converted instructions that one classic instruction may become, and those in front of all. */
#define BPF_CLASSIC_EXPAND   6
#define BPF_CLASSIC_PROLOGUE 3
#define BPF_CLASSIC_MAX_EBPF (BPF_MAXINSNS * BPF_CLASSIC_EXPAND + BPF_CLASSIC_PROLOGUE)

/*
 * bpf_check_classic - may this program run?
 *
 * Exactly what Linux accepts for SO_ATTACH_FILTER: 1 to BPF_MAXINSNS known instructions, jumps
 * forward and inside, no M[] word read before every path to it has written it, no constant division
 * by 0 or shift by 32, known ancillary offsets, a RET at the end. 0 or -EINVAL, and `log` (may be
 * NULL) says which instruction and why.
 */
int bpf_check_classic(const struct sock_filter *filter, u32 flen, struct bpf_log *log);

/*
 * bpf_convert_filter - a checked program in eBPF
 *
 * out has room for BPF_CLASSIC_MAX_EBPF. What no path reaches is left out. orig (may be NULL, as
 * large) gets the classic instruction that each one came from. Returns how many there are, or
 * -EINVAL for a program that the checker refuses.
 */
int bpf_convert_filter(const struct sock_filter *filter, u32 flen, struct bpf_insn *out, u32 *orig);

/* The ancillary load of this instruction: its SKF_AD_* number, or -1 for another instruction. */
int bpf_anc_number(const struct sock_filter *insn);

#endif
