/*
 * test_elf.c - the object reader on real objects, cut objects, damaged objects, and on hostile BTF
 */
#include <elf.h>
#include <linux/btf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "btf/btf.h"
#include "btf/btf_check.h"
#include "object/extent.h"
#include "object/section_type.h"
#include "tests/lib/object.h"

/* ---- where an object ends */

static void extent_is_known_at_the_last_byte_and_not_before(void **state)
{
	for (const char *const *name = test_object_names(); *name; name++) {
		size_t size, end = 0;
		u8 *data = test_object_bytes(*name, &size);

		size_t needed = 0, asked = 0;

		for (size_t len = 0; len < size; len++) {
			assert_int_equal(bpf_object_extent(data, len, SIZE_MAX, &end), 0);
			assert_true(end > len && end <= size);
			assert_true(len >= needed || end == needed);
			asked += len > sizeof(Elf64_Ehdr) && end != needed;
			needed = end;
		}
		assert_true(asked <= 3); /* of a stream that comes byte by byte */
		assert_int_equal(bpf_object_extent(data, size, SIZE_MAX, &end), 1);
		assert_int_equal(end, size);
		assert_int_equal(bpf_object_extent(data, size, size, &end), 1);
		assert_int_equal(bpf_object_extent(data, size, size - 1, &end), -EFBIG);
		/* The header alone says that it will be too much. */
		assert_int_equal(bpf_object_extent(data, 64, size - 1, &end), -EFBIG);
		free(data);
	}
}

static void extent_ignores_padding(void **state)
{
	size_t size, end = 0;
	u8 *data = test_object_bytes("count_ports", &size);
	struct bpf_object_file *obj;

	data = realloc(data, size + 5000);
	memset(data + size, 0xaa, 5000);
	assert_int_equal(bpf_object_extent(data, size + 5000, SIZE_MAX, &end), 1);
	assert_int_equal(end, size);
	assert_int_equal(bpf_object_read(data, size + 5000, NULL, &obj), 0);
	bpf_object_file_free(obj);
	free(data);
}

static void foreign_bytes_are_refused_at_once(void **state)
{
	static const u8 telling[] = {0, 1, 2, 3, 4, 5, 6, 16, 17, 18, 19};
	size_t size, end;
	u8 *data = test_object_bytes("count_ports", &size);

	for (size_t i = 0; i < sizeof(telling); i++) {
		size_t at = telling[i];

		data[at] ^= 0x40;
		assert_int_equal(bpf_object_extent(data, at, SIZE_MAX, &end), 0);
		assert_int_equal(bpf_object_extent(data, at + 1, SIZE_MAX, &end), -ENOEXEC);
		assert_int_equal(bpf_object_extent(data, size, SIZE_MAX, &end), -ENOEXEC);
		data[at] ^= 0x40;
	}
	assert_int_equal(bpf_object_extent("#!/bin/sh\n", 10, SIZE_MAX, &end), -ENOEXEC);
	assert_int_equal(bpf_object_extent("", 0, SIZE_MAX, &end), 0);
	free(data);
}

static void extent_takes_the_farthest_of_tables_sections_and_segments(void **state)
{
	struct {
		Elf64_Ehdr eh;
		Elf64_Phdr ph;
		Elf64_Shdr sh[2];
	} f = {0};
	size_t end;

	memcpy(f.eh.e_ident, "\177ELF\2\1\1", 7);
	f.eh.e_type = ET_REL;
	f.eh.e_machine = EM_BPF;
	f.eh.e_ehsize = sizeof(f.eh);
	assert_int_equal(bpf_object_extent(&f, sizeof(f), SIZE_MAX, &end), 1);
	assert_int_equal(end, sizeof(f.eh));

	f.eh.e_phoff = offsetof(__typeof__(f), ph);
	f.eh.e_phentsize = sizeof(f.ph);
	f.eh.e_phnum = 1;
	f.ph.p_offset = 1000;
	f.ph.p_filesz = 24;
	assert_int_equal(bpf_object_extent(&f, sizeof(f), SIZE_MAX, &end), 0);
	assert_int_equal(bpf_object_extent(&f, sizeof(f), 1023, &end), -EFBIG);

	f.eh.e_shoff = offsetof(__typeof__(f), sh);
	f.eh.e_shentsize = sizeof(f.sh[0]);
	f.eh.e_shnum = 2;
	f.ph.p_filesz = 0;
	f.ph.p_offset = 0;
	f.sh[1].sh_type = SHT_NOBITS;
	f.sh[1].sh_offset = 1u << 30;
	f.sh[1].sh_size = 1u << 30;
	assert_int_equal(bpf_object_extent(&f, sizeof(f), SIZE_MAX, &end), 1);
	assert_int_equal(end, sizeof(f));
	f.sh[1].sh_type = SHT_PROGBITS;
	assert_int_equal(bpf_object_extent(&f, sizeof(f), 1u << 20, &end), -EFBIG);
	f.sh[1].sh_offset = UINT64_MAX - 4;
	assert_int_equal(bpf_object_extent(&f, sizeof(f), SIZE_MAX, &end), -EFBIG);

	/* The number of sections is in the first of them when it does not fit. */
	memset(f.sh, 0, sizeof(f.sh));
	f.eh.e_shnum = 0;
	f.sh[0].sh_size = 2;
	assert_int_equal(bpf_object_extent(&f, sizeof(f) - 1, SIZE_MAX, &end), 0);
	assert_int_equal(bpf_object_extent(&f, sizeof(f), SIZE_MAX, &end), 1);
	f.sh[0].sh_size = UINT64_MAX / 2;
	assert_int_equal(bpf_object_extent(&f, sizeof(f), SIZE_MAX, &end), -EFBIG);
}

