/*
 * fuzz_diff.c - random programs in three engines
 *
 *	fuzz_diff -seconds N [-seed S] [-only I] [-mixed] [-v]
 *
 * Each iteration makes a program (tests/lib/progen.h), or changes one of the table
 * (tests/lib/testprog.h), and loads it into the running kernel, our JIT and our interpreter.
 * Findings, which end the run with status 1:
 *   - we accept what the kernel refuses
 *   - the engines disagree about return value, packet or maps of a SAFE or RISKY program
 *   - an accepted program that, watched by tests/lib/shadow.h, does what none may do
 *   - one that reads stack which it never wrote, and is not marked for a zeroed stack
 *   - JIT and interpreter disagree about the verdict, a fault in native code, a crash
 * Where the kernel says that its verifier has a bug (EFAULT), its verdict counts for nothing.
 * What the kernel accepts and we refuse is counted by message: it is incomplete, not unsafe. A
 * program that fetches from the stack by an atomic operation is not run there: Linux 6.18 does not
 * follow such a value back to its slot when it marks what must be precise, takes two different
 * values for equal, and cuts off code that is reached. Where bpf(2) is not available our two
 * engines are compared. "-only I" repeats one iteration of a seed.
 */
#include <bpf/btf.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include "insn/disasm.h"
#include "run/test_run.h"
#include "tests/lib/funcinfo.h"
#include "tests/lib/instance.h"
#include "tests/lib/kernel.h"
#include "tests/lib/progen.h"
#include "tests/lib/shadow.h"

#define RUNS	    3
#define MAX_REASONS 64

static const struct bpf_map_spec specs[] = {
	{.map_type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 64,
	 .max_entries = PROGEN_ARRAY},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = PROGEN_HASH},
	{.map_type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 64,
	 .max_entries = PROGEN_ARRAY,
	 .spin_lock_end = PROGEN_LOCK + sizeof(struct bpf_spin_lock)},
	{.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096},
};

static struct {
	u64 programs, accepted, refused, incomplete, kernel_bugs;
	u64 runs, watched, uninit_stack, findings;
} total;

/* ---- why we refused what the kernel accepts, by message without numbers */

static struct {
	char text[96];
	u64 count, iteration;
} reasons[MAX_REASONS];

static void last_message(const char *log, char *buf, size_t len)
{
	const char *best = log;
	size_t n = 0;

	for (const char *line = log; *line; line += strcspn(line, "\n") + (strchr(line, '\n') != 0))
		if (strncmp(line, "processed ", 10) && *line != '\n')
			best = line;
	for (; *best && *best != '\n' && n + 1 < len; best++) {
		bool digit = *best >= '0' && *best <= '9';

		if (!digit)
			buf[n++] = *best;
		else if (!n || buf[n - 1] != '#')
			buf[n++] = '#';
	}
	buf[n] = 0;
}

static void count_reason(const char *log, u64 iteration)
{
	char text[sizeof(reasons[0].text)];

	last_message(log, text, sizeof(text));
	for (u32 i = 0; i < MAX_REASONS; i++) {
		if (!reasons[i].count)
			snprintf(reasons[i].text, sizeof(reasons[i].text), "%s", text);
		if (!strcmp(reasons[i].text, text)) {
			if (!reasons[i].count++)
				reasons[i].iteration = iteration;
			return;
		}
	}
}

/* ---- what is running, for the message of a crash */

static volatile u64 running_seed, running_iteration;

static void on_crash(int sig)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "\nsignal %d: -seed %llu -only %llu\n", sig,
			 (unsigned long long)running_seed, (unsigned long long)running_iteration);

	if (write(2, text, n) != n)
		_exit(3);
	signal(sig, SIG_DFL);
	raise(sig);
}

static void print_program(const struct progen *g)
{
	char text[160];

	for (u32 i = 0; i < g->cnt; i++) {
		bpf_disasm(&g->insns[i], NULL, text, sizeof(text));
		printf("%4u: %s\n", i, text);
		i += bpf_insn_is_imm64(&g->insns[i]) && i + 1 < g->cnt;
	}
}

static void finding(const struct progen *g, const char *what)
{
	total.findings++;
	printf("\nFINDING: %s (-seed %llu -only %llu)\n", what, (unsigned long long)running_seed,
	       (unsigned long long)running_iteration);
	print_program(g);
}

/* ---- one program */

