/*
 * ubpffs_engine.c - the library's public face: each function is a thin call of the engine
 */
#include <stdio.h>
#include "run/sample.h"
#include "load.h"
#include "run/test_run.h"
#include "helpers/trace.h"
#include "ubpffs_engine.h"
#include "map/create.h"
#include "map/syscall.h"

#define API UBPFFS_EXPORT

struct ubpffs_object {
	struct bpf_loaded loaded;
};

/* ---- maps */

API int ubpffs_map_create(const struct ubpffs_map_spec *spec, struct bpf_map **map)
{
	struct bpf_map_spec s = {
		.map_type = spec->type,
		.key_size = spec->key_size,
		.value_size = spec->value_size,
		.max_entries = spec->max_entries,
		.map_flags = spec->flags,
	};

	*map = NULL;
	if (spec->name) {
		if (strlen(spec->name) >= sizeof(s.name))
			return -EINVAL;
		strcpy(s.name, spec->name);
	}
	bpf_rcu_thread_online();
	return bpf_map_create(&s, 0, -1, -1, map);
}

API void ubpffs_map_get(struct bpf_map *map)
{
	bpf_map_inc(map);
}

API void ubpffs_map_put(struct bpf_map *map)
{
	if (map)
		bpf_map_put(map);
}

API uint32_t ubpffs_map_value_size(const struct bpf_map *map)
{
	return bpf_map_value_size(map);
}

API int ubpffs_map_lookup(struct bpf_map *map, const void *key, void *value, uint64_t flags)
{
	return bpf_map_lookup(map, key, value, flags);
}

API int ubpffs_map_update(struct bpf_map *map, const void *key, const void *value, uint64_t flags)
{
	return bpf_map_update(map, key, value, flags);
}

API int ubpffs_map_delete(struct bpf_map *map, const void *key)
{
	return bpf_map_delete(map, key);
}

API int ubpffs_map_next_key(struct bpf_map *map, const void *key, void *next_key)
{
	return bpf_map_next_key(map, key, next_key);
}

/* ---- programs */

/*
 * An older caller's structure is shorter: what it does not have is zero. A longer one must be zero
 * beyond ours.
 */
static int opts_read(const struct ubpffs_load_opts *opts, struct ubpffs_load_opts *out)
{
	const uint8_t *bytes = (const uint8_t *)opts;

	memset(out, 0, sizeof(*out));
	if (!opts)
		return 0;
	if (opts->size < sizeof(opts->size))
		return -EINVAL;
	for (size_t i = sizeof(*out); i < opts->size; i++)
		if (bytes[i])
			return -E2BIG;
	memcpy(out, opts, min(opts->size, sizeof(*out)));
	return 0;
}

/* The report, and the log after it, as one text. NULL when there is no memory for it. */
static char *join_logs(const struct bpf_log *report, const struct bpf_log *log)
{
	char *text;

	if (asprintf(&text, "%s%s%s", bpf_log_text(report), log->len ? "\n" : "",
		     bpf_log_text(log)) < 0)
		return NULL;
	return text;
}

API int ubpffs_prog_load(const struct ubpffs_prog_spec *spec, const struct ubpffs_load_opts *opts,
			 char **log, struct bpf_prog **prog)
{
	struct ubpffs_load_opts o;
	struct bpf_log text, report;
	int err = opts_read(opts, &o);

	*prog = NULL;
	if (log)
		*log = NULL;
	if (err)
		return err;
	struct bpf_prog_load_attr attr = {
		.prog_type = spec->type,
		.expected_attach_type = spec->expected_attach_type,
		.name = spec->name,
		.license = spec->license,
		.insns = spec->insns,
		.insn_cnt = spec->insn_cnt,
		.maps = spec->maps,
		.map_cnt = spec->map_cnt,
		.no_jit = o.no_jit,
	};

	bpf_log_init(&text, o.log_level, 0);
	bpf_log_init(&report, 0, 0);
	err = bpf_prog_load(&attr, &text, &report, NULL, prog);
	if (log)
		*log = join_logs(&report, &text);
	bpf_log_free(&text);
	bpf_log_free(&report);
	return err;
}

API void ubpffs_prog_get(struct bpf_prog *prog)
{
	bpf_prog_inc(prog);
}

API void ubpffs_prog_put(struct bpf_prog *prog)
{
	bpf_prog_put(prog);
}

API bool ubpffs_prog_jited(const struct bpf_prog *prog)
{
	return prog->jited_len;
}

API int ubpffs_prog_test_run(struct bpf_prog *prog, struct ubpffs_test_run *run)
{
	struct bpf_test_run r = {
		.data_in = run->data_in,
		.data_size_in = run->data_size_in,
		.data_out = run->data_out,
		.data_size_out = run->data_size_out,
		.repeat = run->repeat,
	};
	void *outer = bpf_user_frame;
	int err;

	/* The user stack that programs see begins at who called us. */
	bpf_user_frame = __builtin_frame_address(0);
	err = bpf_prog_test_run(prog, &r);
	bpf_user_frame = outer;
	run->retval = r.retval;
	run->duration = r.duration;
	run->data_size_out = r.data_size_out;
	return err;
}

/* ---- objects */

API int ubpffs_object_load(const void *elf, size_t size, const struct ubpffs_load_opts *opts,
			   struct ubpffs_object **obj)
{
	struct ubpffs_load_opts o;
	int err = opts_read(opts, &o);

	*obj = NULL;
	if (err)
		return err;
	struct bpf_object_load_opts load = {.log_level = o.log_level, .no_jit = o.no_jit};

	*obj = calloc(1, sizeof(**obj));
	if (!*obj)
		return -ENOMEM;
	return bpf_object_load(elf, size, &load, &(*obj)->loaded);
}

API void ubpffs_object_free(struct ubpffs_object *obj)
{
	if (!obj)
		return;
	bpf_loaded_free(&obj->loaded);
	free(obj);
}

API const char *ubpffs_object_report(const struct ubpffs_object *obj)
{
	return obj ? bpf_log_text(&obj->loaded.report) : "";
}

API int ubpffs_object_error(const struct ubpffs_object *obj, struct ubpffs_error *error)
{
	const struct bpf_load_error *e = obj ? &obj->loaded.error : NULL;
	struct ubpffs_error out = {.size = error->size};

	if (error->size < sizeof(error->size))
		return -EINVAL;
	if (!e || !*e->reason)
		return -ENOENT;
	out.prog = e->prog;
	out.reason = e->reason;
	out.hint = e->hint ? e->hint : "";
	out.source = e->source;
	out.insn = e->insn;
	memcpy(error, &out, min(error->size, sizeof(out)));
	return 0;
}

API struct bpf_prog *ubpffs_object_prog(const struct ubpffs_object *obj, const char *name)
{
	const struct bpf_object_file *file = obj ? obj->loaded.file : NULL;

	for (u32 i = 0; file && i < file->prog_cnt; i++)
		if (!strcmp(file->progs[i].name, name))
			return obj->loaded.progs[i];
	return NULL;
}

API struct bpf_map *ubpffs_object_map(const struct ubpffs_object *obj, const char *name)
{
	const struct bpf_object_file *file = obj ? obj->loaded.file : NULL;

	for (u32 i = 0; file && i < file->map_cnt; i++)
		if (!strcmp(file->maps[i].name, name))
			return obj->loaded.maps[i];
	return NULL;
}

API size_t ubpffs_trace_read(char *buf, size_t len)
{
	return bpf_trace_read(buf, len);
}
