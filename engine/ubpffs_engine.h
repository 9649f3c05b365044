/*
 * ubpffs_engine.h - the eBPF engine as a library
 *
 * Create maps, load instructions or a whole ELF object, read the verdict and the log, run programs,
 * read maps back. Needs no privilege, no mount, no kernel BPF. Link with -lubpffs.
 *
 * Every function may be called from any thread. Those that return int give 0 (or a count) on
 * success and -errno on failure, with the errno that bpf(2) gives for the same fault. Types and
 * constants are those of <linux/bpf.h>.
 *
 *	struct bpf_map *map;
 *	struct ubpffs_object *obj;
 *
 *	err = ubpffs_object_load(elf, size, NULL, &obj);
 *	if (err)
 *		fprintf(stderr, "%s", ubpffs_object_report(obj));
 *	prog = ubpffs_object_prog(obj, "count");
 *	run = (struct ubpffs_test_run){.data_in = packet, .data_size_in = len};
 *	ubpffs_prog_test_run(prog, &run);
 *	map = ubpffs_object_map(obj, "counts");
 *	ubpffs_map_lookup(map, &key, &value, 0);
 *	ubpffs_object_free(obj);
 */
#ifndef UBPFFS_ENGINE_H
#define UBPFFS_ENGINE_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bpf_map;
struct bpf_prog;
struct ubpffs_object;

/* ---- maps */

struct ubpffs_map_spec {
	uint32_t type; /* enum bpf_map_type */
	uint32_t key_size, value_size; /* bytes */
	uint32_t max_entries;
	uint32_t flags; /* BPF_F_* */
	const char *name; /* at most 15 bytes, or NULL */
};

/*
 * ubpffs_map_create - make a map in anonymous memory The caller owns one reference in *map
 * (ubpffs_map_put()). -EINVAL: the type cannot serve these sizes or flags; -E2BIG, -ENOMEM: too
 * large; -EOPNOTSUPP: a type that this build lacks. Source: bpf(2) BPF_MAP_CREATE.
 */
int ubpffs_map_create(const struct ubpffs_map_spec *spec, struct bpf_map **map);
void ubpffs_map_get(struct bpf_map *map); /* one more reference */
void ubpffs_map_put(struct bpf_map *map);

/*
 * The bytes that lookup and update move: value_size, or for per-CPU types the sum over the slots.
 */
uint32_t ubpffs_map_value_size(const struct bpf_map *map);

/*
 * As the bpf(2) commands: -ENOENT, -EEXIST (BPF_NOEXIST), -E2BIG (full), -EINVAL (delete in an
 * array). `key` is key_size bytes, `value` ubpffs_map_value_size() bytes.
 */
int ubpffs_map_lookup(struct bpf_map *map, const void *key, void *value, uint64_t flags);
int ubpffs_map_update(struct bpf_map *map, const void *key, const void *value, uint64_t flags);
int ubpffs_map_delete(struct bpf_map *map, const void *key);
/* key NULL or not present: the first key. -ENOENT after the last. */
int ubpffs_map_next_key(struct bpf_map *map, const void *key, void *next_key);

/* ---- programs */

struct ubpffs_load_opts {
	size_t size; /* sizeof(struct ubpffs_load_opts) */
	uint32_t log_level; /* as bpf(2): 0 none, 1 the failing path, 2 everything, 4 statistics */
	bool no_jit; /* keep to the interpreter */
};

struct ubpffs_prog_spec {
	uint32_t type; /* enum bpf_prog_type */
	uint32_t expected_attach_type;
	const char *name; /* or NULL */
	const char *license; /* "GPL" admits the helpers that are GPL only */
	const struct bpf_insn *insns;
	uint32_t insn_cnt;
	/*
	 * LD_IMM64 with src_reg BPF_PSEUDO_MAP_IDX (5) or BPF_PSEUDO_MAP_IDX_VALUE (6): imm is an
	 * index here.
	 */
	struct bpf_map *const *maps;
	uint32_t map_cnt;
};

/*
 * ubpffs_prog_load - verify and compile instructions The caller owns one reference in *prog
 * (ubpffs_prog_put()). *log (when log is not NULL) gets a malloc()ed text, also on failure: a
 * readable report, then the verifier's log. -EACCES, -EINVAL: rejected; -E2BIG: too complex;
 * -EOPNOTSUPP: needs what this build lacks. opts may be NULL.
 */
int ubpffs_prog_load(const struct ubpffs_prog_spec *spec, const struct ubpffs_load_opts *opts,
		     char **log, struct bpf_prog **prog);
void ubpffs_prog_get(struct bpf_prog *prog);
void ubpffs_prog_put(struct bpf_prog *prog);
bool ubpffs_prog_jited(const struct bpf_prog *prog);

struct ubpffs_test_run {
	const void *data_in; /* the packet */
	uint32_t data_size_in;
	void *data_out; /* room for the packet afterwards, or NULL */
	uint32_t data_size_out; /* in: room; out: size */
	uint32_t repeat; /* 0 means 1 */
	uint32_t retval; /* out */
	uint32_t duration; /* out: ns a run, averaged */
};

/* As BPF_PROG_TEST_RUN. -ENOSPC: data_out was too small (what fits is there). */
int ubpffs_prog_test_run(struct bpf_prog *prog, struct ubpffs_test_run *run);

/* ---- objects */

/*
 * ubpffs_object_load - load all programs and maps of an ELF object, or none
 * *obj is set also on failure (unless -ENOMEM leaves it NULL), for its report; free it with
 * ubpffs_object_free(). -ENOEXEC: no eBPF object.
 */
int ubpffs_object_load(const void *elf, size_t size, const struct ubpffs_load_opts *opts,
		       struct ubpffs_object **obj);
void ubpffs_object_free(struct ubpffs_object *obj); /* NULL is ignored */
const char *ubpffs_object_report(const struct ubpffs_object *obj);

struct ubpffs_error {
	size_t size; /* sizeof(struct ubpffs_error), set by the caller */
	const char *prog; /* the program at fault, "": none in particular */
	const char *reason; /* a sentence, the kernel's where the verifier refuses the program */
	const char *hint; /* what to do about it, "": none is known */
	const char *source; /* "count.c:12: return *data;", "" without line information */
	int insn; /* index into the program's instructions, -1: none in particular */
};

/*
 * ubpffs_object_error - why ubpffs_object_load() failed, as data
 * 0, or -ENOENT when it did not fail, or nothing more than its errno is known. The texts are
 * borrowed: valid until ubpffs_object_free(). Fields beyond error->size are not written.
 */
int ubpffs_object_error(const struct ubpffs_object *obj, struct ubpffs_error *error);
/* Borrowed: valid until ubpffs_object_free() unless a reference is taken. NULL: no such name. */
struct bpf_prog *ubpffs_object_prog(const struct ubpffs_object *obj, const char *name);
struct bpf_map *ubpffs_object_map(const struct ubpffs_object *obj, const char *name);

/*
 * Lines of bpf_trace_printk: copies whole lines up to len bytes, returns the bytes, 0 when none
 * waits.
 */
size_t ubpffs_trace_read(char *buf, size_t len);

#ifdef __cplusplus
}
#endif
#endif
