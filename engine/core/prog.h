/*
 * prog.h - a program: what was loaded, what runs, who holds it
 *
 * The way of a program: bpf_prog_load_attr (instructions that name maps by index) -> bpf_check()
 * (verifier) -> bpf_rewrite() -> interpreter form, JIT -> run. load.c drives it; this file is what
 * all of them share.
 *
 * Map references: everywhere in the engine the loaded form names a map by BPF_PSEUDO_MAP_IDX or
 * BPF_PSEUDO_MAP_IDX_VALUE with imm = index into the program's maps. Descriptors and ids are
 * translated at the edges. After rewriting, imm64 is the real address; src_reg keeps the pseudo
 * class for the disassembler.
 *
 * Lifetime: a reference count; the last put frees after an RCU grace period.
 */
#ifndef UBPFFS_CORE_PROG_H
#define UBPFFS_CORE_PROG_H

#include "core/storages.h"
#include "insn/func.h"
#include "insn/insn.h"
#include "util/log.h"
#include "core/map.h"
#include "core/host_funcs.h"

/*
 * In prog_flags; newer than the 6.1 header. Linux's other flags are there, too. BPF_F_TEST_RND_HI32
 * finds nothing to do: it fills upper halves that nobody cleared, and here every 32-bit operation
 * clears them.
 */
#define PROG_F_TEST_REG_INVARIANTS (1u << 7)
/*
 * Ours: what may not learn addresses or be run ahead of its checks. Verified as Linux verifies for
 * CAP_BPF without CAP_PERFMON; its constants are blinded in native code.
 */
#define PROG_F_STRICT		   (1u << 31)

/*
 * Programs over a block of memory (prog_type/raw.c), which Linux does not have: a number that it
 * will not give away. They attach to nothing, and their attach type is the block's size in bytes.
 */
#define BPF_PROG_TYPE_RAW 0x10000u
#define BPF_BLOCK_MAX	  (1u << 20)

struct bpf_prog;
struct bpf_btf;
struct sock_filter; /* linux/filter.h */

/*
 * What an instruction stands for that nothing could be found for: the reason, should it be reached.
 */
struct bpf_insn_note {
	u32 insn;
	char *text; /* a sentence */
};

/* What a program is loaded from. Everything is borrowed for the call, but for what is taken. */
struct bpf_prog_load_attr {
	enum bpf_prog_type prog_type;
	enum bpf_attach_type expected_attach_type;
	const char *name; /* up to 15 bytes count for the kernel's name; more is kept for people */
	const char *license;
	const struct bpf_insn *insns;
	u32 insn_cnt;
	bool *taken; /* insns was malloc()ed and becomes the program's: then true; or NULL */
	const struct sock_filter *classic; /* a classic filter, instead of insns; or NULL */
	u32 classic_len;
	struct bpf_map *const *maps; /* what BPF_PSEUDO_MAP_IDX refers to */
	const bool *maps_rdonly; /* of each: it, and what it leads to, is only read; or NULL */
	u32 map_cnt;
	u32 prog_flags;
	struct bpf_btf *btf; /* or NULL */
	const struct bpf_func_info *func_info;
	u32 func_info_cnt;
	const struct bpf_line_info *line_info;
	u32 line_info_cnt;
	u32 id; /* 0: the next free id */
	bool no_jit; /* stay in the interpreter */
	/*
	 * Nothing is proved: the embedder vouches for the program. Only of raw programs, and never
	 * of a server's: whatever it does, it does with all that the process may do.
	 */
	bool unverified;
	struct bpf_host_funcs *host_funcs; /* helpers of the embedder's, or NULL */
	const struct bpf_insn_note *notes; /* or NULL */
	u32 note_cnt;
};

struct bpf_subprog_info {
	u32 start; /* first instruction */
	u16 stack_depth; /* bytes, 8-byte multiple, as the verifier found */
	bool has_tail_call;
	bool tail_call_reachable;
	bool has_ld_abs;
	bool is_global; /* verified by itself: may return any number, whatever it was given */
	const char *name; /* from BTF func_info, or NULL */
};

/*
 * What the verifier found out about one instruction; the rewriter and the JIT use it. Indexed like
 * the original instructions.
 */
