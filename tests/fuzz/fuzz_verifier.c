/*
 * fuzz_verifier.c - what nobody should load: does the verifier survive it, and was it right to
 * accept?
 *
 *	fuzz_verifier -seconds N [-seed S] [-only I]
 *
 * Each iteration takes one of: random bytes; instructions of the table with random fields; a row of
 * tests/lib/testprog.c, or a generated program, with some fields changed, instructions swapped,
 * repeated or left out. It is checked at a random log level as a random program type. What is
 * accepted runs a few times in the interpreter: build with SAN=address,undefined, which then
 * watches each access of the program. Every other one is loaded strictly: what is accepted then is
 * accepted otherwise, too, and does not see where things lie: the interpreter and native code,
 * whose stacks and contexts are elsewhere, give the same. A crash, a report of a sanitizer, such a
 * difference, or a load of more than LOAD_SECONDS ends the run.
 */
#include <bpf/btf.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include "run/test_run.h"
#include "tests/lib/funcinfo.h"
#include "tests/lib/instance.h"
#include "tests/lib/progen.h"

#define RUNS	     3
#define LOAD_SECONDS 60
#define MAX_INSNS    PROGEN_MAX

static const struct bpf_map_spec specs[] = {
	{.map_type = BPF_MAP_TYPE_ARRAY,
	 .key_size = 4,
	 .value_size = 64,
	 .max_entries = PROGEN_ARRAY},
	{.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = PROGEN_HASH},
	{.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 48, .max_entries = 1},
	{.map_type = BPF_MAP_TYPE_PROG_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 4},
};

static const enum bpf_prog_type types[] = {
	BPF_PROG_TYPE_SOCKET_FILTER,
	BPF_PROG_TYPE_SCHED_CLS,
	BPF_PROG_TYPE_XDP,
	BPF_PROG_TYPE_CGROUP_SKB,
};

struct stream {
	struct bpf_insn insns[MAX_INSNS + 2];
	u32 cnt;
};

static struct {
	u64 programs, accepted;
} total;

static volatile u64 running_seed, running_iteration;

static void on_signal(int sig)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "\n%s: -seed %llu -only %llu\n",
			 sig == SIGALRM ? "hangs" : "crashes", (unsigned long long)running_seed,
			 (unsigned long long)running_iteration);

	if (write(2, text, n) != n)
		_exit(3);
	signal(sig, SIG_DFL);
	raise(sig == SIGALRM ? SIGABRT : sig);
}

static u32 pick(u64 *rng, u32 n)
{
	return progen_random(rng) % n;
}

/* ---- streams */

static void random_bytes(struct stream *s, u64 *rng)
{
	s->cnt = 1 + pick(rng, 24);
	for (u32 i = 0; i < s->cnt; i++) {
		u64 bits = progen_random(rng);

		memcpy(&s->insns[i], &bits, sizeof(bits));
	}
}

static s32 some_imm(u64 *rng)
{
	static const s32 imms[] = {0, 1, 2, 4, 8, 14, 31, 63, 255, -1, -8, INT32_MAX, INT32_MIN};

	return pick(rng, 3) ? imms[pick(rng, ARRAY_SIZE(imms))] : (s32)progen_random(rng);
}

static struct bpf_insn table_insn(u64 *rng, u32 at, u32 cnt)
{
	const struct bpf_op_info *info = &bpf_op_info[pick(rng, BPF_OP_MAX)];
	struct bpf_insn insn = {.code = info->code};

	insn.dst_reg = info->dst == OPF_REG ? pick(rng, 11) : 0;
	insn.src_reg = info->src == OPF_REG ? pick(rng, 11) : info->src ? pick(rng, 7) : 0;
	if (info->off == OPF_JMP)
		insn.off = (int)pick(rng, cnt) - (int)at - 1;
	else if (info->off == OPF_MEM)
		insn.off = -8 * (int)pick(rng, 5) + (pick(rng, 4) ? 0 : (int)pick(rng, 80));
	else
		insn.off = info->off;
	if (info->imm == OPF_JMP)
		insn.imm = (int)pick(rng, cnt) - (int)at - 1;
	else if (info->imm == OPF_ANY)
		insn.imm = some_imm(rng);
	else
		insn.imm = info->imm;
	if (insn.code == (BPF_JMP | BPF_CALL))
		insn.imm = insn.src_reg ? (int)pick(rng, cnt) - (int)at - 1 : (int)pick(rng, 30);
	if (bpf_insn_is_imm64(&insn) && insn.src_reg)
		insn.imm = pick(rng, ARRAY_SIZE(specs));
	return insn;
}

