/*
 * test_samples.c - what M/metrics says, as numbers (tools/watch/samples.c)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "tools/watch/samples.h"

static void test_rows(void **state)
{
	static const char text[] = "# TYPE ubpffs_program_runs counter\n"
				   "ubpffs_program_runs_total{id=\"4\",name=\"a,id=\\\"5\\\"}\","
				   "type=\"xdp\",uid=\"0\"} 7\n"
				   "ubpffs_map_entries{name=\"m\",id=\"4\",type=\"hash\"} 2.5\n"
				   "ubpffs_map_max_entries{id=\"4\",name=\"m\",type=\"hash\"} 10\n"
				   "ubpffs_later_total{id=\"9\"} 1\nubpffs_requests_total 5\n"
				   "ubpffs_program_runs_total{id=\"6\"";
	const struct sample *s;
	struct samples all;

	assert_int_equal(samples_parse(text, &all), 0);
	s = samples_find(&all, 0, 4);
	assert_non_null(s);
	assert_string_equal(s->name, "a,id=\"5\"}");
	assert_string_equal(s->type, "xdp");
	assert_true(s->values[PROG_RUNS] == 7);
	s = samples_find(&all, 1, 4);
	assert_true(s && s->values[MAP_ENTRIES] == 2.5 && s->values[MAP_MAX_ENTRIES] == 10);
	assert_null(samples_find(&all, 0, 9));
	samples_free(&all);
	assert_int_equal(samples_parse("", &all), 0);
	assert_int_equal(all.nr, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
