/*
 * test_object_load.c - objects of clang's, loaded and run: what they return, and what is in the
 * maps afterwards
 *
 * Every case runs twice, with native code and with the interpreter.
 */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "load.h"
#include "run/test_run.h"
#include "helpers/trace.h"
#include "map/create.h"
#include "map/syscall.h"
#include "tests/lib/object.h"

static const bool engines[] = {false, true}; /* no_jit */

/* ---- packets: Ethernet, IPv4, and the first bytes of TCP or UDP */

static u32 put16(u8 *p, u16 v)
{
	p[0] = v >> 8;
	p[1] = v;
	return 2;
}

#define PACKET_LEN 64
/* A test run takes the Ethernet header off for socket filters and cgroups, as Linux does. */
#define SKB_LEN	   (PACKET_LEN - 14)

static void packet(u8 *p, u8 proto, u16 dport)
{
	u32 sum = 0;

	memset(p, 0, PACKET_LEN);
	memcpy(p, "\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0", 14);
	p[14] = 0x45;
	put16(p + 16, PACKET_LEN - 14);
	p[22] = 64; /* TTL */
	p[23] = proto;
	memcpy(p + 26, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	for (int i = 14; i < 34; i += 2)
		sum += p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(p + 24, ~(sum + (sum >> 16)));
	put16(p + 34, 40000);
	put16(p + 36, dport);
}

/* ---- loading and running */

static void load(struct bpf_loaded *l, const char *object, bool no_jit)
{
	struct bpf_object_load_opts opts = {.no_jit = no_jit};
	size_t size;
	void *data = test_object_bytes(object, &size);
	int err = bpf_object_load(data, size, &opts, l);

	free(data);
	if (err)
		fail_msg("%s: %s\n%s", object, strerror(-err), bpf_log_text(&l->report));
}

static struct bpf_prog *prog(const struct bpf_loaded *l, const char *name)
{
	for (u32 i = 0; i < l->file->prog_cnt; i++)
		if (!strcmp(l->file->progs[i].name, name))
			return l->progs[i];
	fail_msg("no program '%s'", name);
	return NULL;
}

static struct bpf_map *map(const struct bpf_loaded *l, const char *name)
{
	for (u32 i = 0; i < l->file->map_cnt; i++)
		if (!strcmp(l->file->maps[i].name, name))
			return l->maps[i];
	fail_msg("no map '%s'", name);
	return NULL;
}

static u32 run_out(struct bpf_prog *p, const u8 *in, u32 len, u8 *out)
{
	struct bpf_test_run run = {.data_in = in, .data_size_in = len, .repeat = 1};

	run.data_out = out;
	run.data_size_out = out ? len : 0;
	assert_int_equal(bpf_prog_test_run(p, &run), 0);
	if (out)
		assert_int_equal(run.data_size_out, len);
	return run.retval;
}

static u32 run(struct bpf_prog *p, const u8 *in, u32 len)
{
	return run_out(p, in, len, NULL);
}

/* An element of an array, or of a hash with a key of 4 bytes. */
static u64 elem(struct bpf_map *m, u32 key)
{
	u64 value = 0;

	assert_int_equal(bpf_map_lookup(m, &key, &value, 0), 0);
	return value;
}

static bool present(struct bpf_map *m, u32 key)
{
	u8 value[64];

	return !bpf_map_lookup(m, &key, value, 0);
}

#define EACH_ENGINE for (size_t e = 0; e < ARRAY_SIZE(engines); e++)

/* ---- cases */

static void hash_and_array_count(void **state)
{
	struct {
		u64 packets, bytes;
	} count;
	u8 p[PACKET_LEN];
	u32 key;

	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "count_ports", engines[e]);
		for (int i = 0; i < 3; i++) {
			packet(p, 6, 443);
			assert_int_equal(run(prog(&l, "count_ports"), p, PACKET_LEN), SKB_LEN);
		}
		packet(p, 17, 53);
		run(prog(&l, "count_ports"), p, PACKET_LEN);
		packet(p, 1, 0);
		run(prog(&l, "count_ports"), p, PACKET_LEN);
		assert_int_equal(elem(map(&l, "by_proto"), 6), 3);
		assert_int_equal(elem(map(&l, "by_proto"), 17), 1);
		assert_int_equal(elem(map(&l, "by_proto"), 1), 1);
		assert_int_equal(elem(map(&l, "by_proto"), 2), 0);
		key = 6 << 16 | 443;
		assert_int_equal(bpf_map_lookup(map(&l, "by_port"), &key, &count, 0), 0);
		assert_int_equal(count.packets, 3);
		assert_int_equal(count.bytes, 3 * SKB_LEN);
		assert_true(present(map(&l, "by_port"), 17 << 16 | 53));
		assert_false(present(map(&l, "by_port"), 17 << 16 | 54));
		bpf_loaded_free(&l);
	}
}

