/*
 * bpf.c - a bpf(2) call comes in: attr is copied and checked, the command found (commands/call.h)
 *
 * What the table does not have is EINVAL, as a kernel gives that does not know the command.
 */
#include <errno.h>
#include <string.h>
#include "tools/run/bpf.h"
#include "tools/run/commands/batch.h"
#include "tools/run/commands/btf.h"
#include "tools/run/commands/cgroup.h"
#include "tools/run/commands/map.h"
#include "tools/run/commands/object.h"
#include "tools/run/commands/prog.h"
#include "tools/run/caller/trace.h"

#define UP_TO(field) (offsetof(union bpf_attr, field) + sizeof(((union bpf_attr *)0)->field))
#define ATTR_MAX     4096 /* as the kernel: a page */
static const struct command {
	int cmd;
	size_t end; /* of its last field */
	long (*run)(struct bpf_call *call);
} commands[] = {
	{BPF_MAP_CREATE, UP_TO(map_extra), run_map_create},
	{BPF_MAP_LOOKUP_ELEM, UP_TO(flags), run_map_elem},
	{BPF_MAP_UPDATE_ELEM, UP_TO(flags), run_map_elem},
	{BPF_MAP_DELETE_ELEM, UP_TO(key), run_map_elem},
	{BPF_MAP_GET_NEXT_KEY, UP_TO(next_key), run_map_elem},
	{BPF_MAP_LOOKUP_AND_DELETE_ELEM, UP_TO(flags), run_map_elem},
	{BPF_MAP_FREEZE, UP_TO(map_fd), run_map_freeze},
	{BPF_MAP_LOOKUP_BATCH, UP_TO(batch.flags), run_map_batch},
	{BPF_MAP_LOOKUP_AND_DELETE_BATCH, UP_TO(batch.flags), run_map_batch},
	{BPF_MAP_UPDATE_BATCH, UP_TO(batch.flags), run_map_batch},
	{BPF_MAP_DELETE_BATCH, UP_TO(batch.flags), run_map_batch},
	{BPF_BTF_LOAD, BTF_LOAD_END, run_btf_load},
	{BPF_PROG_LOAD, PROG_LOAD_END, run_prog_load},
	{BPF_PROG_ATTACH, UP_TO(replace_bpf_fd), run_prog_attach},
	{BPF_PROG_DETACH, UP_TO(replace_bpf_fd), run_prog_detach},
	{BPF_PROG_QUERY, UP_TO(query.prog_attach_flags), run_prog_query},
	{BPF_LINK_CREATE, UP_TO(link_create.kprobe_multi.cookies), run_link_create},
	{BPF_LINK_UPDATE, UP_TO(link_update.old_prog_fd), run_link_update},
	{BPF_LINK_DETACH, UP_TO(link_detach.link_fd), run_link_detach},
	{BPF_PROG_BIND_MAP, UP_TO(prog_bind_map.flags), run_prog_bind_map},
	{BPF_PROG_TEST_RUN, UP_TO(test.batch_size), run_prog_test_run},
	{BPF_OBJ_PIN, PATH_END, run_obj_pin},
	{BPF_OBJ_GET, PATH_END, run_obj_get},
	{BPF_MAP_GET_NEXT_ID, UP_TO(next_id), run_get_next_id},
	{BPF_PROG_GET_NEXT_ID, UP_TO(next_id), run_get_next_id},
	{BPF_BTF_GET_NEXT_ID, UP_TO(next_id), run_get_next_id},
	{BPF_LINK_GET_NEXT_ID, UP_TO(next_id), run_get_next_id},
	{BPF_MAP_GET_FD_BY_ID, UP_TO(open_flags), run_get_fd_by_id},
	{BPF_PROG_GET_FD_BY_ID, UP_TO(prog_id), run_get_fd_by_id},
	{BPF_BTF_GET_FD_BY_ID, UP_TO(btf_id), run_get_fd_by_id},
	{BPF_LINK_GET_FD_BY_ID, UP_TO(link_id), run_get_fd_by_id},
	{BPF_OBJ_GET_INFO_BY_FD, UP_TO(info.info), run_obj_get_info},
	{BPF_ENABLE_STATS, UP_TO(enable_stats.type), run_enable_stats},
	{BPF_TASK_FD_QUERY, UP_TO(task_fd_query.probe_addr), run_task_fd_query},
};

static bool zero_from(const char *bytes, size_t from, size_t to)
{
	for (; from < to; from++)
		if (bytes[from])
			return false;
	return true;
}

static long run(struct bpf_call *call)
{
	struct caller *c = call->c;
	char bytes[ATTR_MAX];
	size_t i;
	int err;

	call->size = CALLER_ARG(c, 2);
	if (call->size > ATTR_MAX)
		return -E2BIG;
	err = caller_read(c, call->uattr, bytes, call->size);
	if (err)
		return err;
	if (!zero_from(bytes, sizeof(call->bytes), call->size))
		return -E2BIG;
	memcpy(call->bytes, bytes,
	       call->size < sizeof(call->bytes) ? call->size : sizeof(call->bytes));
	for (i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].cmd == call->cmd) {
			if (!zero_from((char *)call->bytes, commands[i].end, sizeof(call->bytes)))
				return -EINVAL;
			return commands[i].run(call);
		}
	return -EINVAL;
}

void run_bpf(struct caller *c)
{
	struct bpf_call call = {.c = c, .cmd = CALLER_ARG(c, 0), .uattr = CALLER_ARG(c, 1)};
	long ret;

	memset(&call.attr, 0, sizeof(call.attr));
	memset(call.bytes, 0, sizeof(call.bytes));
	/* All that the mount is asked is asked with the caller's ids. */
	ret = caller_become(c);
	if (!ret) {
		ret = run(&call);
		caller_return();
	}
	run_trace_bpf(c->tid, call.cmd, &call.attr, call.size, c->given >= 0 ? c->given : ret);
	caller_answer(c, ret);
}
