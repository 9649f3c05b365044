/*
 * write_buffer.c - bytes written and not yet used (see lib/write_buffer.h)
 */
#include "fs/lib/write_buffer.h"
#include "text/value_text.h"

static size_t count_solid(const char *s, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += !text_is_blank(s[i]);
	return n;
}

size_t write_buffer_cap(const struct write_buffer *p, size_t len)
{
	return p->len + len > p->cap ? max((p->len + len) * 2, (size_t)256) : p->cap;
}

int write_buffer_add(struct write_buffer *p, const char *data, size_t len, off_t off, bool append,
		     size_t max, struct error_record *why)
{
	if (!append) {
		if (off == 0 && p->next)
			p->len = p->next = p->solid = 0;
		if (off != p->next)
			return error_set(why, EINVAL,
					 "what is written goes on where the last write ended, at "
					 "%lld, or begins anew at 0",
					 (long long)p->next);
	}
	if (len > max || p->len > max - len)
		return error_set(why, EFBIG, "more than %zu bytes are no value here", max);
	if (p->len + len > p->cap) {
		size_t cap = write_buffer_cap(p, len);
		char *buf = realloc(p->buf, cap);

		if (!buf)
			return -ENOMEM;
		p->buf = buf;
		p->cap = cap;
	}
	if (len)
		memcpy(p->buf + p->len, data, len);
	p->incomplete = false;
	p->solid += count_solid(data, len);
	p->len += len;
	p->next += len;
	return 0;
}

void write_buffer_drop(struct write_buffer *p, size_t len)
{
	p->len -= len;
	p->solid = p->len ? p->solid - count_solid(p->buf, len) : 0;
	if (p->len)
		memmove(p->buf, p->buf + len, p->len);
}

/* The kernel splits at 1 MiB, or up to a page before where the caller's buffer is not aligned. */
bool write_buffer_cut(size_t len)
{
	return len && (len % 512 == 0 || len >= (1u << 20) - 4096);
}

bool write_buffer_ended(const struct write_buffer *p, size_t len, bool name)
{
	return p->len && ((name && len > 1) || p->buf[p->len - 1] == '\n') &&
	       !write_buffer_cut(len);
}

bool write_buffer_blank(const struct write_buffer *p)
{
	return !p->solid;
}

#define KEEP_HEAD 3

bool write_buffer_keep(const struct write_buffer *p, u64 *words)
{
	if (p->len > (WRITE_BUFFER_WORDS - KEEP_HEAD) * sizeof(u64))
		return false;
	words[0] = (u64)p->next;
	words[1] = p->len;
	words[2] = p->incomplete;
	if (p->len)
		memcpy(words + KEEP_HEAD, p->buf, p->len);
	return true;
}

int write_buffer_restore(struct write_buffer *p, const u64 *words)
{
	size_t len = min(words[1], (WRITE_BUFFER_WORDS - KEEP_HEAD) * sizeof(u64));
	int err = write_buffer_add(p, (const char *)(words + KEEP_HEAD), len, 0, true, len, NULL);

	p->next = (off_t)words[0];
	p->incomplete = words[2];
	return err;
}

void write_buffer_free(struct write_buffer *p)
{
	free(p->buf);
}
