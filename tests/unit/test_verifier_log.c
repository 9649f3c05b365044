/*
 * test_verifier_log.c - registers are printed as the kernel prints them
 *
 * The first tests compare with lines that Linux 6.18 printed. The last one asks the running
 * kernel: random programs are loaded with log level 2, the domain computes the same instructions,
 * and each state that the kernel prints must be ours to the character. That holds the bounds, the
 * arithmetic and the jumps to the kernel's precision as well.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <inttypes.h>
#include <stdio.h>
#include <cmocka.h>
#include "tests/lib/domain.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"

static const char *printed(const struct bpf_reg_state *reg, u32 frameno)
{
	static char text[512];
	struct bpf_log log;

	bpf_log_init(&log, BPF_LOG_LEVEL2, 0);
	print_reg_state(&log, reg, frameno);
	snprintf(text, sizeof(text), "%s", bpf_log_text(&log));
	bpf_log_free(&log);
	return text;
}

static struct bpf_reg_state scalar(u64 lo, u64 hi)
{
	struct bpf_reg_state reg = {.type = SCALAR_VALUE};

	__mark_reg_unknown(&reg);
	reg.umin_value = lo;
	reg.umax_value = hi;
	reg_bounds_sync(&reg);
	return reg;
}

static struct bpf_reg_state pointer(u32 type, s32 off)
{
	struct bpf_reg_state reg = {0};

	__mark_reg_known(&reg, 0);
	reg.type = type;
	reg.off = off;
	return reg;
}

static void scalars(void **state)
{
	struct bpf_reg_state r = scalar(0, UINT64_MAX);

	assert_string_equal(printed(&r, 0), "scalar()");
	r.id = 7;
	assert_string_equal(printed(&r, 0), "scalar(id=7)");
	r = scalar(0, 255);
	assert_string_equal(printed(&r, 0), "scalar(smin=smin32=0,smax=umax=smax32=umax32=255,"
					    "var_off=(0x0; 0xff))");
	r = scalar(0, UINT32_MAX);
	assert_string_equal(printed(&r, 0),
			    "scalar(smin=0,smax=umax=0xffffffff,var_off=(0x0; 0xffffffff))");
	__mark_reg_unknown(&r);
	r.smin_value = -128;
	r.smax_value = 127;
	reg_bounds_sync(&r);
	assert_string_equal(printed(&r, 0), "scalar(smin=smin32=-128,smax=smax32=127)");
	__mark_reg_known(&r, -7);
	assert_string_equal(printed(&r, 0), "-7");
	__mark_reg_known(&r, 32768);
	assert_string_equal(printed(&r, 0), "0x8000");
	__mark_reg_known(&r, -32768);
	r.precise = true;
	assert_string_equal(printed(&r, 0), "P-32768");
	r = scalar(0, UINT64_MAX);
	r.id = 3 | BPF_ADD_CONST;
	r.off = -128;
	assert_string_equal(printed(&r, 0), "scalar(id=3-128)");
}

static void pointers(void **state)
{
	struct bpf_map map = {.name = "m1", .key_size = 4, .value_size = 48};
	struct bpf_reg_state r = pointer(PTR_TO_CTX, 0);

	assert_string_equal(printed(&r, 0), "ctx()");
	r.off = 8;
	assert_string_equal(printed(&r, 0), "ctx(off=8)");
	r = pointer(PTR_TO_STACK, 0);
	assert_string_equal(printed(&r, 0), "fp0");
	r.off = -8;
	assert_string_equal(printed(&r, 0), "fp-8");
	assert_string_equal(printed(&r, 1), "fp[0]-8");
	r.var_off = TNUM(0, 4);
	__mark_reg_unbounded(&r);
	reg_bounds_sync(&r);
	assert_string_equal(printed(&r, 0), "fp(off=-8,smin=smin32=0,smax=umax=smax32=umax32=4,"
					    "var_off=(0x0; 0x4))");
	r = pointer(PTR_TO_PACKET, 14);
	r.range = 14;
	assert_string_equal(printed(&r, 0), "pkt(off=14,r=14)");
	r = pointer(PTR_TO_PACKET_END, 0);
	assert_string_equal(printed(&r, 0), "pkt_end()");
	r = pointer(PTR_TO_MAP_VALUE_OR_NULL, 0);
	r.map_ptr = &map;
	r.id = 1;
	assert_string_equal(printed(&r, 0), "map_value_or_null(id=1,map=m1,ks=4,vs=48)");
	r = pointer(PTR_TO_MAP_VALUE, 4);
	r.map_ptr = &map;
	assert_string_equal(printed(&r, 0), "map_value(map=m1,ks=4,vs=48,off=4)");
	map.name[0] = '\0';
	r.type = CONST_PTR_TO_MAP;
	r.off = 0;
	assert_string_equal(printed(&r, 0), "map_ptr(ks=4,vs=48)");
	r = pointer(PTR_TO_MEM | MEM_RDONLY | PTR_MAYBE_NULL, 0);
	r.mem_size = 16;
	assert_string_equal(printed(&r, 0), "rdonly_mem_or_null(sz=16)");
	r = pointer(PTR_TO_CTX, 0);
	r.var_off = tnum_const(4);
	assert_string_equal(printed(&r, 0), "ctx(imm=4)");
}

/* ---- the running kernel */

