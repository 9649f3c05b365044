/*
 * testprog.h - a table of whole programs: instructions, maps, a packet, what must come out
 *
 * The same rows feed the interpreter, the JIT, the running kernel and the benchmarks. Maps are
 * named by BPF_PSEUDO_MAP_IDX. What a row expects was measured on Linux; tests/differential holds
 * it there.
 */
#ifndef UBPFFS_TESTS_TESTPROG_H
#define UBPFFS_TESTS_TESTPROG_H

#include "core/prog.h"

#define TESTPROG_MAPS  2
#define TESTPROG_INSNS 48

struct testprog_elem { /* before the run: map[key] = value (u32 keys, u64 values) */
	u32 map;
	u32 key;
	u64 value;
};

struct testprog_tail { /* slot of map 0 (a prog_array) holds this program of the table, or itself */
	u32 slot;
	const char *name; /* NULL: the program itself */
};

struct testprog {
	const char *name;
	enum bpf_prog_type type;
	enum bpf_attach_type expected_attach_type;
	struct bpf_insn insns[TESTPROG_INSNS]; /* the last that is not all zero ends the program */
	const void *data; /* NULL: testprog_packet */
	u32 data_len;
	u32 retval;
	int reject; /* the errno that a load must give, 0: it loads */
	const char *why; /* rejected: a part of the kernel's message */
	struct bpf_map_spec maps[TESTPROG_MAPS]; /* type 0 ends the list */
	const struct testprog_elem *elems;
	u32 elem_cnt;
	const struct testprog_tail *tails;
	u32 tail_cnt;
};

extern const struct testprog testprogs[];
extern const u32 testprog_cnt;
extern const u8 testprog_packet[74]; /* Ethernet, IPv4, TCP, 20 bytes of payload */

const struct testprog *testprog_find(const char *name); /* NULL: none */
u32 testprog_len(const struct testprog *row); /* instructions */
u32 testprog_map_cnt(const struct testprog *row);

#endif
