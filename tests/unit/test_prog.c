/*
 * test_prog.c - the life of a program: copies, ids, references, tags
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <pthread.h>
#include <sys/syscall.h>
#include "core/prog.h"
#include "rcu/rcu.h"
#include "util/sha256.h"
#include "tests/lib/kernel.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"

static const struct bpf_insn two[] = {BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};

static struct bpf_prog *make(u32 id)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
		.name = "two",
		.license = "Dual BSD/GPL",
		.insns = two,
		.insn_cnt = ARRAY_SIZE(two),
		.id = id,
	};

	return bpf_prog_alloc(&attr);
}

static void settle(void)
{
	bpf_rcu_barrier();
}

static void what_is_loaded_is_copied(void **state)
{
	struct bpf_insn insns[] = {BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()};
	struct bpf_line_info line = {.insn_off = 1};
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_XDP,
		.name = "a name that is much longer than what fits into a program's name, so it is "
			"cut",
		.license = "Proprietary",
		.insns = insns,
		.insn_cnt = 2,
		.line_info = &line,
		.line_info_cnt = 1,
	};
	struct bpf_prog *prog = bpf_prog_alloc(&attr);

	memset(insns, 0, sizeof(insns));
	line.insn_off = 0;
	assert_int_equal(prog->orig_len, 2);
	assert_int_equal(prog->orig_insns[0].imm, 7);
	assert_int_equal(prog->line_info[0].insn_off, 1);
	assert_int_equal(strlen(prog->name), sizeof(prog->name) - 1);
	assert_false(prog->gpl_compatible);
	assert_true(prog->load_time > 1600000000ULL * 1000000000ULL);
	bpf_prog_put(prog);
	settle();
	assert_int_equal(bpf_prog_live_count(), 0);
}

static void licenses(void **state)
{
	static const struct {
		const char *license;
		bool gpl;
	} rows[] = {
		{"GPL", true},
		{"GPL v2", true},
		{"GPL and additional rights", true},
		{"Dual BSD/GPL", true},
		{"Dual MIT/GPL", true},
		{"Dual MPL/GPL", true},
		{"MIT", false},
		{"gpl", false},
		{"GPL ", false},
		{"", false},
		{NULL, false},
	};

	for (u32 i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct bpf_prog_load_attr attr = {
			.license = rows[i].license, .insns = two, .insn_cnt = 2};
		struct bpf_prog *prog = bpf_prog_alloc(&attr);

		assert_int_equal(prog->gpl_compatible, rows[i].gpl);
		bpf_prog_put(prog);
	}
}

static void ids_rise_and_find(void **state)
{
	struct bpf_prog *a = make(0), *b = make(0), *c = make(0), *found;
	u32 id;

	assert_int_equal(bpf_prog_publish(a), 0);
	assert_int_equal(bpf_prog_publish(b), 0);
	assert_true(b->id > a->id);
	found = bpf_prog_get_by_id(b->id);
	assert_ptr_equal(found, b);
	bpf_prog_put(found);
	assert_null(bpf_prog_get_by_id(b->id + 1));
	assert_null(bpf_prog_get_by_id(0));

	id = b->id;
	bpf_prog_put(b);
	assert_null(bpf_prog_get_by_id(id));
	assert_int_equal(bpf_prog_publish(c), 0);
	assert_true(c->id > id); /* an id is never used again */
	bpf_prog_put(a);
	bpf_prog_put(c);
}

static void given_ids(void **state)
{
	struct bpf_prog *a = make(100000), *b = make(100000), *c = make(0);

	assert_int_equal(bpf_prog_publish(a), 0);
	assert_int_equal(a->id, 100000);
	assert_int_equal(bpf_prog_publish(b), -EEXIST);
	assert_int_equal(bpf_prog_publish(c), 0);
	assert_int_equal(c->id, 100001);
	bpf_prog_put(a);
	bpf_prog_put(b); /* was never published: takes nothing out of the table */
	bpf_prog_put(c);
}

/* Entries that share a run of the table must be found when those before them go. */
static void the_table_of_ids_survives_removal(void **state)
{
	enum { N = 500 };
	static struct bpf_prog *progs[N];

	for (u32 i = 0; i < N; i++) {
		progs[i] = make(200000 + i * 64);
		assert_int_equal(bpf_prog_publish(progs[i]), 0);
	}
	for (u32 step = 0; step < 2; step++)
		for (u32 i = step; i < N; i += 2) {
			bpf_prog_put(progs[i]);
			progs[i] = NULL;
			for (u32 j = 0; j < N; j += 7) {
				struct bpf_prog *found = bpf_prog_get_by_id(200000 + j * 64);

				assert_ptr_equal(found, progs[j]);
				bpf_prog_put(found);
			}
		}
	settle();
	assert_int_equal(bpf_prog_live_count(), 0);
}

static int freed;

static void on_free(struct bpf_prog *prog, void *priv)
{
	assert_ptr_equal(priv, &freed);
	freed++;
}

static void the_last_put_frees_once(void **state)
{
	struct bpf_prog *prog = make(0);
	struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	struct bpf_prog_load_attr attr = {.insns = two, .insn_cnt = 2, .map_cnt = 1};
	u64 maps = bpf_map_live_count();
	struct bpf_map *map;

	prog->on_free = on_free;
	prog->priv = &freed;
	bpf_prog_inc(prog);
	bpf_prog_put(prog);
	assert_int_equal(freed, 0);
	assert_true(bpf_prog_inc_not_zero(prog));
	bpf_prog_put(prog);
	bpf_prog_put(prog);
	assert_int_equal(freed, 1);

	/* A program holds its maps. */
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	attr.maps = &map;
	prog = bpf_prog_alloc(&attr);
	bpf_map_put(map);
	settle();
	assert_int_equal(bpf_map_live_count(), maps + 1);
	bpf_prog_put(prog);
	settle();
	settle();
	assert_int_equal(bpf_map_live_count(), maps);
	assert_int_equal(bpf_prog_live_count(), 0);
}

