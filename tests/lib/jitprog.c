/* jitprog.c - programs by hand for tests of the JIT. See jitprog.h. */
#include "run/interp.h"
#include "tests/lib/jitprog.h"

#include "tests/lib/capstone.h"
#include "tests/lib/jitcheck.h"

bool jitprog_blind;

struct bpf_prog *jitprog_new(const struct bpf_insn *insns, u32 cnt, const struct jitprog_sub *subs,
			     u32 sub_cnt)
{
	struct bpf_prog *prog = calloc(1, sizeof(*prog));

	assert_non_null(prog);
	prog->insnsi = malloc(cnt * sizeof(*insns));
	memcpy(prog->insnsi, insns, cnt * sizeof(*insns));
	prog->len = cnt;
	prog->prog_flags = jitprog_blind ? PROG_F_STRICT : 0;
	prog->subprogs = calloc(sub_cnt, sizeof(*prog->subprogs));
	prog->subprog_cnt = sub_cnt;
	for (u32 i = 0; i < sub_cnt; i++) {
		prog->subprogs[i].start = subs[i].start;
		prog->subprogs[i].stack_depth = subs[i].stack_depth;
	}
	for (u32 i = 0; i < cnt; i++)
		prog->has_tail_call |= insns[i].code == (BPF_JMP | BPF_TAIL_CALL);
	return prog;
}

struct bpf_prog *jitprog_new1(const struct bpf_insn *insns, u32 cnt)
{
	return jitprog_new(insns, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1);
}

void jitprog_free(struct bpf_prog *prog)
{
	bpf_jit_free(prog);
	free(prog->interp);
	free(prog->insnsi);
	free(prog->subprogs);
	free(prog);
}

void jitprog_need_jit(void)
{
	const struct bpf_insn p[] = {BPF_MOV64_IMM(BPF_REG_0, 0), BPF_EXIT_INSN()};

	jitprog_free(jitprog_compile1(p, ARRAY_SIZE(p)));
}

struct bpf_prog *jitprog_compile(const struct bpf_insn *insns, u32 cnt,
				 const struct jitprog_sub *subs, u32 sub_cnt)
{
	struct bpf_prog *prog = jitprog_new(insns, cnt, subs, sub_cnt);

	int err = bpf_jit_compile(prog);

	if (err == -EOPNOTSUPP) {
		print_message("there is no JIT for this machine\n");
		jitprog_free(prog);
		skip();
	}
	assert_int_equal(err, 0);
	if (jitcheck(prog))
		fail_msg("%s", jitcheck(prog));
	return prog;
}

struct bpf_prog *jitprog_compile1(const struct bpf_insn *insns, u32 cnt)
{
	return jitprog_compile(insns, cnt, &(struct jitprog_sub){0, MAX_BPF_STACK}, 1);
}

u64 jitprog_run(const struct bpf_insn *insns, u32 cnt, const struct jitprog_sub *subs, u32 sub_cnt,
		const void *ctx)
{
	struct bpf_prog *prog = jitprog_compile(insns, cnt, subs, sub_cnt);
	u64 ret = bpf_prog_run(prog, ctx);

	assert_int_equal(bpf_interp_prepare(prog), 0);
	assert_int_equal(ret, bpf_interp_run(ctx, prog));
	jitprog_free(prog);
	return ret;
}

u64 jitprog_call(const struct bpf_prog *prog, const void *ctx)
{
#ifdef __x86_64__
	register u64 rbx __asm__("rbx") = 0x1b, r12 __asm__("r12") = 0x12;
	register u64 r13 __asm__("r13") = 0x13, r14 __asm__("r14") = 0x14;
	register u64 r15 __asm__("r15") = 0x15;
	u64 ret;

	__asm__ volatile("call *%[f]"
			 : "=a"(ret), "+r"(rbx), "+r"(r12), "+r"(r13), "+r"(r14), "+r"(r15),
			   "+D"(ctx)
			 : [f] "m"(prog->bpf_func)
			 : "rsi", "rdx", "rcx", "r8", "r9", "r10", "r11", "memory", "cc");
	assert_true(rbx == 0x1b && r12 == 0x12 && r13 == 0x13 && r14 == 0x14 && r15 == 0x15);
	return ret;
#elif defined(__aarch64__)
	u64 ret;
	register const void *x0 __asm__("x0") = ctx;
	register u64 x19 __asm__("x19") = 19, x20 __asm__("x20") = 20, x21 __asm__("x21") = 21;
	register u64 x22 __asm__("x22") = 22, x23 __asm__("x23") = 23, x28 __asm__("x28") = 28;
	register bpf_prog_fn x9 __asm__("x9") = prog->bpf_func;

	__asm__ volatile("blr %[f]"
			 : "+r"(x0), "+r"(x19), "+r"(x20), "+r"(x21), "+r"(x22), "+r"(x23),
			   "+r"(x28), [f] "+r"(x9)
			 :
			 : "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x10", "x11", "x12",
			   "x13", "x14", "x15", "x16", "x17", "x30", "memory", "cc");
	ret = (u64)x0; /* before anything is called */
	assert_true(x19 == 19 && x20 == 20 && x21 == 21 && x22 == 22 && x23 == 23 && x28 == 28);
	return ret;
#else
	return bpf_prog_run(prog, ctx);
#endif
}

u64 jitprog_helper(u64 a, u64 b, u64 c, u64 d, u64 e)
{
	/* C code may use aligned vector stores on its frame. */
	assert_int_equal((u64)__builtin_frame_address(0) & 15, 0);
	return a + 10 * b + 100 * c + 1000 * d + 10000 * e;
}

u32 jitprog_count(const struct bpf_prog *prog, const char *mnemonic)
{
	u32 len, found = 0;
	const u8 *code = bpf_jit_code(prog, &len);
	cs_insn *insn;
	csh cs;

	assert_int_equal(cs_open(JITPROG_CS_ARCH, JITPROG_CS_MODE, &cs), CS_ERR_OK);
	size_t n = cs_disasm(cs, code, len, (u64)code, 0, &insn);

	for (size_t i = 0; i < n; i++)
		found += !strcmp(insn[i].mnemonic, mnemonic);
	cs_free(insn, n);
	cs_close(&cs);
	return found;
}
