/*
 * testprog.c - the table; groups in the order of the opcode table, then helpers, maps, what is
 * refused
 */
#include "tests/lib/testprog.h"
#include "uapi/bpf_insn.h"

const u8 testprog_packet[74] = {
	/* Ethernet */
	0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2, 0x08, 0x00,
	/* IPv4: 60 bytes, TTL 64, TCP, 10.1.2.3 to 192.168.7.9 */
	0x45, 0x10, 0, 60, 0x12, 0x34, 0x40, 0, 64, 6, 0x55, 0x0c, 10, 1, 2, 3, 192, 168, 7, 9,
	/* TCP: 33333 to 443 */
	0x82, 0x35, 0x01, 0xbb, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x50, 0x18, 0x20, 0,
	0xaa, 0x55, 0, 0,
	/* payload */
	'u', 'b', 'p', 'f', 'f', 's', ' ', 0xff, 0xfe, 0x80, 0x7f, 0, 1, 2, 3, 4, 5, 6, 7, 8};

#define R0  BPF_REG_0
#define R1  BPF_REG_1
#define R2  BPF_REG_2
#define R3  BPF_REG_3
#define R4  BPF_REG_4
#define R5  BPF_REG_5
#define R6  BPF_REG_6
#define R7  BPF_REG_7
#define R8  BPF_REG_8
#define R9  BPF_REG_9
#define R10 BPF_REG_10

#define TC     .type = BPF_PROG_TYPE_SCHED_CLS
#define XDP    .type = BPF_PROG_TYPE_XDP
#define SOCKET .type = BPF_PROG_TYPE_SOCKET_FILTER
#define EGRESS .type = BPF_PROG_TYPE_CGROUP_SKB, .expected_attach_type = BPF_CGROUP_INET_EGRESS

#define CODE(...) .insns = {__VA_ARGS__}

#define ELEMS(...)                                            \
	.elems = (const struct testprog_elem[]){__VA_ARGS__}, \
	.elem_cnt =                                           \
		sizeof((const struct testprog_elem[]){__VA_ARGS__}) / sizeof(struct testprog_elem)

#define TAILS(...)                                            \
	.tails = (const struct testprog_tail[]){__VA_ARGS__}, \
	.tail_cnt =                                           \
		sizeof((const struct testprog_tail[]){__VA_ARGS__}) / sizeof(struct testprog_tail)

#define REFUSED(ERRNO, MESSAGE) .reject = (ERRNO), .why = MESSAGE

#define ARRAY_OF(N)                                                                                \
	{                                                                                          \
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = (N) \
	}
#define HASH_OF(N)                                                                                \
	{                                                                                         \
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = (N) \
	}
#define PROGS_OF(N)                                                                  \
	{                                                                            \
		.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, \
		.max_entries = (N)                                                   \
	}

#define RETURN(N) BPF_MOV64_IMM(R0, N), BPF_EXIT_INSN()

/*
 * R7 = packet, R8 = its end; falls through when N bytes are there, else returns 99. R6 keeps the
 * context.
 */
#define TC_PACKET(N)                                                                           \
	BPF_MOV64_REG(R6, R1), BPF_LDX_MEM(BPF_W, R7, R1, 76), BPF_LDX_MEM(BPF_W, R8, R1, 80), \
		BPF_MOV64_REG(R0, R7), BPF_ALU64_IMM(BPF_ADD, R0, N),                          \
		BPF_JMP_REG(BPF_JLE, R0, R8, 2), RETURN(99)
#define XDP_PACKET(N)                                                                        \
	BPF_MOV64_REG(R6, R1), BPF_LDX_MEM(BPF_W, R7, R1, 0), BPF_LDX_MEM(BPF_W, R8, R1, 4), \
		BPF_MOV64_REG(R0, R7), BPF_ALU64_IMM(BPF_ADD, R0, N),                        \
		BPF_JMP_REG(BPF_JLE, R0, R8, 2), RETURN(99)

/* R1 = map IX, R2 = &key (a constant, on the stack at -4); 5 instructions */
#define KEY(IX, K)                                                                     \
	BPF_ST_MEM(BPF_W, R10, -4, K), BPF_LD_MAP_IDX(R1, IX), BPF_MOV64_REG(R2, R10), \
		BPF_ALU64_IMM(BPF_ADD, R2, -4)
#define LOOKUP(IX, K) KEY(IX, K), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem)
/* update map IX: key K, value V; 9 instructions */
#define UPDATE(IX, K, V, FLAGS)                                              \
	BPF_ST_MEM(BPF_DW, R10, -16, V), KEY(IX, K), BPF_MOV64_REG(R3, R10), \
		BPF_ALU64_IMM(BPF_ADD, R3, -16), BPF_MOV64_IMM(R4, FLAGS),   \
		BPF_EMIT_CALL(BPF_FUNC_map_update_elem)
#define DELETE(IX, K) KEY(IX, K), BPF_EMIT_CALL(BPF_FUNC_map_delete_elem)

