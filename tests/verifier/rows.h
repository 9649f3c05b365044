/*
 * rows.h - what a row of the verifier's table is, and short names to write it with
 *
 * A row is a program, the verdict that it must get, and, when it is accepted and `run` is set,
 * what it returns on testprog_packet. The verdict, the errno and the message are those of Linux
 * 6.18 for a privileged loader; the runner holds the row against the running kernel as well as
 * against us. Where we refuse on purpose what Linux accepts, `stricter` says why.
 */
#ifndef UBPFFS_TESTS_VERIFIER_ROWS_H
#define UBPFFS_TESTS_VERIFIER_ROWS_H

#include "core/prog.h"
#include "uapi/bpf_insn.h"

#define ROW_INSNS 64

struct row {
	const char *what;
	enum bpf_prog_type type;
	int err; /* 0: accepted; else the errno of the load */
	const char *why; /* a part of the log when it is rejected */
	bool run;
	u32 retval;
	struct bpf_insn insns[ROW_INSNS]; /* the last that is not all zero ends the program */
	int (*gen)(struct bpf_insn *insns, int max); /* instead of insns, for long programs */
	const char *stricter; /* we reject (with stricter_err) what Linux accepts: the reason */
	int stricter_err;
	bool quiet; /* too long a log: load without one */
	const char *license; /* NULL: GPL */
	bool strict; /* loaded strictly; the kernel's loader has no CAP_PERFMON */
	const char *generous; /* we take what Linux refuses: the reason */
	/* BTF calls the functions global; it is there when one's address is taken */
	bool global_funcs;
};

/* The maps that rows refer to by index. All keys are 4 bytes. */
enum row_map {
	HASH4, /* 4-byte values */
	HASH8,
	HASH48,
	ARRAY8, /* one element */
	ARRAY48, /* four elements */
	PROGS, /* prog_array, four slots */
	RDONLY, /* array of 16-byte values, BPF_F_RDONLY_PROG */
	WRONLY, /* the same, BPF_F_WRONLY_PROG */
	KEY8, /* hash with an 8-byte key and 8-byte values */
	RING, /* ringbuf of one page */
	QUEUE8, /* queue of 8-byte values */
	STACK8,
	OUTER, /* array_of_maps, four slots; ARRAY8 is the template and in slot 0 */
	BLOOM8, /* bloom_filter of 8-byte values */
	ONE8, /* hash, one element that stays */
	PCHASH8, /* percpu_hash, one element */
	PCARRAY8, /* percpu_array, two elements */
	LRU8, /* lru_hash, one element */
	LRUPC8, /* lru_percpu_hash */
	LPM, /* lpm_trie with 4 bytes of address and 8-byte values */
	LOCKED, /* hash with 16-byte values: 4 bytes, a struct bpf_spin_lock, 8 bytes */
	LOCKARR, /* array of one such value */
	LOCKARR2, /* array of four values of 32 bytes, the lock at 8 */
	OUTERL, /* array_of_maps, four slots; LOCKARR is the template and in slot 0 */
	CGST, /* cgroup_storage of 16-byte values */
	CGST2, /* another, by cgroup alone */
	PCGST, /* percpu_cgroup_storage of 16-byte values */
	DEVS, /* devmap, four slots; the loopback in slot 0 */
	DEVH, /* devmap_hash, the loopback under 0 */
	CPUS, /* cpumap, two slots; a queue in slot 0 */
	XSKS, /* xskmap, empty */
	ROW_MAPS,
};

/* ---- a row: accepted and run, accepted, rejected */
#define PROG(...) .insns = {__VA_ARGS__}
#define RETURNS(WHAT, TYPE, RET, ...)                                                            \
	{                                                                                        \
		.what = WHAT, .type = TYPE, .run = true, .retval = (u32)(RET), PROG(__VA_ARGS__) \
	}
#define LOADS(WHAT, TYPE, ...)                                \
	{                                                     \
		.what = WHAT, .type = TYPE, PROG(__VA_ARGS__) \
	}
