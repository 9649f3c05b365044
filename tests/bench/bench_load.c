/*
 * bench_load.c - what loading an object costs: ours against the running kernel's through libbpf
 *
 *	bench_load [-rounds N] OBJECT...
 *
 * From the file's bytes in memory to programs that can run, in this process (warm) and in a process
 * of its own that has loaded nothing before (fresh). Both take turns within a round, and the median
 * over the rounds counts. What the kernel does not take, or we do not, is left out. Prints one
 * Markdown table. Needs the right to load into the kernel.
 */
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "load.h"

#define MAX_ROUNDS 1001

enum side { OURS, KERNEL, SIDES };

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Microseconds; negative: refused. */
static double load_ours(const void *data, size_t len)
{
	struct bpf_loaded loaded;
	double begin = now_us(), end;
	int err = bpf_object_load(data, len, NULL, &loaded);

	end = now_us();
	bpf_loaded_free(&loaded);
	return err ? -1 : end - begin;
}

static double load_kernel(const void *data, size_t len)
{
	double begin = now_us(), end;
	struct bpf_object *obj = bpf_object__open_mem(data, len, NULL);
	int err = obj ? bpf_object__load(obj) : -1;

	end = now_us();
	bpf_object__close(obj);
	return err ? -1 : end - begin;
}

static double load(enum side side, const void *data, size_t len)
{
	return side == OURS ? load_ours(data, len) : load_kernel(data, len);
}

static void *read_file(const char *path, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *data;

	if (fd < 0 || fstat(fd, &st)) {
		perror(path);
		exit(1);
	}
	*len = (size_t)st.st_size;
	data = malloc(*len + 1);
	if (!data || read(fd, data, *len) != (ssize_t)*len) {
		perror(path);
		exit(1);
	}
	close(fd);
	return data;
}

/* This program again, for one load: what it says. A fork would make this process slower. */
static double load_fresh(enum side side, const char *path)
{
	char *const argv[] = {"bench_load", side == OURS ? "-ours" : "-kernel", (char *)path, NULL};
	posix_spawn_file_actions_t actions;
	char text[64] = "";
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) || posix_spawn_file_actions_init(&actions))
		return -1;
	posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
	if (posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ))
		pid = -1;
	posix_spawn_file_actions_destroy(&actions);
	close(ends[1]);
	while (pid > 0 && read(ends[0], text, sizeof(text) - 1) < 0 && errno == EINTR)
		;
	close(ends[0]);
	waitpid(pid, NULL, 0);
	return *text ? atof(text) : -1;
}

static int one_load(enum side side, const char *path)
{
	size_t len;
	void *data = read_file(path, &len);

	printf("%f\n", load(side, data, len));
	free(data);
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, int n)
{
	qsort(v, n, sizeof(*v), compare);
	return v[n / 2];
}

static double sums[2];
static int nr_rows;

static void row(const char *path, int rounds)
{
	static double us[2][SIDES][MAX_ROUNDS];
	const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	double warm[SIDES], fresh[SIDES];
	size_t len;
	void *data = read_file(path, &len);

	for (enum side side = 0; side < SIDES; side++)
		if (load(side, data, len) < 0)
			goto out;
	for (int i = 0; i < 2 * rounds; i++) /* first the fresh ones: they would cool the others */
		for (enum side side = 0; side < SIDES; side++)
			us[i / rounds][side][i % rounds] = i < rounds ? load_fresh(side, path)
								      : load(side, data, len);
	for (enum side side = 0; side < SIDES; side++) {
		fresh[side] = median(us[0][side], rounds);
		warm[side] = median(us[1][side], rounds);
	}
	printf("| %.*s | %zu | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |\n",
	       (int)strcspn(name, "."), name, len, fresh[OURS], fresh[KERNEL],
	       fresh[OURS] / fresh[KERNEL], warm[OURS], warm[KERNEL], warm[OURS] / warm[KERNEL]);
	fflush(stdout);
	sums[0] += log(fresh[OURS] / fresh[KERNEL]);
	sums[1] += log(warm[OURS] / warm[KERNEL]);
	nr_rows++;
out:
	free(data);
}

static int no_text(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return 0;
}

int main(int argc, char **argv)
{
	const struct rlimit all = {RLIM_INFINITY, RLIM_INFINITY};
	int rounds = 25;

	setrlimit(RLIMIT_MEMLOCK, &all);
	libbpf_set_print(no_text);
	argv++;
	if (argc == 3 && !strcmp(*argv, "-ours"))
		return one_load(OURS, argv[1]);
	if (argc == 3 && !strcmp(*argv, "-kernel"))
		return one_load(KERNEL, argv[1]);
	if (*argv && !strcmp(*argv, "-rounds") && argv[1]) {
		rounds = atoi(argv[1]);
		argv += 2;
	}
	rounds = rounds < 1 ? 1 : rounds > MAX_ROUNDS ? MAX_ROUNDS : rounds;
	printf("| object | bytes | fresh, us | kernel | ratio | warm, us | kernel | ratio |\n"
	       "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
	for (; *argv; argv++)
		row(*argv, rounds);
	if (nr_rows)
		printf("| geometric mean | | | | %.2f | | | %.2f |\n", exp(sums[0] / nr_rows),
		       exp(sums[1] / nr_rows));
	return 0;
}
