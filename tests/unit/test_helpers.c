/*
 * test_helpers.c - helpers that need no packet: time, numbers, the slot, maps from programs, what
 * %s may follow
 *
 * What can be compared with the kernel is in tests/differential/diff_helpers.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <time.h>
#include "helpers/helpers.h"
#include "rcu/rcu.h"
#include "load.h"
#include "helpers/trace.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "tests/lib/emulator.h"

static const struct bpf_func_proto *proto_of(enum bpf_func_id id)
{
	const struct bpf_func_proto *proto = bpf_base_func_proto(id, NULL);

	assert_non_null(proto);
	assert_non_null(proto->func);
	return proto;
}

static u64 call(enum bpf_func_id id)
{
	return proto_of(id)->func(0, 0, 0, 0, 0);
}

static u64 now(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

static void clocks(void **state)
{
	static const struct {
		enum bpf_func_id id;
		clockid_t clock;
	} rows[] = {
		{BPF_FUNC_ktime_get_ns, CLOCK_MONOTONIC},
		{BPF_FUNC_ktime_get_boot_ns, CLOCK_BOOTTIME},
		{BPF_FUNC_ktime_get_tai_ns, CLOCK_TAI},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		u64 before = now(rows[i].clock), t = call(rows[i].id), after = now(rows[i].clock);

		assert_true(before <= t && t <= after);
	}
	assert_true(call(BPF_FUNC_ktime_get_coarse_ns) <= now(CLOCK_MONOTONIC));
	assert_true(call(BPF_FUNC_ktime_get_coarse_ns) + 100000000 > now(CLOCK_MONOTONIC));
	assert_true(call(BPF_FUNC_jiffies64) > 0);
}

/* 32 bits, all of them moving, and not the same numbers each time. */
static void random_numbers(void **state)
{
	u32 ones[32] = {0}, prev = 0, repeats = 0;

	for (u32 i = 0; i < 10000; i++) {
		u64 r = call(BPF_FUNC_get_prandom_u32);

		assert_true(r <= UINT32_MAX);
		repeats += (u32)r == prev;
		prev = (u32)r;
		for (u32 b = 0; b < 32; b++)
			ones[b] += (u32)(r >> b) & 1;
	}
	assert_true(repeats < 3);
	for (u32 b = 0; b < 32; b++)
		assert_true(ones[b] > 4500 && ones[b] < 5500);
}

static void the_processor_is_the_slot(void **state)
{
	bpf_run_enter();
	assert_int_equal(call(BPF_FUNC_get_smp_processor_id), bpf_this.slot);
	assert_true(call(BPF_FUNC_get_smp_processor_id) < bpf_nr_slots());
	bpf_run_exit();
	assert_true(call(BPF_FUNC_get_numa_node_id) < 1024);
}

/* ---- maps from programs: the value of R0 is the kernel's errno, 64 bits wide */

static u64 map_call(enum bpf_func_id id, struct bpf_map *map, u32 key, u64 value, u64 flags)
{
	u64 ret;

	bpf_run_enter();
	ret = proto_of(id)->func((uintptr_t)map, (uintptr_t)&key, (uintptr_t)&value, flags, 0);
	bpf_run_exit();
	return ret;
}

static void maps_from_programs(void **state)
{
	struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 1};
	struct bpf_map *map;
	u64 *value;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	assert_int_equal(map_call(BPF_FUNC_map_lookup_elem, map, 1, 0, 0), 0);
	assert_int_equal((s64)map_call(BPF_FUNC_map_delete_elem, map, 1, 0, 0), -ENOENT);
	assert_int_equal((s64)map_call(BPF_FUNC_map_update_elem, map, 1, 5, BPF_EXIST), -ENOENT);
	assert_int_equal(map_call(BPF_FUNC_map_update_elem, map, 1, 5, BPF_ANY), 0);
	assert_int_equal((s64)map_call(BPF_FUNC_map_update_elem, map, 1, 5, BPF_NOEXIST), -EEXIST);
	assert_int_equal((s64)map_call(BPF_FUNC_map_update_elem, map, 2, 5, BPF_ANY), -E2BIG);
	value = (u64 *)(uintptr_t)map_call(BPF_FUNC_map_lookup_elem, map, 1, 0, 0);
	assert_non_null(value);
	assert_int_equal(*value, 5);
	assert_int_equal(map_call(BPF_FUNC_map_delete_elem, map, 1, 0, 0), 0);
	bpf_map_put(map);
}

/* ---- what a conversion may follow */

