/*
 * mapbench.c - programs that do one map operation again and again, on both sides (see mapbench.h)
 */
#include <stdio.h>
#include "load.h"
#include "run/test_run.h"
#include "tests/lib/kernel.h"
#include "tests/lib/mapbench.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

void mapbench_die(const char *what, int err)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

static void emit(struct mapbench_code *c, struct bpf_insn insn)
{
	c->insns[c->nr++] = insn;
}

static void emit_imm64(struct mapbench_code *c, u8 reg, u8 pseudo, u32 low, u32 high)
{
	emit(c, BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, reg, pseudo, 0, low));
	emit(c, BPF_RAW_INSN(0, 0, 0, 0, high));
}

#define VALUE_AT -32 /* on the program's stack; the key ends at its top */

static void emit_call(struct mapbench_code *c, int func, u32 key_size)
{
	emit_imm64(c, BPF_REG_1, BPF_PSEUDO_MAP_IDX, 1, 0);
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -(s32)key_size));
	if (func == BPF_FUNC_map_update_elem) {
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, VALUE_AT));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0));
	}
	emit(c, BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func));
}

static void emit_lookup(struct mapbench_code *c, u32 key_size, bool increment)
{
	emit_call(c, BPF_FUNC_map_lookup_elem, key_size);
	emit(c, BPF_RAW_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, increment ? 3 : 2, 0));
	emit(c, BPF_RAW_INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, 0, 0));
	if (increment) {
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, 1));
		emit(c, BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_0, BPF_REG_1, 0, 0));
	} else {
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_9, BPF_REG_1, 0, 0));
	}
}

/* R1, a number of 32 bits, as a key at the top of the stack; mapbench_make_map() makes the same. */
static void emit_key(struct mapbench_code *c, u32 key_size)
{
	if (key_size == 4)
		emit(c, BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_1, -4, 0));
	for (u32 at = 8; at <= key_size; at += 8)
		emit(c,
		     BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_1, -(s32)at, 0));
}

/*
 * r6: the generator's state, r7: where it is kept, r8: its multiplier, r9: a sum. Maps: 0 state, 1
 * ours.
 */
void mapbench_generate(struct mapbench_code *c, enum bpf_map_type type, enum mapbench_op op,
		       u32 key_size, u32 entries)
{
	bool array = type == BPF_MAP_TYPE_ARRAY;
	u32 range = op == MAPBENCH_EVICT ? entries * 4 : entries;

	c->nr = 0;
	emit_imm64(c, BPF_REG_7, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0);
	emit(c, BPF_RAW_INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_6, BPF_REG_7, 0, 0));
	emit_imm64(c, BPF_REG_8, 0, 0x4c957f2d, 0x5851f42d);
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_9, 0, 0, 0));
	for (u32 i = 0; i < MAPBENCH_OPS; i++) {
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MUL | BPF_X, BPF_REG_6, BPF_REG_8, 0, 0));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_6, 0, 0, 0x7f4a7c15));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 33));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MUL | BPF_K, BPF_REG_1, 0, 0, range));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 31));
		if (op == MAPBENCH_MISS)
			emit(c,
			     BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, entries));
		if (!array)
			emit(c,
			     BPF_RAW_INSN(BPF_ALU | BPF_MUL | BPF_K, BPF_REG_1, 0, 0, 0x9e3779b1));
		emit_key(c, key_size);
		emit(c,
		     BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_6, VALUE_AT, 0));
		switch (op) {
		case MAPBENCH_NONE:
			break;
		case MAPBENCH_HIT:
		case MAPBENCH_MISS:
		case MAPBENCH_INCREMENT:
			emit_lookup(c, key_size, op == MAPBENCH_INCREMENT);
			break;
		case MAPBENCH_DELETE_INSERT:
			emit_call(c, BPF_FUNC_map_delete_elem, key_size);
			/* fall through */
		case MAPBENCH_UPDATE:
		case MAPBENCH_EVICT:
			emit_call(c, BPF_FUNC_map_update_elem, key_size);
		}
	}
	emit(c, BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_7, BPF_REG_6, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

void mapbench_make_map(const struct bpf_map_spec *spec, struct bpf_map **ours, int *kernels)
{
	bool array = spec->map_type == BPF_MAP_TYPE_ARRAY ||
		     spec->map_type == BPF_MAP_TYPE_PERCPU_ARRAY;
	static u64 value[BPF_MAX_SLOTS]; /* of each CPU, for the kinds that have one */
	int err = bpf_map_create(spec, 0, -1, -1, ours);

	if (err)
		mapbench_die("create", err);
	*kernels = kernel_map_create(spec);
	if (*kernels < 0)
		mapbench_die("create in the kernel", *kernels);
	for (u32 i = 0; i < spec->max_entries; i++) {
		u64 key[2] = {array ? i : i * 0x9e3779b1u};

		key[1] = key[0];
		value[0] = i;
		err = bpf_map_update(*ours, key, value, 0);
		if (!err)
			err = kernel_map_update(*kernels, key, value, 0);
		if (err)
			mapbench_die("fill", err);
	}
}

void mapbench_load(const struct mapbench_code *c, struct bpf_map **maps, const int *map_fds,
		   struct bpf_prog **ours, int *kernels)
{
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
					  .name = "bench",
					  .license = "GPL",
					  .insns = c->insns,
					  .insn_cnt = c->nr,
					  .maps = maps,
					  .map_cnt = 2};
	struct bpf_log report;
	int err;

	bpf_log_init(&report, 0, 0);
	err = bpf_prog_load(&attr, NULL, &report, NULL, ours);
	if (err) {
		fprintf(stderr, "%s", bpf_log_text(&report));
		mapbench_die("load", err);
	}
	bpf_log_free(&report);
	*kernels = kernel_prog_load(&attr, map_fds, 0, NULL, 0);
	if (*kernels < 0)
		mapbench_die("load into the kernel", *kernels);
}

double mapbench_run(struct bpf_prog *prog, int fd, u32 repeat)
{
	char packet[64] = {};
	struct bpf_test_run run = {
		.data_in = packet, .data_size_in = sizeof(packet), .repeat = repeat};
	int err = prog ? bpf_prog_test_run(prog, &run) : kernel_test_run(fd, &run);

	if (err)
		mapbench_die("run", err);
	return run.duration;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double mapbench_median(double *samples, u32 nr)
{
	qsort(samples, nr, sizeof(*samples), by_value);
	return samples[nr / 2];
}
