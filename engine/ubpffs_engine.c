/*
 * ubpffs_engine.c - the library's public face: each function is a thin call of the engine
 */
#include <stdio.h>
#include "core/btf_info.h"
#include "run/sample.h"
#include "load.h"
#include "object/image.h"
#include "run/test_run.h"
#include "time_limit.h"
#include "helpers/trace.h"
#include "ubpffs_engine.h"
#include "map/create.h"
#include "map/ring/ringbuf.h"
#include "map/syscall.h"

#define API UBPFFS_EXPORT

struct ubpffs_object {
	struct bpf_loaded loaded;
};

struct ubpffs_engine {
	struct bpf_host_funcs *funcs;
};

/*
 * What a caller gave of a structure that begins with its size: an older one is shorter, and what it
 * does not have is zero. A longer one must be zero beyond ours. in NULL: all is zero.
 */
static int sized_read(const void *in, void *out, size_t size)
{
	const uint8_t *bytes = in;
	size_t given;

	memset(out, 0, size);
	if (!in)
		return 0;
	memcpy(&given, in, sizeof(given));
	if (given < sizeof(given))
		return -EINVAL;
	for (size_t i = size; i < given; i++)
		if (bytes[i])
			return -E2BIG;
	memcpy(out, in, min(given, size));
	return 0;
}

/* The other way: what the caller has room for of `from`, whose size is his. */
static void sized_write(void *out, const void *from, size_t size)
{
	size_t given;

	memcpy(&given, out, sizeof(given));
	if (given > sizeof(given))
		memcpy((char *)out + sizeof(given), (const char *)from + sizeof(given),
		       min(given, size) - sizeof(given));
}

/* ---- types */

API int ubpffs_btf_load(const void *data, uint32_t size, struct bpf_btf **btf)
{
	*btf = NULL;
	bpf_rcu_thread_online();
	return bpf_btf_new(data, size, btf);
}

API void ubpffs_btf_get(struct bpf_btf *btf)
{
	bpf_btf_inc(btf);
}

API void ubpffs_btf_put(struct bpf_btf *btf)
{
	bpf_btf_put(btf);
}

/* ---- maps */

static int spec_read(const struct ubpffs_map_spec *spec, struct bpf_map_spec *s)
{
	*s = (struct bpf_map_spec){
		.map_type = spec->type,
		.key_size = spec->key_size,
		.value_size = spec->value_size,
		.max_entries = spec->max_entries,
		.map_flags = spec->flags,
	};
	if (spec->name) {
		if (strlen(spec->name) >= sizeof(s->name))
			return -EINVAL;
		strcpy(s->name, spec->name);
	}
	bpf_rcu_thread_online();
	return 0;
}

static int map_create(const struct ubpffs_map_spec *spec, const struct ubpffs_map_opts *opts,
		      struct bpf_map **map)
{
	struct bpf_map_spec s;
	int err = spec_read(spec, &s);

	if (err)
		return err;
	s.map_extra = opts->map_extra;
	s.inner_map_id = opts->inner_map ? opts->inner_map->id : 0;
	s.btf_key_type_id = opts->btf_key_type_id;
	s.btf_value_type_id = opts->btf_value_type_id;
	if (s.btf_key_type_id || s.btf_value_type_id) {
		err = opts->btf ? bpf_btf_check_map(opts->btf, &s) : -EINVAL;
		if (err)
			return err;
	}
	err = bpf_map_create(&s, 0, -1, -1, map);
	if (!err && s.btf_value_type_id) {
		bpf_btf_inc(opts->btf);
		(*map)->btf = opts->btf;
	}
	return err;
}

API int ubpffs_map_create_opts(const struct ubpffs_map_spec *spec,
			       const struct ubpffs_map_opts *opts, struct bpf_map **map)
{
	struct ubpffs_map_opts o;
	int err = sized_read(opts, &o, sizeof(o));

	*map = NULL;
	return err ? err : map_create(spec, &o, map);
}

API int ubpffs_map_create(const struct ubpffs_map_spec *spec, struct bpf_map **map)
{
	return ubpffs_map_create_opts(spec, NULL, map);
}

API int ubpffs_map_share(const struct ubpffs_map_spec *spec, int values_fd, bool rdonly,
			 struct bpf_map **map)
{
	struct bpf_map_spec s;
	int err = spec_read(spec, &s);