static const char *trace(const char *fmt, u64 a, u64 b, u64 c)
{
	static char line[2048];
	const struct bpf_func_proto *printk = proto_of(BPF_FUNC_trace_printk);
	char *text;
	s64 ret;
	size_t len;

	while (bpf_trace_read(line, sizeof(line)))
		;
	ret = (s64)printk->func((uintptr_t)fmt, strlen(fmt) + 1, a, b, c);
	if (ret < 0)
		return "refused";
	len = bpf_trace_read(line, sizeof(line) - 1);
	line[len] = 0;
	text = strstr(line, "bpf_trace_printk: ");
	assert_non_null(text);
	text += strlen("bpf_trace_printk: ");
	assert_int_equal(text[strlen(text) - 1], '\n');
	text[strlen(text) - 1] = 0;
	assert_int_equal(strlen(text) + (fmt[strlen(fmt) - 1] == '\n'), ret);
	return text;
}

static void trace_text(void **state)
{
	static const u8 v4[4] = {192, 168, 7, 1};
	static const u8 v6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};

	NOT_UNDER_EMULATOR("process_vm_readv()");
	assert_string_equal(trace("plain", 0, 0, 0), "plain");
	assert_string_equal(trace("ends\n", 0, 0, 0), "ends");
	assert_string_equal(trace("%d %u %x", (u64)-1, (u64)-1, 0xfff), "-1 4294967295 fff");
	assert_string_equal(trace("%ld %llu %llx", (u64)-1, (u64)-1, (u64)-1),
			    "-1 18446744073709551615 ffffffffffffffff");
	assert_string_equal(trace("[%5d|%-5d|%05d]", 42, 42, 42), "[   42|42   |00042]");
	assert_string_equal(trace("100%% of %c%c", 'o', 'k', 0), "100% of ok");
	assert_string_equal(trace("%s,%s", (uintptr_t) "one", (uintptr_t) "two", 0), "one,two");
	assert_string_equal(trace("%pI4 %pi4", (uintptr_t)v4, (uintptr_t)v4, 0),
			    "192.168.7.1 192.168.007.001");
	assert_string_equal(trace("%pI6", (uintptr_t)v6, 0, 0),
			    "2001:0db8:0000:0000:0000:0000:0000:0001");
	assert_string_equal(trace("%px", 0x123, 0, 0), "0000000000000123");
	assert_string_equal(trace("%n", 0, 0, 0), "refused");
	assert_string_equal(trace("%d%d%d%d", 0, 0, 0), "refused");
}

/* Any address may come: nothing of it may hurt. */
static void trace_of_bad_addresses(void **state)
{
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	NOT_UNDER_EMULATOR("process_vm_readv()");
	assert_true(page != MAP_FAILED);
	assert_string_equal(trace("<%s>", 0, 0, 0), "<>");
	assert_string_equal(trace("<%s>", 16, 0, 0), "<>");
	assert_string_equal(trace("<%s>", (u64)-1, 0, 0), "<>");
	assert_string_equal(trace("<%s>", 0xffff800000000000ULL, 0, 0), "<>");
	assert_string_equal(trace("%pI4", 16, 0, 0), "0.0.0.0");
	/* A string that runs into a page that is not there is cut at it. */
	memset(page, 'x', 4096);
	munmap(page + 4096, 4096);
	assert_string_equal(trace("<%s>", (uintptr_t)(page + 4093), 0, 0), "<xxx>");
	munmap(page, 4096);
}

static void trace_hides_addresses(void **state)
{
	char first[64], again[64];
	int here;

	snprintf(first, sizeof(first), "%s", trace("%p", (uintptr_t)&here, 0, 0));
	snprintf(again, sizeof(again), "%s", trace("%p", (uintptr_t)&here, 0, 0));
	assert_string_equal(first, again); /* the same pointer is told by the same hash */
	assert_int_not_equal(strtoull(first, NULL, 16), (uintptr_t)&here);
	assert_int_equal(strlen(first), 16);
}

static void names(void **state)
{
	assert_string_equal(bpf_func_name(BPF_FUNC_map_lookup_elem), "map_lookup_elem");
	assert_string_equal(bpf_func_name(211), "cgrp_storage_delete");
	assert_string_equal(bpf_func_name(212), "unknown");
	assert_string_equal(bpf_func_name(0), "unknown");
	assert_null(bpf_base_func_proto(BPF_FUNC_skb_load_bytes, NULL));
	assert_null(bpf_base_func_proto(-1, NULL));
	assert_null(bpf_base_func_proto(300, NULL));
}

