/*
 * test_verifier.c - the verifier's table: what must be accepted, what must not, and why
 *
 * Each row is tried four times. On us: verdict, errno and message of bpf_prog_load(); an accepted
 * row with a return value is then run by the JIT and by the interpreter. In the checked
 * interpreter, when it is accepted: on two packets and with many random numbers all that the
 * verifier said of it must be true (tests/lib/claims.h). On the running kernel: the row's verdict
 * must be the kernel's too. A row that only we refuse says so (`stricter`); accepting what the
 * kernel calls unsafe is a failure whatever the row says. And loaded strictly: as the kernel judges
 * a loader without CAP_PERFMON, whatever the row says, but where may_differ() says why not.
 *
 * UBPFFS_ROW=text tries the rows whose name contains it and prints their logs.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include <linux/bpf_perf_event.h>
#include "load.h"
#include "run/test_run.h"
#include "tests/lib/claims.h"
#include "tests/lib/funcinfo.h"
#include "tests/lib/kernel.h"
#include "tests/lib/reason.h"
#include "tests/lib/shadow.h"
#include "tests/lib/testprog.h"
#include "tests/verifier/rows.h"
#include "tests/verifier/rows_basic.h"
#include "tests/verifier/rows_alu.h"
#include "tests/verifier/rows_v4.h"
#include "tests/verifier/rows_jump.h"
#include "tests/verifier/rows_bounds.h"
#include "tests/verifier/rows_stack.h"
#include "tests/verifier/rows_spill.h"
#include "tests/verifier/rows_linked.h"
#include "tests/verifier/rows_ctx.h"
#include "tests/verifier/rows_map.h"
#include "tests/verifier/rows_packet.h"
#include "tests/verifier/rows_helper.h"
#include "tests/verifier/rows_call.h"
#include "tests/verifier/rows_loop.h"
#include "tests/verifier/rows_ld_abs.h"
#include "tests/verifier/rows_pointer.h"
#include "tests/verifier/rows_atomic.h"
#include "tests/verifier/rows_ref.h"
#include "tests/verifier/rows_lock.h"
#include "tests/verifier/rows_callback.h"
#include "tests/verifier/rows_dynptr.h"
#include "tests/verifier/rows_storage.h"
#include "tests/verifier/rows_redirect.h"
#include "tests/verifier/rows_strict.h"
#include "verifier/verifier.h"
#include "map/create.h"
#include "map/syscall.h"

#define MAX_GENERATED	70000
/* The kernel's own ENOTSUPP, which leaks out of bpf(2) in places; here it is EOPNOTSUPP. */
#define KERNEL_ENOTSUPP 524

#define MAX_ROWS 2048

struct table {
	const char *name;
	const struct row *rows;
	size_t cnt;
};

#define TABLE(T) ((struct table){.name = #T, .rows = rows_##T, .cnt = ARRAY_SIZE(rows_##T)})
static const struct table tables[] = {
	TABLE(basic),	TABLE(alu),    TABLE(v4),	TABLE(jump),	 TABLE(bounds),
	TABLE(stack),	TABLE(spill),  TABLE(ctx),	TABLE(map),	 TABLE(packet),
	TABLE(helper),	TABLE(call),   TABLE(loop),	TABLE(ld_abs),	 TABLE(pointer),
	TABLE(atomic),	TABLE(ref),    TABLE(lock),	TABLE(callback), TABLE(dynptr),
	TABLE(storage), TABLE(linked), TABLE(redirect), TABLE(strict),
};