/* ---- SEC() */

static void section_names_follow_the_conventions(void **state)
{
	static const struct {
		const char *name;
		int type, attach; /* type 0: no such name */
	} rows[] = {
		{"socket", BPF_PROG_TYPE_SOCKET_FILTER, 0},
		{"socket1", BPF_PROG_TYPE_SOCKET_FILTER, 0},
		{"socket/http", BPF_PROG_TYPE_SOCKET_FILTER, 0},
		{"?socket", BPF_PROG_TYPE_SOCKET_FILTER, 0},
		{"sockets", 0, 0},
		{"sockops", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS},
		{"xdp", BPF_PROG_TYPE_XDP, BPF_XDP},
		{"xdp_drop", BPF_PROG_TYPE_XDP, BPF_XDP},
		{"xdp.frags", BPF_PROG_TYPE_XDP, BPF_XDP},
		{"xdp/devmap", BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP},
		{"xdp.frags/cpumap", BPF_PROG_TYPE_XDP, BPF_XDP_CPUMAP},
		{"tc", BPF_PROG_TYPE_SCHED_CLS, 0},
		{"tcx/ingress", BPF_PROG_TYPE_SCHED_CLS, 46},
		{"tcx/egress", BPF_PROG_TYPE_SCHED_CLS, 47},
		{"tcp", 0, 0},
		{"classifier", BPF_PROG_TYPE_SCHED_CLS, 0},
		{"classifier/ingress", BPF_PROG_TYPE_SCHED_CLS, 0},
		{"action", BPF_PROG_TYPE_SCHED_ACT, 0},
		{"cgroup_skb/ingress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS},
		{"cgroup_skb/egress", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS},
		{"cgroup/skb", BPF_PROG_TYPE_CGROUP_SKB, 0},
		{"perf_event", BPF_PROG_TYPE_PERF_EVENT, 0},
		{"kprobe/vfs_read", BPF_PROG_TYPE_KPROBE, 0},
		{"kprobe.multi/x*", BPF_PROG_TYPE_KPROBE, BPF_TRACE_KPROBE_MULTI},
		{"kprobes", 0, 0},
		{"tracepoint/sched/sched_switch", BPF_PROG_TYPE_TRACEPOINT, 0},
		{"tp/sched/sched_switch", BPF_PROG_TYPE_TRACEPOINT, 0},
		{"fentry/vfs_read", BPF_PROG_TYPE_TRACING, BPF_TRACE_FENTRY},
		{"lsm/file_open", BPF_PROG_TYPE_LSM, BPF_LSM_MAC},
		{"cgroup/connect4", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT},
		{"sk_lookup", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP},
		{"netfilter", 32, 45},
		{"raw", BPF_PROG_TYPE_RAW, 0},
		{"raw/x", 0, 0},
		{"prog", 0, 0},
		{"", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		enum bpf_attach_type attach = 0;
		enum bpf_prog_type type = 0;
		int err = bpf_section_type(rows[i].name, &type, &attach);

		if (err != (rows[i].type ? 0 : -ENOENT) || type != rows[i].type ||
		    attach != rows[i].attach)
			fail_msg("SEC(\"%s\"): %d, type %d, attach type %d", rows[i].name, err,
				 type, attach);
	}
}

/* ---- whole objects */

static struct bpf_object_file *read_good(const char *name)
{
	struct bpf_object_file *obj = NULL;
	struct bpf_log log;
	size_t size;
	void *data = test_object_bytes(name, &size);
	const char *why;

	bpf_log_init(&log, 1, 0);
	if (bpf_object_read(data, size, &log, &obj))
		fail_msg("%s: %s", name, bpf_log_text(&log));
	why = test_object_insane(obj);
	if (why)
		fail_msg("%s: %s", name, why);
	bpf_log_free(&log);
	free(data);
	return obj;
}

static void every_object_reads_or_is_refused_by_its_name(void **state)
{
	for (const char *const *name = test_object_names(); *name; name++) {
		int expect = !strncmp(*name, "malformed_", 10)	 ? -EINVAL
			     : !strcmp(*name, "refuse_type")	 ? 0
			     : !strcmp(*name, "refuse_map_type") ? 0
			     : !strncmp(*name, "refuse_", 7)	 ? -ENOTSUP
								 : 0;
		struct bpf_object_file *obj = NULL;
		size_t size;
		void *data = test_object_bytes(*name, &size);

		assert_int_equal(bpf_object_read(data, size, NULL, &obj), expect);
		assert_int_equal(!obj, expect != 0);
		bpf_object_file_free(obj);
		free(data);
	}
}

static void refusals_name_what_is_missing(void **state)
{
	static const struct {
		const char *object, *words[3];
	} rows[] = {
		{"refuse_kconfig", {"CONFIG_NO_SUCH_THING", "is not set in", "__weak"}},
		{"refuse_ksym", {"bpf_prog_fops", "__ksym", "__weak"}},
		{"refuse_undefined", {"defined_elsewhere", "not defined", ""}},
		{"refuse_kfunc", {"bpf_rcu_read_lock", "__ksym", ""}},
		{"refuse_section", {"free_filter", "SEC(\"filter\")", "type TYPE"}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct bpf_object_file *obj = NULL;
		struct bpf_log log;
		size_t size;
		void *data = test_object_bytes(rows[i].object, &size);

		bpf_log_init(&log, 1, 0);
		assert_int_equal(bpf_object_read(data, size, &log, &obj), -ENOTSUP);
		for (int w = 0; w < 3; w++)
			if (!strstr(bpf_log_text(&log), rows[i].words[w]))
				fail_msg("%s: no '%s' in: %s", rows[i].object, rows[i].words[w],
					 bpf_log_text(&log));
		bpf_log_free(&log);
		free(data);
	}
}

static void btf_map_definitions(void **state)
{
	struct bpf_object_file *obj = read_good("count_ports");
	const struct bpf_object_map *map = test_object_map(obj, "by_port");
	const struct bpf_object_prog *prog = test_object_prog(obj, "count_ports");

	assert_int_equal(obj->map_cnt, 2);
	assert_int_equal(obj->prog_cnt, 1);
	assert_string_equal(obj->license, "Dual BSD/GPL");
	assert_non_null(map);
	assert_int_equal(map->kind, BPF_OBJECT_MAP_DEFINED);
	assert_int_equal(map->spec.map_type, BPF_MAP_TYPE_HASH);
	assert_int_equal(map->spec.key_size, 4);
	assert_int_equal(map->spec.value_size, 16);
	assert_int_equal(map->spec.max_entries, 1024);
	assert_int_not_equal(map->spec.btf_key_type_id, 0);
	assert_int_not_equal(map->spec.btf_value_type_id, 0);
	assert_false(map->pin_by_name);
	assert_int_equal(map->inner_map, -1);
	assert_non_null(prog);
	assert_int_equal(prog->type, BPF_PROG_TYPE_SOCKET_FILTER);
	assert_string_equal(prog->section, "socket");
	assert_int_equal(prog->func_info_cnt, 1);
	assert_true(prog->line_info_cnt > 10);
	bpf_object_file_free(obj);

	obj = read_good("shared_map_a");
	assert_true(test_object_map(obj, "shared")->pin_by_name);
	bpf_object_file_free(obj);
}

static void legacy_map_definitions(void **state)
{
	struct bpf_object_file *obj = read_good("legacy_maps");
	const struct bpf_object_map *map = test_object_map(obj, "lengths");

	assert_int_equal(obj->map_cnt, 2);
	assert_non_null(map);
	assert_int_equal(map->spec.map_type, BPF_MAP_TYPE_HASH);
	assert_int_equal(map->spec.value_size, 8);
	assert_int_equal(map->spec.max_entries, 16);
	map = test_object_map(obj, "total");
	assert_non_null(map);
	assert_int_equal(map->spec.map_type, BPF_MAP_TYPE_ARRAY);
	bpf_object_file_free(obj);
}

static void legacy_definition_with_more_than_is_known(void **state)
{
	struct bpf_object_file *obj = NULL;
	struct bpf_log log;
	size_t size;
	u8 *data = test_object_bytes("legacy_maps", &size);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)data;
	Elf64_Shdr *sh = (Elf64_Shdr *)(data + eh->e_shoff);
	const char *names = (char *)data + sh[eh->e_shstrndx].sh_offset;

	for (int i = 0; i < eh->e_shnum; i++)
		if (!strcmp(names + sh[i].sh_name, "maps"))
			data[sh[i].sh_offset + 24] = 1;
	bpf_log_init(&log, 1, 0);
	assert_int_equal(bpf_object_read(data, size, &log, &obj), -EINVAL);
	assert_non_null(strstr(bpf_log_text(&log), "is not zero"));
	bpf_log_free(&log);
	free(data);
}

static void maps_of_maps_and_their_values(void **state)
{
	struct bpf_object_file *obj = read_good("map_in_map");
	const struct bpf_object_map *outer = test_object_map(obj, "outer"), *inner;

	assert_non_null(outer);
	assert_int_equal(outer->spec.map_type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	assert_int_equal(outer->spec.value_size, 4);
	assert_true(outer->inner_map >= 0);
	inner = &obj->maps[outer->inner_map];
	assert_int_equal(inner->kind, BPF_OBJECT_MAP_INNER);
	assert_int_equal(inner->spec.map_type, BPF_MAP_TYPE_ARRAY);
	assert_int_equal(inner->spec.value_size, 8);
	assert_int_equal(outer->init_cnt, 2);
	for (u32 i = 0; i < 2; i++) {
		const char *name = obj->maps[outer->init_target[i]].name;

		assert_string_equal(name, outer->init_slot[i] == 0 ? "inner_a" : "inner_b");
		assert_true(outer->init_slot[i] == 0 || outer->init_slot[i] == 2);
	}
	bpf_object_file_free(obj);
}

static void data_sections_are_maps(void **state)
{
	struct bpf_object_file *obj = read_good("global_data");
	const struct bpf_object_map *data = test_object_map(obj, ".data");
	const struct bpf_object_map *rodata = test_object_map(obj, ".rodata");
	const struct bpf_object_map *bss = test_object_map(obj, ".bss");
	u32 limit;
	u64 step;

	assert_true(data && rodata && bss);
	assert_int_equal(data->kind, BPF_OBJECT_MAP_DATA);
	assert_int_equal(data->spec.map_type, BPF_MAP_TYPE_ARRAY);
	assert_int_equal(data->spec.max_entries, 1);
	assert_int_equal(data->spec.map_flags, 0);
	memcpy(&limit, data->init, sizeof(limit));
	memcpy(&step, (u8 *)data->init + 8, sizeof(step));
	assert_int_equal(limit, 3);
	assert_int_equal(step, 5);
	assert_false(data->readonly);
	assert_true(rodata->readonly);
	assert_int_equal(rodata->spec.map_flags, BPF_F_RDONLY_PROG);
	assert_non_null(strstr((char *)rodata->init + 4, "len %d"));
	assert_null(bss->init);
	assert_false(bss->readonly);
	assert_true(bss->spec.value_size >= 8 + 32);
	bpf_object_file_free(obj);
}

static void question_mark_programs_are_left_out(void **state)
{
	struct bpf_object_file *obj = read_good("not_autoloaded");

	assert_int_equal(obj->prog_cnt, 1);
	assert_string_equal(obj->progs[0].name, "loaded");
	bpf_object_file_free(obj);
}

static void license_may_be_missing(void **state)
{
	struct bpf_object_file *obj = read_good("no_license");

	assert_string_equal(obj->license, "");
	bpf_object_file_free(obj);
}

static void examples_read(void **state)
{
	struct bpf_object_file *obj = read_good("examples/traffic");

	assert_int_equal(test_object_map(obj, "port_bytes")->spec.value_size, 8);
	assert_int_equal(test_object_prog(obj, "traffic")->type, BPF_PROG_TYPE_XDP);
	bpf_object_file_free(obj);
}

/* ---- damage */

/* Read from memory of exactly this size, so that the sanitizer sees one byte too far. */
static int read_copy(const u8 *data, size_t size)
{
	struct bpf_object_file *obj = NULL;
	u8 *copy = malloc(max(size, (size_t)1));
	struct bpf_log log;
	const char *why;
	int err;

	memcpy(copy, data, size);
	bpf_log_init(&log, 1, 0);
	err = bpf_object_read(copy, size, &log, &obj);
	free(copy);
	assert_int_equal(err == 0, obj != NULL);
	why = obj ? test_object_insane(obj) : NULL;
	if (why)
		fail_msg("accepted a damaged object with a bad thing: %s", why);
	if (err && err != -ENOMEM && !log.len)
		fail_msg("refused with %d, but did not say why", err);
	bpf_object_file_free(obj);
	bpf_log_free(&log);
	return err;
}

static void cut_objects_are_refused(void **state)
{
	for (const char *const *name = test_object_names(); *name; name++) {
		size_t size;
		u8 *data = test_object_bytes(*name, &size);

		for (size_t len = 0; len < size; len += len < 128 ? 1 : 97)
			assert_int_equal(read_copy(data, len), -EINVAL);
		assert_int_equal(read_copy(data, size - 1), -EINVAL);
		free(data);
	}
}

/* Names that are compared and looked through a million times: a long one is refused before that. */
static void a_name_has_a_longest(void **state)
{
	const u32 more = 1 << 20;
	struct bpf_object_file *obj;
	struct bpf_log log;
	Elf64_Shdr *secs;
	size_t size;
	u8 *data = test_object_bytes("count_ports", &size);
	const Elf64_Ehdr *head;

	size = round_up(size, (size_t)8);
	data = realloc(data, size + more);
	assert_non_null(data);
	memset(data + size, 'a', more - 1);
	data[size + more - 1] = 0;
	head = (const Elf64_Ehdr *)data;
	secs = (Elf64_Shdr *)(data + head->e_shoff);
	for (u32 i = 0; i < head->e_shnum; i++) {
		if (secs[i].sh_type != SHT_SYMTAB)
			continue;
		secs[secs[i].sh_link].sh_offset = size;
		secs[secs[i].sh_link].sh_size = more;
	}
	bpf_log_init(&log, 1, 0);
	assert_int_equal(bpf_object_read(data, size + more, &log, &obj), -EINVAL);
	assert_non_null(strstr(bpf_log_text(&log), "longer than 1023 bytes"));
	bpf_log_free(&log);
	free(data);
}

static void damaged_bytes_never_crash(void **state)
{
	static const u8 masks[] = {0xff, 0x01, 0x80};

	for (const char *const *name = test_object_names(); *name; name++) {
		bool whole = !strcmp(*name, "map_in_map") || !strcmp(*name, "subprograms");
		size_t size, done = 0, refused = 0;
		u8 *data = test_object_bytes(*name, &size);

		for (size_t i = 0; i < size; i += whole ? 1 : 23) {
			u8 mask = masks[i % ARRAY_SIZE(masks)];

			data[i] ^= mask;
			refused += read_copy(data, size) != 0;
			data[i] ^= mask;
			done++;
		}
		/* A reader that looks at nothing would pass, too: some damage must be seen. */
		assert_true(refused > 0);
		free(data);
	}
}

/* Words of all ones and of zeros over each aligned word of everything but the code. */
static void damaged_words_never_crash(void **state)
{
	size_t size;
	u8 *data = test_object_bytes("tail_calls", &size);

	for (size_t i = 0; i + 4 <= size; i += 4) {
		u32 saved, bad = i % 8 ? 0xffffffff : 0x7fffffff;

		memcpy(&saved, data + i, 4);
		memcpy(data + i, &bad, 4);
		read_copy(data, size);
		memset(data + i, 0, 4);
		read_copy(data, size);
		memcpy(data + i, &saved, 4);
	}
	free(data);
}

static void any_alignment_will_do(void **state)
{
	for (const char *const *name = test_object_names(); *name; name++) {
		struct bpf_object_file *a = NULL, *b = NULL;
		size_t size;
		u8 *data = test_object_bytes(*name, &size), *odd = malloc(size + 1);

		memcpy(odd + 1, data, size);
		assert_int_equal(bpf_object_read(data, size, NULL, &a),
				 bpf_object_read(odd + 1, size, NULL, &b));
		if (a)
			assert_memory_equal(a->progs[0].insns, b->progs[0].insns,
					    a->progs[0].insn_cnt * sizeof(struct bpf_insn));
		bpf_object_file_free(a);
		bpf_object_file_free(b);
		free(data);
		free(odd);
	}
}

/* ---- BTF by itself */

struct raw_btf {
	struct btf_header hdr;
	u32 types[64];
	char strs[8]; /* "", "s", "t" */
};

static int check_types(const u32 *types, u32 words)
{
	struct raw_btf b = {
		.hdr = {.magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(b.hdr)},
		.strs = "\0s\0t",
	};

	b.hdr.type_len = words * 4;
	b.hdr.str_off = sizeof(b.types);
	b.hdr.str_len = sizeof(b.strs);
	memcpy(b.types, types, words * 4);
	return bpf_btf_check(&b, sizeof(b));
}

#define KIND(k, vlen) ((u32)(k) << 24 | (vlen))
#define CHECK(...)    check_types((u32[]){__VA_ARGS__}, sizeof((u32[]){__VA_ARGS__}) / 4)

static void btf_ids_and_names_are_checked(void **state)
{
	assert_int_equal(CHECK(0, KIND(BTF_KIND_PTR, 0), 0), 0);
	assert_int_equal(CHECK(0, KIND(BTF_KIND_PTR, 0), 2), -EINVAL); /* no such type */
	assert_int_equal(CHECK(7, KIND(BTF_KIND_PTR, 0), 0), 0);
	assert_int_equal(CHECK(8, KIND(BTF_KIND_PTR, 0), 0), -EINVAL); /* no such name */
	assert_int_equal(CHECK(0, KIND(31, 0), 0), -EINVAL); /* no such kind */
	assert_int_equal(CHECK(0, KIND(BTF_KIND_STRUCT, 1), 8), -EINVAL); /* cut */
	assert_int_equal(CHECK(0, KIND(BTF_KIND_STRUCT, 1), 8, 0, 9, 0), -EINVAL);
}

static void btf_cycles_are_refused(void **state)
{
	/* const -> itself; pointer -> itself; array of itself */
	assert_int_equal(CHECK(0, KIND(BTF_KIND_CONST, 0), 1), -EINVAL);
	assert_int_equal(CHECK(0, KIND(BTF_KIND_PTR, 0), 1), -EINVAL);
	assert_int_equal(CHECK(0, KIND(BTF_KIND_ARRAY, 0), 0, 1, 1, 1), -EINVAL);
	/* struct s { struct s m; } */
	assert_int_equal(CHECK(1, KIND(BTF_KIND_STRUCT, 1), 8, 3, 1, 0), -EINVAL);
	/* struct s { struct s *m; } is how lists are made; without a name it cannot be printed */
	assert_int_equal(
		CHECK(1, KIND(BTF_KIND_STRUCT, 1), 8, 3, 2, 0, 0, KIND(BTF_KIND_PTR, 0), 1), 0);
	assert_int_equal(
		CHECK(0, KIND(BTF_KIND_STRUCT, 1), 8, 3, 2, 0, 0, KIND(BTF_KIND_PTR, 0), 1),
		-EINVAL);
	/* a function whose parameter is a pointer to it */
	assert_int_equal(
		CHECK(0, KIND(BTF_KIND_FUNC_PROTO, 1), 0, 0, 2, 0, KIND(BTF_KIND_PTR, 0), 1),
		-EINVAL);
}

static void btf_depth_is_bounded(void **state)
{
	u32 chain[3 * 100], header_words = 3;
	struct btf_header hdr = {
		.magic = BTF_MAGIC, .version = 1, .hdr_len = sizeof(hdr), .str_len = 1};
	u8 buf[sizeof(hdr) + sizeof(chain) + 1] = {0};

	for (u32 n = 40; n <= 100; n += 60) {
		for (u32 i = 0; i < n; i++) {
			chain[i * header_words] = 0;
			chain[i * header_words + 1] = KIND(BTF_KIND_PTR, 0);
			chain[i * header_words + 2] = i; /* to the one before */
		}
		hdr.type_len = hdr.str_off = n * 12;
		memcpy(buf, &hdr, sizeof(hdr));
		memcpy(buf + sizeof(hdr), chain, n * 12);
		buf[sizeof(hdr) + n * 12] = 0;
		assert_int_equal(bpf_btf_check(buf, sizeof(hdr) + n * 12 + 1),
				 n == 40 ? 0 : -EINVAL);
	}
}

static void btf_types_must_mean_something(void **state)
{
	const u32 int32[] = {0, KIND(BTF_KIND_INT, 0), 4, 32};

#define WITH_INT(...) CHECK(int32[0], int32[1], int32[2], int32[3], __VA_ARGS__)
	assert_int_equal(CHECK(0, KIND(BTF_KIND_INT, 0), 3, 24), -EINVAL);
	assert_int_equal(CHECK(0, KIND(BTF_KIND_INT, 0), 4, 33), -EINVAL);
	assert_int_equal(CHECK(0, KIND(BTF_KIND_INT, 0), 0, 0), -EINVAL);
	/* a member up to the end of its struct, and one bit further */
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_STRUCT, 1), 8, 3, 1, 32), 0);
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_STRUCT, 1), 8, 3, 1, 40), -EINVAL);
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_STRUCT, 1), 8, 3, 1, 31), -EINVAL);
	/* a bit field of 3 at 29, and at 30 */
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_STRUCT, 1) | 1u << 31, 4, 3, 1, 3 << 24 | 29),
			 0);
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_STRUCT, 1) | 1u << 31, 4, 3, 1, 3 << 24 | 30),
			 -EINVAL);
	/* arrays: of void, too large, by something that is no integer */
	assert_int_equal(WITH_INT(0, KIND(BTF_KIND_ARRAY, 0), 0, 1, 1, 8), 0);
	assert_int_equal(WITH_INT(0, KIND(BTF_KIND_ARRAY, 0), 0, 0, 1, 8), -EINVAL);
	assert_int_equal(WITH_INT(0, KIND(BTF_KIND_ARRAY, 0), 0, 1, 1, 1u << 30), -EINVAL);
	assert_int_equal(
		WITH_INT(0, KIND(BTF_KIND_PTR, 0), 0, 0, KIND(BTF_KIND_ARRAY, 0), 0, 1, 2, 8),
		-EINVAL);
	/* a function is of a prototype, a variable of a type, a section of variables */
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_FUNC, 0), 1), -EINVAL);
	assert_int_equal(WITH_INT(0, KIND(BTF_KIND_FUNC_PROTO, 0), 1, 1, KIND(BTF_KIND_FUNC, 0), 2),
			 0);
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_VAR, 0), 1, 1), 0);
	assert_int_equal(WITH_INT(0, KIND(BTF_KIND_VAR, 0), 1, 1), -EINVAL);
	assert_int_equal(WITH_INT(1, KIND(BTF_KIND_DATASEC, 1), 4, 1, 0, 4), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(extent_is_known_at_the_last_byte_and_not_before),
		cmocka_unit_test(extent_ignores_padding),
		cmocka_unit_test(foreign_bytes_are_refused_at_once),
		cmocka_unit_test(extent_takes_the_farthest_of_tables_sections_and_segments),
		cmocka_unit_test(section_names_follow_the_conventions),
		cmocka_unit_test(every_object_reads_or_is_refused_by_its_name),
		cmocka_unit_test(refusals_name_what_is_missing),
		cmocka_unit_test(btf_map_definitions),
		cmocka_unit_test(legacy_map_definitions),
		cmocka_unit_test(legacy_definition_with_more_than_is_known),
		cmocka_unit_test(maps_of_maps_and_their_values),
		cmocka_unit_test(data_sections_are_maps),
		cmocka_unit_test(question_mark_programs_are_left_out),
		cmocka_unit_test(license_may_be_missing),
		cmocka_unit_test(examples_read),
		cmocka_unit_test(cut_objects_are_refused),
		cmocka_unit_test(a_name_has_a_longest),
		cmocka_unit_test(damaged_bytes_never_crash),
		cmocka_unit_test(damaged_words_never_crash),
		cmocka_unit_test(any_alignment_will_do),
		cmocka_unit_test(btf_ids_and_names_are_checked),
		cmocka_unit_test(btf_cycles_are_refused),
		cmocka_unit_test(btf_depth_is_bounded),
		cmocka_unit_test(btf_types_must_mean_something),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
