/*
 * load.c - from bytes or instructions to programs that run
 *
 * bpf_prog_load() is the pipeline of one program. bpf_object_load() is a transaction around it:
 * maps first, then the programs, then what refers to programs; the first failure drops everything
 * that was made.
 */
#include <stdio.h>
#include "classic/classic.h"
#include "classic/create.h"
#include "classic/text.h"
#include "fault.h"
#include "jit/jit.h"
#include "load.h"
#include "object/machine.h"
#include "rewrite/rewrite.h"
#include "run/interp.h"
#include "verifier/report/report.h"
#include "verifier/verifier.h"
#include "map/create.h"
#include "map/syscall.h"

/* ---- one program */

/* What to do about the reason that was just given. */
static void say_hint(struct bpf_log *report, const char *hint)
{
	if (report && report->error && !report->error->hint)
		report->error->hint = hint;
}

static int attr_check(const struct bpf_prog_load_attr *attr, struct bpf_log *report)
{
	const u32 known = BPF_F_STRICT_ALIGNMENT | BPF_F_ANY_ALIGNMENT | BPF_F_TEST_STATE_FREQ |
			  BPF_F_TEST_RND_HI32 | BPF_F_XDP_HAS_FRAGS | PROG_F_TEST_REG_INVARIANTS |
			  PROG_F_STRICT;
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(attr->prog_type);
	const char *name = attr->name ? attr->name : "(unnamed)";

	if (attr->prog_flags & ~known) {
		bpf_log_error(report, "program %s: unknown program flags 0x%x", name,
			      attr->prog_flags & ~known);
		return -EINVAL;
	}
	if (!attr->insn_cnt || attr->insn_cnt > BPF_COMPLEXITY_LIMIT_INSNS) {
		bpf_log_error(report, "program %s: %u instructions; 1 to %u are allowed", name,
			      attr->insn_cnt, BPF_COMPLEXITY_LIMIT_INSNS);
		return -E2BIG;
	}
	if (!ops) {
		const char *type = bpf_prog_type_name(attr->prog_type);

		if (!type || attr->prog_type == BPF_PROG_TYPE_UNSPEC) {
			bpf_log_error(report, "program %s: unknown program type %u", name,
				      attr->prog_type);
			return -EINVAL;
		}
		bpf_log_error(report, "program %s: this build has no program type %s", name, type);
		say_hint(report,
			 "SEC(\"?...\") keeps a program out of the load; samples and timers "
			 "run SEC(\"perf_event\"), packets SEC(\"xdp\"), SEC(\"tc\"), "
			 "SEC(\"socket\") and SEC(\"cgroup_skb/...\")");
		return -ENOTSUP;
	}
	if (ops->is_valid_attach_type && !ops->is_valid_attach_type(attr->expected_attach_type)) {
		if (ops->has_block)
			bpf_log_error(report,
				      "program %s: a block of %u bytes; at most %u are allowed",
				      name, attr->expected_attach_type, BPF_BLOCK_MAX);
		else
			bpf_log_error(report, "program %s: attach type %u does not fit type %s",
				      name, attr->expected_attach_type, ops->name);
		return -EINVAL;
	}
	if (attr->unverified && (u32)attr->prog_type != BPF_PROG_TYPE_RAW) {
		bpf_log_error(report, "program %s: only raw programs may go without verification",
			      name);
		return -EINVAL;
	}
	if (attr->map_cnt > BPF_MAX_USED_MAPS) {
		bpf_log_error(report, "program %s: uses %u maps; %u are allowed", name,
			      attr->map_cnt, BPF_MAX_USED_MAPS);
		return -E2BIG;
	}
	return 0;
}

/*
 * The interpreter's form always; native code where there is a JIT and the system lets us have it.
 */
static int prog_make_runnable(struct bpf_prog *prog, bool no_jit)
{
	int err;

	err = bpf_interp_prepare(prog);
	if (err)
		return err;
	prog->bpf_func = bpf_interp_run;
	bpf_fault_init();
	if (no_jit)
		return 0;
	err = bpf_jit_compile(prog);
	if (err == -EINVAL) /* we made something that we do not understand */
		return err;
	if (!err)
		prog->free_native = bpf_jit_free;
	return 0;
}

/*
 * All programs that meet in a prog array must be of one kind, also those that only call through it.
 */