static const struct bpf_map_spec map_specs[ROW_MAPS] = {
	[HASH4] = {BPF_MAP_TYPE_HASH, 4, 4, 8, .name = "hash4"},
	[HASH8] = {BPF_MAP_TYPE_HASH, 4, 8, 8, .name = "hash8"},
	[HASH48] = {BPF_MAP_TYPE_HASH, 4, 48, 8, .name = "hash48"},
	[ARRAY8] = {BPF_MAP_TYPE_ARRAY, 4, 8, 1, .name = "array8"},
	[ARRAY48] = {BPF_MAP_TYPE_ARRAY, 4, 48, 4, .name = "array48"},
	[PROGS] = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 4, .name = "progs"},
	[RDONLY] = {BPF_MAP_TYPE_ARRAY, 4, 16, 1, BPF_F_RDONLY_PROG, .name = "rdonly"},
	[WRONLY] = {BPF_MAP_TYPE_ARRAY, 4, 16, 1, BPF_F_WRONLY_PROG, .name = "wronly"},
	[KEY8] = {BPF_MAP_TYPE_HASH, 8, 8, 8, .name = "key8"},
	[RING] = {BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, .name = "ring"},
	[QUEUE8] = {BPF_MAP_TYPE_QUEUE, 0, 8, 4, .name = "queue8"},
	[STACK8] = {BPF_MAP_TYPE_STACK, 0, 8, 4, .name = "stack8"},
	[OUTER] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 4, .name = "outer"},
	[BLOOM8] = {BPF_MAP_TYPE_BLOOM_FILTER, 0, 8, 4, .name = "bloom8"},
	[LOCKED] = {BPF_MAP_TYPE_HASH, 4, 16, 8, .name = "locked", .spin_lock_end = 8},
	[LOCKARR] = {BPF_MAP_TYPE_ARRAY, 4, 16, 1, .name = "lockarr", .spin_lock_end = 8},
	[LOCKARR2] = {BPF_MAP_TYPE_ARRAY, 4, 32, 4, .name = "lockarr2", .spin_lock_end = 12},
	[OUTERL] = {BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 4, .name = "outerl"},
	[ONE8] = {BPF_MAP_TYPE_HASH, 4, 8, 8, .name = "one8"},
	[PCHASH8] = {BPF_MAP_TYPE_PERCPU_HASH, 4, 8, 8, .name = "pchash8"},
	[PCARRAY8] = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 2, .name = "pcarray8"},
	[LRU8] = {BPF_MAP_TYPE_LRU_HASH, 4, 8, 8, .name = "lru8"},
	[LRUPC8] = {BPF_MAP_TYPE_LRU_PERCPU_HASH, 4, 8, 8, .name = "lrupc8"},
	[CGST] = {BPF_MAP_TYPE_CGROUP_STORAGE, 16, 16, 0, .name = "cgst"},
	[CGST2] = {BPF_MAP_TYPE_CGROUP_STORAGE, 8, 16, 0, .name = "cgst2"},
	[PCGST] = {BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 16, 16, 0, .name = "pcgst"},
	[DEVS] = {BPF_MAP_TYPE_DEVMAP, 4, 4, 4, .name = "devs"},
	[DEVH] = {BPF_MAP_TYPE_DEVMAP_HASH, 4, 4, 4, .name = "devh"},
	[CPUS] = {BPF_MAP_TYPE_CPUMAP, 4, 4, 2, .name = "cpus"},
	[XSKS] = {BPF_MAP_TYPE_XSKMAP, 4, 4, 4, .name = "xsks"},
	[LPM] = {BPF_MAP_TYPE_LPM_TRIE, 8, 8, 4, BPF_F_NO_PREALLOC, .name = "lpm"},
};

/* A program array belongs to the first program that uses it, and to its engine: one set each. */
static struct bpf_map *our_maps[2][ROW_MAPS];
static int kernel_maps[ROW_MAPS];
static const char *no_kernel; /* why the second group cannot be run */
static char text[1 << 24];

