/*
 * object.c - compiled test programs: found beside the running test, read, and checked for sanity
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "object/machine.h"
#include "object/read/kconfig.h"
#include "tests/lib/object.h"

#define SUFFIX ".bpf.o"

/* Tests are in BUILD/tests/<kind>/. */
static const char *build_dir(void)
{
	static char dir[PATH_MAX];
	ssize_t n;

	if (dir[0])
		return dir;
	n = readlink("/proc/self/exe", dir, sizeof(dir) - 1);
	if (n <= 0)
		abort();
	dir[n] = 0;
	for (int i = 0; i < 3; i++) {
		char *slash = strrchr(dir, '/');

		if (!slash)
			abort();
		*slash = 0;
	}
	return dir;
}

static int cmp_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *const *test_object_names(void)
{
	static const char *names[256];
	char path[PATH_MAX + 16];
	struct dirent *de;
	int cnt = 0;
	DIR *dir;

	if (names[0])
		return names;
	snprintf(path, sizeof(path), "%s/tests/progs", build_dir());
	dir = opendir(path);
	while (dir && (de = readdir(dir)) && cnt < 255) {
		size_t n = strlen(de->d_name);

		if (n > strlen(SUFFIX) && !strcmp(de->d_name + n - strlen(SUFFIX), SUFFIX))
			names[cnt++] = strndup(de->d_name, n - strlen(SUFFIX));
	}
	if (!cnt) {
		fprintf(stderr, "%s holds no objects: make bpf-objects\n", path);
		exit(1);
	}
	closedir(dir);
	qsort(names, cnt, sizeof(*names), cmp_name);
	return names;
}

static void object_path(char *path, size_t size, const char *name)
{
	snprintf(path, size, "%s/%s%s" SUFFIX, build_dir(), strchr(name, '/') ? "" : "tests/progs/",
		 name);
}

const char *test_object_path(const char *name)
{
	static char path[PATH_MAX + 128];

	object_path(path, sizeof(path), name);
	return path;
}

/* Its configuration, in a file that lives as long as the process. */
static void set_config(void)
{
	static const char text[] = "# a comment\nCONFIG_HZ=250\nCONFIG_NET=y\n"
				   "CONFIG_BPF_SYSCALL=y\nCONFIG_DEFAULT_HOSTNAME=\"(none)\"\n";
	static char path[64];
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	bpf_object_set_kconfig(path);
}

/* The machine of these programs is another than the one at hand. */
static void set_machine(void)
{
	static char types[PATH_MAX + 128];

	if (types[0])
		return;
	object_path(types, sizeof(types), "core_target");
	bpf_core_set_kernel_btf(types);
	set_config();
}

