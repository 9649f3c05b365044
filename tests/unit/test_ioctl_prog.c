/*
 * test_ioctl_prog.c - fs/ioctl/commands/prog.c, prog_parts.c and btf.c: loads, test runs, and what
 * is shown of a program
 */
#include <bpf/btf.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "fs/caller/limits.h"
#include "fs/ioctl/ioctl.h"
#include "fs/store/create.h"
#include "fs/store/objects/files.h"
#include "tests/lib/control.h"
#include "tests/lib/state.h"
#include "uapi/bpf_insn.h"

static struct fs_open *ctl;

static int begin(void **state)
{
	int err = state_begin(state);

	ctl = control_test_open(NULL, &state_me, O_RDWR);
	return err;
}

static int end(void **state)
{
	control_test_close(ctl);
	return state_end(state);
}

/* ---- loads */

struct request { /* as the client library puts it together */
	struct ubpffs_prog_load args;
	char rest[512];
	size_t len;
};

static void add(struct request *r, const void *data, size_t len)
{
	if (len)
		memcpy((char *)r + r->len, data, len);
	r->len += len;
}

static void build(struct request *r, const struct bpf_insn *insns, u32 cnt, const u64 *tokens,
		  u32 map_cnt)
{
	memset(r, 0, sizeof(*r));
	r->args = (struct ubpffs_prog_load){.prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
					    .insn_cnt = cnt,
					    .map_cnt = map_cnt,
					    .license_len = 4,
					    .log_level = 1,
					    .prog_name = "p"};
	r->len = sizeof(r->args);
	add(r, insns, cnt * sizeof(*insns));
	add(r, tokens, map_cnt * sizeof(*tokens));
	add(r, "GPL", 4);
}

static struct {
	struct ubpffs_load_result result;
	char log[4096];
} answer;

static int load(const struct request *r, size_t room)
{
	memset(&answer, 0, sizeof(answer));
	return control_test_simple(ctl, UBPFFS_PROG_LOAD, r, r->len, &answer, room);
}

static const struct bpf_insn two[] = {BPF_MOV64_IMM(BPF_REG_0, 2), BPF_EXIT_INSN()};
static const struct bpf_insn bad[] = {BPF_EXIT_INSN()};

static void a_load_answers_an_id_and_its_log(void **state)
{
	struct store_object *obj;
	struct request r;

	build(&r, two, 2, NULL, 0);
	assert_int_equal(load(&r, sizeof(answer)), 0);
	assert_int_equal(store_by_id(STORE_PROG, answer.result.id, &obj), 0);
	assert_string_equal(obj->prog->name, "p");
	store_put(obj);
	assert_int_equal(answer.result.log_size, answer.result.log_true_size);
	assert_int_equal(strlen(answer.log) + 1, answer.result.log_size);
	assert_non_null(strstr(answer.log, "processed 2 insns"));
	/* Less room than it has, and none. */
	assert_int_equal(load(&r, sizeof(answer.result) + 10), 0);
	assert_int_equal(answer.result.log_size, 10);
	assert_true(answer.result.log_true_size > 10);
	assert_int_equal(strlen(answer.log), 9);
	assert_int_equal(load(&r, sizeof(answer.result)), 0);
	assert_int_equal(answer.result.log_size, 0);
	assert_int_equal(load(&r, sizeof(answer.result) - 1), -EINVAL);
}

static void a_refusal_has_a_log_and_leaves_nothing(void **state)
{
	struct store_object *obj;
	struct request r;
	u32 before;

	build(&r, bad, 1, NULL, 0);
	before = store_next_id();
	assert_int_equal(load(&r, sizeof(answer)), -EACCES);
	assert_int_equal(answer.result.id, 0);
	assert_non_null(strstr(answer.log, "R0 !read_ok"));
	assert_int_equal(store_next(STORE_PROG, 0, &obj), -ENOENT);
	assert_false(state_has("objects/%u", before + 1));
}