static struct instance *load(enum engine engine, const struct progen *g, u32 log_level, int *err)
{
	struct instance *in = instance_new(engine, specs, ARRAY_SIZE(specs));
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SCHED_CLS,
		.name = "fuzz",
		.license = "GPL",
		.insns = g->insns,
		.insn_cnt = g->cnt,
	};
	u64 rng = g->seed + 77;
	struct funcinfo f;
	u64 value[8];

	for (u32 key = 0; key < PROGEN_ARRAY; key++) {
		for (u32 i = 0; i < ARRAY_SIZE(value); i++)
			value[i] = progen_random(&rng);
		instance_update(in, 0, &key, value);
		instance_update(in, 2, &key, value);
	}
	for (u32 key = 0; key < PROGEN_HASH; key += 2)
		instance_update(in, 1, &key, value);
	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	*err = instance_load(in, &attr, log_level);
	funcinfo_free(&f);
	return in;
}

static void make_packet(u8 *packet, u32 len, u64 seed)
{
	static const u8 often[] = {0, 0, 0, 1, 2, 31, 32, 39, 40, 63, 64, 127, 128, 255};
	u64 rng = seed * 2 + 1;
	bool small = seed % 3;

	for (u32 i = 0; i < len; i++) {
		u64 x = progen_random(&rng);

		packet[i] = small && x >> 62 ? often[(x >> 16) % sizeof(often)] : (u8)(x >> 40);
	}
	packet[0] &= 0xfe; /* one station */
	packet[12] = 0x88; /* a protocol that nothing parses */
	packet[13] = 0xb5;
}

/* What run() gives to an engine, and watch() to the shadow. */
static u32 packet_len(u64 seed)
{
	return PROGEN_PACKET + (u32)(seed % 3) * 16;
}

struct result {
	int err;
	u32 retval, len;
	u8 data[256];
	void *maps[3];
	size_t map_size[3];
};

static void run(struct instance *in, u64 seed, struct result *r)
{
	u8 packet[PROGEN_PACKET + 32];
	struct bpf_test_run t = {
		.data_in = packet,
		.data_size_in = packet_len(seed),
		.data_out = r->data,
		.data_size_out = sizeof(r->data),
	};

	make_packet(packet, sizeof(packet), seed);
	r->err = instance_run(in, &t);
	r->retval = t.retval;
	r->len = t.data_size_out;
	for (u32 i = 0; i < 3; i++)
		r->maps[i] = instance_dump(in, i, &r->map_size[i]);
	total.runs++;
}

static const char *difference(const struct result *a, const struct result *b)
{
	if (a->err != b->err)
		return "another error from the run";
	if (a->retval != b->retval)
		return "another return value";
	if (a->len != b->len || memcmp(a->data, b->data, min(a->len, (u32)sizeof(a->data))))
		return "another packet";
	for (u32 i = 0; i < 3; i++)
		if (a->map_size[i] != b->map_size[i] ||
		    memcmp(a->maps[i], b->maps[i], a->map_size[i]))
			return i == 1 ? "another hash map" : "another array";
	return NULL;
}

static void result_free(struct result *r)
{
	for (u32 i = 0; i < 3; i++)
		free(r->maps[i]);
}

static void run_all(const struct progen *g, struct instance **in, enum engine first, bool compare)
{
	for (u32 i = 0; i < RUNS; i++) {
		struct result res[ENGINE_MAX] = {0};
		char what[128];

		for (u32 e = first; e < ENGINE_MAX; e++) {
			const char *diff = NULL;

			run(in[e], g->seed * RUNS + i, &res[e]);
			if (e > first && compare)
				diff = difference(&res[first], &res[e]);
			if (diff) {
				snprintf(what, sizeof(what), "%s gives %s: %#x, not %#x",
					 engine_name(e), diff, res[e].retval, res[first].retval);
				finding(g, what);
				i = RUNS;
			}
		}
		for (u32 e = first; e < ENGINE_MAX; e++)
			result_free(&res[e]);
	}
	for (u32 e = ENGINE_JIT; e < ENGINE_MAX; e++)
		if (in[e]->prog->poisoned)
			finding(g, "a fault in the program");
}

struct watched {
	bool addresses; /* what it computes depends on where things lie: engines may differ */
	bool stack_fetch;
};

/*
 * An accepted program, run under watch and by the interpreter side by side, each on maps of its
 * own.
 */
static struct watched watch(const struct progen *g, bool compare)
{
	struct watched seen = {0};
	int err, ref_err;
	struct instance *in = load(ENGINE_INTERP, g, 0, &err);
	struct instance *ref = load(ENGINE_INTERP, g, 0, &ref_err);
	u8 packet[PROGEN_PACKET + 32];
	char what[384];

