/*
 * kconfig.c - see kconfig.h
 *
 * The configuration is text, `CONFIG_NAME=value`, plain in /boot or compressed in /proc. Values are
 * y, n and m, numbers, and strings in quotes; each fits some C types only, as libbpf has it.
 */
#include <bpf/btf.h>
#include <stdio.h>
#include <sys/utsname.h>
#include <zlib.h>
#include "object/read/kconfig.h"

#define MAX_MODIFIERS 64

enum kcfg_kind { KCFG_UNKNOWN, KCFG_CHAR, KCFG_BOOL, KCFG_TRISTATE, KCFG_INT, KCFG_STRING };
enum { TRI_NO, TRI_YES, TRI_MODULE };

struct kcfg { /* the extern that gets the value */
	struct obj_reader *r;
	const char *name;
	enum kcfg_kind kind;
	bool is_signed;
	u8 *to;
	u32 size;
};

static const char *test_path;

void bpf_object_set_kconfig(const char *path)
{
	test_path = path;
}

/* ---- C types */

static const struct btf_type *skip_mods(const struct btf *btf, u32 id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	for (int i = 0; t && (btf_is_mod(t) || btf_is_typedef(t)); i++) {
		if (i == MAX_MODIFIERS)
			return NULL;
		t = btf__type_by_id(btf, t->type);
	}
	return t;
}

static enum kcfg_kind kind_of(const struct bpf_btf *btf, u32 type, bool *is_signed)
{
	const struct btf_type *t = skip_mods(btf->btf, type);

	*is_signed = false;
	if (!t)
		return KCFG_UNKNOWN;
	switch (btf_kind(t)) {
	case BTF_KIND_INT:
		*is_signed = btf_int_encoding(t) & BTF_INT_SIGNED;
		if (btf_int_encoding(t) & BTF_INT_BOOL)
			return t->size == 1 ? KCFG_BOOL : KCFG_UNKNOWN;
		if (t->size == 1)
			return KCFG_CHAR;
		return t->size <= 8 && !(t->size & (t->size - 1)) ? KCFG_INT : KCFG_UNKNOWN;
	case BTF_KIND_ENUM:
		return t->size == 4 && !strcmp(bpf_btf_str(btf, t->name_off), "libbpf_tristate")
			       ? KCFG_TRISTATE
			       : KCFG_UNKNOWN;
	case BTF_KIND_ARRAY:
		return btf_array(t)->nelems &&
				       kind_of(btf, btf_array(t)->type, is_signed) == KCFG_CHAR
			       ? KCFG_STRING
			       : KCFG_UNKNOWN;
	}
	return KCFG_UNKNOWN;
}

/* ---- values */

static int misfit(const struct kcfg *k, const char *value)
{
	return obj_fail(k->r, -EINVAL, "extern '%s' (__kconfig) cannot hold the value %s", k->name,
			value);
}

static void put_value(const struct kcfg *k, u64 v)
{
	memcpy(k->to, &v, k->size); /* little endian */
}

static int set_letter(const struct kcfg *k, char c)
{
	char text[2] = {c, 0};

	switch (k->kind) {
	case KCFG_BOOL:
		if (c == 'm')
			return misfit(k, text);
		put_value(k, c == 'y');
		return 0;
	case KCFG_TRISTATE:
		put_value(k, c == 'y' ? TRI_YES : c == 'm' ? TRI_MODULE : TRI_NO);
		return 0;
	case KCFG_CHAR:
		put_value(k, (u8)c);
		return 0;
	default:
		return misfit(k, text);
	}
}

static int set_string(const struct kcfg *k, const char *value)
{
	size_t len = strlen(value);

	if (k->kind != KCFG_STRING || len < 2 || value[len - 1] != '"')
		return misfit(k, value);
	memcpy(k->to, value + 1, min(len - 2, (size_t)k->size - 1));
	return 0;
}

static int set_number(const struct kcfg *k, const char *value)
{
	u32 bits = k->size * 8;
	char *end;
	u64 v;

	errno = 0;
	v = *value == '-' ? (u64)strtoll(value, &end, 0) : strtoull(value, &end, 0);
	if (errno || end == value || *end || (k->kind != KCFG_INT && k->kind != KCFG_CHAR))
		return misfit(k, value);
	if (bits < 64 && k->is_signed && v + (1ULL << (bits - 1)) >= 1ULL << bits)
		return misfit(k, value);
	if (bits < 64 && !k->is_signed && v >> bits)
		return misfit(k, value);
	put_value(k, v);
	return 0;
}

static int set_value(const struct kcfg *k, const char *value)
{
	if ((*value == 'y' || *value == 'm' || *value == 'n') && !value[1])
		return set_letter(k, *value);
	return *value == '"' ? set_string(k, value) : set_number(k, value);
}