	*map = NULL;
	return err ? err : bpf_map_share(&s, values_fd, rdonly, map);
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

API int ubpffs_map_update_prog(struct bpf_map *map, const void *key, struct bpf_prog *prog)
{
	if (map->map_type != BPF_MAP_TYPE_PROG_ARRAY || !prog)
		return -EINVAL;
	return bpf_map_update_slot(map, key, prog, BPF_ANY);
}

API int ubpffs_map_update_map(struct bpf_map *map, const void *key, struct bpf_map *inner)
{
	if ((map->map_type != BPF_MAP_TYPE_ARRAY_OF_MAPS &&
	     map->map_type != BPF_MAP_TYPE_HASH_OF_MAPS) ||
	    !inner)
		return -EINVAL;
	return bpf_map_update_slot(map, key, inner, BPF_ANY);
}

API int ubpffs_map_freeze(struct bpf_map *map)
{
	return bpf_map_freeze(map);
}

API int ubpffs_map_pop(struct bpf_map *map, void *value)
{
	return bpf_map_pop(map, value, 0);
}

API int64_t ubpffs_ring_read(struct bpf_map *map, void **buf, size_t *cap)
{
	if (map->map_type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	return bpf_ringbuf_read(map, buf, cap);
}

/* ---- helpers of the host */

/* The engine's kind of an argument, ARG_DONTCARE for none; -EINVAL: no kind of ours. */
static int arg_type(uint32_t arg)
{
	static const uint32_t types[] = {
		[UBPFFS_ARG_NONE] = ARG_DONTCARE,
		[UBPFFS_ARG_ANY] = ARG_ANYTHING,
		[UBPFFS_ARG_MEM] = ARG_PTR_TO_MEM | MEM_RDONLY,
		[UBPFFS_ARG_MEM_WRITE] = ARG_PTR_TO_MEM | MEM_WRITE,
		[UBPFFS_ARG_MEM_UNINIT] = ARG_PTR_TO_MEM | MEM_UNINIT | MEM_WRITE,
		[UBPFFS_ARG_SIZE] = ARG_CONST_SIZE,
		[UBPFFS_ARG_SIZE_OR_ZERO] = ARG_CONST_SIZE_OR_ZERO,
		[UBPFFS_ARG_MAP] = ARG_CONST_MAP_PTR,
	};
	uint32_t kind = arg & ~(uint32_t)UBPFFS_ARG_OR_NULL;
	uint32_t type = kind < ARRAY_SIZE(types) ? types[kind] : 0;

	if (kind >= ARRAY_SIZE(types) ||
	    (arg & UBPFFS_ARG_OR_NULL && base_type(type) != ARG_PTR_TO_MEM))
		return -EINVAL;
	return (int)(type | (arg & UBPFFS_ARG_OR_NULL ? PTR_MAYBE_NULL : 0));
}

static bool is_size(uint32_t arg)
{
	return arg == UBPFFS_ARG_SIZE || arg == UBPFFS_ARG_SIZE_OR_ZERO;
}

static int proto_args(const struct ubpffs_helper *h, struct bpf_func_proto *proto)
{
	for (int i = 0; i < 5; i++) {
		int type = arg_type(h->arg[i]);
		bool mem = type > 0 && base_type(type) == ARG_PTR_TO_MEM;
		bool sized = i < 4 && is_size(h->arg[i + 1]);
		bool was_mem = i && base_type(proto->arg_type[i - 1]) == ARG_PTR_TO_MEM;

		if (type < 0 || (type && i && !proto->arg_type[i - 1]))
			return -EINVAL;
		/* A size belongs to memory, and memory has one size. */
		if ((is_size(h->arg[i]) && !was_mem) || (mem && sized == !!h->arg_size[i]) ||
		    (!mem && h->arg_size[i]) || h->arg_size[i] > BPF_BLOCK_MAX)
			return -EINVAL;
		proto->arg_type[i] = (enum bpf_arg_type)type;
		proto->arg_size[i] = h->arg_size[i];
	}
	return 0;
}

static int proto_ret(const struct ubpffs_helper *h, struct bpf_func_proto *proto)
{
	uint32_t rdonly = h->ret & UBPFFS_RET_RDONLY ? MEM_RDONLY : 0;
	bool mem = false;

	switch (h->ret & ~(uint32_t)UBPFFS_RET_RDONLY) {
	case UBPFFS_RET_NUMBER:
		proto->ret_type = RET_INTEGER;
		break;
	case UBPFFS_RET_NONE:
		proto->ret_type = RET_VOID;
		break;
	case UBPFFS_RET_MEM:
		mem = true;
		proto->ret_type = (enum bpf_return_type)(RET_PTR_TO_MEM | rdonly);
		break;
	case UBPFFS_RET_MEM_OR_NULL:
		mem = true;
		proto->ret_type = (enum bpf_return_type)(RET_PTR_TO_MEM | PTR_MAYBE_NULL | rdonly);
		break;
	default:
		return -EINVAL;
	}
	proto->ret_size = h->ret_size;
	if (mem ? !h->ret_size || h->ret_size > BPF_BLOCK_MAX : h->ret_size || rdonly)
		return -EINVAL;
	return 0;
}

static bool is_c_name(const char *name)
{
	size_t n = name ? strlen(name) : 0;

	return n && (*name < '0' || *name > '9') &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == n;
}

API int ubpffs_engine_new(struct ubpffs_engine **engine)
{
	int err;

	*engine = calloc(1, sizeof(**engine));
	if (!*engine)
		return -ENOMEM;
	err = bpf_host_funcs_new(&(*engine)->funcs);
	if (err) {
		free(*engine);
		*engine = NULL;
	}
	return err;
}

API void ubpffs_engine_free(struct ubpffs_engine *engine)
{
	if (!engine)
		return;
	bpf_host_funcs_put(engine->funcs);
	free(engine);
}

API int ubpffs_engine_add_helper(struct ubpffs_engine *engine, const struct ubpffs_helper *helper)
{
	struct ubpffs_helper h;
	/* It may leave memory as it was that the program did not initialise. */
	struct bpf_func_proto proto = {.pkt_access = true, .may_leave_uninit = true};
	int err = helper ? sized_read(helper, &h, sizeof(h)) : -EINVAL;

	if (err)
		return err;
	if (!h.func || !is_c_name(h.name))
		return -EINVAL;
	proto.name = h.name;
	proto.id = (enum bpf_func_id)h.id;
	proto.func = h.func;
	err = proto_args(&h, &proto);
	if (!err)
		err = proto_ret(&h, &proto);
	return err ? err : bpf_host_funcs_add(engine->funcs, &proto);
}

/* ---- programs */

static char *copy_text(const char *text)
{
	return text && *text ? strdup(text) : NULL;
}

/* What is not reached stays empty. */
static int verdict_begin(struct ubpffs_verdict *verdict)
{
	const struct ubpffs_verdict r = {.insn = -1};

	if (!verdict)
		return 0;
	if (verdict->size < sizeof(verdict->size))
		return -EINVAL;
	sized_write(verdict, &r, sizeof(r));
	return 0;
}

static void verdict_fill(struct ubpffs_verdict *verdict, const struct bpf_log *report,
			 const struct bpf_log *log, const struct bpf_load_error *error,
			 uint32_t processed)
{
	struct ubpffs_verdict r = {
		.report = copy_text(bpf_log_text(report)),
		.log = copy_text(bpf_log_text(log)),
		.reason = copy_text(error->reason),
		.hint = error->hint,
		.insn = *error->reason ? error->insn : -1,
		.insns_processed = processed ? processed : error->insn_processed,
	};

	sized_write(verdict, &r, sizeof(r));
}

API void ubpffs_verdict_free(struct ubpffs_verdict *verdict)
{
	free(verdict->report);
	free(verdict->log);
	free(verdict->reason);
	verdict->report = verdict->log = verdict->reason = NULL;
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

/* What is wrong with the records beside a program is told as what is wrong with the program. */
static int load_checked(const struct bpf_prog_load_attr *attr, struct bpf_log *log,
			struct bpf_log *report, const volatile bool *cancel, struct bpf_prog **prog)
{
	int err = 0;

	if (attr->btf)
		err = bpf_btf_check_info(attr->btf, attr->insns, attr->insn_cnt, attr->func_info,
					 attr->func_info_cnt, attr->line_info, attr->line_info_cnt,
					 report);
	else if (attr->func_info_cnt || attr->line_info_cnt)
		err = -EINVAL;
	return err ? err : bpf_prog_load(attr, log, report, cancel, prog);
}

/* What is left to do when it is known what to load; what of `o` is of the load is used. */
static int load_prog(const struct bpf_prog_load_attr *attr, const struct ubpffs_load_opts *o,
		     char **log, struct bpf_prog **prog)
{
	struct bpf_load_error error = {.insn = -1};
	struct bpf_time_limit limit;
	const volatile bool *cancel;
	struct bpf_log text, report;
	int err = bpf_time_limit_begin(&limit, o->cancel, o->time_limit_ns, &cancel);

	if (err)
		return err;
	bpf_log_init(&text, o->log_level, 0);
	bpf_log_init(&report, 0, 0);
	report.error = &error;
	bpf_rcu_thread_online();
	err = load_checked(attr, &text, &report, cancel, prog);
	err = bpf_time_limit_end(&limit, err);
	if (log)
		*log = join_logs(&report, &text);
	if (o->verdict)
		verdict_fill(o->verdict, &report, &text, &error, err ? 0 : (*prog)->verified_insns);
	bpf_log_free(&text);
	bpf_log_free(&report);
	return err;
}

API int ubpffs_prog_load(const struct ubpffs_prog_spec *spec, const struct ubpffs_load_opts *opts,
			 char **log, struct bpf_prog **prog)
{
	struct ubpffs_load_opts o;
	int err = sized_read(opts, &o, sizeof(o));

	*prog = NULL;
	if (log)
		*log = NULL;
	if (!err)
		err = verdict_begin(o.verdict);
	if (err)
		return err;
	const struct bpf_prog_load_attr attr = {
		.prog_type = spec->type,
		.expected_attach_type = spec->expected_attach_type,
		.name = spec->name,
		.license = spec->license,
		.insns = spec->insns,
		.insn_cnt = spec->insn_cnt,
		.maps = spec->maps,
		.map_cnt = spec->map_cnt,
		.no_jit = o.no_jit,
		.prog_flags = o.prog_flags,
		.btf = o.btf,
		.func_info = o.func_info,
		.func_info_cnt = o.func_info_cnt,
		.line_info = o.line_info,
		.line_info_cnt = o.line_info_cnt,
		.classic = o.classic,
		.classic_len = o.classic_cnt,
		.host_funcs = o.engine ? o.engine->funcs : NULL,
		.unverified = o.run_unverified,
	};

	return load_prog(&attr, &o, log, prog);
}

/* Options of a program, which an object and an image have of their own. */
static bool describes_prog(const struct ubpffs_load_opts *o)
{
	return o->btf || o->func_info_cnt || o->line_info_cnt || o->classic_cnt || o->prog_flags ||
	       o->run_unverified;
}

static int image_maps(const struct bpf_image *image, ubpffs_get_map_fn get_map, void *ctx,
		      struct bpf_map **maps, uint32_t *cnt)
{
	for (*cnt = 0; *cnt < image->attr.map_cnt; ++*cnt) {
		int err = get_map(ctx, image->map_ids[*cnt], &maps[*cnt]);

		if (err)
			return err;
	}
	return 0;
}

static int image_load(const struct bpf_image *image, const struct ubpffs_load_opts *o,
		      ubpffs_get_map_fn get_map, void *ctx, struct bpf_prog **prog)
{
	struct bpf_prog_load_attr attr = image->attr;
	struct bpf_map *maps[BPF_MAX_USED_MAPS];
	uint32_t cnt = 0;
	int err;

	if (attr.map_cnt > BPF_MAX_USED_MAPS)
		return -EBADMSG;
	bpf_rcu_thread_online();
	attr.maps = maps;
	attr.id = 0;
	attr.no_jit = o->no_jit;
	attr.host_funcs = o->engine ? o->engine->funcs : NULL;
	if (!image->btf_size)
		attr.func_info_cnt = attr.line_info_cnt = 0;
	err = image->btf_size ? bpf_btf_new(image->btf_data, image->btf_size, &attr.btf) : 0;
	if (!err)
		err = image_maps(image, get_map, ctx, maps, &cnt);
	if (!err)
		err = load_prog(&attr, o, NULL, prog);
	for (uint32_t i = 0; i < cnt; i++)
		bpf_map_put(maps[i]);
	bpf_btf_put(attr.btf);
	return err;
}

API int ubpffs_image_load(const void *data, size_t size, const struct ubpffs_load_opts *opts,
			  ubpffs_get_map_fn get_map, void *ctx, struct bpf_prog **prog)
{
	struct ubpffs_load_opts o;
	struct bpf_image image;
	int err = sized_read(opts, &o, sizeof(o));

	*prog = NULL;
	if (!err && describes_prog(&o))
		err = -EINVAL;
	if (!err)
		err = verdict_begin(o.verdict);
	if (!err)
		err = bpf_image_parse(data, size, &image);
	if (err)
		return err;
	err = image_load(&image, &o, get_map, ctx, prog);
	bpf_image_free(&image);
	return err;
}

API uint32_t ubpffs_prog_type(const struct bpf_prog *prog)
{
	return prog->type;
}

API uint32_t ubpffs_prog_block_size(const struct bpf_prog *prog)
{
	return (u32)prog->type == BPF_PROG_TYPE_RAW ? bpf_prog_block_size(prog) : 0;
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

/* frame: of who called us, where the user stack that programs see begins. */
static int test_run(struct bpf_prog *prog, struct ubpffs_test_run *run, struct ubpffs_run_opts *o,
		    void *frame)
{
	void *outer = bpf_user_frame;
	struct bpf_time_limit limit;
	struct bpf_test_run r = {
		.data_in = run->data_in,
		.data_size_in = run->data_size_in,
		.data_out = run->data_out,
		.data_size_out = run->data_size_out,
		.repeat = run->repeat,
		.ctx_in = o->ctx_in,
		.ctx_size_in = o->ctx_size_in,
		.ctx_out = o->ctx_out,
		.ctx_size_out = o->ctx_size_out,
		.flags = o->flags,
	};
	int err = bpf_time_limit_begin(&limit, o->cancel, o->time_limit_ns, &r.cancel);

	if (err)
		return err;
	bpf_user_frame = frame;
	err = bpf_prog_test_run(prog, &r);
	bpf_user_frame = outer;
	err = bpf_time_limit_end(&limit, err);
	run->retval = r.retval;
	run->duration = r.duration;
	run->data_size_out = r.data_size_out;
	o->ctx_size_out = r.ctx_size_out;
	return err;
}

API int ubpffs_prog_test_run_opts(struct bpf_prog *prog, struct ubpffs_test_run *run,
				  struct ubpffs_run_opts *opts)
{
	struct ubpffs_run_opts o;
	int err = sized_read(opts, &o, sizeof(o));

	if (err)
		return err;
	err = test_run(prog, run, &o, __builtin_frame_address(0));
	if (opts)
		sized_write(opts, &o, sizeof(o));
	return err;
}

API int ubpffs_prog_test_run(struct bpf_prog *prog, struct ubpffs_test_run *run)
{
	struct ubpffs_run_opts none = {.size = sizeof(none)};

	return test_run(prog, run, &none, __builtin_frame_address(0));
}

API int ubpffs_prog_run(struct bpf_prog *prog, void *block, size_t size, uint64_t *ret)
{
	if (unlikely((u32)prog->type != BPF_PROG_TYPE_RAW))
		return -EOPNOTSUPP;
	if (unlikely(size < bpf_prog_block_size(prog)))
		return -EINVAL;
	bpf_run_enter();
	*ret = bpf_prog_run(prog, block);
	bpf_run_exit();
	return unlikely(READ_ONCE(prog->poisoned)) ? -EIO : 0;
}

/* A run that is cancelled goes its way to its end, so it may have ended by itself all the same. */
static int run_until(struct bpf_prog *prog, void *block, size_t size, const volatile bool *flag,
		     uint64_t *ret)
{
	const volatile bool *outer = bpf_run_set_cancel(flag);
	int err = -EINTR;

	if (bpf_run_enter_unless_cancelled()) {
		err = ubpffs_prog_run(prog, block, size, ret);
		bpf_run_exit();
	}
	if (!err && bpf_run_cancelled())
		err = -EINTR;
	bpf_this.cancel = outer;
	return err;
}

API int ubpffs_prog_run_opts(struct bpf_prog *prog, void *block, size_t size,
			     const struct ubpffs_run_opts *opts, uint64_t *ret)
{
	struct bpf_time_limit limit;
	struct ubpffs_run_opts o;
	const volatile bool *flag;
	int err = sized_read(opts, &o, sizeof(o));

	if (!err && (o.ctx_in || o.ctx_out || o.ctx_size_in || o.ctx_size_out || o.flags))
		err = -EINVAL;
	if (!err)
		err = bpf_time_limit_begin(&limit, o.cancel, o.time_limit_ns, &flag);
	if (err)
		return err;
	return bpf_time_limit_end(&limit, run_until(prog, block, size, flag, ret));
}

API void ubpffs_slot_keep(void)
{
	bpf_slot_keep();
}

API void ubpffs_slot_release(void)
{
	bpf_slot_release();
}

/* ---- objects */

static uint32_t object_processed(const struct bpf_loaded *loaded)
{
	uint32_t sum = 0;

	for (u32 i = 0; loaded->file && i < loaded->file->prog_cnt; i++)
		sum += loaded->progs[i]->verified_insns;
	return sum;
}

API int ubpffs_object_load(const void *elf, size_t size, const struct ubpffs_load_opts *opts,
			   struct ubpffs_object **obj)
{
	struct bpf_time_limit limit;
	struct ubpffs_load_opts o;
	struct bpf_object_load_opts load = {0};
	int err = sized_read(opts, &o, sizeof(o));

	*obj = NULL;
	if (!err && describes_prog(&o))
		err = -EINVAL;
	if (!err)
		err = verdict_begin(o.verdict);
	if (err)
		return err;
	*obj = calloc(1, sizeof(**obj));
	if (!*obj)
		return -ENOMEM;
	err = bpf_time_limit_begin(&limit, o.cancel, o.time_limit_ns, &load.cancel);
	if (err)
		return err;
	load.log_level = o.log_level;
	load.no_jit = o.no_jit;
	load.host_funcs = o.engine ? o.engine->funcs : NULL;
	err = bpf_object_load(elf, size, &load, &(*obj)->loaded);
	err = bpf_time_limit_end(&limit, err);
	if (o.verdict)
		verdict_fill(o.verdict, &(*obj)->loaded.report, NULL, &(*obj)->loaded.error,
			     object_processed(&(*obj)->loaded));
	return err;
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

/* ---- what there is */

struct feature_walk {
	uint32_t left; /* rows before the one that is wanted */
	struct ubpffs_feature *out;
};

/* Is it this one? */
static bool take_row(struct feature_walk *w, struct ubpffs_feature row)
{
	if (w->left--)
		return false;
	sized_write(w->out, &row, sizeof(row));
	return true;
}

static bool type_helpers(struct feature_walk *w, u32 type)
{
	struct bpf_prog prog = {.type = type, .gpl_compatible = true};

	for (u32 id = 1; id < BPF_FUNC_MAX; id++) {
		const struct bpf_func_proto *proto = bpf_prog_func_proto(&prog, id);

		if (proto && proto->func &&
		    take_row(w, (struct ubpffs_feature){.kind = UBPFFS_FEATURE_HELPER,
							.id = id,
							.prog_type = type,
							.gpl_only = proto->gpl_only,
							.name = proto->name}))
			return true;
	}
	return false;
}

API int ubpffs_feature(uint32_t index, struct ubpffs_feature *feature)
{
	struct feature_walk w = {.left = index, .out = feature};
	u32 type;

	if (feature->size < sizeof(feature->size))
		return -EINVAL;
	for (type = bpf_prog_type_next(0); type; type = bpf_prog_type_next(type))
		if (bpf_prog_type_ops_find(type) &&
		    take_row(&w, (struct ubpffs_feature){.kind = UBPFFS_FEATURE_PROG_TYPE,
							 .id = type,
							 .name = bpf_prog_type_name(type)}))
			return 0;
	for (type = 1; bpf_map_type_name(type); type++)
		if (bpf_map_ops_find(type) &&
		    take_row(&w, (struct ubpffs_feature){.kind = UBPFFS_FEATURE_MAP_TYPE,
							 .id = type,
							 .name = bpf_map_type_name(type)}))
			return 0;
	for (type = bpf_prog_type_next(0); type; type = bpf_prog_type_next(type))
		if (type_helpers(&w, type))
			return 0;
	return -ENOENT;
}
