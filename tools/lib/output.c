/*
 * output.c - see output.h
 *
 * Values are collected as compact JSON; the printer indents what goes out, character by character.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "text/json_print.h"
#include "tools/lib/output.h"

#define PIECE	  (64 << 10)
#define MAX_DEPTH 64

static enum output_form output;
static struct fs_text text;
static int depth;
static bool first = true;

static struct {
	bool string, escaped;
	bool broken[MAX_DEPTH + 1]; /* a line for each element here; those below share the last */
	int depth;
	char last; /* the bracket or comma after which nothing came yet */
} pretty;

void out_form(enum output_form form)
{
	output = form;
}

bool out_json(void)
{
	return output != OUTPUT_TEXT;
}

static void line(void)
{
	putchar('\n');
	for (int i = 0; i < pretty.depth; i++)
		fputs("    ", stdout);
}

static bool *broken(void)
{
	return &pretty.broken[pretty.depth < MAX_DEPTH ? pretty.depth : MAX_DEPTH];
}

/* Members have lines of their own; elements of a list, when they are objects or lists. */
static void print_pretty(char c)
{
	bool close = c == '}' || c == ']';

	if (pretty.string) {
		pretty.string = c != '"' || pretty.escaped;
		pretty.escaped = c == '\\' && !pretty.escaped;
		putchar(c);
		return;
	}
	if (close) {
		bool lines = pretty.last != '{' && pretty.last != '[' && *broken();

		pretty.depth--;
		if (lines)
			line();
	} else if (pretty.last) {
		if (pretty.last == '{' || c == '{' || c == '[')
			*broken() = true;
		else if (pretty.last == '[')
			*broken() = false;
		if (*broken())
			line();
	}
	putchar(c);
	if (c == ':')
		putchar(' ');
	pretty.string = c == '"';
	pretty.last = c == '{' || c == '[' || c == ',' ? c : 0;
	if (c == '{' || c == '[') {
		pretty.depth++;
		*broken() = false;
	}
}

static void flush(void)
{
	if (output == OUTPUT_PRETTY)
		for (size_t i = 0; i < text.len; i++)
			print_pretty(text.buf[i]);
	else if (text.len)
		fwrite(text.buf, 1, text.len, stdout);
	text.len = 0;
}

static void begin(const char *name)
{
	if (text.len > PIECE)
		flush();
	if (!first)
		fs_text_append(&text, ",", 1);
	first = false;
	if (name) {
		json_string(&text, name, strlen(name));
		fs_text_append(&text, ":", 1);
	}
}

void out_begin(const char *name, char bracket)
{
	begin(name);
	fs_text_append(&text, &bracket, 1);
	first = true;
	depth++;
}

void out_end(char bracket)
{
	fs_text_append(&text, &bracket, 1);
	first = false;
	if (--depth)
		return;
	flush();
	first = true;
	pretty.last = 0;
	putchar('\n');
}

void out_u64(const char *name, unsigned long long value)
{
	begin(name);
	fs_text_printf(&text, "%llu", value);
}

void out_s64(const char *name, long long value)
{
	begin(name);
	fs_text_printf(&text, "%lld", value);
}

void out_double(const char *name, double value)
{
	begin(name);
	fs_text_printf(&text, "%.10g", value);
}

void out_bool(const char *name, bool value)
{
	begin(name);
	fs_text_printf(&text, value ? "true" : "false");
}

void out_str(const char *name, const char *value)
{
	begin(name);
	json_string(&text, value, strlen(value));
}

void out_bytes(const char *name, const void *data, size_t size)
{
	const unsigned char *p = data;

	out_begin(name, '[');
	for (size_t i = 0; i < size; i++) {
		begin(NULL);
		fs_text_printf(&text, "\"0x%02x\"", p[i]);
	}
	out_end(']');
}

void out_raw(const char *name, const char *json)
{
	begin(name);
	fs_text_append(&text, json, strlen(json));
}

void out_null(void)
{
	if (out_json())
		printf("null\n");
}

int out_done(void)
{
	int err = text.err ? -text.err : 0;

	fs_text_free(&text);
	errno = 0;
	if ((fflush(stdout) || ferror(stdout)) && !err)
		err = errno ? errno : EIO;
	if (err)
		fprintf(stderr, "ubpfctl: standard output: %s\n", strerror(err));
	return err != 0;
}