static int prog_check_tail_calls(const struct bpf_prog *prog)
{
	for (u32 i = 0; i < prog->orig_len; i++) {
		const struct bpf_insn *insn = &prog->orig_insns[i];

		if (!bpf_insn_is_imm64(insn))
			continue;
		if (insn->src_reg == BPF_PSEUDO_MAP_IDX &&
		    !bpf_prog_map_compatible(prog->used_maps[insn->imm], prog))
			return -EINVAL;
		i++; /* its second half */
	}
	return 0;
}

static int prog_finish(struct bpf_prog *prog, const struct bpf_verdict *verdict, bool no_jit)
{
	int err;

	err = bpf_rewrite(prog, verdict);
	if (err)
		return err;
	prog->verified_insns = verdict->insn_processed;
	err = prog_make_runnable(prog, no_jit);
	if (!err)
		err = prog_check_tail_calls(prog);
	return err ? err : bpf_prog_publish(prog);
}

/* A refusal that the program itself is the reason of: its log says why. */
static bool is_verdict(int err)
{
	return err && err != -EINTR && err != -ENOMEM;
}

static int check(const struct bpf_prog *prog, struct bpf_log *log, const volatile bool *cancel,
		 struct bpf_verdict *verdict)
{
	bool later = log && log->level & BPF_LOG_ON_REFUSAL;
	int err = bpf_check(prog, later ? NULL : log, cancel, verdict);

	if (!later || !is_verdict(err))
		return err;
	bpf_verdict_free(verdict);
	return bpf_check(prog, log, cancel, verdict);
}

/* A poisoned instruction's number tells nobody anything: what it stands for does. Or NULL. */
static const char *note_at(const struct bpf_prog_load_attr *attr, int insn)
{
	for (u32 i = 0; i < attr->note_cnt; i++)
		if ((s64)attr->notes[i].insn == insn)
			return attr->notes[i].text;
	return NULL;
}

static int prog_load(const struct bpf_prog_load_attr *attr, struct bpf_log *log,
		     struct bpf_log *report, const volatile bool *cancel, struct bpf_prog **out)
{
	struct bpf_verdict verdict = {.err_insn = -1};
	struct bpf_prog *prog;
	int err;

	err = attr_check(attr, report);
	if (err)
		return err;
	bpf_rcu_thread_online();
	prog = bpf_prog_alloc(attr);
	if (!prog)
		return -ENOMEM;

	err = check(prog, log, cancel, &verdict);
	if (!err) {
		err = prog_finish(prog, &verdict, attr->no_jit);
		if (err)
			bpf_log_error(report, "program %s: verified, but not made runnable",
				      prog->name);
	}
	verdict.err = err;
	bpf_report(prog, &verdict, note_at(attr, verdict.err_insn), report);
	bpf_verdict_free(&verdict);
	if (err) {
		bpf_prog_put(prog);
		return err;
	}
	*out = prog;
	return 0;
}

/* A classic filter is converted, and goes the way of all programs. */
static int classic_load(const struct bpf_prog_load_attr *attr, struct bpf_log *log,
			struct bpf_log *report, const volatile bool *cancel, struct bpf_prog **out)
{
	struct bpf_prog_load_attr converted = *attr;
	struct bpf_insn *insns, *fitting;
	bool taken = false;
	int n;

	if (attr->prog_type != BPF_PROG_TYPE_SOCKET_FILTER)
		return -EINVAL;
	n = bpf_check_classic(attr->classic, attr->classic_len, report);
	if (n)
		return n;
	insns = malloc(BPF_CLASSIC_MAX_EBPF * sizeof(*insns));
	if (!insns)
		return -ENOMEM;
	n = bpf_convert_filter(attr->classic, attr->classic_len, insns, NULL);
	if (n >= 0) {
		fitting = realloc(insns, max(n, 1) * sizeof(*insns));
		insns = fitting ? fitting : insns;
		converted.insns = insns;
		converted.insn_cnt = (u32)n;
		converted.taken = &taken;
		n = prog_load(&converted, log, report, cancel, out);
	}
	if (!taken)
		free(insns);
	return n;
}

int bpf_prog_load(const struct bpf_prog_load_attr *attr, struct bpf_log *log,
		  struct bpf_log *report, const volatile bool *cancel, struct bpf_prog **out)
{
	*out = NULL;
	return attr->classic_len ? classic_load(attr, log, report, cancel, out)
				 : prog_load(attr, log, report, cancel, out);
}

