/*
 * reg_text.c - registers in the kernel's format
 *
 * Existing viewers read these lines, so they are the kernel's to the character: a view that says
 * nothing is left out, equal bounds are printed once ("smin=smin32=0"), small numbers are decimal
 * and large ones hexadecimal. Tests: tests/unit/test_verifier_log.c, which asks the running
 * kernel.
 */
#include <inttypes.h>
#include <stdio.h>
#include "core/map.h"
#include "verifier/report/reg_text.h"

static const char *const type_names[__BPF_REG_TYPE_MAX] = {
	[NOT_INIT] = "?",
	[SCALAR_VALUE] = "scalar",
	[PTR_TO_CTX] = "ctx",
	[CONST_PTR_TO_MAP] = "map_ptr",
	[PTR_TO_MAP_VALUE] = "map_value",
	[PTR_TO_MAP_KEY] = "map_key",
	[PTR_TO_STACK] = "fp",
	[PTR_TO_PACKET_META] = "pkt_meta",
	[PTR_TO_PACKET] = "pkt",
	[PTR_TO_PACKET_END] = "pkt_end",
	[PTR_TO_MEM] = "mem",
	[PTR_TO_BUF] = "buf",
	[PTR_TO_FUNC] = "func",
	[CONST_PTR_TO_DYNPTR] = "dynptr_ptr",
};

const char *reg_type_str(u32 type)
{
	static __thread char str[32];
	u32 base = base_type(type);

	snprintf(str, sizeof(str), "%s%s%s%s", type & MEM_RDONLY ? "rdonly_" : "",
		 type & MEM_RINGBUF ? "ringbuf_" : "",
		 base < __BPF_REG_TYPE_MAX ? type_names[base] : "?",
		 type & PTR_MAYBE_NULL ? "_or_null" : "");
	return str;
}

/* Decimal up to 16 bits, as people read lengths and offsets; hexadecimal beyond. */
static void print_unum(struct bpf_log *log, u64 num)
{
	bpf_log_printf(log, num <= UINT16_MAX ? "%" PRIu64 : "0x%" PRIx64, num);
}

static bool is_short(s64 num)
{
	return num >= INT16_MIN && num <= INT16_MAX;
}

static void print_snum(struct bpf_log *log, s64 num)
{
	if (is_short(num))
		bpf_log_printf(log, "%" PRId64, num);
	else
		bpf_log_printf(log, "0x%" PRIx64, (u64)num);
}

/* One of the eight bounds. Its number is what is printed, so it is also what is compared. */
struct bound {
	const char *name;
	u64 num;
	bool is_signed;
	bool silent; /* says nothing, or was printed with an equal one */
};

static bool negative(const struct bound *b)
{
	return b->is_signed && (s64)b->num < 0;
}

/*
 * A signed 32-bit bound is shown sign-extended where it is short enough for decimal, so that
 * smin=smin32=-1 can be one, and as a 32-bit number elsewhere.
 */
static u64 shown32(s32 num)
{
	return is_short(num) ? (u64)(s64)num : (u32)num;
}

static void print_bounds(struct bpf_log *log, const struct bpf_reg_state *reg, const char **sep)
{
	/* Minima at even places, maxima at odd ones: equals are looked for two by two. */
	struct bound b[] = {
		{"smin", reg->smin_value, true, reg->smin_value == INT64_MIN},
		{"smax", reg->smax_value, true, reg->smax_value == INT64_MAX},
		{"umin", reg->umin_value, false, reg->umin_value == 0},
		{"umax", reg->umax_value, false, reg->umax_value == UINT64_MAX},
		{"smin32", shown32(reg->s32_min_value), true, reg->s32_min_value == INT32_MIN},
		{"smax32", shown32(reg->s32_max_value), true, reg->s32_max_value == INT32_MAX},
		{"umin32", reg->u32_min_value, false, reg->u32_min_value == 0},
		{"umax32", reg->u32_max_value, false, reg->u32_max_value == UINT32_MAX},
	};

	for (size_t i = 0; i < ARRAY_SIZE(b); i++) {
		if (b[i].silent)
			continue;
		bpf_log_printf(log, "%s%s=", *sep, b[i].name);
		*sep = ",";
		for (size_t j = i + 2; j < ARRAY_SIZE(b); j += 2) {
			if (b[j].silent || b[j].num != b[i].num ||
			    negative(&b[j]) != negative(&b[i]))
				continue;
			b[j].silent = true;
			bpf_log_printf(log, "%s=", b[j].name);
		}
		if (b[i].is_signed)
			print_snum(log, b[i].num);
		else
			print_unum(log, b[i].num);
	}
}