/* One element with the key 0? */
static bool is_hash(enum bpf_map_type type)
{
	return type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_PERCPU_HASH ||
	       type == BPF_MAP_TYPE_LRU_HASH || type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

/* A target under 0, or NULL: the loopback's index, a queue's length. */
static const u32 *first_target(enum bpf_map_type type)
{
	static const u32 loopback = 1, queue = 64;

	if (type == BPF_MAP_TYPE_DEVMAP || type == BPF_MAP_TYPE_DEVMAP_HASH)
		return &loopback;
	return type == BPF_MAP_TYPE_CPUMAP ? &queue : NULL;
}

/* One element with the key 0 in each hash, so that lookups succeed. */
static int make_our_map(int i, struct bpf_map **map)
{
	static const u8 zeros[4096]; /* a value a CPU, where there are many */
	struct bpf_map_spec spec = map_specs[i];
	bool outer = i == OUTER || i == OUTERL;
	struct bpf_map *inner = NULL;
	int err;

	if (outer) {
		inner = map[(i == OUTERL ? LOCKARR : ARRAY8) - i]; /* of this set */
		spec.inner_map_id = inner->id;
	}
	err = bpf_map_create(&spec, 0, -1, -1, map);
	if (!err && outer)
		err = bpf_map_update_slot(*map, zeros, inner, BPF_ANY);
	if (!err && is_hash(map_specs[i].map_type))
		err = bpf_map_update(*map, zeros, zeros, BPF_ANY);
	if (!err && first_target(spec.map_type))
		err = bpf_map_update(*map, zeros, first_target(spec.map_type), BPF_ANY);
	if (err)
		printf("map %s: %s\n", map_specs[i].name, strerror(-err));
	return err;
}

static int make_our_maps(void **state)
{
	int err = 0;

	for (int i = 0; i < 2 * ROW_MAPS && !err; i++)
		err = make_our_map(i % ROW_MAPS, &our_maps[i / ROW_MAPS][i % ROW_MAPS]);
	return err;
}

static int drop_our_maps(void **state)
{
	for (int i = 0; i < 2 * ROW_MAPS; i++)
		bpf_map_put(our_maps[i / ROW_MAPS][i % ROW_MAPS]);
	return 0;
}

static int make_kernel_maps(void **state)
{
	static const u8 zeros[4096]; /* a value a CPU, where there are many */

	for (int i = 0; i < ROW_MAPS; i++)
		kernel_maps[i] = -1;
	no_kernel = kernel_unavailable();
	if (no_kernel)
		return 0;
	for (int i = 0; i < ROW_MAPS; i++) {
		bool outer = i == OUTER || i == OUTERL;
		int *inner = &kernel_maps[i == OUTERL ? LOCKARR : ARRAY8];
		int err = kernel_maps[i] = outer ? kernel_map_create_outer(&map_specs[i], *inner)
						 : kernel_map_create(&map_specs[i]);

		if (err >= 0 && outer)
			err = kernel_map_update(kernel_maps[i], zeros, inner, BPF_ANY);
		if (err >= 0 && is_hash(map_specs[i].map_type))
			err = kernel_map_update(kernel_maps[i], zeros, zeros, BPF_ANY);
		if (err >= 0 && first_target(map_specs[i].map_type))
			err = kernel_map_update(kernel_maps[i], zeros,
						first_target(map_specs[i].map_type), BPF_ANY);
		if (err < 0) {
			printf("kernel map %s: %s\n", map_specs[i].name, strerror(-err));
			return err;
		}
	}
	return 0;
}

static int drop_kernel_maps(void **state)
{
	for (int i = 0; i < ROW_MAPS; i++)
		if (kernel_maps[i] >= 0)
			close(kernel_maps[i]);
	return 0;
}

static void attr_of(const struct row *row, struct bpf_prog_load_attr *attr, struct funcinfo *f)
{
	static struct bpf_insn generated[MAX_GENERATED];
	static const struct bpf_insn none;

	*attr = (struct bpf_prog_load_attr){
		.prog_type = row->type,
		.name = "row",
		.license = row->license ? row->license : "GPL",
		.insns = row->insns,
		.insn_cnt = ROW_INSNS,
		.maps = our_maps[0],
		.map_cnt = ROW_MAPS,
		.prog_flags = row->strict ? PROG_F_STRICT : 0,
	};
	if (row->gen) {
		attr->insns = generated;
		attr->insn_cnt = row->gen(generated, MAX_GENERATED);
	}
	while (!row->gen && attr->insn_cnt &&
	       !memcmp(&row->insns[attr->insn_cnt - 1], &none, sizeof(none)))
		attr->insn_cnt--;
	funcinfo_add(f, attr, row->global_funcs ? BTF_FUNC_GLOBAL : BTF_FUNC_STATIC);
}

static u32 log_level(const struct row *row)
{
	if (row->quiet)
		return 0;
	return getenv("UBPFFS_ROW") ? BPF_LOG_LEVEL2 : BPF_LOG_LEVEL1;
}

static void check_verdict(const struct row *row, const char *whose, int err, int want,
			  const char *why, const char *log)
{
	if (getenv("UBPFFS_ROW"))
		printf("=== %s: %s\n%s\n", whose, row->what, log);
	if (err != want)
		fail_msg("%s: wanted %s, got %s\n%.800s", row->what,
			 want ? strerror(-want) : "accepted", err ? strerror(-err) : "accepted",
			 strlen(log) > 800 ? log + strlen(log) - 800 : log);
	if (want && why && !strstr(log, why))
		fail_msg("%s: the log does not say \"%s\"\n%.800s", row->what, why,
			 strlen(log) > 800 ? log + strlen(log) - 800 : log);
}

/*
 * Both engines get the packet in memory of its exact size, so that a sanitizer sees what is read
 * beyond.
 */
static struct bpf_test_run packet_run(void *copy)
{
	memcpy(copy, testprog_packet, sizeof(testprog_packet));
	return (struct bpf_test_run){.data_in = copy, .data_size_in = sizeof(testprog_packet)};
}

static void run_ours(const struct row *row, struct bpf_prog *prog, const char *engine)
{
	u8 packet[sizeof(testprog_packet)];
	struct bpf_test_run run = packet_run(packet);
	int err = bpf_prog_test_run(prog, &run);

	if (err)
		fail_msg("%s: %s: test run: %s", row->what, engine, strerror(-err));
	if (run.retval != row->retval)
		fail_msg("%s: %s returned %#x, wanted %#x", row->what, engine, run.retval,
			 row->retval);
}

static void ours(void **state)
{
	const struct row *row = *state;
	struct bpf_prog_load_attr attr;
	int want = row->stricter ? -row->stricter_err : -row->err;
	struct funcinfo f;

	attr_of(row, &attr, &f);
	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct bpf_prog *prog = NULL;
		struct bpf_log log;
		int err;

		attr.no_jit = no_jit;
		attr.maps = our_maps[no_jit];
		bpf_log_init(&log, log_level(row), 0);
		err = bpf_prog_load(&attr, &log, NULL, NULL, &prog);
		snprintf(text, sizeof(text), "%s", bpf_log_text(&log));
		bpf_log_free(&log);
		if (!err && row->run)
			run_ours(row, prog, no_jit ? "interpreter" : "JIT");
		if (!err)
			bpf_prog_put(prog);
		check_verdict(row, "ours", err, want, row->why, text);
		if (err)
			break;
	}
	funcinfo_free(&f);
}

