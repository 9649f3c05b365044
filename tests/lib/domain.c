/*
 * domain.c - abstract registers with known members (see domain.h)
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include "tests/lib/domain.h"

struct rng rng_init(const char *test)
{
	const char *env = getenv("UBPFFS_SEED");
	struct rng rng = {env ? strtoull(env, NULL, 0) : (u64)time(NULL) * 1000003 + getpid()};

	printf("%s: UBPFFS_SEED=%" PRIu64 "\n", test, rng.state);
	return rng;
}

u64 rng_u64(struct rng *rng)
{
	u64 z = rng->state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

u32 rng_below(struct rng *rng, u32 n)
{
	return (rng_u64(rng) >> 33) % n;
}

u64 rng_interesting(struct rng *rng)
{
	static const u64 places[] = {0,
				     0x80,
				     0x8000,
				     0x80000000,
				     0x8000000000000000,
				     0x100000000,
				     0xffffffff00000000,
				     0xffffffff80000000};

	switch (rng_below(rng, 4)) {
	case 0:
		return places[rng_below(rng, ARRAY_SIZE(places))] + rng_below(rng, 9) - 4;
	case 1:
		return rng_below(rng, 300) - 40ull;
	case 2:
		return (1ull << rng_below(rng, 64)) - rng_below(rng, 3);
	default:
		return rng_u64(rng) >> rng_below(rng, 64);
	}
}

u32 test_rounds(u32 n)
{
	const char *env = getenv("UBPFFS_ROUNDS");
	u64 times = env ? strtoull(env, NULL, 0) : 1;

	return min((u64)n * times, (u64)UINT32_MAX);
}

bool tnum_has(struct tnum t, u64 x)
{
	return (x & ~t.mask) == t.value;
}

const char *reg_lacks(const struct bpf_reg_state *reg, u64 x)
{
	if (!tnum_has(reg->var_off, x))
		return "var_off";
	if (x < reg->umin_value || x > reg->umax_value)
		return "u64";
	if ((s64)x < reg->smin_value || (s64)x > reg->smax_value)
		return "s64";
	if ((u32)x < reg->u32_min_value || (u32)x > reg->u32_max_value)
		return "u32";
	if ((s32)x < reg->s32_min_value || (s32)x > reg->s32_max_value)
		return "s32";
	return NULL;
}

struct bpf_reg_state reg_hull(const u64 *m, int n)
{
	struct bpf_reg_state reg = {.type = SCALAR_VALUE};

	__mark_reg_known(&reg, m[0]);
	for (int i = 1; i < n; i++) {
		reg.var_off = tnum_union(reg.var_off, tnum_const(m[i]));
		reg.umin_value = min(reg.umin_value, m[i]);
		reg.umax_value = max(reg.umax_value, m[i]);
		reg.smin_value = min(reg.smin_value, (s64)m[i]);
		reg.smax_value = max(reg.smax_value, (s64)m[i]);
		reg.u32_min_value = min(reg.u32_min_value, (u32)m[i]);
		reg.u32_max_value = max(reg.u32_max_value, (u32)m[i]);
		reg.s32_min_value = min(reg.s32_min_value, (s32)m[i]);
		reg.s32_max_value = max(reg.s32_max_value, (s32)m[i]);
	}
	return reg;
}

struct bpf_reg_state reg_random(struct rng *rng, u64 *members, int *n)
{
	u64 base = rng_interesting(rng);
	struct bpf_reg_state reg;

	*n = 1 + rng_below(rng, 4);
	for (int i = 0; i < *n; i++)
		members[i] = rng_below(rng, 2) ? base + rng_below(rng, 12) : rng_interesting(rng);
	reg = reg_hull(members, *n);
	if (rng_below(rng, 2)) {
		reg.umin_value = 0;
		reg.umax_value = UINT64_MAX;
	}
	if (rng_below(rng, 2)) {
		reg.smin_value = INT64_MIN;
		reg.smax_value = INT64_MAX;
	}
	if (rng_below(rng, 2)) {
		reg.u32_min_value = 0;
		reg.u32_max_value = UINT32_MAX;
	}
	if (rng_below(rng, 2)) {
		reg.s32_min_value = INT32_MIN;
		reg.s32_max_value = INT32_MAX;
	}
	if (rng_below(rng, 2)) {
		u64 more = rng_below(rng, 2) ? UINT64_MAX : rng_u64(rng);

		reg.var_off.mask |= more;
		reg.var_off.value &= ~more;
	}
	if (rng_below(rng, 4))
		reg_bounds_sync(&reg);
	return reg;
}

const char *reg_text(const struct bpf_reg_state *reg, char *buf, size_t len)
{
	snprintf(buf, len,
		 "u64 [%#" PRIx64 ", %#" PRIx64 "] s64 [%" PRId64 ", %" PRId64 "] u32 [%#x, %#x] "
		 "s32 [%d, %d] tnum (%#" PRIx64 "; %#" PRIx64 ")",
		 reg->umin_value, reg->umax_value, reg->smin_value, reg->smax_value,
		 reg->u32_min_value, reg->u32_max_value, reg->s32_min_value, reg->s32_max_value,
		 reg->var_off.value, reg->var_off.mask);
	return buf;
}

static u64 concrete_end(const struct bpf_insn *insn, u64 x)
{
	bool swap = BPF_CLASS(insn->code) == BPF_ALU64 || BPF_SRC(insn->code) == BPF_TO_BE;

	switch (insn->imm) {
	case 16:
		return swap ? __builtin_bswap16(x) : (u16)x;
	case 32:
		return swap ? __builtin_bswap32(x) : (u32)x;
	default:
		return swap ? __builtin_bswap64(x) : x;
	}
}

static u64 concrete64(const struct bpf_insn *insn, u64 d, u64 s)
{
	bool sign = insn->off == 1;

	switch (BPF_OP(insn->code)) {
	case BPF_ADD:
		return d + s;
	case BPF_SUB:
		return d - s;
	case BPF_MUL:
		return d * s;
	case BPF_DIV:
		if (!s)
			return 0;
		if (!sign)
			return d / s;
		return s == UINT64_MAX ? -d : (u64)((s64)d / (s64)s);
	case BPF_MOD:
		if (!s)
			return d;
		if (!sign)
			return d % s;
		return s == UINT64_MAX ? 0 : (u64)((s64)d % (s64)s);
	case BPF_OR:
		return d | s;
	case BPF_AND:
		return d & s;
	case BPF_XOR:
		return d ^ s;
	case BPF_LSH:
		return d << (s & 63);
	case BPF_RSH:
		return d >> (s & 63);
	case BPF_ARSH:
		return (s64)d >> (s & 63);
	case BPF_NEG:
		return -d;
	default: /* BPF_MOV */
		return insn->off == 8	 ? (u64)(s8)s
		       : insn->off == 16 ? (u64)(s16)s
		       : insn->off == 32 ? (u64)(s32)s
					 : s;
	}
}