static void global_variables(void **state)
{
	u8 p[PACKET_LEN], bss[64], data[64], rodata[64];
	u64 sum = 0, runs, step;
	u32 zero = 0;

	packet(p, 17, 53);
	EACH_ENGINE
	{
		struct bpf_loaded l;
		struct bpf_map *m;
		u32 retvals[5];

		load(&l, "global_data", engines[e]);
		for (int i = 0; i < 5; i++)
			retvals[i] = run(prog(&l, "global_data"), p, PACKET_LEN);
		/* limit = 3: the first three runs add to step, which begins with 5 */
		assert_int_equal(retvals[0], 7);
		assert_int_equal(retvals[2], 11);
		assert_int_equal(retvals[3], 0);
		sum = 3 * SKB_LEN;
		assert_int_equal(run(prog(&l, "read_bytes"), p, PACKET_LEN), sum);
		assert_int_equal(bpf_map_lookup(map(&l, ".bss"), &zero, bss, 0), 0);
		assert_int_equal(bpf_map_lookup(map(&l, ".data"), &zero, data, 0), 0);
		memcpy(&step, data + 8, 8);
		assert_int_equal(step, 11);
		runs = 0;
		for (u32 i = 0; i + 8 <= map(&l, ".bss")->value_size; i += 8) {
			u64 v;

			memcpy(&v, bss + i, 8);
			runs |= v == 5;
		}
		assert_true(runs);
		/* A variable can be set from outside; a constant cannot. */
		data[0] = 100;
		assert_int_equal(bpf_map_update(map(&l, ".data"), &zero, data, BPF_ANY), 0);
		assert_int_equal(run(prog(&l, "global_data"), p, PACKET_LEN), 13);
		m = map(&l, ".rodata");
		assert_int_equal(bpf_map_lookup(m, &zero, rodata, 0), 0);
		assert_int_equal(rodata[0], 0xff);
		assert_int_equal(bpf_map_update(m, &zero, rodata, BPF_ANY), -EPERM);
		bpf_loaded_free(&l);
	}
}

static void printed_text_comes_out(void **state)
{
	u8 p[PACKET_LEN];

	packet(p, 17, 53);
	EACH_ENGINE
	{
		struct bpf_loaded l;
		char text[4096];
		size_t n;

		while (bpf_trace_read(text, sizeof(text)))
			;
		load(&l, "global_data", engines[e]);
		run(prog(&l, "print_string"), p, PACKET_LEN);
		n = bpf_trace_read(text, sizeof(text) - 1);
		text[n] = 0;
		assert_non_null(strstr(text, "len 50\n"));
		bpf_loaded_free(&l);
	}
}

static void subprograms_are_called(void **state)
{
	u8 p[PACKET_LEN];

	packet(p, 6, 80);
	EACH_ENGINE
	{
		struct bpf_loaded l;
		struct bpf_map *calls;

		load(&l, "subprograms", engines[e]);
		calls = map(&l, "calls");
		assert_int_equal(run(prog(&l, "first"), p, PACKET_LEN),
				 3 * 3 + 4 * 4 + 2 * SKB_LEN);
		assert_int_equal(elem(calls, 0), 1);
		assert_int_equal(elem(calls, 1), 2);
		assert_int_equal(elem(calls, 2), 1);
		assert_int_equal(run(prog(&l, "second"), p, PACKET_LEN), 42);
		assert_int_equal(elem(calls, 2), 2);
		assert_int_equal(run(prog(&l, "third"), p, PACKET_LEN), XDP_PASS);
		assert_int_equal(elem(calls, 3), 1);
		bpf_loaded_free(&l);

		load(&l, "static_in_section", engines[e]);
		assert_int_equal(run(prog(&l, "static_in_section"), p, 64), XDP_PASS);
		assert_int_equal(run(prog(&l, "static_in_section"), p, 63), XDP_DROP);
		bpf_loaded_free(&l);
	}
}

