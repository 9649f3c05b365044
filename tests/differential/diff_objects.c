/*
 * diff_objects.c - programs that clang made: verdict, return value, packet and maps in three
 * engines
 *
 * Every program of every test object and example is loaded on its own into the running kernel, our
 * JIT and our interpreter, with its object's maps, and run on several packets. Where the kernel is
 * not available, our two engines are compared. Programs that ask for the time, a random number or
 * the CPU get their verdicts compared only. Linux 6.18, whose verifier ours follows, also says how
 * many instructions it looked at.
 */
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <cmocka.h>
#include "load.h"
#include "run/test_run.h"
#include "tests/lib/instance.h"
#include "tests/lib/kernel.h"
#include "tests/lib/packets.h"

#ifdef __SANITIZE_THREAD__
#define SLOWED true /* twenty times: what takes seconds to verify takes minutes */
#else
#define SLOWED false
#endif

static bool have_kernel, counts_alike;
static u32 compared, accepted, refused, skipped, runs, faults;

#define FAULT(...)                        \
	do {                              \
		faults++;                 \
		print_error(__VA_ARGS__); \
	} while (0)

static int setup(void **state)
{
	const char *why = kernel_unavailable();
	struct utsname uts;

	kernel_stay_on_cpu(); /* also between two runs of one object */
	have_kernel = !why;
	counts_alike = have_kernel && !uname(&uts) && !strncmp(uts.release, "6.18.", 5);
	if (why)
		print_message("%s: JIT and interpreter are compared with each other\n", why);
	return 0;
}

static bool map_type_known(enum bpf_map_type type)
{
	switch (type) {
	case BPF_MAP_TYPE_HASH:
	case BPF_MAP_TYPE_ARRAY:
	case BPF_MAP_TYPE_PROG_ARRAY:
	case BPF_MAP_TYPE_LRU_HASH:
	case BPF_MAP_TYPE_PERCPU_HASH: /* whose content is not compared */
	case BPF_MAP_TYPE_LRU_PERCPU_HASH:
	case BPF_MAP_TYPE_PERCPU_ARRAY:
	case BPF_MAP_TYPE_RINGBUF:
		return true;
	default:
		return false;
	}
}

/* An object in one engine: a base that holds the maps, and an instance a program. */
struct object {
	struct instance *base;
	struct instance **progs;
	int *errs;
	struct bpf_map_spec specs[INSTANCE_MAPS];
};

