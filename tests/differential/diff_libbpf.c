/*
 * diff_libbpf.c - our object reader against libbpf's, and the kernel's view of what libbpf loaded
 *
 * Every test object and example is opened and loaded by libbpf into the running kernel, and read by
 * us. Compared are: which programs and maps there are, their types and attributes, the initial
 * contents of data maps, every instruction after relocation (map references by the map's name), and
 * the function and line info that the kernel keeps. Programs that the kernel rejects are compared
 * up to their instructions.
 */
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <cmocka.h>
#include "btf/btf.h"
#include "object/read/kconfig.h"
#include "tests/lib/kernel.h"
#include "tests/lib/object.h"

/* libbpf 1.x no longer knows the `maps` section, and allows no static function beside programs. */
static const char *const only_ours[] = {"legacy_maps", "static_in_section"};
/* Needs what the kernel has and we do not, or is malformed: for test_elf.c. Or raw programs. */
static const char *const not_ours[] = {
	"refuse_kconfig", "refuse_kfunc",  "refuse_ksym", "refuse_section", "refuse_undefined",
	"malformed_",	  "core_features", "raw",	  "local",	    "examples/lines"};

/*
 * Relocated against the types of core_target; what is not named here, against the running kernel's.
 */
static const char *const other_machine[] = {"core_kinds", "core_fan_out", "reject_core"};

#define WEAK_KFUNC 2002000000

static u32 progs, insns, maps, infos, lines;

static bool listed(const char *const *list, size_t cnt, const char *name)
{
	for (size_t i = 0; i < cnt; i++)
		if (!strncmp(name, list[i], strlen(list[i])))
			return true;
	return false;
}

/* libbpf puts the object's name before a data section's: "global_d.rodata". */
static const struct bpf_object_map *our_map(const struct bpf_object_file *ours,
					    const struct bpf_map *theirs)
{
	const char *name = bpf_map__name(theirs);

	for (u32 i = 0; i < ours->map_cnt; i++) {
		const struct bpf_object_map *m = &ours->maps[i];
		size_t n = strlen(m->name), len = strlen(name);

		if (m->kind == BPF_OBJECT_MAP_DATA ? len >= n && !strcmp(name + len - n, m->name)
						   : !strcmp(name, m->name))
			return m;
	}
	return NULL;
}

/* `filled`: libbpf looks the configuration up when it loads. */
static void compare_map(const char *object, const struct bpf_object_file *ours,
			const struct bpf_map *theirs, bool filled)
{
	const struct bpf_object_map *m = our_map(ours, theirs);
	u32 flags = bpf_map__map_flags(theirs);
	size_t size = 0;
	const void *init;

	if (!m)
		fail_msg("%s: libbpf has a map '%s'", object, bpf_map__name(theirs));
	if (m->kind == BPF_OBJECT_MAP_DATA)
		flags &= ~BPF_F_MMAPABLE; /* how libbpf fills it */
	if (m->spec.map_type != bpf_map__type(theirs) ||
	    m->spec.key_size != bpf_map__key_size(theirs) ||
	    m->spec.value_size != bpf_map__value_size(theirs) ||
	    m->spec.max_entries != bpf_map__max_entries(theirs) || m->spec.map_flags != flags ||
	    m->spec.map_extra != bpf_map__map_extra(theirs))
		fail_msg("%s: map '%s' has other attributes", object, m->name);
	if (bpf_map__btf_value_type_id(theirs) &&
	    (m->spec.btf_key_type_id != bpf_map__btf_key_type_id(theirs) ||
	     m->spec.btf_value_type_id != bpf_map__btf_value_type_id(theirs)))
		fail_msg("%s: map '%s' has other types", object, m->name);
	init = bpf_map__initial_value((struct bpf_map *)(uintptr_t)theirs, &size);
	if (m->init && (filled || strcmp(m->name, ".kconfig")) &&
	    (!init || memcmp(init, m->init, m->spec.value_size)))
		fail_msg("%s: map '%s' has another initial value", object, m->name);
	maps++;
}

static const struct bpf_map *map_by_fd(const struct bpf_object *obj, int fd)
{
	const struct bpf_map *map;

	bpf_object__for_each_map(map, obj) if (bpf_map__fd(map) == fd) return map;
	return NULL;
}

/*
 * One instruction; `loaded`: libbpf's descriptors are still open, so maps can be compared by name.
 */