struct bpf_insn_aux_data {
	u32 ptr_type; /* loads/stores: enum bpf_reg_type of the base register, 0 if none */
	u32 map_idx; /* LD_IMM64 of a map; helper calls with one known map: index + 1, else 0 */
	s64 const_key; /* map_lookup_elem on an array with a constant key: the key, else -1 */
	u32 ctx_field_size; /* ctx loads: the size of the field that a narrow load reads from */
	bool seen; /* reachable */
	/* The machine does not run ahead over this place: before the instruction, and behind it. */
	bool nospec, nospec_result;
	/*
	 * bpf_loop: the function that each iteration calls, if it is the same one on every path and
	 * the flags are 0 on all: then the rewriter makes a loop of it.
	 */
	u32 loop_callback;
	u8 loop_inline; /* enum: 0 not seen, 1 yes, 2 no */
};

typedef u64 (*bpf_prog_fn)(const void *ctx, const struct bpf_prog *prog);

struct bpf_interp_insn; /* run/interp.c's own form */
struct bpf_jit_image; /* jit/jit.h */

struct bpf_prog {
	bpf_prog_fn bpf_func; /* what runs: native code, or the interpreter */
	u32 len; /* instructions in insnsi */
	u32 jited_len; /* bytes of native code, 0: interpreted */
	struct bpf_insn *insnsi; /* rewritten; executable by the interpreter and input of the JIT */
	struct bpf_interp_insn *interp;
	struct bpf_jit_image *jit;
	u32 tail_call_offset; /* native entry for a tail call, from the start of the code */

	enum bpf_prog_type type;
	enum bpf_attach_type expected_attach_type;
	u32 id;
	u8 tag[BPF_TAG_SIZE]; /* as Linux 6.18: SHA-256 of the instructions */
	char name[64];
	char license[64];
	bool gpl_compatible;
	bool changes_pkt_data;
	bool has_tail_call;
	bool unverified;
	bool wants_build_ids; /* it may ask for a user stack as build ids (run/sample.h) */
	bool fence_stack; /* frames start as zeros, and nothing runs ahead of that */
	bool zero_stack; /* may read stack bytes that it never wrote: its frames start as zeros */
	/* a fault in its code, or a packet that took a second, stopped it for good */
	bool poisoned;
	u32 prog_flags;
	u64 load_time; /* ns, CLOCK_REALTIME */
	u32 verified_insns;

	/* As loaded: what an image stores, and what the report and the dumps refer to. */
	struct bpf_insn *orig_insns;
	u32 orig_len;
	struct sock_filter *classic; /* what orig_insns was converted from, or NULL */
	u32 classic_len;
	u32 *orig_idx; /* insnsi[i] came from orig_insns[orig_idx[i]] */

	struct bpf_host_funcs *host_funcs; /* or NULL */
	/* Room for BPF_MAX_USED_MAPS; more may be bound while it lives: bpf_prog_nr_maps() */
	struct bpf_map **used_maps;
	u32 used_map_cnt;
	bool *used_maps_rdonly; /* as maps_rdonly, for the verifier; an image does not keep it */
	struct bpf_map *cgroup_storage[MAX_BPF_CGROUP_STORAGE_TYPE]; /* of used_maps, or NULL */
	struct bpf_subprog_info *subprogs; /* start: index into insnsi */
	u32 subprog_cnt; /* at least 1 */

	struct bpf_btf *btf;
	struct bpf_func_info *func_info; /* insn_off: original instructions */
	u32 func_info_cnt;
	struct bpf_line_info *line_info;
	u32 line_info_cnt;

	u64 run_cnt, run_time_ns; /* relaxed counters */

	int refcnt;
	bool published; /* in the table of ids */
	void (*on_free)(struct bpf_prog *prog, void *priv);
	void *priv;
	void (*free_native)(struct bpf_prog *prog); /* set with prog->jit */
	struct rcu_head rcu;
};

/* Of a raw program: the bytes at R1. */
static inline u32 bpf_prog_block_size(const struct bpf_prog *prog)
{
	return (u32)prog->expected_attach_type;
}

