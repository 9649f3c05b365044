/*
 * native.c - the programs of tests/progs/bench.bpf.c, compiled for this machine by the same
 * compiler
 *
 * What a JIT could reach: the same C, without the way through bytecode. Only bench_native is
 * visible outside.
 */
#include "tests/progs/bench.bpf.c"
#include "tests/bench/native/native.h"

#define PROG(name)          \
	{                   \
#name, name \
	}

const struct bench_native bench_native[] = {
	PROG(empty),	     PROG(alu),	      PROG(division), PROG(modulo),
	PROG(byteswap),	     PROG(stack),     PROG(branches), PROG(selects),
	PROG(parse),	     PROG(headers),   PROG(checksum), PROG(csum16),
	PROG(array_lookup),  PROG(call),      PROG(atomic),   PROG(counters),
	PROG(bpf_loop_call), PROG(histogram), PROG(classify), PROG(jhash),
	PROG(crc),	     PROG(sort),      PROG(records),  {},
};