#define STEPS	 24
#define FIRST	 6 /* R6 to R9 take part */
#define MAX_PROG (16 + STEPS * 4)

struct program {
	struct bpf_insn insns[MAX_PROG];
	int cnt, first_step, steps; /* step i is insns[first_step + i] */
};

static s32 random_imm(struct rng *rng)
{
	return rng_below(rng, 3) ? (s32)rng_interesting(rng) : (s32)rng_below(rng, 70000);
}

static struct bpf_insn random_alu(struct rng *rng)
{
	static const u8 ops[] = {BPF_ADD, BPF_SUB, BPF_MUL,  BPF_AND, BPF_OR,  BPF_XOR,
				 BPF_LSH, BPF_RSH, BPF_ARSH, BPF_NEG, BPF_END, BPF_MOV,
				 BPF_AND, BPF_RSH, BPF_ADD,  BPF_DIV, BPF_MOD};
	u8 op = ops[rng_below(rng, rng_below(rng, 4) ? 15 : ARRAY_SIZE(ops))];
	u8 class = rng_below(rng, 2) ? BPF_ALU64 : BPF_ALU;
	u8 dst = FIRST + rng_below(rng, 4), src = FIRST + rng_below(rng, 4);
	int width = class == BPF_ALU ? 32 : 64;

	switch (op) {
	case BPF_NEG:
		return BPF_RAW_INSN(class | op, dst, 0, 0, 0);
	case BPF_END:
		if (class == BPF_ALU64)
			return BPF_BSWAP(dst, 16 << rng_below(rng, 3));
		return BPF_ENDIAN(rng_below(rng, 2) ? BPF_TO_LE : BPF_TO_BE, dst,
				  16 << rng_below(rng, 3));
	case BPF_MOV: /* of a register onto itself: other copies would be linked by id */
		if (rng_below(rng, 3) == 0)
			return BPF_RAW_INSN(class | op | BPF_K, dst, 0, 0, random_imm(rng));
		return BPF_RAW_INSN(class | op | BPF_X, dst, dst,
				    8 << rng_below(rng, class == BPF_ALU ? 2 : 3), 0);
	case BPF_DIV:
	case BPF_MOD:
		return BPF_RAW_INSN(class | op | BPF_K, dst, 0, rng_below(rng, 2),
				    1 + rng_below(rng, 100));
	case BPF_LSH:
	case BPF_RSH:
	case BPF_ARSH:
		if (rng_below(rng, 4))
			return BPF_RAW_INSN(class | op | BPF_K, dst, 0, 0, rng_below(rng, width));
		return BPF_RAW_INSN(class | op | BPF_X, dst, src, 0, 0);
	default:
		if (rng_below(rng, 2))
			return BPF_RAW_INSN(class | op | BPF_K, dst, 0, 0, random_imm(rng));
		return BPF_RAW_INSN(class | op | BPF_X, dst, src, 0, 0);
	}
}