static void object_load(struct object *o, enum engine engine, const struct bpf_object_file *file)
{
	const u32 zero = 0;

	for (u32 i = 0; i < file->map_cnt; i++)
		o->specs[i] = file->maps[i].spec;
	o->base = instance_new(engine, o->specs, file->map_cnt);
	for (u32 i = 0; i < file->map_cnt; i++) {
		if (file->maps[i].init)
			instance_update(o->base, i, &zero, file->maps[i].init);
		if (file->maps[i].readonly)
			instance_freeze(o->base, i);
	}
	o->progs = calloc(file->prog_cnt, sizeof(*o->progs));
	o->errs = calloc(file->prog_cnt, sizeof(*o->errs));
	for (u32 i = 0; i < file->prog_cnt; i++) {
		const struct bpf_object_prog *p = &file->progs[i];
		const struct bpf_prog_load_attr attr = {
			.prog_type = p->type,
			.expected_attach_type = p->expected_attach_type,
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

		o->progs[i] = instance_beside(o->base);
		o->errs[i] = instance_load(o->progs[i], &attr, 1);
	}
	for (u32 i = 0; i < file->map_cnt; i++)
		for (u32 k = 0; k < file->maps[i].init_cnt; k++)
			if (!o->errs[file->maps[i].init_target[k]])
				instance_set_slot(o->base, i, file->maps[i].init_slot[k],
						  o->progs[file->maps[i].init_target[k]]);
}

static void object_free(struct object *o, u32 prog_cnt)
{
	for (u32 i = 0; i < prog_cnt; i++)
		instance_free(o->progs[i]);
	instance_free(o->base);
	free(o->progs);
	free(o->errs);
}

#define LINUX_ENOTSUPP 524

/* What these return differs from run to run, or from the kernel's sockets and cgroups to ours. */
static bool tells_of_its_surroundings(s32 helper)
{
	switch (helper) {
	case BPF_FUNC_ktime_get_ns:
	case BPF_FUNC_ktime_get_boot_ns:
	case BPF_FUNC_ktime_get_coarse_ns:
	case BPF_FUNC_jiffies64:
	case BPF_FUNC_get_prandom_u32:
	case BPF_FUNC_get_smp_processor_id:
	case BPF_FUNC_get_current_cgroup_id:
	case BPF_FUNC_get_current_ancestor_cgroup_id:
	case BPF_FUNC_skb_cgroup_id:
	case BPF_FUNC_skb_ancestor_cgroup_id:
	case BPF_FUNC_get_socket_cookie:
	case BPF_FUNC_get_socket_uid:
		return true;
	default:
		return false;
	}
}

/* Externs are no variables to the kernel, and libbpf makes them into such before the load. */
static bool kernel_takes_btf(const struct bpf_object_file *file)
{
	const void *data;
	u32 size;
	int fd;

	if (!file->btf)
		return true;
	data = bpf_btf_raw(file->btf, &size);
	fd = kernel_btf_load(data, size);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool repeatable(const struct bpf_object_file *file)
{
	for (u32 i = 0; i < file->prog_cnt; i++) {
		for (u32 k = 0; k < file->progs[i].insn_cnt; k++) {
			const struct bpf_insn *insn = &file->progs[i].insns[k];

			if (insn->code != (BPF_JMP | BPF_CALL) || insn->src_reg)
				continue;
			if (tells_of_its_surroundings(insn->imm))
				return false;
		}
	}
	return true;
}

struct outcome {
	int err;
	u32 retval, len;
	u8 data[2048];
	void *maps[INSTANCE_MAPS];
	size_t map_size[INSTANCE_MAPS];
};

static void run_one(struct object *o, u32 prog, u32 map_cnt, const struct packet *pkt,
		    struct outcome *out)
{
	struct bpf_test_run run = {
		.data_in = pkt->data,
		.data_size_in = pkt->len,
		.data_out = out->data,
		.data_size_out = sizeof(out->data),
	};

	out->err = instance_run(o->progs[prog], &run);
	out->retval = run.retval;
	out->len = out->err ? 0 : run.data_size_out;
	for (u32 i = 0; i < map_cnt; i++)
		out->maps[i] = instance_dump(o->base, i, &out->map_size[i]);
	runs++;
}

static void compare(const char *what, const struct packet *pkt, const char *who, u32 map_cnt,
		    const struct outcome *a, const struct outcome *b)
{
	if (a->err != b->err)
		FAULT("%s on %s: %s gives error %d, not %d\n", what, pkt->name, who, b->err,
		      a->err);
	else if (!a->err && a->retval != b->retval)
		FAULT("%s on %s: %s returns %#x, not %#x\n", what, pkt->name, who, b->retval,
		      a->retval);
	else if (a->len != b->len || memcmp(a->data, b->data, a->len))
		FAULT("%s on %s: %s gives another packet\n", what, pkt->name, who);
	for (u32 i = 0; i < map_cnt; i++)
		if (a->map_size[i] != b->map_size[i] ||
		    (a->map_size[i] && memcmp(a->maps[i], b->maps[i], a->map_size[i])))
			FAULT("%s on %s: %s leaves another map %u\n", what, pkt->name, who, i);
}

/*
 * The maps of the engines start alike and go the same way, packet by packet and program by program.
 */
static void compare_runs(const char *what, struct object *objs, enum engine first, u32 prog,
			 u32 map_cnt)
{
	for (u32 k = 0; k < packet_cnt; k++) {
		struct outcome out[ENGINE_MAX] = {0};

		for (u32 e = first; e < ENGINE_MAX; e++) {
			run_one(&objs[e], prog, map_cnt, &packets[k], &out[e]);
			/*
			 * The kernel's test run does not know this type; ours are still compared.
			 */
			if (e == first && out[e].err == -LINUX_ENOTSUPP)
				first++;
			else if (e > first)
				compare(what, &packets[k], engine_name(e), map_cnt, &out[first],
					&out[e]);
		}
		for (u32 e = 0; e < ENGINE_MAX; e++)
			for (u32 i = 0; i < map_cnt; i++)
				free(out[e].maps[i]);
	}
}

static const char *log_tail(const char *log)
{
	size_t len = strlen(log);

	return log + (len > 300 ? len - 300 : 0);
}

static u32 kernel_count(int prog_fd)
{
	struct bpf_prog_info info = {0};
	union bpf_attr attr = {
		.info =
			{
				.bpf_fd = prog_fd,
				.info_len = sizeof(info),
				.info = (uintptr_t)&info,
			},
	};

	assert_true(kernel_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr) >= 0);
	return info.verified_insns;
}

static bool has_callbacks(const struct bpf_object_prog *prog)
{
	for (u32 i = 0; i < prog->insn_cnt; i++)
		if (bpf_insn_is_pseudo_func(&prog->insns[i]))
			return true;
	return false;
}

/*
 * Which slots of the stack a callback leaves unread is found by path here and by chain of calls in
 * Linux: there the counts may differ by a little.
 */
static void compare_counts(const char *what, const struct object *objs, u32 prog, bool callbacks)
{
	u32 theirs = kernel_count(objs[ENGINE_KERNEL].progs[prog]->prog_fd);
	u32 ours = objs[ENGINE_JIT].progs[prog]->prog->verified_insns;
	u32 slack = callbacks ? theirs / 10 : 0;

	if (ours > theirs + slack || theirs > ours + slack)
		FAULT("%s: the kernel looks at %u instructions, we at %u\n", what, theirs, ours);
}

static void compare_prog(const char *what, struct object *objs, enum engine first, u32 prog,
			 const struct bpf_object_file *file)
{
	int want = objs[first].errs[prog], jit = objs[ENGINE_JIT].errs[prog];

	compared++;
	if (jit != objs[ENGINE_INTERP].errs[prog]) {
		FAULT("%s: %d with the JIT, %d without\n", what, jit,
		      objs[ENGINE_INTERP].errs[prog]);
	} else if (jit == -ENOTSUP) {
		print_message("%s: not supported by this build\n", what);
		skipped++;
	} else if (!want != !jit) {
		FAULT("%s: the kernel gives %d, we %d\n%s\n", what, want, jit,
		      want ? objs[first].progs[prog]->log : objs[ENGINE_JIT].progs[prog]->log);
	} else if (want) {
		/* "Too complex" is EFAULT in Linux, where it should be E2BIG. */
		if (want != jit && !(want == -EFAULT && jit == -E2BIG))
			FAULT("%s: refused with %d by the kernel, %d by us:\n...%s\n...%s\n", what,
			      want, jit, log_tail(objs[first].progs[prog]->log),
			      log_tail(objs[ENGINE_JIT].progs[prog]->log));
		refused++;
	} else {
		accepted++;
		if (counts_alike)
			compare_counts(what, objs, prog, has_callbacks(&file->progs[prog]));
		if (repeatable(file))
			compare_runs(what, objs, first, prog, file->map_cnt);
	}
}

static void compare_object(const char *path, const struct bpf_object_file *file)
{
	struct object objs[ENGINE_MAX] = {0};
	enum engine first = have_kernel ? ENGINE_KERNEL : ENGINE_JIT;
	char what[256];

	for (u32 e = first; e < ENGINE_MAX; e++)
		object_load(&objs[e], e, file);
	for (u32 i = 0; i < file->prog_cnt; i++) {
		if ((u32)file->progs[i].type == BPF_PROG_TYPE_RAW)
			continue; /* which the kernel does not know */
		snprintf(what, sizeof(what), "%s: %s", strrchr(path, '/') + 1, file->progs[i].name);
		compare_prog(what, objs, first, i, file);
	}
	for (u32 e = first; e < ENGINE_MAX; e++)
		object_free(&objs[e], file->prog_cnt);
}

static void one_file(const char *path)
{
	int __do_close fd = open(path, O_RDONLY | O_CLOEXEC);
	struct bpf_object_file *file = NULL;
	struct bpf_log log;
	struct stat st;
	void *data;
	int err;

	assert_true(fd >= 0 && !fstat(fd, &st));
	data = malloc(st.st_size);
	assert_int_equal(read(fd, data, st.st_size), st.st_size);
	bpf_log_init(&log, 1, 0);
	err = bpf_object_read(data, st.st_size, &log, &file);
	if (!err) {
		bool known = file->map_cnt <= INSTANCE_MAPS;

		for (u32 i = 0; i < file->map_cnt; i++)
			known &= map_type_known(file->maps[i].spec.map_type);
		if (strstr(path, "/leaks.bpf.o"))
			print_message("%s: stores addresses\n", path);
		else if (known && have_kernel && !kernel_takes_btf(file))
			print_message(
				"%s: libbpf prepares this BTF for the kernel: see diff_libbpf\n",
				path);
		else if (known)
			compare_object(path, file);
		else
			print_message("%s: has a map type that this test does not know\n", path);
		bpf_object_file_free(file);
	}
	bpf_log_free(&log);
	free(data);
}

/* Of each file that matches, below this program's directory; how many these are. */
static u32 each_file(const char *below)
{
	char exe[3072] = "", pattern[4096];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	glob_t g;

	assert_true(n > 0);
	*strrchr(exe, '/') = 0;
	snprintf(pattern, sizeof(pattern), "%s%s", exe, below);
	if (glob(pattern, 0, NULL, &g))
		return 0;
	for (size_t i = 0; i < g.gl_pathc; i++) {
		if (SLOWED && strstr(g.gl_pathv[i], "/slow_"))
			print_message("%s: too slow with a sanitizer\n", g.gl_pathv[i]);
		else
			one_file(g.gl_pathv[i]);
	}
	n = g.gl_pathc;
	globfree(&g);
	return n;
}

static void test_objects(void **state)
{
	each_file("/../progs/*.bpf.o");
	each_file("/../../examples/*.bpf.o");
	print_message("%u programs: %u accepted, %u refused, %u not supported; %u runs\n", compared,
		      accepted, refused, skipped, runs);
	assert_true(accepted > 5 && refused > 2);
	assert_int_equal(faults, 0);
}

/* What matrix.sh made: ten kinds of program by each compiler and for each instruction set. */
static void test_compilers(void **state)
{
	u32 files;

	compared = accepted = refused = skipped = runs = faults = 0;
	files = each_file("/../matrix/*.bpf.o");
	if (!files) {
		print_message("no clang by version here: tests/differential/matrix.sh\n");
		skip();
	}
	print_message("%u files, %u programs: %u accepted, %u refused, %u not supported; %u runs\n",
		      files, compared, accepted, refused, skipped, runs);
	assert_int_equal(skipped, 0);
	assert_true(accepted >= files);
	assert_int_equal(faults, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objects),
		cmocka_unit_test(test_compilers),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
