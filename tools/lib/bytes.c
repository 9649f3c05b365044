/*
 * bytes.c - see bytes.h
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "text/json_parse.h"
#include "text/typed.h"
#include "text/value_text.h"
#include "tools/lib/bytes.h"

static int parse_number(const char *word, u32 size, void *out, struct error_record *why)
{
	u64 max = size == 8 ? UINT64_MAX : (1ull << size * 8) - 1, v;
	bool minus = *word == '-';
	int ret = text_parse_u64(word + minus, strlen(word + minus), UINT64_MAX, &v);

	if (ret != TEXT_COMPLETE)
		return ret == -ERANGE ? error_set(why, ERANGE, "'%s' is too large", word) : 1;
	if (minus ? v > max / 2 + 1 : v > max)
		return error_set(why, ERANGE, "%s does not fit into %u byte%s (at most %llu)", word,
				 size, size == 1 ? "" : "s",
				 (unsigned long long)(minus ? max / 2 + 1 : max));
	if (minus)
		v = -v;
	memcpy(out, &v, size); /* little-endian */
	return 0;
}

static int parse_quoted(const char *word, u32 size, void *out, struct error_record *why)
{
	size_t len = strlen(word);
	bool quoted = len >= 2 && (*word == '"' || *word == '\'') && word[len - 1] == *word;

	if (quoted) {
		word++;
		len -= 2;
	}
	if (len > size)
		return error_set(why, ERANGE, "the text has %zu bytes, and there is room for %u",
				 len, size);
	memset(out, 0, size);
	memcpy(out, word, len);
	return 0;
}

/* 1: it is no address. */
static int parse_address(const char *word, const struct bytes_type *type, void *out,
			 struct error_record *why)
{
	u32 size = type->size - (type->trie ? 4 : 0), bits = size * 8;
	int family = size == 4 ? AF_INET : size == 16 ? AF_INET6 : 0;
	char text[INET6_ADDRSTRLEN] = "", *at = out, rest;
	const char *slash = strchr(word, '/');
	size_t len = slash ? (size_t)(slash - word) : strlen(word);

	if (!family || len >= sizeof(text) || (slash && !type->trie))
		return 1;
	memcpy(text, word, len);
	if (slash && (sscanf(slash + 1, "%u%c", &bits, &rest) != 1 || bits > size * 8))
		return error_set(why, EINVAL, "'%s': a prefix length is a number up to %u", word,
				 size * 8);
	if (inet_pton(family, text, at + (type->trie ? 4 : 0)) != 1)
		return 1;
	if (type->trie)
		memcpy(at, &bits, 4);
	return 0;
}

static int parse_mac(const char *word, u8 *out)
{
	unsigned int v[6];
	char rest;

	if (sscanf(word, "%2x:%2x:%2x:%2x:%2x:%2x%c", v, v + 1, v + 2, v + 3, v + 4, v + 5,
		   &rest) != 6)
		return 1;
	for (int i = 0; i < 6; i++)
		out[i] = v[i];
	return 0;
}

/* Is the type text: an array of char? */
static bool is_text(const struct bytes_type *type)
{
	const struct btf_type *t;

	if (!type->btf || !type->type_id)
		return false;
	t = typed_resolve(type->btf->btf, type->type_id);
	return t && btf_is_array(t) && typed_is_char(type->btf->btf, btf_array(t)->type);
}

static int wrong(const char *word, const struct bytes_type *type, struct error_record *why)
{
	if (is_text(type))
		return error_set(why, EINVAL, "'%s': text of up to %u bytes is expected", word,
				 type->size);
	if (text_number_size(type->size))
		return error_set(why, EINVAL,
				 "'%s' is no number, and no %u bytes (write 5, 0x5 or '%s')", word,
				 type->size,
				 type->size == 1   ? "05"
				 : type->size == 2 ? "05 00"
				 : type->size == 4 ? "05 00 00 00"
						   : "05 00 00 00 00 00 00 00");
	return error_set(why, EINVAL, "'%s' is not %u bytes: write two hexadecimal digits a byte%s",
			 word, type->size, type->btf && type->type_id ? ", or JSON" : "");
}

static int parse_word(const char *word, const struct bytes_type *type, void *out,
		      struct error_record *why)
{
	bool typed = type->btf && type->type_id, number = text_number_size(type->size);
	const char *digits = word + (!number && !strncmp(word, "0x", 2) ? 2 : 0);
	struct error_record json = {0};
	int ret = 1;

	if (*word == '{' || *word == '[') {
		if (!typed)
			return error_set(why, EINVAL,
					 "JSON needs types, and this map has none: write bytes");
		return json_parse(word, strlen(word), type->btf, type->type_id, out, NULL,
				  type->size, why);
	}
	if (*word == '"' || *word == '\'')
		return parse_quoted(word, type->size, out, why);
	if (strchr(word, '.') || strchr(word, ':'))
		ret = parse_address(word, type, out, why);
	if (ret == 1 && type->size == 6)
		ret = parse_mac(word, out);
	if (ret != 1)
		return ret;
	if (is_text(type))
		return parse_quoted(word, type->size, out, why);
	if (number)
		ret = parse_number(word, type->size, out, why);
	if (ret == 1 && text_parse_hex(digits, strlen(digits), out, type->size) == TEXT_COMPLETE)
		ret = 0;
	if (ret != 1)
		return ret;
	if (typed &&
	    !json_parse(word, strlen(word), type->btf, type->type_id, out, NULL, type->size, &json))
		return 0;
	error_clear(&json);
	return wrong(word, type, why);
}

int bytes_parse(int argc, char **argv, const struct bytes_type *type, void *out,
		struct error_record *why)
{
	bool hex = argc > 1 && !strcmp(argv[0], "hex");
	int n = argc - hex;
	u8 *at = out;

	if (argc < 1)
		return error_set(why, EINVAL, "nothing is given");
	if (argc == 1)
		return parse_word(argv[0], type, out, why);
	if (n != type->size)
		return error_set(why, EINVAL, "there are %d bytes, and it has %u", n, type->size);
	for (int i = 0; i < n; i++) {
		const char *word = argv[i + hex];
		char *end;
		long v = strtol(word, &end, hex ? 16 : 0);

		if (!*word || *end || v < 0 || v > 255)
			return error_set(why, EINVAL, "'%s' is no byte%s", word,
					 hex ? " in hexadecimal" : " (0 to 255, or 0x00 to 0xff)");
		at[i] = v;
	}
	return 0;
}