static struct bpf_insn random_jump(struct rng *rng)
{
	static const u8 ops[] = {BPF_JEQ, BPF_JNE,  BPF_JSET, BPF_JGT,	BPF_JGE, BPF_JLT,
				 BPF_JLE, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE};
	u8 code = ops[rng_below(rng, ARRAY_SIZE(ops))] | (rng_below(rng, 2) ? BPF_JMP : BPF_JMP32);
	u8 dst = FIRST + rng_below(rng, 4), src = FIRST + rng_below(rng, 4);

	if (rng_below(rng, 2) && src != dst)
		return BPF_RAW_INSN(code | BPF_X, dst, src, 0, 0);
	return BPF_RAW_INSN(code | BPF_K, dst, 0, 0, random_imm(rng));
}

static bool is_jump(const struct bpf_insn *insn)
{
	return BPF_CLASS(insn->code) == BPF_JMP || BPF_CLASS(insn->code) == BPF_JMP32;
}

/* Four unknown registers, the steps, an exit, and an exit of its own for each jump. */
static void make_program(struct rng *rng, struct program *p)
{
	p->cnt = 0;
	for (int r = FIRST; r < FIRST + 4; r++) {
		p->insns[p->cnt++] = BPF_EMIT_CALL(BPF_FUNC_get_prandom_u32);
		p->insns[p->cnt++] = BPF_MOV64_REG(r, BPF_REG_0);
	}
	p->insns[p->cnt++] = BPF_MOV64_IMM(BPF_REG_0, 0);
	p->first_step = p->cnt;
	p->steps = STEPS;
	for (int i = 0; i < STEPS; i++)
		p->insns[p->cnt++] = rng_below(rng, 3) ? random_alu(rng) : random_jump(rng);
	p->insns[p->cnt++] = BPF_EXIT_INSN();
	for (int i = p->first_step; i < p->first_step + STEPS; i++) {
		if (!is_jump(&p->insns[i]))
			continue;
		p->insns[i].off = p->cnt - i - 1;
		p->insns[p->cnt++] = BPF_MOV64_IMM(BPF_REG_0, 0);
		p->insns[p->cnt++] = BPF_EXIT_INSN();
	}
}

/*
 * The last "Rn=..." on the lines that start with `prefix`, without the mark for precision and
 * without ids (the domain gives none). false: the kernel printed none.
 */
static bool kernel_state(const char *log, const char *prefix, int regno, char *out, size_t len)
{
	char key[8];
	bool found = false;
	size_t plen = strlen(prefix);

	snprintf(key, sizeof(key), " R%d=", regno);
	for (const char *line = log; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *end = line + strcspn(line, "\n"), *at;
		int depth = 0;
		size_t n = 0;

		if (strncmp(line, prefix, plen))
			continue;
		at = strstr(line, key);
		if (!at || at >= end)
			continue;
		at += strlen(key);
		at += *at == 'P';
		for (; at < end && n + 1 < len && (depth || (*at != ' ')); at++) {
			depth += (*at == '(') - (*at == ')');
			if (!strncmp(at, "(id=", 4)) {
				out[n++] = '(';
				at += strcspn(at, ",)");
				depth -= *at == ')';
				if (*at == ')')
					out[n++] = ')';
				continue;
			}
			out[n++] = *at;
		}
		out[n] = '\0';
		found = true;
	}
	return found;
}

static bool visited(const char *log, const char *prefix)
{
	char with_newline[64];

	snprintf(with_newline, sizeof(with_newline), "\n%s", prefix);
	return strstr(log, with_newline);
}

