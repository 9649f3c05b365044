/*
 * rows_call.h - bpf-to-bpf calls: arguments, frames, stack of the callers, depth, dead functions
 */

/* A chain of `depth` functions, each of which calls the next; each uses `stack` bytes. */
static int call_chain(struct bpf_insn *insns, int depth, int stack)
{
	int n = 0;

	for (int i = 0; i < depth; i++) {
		if (stack)
			insns[n++] = (struct bpf_insn)ST(B, FP, -stack, 0);
		if (i + 1 < depth)
			insns[n++] = (struct bpf_insn)SUB(1);
		else
			insns[n++] = (struct bpf_insn)MOVK(R0, 9);
		insns[n++] = (struct bpf_insn)EXIT;
	}
	return n;
}

static int call_chain_8(struct bpf_insn *insns, int max)
{
	return call_chain(insns, 8, 0);
}

static int call_chain_9(struct bpf_insn *insns, int max)
{
	return call_chain(insns, 9, 0);
}

static int call_chain_8_by_64(struct bpf_insn *insns, int max)
{
	return call_chain(insns, 8, 64);
}

static int call_chain_5_by_128(struct bpf_insn *insns, int max)
{
	return call_chain(insns, 5, 128);
}

static const struct row rows_call[] = {
	RETURNS("call a function", TC, 9, SUB(1), EXIT, RET(9)),
	RETURNS("arguments and result", TC, 12, MOVK(R1, 3), MOVK(R2, 4), SUB(1), EXIT, MOV(R0, R1),
		ALUX(MUL, R0, R2), EXIT),
	RETURNS("all five arguments", TC, 15, MOVK(R1, 1), MOVK(R2, 2), MOVK(R3, 3), MOVK(R4, 4),
		MOVK(R5, 5), SUB(1), EXIT, MOV(R0, R1), ADDX(R0, R2), ADDX(R0, R3), ADDX(R0, R4),
		ADDX(R0, R5), EXIT),
	FAILS("an argument that the caller did not set", TC, EACCES, "R2 !read_ok", SUB(1), EXIT,
	      MOV(R0, R2), EXIT),
	FAILS("callee-saved registers are not seen by the callee", TC, EACCES, "R6 !read_ok",
	      MOVK(R6, 1), SUB(1), EXIT, MOV(R0, R6), EXIT),
	RETURNS("callee-saved registers come back", TC, 6, MOVK(R6, 6), SUB(2), MOV(R0, R6), EXIT,
		MOVK(R6, 99), RET(0)),
	FAILS("R1 after the call", TC, EACCES, "R1 !read_ok", MOVK(R1, 1), SUB(2), MOV(R0, R1),
	      EXIT, RET(0)),
	FAILS("a function that sets no R0, and its caller reads it", TC, EACCES, "R0 !read_ok",
	      SUB(1), EXIT, EXIT),
	RETURNS("the context as an argument", TC, 74, SUB(1), EXIT, LDX(W, R0, R1, SKB(len)), EXIT),
	RETURNS("the caller's stack as an argument", TC, 7, ST(DW, FP, -8, 7), MOV(R1, FP),
		ADD(R1, -8), SUB(1), EXIT, LDX(DW, R0, R1, 0), EXIT),
	RETURNS("the callee writes the caller's stack", TC, 8, ST(DW, FP, -8, 7), MOV(R1, FP),
		ADD(R1, -8), SUB(2), LDX(DW, R0, FP, -8), EXIT, ST(DW, R1, 0, 8), RET(0)),
	FAILS("the callee writes above the caller's frame", TC, EACCES, "invalid write to stack",
	      MOV(R1, FP), SUB(1), EXIT, ST(DW, R1, 0, 8), RET(0)),
	RETURNS("each function has a frame of its own", TC, 7, ST(DW, FP, -8, 7), SUB(2),
		LDX(DW, R0, FP, -8), EXIT, ST(DW, FP, -8, 1), RET(0)),
	FAILS("the callee's stack returned", TC, EINVAL,
	      "cannot return stack pointer to the caller", SUB(2), LDX(DW, R0, R0, 0), EXIT,
	      MOV(R0, FP), ADD(R0, -8), ST(DW, R0, 0, 1), EXIT),
	FAILS("the callee's stack stored for the caller", TC, EINVAL,
	      "cannot spill pointers to stack into stack frame of the caller", ST(DW, FP, -8, 7),
	      MOV(R1, FP), ADD(R1, -8), SUB(1), EXIT, STX(DW, R1, FP, 0), RET(0)),
	RETURNS("a map value as an argument and a result", TC, 0, LOOKUP(HASH8), JK(JNE, R0, 0, 2),
		RET(0), MOV(R1, R0), SUB(2), LDX(DW, R0, R0, 0), EXIT, MOV(R0, R1), EXIT),
	RETURNS("a nullable result tested by the caller", TC, 0, SUB(5), JK(JNE, R0, 0, 2), RET(0),
		LDX(DW, R0, R0, 0), EXIT, LOOKUP(HASH8), EXIT),
	FAILS("a nullable result not tested", TC, EACCES, "invalid mem access 'map_value_or_null'",
	      SUB(2), LDX(DW, R0, R0, 0), EXIT, LOOKUP(HASH8), EXIT),
	RETURNS("a nullable argument tested by the callee", TC, 0, LOOKUP(HASH8), MOV(R1, R0),
		SUB(1), EXIT, JK(JNE, R1, 0, 2), RET(0), LDX(DW, R0, R1, 0), EXIT),
	RETURNS("a packet pointer tested by the callee", TC, 0x45, PACKET_SKB, MOV(R1, R2),
		MOV(R2, R3), SUB(1), EXIT, MOV(R4, R1), ADD(R4, 34), JX(JLE, R4, R2, 2), RET(0),
		LDX(B, R0, R1, 14), EXIT),
	FAILS("packet pointers are stale after a callee that pulls", TC, EACCES,
	      "invalid mem access 'scalar'", MOV(R6, R1), PACKET_SKB, MOV(R7, R2), MOV(R4, R2),
	      ADD(R4, 34), JX(JLE, R4, R3, 2), RET(0), SUB(2), LDX(B, R0, R7, 0), EXIT, MOVK(R2, 0),
	      CALL(skb_pull_data), RET(0)),
	RETURNS("bounds come back from the callee", TC, 0, RANDOM(R1), SUB(5), JK(JGT, R0, 7, 2),
		RET(0), NEVER, EXIT, MOV(R0, R1), ALU(AND, R0, 7), EXIT),
	RETURNS("two calls of one function", TC, 30, MOVK(R1, 10), SUB(5), MOV(R6, R0), MOVK(R1, 5),
		SUB(2), ADDX(R0, R6), EXIT, MOV(R0, R1), ALU(LSH, R0, 1), EXIT),
	RETURNS("a function called from a function", TC, 4, SUB(1), EXIT, SUB(2), ADD(R0, 1), EXIT,
		RET(3)),
	FAILS("a jump over a function", TC, EINVAL, "jump out of range", JA(2), MOVK(R0, 3), EXIT,
	      SUB(-3), EXIT),
	FAILS("recursion", TC, E2BIG, "the call stack of 9 frames is too deep", SUB(1), EXIT,
	      SUB(-1), EXIT),
	FAILS("mutual recursion", TC, E2BIG, "the call stack of 9 frames is too deep", SUB(1), EXIT,
	      SUB(1), EXIT, SUB(-3), EXIT),
	FAILS("a call of the program itself", TC, E2BIG, "the call stack of 9 frames is too deep",
	      MOVK(R0, 0), JK(JEQ, R1, 0, 1), SUB(-3), EXIT),
	FAILS("a call beyond the end", TC, EINVAL, "call to invalid destination", SUB(5), EXIT),
	FAILS("a call before the start", TC, EINVAL, "call to invalid destination", SUB(-5), EXIT),
	FAILS("a function that falls into the next", TC, EINVAL, "last insn is not an exit or jmp",
	      SUB(1), EXIT, MOVK(R0, 1), SUB(1), SUB(0), EXIT),
	FAILS("a jump from one function into another", TC, EINVAL, "jump out of range", SUB(1),
	      EXIT, MOVK(R0, 0), JA(-3)),
	FAILS("a function that nobody calls", TC, EINVAL, "unreachable insn", RET(0), RET(1)),
	FAILS("a call into a 64-bit constant", TC, EINVAL, "last insn is not an exit or jmp",
	      SUB(2), EXIT, IMM64(R0, 0), EXIT),
	{.what = "eight frames", .type = TC, .run = true, .retval = 9, .gen = call_chain_8},
	{.what = "nine frames",
	 .type = TC,
	 .err = E2BIG,
	 .why = "the call stack of 9 frames is too deep",
	 .gen = call_chain_9},
	{.what = "512 bytes of stack in eight frames",
	 .type = TC,
	 .run = true,
	 .retval = 9,
	 .gen = call_chain_8_by_64},
	{.what = "more than 512 bytes of stack in five frames",
	 .type = TC,
	 .err = EACCES,
	 .why = "combined stack size of 5 calls is",
	 .gen = call_chain_5_by_128},
	RETURNS("a call on one way only", TC, 9, RANDOM(R1), MOVK(R0, 9), JK(JGT, R1, 7, 1), SUB(1),
		EXIT, RET(9)),
	FAILS("a subprogram with reserved fields", TC, EINVAL, "BPF_CALL uses reserved fields",
	      BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 4, 1), EXIT, RET(0)),
	FAILS("an unknown kind of call", TC, EINVAL, "unreachable insn 2",
	      BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 5, 0, 1), EXIT, RET(0)),
	FAILS("a tail call in a function without type information", TC, EINVAL,
	      "tail_call is not allowed in subprogs without BTF", SUB(1), EXIT, MAP(R2, PROGS),
	      MOVK(R3, 0), CALL(tail_call), RET(4)),

	/* ---- callers' frames */
	FAILS("frame: its own stack returned through two", TC, EINVAL,
	      "cannot return stack pointer to the caller", SUB(2), LDX(DW, R0, R0, 0), EXIT, SUB(1),
	      EXIT, ST(DW, FP, -8, 1), MOV(R0, FP), ADD(R0, -8), EXIT),
	FAILS("frame: its own stack left in a value and read back", TC, EACCES,
	      "R2 invalid mem access 'scalar'", SUB(5), VALUE(R1, ARRAY8, 0), LDX(DW, R2, R1, 0),
	      LDX(DW, R0, R2, -8), EXIT, VALUE(R1, ARRAY8, 0), STX(DW, R1, FP, 0), RET(0)),
	FAILS("frame: the caller's stack returned", TC, EINVAL,
	      "cannot return stack pointer to the caller", MOV(R1, FP), ST(DW, FP, -8, 5), SUB(2),
	      LDX(DW, R0, R0, -8), EXIT, MOV(R0, R1), EXIT),
	FAILS("frame: the caller's caller's stack returned", TC, EINVAL,
	      "cannot return stack pointer to the caller", MOV(R1, FP), ST(DW, FP, -8, 5), SUB(2),
	      LDX(DW, R0, R0, -8), EXIT, SUB(1), EXIT, MOV(R0, R1), EXIT),
	FAILS("frame: its stack stored two frames up", TC, EINVAL,
	      "cannot spill pointers to stack into stack frame of the caller", MOV(R1, FP),
	      ST(DW, FP, -8, 0), SUB(3), LDX(DW, R1, FP, -8), LDX(DW, R0, R1, 0), EXIT, SUB(1),
	      EXIT, STX(DW, R1, FP, -8), RET(0)),
	FAILS("frame: the caller's own stack pointer stored in its frame", TC, EINVAL,
	      "cannot spill pointers to stack into stack frame of the caller", MOV(R1, FP),
	      ST(DW, FP, -16, 7), SUB(3), LDX(DW, R1, FP, -8), LDX(DW, R0, R1, -16), EXIT,
	      STX(DW, R1, R1, -8), RET(0)),
	FAILS("frame: somewhere in the caller's", TC, EACCES, "R8 invalid mem access 'scalar'",
	      NUMBER, MOV(R1, FP), MOV(R2, R7), STX(DW, FP, R9, -16), SUB(3), LDX(DW, R8, FP, -16),
	      ST(B, R8, 0, 0), EXIT, ALU(AND, R2, 8), ADDX(R1, R2), ST(DW, R1, -24, 0), RET(0)),
	FAILS("frame: somewhere in the caller's, its bound", TC, EINVAL,
	      "math between map_value pointer and register with unbounded min value", NUMBER,
	      AT_MOST_40(R7), MOV(R1, FP), MOV(R2, R7), STX(DW, FP, R7, -16), SUB(5),
	      LDX(DW, R8, FP, -16), STORE_AT(R8), ALU(AND, R2, 8), ADDX(R1, R2),
	      ST(DW, R1, -24, 99), RET(0)),
	FAILS("frame: a callback's stack kept by the caller", TC, EACCES,
	      "R1 invalid mem access 'scalar'", ST(DW, FP, -8, 0), LOOP(1, 3), LDX(DW, R1, FP, -8),
	      LDX(DW, R0, R1, -8), EXIT, ST(DW, FP, -8, 1), STX(DW, R2, FP, 0), RET(0)),
	FAILS("frame: a callback's stack from its last turn", TC, EINVAL,
	      "cannot spill pointers to stack into stack frame of the caller", ST(DW, FP, -8, 0),
	      LOOP(2, 2), RET(0), LDX(DW, R3, R2, 0), JK(JEQ, R3, 0, 1), LDX(DW, R0, R3, -8),
	      ST(DW, FP, -8, 1), STX(DW, R2, FP, 0), RET(0)),
	RETURNS("frame: registers after a tail call that failed", TC, 74, MOV(R6, R1),
		MAP(R2, PROGS), MOVK(R3, 9), CALL(tail_call), LDX(W, R0, R6, SKB(len)), EXIT),
	FAILS("frame: R1 after a tail call that failed", TC, EACCES, "R1 !read_ok", MAP(R2, PROGS),
	      MOVK(R3, 9), CALL(tail_call), LDX(W, R0, R1, SKB(len)), EXIT),
};
