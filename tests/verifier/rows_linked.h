/*
 * rows_linked.h - registers that are known to have the same value, and what ends that
 *
 * R7 is a number of which nothing is known, R8 comes of it, and R9 points at 48 bytes. Then R7 is
 * compared. What that tells of R8 shows where R8 is an offset into the 48 bytes.
 */
#define NUMBER	     LOOKUP(ARRAY48), MOV(R9, R0), CALL(get_prandom_u32), MOV(R7, R0)
#define R7_TO_40     JK(JLE, R7, 40, 2), RET(0)
#define WRITE_BY_R8  ALU(AND, R8, 0x7f), ADDX(R9, R8), ST(B, R9, 0, 0), RET(0)
#define NOT_IN_VALUE "invalid access to map value"

/* R8 is the sign extension of the low bits of R7 by way of the stack; the sign bit is set. */
#define SIGNED_FILL(WHAT, SPILL, FILL, BITS)                                                     \
	STRICT(WHAT, TC, EACCES, NOT_IN_VALUE,                                                   \
	       "Linux takes the sign extension for the number itself, and the write leaves the " \
	       "value",                                                                          \
	       NUMBER, IMM64(R1, (1ULL << (BITS)) - 1), ALUX(AND, R7, R1),                       \
	       STX(SPILL, FP, R7, -16), LDSX(FILL, R8, FP, -16), IMM64(R5, 1ULL << ((BITS)-1)),  \
	       JX(JGE, R7, R5, 2), RET(0), ALU(RSH, R8, (BITS)-1), ALU(SUB, R8, 1), WRITE_BY_R8)

/* R7 is still a number to 40 when R8 was made of it so: the two are linked, or not. */
#define LINKED(WHAT, ...) RETURNS(WHAT, TC, 0, NUMBER, __VA_ARGS__, R7_TO_40, WRITE_BY_R8)
#define UNLINKED(WHAT, ...) \
	FAILS(WHAT, TC, EACCES, NOT_IN_VALUE, NUMBER, __VA_ARGS__, R7_TO_40, WRITE_BY_R8)