static int load_into_kernel(const struct row *row, struct bpf_prog_load_attr *attr, bool strict)
{
	int fd;

	text[0] = '\0';
	attr->prog_flags &= ~PROG_F_STRICT;
	if (strict && kernel_without_perfmon(true))
		fail_msg("capabilities: %s", strerror(errno));
	fd = kernel_prog_load(attr, kernel_maps, log_level(row), row->quiet ? NULL : text,
			      sizeof(text));
	if (strict && kernel_without_perfmon(false))
		fail_msg("capabilities: %s", strerror(errno));
	return fd == -KERNEL_ENOTSUPP ? -EOPNOTSUPP : fd;
}

static void kernels(void **state)
{
	const struct row *row = *state;
	u8 packet[sizeof(testprog_packet)];
	struct bpf_test_run run = packet_run(packet);
	struct bpf_prog_load_attr attr;
	struct funcinfo f;
	int fd, err;

	if (no_kernel) {
		printf("%s\n", no_kernel);
		skip();
	}
	attr_of(row, &attr, &f);
	fd = load_into_kernel(row, &attr, row->strict);
	funcinfo_free(&f);
	if (row->generous) {
		assert_true(fd < 0);
		return;
	}
	err = 0;
	if (fd >= 0 && row->run)
		err = kernel_test_run(fd, &run);
	if (fd >= 0)
		close(fd);
	check_verdict(row, "kernel", min(fd, 0), -row->err, row->why, text);
	if (err)
		fail_msg("%s: kernel test run: %s", row->what, strerror(-err));
	if (row->run && run.retval != row->retval)
		fail_msg("%s: the kernel's returned %#x, wanted %#x", row->what, run.retval,
			 row->retval);
}

/* ---- strict: as for a loader with CAP_BPF and without CAP_PERFMON */

/* What Linux says where we go on, since a barrier or something else makes it safe. */
static const char *const we_go_on[] = {
	"pointer arithmetic with it prohibited for !root", /* it cannot mask: a barrier */
	"infinite loop detected", /* of wrong guesses: they end by themselves */
	"jumps is too complex",
	"BPF program is too large",
	"bpf_spin_lock cannot be accessed directly by load/store", /* the sum points at the lock */
	"is allowed only to CAP_PERFMON", /* which nobody has here: another errno */
	"tail_call is not allowed in a callback",
	"No program to jit",
	"pointer -= pointer prohibited", /* a length */
};