/* ---- what no configuration says */

/* Distributions keep the version of the sources in other places than uname -r. */
static u32 kernel_version(void)
{
	unsigned int major = 0, minor = 0, patch = 0;
	struct utsname uts;
	const char *debian;
	FILE *ubuntu = fopen("/proc/version_signature", "re");
	int n = 0;

	if (ubuntu) {
		n = fscanf(ubuntu, "%*s %*s %u.%u.%u", &major, &minor, &patch);
		fclose(ubuntu);
	}
	if (n != 3 && !uname(&uts)) {
		debian = strstr(uts.version, "Debian ");
		n = debian ? sscanf(debian, "Debian %u.%u.%u", &major, &minor, &patch) : 0;
		if (n != 3)
			n = sscanf(uts.release, "%u.%u.%u", &major, &minor, &patch);
	}
	return (major << 16) + (minor << 8) + min(patch, 255u);
}

static int set_virtual(const struct kcfg *k, bool weak)
{
	u64 v;

	if (!strcmp(k->name, "LINUX_KERNEL_VERSION")) {
		v = kernel_version();
	} else if (!strcmp(k->name, "LINUX_HAS_BPF_COOKIE")) {
		v = 0; /* the helper is not among ours */
	} else if (!strcmp(k->name, "LINUX_HAS_SYSCALL_WRAPPER")) {
#if defined(__x86_64__) || defined(__aarch64__) || defined(__s390x__) || defined(__riscv)
		v = 1;
#else
		v = 0;
#endif
	} else if (weak) {
		v = 0;
	} else {
		return obj_fail(k->r, -ENOTSUP, "extern '%s' (__kconfig) is unknown", k->name);
	}
	if (k->kind != KCFG_INT && k->kind != KCFG_BOOL && k->kind != KCFG_CHAR)
		return misfit(k, "of a number");
	put_value(k, v);
	return 0;
}

/* ---- the file */

static gzFile open_config(char *path, size_t len)
{
	struct utsname uts;
	gzFile f;

	if (test_path) {
		snprintf(path, len, "%s", test_path);
		return gzopen(path, "re");
	}
	if (uname(&uts))
		return NULL;
	snprintf(path, len, "/boot/config-%s", uts.release);
	f = gzopen(path, "re");
	if (f || errno != ENOENT)
		return f;
	snprintf(path, len, "/proc/config.gz");
	return gzopen(path, "re");
}

/* 1: found and set, 0: there is no such line. */
static int find_line(const struct kcfg *k, gzFile f)
{
	size_t n = strlen(k->name);
	char line[4096];
	int zerr;

	while (gzgets(f, line, sizeof(line))) {
		line[strcspn(line, "\n")] = 0;
		if (!strncmp(line, k->name, n) && line[n] == '=')
			return set_value(k, line + n + 1) ?: 1;
	}
	gzerror(f, &zerr);
	return zerr == Z_OK || zerr == Z_STREAM_END ? 0 : -EIO;
}

static int set_configured(const struct kcfg *k, bool weak)
{
	char path[256];
	gzFile f = open_config(path, sizeof(path));
	int err = errno, ret;

	if (!f)
		return obj_fail(k->r, err == ENOENT ? -ENOTSUP : -err ?: -ENOMEM,
				"extern '%s' (__kconfig): the kernel's configuration (%s) cannot "
				"be read: %s",
				k->name, path, strerror(err));
	ret = find_line(k, f);
	gzclose(f);
	if (ret == -EIO)
		return obj_fail(k->r, ret, "%s is damaged", path);
	if (ret || weak)
		return min(ret, 0);
	return obj_fail(k->r, -ENOTSUP,
			"extern '%s' (__kconfig) is not set in %s: declare it __weak, and it is 0",
			k->name, path);
}

int kconfig_value(struct obj_reader *r, const char *name, u32 type, bool weak, void *to, u32 size)
{
	struct kcfg k = {.r = r, .name = name, .to = to, .size = size};

	k.kind = kind_of(r->out->btf, type, &k.is_signed);
	if (k.kind == KCFG_UNKNOWN)
		return obj_fail(r, -ENOTSUP,
				"extern '%s' (__kconfig): a type that no configuration value has",
				name);
	if (!strncmp(name, "LINUX_", 6))
		return set_virtual(&k, weak);
	if (strncmp(name, "CONFIG_", 7))
		return obj_fail(r, -ENOTSUP,
				"extern '%s' (__kconfig) begins with neither CONFIG_ "
				"nor LINUX_",
				name);
	return set_configured(&k, weak);
}