static void tail_calls_go_where_the_definition_says(void **state)
{
	u8 p[PACKET_LEN];

	packet(p, 6, 80);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "tail_calls", engines[e]);
		/* start, tail_one, tail_two; the empty slot falls through */
		assert_int_equal(run(prog(&l, "start"), p, PACKET_LEN), 207);
		assert_int_equal(run(prog(&l, "tail_two"), p, PACKET_LEN), 207);
		/* The first run and 33 tail calls. */
		assert_int_equal(run(prog(&l, "endless"), p, PACKET_LEN), 34);
		bpf_loaded_free(&l);
	}
}

/*
 * Slots 0 and 2 of the outer map are filled; the program counts in the one that the length chooses.
 */
static void maps_in_maps_are_found(void **state)
{
	u8 p[PACKET_LEN + 4];

	memset(p, 0, sizeof(p));
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "map_in_map", engines[e]);
		for (u32 len = 60; len < 64; len++)
			assert_int_equal(run(prog(&l, "map_in_map"), p, len), len % 2 == 0);
		assert_int_equal(run(prog(&l, "map_in_map"), p, 64), 1);
		assert_int_equal(elem(map(&l, "inner_a"), 0), 1);
		assert_int_equal(elem(map(&l, "inner_b"), 0), 2);
		assert_int_equal(elem(map(&l, "outer"), 2), map(&l, "inner_b")->id);
		bpf_loaded_free(&l);
	}
}

static void loops_end(void **state)
{
	u32 sum = 0, acc = 1, nested = 0;
	u8 p[PACKET_LEN];

	packet(p, 6, 80);
	p[0] = 0x2d; /* 13 after the mask */
	for (int i = 0; i < PACKET_LEN; i++)
		sum += p[i];
	for (u32 i = 0; i < 13; i++)
		acc = acc * 3 + i;
	for (int i = 0; i < 8; i++)
		for (int j = 0; j <= i; j++)
			nested += i * j;
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "bounded_loops", engines[e]);
		assert_int_equal(run(prog(&l, "sum_bytes"), p, PACKET_LEN), sum);
		assert_int_equal(run(prog(&l, "data_bound"), p, PACKET_LEN), acc);
		assert_int_equal(run(prog(&l, "nested"), p, PACKET_LEN), nested);
		bpf_loaded_free(&l);
	}
}

static u16 ip_sum(const u8 *p)
{
	u32 sum = 0;

	for (int i = 14; i < 34; i += 2)
		sum += p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return sum + (sum >> 16);
}

static void packets_are_rewritten(void **state)
{
	u8 p[PACKET_LEN], out[PACKET_LEN], expect[PACKET_LEN];

	packet(p, 6, 80);
	assert_int_equal(ip_sum(p), 0xffff);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "xdp_rewrite", engines[e]);
		assert_int_equal(run_out(prog(&l, "xdp_rewrite"), p, PACKET_LEN, out), XDP_TX);
		memcpy(expect, p, PACKET_LEN);
		memcpy(expect, p + 6, 6);
		memcpy(expect + 6, p, 6);
		expect[22]--;
		memcpy(expect + 24, out + 24, 2);
		assert_memory_equal(out, expect, PACKET_LEN);
		assert_int_equal(ip_sum(out), 0xffff);
		assert_int_equal(run(prog(&l, "xdp_rewrite"), p, 33), XDP_DROP);
		bpf_loaded_free(&l);
	}
}

static void tc_programs(void **state)
{
	u8 p[2000] = {0}, out[PACKET_LEN];

	packet(p, 6, 80);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "tc_mark", engines[e]);
		assert_int_equal(run(prog(&l, "tc_mark"), p, PACKET_LEN), 0); /* TC_ACT_OK */
		assert_int_equal(run(prog(&l, "tc_mark"), p, 1001), 2); /* TC_ACT_SHOT */
		assert_int_equal(run_out(prog(&l, "tc_direct"), p, PACKET_LEN, out), 0x0800);
		assert_int_equal(out[0], 0xfe);
		assert_memory_equal(out + 1, p + 1, PACKET_LEN - 1);
		bpf_loaded_free(&l);
	}
}

