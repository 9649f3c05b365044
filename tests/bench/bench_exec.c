/*
 * bench_exec.c - how fast programs run: our JIT and our interpreter against the running kernel
 *
 *	bench_exec [-rounds N] [-ms M]
 *
 * The programs are those of tests/progs/bench.bpf.c. Each is timed by BPF_PROG_TEST_RUN's repeat, which is
 * ours, too; a sample is about M milliseconds of runs, shorter than a time slice, for the kernel does not count
 * the time that it gave away, and we cannot tell. The engines take turns within a round, so that whatever else
 * the machine does meets all of them, and the median over the rounds counts. From each
 * time that of the empty program of the same engine is subtracted: entering a program costs the kernel what we
 * do not have, and the other way round. Prints one Markdown table.
 */
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <sys/stat.h>
#include "load.h"
#include "tests/lib/instance.h"
#include "tests/lib/kernel.h"

#define MAX_ROUNDS 101
#define MAX_PROGS  32
#define HASH_KEYS  512

static const struct {
	const char *name, *what;
	u32 ops; /* of what it is about, a run */
} about[] = {
	{"empty", "returns 0", 1},
	{"alu", "multiply, shift, xor, add", 500},
	{"division", "64 and 32 bits, modulo, by a constant", 199},
	{"byteswap", "16, 32, 64 bits", 500},
	{"stack", "loads and stores at variable offsets", 300},
	{"branches", "on data", 400},
	{"parse", "Ethernet, IPv4, TCP with bounds checks", 100},
	{"checksum", "1 KiB of packet", 256},
	{"array_lookup", "1024 entries, variable key", 200},
	{"hash_lookup", "512 of 1024 entries, hit", 100},
	{"hash_update", "of an existing key", 100},
	{"hash_insert_delete", "a pair", 50},
	{"call", "bpf-to-bpf", 300},
	{"tail_call", "a chain of 33", 33},
	{"atomic", "add to a map value", 200},
	{"spin_lock", "lock, two fields, unlock", 200},
	{"bpf_loop_call", "`bpf_loop`, a callback of six operations", 500},
	{"for_each_array", "`bpf_for_each_map_elem`, 1024 entries", 1024},
	{"for_each_hash", "`bpf_for_each_map_elem`, 512 of 1024 entries", 512},
};

static struct bpf_object_file *file;
static struct bpf_map_spec specs[INSTANCE_MAPS];

struct bench_engine {
	bool present;
	struct instance *base, *progs[MAX_PROGS];
	u32 repeat[MAX_PROGS], retval[MAX_PROGS];
	double samples[MAX_PROGS][MAX_ROUNDS], ns[MAX_PROGS];
};

static struct bench_engine engines[ENGINE_MAX];

static void die(const char *what, int err)
{
	fprintf(stderr, "bench_exec: %s: %s\n", what, strerror(-err));
	exit(1);
}

static void read_object(void)
{
	char path[4096] = "";
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	struct bpf_log log;
	struct stat st;
	void *data;
	int fd, err;

	if (n < 0)
		die("/proc/self/exe", -errno);
	path[n] = 0;
	strcpy(strrchr(path, '/'), "/../progs/bench.bpf.o");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		die(path, -errno);
	data = malloc(st.st_size);
	if (!data || read(fd, data, st.st_size) != st.st_size)
		die(path, -EIO);
	close(fd);
	bpf_log_init(&log, 1, 0);
	err = bpf_object_read(data, st.st_size, &log, &file);
	if (err)
		die(bpf_log_text(&log), err);
	bpf_log_free(&log);
	free(data);
	if (file->prog_cnt > MAX_PROGS || file->map_cnt > INSTANCE_MAPS)
		die("too many programs or maps", -E2BIG);
	for (u32 i = 0; i < file->map_cnt; i++)
		specs[i] = file->maps[i].spec;
}

static int prog_index(const char *name)
{
	for (u32 i = 0; i < file->prog_cnt; i++)
		if (!strcmp(file->progs[i].name, name))
			return (int)i;
	die(name, -ENOENT);
	return -1;
}

static void fill_maps(struct instance *base)
{
	for (u32 m = 0; m < file->map_cnt; m++)
		for (u32 key = 0; specs[m].map_type == BPF_MAP_TYPE_HASH && key < HASH_KEYS; key++)
			instance_update(base, m, &key, &(u64){key});
}

static void engine_load(enum engine e)
{
	struct bench_engine *b = &engines[e];

	b->base = instance_new(e, specs, file->map_cnt);
	fill_maps(b->base);
	for (u32 i = 0; i < file->prog_cnt; i++) {
		const struct bpf_object_prog *p = &file->progs[i];
		const struct bpf_prog_load_attr attr = {
			.prog_type = p->type,
			.name = p->name,
			.license = file->license,
			.insns = p->insns,
			.insn_cnt = p->insn_cnt,
			.btf = file->btf,
			.func_info = p->func_info,
			.func_info_cnt = p->func_info_cnt,
			.line_info = p->line_info,
			.line_info_cnt = p->line_info_cnt,
		};
		int err;

		b->progs[i] = instance_beside(b->base);
		err = instance_load(b->progs[i], &attr, 1);
		if (err) {
			fprintf(stderr, "%s", b->progs[i]->log);
			die(p->name, err);
		}
	}
	for (u32 m = 0; m < file->map_cnt; m++)
		for (u32 k = 0; k < file->maps[m].init_cnt; k++)
			instance_set_slot(b->base, m, file->maps[m].init_slot[k],
					  b->progs[file->maps[m].init_target[k]]);
	b->present = true;
}