/* Why the two verdicts need not be the same, or NULL. */
static const char *may_differ(const struct row *row, int err)
{
	if (row->stricter)
		return row->stricter;
	if (row->type == BPF_PROG_TYPE_PERF_EVENT)
		return "Linux has no such programs without CAP_PERFMON";
	if (err == -ENOSPC || err == -EFAULT)
		return "the log does not fit, or Linux stumbled";
	for (u32 i = 0; i < ARRAY_SIZE(we_go_on); i++)
		if (strstr(text, we_go_on[i]))
			return we_go_on[i];
	return NULL;
}

static int load_strictly(const struct row *row, struct bpf_prog_load_attr *attr, char *log_text,
			 size_t size)
{
	struct bpf_prog *prog = NULL;
	struct bpf_log log;
	int err;

	attr->prog_flags |= PROG_F_STRICT;
	bpf_log_init(&log, log_level(row), 0);
	err = bpf_prog_load(attr, &log, NULL, NULL, &prog);
	snprintf(log_text, size, "%s", bpf_log_text(&log));
	bpf_log_free(&log);
	if (!err && row->run)
		run_ours(row, prog, attr->no_jit ? "interpreter, strict" : "JIT, strict");
	if (!err)
		bpf_prog_put(prog);
	return err;
}

/* What was refused is told in the same words. */
static bool says_the_same(const char *kernels, char *ours)
{
	char *end = strstr(ours, "\nprocessed "), *line;

	if (!end)
		return true;
	*end = 0;
	line = strrchr(ours, '\n');
	return strstr(kernels, line ? line + 1 : ours);
}

static void strict(void **state)
{
	static char ours[1 << 20];
	const struct row *row = *state;
	struct bpf_prog_load_attr attr;
	struct funcinfo f;
	int fd, err = 0;

	if (no_kernel) {
		printf("%s\n", no_kernel);
		skip();
	}
	attr_of(row, &attr, &f);
	fd = load_into_kernel(row, &attr, true);
	if (fd >= 0)
		close(fd);
	for (int no_jit = 0; no_jit < 2 && !err; no_jit++) {
		attr.no_jit = no_jit;
		attr.maps = our_maps[no_jit];
		err = load_strictly(row, &attr, ours, sizeof(ours));
	}
	funcinfo_free(&f);
	if (may_differ(row, fd))
		return;
	if (min(fd, 0) != err || (err && !row->err && !says_the_same(text, ours)))
		fail_msg("%s: strict: the kernel gives %d, ours %d\n%.400s\n%.400s", row->what,
			 min(fd, 0), err, strlen(text) > 400 ? text + strlen(text) - 400 : text,
			 strlen(ours) > 400 ? ours + strlen(ours) - 400 : ours);
}

static int make_all_maps(void **state)
{
	int err = make_our_maps(state);

	return err ? err : make_kernel_maps(state);
}

static int drop_all_maps(void **state)
{
	drop_kernel_maps(state);
	return drop_our_maps(state);
}

/* ---- is what the verifier said true? */

static struct claims claims;

/* false: too many paths to compare with. */
static bool verify_claimed(const struct bpf_prog_load_attr *attr, u32 flags, bool *zero_stack)
{
	const struct bpf_prog prog = {
		.type = attr->prog_type,
		.license = "GPL",
		.gpl_compatible = true,
		.prog_flags = flags,
		.orig_insns = (struct bpf_insn *)attr->insns,
		.orig_len = attr->insn_cnt,
		.used_maps = our_maps[0],
		.used_map_cnt = ROW_MAPS,
		.btf = attr->btf,
		.func_info = (struct bpf_func_info *)attr->func_info,
		.func_info_cnt = attr->func_info_cnt,
	};
	struct bpf_verdict verdict;
	int err;

	claims_begin(&claims);
	err = bpf_check(&prog, NULL, &claims.overflow, &verdict);
	claims_end(&claims);
	if (err && !claims.overflow && !(flags & PROG_F_STRICT))
		fail_msg("refused: %s", reason_of(&verdict));
	*zero_stack = verdict.zero_stack;
	bpf_verdict_free(&verdict);
	return !err && !claims.overflow;
}