/* As Linux answers: compared with it by tests/differential/diff_helpers.c. */
static void numbers_from_text(void **state)
{
	static const struct {
		const char *text;
		u64 flags;
		s64 used, value; /* strtol: bytes or -errno, and the number */
		s64 unsigned_used;
		u64 unsigned_value;
	} rows[] = {
		{"17", 8, 2, 15, 2, 15},
		{"18", 8, 1, 1, 1, 1},
		{"17", 10, 2, 17, 2, 17},
		{"17", 16, 2, 23, 2, 23},
		{"0x17", 16, 4, 23, 4, 23},
		{"0X1f", 0, 4, 31, 4, 31},
		{"0x1", 0, 3, 1, 3, 1},
		{"017", 0, 3, 15, 3, 15},
		{"17z", 0, 2, 17, 2, 17},
		{"0x", 0, 1, 0, 1, 0}, /* an octal zero, and an x */
		{"0xg", 0, 1, 0, 1, 0},
		{"0x", 16, -EINVAL, 0, -EINVAL, 0},
		{"0", 0, 1, 0, 1, 0},
		{"0y1", 16, 1, 0, 1, 0},
		{" \t\n17", 10, 5, 17, 5, 17},
		{"   ", 10, -EINVAL, 0, -EINVAL, 0},
		{"-", 10, -EINVAL, 0, -EINVAL, 0},
		{"-17", 10, 3, -17, -EINVAL, 0},
		{"- 17", 10, -EINVAL, 0, -EINVAL, 0},
		{"+17", 10, -EINVAL, 0, -EINVAL, 0},
		{"g", 16, -EINVAL, 0, -EINVAL, 0},
		{"aF", 16, 2, 0xaf, 2, 0xaf},
		{"@", 16, -EINVAL, 0, -EINVAL, 0},
		{"", 10, -EINVAL, 0, -EINVAL, 0},
		{"17", 9, -EINVAL, 0, -EINVAL, 0},
		{"17", 7, -EINVAL, 0, -EINVAL, 0},
		{"17", 2, -EINVAL, 0, -EINVAL, 0},
		{"17", 32 + 10, -EINVAL, 0, -EINVAL, 0},
		{"17", 1ULL << 63 | 10, -EINVAL, 0, -EINVAL, 0},
		{"9223372036854775807", 10, 19, INT64_MAX, 19, INT64_MAX},
		{"9223372036854775808", 10, -ERANGE, 0, 19, 1ULL << 63},
		{"-9223372036854775808", 10, 20, INT64_MIN, -EINVAL, 0},
		{"-9223372036854775809", 10, -ERANGE, 0, -EINVAL, 0},
		{"18446744073709551615", 10, -ERANGE, 0, 20, UINT64_MAX},
		{"18446744073709551616", 10, -ERANGE, 0, -ERANGE, 0},
		{"184467440737095516150", 10, -ERANGE, 0, -ERANGE, 0},
		{"ffffffffffffffff", 16, -ERANGE, 0, 16, UINT64_MAX},
		{"10000000000000000", 16, -ERANGE, 0, -ERANGE, 0},
		{"1777777777777777777777", 8, -ERANGE, 0, 22, UINT64_MAX},
		{"2000000000000000000000", 8, -ERANGE, 0, -ERANGE, 0},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t len = strlen(rows[i].text);
		char *text = malloc(len + 1); /* no byte beyond it is read */
		u64 out = 77;

		memcpy(text, rows[i].text, len);
		text[len] = '1';
		assert_int_equal(
			proto_of(BPF_FUNC_strtol)
				->func((uintptr_t)text, len, rows[i].flags, (uintptr_t)&out, 0),
			rows[i].used);
		assert_int_equal(out, rows[i].value);
		out = 77;
		assert_int_equal(
			proto_of(BPF_FUNC_strtoul)
				->func((uintptr_t)text, len, rows[i].flags, (uintptr_t)&out, 0),
			rows[i].unsigned_used);
		assert_int_equal(out, rows[i].unsigned_value);
		free(text);
	}
}

static void ring_buffer_records_are_committed(void **state)
{
	struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_RINGBUF, .max_entries = 4096};
	struct bpf_map *map;
	u64 record;

	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	bpf_run_enter();
	for (u32 discards = 0; discards < 2; discards++) {
		const struct bpf_func_proto *end =
			proto_of(discards ? BPF_FUNC_ringbuf_discard : BPF_FUNC_ringbuf_submit);
		u32 header;

		record = proto_of(BPF_FUNC_ringbuf_reserve)->func((uintptr_t)map, 16, 0, 0, 0);
		assert_int_not_equal(record, 0);
		memcpy(&header, (void *)(record - 8), sizeof(header));
		assert_int_equal(header, 16 | BPF_RINGBUF_BUSY_BIT);
		assert_int_equal(end->func(record, 0, 0, 0, 0), 0);
		memcpy(&header, (void *)(record - 8), sizeof(header));
		assert_int_equal(header, 16 | (discards ? BPF_RINGBUF_DISCARD_BIT : 0));
	}
	bpf_run_exit();
	bpf_map_put(map);
	bpf_rcu_barrier();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks),
		cmocka_unit_test(random_numbers),
		cmocka_unit_test(the_processor_is_the_slot),
		cmocka_unit_test(maps_from_programs),
		cmocka_unit_test(trace_text),
		cmocka_unit_test(trace_of_bad_addresses),
		cmocka_unit_test(trace_hides_addresses),
		cmocka_unit_test(numbers_from_text),
		cmocka_unit_test(ring_buffer_records_are_committed),
		cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
