/*
 * diff_spin_lock.c - which values have a lock, and what BPF_F_LOCK does: ours and the running
 * kernel's
 */
#include <bpf/btf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>
#include "btf/btf.h"
#include "btf/btf_field.h"
#include "map/map.h"
#include "tests/lib/kernel.h"
#include "tests/lib/map_model.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

static int ours_of(int kernel_errno)
{
	return kernel_errno == -524 ? -EOPNOTSUPP : kernel_errno;
}

/* ---- forms of values. Each function adds its types and returns that of the value. */

struct forms {
	struct btf *btf;
	int u32, u64, lock;
};

static int new_struct(struct forms *f, const char *name, u32 size)
{
	return btf__add_struct(f->btf, name, size);
}

static void member(struct forms *f, const char *name, int type, u32 byte)
{
	assert_int_equal(btf__add_field(f->btf, name, type, byte * 8, 0), 0);
}

static int form_none(struct forms *f)
{
	int id = new_struct(f, "v", 16);

	member(f, "a", f->u64, 0);
	member(f, "b", f->u64, 8);
	return id;
}

static int form_plain(struct forms *f)
{
	int id = new_struct(f, "v", 16);

	member(f, "a", f->u64, 0);
	member(f, "l", f->lock, 8);
	member(f, "b", f->u32, 12);
	return id;
}

