/*
 * diff_maps3.c - maps as programs use them, held against the running kernel: the same helper calls,
 * the same results
 *
 * One small program for each helper: key, value, flags and CPU come from the packet, and what the
 * helper gave goes back into it. The programs run in the kernel on its maps and here on ours, mixed
 * with the calls of bpf(2). What pointers to values show after the map has changed is compared too
 * (test_d_pointers: hashtab.c's guarantee D).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "load.h"
#include "map/map.h"
#include "run/test_run.h"
#include "tests/lib/kernel.h"
#include "tests/lib/map_model.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

/* The packet, after the Ethernet header. */
struct request {
	u8 ether[16];
	u64 flags, key[2], value[2];
	u32 cpu, found;
};

#define AT(field) ((int)offsetof(struct request, field))
#define KEY_AT	  -16
#define VALUE_AT  -32

static int use_one_cpu(void **state)
{
	kernel_stay_on_cpu();
	return 0;
}

struct pair {
	struct bpf_map_spec spec;
	struct bpf_map *map;
	int fd;
	struct bpf_prog *progs[8];
	int prog_fds[8];
	u32 nr;
};

static const char *describe(const struct bpf_map_spec *spec)
{
	static char text[160];

	snprintf(text, sizeof(text), "%s key %u value %u max %u flags %#x",
		 bpf_map_type_name(spec->map_type), spec->key_size, spec->value_size,
		 spec->max_entries, spec->map_flags);
	return text;
}

static void pair_open(struct pair *p, const struct bpf_map_spec *spec)
{
	*p = (struct pair){.spec = *spec, .fd = kernel_map_create(spec)};
	assert_true(p->fd >= 0);
	assert_int_equal(bpf_map_create(spec, 0, -1, -1, &p->map), 0);
}

static void pair_close(struct pair *p)
{
	for (u32 i = 0; i < p->nr; i++) {
		bpf_prog_put(p->progs[i]);
		close(p->prog_fds[i]);
	}
	bpf_map_put(p->map);
	close(p->fd);
}

static u32 pair_load(struct pair *p, const struct bpf_insn *insns, u32 nr)
{
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
					  .name = "maps",
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = nr,
					  .maps = &p->map,
					  .map_cnt = 1};
	static char text[16384];
	struct bpf_log log;
	int err;

	bpf_log_init(&log, 0, 0);
	err = bpf_prog_load(&attr, NULL, &log, NULL, &p->progs[p->nr]);
	if (err)
		fail_msg("%s: %d\n%s", describe(&p->spec), err, bpf_log_text(&log));
	bpf_log_free(&log);
	p->prog_fds[p->nr] = kernel_prog_load(&attr, &p->fd, 1, text, sizeof(text));
	if (p->prog_fds[p->nr] < 0)
		fail_msg("%s: kernel %d\n%s", describe(&p->spec), p->prog_fds[p->nr], text);
	return p->nr++;
}

/* r6: the packet. Key and value lie on the stack, R1 to R4 are map, key, value and flags. */
static struct bpf_insn *begin(struct bpf_insn *i)
{
	*i++ = BPF_MOV64_REG(9, 1);
	*i++ = BPF_LDX_MEM(BPF_W, 6, 1, offsetof(struct __sk_buff, data));
	*i++ = BPF_LDX_MEM(BPF_W, 2, 1, offsetof(struct __sk_buff, data_end));
	*i++ = BPF_MOV64_REG(3, 6);
	*i++ = BPF_ALU64_IMM(BPF_ADD, 3, sizeof(struct request));
	*i++ = BPF_MOV64_IMM(0, -999);
	*i++ = BPF_JMP_REG(BPF_JLE, 3, 2, 1);
	*i++ = BPF_EXIT_INSN();
	for (int w = 0; w < 2; w++) {
		*i++ = BPF_LDX_MEM(BPF_DW, 1, 6, AT(key) + w * 8);
		*i++ = BPF_STX_MEM(BPF_DW, 10, 1, KEY_AT + w * 8);
		*i++ = BPF_LDX_MEM(BPF_DW, 1, 6, AT(value) + w * 8);
		*i++ = BPF_STX_MEM(BPF_DW, 10, 1, VALUE_AT + w * 8);
	}
	return i;
}