static void cgroup_filters(void **state)
{
	u8 p[PACKET_LEN], one = 1;
	u16 port = 5353;

	packet(p, 17, port);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "cgroup_filter", engines[e]);
		assert_int_equal(run(prog(&l, "filter_in"), p, PACKET_LEN), 1);
		assert_int_equal(bpf_map_update(map(&l, "blocked"), &port, &one, BPF_NOEXIST), 0);
		assert_int_equal(run(prog(&l, "filter_in"), p, PACKET_LEN), 0);
		assert_int_equal(run(prog(&l, "filter_out"), p, PACKET_LEN), 0);
		assert_int_equal(bpf_map_delete(map(&l, "blocked"), &port), 0);
		assert_int_equal(run(prog(&l, "filter_out"), p, PACKET_LEN), 1);
		bpf_loaded_free(&l);
	}
}

static void legacy_maps_work(void **state)
{
	u8 p[PACKET_LEN];

	packet(p, 6, 80);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "legacy_maps", engines[e]);
		run(prog(&l, "legacy"), p, 64);
		run(prog(&l, "legacy"), p, 64);
		run(prog(&l, "legacy"), p, 60);
		assert_int_equal(elem(map(&l, "total"), 0), 50 + 50 + 46);
		assert_int_equal(elem(map(&l, "lengths"), 50), 2);
		assert_int_equal(elem(map(&l, "lengths"), 46), 1);
		bpf_loaded_free(&l);
	}
}

static void isa_v4_computes(void **state)
{
	u8 p[PACKET_LEN] = {0};
	s8 b = -7;
	s16 h = -300;
	s32 w = -1234567;
	s64 d = -0x123456789abcdefLL;
	s64 expect[8] = {
		b,
		h,
		w,
		w / (b | 1),
		d % (h | 1),
		(s64)__builtin_bswap64(d),
		(s64)(u32)(__builtin_bswap32(w) + __builtin_bswap16(h)),
		(s16)d + (s8)w,
	};

	memcpy(p, &b, 1);
	memcpy(p + 2, &h, 2);
	memcpy(p + 4, &w, 4);
	memcpy(p + 8, &d, 8);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "isa_v4", engines[e]);
		assert_int_equal(run(prog(&l, "isa_v4"), p, PACKET_LEN), XDP_PASS);
		for (u32 i = 0; i < 8; i++)
			assert_int_equal(elem(map(&l, "results"), i), expect[i]);
		bpf_loaded_free(&l);
	}
}

static void switches_and_tables(void **state)
{
	static const struct {
		u16 op;
		u8 x, slot;
		u32 result;
	} rows[] = {
		{0, 5, 0, 5 + 17 + 1}, {1, 5, 1, 15 + 2},    {9, 50, 32, 7 + 7},
		{11, 5, 63, -5 + 9},   {40, 9, 20, 81},	     {1000, 0, 20, 2},
		{1000, 3, 20, 1},      {10000, 3, 15, 1597}, {12345, 3, 20, 12345},
		{10, 1, 2, ~1u + 3},
	};
	u8 p[PACKET_LEN] = {0};

	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "big_switch", engines[e]);
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			p[0] = rows[i].op;
			p[1] = rows[i].op >> 8;
			p[2] = rows[i].x;
			p[3] = rows[i].slot;
			assert_int_equal(run(prog(&l, "big_switch"), p, PACKET_LEN),
					 rows[i].result);
		}
		bpf_loaded_free(&l);
	}
}

static void offsets_into_data(void **state)
{
	u8 p[PACKET_LEN];

	packet(p, 6, 80);
	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "data_offsets", engines[e]);
		assert_int_equal(run(prog(&l, "data_offsets"), p, PACKET_LEN),
				 7 + 6 + 1000 + 10000 + 'c');
		assert_int_equal(run(prog(&l, "literals"), p, PACKET_LEN), 'v');
		assert_int_equal(run(prog(&l, "literals"), p, PACKET_LEN - 1), 'd');
		bpf_loaded_free(&l);
	}
}

