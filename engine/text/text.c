/*
 * text.c - see text.h
 */
#include "text/text.h"
#include "util/types.h"
#include "util/hex.h"

#include <stdarg.h>
#include <stdio.h>

void fs_text_free(struct fs_text *text)
{
	free(text->buf);
	memset(text, 0, sizeof(*text));
}

bool fs_text_spend(struct fs_text *text, size_t steps)
{
	text->work += steps;
	if (text->cancel && __atomic_load_n(text->cancel, __ATOMIC_RELAXED))
		text->err = -EINTR;
	else if (text->most_work && text->work > text->most_work && !text->err)
		text->err = -EFBIG;
	return !text->err;
}

static bool text_room(struct fs_text *text, size_t more)
{
	size_t cap = text->cap ? text->cap : 256;
	char *buf;

	if (!fs_text_spend(text, more))
		return false;
	while (cap < text->len + more + 1)
		cap *= 2;
	if (cap == text->cap)
		return true;
	buf = realloc(text->buf, cap);
	if (!buf) {
		text->err = -ENOMEM;
		return false;
	}
	text->buf = buf;
	text->cap = cap;
	return true;
}

void fs_text_append(struct fs_text *text, const void *data, size_t len)
{
	if (!text_room(text, len))
		return;
	if (len)
		memcpy(text->buf + text->len, data, len);
	text->len += len;
	text->buf[text->len] = 0;
}

void fs_text_printf(struct fs_text *text, const char *fmt, ...)
{
	va_list args, again;
	int n;

	va_start(args, fmt);
	va_copy(again, args);
	n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	if (n < 0)
		text->err = -EINVAL;
	else if (text_room(text, n)) {
		vsnprintf(text->buf + text->len, n + 1, fmt, args);
		text->len += n;
	}
	va_end(args);
}

void fs_text_hex(struct fs_text *text, const void *data, size_t size, const char *gap)
{
	char chunk[192], *at = chunk;
	const u8 *p = data;

	for (size_t i = 0; i < size && !text->err; i++) {
		if (i && *gap)
			*at++ = *gap;
		at = hex_byte(at, p[i]);
		if (at > chunk + sizeof(chunk) - 4) {
			fs_text_append(text, chunk, (size_t)(at - chunk));
			at = chunk;
		}
	}
	fs_text_append(text, chunk, (size_t)(at - chunk));
}