static struct bpf_insn *arguments(struct bpf_insn *i, bool keyless)
{
	struct bpf_insn map[] = {BPF_LD_MAP_IDX(1, 0)};

	*i++ = map[0];
	*i++ = map[1];
	*i++ = BPF_MOV64_REG(2, 10);
	*i++ = BPF_ALU64_IMM(BPF_ADD, 2, keyless ? VALUE_AT : KEY_AT);
	*i++ = BPF_MOV64_REG(3, 10);
	*i++ = BPF_ALU64_IMM(BPF_ADD, 3, VALUE_AT);
	*i++ = BPF_LDX_MEM(BPF_DW, 4, 6, AT(flags));
	if (keyless)
		*i++ = BPF_MOV64_REG(3, 4);
	return i;
}

enum { NONE, ADD = 1 };

/* found = 1 and the value into the packet; with `add` the value in the map grows by one first. */
static struct bpf_insn *show(struct bpf_insn *i, u32 value_size, int add)
{
	struct bpf_insn *jump = i++;

	*i++ = BPF_ST_MEM(BPF_W, 6, AT(found), 1);
	for (u32 w = 0; w < value_size / 8; w++) {
		*i++ = BPF_LDX_MEM(BPF_DW, 1, 0, (int)w * 8);
		if (add) {
			*i++ = BPF_ALU64_IMM(BPF_ADD, 1, 1);
			*i++ = BPF_STX_MEM(BPF_DW, 0, 1, (int)w * 8);
		}
		*i++ = BPF_STX_MEM(BPF_DW, 6, 1, AT(value) + (int)w * 8);
	}
	*jump = BPF_JMP_IMM(BPF_JEQ, 0, 0, (int)(i - jump) - 1);
	*i++ = BPF_MOV64_IMM(0, 0);
	return i;
}

static void load_keyed(struct pair *p, bool percpu)
{
	struct bpf_insn insns[96], *i;

	for (int add = NONE; add <= ADD; add++) {
		i = arguments(begin(insns), false);
		*i++ = BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem);
		i = show(i, p->spec.value_size, add);
		*i++ = BPF_EXIT_INSN();
		pair_load(p, insns, (u32)(i - insns));
	}
	i = arguments(begin(insns), false);
	*i++ = BPF_EMIT_CALL(BPF_FUNC_map_update_elem);
	*i++ = BPF_EXIT_INSN();
	pair_load(p, insns, (u32)(i - insns));
	i = arguments(begin(insns), false);
	*i++ = BPF_EMIT_CALL(BPF_FUNC_map_delete_elem);
	*i++ = BPF_EXIT_INSN();
	pair_load(p, insns, (u32)(i - insns));
	if (!percpu)
		return;
	i = arguments(begin(insns), false);
	*i++ = BPF_LDX_MEM(BPF_W, 3, 6, AT(cpu));
	*i++ = BPF_EMIT_CALL(BPF_FUNC_map_lookup_percpu_elem);
	i = show(i, p->spec.value_size, NONE);
	*i++ = BPF_EXIT_INSN();
	pair_load(p, insns, (u32)(i - insns));
}

/* The same request to both. */
static void compare_run(struct pair *p, u32 prog, const struct request *in, u32 step)
{
	struct request out[2];
	u32 retval[2];

	for (int side = 0; side < 2; side++) {
		struct bpf_test_run run = {.data_in = in,
					   .data_size_in = sizeof(*in),
					   .data_out = &out[side],
					   .data_size_out = sizeof(out[side])};
		int err = side ? bpf_prog_test_run(p->progs[prog], &run)
			       : kernel_test_run(p->prog_fds[prog], &run);

		assert_int_equal(err, 0);
		retval[side] = run.retval;
	}
	if ((s32)retval[0] == -524)
		retval[0] = (u32)-EOPNOTSUPP;
	if (retval[0] != retval[1] || memcmp(&out[0], &out[1], sizeof(out[0])))
		fail_msg(
			"%s: step %u program %u key %llx flags %llu: kernel %d %u %llx, ours %d %u "
			"%llx",
			describe(&p->spec), step, prog, (unsigned long long)in->key[0],
			(unsigned long long)in->flags, (int)retval[0], out[0].found,
			(unsigned long long)out[0].value[0], (int)retval[1], out[1].found,
			(unsigned long long)out[1].value[0]);
}