int bpf_prog_log(const struct bpf_prog *prog, struct bpf_log *log, const volatile bool *cancel)
{
	struct bpf_verdict verdict;
	int err = bpf_check(prog, log, cancel, &verdict);

	bpf_verdict_free(&verdict);
	return err == -EINTR || err == -ENOMEM ? err : 0;
}

int bpf_prog_create(const struct sock_filter *filter, u32 flen, struct bpf_log *log,
		    struct bpf_prog **out)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.name = "classic",
		.classic = filter,
		.classic_len = flen,
	};

	*out = NULL;
	if (!flen) /* which would say: not a classic one */
		return bpf_check_classic(filter, flen, log);
	return bpf_prog_load(&attr, NULL, log, NULL, out);
}

void bpf_prog_destroy(struct bpf_prog *prog)
{
	bpf_prog_put(prog);
}

/* ---- what this build has, for objects that ask by CO-RE */

static bool has_func(u32 id)
{
	struct bpf_prog prog = {.gpl_compatible = true};

	for (u32 type = bpf_prog_type_next(0); type; type = bpf_prog_type_next(type)) {
		const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(type);
		const struct bpf_func_proto *proto;

		prog.type = type;
		proto = ops ? ops->get_func_proto(id, &prog) : NULL;
		if (proto && proto->func)
			return true;
	}
	return false;
}

static bool has_map(u32 type)
{
	return bpf_map_ops_find(type);
}

static bool has_prog(u32 type)
{
	return bpf_prog_type_ops_find(type);
}

static const struct bpf_core_features core_features = {has_func, has_map, has_prog};

/* ---- an object */

struct object_load {
	const struct bpf_object_load_opts *opts;
	struct bpf_object_file *file;
	struct bpf_loaded *out;
	struct bpf_log logs; /* the full logs, appended to the report at the end */
};

static u32 object_log_level(const struct bpf_object_load_opts *opts)
{
	return opts && opts->log_level ? opts->log_level
				       : BPF_LOG_LEVEL1 | BPF_LOG_STATS | BPF_LOG_ON_REFUSAL;
}

static int map_init_values(struct bpf_map *map, const struct bpf_object_map *def)
{
	u32 key = 0;
	int err = 0;

	if (def->kind == BPF_OBJECT_MAP_DATA && def->init)
		err = bpf_map_update(map, &key, def->init, BPF_ANY);
	if (!err && def->readonly)
		err = bpf_map_freeze(map);
	return err;
}

static const char *map_type_text(enum bpf_map_type type)
{
	const char *name = bpf_map_type_name(type);

	return name ? name : "(unknown)";
}

static int load_map(struct object_load *ld, u32 index)
{
	const struct bpf_object_map *def = &ld->file->maps[index];
	struct bpf_loaded *out = ld->out;
	struct bpf_map_spec spec = def->spec;
	struct bpf_map *map = NULL;
	const char *rule = NULL;
	bool existing = false;
	int err;

	if (out->maps[index])
		return 0;
	/* Most people leave it to the loader: one for each CPU that programs run on. */
	if (spec.map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY && !spec.max_entries)
		spec.max_entries = bpf_nr_slots();
	if (def->inner_map >=
	    0) { /* the template must be there first; it is no map of maps itself */
		err = load_map(ld, (u32)def->inner_map);
		if (err)
			return err;
		spec.inner_map_id = out->maps[def->inner_map]->id;
	}
	if (ld->opts && ld->opts->get_map)
		err = ld->opts->get_map(ld->opts->priv, ld->file, index, &spec, &map, &existing,
					&out->report);
	else if (!(err = bpf_map_spec_check(&spec, &rule)))
		err = bpf_map_create(&spec, 0, -1, -1, &map);
	if (!err && !existing)
		err = map_init_values(map, def);
	if (err) {
		if (bpf_map_ops_find(spec.map_type)) {
			bpf_log_error(&out->report, "map %s: %s", def->name,
				      rule ? rule : strerror(-err));
		} else {
			bpf_log_error(&out->report, "map %s: this build has no map type %s",
				      def->name, map_type_text(spec.map_type));
			say_hint(&out->report, "the types that it has are in M/features");
		}
		if (map)
			bpf_map_put(map);
		return err;
	}
	if (!existing && ld->file->btf && !map->btf) {
		bpf_btf_inc(ld->file->btf);
		map->btf = ld->file->btf;
	}
	out->maps[index] = map;
	out->map_existing[index] = existing;
	return 0;
}

/*
 * A program holds the maps that it names, not all of the object's: from here on its instructions
 * have indices into `used`, which lists them. Returns how many there are.
 */
