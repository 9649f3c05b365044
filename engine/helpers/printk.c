/*
 * printk.c - bpf_trace_printk and its kin: the kernel's format rules, lines for trace_pipe
 *
 * The format is data of the program, so it is parsed here, one conversion at a time, and never
 * handed to printf() whole. Conversions: d i u x X with l and ll, c, s, p and its variants pK px ps
 * pS pB pks pus pI4 pi4 pI6 pi6; width and the flags "0 +-". Anything else, or more conversions
 * than arguments, is -EINVAL and prints nothing. What %s and %pI point to is read through the
 * kernel, so a bad address gives an empty string, not a fault.
 */
#include <ctype.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include "helpers/printk.h"
#include "run/run.h"
#include "helpers/trace.h"

#define PRINTK_MAX_ARGS 3
#define PRINTK_BUF	1024
#define PAGE		4096

struct printk_out {
	char *buf;
	size_t len, cap;
	size_t wanted; /* bytes with unlimited room, as snprintf counts */
};

struct printk_spec { /* one conversion, as the program wrote it */
	char flags[40]; /* flags and width, "-08" */
	int longs; /* 0 to 2 */
	char conv; /* d i u x X c s p */
	char sub[4]; /* what follows p: "K", "x", "I4", ... or "ks"/"us" */
};

/* Read our own memory without trusting the address. Returns the bytes read. */
static size_t safe_read(void *to, u64 from, size_t len)
{
	struct iovec local = {to, len}, remote = {(void *)(uintptr_t)from, len};
	ssize_t got = process_vm_readv(getpid(), &local, 1, &remote, 1, 0);

	return got > 0 ? (size_t)got : 0;
}

/* A string of at most cap - 1 bytes; page by page, as the next page may not be there. */
static void safe_read_str(char *to, size_t cap, u64 from)
{
	size_t done = 0, part, got;

	while (done < cap - 1) {
		part = min(PAGE - (size_t)((from + done) % PAGE), cap - 1 - done);
		got = safe_read(to + done, from + done, part);
		if (memchr(to + done, 0, got))
			return;
		done += got;
		if (got < part)
			break;
	}
	to[done] = 0;
}

static bool ends_conversion(char c)
{
	return !c || isspace((unsigned char)c) || ispunct((unsigned char)c);
}

/* Letters and digits right after a pointer's conversion belong to it, and are not printed. */
static int skip_alnum(const char *s, int len)
{
	while (isalnum((unsigned char)s[len]))
		len++;
	return len;
}

/* Parse what stands after "%p". Returns its length, or -EINVAL. */
static int parse_pointer(const char *s, struct printk_spec *spec)
{
	static const char *const subs[] = {"I4", "i4", "I6", "i6"};

	if ((s[0] == 'k' || s[0] == 'u') && s[1] == 's') {
		spec->conv = 's';
		return ends_conversion(s[2]) ? 2 : -EINVAL;
	}
	if (ends_conversion(s[0]))
		return 0;
	if (strchr("KxsSB", s[0])) {
		spec->sub[0] = s[0];
		return skip_alnum(s, 1);
	}
	for (size_t i = 0; i < ARRAY_SIZE(subs); i++)
		if (s[0] == subs[i][0] && s[1] == subs[i][1]) {
			memcpy(spec->sub, subs[i], 3);
			return skip_alnum(s, 2);
		}
	return -EINVAL;
}

static int parse_spec(const char *s, struct printk_spec *spec)
{
	size_t i = 0, flags;
	int sub;

	memset(spec, 0, sizeof(*spec));
	while (s[i] && strchr("0+- ", s[i]))
		i++;
	if (s[i] >= '1' && s[i] <= '9')
		while (isdigit((unsigned char)s[i]))
			i++;
	flags = min(i, sizeof(spec->flags) - 1);
	memcpy(spec->flags, s, flags);
	if (s[i] == 'p') {
		spec->conv = 'p';
		sub = parse_pointer(s + i + 1, spec);
		return sub < 0 ? sub : (int)i + 1 + sub;
	}
	if (s[i] == 's' || s[i] == 'c') {
		spec->conv = s[i];
		return ends_conversion(s[i + 1]) || s[i] == 'c' ? (int)i + 1 : -EINVAL;
	}
	while (s[i] == 'l' && spec->longs < 2) {
		spec->longs++;
		i++;
	}
	if (!s[i] || !strchr("diuxX", s[i]))
		return -EINVAL;
	spec->conv = s[i];
	return (int)i + 1;
}