static void a_load_that_is_malformed_is_einval(void **state)
{
	struct request good, r;

	build(&good, two, 2, NULL, 0);
	for (size_t len = 0; len < good.len; len++) {
		r = good;
		r.len = len;
		assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	}
	r = good;
	r.len++;
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r = good;
	r.args.insn_cnt = 0;
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r.args.insn_cnt = 1000001;
	assert_int_equal(load(&r, sizeof(answer)), -E2BIG);
	r.args.insn_cnt = UINT32_MAX;
	assert_int_equal(load(&r, sizeof(answer)), -E2BIG);
	r = good;
	r.args.map_cnt = UINT32_MAX;
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r = good;
	r.args.license_len = 3; /* then a byte is left over */
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r.len--; /* and without its NUL */
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r = good;
	r.args.license_len = UINT32_MAX;
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r = good;
	memcpy(r.args.prog_name, "a b", 4);
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	r = good;
	r.args.btf_id = 77; /* the records are missing */
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
}

static void maps_are_named_by_token(void **state)
{
	const struct bpf_insn insns[] = {BPF_LD_MAP_IDX(BPF_REG_1, 0), BPF_MOV64_IMM(BPF_REG_0, 0),
					 BPF_EXIT_INSN()};
	struct store_object *map = state_map("m"), *obj;
	struct fs_open *file = control_test_open(map, &state_me, O_RDWR);
	u64 token = 0, again = 0;
	struct request r;

	build(&r, insns, ARRAY_SIZE(insns), &token, 1);
	assert_int_equal(load(&r, sizeof(answer)), -EBADF);
	assert_non_null(strstr(control_why, "map 0 of the load"));
	assert_int_equal(control_test_simple(file, UBPFFS_OBJ_TOKEN, NULL, 0, &token, 8), 0);
	assert_int_not_equal(token, 0);
	assert_int_equal(control_test_simple(file, UBPFFS_OBJ_TOKEN, NULL, 0, &again, 8), 0);
	assert_int_equal(again, token);
	build(&r, insns, ARRAY_SIZE(insns), &token, 1);
	assert_int_equal(load(&r, sizeof(answer)), 0);
	assert_int_equal(store_by_id(STORE_PROG, answer.result.id, &obj), 0);
	assert_ptr_equal(obj->prog->used_maps[0], map->map);
	store_put(obj);
	control_test_close(file); /* the token stands for the open file */
	assert_int_equal(load(&r, sizeof(answer)), -EBADF);
	store_put(map);
}

static void a_program_writes_no_map_that_was_opened_for_reading(void **state)
{
	const struct bpf_insn insns[] = {BPF_LD_MAP_IDX_VALUE(BPF_REG_1, 0, 0),
					 BPF_ST_MEM(BPF_DW, BPF_REG_1, 0, 1),
					 BPF_MOV64_IMM(BPF_REG_0, 0), BPF_EXIT_INSN()};
	const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
					  .key_size = 4,
					  .value_size = 8,
					  .max_entries = 1,
					  .name = "one"};
	struct bpf_map *map;
	struct fs_open *r, *w;
	struct request request;
	u64 token;

	assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
	r = control_test_open(store_of_map(map), &state_me, O_RDONLY);
	w = control_test_open(store_of_map(map), &state_me, O_RDWR);
	assert_int_equal(control_test_simple(r, UBPFFS_OBJ_TOKEN, NULL, 0, &token, 8), 0);
	build(&request, insns, ARRAY_SIZE(insns), &token, 1);
	assert_int_equal(load(&request, sizeof(answer)), -EACCES);
	assert_int_equal(control_test_simple(w, UBPFFS_OBJ_TOKEN, NULL, 0, &token, 8), 0);
	build(&request, insns, ARRAY_SIZE(insns), &token, 1);
	assert_int_equal(load(&request, sizeof(answer)), 0);
	control_test_close(w);
	control_test_close(r);
	bpf_map_put(map);
}

