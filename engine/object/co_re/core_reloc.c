/*
 * core_reloc.c - CO-RE relocations of one function: each record resolved, and its instruction
 * patched
 *
 * All types of the target that are named like the local one are tried. Those that have the way must
 * agree about the constant; those that have not are left out. Where this engine's own types have
 * the name, the kernel's are not asked.
 */
#include <stdio.h>
#include "object/co_re/core.h"
#include "object/co_re/core_match.h"
#include "object/co_re/core_patch.h"
#include "object/co_re/core_value.h"
#include "object/co_re/core_types.h"
#include "object/co_re/core_reloc.h"
#include "object/elf/btf_ext.h"

struct record {
	u32 insn; /* in its section */
	u32 type;
	const char *access;
	u32 kind;
};

struct core_work { /* one record; large, so it is on the heap */
	struct core_spec local, targ, other;
	struct record rec;
	u32 section;
	bool found, named; /* a type that has the way; one that has the name */
	const struct core_types *types; /* where the name was found, or looked for last */
};

static int core_fail(struct obj_reader *r, const struct core_work *w, int err, const char *why)
{
	char what[512];

	core_spec_text(&w->local, what, sizeof(what));
	return obj_fail(r, err,
			"CO-RE: %s cannot be relocated (instruction %u of section '%s'): %s", what,
			w->rec.insn, r->secs[w->section].name, why);
}

static int too_much(struct obj_reader *r, const struct core_work *w)
{
	return core_fail(r, w, -E2BIG,
			 "the relocations of this object take too much work: its types fan out, or "
			 "its names are too long");
}

/* Each name is looked for, compared and put into words a few times. */
static bool spend_names(struct core_work *w, const char *root)
{
	u64 len = strlen(root);

	for (u32 i = 0; i < w->local.len; i++)
		len += w->local.steps[i].name ? strlen(w->local.steps[i].name) : 0;
	return core_spend(w->local.spent, 1 + len);
}

/* ---- candidates */

static int look_in(struct obj_reader *r, struct core_work *w, const struct core_types *types)
{
	const struct btf_type *local = btf__type_by_id(w->local.btf, w->rec.type);
	const char *name = core_str(w->local.btf, local->name_off);
	size_t len = core_essential_len(name);
	struct core_value a, b;
	u32 id = 0;

	w->types = types;
	while ((id = core_types_find(types, name, len, id))) {
		int ret;

		if (!core_kinds_agree(local, btf__type_by_id(types->btf, id)))
			continue;
		w->named = true;
		ret = core_spec_match(&w->local, types->btf, id, &w->other);
		if (!core_spend(&r->core_spent, 0))
			return too_much(r, w);
		if (ret < 0)
			return core_fail(r, w, -EINVAL, "the types are nested too deeply");
		if (!ret)
			continue;
		if (!w->found) {
			w->targ = w->other;
			w->found = true;
			continue;
		}
		if (core_value(&w->targ, w->rec.kind, &a) ||
		    core_value(&w->other, w->rec.kind, &b) || a.val != b.val ||
		    w->targ.bit_off != w->other.bit_off)
			return core_fail(r, w, -EINVAL,
					 "several types of that name fit, and they differ");
	}
	return 0;
}

static int kernel_why(struct obj_reader *r, const struct core_work *w, int err)
{
	char why[512];

	if (err == -ENOENT)
		return core_fail(r, w, -ENOTSUP,
				 "it is none of the types of this build, and the kernel shows "
				 "no types (/sys/kernel/btf/vmlinux): -o btf=FILE names others");
	if (err == -ENXIO)
		err = -ENOENT;
	snprintf(why, sizeof(why), "the kernel's types cannot be read: %s", strerror(-err));
	return core_fail(r, w, err, why);
}

static int look_everywhere(struct obj_reader *r, struct core_work *w)
{
	const struct core_types *types;
	int err = core_own_types(&types);

	if (err)
		return core_fail(r, w, err, "no memory for the types of this build");
	err = look_in(r, w, types);
	if (err || w->named)
		return err;
	err = core_kernel_types(&types);
	return err ? kernel_why(r, w, err) : look_in(r, w, types);
}

/* ---- the constant */

/* Memory of another size may be read where a pointer or an unsigned number is. */
static bool size_may_change(const struct core_work *w, u32 from, u32 to)
{
	const struct btf_type *a = core_skip_mods(w->local.btf, &from);
	const struct btf_type *b = core_skip_mods(w->targ.btf, &to);

	if (!a || !b)
		return false;
	if (btf_is_ptr(a) && btf_is_ptr(b))
		return true;
	return btf_is_int(a) && btf_is_int(b) && btf_int_encoding(a) != BTF_INT_SIGNED &&
	       btf_int_encoding(b) != BTF_INT_SIGNED;
}

