/*
 * Samples as the kernel writes them, and as it never would: nothing is read outside of the record.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mman.h>
#include "fs/sources/perf_events.h"

#define TYPES                                                                     \
	(PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR | \
	 PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ | PERF_SAMPLE_CALLCHAIN | PERF_SAMPLE_REGS_INTR)

static void whole_sample(void **state)
{
	u64 body[] = {0x400123,
		      (u64)77 << 32 | 70,
		      5555,
		      0xadd4,
		      1000, /* ip tid time addr period */
		      42,
		      100,
		      50, /* read */
		      5,
		      (u64)PERF_CONTEXT_KERNEL,
		      0xffffffff81000001,
		      (u64)PERF_CONTEXT_USER,
		      0x400123,
		      0x400456, /* chain */
		      2,
		      11,
		      22}; /* regs */
	struct perf_event_attr attr = {.sample_type = TYPES, .sample_regs_intr = 0x11};
	u64 kernel[BPF_MAX_STACK_DEPTH], user[BPF_MAX_STACK_DEPTH];
	struct perf_sample s;
	u32 nk, nu;

	assert_int_equal(perf_sample_parse(&attr, body, sizeof(body), &s), 0);
	assert_true(s.ip == 0x400123 && s.pid == 70 && s.tid == 77 && s.time == 5555);
	assert_true(s.addr == 0xadd4 && s.period == 1000);
	assert_true(s.has_counter && s.counter == 42 && s.enabled == 100 && s.running == 50);
	assert_true(s.intr.abi == 2 && s.intr.v[0] == 11 && s.intr.v[1] == 22);
	assert_null(s.user.v);
	perf_chain_split(s.chain, s.chain_nr, kernel, &nk, user, &nu);
	assert_true(nk == 1 && kernel[0] == 0xffffffff81000001);
	assert_true(nu == 2 && user[0] == 0x400123 && user[1] == 0x400456);
}

static void user_stack(void **state)
{
	u64 body[] = {PERF_SAMPLE_REGS_ABI_64, 7, 16, 0x1111, 0x2222, 8, PERF_SAMPLE_REGS_ABI_NONE};
	u64 none[] = {PERF_SAMPLE_REGS_ABI_NONE, 0, PERF_SAMPLE_REGS_ABI_NONE};
	struct perf_event_attr attr = {.sample_type = PERF_SAMPLE_REGS_USER |
						      PERF_SAMPLE_STACK_USER |
						      PERF_SAMPLE_REGS_INTR,
				       .sample_regs_user = 4,
				       .sample_regs_intr = 4};
	struct perf_sample s;

	assert_int_equal(perf_sample_parse(&attr, body, sizeof(body), &s), 0);
	assert_int_equal(s.user.v[0], 7);
	assert_int_equal(s.stack_size, 8); /* of 16 bytes, 8 are meant */
	assert_int_equal(*(const u64 *)s.stack, 0x1111);
	assert_null(s.intr.v);
	assert_int_equal(perf_sample_parse(&attr, none, sizeof(none), &s), 0);
	assert_true(!s.user.v && !s.stack && !s.stack_size);
	body[5] = 1 << 30; /* more than there is */
	assert_int_equal(perf_sample_parse(&attr, body, sizeof(body), &s), 0);
	assert_int_equal(s.stack_size, 16);
	body[2] = 17;
	assert_int_equal(perf_sample_parse(&attr, body, sizeof(body), &s), -EBADMSG);
}

/* A buffer that ends where the memory does. */
static u64 *at_the_edge(size_t words)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = round_up(words * 8, page);
	char *p =
		mmap(NULL, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p + size, page, PROT_NONE), 0);
	return (u64 *)(p + size) - words;
}

static void truncated(void **state)
{
	struct perf_event_attr attr = {.sample_type = TYPES | PERF_SAMPLE_REGS_USER |
						      PERF_SAMPLE_STACK_USER,
				       .sample_regs_intr = 3,
				       .sample_regs_user = 3};
	u64 whole[] = {1, 2, 3, 4, 5, 6, 7, 8, 2, 9, 10, 2, 1, 1, 8, 99, 8, 2, 1, 1};
	size_t n = ARRAY_SIZE(whole);
	struct perf_sample s;

	for (size_t words = 0; words < n; words++) {
		u64 *p = at_the_edge(words);

		memcpy(p, whole, words * 8);
		assert_int_equal(perf_sample_parse(&attr, p, words * 8, &s), -EBADMSG);
	}
	assert_int_equal(perf_sample_parse(&attr, whole, sizeof(whole), &s), 0);
}