#define FAILS(WHAT, TYPE, ERR, WHY, ...)                                              \
	{                                                                             \
		.what = WHAT, .type = TYPE, .err = ERR, .why = WHY, PROG(__VA_ARGS__) \
	}
#define STRICT(WHAT, TYPE, ERR, WHY, REASON, ...)                                                \
	{                                                                                        \
		.what = WHAT, .type = TYPE, .why = WHY, .stricter = REASON, .stricter_err = ERR, \
		PROG(__VA_ARGS__)                                                                \
	}

/* Strict ones, all of type TC: refused, accepted and run, accepted here alone. */
#define SFAILS(WHAT, WHY, ...)                                                       \
	{                                                                            \
		.what = WHAT, .type = TC, .strict = true, .err = EACCES, .why = WHY, \
		PROG(__VA_ARGS__)                                                    \
	}
#define SHELPER(WHAT, WHY, ...)                                                      \
	{                                                                            \
		.what = WHAT, .type = TC, .strict = true, .err = EINVAL, .why = WHY, \
		PROG(__VA_ARGS__)                                                    \
	}
#define SRUNS(WHAT, RET, ...)                                                         \
	{                                                                             \
		.what = WHAT, .type = TC, .strict = true, .run = true, .retval = RET, \
		PROG(__VA_ARGS__)                                                     \
	}
#define SMORE(WHAT, RET, REASON, ...)                                                 \
	{                                                                             \
		.what = WHAT, .type = TC, .strict = true, .run = true, .retval = RET, \
		.generous = REASON, PROG(__VA_ARGS__)                                 \
	}

#define SF  BPF_PROG_TYPE_SOCKET_FILTER
#define TC  BPF_PROG_TYPE_SCHED_CLS
#define XDP BPF_PROG_TYPE_XDP
#define CG  BPF_PROG_TYPE_CGROUP_SKB

/* ---- instructions */
#define R0 BPF_REG_0
#define R1 BPF_REG_1
#define R2 BPF_REG_2
#define R3 BPF_REG_3
#define R4 BPF_REG_4
#define R5 BPF_REG_5
#define R6 BPF_REG_6
#define R7 BPF_REG_7
#define R8 BPF_REG_8
#define R9 BPF_REG_9
#define FP BPF_REG_10

#define MOVK(D, K)		BPF_MOV64_IMM(D, K)
#define MOV(D, S)		BPF_MOV64_REG(D, S)
#define MOVWK(D, K)		BPF_MOV32_IMM(D, K)
#define MOVW(D, S)		BPF_MOV32_REG(D, S)
#define ALU(OP, D, K)		BPF_ALU64_IMM(BPF_##OP, D, K)
#define ALUX(OP, D, S)		BPF_ALU64_REG(BPF_##OP, D, S)
#define ALUW(OP, D, K)		BPF_ALU32_IMM(BPF_##OP, D, K)
#define ALUWX(OP, D, S)		BPF_ALU32_REG(BPF_##OP, D, S)
#define ADD(D, K)		ALU(ADD, D, K)
#define ADDX(D, S)		ALUX(ADD, D, S)
#define LDX(SZ, D, S, O)	BPF_LDX_MEM(BPF_##SZ, D, S, O)
#define LDSX(SZ, D, S, O)	BPF_LDX_MEMSX(BPF_##SZ, D, S, O)
#define STX(SZ, D, S, O)	BPF_STX_MEM(BPF_##SZ, D, S, O)
#define ST(SZ, D, O, K)		BPF_ST_MEM(BPF_##SZ, D, O, K)
#define ATOMIC(SZ, OP, D, S, O) BPF_ATOMIC_OP(BPF_##SZ, OP, D, S, O)
#define JK(OP, D, K, O)		BPF_JMP_IMM(BPF_##OP, D, K, O)
#define JX(OP, D, S, O)		BPF_JMP_REG(BPF_##OP, D, S, O)
#define JWK(OP, D, K, O)	BPF_JMP32_IMM(BPF_##OP, D, K, O)
#define JWX(OP, D, S, O)	BPF_JMP32_REG(BPF_##OP, D, S, O)
#define JA(O)			BPF_JMP_A(O)
#define CALL(F)			BPF_EMIT_CALL(BPF_FUNC_##F)
#define SUB(O)			BPF_CALL_REL(O)
#define EXIT			BPF_EXIT_INSN()
#define RET(K)			MOVK(R0, K), EXIT
#define IMM64(D, V)		BPF_LD_IMM64(D, V) /* two places */
#define MAP(D, IX)		BPF_LD_MAP_IDX(D, IX) /* two places */
#define VALUE(D, IX, OFF)	BPF_LD_MAP_IDX_VALUE(D, IX, OFF) /* two places */
/*
 * A load that is refused wherever it can be reached: in an accepted row it marks a way that nobody
 * goes.
 */
