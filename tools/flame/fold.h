/*
 * fold.h - stacks and how often each was seen, as a tree of frames
 *
 * Text in (what dump files of maps say), a tree or folded lines out. Nothing but memory and the
 * text is used.
 */
#ifndef UBPFFS_TOOLS_FLAME_FOLD_H
#define UBPFFS_TOOLS_FLAME_FOLD_H

#include <stdio.h>

struct frame {
	char *name;
	unsigned long long self, total; /* samples that end here; and those above */
	struct frame *child, *next; /* children by name */
	int kernel;
	double change; /* fold_diff(): how much larger its share is than it was, -1 to 1 */
};

struct stacks; /* by id */

/*
 * Lines `ID 0xaddr [function+0xoff] [(file)]`, innermost first, as a stack_trace map's dump has
 * them. NULL: no memory.
 */
struct stacks *stacks_read(const char *dump);
void stacks_free(struct stacks *stacks);

/*
 * fold - count stacks into a tree
 *
 * counts: a map's dump, `key value` a line, or NULL: each stack once. The key is a stack id (4
 * bytes); or { user, kernel } (8 bytes) of ids, one of which may be negative; or those and a name
 * of 16 bytes, which becomes the stack's first frame. *skipped: lines that are none of these, or
 * whose stacks are not there. NULL: no memory.
 */
struct frame *fold(const struct stacks *stacks, const char *counts, int key_size,
		   unsigned long long *skipped);
void fold_free(struct frame *root);
/* A tree of `a;b;c N` lines; *skipped: those that are none. NULL: no memory. */
struct frame *fold_read(const char *text, unsigned long long *skipped);
/* Each frame's `change` against `old`, by its share of all samples. */
void fold_diff(struct frame *root, const struct frame *old);

/* `a;b;c N` lines, for other tools. */
void fold_print(const struct frame *root, FILE *out);
/* A picture that stands alone: svg.c. */
void svg_print(const struct frame *root, const char *title, FILE *out);
/* The same after fold_diff(): red is what grew, blue what shrank. */
void svg_print_diff(const struct frame *root, const char *title, FILE *out);

#endif
