/*
 * classic_rows.h - classic programs, what they run on, and what must come out
 *
 * RUN rows: the program is accepted and returns `want` on the data, which is all of the packet: no
 * link header, no device, as a datagram on an AF_UNIX socket. NO rows: refused. The rows are run by
 * test_classic_convert.c, and by diff_classic.c on the running kernel and libpcap.
 */
#ifndef UBPFFS_TESTS_CLASSIC_ROWS_H
#define UBPFFS_TESTS_CLASSIC_ROWS_H

#include <linux/filter.h>
#include "util/compat.h"

struct classic_row {
	const char *name;
	const struct sock_filter *insns;
	u32 cnt;
	const char *data;
	u32 len;
	bool refused;
	bool linux_only; /* libpcap's interpreter has another answer, or none */
	u32 want;
};

#define S(code, k)	   BPF_STMT(code, k)
#define J(code, k, jt, jf) BPF_JUMP(BPF_JMP | (code), k, jt, jf)
#define LD(size, k)	   S(BPF_LD | BPF_##size | BPF_ABS, k)
#define LDI(size, k)	   S(BPF_LD | BPF_##size | BPF_IND, k)
#define LDA(k)		   S(BPF_LD | BPF_IMM, k)
#define LDXI(k)		   S(BPF_LDX | BPF_IMM, k)
#define LDM(k)		   S(BPF_LD | BPF_MEM, k)
#define LDXM(k)		   S(BPF_LDX | BPF_MEM, k)
#define MSH(k)		   S(BPF_LDX | BPF_B | BPF_MSH, k)
#define ST(k)		   S(BPF_ST, k)
#define STX(k)		   S(BPF_STX, k)
#define ALUK(op, k)	   S(BPF_ALU | BPF_##op | BPF_K, k)
#define ALUX(op)	   S(BPF_ALU | BPF_##op | BPF_X, 0)
#define TAX		   S(BPF_MISC | BPF_TAX, 0)
#define TXA		   S(BPF_MISC | BPF_TXA, 0)
#define RETK(k)		   S(BPF_RET | BPF_K, k)
#define RETA		   S(BPF_RET | BPF_A, 0)
#define JA(k)		   J(BPF_JA, k, 0, 0)
#define ANC(name)	   LD(W, (u32)(SKF_AD_OFF + SKF_AD_##name))

#define BYTES "\x45\x00\x01\x02\x83\x84\x85\x86\x87\x88\xff\xfe\x0d\x0e\x0f\x10"

#define PROG(...)                                         \
	.insns = (const struct sock_filter[])__VA_ARGS__, \
	.cnt = sizeof((struct sock_filter[])__VA_ARGS__) / sizeof(struct sock_filter)
#define ON(text) .data = (text), .len = sizeof(text) - 1
#define RUN(text, result, ...)                                                      \
	{                                                                           \
		.name = (text), ON(BYTES), .want = (u32)(result), PROG(__VA_ARGS__) \
	}
#define RUN_LINUX(text, result, ...)                                                  \
	{                                                                             \
		.name = (text), ON(BYTES), .want = (u32)(result), .linux_only = true, \
		PROG(__VA_ARGS__)                                                     \
	}
#define RUN_ON(text, bytes, result, ...)                                            \
	{                                                                           \
		.name = (text), ON(bytes), .want = (u32)(result), PROG(__VA_ARGS__) \
	}
#define NO(text, ...)                                              \
	{                                                          \
		.name = (text), .refused = true, PROG(__VA_ARGS__) \
	}