/* Numbers at the ends of what bytes, halves and words can say, and beyond. */
static const u64 numbers[] = {
	0,
	1,
	2,
	7,
	8,
	39,
	40,
	41,
	0x7f,
	0x80,
	0x81,
	0xff,
	0x100,
	0x7fff,
	0x8000,
	0xffff,
	0x10000,
	0x7fffffff,
	0x80000000,
	0x80000001,
	0xffff8000,
	0xffffff80,
	0xfffffffb,
	0xffffffff,
	0x100000005,
	0x7fffffffffffffff,
	0x8000000000000000,
	0x8000000000000005,
	0xffffffff00000007,
	0xffffffff80000000,
	0xfffffffffffffffb,
	0xffffffffffffffff,
};

static void one_claimed(const struct row *row, const struct bpf_prog_load_attr *attr, u32 i,
			bool zero_stack)
{
	static u8 packet[256];
	struct shadow s = {
		.insns = attr->insns,
		.cnt = attr->insn_cnt,
		.maps = our_maps[0],
		.map_cnt = ROW_MAPS,
		.packet = packet,
		.packet_len = i % 2 ? sizeof(testprog_packet) : 14 + i,
		.claims = &claims,
		.zero_stack = zero_stack,
		.random = numbers[i / 2],
		.max_steps = 20000,
	};

	memset(packet, i % 3 ? 0xff : 0x81, sizeof(packet));
	if (i % 2)
		memcpy(packet, testprog_packet, sizeof(testprog_packet));
	if (shadow_run(&s) == -EFAULT)
		fail_msg("%s: with the number %#llx, instruction %u: %s", row->what,
			 (unsigned long long)s.random, s.fault_insn, s.fault);
}

static void claimed(void **state)
{
	static const u32 flags[] = {0, BPF_F_TEST_STATE_FREQ, PROG_F_STRICT,
				    PROG_F_STRICT | BPF_F_TEST_STATE_FREQ};
	const struct row *row = *state;
	struct bpf_prog_load_attr attr;
	struct funcinfo f;
	bool zero_stack;

	attr_of(row, &attr, &f);
	for (u32 i = 0; i < ARRAY_SIZE(flags); i++) {
		if (!verify_claimed(&attr, flags[i], &zero_stack))
			continue;
		for (u32 k = 0; k < 2 * ARRAY_SIZE(numbers); k++)
			one_claimed(row, &attr, k, zero_stack);
	}
	funcinfo_free(&f);
}

static int begin_claims(void **state)
{
	claims_init(&claims);
	return make_our_maps(state);
}

static int end_claims(void **state)
{
	claims_free(&claims);
	return drop_our_maps(state);
}

/* The checked interpreter knows the context of these, and no row that is too long for its steps. */
static bool can_be_claimed(const struct row *row)
{
	return row->type == TC && !row->err && !row->stricter && !row->gen && !row->global_funcs;
}

static size_t collect(struct CMUnitTest *tests, CMUnitTestFunction fn)
{
	static char names[MAX_ROWS][128];
	const char *only = getenv("UBPFFS_ROW");
	size_t n = 0;

	for (size_t t = 0; t < ARRAY_SIZE(tables); t++) {
		for (size_t i = 0; i < tables[t].cnt && n < MAX_ROWS; i++) {
			const struct row *row = &tables[t].rows[i];

			snprintf(names[n], sizeof(names[n]), "%s: %s", tables[t].name, row->what);
			if (only && !strstr(names[n], only))
				continue;
			if ((fn == claimed && !can_be_claimed(row)) ||
			    (fn == strict && row->strict))
				continue;
			tests[n] = (struct CMUnitTest){names[n], fn, NULL, NULL, (void *)row};
			n++;
		}
	}
	return n;
}

int main(void)
{
	static struct CMUnitTest tests[MAX_ROWS];
	size_t n = collect(tests, ours);
	int failed = _cmocka_run_group_tests("verifier", tests, n, make_our_maps, drop_our_maps);

	n = collect(tests, claimed);
	failed += _cmocka_run_group_tests("claims", tests, n, begin_claims, end_claims);
	n = collect(tests, kernels);
	failed += _cmocka_run_group_tests("kernel", tests, n, make_kernel_maps, drop_kernel_maps);
	n = collect(tests, strict);
	failed += _cmocka_run_group_tests("strict", tests, n, make_all_maps, drop_all_maps);
	return failed ? 1 : 0;
}
