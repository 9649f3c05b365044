/*
 * object.h - an ELF object as clang -target bpf writes it, read into plain structures
 *
 * The reader trusts nothing in the file: every size and index is checked before use. It loads
 * nothing and knows no map and no verifier: load.c makes maps and programs of what it returns.
 */
#ifndef UBPFFS_OBJECT_OBJECT_H
#define UBPFFS_OBJECT_OBJECT_H

#include "btf/btf.h"
#include "insn/insn.h"
#include "util/log.h"
#include "core/map.h"
#include "core/prog.h"

#define BPF_OBJECT_MAX_SECTIONS 4096
#define BPF_OBJECT_MAX_PROGS	1024
#define BPF_OBJECT_MAX_MAPS	1024
#define BPF_OBJECT_MAX_FUNCS	65536
/* over all programs, shared subprograms counted for each */
#define BPF_OBJECT_MAX_INSNS	(4u << 20)
#define BPF_OBJECT_MAX_NAME	1023 /* bytes of a symbol's or section's name */
#define BPF_OBJECT_MAX_DATA	(64u << 20) /* bytes of one data section */

enum bpf_object_map_kind {
	BPF_OBJECT_MAP_DEFINED, /* .maps or maps */
	BPF_OBJECT_MAP_DATA, /* .data .rodata .bss: array of one value, `init` is its content */
	BPF_OBJECT_MAP_INNER, /* template of a map-in-map, "<outer>.inner": gets no name */
};

struct bpf_object_map {
	char name[64]; /* C name; data maps: the section's, ".rodata" */
	enum bpf_object_map_kind kind;
	struct bpf_map_spec spec;
	bool pin_by_name; /* LIBBPF_PIN_BY_NAME */
	void *init; /* value_size bytes or NULL */
	bool readonly; /* .rodata: frozen after init */
	int inner_map; /* index of the template for map-in-map, or -1 */
	/* .values initialisers of prog_array and map-in-map: parallel arrays */
	u32 *init_slot;
	u32 *init_target; /* index into maps (map-in-map) or progs (prog_array) */
	u32 init_cnt;
};

struct bpf_object_prog {
	char name[64]; /* C function name */
	char section[128]; /* SEC() */
	enum bpf_prog_type type;
	enum bpf_attach_type expected_attach_type;
	/* Main program, then the subprograms that it reaches; NULL when the program has them. */
	struct bpf_insn *insns;
	u32 insn_cnt; /* map references: BPF_PSEUDO_MAP_IDX(_VALUE), imm = index into object maps */
	struct bpf_func_info *func_info;
	u32 func_info_cnt;
	struct bpf_line_info *line_info;
	u32 line_info_cnt;
	struct bpf_insn_note *notes; /* instructions that stand for what could not be resolved */
	u32 note_cnt;
};

struct bpf_object_file {
	char license[64];
	u32 kern_version;
	struct bpf_object_map *maps;
	u32 map_cnt;
	struct bpf_object_prog *progs;
	u32 prog_cnt;
	struct bpf_btf *btf; /* or NULL */
};

/*
 * bpf_object_read - read a complete object
 *
 * Returns 0 and *out (freed by bpf_object_file_free()), -ENOEXEC, -EINVAL (malformed), -ENOTSUP
 * (kernel CO-RE relocations, kconfig and ksym externs, kfuncs, unknown SEC()), -E2BIG (more
 * programs, maps or instructions than the limits above), -ENAMETOOLONG, -ENOMEM. `log` says why,
 * naming the section, symbol or relocation; it may also hold notes when the object is good
 * (programs that SEC("?...") keeps from loading).
 */
int bpf_object_read(const void *data, size_t len, struct bpf_log *log,
		    struct bpf_object_file **out);
/*
 * The same of bytes that bpf_object_extent() said are the object, no more and no less. `type` (may
 * be NULL) is that of programs whose SEC() names none.
 */
int bpf_object_read_complete(const void *data, size_t len, const char *type, struct bpf_log *log,
			     struct bpf_object_file **out);
/* Is there such a type? A SEC() name, or a type's own name, also of those that this build lacks. */
bool bpf_object_type_ok(const char *type);
void bpf_object_file_free(struct bpf_object_file *obj);

#endif