/* A op B, both ways of saying it. */
#define ALU_ROWS(op, a, b, result)                          \
	RUN(#op " k", result, {LDA(a), ALUK(op, b), RETA}), \
		RUN(#op " x", result, {LDXI(b), LDA(a), ALUX(op), RETA})
/* A cond B: 1 where it holds, 2 where not. */
#define JMP_ROWS(op, a, b, holds)                                                                 \
	RUN(#op " k", (holds) ? 1 : 2, {LDA(a), J(BPF_##op | BPF_K, b, 0, 1), RETK(1), RETK(2)}), \
		RUN(#op " x", (holds) ? 1 : 2,                                                    \
		    {LDXI(b), LDA(a), J(BPF_##op | BPF_X, 0, 0, 1), RETK(1), RETK(2)}),           \
		RUN(#op " k, other way", (holds) ? 1 : 2,                                         \
		    {LDA(a), J(BPF_##op | BPF_K, b, 1, 0), RETK(2), RETK(1)})

static const struct classic_row classic_rows[] = {
	/* ---- results */
	RUN("ret k", 7, {RETK(7)}),
	RUN("ret k, all bits", 0xffffffff, {RETK(0xffffffff)}),
	RUN("ret 0", 0, {RETK(0)}),
	RUN("A is 0 at the start", 0, {RETA}),
	RUN("X is 0 at the start", 0, {TXA, RETA}),
	RUN("ld #k", 0x80000001, {LDA(0x80000001), RETA}),
	RUN("ldx #k", 0xfffffffe, {LDXI(0xfffffffe), TXA, RETA}),
	RUN("tax, txa", 9, {LDA(9), TAX, LDA(1), TXA, RETA}),
	RUN("ld len", 16, {S(BPF_LD | BPF_W | BPF_LEN, 0), RETA}),
	RUN("ldx len", 16, {S(BPF_LDX | BPF_W | BPF_LEN, 0), TXA, RETA}),
	RUN_ON("len of one byte", "x", 1, {S(BPF_LD | BPF_W | BPF_LEN, 0), RETA}),

	/* ---- the packet */
	RUN("ldb [0]", 0x45, {LD(B, 0), RETA}),
	RUN("ldb [10]", 0xff, {LD(B, 10), RETA}),
	RUN("ldb, last byte", 0x10, {LD(B, 15), RETA}),
	RUN("ldb, one beyond", 0, {LDA(5), LD(B, 16), RETK(3)}),
	RUN("ldh [1] is not aligned", 0x0001, {LD(H, 1), RETA}),
	RUN("ldh [4] is unsigned", 0x8384, {LD(H, 4), RETA}),
	RUN("ldh, last", 0x0f10, {LD(H, 14), RETA}),
	RUN("ldh, half beyond", 0, {LDA(5), LD(H, 15), RETK(3)}),
	RUN("ld [0]", 0x45000102, {LD(W, 0), RETA}),
	RUN("ld [4] has no sign", 0x83848586, {LD(W, 4), RETA}),
	RUN("ld [3] is not aligned", 0x02838485, {LD(W, 3), RETA}),
	RUN("ld, last", 0x0d0e0f10, {LD(W, 12), RETA}),
	RUN("ld, one byte beyond", 0, {LDA(5), LD(W, 13), RETK(3)}),
	RUN("ld, far beyond", 0, {LDA(5), LD(W, 0x7fffffff), RETK(3)}),
	RUN_LINUX("ld, offset with the sign bit", 0, {LDA(5), LD(W, 0x80000000), RETK(3)}),
	RUN_LINUX("ld, below all ranges", 0, {LDA(5), LD(W, 0xffdfffff), RETK(3)}),
	RUN("a load outside ends with 0, whatever A is", 0, {LDA(99), LD(B, 77), RETA}),
	RUN("ldb [x + 2]", 0x85, {LDXI(4), LDI(B, 2), RETA}),
	RUN("ldh [x + 2]", 0x8586, {LDXI(4), LDI(H, 2), RETA}),
	RUN("ld [x + 0]", 0x83848586, {LDXI(4), LDI(W, 0), RETA}),
	RUN("ld [x + 8], last", 0x0d0e0f10, {LDXI(4), LDI(W, 8), RETA}),
	RUN("ldb [x + k] beyond", 0, {LDXI(4), LDI(B, 12), RETK(1)}),
	RUN("ldh [x + k] half beyond", 0, {LDXI(4), LDI(H, 11), RETK(1)}),
	RUN("ld [x + k] beyond", 0, {LDXI(4), LDI(W, 9), RETK(1)}),
	RUN_LINUX("the sum of x and k wraps", 0x00, {LDXI(0xffffffff), LDI(B, 2), RETA}),
	RUN_LINUX("x counts down from k", 0x45, {LDXI(0xfffffffc), LDI(B, 4), RETA}),
	RUN("ind, x far out", 0, {LDXI(0x7fffffff), LDI(B, 0), RETK(1)}),
	RUN_LINUX("ind, an ancillary offset is only a number", 0,
		  {LDXI(0), LDI(W, (u32)SKF_AD_OFF), RETK(1)}),
	RUN("ldx 4*([0]&0xf)", 20, {MSH(0), TXA, RETA}),
	RUN("msh keeps A", 7, {LDA(7), MSH(0), RETA}),
	RUN("msh of 0xff", 60, {MSH(10), TXA, RETA}),
	RUN("msh of 0x00", 0, {MSH(1), TXA, RETA}),
	RUN("msh beyond", 0, {LDA(7), MSH(16), RETA}),
	RUN_LINUX("msh, then ind", 0x88, {MSH(0), LDI(B, 0xfffffff5), RETA}),

	/* ---- arithmetic */
	ALU_ROWS(ADD, 5, 7, 12),
	ALU_ROWS(ADD, 0xffffffff, 2, 1),
	ALU_ROWS(SUB, 5, 7, -2),
	ALU_ROWS(SUB, 0, 0x80000000, 0x80000000),
	ALU_ROWS(MUL, 0x10001, 0x10001, 0x20001),
	ALU_ROWS(MUL, 0xffffffff, 0xffffffff, 1),
	ALU_ROWS(DIV, 100, 7, 14),
	ALU_ROWS(DIV, 0xffffffff, 2, 0x7fffffff),
	ALU_ROWS(DIV, 7, 0xffffffff, 0),
	ALU_ROWS(MOD, 100, 7, 2),
	ALU_ROWS(MOD, 0xffffffff, 0x80000000, 0x7fffffff),
	ALU_ROWS(AND, 0xff00ff00, 0x0ff00ff0, 0x0f000f00),
	ALU_ROWS(AND, 0xffffffff, 0x80000000, 0x80000000),
	ALU_ROWS(OR, 0xff00, 0x80000001, 0x8000ff01),
	ALU_ROWS(XOR, 0xffffffff, 0x0f0f0f0f, 0xf0f0f0f0),
	ALU_ROWS(LSH, 1, 31, 0x80000000),
	ALU_ROWS(LSH, 0xffffffff, 0, 0xffffffff),
	ALU_ROWS(RSH, 0x80000000, 31, 1),
	ALU_ROWS(RSH, 0xffffffff, 4, 0x0fffffff),
	RUN("neg", -5, {LDA(5), S(BPF_ALU | BPF_NEG, 0), RETA}),
	RUN("neg 0", 0, {LDA(0), S(BPF_ALU | BPF_NEG, 0), RETA}),
	RUN("neg of the smallest", 0x80000000, {LDA(0x80000000), S(BPF_ALU | BPF_NEG, 0), RETA}),
	RUN("div by x = 0 ends with 0", 0, {LDA(5), ALUX(DIV), RETK(3)}),
	RUN("mod by x = 0 ends with 0", 0, {LDA(5), ALUX(MOD), RETK(3)}),
	RUN_LINUX("shift by x = 32 is by 0", 5, {LDXI(32), LDA(5), ALUX(LSH), RETA}),
	RUN_LINUX("shift by x = 33 is by 1", 2, {LDXI(33), LDA(5), ALUX(RSH), RETA}),
	RUN("a chain of them", 42,
	    {LDA(3), ALUK(LSH, 4), ALUK(OR, 5), TAX, ALUK(SUB, 11), ALUK(AND, 0x3e), RETA}),
	RUN("the upper half stays zero", 1,
	    {LDA(0xffffffff), ALUK(ADD, 1), J(BPF_JEQ | BPF_K, 0, 0, 1), RETK(1), RETK(2)}),

	/* ---- the scratch words */
	RUN("st, ld", 11, {LDA(11), ST(0), LDA(1), LDM(0), RETA}),
	RUN("st, ld the last word", 11, {LDA(11), ST(15), LDA(1), LDM(15), RETA}),
	RUN("stx, ldx", 0xdeadbeef, {LDXI(0xdeadbeef), STX(3), LDXI(0), LDXM(3), TXA, RETA}),
	RUN("words do not overlap", 0x30,
	    {LDA(0x10), ST(6), LDA(0x20), ST(7), LDA(0x40), ST(5), LDM(6), TAX, LDM(7), ALUX(ADD),
	     RETA}),
	RUN("both ways store", 6,
	    {LD(B, 0), J(BPF_JEQ | BPF_K, 0x45, 0, 2), LDA(6), JA(1), LDA(8), ST(2), LDM(2), RETA}),
	RUN("stored before the branch", 4,
	    {LDA(4), ST(1), LD(B, 1), J(BPF_JEQ | BPF_K, 0, 0, 1), LDM(1), RETA}),

	/* ---- jumps */
	JMP_ROWS(JEQ, 5, 5, true),
	JMP_ROWS(JEQ, 5, 6, false),
	JMP_ROWS(JEQ, 0xffffffff, 0xffffffff, true),
	JMP_ROWS(JEQ, 0x80000000, 0x80000000, true),
	JMP_ROWS(JGT, 6, 5, true),
	JMP_ROWS(JGT, 5, 5, false),
	JMP_ROWS(JGT, 0xffffffff, 1, true),
	JMP_ROWS(JGT, 1, 0xffffffff, false),
	JMP_ROWS(JGE, 5, 5, true),
	JMP_ROWS(JGE, 4, 5, false),
	JMP_ROWS(JGE, 0x80000000, 0x7fffffff, true),
	JMP_ROWS(JSET, 0x11, 0x10, true),
	JMP_ROWS(JSET, 0x11, 0x22, false),
	JMP_ROWS(JSET, 0x80000000, 0x80000000, true),
	RUN("ja 0", 1, {JA(0), RETK(1)}),
	RUN("ja over", 2, {JA(1), RETK(1), RETK(2)}),
	RUN("both ways to the next", 1, {J(BPF_JEQ | BPF_K, 0, 0, 0), RETK(1)}),
	RUN("both ways to one place", 2, {J(BPF_JGT | BPF_K, 0, 1, 1), RETK(1), RETK(2)}),
	RUN("both ways far", 3, {J(BPF_JGE | BPF_K, 1, 1, 2), RETK(1), RETK(2), RETK(3)}),
	RUN("jset, both ways far", 2,
	    {LDA(4), J(BPF_JSET | BPF_K, 4, 1, 2), RETK(1), RETK(2), RETK(3)}),
	RUN("jset to the next", 1, {LDA(4), J(BPF_JSET | BPF_K, 4, 0, 1), RETK(1), RETK(2)}),
	RUN("unreachable code", 1, {RETK(1), LDA(3), ALUK(ADD, 1), RETA}),
	RUN("unreachable branch", 1, {JA(2), J(BPF_JEQ | BPF_K, 1, 0, 1), LD(W, 0), RETK(1)}),
	RUN("unreachable word is not read", 1, {JA(1), LDM(3), RETK(1)}),

	/* ---- ancillary data of a packet that has none */
	RUN_LINUX("xor x", 6, {LDXI(3), LDA(5), ANC(ALU_XOR_X), RETA}),
	RUN_LINUX("xor x, by half-word", 6,
		  {LDXI(3), LDA(5), LD(H, (u32)(SKF_AD_OFF + SKF_AD_ALU_XOR_X)), RETA}),
	RUN_LINUX("xor x, by byte", 6,
		  {LDXI(3), LDA(5), LD(B, (u32)(SKF_AD_OFF + SKF_AD_ALU_XOR_X)), RETA}),
	RUN_LINUX("no device: ifindex ends with A", 7, {LDA(7), ANC(IFINDEX), RETK(1)}),
	RUN_LINUX("no device: hatype ends with A", 8, {LDA(8), ANC(HATYPE), RETK(1)}),
	RUN_LINUX("no protocol", 0, {LDA(7), ANC(PROTOCOL), RETA}),
	RUN_LINUX("to this host", 0, {LDA(7), ANC(PKTTYPE), RETA}),
	RUN_LINUX("no mark", 0, {LDA(7), ANC(MARK), RETA}),
	RUN_LINUX("no queue", 0, {LDA(7), ANC(QUEUE), RETA}),
	RUN_LINUX("no hash", 0, {LDA(7), ANC(RXHASH), RETA}),
	RUN_LINUX("no tag", 0, {LDA(7), ANC(VLAN_TAG), RETA}),
	RUN_LINUX("no tag present", 0, {LDA(7), ANC(VLAN_TAG_PRESENT), RETA}),
	RUN_LINUX("no tag protocol", 0, {LDA(7), ANC(VLAN_TPID), RETA}),
	RUN_LINUX("payload of no protocol", 0, {LDA(7), ANC(PAY_OFFSET), RETA}),
	RUN_LINUX("cpu is a number", 1,
		  {LDA(0xffffffff), ANC(CPU), J(BPF_JGE | BPF_K, 4096, 0, 1), RETK(2), RETK(1)}),
	RUN_LINUX("random is some number", 1,
		  {ANC(RANDOM), ALUK(RSH, 1), ALUK(LSH, 1), J(BPF_JSET | BPF_K, 1, 0, 1), RETK(2),
		   RETK(1)}),
	RUN_LINUX("cpu keeps X and the words", 12,
		  {LDA(9), ST(4), LDXI(3), ANC(CPU), LDM(4), ALUX(ADD), RETA}),

	/* ---- netlink attributes: {len, type, data}, in the machine's order */
	{.name = "nlattr",
	 .linux_only = true,
	 .want = 8,
	 ON("\x08\x00\x01\x00"
	    "abcd"
	    "\x06\x00\x02\x00"
	    "ef\0\0"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr, the first",
	 .linux_only = true,
	 .want = 4,
	 ON("abcd"
	    "\x08\x00\x01\x00"
	    "abcd"
	    "\x06\x00\x02\x00"
	    "ef\0\0"),
	 PROG({LDXI(1), LDA(4), ANC(NLATTR), RETA})},
	{.name = "nlattr, not there",
	 .linux_only = true,
	 .want = 0,
	 ON("\x08\x00\x01\x00"
	    "abcd"
	    "\x06\x00\x02\x00"
	    "ef\0\0"),
	 PROG({LDXI(3), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr, flags of the type do not count",
	 .linux_only = true,
	 .want = 8,
	 ON("\x08\x00\x01\x00"
	    "abcd"
	    "\x06\x00\x02\xc0"
	    "ef\0\0"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr, last is cut",
	 .linux_only = true,
	 .want = 0,
	 ON("\x08\x00\x01\x00"
	    "abcd"
	    "\x09\x00\x02\x00"
	    "ef\0\0"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr, empty and last",
	 .linux_only = true,
	 .want = 8,
	 ON("\x08\x00\x01\x00"
	    "abcd"
	    "\x04\x00\x02\x00"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr, offset too near to the end",
	 .linux_only = true,
	 .want = 0,
	 ON("\x08\x00\x01\x00"
	    "abcd"),
	 PROG({LDXI(1), LDA(5), ANC(NLATTR), RETA})},
	{.name = "nlattr, offset beyond",
	 .linux_only = true,
	 .want = 0,
	 ON("\x08\x00\x01\x00"
	    "abcd"),
	 PROG({LDXI(1), LDA(0xfffffff0), ANC(NLATTR), RETA})},
	{.name = "nlattr, length 0 ends the search",
	 .linux_only = true,
	 .want = 0,
	 ON("\x00\x00\x01\x00"
	    "\x04\x00\x01\x00"),
	 PROG({LDXI(1), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr in a short packet",
	 .linux_only = true,
	 .want = 0,
	 ON("abc"),
	 PROG({LDXI(1), LDA(0), ANC(NLATTR), RETA})},
	{.name = "nlattr_nest",
	 .linux_only = true,
	 .want = 12,
	 ON("\x14\x00\x05\x00"
	    "\x08\x00\x01\x00"
	    "abcd"
	    "\x08\x00\x02\x00"
	    "efgh"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR_NEST), RETA})},
	{.name = "nlattr_nest, not beyond the nest",
	 .linux_only = true,
	 .want = 0,
	 ON("\x0c\x00\x05\x00"
	    "\x08\x00\x01\x00"
	    "abcd"
	    "\x08\x00\x02\x00"
	    "efgh"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR_NEST), RETA})},
	{.name = "nlattr_nest, longer than the packet",
	 .linux_only = true,
	 .want = 0,
	 ON("\x15\x00\x05\x00"
	    "\x08\x00\x01\x00"
	    "abcd"
	    "\x08\x00\x02\x00"
	    "efgh"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR_NEST), RETA})},
	{.name = "nlattr_nest, empty",
	 .linux_only = true,
	 .want = 0,
	 ON("\x04\x00\x05\x00"
	    "\x08\x00\x02\x00"
	    "abcd"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR_NEST), RETA})},
	{.name = "nlattr_nest, shorter than its header",
	 .linux_only = true,
	 .want = 0,
	 ON("\x03\x00\x05\x00"
	    "\x08\x00\x02\x00"
	    "abcd"),
	 PROG({LDXI(2), LDA(0), ANC(NLATTR_NEST), RETA})},

	/* ---- refused: instructions */
	NO("code 0xff", {S(0xff, 0), RETK(0)}),
	NO("code above a byte", {S(0x106, 0), RETK(0)}),
	NO("ld of 8 bytes", {S(BPF_LD | 0x18 | BPF_ABS, 0), RETK(0)}),
	NO("ldx [k]", {S(BPF_LDX | BPF_W | BPF_ABS, 0), RETK(0)}),
	NO("ldx [x + k]", {S(BPF_LDX | BPF_W | BPF_IND, 0), RETK(0)}),
	NO("msh of a word", {S(BPF_LDX | BPF_W | BPF_MSH, 0), RETK(0)}),
	NO("ld msh", {S(BPF_LD | BPF_B | BPF_MSH, 0), RETK(0)}),
	NO("ldb len", {S(BPF_LD | BPF_B | BPF_LEN, 0), RETK(0)}),
	NO("neg x", {S(BPF_ALU | BPF_NEG | BPF_X, 0), RETK(0)}),
	NO("an alu operation beyond xor", {S(BPF_ALU | 0xb0, 1), RETK(0)}),
	NO("jne", {J(BPF_JNE | BPF_K, 0, 0, 0), RETK(0)}),
	NO("ja x", {J(BPF_JA | BPF_X, 0, 0, 0), RETK(0)}),
	NO("ret x", {S(BPF_RET | BPF_X, 0)}),
	NO("64-bit sub", {S(BPF_ALU64 | BPF_SUB | BPF_K, 1), RETK(0)}),
	NO("a misc operation that is none", {S(BPF_MISC | 0x40, 0), RETK(0)}),
	NO("st with a mode", {S(BPF_ST | BPF_MEM, 0), RETK(0)}),
	/* constants */
	NO("div by the constant 0", {ALUK(DIV, 0), RETA}),
	NO("mod by the constant 0", {ALUK(MOD, 0), RETA}),
	NO("also where it is never reached", {RETK(0), ALUK(DIV, 0), RETA}),
	NO("lsh 32", {ALUK(LSH, 32), RETA}),
	NO("rsh 32", {ALUK(RSH, 32), RETA}),
	NO("rsh of a large number", {ALUK(RSH, 0x80000000), RETA}),
	/* the scratch words */
	NO("st 16", {ST(16), RETK(0)}),
	NO("stx 16", {STX(16), RETK(0)}),
	NO("ld M[16]", {LDM(16), RETK(0)}),
	NO("ldx M[large]", {LDXM(0xffffffff), RETK(0)}),
	NO("read before written", {LDM(0), RETA}),
	NO("ldx, read before written", {LDXM(15), RETA}),
	NO("another word was written", {ST(1), LDM(2), RETA}),
	NO("written on one way only", {J(BPF_JEQ | BPF_K, 0, 0, 1), ST(3), LDM(3), RETA}),
	NO("written on the other way only", {J(BPF_JEQ | BPF_K, 0, 1, 0), ST(3), LDM(3), RETA}),
	NO("jumped over", {JA(1), ST(3), LDM(3), RETA}),
	NO("what a RET did not write is missing after it",
	   {J(BPF_JEQ | BPF_K, 0, 0, 2), ST(3), JA(1), RETK(0), LDM(3), RETA}),
	/* jumps */
	NO("ja to the end", {JA(1), RETK(0)}),
	NO("ja far", {JA(0xffffffff), RETK(0)}),
	NO("ja that would be backward", {RETK(0), JA(0xfffffffe), RETK(0)}),
	NO("jt to the end", {J(BPF_JEQ | BPF_K, 0, 1, 0), RETK(0)}),
	NO("jf to the end", {J(BPF_JEQ | BPF_K, 0, 0, 1), RETK(0)}),
	NO("jt of 255", {J(BPF_JSET | BPF_X, 0, 255, 0), RETK(0)}),
	/* the end */
	NO("does not end with RET", {LDA(1)}),
	NO("ends with a jump", {RETK(0), JA(0)}),
	NO("ends with a branch", {RETK(0), J(BPF_JEQ | BPF_K, 0, 0, 0)}),
	/* ancillary offsets */
	NO("between two of them", {LD(W, (u32)SKF_AD_OFF + 1), RETA}),
	NO("the first beyond", {LD(W, (u32)SKF_AD_OFF + SKF_AD_MAX), RETA}),
	NO("the largest offset", {LD(B, 0xffffffff), RETA}),
};

#endif
