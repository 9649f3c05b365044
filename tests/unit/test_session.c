/*
 * test_session.c - fs/fuse/session/session.c: options of libfuse
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "fs/fuse/fuse.h"
#include "fs/fuse/session/session.h"

static void parse(char *option, struct session_options *out, int expected)
{
	char *argv[] = {"ubpffs", option, "/mnt", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(3, argv);

	*out = (struct session_options){0};
	assert_int_equal(session_options(&args, out), expected);
	fuse_opt_free_args(&args);
}

static void options_are_taken_out(void **state)
{
	struct session_options o;

	parse("-f", &o, 0);
	assert_true(o.foreground && !o.help && !o.version);
	parse("--help", &o, 0);
	assert_true(o.help && !o.foreground && !o.version);
	parse("-V", &o, 0);
	assert_true(o.version && !o.help);
	parse("-oallow_other", &o, 0);
	assert_false(o.foreground || o.help || o.version);
}

static void an_unknown_option_is_refused(void **state)
{
	char *argv[] = {"ubpffs", "-onosuchoption", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *se = session_new(&args);

	assert_null(se);
	fuse_opt_free_args(&args);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_are_taken_out),
		cmocka_unit_test(an_unknown_option_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
