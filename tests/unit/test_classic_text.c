/*
 * test_classic_text.c - what tcpdump -ddd prints, in pieces, and what is not that
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "classic/classic.h"
#include "classic/text.h"

static int parse(const char *text, size_t len, size_t *end, struct bpf_classic_text *out)
{
	/* A copy of exactly this size, so that a sanitizer sees each byte beyond. */
	char *copy = malloc(len ? len : 1);
	struct bpf_log log;
	int ret;

	assert_non_null(copy);
	memcpy(copy, text, len);
	bpf_log_init(&log, 0, 0);
	ret = bpf_classic_text_parse(copy, len, end, out, &log);
	assert_int_equal(ret<0, log.len> 0);
	bpf_log_free(&log);
	free(copy);
	return ret;
}

static const char text[] = "# web\n# tcp port 80\n4\n40 0 0 12\n21 0 1 2048\n6 0 0 4294967295\n"
			   "6 0 0 0\n";

static void test_whole(void **state)
{
	struct bpf_classic_text t;
	size_t end = 0;

	assert_int_equal(parse(text, sizeof(text) - 1, &end, &t), 1);
	assert_int_equal(end, sizeof(text) - 1);
	assert_string_equal(t.name, "web");
	assert_int_equal(t.cnt, 4);
	assert_int_equal(t.insns[0].code, 40);
	assert_int_equal(t.insns[0].k, 12);
	assert_int_equal(t.insns[1].jf, 1);
	assert_true(t.insns[2].k == 0xffffffffu);
	bpf_classic_text_free(&t);
	assert_null(t.insns);
}

/* Of every prefix only the whole text is complete, and none is wrong. */
static void test_every_prefix(void **state)
{
	struct bpf_classic_text t;
	size_t end;

	for (size_t len = 0; len < sizeof(text) - 1; len++)
		assert_int_equal(parse(text, len, &end, &t), 0);
}

static void test_what_follows_is_not_looked_at(void **state)
{
	static const char more[] = "1\n6 0 0 7\nanything";
	struct bpf_classic_text t;
	size_t end = 0;

	assert_int_equal(parse(more, sizeof(more) - 1, &end, &t), 1);
	assert_int_equal(end, 10);
	assert_string_equal(t.name, "");
	bpf_classic_text_free(&t);
}

static void test_blanks(void **state)
{
	static const char *const good[] = {
		"1\r\n6 0 0 7\r\n",	  "1 \n 6\t0  0 7 \n",
		"#\n1\n6 0 0 7\n",	  "#   a-b_c.9  \n1\n6 0 0 7\n",
		"001\n006 00 000 0007\n",
	};
	struct bpf_classic_text t;
	size_t end;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(parse(good[i], strlen(good[i]), &end, &t), 1);
		assert_int_equal(t.insns[0].k, 7);
		bpf_classic_text_free(&t);
	}
}

static void test_wrong(void **state)
{
	static const char *const bad[] = {
		"0\n",
		"4097\n",
		"-1\n",
		"1x\n",
		"x",
		"1 1\n",
		"1\n\n",
		"\n1\n",
		"1\n6 0 0\n",
		"1\n6 0 0 0 0\n",
		"1\n6,0,0,0\n",
		"1\n6 0 0 0x10\n",
		"1\n6 0 0 -1\n",
		"1\n6 0 0 4294967296\n",
		"1\n6 0 0 99999999999999999999999999\n",
		"1\n65536 0 0 0\n",
		"1\n6 256 0 0\n",
		"1\n6 0 256 0\n",
		"2\n6 0 0 0\n# late\n6 0 0 0\n",
		"1\n6 0 0 z",
		"# a b\n1\n6 0 0 0\n",
		"# a/b\n1\n6 0 0 0\n",
		"# 0123456789012345678901234567890123456789012345678901234567890123\n1\n",
	};
	struct bpf_classic_text t;
	size_t end;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(bad[i], strlen(bad[i]), &end, &t) != -EINVAL)
			fail_msg("accepted: %s", bad[i]);
		assert_null(t.insns);
	}
}

static void test_endless(void **state)
{
	struct bpf_classic_text t;
	char line[2000];
	size_t end;

	memset(line, '1', sizeof(line));
	assert_int_equal(parse(line, sizeof(line), &end, &t), -EINVAL);
	memset(line, ' ', sizeof(line));
	line[0] = '1';
	assert_int_equal(parse(line, sizeof(line), &end, &t), -EINVAL);
	memset(line, '#', sizeof(line));
	assert_int_equal(parse(line, sizeof(line), &end, &t), -EINVAL);
	for (size_t i = 0; i < sizeof(line); i += 2)
		memcpy(line + i, "#\n", 2);
	assert_int_equal(parse(line, sizeof(line), &end, &t), -EINVAL);
}

/* Every byte of a good text changed in turn: refused or read, and never read past its end. */
static void test_changed_bytes(void **state)
{
	char copy[sizeof(text)];
	struct bpf_classic_text t;
	u32 refused = 0;
	size_t end;

	for (size_t at = 0; at < sizeof(text) - 1; at++)
		for (int byte = 0; byte < 256; byte++) {
			int ret;

			memcpy(copy, text, sizeof(text));
			copy[at] = (char)byte;
			ret = parse(copy, sizeof(text) - 1, &end, &t);
			assert_true(ret == 0 || ret == 1 ||
				    ret == (copy[0] == '#' && copy[1] == '!' ? -ENOEXEC : -EINVAL));
			refused += ret < 0;
			bpf_classic_text_free(&t);
		}
	assert_true(refused > 5000);
}

static void test_largest(void **state)
{
	char *big = malloc(BPF_MAXINSNS * 32 + 16), *p = big;
	struct bpf_classic_text t;
	size_t end;

	assert_non_null(big);
	p += sprintf(p, "%d\n", BPF_MAXINSNS);
	for (int i = 0; i < BPF_MAXINSNS; i++)
		p += sprintf(p, "65535 255 255 4294967295\n");
	assert_int_equal(parse(big, (size_t)(p - big - 1), &end, &t), 0);
	assert_int_equal(parse(big, (size_t)(p - big), &end, &t), 1);
	assert_int_equal(t.cnt, BPF_MAXINSNS);
	bpf_classic_text_free(&t);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_what_follows_is_not_looked_at),
		cmocka_unit_test(test_blanks),
		cmocka_unit_test(test_wrong),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_changed_bytes),
		cmocka_unit_test(test_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
