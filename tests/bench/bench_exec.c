/*
 * bench_exec.c - how fast programs run: our JIT and our interpreter against the same C compiled for
 * the machine,
 * and the running kernel
 *
 *	bench_exec [-rounds N] [-ms M] [-only NAME] [-passes HEX] [-code FILE]
 *
 * The programs are those of tests/progs/bench.bpf.c; native.c has the same C for the machine. Each
 * is timed by BPF_PROG_TEST_RUN's repeat, which is ours, too, and the native function by a loop of
 * calls; a sample is about M milliseconds of runs, shorter than a time slice, for the kernel does
 * not count the time that it gave away, and we cannot tell. The engines take turns within a round,
 * so that whatever else the machine does meets all of them, and the median over the rounds counts.
 * From each time that of the empty program of the same engine is subtracted: entering a program
 * costs the kernel what we do not have, and the other way round. Prints one Markdown table. -only:
 * one program, which is what a profiler wants. -passes: those of the JIT's passes that are used
 * (jit/ir/ir.h). -code: write our native code of the program of -only there.
 */
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include "jit/ir/ir.h"
#include "jit/jit.h"
#include "load.h"
#include "run/test_run.h"
#include "jit/ir/pass.h"
#include "tests/bench/native/native.h"
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
	{"csum16", "1 KiB, with a look at the end each time", 512},
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
	{"modulo", "digits of numbers, quotient and remainder", 350},
	{"selects", "the smaller, the larger, the distance", 400},
	{"headers", "Ethernet, VLAN, IPv4, TCP or UDP, once", 1},
	{"counters", "two in global variables", 400},
	{"histogram", "64 counters on the stack, 1 KiB of packet", 1024},
	{"classify", "rules over five numbers, eight results", 200},
	{"jhash", "rotations, 32 bits", 100},
	{"crc", "64 bytes, a bit at a time", 512},
	{"sort", "32 numbers on the stack", 961},
	{"records", "a structure filled and given to a function", 200},
};

static struct bpf_object_file *file;
static struct bpf_map_spec specs[INSTANCE_MAPS];

struct bench_engine {
	bool present;
	struct instance *base, *progs[MAX_PROGS];
	u32 repeat[MAX_PROGS], retval[MAX_PROGS];
	double samples[MAX_PROGS][MAX_ROUNDS], ns[MAX_PROGS];
};

#define NATIVE	   ENGINE_MAX /* the C itself */
#define CONTENDERS (ENGINE_MAX + 1)

static struct bench_engine engines[CONTENDERS];
static const char *only;
static struct __sk_buff native_skb;

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

static int (*native_func(u32 prog))(struct __sk_buff *)
{
	for (const struct bench_native *n = bench_native; n->name; n++)
		if (!strcmp(n->name, file->progs[prog].name))
			return n->func;
	return NULL;
}

static bool takes_part(int e, u32 prog)
{
	const char *name = file->progs[prog].name;

	if (only && strcmp(name, only) && strcmp(name, "empty"))
		return false;
	return engines[e].present && (e != NATIVE || native_func(prog));
}

/* The function's address is in memory, as that of a program is: the call is not inlined. */
static double sample_native(u32 prog, u32 repeat, u32 *retval)
{
	int (*volatile func)(struct __sk_buff *) = native_func(prog);
	struct timespec start, end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (u32 i = 0; i < repeat; i++)
		*retval = (u32)func(&native_skb);
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / repeat;
}

/* ns a run */
static double sample(int e, u32 prog, u32 repeat)
{
	struct bench_engine *b = &engines[e];
	static const u8 head[] = {2,  0,    0, 0, 0,   1, 2, 0, 0,    0,    0,	  2,   8,
				  0,  0x45, 0, 5, 220, 0, 1, 0, 0,    64,   6,	  0,   0,
				  10, 0,    0, 1, 10,  0, 0, 2, 0x1f, 0x90, 0xc3, 0x50};
	u8 packet[1514] = {0};
	struct bpf_test_run run = {
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.repeat = repeat,
	};
	u64 before = 0;
	int err;

	if (e == ENGINE_JIT || e == ENGINE_INTERP)
		before = b->progs[prog]->prog->run_time_ns;
	if (e == NATIVE && !native_func(prog))
		return 0;
	memcpy(packet, head, sizeof(head));
	packet[46] = 0x50;
	if (e == NATIVE) {
		memcpy((void *)(uintptr_t)native_skb.data, packet, sizeof(packet));
		return sample_native(prog, repeat, &b->retval[prog]);
	}
	err = instance_run(b->progs[prog], &run);
	if (err)
		die(file->progs[prog].name, err);
	b->retval[prog] = run.retval;
	if (e == ENGINE_KERNEL)
		return run.duration;
	/* Ours tells more than whole nanoseconds. */
	return (double)(b->progs[prog]->prog->run_time_ns - before) / repeat;
}

/* What native programs run on. Where there is no memory below 4 GiB, their column stays empty. */
static void native_load(void)
{
	void *data = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	if (data == MAP_FAILED)
		return;
	native_skb.len = 1514;
	native_skb.data = (u32)(uintptr_t)data;
	native_skb.data_end = native_skb.data + native_skb.len;
	engines[NATIVE].present = true;
}

