/*
 * reasons.c - see reasons.h
 */
#include <stdio.h>
#include "insn/reg.h"
#include "verifier/report/reasons.h"
#include "verifier/report/reg_text.h"

static const struct {
	int err;
	const char *wording, *hint;
} reasons[REASON_MAX] = {[REASON_NONE] = {0, "", NULL},
#define X(code, err, wording, hint) [REASON_##code] = {err, wording, hint},
			 BPF_REASON_TABLE(X)
#undef X
};

int bpf_reason_errno(enum bpf_reason_code code)
{
	return -reasons[code].err;
}

struct text {
	char *buf;
	size_t len, cap;
};

static void put(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void put(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->buf + t->len, t->cap - t->len, fmt, args);
	va_end(args);
	t->len = min(t->len + (size_t)max(n, 0), t->cap - 1);
}

size_t bpf_reason_text(const struct bpf_reason *reason, char *buf, size_t len)
{
	struct text t = {buf, 0, len};
	u32 num = 0, name = 0;

	*buf = 0;
	for (const char *p = reasons[reason->code].wording; *p; p++) {
		if (*p != '%') {
			put(&t, "%c", *p);
			continue;
		}
		switch (*++p) {
		case 'r':
			put(&t, "%u", reason->reg);
			break;
		case 't':
			put(&t, "%s", reg_type_str(reason->type));
			break;
		case 'd':
			put(&t, "%lld", (long long)reason->num[num++]);
			break;
		case 'x':
			put(&t, "%02llx", (unsigned long long)reason->num[num++]);
			break;
		case 'h':
			put(&t, "%#llx", (unsigned long long)reason->num[num++]);
			break;
		case 's':
			put(&t, "%s", reason->name[name++]);
			break;
		}
	}
	return t.len;
}

/* What may be NULL is told from what the register holds, wherever it was used. */
const char *bpf_reason_hint(const struct bpf_reason *reason)
{
	if (!(reason->type & PTR_MAYBE_NULL))
		return reasons[reason->code].hint;
	if (base_type(reason->type) == PTR_TO_MAP_VALUE)
		return "compare what bpf_map_lookup_elem() returns with NULL before using it";
	return "compare the returned pointer with NULL before using it";
}

size_t bpf_verdict_reason(const struct bpf_verdict *verdict, char *buf, size_t len)
{
	size_t n = 0;

	*buf = 0;
	for (u32 i = 0; i < verdict->reason_cnt && n + 3 < len; i++) {
		if (i)
			n += (size_t)snprintf(buf + n, len - n, "; ");
		n += bpf_reason_text(&verdict->reasons[i], buf + n, len - n);
	}
	return n;
}

const char *bpf_verdict_hint(const struct bpf_verdict *verdict)
{
	const char *hint = NULL;

	for (u32 i = verdict->reason_cnt; i && !hint; i--)
		hint = bpf_reason_hint(&verdict->reasons[i - 1]);
	return hint;
}
