/*
 * bench_local.c - what a run costs in a process of one's own, on the maps of a mount
 *
 *	bench_local MOUNT OBJECT ROUNDS
 *
 * OBJECT (tests/progs/local.bpf.o) is loaded there. Its program `add` counts in an array and in a
 * global, by atomic operations. It runs from the mount (ubpffs_local_open()), and as the engine's
 * own (ubpffs_object_load(), maps of this process); both take turns. Prints a table: medians of the
 * time of this thread, and for the server of the clock.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "engine/ubpffs_engine.h"
#include "local/ubpffs_local.h"
#include "uapi/ubpffs_client.h"

#define MAX_ROUNDS 101
#define RUNS	   2000000

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_local: %s: %s\n", what, strerror(-err));
	exit(1);
}

static double now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return 1e9 * (double)ts.tv_sec + (double)ts.tv_nsec;
}

/* A run after the other, without what comes between two calls. */
static double repeat_ns(struct bpf_prog *prog)
{
	struct ubpffs_test_run run = {.repeat = RUNS};
	double start = now_ns(CLOCK_THREAD_CPUTIME_ID);
	int err = ubpffs_prog_test_run(prog, &run);

	if (err)
		die("test run", err);
	return (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / RUNS;
}

/* A call of the library a run. */
static double call_ns(struct bpf_prog *prog)
{
	uint64_t block[8] = {1}, ret;
	double start = now_ns(CLOCK_THREAD_CPUTIME_ID);

	for (int i = 0; i < RUNS; i++)
		if (ubpffs_prog_run(prog, block, sizeof(block), &ret))
			exit(1);
	return (now_ns(CLOCK_THREAD_CPUTIME_ID) - start) / RUNS;
}

/* A call of the server a run. */
static double server_ns(int fd)
{
	uint64_t block[8] = {1};
	double start = now_ns(CLOCK_MONOTONIC);

	for (int i = 0; i < RUNS / 200; i++)
		if (ubpfc_prog_test_run(fd, 1, block, 8, NULL, NULL, NULL, NULL))
			exit(1);
	return (now_ns(CLOCK_MONOTONIC) - start) / (RUNS / 200);
}

enum { OWN, LOCAL, OWN_CALL, LOCAL_CALL, SERVER, WAYS };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(double times[WAYS][MAX_ROUNDS], int rounds)
{
	static const char *const names[WAYS] = {
		"the engine's own, a loop of test runs", "the mount's, a loop of test runs",
		"the engine's own, a call a run", "the mount's, a call a run",
		"the mount's, a call of the server a run"};
	double median[WAYS];

	for (int w = 0; w < WAYS; w++) {
		qsort(times[w], (size_t)rounds, sizeof(double), by_value);
		median[w] = times[w][rounds / 2];
	}
	printf("| program and maps | ns a run | of the engine's own |\n| --- | ---: | ---: |\n");
	for (int w = 0; w < WAYS; w++)
		printf("| %s | %.1f | %.2f |\n", names[w], median[w],
		       median[w] / median[w == LOCAL || w == OWN ? OWN : OWN_CALL]);
}

static void *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *data = malloc(1 << 20);

	*size = f && data ? fread(data, 1, 1 << 20, f) : 0;
	if (f)
		fclose(f);
	return data;
}

int main(int argc, char **argv)
{
	static double times[WAYS][MAX_ROUNDS];
	int rounds = argc == 4 ? atoi(argv[3]) : 0, err, fd;
	struct ubpffs_local *local;
	struct ubpffs_object *obj;
	struct bpf_prog *own, *mounts;
	size_t size;
	void *elf;

	if (rounds < 1 || rounds > MAX_ROUNDS || ubpfc_mount(argv[1]))
		return 2;
	elf = read_file(argv[2], &size);
	err = ubpffs_object_load(elf, size, NULL, &obj);
	if (err)
		die(argv[2], err);
	err = ubpffs_local_open("progs/add/prog", NULL, &local);
	if (err)
		die(ubpffs_local_error(local), err);
	own = ubpffs_object_prog(obj, "add");
	mounts = ubpffs_local_prog(local);
	fd = ubpfc_obj_get("progs/add/prog");
	ubpffs_slot_keep();
	for (int r = -1; r < rounds; r++) { /* the first round warms up */
		int at = r < 0 ? 0 : r;

		times[OWN][at] = repeat_ns(own);
		times[LOCAL][at] = repeat_ns(mounts);
		times[OWN_CALL][at] = call_ns(own);
		times[LOCAL_CALL][at] = call_ns(mounts);
		times[SERVER][at] = server_ns(fd);
	}
	ubpffs_slot_release();
	print(times, rounds);
	ubpffs_local_close(local);
	ubpffs_object_free(obj);
	free(elf);
	return 0;
}
