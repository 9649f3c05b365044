/*
 * bench_maps.c - what a map operation costs inside a program: ours against the running kernel's
 *
 *	bench_maps [-rounds N] [-max ENTRIES] [-only ROW]
 *
 * A program does OPS operations on pseudo-random keys of a full map, written out one after the other; a second
 * one does the same but for the call, and its time is subtracted. Kernel and we take turns within a round, and
 * the median over the rounds counts. Prints one Markdown table.
 */
#include <stdio.h>
#include "load.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"

#define OPS	   32
#define MAX_ROUNDS 101
#define SAMPLE_NS  500000 /* less than a time slice */

enum op { OP_NONE, OP_HIT, OP_MISS, OP_UPDATE, OP_DELETE_INSERT, OP_EVICT };

static const struct {
	const char *name;
	enum bpf_map_type type;
	enum op op;
} rows[] = {
	{"array lookup", BPF_MAP_TYPE_ARRAY, OP_HIT},
	{"array update", BPF_MAP_TYPE_ARRAY, OP_UPDATE},
	{"hash hit", BPF_MAP_TYPE_HASH, OP_HIT},
	{"hash miss", BPF_MAP_TYPE_HASH, OP_MISS},
	{"hash update existing", BPF_MAP_TYPE_HASH, OP_UPDATE},
	{"hash delete + insert", BPF_MAP_TYPE_HASH, OP_DELETE_INSERT},
	{"percpu_hash hit", BPF_MAP_TYPE_PERCPU_HASH, OP_HIT},
	{"lru_hash hit", BPF_MAP_TYPE_LRU_HASH, OP_HIT},
	{"lru_hash update existing", BPF_MAP_TYPE_LRU_HASH, OP_UPDATE},
	{"lru_hash update, evicting", BPF_MAP_TYPE_LRU_HASH, OP_EVICT},
};

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_maps: %s: %s\n", what, strerror(err < 0 ? -err : err));
	exit(1);
}

/* ---- the programs */

struct code {
	struct bpf_insn insns[OPS * 40 + 40];
	u32 nr;
};

static void emit(struct code *c, struct bpf_insn insn)
{
	c->insns[c->nr++] = insn;
}

static void emit_imm64(struct code *c, u8 reg, u8 pseudo, u32 low, u32 high)
{
	emit(c, BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, reg, pseudo, 0, low));
	emit(c, BPF_RAW_INSN(0, 0, 0, 0, high));
}

static void emit_call(struct code *c, int func)
{
	emit_imm64(c, BPF_REG_1, BPF_PSEUDO_MAP_IDX, 1, 0);
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_2, BPF_REG_10, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_2, 0, 0, -4));
	if (func == BPF_FUNC_map_update_elem) {
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_10, 0, 0));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_3, 0, 0, -16));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0));
	}
	emit(c, BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, func));
}

static void emit_lookup(struct code *c)
{
	emit_call(c, BPF_FUNC_map_lookup_elem);
	emit(c, BPF_RAW_INSN(BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 2, 0));
	emit(c, BPF_RAW_INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_1, BPF_REG_0, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_9, BPF_REG_1, 0, 0));
}

/* r6: the generator's state, r7: where it is kept, r8: its multiplier, r9: a sum. Maps: 0 state, 1 ours. */
static void generate(struct code *c, enum bpf_map_type type, enum op op, u32 entries)
{
	bool array = type == BPF_MAP_TYPE_ARRAY;
	u32 range = op == OP_EVICT ? entries * 4 : entries;

	c->nr = 0;
	emit_imm64(c, BPF_REG_7, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0);
	emit(c, BPF_RAW_INSN(BPF_LDX | BPF_MEM | BPF_DW, BPF_REG_6, BPF_REG_7, 0, 0));
	emit_imm64(c, BPF_REG_8, 0, 0x4c957f2d, 0x5851f42d);
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_9, 0, 0, 0));
	for (u32 i = 0; i < OPS; i++) {
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MUL | BPF_X, BPF_REG_6, BPF_REG_8, 0, 0));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_6, 0, 0, 0x7f4a7c15));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1, BPF_REG_6, 0, 0));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 33));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MUL | BPF_K, BPF_REG_1, 0, 0, range));
		emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_1, 0, 0, 31));
		if (op == OP_MISS)
			emit(c,
			     BPF_RAW_INSN(BPF_ALU64 | BPF_ADD | BPF_K, BPF_REG_1, 0, 0, entries));
		if (!array)
			emit(c,
			     BPF_RAW_INSN(BPF_ALU | BPF_MUL | BPF_K, BPF_REG_1, 0, 0, 0x9e3779b1));
		emit(c, BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_10, BPF_REG_1, -4, 0));
		emit(c, BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_10, BPF_REG_6, -16, 0));
		switch (op) {
		case OP_NONE:
			break;
		case OP_HIT:
		case OP_MISS:
			emit_lookup(c);
			break;
		case OP_DELETE_INSERT:
			emit_call(c, BPF_FUNC_map_delete_elem);
			/* fall through */
		case OP_UPDATE:
		case OP_EVICT:
			emit_call(c, BPF_FUNC_map_update_elem);
		}
	}
	emit(c, BPF_RAW_INSN(BPF_STX | BPF_MEM | BPF_DW, BPF_REG_7, BPF_REG_6, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0));
	emit(c, BPF_RAW_INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
}

/* ---- both sides */

struct side {
	struct bpf_map *maps[2]; /* ours */
	struct bpf_prog *prog, *base;
	int map_fds[2], prog_fd, base_fd; /* the kernel's */
};