static void the_demo_counts(void **state)
{
	u8 p[PACKET_LEN];

	EACH_ENGINE
	{
		struct bpf_loaded l;

		load(&l, "examples/traffic", engines[e]);
		packet(p, 6, 443);
		assert_int_equal(run(prog(&l, "traffic"), p, PACKET_LEN), XDP_PASS);
		assert_int_equal(run(prog(&l, "traffic"), p, PACKET_LEN - 4), XDP_PASS);
		packet(p, 17, 53);
		assert_int_equal(run(prog(&l, "traffic"), p, PACKET_LEN), XDP_PASS);
		assert_int_equal(elem(map(&l, "port_packets"), 600443), 2);
		assert_int_equal(elem(map(&l, "port_bytes"), 600443), 2 * PACKET_LEN - 4);
		assert_int_equal(elem(map(&l, "port_bytes"), 1700053), PACKET_LEN);
		assert_int_equal(elem(map(&l, "proto_packets"), 6), 2);
		bpf_loaded_free(&l);
	}
}

/* ---- CO-RE */

/* Its return value is the number of the check that failed. */
static void every_kind_of_relocation(void **state)
{
	EACH_ENGINE
	{
		struct bpf_loaded l;
		u8 p[PACKET_LEN];

		load(&l, "core_kinds", engines[e]);
		packet(p, 6, 443);
		assert_int_equal(run(prog(&l, "core_kinds"), p, PACKET_LEN), 0);
		assert_int_equal(run(prog(&l, "core_twice_same"), p, PACKET_LEN), 0);
		bpf_loaded_free(&l);
	}
}

/* Also without any kernel types: contexts, packets and what this build has are known here. */
static void types_of_this_build_need_no_kernel(void **state)
{
	struct bpf_loaded l;
	u8 p[PACKET_LEN];

	load(&l, "core_uapi", false);
	packet(p, 6, 443);
	assert_int_equal(run(prog(&l, "core_uapi"), p, PACKET_LEN), XDP_PASS);
	packet(p, 17, 443);
	assert_int_equal(run(prog(&l, "core_uapi"), p, PACKET_LEN), XDP_PASS);
	assert_int_equal(elem(map(&l, ".bss"), 0), 1);
	bpf_loaded_free(&l);
	load(&l, "core_features", false);
	assert_int_equal(run(prog(&l, "core_features"), p, PACKET_LEN), 0x60115);
	bpf_loaded_free(&l);
}

/* ---- what is defined outside of the object */

static void externs_have_values(void **state)
{
	EACH_ENGINE
	{
		struct bpf_loaded l;
		u8 p[PACKET_LEN];

		load(&l, "externs", engines[e]);
		packet(p, 6, 443);
		assert_int_equal(run(prog(&l, "externs"), p, PACKET_LEN), 0);
		assert_true(map(&l, ".kconfig")->map_flags & BPF_F_RDONLY_PROG);
		bpf_loaded_free(&l);
	}
}

static void event_arrays_have_an_element_a_slot(void **state)
{
	struct bpf_loaded l;

	load(&l, "perf_default", false);
	assert_int_equal(map(&l, "events")->max_entries, bpf_nr_slots());
	bpf_loaded_free(&l);
}

/* ---- what is refused, and that nothing stays behind */

/* What clang writes for "exists" asks for "matches" then; the kind is the last of four words. */
static void ask_for_a_match(u8 *object, size_t size)
{
	const Elf64_Ehdr *ehdr = (void *)object;
	const Elf64_Shdr *secs = (void *)(object + ehdr->e_shoff);
	const char *names = (char *)object + secs[ehdr->e_shstrndx].sh_offset;

	for (u32 i = 0; i < ehdr->e_shnum; i++) {
		const u8 *ext = object + secs[i].sh_offset;
		u32 *kind, hdr_len, core_off;

		if (strcmp(names + secs[i].sh_name, ".BTF.ext"))
			continue;
		memcpy(&hdr_len, ext + 4, sizeof(hdr_len));
		memcpy(&core_off, ext + 24, sizeof(core_off));
		/* a record's size, a section and a count, then the first record */
		kind = (u32 *)(ext + hdr_len + core_off + 4 + 8 + 12);
		assert_true((u8 *)kind < object + size);
		assert_int_equal(*kind, BPF_CORE_TYPE_EXISTS);
		*kind = BPF_CORE_TYPE_MATCHES;
	}
}

