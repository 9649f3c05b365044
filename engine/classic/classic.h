/*
 * classic.h - classic BPF: programs of struct sock_filter, as tcpdump -ddd and SO_ATTACH_FILTER
 * have them
 *
 * The way of a filter: text or bytes -> bpf_check_classic() -> bpf_convert_filter() -> an eBPF
 * socket_filter that runs as any other. With maps and a verifier in the build (CONFIG_BPF_SYSCALL)
 * the converted program is verified and compiled; alone, the checker is the proof, as in Linux,
 * and the interpreter runs it.
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
 * forward and inside, no M[] word read before every path to it has written it, no constant
 * division by 0 or shift by 32, known ancillary offsets, a RET at the end. 0 or -EINVAL, and `log`
 * (may be NULL) says which instruction and why.
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

/* ---- text.c */

struct bpf_classic_text {
	char name[64]; /* of the first comment line, "" without one */
	struct sock_filter *insns; /* malloc()ed */
	u32 cnt;
};

/*
 * bpf_classic_text_parse - read what tcpdump -ddd prints
 *
 *	# NAME                  any number of comment lines; the first may name the program
 *	4                       the number of instructions
 *	40 0 0 12               code jt jf k, decimal, each line ended by a newline
 *	...
 *
 * Given the first `len` bytes of a stream: 1 and *end when the last line is complete at *end bytes
 * (<= len), and *out (freed by bpf_classic_text_free()); 0 when more is needed; -ENOEXEC for a
 * script (#!); -EINVAL as soon as the bytes are wrong (log says which line and why), -ENOMEM. What
 * follows the last line is not looked at.
 */
int bpf_classic_text_parse(const char *text, size_t len, size_t *end, struct bpf_classic_text *out,
			   struct bpf_log *log);
void bpf_classic_text_free(struct bpf_classic_text *text);
/* Could a stream that begins with this byte be such a text? */
bool bpf_classic_text_begins(char first);

/* ---- load.c, or alone/alone.c in a build without CONFIG_BPF_SYSCALL */

/*
 * bpf_prog_create - check, convert, make runnable
 *
 * 0 and one reference in *out; -EINVAL when the checker refuses it, -ENOMEM. Run it inside
 * bpf_run_enter() with a struct bpf_skb as its context.
 */
int bpf_prog_create(const struct sock_filter *filter, u32 flen, struct bpf_log *log,
		    struct bpf_prog **out);
void bpf_prog_destroy(struct bpf_prog *prog);

#endif