static int calculate(struct obj_reader *r, struct core_work *w, struct core_result *res)
{
	struct core_value orig, val;
	int err;

	err = core_value(&w->local, w->rec.kind, &orig);
	if (err)
		return core_fail(r, w, -EINVAL, "the object's own type has no such constant");
	err = core_value(w->found ? &w->targ : NULL, w->rec.kind, &val);
	if (err < 0)
		return core_fail(r, w, err, "the type that is there has no such constant");
	*res = (struct core_result){
		.orig = orig.val,
		.val = val.val,
		.check_orig = orig.fixed,
		.poison = err > 0,
		.orig_size = orig.size,
		.size = val.size,
	};
	if (!err && orig.size != val.size)
		res->other_size = !size_may_change(w, orig.type, val.type);
	return 0;
}

static int resolve(struct obj_reader *r, struct core_work *w, struct core_result *res)
{
	const struct btf_type *t = btf__type_by_id(r->out->btf->btf, w->rec.type);
	int err;

	w->found = w->named = false;
	w->types = NULL;
	if (core_kind_class(w->rec.kind) == CORE_UNKNOWN)
		return obj_fail(r, -ENOTSUP,
				"CO-RE: a relocation of unknown kind %u in section '%s'",
				w->rec.kind, r->secs[w->section].name);
	err = core_spec_parse(r->out->btf->btf, w->rec.type, w->rec.access, w->rec.kind, &w->local);
	if (err)
		return obj_fail(r, -EINVAL,
				"CO-RE: '%s' leads nowhere in type %u (instruction %u of section "
				"'%s')",
				w->rec.access, w->rec.type, w->rec.insn, r->secs[w->section].name);
	if (!spend_names(w, core_str(w->local.btf, t->name_off)))
		return too_much(r, w);
	if (w->rec.kind == BPF_CORE_TYPE_ID_LOCAL) {
		*res = (struct core_result){.val = w->rec.type};
		return 0;
	}
	if (!t->name_off)
		return core_fail(r, w, -ENOTSUP, "a type without a name is found nowhere");
	err = look_everywhere(r, w);
	return err ? err : calculate(r, w, res);
}

/* ---- instructions */

/* What the poison at `insn` stands for, for the day that the verifier meets it. */
static int add_note(struct bpf_object_prog *prog, u32 insn, const struct core_work *w,
		    const struct core_result *res)
{
	const struct btf_type *t = btf__type_by_id(w->local.btf, w->local.root);
	const char *name = core_str(w->local.btf, t->name_off);
	char what[512];
	char *text;
	int n;

	core_spec_text(&w->local, what, sizeof(what));
	if (res->other_size)
		n = asprintf(&text,
			     "CO-RE: %s: %u bytes here, %u bytes in %s, and it is no unsigned "
			     "number",
			     what, res->orig_size, res->size, w->types->where);
	else
		n = asprintf(&text, "CO-RE: %s is unknown: %s %s%s%.*s%s", what, w->types->where,
			     w->named ? "has '" : "has no type '", "",
			     (int)core_essential_len(name), name,
			     w->named ? "', but not that of it" : "'");
	return n < 0 ? -ENOMEM : obj_add_note(prog, insn, text);
}

static int apply(struct obj_reader *r, struct bpf_object_prog *prog, struct core_work *w, u32 insn)
{
	struct core_result res;
	bool poisoned;
	int err = resolve(r, w, &res);

	if (err)
		return err;
	err = core_patch(&prog->insns[insn], prog->insn_cnt - insn, &res, &poisoned);
	if (err == -ERANGE)
		return core_fail(r, w, err, "the offset is larger than an instruction can hold");
	if (err)
		return core_fail(r, w, err, "its instruction is not what the compiler writes");
	return poisoned ? add_note(prog, insn, w, &res) : 0;
}

int obj_apply_core(struct obj_reader *r, struct bpf_object_prog *prog, const struct elf_func *func,
		   u32 base)
{
	const u8 *recs = NULL;
	u32 cnt = obj_ext_records(r->core, func, &recs);
	struct core_work *w;
	int err = 0;

	if (!cnt)
		return 0;
	w = malloc(sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->section = func->sec;
	w->local.spent = &r->core_spent;
	for (u32 i = 0; !err && i < cnt; i++) {
		const u8 *rec = recs + (size_t)i * r->core[func->sec].rec_size;

		w->rec.insn = get_u32(rec) / (u32)BPF_INSN_BYTES;
		w->rec.type = get_u32(rec + 4);
		w->rec.access = bpf_btf_str(r->out->btf, get_u32(rec + 8));
		w->rec.kind = get_u32(rec + 12);
		err = apply(r, prog, w, base + w->rec.insn - func->start);
	}
	free(w);
	return err;
}
