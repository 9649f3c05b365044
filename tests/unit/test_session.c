/*
 * test_session.c - fs/fuse/session/session.c: options of libfuse, and whether the kernel is there
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <unistd.h>
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

static ssize_t no_write(int fd, struct iovec *iov, int count, void *unused)
{
	errno = ENODEV;
	return -1;
}

static ssize_t no_read(int fd, void *buf, size_t len, void *unused)
{
	errno = ENODEV;
	return -1;
}

static struct fuse_session *session_on(int fd)
{
	static const struct fuse_custom_io io = {.writev = no_write, .read = no_read};
	char *argv[] = {"ubpffs", NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, argv);
	struct fuse_session *se = session_new(&args);

	assert_non_null(se);
	assert_int_equal(fuse_session_custom_io(se, &io, fd), 0);
	fuse_opt_free_args(&args);
	return se;
}

/* Only an error says that nobody is there: the device has requests, or none. */
static void an_aborted_connection_is_none(void **state)
{
	struct fuse_session *se;
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	se = session_on(ends[1]);
	assert_true(session_connected(se));
	close(ends[0]); /* a pipe without a reader: POLLERR */
	assert_false(session_connected(se));
	session_free(se); /* and its descriptor */
	assert_int_equal(pipe(ends), 0);
	close(ends[1]);
	se = session_on(ends[0]); /* one without a writer: POLLHUP alone */
	assert_true(session_connected(se));
	session_free(se);
	session_free(NULL);
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
		cmocka_unit_test(an_aborted_connection_is_none),
		cmocka_unit_test(an_unknown_option_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