/* Lengths inside that are lies; and whatever else. Whoever reads outside dies. */
static void hostile(void **state)
{
	u64 types[] = {TYPES, TYPES | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		       PERF_SAMPLE_CALLCHAIN, PERF_SAMPLE_STACK_USER, PERF_SAMPLE_REGS_INTR};
	u64 lengths[] = {
		0, 1, 2, 5, 1u << 29, 1ull << 61, (1ull << 61) + 1, UINT64_MAX, UINT64_MAX - 7};
	struct perf_event_attr attr = {.sample_regs_intr = 0xffffffffULL, .sample_regs_user = 5};
	u64 kernel[BPF_MAX_STACK_DEPTH], user[BPF_MAX_STACK_DEPTH], *p = at_the_edge(48);
	u32 seed = 1, nk, nu, good = 0, bad = 0;
	struct perf_sample s;

	for (u32 round = 0; round < 200000; round++) {
		size_t words = (seed >> 8) % 48;
		u64 sum = 0, *body = p + 48 - words;

		for (size_t i = 0; i < words; i++) {
			seed = seed * 1664525 + 1013904223;
			body[i] = seed >> 30 ? lengths[(seed >> 10) % ARRAY_SIZE(lengths)] : seed;
		}
		seed = seed * 1664525 + 1013904223;
		attr.sample_type = types[(seed >> 12) % ARRAY_SIZE(types)];
		if (perf_sample_parse(&attr, body, words * 8, &s)) {
			bad++;
			continue;
		}
		good++;
		perf_chain_split(s.chain, s.chain_nr, kernel, &nk, user, &nu);
		assert_true(nk <= BPF_MAX_STACK_DEPTH && nu <= BPF_MAX_STACK_DEPTH);
		for (u64 i = 0; i + 8 <= s.stack_size; i += 8)
			sum += *(const u64 *)((const char *)s.stack + i);
		for (u32 i = 0; s.intr.v && i < 32; i++)
			sum += s.intr.v[i];
		__asm__ volatile("" ::"r"(sum));
	}
	assert_true(good > 1000 && bad > 1000);
	attr.sample_type = PERF_SAMPLE_RAW; /* never asked for */
	assert_int_equal(perf_sample_parse(&attr, p, 8, &s), -EINVAL);
}

static void deep_chains(void **state)
{
	u64 chain[1000], kernel[BPF_MAX_STACK_DEPTH + 1], user[BPF_MAX_STACK_DEPTH + 1];
	u32 nk, nu;

	for (u32 i = 0; i < 1000; i++)
		chain[i] = i + 1;
	kernel[BPF_MAX_STACK_DEPTH] = user[BPF_MAX_STACK_DEPTH] = 0xdead;
	chain[0] = (u64)PERF_CONTEXT_KERNEL;
	chain[500] = (u64)PERF_CONTEXT_USER;
	perf_chain_split(chain, 1000, kernel, &nk, user, &nu);
	assert_true(nk == BPF_MAX_STACK_DEPTH && nu == BPF_MAX_STACK_DEPTH);
	assert_true(kernel[0] == 2 && user[0] == 502);
	assert_true(kernel[BPF_MAX_STACK_DEPTH] == 0xdead && user[BPF_MAX_STACK_DEPTH] == 0xdead);
	chain[0] = (u64)PERF_CONTEXT_GUEST; /* neither */
	chain[500] = (u64)PERF_CONTEXT_HV;
	perf_chain_split(chain, 1000, kernel, &nk, user, &nu);
	assert_true(!nk && !nu);
}

static void names(void **state)
{
	struct perf_event_attr attr;

	for (u32 i = 0; i < perf_event_names_nr; i++) {
		memset(&attr, 0xff, sizeof(attr));
		assert_true(perf_event_by_name(perf_event_names[i], &attr));
		assert_true(attr.type == PERF_TYPE_SOFTWARE || attr.type == PERF_TYPE_HARDWARE);
	}
	assert_false(perf_event_by_name("cpu", &attr));
	assert_false(perf_event_by_name("", &attr));
	assert_true(perf_event_by_name("page-faults", &attr));
	assert_true(attr.type == PERF_TYPE_SOFTWARE && attr.config == PERF_COUNT_SW_PAGE_FAULTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_sample), cmocka_unit_test(user_stack),
		cmocka_unit_test(truncated),	cmocka_unit_test(hostile),
		cmocka_unit_test(deep_chains),	cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