const struct testprog testprogs[] = {
	/* ---- constants and exits */
	{"return 0", TC, CODE(RETURN(0)), .retval = 0},
	{"return -1", TC, CODE(RETURN(-1)), .retval = 0xffffffff},
	{"ld_imm64 low", TC, CODE(BPF_LD_IMM64(R0, 0x1122334455667788), BPF_EXIT_INSN()),
	 .retval = 0x55667788},
	{"ld_imm64 high", TC,
	 CODE(BPF_LD_IMM64(R0, 0x9122334455667788), BPF_ALU64_IMM(BPF_RSH, R0, 32),
	      BPF_EXIT_INSN()),
	 .retval = 0x91223344},
	{"mov32 zeroes the upper half", TC,
	 CODE(BPF_MOV64_IMM(R0, -1), BPF_MOV32_REG(R0, R0), BPF_ALU64_IMM(BPF_RSH, R0, 32),
	      BPF_EXIT_INSN()),
	 .retval = 0},

	/* ---- packet loads of the classic kind; a TC packet starts at its Ethernet header */
	{"ld_abs byte", TC, CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, 23), BPF_EXIT_INSN()),
	 .retval = 6},
	{"ld_abs half", TC, CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_H, 36), BPF_EXIT_INSN()),
	 .retval = 443},
	{"ld_abs word", TC, CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_W, 26), BPF_EXIT_INSN()),
	 .retval = 0x0a010203},
	{"ld_abs past the end", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_W, 71), BPF_MOV64_IMM(R0, 5), BPF_EXIT_INSN()),
	 .retval = 0},
	{"ld_abs last word", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_W, 70), BPF_EXIT_INSN()), .retval = 0x05060708},
	{"ld_abs far past the end", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, INT32_MAX), BPF_MOV64_IMM(R0, 5),
	      BPF_EXIT_INSN()),
	 .retval = 0},
	{"ld_abs network header", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, -0x100000 + 9), BPF_EXIT_INSN()),
	 .retval = 6},
	{"ld_abs link header", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_H, -0x200000 + 12), BPF_EXIT_INSN()),
	 .retval = 0x800},
	{"ld_abs negative nowhere", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, -1), BPF_MOV64_IMM(R0, 5), BPF_EXIT_INSN()),
	 .retval = 0},
	{"ld_ind byte", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_MOV64_IMM(R7, 20), BPF_LD_IND(BPF_B, R7, 2),
	      BPF_EXIT_INSN()),
	 .retval = 64},
	{"ld_ind half, negative constant", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_MOV64_IMM(R7, 46), BPF_LD_IND(BPF_H, R7, -10),
	      BPF_EXIT_INSN()),
	 .retval = 443},
	{"ld_ind word, negative register", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_MOV64_IMM(R7, -4), BPF_LD_IND(BPF_W, R7, 30),
	      BPF_EXIT_INSN()),
	 .retval = 0x0a010203},
	{"ld_ind past the end", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_MOV64_IMM(R7, 70), BPF_LD_IND(BPF_W, R7, 1),
	      BPF_MOV64_IMM(R0, 5), BPF_EXIT_INSN()),
	 .retval = 0},
	{"ld_abs keeps R6 to R9", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_MOV64_IMM(R7, 70), BPF_MOV64_IMM(R8, 800),
	      BPF_MOV64_IMM(R9, 9000), BPF_LD_ABS(BPF_B, 23), BPF_ALU64_REG(BPF_ADD, R0, R7),
	      BPF_ALU64_REG(BPF_ADD, R0, R8), BPF_ALU64_REG(BPF_ADD, R0, R9),
	      BPF_LDX_MEM(BPF_W, R1, R6, 0), BPF_ALU64_REG(BPF_ADD, R0, R1), BPF_EXIT_INSN()),
	 .retval = 9876 + 74},
	{"socket filter sees the network header", SOCKET,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, 9), BPF_EXIT_INSN()), .retval = 6},
	{"socket filter length", SOCKET, CODE(BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_EXIT_INSN()),
	 .retval = 60},

	/* ---- direct packet access */
	{"packet read byte, half, word, double", TC,
	 CODE(TC_PACKET(74), BPF_LDX_MEM(BPF_B, R0, R7, 61), BPF_LDX_MEM(BPF_H, R1, R7, 60),
	      BPF_LDX_MEM(BPF_W, R2, R7, 59), BPF_LDX_MEM(BPF_DW, R3, R7, 58),
	      BPF_ALU64_REG(BPF_ADD, R0, R1), BPF_ALU64_REG(BPF_ADD, R0, R2),
	      BPF_ALU64_REG(BPF_XOR, R0, R3), BPF_EXIT_INSN()),
	 .retval = 0x2053f4},
	{"packet read with sign", TC,
	 CODE(TC_PACKET(74), BPF_LDX_MEMSX(BPF_B, R0, R7, 61), BPF_LDX_MEMSX(BPF_H, R1, R7, 62),
	      BPF_LDX_MEMSX(BPF_W, R2, R7, 60), BPF_ALU64_REG(BPF_ADD, R0, R1),
	      BPF_ALU64_REG(BPF_ADD, R0, R2), BPF_ALU64_IMM(BPF_ARSH, R0, 8), BPF_EXIT_INSN()),
	 .retval = 0xff80fe80},
	{"packet write", TC,
	 CODE(TC_PACKET(74), BPF_ST_MEM(BPF_B, R7, 54, 0x11), BPF_ST_MEM(BPF_H, R7, 56, 0x2222),
	      BPF_ST_MEM(BPF_W, R7, 60, 0x44444444), BPF_ST_MEM(BPF_DW, R7, 64, -2),
	      BPF_MOV64_IMM(R1, 0x7766), BPF_STX_MEM(BPF_H, R7, R1, 72), RETURN(1)),
	 .retval = 1},
	{"packet swap of addresses", TC,
	 CODE(TC_PACKET(34), BPF_LDX_MEM(BPF_W, R1, R7, 26), BPF_LDX_MEM(BPF_W, R2, R7, 30),
	      BPF_STX_MEM(BPF_W, R7, R2, 26), BPF_STX_MEM(BPF_W, R7, R1, 30), RETURN(0)),
	 .retval = 0},
	{"packet too short for the check", TC, CODE(TC_PACKET(75), RETURN(1)), .retval = 99},
	{"packet atomics", TC, CODE(TC_PACKET(74), RETURN(3)), .retval = 3},
	{"packet variable offset", TC,
	 /* The TCP destination port behind an IP header of IHL words. */
	 CODE(TC_PACKET(34), BPF_LDX_MEM(BPF_B, R1, R7, 14), BPF_ALU64_IMM(BPF_AND, R1, 15),
	      BPF_ALU64_IMM(BPF_LSH, R1, 2), BPF_MOV64_REG(R2, R7), BPF_ALU64_REG(BPF_ADD, R2, R1),
	      BPF_MOV64_REG(R3, R2), BPF_ALU64_IMM(BPF_ADD, R3, 14 + 4),
	      BPF_JMP_REG(BPF_JGT, R3, R8, 3), BPF_LDX_MEM(BPF_H, R0, R2, 14 + 2),
	      BPF_ENDIAN(BPF_TO_BE, R0, 16), BPF_EXIT_INSN(), RETURN(98)),
	 .retval = 443},
	{"xdp packet write and pass", XDP,
	 CODE(XDP_PACKET(14), BPF_LDX_MEM(BPF_W, R1, R7, 0), BPF_LDX_MEM(BPF_W, R2, R7, 6),
	      BPF_STX_MEM(BPF_W, R7, R2, 0), BPF_STX_MEM(BPF_W, R7, R1, 6), RETURN(3 /* XDP_TX */)),
	 .retval = 3},
	{"xdp length", XDP,
	 CODE(BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_LDX_MEM(BPF_W, R0, R1, 4),
	      BPF_ALU64_REG(BPF_SUB, R0, R2), BPF_EXIT_INSN()),
	 .retval = 74},
	{"xdp data_meta is data", XDP,
	 CODE(BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_LDX_MEM(BPF_W, R0, R1, 8),
	      BPF_ALU64_REG(BPF_SUB, R0, R2), BPF_EXIT_INSN()),
	 .retval = 0},
	{"cgroup egress reads the packet", EGRESS,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LDX_MEM(BPF_W, R7, R1, 76), BPF_LDX_MEM(BPF_W, R8, R1, 80),
	      BPF_MOV64_REG(R0, R7), BPF_ALU64_IMM(BPF_ADD, R0, 20),
	      BPF_JMP_REG(BPF_JLE, R0, R8, 2), RETURN(2), BPF_LDX_MEM(BPF_B, R1, R7, 9),
	      BPF_MOV64_IMM(R0, 0), BPF_JMP_IMM(BPF_JNE, R1, 6, 1), BPF_MOV64_IMM(R0, 1),
	      BPF_EXIT_INSN()),
	 .retval = 1},

	/* ---- the context */
	{"skb len", TC, CODE(BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_EXIT_INSN()), .retval = 74},
	{"skb protocol", TC, CODE(BPF_LDX_MEM(BPF_W, R0, R1, 16), BPF_EXIT_INSN()),
	 .retval = 0x0008},
	{"skb mark written and read", TC,
	 CODE(BPF_MOV64_IMM(R2, 0x1234567), BPF_STX_MEM(BPF_W, R1, R2, 8),
	      BPF_LDX_MEM(BPF_W, R0, R1, 8), BPF_EXIT_INSN()),
	 .retval = 0x1234567},
	{"skb cb written and read", TC,
	 CODE(BPF_MOV64_IMM(R2, 77), BPF_STX_MEM(BPF_W, R1, R2, 48),
	      BPF_ST_MEM(BPF_W, R1, 64, 1000), BPF_LDX_MEM(BPF_W, R0, R1, 48),
	      BPF_LDX_MEM(BPF_W, R2, R1, 64), BPF_ALU64_REG(BPF_ADD, R0, R2), BPF_EXIT_INSN()),
	 .retval = 1077},
	{"skb cb narrow read", TC,
	 CODE(BPF_ST_MEM(BPF_W, R1, 52, 0x44332211), BPF_LDX_MEM(BPF_B, R0, R1, 53),
	      BPF_LDX_MEM(BPF_H, R2, R1, 54), BPF_ALU64_REG(BPF_ADD, R0, R2), BPF_EXIT_INSN()),
	 .retval = 0x22 + 0x4433},
	{"skb fields beside the packet", TC,
	 CODE(BPF_LDX_MEM(BPF_W, R0, R1, 4), BPF_LDX_MEM(BPF_W, R2, R1, 12),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_LDX_MEM(BPF_W, R2, R1, 20),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_LDX_MEM(BPF_W, R2, R1, 24),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_LDX_MEM(BPF_W, R2, R1, 28),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_LDX_MEM(BPF_W, R2, R1, 32),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_LDX_MEM(BPF_W, R2, R1, 44),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_LDX_MEM(BPF_W, R2, R1, 72),
	      BPF_ALU64_REG(BPF_OR, R0, R2), BPF_EXIT_INSN()),
	 .retval = 3 /* PACKET_OTHERHOST */},
	{"xdp queue index", XDP, CODE(BPF_LDX_MEM(BPF_W, R0, R1, 16), BPF_EXIT_INSN()),
	 .retval = 0},

	/* ---- jumps and loops */
	{"jump over a double instruction", TC,
	 CODE(BPF_JMP_A(2), BPF_LD_IMM64(R0, 1), BPF_LD_IMM64(R0, 2), BPF_EXIT_INSN()),
	 .reject = EINVAL, .why = "unreachable insn"},
	{"goto", TC,
	 CODE(BPF_LDX_MEM(BPF_W, R1, R1, 0), BPF_MOV64_IMM(R0, 1), BPF_JMP_IMM(BPF_JEQ, R1, 0, 1),
	      BPF_JMP_A(2), BPF_MOV64_IMM(R0, 2), BPF_JMP_A(1), BPF_ALU64_IMM(BPF_ADD, R0, 4),
	      BPF_EXIT_INSN()),
	 .retval = 5},
	{"gotol", TC,
	 CODE(BPF_LDX_MEM(BPF_W, R1, R1, 0), BPF_MOV64_IMM(R0, 1), BPF_JMP_IMM(BPF_JEQ, R1, 0, 1),
	      BPF_JMP32_A(1), BPF_MOV64_IMM(R0, 2), BPF_EXIT_INSN()),
	 .retval = 1},
	{"sum of 1 to 500", TC,
	 CODE(BPF_MOV64_IMM(R0, 0), BPF_MOV64_IMM(R1, 500), BPF_ALU64_REG(BPF_ADD, R0, R1),
	      BPF_ALU64_IMM(BPF_SUB, R1, 1), BPF_JMP_IMM(BPF_JNE, R1, 0, -3), BPF_EXIT_INSN()),
	 .retval = 125250},
	{"loop with gotol back", TC,
	 CODE(BPF_MOV64_IMM(R0, 1), BPF_MOV64_IMM(R1, 20), BPF_ALU64_IMM(BPF_MUL, R0, 3),
	      BPF_ALU64_IMM(BPF_SUB, R1, 1), BPF_JMP_IMM(BPF_JEQ, R1, 0, 1), BPF_JMP32_A(-4),
	      BPF_EXIT_INSN()),
	 .retval = (u32)3486784401},
	{"loop bounded by a packet byte", TC,
	 CODE(TC_PACKET(74), BPF_LDX_MEM(BPF_B, R1, R7, 22), BPF_MOV64_IMM(R0, 0),
	      BPF_ALU64_IMM(BPF_ADD, R0, 2), BPF_ALU64_IMM(BPF_ADD, R1, -1),
	      BPF_JMP_IMM(BPF_JSGT, R1, 0, -3), BPF_EXIT_INSN()),
	 .retval = 128},
	{"branches on an unknown value", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, 61), BPF_MOV64_IMM(R1, 0),
	      BPF_JMP_IMM(BPF_JGT, R0, 200, 1), BPF_ALU64_IMM(BPF_ADD, R1, 1),
	      BPF_JMP_IMM(BPF_JSET, R0, 0x80, 1), BPF_ALU64_IMM(BPF_ADD, R1, 2),
	      BPF_JMP32_IMM(BPF_JSLT, R0, 0, 1), BPF_ALU64_IMM(BPF_ADD, R1, 4),
	      BPF_JMP_IMM(BPF_JLE, R0, 255, 1), BPF_ALU64_IMM(BPF_ADD, R1, 8),
	      BPF_MOV64_REG(R0, R1), BPF_EXIT_INSN()),
	 .retval = 4},

	/* ---- the stack */
	{"stack bytes make a word", TC,
	 CODE(BPF_ST_MEM(BPF_B, R10, -4, 0x11), BPF_ST_MEM(BPF_B, R10, -3, 0x22),
	      BPF_ST_MEM(BPF_H, R10, -2, 0x4433), BPF_LDX_MEM(BPF_W, R0, R10, -4), BPF_EXIT_INSN()),
	 .retval = 0x44332211},
	{"stack to its last byte", TC,
	 CODE(BPF_ST_MEM(BPF_DW, R10, -512, 1234), BPF_LDX_MEM(BPF_DW, R0, R10, -512),
	      BPF_EXIT_INSN()),
	 .retval = 1234},
	{"spilled context", TC,
	 CODE(BPF_STX_MEM(BPF_DW, R10, R1, -8), BPF_MOV64_IMM(R1, 0),
	      BPF_LDX_MEM(BPF_DW, R2, R10, -8), BPF_LDX_MEM(BPF_W, R0, R2, 0), BPF_EXIT_INSN()),
	 .retval = 74},
	{"atomics on the stack", TC,
	 CODE(BPF_ST_MEM(BPF_DW, R10, -8, 100), BPF_MOV64_IMM(R1, 7),
	      BPF_ATOMIC_OP(BPF_DW, BPF_ADD, R10, R1, -8),
	      BPF_ATOMIC_OP(BPF_DW, BPF_ADD | BPF_FETCH, R10, R1, -8), BPF_MOV64_IMM(R0, 114),
	      BPF_ATOMIC_OP(BPF_DW, BPF_CMPXCHG, R10, R1, -8),
	      BPF_ATOMIC_OP(BPF_DW, BPF_XCHG, R10, R0, -8), BPF_LDX_MEM(BPF_DW, R2, R10, -8),
	      BPF_ALU64_REG(BPF_MUL, R0, R2), BPF_ALU64_REG(BPF_ADD, R0, R1), BPF_EXIT_INSN()),
	 .retval = 107 * 114 + 107},

	/* ---- calls of programs */
	{"call a subprogram", TC,
	 CODE(BPF_MOV64_IMM(R1, 40), BPF_MOV64_IMM(R6, 2), BPF_CALL_REL(2),
	      BPF_ALU64_REG(BPF_ADD, R0, R6), BPF_EXIT_INSN(), BPF_MOV64_REG(R0, R1),
	      BPF_MOV64_IMM(R6, 1000), BPF_EXIT_INSN()),
	 .retval = 42},
	{"a subprogram writes its caller's stack", TC,
	 CODE(BPF_MOV64_REG(R1, R10), BPF_ALU64_IMM(BPF_ADD, R1, -8),
	      BPF_ST_MEM(BPF_DW, R10, -8, 1), BPF_CALL_REL(2), BPF_LDX_MEM(BPF_DW, R0, R10, -8),
	      BPF_EXIT_INSN(), BPF_ST_MEM(BPF_DW, R10, -8, 2), BPF_ST_MEM(BPF_DW, R1, 0, 3),
	      BPF_MOV64_IMM(R0, 0), BPF_EXIT_INSN()),
	 .retval = 3},
	{"eight frames", TC,
	 CODE(BPF_MOV64_IMM(R1, 1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_ALU64_REG(BPF_ADD, R1, R1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_ALU64_REG(BPF_ADD, R1, R1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_ALU64_REG(BPF_ADD, R1, R1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_ALU64_REG(BPF_ADD, R1, R1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_ALU64_REG(BPF_ADD, R1, R1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_ALU64_REG(BPF_ADD, R1, R1), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_MOV64_REG(R0, R1), BPF_EXIT_INSN()),
	 .retval = 64},
	{"nine frames", TC,
	 CODE(BPF_MOV64_IMM(R1, 1), BPF_CALL_REL(1), BPF_EXIT_INSN(), BPF_CALL_REL(1),
	      BPF_EXIT_INSN(), BPF_CALL_REL(1), BPF_EXIT_INSN(), BPF_CALL_REL(1), BPF_EXIT_INSN(),
	      BPF_CALL_REL(1), BPF_EXIT_INSN(), BPF_CALL_REL(1), BPF_EXIT_INSN(), BPF_CALL_REL(1),
	      BPF_EXIT_INSN(), BPF_CALL_REL(1), BPF_EXIT_INSN(), BPF_MOV64_REG(R0, R1),
	      BPF_EXIT_INSN()),
	 .reject = E2BIG, .why = "the call stack of 9 frames is too deep"},

	/* ---- helpers */
	{"skb_load_bytes", TC,
	 CODE(BPF_MOV64_IMM(R2, 26), BPF_MOV64_REG(R3, R10), BPF_ALU64_IMM(BPF_ADD, R3, -8),
	      BPF_MOV64_IMM(R4, 8), BPF_EMIT_CALL(BPF_FUNC_skb_load_bytes),
	      BPF_JMP_IMM(BPF_JNE, R0, 0, 1), BPF_LDX_MEM(BPF_W, R0, R10, -8), BPF_EXIT_INSN()),
	 .retval = 0x0302010a},
	{"skb_load_bytes past the end", TC,
	 CODE(BPF_MOV64_IMM(R2, 70), BPF_MOV64_REG(R3, R10), BPF_ALU64_IMM(BPF_ADD, R3, -8),
	      BPF_ST_MEM(BPF_DW, R10, -8, 5), BPF_MOV64_IMM(R4, 8),
	      BPF_EMIT_CALL(BPF_FUNC_skb_load_bytes), BPF_LDX_MEM(BPF_DW, R1, R10, -8),
	      BPF_ALU64_REG(BPF_ADD, R0, R1), BPF_EXIT_INSN()),
	 .retval = -EFAULT},
	{"ktime rises", TC,
	 CODE(BPF_EMIT_CALL(BPF_FUNC_ktime_get_ns), BPF_MOV64_REG(R6, R0),
	      BPF_EMIT_CALL(BPF_FUNC_ktime_get_ns), BPF_MOV64_REG(R7, R0), BPF_MOV64_IMM(R0, 0),
	      BPF_JMP_REG(BPF_JLT, R7, R6, 2), BPF_JMP_IMM(BPF_JEQ, R6, 0, 1), BPF_MOV64_IMM(R0, 1),
	      BPF_EXIT_INSN()),
	 .retval = 1},
	{"prandom has 32 bits", TC,
	 CODE(BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32), BPF_ALU64_IMM(BPF_RSH, R0, 32),
	      BPF_EXIT_INSN()),
	 .retval = 0},

	/* ---- array maps */
	{"array lookup", TC,
	 CODE(LOOKUP(0, 3), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R0, R0, 0),
	      BPF_EXIT_INSN()),
	 .retval = 33, .maps = {ARRAY_OF(4)}, ELEMS({0, 3, 33}, {0, 1, 11})},
	{"array lookup past the end", TC,
	 CODE(LOOKUP(0, 4), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R0, R0, 0),
	      BPF_EXIT_INSN()),
	 .retval = 0, .maps = {ARRAY_OF(4)}, ELEMS({0, 3, 33})},
	{"array lookup, key from the packet", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, 23), BPF_STX_MEM(BPF_W, R10, R0, -4),
	      BPF_LD_MAP_IDX(R1, 0), BPF_MOV64_REG(R2, R10), BPF_ALU64_IMM(BPF_ADD, R2, -4),
	      BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), BPF_JMP_IMM(BPF_JNE, R0, 0, 1),
	      BPF_EXIT_INSN(), BPF_MOV64_IMM(R1, 5), BPF_ATOMIC_OP(BPF_DW, BPF_ADD, R0, R1, 0),
	      BPF_LDX_MEM(BPF_DW, R0, R0, 0), BPF_EXIT_INSN()),
	 .retval = 65, .maps = {ARRAY_OF(256)}, ELEMS({0, 6, 60})},
	{"array update", TC, CODE(UPDATE(0, 2, 222, BPF_ANY), BPF_EXIT_INSN()), .retval = 0,
	 .maps = {ARRAY_OF(4)}},
	{"array update, no exist", TC, CODE(UPDATE(0, 2, 222, BPF_NOEXIST), BPF_EXIT_INSN()),
	 .retval = -EEXIST, .maps = {ARRAY_OF(4)}},
	{"array update past the end", TC, CODE(UPDATE(0, 4, 222, BPF_ANY), BPF_EXIT_INSN()),
	 .retval = -E2BIG, .maps = {ARRAY_OF(4)}},
	{"array delete", TC, CODE(DELETE(0, 1), BPF_EXIT_INSN()), .retval = -EINVAL,
	 .maps = {ARRAY_OF(4)}, ELEMS({0, 1, 11})},
	{"array value by address", TC,
	 CODE(BPF_LD_MAP_IDX_VALUE(R1, 0, 0), BPF_LDX_MEM(BPF_DW, R0, R1, 0),
	      BPF_ST_MEM(BPF_W, R1, 4, 9), BPF_LD_MAP_IDX_VALUE(R2, 0, 4),
	      BPF_LDX_MEM(BPF_W, R2, R2, 0), BPF_ALU64_REG(BPF_ADD, R0, R2), BPF_EXIT_INSN()),
	 .retval = 30, .maps = {ARRAY_OF(1)}, ELEMS({0, 0, 21})},
	{"every atomic on a map value", TC,
	 CODE(LOOKUP(0, 0), BPF_JMP_IMM(BPF_JNE, R0, 0, 1), BPF_EXIT_INSN(), BPF_MOV64_REG(R6, R0),
	      BPF_LD_IMM64(R1, 0x100000007), BPF_ATOMIC_OP(BPF_DW, BPF_ADD, R6, R1, 0),
	      BPF_ATOMIC_OP(BPF_W, BPF_ADD, R6, R1, 0), BPF_ATOMIC_OP(BPF_DW, BPF_OR, R6, R1, 0),
	      BPF_ATOMIC_OP(BPF_W, BPF_XOR, R6, R1, 4),
	      BPF_ATOMIC_OP(BPF_DW, BPF_XOR | BPF_FETCH, R6, R1, 0),
	      BPF_ATOMIC_OP(BPF_W, BPF_OR | BPF_FETCH, R6, R1, 0),
	      BPF_ATOMIC_OP(BPF_W, BPF_AND, R6, R1, 4),
	      BPF_ATOMIC_OP(BPF_DW, BPF_AND | BPF_FETCH, R6, R1, 0), BPF_MOV64_REG(R0, R1),
	      BPF_MOV64_IMM(R1, 55), BPF_ATOMIC_OP(BPF_W, BPF_CMPXCHG, R6, R1, 0),
	      BPF_ATOMIC_OP(BPF_W, BPF_XCHG, R6, R1, 4), BPF_ALU64_REG(BPF_ADD, R0, R1),
	      BPF_EXIT_INSN()),
	 .retval = 0x3f0, .maps = {ARRAY_OF(1)}, ELEMS({0, 0, 1000})},

	/* ---- hash maps */
	{"hash lookup", TC,
	 CODE(LOOKUP(0, 1000), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R0, R0, 0),
	      BPF_EXIT_INSN()),
	 .retval = 5, .maps = {HASH_OF(8)}, ELEMS({0, 1000, 5}, {0, 2000, 6})},
	{"hash lookup of nothing", TC,
	 CODE(LOOKUP(0, 3000), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R0, R0, 0),
	      BPF_EXIT_INSN()),
	 .retval = 0, .maps = {HASH_OF(8)}, ELEMS({0, 1000, 5}, {0, 2000, 6})},
	{"hash insert, change, delete", TC,
	 CODE(UPDATE(0, 1, 11, BPF_NOEXIST), BPF_MOV64_REG(R6, R0), UPDATE(0, 2, 22, BPF_ANY),
	      BPF_ALU64_REG(BPF_OR, R6, R0), UPDATE(0, 1, 12, BPF_EXIST),
	      BPF_ALU64_REG(BPF_OR, R6, R0), DELETE(0, 7), BPF_ALU64_REG(BPF_OR, R0, R6),
	      BPF_EXIT_INSN()),
	 .retval = 0, .maps = {HASH_OF(8)}, ELEMS({0, 7, 77})},
	{"hash insert, there already", TC, CODE(UPDATE(0, 7, 11, BPF_NOEXIST), BPF_EXIT_INSN()),
	 .retval = -EEXIST, .maps = {HASH_OF(8)}, ELEMS({0, 7, 77})},
	{"hash change, not there", TC, CODE(UPDATE(0, 6, 11, BPF_EXIST), BPF_EXIT_INSN()),
	 .retval = -ENOENT, .maps = {HASH_OF(8)}, ELEMS({0, 7, 77})},
	{"hash full", TC, CODE(UPDATE(0, 6, 11, BPF_ANY), BPF_EXIT_INSN()), .retval = -E2BIG,
	 .maps = {HASH_OF(2)}, ELEMS({0, 7, 77}, {0, 8, 88})},
	{"hash full, change", TC, CODE(UPDATE(0, 8, 11, BPF_ANY), BPF_EXIT_INSN()), .retval = 0,
	 .maps = {HASH_OF(2)}, ELEMS({0, 7, 77}, {0, 8, 88})},
	{"hash delete of nothing", TC, CODE(DELETE(0, 9), BPF_EXIT_INSN()), .retval = -ENOENT,
	 .maps = {HASH_OF(8)}, ELEMS({0, 7, 77})},
	{"hash bad flags", TC, CODE(UPDATE(0, 9, 1, 3), BPF_EXIT_INSN()), .retval = -EINVAL,
	 .maps = {HASH_OF(8)}},
	{"two maps", TC,
	 CODE(LOOKUP(1, 2), BPF_JMP_IMM(BPF_JNE, R0, 0, 1), BPF_EXIT_INSN(),
	      BPF_LDX_MEM(BPF_DW, R6, R0, 0), BPF_STX_MEM(BPF_DW, R10, R6, -16), KEY(0, 5),
	      BPF_MOV64_REG(R3, R10), BPF_ALU64_IMM(BPF_ADD, R3, -16), BPF_MOV64_IMM(R4, 0),
	      BPF_EMIT_CALL(BPF_FUNC_map_update_elem), BPF_ALU64_REG(BPF_ADD, R0, R6),
	      BPF_EXIT_INSN()),
	 .retval = 222, .maps = {HASH_OF(8), ARRAY_OF(3)}, ELEMS({1, 2, 222})},

	/* ---- tail calls */
	{"tail target 7", TC, CODE(RETURN(7)), .retval = 7},
	{"tail target length", TC, CODE(BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_EXIT_INSN()),
	 .retval = 74},
	{"tail call", TC,
	 CODE(BPF_LD_MAP_IDX(R2, 0), BPF_MOV64_IMM(R3, 1), BPF_EMIT_CALL(BPF_FUNC_tail_call),
	      RETURN(1)),
	 .retval = 7, .maps = {PROGS_OF(4)}, TAILS({1, "tail target 7"})},
	{"tail call hands on the context", TC,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, 72), BPF_MOV64_REG(R3, R0),
	      BPF_MOV64_REG(R1, R6), BPF_LD_MAP_IDX(R2, 0), BPF_EMIT_CALL(BPF_FUNC_tail_call),
	      RETURN(1)),
	 .retval = 74, .maps = {PROGS_OF(9)}, TAILS({7, "tail target length"})},
	{"tail call of an empty slot", TC,
	 CODE(BPF_LD_MAP_IDX(R2, 0), BPF_MOV64_IMM(R3, 2), BPF_EMIT_CALL(BPF_FUNC_tail_call),
	      RETURN(1)),
	 .retval = 1, .maps = {PROGS_OF(4)}, TAILS({1, "tail target 7"})},
	{"tail call past the end", TC,
	 CODE(BPF_LD_MAP_IDX(R2, 0), BPF_MOV64_IMM(R3, 4), BPF_EMIT_CALL(BPF_FUNC_tail_call),
	      RETURN(1)),
	 .retval = 1, .maps = {PROGS_OF(4)}, TAILS({1, "tail target 7"})},
	{"tail call index has 32 bits", TC,
	 CODE(BPF_LD_MAP_IDX(R2, 0), BPF_LD_IMM64(R3, 0x500000001),
	      BPF_EMIT_CALL(BPF_FUNC_tail_call), RETURN(1)),
	 .retval = 7, .maps = {PROGS_OF(4)}, TAILS({1, "tail target 7"})},
	{"33 tail calls and no more", TC,
	 /* Counts its runs in map 1, calls itself; the last one returns the count. */
	 CODE(BPF_MOV64_REG(R6, R1), LOOKUP(1, 0), BPF_JMP_IMM(BPF_JNE, R0, 0, 1), BPF_EXIT_INSN(),
	      BPF_MOV64_REG(R7, R0), BPF_LDX_MEM(BPF_DW, R8, R7, 0), BPF_ALU64_IMM(BPF_ADD, R8, 1),
	      BPF_STX_MEM(BPF_DW, R7, R8, 0), BPF_MOV64_REG(R1, R6), BPF_LD_MAP_IDX(R2, 0),
	      BPF_MOV64_IMM(R3, 0), BPF_EMIT_CALL(BPF_FUNC_tail_call), BPF_MOV64_REG(R0, R8),
	      BPF_EXIT_INSN()),
	 .retval = 34, .maps = {PROGS_OF(1), ARRAY_OF(1)}, TAILS({0, NULL})},
	{"tail call in a subprogram without types", TC,
	 CODE(BPF_CALL_REL(2), BPF_ALU64_IMM(BPF_ADD, R0, 100), BPF_EXIT_INSN(),
	      BPF_LD_MAP_IDX(R2, 0), BPF_MOV64_IMM(R3, 0), BPF_EMIT_CALL(BPF_FUNC_tail_call),
	      RETURN(1)),
	 REFUSED(EINVAL, "tail_call is not allowed in subprogs without BTF"),
	 .maps = {PROGS_OF(1)}},

	/* ---- what must be refused */
	{"no exit", TC, CODE(BPF_MOV64_IMM(R0, 0)), REFUSED(EINVAL, "")},
	{"R0 not set", TC, CODE(BPF_EXIT_INSN()), REFUSED(EACCES, "R0 !read_ok")},
	{"register not set", TC, CODE(BPF_MOV64_REG(R0, R2), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R2 !read_ok")},
	{"caller-saved register after a call", TC,
	 CODE(BPF_MOV64_IMM(R2, 1), BPF_EMIT_CALL(BPF_FUNC_ktime_get_ns), BPF_MOV64_REG(R0, R2),
	      BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R2 !read_ok")},
	{"write to the frame pointer", TC, CODE(BPF_MOV64_IMM(R10, 0), RETURN(0)),
	 REFUSED(EACCES, "frame pointer is read only")},
	{"unreachable code", TC, CODE(RETURN(0), RETURN(1)), REFUSED(EINVAL, "unreachable insn 2")},
	{"jump out of range", TC, CODE(BPF_JMP_A(2), RETURN(0)),
	 REFUSED(EINVAL, "jump out of range from insn 0 to 3")},
	{"jump into a double instruction", TC,
	 CODE(BPF_MOV64_IMM(R0, 0), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LD_IMM64(R1, 1),
	      BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "")},
	{"endless loop", TC, CODE(BPF_MOV64_IMM(R0, 0), BPF_JMP_A(-1), BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "")},
	{"loop that never ends", TC,
	 CODE(BPF_MOV64_IMM(R0, 0), BPF_MOV64_IMM(R1, 1), BPF_JMP_IMM(BPF_JEQ, R1, 0, 1),
	      BPF_JMP_A(-2), BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "infinite loop detected")},
	{"division by a constant 0", TC,
	 CODE(BPF_MOV64_IMM(R0, 1), BPF_ALU64_IMM(BPF_DIV, R0, 0), BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "div by zero")},
	{"shift too far", TC,
	 CODE(BPF_MOV64_IMM(R0, 1), BPF_ALU64_IMM(BPF_LSH, R0, 64), BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "invalid shift 64")},
	{"unknown opcode", TC, CODE(BPF_RAW_INSN(0xff, 0, 0, 0, 0), RETURN(0)),
	 REFUSED(EINVAL, "unknown opcode ff")},
	{"reserved field", TC,
	 CODE(BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_X, 1, 1, 7, 0), RETURN(0)),
	 REFUSED(EINVAL, "reserved fields")},
	{"internal opcode", TC, CODE(BPF_RAW_INSN(BPF_JMP | BPF_TAIL_CALL, 0, 0, 0, 0), RETURN(0)),
	 REFUSED(EINVAL, "unknown opcode f5")},
	{"stack past its end", TC, CODE(BPF_ST_MEM(BPF_DW, R10, -520, 0), RETURN(0)),
	 REFUSED(EACCES, "invalid write to stack R10 off=-520 size=8")},
	{"stack above its start", TC, CODE(BPF_ST_MEM(BPF_B, R10, 0, 0), RETURN(0)),
	 REFUSED(EACCES, "invalid write to stack R10 off=0 size=1")},
	{"packet without a check", TC,
	 CODE(BPF_LDX_MEM(BPF_W, R2, R1, 76), BPF_LDX_MEM(BPF_B, R0, R2, 0), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "invalid access to packet, off=0 size=1, R2(")},
	{"packet past the check", TC,
	 CODE(TC_PACKET(20), BPF_LDX_MEM(BPF_W, R0, R7, 17), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "invalid access to packet, off=17 size=4")},
	{"context past its end", TC, CODE(BPF_LDX_MEM(BPF_W, R0, R1, 400), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "invalid bpf_context access off=400 size=4")},
	{"context field is read only", TC, CODE(BPF_ST_MEM(BPF_W, R1, 0, 1), RETURN(0)),
	 REFUSED(EACCES, "invalid bpf_context access off=0 size=4")},
	{"context written through arithmetic", TC,
	 CODE(BPF_LDX_MEM(BPF_W, R2, R1, 0), BPF_ALU64_REG(BPF_ADD, R1, R2),
	      BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "")},
	{"lookup without a check", TC,
	 CODE(LOOKUP(0, 1), BPF_LDX_MEM(BPF_DW, R0, R0, 0), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R0 invalid mem access 'map_value_or_null'"), .maps = {HASH_OF(8)}},
	{"value past its end", TC,
	 CODE(LOOKUP(0, 1), BPF_JMP_IMM(BPF_JEQ, R0, 0, 1), BPF_LDX_MEM(BPF_DW, R0, R0, 1),
	      BPF_EXIT_INSN()),
	 REFUSED(EACCES, "invalid access to map value, value_size=8 off=1 size=8"),
	 .maps = {HASH_OF(8)}},
	{"value with an unbounded offset", TC,
	 CODE(BPF_LDX_MEM(BPF_W, R6, R1, 0), LOOKUP(0, 1), BPF_JMP_IMM(BPF_JEQ, R0, 0, 2),
	      BPF_ALU64_REG(BPF_ADD, R0, R6), BPF_LDX_MEM(BPF_B, R0, R0, 0), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R0 unbounded memory access"), .maps = {HASH_OF(8)}},
	{"key not on the stack yet", TC,
	 CODE(BPF_LD_MAP_IDX(R1, 0), BPF_MOV64_IMM(R2, 5), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
	      RETURN(0)),
	 REFUSED(EACCES, "R2 type=scalar expected=fp"), .maps = {HASH_OF(8)}},
	{"a map that is a number", TC,
	 CODE(BPF_MOV64_IMM(R1, 5), BPF_ST_MEM(BPF_W, R10, -4, 0), BPF_MOV64_REG(R2, R10),
	      BPF_ALU64_IMM(BPF_ADD, R2, -4), BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem), RETURN(0)),
	 REFUSED(EACCES, "R1 type=scalar expected=map_ptr")},
	{"load through a number", TC,
	 CODE(BPF_MOV64_IMM(R1, 4096), BPF_LDX_MEM(BPF_DW, R0, R1, 0), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R1 invalid mem access 'scalar'")},
	{"multiplied pointer", TC,
	 CODE(BPF_MOV64_REG(R2, R10), BPF_ALU64_IMM(BPF_MUL, R2, 2), BPF_LDX_MEM(BPF_DW, R0, R2, 0),
	      BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R2 pointer arithmetic with *= operator prohibited")},
	{"half of a pointer", TC,
	 CODE(BPF_STX_MEM(BPF_DW, R10, R1, -8), BPF_ST_MEM(BPF_B, R10, -5, 0),
	      BPF_LDX_MEM(BPF_DW, R1, R10, -8), BPF_LDX_MEM(BPF_W, R0, R1, 0), BPF_EXIT_INSN()),
	 REFUSED(EACCES, "R1 invalid mem access 'scalar'")},
	{"unknown helper", TC, CODE(BPF_EMIT_CALL(100000), RETURN(0)),
	 REFUSED(EINVAL, "invalid func unknown#100000")},
	{"ld_abs in an xdp program", XDP,
	 CODE(BPF_MOV64_REG(R6, R1), BPF_LD_ABS(BPF_B, 0), BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type")},
	{"ld_abs without the context in R6", TC,
	 CODE(BPF_MOV64_IMM(R6, 0), BPF_LD_ABS(BPF_B, 0), BPF_EXIT_INSN()),
	 REFUSED(EINVAL, "at the time of BPF_LD_ABS|IND R6 != pointer to skb")},
	{"egress must return 0 to 3", EGRESS, CODE(RETURN(4)),
	 REFUSED(EINVAL, "At program exit the register R0 has")},
};

const u32 testprog_cnt = ARRAY_SIZE(testprogs);

const struct testprog *testprog_find(const char *name)
{
	for (u32 i = 0; i < testprog_cnt; i++)
		if (!strcmp(testprogs[i].name, name))
			return &testprogs[i];
	return NULL;
}

u32 testprog_len(const struct testprog *row)
{
	static const struct bpf_insn none;
	u32 n = TESTPROG_INSNS;

	while (n && !memcmp(&row->insns[n - 1], &none, sizeof(none)))
		n--;
	return n;
}

u32 testprog_map_cnt(const struct testprog *row)
{
	u32 n = 0;

	while (n < TESTPROG_MAPS && row->maps[n].map_type)
		n++;
	return n;
}
