/*
 * core.h - CO-RE: what an object says about types of the machine, made true on the machine at hand
 *
 * The compiler leaves a record in .BTF.ext for each instruction whose constant depends on a type:
 * where a field is and how large, whether a type or an enumerator exists. A record names a type of
 * the object's own BTF and, in a string of indices, a way into it: the *local spec*. Here it is
 * looked up by its names in the BTF of what is really there, the *target spec*, and the constant is
 * calculated again. Two sources of targets, in this order:
 *   1. what this engine or the UAPI defines: contexts, wire formats, helpers' structures;
 *   2. the kernel's BTF, read when the first object needs it.
 *
 *   core_spec.c    a way into a type, parsed and put into words
 *   core_match.c   is this type of the target the same? the way again, in the target
 *   core_value.c   the constant for a way
 *   core_patch.c   the constant into an instruction
 *   core_types.c   the two sources, and their types by name
 *   core_reloc.c   one record after another
 *
 * A record that finds nothing poisons its instruction: it becomes a call of a helper that never
 * exists. So dead code may ask for anything, and code that can be reached is refused by the
 * verifier.
 */
#ifndef UBPFFS_OBJECT_CO_RE_CORE_H
#define UBPFFS_OBJECT_CO_RE_CORE_H

#include <bpf/btf.h>
#include "util/compat.h"
#include "insn/insn.h"

#define CORE_MAX_DEPTH 64 /* steps of a way */
#define CORE_POISON    195896080 /* the number that libbpf gives such calls */

struct core_step { /* a named member, or an element of an array (name NULL) */
	u32 type; /* of what has the member; of the element */
	u32 idx;
	const char *name;
};

struct core_spec {
	u64 *spent; /* core_spend(): the object's; NULL in a target */
	const struct btf *btf;
	u32 root; /* type id, modifiers and all */
	u32 kind; /* enum bpf_core_relo_kind */
	struct core_step steps[CORE_MAX_DEPTH]; /* without members that have no name */
	u32 len;
	u64 bit_off;
};

/*
 * The object's types and names are anybody's: a type may have thousands of members that all stand
 * for one, in several levels, and a name may be as long as the object. So a step, a look at one
 * member, parameter or enumerator, or some bytes of a name, is counted. False: there were too many.
 */
#define CORE_MAX_STEPS (64u << 20)
static inline bool core_spend(u64 *spent, u64 steps)
{
	*spent += steps;
	return *spent <= CORE_MAX_STEPS;
}

/* A type without const, volatile and typedefs; *id becomes its id. NULL: the chain does not end. */
const struct btf_type *core_skip_mods(const struct btf *btf, u32 *id);
/* Bytes of a name before its flavour: 11 of "task_struct___v2". */
size_t core_essential_len(const char *name);
static inline const char *core_str(const struct btf *btf, u32 off)
{
	const char *s = btf__str_by_offset(btf, off);

	return s ? s : "";
}

enum core_class { CORE_FIELD, CORE_TYPE, CORE_ENUMVAL, CORE_UNKNOWN };
enum core_class core_kind_class(u32 kind);
bool core_kind_is_question(u32 kind); /* asks for existence: 0 is an answer */

/* core_spec.c: 0, -EINVAL (the way leads nowhere), -E2BIG (more than CORE_MAX_DEPTH steps). */
int core_spec_parse(const struct btf *btf, u32 type, const char *access, u32 kind,
		    struct core_spec *spec);
bool core_is_flex_array(const struct btf *btf, const struct core_step *last,
			const struct btf_array *array);
/* "the byte offset of struct iphdr.ttl" */
void core_spec_text(const struct core_spec *spec, char *buf, size_t len);

#endif