static const struct row rows_linked[] = {
	LINKED("a copy", MOV(R8, R7)),
	LINKED("a copy by way of the stack", STX(DW, FP, R7, -16), LDX(DW, R8, FP, -16)),

	/* ---- fills */
	SIGNED_FILL("a byte of a byte, with its sign", B, B, 8),
	SIGNED_FILL("a byte of eight, with its sign", DW, B, 8),
	SIGNED_FILL("two bytes of two, with their sign", H, H, 16),
	SIGNED_FILL("two bytes of eight, with their sign", DW, H, 16),
	SIGNED_FILL("four bytes of four, with their sign", W, W, 32),
	SIGNED_FILL("four bytes of eight, with their sign", DW, W, 32),
	SIGNED_FILL("a byte of four, with its sign", W, B, 8),
	SIGNED_FILL("two bytes of four, with their sign", W, H, 16),
	LINKED("a fill with a sign bit that is clear", ALU(AND, R7, 0x7f), STX(W, FP, R7, -16),
	       LDSX(B, R8, FP, -16)),
	LINKED("four bytes of a number of four", MOVW(R7, R7), STX(W, FP, R7, -16),
	       LDX(W, R8, FP, -16)),
	LINKED("a byte of a number of one", ALU(AND, R7, 0xff), STX(DW, FP, R7, -16),
	       LDX(B, R8, FP, -16)),
	UNLINKED("four bytes of eight", STX(DW, FP, R7, -16), LDX(W, R8, FP, -16)),
	UNLINKED("a byte of eight", STX(DW, FP, R7, -16), LDX(B, R8, FP, -16)),
	UNLINKED("a number that does not fit into its spill", STX(W, FP, R7, -16),
		 LDX(W, R8, FP, -16)),
	UNLINKED("a number of nine bits in a spill of a byte", ALU(AND, R7, 0x1ff),
		 STX(B, FP, R7, -16), LDX(B, R8, FP, -16)),
	UNLINKED("two bytes where one was spilled", ALU(AND, R7, 0xff), ST(H, FP, -16, 0x100),
		 STX(B, FP, R7, -16), LDX(H, R8, FP, -16)),
	UNLINKED("the second byte of a spill", STX(DW, FP, R7, -16), LDX(B, R8, FP, -15)),

	/* ---- the slot is written again */
	UNLINKED("a byte over the spill", STX(DW, FP, R7, -16), ST(B, FP, -13, 1),
		 LDX(DW, R8, FP, -16)),
	UNLINKED("a narrower spill over the spill", STX(DW, FP, R7, -16), ST(W, FP, -16, 1),
		 LDX(DW, R8, FP, -16)),
	UNLINKED("a byte somewhere over the spill", STX(DW, FP, R7, -16), MOV(R1, R7),
		 ALU(AND, R1, 7), ADDX(R1, FP), ST(B, R1, -16, 1), LDX(DW, R8, FP, -16)),
	UNLINKED("an atomic addition to the spill", STX(DW, FP, R7, -16), MOVK(R1, 50),
		 ATOMIC(DW, BPF_ADD, FP, R1, -16), LDX(DW, R8, FP, -16)),
	UNLINKED("an atomic exchange of the spill", STX(DW, FP, R7, -16), MOVK(R1, 50),
		 ATOMIC(DW, BPF_XCHG, FP, R1, -16), LDX(DW, R8, FP, -16)),
	FAILS("a helper that writes over the spill", TC, EACCES, NOT_IN_VALUE, MOV(R6, R1), NUMBER,
	      STX(DW, FP, R7, -16), MOV(R1, R6), MOVK(R2, 0), MOV(R3, FP), ADD(R3, -16),
	      MOVK(R4, 8), CALL(skb_load_bytes), LDX(DW, R8, FP, -16), R7_TO_40, WRITE_BY_R8),
	FAILS("a helper that writes over some of the spill", TC, EACCES, NOT_IN_VALUE, MOV(R6, R1),
	      NUMBER, STX(DW, FP, R7, -16), MOV(R1, R6), MOVK(R2, 0), MOV(R3, FP), ADD(R3, -14),
	      MOVK(R4, 2), CALL(skb_load_bytes), LDX(DW, R8, FP, -16), R7_TO_40, WRITE_BY_R8),

	/* ---- atomics that give the old value */
	LINKED("the old value is what was spilled", STX(DW, FP, R7, -16), MOVK(R8, 50),
	       ATOMIC(DW, BPF_XCHG, FP, R8, -16)),
	UNLINKED("the register that gets an old value", MOV(R8, R7), ST(DW, FP, -16, 99),
		 ATOMIC(DW, BPF_ADD | BPF_FETCH, FP, R8, -16)),
	UNLINKED("half of what was spilled as the old value", STX(DW, FP, R7, -16), MOVK(R8, 50),
		 ATOMIC(W, BPF_XCHG, FP, R8, -16)),
	UNLINKED("R0 of a compare and exchange", MOV(R0, R7), MOVK(R1, 1),
		 ATOMIC(DW, BPF_CMPXCHG, R9, R1, 8), MOV(R8, R0)),
	UNLINKED("R0 of a compare and exchange of four bytes", MOV(R0, R7), MOVK(R1, 1),
		 ATOMIC(W, BPF_CMPXCHG, R9, R1, 8), MOV(R8, R0)),

	/* ---- moves that change the value */
	UNLINKED("a move of four bytes", MOVW(R8, R7)),
	UNLINKED("a move of a byte with its sign", BPF_MOVSX64_REG(R8, R7, 8)),
	UNLINKED("a move of two bytes with their sign", BPF_MOVSX64_REG(R8, R7, 16)),
	UNLINKED("a move of four bytes with their sign", BPF_MOVSX64_REG(R8, R7, 32)),
	UNLINKED("a 32-bit move of a byte with its sign", MOVW(R7, R7), BPF_MOVSX32_REG(R8, R7, 8)),
	UNLINKED("a 32-bit move of two bytes with their sign", MOVW(R7, R7),
		 BPF_MOVSX32_REG(R8, R7, 16)),
	LINKED("a move of four bytes of a number of four", MOVW(R7, R7), MOVW(R8, R7)),
	LINKED("a move with a sign bit that is clear", ALU(AND, R7, 0x7f),
	       BPF_MOVSX64_REG(R8, R7, 8)),
	LINKED("a 32-bit move with a sign bit that is clear", ALU(AND, R7, 0x7f),
	       BPF_MOVSX32_REG(R8, R7, 8)),

	/* ---- arithmetic */
	UNLINKED("a copy that was shifted", MOV(R8, R7), ALU(LSH, R8, 1)),
	UNLINKED("a copy that was shifted back", MOV(R8, R7), ALU(LSH, R8, 32), ALU(RSH, R8, 32)),
	UNLINKED("a copy that was shifted with its sign", MOV(R8, R7), ALU(LSH, R8, 32),
		 ALU(ARSH, R8, 32)),
	UNLINKED("a copy that was swapped", MOV(R8, R7), BPF_ENDIAN(BPF_TO_BE, R8, 64)),
	UNLINKED("a copy that was cut to 32 bits", MOV(R8, R7), BPF_ENDIAN(BPF_TO_LE, R8, 32)),
	UNLINKED("a copy that was negated", MOV(R8, R7), BPF_NEG64(R8)),
	UNLINKED("a 32-bit addition of nothing cuts", MOV(R8, R7), ALUW(ADD, R8, 0)),
	UNLINKED("a 32-bit bit operation cuts", MOV(R8, R7), ALUW(OR, R8, 0)),
	LINKED("so much more", MOV(R8, R7), ADD(R8, 7)),
	FAILS("so much more than fits", TC, EACCES, NOT_IN_VALUE, NUMBER, MOV(R8, R7), ADD(R8, 8),
	      R7_TO_40, WRITE_BY_R8),
	UNLINKED("so much more, twice", MOV(R8, R7), ADD(R8, 3), ADD(R8, 3)),
	LINKED("so much more, by way of the stack", MOV(R8, R7), ADD(R8, 7), MOV(R6, R7),
	       STX(DW, FP, R6, -16), LDX(DW, R7, FP, -16)),
	UNLINKED("a spill of so much more begins anew", MOV(R8, R7), ADD(R8, 3),
		 STX(DW, FP, R8, -16), LDX(DW, R8, FP, -16)),
	UNLINKED("so much more with 32 bits, of a larger number", MOV(R8, R7), ALUW(ADD, R8, 3)),
	UNLINKED("so much more of an unknown much", MOV(R8, R7), LDX(B, R1, R9, 8), ADDX(R8, R1)),

	/* ---- a comparison of the low halves */
	FAILS("low halves say nothing of the upper ones", TC, EACCES, NOT_IN_VALUE, NUMBER,
	      MOV(R8, R7), JWK(JLE, R7, 40, 2), RET(0), ALU(RSH, R8, 30), WRITE_BY_R8),
	RETURNS("low halves say it of low halves", TC, 0, NUMBER, MOV(R8, R7), JWK(JLE, R7, 40, 2),
		RET(0), MOVW(R8, R8), WRITE_BY_R8),
	RETURNS("low halves of what is so much more", TC, 0, NUMBER, MOVW(R7, R7), MOV(R8, R7),
		ADD(R8, 7), JWK(JLE, R7, 40, 2), RET(0), WRITE_BY_R8),
};