	for (u32 i = 0; i < RUNS && !err && !ref_err; i++) {
		u64 seed = g->seed * RUNS + i;
		struct shadow s = {
			.insns = g->insns,
			.cnt = g->cnt,
			.maps = in->maps,
			.map_cnt = in->map_cnt,
			.packet = packet,
			.packet_len = packet_len(seed),
		};
		struct result want = {0}, got = {0};

		make_packet(packet, sizeof(packet), seed);
		run(ref, seed, &want);
		err = shadow_run(&s);
		total.watched += !err;
		total.uninit_stack += s.uninit_stack != 0;
		seen.addresses |= s.address_parts != 0;
		seen.stack_fetch |= s.stack_fetches != 0;
		if (s.uninit_stack && !in->prog->zero_stack)
			finding(g, "reads stack that nobody wrote or zeroed");
		got.retval = (u32)s.r0;
		got.len = s.packet_len;
		memcpy(got.data, packet, s.packet_len);
		for (u32 m = 0; m < 3; m++)
			got.maps[m] = instance_dump(in, m, &got.map_size[m]);
		if (err == -EFAULT || err == -ELOOP) {
			snprintf(what, sizeof(what), "under watch, instruction %u: %s",
				 s.fault_insn, err == -ELOOP ? "runs for ever" : s.fault);
			finding(g, what);
		} else if (!err && compare && !seen.addresses && difference(&want, &got)) {
			snprintf(what, sizeof(what), "under watch, %s: %#x, not %#x",
				 difference(&want, &got), got.retval, want.retval);
			finding(g, what);
			i = RUNS;
		}
		result_free(&want);
		result_free(&got);
	}
	instance_free(in);
	instance_free(ref);
	return seen;
}

/* The watcher must see what the table's refused programs would do. */
static bool watcher_sees(void)
{
	static const char *const bad[] = {
		"R0 not set",
		"register not set",
		"caller-saved register after a call",
		"nine frames",
		"stack past its end",
		"stack above its start",
		"packet past the check",
		"lookup without a check",
		"value past its end",
		"a map that is a number",
		"load through a number",
		"multiplied pointer",
		"half of a pointer",
		"key not on the stack yet",
		"loop that never ends",
	};
	bool all = true;

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct testprog *row = testprog_find(bad[i]);
		struct instance *in = instance_new(ENGINE_INTERP, row->maps, testprog_map_cnt(row));
		u8 packet[20] = {0};
		struct shadow s = {
			.insns = row->insns,
			.cnt = testprog_len(row),
			.maps = in->maps,
			.map_cnt = in->map_cnt,
			.packet = packet,
			.packet_len = sizeof(packet),
		};
		int err;

		if (in->map_cnt && !strcmp(bad[i], "value past its end"))
			instance_update(in, 0, &(u32){1}, &(u64){1});
		err = shadow_run(&s);
		if (err != -EFAULT && err != -ELOOP) {
			printf("the watcher does not see \"%s\": %d\n", bad[i], err);
			all = false;
		}
		instance_free(in);
	}
	return all;
}

/* The logs of both, once it is known that they are needed. */
static void show_logs(const struct progen *g, const struct testprog *row, enum engine first,
		      u32 level)
{
	for (u32 e = first; e <= ENGINE_JIT; e++) {
		int err;
		struct instance *in = row ? instance_of_row(e, row, level, &err)
					  : load(e, g, level, &err);

		printf("---- %s: %d\n%s", engine_name(e), err, in->log);
		instance_free(in);
	}
}

/* Counts the verdicts; true: all accept. */
static bool compare_verdicts(const struct progen *g, const struct testprog *row,
			     struct instance **in, const int *err, enum engine first, u64 iteration)
{
	total.programs++;
	if (err[ENGINE_JIT] != err[ENGINE_INTERP]) {
		finding(g, "JIT and interpreter disagree about the verdict");
	} else if (first == ENGINE_KERNEL && err[first] == -EFAULT) {
		total.kernel_bugs++; /* as it says itself: a callback that is never called, say */
	} else if (err[first] && !err[ENGINE_JIT]) {
		finding(g, "we accept what the kernel refuses");
		show_logs(g, row, first, 1);
	} else if (err[first]) {
		total.refused++;
	} else if (err[ENGINE_JIT]) {
		total.incomplete++;
		count_reason(in[ENGINE_JIT]->log, iteration);
	} else {
		total.accepted++;
		return true;
	}
	return false;
}

static bool only_mixed;

