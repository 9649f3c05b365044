/*
 * x86_64_link.c - sizes of jumps, and addresses
 *
 * x86_layout() starts with every jump short and makes those long whose target is too far, until all
 * fit. A jump that became long stays long, so this ends; it may be longer than it had to be, never
 * wrong.
 */
#ifdef __x86_64__

#include "jit/x86_64/x86_64_link.h"

#define MAX_ROUNDS 32

static u32 jump_long(u8 kind)
{
	return kind == FIX_JMP ? 5 : 6;
}

/* Where a label lies in the final code. */
static u32 label_offset(const struct jit_code *c, u32 label)
{
	return c->label_pos[label] + c->fix_sum[c->label_fix[label]];
}

/*
 * fix_sum is that of the round before: the loop's length may be a little off, which only costs
 * time.
 */
static u8 align_padding(const struct jit_code *c, u32 i, u32 at)
{
	const struct jit_fix *fix = &c->fix[i];
	u32 pad = -at & (fix->arg - 1), len, left;

	if (!fix->target)
		return pad;
	len = label_offset(c, fix->target) - (fix->pos + c->fix_sum[i] + fix->size);
	left = JIT_LOOP_LINE - at % JIT_LOOP_LINE;
	if (len > JIT_LOOP_LINE)
		return pad;
	return left < len ? left : left - pad < len ? 0 : pad;
}

/* The next one is the jump. */
static u8 pair_padding(const struct jit_fix *pair, u32 at)
{
	u32 len = pair[1].pos - pair->pos + pair[1].size, left = JIT_LINE - at % JIT_LINE;

	return left < len && len <= JIT_LINE ? left : 0;
}

static void place(struct jit_code *c)
{
	u32 sum = 0;

	for (u32 i = 0; i < c->fix_cnt; i++) {
		struct jit_fix *fix = &c->fix[i];

		c->fix_sum[i] = sum;
		if (fix->kind == FIX_ALIGN)
			fix->size = align_padding(c, i, fix->pos + sum);
		else if (fix->kind == FIX_PAIR)
			fix->size = pair_padding(fix, fix->pos + sum);
		sum += fix->size;
	}
	c->fix_sum[c->fix_cnt] = sum;
	c->size = c->len + sum;
}

/* all: also those that would still do. */
static bool grow_jumps(struct jit_code *c, bool all)
{
	bool changed = false;

	for (u32 i = 0; i < c->fix_cnt; i++) {
		struct jit_fix *fix = &c->fix[i];
		s64 disp;

		if (fix->kind > FIX_JCC || fix->size != 2)
			continue;
		disp = (s64)label_offset(c, fix->target) - (fix->pos + c->fix_sum[i] + 2);
		if (all || !is_imm8(disp)) {
			fix->size = jump_long(fix->kind);
			changed = true;
		}
	}
	return changed;
}

int x86_layout(struct jit_code *c)
{
	c->fix_sum = calloc(c->fix_cnt + 1, sizeof(*c->fix_sum));
	if (!c->fix_sum)
		return -ENOMEM;
	place(c); /* how long loops are */
	/*
	 * One jump can make another too long, and so on: after some rounds that is not worth the
	 * time.
	 */
	for (int round = 0;; round++) {
		place(c);
		if (!grow_jumps(c, round == MAX_ROUNDS))
			break;
	}
	return 0;
}

/* The recommended no-operations of 1 to 8 bytes. */
static void put_nops(u8 *p, u32 n)
{
	static const u8 nops[8][8] = {
		{0x90},
		{0x66, 0x90},
		{0x0f, 0x1f, 0x00},
		{0x0f, 0x1f, 0x40, 0x00},
		{0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00},
		{0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00},
		{0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00},
	};

	for (u32 k; n; n -= k, p += k) {
		k = min(n, 8u);
		memcpy(p, nops[k - 1], k);
	}
}

static int put_fix(const struct jit_code *c, const struct jit_fix *fix, u64 addr, u32 at, u8 *p)
{
	s64 disp = 0;
	u32 op = 0;

	if (fix->kind == FIX_ALIGN || fix->kind == FIX_PAIR) {
		put_nops(p, fix->size);
		return 0;
	}
	if (fix->kind == FIX_CALL_ABS)
		disp = fix->target - (addr + at + fix->size);
	else
		disp = (s64)label_offset(c, fix->target) - (at + fix->size);
	switch ((enum jit_fix_kind)fix->kind) {
	case FIX_JMP:
	case FIX_JCC:
		if (fix->size == 2) {
			p[op++] = fix->kind == FIX_JMP ? 0xeb : 0x70 | fix->arg;
			p[op] = disp;
			return 0;
		}
		if (fix->kind == FIX_JCC)
			p[op++] = 0x0f;
		p[op++] = fix->kind == FIX_JMP ? 0xe9 : 0x80 | fix->arg;
		break;
	case FIX_CALL:
	case FIX_CALL_ABS:
		p[op++] = 0xe8;
		break;
	case FIX_LEA:
		p[op++] = 0x48 | (fix->arg >> 3) << 2;
		p[op++] = 0x8d;
		p[op++] = (fix->arg & 7) << 3 | 5;
		break;
	case FIX_ALIGN:
	case FIX_PAIR:
		break;
	}
	if (!is_simm32(disp))
		return -ERANGE;
	memcpy(p + op, &(s32){disp}, 4);
	return 0;
}

int x86_link(const struct jit_code *c, u64 addr, u8 *buf, u32 *offs)
{
	u32 from = 0, at = 0;

	for (u32 i = 0; i < c->fix_cnt; i++) {
		const struct jit_fix *fix = &c->fix[i];
		int err;

		memcpy(buf + at, c->buf + from, fix->pos - from);
		at += fix->pos - from;
		from = fix->pos;
		err = put_fix(c, fix, addr, at, buf + at);
		if (err)
			return err;
		at += fix->size;
	}
	memcpy(buf + at, c->buf + from, c->len - from);
	for (u32 i = 0; i <= c->ir->len; i++)
		offs[i] = label_offset(c, i);
	for (u32 f = 0; f < c->ir->func_cnt; f++) /* the prologue belongs to the first one */
		offs[c->ir->funcs[f].start] = label_offset(c, c->ir->len + 1 + f);
	return 0;
}

#endif