static int form_first(struct forms *f)
{
	int id = new_struct(f, "v", 16);

	member(f, "l", f->lock, 0);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_two(struct forms *f)
{
	int id = new_struct(f, "v", 16);

	member(f, "l", f->lock, 0);
	member(f, "m", f->lock, 4);
	member(f, "a", f->u64, 8);
	return id;
}

static int inner_struct(struct forms *f)
{
	int id = new_struct(f, "inner", 8);

	member(f, "x", f->u32, 0);
	member(f, "l", f->lock, 4);
	return id;
}

static int form_nested(struct forms *f)
{
	int inner = inner_struct(f), id = new_struct(f, "v", 16);

	member(f, "a", f->u64, 0);
	member(f, "in", inner, 8);
	return id;
}

static int form_nested_and_own(struct forms *f)
{
	int inner = inner_struct(f), id = new_struct(f, "v", 16);

	member(f, "l", f->lock, 0);
	member(f, "in", inner, 8);
	return id;
}

static int form_array_of_one(struct forms *f)
{
	int array = btf__add_array(f->btf, f->u32, f->lock, 1), id = new_struct(f, "v", 16);

	member(f, "l", array, 4);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_array_of_two(struct forms *f)
{
	int array = btf__add_array(f->btf, f->u32, f->lock, 2), id = new_struct(f, "v", 16);

	member(f, "l", array, 0);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_array_of_none(struct forms *f)
{
	int array = btf__add_array(f->btf, f->u32, f->lock, 0), id = new_struct(f, "v", 16);

	member(f, "a", f->u64, 0);
	member(f, "b", f->u64, 8);
	member(f, "l", array, 16);
	return id;
}

static int form_array_of_struct(struct forms *f)
{
	int inner = inner_struct(f), array = btf__add_array(f->btf, f->u32, inner, 1);
	int id = new_struct(f, "v", 16);

	member(f, "in", array, 0);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_array_of_structs(struct forms *f)
{
	int inner = inner_struct(f), array = btf__add_array(f->btf, f->u32, inner, 2);
	int id = new_struct(f, "v", 16);

	member(f, "in", array, 0);
	return id;
}

static int form_typedef(struct forms *f)
{
	int alias = btf__add_typedef(f->btf, "lock_t", f->lock), id = new_struct(f, "v", 16);

	member(f, "l", alias, 0);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_const(struct forms *f)
{
	int alias = btf__add_const(f->btf, f->lock), id = new_struct(f, "v", 16);

	member(f, "l", alias, 0);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_union(struct forms *f)
{
	int u = btf__add_union(f->btf, "u", 8), id;

	member(f, "a", f->u64, 0);
	member(f, "l", f->lock, 0);
	id = new_struct(f, "v", 16);
	member(f, "u", u, 8);
	member(f, "b", f->u64, 0);
	return id;
}

static int form_union_of_one(struct forms *f)
{
	int u = btf__add_union(f->btf, "u", 4), id;

	member(f, "l", f->lock, 0);
	id = new_struct(f, "v", 16);
	member(f, "u", u, 8);
	member(f, "b", f->u64, 0);
	return id;
}

static int form_other_size(struct forms *f)
{
	int fake = new_struct(f, "bpf_spin_lock", 8), id;

	member(f, "val", f->u64, 0);
	id = new_struct(f, "v", 16);
	member(f, "l", fake, 0);
	member(f, "a", f->u64, 8);
	return id;
}

static int form_value_typedef(struct forms *f)
{
	int id = form_plain(f);

	return btf__add_typedef(f->btf, "value_t", id);
}

static int form_deep(struct forms *f)
{
	int id = f->lock;

	for (u32 i = 0; i < 20; i++) {
		int outer = new_struct(f, "deep", i == 19 ? 16 : 4);

		member(f, "in", id, 0);
		id = outer;
	}
	return id;
}

static int form_too_deep(struct forms *f)
{
	int id = f->lock;

	for (u32 i = 0; i < 40; i++) {
		int outer = new_struct(f, "deep", i == 39 ? 16 : 4);

		member(f, "in", id, 0);
		id = outer;
	}
	return id;
}

#define FORM(name)                    \
	{                             \
#name, form_##name, 0 \
	}
static const struct {
	const char *name;
	int (*make)(struct forms *f);
	int ours; /* where Linux's answer is of another kind: ours */
} all_forms[] = {
	FORM(none),
	FORM(plain),
	FORM(first),
	FORM(two),
	FORM(nested),
	FORM(array_of_one),
	FORM(array_of_two),
	FORM(array_of_none),
	FORM(array_of_struct),
	FORM(typedef),
	FORM(const),
	FORM(array_of_structs),

	FORM(union),
	FORM(union_of_one),
	FORM(other_size),
	FORM(value_typedef),
	FORM(deep),
	FORM(too_deep),
	/* Linux takes it by oversight: the second is the lock, the first is nobody's. */
	{"nested_and_own", form_nested_and_own, -E2BIG},
};

static void forms_init(struct forms *f)
{
	f->btf = btf__new_empty();
	f->u32 = btf__add_int(f->btf, "u32", 4, 0);
	f->u64 = btf__add_int(f->btf, "u64", 8, 0);
	f->lock = btf__add_struct(f->btf, "bpf_spin_lock", 4);
	member(f, "val", f->u32, 0);
}

static int kernel_create(const struct bpf_map_spec *spec, int btf_fd, int key, int value)
{
	union bpf_attr attr;
	long ret;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = spec->map_type;
	attr.key_size = spec->key_size;
	attr.value_size = spec->value_size;
	attr.max_entries = spec->max_entries;
	attr.map_flags = spec->map_flags;
	attr.btf_fd = (u32)btf_fd;
	attr.btf_key_type_id = (u32)key;
	attr.btf_value_type_id = (u32)value;
	ret = syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	return ret < 0 ? -errno : (int)ret;
}

/* Does the kernel take a program that locks at this byte of a value? */
static bool kernel_locks_at(int map_fd, int off)
{
	const struct bpf_insn insns[] = {
		BPF_ST_MEM(BPF_W, 10, -4, 0),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_LD_MAP_IDX(1, 0),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, 0, 0, 6),
		BPF_MOV64_REG(1, 0),
		BPF_ALU64_IMM(BPF_ADD, 1, off),
		BPF_MOV64_REG(6, 1),
		BPF_EMIT_CALL(BPF_FUNC_spin_lock),
		BPF_MOV64_REG(1, 6),
		BPF_EMIT_CALL(BPF_FUNC_spin_unlock),
		BPF_MOV64_IMM(0, 0),
		BPF_EXIT_INSN(),
	};
	const struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
						.insns = insns,
						.insn_cnt = ARRAY_SIZE(insns)};
	int fd = kernel_prog_load(&attr, &map_fd, 0, NULL, 0);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* What load.c and object/read/maps.c do with a definition. */
static int our_create(struct bpf_map_spec spec, const struct bpf_btf *btf, int value,
		      struct bpf_map **map)
{
	int off = bpf_btf_find_spin_lock(btf, (u32)value, spec.value_size);

	if (off < 0 && off != -ENOENT)
		return off;
	if (off >= 0)
		spec.spin_lock_end = (u32)off + 4;
	return bpf_map_create(&spec, 0, -1, -1, map);
}

static u32 compare_form(size_t n, const struct bpf_map_spec *spec)
{
	struct forms f;
	struct bpf_map *map = NULL;
	struct bpf_btf *btf;
	const void *raw;
	int value, btf_fd, fd, want, got, off = -1, k_off = -1;
	u32 size;

	forms_init(&f);
	value = all_forms[n].make(&f);
	assert_true(value > 0);
	raw = btf__raw_data(f.btf, &size);
	btf_fd = kernel_btf_load(raw, size);
	assert_int_equal(bpf_btf_new(raw, size, &btf), 0);
	btf__free(f.btf);
	/* Some are refused with the BTF already. */
	fd = btf_fd < 0 ? btf_fd : kernel_create(spec, btf_fd, f.u32, value);
	want = fd < 0 ? ours_of(fd) : 0;
	if (all_forms[n].ours)
		want = all_forms[n].ours;
	got = our_create(*spec, btf, value, &map);
	if (!got)
		off = max(map->spin_lock_off, -1);
	for (int at = 0; fd >= 0 && at < (int)spec->value_size; at += 2)
		if (kernel_locks_at(fd, at))
			k_off = at;
	if (fd >= 0)
		close(fd);
	if (btf_fd >= 0)
		close(btf_fd);
	if (map)
		bpf_map_put(map);
	bpf_btf_put(btf);
	if (got == want && (got || off == k_off))
		return 0;
	print_message("%s in %s flags %#x: kernel %d at %d, ours %d at %d\n", all_forms[n].name,
		      bpf_map_type_name(spec->map_type), spec->map_flags, want, k_off, got, off);
	return 1;
}

static void test_forms(void **state)
{
	static const u32 flags[] = {0, BPF_F_RDONLY_PROG, BPF_F_WRONLY_PROG};
	static const enum bpf_map_type kinds[] = {
		BPF_MAP_TYPE_HASH,	  BPF_MAP_TYPE_ARRAY,	     BPF_MAP_TYPE_LRU_HASH,
		BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_LRU_PERCPU_HASH,
	};
	u32 wrong = 0;

	for (size_t n = 0; n < ARRAY_SIZE(all_forms); n++)
		for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
			for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
				struct bpf_map_spec spec = {.map_type = kinds[k],
							    .key_size = 4,
							    .value_size = 16,
							    .max_entries = 4,
							    .map_flags = flags[i]};

				wrong += compare_form(n, &spec);
			}
	assert_int_equal(wrong, 0);
}

/* ---- the same calls to both */

#define VALUE 28
#define KEYS  6

static void random_calls(enum bpf_map_type type, u32 lock_end, u64 seed)
{
	static const u64 update_flags[] = {0, 0, 1, 2, 4, 4, 5, 6, 3, 7, 8, 12};
	static const u64 lookup_flags[] = {0, 4, 4, 1, 8};
	const struct bpf_map_spec spec = {.map_type = type,
					  .key_size = 4,
					  .value_size = VALUE,
					  .max_entries = 4,
					  .spin_lock_end = lock_end};
	struct rnd r = {.state = seed};
	int fd = kernel_map_create(&spec);
	struct bpf_map *map;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_create(&spec, 0, -1, -1, &map), 0);
	for (u32 i = 0; i < 4000; i++) {
		u32 key = rnd_below(&r, KEYS);
		u8 in[VALUE], a[VALUE] = {0}, b[VALUE] = {0};
		int want, got;
		u64 flags = 0;
		const char *what;

		for (u32 n = 0; n < VALUE; n++)
			in[n] = (u8)rnd_below(&r, 256);
		switch (rnd_below(&r, 3)) {
		case 0:
			what = "update";
			flags = update_flags[rnd_below(&r, ARRAY_SIZE(update_flags))];
			want = kernel_map_update(fd, &key, in, flags);
			got = bpf_map_update(map, &key, in, flags);
			break;
		case 1:
			what = "lookup";
			flags = lookup_flags[rnd_below(&r, ARRAY_SIZE(lookup_flags))];
			want = kernel_map_lookup_flags(fd, &key, a, flags);
			got = bpf_map_lookup(map, &key, b, flags);
			break;
		default:
			what = "delete";
			want = kernel_map_delete(fd, &key);
			got = bpf_map_delete(map, &key);
		}
		if (ours_of(want) != got || memcmp(a, b, VALUE))
			fail_msg("%s, lock to %u, call %u: %s of %u, flags %#llx: kernel %d, "
				 "ours %d%s",
				 bpf_map_type_name(type), lock_end, i, what, key,
				 (unsigned long long)flags, want, got,
				 memcmp(a, b, VALUE) ? ", another value" : "");
	}
	close(fd);
	bpf_map_put(map);
}

static void test_calls(void **state)
{
	static const u32 ends[] = {0, 4, 8, 16, 20, 28};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		random_calls(BPF_MAP_TYPE_HASH, ends[i], 7 + i);
		random_calls(BPF_MAP_TYPE_ARRAY, ends[i], 77 + i);
	}
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_forms, kernel_needed),
		cmocka_unit_test_setup(test_calls, kernel_needed),
	};

	bpf_rcu_thread_online();
	kernel_or_skip_some(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