static u32 collect_maps(const struct object_load *ld, struct bpf_object_prog *def,
			struct bpf_map **used, u32 *new_index)
{
	struct bpf_insn *insns = def->insns;
	u32 n = 0;

	for (u32 i = 0; i < ld->file->map_cnt; i++)
		new_index[i] = UINT32_MAX;
	for (u32 i = 0; i < def->insn_cnt; i++) {
		u32 old = (u32)insns[i].imm;

		if (!bpf_insn_is_imm64(&insns[i]))
			continue;
		if ((insns[i].src_reg == BPF_PSEUDO_MAP_IDX ||
		     insns[i].src_reg == BPF_PSEUDO_MAP_IDX_VALUE) &&
		    old < ld->file->map_cnt) {
			if (new_index[old] == UINT32_MAX) {
				used[n] = ld->out->maps[old];
				new_index[old] = n++;
			}
			insns[i].imm = (s32)new_index[old];
		}
		i++;
	}
	return n;
}

static int load_prog(struct object_load *ld, u32 index)
{
	struct bpf_object_prog *def = &ld->file->progs[index];
	const struct bpf_object_load_opts *opts = ld->opts;
	u32 map_cnt = ld->file->map_cnt;
	__do_free struct bpf_map **used = malloc(max(map_cnt, 1u) * sizeof(struct bpf_map *));
	__do_free u32 *new_index = malloc(max(map_cnt, 1u) * sizeof(*new_index));
	struct bpf_log log;
	bool taken = false;
	int err;

	if (!used || !new_index)
		return -ENOMEM;
	struct bpf_prog_load_attr attr = {
		.prog_type = def->type,
		.expected_attach_type = def->expected_attach_type,
		.name = def->name,
		.license = ld->file->license,
		.insns = def->insns,
		.insn_cnt = def->insn_cnt,
		.taken = &taken,
		.maps = used,
		.map_cnt = collect_maps(ld, def, used, new_index),
		.btf = ld->file->btf,
		.func_info = def->func_info,
		.func_info_cnt = def->func_info_cnt,
		.line_info = def->line_info,
		.line_info_cnt = def->line_info_cnt,
		.id = opts && opts->get_prog_id ? opts->get_prog_id(opts->priv) : 0,
		.prog_flags = opts ? opts->prog_flags : 0,
		.no_jit = opts && opts->no_jit,
		.host_funcs = opts ? opts->host_funcs : NULL,
		.notes = def->notes,
		.note_cnt = def->note_cnt,
	};

	bpf_log_init(&log, object_log_level(opts), 0);
	err = bpf_prog_load(&attr, &log, &ld->out->report, opts ? opts->cancel : NULL,
			    &ld->out->progs[index]);
	if (taken)
		def->insns = NULL;
	if (log.len)
		bpf_log_printf(&ld->logs, "\nlog of %s:\n%s", def->name, bpf_log_text(&log));
	bpf_log_free(&log);
	return err;
}

/* What the definitions put into slots: programs of a prog_array, maps of a map of maps. */
static int fill_slots(struct object_load *ld)
{
	int err;

	for (u32 m = 0; m < ld->file->map_cnt; m++) {
		const struct bpf_object_map *def = &ld->file->maps[m];
		bool progs = def->spec.map_type == BPF_MAP_TYPE_PROG_ARRAY;

		if (ld->out->map_existing[m])
			continue;
		for (u32 i = 0; i < def->init_cnt; i++) {
			u32 target = def->init_target[i];
			void *object = NULL;

			if (target < (progs ? ld->file->prog_cnt : ld->file->map_cnt))
				object = progs ? (void *)ld->out->progs[target]
					       : (void *)ld->out->maps[target];
			err = object ? bpf_map_update_slot(ld->out->maps[m], &def->init_slot[i],
							   object, BPF_ANY)
				     : -EINVAL;
			if (err) {
				bpf_log_error(&ld->out->report, "map %s: slot %u: %s", def->name,
					      def->init_slot[i], strerror(-err));
				return err;
			}
		}
	}
	return 0;
}