/* What bpf(2) shows of a key. */
static void compare_outside(struct pair *p, const u64 *key, u32 step)
{
	u64 a[64] = {0}, b[64] = {0};
	int want = kernel_map_lookup(p->fd, key, a), got = bpf_map_lookup(p->map, key, b, 0);

	assert_true(bpf_map_value_size(p->map) <= sizeof(a));
	if (want != got || memcmp(a, b, sizeof(a)))
		fail_msg("%s: step %u, from outside: kernel %d %llx, ours %d %llx",
			 describe(&p->spec), step, want, (unsigned long long)a[0], got,
			 (unsigned long long)b[0]);
}

static void make_key(const struct bpf_map_spec *spec, struct rnd *r, u32 range, u64 *key)
{
	u32 n = rnd_below(r, range);

	key[0] = n;
	key[1] = spec->key_size > 8 ? n * 3 : 0;
	if (spec->map_type == BPF_MAP_TYPE_LPM_TRIE)
		key[0] = (u64)(rnd_next(r) & 0x030107) << 32 | rnd_below(r, 34);
	if (spec->key_size < 8)
		key[0] &= (1ull << spec->key_size * 8) - 1;
	else if (spec->key_size > 8 && spec->key_size < 16)
		key[1] &= (1ull << (spec->key_size - 8) * 8) - 1;
}

static void keyed(enum bpf_map_type type, u32 key_size, u32 max_entries, u32 flags, u32 range)
{
	struct bpf_map_spec spec = {.map_type = type,
				    .key_size = key_size,
				    .value_size = 16,
				    .max_entries = max_entries,
				    .map_flags = flags};
	struct rnd r = {.state = type * 100 + key_size};
	struct pair p;

	pair_open(&p, &spec);
	load_keyed(&p, p.map->ops->map_lookup_percpu_elem != NULL);
	for (u32 step = 0; step < 6000; step++) {
		struct request in = {.cpu = rnd_below(&r, bpf_nr_slots() + 2)};
		u32 op = rnd_below(&r, 100), prog;

		make_key(&spec, &r, range, in.key);
		in.value[0] = rnd_next(&r);
		in.value[1] = rnd_next(&r);
		in.flags = rnd_below(&r, 3) ? 0 : rnd_below(&r, 4);
		if (op < 5) {
			compare_outside(&p, in.key, step);
			continue;
		}
		if (op < (step / 300 % 2 ? 55u : 25u))
			prog = 2;
		else if (op < 65)
			prog = 3;
		else
			prog = op < 75 ? 1 : p.nr > 4 && op < 90 ? 4 : 0;
		compare_run(&p, prog, &in, step);
	}
	pair_close(&p);
}

static void test_tables(void **state)
{
	static const u32 key_sizes[] = {4, 8, 12, 16, 7};

	for (u32 i = 0; i < ARRAY_SIZE(key_sizes); i++) {
		keyed(BPF_MAP_TYPE_HASH, key_sizes[i], 40, 0, 60);
		keyed(BPF_MAP_TYPE_PERCPU_HASH, key_sizes[i], 40, 0, 60);
		/* Below their capacity: what is evicted is each side's own. */
		keyed(BPF_MAP_TYPE_LRU_HASH, key_sizes[i], 4000, 0, 60);
		keyed(BPF_MAP_TYPE_LRU_PERCPU_HASH, key_sizes[i], 4000, 0, 60);
	}
	keyed(BPF_MAP_TYPE_HASH, 4, 40, BPF_F_NO_PREALLOC, 60);
	keyed(BPF_MAP_TYPE_LRU_HASH, 4, 4000, BPF_F_NO_COMMON_LRU, 60);
}