static void *find_and_put(void *arg)
{
	u32 id = *(u32 *)arg;
	u64 found = 0;

	for (int i = 0; i < 20000; i++) {
		struct bpf_prog *prog = bpf_prog_get_by_id(id);

		if (!prog)
			break;
		found += prog->orig_len;
		bpf_prog_put(prog);
	}
	return (void *)(uintptr_t)found;
}

/* A lookup by id against the last put: it gets a living program or none. */
static void looking_up_what_goes_away(void **state)
{
	for (int round = 0; round < 20; round++) {
		struct bpf_prog *prog = make(0);
		pthread_t threads[3];
		u32 id;

		assert_int_equal(bpf_prog_publish(prog), 0);
		id = prog->id;
		for (int i = 0; i < 3; i++)
			pthread_create(&threads[i], NULL, find_and_put, &id);
		usleep(1000);
		bpf_prog_put(prog);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		assert_null(bpf_prog_get_by_id(id));
	}
	settle();
	assert_int_equal(bpf_prog_live_count(), 0);
}

/* ---- tags */

static void hash_is(const char *text, const char *hex)
{
	u8 digest[SHA256_SIZE];
	char got[2 * SHA256_SIZE + 1];

	size_t len = strlen(text);
	struct sha256 s;

	sha256(text, len, digest);
	for (size_t piece = 1; piece <= len; piece += 9) {
		u8 again[SHA256_SIZE];

		sha256_begin(&s);
		for (size_t at = 0; at < len; at += piece)
			sha256_add(&s, text + at, min(piece, len - at));
		sha256_end(&s, again);
		assert_memory_equal(again, digest, sizeof(digest));
	}
	for (int i = 0; i < SHA256_SIZE; i++)
		sprintf(got + 2 * i, "%02x", digest[i]);
	assert_string_equal(got, hex);
}

/* FIPS 180-4's examples, and a length at each side of the padding's edge. */
static void sha256_of_known_texts(void **state)
{
	hash_is("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	hash_is("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	hash_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		"248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	hash_is("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* 55 */
		"9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318");
	hash_is("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", /* 64 */
		"ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb");
}

static bool kernel_tag(const struct bpf_prog_load_attr *attr, const int *fds, u8 tag[8])
{
	struct bpf_prog_info info = {0};
	int fd = kernel_prog_load(attr, fds, 0, NULL, 0);
	union bpf_attr u;

	if (fd < 0)
		return false;
	memset(&u, 0, sizeof(u)); /* an initialiser need not reach beyond .info */
	u.info.info_len = sizeof(info);
	u.info.info = (uintptr_t)&info;
	u.info.bpf_fd = (u32)fd;
	if (syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &u, sizeof(u)))
		return false;
	close(fd);
	memcpy(tag, info.tag, 8);
	return true;
}

static void tags_are_the_kernels(void **state)
{
	const struct bpf_insn with_maps[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_IDX, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 4),
		BPF_LD_IMM64(3, 0x123456789abcdefULL),
		BPF_MOV64_IMM(0, 1),
		BPF_EXIT_INSN(),
	};
	struct bpf_map_spec spec = {
		.map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 1};
	struct bpf_prog_load_attr attr = {
		.prog_type = BPF_PROG_TYPE_SOCKET_FILTER, .insns = two, .insn_cnt = 2};
	static const u8 sha1_tag[8] = {0xa0, 0x4f, 0x5e, 0xef, 0x06, 0xa7, 0xf5, 0x55};
	struct bpf_insn by_fd[ARRAY_SIZE(with_maps)];
	struct bpf_prog *prog;
	struct bpf_map *map;
	u8 tag[8];
	int fd;

	if (kernel_unavailable() || !kernel_tag(&attr, NULL, tag)) {
		print_message("no kernel to compare with\n");
		skip();
	}
	if (!memcmp(tag, sha1_tag, 8)) {
		print_message("this kernel's tags are SHA-1, as before 6.18\n");
		skip();
	}
	prog = bpf_prog_alloc(&attr);
	assert_memory_equal(prog->tag, tag, 8);
	bpf_prog_put(prog);

	fd = kernel_map_create(&spec);
	assert_true(fd >= 0);
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	attr.insns = with_maps;
	attr.insn_cnt = ARRAY_SIZE(with_maps);
	attr.maps = &map;
	attr.map_cnt = 1;
	prog = bpf_prog_alloc(&attr);
	/* The kernel is given descriptors, as loaders do. */
	memcpy(by_fd, with_maps, sizeof(by_fd));
	by_fd[0].src_reg = BPF_PSEUDO_MAP_FD;
	by_fd[2].src_reg = BPF_PSEUDO_MAP_VALUE;
	by_fd[0].imm = by_fd[2].imm = fd;
	attr.insns = by_fd;
	assert_true(kernel_tag(&attr, NULL, tag));
	assert_memory_equal(prog->tag, tag, 8);
	bpf_prog_put(prog);
	bpf_map_put(map);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_loaded_is_copied),
		cmocka_unit_test(licenses),
		cmocka_unit_test(ids_rise_and_find),
		cmocka_unit_test(given_ids),
		cmocka_unit_test(the_table_of_ids_survives_removal),
		cmocka_unit_test(the_last_put_frees_once),
		cmocka_unit_test(looking_up_what_goes_away),
		cmocka_unit_test(sha256_of_known_texts),
		cmocka_unit_test(tags_are_the_kernels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