static void table_insns(struct stream *s, u64 *rng)
{
	s->cnt = 2 + pick(rng, 30);
	for (u32 i = 0; i < s->cnt; i++) {
		s->insns[i] = table_insn(rng, i, s->cnt);
		if (bpf_insn_is_imm64(&s->insns[i]) && i + 1 < s->cnt)
			s->insns[++i] = (struct bpf_insn){.imm = some_imm(rng)};
	}
	s->insns[s->cnt - 1] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
}

static void change_field(struct bpf_insn *insn, u64 *rng)
{
	switch (pick(rng, 6)) {
	case 0:
		insn->code = bpf_op_info[pick(rng, BPF_OP_MAX)].code;
		break;
	case 1:
		insn->dst_reg = pick(rng, 11);
		break;
	case 2:
		insn->src_reg = pick(rng, 11);
		break;
	case 3:
		insn->off += (int)pick(rng, 17) - 8;
		break;
	case 4:
		insn->imm = (u32)insn->imm + pick(rng, 17) - 8;
		break;
	default:
		insn->imm = some_imm(rng);
	}
}

static void mutate(struct stream *s, u64 *rng)
{
	for (u32 n = 1 + pick(rng, 4); n && s->cnt > 1; n--) {
		u32 i = pick(rng, s->cnt), j = pick(rng, s->cnt);
		struct bpf_insn tmp = s->insns[i];

		switch (pick(rng, 8)) {
		case 0: /* leave one out */
			s->cnt--;
			memmove(&s->insns[i], &s->insns[i + 1], (s->cnt - i) * sizeof(tmp));
			break;
		case 1: /* one twice */
			if (s->cnt == MAX_INSNS)
				break;
			memmove(&s->insns[i + 1], &s->insns[i], (s->cnt - i) * sizeof(tmp));
			s->cnt++;
			break;
		case 2:
			s->insns[i] = s->insns[j];
			s->insns[j] = tmp;
			break;
		default:
			change_field(&s->insns[i], rng);
		}
	}
}

static void make_stream(struct stream *s, u64 *rng)
{
	static struct progen gen;
	const struct testprog *row;

	switch (pick(rng, 8)) {
	case 0:
		random_bytes(s, rng);
		return;
	case 1:
		table_insns(s, rng);
		return;
	case 2:
	case 3:
	case 4:
		row = &testprogs[pick(rng, testprog_cnt)];
		s->cnt = testprog_len(row);
		memcpy(s->insns, row->insns, s->cnt * sizeof(*s->insns));
		break;
	default:
		progen_make(&gen, pick(rng, 2) ? PROGEN_SAFE : PROGEN_RISKY, progen_random(rng));
		s->cnt = gen.cnt;
		memcpy(s->insns, gen.insns, s->cnt * sizeof(*s->insns));
	}
	mutate(s, rng);
}

/* ---- one program */

static void run(struct instance *in, u64 *rng)
{
	u8 packet[256], out[512];

	for (u32 i = 0; i < RUNS; i++) {
		struct bpf_test_run run = {
			.data_in = packet,
			.data_size_in = 14 + pick(rng, sizeof(packet) - 13),
			.data_out = out,
			.data_size_out = sizeof(out),
		};

		for (u32 j = 0; j < sizeof(packet); j++)
			packet[j] = progen_random(rng);
		instance_run(in, &run);
	}
}

/* Nothing in it is another thing the next time, but addresses. */
static bool is_repeatable(const struct stream *s)
{
	for (u32 i = 0; i < s->cnt; i++) {
		const struct bpf_insn *insn = &s->insns[i];

		if (insn->code == (BPF_JMP | BPF_CALL) && !insn->src_reg &&
		    (insn->imm < BPF_FUNC_map_lookup_elem || insn->imm > BPF_FUNC_map_delete_elem))
			return false;
	}
	return true;
}

struct seen {
	u32 retval[RUNS], len[RUNS];
	u8 out[RUNS][512];
	void *maps[ARRAY_SIZE(specs)];
	size_t size[ARRAY_SIZE(specs)];
};

static bool see(enum engine engine, const struct bpf_prog_load_attr *attr, u64 rng,
		struct seen *seen)
{
	struct instance *in = instance_new(engine, specs, ARRAY_SIZE(specs));
	bool loaded = !instance_load(in, attr, 0);
	u8 packet[256];