static void test_arrays(void **state)
{
	keyed(BPF_MAP_TYPE_ARRAY, 4, 13, 0, 16);
	keyed(BPF_MAP_TYPE_ARRAY, 4, 13, BPF_F_MMAPABLE, 16);
	keyed(BPF_MAP_TYPE_PERCPU_ARRAY, 4, 13, 0, 16);
}

static void test_lpm_trie(void **state)
{
	keyed(BPF_MAP_TYPE_LPM_TRIE, 8, 50, BPF_F_NO_PREALLOC, 0);
	keyed(BPF_MAP_TYPE_LPM_TRIE, 7, 50, BPF_F_NO_PREALLOC, 0);
}

/* ---- queues, stacks, filters */

static u32 load_keyless(struct pair *p, enum bpf_func_id id)
{
	struct bpf_insn insns[96], *i = arguments(begin(insns), true);

	*i++ = BPF_EMIT_CALL(id);
	for (int w = 0; w < 2; w++) {
		*i++ = BPF_LDX_MEM(BPF_DW, 1, 10, VALUE_AT + w * 8);
		*i++ = BPF_STX_MEM(BPF_DW, 6, 1, AT(value) + w * 8);
	}
	*i++ = BPF_EXIT_INSN();
	return pair_load(p, insns, (u32)(i - insns));
}

static void test_queue_stack(void **state)
{
	for (u32 type = BPF_MAP_TYPE_QUEUE; type <= BPF_MAP_TYPE_STACK; type++) {
		struct bpf_map_spec spec = {
			.map_type = (enum bpf_map_type)type, .value_size = 16, .max_entries = 9};
		struct rnd r = {.state = type};
		struct pair p;

		pair_open(&p, &spec);
		load_keyless(&p, BPF_FUNC_map_push_elem);
		load_keyless(&p, BPF_FUNC_map_pop_elem);
		load_keyless(&p, BPF_FUNC_map_peek_elem);
		for (u32 step = 0; step < 6000; step++) {
			struct request in = {.value = {rnd_next(&r), rnd_next(&r)}};
			u32 op = rnd_below(&r, 100);

			in.flags = rnd_below(&r, 3) ? 0 : rnd_below(&r, 4);
			compare_run(&p,
				    op < (step / 200 % 2 ? 60u : 35u) ? 0
				    : op < 80			      ? 1
								      : 2,
				    &in, step);
		}
		pair_close(&p);
	}
}

/* What was pushed is there on both sides. Which others seem to be is the hash's accident. */
static void test_bloom_filter(void **state)
{
	for (u32 hashes = 0; hashes <= 15; hashes += 5) {
		struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_BLOOM_FILTER,
					    .value_size = 16,
					    .max_entries = 1000,
					    .map_extra = hashes};
		struct rnd r = {.state = hashes + 1};
		struct pair p;

		pair_open(&p, &spec);
		load_keyless(&p, BPF_FUNC_map_push_elem);
		load_keyless(&p, BPF_FUNC_map_peek_elem);
		for (u32 step = 0; step < 1000; step++) {
			struct request in = {.value = {rnd_below(&r, 500), 7}};

			compare_run(&p, 1, &(struct request){.value = {step % 2, 0}}, step);
			in.flags = rnd_below(&r, 4) ? 0 : rnd_below(&r, 4);
			compare_run(&p, 0, &in, step);
			if (!in.flags)
				compare_run(&p, 1, &in, step);
		}
		pair_close(&p);
	}
}

/* ---- pointers to values */

