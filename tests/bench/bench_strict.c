/*
 * bench_strict.c - what it costs that a program is loaded strictly
 *
 *	bench_strict [-rounds N] OBJECT
 *
 * Each program of the object by itself, loaded both ways: the time of the load, and of a test run
 * of 1 KiB of packet. Both take turns within a round, and the median over the rounds counts.
 * Programs that the strict rules refuse are named below the table. Prints Markdown.
 */
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <time.h>
#include "load.h"
#include "run/test_run.h"
#include "tests/lib/object.h"

#define MAX_ROUNDS 1001

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *v, u32 n)
{
	qsort(v, n, sizeof(*v), by_value);
	return v[n / 2];
}

/* One program of the object alone: what the bench does not load it does not free, either. */
static int keep_one(void *priv, struct bpf_object_file *file)
{
	u32 n = *(const u32 *)priv;
	struct bpf_object_prog one = file->progs[n];

	file->progs[n] = file->progs[0];
	file->progs[0] = one;
	file->prog_cnt = 1;
	for (u32 m = 0; m < file->map_cnt; m++)
		file->maps[m].init_cnt = 0;
	return 0;
}

static int load(const void *data, size_t len, u32 n, bool strict, struct bpf_loaded *out,
		double *us)
{
	struct bpf_object_load_opts opts = {
		.prepare = keep_one,
		.priv = &n,
		.prog_flags = strict ? PROG_F_STRICT : 0,
	};
	double begin = now_us();
	int err = bpf_object_load(data, len, &opts, out);

	*us = now_us() - begin;
	return err;
}

/* Nanoseconds a run. */
static double run(struct bpf_prog *prog)
{
	static u8 packet[1024] = {[12] = 8, [14] = 0x45, [23] = 6};
	struct bpf_test_run r = {.data_in = packet, .data_size_in = sizeof(packet), .repeat = 50};

	return bpf_prog_test_run(prog, &r) ? NAN : r.duration;
}

static void measure(const void *data, size_t len, u32 n, u32 rounds, double *loads, double *runs,
		    char *refused, size_t size)
{
	static double load_us[2][MAX_ROUNDS], run_ns[2][MAX_ROUNDS];
	char name[64] = "";

	for (u32 r = 0; r < rounds; r++) {
		for (u32 s = 0; s < 2; s++) {
			struct bpf_loaded l;
			int err = load(data, len, n, s, &l, &load_us[s][r]);

			if (err) {
				if (s && !r)
					snprintf(refused + strlen(refused), size - strlen(refused),
						 "%s%s", *refused ? ", " : "", name);
				bpf_loaded_free(&l);
				return;
			}
			snprintf(name, sizeof(name), "%s", l.progs[0]->name);
			run_ns[s][r] = run(l.progs[0]);
			bpf_loaded_free(&l);
		}
	}
	loads[0] = median(load_us[0], rounds);
	loads[1] = median(load_us[1], rounds);
	runs[0] = median(run_ns[0], rounds);
	runs[1] = median(run_ns[1], rounds);
	printf("| %s | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |\n", name, loads[0], loads[1],
	       loads[1] / loads[0], runs[0], runs[1], runs[1] / runs[0]);
}

int main(int argc, char **argv)
{
	double load_log = 0, run_log = 0;
	u32 rounds = 11, cnt = 0, n = 0;
	struct bpf_object_file *file;
	char refused[1024] = "";
	size_t len;
	void *data;

	if (argc > 2 && !strcmp(argv[1], "-rounds")) {
		rounds = min((u32)strtoul(argv[2], NULL, 0), (u32)MAX_ROUNDS);
		argc -= 2;
		argv += 2;
	}
	if (argc != 2 || !rounds) {
		fprintf(stderr, "usage: bench_strict [-rounds N] OBJECT\n");
		return 2;
	}
	data = test_object_bytes(argv[1], &len);
	if (bpf_object_read(data, len, NULL, &file))
		return 1;
	n = file->prog_cnt;
	bpf_object_file_free(file);
	printf("| program | load, us | strict | | run, ns | strict | |\n");
	printf("| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
	for (u32 i = 0; i < n; i++) {
		double loads[2] = {0}, runs[2] = {0};

		measure(data, len, i, rounds, loads, runs, refused, sizeof(refused));
		if (!loads[0] || !(runs[0] > 0))
			continue;
		load_log += log(loads[1] / loads[0]);
		run_log += log(runs[1] / runs[0]);
		cnt++;
	}
	printf("\nGeometric means of strict to not: loads %.2f, runs %.2f. Refused: %s.\n",
	       exp(load_log / max(cnt, 1u)), exp(run_log / max(cnt, 1u)),
	       *refused ? refused : "none");
	free(data);
	return 0;
}