/* ns a run */
static double sample(struct bench_engine *b, u32 prog, u32 repeat)
{
	static const u8 head[] = {2,  0,    0, 0, 0,   1, 2, 0, 0,    0,    0,	  2,   8,
				  0,  0x45, 0, 5, 220, 0, 1, 0, 0,    64,   6,	  0,   0,
				  10, 0,    0, 1, 10,  0, 0, 2, 0x1f, 0x90, 0xc3, 0x50};
	u8 packet[1514] = {0};
	struct bpf_test_run run = {
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.repeat = repeat,
	};
	int err;

	memcpy(packet, head, sizeof(head));
	packet[46] = 0x50;
	err = instance_run(b->progs[prog], &run);
	if (err)
		die(file->progs[prog].name, err);
	b->retval[prog] = run.retval;
	return run.duration;
}

static void calibrate(struct bench_engine *b, u32 prog, double ms)
{
	u32 repeat = 100;
	double ns = 0;

	for (;;) {
		ns = min(sample(b, prog, repeat), sample(b, prog, repeat));
		ns = max(ns, 1.0);
		if (ns * repeat > 2e5 || repeat > 100000)
			break;
		repeat *= 10;
	}
	b->repeat[prog] = (u32)max(ms * 1e6 / ns, 10.0);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void measure(u32 rounds, double ms)
{
	for (int e = 0; e < ENGINE_MAX; e++)
		for (u32 i = 0; engines[e].present && i < file->prog_cnt; i++)
			calibrate(&engines[e], i, ms);
	for (u32 r = 0; r < rounds; r++)
		for (u32 i = 0; i < file->prog_cnt; i++)
			for (int e = 0; e < ENGINE_MAX; e++)
				if (engines[e].present)
					engines[e].samples[i][r] =
						sample(&engines[e], i, engines[e].repeat[i]);
	for (int e = 0; e < ENGINE_MAX; e++) {
		for (u32 i = 0; engines[e].present && i < file->prog_cnt; i++) {
			qsort(engines[e].samples[i], rounds, sizeof(double), by_value);
			engines[e].ns[i] = engines[e].samples[i][rounds / 2];
		}
	}
}

static void print_cell(double ns, u32 ops)
{
	printf(" %.*f |", ns / ops < 10 ? 2 : 1, ns / ops);
}

static void print_table(void)
{
	double log_jit = 0, log_interp = 0;
	int empty = prog_index("empty"), n = 0;

	printf("| program | what | ns an operation: kernel JIT | our JIT | our interpreter | our "
	       "JIT / "
	       "kernel | our interpreter / kernel |\n");
	printf("| --- | --- | ---: | ---: | ---: | ---: | ---: |\n");
	for (u32 k = 0; k < ARRAY_SIZE(about); k++) {
		int i = prog_index(about[k].name);
		double net[ENGINE_MAX];

		printf("| %s | %s |", about[k].name, about[k].what);
		for (int e = 0; e < ENGINE_MAX; e++) {
			net[e] = engines[e].ns[i] - (i == empty ? 0 : engines[e].ns[empty]);
			if (engines[e].present)
				print_cell(net[e], about[k].ops);
			else
				printf(" - |");
		}
		if (engines[ENGINE_KERNEL].present && i != empty && net[ENGINE_KERNEL] > 0) {
			printf(" %.2f | %.1f |\n", net[ENGINE_JIT] / net[ENGINE_KERNEL],
			       net[ENGINE_INTERP] / net[ENGINE_KERNEL]);
			log_jit += log(net[ENGINE_JIT] / net[ENGINE_KERNEL]);
			log_interp += log(net[ENGINE_INTERP] / net[ENGINE_KERNEL]);
			n++;
		} else {
			printf(" | |\n");
		}
	}
	if (n)
		printf("| **geometric mean** | | | | | **%.2f** | **%.1f** |\n", exp(log_jit / n),
		       exp(log_interp / n));
}

/* A benchmark of something that computes something else is worth nothing. */
static void check_results(void)
{
	for (u32 i = 0; i < file->prog_cnt; i++)
		for (int e = 0; e < ENGINE_MAX; e++)
			if (engines[e].present &&
			    engines[e].retval[i] != engines[ENGINE_INTERP].retval[i]) {
				fprintf(stderr, "%s: %s returns %#x, not %#x\n",
					file->progs[i].name, engine_name(e), engines[e].retval[i],
					engines[ENGINE_INTERP].retval[i]);
				exit(1);
			}
}

static void stay_on_this_cpu(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(sched_getcpu(), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

int main(int argc, char **argv)
{
	const char *why = kernel_unavailable();
	u32 rounds = 51;
	double ms = 0.3;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "-rounds"))
			rounds = min((u32)atoi(argv[i + 1]), (u32)MAX_ROUNDS);
		if (!strcmp(argv[i], "-ms"))
			ms = atof(argv[i + 1]);
	}
	if (!rounds || ms <= 0)
		die("-rounds and -ms must be above 0", -EINVAL);
	stay_on_this_cpu();
	read_object();
	if (why)
		printf("The kernel's column is empty: %s.\n\n", why);
	else
		engine_load(ENGINE_KERNEL);
	engine_load(ENGINE_JIT);
	engine_load(ENGINE_INTERP);
	measure(rounds, ms);
	check_results();
	print_table();
	for (int e = 0; e < ENGINE_MAX; e++) {
		for (u32 i = 0; engines[e].present && i < file->prog_cnt; i++)
			instance_free(engines[e].progs[i]);
		if (engines[e].present)
			instance_free(engines[e].base);
	}
	bpf_object_file_free(file);
	return 0;
}
