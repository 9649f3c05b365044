/*
 * host_funcs.c - see host_funcs.h
 *
 * `lock` guards which stubs are taken, and tables until they are closed. A stub is taken as long as
 * its table lives, that is, as long as any program could call it.
 */
#include <pthread.h>
#include "core/host_funcs.h"

/* ---- stubs */

#define STUBS BPF_HOST_FUNCS

static bpf_func_t target[STUBS];

#define STUB(hi, lo)                                                     \
	static u64 stub_##hi##lo(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5) \
	{                                                                \
		return target[0x##hi##lo](r1, r2, r3, r4, r5);           \
	}
#define NAME(hi, lo) stub_##hi##lo,
/* clang-format off */
#define ROW(X, hi) \
	X(hi, 0) X(hi, 1) X(hi, 2) X(hi, 3) X(hi, 4) X(hi, 5) X(hi, 6) X(hi, 7) \
	X(hi, 8) X(hi, 9) X(hi, a) X(hi, b) X(hi, c) X(hi, d) X(hi, e) X(hi, f)
#define ROWS(X) \
	ROW(X, 0) ROW(X, 1) ROW(X, 2) ROW(X, 3) ROW(X, 4) ROW(X, 5) ROW(X, 6) ROW(X, 7) \
	ROW(X, 8) ROW(X, 9) ROW(X, a) ROW(X, b) ROW(X, c) ROW(X, d) ROW(X, e) ROW(X, f)
/* clang-format on */

ROWS(STUB)
static const bpf_func_t stubs[STUBS] = {ROWS(NAME)};

/* ---- tables */

struct host_func {
	struct bpf_func_proto proto;
	char name[BPF_HOST_FUNC_NAME];
	u32 stub;
};

struct bpf_host_funcs {
	int refcnt;
	bool closed;
	u32 cnt;
	struct host_func *funcs[STUBS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int bpf_host_funcs_new(struct bpf_host_funcs **out)
{
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return -ENOMEM;
	(*out)->refcnt = 1;
	return 0;
}

void bpf_host_funcs_put(struct bpf_host_funcs *funcs)
{
	if (!funcs || __atomic_sub_fetch(&funcs->refcnt, 1, __ATOMIC_ACQ_REL))
		return;
	pthread_mutex_lock(&lock);
	for (u32 i = 0; i < funcs->cnt; i++)
		target[funcs->funcs[i]->stub] = NULL;
	pthread_mutex_unlock(&lock);
	for (u32 i = 0; i < funcs->cnt; i++)
		free(funcs->funcs[i]);
	free(funcs);
}

void bpf_host_funcs_use(struct bpf_host_funcs *funcs)
{
	if (!funcs)
		return;
	pthread_mutex_lock(&lock);
	funcs->closed = true;
	pthread_mutex_unlock(&lock);
	__atomic_add_fetch(&funcs->refcnt, 1, __ATOMIC_RELAXED);
}

const struct bpf_func_proto *bpf_host_func_at(const struct bpf_host_funcs *funcs, u32 i)
{
	return funcs && i < funcs->cnt ? &funcs->funcs[i]->proto : NULL;
}

const struct bpf_func_proto *bpf_host_func(const struct bpf_host_funcs *funcs, u32 id)
{
	const struct bpf_func_proto *proto;

	for (u32 i = 0; (proto = bpf_host_func_at(funcs, i)); i++)
		if ((u32)proto->id == id)
			return proto;
	return NULL;
}

static int take_stub(bpf_func_t func, u32 *stub)
{
	for (u32 i = 0; i < STUBS; i++)
		if (!target[i]) {
			target[i] = func;
			*stub = i;
			return 0;
		}
	return -ENOSPC;
}

static int add_locked(struct bpf_host_funcs *funcs, struct host_func *func)
{
	int err;

	if (funcs->closed)
		return -EBUSY;
	if (bpf_host_func(funcs, func->proto.id))
		return -EEXIST;
	err = take_stub(func->proto.func, &func->stub);
	if (err)
		return err;
	func->proto.func = stubs[func->stub];
	funcs->funcs[funcs->cnt++] = func;
	return 0;
}

int bpf_host_funcs_add(struct bpf_host_funcs *funcs, const struct bpf_func_proto *proto)
{
	struct host_func *func;
	int err;

	if ((u32)proto->id < BPF_FUNC_HOST_FIRST || (s32)proto->id < 0 ||
	    strlen(proto->name) >= sizeof(func->name))
		return -EINVAL;
	func = calloc(1, sizeof(*func));
	if (!func)
		return -ENOMEM;
	func->proto = *proto;
	strcpy(func->name, proto->name);
	func->proto.name = func->name;
	pthread_mutex_lock(&lock);
	err = add_locked(funcs, func);
	pthread_mutex_unlock(&lock);
	if (err)
		free(func);
	return err;
}