static void print_name(struct bpf_log *log, const char **sep, const char *name)
{
	bpf_log_printf(log, "%s%s=", *sep, name);
	*sep = ",";
}

/* What the pointer kinds have of their own, between the id and the variable part. */
static void print_pointer(struct bpf_log *log, const struct bpf_reg_state *reg, const char **sep)
{
	u32 base = base_type(reg->type);

	if ((base == CONST_PTR_TO_MAP || base == PTR_TO_MAP_VALUE || base == PTR_TO_MAP_KEY) &&
	    reg->map_ptr) {
		if (reg->map_ptr->name[0]) {
			print_name(log, sep, "map");
			bpf_log_printf(log, "%s", reg->map_ptr->name);
		}
		print_name(log, sep, "ks");
		bpf_log_printf(log, "%u,vs=%u", reg->map_ptr->key_size, reg->map_ptr->value_size);
	}
	if (reg->off) {
		print_name(log, sep, "off");
		print_snum(log, reg->off);
	}
	if (base == PTR_TO_PACKET || base == PTR_TO_PACKET_META) {
		print_name(log, sep, "r");
		print_unum(log, reg->range);
	}
	if (base == PTR_TO_MEM) {
		print_name(log, sep, "sz");
		print_unum(log, reg->mem_size);
	}
}

static void print_variable_part(struct bpf_log *log, const struct bpf_reg_state *reg,
				const char **sep)
{
	char tnum[48];

	if (tnum_is_const(reg->var_off)) {
		if (reg->var_off.value) {
			print_name(log, sep, "imm");
			print_snum(log, reg->var_off.value);
		}
		return;
	}
	print_bounds(log, reg, sep);
	if (!tnum_is_unknown(reg->var_off)) {
		tnum_strn(tnum, sizeof(tnum), reg->var_off);
		print_name(log, sep, "var_off");
		bpf_log_printf(log, "%s", tnum);
	}
}

void print_reg_state(struct bpf_log *log, const struct bpf_reg_state *reg, u32 frameno)
{
	const char *sep = "";
	bool scalar = reg->type == SCALAR_VALUE;

	if (scalar && reg->precise)
		bpf_log_printf(log, "P");
	if (scalar && tnum_is_const(reg->var_off)) {
		print_snum(log, reg->var_off.value);
		return;
	}
	bpf_log_printf(log, "%s", reg_type_str(reg->type));
	if (reg->type == PTR_TO_STACK) {
		if (reg->frameno != frameno)
			bpf_log_printf(log, "[%u]", reg->frameno);
		if (tnum_is_const(reg->var_off)) {
			print_snum(log, (s64)reg->var_off.value + reg->off);
			return;
		}
	}
	bpf_log_printf(log, "(");
	if (reg->id) {
		print_name(log, &sep, "id");
		bpf_log_printf(log, "%u", BPF_REG_ID(reg->id));
	}
	if (reg->id & BPF_ADD_CONST)
		bpf_log_printf(log, "%+d", reg->off);
	if (reg->ref_obj_id) {
		print_name(log, &sep, "ref_obj_id");
		bpf_log_printf(log, "%u", reg->ref_obj_id);
	}
	if (!scalar)
		print_pointer(log, reg, &sep);
	print_variable_part(log, reg, &sep);
	bpf_log_printf(log, ")");
}