/* p = lookup(key); change(); what does p show? With `twice` the change happens two times. */
static void load_pointer(struct pair *p, bool delete_first, bool twice)
{
	struct bpf_insn insns[160], *i, *jump;

	i = arguments(begin(insns), false);
	*i++ = BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem);
	jump = i++;
	*i++ = BPF_MOV64_REG(7, 0);
	if (delete_first) {
		i = arguments(i, false);
		*i++ = BPF_EMIT_CALL(BPF_FUNC_map_delete_elem);
		/* Another key gets the free element. */
		*i++ = BPF_LDX_MEM(BPF_W, 1, 6, AT(key) + 8);
		*i++ = BPF_STX_MEM(BPF_W, 10, 1, KEY_AT);
	}
	for (int n = 0; n <= twice; n++) {
		i = arguments(i, false);
		*i++ = BPF_MOV64_IMM(4, 0);
		*i++ = BPF_EMIT_CALL(BPF_FUNC_map_update_elem);
	}
	*i++ = BPF_ST_MEM(BPF_W, 6, AT(found), 1);
	*i++ = BPF_LDX_MEM(BPF_DW, 1, 7, 0);
	*i++ = BPF_STX_MEM(BPF_DW, 6, 1, AT(value));
	*jump = BPF_JMP_IMM(BPF_JEQ, 0, 0, (int)(i - jump) - 1);
	*i++ = BPF_MOV64_IMM(0, 0);
	*i++ = BPF_EXIT_INSN();
	pair_load(p, insns, (u32)(i - insns));
}

#define OLD 0x1111
#define NEW 0x2222

/* What both sides show through the pointer. */
static u64 pointer_shows(enum bpf_map_type type, u32 flags, bool delete_first, bool twice)
{
	bool trie = type == BPF_MAP_TYPE_LPM_TRIE;
	struct bpf_map_spec spec = {.map_type = type,
				    .key_size = trie ? 8 : 4,
				    .value_size = 16,
				    .max_entries = 64,
				    .map_flags = flags};
	struct request in = {.key = {trie ? 32 : 1, trie ? 24 : 2}, .value = {NEW, 0}}, out;
	struct bpf_test_run run = {.data_in = &in,
				   .data_size_in = sizeof(in),
				   .data_out = &out,
				   .data_size_out = sizeof(out)};
	u64 old[2] = {OLD, 0};
	struct pair p;

	pair_open(&p, &spec);
	load_pointer(&p, delete_first, twice);
	assert_int_equal(bpf_map_update(p.map, in.key, old, 0), 0);
	assert_int_equal(kernel_map_update(p.fd, in.key, old, 0), 0);
	assert_int_equal(kernel_test_run(p.prog_fds[0], &run), 0);
	assert_int_equal(bpf_map_update(p.map, in.key, old, 0), 0);
	{
		struct request theirs = out;

		run.data_size_out = sizeof(out);
		assert_int_equal(bpf_prog_test_run(p.progs[0], &run), 0);
		assert_int_equal(theirs.found, 1);
		assert_int_equal(out.found, 1);
		if (theirs.value[0] != out.value[0])
			fail_msg("%s: the kernel's pointer shows %llx, ours %llx", describe(&spec),
				 (unsigned long long)theirs.value[0],
				 (unsigned long long)out.value[0]);
	}
	pair_close(&p);
	return out.value[0];
}

static void test_d_pointers(void **state)
{
	/* An array's element is the key's for ever. */
	assert_int_equal(pointer_shows(BPF_MAP_TYPE_ARRAY, 0, false, false), NEW);
	/* A deleted element may be another key's at once. */
	assert_int_equal(pointer_shows(BPF_MAP_TYPE_HASH, 0, true, false), NEW);
	/*
	 * An update puts another element in place; the old one keeps its value until the next
	 * update.
	 */
	assert_int_equal(pointer_shows(BPF_MAP_TYPE_HASH, 0, false, false), OLD);
	assert_int_equal(pointer_shows(BPF_MAP_TYPE_HASH, 0, false, true), NEW);
	/* A node of a trie is used again after a grace period only. */
	assert_int_equal(pointer_shows(BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, true, false), OLD);
	assert_int_equal(pointer_shows(BPF_MAP_TYPE_LPM_TRIE, BPF_F_NO_PREALLOC, false, true), OLD);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_tables, use_one_cpu),
		cmocka_unit_test_setup(test_arrays, use_one_cpu),
		cmocka_unit_test_setup(test_lpm_trie, use_one_cpu),
		cmocka_unit_test_setup(test_queue_stack, use_one_cpu),
		cmocka_unit_test_setup(test_bloom_filter, use_one_cpu),
		cmocka_unit_test_setup(test_d_pointers, use_one_cpu),
	};

	kernel_or_skip(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
