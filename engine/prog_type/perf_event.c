/*
 * perf_event.c - programs on samples: struct bpf_perf_event_data
 *
 * The context that programs see is the one that we keep: the user registers, the sampling period,
 * the address. What the kernel knows besides (stacks, the task, the counter) is in bpf_this.sample
 * (run/sample.h).
 */
#include <linux/bpf_perf_event.h>
#include <stdio.h>
#include <sys/syscall.h>
#include "helpers/helpers.h"
#include "insn/reg.h"
#include "map/types/stackmap.h"
#include "prog_type/perf_output.h"
#include "run/sample.h"
#include "run/test_run.h"

static u64 bpf_get_current_pid_tgid(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_sample *s = bpf_this.sample;

	return s ? (u64)s->pid << 32 | s->tid : (u64)getpid() << 32 | (u32)gettid();
}

static u64 bpf_get_current_uid_gid(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_sample *s = bpf_this.sample;

	return s ? (u64)s->gid << 32 | s->uid : (u64)getgid() << 32 | getuid();
}

static u64 bpf_get_current_comm(u64 buf, u64 size, u64 r3, u64 r4, u64 r5)
{
	const struct bpf_sample *s = bpf_this.sample;
	char comm[16] = "", *to = PTR(buf);
	FILE *f;

	if (s) {
		memcpy(comm, s->comm, sizeof(comm));
	} else {
		f = fopen("/proc/thread-self/comm", "re");
		if (f && fgets(comm, sizeof(comm), f))
			comm[strcspn(comm, "\n")] = 0;
		if (f)
			fclose(f);
	}
	comm[sizeof(comm) - 1] = 0;
	memset(to, 0, (u32)size);
	memcpy(to, comm, min((size_t)(u32)size - 1, strlen(comm)));
	return 0;
}

static u64 bpf_perf_prog_read_value(u64 ctx, u64 buf, u64 size, u64 r4, u64 r5)
{
	const struct bpf_sample *s = bpf_this.sample;
	struct bpf_perf_event_value *value = PTR(buf);

	memset(value, 0, (u32)size);
	if ((u32)size != sizeof(*value))
		return (u64)-EINVAL;
	if (!s || !s->has_counter)
		return (u64)-ENOENT;
	value->counter = s->counter;
	value->enabled = s->enabled;
	value->running = s->running;
	return 0;
}

static const struct bpf_func_proto current_pid_tgid_proto = {
	.name = "bpf_get_current_pid_tgid",
	.id = BPF_FUNC_get_current_pid_tgid,
	.func = bpf_get_current_pid_tgid,
	.ret_type = RET_INTEGER,
};

static const struct bpf_func_proto current_uid_gid_proto = {
	.name = "bpf_get_current_uid_gid",
	.id = BPF_FUNC_get_current_uid_gid,
	.func = bpf_get_current_uid_gid,
	.ret_type = RET_INTEGER,
};

static const struct bpf_func_proto current_comm_proto = {
	.name = "bpf_get_current_comm",
	.id = BPF_FUNC_get_current_comm,
	.func = bpf_get_current_comm,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE},
};

static const struct bpf_func_proto perf_prog_read_value_proto = {
	.name = "bpf_perf_prog_read_value",
	.id = BPF_FUNC_perf_prog_read_value,
	.func = bpf_perf_prog_read_value,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX, ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE},
};

static const struct bpf_func_proto *const protos[] = {
	&bpf_get_stackid_proto,	      &bpf_get_stack_proto, &current_pid_tgid_proto,
	&current_uid_gid_proto,	      &current_comm_proto,  &perf_prog_read_value_proto,
	&bpf_perf_event_output_proto,
};

static const u8 missing[] = {
	BPF_FUNC_probe_read,	      BPF_FUNC_probe_read_str,
	BPF_FUNC_get_current_task,    BPF_FUNC_probe_write_user,
	BPF_FUNC_read_branch_records, BPF_FUNC_perf_event_read,
	BPF_FUNC_get_attach_cookie,   BPF_FUNC_current_task_under_cgroup,
};

static const struct bpf_func_proto *get_func_proto(enum bpf_func_id id, const struct bpf_prog *prog)
{
	return bpf_type_func_proto(id, prog, protos, ARRAY_SIZE(protos), missing,
				   ARRAY_SIZE(missing));
}

/* Reads only; the registers as whole words, the period and the address also narrower. */
static bool is_valid_access(int off, int size, enum bpf_access_type type,
			    const struct bpf_prog *prog, struct bpf_insn_access_aux *aux)
{
	if (off < 0 || off >= (int)sizeof(struct bpf_perf_event_data) || type != BPF_READ)
		return false;
	if (size <= 0 || size > 8 || off % size)
		return false;
	aux->reg_type = SCALAR_VALUE;
	if (off >= (int)offsetof(struct bpf_perf_event_data, sample_period)) {
		aux->ctx_field_size = 8;
		return true;
	}
	return size == (int)sizeof(long);
}

/* What programs see is what we keep: the access stays as it is. */
static u32 convert_ctx_access(const struct bpf_insn *insn, u32 ctx_field_size, struct bpf_insn *buf,
			      u32 max)
{
	buf[0] = *insn;
	return 1;
}

/*
 * Linux has no test run for this type; here the input is a struct bpf_perf_event_data, or nothing
 * for one of zeroes. The stack is the caller's.
 */
static int perf_event_test_run(struct bpf_prog *prog, struct bpf_test_run *run)
{
	struct bpf_perf_event_data ctx = {0};
	bool present;
	int err;

	if (run->data_size_in)
		return -EINVAL;
	err = bpf_ctx_init(run, &ctx, sizeof(ctx), &present);
	if (!err)
		err = bpf_test_run_loop(prog, &ctx, run);
	return err ? err : bpf_ctx_finish(run, &ctx, present ? sizeof(ctx) : 0);
}

const struct bpf_prog_type_ops bpf_perf_event_ops = {
	.type = BPF_PROG_TYPE_PERF_EVENT,
	.name = "perf_event",
	.get_func_proto = get_func_proto,
	.is_valid_access = is_valid_access,
	.convert_ctx_access = convert_ctx_access,
	.test_run = perf_event_test_run,
};