static u32 concrete32(const struct bpf_insn *insn, u32 d, u32 s)
{
	bool sign = insn->off == 1;

	switch (BPF_OP(insn->code)) {
	case BPF_DIV:
		if (!s)
			return 0;
		if (!sign)
			return d / s;
		return s == UINT32_MAX ? -d : (u32)((s32)d / (s32)s);
	case BPF_MOD:
		if (!s)
			return d;
		if (!sign)
			return d % s;
		return s == UINT32_MAX ? 0 : (u32)((s32)d % (s32)s);
	case BPF_LSH:
		return d << (s & 31);
	case BPF_RSH:
		return d >> (s & 31);
	case BPF_ARSH:
		return (s32)d >> (s & 31);
	default:
		return concrete64(insn, d, s);
	}
}

u64 concrete_alu(const struct bpf_insn *insn, u64 d, u64 s)
{
	if (BPF_OP(insn->code) == BPF_END)
		return concrete_end(insn, d);
	return BPF_CLASS(insn->code) == BPF_ALU ? concrete32(insn, d, s) : concrete64(insn, d, s);
}

bool concrete_jump(u8 opcode, bool is_jmp32, u64 d, u64 s)
{
	s64 sd = is_jmp32 ? (s32)d : (s64)d, ss = is_jmp32 ? (s32)s : (s64)s;

	if (is_jmp32) {
		d = (u32)d;
		s = (u32)s;
	}
	switch (opcode) {
	case BPF_JEQ:
		return d == s;
	case BPF_JNE:
		return d != s;
	case BPF_JSET:
		return d & s;
	case BPF_JGT:
		return d > s;
	case BPF_JGE:
		return d >= s;
	case BPF_JLT:
		return d < s;
	case BPF_JLE:
		return d <= s;
	case BPF_JSGT:
		return sd > ss;
	case BPF_JSGE:
		return sd >= ss;
	case BPF_JSLT:
		return sd < ss;
	default: /* BPF_JSLE */
		return sd <= ss;
	}
}
