/*
 * fold.c - see fold.h
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include "tools/flame/fold.h"

#define MAX_DEPTH 512

struct stack {
	unsigned int id, nr, cap;
	char **names; /* innermost first */
	int *kernel;
};

struct stacks {
	struct stack *v; /* ascending by id */
	size_t n, cap;
};

/* ---- reading stacks */

/* A function's name may have blanks and plus signs: it ends before "+0xOFFSET (FILE)". */
static const char *name_end(const char *text, const char *end)
{
	for (const char *p = text + 1; p < end; p++) {
		const char *q = p + 3;

		if (end - p < 4 || memcmp(p, "+0x", 3))
			continue;
		while (q < end && isxdigit((unsigned char)*q))
			q++;
		if (q > p + 3 && (q == end || (end - q > 1 && q[0] == ' ' && q[1] == '(')))
			return p;
	}
	return end;
}

/*
 * The name of a frame: the function; else the file; else the address. What other tools use as marks
 * is replaced.
 */
static char *frame_name(const char *text, size_t len)
{
	const char *end = text + len, *p = memchr(text, ' ', len), *q;
	char *name;
	size_t i;

	if (p && end - p > 2 && (p[1] != '(' || name_end(p + 1, end) < end)) {
		text = p + 1; /* function+0xoff (file) */
		end = name_end(text, end);
	} else if (p && end - p > 3 && p[1] == '(') { /* (file): its last part, in brackets */
		text = p + 2;
		if (end[-1] == ')')
			end--;
		for (q = end; q > text && q[-1] != '/'; q--)
			;
		name = malloc((size_t)(end - q) + 3);
		if (name)
			sprintf(name, "[%.*s]", (int)(end - q), q);
		goto clean;
	} else if (p) {
		end = p;
	}
	name = strndup(text, (size_t)(end - text));
clean:
	for (i = 0; name && name[i]; i++)
		if (name[i] == ';' || (unsigned char)name[i] < ' ')
			name[i] = '_';
	return name;
}

static struct stack *stack_of(struct stacks *stacks, unsigned int id)
{
	struct stack *v;

	/* The lines of one stack follow each other. */
	if (stacks->n && stacks->v[stacks->n - 1].id == id)
		return &stacks->v[stacks->n - 1];
	if (stacks->n == stacks->cap) {
		size_t cap = stacks->cap * 2 + 64;

		v = realloc(stacks->v, cap * sizeof(*v));
		if (!v)
			return NULL;
		stacks->v = v;
		stacks->cap = cap;
	}
	v = &stacks->v[stacks->n++];
	memset(v, 0, sizeof(*v));
	v->id = id;
	return v;
}

static int stack_add(struct stack *stack, const char *text, size_t len)
{
	unsigned long long addr = strtoull(text, NULL, 16);
	char **names;
	int *kernel;

	if (stack->nr == MAX_DEPTH)
		return 0;
	if (stack->nr == stack->cap) {
		unsigned int cap = stack->cap * 2 + 16;

		names = realloc(stack->names, cap * sizeof(*names));
		if (!names)
			return -1;
		stack->names = names;
		kernel = realloc(stack->kernel, cap * sizeof(*kernel));
		if (!kernel)
			return -1;
		stack->kernel = kernel;
		stack->cap = cap;
	}
	stack->kernel[stack->nr] = addr >> 63;
	stack->names[stack->nr] = frame_name(text, len);
	return stack->names[stack->nr++] ? 0 : -1;
}

static int by_id(const void *a, const void *b)
{
	unsigned int x = ((const struct stack *)a)->id, y = ((const struct stack *)b)->id;

	return x < y ? -1 : x > y;
}

struct stacks *stacks_read(const char *dump)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));
	const char *line, *end;
	struct stack *stack;
	unsigned long id;
	char *p;

	for (line = dump; stacks && *line; line = *end ? end + 1 : end) {
		end = strchrnul(line, '\n');
		id = strtoul(line, &p, 10);
		if (p == line || *p != ' ' || p + 1 >= end)
			continue;
		stack = stack_of(stacks, (unsigned int)id);
		if (!stack || stack_add(stack, p + 1, (size_t)(end - p - 1))) {
			stacks_free(stacks);
			return NULL;
		}
	}
	if (stacks && stacks->n)
		qsort(stacks->v, stacks->n, sizeof(*stacks->v), by_id);
	return stacks;
}

