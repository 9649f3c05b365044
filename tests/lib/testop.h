/*
 * testop.h - one instruction at a time: every row of the opcode table on boundary operands
 *
 * A test operation is one instruction with its registers, displacement and immediate.
 * testop_build() puts it into a program that takes two operands from its packet, does the
 * instruction, and writes every register, whether the branch was taken, and 16 bytes of memory back
 * to the packet. So one program serves all operand pairs, and what an instruction must leave alone
 * is checked, too. testop_expect() says what must come back; it is written without looking at any
 * engine.
 *
 * The same body runs in two frames: TESTOP_RAW, where R1 points to the packet (for an interpreter
 * or a JIT alone), and TESTOP_TC, a sched_cls program that passes the verifier, ours or the
 * kernel's.
 */
#ifndef UBPFFS_TESTS_TESTOP_H
#define UBPFFS_TESTS_TESTOP_H

#include "insn/insn.h"

#define TESTOP_MAX_INSNS 160

struct testop_out {
	u64 regs[10]; /* R0 to R9; a register that held an address is 0 */
	u64 taken; /* 1: the branch was taken */
	u64 mem[2];
};

struct testop_packet {
	u8 header[16]; /* zero: an Ethernet header of no protocol */
	u64 a, b; /* dst (or memory), src (or the comparand) */
	struct testop_out out;
};

struct testop {
	struct bpf_insn insn;
	const u64 (*pairs)[2]; /* operands to try */
	u32 pair_cnt;
	bool raw_only; /* the verifier refuses it: a constant shift too far, a constant divisor 0 */
};

enum testop_frame { TESTOP_RAW, TESTOP_TC };

/* Returns how many instructions were put into buf (TESTOP_MAX_INSNS are enough). */
u32 testop_build(const struct testop *op, enum testop_frame frame, struct bpf_insn *buf);
void testop_expect(const struct testop *op, u64 a, u64 b, struct testop_out *out);

/*
 * The reference alone: what an ALU instruction leaves in dst, whether a jump is taken. b is src or
 * imm.
 */
u64 testop_alu(const struct bpf_insn *insn, u64 a, u64 b);
bool testop_jump(const struct bpf_insn *insn, u64 a, u64 b);

enum {
	TESTOP_OPERANDS = 1, /* fixed registers, all boundary operands and immediates */
	TESTOP_REGISTERS = 2, /* all registers, some operands */
};

/* Calls fn for every operation of these kinds; returns how many there were. */
u32 testop_each(unsigned int kinds, void (*fn)(const struct testop *op, void *priv), void *priv);

/* "ALU64_DIV_X r3 r7 off=0 imm=0", for messages. Static storage of the thread. */
const char *testop_name(const struct testop *op);

#endif
