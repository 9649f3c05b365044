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
#include "jit/ir/pass.h"
#include "jit/passes/promote.h"
#include "jit/passes/rmw.h"
#include "jit/passes/step.h"
#include "jit/passes/thread.h"

struct bpf_jit_image {
	struct execmem mem;
	u32 len; /* bytes of code */
	u32 nr_offs;
	u32 offs[]; /* per instruction, and the end */
};

#ifndef __x86_64__
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

static int run_passes(const struct jit_arch *arch, struct jit_ir *ir)
{
	int err = 0;

	if (jit_pass_used(JIT_PASS_THREAD))
		err = jit_thread_jumps(ir);
	if (!err && jit_pass_used(JIT_PASS_DIVMOD))
		err = jit_fuse_divisions(ir);
	if (!err && jit_pass_used(JIT_PASS_RMW))
		err = jit_fuse_rmw(ir);
	if (!err && jit_pass_used(JIT_PASS_COMBINE))
		err = jit_combine(ir);
	if (!err && jit_pass_used(JIT_PASS_FOLD))
		err = jit_fold_addresses(ir);
	if (!err && jit_pass_used(JIT_PASS_DEAD))
		jit_drop_dead(ir);
	if (!err && jit_pass_used(JIT_PASS_PROMOTE))
		err = jit_promote_slots(ir, arch->spare, arch->scratch);
	if (!err && jit_pass_used(JIT_PASS_STEP))
		err = jit_step_addresses(ir, arch->spare, arch->scratch);
	return err;
}

int bpf_jit_compile(struct bpf_prog *prog)
{
	const struct jit_arch *arch = jit_arch();
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
	err = run_passes(arch, &ir);
	if (!err)
		err = compile(arch, &ir, true, &image, &tail_call_offset);
	if (err == -ENOSPC) /* nothing free near the text: anywhere, with far calls */
		err = compile(arch, &ir, false, &image, &tail_call_offset);
	jit_ir_free(&ir);
	if (err)
		return err == -ENOSPC ? -ENOMEM : err;

	execmem_set_owner(&image->mem, prog);
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

const u32 *bpf_jit_offsets(const struct bpf_prog *prog, u32 *cnt)
{
	*cnt = prog->jit ? prog->jit->nr_offs : 0;
	return prog->jit ? prog->jit->offs : NULL;
}
