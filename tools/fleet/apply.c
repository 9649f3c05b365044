/*
 * apply.c - ubpfctl apply: a mount is made what a directory says
 *
 * First what is new is made: maps, load directories (so everything is verified), cgroups and
 * sources. Then attachments change, each atomically. Up to here the first failure takes all of it
 * back. Last goes what the directory no longer has. Ours is what has a versioned name
 * (progs/NAME@HASH), and what a link in applied/ records; the rest of the mount is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/fleet/steps.h"
#include "tools/fleet/tree.h"
#include "tools/fleet/wanted.h"
#include "tools/lib/commands.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"
#include "tools/objects/info.h"
#include "util/types.h"

struct plan {
	struct wanted wanted;
	struct names progs; /* that are there */
	const char *m;
	struct steps make, change, remove, records;
};

/* ---- records: applied/KIND:NAME, a name's slashes are %2f */

static char *record_path(const struct plan *p, const char *kind, const char *name)
{
	char *path = text_of("%s/applied/%s:", p->m, kind);

	for (; *name; name++)
		path = *name == '/' ? text_of("%s%%2f", path) : text_of("%s%c", path, *name);
	return path;
}

static char *record_name(const char *record)
{
	char *name = text_of("%s", strchr(record, ':') + 1), *out = name;

	for (const char *in = name; *in; in++)
		if (!strncmp(in, "%2f", 3)) {
			*out++ = '/';
			in += 2;
		} else {
			*out++ = *in;
		}
	*out = 0;
	return name;
}

static void record(struct plan *p, const char *kind, const char *name, const char *target)
{
	char *path = record_path(p, kind, name), have[4096];
	ssize_t n = readlink(path, have, sizeof(have) - 1);

	if (n > 0) {
		have[n] = 0;
		if (!strcmp(have, target))
			return;
	}
	steps_add(&p->records, (struct step){STEP_RECORD, .path = path, .from = target});
}

/* ---- names of what is attached */

/* The same program in another version? */
static bool same_program(const char *a, const char *b)
{
	size_t n, k;

	return is_versioned(a, &n) && is_versioned(b, &k) && n == k && !strncmp(a, b, n) &&
	       !strcmp(strchr(a, '/') ? strchr(a, '/') : "", strchr(b, '/') ? strchr(b, '/') : "");
}

struct attached {
	const char *prog, *flags;
	bool done;
};

struct attached_list {
	struct attached list[64];
	size_t nr;
};

/* Lines "PROGRAM [FLAGS]", without comments. */
static void attached_read(const struct plan *p, const char *path, bool live,
			  struct attached_list *out)
{
	char *text = read_there(path, NULL), *save = NULL;

	out->nr = 0;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *words = NULL, *prog = strtok_r(line, " \t", &words);
		char *flags = prog ? strtok_r(NULL, " \t", &words) : NULL;

		if (!prog || *prog == '#' || out->nr == 64)
			continue;
		out->list[out->nr++] = (struct attached){live ? live_name(&p->progs, prog)
							      : wanted_program(&p->wanted, prog),
							 flags ? flags : "override"};
	}
}

static void change_line(struct plan *p, const char *file, const char *say, const char *line,
			const char *undo)
{
	steps_add(&p->change,
		  (struct step){STEP_LINE, .say = say, .path = file, .from = line, .undo = undo});
}

static void plan_attach(struct plan *p, const char *cgroup, const char *type, const char *from)
{
	char *file = text_of("%s/cgroup/%s/%s.attach", p->m, cgroup, type);
	struct attached_list want, live;
	size_t len;

	want.nr = 0;
	if (from)
		attached_read(p, text_of("%s/%s.attach", from, type), false, &want);
	attached_read(p, file, true, &live);
	for (size_t i = 0; i < want.nr; i++)
		for (size_t k = 0; k < live.nr; k++)
			if (!live.list[k].done && !strcmp(want.list[i].prog, live.list[k].prog) &&
			    !strcmp(want.list[i].flags, live.list[k].flags))
				want.list[i].done = live.list[k].done = true;
	for (size_t i = 0; i < want.nr; i++) {
		struct attached *w = &want.list[i], *old = NULL;
		bool multi = !strcmp(w->flags, "multi");

		if (w->done)
			continue;
		for (size_t k = 0; k < live.nr && !old; k++)
			if (!live.list[k].done && !strcmp(live.list[k].flags, w->flags) &&
			    (!multi || same_program(live.list[k].prog, w->prog)))
				old = &live.list[k];
		if (old) {
			old->done = true;
			change_line(p, file,
				    text_of("replace %s.attach of cgroup/%s: %s by %s", type,
					    cgroup, old->prog, w->prog),
				    multi ? text_of("%s multi replace %s", w->prog, old->prog)
					  : text_of("%s %s", w->prog, w->flags),
				    multi ? text_of("%s multi replace %s", old->prog, w->prog)
					  : text_of("%s %s", old->prog, old->flags));
		} else {
			change_line(p, file,
				    text_of("attach %s to %s.attach of cgroup/%s", w->prog, type,
					    cgroup),
				    text_of("%s %s", w->prog, w->flags),
				    multi ? text_of("%s multi detach", w->prog) : "");
		}
	}
	for (size_t k = 0; k < live.nr; k++) {
		const struct attached *old = &live.list[k];
		bool multi = !strcmp(old->flags, "multi");

		if (old->done || !is_versioned(old->prog, &len))
			continue;
		change_line(
			p, file,
			text_of("detach %s from %s.attach of cgroup/%s", old->prog, type, cgroup),
			multi ? text_of("%s multi detach", old->prog) : "",
			text_of("%s %s", old->prog, old->flags));
	}
}

