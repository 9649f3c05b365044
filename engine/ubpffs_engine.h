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
 * Structures with a `size` grow at their end: the caller sets it to sizeof of what it was compiled
 * with, and fields that it does not have are zero. -EINVAL: it is not set; -E2BIG: fields that this
 * build does not know are not zero.
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
struct bpf_btf;
struct sock_filter; /* <linux/filter.h> */
struct ubpffs_object;
struct ubpffs_engine;

/* ---- types */

/*
 * ubpffs_btf_load - check raw BTF, as `.BTF` of an object holds it
 *
 * *btf is a reference. -EINVAL: malformed; -ENOMEM. Source: BPF_BTF_LOAD of bpf(2).
 */
int ubpffs_btf_load(const void *data, uint32_t size, struct bpf_btf **btf);
void ubpffs_btf_get(struct bpf_btf *btf); /* one more reference */
void ubpffs_btf_put(struct bpf_btf *btf); /* one less; NULL: nothing */

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

struct ubpffs_map_opts {
	size_t size; /* sizeof(struct ubpffs_map_opts) */
	uint64_t map_extra;
	/* Of key and value; a struct bpf_spin_lock in a value is found by them. ids 0: none. */
	struct bpf_btf *btf;
	uint32_t btf_key_type_id, btf_value_type_id;
	struct bpf_map *inner_map; /* maps of maps: what those in it are like */
};

/*
 * ubpffs_map_create_opts - the same with what few maps need; opts may be NULL
 *
 * -EINVAL also: types that do not fit the sizes; -EBADF: a map of maps without an inner map.
 */
int ubpffs_map_create_opts(const struct ubpffs_map_spec *spec, const struct ubpffs_map_opts *opts,
			   struct bpf_map **map);

/*
 * ubpffs_map_share - a map of another process's, by its file
 *
 * A hash map by the file that is all of it: rdonly, and programs that change it are refused
 * (-EACCES); lookups take no lock. Of an array the file of its values:
 *
 * The file holds max_entries values, each in a room of value_size rounded up to 8, and is as long
 * as the pages that they take; values_fd may be closed afterwards. Stores of words are whole and
 * atomic operations atomic for all who map it. rdonly: values_fd is open for reading, and nobody
 * changes the values any more: the map is frozen. -EOPNOTSUPP: another type; -EBADMSG: the
 * file is another map's.
 */
int ubpffs_map_share(const struct ubpffs_map_spec *spec, int values_fd, bool rdonly,
		     struct bpf_map **map);
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
 * or an array has no such index; -ENOMEM. Slots of programs and maps have functions of their own
 * below; what a lookup gives of them is a number that means nothing here.
 */
int ubpffs_map_update(struct bpf_map *map, const void *key, const void *value, uint64_t flags);
/* -ENOENT: no such key; -EINVAL: an array. */
int ubpffs_map_delete(struct bpf_map *map, const void *key);
/*
 * BPF_MAP_GET_NEXT_KEY: key_size bytes into next_key. `key` NULL or not present: the first key.
 * -ENOENT after the last.
 */
int ubpffs_map_next_key(struct bpf_map *map, const void *key, void *next_key);

/*
 * ubpffs_map_update_prog, ubpffs_map_update_map - fill a slot of a prog_array, of a map of maps
 *
 * The slot holds a reference of its own. -EINVAL: it does not fit (type and attach type of what the
 * prog_array has or is called by; sizes of the inner map), or `map` has no such slots; -E2BIG: no
 * such index. ubpffs_map_delete() empties it. When the last reference from outside of programs
 * goes, a prog_array is emptied, as in Linux.
 */
int ubpffs_map_update_prog(struct bpf_map *map, const void *key, struct bpf_prog *prog);
int ubpffs_map_update_map(struct bpf_map *map, const void *key, struct bpf_map *inner);
/*
 * No more updates and deletes from outside of programs. -EPERM: it is frozen. Of a map that
 * programs may only read (BPF_F_RDONLY_PROG) the verifier takes values as constants afterwards.
 * Source: BPF_MAP_FREEZE of bpf(2).
 */
int ubpffs_map_freeze(struct bpf_map *map);
/* Takes the next value of a queue or a stack. -ENOENT: it is empty; -EOPNOTSUPP: another type. */
int ubpffs_map_pop(struct bpf_map *map, void *value);
/*
 * The next record of a ring buffer: its length, and a copy in *buf, a malloc()ed block of *cap
 * bytes that grows as needed (NULL and 0 at first). It is consumed. -EAGAIN: none is there;
 * -EINVAL: another type; -ENOMEM; -EBADMSG: a program that was not verified wrote nonsense into the
 * ring, and what waited is gone.
 */
int64_t ubpffs_ring_read(struct bpf_map *map, void **buf, size_t *cap);

/* ---- helpers of your own */