#define NEVER			LDX(DW, R0, FP, 8)
#define RANDOM(D)		CALL(get_prandom_u32), MOV(D, R0)

/* R0 = lookup(map, key 0), leaving the key at fp-4 and R1 to R5 unusable: six places. */
#define LOOKUP(IX) ST(W, FP, -4, 0), MOV(R2, FP), ADD(R2, -4), MAP(R1, IX), CALL(map_lookup_elem)

/* R2 = data, R3 = data_end, R1 = the context. */
#define PACKET_SKB                                        \
	LDX(W, R2, R1, offsetof(struct __sk_buff, data)), \
		LDX(W, R3, R1, offsetof(struct __sk_buff, data_end))
#define PACKET_XDP                                     \
	LDX(W, R2, R1, offsetof(struct xdp_md, data)), \
		LDX(W, R3, R1, offsetof(struct xdp_md, data_end))
#define SKB(FIELD) offsetof(struct __sk_buff, FIELD)
#define MD(FIELD)  offsetof(struct xdp_md, FIELD)

/* R7 is a number of which nothing is known, R9 points at 48 bytes: nine places. */
#define NUMBER		LOOKUP(ARRAY48), MOV(R9, R0), CALL(get_prandom_u32), MOV(R7, R0)
/* The end, unless REG is at most 40: three places. */
#define AT_MOST_40(REG) JK(JLE, REG, 40, 2), RET(0)
/* Store a byte at R9 + REG, and the end: four places. */
#define STORE_AT(REG)	ADDX(R9, REG), ST(B, R9, 0, 0), RET(0)

/* D = the address of the function that begins O instructions after the first half: two places. */
#define FUNC(D, O)                                                         \
	BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, D, BPF_PSEUDO_FUNC, 0, O), \
		BPF_RAW_INSN(0, 0, 0, 0, 0)

/* bpf_loop(R1, function O instructions behind the call, fp - 8, 0): six places. */
#define LOOPR(O)   FUNC(R2, (O) + 5), MOV(R3, FP), ADD(R3, -8), MOVK(R4, 0), CALL(loop)
/* bpf_loop(N, ...): seven places. */
#define LOOP(N, O) MOVK(R1, N), LOOPR(O)
/* bpf_for_each_map_elem(map, function, fp - 8, 0): eight places. */
#define EACH(IX, O)                                                            \
	MAP(R1, IX), FUNC(R2, (O) + 5), MOV(R3, FP), ADD(R3, -8), MOVK(R4, 0), \
		CALL(for_each_map_elem)

/* R0 = reserve(RING, size, 0): five places. */
#define RESERVE(SIZE) MAP(R1, RING), MOVK(R2, SIZE), MOVK(R3, 0), CALL(ringbuf_reserve)
/* submit(reg, 0): three places. */
#define SUBMIT(REG)   MOV(R1, REG), MOVK(R2, 0), CALL(ringbuf_submit)
#define DISCARD(REG)  MOV(R1, REG), MOVK(R2, 0), CALL(ringbuf_discard)

#endif