static bool same_insn(const struct bpf_object *obj, const struct bpf_object_file *ours,
		      const struct bpf_insn *a, const struct bpf_insn *b, bool loaded)
{
	u32 class = a->src_reg;

	if (a->code != b->code || a->dst_reg != b->dst_reg || a->off != b->off)
		return false;
	/* A weak function that is not there: later versions of libbpf write what we write. */
	if (a->code == (BPF_JMP | BPF_CALL) && a->src_reg == BPF_PSEUDO_KFUNC_CALL && !a->imm)
		return b->imm == WEAK_KFUNC && !b->src_reg;
	/* libbpf 1.5 adds the number of the extern. */
	if (a->code == (BPF_JMP | BPF_CALL) && !a->src_reg && a->imm > WEAK_KFUNC)
		return b->imm == WEAK_KFUNC && !b->src_reg;
	if (!bpf_insn_is_imm64(a) || (class != BPF_PSEUDO_MAP_FD && class != BPF_PSEUDO_MAP_VALUE))
		return a->src_reg == b->src_reg && a->imm == b->imm;
	if (b->src_reg !=
	    (class == BPF_PSEUDO_MAP_FD ? BPF_PSEUDO_MAP_IDX : BPF_PSEUDO_MAP_IDX_VALUE))
		return false;
	if (class == BPF_PSEUDO_MAP_VALUE && a[1].imm != b[1].imm)
		return false;
	if (!loaded)
		return true;
	return map_by_fd(obj, a->imm) &&
	       our_map(ours, map_by_fd(obj, a->imm)) == &ours->maps[b->imm];
}

static void compare_insns(const char *object, const struct bpf_object *obj,
			  const struct bpf_object_file *ours, const struct bpf_program *theirs,
			  const struct bpf_object_prog *p, bool loaded)
{
	const struct bpf_insn *insn = bpf_program__insns(theirs);

	if (bpf_program__insn_cnt(theirs) != p->insn_cnt)
		fail_msg("%s: program '%s' has %zu instructions at libbpf, %u here", object,
			 p->name, bpf_program__insn_cnt(theirs), p->insn_cnt);
	for (u32 i = 0; i < p->insn_cnt; i++) {
		if (!same_insn(obj, ours, &insn[i], &p->insns[i], loaded))
			fail_msg("%s: program '%s' differs at instruction %u: code %02x src %u imm "
				 "%d at "
				 "libbpf, code %02x src %u imm %d here",
				 object, p->name, i, insn[i].code, insn[i].src_reg, insn[i].imm,
				 p->insns[i].code, p->insns[i].src_reg, p->insns[i].imm);
		insns++;
		i += bpf_insn_is_imm64(&insn[i]);
	}
}