/* ---- objects, maps, sources */

static void plan_objects(struct plan *p)
{
	const struct wanted *w = &p->wanted;

	for (size_t i = 0; i < w->nr_objects; i++) {
		const struct wanted_object *o = &w->objects[i];
		char *path = text_of("%s/progs/%s", p->m, o->dir), *real;

		if (!is_dir(path))
			steps_add(&p->make, (struct step){STEP_LOAD, text_of("load %s", o->dir),
							  path, .object = o});
		real = text_keep(realpath(o->path, NULL));
		record(p, "object", o->dir, real ? real : o->path);
	}
}

/* -1: a definition differs, which was said. */
static int plan_maps(struct plan *p)
{
	int ret = 0;

	for (size_t i = 0; i < p->wanted.nr_maps; i++) {
		const struct wanted_dir *map = &p->wanted.maps[i];
		char *path = text_of("%s/maps/%s", p->m, map->name);

		record(p, "map", map->name, text_of("../maps/%s", map->name));
		if (!is_dir(path)) {
			steps_add(&p->make,
				  (struct step){STEP_MAP, text_of("make map %s", map->name), path,
						map->path});
			continue;
		}
		for (const char *const *a = map_attributes; *a; a++) {
			const char *want = read_word(text_of("%s/%s", map->path, *a));
			const char *have = read_word(text_of("%s/%s", path, *a));

			if (!*want || !strcmp(want, have) ||
			    (*want >= '0' && *want <= '9' &&
			     strtoull(want, NULL, 0) == strtoull(have, NULL, 0)))
				continue;
			fprintf(stderr,
				"ubpfctl: %s: %s is %s here and %s there: a map with entries is "
				"not "
				"replaced; keep them by `dump`, rm -r it, and apply again\n",
				path, *a, have, want);
			ret = -1;
		}
	}
	return ret;
}

static void plan_source(struct plan *p, const struct wanted_dir *source)
{
	char *path = text_of("%s/events/%s", p->m, source->name);
	char *attach = text_of("%s/attach", path);
	const char *word = read_word(text_of("%s/attach", source->path));
	const char *want = *word ? wanted_program(&p->wanted, word) : "";
	const char *old = read_word(attach), *have = *old ? live_name(&p->progs, old) : "";
	bool there = is_dir(path), differs = false;

	record(p, "source", source->name, text_of("../events/%s", source->name));
	for (const char *const *a = source_attributes; there && *a; a++)
		differs |= strcmp(read_word(text_of("%s/%s", source->path, *a)),
				  read_word(text_of("%s/%s", path, *a))) != 0;
	if (!there)
		steps_add(&p->make,
			  (struct step){STEP_SOURCE, text_of("make source %s", source->name), path,
					source->path});
	if (differs && *have)
		change_line(p, attach, text_of("stop source %s", source->name), "", have);
	for (const char *const *a = source_attributes; differs && *a; a++) {
		const char *to = read_word(text_of("%s/%s", source->path, *a));
		const char *from = read_word(text_of("%s/%s", path, *a));

		if (strcmp(to, from))
			change_line(p, text_of("%s/%s", path, *a),
				    text_of("change source %s: %s is %s", source->name, *a, to), to,
				    from);
	}
	if (strcmp(want, have) || differs)
		change_line(p, attach,
			    *want ? text_of("run %s on source %s", want, source->name)
				  : text_of("stop source %s", source->name),
			    want, differs ? "" : have);
}

static bool has_dir(const struct wanted_dir *list, size_t nr, const char *name)
{
	for (size_t i = 0; i < nr; i++)
		if (!strcmp(list[i].name, name))
			return true;
	return false;
}