struct walk {
	const struct program *p;
	const char *log;
	struct bpf_reg_state regs[4];
	u64 compared;
};

/* cmocka cuts its messages at 1 KiB. */
static void show_log(const char *log)
{
	for (const char *line = log; *line;) {
		size_t n = strcspn(line, "\n");

		if (strncmp(line, "mark_precise", 12))
			printf("%.*s\n", (int)n, line);
		line += n + (line[n] == '\n');
	}
}

static void compare(struct walk *w, const char *prefix, int regno, const struct bpf_reg_state *reg,
		    bool must)
{
	char theirs[512];

	if (!kernel_state(w->log, prefix, regno, theirs, sizeof(theirs))) {
		if (must) {
			show_log(w->log);
			fail_msg("the kernel printed no R%d for \"%s\"", regno, prefix);
		}
		return;
	}
	if (strcmp(theirs, printed(reg, 0))) {
		show_log(w->log);
		fail_msg("%s R%d\nkernel %s\nours   %s", prefix, regno, theirs, printed(reg, 0));
	}
	w->compared++;
}

/*
 * `x & constant` and `x | constant` of an x that is -1 or 0: the kernel's walk goes on with each
 * of the two values by itself. That is not the domain's to do.
 */
static bool kernel_forks(const struct bpf_insn *insn, const struct bpf_reg_state *dst,
			 const struct bpf_reg_state *src)
{
	u8 op = BPF_OP(insn->code);

	return (op == BPF_AND || op == BPF_OR) && tnum_is_const(src->var_off) &&
	       ((dst->smin_value == -1 && dst->smax_value == 0) ||
		(dst->s32_min_value == -1 && dst->s32_max_value == 0));
}

/* Returns false when the walk ends here. */
static bool step_alu(struct walk *w, int pc, const struct bpf_insn *insn)
{
	struct bpf_reg_state *dst = &w->regs[insn->dst_reg - FIRST], src = {.type = SCALAR_VALUE};
	bool unary = BPF_OP(insn->code) == BPF_END || BPF_OP(insn->code) == BPF_NEG;
	bool alu32 = BPF_CLASS(insn->code) == BPF_ALU;
	char prefix[32];

	__mark_reg_known(&src, alu32 && BPF_OP(insn->code) == BPF_MOV ? (u32)insn->imm
								      : (u64)(s64)insn->imm);
	if (!unary && BPF_SRC(insn->code) == BPF_X)
		src = w->regs[insn->src_reg - FIRST];
	if (kernel_forks(insn, dst, &src))
		return false;
	if (BPF_OP(insn->code) == BPF_MOV && insn->off) {
		if (alu32)
			coerce_subreg_to_size_sx(dst, insn->off / 8);
		else
			coerce_reg_to_size_sx(dst, insn->off / 8);
	} else {
		adjust_scalar_min_max_vals(insn, dst, src);
	}
	snprintf(prefix, sizeof(prefix), "%d: ", pc);
	compare(w, prefix, insn->dst_reg, dst, true);
	return true;
}

/*
 * Is there a value in `now`, which a branch left of `before`? Where none is, views contradict.
 */
static bool possible(const struct bpf_reg_state *now, const struct bpf_reg_state *before)
{
	return reg_bounds_sane(now) && now->umin_value >= before->umin_value &&
	       now->umax_value <= before->umax_value && now->smin_value >= before->smin_value &&
	       now->smax_value <= before->smax_value &&
	       now->u32_min_value >= before->u32_min_value &&
	       now->u32_max_value <= before->u32_max_value &&
	       now->s32_min_value >= before->s32_min_value &&
	       now->s32_max_value <= before->s32_max_value;
}

