/*
 * prog.c - loads by ioctl, and test runs
 */
#include <fcntl.h>
#include <time.h>
#include "core/btf_info.h"
#include "run/run.h"
#include "fs/caller/strict.h"
#include "fs/ioctl/commands/btf.h"
#include "fs/ioctl/commands/object.h"
#include "fs/ioctl/commands/prog.h"
#include "fs/store/create.h"
#include "fs/store/objects/files.h"
#include "load.h"
#include "run/test_run.h"

#define MAX_INSNS    BPF_COMPLEXITY_LIMIT_INSNS
#define MAX_RUN_DATA (1u << 24)

int control_prog_test_run(struct control_call *call)
{
	struct ubpffs_prog_run args;
	struct bpf_test_run run = {.cancel = &call->req->cancel};
	struct bpf_prog *prog;
	char *out = NULL;
	int err = control_prog(call, O_WRONLY, &prog); /* as the file `run` */

	if (err)
		return err;
	if (call->in_len < sizeof(args) || call->room < sizeof(args))
		return -EINVAL;
	memcpy(&args, call->in, sizeof(args));
	if (call->in_len - sizeof(args) != (u64)args.data_size_in + args.ctx_size_in ||
	    (u64)args.data_size_out + args.ctx_size_out > call->room - sizeof(args) ||
	    call->room > MAX_RUN_DATA)
		return -EINVAL;
	out = malloc((size_t)args.data_size_out + args.ctx_size_out + 1);
	if (!out)
		return -ENOMEM;
	run.data_in = args.data_size_in ? call->in + sizeof(args) : NULL;
	run.data_size_in = args.data_size_in;
	run.ctx_in = args.ctx_size_in ? call->in + sizeof(args) + args.data_size_in : NULL;
	run.ctx_size_in = args.ctx_size_in;
	run.data_out = args.data_size_out ? out : NULL;
	run.data_size_out = args.data_size_out;
	run.ctx_out = args.ctx_size_out ? out + args.data_size_out : NULL;
	run.ctx_size_out = args.ctx_size_out;
	run.repeat = args.repeat;
	run.flags = args.flags;
	err = bpf_prog_test_run(prog, &run);
	if (err == -EINTR)
		err = fs_cancel_error(call->req);
	if (!err || err == -ENOSPC) {
		u32 data_room = args.data_size_out, ctx_room = args.ctx_size_out;

		args.data_size_out = run.data_size_out;
		args.ctx_size_out = run.ctx_size_out;
		args.retval = run.retval;
		args.duration = run.duration;
		control_answer(call, &args, sizeof(args));
		control_answer(call, out, min(run.data_size_out, data_room));
		control_answer(call, out + data_room, min(run.ctx_size_out, ctx_room));
	}
	free(out);
	return err;
}

/* The maps that the tokens stand for; references in maps[0..*nr). */
static int maps_of_tokens(struct control_call *call, const char *tokens, u32 cnt,
			  struct bpf_map **maps, bool *rdonly, u32 *nr)
{
	u64 token;

	for (*nr = 0; *nr < cnt; (*nr)++) {
		memcpy(&token, tokens + *nr * sizeof(token), sizeof(token));
		maps[*nr] = control_map_by_token(token, &rdonly[*nr]);
		if (!maps[*nr])
			return fs_error(call->req, EBADF, "map %u of the load is no open map", *nr);
	}
	return 0;
}

static int load(struct control_call *call, const struct bpf_prog_load_attr *attr,
		struct bpf_log *log)
{
	struct bpf_prog *prog;
	int err;

	err = bpf_prog_load(attr, log, NULL, &call->req->cancel, &prog);
	if (err)
		return err == -EINTR ? fs_cancel_error(call->req) : err;
	err = store_prog_add(prog, &call->req->cred, 0600, fs_why(call->req));
	if (err)
		bpf_prog_put(prog);
	else
		control_hold(call->open, prog, NULL, NULL, 0);
	return err;
}

/*
 * What follows the license at `at`: types with their records, which are checked, so that the engine
 * may trust them. *storage is what attr then points into; it and attr->btf are the caller's.
 */
static int types_of_load(struct control_call *call, u32 btf_id, size_t at,
			 struct bpf_prog_load_attr *attr, void **storage, struct bpf_log *log)
{
	size_t funcs, lines, left = call->in_len - at;
	struct ubpffs_load_btf cnt;
	char *copy;
	int err;

