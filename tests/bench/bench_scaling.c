/*
 * bench_scaling.c - updates of one LRU map by several threads: ours against the running kernel's
 *
 *	bench_scaling [-rounds N] [-svg FILE]
 *
 * Each thread runs a program of its own (mapbench.h), with keys of its own choice, on the one map,
 * for SLICE_NS a round. The medians of all threads' updates a second are printed as a Markdown
 * table and, when asked, drawn. Threads beyond the number of CPUs share them: what they show is
 * what waiting for a lock's holder that lost its CPU costs.
 */
#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include "tests/lib/kernel.h"
#include "tests/lib/mapbench.h"
#include "map/syscall.h"

#define ENTRIES	    100000
#define MAX_THREADS 8
#define MAX_ROUNDS  101
#define SLICE_NS    40e6
#define REPEAT	    100 /* runs a call */

static const u32 thread_counts[] = {1, 2, 4, 8};

static const struct series {
	const char *name, *color;
	enum mapbench_op op;
	u32 map_flags;
	bool kernels;
} series[] = {
	{"ours, common list", "#0b5cad", MAPBENCH_EVICT, 0, false},
	{"ours, a list a CPU", "#3fa34d", MAPBENCH_EVICT, BPF_F_NO_COMMON_LRU, false},
	{"kernel, common list", "#c0392b", MAPBENCH_EVICT, 0, true},
	{"kernel, a list a CPU", "#e08e0b", MAPBENCH_EVICT, BPF_F_NO_COMMON_LRU, true},
	{"ours, update existing", "", MAPBENCH_UPDATE, 0, false},
	{"kernel, update existing", "", MAPBENCH_UPDATE, 0, true},
};
#define NR_PLOTTED 4

struct worker {
	pthread_t tid;
	struct bpf_map *maps[2];
	int map_fds[2];
	struct bpf_prog *prog;
	int prog_fd;
	bool kernels;
	u64 ops;
};

static pthread_barrier_t start;
static double result[ARRAY_SIZE(series)][ARRAY_SIZE(thread_counts)]; /* million updates a second */

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	double end;

	pthread_barrier_wait(&start);
	end = now_ns() + SLICE_NS;
	for (w->ops = 0; now_ns() < end; w->ops += REPEAT * MAPBENCH_OPS)
		mapbench_run(w->kernels ? NULL : w->prog, w->prog_fd, REPEAT);
	return NULL;
}

/* Million updates a second of so many threads together. */
static double run_slice(struct worker *workers, u32 nr, bool kernels)
{
	u64 ops = 0;
	double begin;

	pthread_barrier_init(&start, NULL, nr + 1);
	for (u32 i = 0; i < nr; i++) {
		workers[i].kernels = kernels;
		if (pthread_create(&workers[i].tid, NULL, work, &workers[i]))
			mapbench_die("pthread_create", ENOMEM);
	}
	pthread_barrier_wait(&start);
	begin = now_ns();
	for (u32 i = 0; i < nr; i++) {
		pthread_join(workers[i].tid, NULL);
		ops += workers[i].ops;
	}
	pthread_barrier_destroy(&start);
	return (double)ops * 1e3 / (now_ns() - begin);
}

static void worker_init(struct worker *w, struct bpf_map *map, int map_fd, enum mapbench_op op,
			u32 seed)
{
	static const struct bpf_map_spec state = MAPBENCH_STATE_SPEC;
	struct mapbench_code c;
	u64 first = (seed + 1) * 0x9e3779b97f4a7c15ull;
	u32 key = 0;

	mapbench_make_map(&state, &w->maps[0], &w->map_fds[0]);
	bpf_map_update(w->maps[0], &key, &first, 0);
	kernel_map_update(w->map_fds[0], &key, &first, 0);
	w->maps[1] = map;
	w->map_fds[1] = map_fd;
	mapbench_generate(&c, map->map_type, op, 4, ENTRIES);
	mapbench_load(&c, w->maps, w->map_fds, &w->prog, &w->prog_fd);
}

/*
 * Two neighbouring series have one pair of maps; the sides and the numbers of threads take turns.
 */