/* Each helper that changes a map, and for each kind of map one that does not. */
static void helpers_change_no_map_that_was_opened_for_reading(void **state)
{
	static const struct {
		enum bpf_map_type type;
		u32 key_size, value_size, max;
		int func;
		bool reads, r3_points;
		int r3;
	} cases[] = {
		{BPF_MAP_TYPE_HASH, 4, 8, 2, BPF_FUNC_map_lookup_elem, true},
		{BPF_MAP_TYPE_HASH, 4, 8, 2, BPF_FUNC_map_update_elem, false, true},
		{BPF_MAP_TYPE_HASH, 4, 8, 2, BPF_FUNC_map_delete_elem},
		{BPF_MAP_TYPE_QUEUE, 0, 8, 2, BPF_FUNC_map_peek_elem, true},
		{BPF_MAP_TYPE_QUEUE, 0, 8, 2, BPF_FUNC_map_push_elem},
		{BPF_MAP_TYPE_QUEUE, 0, 8, 2, BPF_FUNC_map_pop_elem},
		{BPF_MAP_TYPE_RINGBUF, 0, 0, 4096, BPF_FUNC_ringbuf_output, false, false, 8},
		{BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2, BPF_FUNC_tail_call},
	};

	for (u32 i = 0; i < ARRAY_SIZE(cases); i++) {
		bool ctx_first = cases[i].func == BPF_FUNC_tail_call;
		const struct bpf_insn insns[] = {
			BPF_ST_MEM(BPF_DW, BPF_REG_10, -8, 0),
			BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
			BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -8),
			cases[i].r3_points ? (struct bpf_insn)BPF_MOV64_REG(BPF_REG_3, BPF_REG_2)
					   : (struct bpf_insn)BPF_MOV64_IMM(BPF_REG_3, cases[i].r3),
			BPF_MOV64_IMM(BPF_REG_4, 0),
			BPF_LD_MAP_IDX(ctx_first ? BPF_REG_2 : BPF_REG_1, 0),
			BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, 0, 0, cases[i].func),
			BPF_MOV64_IMM(BPF_REG_0, 0),
			BPF_EXIT_INSN(),
		};
		const struct bpf_map_spec spec = {.map_type = cases[i].type,
						  .key_size = cases[i].key_size,
						  .value_size = cases[i].value_size,
						  .max_entries = cases[i].max,
						  .name = "m"};
		struct bpf_map *map;

		assert_int_equal(store_map_create(&spec, &state_me, 0600, &map, NULL), 0);
		for (u32 writes = 0; writes < 2; writes++) {
			struct fs_open *file = control_test_open(store_of_map(map), &state_me,
								 writes ? O_RDWR : O_RDONLY);
			struct request r;
			u64 token;
			int err;

			assert_int_equal(
				control_test_simple(file, UBPFFS_OBJ_TOKEN, NULL, 0, &token, 8), 0);
			build(&r, insns, ARRAY_SIZE(insns), &token, 1);
			err = load(&r, sizeof(answer));
			if (err != (writes || cases[i].reads ? 0 : -EACCES))
				print_error("helper %d, %u\n", cases[i].func, writes);
			assert_int_equal(err, writes || cases[i].reads ? 0 : -EACCES);
			control_test_close(file);
		}
		bpf_map_put(map);
	}
}

/* Of two maps the one that was opened for reading is not written to, wherever it stands. */
static void each_map_has_its_descriptors_rights(void **state)
{
	const struct bpf_map_spec spec = {.map_type = BPF_MAP_TYPE_ARRAY,
					  .key_size = 4,
					  .value_size = 8,
					  .max_entries = 1,
					  .name = "one"};

	for (u32 readable = 0; readable < 2; readable++) {
		struct bpf_map *maps[2];
		struct fs_open *files[2];
		u64 tokens[2];

		for (u32 i = 0; i < 2; i++) {
			assert_int_equal(store_map_create(&spec, &state_me, 0600, &maps[i], NULL),
					 0);
			files[i] = control_test_open(store_of_map(maps[i]), &state_me,
						     i == readable ? O_RDONLY : O_RDWR);
			assert_int_equal(control_test_simple(files[i], UBPFFS_OBJ_TOKEN, NULL, 0,
							     &tokens[i], 8),
					 0);
		}
		for (u32 written = 0; written < 2; written++) {
			const struct bpf_insn insns[] = {
				BPF_LD_MAP_IDX_VALUE(BPF_REG_1, written, 0),
				BPF_LD_MAP_IDX_VALUE(BPF_REG_2, !written, 0),
				BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_2, 0),
				BPF_ST_MEM(BPF_DW, BPF_REG_1, 0, 1),
				BPF_MOV64_IMM(BPF_REG_0, 0),
				BPF_EXIT_INSN(),
			};
			struct request r;

			build(&r, insns, ARRAY_SIZE(insns), tokens, 2);
			assert_int_equal(load(&r, sizeof(answer)),
					 written == readable ? -EACCES : 0);
		}
		for (u32 i = 0; i < 2; i++) {
			control_test_close(files[i]);
			bpf_map_put(maps[i]);
		}
	}
}

/* ---- test runs */

struct run {
	struct ubpffs_prog_run args;
	char data[128];
};

static int run(struct fs_open *file, struct run *in, u32 in_len, struct run *out, u32 room)
{
	return control_test_simple(file, UBPFFS_PROG_TEST_RUN, in, in_len, out, room);
}

