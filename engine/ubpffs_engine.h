/*
 * ubpffs_engine.h - the eBPF engine as a library
 *
 * Create maps, load instructions or a whole ELF object, read the verdict and the log, run programs,
 * read maps back. Needs no privilege, no mount, no kernel BPF. Link with -lubpffs.
 *
 * Those that return int give 0 on success and -errno on failure, with the errno that bpf(2) gives
 * for the same fault. Types and constants are those of <linux/bpf.h>. Sizes are bytes.
 *
 * Ownership: maps and programs are counted. A function that gives one through a double pointer
 * gives a reference, which its caller drops; when it fails it sets the pointer to NULL. Memory that
 * is passed in is used during the call and never kept.
 *
 * Threads: any thread may call any function at any time, and any number of threads may use one map
 * or program at once, as with bpf(2). Only ubpffs_object_free() must be the last call on its
 * object. A run occupies one of as many slots as the machine has possible CPUs, and waits for one.
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
 * ubpffs_map_create - make a map in anonymous memory
 *
 * -EINVAL: the type cannot serve these sizes or flags, or the name is too long; -E2BIG, -ENOMEM:
 * too large; -EOPNOTSUPP: a type that this build lacks. Source: BPF_MAP_CREATE of bpf(2).
 */
int ubpffs_map_create(const struct ubpffs_map_spec *spec, struct bpf_map **map);
void ubpffs_map_get(struct bpf_map *map); /* one more reference */
void ubpffs_map_put(struct bpf_map *map); /* one less; NULL: nothing */

/*
 * The bytes that lookup and update move: value_size; of per-CPU types a value for each possible CPU
 * (/sys/devices/system/cpu/possible), from CPU 0 on, each in a room of value_size rounded up to 8.
 */
uint32_t ubpffs_map_value_size(const struct bpf_map *map);

/*
 * One element, as BPF_MAP_{LOOKUP,UPDATE,DELETE}_ELEM of bpf(2). `key` is key_size bytes (NULL for
 * maps without keys), `value` ubpffs_map_value_size() bytes. Of every call:
 * -EPERM: the map's flags forbid it. -EINVAL: these flags, or the type has no such call;
 * -EOPNOTSUPP: the type has no such call.
 */
/* A copy of the value. flags: 0, BPF_F_LOCK. -ENOENT: no such key, or nothing in the queue. */
int ubpffs_map_lookup(struct bpf_map *map, const void *key, void *value, uint64_t flags);
/*
 * flags: BPF_ANY, BPF_NOEXIST (-EEXIST), BPF_EXIST (-ENOENT), BPF_F_LOCK. -E2BIG: the map is full,
 * or an array has no such index; -ENOMEM. In slots of programs and maps a value is an object's id,
 * which this library does not show: an ELF object that is loaded fills its slots.
 */
int ubpffs_map_update(struct bpf_map *map, const void *key, const void *value, uint64_t flags);
/* -ENOENT: no such key; -EINVAL: an array. */
int ubpffs_map_delete(struct bpf_map *map, const void *key);
/*
 * BPF_MAP_GET_NEXT_KEY: key_size bytes into next_key. `key` NULL or not present: the first key.
 * -ENOENT after the last.
 */
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
	const char *name; /* at most 15 bytes of it are kept; or NULL */
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
 * ubpffs_prog_load - verify and compile instructions
 *
 * The program holds references of its own on the maps that it uses. *log (when log is not NULL) is
 * a malloc()ed text, also on failure: a readable report, then the verifier's log; NULL when there
 * is no memory for it. opts may be NULL. -EACCES, -EINVAL: rejected; -E2BIG: too many instructions,
 * too complex, or opts has fields that this build does not know; -EOPNOTSUPP: it needs what this
 * build lacks; -ENOMEM. Source: BPF_PROG_LOAD of bpf(2).
 */
int ubpffs_prog_load(const struct ubpffs_prog_spec *spec, const struct ubpffs_load_opts *opts,
		     char **log, struct bpf_prog **prog);
void ubpffs_prog_get(struct bpf_prog *prog); /* one more reference */
void ubpffs_prog_put(struct bpf_prog *prog); /* one less; NULL: nothing */
/* Is it native code? Else it is interpreted. */
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

/*
 * Run it `repeat` times on copies of the packet, without a context of the caller's. Fields marked
 * `out` are set. -ENOSPC: data_out was too small (what fits is there, and its whole size);
 * -EINVAL: the type has no such input (a packet of the skb types has an Ethernet header);
 * -EOPNOTSUPP: the type has no test run; -EIO: the program faulted, and runs no more. Source:
 * BPF_PROG_TEST_RUN of bpf(2).
 */
int ubpffs_prog_test_run(struct bpf_prog *prog, struct ubpffs_test_run *run);

/* ---- objects */

/*
 * ubpffs_object_load - load all programs and maps of an ELF object, or none
 *
 * `elf` is the whole file, `size` bytes. *obj is the caller's (ubpffs_object_free()), also on
 * failure, for its report and its error; it is NULL only when opts were refused or there was no
 * memory for it, and every function takes that. -ENOEXEC: no eBPF object; else as
 * ubpffs_map_create() and ubpffs_prog_load(). Source: libbpf's bpf_object__load().
 */
int ubpffs_object_load(const void *elf, size_t size, const struct ubpffs_load_opts *opts,
		       struct ubpffs_object **obj);
/* Its references go; programs and maps that somebody else holds stay. NULL: nothing. */
void ubpffs_object_free(struct ubpffs_object *obj);
/* A text for people: a block a program, then the logs. Borrowed until ubpffs_object_free(). */
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
 *
 * 0, or -ENOENT when it did not fail, or nothing more than its errno is known. The texts are
 * borrowed: valid until ubpffs_object_free(). Fields beyond error->size are not written.
 * -EINVAL: error->size is not set.
 */
int ubpffs_object_error(const struct ubpffs_object *obj, struct ubpffs_error *error);
/*
 * By the name in the object: a function's, a map's. Borrowed: valid until ubpffs_object_free()
 * unless a reference is taken. NULL: no such name, or the load failed.
 */
struct bpf_prog *ubpffs_object_prog(const struct ubpffs_object *obj, const char *name);
struct bpf_map *ubpffs_object_map(const struct ubpffs_object *obj, const char *name);

/*
 * Lines of bpf_trace_printk() of all programs of this process: takes whole lines, as many as fit
 * into len bytes, oldest first, without a NUL. Returns the bytes, 0 when none waits. A line goes to
 * one reader; of lines that nobody reads the oldest are lost.
 */
size_t ubpffs_trace_read(char *buf, size_t len);

#ifdef __cplusplus
}
#endif
#endif