struct bpf_prog *bpf_prog_alloc(const struct bpf_prog_load_attr *attr); /* copies; NULL: ENOMEM */
void bpf_prog_inc(struct bpf_prog *prog);
bool bpf_prog_inc_not_zero(struct bpf_prog *prog);
void bpf_prog_put(struct bpf_prog *prog);

/*
 * One more map lives as long as the program, and is among used_maps, which may happen at any time:
 * who reads them then asks how many there are first. -E2BIG. Nothing of it is in an image.
 */
int bpf_prog_bind_map(struct bpf_prog *prog, struct bpf_map *map);
static inline u32 bpf_prog_nr_maps(const struct bpf_prog *prog)
{
	return __atomic_load_n(&prog->used_map_cnt, __ATOMIC_ACQUIRE);
}
/* As bpf_map_add_refs(). */
static inline void bpf_prog_add_refs(struct bpf_prog *prog, int n)
{
	__atomic_fetch_add(&prog->refcnt, n, __ATOMIC_ACQ_REL);
}
u64 bpf_prog_live_count(void);

/*
 * Give it an id (prog->id, or the next free one when that is 0). -EEXIST, -ENOMEM. load.c does it.
 */
int bpf_prog_publish(struct bpf_prog *prog);
struct bpf_prog *bpf_prog_get_by_id(u32 id); /* one reference, or NULL */

/* ---- what differs by program type: names as in the kernel */

enum bpf_access_type {
	BPF_READ = 1,
	BPF_WRITE = 2,
};

struct bpf_insn_access_aux { /* out: what a context access yields */
	u32 reg_type; /* SCALAR_VALUE, PTR_TO_PACKET, ... (insn/reg.h) */
	u32 ctx_field_size;
	bool unsupported; /* valid on Linux, and not in this build: -ENOTSUP */
};

struct bpf_test_run; /* run/run.h */

struct bpf_prog_type_ops {
	enum bpf_prog_type type;
	const char *name; /* "xdp", as bpftool prints it */

	/* NULL: Linux does not allow it ("cannot use helper"). ->func NULL: this build lacks it. */
	const struct bpf_func_proto *(*get_func_proto)(enum bpf_func_id id,
						       const struct bpf_prog *prog);
	/* May the program access `size` bytes at `off` of its context? */
	bool (*is_valid_access)(int off, int size, enum bpf_access_type type,
				const struct bpf_prog *prog, struct bpf_insn_access_aux *aux);
	/*
	 * Instructions that replace the context access `insn` (already found valid): from the
	 * layout that programs see to the layout that we keep. Returns how many were put into buf.
	 */
	u32 (*convert_ctx_access)(const struct bpf_insn *insn, u32 ctx_field_size,
				  struct bpf_insn *buf, u32 max);
	/* May packet memory be written through packet pointers? */
	bool may_write_packet;
	bool has_packet; /* has data/data_end */
	bool has_ld_abs;
	bool has_block; /* R1 is memory of bpf_prog_block_size() bytes, and no context */
	/* The range that R0 must have at exit for this attach type; false: anything. */
	bool (*retval_range)(const struct bpf_prog *prog, s32 *minval, s32 *maxval);
	/* Which expected_attach_type values are accepted; NULL: any, as the kernel ignores it. */
	bool (*is_valid_attach_type)(enum bpf_attach_type type);
	int (*test_run)(struct bpf_prog *prog, struct bpf_test_run *run);
};

/*
 * The types that this build has: prog_type/prog_type.c lists them, and the linker brings the list
 * here, so that nothing below the types names one.
 */
extern const struct bpf_prog_type_ops *const bpf_prog_types[];
extern const u32 bpf_prog_types_cnt;

/*
 * A helper of a program's type, or of its embedder. NULL: Linux does not allow it; ->func NULL:
 * this build lacks it.
 */
const struct bpf_func_proto *bpf_prog_func_proto(const struct bpf_prog *prog, u32 id);

/* NULL for a type that this build does not have. */
const struct bpf_prog_type_ops *bpf_prog_type_ops_find(enum bpf_prog_type type);
const char *bpf_prog_type_name(enum bpf_prog_type type); /* or NULL when there is no such type */
u32 bpf_prog_type_next(u32 type); /* the type after it, of all that have names; 0: no more */

#endif