static void a_run_gives_data_back(void **state)
{
	struct store_object *prog = state_prog("p", 1, NULL);
	struct fs_open *w = control_test_open(prog, &state_me, O_WRONLY),
		       *r = control_test_open(prog, &state_me, O_RDONLY);
	struct run in = {.args = {.data_size_in = 64, .data_size_out = 64}}, out;

	memset(in.data, 0, sizeof(in.data));
	in.data[12] = 8; /* IPv4 */
	in.data[14] = 0x45;
	memset(in.data + 40, 'd', 24);
	assert_int_equal(run(w, &in, sizeof(in.args) + 64, &out, sizeof(out)), 0);
	assert_int_equal(out.args.retval, 1);
	assert_int_equal(out.args.data_size_out, 64);
	/* A program of cgroups sees no link layer, and as in Linux none comes back. */
	memset(in.data, 0, 14);
	assert_memory_equal(out.data, in.data, 64);
	in.data[12] = 8;
	/* Too little room is said, with what fits. */
	in.args.data_size_out = 20;
	memset(&out, 0, sizeof(out));
	assert_int_equal(run(w, &in, sizeof(in.args) + 64, &out, sizeof(in.args) + 20), -ENOSPC);
	assert_int_equal(out.args.data_size_out, 64);
	assert_memory_equal(out.data + 14, in.data + 14, 6);
	/* Sizes that do not fit what there is. */
	in.args.data_size_out = 64;
	assert_int_equal(run(w, &in, sizeof(in.args) + 63, &out, sizeof(out)), -EINVAL);
	assert_int_equal(run(w, &in, sizeof(in.args) + 65, &out, sizeof(out)), -EINVAL);
	assert_int_equal(run(w, &in, sizeof(in.args) - 1, &out, sizeof(out)), -EINVAL);
	assert_int_equal(run(w, &in, sizeof(in.args) + 64, &out, sizeof(in.args) + 63), -EINVAL);
	assert_int_equal(run(w, &in, sizeof(in.args) + 64, &out, sizeof(in.args) - 1), -EINVAL);
	in.args.ctx_size_in = UINT32_MAX;
	assert_int_equal(run(w, &in, sizeof(in.args) + 63, &out, sizeof(out)), -EINVAL);
	in.args.ctx_size_in = 0;
	in.args.data_size_out = UINT32_MAX;
	in.args.ctx_size_out = 65;
	assert_int_equal(run(w, &in, sizeof(in.args) + 64, &out, sizeof(out)), -EINVAL);
	in.args.ctx_size_out = 0;
	in.args.data_size_out = 64;
	assert_int_equal(run(r, &in, sizeof(in.args) + 64, &out, sizeof(out)), -EPERM);
	control_test_close(r);
	control_test_close(w);
	store_put(prog);
}

static void a_stopped_program_is_eio(void **state)
{
	struct store_object *prog = state_prog("p", 1, NULL);
	struct fs_open *file = control_test_open(prog, &state_me, O_RDWR);
	struct run in = {.args = {.data_size_in = 64}}, out;

	prog->prog->poisoned = true;
	assert_int_equal(run(file, &in, sizeof(in.args) + 64, &out, sizeof(out)), -EIO);
	control_test_close(file);
	store_put(prog);
}

/* ---- what it is made of */

static int part(struct fs_open *file, u64 what, void *out, size_t room, u32 *len)
{
	struct ubpffs_io io = {.flags = what};
	int ret = control_test_call(file, UBPFFS_PROG_PART, &io, NULL, 0, out, room);

	*len = io.out_len;
	return ret;
}

