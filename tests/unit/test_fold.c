/*
 * Stacks and counts as text become folded lines and a picture.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include "tools/flame/fold.h"

static const char dump[] = "7 0x401000 leaf+0x10 (/bin/x)\n7 0x401100 middle+0x4 (/bin/x)\n"
			   "7 0x401200 main+0x4 (/bin/x)\n"
			   "9 0x401110 middle+0x14 (/bin/x)\n9 0x401200 main+0x4 (/bin/x)\n"
			   "12 0xffffffff81000010 do_syscall_64+0x10 ([kernel])\n"
			   "13 0x7f0000001234 (/usr/lib/libc.so.6)\n13 0x1234\n"
			   "15 0x2 (anonymous namespace)::f(int)+0x3 (/tmp/x (deleted))\n"
			   "14 0x1 operator new(unsigned long; int)+0x3 (/bin/x)\n";

/* What a function writes, as a string. */
static char *written(const struct frame *root, int svg)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	if (svg)
		svg_print(root, "a <title> & more", f);
	else
		fold_print(root, f);
	fclose(f);
	return text;
}

static struct frame *folded(const char *stacks_text, const char *counts, int key_size,
			    unsigned long long *skipped)
{
	struct stacks *stacks = stacks_read(stacks_text);
	struct frame *root;

	assert_non_null(stacks);
	root = fold(stacks, counts, key_size, skipped);
	assert_non_null(root);
	stacks_free(stacks);
	return root;
}

static void expect(const char *counts, int key_size, unsigned long long skip, const char *lines)
{
	unsigned long long skipped;
	struct frame *root = folded(dump, counts, key_size, &skipped);
	char *text = written(root, 0);

	assert_string_equal(text, lines);
	assert_true(skipped == skip);
	free(text);
	fold_free(root);
}

static void keys(void **state)
{
	expect("7 10\n9 5\n7 1\n", 4, 0, "main;middle 5\nmain;middle;leaf 11\n");
	/* 12 << 32 | 9; 9 and no kernel stack; no stack at all */
	expect("51539607561 3\n18446744013580009481 4\n18446744017874976754 2\n", 8, 0,
	       "[no stack] 2\nmain;middle 4\nmain;middle;do_syscall_64 3\n");
	expect("07000000f2ffffff622062000000000000000000000000"
	       "00 8\n",
	       24, 0, "b_b;main;middle;leaf 8\n");
	expect("13 1\n", 4, 0, "0x1234;[libc.so.6] 1\n");
	expect(NULL, 0, 0,
	       "(anonymous namespace)::f(int) 1\n0x1234;[libc.so.6] 1\ndo_syscall_64 "
	       "1\nmain;middle 1\nmain;middle;leaf 1\n"
	       "operator new(unsigned long_ int) 1\n");
}

static void bad_counts(void **state)
{
	expect("", 4, 0, "");
	expect("8 1\nx 1\n7\n7 x\n7 1 1\n 7\n\n\n7 2", 4, 6, "main;middle;leaf 2\n");
	expect("0700 1\n07000000f2ffffff6220620000000000000000000000000g 8\n", 24, 2, "");
	expect("7 1\n", 16, 1, "");
}

static void bad_dumps(void **state)
{
	static const char *const texts[] = {"",
					    "\n\n",
					    "x",
					    "7",
					    "7 ",
					    "7 \n",
					    "7 0x",
					    "7  ",
					    "7 ( ",
					    "7 0x1 (",
					    "7 0x1 ()",
					    "7 0x1 +0x1",
					    "7 0x1 ;;;+0x2 (a b)",
					    "7 0x1 (/)",
					    "99999999999999999999 0x1"};
	unsigned long long skipped;
	char *text;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct frame *root = folded(texts[i], NULL, 0, &skipped);

		text = written(root, 0);
		free(text);
		text = written(root, 1);
		assert_non_null(strstr(text, "</svg>"));
		free(text);
		fold_free(root);
	}
}

static size_t times(const char *text, const char *what)
{
	size_t n = 0;

	while ((text = strstr(text, what))) {
		n++;
		text++;
	}
	return n;
}

static void picture(void **state)
{
	unsigned long long skipped;
	struct frame *root =
		folded("1 0x1 a<b>&\"c\"+0x1 (/x)\n1 0x2 main+0x1 (/x)\n2 0x3 rare+0x1 (/x)\n",
		       "1 999999999\n2 1\n", 4, &skipped);
	char *text = written(root, 1);

	/* all, main, a<b>: what is thinner than a hair is left out */
	assert_int_equal(times(text, "<g class=\"b\""), 3);
	assert_int_equal(times(text, "<rect x="), 3);
	assert_non_null(strstr(text, "a&lt;b&gt;&amp;&quot;c&quot;"));
	assert_null(strstr(text, "a<b>"));
	assert_non_null(strstr(text, "a &lt;title&gt; &amp; more"));
	assert_non_null(strstr(text, "1000000000 samples"));
	assert_null(strstr(text, "http://www.w3.org/1999")); /* nothing from elsewhere */
	assert_int_equal(times(text, "http"), 1); /* the namespace */
	assert_null(strstr(text, "rare"));
	free(text);
	fold_free(root);
}

/* A stack deeper than any map holds is cut, not followed off the end. */
static void deep(void **state)
{
	char *big = malloc(5000 * 32), *p = big;
	unsigned long long skipped;
	struct frame *root;
	char *text;

	for (int i = 0; i < 5000; i++)
		p += sprintf(p, "3 0x%x f%d+0x1 (/x)\n", i + 1, i);
	root = folded(big, "3 1\n", 4, &skipped);
	text = written(root, 0);
	assert_int_equal(times(text, ";"), 511);
	free(text);
	text = written(root, 1);
	assert_int_equal(times(text, "<g class=\"b\""), 513);
	free(text);
	fold_free(root);
	free(big);
}

/* Shares, not counts, are compared; what is new was 0, and what is no line is counted. */
static void folded_lines(void **state)
{
	unsigned long long skipped;
	struct frame *old = fold_read("a;b 1\na;c 3\n", &skipped);
	struct frame *new = fold_read("a;b 20\na;d;e 20\nno number\n\n;; 0\n", &skipped);
	const struct frame *b, *d;
	char *text;

	assert_int_equal(skipped, 1);
	assert_int_equal(new->total, 40);
	fold_diff(new, old);
	b = new->child->child;
	d = b->next;
	assert_string_equal(b->name, "b");
	assert_true(b->change > 0.24 && b->change < 0.26);
	assert_true(d->change > 0.49 && d->child->change > 0.49 && d->change < 0.51);
	assert_true(new->change == 0);
	text = written(new, 0);
	assert_string_equal(text, "a;b 20\na;d;e 20\n");
	free(text);
	fold_free(old);
	fold_free(new);
	text = malloc(5000);
	memset(text, ';', 4990);
	strcpy(text + 4990, "a 1\n");
	old = fold_read(text, &skipped);
	assert_int_equal(skipped, 1);
	fold_free(old);
	free(text);
	old = fold_read("", &skipped);
	assert_int_equal(old->total, 0);
	fold_free(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),	     cmocka_unit_test(bad_counts),
		cmocka_unit_test(bad_dumps), cmocka_unit_test(picture),
		cmocka_unit_test(deep),	     cmocka_unit_test(folded_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
