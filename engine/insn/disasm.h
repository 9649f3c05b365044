/*
 * disasm.h - instructions as text, in the kernel's style (kernel/bpf/disasm.c prints the same)
 */
#ifndef UBPFFS_INSN_DISASM_H
#define UBPFFS_INSN_DISASM_H

#include "insn/insn.h"

/*
 * Names for what an instruction refers to. Each returns NULL for "print the number". May be NULL.
 */
struct bpf_disasm_cbs {
	const char *(*call_name)(void *priv, const struct bpf_insn *insn, char *buf, size_t len);
	const char *(*imm64)(void *priv, const struct bpf_insn *insn, u64 imm, char *buf,
			     size_t len);
	void *priv;
};

/*
 * bpf_disasm - print one instruction, without its index and without a newline: "(b7) r0 = 0"
 *
 * LD_IMM64 reads insn[1]. An instruction that does not decode prints its code and "BUG_%02x" as the
 * kernel does. Returns the length as snprintf().
 */
int bpf_disasm(const struct bpf_insn *insn, const struct bpf_disasm_cbs *cbs, char *buf,
	       size_t len);

#endif