/* No address of the server is in what is shown. */
static void instructions_name_maps_by_id(void **state)
{
	struct store_object *map = state_map("m"), *prog = state_prog("p", 1, map);
	struct fs_open *file = control_test_open(prog, &state_me, O_RDONLY),
		       *w = control_test_open(prog, &state_me, O_WRONLY);
	struct bpf_insn insns[16];
	u32 ids[4], len;

	assert_int_equal(part(w, UBPFFS_PROG_MAP_IDS, ids, sizeof(ids), &len), 0);
	assert_int_equal(len, 4);
	assert_int_equal(ids[0], map->id);
	assert_int_equal(part(w, UBPFFS_PROG_XLATED, insns, sizeof(insns), &len), -EPERM);
	assert_int_equal(part(file, UBPFFS_PROG_XLATED, insns, sizeof(insns), &len), 0);
	assert_int_equal(len, prog->prog->len * sizeof(*insns));
	assert_int_equal(insns[0].code, BPF_LD | BPF_IMM | BPF_DW);
	assert_int_equal(insns[0].src_reg, BPF_PSEUDO_MAP_FD);
	assert_int_equal(insns[0].imm, map->id);
	assert_int_equal(insns[1].imm, 0);
	/* As much as has room. */
	memset(insns, 0xee, sizeof(insns));
	assert_int_equal(part(file, UBPFFS_PROG_XLATED, insns, 12, &len), 0);
	assert_int_equal(len, 12);
	assert_int_equal(part(file, 0, insns, sizeof(insns), &len), -EINVAL);
	assert_int_equal(part(file, UBPFFS_PROG_IMAGE + 1, insns, 8, &len), -EINVAL);
	assert_int_equal(part(file, UINT64_MAX, insns, 8, &len), -EINVAL);
	assert_int_equal(part(file, (1ULL << 32) | UBPFFS_PROG_MAP_IDS, insns, 8, &len), -EINVAL);
	control_test_close(w);
	control_test_close(file);
	store_put(prog);
	store_put(map);
}

static void native_code_is_the_owners_to_read(void **state)
{
	struct store_object *prog = state_prog("p", 1, NULL);
	struct fs_open *mine = control_test_open(prog, &state_me, O_RDONLY),
		       *theirs = control_test_open(prog, &state_other, O_RDONLY);
	struct bpf_prog_info info;
	char code[4096];
	u32 len, size;
	u64 addr;

	if (!prog->prog->jited_len) {
		control_test_close(mine);
		control_test_close(theirs);
		store_put(prog);
		print_message("this machine has no native code\n");
		skip();
	}
	assert_int_equal(part(mine, UBPFFS_PROG_JITED, code, sizeof(code), &len), 0);
	assert_int_equal(len, min(prog->prog->jited_len, (u32)sizeof(code)));
	assert_int_equal(part(mine, UBPFFS_PROG_JITED_KSYMS, &addr, 8, &len), 0);
	assert_int_equal(len, 8);
	assert_int_not_equal(addr, 0);
	assert_int_equal(part(mine, UBPFFS_PROG_JITED_FUNC_LENS, &size, 4, &len), 0);
	assert_int_equal(size, prog->prog->jited_len);
	assert_int_equal(
		control_test_simple(mine, UBPFFS_OBJ_GET_INFO, NULL, 0, &info, sizeof(info)), 0);
	assert_int_equal(info.nr_jited_ksyms, 1);
	assert_int_equal(info.nr_jited_func_lens, 1);
	for (u32 what = UBPFFS_PROG_JITED; what <= UBPFFS_PROG_JITED_FUNC_LENS; what++)
		assert_int_equal(part(theirs, what, code, sizeof(code), &len), -EPERM);
	assert_int_equal(
		control_test_simple(theirs, UBPFFS_OBJ_GET_INFO, NULL, 0, &info, sizeof(info)), 0);
	assert_int_equal(info.nr_jited_ksyms, 0);
	assert_int_equal(info.nr_jited_func_lens, 0);
	control_test_close(theirs);
	control_test_close(mine);
	store_put(prog);
}

/* ---- types */

static struct btf *types; /* int main(void), one function */

static int load_with(u32 id, const struct bpf_func_info *funcs, u32 nr_funcs,
		     const struct bpf_line_info *lines, u32 nr_lines, const struct bpf_insn *insns,
		     u32 nr_insns)
{
	const struct ubpffs_load_btf cnt = {nr_funcs, nr_lines};
	struct request r;

	build(&r, insns, nr_insns, NULL, 0);
	r.args.btf_id = id;
	add(&r, &cnt, sizeof(cnt));
	add(&r, funcs, nr_funcs * sizeof(*funcs));
	add(&r, lines, nr_lines * sizeof(*lines));
	return load(&r, sizeof(answer));
}

static const void *new_types(u32 *size)
{
	int word, proto;

	types = btf__new_empty();
	word = btf__add_int(types, "int", 4, BTF_INT_SIGNED);
	proto = btf__add_func_proto(types, word);
	btf__add_func(types, "main", BTF_FUNC_GLOBAL, proto);
	return btf__raw_data(types, size);
}

