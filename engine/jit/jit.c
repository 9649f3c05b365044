/*
 * jit.c - the driver: passes, emitter, memory, publication
 *
 * Nothing here knows the machine; arch.h is where an emitter plugs in.
 */
#include "jit/ir/arch.h"
#include "jit/passes/combine.h"
#include "jit/execmem.h"
#include "jit/passes/divmod.h"
#include "jit/passes/fold.h"
#include "jit/jit.h"
#include "jit/perf_map.h"
#include "jit/ir/pass.h"
#include "jit/passes/promote.h"
#include "jit/passes/rmw.h"
#include "jit/passes/step.h"
#include "jit/passes/thread.h"
#include "util/clock.h"

#include <string.h>

#define JIT_PASSES 8

struct bpf_jit_image {
	struct execmem mem;
	u32 len; /* bytes of code */
	u32 us; /* what compiling took */
	u32 changed[JIT_PASSES];
	u32 nr_offs;
	u32 offs[]; /* per instruction, and the end */
};

#if !defined(__x86_64__) && !defined(__aarch64__)
const struct jit_arch *jit_arch(void)
{
	return NULL;
}

void jit_arch_baseline(bool on)
{
}
#endif

/* Place the code, link it for that place and copy it there. */
static int place(const struct jit_arch *arch, const struct jit_code *code, bool near,
		 const struct jit_ir *ir, struct bpf_jit_image **out)
{
	u32 size = arch->size(code);
	__do_free u8 *buf = malloc(size);
	__do_free struct bpf_jit_image *image =
		calloc(1, sizeof(*image) + (ir->len + 1) * sizeof(image->offs[0]));
	int err;

	if (!buf || !image)
		return -ENOMEM;
	image->len = size;
	image->nr_offs = ir->len + 1;
	err = execmem_alloc(size, near, &image->mem);
	if (err)
		return err;
	err = arch->link(code, (u64)image->mem.addr, buf, image->offs);
	if (!err)
		err = execmem_write(&image->mem, buf, size);
	if (err) {
		execmem_free(&image->mem);
		return err;
	}
	*out = move_ptr(image);
	return 0;
}

static int compile(const struct jit_arch *arch, const struct jit_ir *ir, bool near,
		   struct bpf_jit_image **image, u32 *tail_call_offset)
{
	struct jit_code *code;
	int err = arch->emit(ir, !near, &code);

	if (err)
		return err;
	err = place(arch, code, near, ir, image);
	*tail_call_offset = arch->tail_call_offset(code);
	arch->free(code);
	return err;
}

static int drop_dead(struct jit_ir *ir)
{
	jit_drop_dead(ir);
	return 0;
}

static int promote_slots(struct jit_ir *ir)
{
	return jit_promote_slots(ir, jit_arch()->spare, jit_arch()->scratch);
}

static int step_addresses(struct jit_ir *ir)
{
	return jit_step_addresses(ir, jit_arch()->spare, jit_arch()->scratch);
}

static const struct {
	u32 bit;
	const char *name;
	int (*run)(struct jit_ir *ir);
} passes[JIT_PASSES] = {
	/* in this order */
	{JIT_PASS_THREAD, "thread", jit_thread_jumps},
	{JIT_PASS_DIVMOD, "divmod", jit_fuse_divisions},
	{JIT_PASS_RMW, "rmw", jit_fuse_rmw},
	{JIT_PASS_COMBINE, "combine", jit_combine},
	{JIT_PASS_FOLD, "fold", jit_fold_addresses},
	{JIT_PASS_DEAD, "dead", drop_dead},
	{JIT_PASS_PROMOTE, "promote", promote_slots},
	{JIT_PASS_STEP, "step", step_addresses},
};

static u32 count_differences(const u8 *a, const u8 *b, u32 len)
{
	u32 cnt = 0;

	for (u32 i = 0; i < len; i++)
		cnt += a[i] != b[i];
	return cnt;
}

/* changed: how many instructions each pass made another operation of, or another address. */
static int run_passes(struct jit_ir *ir, u32 *changed)
{
	__do_free u8 *before = malloc(ir->len);
	int err = before ? 0 : -ENOMEM;

	for (u32 i = 0; !err && i < JIT_PASSES; i++) {
		if (!jit_pass_used(passes[i].bit))
			continue;
		memcpy(before, ir->op, ir->len);
		ir->redirected = 0;
		err = passes[i].run(ir);
		changed[i] = ir->redirected + count_differences(before, ir->op, ir->len);
	}
	return err;
}

int bpf_jit_compile(struct bpf_prog *prog)
{
	const struct jit_arch *arch = jit_arch();
	u64 begin = monotonic_ns();
	u32 changed[JIT_PASSES] = {0};
	struct bpf_jit_image *image;
	u32 tail_call_offset;
	struct jit_ir ir;
	int err;

	if (!arch)
		return -EOPNOTSUPP;
	if (prog->jit)
		return -EEXIST;
	err = jit_ir_build(prog, &ir);
	if (err)
		return err;
	err = run_passes(&ir, changed);
	if (!err)
		err = compile(arch, &ir, true, &image, &tail_call_offset);
	if (err == -ENOSPC) /* nothing free near the text: anywhere, with far calls */
		err = compile(arch, &ir, false, &image, &tail_call_offset);
	jit_ir_free(&ir);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;

	memcpy(image->changed, changed, sizeof(changed));
	image->us = (u32)((monotonic_ns() - begin) / 1000);
	execmem_set_owner(&image->mem, prog);
	perf_map_add(prog, image->mem.addr, image->offs, image->len);
	prog->jit = image;
	prog->jited_len = image->len;
	prog->tail_call_offset = tail_call_offset;
	prog->free_native = bpf_jit_free;
	prog->bpf_func = (bpf_prog_fn)image->mem.addr;
	return 0;
}

void bpf_jit_free(struct bpf_prog *prog)
{
	struct bpf_jit_image *image = prog->jit;

	if (!image)
		return;
	execmem_free(&image->mem);
	free(image);
	prog->jit = NULL;
	prog->jited_len = 0;
	prog->tail_call_offset = 0;
	prog->bpf_func = NULL;
}

const struct bpf_prog *bpf_jit_find(const void *pc)
{
	return execmem_owner(pc);
}

const void *bpf_jit_code(const struct bpf_prog *prog, u32 *len)
{
	*len = prog->jit ? prog->jit->len : 0;
	return prog->jit ? prog->jit->mem.addr : NULL;
}

u32 bpf_jit_us(const struct bpf_prog *prog)
{
	return prog->jit ? prog->jit->us : 0;
}

const char *bpf_jit_pass(const struct bpf_prog *prog, u32 i, u32 *changed)
{
	if (!prog->jit || i >= JIT_PASSES)
		return NULL;
	*changed = prog->jit->changed[i];
	return passes[i].name;
}

const u32 *bpf_jit_offsets(const struct bpf_prog *prog, u32 *cnt)
{
	*cnt = prog->jit ? prog->jit->nr_offs : 0;
	return prog->jit ? prog->jit->offs : NULL;
}
