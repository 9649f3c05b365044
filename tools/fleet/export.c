/*
 * export.c - ubpfctl export: a directory that apply makes the same of
 *
 * Objects come from where apply had them (the links in applied/), when their bytes are still those.
 * Programs that were loaded otherwise have no object that could be had; each is named, and the exit
 * status says so.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/fleet/tree.h"
#include "tools/fleet/wanted.h"
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/objects/info.h"
#include "util/types.h"

struct export
{
	const char *m, *dir;
	struct names progs;
	int missing; /* what has no object */
};

static int make_dir(const char *path)
{
	return mkdir(path, 0777) && errno != EEXIST ? complain(path) : 0;
}

static int put(const char *path, const char *data, size_t len)
{
	FILE *f = fopen(path, "we");
	int err;

	if (!f)
		return complain(path);
	err = fwrite(data, 1, len, f) != len;
	err |= fclose(f) != 0;
	return err ? complain(path) : 0;
}

/* What is there and is not empty. */
static int copy(const char *from, const char *to)
{
	size_t len;
	char *text = read_there(from, &len);

	return len > 1 ? put(to, text, len) : 0;
}

static int copy_attributes(const char *from, const char *to, const char *const *attributes)
{
	if (make_dir(to))
		return -1;
	for (; *attributes; attributes++)
		if (copy(text_of("%s/%s", from, *attributes), text_of("%s/%s", to, *attributes)))
			return -1;
	return 0;
}

/* "17 multi" of a live file: "fw/firewall multi". */
static char *plain_lines(struct export *e, char *text)
{
	char *out = text_of("%s", ""), *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words = NULL, *prog = strtok_r(line, " ", &words);
		const char *name;
		size_t len;

		if (!prog)
			continue;
		name = live_name(&e->progs, prog);
		if (is_versioned(name, &len) && strchr(name, '/'))
			name = text_of("%.*s%s", (int)len, name, strchr(name, '/'));
		out = text_of("%s%s%s%s\n", out, name, words && *words ? " " : "",
			      words ? words : "");
	}
	return out;
}

static int export_lines(struct export *e, const char *from, const char *to)
{
	char *text = read_there(from, NULL);

	if (strspn(text, " \n") == strlen(text))
		return 0;
	text = plain_lines(e, text);
	return put(to, text, strlen(text));
}

static int export_object(struct export *e, const char *name)
{
	char *rec = text_of("%s/applied/object:%s", e->m, name), path[4096];
	ssize_t n = readlink(rec, path, sizeof(path) - 1);
	struct wanted w = {0};
	int ret = -1;
	size_t len;

	is_versioned(name, &len);
	if (n > 0) {
		char *slash;

		path[n] = 0;
		slash = strrchr(path, '/');
		/* Read as apply does: is it that version still? */
		if (slash && slash - path > 6 && !strncmp(slash - 6, "/progs", 6) &&
		    !wanted_read(text_of("%.*s", (int)(slash - 6 - path), path), &w))
			for (size_t i = 0; i < w.nr_objects; i++) {
				struct wanted_object *o = &w.objects[i];

				if (strcmp(o->dir, name))
					continue;
				ret = put(text_of("%s/progs/%s.bpf.o", e->dir, o->name), o->data,
					  o->len) ||
				      (o->constants &&
				       put(text_of("%s/progs/%s.constants", e->dir, o->name),
					   o->constants, strlen(o->constants)));
			}
	}
	wanted_free(&w);
	if (ret < 0) {
		fprintf(stderr,
			"ubpfctl: progs/%s: its object is not where it was applied from; put it at "
			"%s/progs/%.*s.bpf.o\n",
			name, e->dir, (int)len, name);
		e->missing++;
		ret = 0;
	}
	return ret;
}

static int export_progs(struct export *e)
{
	char *progs = text_of("%s/progs", e->m);
	struct name_list list;
	size_t len;

	if (make_dir(text_of("%s/progs", e->dir)))
		return -1;
	list_there(progs, &list);
	for (size_t i = 0; i < list.nr; i++) {
		if (!is_dir(text_of("%s/%s", progs, list.names[i])))
			continue;
		if (is_versioned(list.names[i], &len)) {
			if (export_object(e, list.names[i]))
				return -1;
			continue;
		}
		fprintf(stderr,
			"ubpfctl: progs/%s was not made by apply, and a mount keeps no objects; "
			"put "
			"its object into %s/progs\n",
			list.names[i], e->dir);
		e->missing++;
	}
	return 0;
}

static int export_cgroups(struct export *e, const char *from, const char *to)
{
	struct name_list list;

	if (make_dir(to) ||
	    export_lines(e, text_of("%s/ingress.attach", from), text_of("%s/ingress.attach", to)) ||
	    export_lines(e, text_of("%s/egress.attach", from), text_of("%s/egress.attach", to)))
		return -1;
	list_there(from, &list);
	for (size_t i = 0; i < list.nr; i++) {
		char *child = text_of("%s/%s", from, list.names[i]);

		if (is_dir(child) && export_cgroups(e, child, text_of("%s/%s", to, list.names[i])))
			return -1;
	}
	return 0;
}

/* Maps that a load owns come with its object; those of mkdir are ours to write. */
static int export_maps(struct export *e)
{
	char *maps = text_of("%s/maps", e->m), *to = text_of("%s/maps", e->dir);
	struct name_list list;

	if (make_dir(to))
		return -1;
	list_there(maps, &list);
	for (size_t i = 0; i < list.nr; i++) {
		char *from = text_of("%s/%s", maps, list.names[i]);
		char *map = text_of("%s/%s", to, list.names[i]), have[16];

		if (readlink(text_of("%s/applied/map:%s", e->m, list.names[i]), have,
			     sizeof(have)) < 0) {
			if (errno != ENOENT)
				return complain(maps);
			continue;
		}
		if (copy_attributes(from, map, map_attributes) ||
		    copy(text_of("%s/keys", from), text_of("%s/keys", map)) ||
		    copy(text_of("%s/dump", from), text_of("%s/dump", map)))
			return -1;
	}
	return 0;
}

static int export_sources(struct export *e)
{
	char *events = text_of("%s/events", e->m), *to = text_of("%s/events", e->dir);
	struct name_list list;

	if (make_dir(to))
		return -1;
	list_there(events, &list);
	for (size_t i = 0; i < list.nr; i++) {
		char *from = text_of("%s/%s", events, list.names[i]);
		char *source = text_of("%s/%s", to, list.names[i]);

		if (copy_attributes(from, source, source_attributes) ||
		    export_lines(e, text_of("%s/attach", from), text_of("%s/attach", source)))
			return -1;
	}
	return 0;
}

int cmd_export(int argc, char **argv)
{
	struct export e = {.m = mount_point()};
	struct name_list there;
	int ret = 1;

	if (argc != 2 || argv[1][0] == '-')
		return 2;
	e.dir = argv[1];
	if (!list_dir(e.dir, &there) && there.nr) {
		fprintf(stderr, "ubpfctl: %s: it is not empty; name a new directory\n", e.dir);
	} else if (!make_dir(e.dir)) {
		if (names_get(UBPFFS_PROG, &e.progs))
			ret = fail("progs");
		else
			ret = export_progs(&e) || export_maps(&e) ||
			      export_cgroups(&e, text_of("%s/cgroup", e.m),
					     text_of("%s/cgroup", e.dir)) ||
			      export_sources(&e) || unread();
	}
	names_free(&e.progs);
	text_free_all();
	if (!ret && !e.missing)
		out_null();
	return ret || e.missing || out_done();
}