static void types_are_held_charged_and_private(void **state)
{
	struct fs_open *theirs = control_test_open(NULL, &state_other, O_RDWR);
	u64 before = limits_used(state_me.uid, LIMIT_MEMORY);
	struct ubpffs_io io = {.flags = BPF_BTF_GET_NEXT_ID};
	u32 size, id, next, other;
	const void *raw = new_types(&size);
	struct request r;
	struct ubpffs_load_btf cnt = {.func_info_cnt = 1};
	struct bpf_func_info func = {.insn_off = 0, .type_id = 3};

	assert_int_equal(control_test_simple(ctl, UBPFFS_BTF_LOAD, NULL, 0, &id, 4), -EINVAL);
	assert_int_equal(control_test_simple(ctl, UBPFFS_BTF_LOAD, raw, size - 1, &id, 4), -EINVAL);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before);
	assert_int_equal(control_test_simple(ctl, UBPFFS_BTF_LOAD, raw, size, &id, 4), 0);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before + 2 * size);
	assert_int_equal(control_test_call(ctl, UBPFFS_GET_NEXT_ID, &io, NULL, 0, &next, 4), 0);
	assert_int_equal(next, id);
	/* A load with them, by who may read them. */
	build(&r, two, 2, NULL, 0);
	r.args.btf_id = id;
	add(&r, &cnt, sizeof(cnt));
	add(&r, &func, sizeof(func));
	assert_int_equal(
		control_test_simple(theirs, UBPFFS_PROG_LOAD, &r, r.len, &answer, sizeof(answer)),
		-EACCES);
	assert_int_equal(load(&r, sizeof(answer)), 0);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), before); /* ctl holds that now */
	other = answer.result.id;
	{
		struct store_object *obj;
		struct fs_open *file;
		struct bpf_prog_info info;
		struct bpf_func_info shown;
		u32 len;

		assert_int_equal(store_by_id(STORE_PROG, other, &obj), 0);
		file = control_test_open(obj, &state_me, O_RDONLY);
		assert_int_equal(control_test_simple(file, UBPFFS_OBJ_GET_INFO, NULL, 0, &info,
						     sizeof(info)),
				 0);
		assert_int_equal(info.btf_id, id);
		assert_int_equal(info.nr_func_info, 1);
		assert_int_equal(info.nr_line_info, 0);
		assert_int_equal(part(file, UBPFFS_PROG_FUNC_INFO, &shown, sizeof(shown), &len), 0);
		assert_int_equal(len, sizeof(shown));
		assert_int_equal(shown.type_id, 3);
		assert_int_equal(shown.insn_off, 0);
		control_test_close(file);
		file = control_test_open(obj, &state_other, O_RDONLY);
		assert_int_equal(control_test_simple(file, UBPFFS_OBJ_GET_INFO, NULL, 0, &info,
						     sizeof(info)),
				 0);
		assert_int_equal(info.btf_id, 0); /* somebody else's types */
		control_test_close(file);
		store_put(obj);
	}
	/* Records that the counts do not fit. */
	r.len--;
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	cnt.func_info_cnt = UINT32_MAX;
	build(&r, two, 2, NULL, 0);
	r.args.btf_id = id;
	add(&r, &cnt, sizeof(cnt));
	assert_int_equal(load(&r, sizeof(answer)), -EINVAL);
	control_test_close(theirs);
	btf__free(types);
}

