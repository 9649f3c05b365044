/*
 * steps.c - see steps.h
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tools/fleet/steps.h"
#include "tools/fleet/tree.h"
#include "tools/lib/mount.h"
#include "tools/lib/output.h"

void steps_add(struct steps *steps, struct step step)
{
	struct step *list = realloc(steps->list, (steps->nr + 1) * sizeof(*list));

	if (!list) {
		fprintf(stderr, "ubpfctl: %s\n", strerror(ENOMEM));
		exit(1);
	}
	steps->list = list;
	list[steps->nr++] = step;
}

void steps_free(struct steps *steps)
{
	free(steps->list);
	*steps = (struct steps){0};
}

void steps_print(const struct steps *steps)
{
	bool any = false;

	if (out_json())
		out_begin(NULL, '[');
	for (size_t i = 0; i < steps->nr; i++) {
		const char *say = steps->list[i].say;
		const char *blank = say ? strchr(say, ' ') : NULL;

		if (!blank)
			continue;
		any = true;
		if (!out_json()) {
			printf("%s\n", say);
			continue;
		}
		out_begin(NULL, '{');
		out_str("action", text_of("%.*s", (int)(blank - say), say));
		out_str("what", blank + 1);
		out_end('}');
	}
	if (out_json())
		out_end(']');
	else if (!any)
		printf("nothing to do\n");
}

/* The attributes in their order: what completes a definition comes last. */
static int write_attributes(const char *to, const char *from, const char *const *attributes)
{
	for (; *attributes; attributes++) {
		const char *word = read_word(text_of("%s/%s", from, *attributes));

		if (unread())
			return -1;
		if (*word && write_line(text_of("%s/%s", to, *attributes), word))
			return fail(text_of("%s/%s", to, *attributes)), -1;
	}
	return 0;
}

static int make_map(const struct step *s)
{
	const char *keys = read_word(text_of("%s/keys", s->from));
	size_t len;
	char *dump;

	if (mkdir(s->path, 0777))
		return fail(s->path), -1;
	if (write_attributes(s->path, s->from, map_attributes))
		return -1;
	if (*keys && write_line(text_of("%s/keys", s->path), keys))
		return fail(text_of("%s/keys", s->path)), -1;
	dump = read_there(text_of("%s/dump", s->from), &len);
	if (unread())
		return -1;
	if (len && write_file(text_of("%s/dump", s->path), dump, len))
		return fail(text_of("%s/dump", s->path)), -1;
	return 0;
}

static int load(const struct step *s)
{
	const struct wanted_object *o = s->object;
	char *report;

	if (mkdir(s->path, 0777))
		return fail(s->path), -1;
	if (o->constants && *o->constants &&
	    write_file(text_of("%s/constants", s->path), o->constants, strlen(o->constants)))
		return fail(text_of("%s: its constants", o->path)), -1;
	if (!write_file(text_of("%s/new", s->path), o->data, o->len))
		return 0;
	fail(o->path);
	report = read_file(text_of("%s/log", s->path), NULL);
	if (report)
		fputs(report, stderr);
	return -1;
}

/* -1: it was explained. */
static int do_step(const struct step *s)
{
	switch (s->kind) {
	case STEP_MAP:
		return make_map(s);
	case STEP_LOAD:
		return load(s);
	case STEP_CGROUP:
		if (mkdir(s->path, 0777) && errno != EEXIST)
			break;
		return 0;
	case STEP_SOURCE:
		if (mkdir(s->path, 0777) && errno != EEXIST)
			break;
		return write_attributes(s->path, s->from, source_attributes);
	case STEP_LINE:
		if (write_line(s->path, s->from))
			break;
		return 0;
	case STEP_RECORD:
		if (unlink(s->path) && errno != ENOENT)
			break;
		if (symlink(s->from, s->path))
			break;
		return 0;
	case STEP_REMOVE:
		if (remove_dir(s->path))
			break;
		return 0;
	case STEP_FORGET:
		if (unlink(s->path) && errno != ENOENT)
			break;
		return 0;
	}
	fail(s->kind == STEP_LINE ? text_of("%s: '%s'", s->path, s->from) : s->path);
	return -1;
}

static void undo_step(const struct step *s)
{
	int err = 0;

	switch (s->kind) {
	case STEP_MAP:
	case STEP_LOAD:
	case STEP_SOURCE:
	case STEP_CGROUP:
		err = remove_dir(s->path);
		break;
	case STEP_LINE:
		err = s->undo ? write_line(s->path, s->undo) : 0;
		break;
	case STEP_RECORD:
		err = unlink(s->path);
		break;
	case STEP_REMOVE:
	case STEP_FORGET:
		break;
	}
	if (err && errno != ENOENT)
		fail(text_of("%s: it could not be taken back", s->path));
}

int steps_do(const struct steps *steps)
{
	int ret = 0;

	for (size_t i = 0; i < steps->nr; i++) {
		const struct step *s = &steps->list[i];

		if (!do_step(s))
			continue;
		if (s->kind >= STEP_REMOVE) { /* what is new is there, and goes on */
			ret = 1;
			continue;
		}
		/* A directory may be there though it was not completed. */
		for (i += s->kind != STEP_LINE && s->kind != STEP_RECORD; i-- > 0;)
			undo_step(&steps->list[i]);
		fprintf(stderr, "ubpfctl: %s: nothing was changed\n", mount_point());
		return 1;
	}
	return ret;
}
