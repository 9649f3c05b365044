/*
 * core_types.c - types that CO-RE relocations are answered from, found by their essential names
 *
 * Each source is parsed once, when it is asked for first, and kept. After that it is immutable, so
 * readers need no lock. A failure is not kept: the next load tries again.
 */
#include <bpf/libbpf.h>
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include "btf/btf_check.h"
#include "insn/func.h"
#include "core/map.h"
#include "core/prog.h"
#include "object/co_re/core.h"
#include "object/machine.h"
#include "object/co_re/core_types.h"
#include "object/elf/btf.h"
#include "object/elf/elf.h"

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct core_types own_types, kernel_types;
static const struct bpf_core_features *all_features; /* set by every load, to the same */
static const char *kernel_path = KERNEL_BTF;

void bpf_core_set_kernel_btf(const char *path)
{
	kernel_path = path;
}

void bpf_core_set_features(const struct bpf_core_features *f)
{
	__atomic_store_n(&all_features, f, __ATOMIC_RELEASE);
}

/* ---- by name */

static u32 hash_name(const char *name, size_t len)
{
	u32 h = 2166136261u; /* FNV-1a */

	for (size_t i = 0; i < len; i++)
		h = (h ^ (u8)name[i]) * 16777619u;
	return h ^ h >> 15;
}

static int index_types(struct core_types *types)
{
	u32 cnt = btf__type_cnt(types->btf), size = 64;

	while (size < cnt)
		size *= 2;
	types->mask = size - 1;
	types->head = calloc(size, sizeof(u32));
	types->next = calloc(cnt, sizeof(u32));
	if (!types->head || !types->next) {
		free(types->head);
		free(types->next);
		return -ENOMEM;
	}
	/* From the end, so that chains are in the order of ids. */
	for (u32 id = cnt; --id;) {
		const struct btf_type *t = btf__type_by_id(types->btf, id);
		const char *name = core_str(types->btf, t->name_off);
		u32 *head;

		if (!*name)
			continue;
		head = &types->head[hash_name(name, core_essential_len(name)) & types->mask];
		types->next[id] = *head;
		*head = id;
	}
	return 0;
}

u32 core_types_find(const struct core_types *types, const char *name, size_t len, u32 prev)
{
	u32 id = prev ? types->next[prev] : types->head[hash_name(name, len) & types->mask];

	for (; id; id = types->next[id]) {
		const struct btf_type *t = btf__type_by_id(types->btf, id);
		const char *has = core_str(types->btf, t->name_off);

		if (core_essential_len(has) == len && !strncmp(has, name, len))
			return id;
	}
	return 0;
}

/* ---- ours */

/* The object that core_types.bpf.c became. */
__asm__(".section .rodata\n"
	".balign 8\n"
	"ubpffs_core_types:\n"
	".incbin \"" UBPFFS_CORE_TYPES "\"\n"
	"ubpffs_core_types_end:\n"
	".byte 0\n"
	".previous\n");
extern const u8 ubpffs_core_types[] __attribute__((visibility("hidden")));
extern const u8 ubpffs_core_types_end[] __attribute__((visibility("hidden")));

/* "BPF_MAP_TYPE_HASH" of "hash" */
static int add_feature(struct btf *btf, const char *prefix, const char *name, u32 value)
{
	char buf[128];

	snprintf(buf, sizeof(buf), "%s%s", prefix, name);
	for (char *c = buf + strlen(prefix); *c && strcmp(prefix, "BPF_FUNC_"); c++)
		*c = (char)toupper((unsigned char)*c);
	return btf__add_enum_value(btf, buf, value);
}

/* The kernel's enumerations of what there is, with what this engine has of it. */
static int add_features(struct btf *btf)
{
	const struct bpf_core_features *features;
	int err;

	features = __atomic_load_n(&all_features, __ATOMIC_ACQUIRE);
	if (!features)
		return 0;
	err = btf__add_enum(btf, "bpf_func_id", 4);
	for (u32 i = 1; err >= 0 && i < BPF_FUNC_MAX; i++)
		if (features->has_func(i))
			err = add_feature(btf, "BPF_FUNC_", bpf_func_name(i), i);
	if (err >= 0)
		err = btf__add_enum(btf, "bpf_map_type", 4);
	for (u32 i = 1; err >= 0 && bpf_map_type_name(i); i++)
		if (features->has_map(i))
			err = add_feature(btf, "BPF_MAP_TYPE_", bpf_map_type_name(i), i);
	if (err >= 0)
		err = btf__add_enum(btf, "bpf_prog_type", 4);
	for (u32 i = bpf_prog_type_next(0); err >= 0 && i; i = bpf_prog_type_next(i))
		if (features->has_prog(i))
			err = add_feature(btf, "BPF_PROG_TYPE_", bpf_prog_type_name(i), i);
	return err < 0 ? err : 0;
}

static int own_open(struct btf **out)
{
	struct bpf_object_file file = {0};
	struct obj_reader r = {.out = &file};
	size_t len = (size_t)(ubpffs_core_types_end - ubpffs_core_types);
	int err = obj_read_elf(&r, ubpffs_core_types, len);

	if (!err)
		err = obj_read_btf(&r);
	if (!err && !file.btf)
		err = -EINVAL;
	/* The types are taken out of their holder. */
	if (!err)
		err = add_features(file.btf->btf);
	if (!err) {
		*out = file.btf->btf;
		file.btf->btf = NULL;
	}
	bpf_btf_put(file.btf);
	free(r.datasecs);
	obj_free_elf(&r);
	return err;
}

/* ---- the kernel's */

static int kernel_open(struct btf **out)
{
	struct btf *btf = btf__parse(kernel_path, NULL);
	const void *raw;
	u32 size;
	int err;

	if (!btf && errno == ENOENT && strcmp(kernel_path, KERNEL_BTF))
		return -ENXIO;
	if (!btf) /* libbpf has numbers of its own for files that are no BTF */
		return errno >= __LIBBPF_ERRNO__START || errno == EPROTO ? -EINVAL : -errno;
	raw = btf__raw_data(btf, &size);
	err = raw ? bpf_btf_check(raw, size) : -ENOMEM;
	if (err)
		btf__free(btf);
	else
		*out = btf;
	return err;
}

/* ---- both */

static int types_get(struct core_types *types, const char *where, int (*open)(struct btf **),
		     const struct core_types **out)
{
	struct core_types made = {.where = where};
	int err = 0;

	pthread_mutex_lock(&lock);
	if (!types->btf) {
		err = open(&made.btf);
		if (!err)
			err = index_types(&made);
		if (err)
			btf__free(made.btf);
		else
			*types = made;
	}
	pthread_mutex_unlock(&lock);
	*out = err ? NULL : types;
	return err;
}

int core_own_types(const struct core_types **out)
{
	return types_get(&own_types, "the types of this build", own_open, out);
}

int core_kernel_types(const struct core_types **out)
{
	return types_get(&kernel_types, kernel_path, kernel_open, out);
}

int bpf_core_try_kernel_btf(void)
{
	const struct core_types *types;

	return core_kernel_types(&types);
}