/*
 * What an argument of a helper must be, and what comes back. The verifier refuses a program that
 * calls it with anything else (-EACCES).
 */
enum ubpffs_arg {
	UBPFFS_ARG_NONE, /* no argument, and none after it */
	UBPFFS_ARG_ANY, /* anything that is initialised, as a number */
	UBPFFS_ARG_MEM, /* memory that the helper reads; its size: arg_size, or the next argument */
	UBPFFS_ARG_MEM_WRITE, /* memory that it may change: initialised, and writable */
	UBPFFS_ARG_MEM_UNINIT, /* memory that it fills, which need not be initialised */
	UBPFFS_ARG_SIZE, /* bytes of the memory before it, at least 1 */
	UBPFFS_ARG_SIZE_OR_ZERO,
	UBPFFS_ARG_MAP, /* a map of the program: a struct bpf_map * */
	UBPFFS_ARG_OR_NULL = 0x100, /* flag of memory: it may be NULL */
};

enum ubpffs_ret {
	UBPFFS_RET_NUMBER,
	UBPFFS_RET_NONE,
	UBPFFS_RET_MEM, /* address of ret_size bytes that the program may read and write */
	UBPFFS_RET_MEM_OR_NULL, /* the same; the program has to look first */
	UBPFFS_RET_RDONLY = 0x100, /* flag of memory: only read */
};

/* The first number that a helper of your own can have. */
#define UBPFFS_HELPER_FIRST 0x20000

struct ubpffs_helper {
	size_t size; /* sizeof(struct ubpffs_helper) */
	uint32_t id; /* UBPFFS_HELPER_FIRST to INT32_MAX; what a program's call instruction has */
	const char *name; /* a C name of at most 47 bytes, for logs */
	/*
	 * Called from programs, in their thread, any number of threads at once. It must not block
	 * for long, jump out, or drop the last reference of what the program uses; it may call the
	 * functions of maps and run other programs. Memory that it returns stays valid until the
	 * run has ended.
	 */
	uint64_t (*func)(uint64_t r1, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5);
	uint32_t arg[5]; /* enum ubpffs_arg */
	uint32_t arg_size[5]; /* of memory; 0: the next argument says it */
	uint32_t ret; /* enum ubpffs_ret */
	uint32_t ret_size;
};

/*
 * ubpffs_engine_new - a set of helpers that programs may be loaded with
 *
 *	static long (*answer)(const void *question, __u64 len) = (void *)0x20000;
 *
 * is how a program in C calls one. One thread fills the set; the first load with it closes it, and
 * from then on any thread may load with it. Programs keep what they need of it. A process has room
 * for 256 helpers in all of its sets. -ENOMEM.
 */
int ubpffs_engine_new(struct ubpffs_engine **engine);
void ubpffs_engine_free(struct ubpffs_engine *engine); /* NULL: nothing */
/*
 * -EINVAL: a prototype that makes no sense; -EEXIST: the number is taken; -EBUSY: a program was
 * loaded with the set; -ENOSPC, -ENOMEM.
 */
int ubpffs_engine_add_helper(struct ubpffs_engine *engine, const struct ubpffs_helper *helper);

/* ---- programs */

/*
 * A type that Linux does not have: R1 is the address of a block of memory, whose size in bytes is
 * the program's expected_attach_type, at most 1 MiB. All of it may be read and written, and given
 * to helpers. It is 8-byte aligned where the program uses atomics.
 */
#define UBPFFS_PROG_TYPE_RAW 0x10000u

/* What came of a load. Texts are malloc()ed, NULL where there is none. */
struct ubpffs_verdict {
	size_t size; /* sizeof(struct ubpffs_verdict), set by the caller */
	char *report; /* the block for people */
	char *log; /* the verifier's log alone, at log_level */
	char *reason; /* of a failure: a sentence, the kernel's where the verifier refuses */
	const char *hint; /* what to do about it, or NULL; never freed */
	int insn; /* of the program as it was given, -1: none in particular */
	uint32_t insns_processed; /* by the verifier */
};

void ubpffs_verdict_free(struct ubpffs_verdict *verdict); /* its texts */

