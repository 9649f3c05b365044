/*
 * text.c - what tcpdump -ddd prints, read line by line
 *
 * The parser keeps no state between calls: the text is small (4096 lines at most), and each call
 * reads it from the start until something is missing or wrong. A line counts when its newline is
 * there, so a number that was cut in the middle is never taken for a whole one.
 */
#include <ctype.h>
#include "classic/classic.h"
#include "classic/text.h"

/* "65535 255 255 4294967295" and room for spaces. */
#define LINE_MAX_BYTES	  128
#define COMMENT_MAX_BYTES 1024
#define COMMENT_MAX_LINES 64

struct reader {
	const char *at, *end;
	u32 line; /* of `at`, from 1 */
	struct bpf_log *log;
};

static int wrong(struct reader *r, const char *why)
{
	bpf_log_printf(r->log, "line %u: %s\n", r->line, why);
	return -EINVAL;
}

/* 1 and the line's end (its newline), 0 when it is not all there, -EINVAL when it never will be. */
static int line_end(struct reader *r, size_t max, const char **end)
{
	size_t left = (size_t)(r->end - r->at);

	*end = left ? memchr(r->at, '\n', left) : NULL;
	if (*end)
		left = (size_t)(*end - r->at);
	if (left > max)
		return wrong(r, "too long");
	return *end != NULL;
}

static bool next_number(const char **p, const char *end, u64 max, u64 *value)
{
	const char *at = *p;

	while (at < end && (*at == ' ' || *at == '\t'))
		at++;
	if (at == end || !isdigit((unsigned char)*at))
		return false;
	for (*value = 0; at < end && isdigit((unsigned char)*at); at++) {
		*value = *value * 10 + (u64)(*at - '0');
		if (*value > max)
			return false;
	}
	*p = at;
	return at == end || *at == ' ' || *at == '\t' || *at == '\r';
}

static bool only_blanks(const char *at, const char *end)
{
	while (at < end && (*at == ' ' || *at == '\t' || *at == '\r'))
		at++;
	return at == end;
}

/* What of an unfinished line can be judged: every byte belongs to some number. */
static int check_partial(struct reader *r)
{
	for (const char *p = r->at; p < r->end; p++)
		if (!isdigit((unsigned char)*p) && *p != ' ' && *p != '\t' && *p != '\r')
			return wrong(r, "only decimal numbers stand here");
	return 0;
}

/* A line of `cnt` numbers. 1, 0, -EINVAL. */
static int read_numbers(struct reader *r, u32 cnt, const u64 *max, u64 *values, const char *why)
{
	const char *end, *p = r->at;
	int ret = line_end(r, LINE_MAX_BYTES, &end);

	if (ret <= 0)
		return ret ? ret : check_partial(r);
	for (u32 i = 0; i < cnt; i++)
		if (!next_number(&p, end, max[i], &values[i]))
			return wrong(r, why);
	if (!only_blanks(p, end))
		return wrong(r, why);
	r->at = end + 1;
	r->line++;
	return 1;
}

static int read_name(struct reader *r, const char *from, const char *to, char *name, size_t room)
{
	while (from < to && isspace((unsigned char)*from))
		from++;
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	if ((size_t)(to - from) >= room)
		return wrong(r, "a program's name has at most 63 bytes");
	for (const char *p = from; p < to; p++)
		if (!isgraph((unsigned char)*p) || *p == '/')
			return wrong(r, "the first comment is the program's name: no spaces, no /");
	memcpy(name, from, (size_t)(to - from));
	name[to - from] = 0;
	return 1;
}

static int read_comments(struct reader *r, char *name, size_t room)
{
	const char *end;
	int ret;

	while (r->at < r->end && *r->at == '#') {
		if (r->line > COMMENT_MAX_LINES)
			return wrong(r, "too many comments");
		ret = line_end(r, COMMENT_MAX_BYTES, &end);
		if (ret > 0 && r->line == 1)
			ret = read_name(r, r->at + 1, end, name, room);
		if (ret <= 0)
			return ret;
		r->at = end + 1;
		r->line++;
	}
	return r->at < r->end;
}

static int read_count(struct reader *r, u32 *cnt)
{
	static const u64 max[] = {BPF_MAXINSNS};
	u64 value = 0;
	int ret = read_numbers(r, 1, max, &value,
			       "the number of instructions stands here, 1 to 4096");

	if (ret > 0 && !value)
		return wrong(r, "the number of instructions stands here, 1 to 4096");
	*cnt = (u32)value;
	return ret;
}

static int read_insn(struct reader *r, struct sock_filter *insn)
{
	static const u64 max[] = {UINT16_MAX, UINT8_MAX, UINT8_MAX, UINT32_MAX};
	u64 v[4] = {0};
	int ret = read_numbers(r, 4, max, v,
			       "an instruction is four numbers: code jt jf k, up to 65535, 255, "
			       "255 and 4294967295");

	*insn = (struct sock_filter){
		.code = (u16)v[0], .jt = (u8)v[1], .jf = (u8)v[2], .k = (u32)v[3]};
	return ret;
}

static int read_all(struct reader *r, struct bpf_classic_text *out)
{
	int ret = read_comments(r, out->name, sizeof(out->name));

	if (ret > 0)
		ret = read_count(r, &out->cnt);
	if (ret <= 0)
		return ret;
	out->insns = malloc(out->cnt * sizeof(*out->insns));
	if (!out->insns)
		return -ENOMEM;
	for (u32 i = 0; i < out->cnt; i++) {
		ret = read_insn(r, &out->insns[i]);
		if (ret <= 0)
			return ret;
	}
	return 1;
}

int bpf_classic_text_parse(const char *text, size_t len, size_t *end, struct bpf_classic_text *out,
			   struct bpf_log *log)
{
	struct reader r = {.at = text, .end = text + len, .line = 1, .log = log};
	int ret;

	memset(out, 0, sizeof(*out));
	/* A comment begins with #, a script with #!. */
	if (len >= 2 && text[0] == '#' && text[1] == '!') {
		wrong(&r, "a script begins so, the text of a filter does not");
		return -ENOEXEC;
	}
	ret = read_all(&r, out);
	if (ret <= 0)
		bpf_classic_text_free(out);
	else
		*end = (size_t)(r.at - text);
	return ret;
}

void bpf_classic_text_free(struct bpf_classic_text *text)
{
	free(text->insns);
	memset(text, 0, sizeof(*text));
}

bool bpf_classic_text_begins(char first)
{
	return first == '#' || isdigit((unsigned char)first);
}
