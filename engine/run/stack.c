/*
 * stack.c - walking stacks, and bpf_get_stack() (see sample.h)
 *
 * The own stack is walked by frame pointers: [fp] is the caller's frame, [fp + 8] the return
 * address. Code without frame pointers leaves anything there, so a frame is followed only upwards
 * and inside this thread's stack.
 */
#include <pthread.h>
#include "insn/func.h"
#include "run/sample.h"

__thread void *bpf_user_frame;

/* This thread's stack, asked once. */
static void stack_bounds(uintptr_t *low, uintptr_t *high)
{
	static __thread uintptr_t known_low, known_high;
	pthread_attr_t attr;
	void *addr;
	size_t size;

	if (!known_high && !pthread_getattr_np(pthread_self(), &attr)) {
		if (!pthread_attr_getstack(&attr, &addr, &size)) {
			known_low = (uintptr_t)addr;
			known_high = (uintptr_t)addr + size;
		}
		pthread_attr_destroy(&attr);
	}
	*low = known_low;
	*high = known_high;
}

static u32 walk_own(u64 *ips, u32 max)
{
	uintptr_t fp = (uintptr_t)bpf_user_frame, low, high, next;
	u32 nr = 0;

	stack_bounds(&low, &high);
	while (nr < max && fp >= low && fp % sizeof(void *) == 0 && fp + 16 <= high) {
		u64 ip = ((const u64 *)fp)[1];

		if (!ip)
			break;
		ips[nr++] = ip;
		next = *(const uintptr_t *)fp;
		if (next <= fp)
			break;
		fp = next;
	}
	return nr;
}

int bpf_stack_ips(bool user, u64 *ips, u32 max)
{
	const struct bpf_sample *sample = bpf_this.sample;
	u32 nr;

	if (!sample) {
		if (!user || !bpf_user_frame)
			return -EFAULT;
		return (int)walk_own(ips, max);
	}
	nr = min(user ? sample->user_nr : sample->kernel_nr, max);
	if (nr)
		memcpy(ips, user ? sample->user_ips : sample->kernel_ips, nr * sizeof(*ips));
	return (int)nr;
}

void bpf_stack_build_ids(const u64 *ips, u32 skip, u32 nr, struct bpf_stack_build_id *out)
{
	const struct bpf_sample *sample = bpf_this.sample;

	if (!sample) {
		bpf_own_build_ids(ips + skip, nr, out);
	} else if (sample->user_ids) {
		memcpy(out, sample->user_ids + skip, nr * sizeof(*out));
	} else {
		memset(out, 0, nr * sizeof(*out));
		for (u32 i = 0; i < nr; i++) {
			out[i].status = BPF_STACK_BUILD_ID_IP;
			out[i].ip = ips[skip + i];
		}
	}
}

/*
 * bpf_get_stack(ctx, buf, size, flags): bytes written; the rest of buf, or on failure all of it,
 * becomes zero.
 */
static s64 get_stack(char *buf, u32 size, u64 flags)
{
	u32 skip = flags & BPF_F_SKIP_FIELD_MASK, elem, nr;
	bool user = flags & BPF_F_USER_STACK, build_id = flags & BPF_F_USER_BUILD_ID;
	u64 ips[BPF_MAX_STACK_DEPTH];
	int found;

	if (flags & ~(u64)(BPF_F_SKIP_FIELD_MASK | BPF_F_USER_STACK | BPF_F_USER_BUILD_ID) ||
	    (build_id && !user))
		return -EINVAL;
	elem = build_id ? sizeof(struct bpf_stack_build_id) : sizeof(u64);
	if (size % elem)
		return -EINVAL;
	found = bpf_stack_ips(user, ips, min(skip + size / elem, (u32)BPF_MAX_STACK_DEPTH));
	if (found < 0 || (u32)found < skip)
		return -EFAULT;
	nr = min((u32)found - skip, size / elem);
	if (build_id)
		bpf_stack_build_ids(ips, skip, nr, (struct bpf_stack_build_id *)buf);
	else
		memcpy(buf, ips + skip, nr * sizeof(u64));
	memset(buf + nr * elem, 0, size - nr * elem);
	return nr * elem;
}

static u64 bpf_get_stack(u64 ctx, u64 buf, u64 size, u64 flags, u64 r5)
{
	char *to = (char *)(uintptr_t)buf;
	s64 ret = get_stack(to, (u32)size, flags);

	if (ret < 0)
		memset(to, 0, (u32)size);
	return (u64)ret;
}

const struct bpf_func_proto bpf_get_stack_proto = {
	.name = "bpf_get_stack",
	.id = BPF_FUNC_get_stack,
	.func = bpf_get_stack,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_CTX, ARG_PTR_TO_UNINIT_MEM, ARG_CONST_SIZE_OR_ZERO, ARG_ANYTHING},
};