static void calibrate(int e, u32 prog, double ms)
{
	struct bench_engine *b = &engines[e];
	u32 repeat = 100;
	double ns = 0;

	for (;;) {
		ns = min(sample(e, prog, repeat), sample(e, prog, repeat));
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
	for (int e = 0; e < CONTENDERS; e++)
		for (u32 i = 0; i < file->prog_cnt; i++)
			if (takes_part(e, i))
				calibrate(e, i, ms);
	for (u32 r = 0; r < rounds; r++)
		for (u32 i = 0; i < file->prog_cnt; i++)
			for (int e = 0; e < CONTENDERS; e++)
				if (takes_part(e, i))
					engines[e].samples[i][r] =
						sample(e, i, engines[e].repeat[i]);
	for (int e = 0; e < CONTENDERS; e++) {
		for (u32 i = 0; i < file->prog_cnt; i++) {
			qsort(engines[e].samples[i], rounds, sizeof(double), by_value);
			engines[e].ns[i] = engines[e].samples[i][rounds / 2];
		}
	}
}

static void print_cell(double ns, u32 ops)
{
	printf(" %.*f |", ns / ops < 10 ? 2 : 1, ns / ops);
}

/* net[e] over net[base], where both ran. */
static void print_ratio(const double *net, const bool *ran, int e, int base, double *sum, int *cnt)
{
	double ratio;

	if (!ran[e] || !ran[base] || net[base] <= 0 || net[e] <= 0) {
		printf(" |");
		return;
	}
	ratio = net[e] / net[base];
	printf(ratio < 9.95 ? " %.2f |" : " %.1f |", ratio);
	*sum += log(ratio);
	++*cnt;
}

static void print_table(void)
{
	static const int columns[] = {NATIVE, ENGINE_JIT, ENGINE_KERNEL, ENGINE_INTERP};
	static const int ratios[][2] = {
		{ENGINE_JIT, NATIVE},
		{ENGINE_KERNEL, NATIVE},
		{ENGINE_JIT, ENGINE_KERNEL},
		{ENGINE_INTERP, ENGINE_JIT},
	};
	double sum[ARRAY_SIZE(ratios)] = {0};
	int empty = prog_index("empty"), cnt[ARRAY_SIZE(ratios)] = {0};

	printf("| program | what | our JIT / native | ns an operation: native | our JIT | kernel "
	       "JIT | "
	       "our interpreter | kernel JIT / native | our JIT / kernel JIT | our interpreter / "
	       "our "
	       "JIT |\n| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n");
	for (u32 k = 0; k < ARRAY_SIZE(about); k++) {
		int i = prog_index(about[k].name);
		double net[CONTENDERS];
		bool ran[CONTENDERS];

		if (!takes_part(ENGINE_JIT, i))
			continue;
		printf("| %s | %s |", about[k].name, about[k].what);
		for (int e = 0; e < CONTENDERS; e++) {
			ran[e] = takes_part(e, i);
			net[e] = engines[e].ns[i] - (i == empty ? 0 : engines[e].ns[empty]);
		}
		for (size_t r = 0; r < ARRAY_SIZE(ratios); r++) {
			print_ratio(net, ran, ratios[r][0], ratios[r][1], &sum[r], &cnt[r]);
			for (size_t c = 0; !r && c < ARRAY_SIZE(columns); c++) {
				if (ran[columns[c]])
					print_cell(net[columns[c]], about[k].ops);
				else
					printf(" |");
			}
		}
		printf("\n");
	}
	printf("| **geometric mean** | |");
	for (size_t r = 0; r < ARRAY_SIZE(ratios); r++) {
		if (cnt[r])
			printf(" **%.2f** |", exp(sum[r] / cnt[r]));
		else
			printf(" |");
		if (!r)
			printf(" | | | |");
	}
	printf("\n");
}

/* A benchmark of something that computes something else is worth nothing. */
static void check_results(void)
{
	for (u32 i = 0; i < file->prog_cnt; i++)
		for (int e = 0; e < CONTENDERS; e++)
			if (takes_part(e, i) &&
			    engines[e].retval[i] != engines[ENGINE_INTERP].retval[i]) {
				fprintf(stderr, "%s: %s returns %#x, not %#x\n",
					file->progs[i].name,
					e == NATIVE ? "native" : engine_name(e),
					engines[e].retval[i], engines[ENGINE_INTERP].retval[i]);
				exit(1);
			}
}

static void write_code(const char *path)
{
	u32 len;
	const void *code = bpf_jit_code(engines[ENGINE_JIT].progs[prog_index(only)]->prog, &len);
	FILE *f = fopen(path, "we");

	if (!f || fwrite(code, 1, len, f) != len)
		die(path, -errno);
	fclose(f);
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
	const char *code = NULL;
	double ms = 0.3;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "-rounds"))
			rounds = min((u32)atoi(argv[i + 1]), (u32)MAX_ROUNDS);
		if (!strcmp(argv[i], "-ms"))
			ms = atof(argv[i + 1]);
		if (!strcmp(argv[i], "-only"))
			only = argv[i + 1];
		if (!strcmp(argv[i], "-code"))
			code = argv[i + 1];
		if (!strcmp(argv[i], "-passes"))
			jit_use_passes((u32)strtoul(argv[i + 1], NULL, 16));
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
	native_load();
	if (only && code)
		write_code(code);
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