__attribute__((format(printf, 2, 0))) static void out_vprintf(struct printk_out *out,
							      const char *fmt, va_list args)
{
	int len = vsnprintf(out->buf + out->len, out->cap - out->len, fmt, args);

	if (len > 0) {
		out->len = min(out->len + (size_t)len, out->cap - 1);
		out->wanted += (size_t)len;
	}
}

/* fmt is ours: "%", checked flags and width, a conversion. */
static void out_spec(struct printk_out *out, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	out_vprintf(out, fmt, args);
#pragma GCC diagnostic pop
	va_end(args);
}

static void out_char(struct printk_out *out, char c)
{
	out->wanted++;
	if (out->len + 1 < out->cap)
		out->buf[out->len++] = c;
	out->buf[out->len] = 0;
}

/*
 * Addresses of this process are not told to whoever reads the trace: %p prints a keyed hash, as
 * Linux does.
 */
static u64 hash_pointer(u64 ptr)
{
	static u64 key;
	u64 k = __atomic_load_n(&key, __ATOMIC_RELAXED), h;

	if (!k && getrandom(&k, sizeof(k), 0) == sizeof(k) && k)
		__atomic_compare_exchange_n(&key, &(u64){0}, k, false, __ATOMIC_RELAXED,
					    __ATOMIC_RELAXED);
	k = __atomic_load_n(&key, __ATOMIC_RELAXED);
	h = (ptr ^ k) * 0xff51afd7ed558ccdULL;
	h = (h ^ (h >> 33) ^ k) * 0xc4ceb9fe1a85ec53ULL;
	return (u32)(h ^ (h >> 32));
}

static void format_pointer(struct printk_out *out, const struct printk_spec *spec, u64 arg)
{
	u8 addr[16] = {0};

	if (spec->sub[1] == '4') {
		safe_read(addr, arg, 4); /* what cannot be read is zeros */
		out_spec(out, spec->sub[0] == 'i' ? "%03u.%03u.%03u.%03u" : "%u.%u.%u.%u", addr[0],
			 addr[1], addr[2], addr[3]);
		return;
	}
	if (spec->sub[1] == '6') {
		safe_read(addr, arg, 16);
		for (int i = 0; i < 16; i += 2)
			out_spec(out, "%s%02x%02x", i && spec->sub[0] == 'I' ? ":" : "", addr[i],
				 addr[i + 1]);
		return;
	}
	out_spec(out, "%016llx", (unsigned long long)(spec->sub[0] ? arg : hash_pointer(arg)));
}

static void format_arg(struct printk_out *out, const struct printk_spec *spec, u64 arg)
{
	char fmt[64], text[512];
	s64 wide = spec->longs ? (s64)arg : (s64)(s32)arg;
	u64 uwide = spec->longs ? arg : (u32)arg;

	switch (spec->conv) {
	case 's':
		safe_read_str(text, sizeof(text), arg);
		snprintf(fmt, sizeof(fmt), "%%%ss", spec->flags);
		out_spec(out, fmt, text);
		break;
	case 'c':
		snprintf(fmt, sizeof(fmt), "%%%sc", spec->flags);
		out_spec(out, fmt, (int)(unsigned char)arg);
		break;
	case 'p':
		format_pointer(out, spec, arg);
		break;
	case 'd':
	case 'i':
		snprintf(fmt, sizeof(fmt), "%%%slld", spec->flags);
		out_spec(out, fmt, (long long)wide);
		break;
	default:
		snprintf(fmt, sizeof(fmt), "%%%sll%c", spec->flags, spec->conv);
		out_spec(out, fmt, (unsigned long long)uwide);
	}
}

/*
 * Both passes over a format with `cnt` arguments: with out NULL it is only checked. Returns 0 or
 * -EINVAL.
 */
static int format_walk(const char *fmt, const u64 *args, u32 cnt, struct printk_out *out)
{
	struct printk_spec spec;
	u32 used = 0;
	int len;

	for (size_t i = 0; fmt[i]; i++) {
		unsigned char c = (unsigned char)fmt[i];

		if (c < 128 && !isprint(c) && !isspace(c))
			return -EINVAL;
		if (c == '%' && fmt[i + 1] == '%')
			i++;
		else if (c == '%') {
			if (used >= cnt)
				return -EINVAL;
			len = parse_spec(fmt + i + 1, &spec);
			if (len < 0)
				return len;
			if (out)
				format_arg(out, &spec, args[used]);
			used++;
			i += (size_t)len;
			continue;
		}
		if (out)
			out_char(out, (char)c);
	}
	return 0;
}

/*
 * "            comm-1234    [001] ..... 12345.678901: bpf_trace_printk: text": a line of
 * trace_pipe.
 */