static void make_maps(struct side *s, enum bpf_map_type type, u32 entries)
{
	struct bpf_map_spec specs[2] = {
		{BPF_MAP_TYPE_ARRAY, 4, 8, 1, 0, 0, "state", 0, 0, 0},
		{type, 4, 8, entries, 0, 0, "m", 0, 0, 0},
	};

	for (u32 i = 0; i < 2; i++) {
		int err = bpf_map_create(&specs[i], 0, -1, -1, &s->maps[i]);

		if (err)
			die("create", err);
		s->map_fds[i] = kernel_map_create(&specs[i]);
		if (s->map_fds[i] < 0)
			die("create in the kernel", s->map_fds[i]);
	}
	for (u32 i = 0; type != BPF_MAP_TYPE_ARRAY && i < entries; i++) {
		u32 key = i * 0x9e3779b1u;
		u64 value[64] = {i};
		int err = bpf_map_update(s->maps[1], &key, value, 0);

		if (!err)
			err = kernel_map_update(s->map_fds[1], &key, value, 0);
		if (err)
			die("fill", err);
	}
}

static void load_one(struct side *s, const struct code *c, struct bpf_prog **ours, int *kernels)
{
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
					  .name = "bench",
					  .license = "GPL",
					  .insns = c->insns,
					  .insn_cnt = c->nr,
					  .maps = s->maps,
					  .map_cnt = 2};
	struct bpf_log report;
	int err;

	bpf_log_init(&report, 0, 0);
	err = bpf_prog_load(&attr, NULL, &report, NULL, ours);
	if (err) {
		fprintf(stderr, "%s", bpf_log_text(&report));
		die("load", err);
	}
	bpf_log_free(&report);
	*kernels = kernel_prog_load(&attr, s->map_fds, 0, NULL, 0);
	if (*kernels < 0)
		die("load into the kernel", *kernels);
}

static double time_one(struct bpf_prog *prog, int fd, u32 repeat)
{
	char packet[64] = {};
	struct bpf_test_run run = {
		.data_in = packet, .data_size_in = sizeof(packet), .repeat = repeat};
	int err = prog ? bpf_prog_test_run(prog, &run) : kernel_test_run(fd, &run);

	if (err)
		die("run", err);
	return run.duration;
}

/* Runs that take about SAMPLE_NS. The first runs also touch what has to be touched. */
static u32 calibrate(struct bpf_prog *prog, int fd)
{
	double ns = time_one(prog, fd, 1000);

	ns = time_one(prog, fd, 1000);
	return (u32)max(1.0, min(SAMPLE_NS / max(ns, 1.0), 1000000.0));
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *samples, u32 nr)
{
	qsort(samples, nr, sizeof(*samples), by_value);
	return samples[nr / 2];
}

/* Nanoseconds an operation, the kernel's and ours. */
static void measure(struct side *s, u32 row, u32 entries, u32 rounds, double *kernel, double *ours)
{
	static double samples[4][MAX_ROUNDS];
	struct bpf_prog *progs[4];
	int fds[4];
	u32 repeat[4];
	struct code c;

	generate(&c, rows[row].type, rows[row].op, entries);
	load_one(s, &c, &s->prog, &s->prog_fd);
	generate(&c, rows[row].type, OP_NONE, entries);
	load_one(s, &c, &s->base, &s->base_fd);
	for (u32 i = 0; i < 4; i++) { /* kernel, kernel's base, ours, our base */
		progs[i] = i < 2 ? NULL : i == 2 ? s->prog : s->base;
		fds[i] = i == 0 ? s->prog_fd : s->base_fd;
		repeat[i] = calibrate(progs[i], fds[i]);
	}
	for (u32 r = 0; r < rounds; r++)
		for (u32 i = 0; i < 4; i++)
			samples[i][r] = time_one(progs[i], fds[i], repeat[i]);
	*kernel = (median(samples[0], rounds) - median(samples[1], rounds)) / OPS;
	*ours = (median(samples[2], rounds) - median(samples[3], rounds)) / OPS;
	bpf_prog_put(s->prog);
	bpf_prog_put(s->base);
	close(s->prog_fd);
	close(s->base_fd);
}

static void free_maps(struct side *s)
{
	for (u32 i = 0; i < 2; i++) {
		bpf_map_put(s->maps[i]);
		close(s->map_fds[i]);
	}
}

int main(int argc, char **argv)
{
	static const u32 sizes[] = {1000, 100000, 1000000};
	u32 rounds = 15, max_size = 1000000;
	double kernel[ARRAY_SIZE(sizes)], ours[ARRAY_SIZE(sizes)];
	const char *only = NULL;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "-rounds"))
			rounds = min((u32)atoi(argv[i + 1]), (u32)MAX_ROUNDS);
		else if (!strcmp(argv[i], "-max"))
			max_size = (u32)atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "-only"))
			only = argv[i + 1];
	}
	if (!rounds || kernel_unavailable()) {
		printf("bpf(2) is not to be had: %s\n",
		       kernel_unavailable() ? kernel_unavailable() : "-");
		return 0;
	}
	printf("| operation, u32 key | 1 k: kernel | ours | ratio | 100 k: kernel | ours | ratio "
	       "| 1 M: kernel | ours | ratio |\n"
	       "| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n");
	for (u32 row = 0; row < ARRAY_SIZE(rows); row++) {
		if (only && strcmp(only, rows[row].name))
			continue;
		printf("| %s |", rows[row].name);
		for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
			struct side s;

			if (sizes[i] > max_size)
				break;
			make_maps(&s, rows[row].type, sizes[i]);
			measure(&s, row, sizes[i], rounds, &kernel[i], &ours[i]);
			free_maps(&s);
			printf(" %.1f | %.1f | %.2f |", kernel[i], ours[i], ours[i] / kernel[i]);
			fflush(stdout);
		}
		printf("\n");
	}
	return 0;
}