static void one_generated(u64 seed, u64 iteration, enum engine first, bool verbose)
{
	static struct progen g;
	enum progen_kind kind = only_mixed || iteration % 5 == 1 ? PROGEN_MIXED
				: iteration % 5 == 3		 ? PROGEN_MUTATED
				: iteration % 5 == 2		 ? PROGEN_RISKY
								 : PROGEN_SAFE;
	/* A mutant may return an address, which is another one each time. */
	bool compare = kind != PROGEN_MUTATED && (kind != PROGEN_MIXED || seed % 4);
	struct instance *in[ENGINE_MAX] = {0};
	int err[ENGINE_MAX] = {0};

	progen_make(&g, kind, seed);
	if (verbose) {
		print_program(&g);
		show_logs(&g, NULL, first, 2);
	}
	for (u32 e = first; e < ENGINE_MAX; e++)
		in[e] = load(e, &g, e == ENGINE_JIT, &err[e]);
	if (compare_verdicts(&g, NULL, in, err, first, iteration)) {
		struct watched seen = watch(&g, compare);

		run_all(&g, in, seen.stack_fetch ? ENGINE_JIT : first, compare && !seen.addresses);
	}
	for (u32 e = first; e < ENGINE_MAX; e++)
		instance_free(in[e]);
}

/* A row of the table with some fields changed: verdicts, and that running it does no harm. */
static void one_row(u64 seed, u64 iteration, enum engine first, bool verbose)
{
	struct testprog row = testprogs[seed % testprog_cnt];
	static struct progen g; /* for printing */
	struct instance *in[ENGINE_MAX] = {0};
	int err[ENGINE_MAX] = {0};

	g.cnt = testprog_len(&row);
	progen_mutate(row.insns, g.cnt, seed);
	memcpy(g.insns, row.insns, g.cnt * sizeof(*g.insns));
	if (verbose) {
		print_program(&g);
		show_logs(&g, &row, first, 2);
	}
	for (u32 e = first; e < ENGINE_MAX; e++)
		in[e] = instance_of_row(e, &row, e == ENGINE_JIT, &err[e]);
	if (compare_verdicts(&g, &row, in, err, first, iteration)) {
		for (u32 e = ENGINE_JIT; e < ENGINE_MAX; e++) {
			u8 out[256];
			struct bpf_test_run t = {
				.data_in = testprog_packet,
				.data_size_in = sizeof(testprog_packet),
				.data_out = out,
				.data_size_out = sizeof(out),
			};

			instance_run(in[e], &t);
			total.runs++;
			if (in[e]->prog->poisoned)
				finding(&g, "a fault in the program");
		}
	}
	for (u32 e = first; e < ENGINE_MAX; e++)
		instance_free(in[e]);
}

static void one(u64 seed, u64 iteration, enum engine first, bool verbose)
{
	running_iteration = iteration;
	if (iteration % 5 == 4 && !only_mixed)
		one_row(seed * 1000003 + iteration, iteration, first, verbose);
	else
		one_generated(seed * 1000003 + iteration, iteration, first, verbose);
}

static u64 now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * 1000 + (u64)ts.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
	u64 seconds = 10, seed = 1, only = 0, end;
	bool have_only = false, verbose = false;
	const char *why;
	enum engine first;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "-mixed"))
			only_mixed = true;
		else if (!strcmp(argv[i], "-seconds") && i + 1 < argc)
			seconds = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "-seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "-only") && i + 1 < argc && (have_only = true))
			only = strtoull(argv[++i], NULL, 0);
		else
			return fprintf(stderr,
				       "usage: %s [-seconds N] [-seed S] [-only I] [-mixed] [-v]\n",
				       argv[0]),
			       2;
	}
	signal(SIGABRT, on_crash);
	signal(SIGSEGV, on_crash);
	signal(SIGBUS, on_crash);
	signal(SIGFPE, on_crash);
	running_seed = seed;
	why = kernel_unavailable();
	if (why)
		printf("%s: JIT and interpreter are compared with each other\n", why);
	first = why ? ENGINE_JIT : ENGINE_KERNEL;
	if (!watcher_sees())
		return 1;
	end = now_ms() + seconds * 1000;
	if (have_only)
		one(seed, only, first, verbose);
	for (u64 i = 0; !have_only && total.findings < 10 && now_ms() < end; i++)
		one(seed, i, first, verbose);
	printf("fuzz_diff: seed %llu: %llu programs, %llu accepted, %llu refused by both, %llu "
	       "refused by "
	       "us alone, %llu runs, %llu watched (%llu read stack that nobody wrote), %llu "
	       "findings, %llu faults of the kernel's\n",
	       (unsigned long long)seed, (unsigned long long)total.programs,
	       (unsigned long long)total.accepted, (unsigned long long)total.refused,
	       (unsigned long long)total.incomplete, (unsigned long long)total.runs,
	       (unsigned long long)total.watched, (unsigned long long)total.uninit_stack,
	       (unsigned long long)total.findings, (unsigned long long)total.kernel_bugs);
	for (u32 i = 0; i < MAX_REASONS && reasons[i].count; i++)
		printf("%8llu  %s (-only %llu)\n", (unsigned long long)reasons[i].count,
		       reasons[i].text, (unsigned long long)reasons[i].iteration);
	return total.findings ? 1 : 0;
}
