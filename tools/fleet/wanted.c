/*
 * wanted.c - see wanted.h
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tools/fleet/tree.h"
#include "tools/fleet/wanted.h"
#include "util/hex.h"
#include "util/sha256.h"
#include "util/types.h"

const char *const map_attributes[] = {"type",	   "key_size",	  "value_size", "map_flags",
				      "inner_map", "max_entries", NULL};
const char *const source_attributes[] = {"type",   "event",  "pid",	    "freq",
					 "period", "unwind", "file",	    "interface",
					 "filter", "out",    "interval_ms", NULL};

static void *one_more(void *list, size_t *nr, size_t size)
{
	void *bigger = realloc(list, (*nr + 1) * size);

	if (!bigger) {
		fprintf(stderr, "ubpfctl: %s\n", strerror(ENOMEM));
		exit(1);
	}
	memset((char *)bigger + *nr * size, 0, size);
	++*nr;
	return bigger;
}

static void name_version(struct wanted_object *o)
{
	u8 digest[SHA256_SIZE];
	char hash[HASH_DIGITS + 1] = "", *at = hash;
	struct sha256 s;

	sha256_begin(&s);
	sha256_add(&s, o->data, o->len);
	if (o->constants)
		sha256_add(&s, o->constants, strlen(o->constants));
	sha256_end(&s, digest);
	for (int i = 0; i < HASH_DIGITS / 2; i++)
		at = hex_byte(at, digest[i]);
	*at = 0;
	o->dir = text_of("%s@%s", o->name, hash);
}

static int read_objects(const char *dir, struct wanted *w)
{
	static const char ext[] = ".bpf.o";
	struct name_list list;
	const char *end;

	if (list_dir(dir, &list))
		return errno == ENOENT ? 0 : complain(dir);
	for (size_t i = 0; i < list.nr; i++) {
		struct wanted_object *o;

		end = strstr(list.names[i], ext);
		if (!end || strcmp(end, ext))
			continue;
		if (strpbrk(list.names[i], "@ \t\n")) {
			fprintf(stderr, "ubpfctl: %s/%s: a name has no @ and no blanks\n", dir,
				list.names[i]);
			return -1;
		}
		w->objects = one_more(w->objects, &w->nr_objects, sizeof(*o));
		o = &w->objects[w->nr_objects - 1];
		o->name = text_of("%.*s", (int)(end - list.names[i]), list.names[i]);
		o->path = text_of("%s/%s", dir, list.names[i]);
		o->data = read_file(o->path, &o->len);
		if (!o->data)
			return complain(o->path);
		o->constants = read_file(text_of("%s/%s.constants", dir, o->name), NULL);
		if (!o->constants && errno != ENOENT)
			return complain(text_of("%s/%s.constants", dir, o->name));
		name_version(o);
	}
	return 0;
}

static int read_dirs(const char *dir, const char *prefix, int deep, struct wanted_dir **out,
		     size_t *nr)
{
	struct name_list list;

	if (list_dir(dir, &list))
		return errno == ENOENT ? 0 : complain(dir);
	for (size_t i = 0; i < list.nr; i++) {
		char *path = text_of("%s/%s", dir, list.names[i]);

		if (!is_dir(path))
			continue;
		*out = one_more(*out, nr, sizeof(**out));
		(*out)[*nr - 1] = (struct wanted_dir){text_of("%s%s", prefix, list.names[i]), path};
		if (deep && read_dirs(path, text_of("%s%s/", prefix, list.names[i]), deep, out, nr))
			return -1;
	}
	return 0;
}

int wanted_read(const char *dir, struct wanted *w)
{
	*w = (struct wanted){0};
	if (!is_dir(dir)) {
		fprintf(stderr,
			"ubpfctl: %s: no such directory (it holds progs/NAME.bpf.o, maps/, "
			"cgroup/, "
			"events/; ubpfctl export writes one)\n",
			dir);
		return -1;
	}
	return read_objects(text_of("%s/progs", dir), w) ||
			       read_dirs(text_of("%s/maps", dir), "", 0, &w->maps, &w->nr_maps) ||
			       read_dirs(text_of("%s/cgroup", dir), "", 1, &w->cgroups,
					 &w->nr_cgroups) ||
			       read_dirs(text_of("%s/events", dir), "", 0, &w->sources,
					 &w->nr_sources)
		       ? -1
		       : 0;
}

void wanted_free(struct wanted *w)
{
	free(w->objects);
	free(w->maps);
	free(w->sources);
	free(w->cgroups);
}

const char *wanted_program(const struct wanted *w, const char *word)
{
	const char *slash = strchr(word, '/');

	for (size_t i = 0; slash && i < w->nr_objects; i++)
		if (strlen(w->objects[i].name) == (size_t)(slash - word) &&
		    !strncmp(w->objects[i].name, word, slash - word))
			return text_of("%s%s", w->objects[i].dir, slash);
	return word;
}

int is_versioned(const char *dir, size_t *len)
{
	const char *at = strchr(dir, '@');

	if (!at || strspn(at + 1, "0123456789abcdef") < HASH_DIGITS ||
	    (at[1 + HASH_DIGITS] && at[1 + HASH_DIGITS] != '/'))
		return 0;
	*len = at - dir;
	return 1;
}

const char *live_name(const struct names *progs, const char *word)
{
	const char *name = word;
	char *end;
	unsigned long id = strtoul(word, &end, 10);
	size_t len;

	for (size_t i = 0; i < progs->nr; i++)
		if ((!*end && progs->list[i].id == id) || !strcmp(progs->list[i].name, word)) {
			name = progs->list[i].name;
			if (is_versioned(name, &len))
				return name;
		}
	return name;
}
