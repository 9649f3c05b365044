/*
 * load.h - from bytes or instructions to programs that run
 *
 * The pipeline: check the attributes, bpf_check(), bpf_rewrite(), bpf_interp_prepare(),
 * bpf_jit_compile(). Above core, verifier, jit, map and object; below engine users (fs, the public
 * header).
 */
#ifndef UBPFFS_LOAD_H
#define UBPFFS_LOAD_H

#include "btf/btf.h"
#include "classic/text.h"
#include "core/map.h"
#include "core/prog.h"
#include "run/run.h"
#include "object/object.h"

/*
 * bpf_prog_load - verify and compile one program
 *
 * log (may be NULL) gets the verifier's log at log->level; report (may be NULL) the block for
 * people. 0 and one reference in *out, or what bpf_check() returns, -EINVAL for attributes that
 * Linux refuses.
 */
int bpf_prog_load(const struct bpf_prog_load_attr *attr, struct bpf_log *log,
		  struct bpf_log *report, const volatile bool *cancel, struct bpf_prog **out);

/*
 * bpf_prog_log - the verifier's log of a program that was accepted
 *
 * Nobody reads most logs, so none is kept: the program is verified again, at log->level. -EINTR
 * when *cancel became true, -ENOMEM.
 */
int bpf_prog_log(const struct bpf_prog *prog, struct bpf_log *log, const volatile bool *cancel);

/*
 * bpf_object_load - make everything that an object describes
 *
 * All programs and maps, or none. The caller decides about maps: get_map is asked for each one and
 * returns 0 and a reference in *map (a map that exists, or one that it made from the spec;
 * *existing says which), or -errno, which ends the load. Initial data is written into maps that are
 * not `existing`.
 */
struct bpf_object_load_opts {
	int (*get_map)(void *priv, const struct bpf_object_file *obj, u32 index,
		       const struct bpf_map_spec *spec, struct bpf_map **map, bool *existing,
		       struct bpf_log *log);
	/* The id for program `index`, 0 to let the engine choose. May be NULL. */
	u32 (*get_prog_id)(void *priv);
	/*
	 * The object was read, and nothing made yet: initial data may be changed. May be NULL; an
	 * error ends the load.
	 */
	int (*prepare)(void *priv, struct bpf_object_file *obj);
	void *priv;
	u32 prog_flags; /* of every program */
	const char *type; /* of programs whose SEC() names none; NULL: they are refused */
	u32 log_level; /* of the logs in the report; 0: level 1 of the program that is refused */
	bool no_jit;
	struct bpf_host_funcs *host_funcs; /* helpers of the embedder's, or NULL */
	bool complete; /* bpf_object_extent() said that these bytes are the object */
	const volatile bool *cancel;
};

struct bpf_loaded {
	struct bpf_object_file *file;
	struct bpf_map **maps; /* file->map_cnt references */
	bool *map_existing;
	struct bpf_prog **progs; /* file->prog_cnt references */
	struct bpf_load_error error; /* of a load that failed */
	struct bpf_log report; /* one readable block a program, then the full logs */
};

/*
 * On failure out->report and out->error are still filled and the rest is empty; always call
 * bpf_loaded_free(), and do not move *out before.
 */
int bpf_object_load(const void *data, size_t len, const struct bpf_object_load_opts *opts,
		    struct bpf_loaded *out);
/*
 * bpf_classic_load - the same for a classic filter
 *
 * One program and no map. Without a name in the text it is called filter<id>.
 */
struct bpf_classic_text;
int bpf_classic_load(const struct bpf_classic_text *text, const struct bpf_object_load_opts *opts,
		     struct bpf_loaded *out);
void bpf_loaded_free(struct bpf_loaded *loaded);

/*
 * Memory that all loads together have for verification, beyond 16 MiB of each: then -ENOMEM. At
 * first there is no bound but each one's own.
 */
void bpf_load_share_mem(u64 bytes);
u64 bpf_load_shared_mem(void); /* what of it is in use */

#endif