/* The kernel drops the info of code that it found dead: its list is ours with holes. */
static void compare_info(const char *object, const struct bpf_object_prog *p, int fd)
{
	struct bpf_func_info func[64];
	struct bpf_line_info line[2048];
	struct bpf_prog_info info = {
		.nr_func_info = ARRAY_SIZE(func),
		.func_info = (uintptr_t)func,
		.func_info_rec_size = sizeof(func[0]),
		.nr_line_info = ARRAY_SIZE(line),
		.line_info = (uintptr_t)line,
		.line_info_rec_size = sizeof(line[0]),
	};
	union bpf_attr attr;
	u32 j = 0;

	memset(&attr, 0, sizeof(attr)); /* an initialiser need not reach beyond .info */
	attr.info.bpf_fd = fd;
	attr.info.info_len = sizeof(info);
	attr.info.info = (uintptr_t)&info;
	/* <bpf/bpf.h> has this call, and names of ours with other arguments. */
	assert_int_equal(syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	assert_in_range(info.nr_func_info, 0, ARRAY_SIZE(func));
	assert_in_range(info.nr_line_info, 0, ARRAY_SIZE(line));
	if (info.nr_func_info && info.nr_func_info != p->func_info_cnt)
		fail_msg("%s: program '%s' has %u functions in the kernel, %u here", object,
			 p->name, info.nr_func_info, p->func_info_cnt);
	for (u32 i = 0; i < info.nr_func_info; i++)
		assert_int_equal(func[i].type_id, p->func_info[i].type_id);
	for (u32 i = 0; i < info.nr_line_info; i++, j++) {
		while (j < p->line_info_cnt && (p->line_info[j].line_off != line[i].line_off ||
						p->line_info[j].line_col != line[i].line_col))
			j++;
		if (j == p->line_info_cnt)
			fail_msg(
				"%s: program '%s' has a source line in the kernel that is not here",
				object, p->name);
		lines++;
	}
	infos++;
}

static void compare_object(const char *name, struct bpf_object *obj,
			   const struct bpf_object_file *ours)
{
	struct bpf_program *prog;
	const struct bpf_map *map;
	u32 prog_cnt = 0, map_cnt = 0;
	bool loaded, reject;

	for (u32 i = 0; i < ours->map_cnt; i++)
		map_cnt += ours->maps[i].kind != BPF_OBJECT_MAP_INNER;
	bpf_object__for_each_map(map, obj)
	{
		compare_map(name, ours, map, false);
		map_cnt--;
	}
	assert_int_equal(map_cnt, 0);
	loaded = !bpf_object__load(obj);
	if (loaded && !strcmp(name, "externs"))
		bpf_object__for_each_map(map, obj) compare_map(name, ours, map, true);
	reject = !strncmp(name, "reject_", 7) || !strncmp(name, "no_license_gpl", 14) ||
		 !strcmp(name, "examples/unsafe") ||
		 !strcmp(name, "dynptr_global"); /* one of its programs is enough */
	if (loaded == reject && strcmp(name, "refuse_type"))
		fail_msg("%s: libbpf and the kernel %s it (%d)", name,
			 loaded ? "load" : "do not load", errno);
	bpf_object__for_each_program(prog, obj)
	{
		const struct bpf_object_prog *p = test_object_prog(ours, bpf_program__name(prog));

		if (!bpf_program__autoload(prog)) {
			assert_null(p);
			continue;
		}
		if (!p)
			fail_msg("%s: libbpf has a program '%s'", name, bpf_program__name(prog));
		assert_int_equal(p->type, bpf_program__type(prog));
		assert_int_equal(p->expected_attach_type, bpf_program__expected_attach_type(prog));
		assert_string_equal(p->section, bpf_program__section_name(prog));
		compare_insns(name, obj, ours, prog, p, loaded);
		if (loaded)
			compare_info(name, p, bpf_program__fd(prog));
		prog_cnt++;
		progs++;
	}
	assert_int_equal(prog_cnt, ours->prog_cnt);
}

static void one_object(const char *name)
{
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "test");
	bool ours_only = listed(only_ours, ARRAY_SIZE(only_ours), name);
	struct bpf_object_file *ours = NULL;
	struct bpf_object *obj;
	size_t size;
	void *data;

	if (listed(not_ours, ARRAY_SIZE(not_ours), name))
		return;
	if (listed(other_machine, ARRAY_SIZE(other_machine), name))
		opts.btf_custom_path = test_object_path("core_target");
	data = test_object_bytes(name, &size);
	bpf_object_set_kconfig(NULL); /* libbpf looks at the running kernel's */
	if (bpf_object_read(data, size, NULL, &ours))
		fail_msg("%s: cannot be read here", name);
	obj = bpf_object__open_mem(data, size, &opts);
	if (!obj != ours_only)
		fail_msg("%s: libbpf %s it", name, obj ? "opens" : "does not open");
	if (obj) {
		struct bpf_map *map;

		bpf_object__for_each_map(map, obj) /* nothing of this test stays on the machine */
			bpf_map__set_pin_path(map, NULL);
		compare_object(name, obj, ours);
	}
	bpf_object__close(obj);
	bpf_object_file_free(ours);
	free(data);
}

/* Types of one name that give two answers. */
static void ambiguous_relocations_are_refused_by_both(void **state)
{
	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "test",
			    .btf_custom_path = test_object_path("core_target"));
	const char *why = kernel_unavailable();
	struct bpf_object_file *ours;
	struct bpf_object *obj;
	size_t size;
	void *data = test_object_bytes("malformed_core_twice", &size);

	assert_int_equal(bpf_object_read(data, size, NULL, &ours), -EINVAL);
	if (why) { /* libbpf asks the kernel what it can do before it relocates */
		free(data);
		print_message("%s\n", why);
		skip();
	}
	obj = bpf_object__open_mem(data, size, &opts);
	assert_non_null(obj);
	assert_int_equal(bpf_object__load(obj), -EINVAL);
	bpf_object__close(obj);
	free(data);
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list args)
{
	return getenv("UBPFFS_VERBOSE") ? vfprintf(stderr, fmt, args) : 0;
}

static void objects_are_what_libbpf_and_the_kernel_make_of_them(void **state)
{
	const char *why = kernel_unavailable();

	if (why) {
		print_message("%s\n", why);
		skip();
	}
	libbpf_set_print(quiet);
	for (const char *const *name = test_object_names(); *name; name++)
		one_object(*name);
	one_object("examples/traffic");
	one_object("examples/unsafe");
	print_message("%u programs, %u instructions, %u maps; info of %u programs, %u lines\n",
		      progs, insns, maps, infos, lines);
	assert_true(progs > 20 && insns > 500 && maps > 15 && infos > 15 && lines > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_what_libbpf_and_the_kernel_make_of_them),
		cmocka_unit_test(ambiguous_relocations_are_refused_by_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