	if (left < sizeof(cnt))
		return -EINVAL;
	memcpy(&cnt, call->in + at, sizeof(cnt));
	funcs = cnt.func_info_cnt * sizeof(struct bpf_func_info);
	lines = cnt.line_info_cnt * sizeof(struct bpf_line_info);
	if (left - sizeof(cnt) != funcs + lines)
		return -EINVAL;
	err = control_btf_by_id(call, btf_id, &attr->btf);
	if (err)
		return err;
	copy = *storage = malloc(funcs + lines + 1); /* aligned */
	if (!copy)
		return -ENOMEM;
	memcpy(copy, call->in + at + sizeof(cnt), funcs + lines);
	attr->func_info = (const struct bpf_func_info *)copy;
	attr->func_info_cnt = cnt.func_info_cnt;
	attr->line_info = (const struct bpf_line_info *)(copy + funcs);
	attr->line_info_cnt = cnt.line_info_cnt;
	return bpf_btf_check_info(attr->btf, attr->insns, attr->insn_cnt, attr->func_info,
				  attr->func_info_cnt, attr->line_info, attr->line_info_cnt, log);
}

int control_prog_load(struct control_call *call)
{
	struct bpf_map *maps[BPF_MAX_USED_MAPS];
	bool rdonly[BPF_MAX_USED_MAPS];
	struct ubpffs_load_result result = {0};
	struct ubpffs_prog_load args;
	struct bpf_prog_load_attr attr = {0};
	struct bpf_insn *insns;
	struct bpf_log log;
	const char *tokens, *license;
	size_t insn_len, before;
	bool taken = false;
	void *types = NULL;
	u32 nr = 0, i;
	int err;

	if (call->in_len < sizeof(args) || call->room < sizeof(result))
		return -EINVAL;
	memcpy(&args, call->in, sizeof(args));
	insn_len = (size_t)args.insn_cnt * sizeof(struct bpf_insn);
	if (!args.insn_cnt || args.insn_cnt > MAX_INSNS || args.map_cnt > BPF_MAX_USED_MAPS)
		return args.insn_cnt && args.map_cnt <= BPF_MAX_USED_MAPS ? -E2BIG : -EINVAL;
	tokens = call->in + sizeof(args) + insn_len;
	license = tokens + args.map_cnt * sizeof(u64);
	before = sizeof(args) + insn_len + args.map_cnt * sizeof(u64) + args.license_len;
	if (!args.license_len || args.license_len > 128 || !control_name_ok(args.prog_name) ||
	    call->in_len < before || (!args.btf_id && call->in_len != before))
		return -EINVAL;
	if (license[args.license_len - 1] || args.prog_flags & PROG_F_STRICT)
		return -EINVAL;

	insns = malloc(insn_len); /* aligned */
	if (!insns)
		return -ENOMEM;
	memcpy(insns, call->in + sizeof(args), insn_len);
	bpf_log_init(&log, args.log_level, 0);
	attr.insns = insns;
	attr.taken = &taken;
	attr.insn_cnt = args.insn_cnt;
	err = args.btf_id ? types_of_load(call, args.btf_id, before, &attr, &types, &log) : 0;
	if (!err)
		err = maps_of_tokens(call, tokens, args.map_cnt, maps, rdonly, &nr);
	if (!err) {
		attr.prog_type = args.prog_type;
		attr.expected_attach_type = args.expected_attach_type;
		attr.name = args.prog_name;
		attr.license = license;
		attr.maps = maps;
		attr.maps_rdonly = rdonly;
		attr.map_cnt = nr;
		attr.prog_flags = args.prog_flags | strict_flags(call->req->cred.uid);
		attr.id = store_next_id();
		err = load(call, &attr, &log);
	}
	for (i = 0; i < nr; i++)
		bpf_map_put(maps[i]);
	bpf_btf_put(attr.btf);
	free(types);
	if (!taken)
		free(insns);

	result.id = err ? 0 : attr.id;
	result.log_true_size = log.len + 1;
	result.log_size = min((size_t)result.log_true_size, call->room - sizeof(result));
	control_answer(call, &result, sizeof(result));
	if (result.log_size) {
		control_answer(call, bpf_log_text(&log), result.log_size - 1);
		control_answer(call, "", 1);
	}
	bpf_log_free(&log);
	return err;
}

/* What it holds then is the program's for as long as this server lives: no image says it. */
int control_prog_bind_map(struct control_call *call)
{
	struct bpf_prog *prog;
	struct bpf_map *map;
	bool rdonly;
	u64 token;
	int err = control_prog(call, CONTROL_ANY, &prog);

	if (err)
		return err;
	if (call->in_len != sizeof(token))
		return -EINVAL;
	memcpy(&token, call->in, sizeof(token));
	map = control_map_by_token(token, &rdonly);
	if (!map)
		return fs_error(call->req, EBADF, "the map to bind is no open map");
	err = bpf_prog_bind_map(prog, map);
	bpf_map_put(map);
	return err;
}
