/*
 * problem.c - see problem.h
 */
#include "fs/store/state/problem.h"
#include "fs/lib/error_log.h"
#include "util/types.h"

#include <stdarg.h>
#include <stdio.h>

static struct {
	bool on, lost;
	struct problem *first, **tail;
} collected = {.tail = &collected.first};

static void collect(const char *path, const char *rule, enum remedy remedy, char *text)
{
	struct problem *p = text ? calloc(1, sizeof(*p)) : NULL;

	if (p)
		p->path = strdup(path);
	if (!p || !p->path) {
		collected.lost = true;
		free(p);
		free(text);
		return;
	}
	p->rule = rule;
	p->remedy = remedy;
	p->text = text;
	*collected.tail = p;
	collected.tail = &p->next;
}

static char *sentence(const char *fmt, va_list args)
{
	char *text;

	return vasprintf(&text, fmt, args) < 0 ? NULL : text;
}

void state_problem(const char *path, const char *rule, enum remedy remedy, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = sentence(fmt, args);
	va_end(args);
	if (collected.on) {
		collect(path, rule, remedy, text);
		return;
	}
	if (text)
		fs_warn("%s: %s", path, text);
	free(text);
}

void state_oddity(const char *path, const char *rule, const char *fmt, ...)
{
	va_list args;

	if (!collected.on)
		return;
	va_start(args, fmt);
	collect(path, rule, REMEDY_DONE, sentence(fmt, args));
	va_end(args);
}

/* Sentences of a start that have no place of their own, or get one later. */
static void collect_warning(const char *why)
{
	collect(".", PROBLEM_START, REMEDY_NONE, strdup(why));
}

void problems_collect(void)
{
	collected.on = true;
	fs_warned = collect_warning;
}

bool problem_said_again(const struct problem *p)
{
	for (const struct problem *other = collected.first; other; other = other->next)
		if (!strcmp(p->rule, PROBLEM_START) && strcmp(other->rule, PROBLEM_START) &&
		    !strcmp(p->text, other->text))
			return true;
	return false;
}

struct problem *problems_first(void)
{
	return collected.first;
}

bool problems_lost(void)
{
	return collected.lost;
}