void stacks_free(struct stacks *stacks)
{
	size_t i;
	unsigned int k;

	if (!stacks)
		return;
	for (i = 0; i < stacks->n; i++) {
		for (k = 0; k < stacks->v[i].nr; k++)
			free(stacks->v[i].names[k]);
		free(stacks->v[i].names);
		free(stacks->v[i].kernel);
	}
	free(stacks->v);
	free(stacks);
}

static const struct stack *find(const struct stacks *stacks, long long id)
{
	struct stack key = {.id = (unsigned int)id};

	if (id < 0 || !stacks->n)
		return NULL;
	return bsearch(&key, stacks->v, stacks->n, sizeof(key), by_id);
}

/* ---- the tree */

static struct frame *frame_new(const char *name, int kernel)
{
	struct frame *f = calloc(1, sizeof(*f));

	if (f)
		f->name = strdup(name);
	if (f && !f->name) {
		free(f);
		f = NULL;
	}
	if (f)
		f->kernel = kernel;
	return f;
}

static struct frame *child_of(struct frame *f, const char *name, int kernel)
{
	struct frame **p = &f->child, *new;
	int order;

	for (; *p; p = &(*p)->next) {
		order = strcmp((*p)->name, name);
		if (!order && (*p)->kernel == kernel)
			return *p;
		if (order > 0)
			break;
	}
	new = frame_new(name, kernel);
	if (!new)
		return NULL;
	new->next = *p;
	*p = new;
	return new;
}

static struct frame *add_stack(struct frame *f, const struct stack *stack, unsigned long long n)
{
	unsigned int i;

	for (i = stack ? stack->nr : 0; f && i-- > 0;) {
		f = child_of(f, stack->names[i], stack->kernel[i]);
		if (f)
			f->total += n;
	}
	return f;
}

static int add(struct frame *root, const char *comm, const struct stack *user,
	       const struct stack *kernel, unsigned long long n)
{
	struct frame *f = root;

	root->total += n;
	if (comm) {
		f = child_of(f, comm, 0);
		if (f)
			f->total += n;
	}
	f = add_stack(f, user, n);
	f = add_stack(f, kernel, n);
	if (!f)
		return -1;
	f->self += n;
	return 0;
}

/* ---- counts */

struct key {
	int user, kernel; /* the second: -1 when the key has none */
	char comm[17];
};

static int hex_bytes(const char *s, size_t len, unsigned char *out, size_t size)
{
	size_t i;

	if (len != size * 2)
		return -1;
	for (i = 0; i < size; i++) {
		char two[3] = {s[i * 2], s[i * 2 + 1], 0};

		if (!isxdigit((unsigned char)two[0]) || !isxdigit((unsigned char)two[1]))
			return -1;
		out[i] = (unsigned char)strtoul(two, NULL, 16);
	}
	return 0;
}

static int parse_key(const char *s, size_t len, int size, struct key *key)
{
	unsigned long long number;
	unsigned char raw[24];
	char *end;
	int i;

	memset(key, 0, sizeof(*key));
	key->kernel = -1;
	if (size == 4 || size == 8) {
		number = strtoull(s, &end, 10);
		if (end != s + len || !len)
			return -1;
		key->user = (int)number;
		if (size == 8)
			key->kernel = (int)(number >> 32);
		return 0;
	}
	if (size != 24 || hex_bytes(s, len, raw, sizeof(raw)))
		return -1;
	memcpy(&key->user, raw, 4);
	memcpy(&key->kernel, raw + 4, 4);
	memcpy(key->comm, raw + 8, 16);
	for (i = 0; key->comm[i]; i++)
		if (key->comm[i] == ';' || isspace((unsigned char)key->comm[i]) ||
		    (unsigned char)key->comm[i] < ' ')
			key->comm[i] = '_';
	return 0;
}

