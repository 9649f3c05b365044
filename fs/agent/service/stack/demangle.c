/*
 * demangle.c - see demangle.h
 *
 * The C++ ABI's own function does it. It is looked up at run time: only who reads symbols needs it,
 * and the server is written in C.
 */
#include <ctype.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "fs/agent/service/stack/demangle.h"

#define MANGLED_MAX   1024 /* longer ones are templates of templates, which nobody reads */
#define DEMANGLED_MAX 2048

typedef char *(*demangle_fn)(const char *name, char *buf, size_t *len, int *status);

static demangle_fn find(void)
{
	static demangle_fn fn;
	static bool looked;
	void *lib;

	if (!looked) {
		looked = true;
		lib = dlopen("libstdc++.so.6", RTLD_NOW | RTLD_LOCAL);
		if (!lib)
			lib = dlopen("libc++abi.so.1", RTLD_NOW | RTLD_LOCAL);
		*(void **)&fn = lib ? dlsym(lib, "__cxa_demangle") : NULL;
	}
	return fn;
}

/* Rust's older names end in a hash: "::h" and 16 digits. Where, or NULL. */
static char *rust_hash(char *name)
{
	size_t len = strlen(name);
	char *at = len > 19 ? name + len - 19 : NULL;

	if (!at || memcmp(at, "::h", 3))
		return NULL;
	for (const char *p = at + 3; *p; p++)
		if (!isxdigit((unsigned char)*p))
			return NULL;
	return at;
}

/* What one of Rust's escapes stands for; *len is its length. */
static const char *rust_escape(const char *p, size_t *len)
{
	static const char *const escapes[][2] = {
		{"$SP$", "@"},	{"$BP$", "*"},	{"$RF$", "&"},	{"$LT$", "<"},
		{"$GT$", ">"},	{"$LP$", "("},	{"$RP$", ")"},	{"$C$", ","},
		{"$u20$", " "}, {"$u27$", "'"}, {"$u5b$", "["}, {"$u5d$", "]"},
		{"$u7b$", "{"}, {"$u7d$", "}"}, {"$u7e$", "~"}, {"..", "::"},
	};

	for (size_t i = 0; i < sizeof(escapes) / sizeof(escapes[0]); i++) {
		*len = strlen(escapes[i][0]);
		if (!strncmp(p, escapes[i][0], *len))
			return escapes[i][1];
	}
	return NULL;
}

/* In place: no escape is shorter than what it stands for. */
static void rust_unescape(char *name)
{
	char *to = name;
	size_t len;

	for (const char *p = name; *p;) {
		const char *text = rust_escape(p, &len);

		if (text) {
			memmove(to, text, strlen(text));
			to += strlen(text);
			p += len;
		} else if (p[0] == '_' && p[1] == '$' && (p == name || p[-1] == ':')) {
			p++; /* a name does not begin with an escape */
		} else {
			*to++ = *p++;
		}
	}
	*to = 0;
}

const char *demangle(const char *name)
{
	static char *buf;
	static size_t cap;
	demangle_fn fn;
	char *text, *hash;
	int status = 0;

	if (strncmp(name, "_Z", 2) || strnlen(name, MANGLED_MAX + 1) > MANGLED_MAX)
		return name;
	fn = find();
	text = fn ? fn(name, buf, &cap, &status) : NULL;
	if (!text)
		return name;
	buf = text;
	hash = rust_hash(buf);
	if (hash) {
		*hash = 0;
		rust_unescape(buf);
	}
	return strnlen(buf, DEMANGLED_MAX + 1) > DEMANGLED_MAX ? name : buf;
}
