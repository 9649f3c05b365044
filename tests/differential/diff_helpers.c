/*
 * diff_helpers.c - helpers that need no packet, held against the running kernel: numbers from text,
 * trace formats
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "run/test_run.h"
#include "tests/lib/both.h"
#include "uapi/bpf_insn.h"

#define CB(i)	 (offsetof(struct __sk_buff, cb) + 4 * (i))
#define TEXT_AT	 -128 /* where a text lies on the program's stack */
#define TEXT_MAX 96

static int start_over(void **state)
{
	both_differ = 0;
	return 0;
}

/* Put `len` bytes on the stack: the text, its NUL, and zeros after it. */
static struct bpf_insn *put_text(struct bpf_insn *p, const char *text, u32 len)
{
	char padded[TEXT_MAX] = {0};
	u32 word;

	memcpy(padded, text, min((size_t)len, strlen(text) + 1));
	for (u32 i = 0; i < (len + 3) / 4 * 4; i += 4) {
		memcpy(&word, padded + i, 4);
		*p++ = BPF_ST_MEM(BPF_W, 10, TEXT_AT + (int)i, (s32)word);
	}
	return p;
}

static void compare(const struct bpf_insn *insns, u32 cnt, const char *what)
{
	static const u8 packet[64] = {[12] = 8};
	const struct bpf_test_run run = {
		.data_in = packet,
		.data_size_in = sizeof(packet),
		.ctx_size_out = sizeof(struct __sk_buff),
	};
	struct both b;

	both_load(&b, BPF_PROG_TYPE_SOCKET_FILTER, 0, insns, cnt);
	both_compare(&b, &run, what, "64 bytes");
	both_free(&b);
}

/* cb[0..1]: what the helper returned, cb[2..3]: the number. */
static void number_case(enum bpf_func_id id, const char *text, u32 len, u64 flags)
{
	struct bpf_insn insns[96], *p = insns;
	char what[160];

	*p++ = BPF_MOV64_REG(6, 1);
	p = put_text(p, text, len);
	*p++ = BPF_ST_MEM(BPF_DW, 10, -8, 77);
	*p++ = BPF_MOV64_REG(1, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 1, TEXT_AT);
	*p++ = BPF_MOV64_IMM(2, (s32)len);
	*p++ = BPF_MOV64_IMM(3, (s32)flags);
	*p++ = BPF_MOV64_REG(4, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 4, -8);
	*p++ = BPF_EMIT_CALL(id);
	*p++ = BPF_STX_MEM(BPF_W, 6, 0, CB(0));
	*p++ = BPF_ALU64_IMM(BPF_RSH, 0, 32);
	*p++ = BPF_STX_MEM(BPF_W, 6, 0, CB(1));
	*p++ = BPF_LDX_MEM(BPF_DW, 1, 10, -8);
	*p++ = BPF_STX_MEM(BPF_W, 6, 1, CB(2));
	*p++ = BPF_ALU64_IMM(BPF_RSH, 1, 32);
	*p++ = BPF_STX_MEM(BPF_W, 6, 1, CB(3));
	*p++ = BPF_MOV64_IMM(0, 0);
	*p++ = BPF_EXIT_INSN();
	snprintf(what, sizeof(what), "%s(\"%.*s\", %u, 0x%llx)", bpf_func_name(id), (int)len, text,
		 len, (unsigned long long)flags);
	compare(insns, (u32)(p - insns), what);
}

static void numbers_from_text(void **state)
{
	static const char *const texts[] = {
		"0",
		"1",
		"-1",
		"+1",
		"-",
		"+",
		" 42",
		"\t\n -42x",
		"- 1",
		"--1",
		"0x",
		"0x1f",
		"0X1F",
		"0xg",
		"-0x10",
		"010",
		"08",
		"09",
		"0",
		"00",
		"7fffffff",
		"123abc",
		"z",
		"",
		"   ",
		"9223372036854775807",
		"9223372036854775808",
		"-9223372036854775808",
		"-9223372036854775809",
		"18446744073709551615",
		"18446744073709551616",
		"99999999999999999999999",
		"0xffffffffffffffff",
		"0x10000000000000000",
		"01777777777777777777777",
		"02000000000000000000000",
		("12\0"
		 "34"),
		"1234567890123456789012345678901234567890123456789012345678901234567890",
	};
	static const u64 flags[] = {0, 8, 10, 16, 2, 7, 32, 64, 0x8000000a};

	for (u32 i = 0; i < ARRAY_SIZE(texts); i++)
		for (u32 f = 0; f < ARRAY_SIZE(flags); f++)
			for (u32 more = 0; more < 2; more++) {
				u32 len =
					(u32)strlen(texts[i]) + more; /* with and without its NUL */

				if (!len)
					continue;
				number_case(BPF_FUNC_strtol, texts[i], len, flags[f]);
				number_case(BPF_FUNC_strtoul, texts[i], len, flags[f]);
			}
	assert_int_equal(both_differ, 0);
}

