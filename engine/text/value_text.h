/*
 * value_text.h - keys, values and numbers as text, both ways
 *
 * The format of the contract: a key or value of 1, 2, 4 or 8 bytes is its unsigned decimal (0x
 * hexadecimal is accepted); any other is lower-case hexadecimal bytes, a key without spaces (it is
 * a file name), a value with. What is printed can be read back. Pure functions: no node, no map, no
 * lock.
 */
#ifndef UBPFFS_TEXT_VALUE_TEXT_H
#define UBPFFS_TEXT_VALUE_TEXT_H

#include "util/types.h"
#include "text/text.h"

/*
 * What a piece of text is, so far. Negative: -EINVAL, -ERANGE: no continuation can make it right.
 */
enum { TEXT_INCOMPLETE = 0, TEXT_COMPLETE = 1 };

/* strchr() would count a NUL, too. */
static inline bool text_is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Is this printed as a number? Other sizes are bytes, which are complete when they are all there.
 */
static inline bool text_number_size(size_t size)
{
	return size == 1 || size == 2 || size == 4 || size == 8;
}

/*
 * text_parse_u64 - a whole number, decimal or 0x, with blanks around it
 * TEXT_INCOMPLETE: nothing but blanks, or a bare "0x". -EINVAL: no number. -ERANGE: above max.
 */
int text_parse_u64(const char *s, size_t len, u64 max, u64 *out);

/*
 * text_parse_value - `size` bytes from text
 *
 * Sizes 1, 2, 4, 8: a number, or `size` hexadecimal bytes parted by blanks. Others: hexadecimal
 * bytes, parted by blanks or not. Host byte order. TEXT_INCOMPLETE: fewer bytes than `size`.
 */
int text_parse_value(const char *s, size_t len, void *out, size_t size);

/* The latter alone, whatever the size. */
int text_parse_hex(const char *s, size_t len, void *out, size_t size);

/*
 * text_parse_key - a file name of entries/, the whole of it. 0, or -EINVAL when it is not one that
 * print_key gives or 0x form of it.
 */
int text_parse_key(const char *name, size_t len, void *out, size_t size);

void text_print_key(struct fs_text *out, const void *key, size_t size);
void text_print_value(struct fs_text *out, const void *value, size_t size); /* no newline */

/*
 * text_next_line - cut the next line off a buffer
 * True and [*line, *line + *line_len) without the newline while one is there; with `last`, what is
 * left without a newline counts as a line too. *pos moves on.
 */
bool text_next_line(const char *s, size_t len, bool last, size_t *pos, const char **line,
		    size_t *line_len);

/*
 * What "%.*s" of a sentence shows of a text that somebody wrote: its first line, or less when that
 * is long.
 */
int text_first_line(const char *s, size_t len);

/* Is that the beginning of a word, and may the rest still come? Not when something follows it. */
bool text_begins_word(const char *s, size_t len, const char *word);

/* Cut the next word (no blanks) off a line; false at its end. */
bool text_next_word(const char *s, size_t len, size_t *pos, const char **word, size_t *word_len);

#endif