/* A job that nobody can cancel would take for ever, with some more members for days. */
static void types_that_fan_out_are_refused(void **state)
{
	struct bpf_loaded l;
	size_t size;
	u8 *data = test_object_bytes("core_fan_out", &size);

	assert_int_equal(bpf_object_load(data, size, NULL, &l), 0);
	bpf_loaded_free(&l);
	ask_for_a_match(data, size);
	assert_int_equal(bpf_object_load(data, size, NULL, &l), -E2BIG);
	assert_non_null(strstr(bpf_log_text(&l.report), "fan out"));
	bpf_loaded_free(&l);
	free(data);
}

static void settle(void)
{
	bpf_rcu_barrier();
	bpf_rcu_barrier();
}

static void refused_objects_leave_nothing(void **state)
{
	static const struct {
		const char *object;
		int err;
		const char *words[2]; /* in the report */
	} rows[] = {
		{"reject_packet_bounds", -EACCES, {"invalid access to packet", "data[14]"}},
		{"reject_null_check", -EACCES, {"map_value_or_null", "*value += 1"}},
		{"reject_endless_loop", -E2BIG, {"too complex", "while"}},
		{"reject_uninitialised", -EACCES, {"R7 !read_ok", "r7"}},
		{"reject_rodata_write", -EACCES, {"write into map forbidden", "constant"}},
		{"no_license_gpl_helper", -EINVAL, {"GPL", "trace_printk"}},
		{"reject_core", -EINVAL, {"CO-RE", "struct core_outer.gone"}},
		{"malformed_core_twice", -EINVAL, {"CO-RE", "struct core_twice.differs"}},
		{"refuse_kconfig", -ENOTSUP, {"CONFIG_NO_SUCH_THING", ""}},
		{"reject_kfunc", -EINVAL, {"'no_such_kfunc'", "bpf_ksym_exists"}},
		{"refuse_type", -ENOTSUP, {"refuse_type", "kprobe"}},
		{"malformed_call", -EINVAL, {"first instruction", ""}},
		{"malformed_raw", -EINVAL, {"'no_size'", "whose size is known"}},
		{"examples/unsafe", -EACCES, {"invalid access to packet", "ip->protocol"}},
	};
	u64 maps, progs;

	settle();
	maps = bpf_map_live_count();
	progs = bpf_prog_live_count();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_loaded l;
		size_t size;
		void *data = test_object_bytes(rows[i].object, &size);
		int err = bpf_object_load(data, size, NULL, &l);

		if (err != rows[i].err)
			fail_msg("%s: %d, not %d: %.2000s", rows[i].object, err, rows[i].err,
				 bpf_log_text(&l.report));
		for (int w = 0; w < 2; w++)
			if (!strstr(bpf_log_text(&l.report), rows[i].words[w]))
				fail_msg("%s: no '%s' in: %.2000s", rows[i].object,
					 rows[i].words[w], bpf_log_text(&l.report));
		assert_null(l.maps);
		assert_null(l.progs);
		bpf_loaded_free(&l);
		free(data);
	}
	settle();
	assert_int_equal(bpf_map_live_count(), maps);
	assert_int_equal(bpf_prog_live_count(), progs);
}

static void loaded_objects_leave_nothing(void **state)
{
	u64 maps, progs;
	u32 loaded = 0;

	settle();
	maps = bpf_map_live_count();
	progs = bpf_prog_live_count();
	for (const char *const *name = test_object_names(); *name; name++) {
		struct bpf_loaded l;
		size_t size;
		void *data = test_object_bytes(*name, &size);

		loaded += !bpf_object_load(data, size, NULL, &l);
		assert_true(!l.file || bpf_prog_live_count() > progs);
		bpf_loaded_free(&l);
		free(data);
	}
	settle();
	assert_true(loaded > 15);
	assert_int_equal(bpf_map_live_count(), maps);
	assert_int_equal(bpf_prog_live_count(), progs);
}

struct sharing {
	struct bpf_map *map; /* what the first object made */
	u32 asked, fail_at;
};

static int get_map(void *priv, const struct bpf_object_file *obj, u32 index,
		   const struct bpf_map_spec *spec, struct bpf_map **out, bool *existing,
		   struct bpf_log *log)
{
	struct sharing *s = priv;

