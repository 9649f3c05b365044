/*
 * value_text.c - keys, values and numbers as text (see text/value_text.h)
 */
#include "text/value_text.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static u64 max_of_size(size_t size)
{
	return size == 8 ? UINT64_MAX : (1ULL << (8 * size)) - 1;
}

static void store_number(void *out, size_t size, u64 value)
{
	u8 b = value;
	u16 h = value;
	u32 w = value;

	memcpy(out,
	       size == 1   ? (void *)&b
	       : size == 2 ? (void *)&h
	       : size == 4 ? (void *)&w
			   : (void *)&value,
	       size);
}

static u64 load_number(const void *in, size_t size)
{
	u16 h;
	u32 w;
	u64 d;

	switch (size) {
	case 1:
		return *(const u8 *)in;
	case 2:
		memcpy(&h, in, 2);
		return h;
	case 4:
		memcpy(&w, in, 4);
		return w;
	default:
		memcpy(&d, in, 8);
		return d;
	}
}

int text_parse_u64(const char *s, size_t len, u64 max, u64 *out)
{
	u32 base = 10;
	u64 value = 0;
	size_t i = 0;
	bool any = false;
	int digit;

	while (i < len && text_is_blank(s[i]))
		i++;
	while (len > i && text_is_blank(s[len - 1]))
		len--;
	if (i == len)
		return TEXT_INCOMPLETE;
	if (len - i >= 2 && s[i] == '0' && (s[i + 1] == 'x' || s[i + 1] == 'X')) {
		base = 16;
		i += 2;
	}
	for (; i < len; i++, any = true) {
		digit = hex_digit(s[i]);
		if (digit < 0 || digit >= (int)base)
			return -EINVAL;
		if (__builtin_mul_overflow(value, base, &value) ||
		    __builtin_add_overflow(value, digit, &value))
			return -ERANGE;
	}
	if (!any)
		return TEXT_INCOMPLETE;
	if (value > max)
		return -ERANGE;
	*out = value;
	return TEXT_COMPLETE;
}

/* Pairs of hexadecimal digits; blanks may stand between bytes, never inside one. */
int text_parse_hex(const char *s, size_t len, void *out, size_t size)
{
	size_t i = 0, n = 0;
	int hi, lo;

	for (;;) {
		while (i < len && text_is_blank(s[i]))
			i++;
		if (i == len)
			return n == size ? TEXT_COMPLETE : TEXT_INCOMPLETE;
		hi = hex_digit(s[i++]);
		if (hi < 0 || n == size)
			return -EINVAL;
		if (i == len)
			return TEXT_INCOMPLETE;
		lo = hex_digit(s[i++]);
		if (lo < 0)
			return -EINVAL;
		((u8 *)out)[n++] = hi << 4 | lo;
	}
}

/* Are there blanks between two words? Then it is a list of bytes, not a number. */
static bool has_inner_blank(const char *s, size_t len)
{
	size_t i = 0;

	while (i < len && text_is_blank(s[i]))
		i++;
	while (len > i && text_is_blank(s[len - 1]))
		len--;
	for (; i < len; i++)
		if (text_is_blank(s[i]))
			return true;
	return false;
}

int text_parse_value(const char *s, size_t len, void *out, size_t size)
{
	u64 value;
	int ret;

	if (!text_number_size(size) || has_inner_blank(s, len))
		return text_parse_hex(s, len, out, size);
	ret = text_parse_u64(s, len, max_of_size(size), &value);
	if (ret == TEXT_COMPLETE)
		store_number(out, size, value);
	return ret;
}

int text_parse_key(const char *name, size_t len, void *out, size_t size)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (text_is_blank(name[i]))
			return -EINVAL;
	return text_parse_value(name, len, out, size) == TEXT_COMPLETE ? 0 : -EINVAL;
}

/* Decimal by hand: a dump prints millions of these. */
static void print_number(struct fs_text *out, u64 value)
{
	char buf[20];
	size_t i = sizeof(buf);

	do {
		buf[--i] = '0' + value % 10;
		value /= 10;
	} while (value);
	fs_text_append(out, buf + i, sizeof(buf) - i);
}

void text_print_key(struct fs_text *out, const void *key, size_t size)
{
	if (text_number_size(size))
		print_number(out, load_number(key, size));
	else
		fs_text_hex(out, key, size, "");
}

void text_print_value(struct fs_text *out, const void *value, size_t size)
{
	if (text_number_size(size))
		print_number(out, load_number(value, size));
	else
		fs_text_hex(out, value, size, " ");
}

bool text_next_line(const char *s, size_t len, bool last, size_t *pos, const char **line,
		    size_t *line_len)
{
	const char *nl;

	if (*pos >= len)
		return false;
	nl = memchr(s + *pos, '\n', len - *pos);
	if (!nl && !last)
		return false;
	*line = s + *pos;
	*line_len = (nl ? nl : s + len) - *line;
	*pos += *line_len + (nl ? 1 : 0);
	return true;
}

int text_first_line(const char *s, size_t len)
{
	size_t n = 0;

	while (n < len && n < 256 && s[n] && s[n] != '\n')
		n++;
	return (int)n;
}

bool text_begins_word(const char *s, size_t len, const char *word)
{
	while (len && text_is_blank(*s))
		s++, len--;
	return len < strlen(word) && !memcmp(s, word, len);
}

bool text_next_word(const char *s, size_t len, size_t *pos, const char **word, size_t *word_len)
{
	while (*pos < len && text_is_blank(s[*pos]))
		(*pos)++;
	*word = s + *pos;
	while (*pos < len && !text_is_blank(s[*pos]))
		(*pos)++;
	*word_len = s + *pos - *word;
	return *word_len > 0;
}