	memset(seen, 0, sizeof(*seen));
	for (u32 i = 0; loaded && i < RUNS; i++) {
		struct bpf_test_run run = {
			.data_in = packet,
			.data_size_in = 14 + pick(&rng, sizeof(packet) - 13),
			.data_out = seen->out[i],
			.data_size_out = sizeof(seen->out[i]),
		};

		for (u32 j = 0; j < sizeof(packet); j++)
			packet[j] = progen_random(&rng);
		instance_run(in, &run);
		seen->retval[i] = run.retval;
		seen->len[i] = run.data_size_out;
	}
	for (u32 i = 0; loaded && i < ARRAY_SIZE(specs); i++)
		if (specs[i].map_type != BPF_MAP_TYPE_PROG_ARRAY)
			seen->maps[i] = instance_dump(in, i, &seen->size[i]);
	instance_free(in);
	return loaded;
}

static bool is_same(const struct seen *a, const struct seen *b)
{
	for (u32 i = 0; i < ARRAY_SIZE(specs); i++)
		if (a->size[i] != b->size[i] ||
		    (a->size[i] && memcmp(a->maps[i], b->maps[i], a->size[i])))
			return false;
	return !memcmp(a, b, offsetof(struct seen, maps));
}

static void fail(const char *what)
{
	fprintf(stderr, "%s: -seed %llu -only %llu\n", what, (unsigned long long)running_seed,
		(unsigned long long)running_iteration);
	exit(1);
}

/* It was accepted strictly. */
static void check_strict(const struct stream *s, struct bpf_prog_load_attr *attr, u64 rng)
{
	struct bpf_prog_load_attr trusted = *attr;
	struct instance *in = instance_new(ENGINE_INTERP, specs, ARRAY_SIZE(specs));
	static struct seen seen[2];

	trusted.prog_flags = 0;
	if (instance_load(in, &trusted, 0))
		fail("only the strict rules accept it");
	instance_free(in);
	if (!is_repeatable(s))
		return;
	if (see(ENGINE_INTERP, attr, rng, &seen[0]) && see(ENGINE_JIT, attr, rng, &seen[1]) &&
	    !is_same(&seen[0], &seen[1]))
		fail("a strict program sees where it is");
	for (u32 e = 0; e < 2; e++)
		for (u32 i = 0; i < ARRAY_SIZE(specs); i++)
			free(seen[e].maps[i]);
}

static void iteration(u64 seed, u64 index)
{
	static const u32 levels[] = {0, 0, 0, 1, 2, 4};
	u64 rng = (seed * 0x9e3779b97f4a7c15ULL) ^ (index + 1) * 0xbf58476d1ce4e5b9ULL;
	static struct stream s;
	struct bpf_prog_load_attr attr = {.name = "fuzz", .license = "GPL", .insns = s.insns};
	struct instance *in;
	struct funcinfo f;

	if (!rng)
		rng = 1;
	make_stream(&s, &rng);
	attr.insn_cnt = s.cnt;
	attr.prog_type = types[pick(&rng, ARRAY_SIZE(types))];
	attr.prog_flags = pick(&rng, 2) ? PROG_F_STRICT : 0;
	in = instance_new(ENGINE_INTERP, specs, ARRAY_SIZE(specs));
	funcinfo_add(&f, &attr, BTF_FUNC_STATIC);
	alarm(LOAD_SECONDS);
	total.programs++;
	if (!instance_load(in, &attr, levels[pick(&rng, ARRAY_SIZE(levels))])) {
		total.accepted++;
		if (attr.prog_flags)
			check_strict(&s, &attr, rng);
		run(in, &rng);
	}
	alarm(0);
	instance_free(in);
	funcinfo_free(&f);
}

int main(int argc, char **argv)
{
	double seconds = 10;
	s64 only = -1;
	u64 seed = 1;
	time_t end;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (!strcmp(argv[i], "-seconds"))
			seconds = atof(argv[i + 1]);
		else if (!strcmp(argv[i], "-seed"))
			seed = strtoull(argv[i + 1], NULL, 0);
		else if (!strcmp(argv[i], "-only"))
			only = strtoll(argv[i + 1], NULL, 0);
	}
	running_seed = seed;
	signal(SIGALRM, on_signal);
	signal(SIGSEGV, on_signal);
	signal(SIGBUS, on_signal);
	signal(SIGFPE, on_signal);
	signal(SIGABRT, on_signal);
	end = time(NULL) + (time_t)seconds;
	for (u64 i = only < 0 ? 0 : only; only >= 0 || time(NULL) < end; i++) {
		running_iteration = i;
		iteration(seed, i);
		if (only >= 0)
			break;
	}
	printf("fuzz_verifier: %llu programs, %llu accepted, no finding (seed %llu)\n",
	       (unsigned long long)total.programs, (unsigned long long)total.accepted,
	       (unsigned long long)seed);
	return 0;
}
