/*
 * core_patch.c - a constant into the instruction that has it
 *
 * It stands in the immediate of an arithmetic instruction or of a 64-bit load, or is the offset of
 * an access to memory. An access may change its width where what it reads is a pointer or an
 * unsigned number.
 */
#include "object/co_re/core.h"
#include "object/co_re/core_patch.h"

static void poison(struct bpf_insn *insn)
{
	*insn = (struct bpf_insn){.code = BPF_JMP | BPF_CALL, .imm = CORE_POISON};
}

static int size_code(u32 size)
{
	switch (size) {
	case 8:
		return BPF_DW;
	case 4:
		return BPF_W;
	case 2:
		return BPF_H;
	case 1:
		return BPF_B;
	}
	return -EINVAL;
}

/* Returns 0, 1 (poison it) or -errno. */
static int patch_mem(struct bpf_insn *insn, const struct core_result *res)
{
	int code;

	if (res->check_orig && insn->off != (s64)res->orig)
		return -EINVAL;
	if (res->val > INT16_MAX)
		return -ERANGE;
	if (res->other_size)
		return 1;
	insn->off = (s16)res->val;
	if (res->orig_size == res->size)
		return 0;
	code = size_code(res->orig_size);
	if (code < 0 || BPF_SIZE(insn->code) != code)
		return -EINVAL;
	code = size_code(res->size);
	if (code < 0)
		return code;
	insn->code = (insn->code & ~0x18) | (u8)code;
	return 0;
}

static int patch_imm64(struct bpf_insn *insn, const struct core_result *res)
{
	u64 imm = (u32)insn[0].imm | (u64)(u32)insn[1].imm << 32;

	if (insn[0].src_reg || insn[0].off || insn[1].code || insn[1].dst_reg || insn[1].src_reg ||
	    insn[1].off || (res->check_orig && imm != res->orig))
		return -EINVAL;
	insn[0].imm = (s32)res->val;
	insn[1].imm = (s32)(res->val >> 32);
	return 0;
}

int core_patch(struct bpf_insn *insn, u32 left, const struct core_result *res, bool *poisoned)
{
	bool imm64 = bpf_insn_is_imm64(insn);
	int ret = -EINVAL;

	*poisoned = false;
	if (imm64 && left < 2)
		return -EINVAL;
	if (res->poison) {
		ret = 1;
	} else {
		switch (BPF_CLASS(insn->code)) {
		case BPF_ALU:
		case BPF_ALU64:
			if (BPF_SRC(insn->code) != BPF_K ||
			    (res->check_orig && (s64)insn->imm != (s64)res->orig))
				return -EINVAL;
			insn->imm = (s32)res->val;
			return 0;
		case BPF_LDX:
		case BPF_ST:
		case BPF_STX:
			ret = patch_mem(insn, res);
			break;
		case BPF_LD:
			ret = imm64 ? patch_imm64(insn, res) : -EINVAL;
			break;
		}
	}
	if (ret <= 0)
		return ret;
	poison(&insn[0]);
	if (imm64)
		poison(&insn[1]);
	*poisoned = true;
	return 0;
}
