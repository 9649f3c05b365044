/*
 * steps.h - changes of a mount that are made together: done in order, undone when one fails
 */
#ifndef UBPFFS_TOOLS_FLEET_STEPS_H
#define UBPFFS_TOOLS_FLEET_STEPS_H

#include <stdbool.h>
#include "tools/fleet/wanted.h"

enum step_kind {
	STEP_MAP, /* a map's directory and definition */
	STEP_CGROUP, /* a directory */
	STEP_LOAD, /* a load directory with an object */
	STEP_SOURCE, /* a source's directory and definition; it is not attached */
	STEP_LINE, /* a line into a file */
	STEP_RECORD, /* a symbolic link that says that we made it */
	STEP_REMOVE, /* a directory; cannot be undone, so these come last */
	STEP_FORGET, /* a record */
};

struct step {
	enum step_kind kind;
	const char *say; /* "load fw@1234", NULL: nothing is said */
	const char *path; /* on the mount */
	const char *from; /* the directory, the line, the link's target */
	const char *undo; /* STEP_LINE: the line that takes it back; NULL: it cannot */
	const struct wanted_object *object;
};

struct steps {
	struct step *list;
	size_t nr;
};

void steps_add(struct steps *steps, struct step step);
void steps_free(struct steps *steps);
/* What would be done, or is: a line each, or JSON. */
void steps_print(const struct steps *steps);
/* 0; 1: one failed, which was explained, and what came before it was undone. */
int steps_do(const struct steps *steps);

#endif