static int load_all(struct object_load *ld)
{
	struct bpf_loaded *out = ld->out;
	int err = 0;

	out->maps = calloc(max(ld->file->map_cnt, 1u), sizeof(*out->maps));
	out->map_existing = calloc(max(ld->file->map_cnt, 1u), sizeof(*out->map_existing));
	out->progs = calloc(max(ld->file->prog_cnt, 1u), sizeof(*out->progs));
	if (!out->maps || !out->map_existing || !out->progs)
		return -ENOMEM;
	for (u32 i = 0; !err && i < ld->file->map_cnt; i++)
		err = load_map(ld, i);
	for (u32 i = 0; !err && i < ld->file->prog_cnt; i++)
		err = load_prog(ld, i);
	return err ? err : fill_slots(ld);
}

static void drop_all(struct bpf_loaded *out)
{
	for (u32 i = 0; out->file && out->progs && i < out->file->prog_cnt; i++)
		bpf_prog_put(out->progs[i]);
	for (u32 i = 0; out->file && out->maps && i < out->file->map_cnt; i++)
		if (out->maps[i])
			bpf_map_put(out->maps[i]);
	free(out->progs);
	free(out->maps);
	free(out->map_existing);
	out->progs = NULL;
	out->maps = NULL;
	out->map_existing = NULL;
	bpf_object_file_free(out->file);
	out->file = NULL;
}

int bpf_object_load(const void *data, size_t len, const struct bpf_object_load_opts *opts,
		    struct bpf_loaded *out)
{
	struct object_load ld = {.opts = opts, .out = out};
	int err;

	memset(out, 0, sizeof(*out));
	bpf_log_init(&out->report, 0, 0);
	out->report.error = &out->error;
	bpf_log_init(&ld.logs, 0, 0);
	bpf_rcu_thread_online();
	bpf_core_set_features(&core_features);
	err = opts && opts->complete
		      ? bpf_object_read_complete(data, len, opts->type, &out->report, &out->file)
		      : bpf_object_read(data, len, &out->report, &out->file);
	if (err)
		return err;
	ld.file = out->file;
	if (opts && opts->prepare)
		err = opts->prepare(opts->priv, out->file);
	if (!err)
		err = load_all(&ld);
	if (ld.logs.len)
		bpf_log_printf(&out->report, "%s", bpf_log_text(&ld.logs));
	bpf_log_free(&ld.logs);
	if (err)
		drop_all(out);
	return err;
}

/* What bpf_object_read() makes of an object, for one program. */
static struct bpf_object_file *classic_file(const char *name, u32 id)
{
	struct bpf_object_file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->progs = calloc(1, sizeof(*file->progs));
	file->prog_cnt = file->progs ? 1 : 0;
	if (!file->progs) {
		bpf_object_file_free(file);
		return NULL;
	}
	file->progs[0].type = BPF_PROG_TYPE_SOCKET_FILTER;
	if (*name)
		snprintf(file->progs[0].name, sizeof(file->progs[0].name), "%s", name);
	else
		snprintf(file->progs[0].name, sizeof(file->progs[0].name), "filter%u", id);
	return file;
}

int bpf_classic_load(const struct bpf_classic_text *text, const struct bpf_object_load_opts *opts,
		     struct bpf_loaded *out)
{
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.classic = text->insns,
		.classic_len = text->cnt,
		.id = opts->get_prog_id ? opts->get_prog_id(opts->priv) : 0,
		.prog_flags = opts->prog_flags,
		.no_jit = opts->no_jit,
	};
	struct bpf_log log;
	int err = -ENOMEM;

	memset(out, 0, sizeof(*out));
	bpf_log_init(&out->report, 0, 0);
	out->report.error = &out->error;
	bpf_log_init(&log, object_log_level(opts), 0);
	out->file = classic_file(text->name, attr.id);
	out->maps = calloc(1, sizeof(*out->maps));
	out->map_existing = calloc(1, sizeof(*out->map_existing));
	out->progs = calloc(1, sizeof(*out->progs));
	if (out->file && out->maps && out->map_existing && out->progs) {
		attr.name = out->file->progs[0].name;
		err = bpf_prog_load(&attr, &log, &out->report, opts->cancel, &out->progs[0]);
	}
	if (log.len)
		bpf_log_printf(&out->report, "\nlog of %s:\n%s", attr.name, bpf_log_text(&log));
	bpf_log_free(&log);
	if (err)
		drop_all(out);
	return err;
}

void bpf_loaded_free(struct bpf_loaded *loaded)
{
	drop_all(loaded);
	bpf_log_free(&loaded->report);
}

void bpf_load_share_mem(u64 bytes)
{
	bpf_check_share_mem(bytes);
}

u64 bpf_load_shared_mem(void)
{
	return bpf_check_shared_mem();
}