/* 0: counted; 1: not understood; -1: no memory. */
static int count_line(struct frame *root, const struct stacks *stacks, const char *line, size_t len,
		      int key_size)
{
	const char *blank = memchr(line, ' ', len);
	char nothing[] = "[no stack]", *names[] = {nothing};
	const struct stack *user, *kernel;
	unsigned long long n;
	int zero = 0;
	struct stack none = {.nr = 1, .names = names, .kernel = &zero};
	struct key key;
	char *end;

	if (!blank || parse_key(line, (size_t)(blank - line), key_size, &key))
		return 1;
	n = strtoull(blank + 1, &end, 10);
	if (end == blank + 1 || end != line + len)
		return 1;
	user = find(stacks, key.user);
	kernel = find(stacks, key.kernel);
	if (!user && !kernel) {
		/* No room, or another stack with the same hash: the samples still count. */
		if (key.user >= 0 || (key_size > 4 && key.kernel >= 0))
			return 1;
		user = &none;
	}
	return n ? add(root, key.comm[0] ? key.comm : NULL, user, kernel, n) : 0;
}

struct frame *fold(const struct stacks *stacks, const char *counts, int key_size,
		   unsigned long long *skipped)
{
	struct frame *root = frame_new("all", 0);
	const char *line, *end;
	int err = root ? 0 : -1;
	size_t i;

	*skipped = 0;
	if (!counts) {
		for (i = 0; !err && i < stacks->n; i++)
			err = add(root, NULL, &stacks->v[i], NULL, 1);
	} else {
		for (line = counts; err >= 0 && *line; line = *end ? end + 1 : end) {
			end = strchrnul(line, '\n');
			if (end == line)
				continue;
			err = count_line(root, stacks, line, (size_t)(end - line), key_size);
			*skipped += err > 0;
		}
	}
	if (err < 0) {
		fold_free(root);
		return NULL;
	}
	return root;
}

/* ---- folded lines */

#define MAX_FOLDED 1024 /* frames; trees are walked by recursion */

static int add_line(struct frame *root, char *line, unsigned long long *skipped)
{
	char *blank = strrchr(line, ' '), *end, *save = NULL;
	unsigned long long n = blank ? strtoull(blank + 1, &end, 10) : 0;
	struct frame *f = root;
	unsigned int depth = 0;

	for (const char *p = line; *p; p++)
		depth += *p == ';';
	if (!blank || end == blank + 1 || *end || blank == line || depth > MAX_FOLDED) {
		++*skipped;
		return 0;
	}
	*blank = 0;
	root->total += n;
	for (char *name = strtok_r(line, ";", &save); f && name;
	     name = strtok_r(NULL, ";", &save)) {
		f = child_of(f, name, 0);
		if (f)
			f->total += n;
	}
	if (!f)
		return -1;
	f->self += n;
	return 0;
}

struct frame *fold_read(const char *text, unsigned long long *skipped)
{
	struct frame *root = frame_new("all", 0);
	char *copy = strdup(text), *save = NULL;
	int err = !root || !copy;

	*skipped = 0;
	for (char *line = err ? NULL : strtok_r(copy, "\n", &save); !err && line;
	     line = strtok_r(NULL, "\n", &save))
		err = add_line(root, line, skipped);
	free(copy);
	if (!err)
		return root;
	fold_free(root);
	return NULL;
}

static void diff(struct frame *f, double all, const struct frame *old, double old_all)
{
	f->change = (double)f->total / all - (old ? (double)old->total / old_all : 0);
	for (struct frame *child = f->child; child; child = child->next) {
		const struct frame *was = old ? old->child : NULL;

		while (was && (strcmp(was->name, child->name) || was->kernel != child->kernel))
			was = was->next;
		diff(child, all, was, old_all);
	}
}

void fold_diff(struct frame *root, const struct frame *old)
{
	diff(root, root->total ? (double)root->total : 1, old, old->total ? (double)old->total : 1);
}

void fold_free(struct frame *root)
{
	struct frame *child;

	if (!root)
		return;
	while ((child = root->child)) {
		root->child = child->next;
		fold_free(child);
	}
	free(root->name);
	free(root);
}

static void print_below(const struct frame *f, const char **path, unsigned int depth, FILE *out)
{
	const struct frame *child;
	unsigned int i;

	if (f->self && depth) {
		for (i = 0; i < depth; i++)
			fprintf(out, "%s%s", i ? ";" : "", path[i]);
		fprintf(out, " %llu\n", f->self);
	}
	for (child = f->child; child; child = child->next) {
		path[depth] = child->name;
		print_below(child, path, depth + 1, out);
	}
}

void fold_print(const struct frame *root, FILE *out)
{
	const char *path[2 * MAX_DEPTH + 2];

	print_below(root, path, 0, out);
}