struct ubpffs_load_opts {
	size_t size; /* sizeof(struct ubpffs_load_opts) */
	uint32_t log_level; /* as bpf(2): 0 none, 1 the failing path, 2 everything, 4 statistics */
	bool no_jit; /* keep to the interpreter */
	/*
	 * Ends the load soon after it becomes true (-EINTR); or after so many ns (-ETIMEDOUT), by a
	 * thread that the library starts, if need be. NULL, 0: nothing.
	 */
	const volatile bool *cancel;
	uint64_t time_limit_ns;
	struct ubpffs_engine *engine; /* whose helpers may be called; or NULL */
	struct ubpffs_verdict *verdict; /* filled, also on failure; or NULL */
	/*
	 * The rest describes the program of ubpffs_prog_load(), and is -EINVAL of an object, which
	 * has its own. func_info makes callbacks and global functions of functions.
	 */
	struct bpf_btf *btf;
	const struct bpf_func_info *func_info;
	const struct bpf_line_info *line_info;
	uint32_t func_info_cnt, line_info_cnt;
	const struct sock_filter *classic; /* a classic filter instead of insns, for sockets */
	uint32_t classic_cnt;
	uint32_t prog_flags; /* BPF_F_*, as bpf(2)'s */
	/*
	 * Take a raw program without proof. It can do whatever this process can do, and loop for
	 * ever; callx (opcode 0x8d: a helper by the number in dst) and shifts by more than the
	 * width, which count modulo it, are allowed. An instruction that faults still ends the run.
	 */
	bool run_unverified;
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
uint32_t ubpffs_prog_type(const struct bpf_prog *prog); /* enum bpf_prog_type, or raw */
uint32_t ubpffs_prog_block_size(const struct bpf_prog *prog); /* of a raw program, else 0 */

/*
 * ubpffs_image_load - load a program from what a server keeps of it (UBPFFS_PROG_IMAGE)
 *
 * The image has instructions, types and lines, and the numbers of the maps; it is verified and
 * compiled here. get_map is asked for each number: 0 and a reference, or -errno, which ends the
 * load. opts is of the load alone, as for an object. -EBADMSG: it is no image, or damaged; else as
 * ubpffs_prog_load().
 */
typedef int (*ubpffs_get_map_fn)(void *ctx, uint32_t id, struct bpf_map **map);
int ubpffs_image_load(const void *image, size_t size, const struct ubpffs_load_opts *opts,
		      ubpffs_get_map_fn get_map, void *ctx, struct bpf_prog **prog);

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

struct ubpffs_run_opts {
	size_t size; /* sizeof(struct ubpffs_run_opts) */
	const void *ctx_in; /* the context of types that take one, or NULL */
	void *ctx_out; /* room for it afterwards, or NULL */
	uint32_t ctx_size_in;
	uint32_t ctx_size_out; /* in: room; out: size */
	uint32_t flags; /* BPF_F_TEST_*, as bpf(2)'s */
	/* As those of a load: -EINTR, -ETIMEDOUT. What ran before stays done. */
	const volatile bool *cancel;
	uint64_t time_limit_ns;
};

/* The same with more to say; opts may be NULL. */
int ubpffs_prog_test_run_opts(struct bpf_prog *prog, struct ubpffs_test_run *run,
			      struct ubpffs_run_opts *opts);

/*
 * ubpffs_prog_run - run a raw program once, on the caller's own memory
 *
 * `block` has `size` bytes, at least as many as the program's block; R0 goes to *ret. -EINVAL: it
 * is smaller; -EOPNOTSUPP: another type; -EIO: the program faulted, and runs no more.
 */
int ubpffs_prog_run(struct bpf_prog *prog, void *block, size_t size, uint64_t *ret);
/*
 * The same with an end: opts->cancel and opts->time_limit_ns (-EINTR, -ETIMEDOUT); its other fields
 * are 0. What the program did until then stays done, also to the block.
 */
int ubpffs_prog_run_opts(struct bpf_prog *prog, void *block, size_t size,
			 const struct ubpffs_run_opts *opts, uint64_t *ret);

/*
 * A thread that runs programs all the time may keep its slot between runs, which saves most of what
 * a run costs beside the program. Others wait meanwhile when all are taken.
 */
void ubpffs_slot_keep(void);
void ubpffs_slot_release(void);

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

/* ---- what this build has */

enum ubpffs_feature_kind {
	UBPFFS_FEATURE_PROG_TYPE = 1, /* id: enum bpf_prog_type, UBPFFS_PROG_TYPE_RAW */
	UBPFFS_FEATURE_MAP_TYPE, /* id: enum bpf_map_type */
	UBPFFS_FEATURE_HELPER, /* id: enum bpf_func_id; a row for each type that has it */
	UBPFFS_FEATURE_KFUNC, /* this build has none */
};

struct ubpffs_feature {
	size_t size; /* sizeof(struct ubpffs_feature), set by the caller */
	uint32_t kind; /* enum ubpffs_feature_kind */
	uint32_t id;
	uint32_t prog_type; /* helpers: of which type; else 0 */
	bool gpl_only; /* helpers */
	const char *name; /* as bpftool's: "hash", "xdp", "bpf_map_lookup_elem"; never freed */
};

/* Row `index` of the table of all that there is, from 0 on. -ENOENT after the last; -EINVAL. */
int ubpffs_feature(uint32_t index, struct ubpffs_feature *feature);

#ifdef __cplusplus
}
#endif
#endif
