/*
 * test_run.c - what a test run does for every type: repeat, time, copy in and out
 */
#include <time.h>
#include "run/run.h"
#include "run/test_run.h"
#include "util/clock.h"

__thread struct bpf_redirect bpf_redirect_note;

/*
 * Between two looks at cancel, and at whoever waits for a grace period or a slot, we run for about
 * this long; the number of runs in a batch doubles until they do.
 */
#define RUN_BATCH_NS  500000
#define RUN_BATCH_MAX 65536

static int run_loop(struct bpf_prog *prog, const void *ctx, struct bpf_test_run *run)
{
	u32 repeat = run->repeat ? run->repeat : 1, done = 0, batch = 1;
	u64 spent = 0, start, took;
	u32 retval = 0;

	while (done < repeat) {
		if (bpf_run_cancelled())
			return -EINTR;
		batch = min(repeat - done, batch);
		if (!bpf_run_enter_unless_cancelled())
			return -EINTR;
		start = monotonic_ns();
		retval = (u32)bpf_prog_run_repeat(prog, ctx, batch);
		took = monotonic_ns() - start;
		bpf_run_exit();
		if (unlikely(READ_ONCE(prog->poisoned)))
			return -EIO;
		bpf_slot_let_others();
		spent += took;
		done += batch;
		if (took < RUN_BATCH_NS && batch < RUN_BATCH_MAX)
			batch *= 2;
	}
	if (bpf_run_cancelled()) /* it may have ended early */
		return -EINTR;
	run->retval = retval;
	run->duration = (u32)min(spent / done, (u64)UINT32_MAX);
	__atomic_add_fetch(&prog->run_cnt, done, __ATOMIC_RELAXED);
	__atomic_add_fetch(&prog->run_time_ns, spent, __ATOMIC_RELAXED);
	return 0;
}

int bpf_test_run_loop(struct bpf_prog *prog, const void *ctx, struct bpf_test_run *run)
{
	const volatile bool *outer = bpf_run_set_cancel(run->cancel);
	int err;

	bpf_redirect_note = (struct bpf_redirect){0};
	err = run_loop(prog, ctx, run);
	run->redirect = bpf_redirect_note;
	bpf_this.cancel = outer;
	return err;
}

int bpf_test_finish(struct bpf_test_run *run, const void *data, u32 size)
{
	u32 room = run->data_size_out;
	int err = 0;

	if (run->data_out || room)
		err = size > room ? -ENOSPC : 0;
	if (run->data_out)
		memcpy(run->data_out, data, min(size, room));
	run->data_size_out = size;
	return err;
}

bool bpf_range_is_zero(const void *buf, size_t from, size_t to)
{
	const u8 *p = buf;

	for (size_t i = from; i < to; i++)
		if (p[i])
			return false;
	return true;
}

int bpf_ctx_init(const struct bpf_test_run *run, void *ctx, u32 size, bool *present)
{
	*present = run->ctx_in || run->ctx_out;
	if (!run->ctx_in)
		return 0;
	if (run->ctx_size_in > size && !bpf_range_is_zero(run->ctx_in, size, run->ctx_size_in))
		return -E2BIG;
	memcpy(ctx, run->ctx_in, min(size, run->ctx_size_in));
	return 0;
}

int bpf_ctx_finish(struct bpf_test_run *run, const void *ctx, u32 size)
{
	u32 room = run->ctx_size_out;

	if (!run->ctx_out)
		return 0;
	memcpy(run->ctx_out, ctx, min(size, room));
	run->ctx_size_out = size;
	return size > room ? -ENOSPC : 0;
}

int bpf_prog_test_run(struct bpf_prog *prog, struct bpf_test_run *run)
{
	const struct bpf_prog_type_ops *ops = bpf_prog_type_ops_find(prog->type);

	if (!ops || !ops->test_run)
		return -ENOTSUP;
	if (READ_ONCE(prog->poisoned))
		return -EIO;
	if (!!run->ctx_in != !!run->ctx_size_in || !!run->ctx_out != !!run->ctx_size_out)
		return -EINVAL;
	return ops->test_run(prog, run);
}
