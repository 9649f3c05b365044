/*
 * mapbench.h - programs that do one map operation again and again, ours and the running kernel's
 *
 * For the programs in tests/bench: what fails ends the process with a sentence.
 */
#ifndef UBPFFS_TESTS_MAPBENCH_H
#define UBPFFS_TESTS_MAPBENCH_H

#include "core/map.h"
#include "run/run.h"

#define MAPBENCH_OPS 32 /* operations a run, written out one after the other */

enum mapbench_op {
	MAPBENCH_NONE, /* the loop alone */
	MAPBENCH_HIT,
	MAPBENCH_MISS,
	MAPBENCH_INCREMENT, /* a hit, and one added to the value */
	MAPBENCH_UPDATE,
	MAPBENCH_DELETE_INSERT,
	MAPBENCH_EVICT, /* updates of four times as many keys as the map holds */
};

struct mapbench_code {
	struct bpf_insn insns[MAPBENCH_OPS * 40 + 40];
	u32 nr;
};

/* What the random keys go on from; a map of one 8-byte value. */
#define MAPBENCH_STATE_SPEC                                                                       \
	{                                                                                         \
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1, \
		.name = "state"                                                                   \
	}

void mapbench_die(const char *what, int err) __attribute__((noreturn));

/*
 * The program that does `op` on random keys of a map (maps: 0 the state, 1 the map) with so many
 * entries. Keys of 4, 8 or 16 bytes.
 */
void mapbench_generate(struct mapbench_code *c, enum bpf_map_type type, enum mapbench_op op,
		       u32 key_size, u32 entries);
/* The same map on both sides, full. */
void mapbench_make_map(const struct bpf_map_spec *spec, struct bpf_map **ours, int *kernels);
void mapbench_load(const struct mapbench_code *c, struct bpf_map **maps, const int *map_fds,
		   struct bpf_prog **ours, int *kernels);
/* prog NULL: the kernel's. Nanoseconds a run, the mean of `repeat`. */
double mapbench_run(struct bpf_prog *prog, int fd, u32 repeat);
double mapbench_median(double *samples, u32 nr); /* sorts them */

#endif