static void trace_line(const char *text, size_t text_len)
{
	char line[PRINTK_BUF + 128], comm[16] = "?";
	struct timespec ts;
	int len;

	prctl(PR_GET_NAME, comm);
	clock_gettime(CLOCK_MONOTONIC, &ts);
	len = snprintf(line, sizeof(line),
		       "%16s-%-7d [%03d] ..... %5lu.%06lu: bpf_trace_printk: ", comm,
		       (int)syscall(SYS_gettid), bpf_this.slot, (unsigned long)ts.tv_sec,
		       (unsigned long)ts.tv_nsec / 1000);
	memcpy(line + len, text, text_len);
	bpf_trace_write(line, (size_t)len + text_len);
}

int bpf_format_check(const char *fmt, u32 arg_cnt)
{
	return format_walk(fmt, NULL, arg_cnt, NULL);
}

/* A line of the trace, of a format of `size` bytes. Returns its length or -errno. */
static s64 trace_format(const char *program_fmt, u32 size, const u64 *args, u32 cnt)
{
	char fmt[PRINTK_BUF], text[PRINTK_BUF];
	struct printk_out out = {text, 0, sizeof(text), 0};

	/* A copy, as another program may write to the memory between the two passes. */
	if (size > sizeof(fmt) || !size)
		return -EINVAL;
	memcpy(fmt, program_fmt, size);
	if (!memchr(fmt, 0, size) || format_walk(fmt, NULL, cnt, NULL))
		return -EINVAL;
	text[0] = 0;
	format_walk(fmt, args, cnt, &out);
	trace_line(text, out.len);
	return (s64)out.len;
}

static u64 bpf_trace_printk(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const u64 args[PRINTK_MAX_ARGS] = {r3, r4, r5};

	return (u64)trace_format((const char *)(uintptr_t)r1, (u32)r2, args, PRINTK_MAX_ARGS);
}

const struct bpf_func_proto bpf_trace_printk_proto = {
	.name = "bpf_trace_printk",
	.id = BPF_FUNC_trace_printk,
	.perfmon = true,
	.func = bpf_trace_printk,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE},
};

/* ---- arguments in an array of u64 */

/* How many, or -EINVAL; copied, as they may change meanwhile. */
static int copy_args(u64 from, u32 bytes, u64 *args)
{
	if (bytes % 8 || bytes > BPF_FORMAT_MAX_ARGS * 8 || (bytes && !from))
		return -EINVAL;
	if (bytes)
		memcpy(args, (const void *)(uintptr_t)from, bytes);
	return (int)(bytes / 8);
}

static u64 bpf_trace_vprintk(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	u64 args[BPF_FORMAT_MAX_ARGS];
	int cnt = copy_args(r3, (u32)r4, args);

	if (cnt < 0)
		return (u64)(s64)cnt;
	return (u64)trace_format((const char *)(uintptr_t)r1, (u32)r2, args, (u32)cnt);
}

const struct bpf_func_proto bpf_trace_vprintk_proto = {
	.name = "bpf_trace_vprintk",
	.id = BPF_FUNC_trace_vprintk,
	.perfmon = true,
	.func = bpf_trace_vprintk,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_MEM | MEM_RDONLY, ARG_CONST_SIZE,
		     ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY, ARG_CONST_SIZE_OR_ZERO},
};

/* The format is a constant string, which the verifier has looked at. */
static u64 bpf_snprintf(u64 r1, u64 r2, u64 r3, u64 r4, u64 r5)
{
	const char *fmt = (const char *)(uintptr_t)r3;
	u64 args[BPF_FORMAT_MAX_ARGS];
	char none[1];
	struct printk_out out = {(char *)(uintptr_t)r1, 0, (u32)r2, 0};
	int cnt = copy_args(r4, (u32)r5, args);

	if (cnt < 0 || format_walk(fmt, NULL, (u32)cnt, NULL))
		return (u64)-EINVAL;
	if (!out.buf || !out.cap) {
		out.buf = none;
		out.cap = sizeof(none);
	}
	out.buf[0] = 0;
	format_walk(fmt, args, (u32)cnt, &out);
	return out.wanted + 1;
}

const struct bpf_func_proto bpf_snprintf_proto = {
	.name = "bpf_snprintf",
	.id = BPF_FUNC_snprintf,
	.perfmon = true,
	.func = bpf_snprintf,
	.gpl_only = true,
	.ret_type = RET_INTEGER,
	.arg_type = {ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_WRITE, ARG_CONST_SIZE_OR_ZERO,
		     ARG_PTR_TO_CONST_STR, ARG_PTR_TO_MEM | PTR_MAYBE_NULL | MEM_RDONLY,
		     ARG_CONST_SIZE_OR_ZERO},
};