static void measure(u32 ours, u32 kernels, u32 rounds)
{
	static double samples[2][ARRAY_SIZE(thread_counts)][MAX_ROUNDS];
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_LRU_HASH,
				    .key_size = 4,
				    .value_size = 8,
				    .max_entries = ENTRIES,
				    .map_flags = series[ours].map_flags,
				    .name = "m"};
	struct worker workers[MAX_THREADS];
	struct bpf_map *map;
	int map_fd;

	mapbench_make_map(&spec, &map, &map_fd);
	for (u32 i = 0; i < MAX_THREADS; i++)
		worker_init(&workers[i], map, map_fd, series[ours].op, i);
	for (u32 r = 0; r < rounds; r++)
		for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
			for (u32 side = 0; side < 2; side++)
				samples[side][t][r] = run_slice(workers, thread_counts[t], side);
	for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++) {
		result[ours][t] = mapbench_median(samples[0][t], rounds);
		result[kernels][t] = mapbench_median(samples[1][t], rounds);
	}
	for (u32 i = 0; i < MAX_THREADS; i++) {
		bpf_prog_put(workers[i].prog);
		close(workers[i].prog_fd);
		bpf_map_put(workers[i].maps[0]);
		close(workers[i].map_fds[0]);
	}
	bpf_map_put(map);
	close(map_fd);
}

static void print_table(void)
{
	printf("| million updates a second, threads: |");
	for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
		printf(" %u |", thread_counts[t]);
	printf("\n| --- |");
	for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
		printf(" --: |");
	for (u32 s = 0; s < ARRAY_SIZE(series); s++) {
		printf("\n| %s |", series[s].name);
		for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
			printf(" %.2f |", result[s][t]);
	}
	printf("\n");
}

/* ---- the plot */

#define LEFT   60.0
#define TOP    20.0
#define WIDTH  440.0
#define HEIGHT 240.0

static double plot_x(u32 t)
{
	return LEFT + WIDTH * t / (ARRAY_SIZE(thread_counts) - 1);
}

static void draw_axes(FILE *f, double highest)
{
	for (u32 i = 0; i <= 4; i++) {
		double y = TOP + HEIGHT - HEIGHT * i / 4;

		fprintf(f, "<path d=\"M%g %gh%g\" stroke=\"#ddd\"/>", LEFT, y, WIDTH);
		fprintf(f, "<text x=\"%g\" y=\"%g\" text-anchor=\"end\">%.1f</text>\n", LEFT - 6,
			y + 4, highest * i / 4);
	}
	for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
		fprintf(f, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">%u</text>\n", plot_x(t),
			TOP + HEIGHT + 18, thread_counts[t]);
	fprintf(f, "<text x=\"%g\" y=\"%g\" text-anchor=\"middle\">threads</text>\n",
		LEFT + WIDTH / 2, TOP + HEIGHT + 36);
	fprintf(f,
		"<text transform=\"translate(16 %g) rotate(-90)\" text-anchor=\"middle\">"
		"million evicting updates a second</text>\n",
		TOP + HEIGHT / 2);
}

static void draw(const char *path)
{
	FILE *f = fopen(path, "w");
	double highest = 0;

	if (!f)
		mapbench_die(path, errno);
	for (u32 s = 0; s < NR_PLOTTED; s++)
		for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
			highest = max(highest, result[s][t] * 1.05);
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"700\" height=\"310\" "
		   "font-family=\"sans-serif\" font-size=\"12\" fill=\"none\">\n"
		   "<rect width=\"700\" height=\"310\" fill=\"#fff\"/>\n<g fill=\"#333\">\n");
	draw_axes(f, highest);
	for (u32 s = 0; s < NR_PLOTTED; s++)
		fprintf(f, "<text x=\"540\" y=\"%u\">%s</text>\n", 40 + 20 * s, series[s].name);
	fprintf(f, "</g>\n");
	for (u32 s = 0; s < NR_PLOTTED; s++) {
		fprintf(f, "<path d=\"M516 %uh18\" stroke=\"%s\" stroke-width=\"2\"/>\n",
			36 + 20 * s, series[s].color);
		fprintf(f, "<polyline stroke=\"%s\" stroke-width=\"2\" points=\"", series[s].color);
		for (u32 t = 0; t < ARRAY_SIZE(thread_counts); t++)
			fprintf(f, "%s%.1f,%.1f", t ? " " : "", plot_x(t),
				TOP + HEIGHT - HEIGHT * result[s][t] / highest);
		fprintf(f, "\"/>\n");
	}
	fprintf(f, "</svg>\n");
	if (fclose(f))
		mapbench_die(path, errno);
}

int main(int argc, char **argv)
{
	const char *svg = NULL;
	u32 rounds = 15;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "-rounds"))
			rounds = min((u32)atoi(argv[i + 1]), (u32)MAX_ROUNDS);
		else if (!strcmp(argv[i], "-svg"))
			svg = argv[i + 1];
	}
	if (!rounds || kernel_unavailable()) {
		printf("bpf(2) is not to be had: %s\n",
		       kernel_unavailable() ? kernel_unavailable() : "-");
		return 0;
	}
	measure(0, 2, rounds);
	measure(1, 3, rounds);
	measure(4, 5, rounds);
	print_table();
	if (svg)
		draw(svg);
	return 0;
}
