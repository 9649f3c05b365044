/*
 * error.c - see error.h
 */
#include "text/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int error_set(struct error_record *e, int err, const char *fmt, ...)
{
	va_list args;

	if (!e || e->err)
		return -err;
	e->err = err;
	va_start(args, fmt);
	if (vasprintf(&e->why, fmt, args) < 0)
		e->why = NULL;
	va_end(args);
	return -err;
}

void error_about(struct error_record *e, int err, const char *about)
{
	char *why;

	if (!e)
		return;
	if (!e->err)
		e->err = abs(err);
	if (asprintf(&why, "%s: %s", about, error_why(e, err)) < 0)
		return;
	free(e->why);
	e->why = why;
}

const char *error_why(const struct error_record *e, int err)
{
	return e->why ? e->why : strerror(abs(err));
}

void error_clear(struct error_record *e)
{
	free(e->why);
	e->why = NULL;
	e->err = 0;
}
