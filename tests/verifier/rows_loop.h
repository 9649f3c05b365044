/*
 * rows_loop.h - bounded loops, the limits of complexity, long programs
 */

/* `max` minus a few moves, then an exit. */
static int long_program(struct bpf_insn *insns, int max)
{
	int n = 60000;

	for (int i = 0; i < n; i++)
		insns[i] = (struct bpf_insn)MOVK(R0, i & 0xff);
	insns[n] = (struct bpf_insn)EXIT;
	return n + 1;
}

/* A diamond doubles the number of paths; that both ways agree afterwards must be seen. */
static int many_diamonds(struct bpf_insn *insns, int max)
{
	int n = 0;

	for (int i = 0; i < 200; i++) {
		insns[n++] = (struct bpf_insn)LDX(W, R2, R1, 0);
		insns[n++] = (struct bpf_insn)JK(JSET, R2, 1 << (i % 31), 1);
		insns[n++] = (struct bpf_insn)MOVK(R0, 0);
		insns[n++] = (struct bpf_insn)MOVK(R0, 0);
	}
	insns[n++] = (struct bpf_insn)EXIT;
	return n;
}

/* A jump as far as 16 bits reach. */
static int far_jump(struct bpf_insn *insns, int max)
{
	int n = 0;

	insns[n++] = (struct bpf_insn)MOVK(R0, 1);
	insns[n++] = (struct bpf_insn)LDX(W, R2, R1, 0);
	insns[n++] = (struct bpf_insn)JK(JNE, R2, -1, 32767);
	for (int i = 0; i < 32767; i++)
		insns[n++] = (struct bpf_insn)ADD(R0, 0);
	insns[n++] = (struct bpf_insn)EXIT;
	return n;
}

/* The same with gotol, farther. */
static int farther_jump(struct bpf_insn *insns, int max)
{
	int n = 0;

	insns[n++] = (struct bpf_insn)MOVK(R0, 1);
	insns[n++] = (struct bpf_insn)LDX(W, R2, R1, 0);
	insns[n++] = (struct bpf_insn)JK(JEQ, R2, -1, 1);
	insns[n++] = (struct bpf_insn)BPF_JMP32_A(40000);
	for (int i = 0; i < 40000; i++)
		insns[n++] = (struct bpf_insn)ADD(R0, 0);
	insns[n++] = (struct bpf_insn)EXIT;
	return n;
}

static const struct row rows_loop[] = {
	RETURNS("count to ten", TC, 10, MOVK(R0, 0), ADD(R0, 1), JK(JLT, R0, 10, -2), EXIT),
	RETURNS("sum of a loop", TC, 55, MOVK(R0, 0), MOVK(R1, 10), ADDX(R0, R1), ALU(SUB, R1, 1),
		JK(JNE, R1, 0, -3), EXIT),
	RETURNS("a loop inside of a loop", TC, 50, MOVK(R0, 0), MOVK(R1, 5), MOVK(R2, 10),
		ADD(R0, 1), ALU(SUB, R2, 1), JK(JNE, R2, 0, -3), ALU(SUB, R1, 1),
		JK(JNE, R1, 0, -6), EXIT),
	RETURNS("the counter on the stack", TC, 5, ST(DW, FP, -8, 0), LDX(DW, R0, FP, -8),
		ADD(R0, 1), STX(DW, FP, R0, -8), JK(JLT, R0, 5, -4), EXIT),
	RETURNS("an unknown number of rounds, bounded", TC, 0, RANDOM(R6), ALU(AND, R6, 15),
		MOVK(R7, 0), JX(JGE, R7, R6, 2), ADD(R7, 1), JA(-3), RET(0)),
	FAILS("a loop without end", TC, EINVAL, "infinite loop detected", MOVK(R0, 0), RANDOM(R6),
	      JK(JNE, R6, 5, -1), EXIT),
	{.what = "a counter that never arrives",
	 .type = TC,
	 .err = E2BIG,
	 .quiet = true,
	 PROG(MOVK(R0, 0), ADD(R0, 2), JK(JNE, R0, 7, -2), EXIT)},
	FAILS("an unbounded loop over an unknown", TC, EINVAL, "infinite loop detected",
	      CALL(get_prandom_u32), JK(JNE, R0, 0, -2), EXIT),
	RETURNS("leave the loop from its middle", TC, 6, MOVK(R0, 0), ADD(R0, 1), JK(JEQ, R0, 6, 1),
		JK(JLT, R0, 100, -3), EXIT),
	RETURNS("a loop that walks the stack", TC, 0, MOVK(R1, 0), MOV(R2, FP), ADD(R2, -64),
		ADDX(R2, R1), ST(DW, R2, 0, 0), ADD(R1, 8), JK(JLT, R1, 64, -6),
		LDX(DW, R0, FP, -32), EXIT),
	FAILS("a loop that walks off the stack", TC, EACCES, "invalid write to stack", MOVK(R1, 0),
	      MOV(R2, FP), ADD(R2, -64), ADDX(R2, R1), ST(DW, R2, 0, 0), ADD(R1, 8),
	      JK(JLT, R1, 72, -6), RET(0)),
	RETURNS("a loop over the packet", TC, 0, PACKET_SKB, MOVK(R4, 0), MOVK(R5, 0), MOV(R0, R2),
		ADD(R0, 1), JX(JGT, R0, R3, 5), LDX(B, R0, R2, 0), ADDX(R5, R0), ADD(R2, 1),
		ADD(R4, 1), JK(JLT, R4, 32, -8), RET(0)),
	FAILS("a loop over the packet without a test", TC, EACCES, "invalid access to packet",
	      PACKET_SKB, MOVK(R4, 0), MOV(R0, R2), ADD(R0, 1), JX(JGT, R0, R3, 4), ADD(R2, 1),
	      LDX(B, R0, R2, 0), ADD(R4, 1), JK(JLT, R4, 8, -5), RET(0)),
	RETURNS("a call in a loop", TC, 8, MOVK(R6, 0), MOV(R1, R6), SUB(4), MOV(R6, R0),
		JK(JLT, R6, 8, -4), MOV(R0, R6), EXIT, MOV(R0, R1), ADD(R0, 1), EXIT),
	RETURNS("a helper in a loop", TC, 0, MOVK(R6, 0), CALL(get_prandom_u32), ADD(R6, 1),
		JK(JLT, R6, 20, -3), RET(0)),
	{.what = "sixty thousand instructions",
	 .type = TC,
	 .run = true,
	 .retval = 59999 & 0xff,
	 .gen = long_program},
	{.what = "many diamonds", .type = TC, .run = true, .gen = many_diamonds},
	{.what = "a jump of 32767", .type = TC, .run = true, .retval = 1, .gen = far_jump},
	{.what = "a gotol of 40000", .type = TC, .run = true, .retval = 1, .gen = farther_jump},
};