	if (++s->asked == s->fail_at)
		return -EEXIST;
	if (obj->maps[index].pin_by_name && s->map) {
		bpf_map_inc(s->map);
		*out = s->map;
		*existing = true;
		return 0;
	}
	return bpf_map_create(spec, 0, -1, -1, out);
}

static void two_objects_share_a_map(void **state)
{
	struct sharing s = {0};
	struct bpf_object_load_opts opts = {.get_map = get_map, .priv = &s};
	struct bpf_loaded a, b;
	size_t size_a, size_b;
	void *data_a = test_object_bytes("shared_map_a", &size_a);
	void *data_b = test_object_bytes("shared_map_b", &size_b);
	u8 p[PACKET_LEN];

	packet(p, 6, 80);
	assert_int_equal(bpf_object_load(data_a, size_a, &opts, &a), 0);
	s.map = map(&a, "shared");
	assert_int_equal(bpf_object_load(data_b, size_b, &opts, &b), 0);
	assert_ptr_equal(map(&b, "shared"), s.map);
	assert_true(b.map_existing[0]);
	run(prog(&a, "shared_a"), p, PACKET_LEN);
	run(prog(&b, "shared_b"), p, PACKET_LEN);
	run(prog(&b, "shared_b"), p, PACKET_LEN);
	assert_int_equal(elem(s.map, 0), 1);
	assert_int_equal(elem(s.map, 1), 2);
	bpf_loaded_free(&a);
	run(prog(&b, "shared_b"), p, PACKET_LEN); /* the map lives on in b */
	assert_int_equal(elem(map(&b, "shared"), 1), 3);
	bpf_loaded_free(&b);
	free(data_a);
	free(data_b);
}

/* The second map cannot be had: the first goes too. */
static void a_missing_map_ends_the_load(void **state)
{
	struct sharing s = {.fail_at = 2};
	struct bpf_object_load_opts opts = {.get_map = get_map, .priv = &s};
	struct bpf_loaded l;
	size_t size;
	void *data = test_object_bytes("count_ports", &size);
	u64 maps;

	settle();
	maps = bpf_map_live_count();
	assert_int_equal(bpf_object_load(data, size, &opts, &l), -EEXIST);
	assert_non_null(strstr(bpf_log_text(&l.report), "File exists"));
	bpf_loaded_free(&l);
	settle();
	assert_int_equal(bpf_map_live_count(), maps);
	free(data);
}

static void a_load_can_be_cancelled(void **state)
{
	const bool cancel = true;
	struct bpf_object_load_opts opts = {.cancel = &cancel};
	struct bpf_loaded l;
	size_t size;
	void *data = test_object_bytes("reject_endless_loop", &size);

	assert_int_equal(bpf_object_load(data, size, &opts, &l), -EINTR);
	bpf_loaded_free(&l);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hash_and_array_count),
		cmocka_unit_test(global_variables),
		cmocka_unit_test(printed_text_comes_out),
		cmocka_unit_test(subprograms_are_called),
		cmocka_unit_test(tail_calls_go_where_the_definition_says),
		cmocka_unit_test(maps_in_maps_are_found),
		cmocka_unit_test(loops_end),
		cmocka_unit_test(packets_are_rewritten),
		cmocka_unit_test(tc_programs),
		cmocka_unit_test(cgroup_filters),
		cmocka_unit_test(legacy_maps_work),
		cmocka_unit_test(isa_v4_computes),
		cmocka_unit_test(switches_and_tables),
		cmocka_unit_test(offsets_into_data),
		cmocka_unit_test(the_demo_counts),
		cmocka_unit_test(every_kind_of_relocation),
		cmocka_unit_test(types_of_this_build_need_no_kernel),
		cmocka_unit_test(externs_have_values),
		cmocka_unit_test(event_arrays_have_an_element_a_slot),
		cmocka_unit_test(types_that_fan_out_are_refused),
		cmocka_unit_test(refused_objects_leave_nothing),
		cmocka_unit_test(loaded_objects_leave_nothing),
		cmocka_unit_test(two_objects_share_a_map),
		cmocka_unit_test(a_missing_map_ends_the_load),
		cmocka_unit_test(a_load_can_be_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