/* Returns false when the walk ends here. */
static bool step_jump(struct walk *w, int pc, const struct bpf_insn *insn)
{
	struct bpf_reg_state k = {.type = SCALAR_VALUE};
	struct bpf_reg_state *dst = &w->regs[insn->dst_reg - FIRST], *src = &k, t1, t2, f1, f2;
	bool reg = BPF_SRC(insn->code) == BPF_X, is_jmp32 = BPF_CLASS(insn->code) == BPF_JMP32;
	char prefix[32], from[32];
	int taken;

	__mark_reg_known(&k, (s64)insn->imm);
	if (reg)
		src = &w->regs[insn->src_reg - FIRST];
	snprintf(prefix, sizeof(prefix), "%d: ", pc);
	snprintf(from, sizeof(from), "from %d to %d:", pc, pc + 1 + insn->off);
	taken = is_scalar_branch_taken(dst, src, BPF_OP(insn->code), is_jmp32);
	if (taken >= 0) {
		char next[32];

		snprintf(next, sizeof(next), "%d: ", pc + 1);
		if (visited(w->log, from) || visited(w->log, next) == taken) {
			show_log(w->log);
			fail_msg("at %d we say %d", pc, taken);
		}
		return !taken;
	}
	if (!visited(w->log, from)) {
		show_log(w->log);
		fail_msg("at %d the kernel decides, we do not", pc);
	}
	t1 = f1 = *dst;
	t2 = f2 = *src;
	reg_set_min_max(&t1, &t2, &f1, &f2, BPF_OP(insn->code), is_jmp32);
	/*
	 * No pair goes that way, but the decision did not see it: then all bounds hold, and the
	 * kernel has others.
	 */
	if (!possible(&t1, dst) || !possible(&t2, src) || !possible(&f1, dst) ||
	    !possible(&f2, src))
		return false;
	compare(w, from, insn->dst_reg, &t1, true);
	compare(w, prefix, insn->dst_reg, &f1, false);
	*dst = f1;
	if (reg) {
		compare(w, from, insn->src_reg, &t2, true);
		compare(w, prefix, insn->src_reg, &f2, false);
		*src = f2;
	}
	return true;
}

static void walk(struct walk *w)
{
	for (int r = 0; r < 4; r++)
		__mark_reg_unknown(&w->regs[r]);
	for (int i = 0; i < w->p->steps; i++) {
		int pc = w->p->first_step + i;
		const struct bpf_insn *insn = &w->p->insns[pc];

		if (!(is_jump(insn) ? step_jump(w, pc, insn) : step_alu(w, pc, insn)))
			break;
	}
}

/* Linux 6.18 is the version that the domain follows; another one may know more or less. */
static bool kernel_is_6_18(void)
{
	char text[64] = "";
	FILE *f = fopen("/proc/sys/kernel/osrelease", "r");

	if (f) {
		if (!fgets(text, sizeof(text), f))
			text[0] = '\0';
		fclose(f);
	}
	return !strncmp(text, "6.18.", 5);
}

static void as_the_running_kernel(void **state)
{
	const char *missing = kernel_unavailable();
	static char log[1 << 22];
	struct rng rng;
	u64 compared = 0;

	if (missing || !kernel_is_6_18()) {
		printf("%s\n", missing ? missing : "the running kernel is not 6.18");
		skip();
	}
	rng = rng_init("kernel log");
	for (u32 i = 0; i < test_rounds(150); i++) {
		struct program p;
		struct walk w = {.p = &p, .log = log};
		int fd;

		make_program(&rng, &p);
		fd = kernel_prog_load(
			&(struct bpf_prog_load_attr){.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
						     .license = "GPL",
						     .insns = p.insns,
						     .insn_cnt = p.cnt},
			NULL, BPF_LOG_LEVEL2, log, sizeof(log));
		if (fd < 0) {
			show_log(log);
			fail_msg("the kernel rejects: %s", strerror(-fd));
		}
		close(fd);
		walk(&w);
		compared += w.compared;
	}
	printf("compared %" PRIu64 " states with the kernel's\n", compared);
	assert_true(compared > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars),
		cmocka_unit_test(pointers),
		cmocka_unit_test(as_the_running_kernel),
	};

	return cmocka_run_group_tests_name("verifier_log", tests, NULL, NULL);
}