/* What bpf_trace_printk returns is the length of its text, or why it printed nothing. */
static void trace_case(const char *fmt, u32 len, s64 a, s64 b, s64 c)
{
	struct bpf_insn insns[96], *p = insns;
	char what[160];

	*p++ = BPF_MOV64_REG(6, 1);
	p = put_text(p, fmt, len);
	*p++ = BPF_MOV64_REG(1, 10);
	*p++ = BPF_ALU64_IMM(BPF_ADD, 1, TEXT_AT);
	*p++ = BPF_MOV64_IMM(2, (s32)len);
	p[0] = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 3, .imm = (s32)a};
	p[1] = (struct bpf_insn){.imm = (s32)(a >> 32)};
	p[2] = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 4, .imm = (s32)b};
	p[3] = (struct bpf_insn){.imm = (s32)(b >> 32)};
	p[4] = (struct bpf_insn){.code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 5, .imm = (s32)c};
	p[5] = (struct bpf_insn){.imm = (s32)(c >> 32)};
	p += 6;
	*p++ = BPF_EMIT_CALL(BPF_FUNC_trace_printk);
	*p++ = BPF_STX_MEM(BPF_W, 6, 0, CB(0));
	*p++ = BPF_ALU64_IMM(BPF_RSH, 0, 32);
	*p++ = BPF_STX_MEM(BPF_W, 6, 0, CB(1));
	*p++ = BPF_MOV64_IMM(0, 0);
	*p++ = BPF_EXIT_INSN();
	snprintf(what, sizeof(what), "trace_printk(\"%.*s\", %u, %llx, %llx, %llx)", (int)len, fmt,
		 len, (long long)a, (long long)b, (long long)c);
	compare(insns, (u32)(p - insns), what);
}

static void trace_formats(void **state)
{
	static const char *const formats[] = {
		"plain",     "line\n",
		"%d",	     "%i",
		"%u",	     "%x",
		"%X",	     "%ld",
		"%li",	     "%lu",
		"%lx",	     "%lld",
		"%llu",	     "%llx",
		"%llX",	     "%llld",
		"%hd",	     "%c",
		"%c%c",	     "%c!",
		"%5d",	     "%-5d|",
		"%05d",	     "%+d",
		"% d",	     "%08lx",
		"%20llu",    "%.3d",
		"%*d",	     "%#x",
		"%f",	     "%e",
		"%n",	     "%o",
		"%",	     "100%",
		"%%",	     "%% %d",
		"%d%%",	     "%z",
		"%d %d %d",  "%d %d %d %d",
		"%l",	     "%ll",
		"%5",	     "%-",
		"%p",	     "%p.",
		"%pa",	     "%px",
		"%pX",	     "%pK",
		"%pK!",	     "%pKx",
		"%s",	     "%s,",
		"%sx",	     "%pks",
		"%pus",	     "%pksx",
		"%pkx",	     "%pI4",
		"%pi4",	     "%pI6",
		"%pi6",	     "%pI4x",
		"%pI5",	     "%pI",
		"%pi",	     "%8pI4",
		"\x01",	     "\x80",
		"tab\there", "%d, %lu and %llx",
		"%5c",	     "%05c|",
		"%-8d%8u%x",
	};
	static const s64 values[] = {0, 1, -1, 0x80000000LL, 0x123456789abcdefLL, 'A'};

	for (u32 i = 0; i < ARRAY_SIZE(formats); i++)
		for (u32 v = 0; v < ARRAY_SIZE(values); v++) {
			u32 len = (u32)strlen(formats[i]);

			/*
			 * Where a pointer is followed, only NULL-like addresses are the same in
			 * both.
			 */
			if ((strstr(formats[i], "s") || strstr(formats[i], "pI") ||
			     strstr(formats[i], "pi")) &&
			    values[v] != 0)
				continue;
			trace_case(formats[i], len + 1, values[v], values[(v + 1) % 6],
				   values[(v + 2) % 6]);
			if (v == 0)
				trace_case(formats[i], len, 0, 0, 0); /* no NUL */
			if (v == 0)
				trace_case(formats[i], len + 3, 0, 0, 0); /* more after it */
		}
	assert_int_equal(both_differ, 0);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(numbers_from_text, start_over),
		cmocka_unit_test_setup(trace_formats, start_over),
	};
	int err;

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	err = cmocka_run_group_tests(tests, NULL, NULL);
	printf("%llu runs compared\n", (unsigned long long)both_compared);
	return err;
}