void *test_object_bytes(const char *name, size_t *size)
{
	char path[PATH_MAX + 128];
	void *buf;
	FILE *f;
	long n;

	set_machine();
	object_path(path, sizeof(path), name);
	f = fopen(path, "r");
	if (!f || fseek(f, 0, SEEK_END) || (n = ftell(f)) <= 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	rewind(f);
	buf = malloc(n);
	if (!buf || fread(buf, 1, n, f) != (size_t)n)
		exit(1);
	fclose(f);
	*size = n;
	return buf;
}

static const char *map_insane(const struct bpf_object_file *obj, const struct bpf_object_map *m)
{
	if (!memchr(m->name, 0, sizeof(m->name)) || !m->name[0] || strchr(m->name, '/'))
		return "a map's name";
	if (!memchr(m->spec.name, 0, sizeof(m->spec.name)))
		return "a map's short name";
	if (m->inner_map >= (int)obj->map_cnt)
		return "an inner map's index";
	for (u32 i = 0; i < m->init_cnt; i++) {
		u32 max = m->spec.map_type == BPF_MAP_TYPE_PROG_ARRAY ? obj->prog_cnt
								      : obj->map_cnt;

		if (m->init_target[i] >= max || m->init_slot[i] >= m->spec.max_entries)
			return "an initialiser's slot or target";
	}
	/* Reading what init claims to hold is the test: the sanitizer knows its size. */
	for (u32 i = 0; m->init && i < m->spec.value_size; i++)
		if (((volatile u8 *)m->init)[i] == 0)
			continue;
	return NULL;
}

static const char *insn_insane(const struct bpf_object_file *obj, const struct bpf_object_prog *p,
			       u32 i)
{
	const struct bpf_insn *insn = &p->insns[i];
	s64 target = (s64)i + insn->imm + 1;

	if (bpf_insn_is_imm64(insn)) {
		if (i + 1 >= p->insn_cnt)
			return "a 64-bit load at the end";
		if ((insn->src_reg == BPF_PSEUDO_MAP_IDX ||
		     insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE) &&
		    (u32)insn->imm >= obj->map_cnt)
			return "a map's index";
		if (insn->src_reg == BPF_PSEUDO_MAP_IDX_VALUE &&
		    (u32)insn[1].imm >= obj->maps[insn->imm].spec.value_size)
			return "an offset into a data section";
		if (insn->src_reg == BPF_PSEUDO_MAP_FD || insn->src_reg == BPF_PSEUDO_MAP_VALUE ||
		    insn->src_reg > BPF_PSEUDO_MAP_IDX_VALUE)
			return "a pseudo class";
		if (insn->src_reg != BPF_PSEUDO_FUNC)
			return NULL;
	} else if (!bpf_insn_is_pseudo_call(insn)) {
		return NULL;
	}
	return target < 0 || target >= p->insn_cnt ? "a call's target" : NULL;
}

static const char *prog_insane(const struct bpf_object_file *obj, const struct bpf_object_prog *p)
{
	const char *why = NULL;

	if (!memchr(p->name, 0, sizeof(p->name)) || !p->name[0] || strchr(p->name, '/') ||
	    !memchr(p->section, 0, sizeof(p->section)))
		return "a program's name";
	if (!p->insn_cnt)
		return "a program without instructions";
	for (u32 i = 0; !why && i < p->insn_cnt; i++) {
		why = insn_insane(obj, p, i);
		i += bpf_insn_is_imm64(&p->insns[i]);
	}
	for (u32 i = 0; i < p->func_info_cnt; i++)
		if (p->func_info[i].insn_off >= p->insn_cnt ||
		    (i ? p->func_info[i].insn_off <= p->func_info[i - 1].insn_off
		       : p->func_info[i].insn_off))
			return "func_info";
	for (u32 i = 0; i < p->line_info_cnt; i++)
		if (p->line_info[i].insn_off >= p->insn_cnt ||
		    (i && p->line_info[i].insn_off <= p->line_info[i - 1].insn_off))
			return "line_info";
	return why;
}

const char *test_object_insane(const struct bpf_object_file *obj)
{
	const char *why = obj->prog_cnt ? NULL : "no program";

	if (!memchr(obj->license, 0, sizeof(obj->license)))
		return "the license";
	for (u32 i = 0; !why && i < obj->map_cnt; i++)
		why = map_insane(obj, &obj->maps[i]);
	for (u32 i = 0; !why && i < obj->prog_cnt; i++)
		why = prog_insane(obj, &obj->progs[i]);
	return why;
}

const struct bpf_object_map *test_object_map(const struct bpf_object_file *obj, const char *name)
{
	for (u32 i = 0; i < obj->map_cnt; i++)
		if (!strcmp(obj->maps[i].name, name))
			return &obj->maps[i];
	return NULL;
}

const struct bpf_object_prog *test_object_prog(const struct bpf_object_file *obj, const char *name)
{
	for (u32 i = 0; i < obj->prog_cnt; i++)
		if (!strcmp(obj->progs[i].name, name))
			return &obj->progs[i];
	return NULL;
}