/* Where there are lines, each function has one where it begins. */
static void lines_are_of_every_function(void **state)
{
	const struct bpf_insn insns[] = {BPF_CALL_REL(1), BPF_EXIT_INSN(),
					 BPF_MOV64_IMM(BPF_REG_0, 7), BPF_EXIT_INSN()};
	const struct bpf_func_info funcs[] = {{0, 3}, {2, 3}};
	struct bpf_line_info lines[] = {{.insn_off = 0, .line_off = 1, .file_name_off = 1},
					{.insn_off = 2, .line_off = 1, .file_name_off = 1},
					{.insn_off = 3, .line_off = 1, .file_name_off = 1}};
	struct bpf_line_info shown[4];
	struct store_object *obj;
	struct fs_open *file;
	u32 size, id, len;
	const void *raw = new_types(&size);

	assert_int_equal(control_test_simple(ctl, UBPFFS_BTF_LOAD, raw, size, &id, 4), 0);
	assert_int_equal(load_with(id, funcs, 2, NULL, 0, insns, 4), 0);
	assert_int_equal(control_test_simple(ctl, UBPFFS_BTF_LOAD, raw, size, &id, 4), 0);
	assert_int_equal(load_with(id, funcs, 2, lines, 1, insns, 4), -EINVAL);
	assert_non_null(strstr(answer.log, "missing bpf_line_info for func#1"));
	assert_int_equal(load_with(id, funcs, 2, lines + 1, 2, insns, 4), -EINVAL);
	lines[1].insn_off = 0; /* not ascending */
	assert_int_equal(load_with(id, funcs, 2, lines, 3, insns, 4), -EINVAL);
	lines[1].insn_off = 2;
	lines[2].insn_off = 4; /* beyond the end */
	assert_int_equal(load_with(id, funcs, 2, lines, 3, insns, 4), -EINVAL);
	lines[2].insn_off = 3;
	lines[2].line_off = 1 << 20; /* no string */
	assert_int_equal(load_with(id, funcs, 2, lines, 3, insns, 4), -EINVAL);
	lines[2].line_off = 1;
	assert_int_equal(load_with(id, funcs, 2, lines, 3, insns, 4), 0);
	assert_int_equal(store_by_id(STORE_PROG, answer.result.id, &obj), 0);
	file = control_test_open(obj, &state_me, O_RDONLY);
	assert_int_equal(part(file, UBPFFS_PROG_LINE_INFO, shown, sizeof(shown), &len), 0);
	assert_int_equal(len, 3 * sizeof(*shown));
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(shown[i].line_off, 1);
	assert_int_equal(shown[0].insn_off, 0);
	assert_true(shown[1].insn_off < shown[2].insn_off);
	control_test_close(file);
	store_put(obj);
	btf__free(types);
}

/* A types fd is its opener's memory; where there is none, the types are nobody's. */
static void a_types_fd_is_charged_to_its_opener(void **state)
{
	static const struct fs_node_ops ops = {.name = "types", .type = S_IFREG};
	struct fs_node node = {.ops = &ops, .in_tree = true};
	struct fs_open open = {.node = &node, .opener = state_me};
	struct fs_req req = {.cred = state_me};
	struct btf *many = btf__new_empty();
	struct bpf_btf *btf;
	const void *raw;
	char name[16];
	u32 size, id;
	u64 used;

	for (u32 i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "int%u", i);
		btf__add_int(many, name, 4, 0);
	}
	raw = btf__raw_data(many, &size);
	assert_true(size > 40000); /* more than is never refused */
	assert_int_equal(bpf_btf_new(raw, size, &btf), 0);
	assert_int_equal(bpf_btf_publish(btf, state_me.uid), 0);
	id = btf->id;
	used = limits_used(state_me.uid, LIMIT_MEMORY);
	assert_int_equal(limits_set(state_me.uid, LIMIT_MEMORY, used), 0);
	assert_int_equal(control_open_types(&open, &req, btf), -EDQUOT);
	error_clear(fs_why(&req));
	limits_unset(state_me.uid, LIMIT_MEMORY);
	assert_null(open.priv);
	assert_null(bpf_btf_get_by_id(id)); /* the reference was taken over */
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), used);
	/* One that opens holds it, and gives both back. */
	assert_int_equal(bpf_btf_new(raw, size, &btf), 0);
	assert_int_equal(bpf_btf_publish(btf, state_me.uid), 0);
	id = btf->id;
	assert_int_equal(control_open_types(&open, &req, btf), 0);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), used + 2 * size);
	control_release(&open);
	assert_null(bpf_btf_get_by_id(id));
	fs_open_let(&open, open.held);
	assert_int_equal(limits_used(state_me.uid, LIMIT_MEMORY), used);
	btf__free(many);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_load_answers_an_id_and_its_log),
		CASE(a_refusal_has_a_log_and_leaves_nothing),
		CASE(a_load_that_is_malformed_is_einval),
		CASE(maps_are_named_by_token),
		CASE(a_program_writes_no_map_that_was_opened_for_reading),
		CASE(helpers_change_no_map_that_was_opened_for_reading),
		CASE(each_map_has_its_descriptors_rights),
		CASE(a_run_gives_data_back),
		CASE(a_stopped_program_is_eio),
		CASE(instructions_name_maps_by_id),
		CASE(native_code_is_the_owners_to_read),
		CASE(types_are_held_charged_and_private),
		CASE(lines_are_of_every_function),
		CASE(a_types_fd_is_charged_to_its_opener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
