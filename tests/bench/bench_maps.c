/*
 * bench_maps.c - what a map operation costs inside a program: ours against the running kernel's
 *
 *	bench_maps [-rounds N] [-max ENTRIES] [-only ROW]
 *
 * A program does MAPBENCH_OPS operations on pseudo-random keys of a full map, written out one after
 * the other; a second one does the same but for the call, and its time is subtracted. Kernel and we
 * take turns within a round, and the median over the rounds counts. Prints one Markdown table.
 */
#include <stdio.h>
#include "tests/lib/kernel.h"
#include "tests/lib/mapbench.h"

#define MAX_ROUNDS 101
#define SAMPLE_NS  500000 /* less than a time slice */

static const struct {
	const char *name;
	enum bpf_map_type type;
	enum mapbench_op op;
	u32 key_size;
} rows[] = {
	{"array lookup", BPF_MAP_TYPE_ARRAY, MAPBENCH_HIT, 4},
	{"array update", BPF_MAP_TYPE_ARRAY, MAPBENCH_UPDATE, 4},
	{"hash hit", BPF_MAP_TYPE_HASH, MAPBENCH_HIT, 4},
	{"hash miss", BPF_MAP_TYPE_HASH, MAPBENCH_MISS, 4},
	{"hash update existing", BPF_MAP_TYPE_HASH, MAPBENCH_UPDATE, 4},
	{"hash delete + insert", BPF_MAP_TYPE_HASH, MAPBENCH_DELETE_INSERT, 4},
	{"hash hit, 8-byte key", BPF_MAP_TYPE_HASH, MAPBENCH_HIT, 8},
	{"hash hit, 16-byte key", BPF_MAP_TYPE_HASH, MAPBENCH_HIT, 16},
	{"hash update existing, 16-byte key", BPF_MAP_TYPE_HASH, MAPBENCH_UPDATE, 16},
	{"percpu_hash hit", BPF_MAP_TYPE_PERCPU_HASH, MAPBENCH_HIT, 4},
	{"percpu_hash increment", BPF_MAP_TYPE_PERCPU_HASH, MAPBENCH_INCREMENT, 4},
	{"percpu_hash update existing", BPF_MAP_TYPE_PERCPU_HASH, MAPBENCH_UPDATE, 4},
	{"lru_hash hit", BPF_MAP_TYPE_LRU_HASH, MAPBENCH_HIT, 4},
	{"lru_hash hit, 16-byte key", BPF_MAP_TYPE_LRU_HASH, MAPBENCH_HIT, 16},
	{"lru_percpu_hash increment", BPF_MAP_TYPE_LRU_PERCPU_HASH, MAPBENCH_INCREMENT, 4},
	{"lru_hash update existing", BPF_MAP_TYPE_LRU_HASH, MAPBENCH_UPDATE, 4},
	{"lru_hash update, evicting", BPF_MAP_TYPE_LRU_HASH, MAPBENCH_EVICT, 4},
};

/* ---- both sides */

struct side {
	struct bpf_map *maps[2]; /* ours */
	struct bpf_prog *prog, *base;
	int map_fds[2], prog_fd, base_fd; /* the kernel's */
};

static void make_maps(struct side *s, u32 row, u32 entries)
{
	static const struct bpf_map_spec state = MAPBENCH_STATE_SPEC;
	struct bpf_map_spec spec = {.map_type = rows[row].type,
				    .key_size = rows[row].key_size,
				    .value_size = 8,
				    .max_entries = entries};

	mapbench_make_map(&state, &s->maps[0], &s->map_fds[0]);
	mapbench_make_map(&spec, &s->maps[1], &s->map_fds[1]);
}

/* Runs that take about SAMPLE_NS. The first runs also touch what has to be touched. */
static u32 calibrate(struct bpf_prog *prog, int fd)
{
	double ns = mapbench_run(prog, fd, 1000);

	ns = mapbench_run(prog, fd, 1000);
	return (u32)max(1.0, min(SAMPLE_NS / max(ns, 1.0), 1000000.0));
}

/* Nanoseconds an operation, the kernel's and ours. */
static void measure(struct side *s, u32 row, u32 entries, u32 rounds, double *kernel, double *ours)
{
	static double samples[4][MAX_ROUNDS];
	struct bpf_prog *progs[4];
	int fds[4];
	u32 repeat[4];
	struct mapbench_code c;

	mapbench_generate(&c, rows[row].type, rows[row].op, rows[row].key_size, entries);
	mapbench_load(&c, s->maps, s->map_fds, &s->prog, &s->prog_fd);
	mapbench_generate(&c, rows[row].type, MAPBENCH_NONE, rows[row].key_size, entries);
	mapbench_load(&c, s->maps, s->map_fds, &s->base, &s->base_fd);
	for (u32 i = 0; i < 4; i++) { /* kernel, kernel's base, ours, our base */
		progs[i] = i < 2 ? NULL : i == 2 ? s->prog : s->base;
		fds[i] = i == 0 ? s->prog_fd : s->base_fd;
		repeat[i] = calibrate(progs[i], fds[i]);
	}
	for (u32 r = 0; r < rounds; r++)
		for (u32 i = 0; i < 4; i++)
			samples[i][r] = mapbench_run(progs[i], fds[i], repeat[i]);
	*kernel = (mapbench_median(samples[0], rounds) - mapbench_median(samples[1], rounds)) /
		  MAPBENCH_OPS;
	*ours = (mapbench_median(samples[2], rounds) - mapbench_median(samples[3], rounds)) /
		MAPBENCH_OPS;
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
	printf("| operation (keys: u32) | 1 k: kernel | ours | ratio | 100 k: kernel | ours | "
	       "ratio "
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
			make_maps(&s, row, sizes[i]);
			measure(&s, row, sizes[i], rounds, &kernel[i], &ours[i]);
			free_maps(&s);
			printf(" %.1f | %.1f | %.2f |", kernel[i], ours[i], ours[i] / kernel[i]);
			fflush(stdout);
		}
		printf("\n");
	}
	return 0;
}