static void plan_removals(struct plan *p)
{
	const struct wanted *w = &p->wanted;
	struct name_list list;
	size_t len;

	/* Sources and cgroups before programs, children before parents. */
	list_there(text_of("%s/applied", p->m), &list);
	for (size_t i = list.nr; i-- > 0;) {
		const char *rec = list.names[i], *colon = strchr(rec, ':'), *kind = "object";
		char *name, *dir;
		bool keep = true;

		if (!colon)
			continue;
		name = record_name(rec);
		if (!strncmp(rec, "map:", 4)) {
			kind = "maps";
			keep = has_dir(w->maps, w->nr_maps, name);
		} else if (!strncmp(rec, "source:", 7)) {
			kind = "events";
			keep = has_dir(w->sources, w->nr_sources, name);
		} else if (!strncmp(rec, "cgroup:", 7)) {
			kind = "cgroup";
			keep = has_dir(w->cgroups, w->nr_cgroups, name);
			if (!keep) {
				plan_attach(p, name, "ingress", NULL);
				plan_attach(p, name, "egress", NULL);
			}
		} else {
			for (size_t k = keep = 0; k < w->nr_objects; k++)
				keep |= !strcmp(w->objects[k].dir, name);
		}
		if (keep)
			continue;
		dir = text_of("%s/%s/%s", p->m, kind, name);
		if (strcmp(kind, "object"))
			steps_add(&p->remove,
				  (struct step){STEP_REMOVE, text_of("remove %s/%s", kind, name),
						dir});
		steps_add(&p->remove,
			  (struct step){STEP_FORGET, .path = text_of("%s/applied/%s", p->m, rec)});
	}
	list_there(text_of("%s/progs", p->m), &list);
	for (size_t i = list.nr; i-- > 0;) {
		bool keep = !is_versioned(list.names[i], &len);

		for (size_t k = 0; !keep && k < w->nr_objects; k++)
			keep = !strcmp(w->objects[k].dir, list.names[i]);
		if (!keep)
			steps_add(&p->remove,
				  (struct step){STEP_REMOVE,
						text_of("remove progs/%s", list.names[i]),
						text_of("%s/progs/%s", p->m, list.names[i])});
	}
}

static int plan(struct plan *p, const char *dir)
{
	if (wanted_read(dir, &p->wanted) || plan_maps(p))
		return 1;
	if (names_get(UBPFFS_PROG, &p->progs))
		return fail("progs");
	plan_objects(p);
	for (size_t i = 0; i < p->wanted.nr_cgroups; i++) {
		const struct wanted_dir *cgroup = &p->wanted.cgroups[i];
		char *path = text_of("%s/cgroup/%s", p->m, cgroup->name);

		if (!is_dir(path)) {
			record(p, "cgroup", cgroup->name, text_of("../cgroup/%s", cgroup->name));
			steps_add(&p->make,
				  (struct step){STEP_CGROUP,
						text_of("make cgroup/%s", cgroup->name), path});
		}
		plan_attach(p, cgroup->name, "ingress", cgroup->path);
		plan_attach(p, cgroup->name, "egress", cgroup->path);
	}
	for (size_t i = 0; i < p->wanted.nr_sources; i++)
		plan_source(p, &p->wanted.sources[i]);
	plan_removals(p);
	return unread();
}

static void append(struct steps *to, struct steps *from)
{
	for (size_t i = 0; i < from->nr; i++)
		steps_add(to, from->list[i]);
	steps_free(from);
}

/* One at a time on a mount: the descriptor of applied/ is the lock. */
static int lock_applied(const char *m)
{
	const char *dir = text_of("%s/applied", m);
	int fd;

	if (mkdir(dir, 0755) && errno != EEXIST)
		return fail("applied"), -1;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
		return fd;
	if (errno == EWOULDBLOCK)
		fprintf(stderr, "ubpfctl: %s: another apply is under way\n", m);
	else
		fail("applied");
	if (fd >= 0)
		close(fd);
	return -1;
}

int cmd_apply(int argc, char **argv)
{
	bool dry = argc > 1 && (!strcmp(argv[1], "-n") || !strcmp(argv[1], "--dry-run"));
	struct plan p = {.m = mount_point()};
	int ret, lock = -1;

	if (argc != 2 + dry || (!dry && argv[1][0] == '-'))
		return 2;
	if (!dry && (lock = lock_applied(p.m)) < 0) {
		text_free_all();
		return 1;
	}
	ret = plan(&p, argv[1 + dry]);
	append(&p.make, &p.change);
	append(&p.make, &p.records);
	append(&p.make, &p.remove);
	if (!ret && !dry)
		ret = steps_do(&p.make);
	if (!ret || dry)
		steps_print(&p.make);
	ret |= out_done();
	steps_free(&p.make);
	names_free(&p.progs);
	wanted_free(&p.wanted);
	if (lock >= 0)
		close(lock);
	text_free_all();
	return ret;
}
