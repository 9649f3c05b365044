/*
 * test_embed.c - the public header, for a host with more to say: types, slots, limits, contexts,
 * classic filters, helpers of its own, programs without a proof, and what there is
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include <bpf/btf.h>
#include <errno.h>
#include <linux/filter.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <string.h>
#include "engine/ubpffs_engine.h"
#include "object/image.h"
#include "tests/lib/object.h"
#include "uapi/bpf_insn.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct bpf_map *make_map(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max)
{
	const struct ubpffs_map_spec spec = {
		.type = type, .key_size = key_size, .value_size = value_size, .max_entries = max};
	struct bpf_map *map;

	assert_int_equal(ubpffs_map_create(&spec, &map), 0);
	return map;
}

static int load_type(uint32_t type, uint32_t attach, const struct bpf_insn *insns, uint32_t cnt,
		     struct bpf_map *map, struct ubpffs_load_opts *opts, struct bpf_prog **prog)
{
	const struct ubpffs_prog_spec spec = {
		.type = type,
		.expected_attach_type = attach,
		.name = "p",
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
		.maps = &map,
		.map_cnt = !!map,
	};

	return ubpffs_prog_load(&spec, opts, NULL, prog);
}

static int load_raw(uint32_t size, const struct bpf_insn *insns, uint32_t cnt,
		    struct ubpffs_load_opts *opts, struct bpf_prog **prog)
{
	return load_type(UBPFFS_PROG_TYPE_RAW, size, insns, cnt, NULL, opts, prog);
}

/* ---- maps */

static void queues_rings_and_freezing(void **state)
{
	struct bpf_map *queue = make_map(BPF_MAP_TYPE_QUEUE, 0, 8, 4), *ring, *array;
	const struct bpf_insn record[] = {
		BPF_ST_MEM(BPF_DW, 10, -8, 77),
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_IDX, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -8),
		BPF_MOV64_IMM(3, 8),
		BPF_MOV64_IMM(4, 0),
		BPF_EMIT_CALL(BPF_FUNC_ringbuf_output),
		BPF_EXIT_INSN(),
	};
	uint64_t value = 5, ret;
	struct bpf_prog *prog;
	void *buf = NULL;
	size_t cap = 0;
	uint32_t key = 0;

	assert_int_equal(ubpffs_map_update(queue, NULL, &value, BPF_ANY), 0);
	value = 0;
	assert_int_equal(ubpffs_map_pop(queue, &value), 0);
	assert_int_equal(value, 5);
	assert_int_equal(ubpffs_map_pop(queue, &value), -ENOENT);
	ubpffs_map_put(queue);

	ring = make_map(BPF_MAP_TYPE_RINGBUF, 0, 0, 4096);
	assert_int_equal(
		load_type(UBPFFS_PROG_TYPE_RAW, 0, record, COUNT(record), ring, NULL, &prog), 0);
	assert_int_equal(ubpffs_ring_read(ring, &buf, &cap), -EAGAIN);
	assert_int_equal(ubpffs_prog_run(prog, NULL, 0, &ret), 0);
	assert_int_equal(ret, 0);
	assert_int_equal(ubpffs_ring_read(ring, &buf, &cap), 8);
	assert_int_equal(*(uint64_t *)buf, 77);
	free(buf);
	ubpffs_prog_put(prog);
	ubpffs_map_put(ring);

	array = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	assert_int_equal(ubpffs_ring_read(array, &buf, &cap), -EINVAL);
	assert_int_equal(ubpffs_map_pop(array, &value), -EOPNOTSUPP);
	assert_int_equal(ubpffs_map_freeze(array), 0);
	assert_int_equal(ubpffs_map_update(array, &key, &value, BPF_ANY), -EPERM);
	assert_int_equal(ubpffs_map_freeze(array), -EPERM);
	ubpffs_map_put(array);
}

static void slots_of_maps_and_programs(void **state)
{
	const struct bpf_insn seven[] = {BPF_MOV64_IMM(0, 7), BPF_EXIT_INSN()};
	const struct bpf_insn tail[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_IDX, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_MOV64_IMM(3, 1),
		BPF_EMIT_CALL(BPF_FUNC_tail_call),
		BPF_MOV64_IMM(0, 3),
		BPF_EXIT_INSN(),
	};
	struct bpf_map *inner = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 2), *outer;
	struct bpf_map *other = make_map(BPF_MAP_TYPE_ARRAY, 4, 16, 2);
	struct bpf_map *progs = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2);
	struct ubpffs_map_spec spec = {.type = BPF_MAP_TYPE_ARRAY_OF_MAPS,
				       .key_size = 4,
				       .value_size = 4,
				       .max_entries = 2};
	struct ubpffs_map_opts opts = {.size = sizeof(opts), .inner_map = inner};
	struct bpf_prog *prog, *callee;
	uint32_t key = 1;
	uint64_t ret;

	assert_int_equal(ubpffs_map_create(&spec, &outer), -EBADF);
	assert_int_equal(ubpffs_map_create_opts(&spec, &opts, &outer), 0);
	assert_int_equal(ubpffs_map_update_map(outer, &key, inner), 0);
	assert_int_equal(ubpffs_map_update_map(outer, &key, other), -EINVAL);
	assert_int_equal(ubpffs_map_update_map(inner, &key, inner), -EINVAL);
	assert_int_equal(ubpffs_map_delete(outer, &key), 0);
	ubpffs_map_put(outer);
	ubpffs_map_put(inner);
	ubpffs_map_put(other);

	assert_int_equal(load_type(UBPFFS_PROG_TYPE_RAW, 8, tail, COUNT(tail), progs, NULL, &prog),
			 0);
	assert_int_equal(load_raw(8, seven, 2, NULL, &callee), 0);
	assert_int_equal(ubpffs_prog_run(prog, (uint64_t[1]){0}, 8, &ret), 0);
	assert_int_equal(ret, 3);
	assert_int_equal(ubpffs_map_update_prog(progs, &key, callee), 0);
	assert_int_equal(ubpffs_prog_run(prog, (uint64_t[1]){0}, 8, &ret), 0);
	assert_int_equal(ret, 7);
	ubpffs_prog_put(callee);
	ubpffs_prog_put(prog);
	ubpffs_map_put(progs);
}

/* Two of them stand for two processes. */
static void arrays_in_a_file_that_others_map(void **state)
{
	const struct bpf_insn add[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_MOV64_IMM(3, 5),
		BPF_ATOMIC_OP(BPF_DW, BPF_ADD, 2, 3, 0),
		BPF_MOV64_IMM(0, 0),
		BPF_EXIT_INSN(),
	};
	struct ubpffs_map_spec spec = {
		.type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 12, .max_entries = 1};
	int fd = memfd_create("values", MFD_CLOEXEC);
	struct bpf_map *a, *b;
	struct bpf_prog *prog;
	uint64_t value[2] = {7}, ret;
	uint32_t key = 0;

	assert_int_equal(ftruncate(fd, 8192), 0);
	assert_int_equal(ubpffs_map_share(&spec, fd, false, &a), -EBADMSG);
	assert_null(a);
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_int_equal(ubpffs_map_share(&spec, fd, false, &a), 0);
	assert_int_equal(ubpffs_map_share(&spec, fd, true, &b), 0);
	assert_int_equal(load_type(UBPFFS_PROG_TYPE_RAW, 0, add, COUNT(add), a, NULL, &prog), 0);
	assert_int_equal(ubpffs_map_update(a, &key, value, BPF_ANY), 0);
	assert_int_equal(ubpffs_prog_run(prog, NULL, 0, &ret), 0);
	assert_int_equal(ubpffs_map_lookup(b, &key, value, 0), 0);
	assert_int_equal(value[0], 12);
	assert_int_equal(ubpffs_map_update(b, &key, value, BPF_ANY), -EPERM);
	ubpffs_prog_put(prog);
	ubpffs_map_put(a);
	ubpffs_map_put(b);
	/* What has locks, links or parts of each CPU is one process's. */
	spec.type = BPF_MAP_TYPE_PERCPU_ARRAY;
	assert_int_equal(ubpffs_map_share(&spec, fd, false, &a), -EOPNOTSUPP);
	spec.type = BPF_MAP_TYPE_HASH;
	assert_int_equal(ubpffs_map_share(&spec, fd, false, &a), -EOPNOTSUPP);
	assert_int_equal(ubpffs_map_share(&spec, fd, true, &a), -EBADMSG);
	close(fd);
}

/* int; a struct of it; int f(void); and two functions of that kind. */
static struct bpf_btf *make_btf(int *value, int *func)
{
	struct btf *btf = btf__new_empty();
	struct bpf_btf *out;
	int word = btf__add_int(btf, "int", 4, BTF_INT_SIGNED), proto;
	const void *data;
	uint32_t size;

	*value = btf__add_struct(btf, "value", 8);
	assert_int_equal(btf__add_field(btf, "a", word, 0, 0), 0);
	assert_int_equal(btf__add_field(btf, "b", word, 32, 0), 0);
	proto = btf__add_func_proto(btf, word);
	*func = btf__add_func(btf, "main", BTF_FUNC_GLOBAL, proto);
	assert_int_equal(btf__add_func(btf, "sub", BTF_FUNC_STATIC, proto), *func + 1);
	data = btf__raw_data(btf, &size);
	assert_int_equal(ubpffs_btf_load(data, size, &out), 0);
	assert_int_equal(ubpffs_btf_load(data, size - 1, &(struct bpf_btf *){0}), -EINVAL);
	btf__free(btf);
	return out;
}

static void types_of_maps_and_functions(void **state)
{
	/* A function that may end early by a tail call must be known to return a number. */
	const struct bpf_insn calls[] = {
		BPF_RAW_INSN(BPF_JMP | BPF_CALL, 0, BPF_PSEUDO_CALL, 0, 1),
		BPF_EXIT_INSN(),
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_IDX, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_MOV64_IMM(3, 0),
		BPF_EMIT_CALL(BPF_FUNC_tail_call),
		BPF_MOV64_IMM(0, 9),
		BPF_EXIT_INSN(),
	};
	struct bpf_map *progs = make_map(BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2), *map;
	struct ubpffs_map_spec spec = {
		.type = BPF_MAP_TYPE_HASH, .key_size = 4, .value_size = 8, .max_entries = 2};
	struct ubpffs_map_opts map_opts = {.size = sizeof(map_opts)};
	struct ubpffs_verdict verdict = {.size = sizeof(verdict)};
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .verdict = &verdict};
	struct bpf_func_info info[2] = {{.insn_off = 0}, {.insn_off = 2}};
	struct bpf_prog *prog;
	int value, func;

	map_opts.btf = make_btf(&value, &func);
	map_opts.btf_key_type_id = 1;
	map_opts.btf_value_type_id = (uint32_t)value;
	assert_int_equal(ubpffs_map_create_opts(&spec, &map_opts, &map), 0);
	ubpffs_map_put(map);
	map_opts.btf_value_type_id = 1; /* 4 bytes */
	assert_int_equal(ubpffs_map_create_opts(&spec, &map_opts, &map), -EINVAL);

	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, calls, COUNT(calls), progs, &opts, &prog),
			 -EINVAL);
	assert_non_null(verdict.reason);
	ubpffs_verdict_free(&verdict);
	info[0].type_id = (uint32_t)func;
	info[1].type_id = (uint32_t)func + 1;
	opts.btf = map_opts.btf;
	opts.func_info = info;
	opts.func_info_cnt = 2;
	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, calls, COUNT(calls), progs, &opts, &prog),
			 0);
	ubpffs_verdict_free(&verdict);
	ubpffs_prog_put(prog);
	info[1].insn_off = 3;
	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, calls, COUNT(calls), progs, &opts, &prog),
			 -EINVAL);
	ubpffs_verdict_free(&verdict);
	opts.btf = NULL;
	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, calls, COUNT(calls), progs, &opts, &prog),
			 -EINVAL);
	ubpffs_verdict_free(&verdict);
	ubpffs_btf_put(map_opts.btf);
	ubpffs_map_put(progs);
}

/* ---- loads */

static void results_say_what_came_of_a_load(void **state)
{
	const struct bpf_insn good[] = {BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};
	const struct bpf_insn bad[] = {BPF_MOV64_IMM(2, 0), BPF_LDX_MEM(BPF_B, 0, 1, 8),
				       BPF_EXIT_INSN()};
	struct ubpffs_verdict verdict = {.size = sizeof(verdict)};
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .log_level = 2, .verdict = &verdict};
	struct bpf_prog *prog;

	assert_int_equal(load_raw(8, good, 2, &opts, &prog), 0);
	assert_int_equal(verdict.insns_processed, 2);
	assert_int_equal(verdict.insn, -1);
	assert_null(verdict.reason);
	assert_non_null(strstr(verdict.log, "(95) exit"));
	assert_null(strstr(verdict.log, "verdict:"));
	assert_non_null(strstr(verdict.report, "verdict: accepted"));
	assert_null(strstr(verdict.report, "(95) exit"));
	ubpffs_verdict_free(&verdict);
	ubpffs_prog_put(prog);

	assert_int_equal(load_raw(8, bad, 3, &opts, &prog), -EACCES);
	assert_int_equal(verdict.insns_processed, 2);
	assert_int_equal(verdict.insn, 1);
	assert_non_null(strstr(verdict.reason, "invalid access to memory"));
	assert_non_null(verdict.hint);
	ubpffs_verdict_free(&verdict);
	assert_null(verdict.reason);
	opts.prog_flags = 1u << 30;
	assert_int_equal(load_raw(8, good, 2, &opts, &prog), -EINVAL);
	ubpffs_verdict_free(&verdict);
	verdict.size = 0;
	assert_int_equal(load_raw(8, good, 2, &opts, &prog), -EINVAL);
}

static void loads_end_when_they_shall(void **state)
{
	volatile bool cancel = true;
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .cancel = &cancel};
	struct ubpffs_object *obj;
	size_t size;
	void *elf = test_object_bytes("slow_verify", &size);

	assert_int_equal(ubpffs_object_load(elf, size, &opts, &obj), -EINTR);
	ubpffs_object_free(obj);
	opts.time_limit_ns = 3600000000000ULL;
	assert_int_equal(ubpffs_object_load(elf, size, &opts, &obj), -EINTR);
	ubpffs_object_free(obj);
	cancel = false;
	opts.time_limit_ns = 1000000;
	assert_int_equal(ubpffs_object_load(elf, size, &opts, &obj), -ETIMEDOUT);
	ubpffs_object_free(obj);
	opts.cancel = NULL;
	assert_int_equal(ubpffs_object_load(elf, size, &opts, &obj), -ETIMEDOUT);
	ubpffs_object_free(obj);
	opts.time_limit_ns = 3600000000000ULL;
	assert_int_equal(ubpffs_object_load(elf, size, &opts, &obj), 0);
	ubpffs_object_free(obj);
	opts.prog_flags = BPF_F_ANY_ALIGNMENT; /* an object has its own */
	assert_int_equal(ubpffs_object_load(elf, size, &opts, &obj), -EINVAL);
	free(elf);
}

static void classic_filters(void **state)
{
	const struct sock_filter ports[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23), /* the protocol of IPv4 */
		BPF_STMT(BPF_RET | BPF_A, 0),
	};
	struct ubpffs_load_opts opts = {
		.size = sizeof(opts), .classic = ports, .classic_cnt = COUNT(ports)};
	uint8_t packet[64] = {[12] = 8, [14] = 0x45, [23] = 17};
	struct ubpffs_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
	struct bpf_prog *prog;

	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, NULL, 0, NULL, &opts, &prog), -EINVAL);
	assert_int_equal(load_type(BPF_PROG_TYPE_SOCKET_FILTER, 0, NULL, 0, NULL, &opts, &prog), 0);
	assert_int_equal(ubpffs_prog_test_run(prog, &run), 0);
	assert_int_equal(run.retval, 17);
	ubpffs_prog_put(prog);
}

static int give_map(void *ctx, uint32_t id, struct bpf_map **map)
{
	if (!ctx)
		return -ENOLINK;
	*map = ctx;
	ubpffs_map_get(*map);
	return 0;
}

static void images_are_loaded_again(void **state)
{
	const struct bpf_insn sum[] = {
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_MAP_IDX_VALUE, 0, 0),
		BPF_RAW_INSN(0, 0, 0, 0, 0),
		BPF_LDX_MEM(BPF_DW, 0, 2, 0),
		BPF_EXIT_INSN(),
	};
	struct bpf_map *one = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	struct bpf_map *other = make_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	struct bpf_map *hash = make_map(BPF_MAP_TYPE_HASH, 4, 8, 1);
	struct ubpffs_verdict verdict = {.size = sizeof(verdict)};
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .verdict = &verdict};
	struct bpf_prog *prog, *again;
	uint64_t value = 33, ret;
	uint32_t key = 0;
	size_t size;
	void *image;

	assert_int_equal(load_type(UBPFFS_PROG_TYPE_RAW, 24, sum, COUNT(sum), one, NULL, &prog), 0);
	assert_int_equal(bpf_image_make(prog, &image, &size), 0);
	ubpffs_prog_put(prog);
	assert_int_equal(ubpffs_map_update(other, &key, &value, BPF_ANY), 0);
	assert_int_equal(ubpffs_image_load(image, size, NULL, give_map, other, &again), 0);
	assert_int_equal(ubpffs_prog_type(again), UBPFFS_PROG_TYPE_RAW);
	assert_int_equal(ubpffs_prog_block_size(again), 24);
	assert_int_equal(ubpffs_prog_run(again, (uint64_t[3]){0}, 24, &ret), 0);
	assert_int_equal(ret, 33);
	ubpffs_prog_put(again);
	/* It is verified again, with the maps that it is given. */
	assert_int_equal(ubpffs_image_load(image, size, &opts, give_map, hash, &again), -EINVAL);
	assert_null(again);
	assert_non_null(verdict.reason);
	ubpffs_verdict_free(&verdict);
	assert_int_equal(ubpffs_image_load(image, size, &opts, give_map, NULL, &again), -ENOLINK);
	assert_int_equal(ubpffs_image_load(image, size - 1, &opts, give_map, other, &again),
			 -EBADMSG);
	assert_int_equal(ubpffs_image_load("", 0, &opts, give_map, other, &again), -EBADMSG);
	opts.run_unverified = true;
	assert_int_equal(ubpffs_image_load(image, size, &opts, give_map, other, &again), -EINVAL);
	((uint8_t *)image)[size / 2] ^= 1;
	opts.run_unverified = false;
	assert_int_equal(ubpffs_image_load(image, size, &opts, give_map, other, &again), -EBADMSG);
	free(image);
	ubpffs_map_put(one);
	ubpffs_map_put(other);
	ubpffs_map_put(hash);
}

/* ---- runs */

static void contexts_go_in_and_out(void **state)
{
	const struct bpf_insn mark[] = {
		BPF_LDX_MEM(BPF_W, 0, 1, offsetof(struct __sk_buff, mark)),
		BPF_MOV64_REG(2, 0),
		BPF_ALU64_IMM(BPF_ADD, 2, 1),
		BPF_STX_MEM(BPF_W, 1, 2, offsetof(struct __sk_buff, mark)),
		BPF_EXIT_INSN(),
	};
	struct __sk_buff in = {.mark = 6}, out = {0};
	uint8_t packet[64] = {[12] = 8};
	struct ubpffs_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};
	struct ubpffs_run_opts opts = {.size = sizeof(opts),
				       .ctx_in = &in,
				       .ctx_size_in = sizeof(in),
				       .ctx_out = &out,
				       .ctx_size_out = sizeof(out)};
	struct bpf_prog *prog;

	assert_int_equal(
		load_type(BPF_PROG_TYPE_SCHED_CLS, 0, mark, COUNT(mark), NULL, NULL, &prog), 0);
	assert_int_equal(ubpffs_prog_test_run_opts(prog, &run, &opts), 0);
	assert_int_equal(run.retval, 6);
	assert_int_equal(out.mark, 7);
	assert_int_equal(opts.ctx_size_out, sizeof(out));
	assert_int_equal(ubpffs_prog_test_run_opts(prog, &run, NULL), 0);
	assert_int_equal(run.retval, 0);
	opts.size = 0;
	assert_int_equal(ubpffs_prog_test_run_opts(prog, &run, &opts), -EINVAL);
	ubpffs_prog_put(prog);
}

static void runs_end_when_they_shall(void **state)
{
	const struct bpf_insn zero[] = {BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};
	/* bpf_loop(8388608, outer, 0, 0); outer: bpf_loop(8388608, inner, 0, 0); inner: return 0 */
#define LOOP(to)                                                                       \
	BPF_MOV64_IMM(1, 8388608),                                                     \
		BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 2, BPF_PSEUDO_FUNC, 0, to),    \
		BPF_RAW_INSN(0, 0, 0, 0, 0), BPF_MOV64_IMM(3, 0), BPF_MOV64_IMM(4, 0), \
		BPF_EMIT_CALL(BPF_FUNC_loop), BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()
	const struct bpf_insn nested[] = {LOOP(6), LOOP(6), BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};
	struct bpf_func_info info[3] = {{.insn_off = 0}, {.insn_off = 8}, {.insn_off = 16}};
	struct bpf_btf *btf;
	int value, func;
	struct ubpffs_test_run run = {.repeat = UINT32_MAX};
	struct ubpffs_run_opts opts = {.size = sizeof(opts), .time_limit_ns = 5000000};
	volatile bool cancel = true;
	struct bpf_prog *prog;
	uint64_t block = 0, ret;

	assert_int_equal(load_raw(8, zero, 2, NULL, &prog), 0);
	assert_int_equal(ubpffs_prog_test_run_opts(prog, &run, &opts), -ETIMEDOUT);
	opts = (struct ubpffs_run_opts){.size = sizeof(opts), .cancel = &cancel};
	assert_int_equal(ubpffs_prog_test_run_opts(prog, &run, &opts), -EINTR);
	/* On memory of the caller's. */
	assert_int_equal(ubpffs_prog_run(prog, &block, 7, &ret), -EINVAL);
	ubpffs_slot_keep();
	assert_int_equal(ubpffs_prog_run(prog, &block, 8, &ret), 0);
	assert_int_equal(ubpffs_prog_run(prog, &block, 9, &ret), 0);
	ubpffs_slot_release();
	cancel = false;
	assert_int_equal(ubpffs_prog_run_opts(prog, &block, 8, NULL, &ret), 0);
	assert_int_equal(ubpffs_prog_run_opts(prog, &block, 8, &opts, &ret), 0);
	assert_int_equal(ubpffs_prog_run_opts(prog, &block, 7, &opts, &ret), -EINVAL);
	cancel = true;
	assert_int_equal(ubpffs_prog_run_opts(prog, &block, 8, &opts, &ret), -EINTR);
	opts.flags = 1;
	assert_int_equal(ubpffs_prog_run_opts(prog, &block, 8, &opts, &ret), -EINVAL);
	ubpffs_prog_put(prog);
	/* Loops in loops: years, if nothing ended them. Callbacks are functions with types. */
	btf = make_btf(&value, &func);
	info[0].type_id = (uint32_t)func;
	info[1].type_id = info[2].type_id = (uint32_t)func + 1;
	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct ubpffs_load_opts load = {.size = sizeof(load),
						.no_jit = no_jit,
						.btf = btf,
						.func_info = info,
						.func_info_cnt = 3};

		opts = (struct ubpffs_run_opts){.size = sizeof(opts), .time_limit_ns = 5000000};
		assert_int_equal(load_raw(8, nested, COUNT(nested), &load, &prog), 0);
		assert_int_equal(ubpffs_prog_run_opts(prog, &block, 8, &opts, &ret), -ETIMEDOUT);
		ubpffs_prog_put(prog);
	}
	ubpffs_btf_put(btf);
	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, zero, 2, NULL, NULL, &prog), 0);
	assert_int_equal(ubpffs_prog_run(prog, &block, 8, &ret), -EOPNOTSUPP);
	ubpffs_prog_put(prog);
}

/* ---- helpers of the host */

enum { SUM = UBPFFS_HELPER_FIRST, FILL, FIND, TELL, UNKNOWN };

static uint64_t sum(uint64_t bytes, uint64_t len, uint64_t r3, uint64_t r4, uint64_t r5)
{
	const uint8_t *p = (const uint8_t *)(uintptr_t)bytes;
	uint64_t total = 0;

	for (uint64_t i = 0; p && i < len; i++)
		total += p[i];
	return total;
}

static uint64_t fill(uint64_t out, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
	memset((void *)(uintptr_t)out, 3, 16);
	return 0;
}

static uint64_t records[4] = {10, 20, 30, 40};

static uint64_t find(uint64_t index, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
	return index < 4 ? (uintptr_t)&records[index] : 0;
}

static uint64_t tell(uint64_t map, uint64_t r2, uint64_t r3, uint64_t r4, uint64_t r5)
{
	return ubpffs_map_value_size((struct bpf_map *)(uintptr_t)map);
}

static const struct ubpffs_helper helpers[] = {
	{.size = sizeof(struct ubpffs_helper),
	 .id = SUM,
	 .name = "sum_of",
	 .func = sum,
	 .arg = {UBPFFS_ARG_MEM | UBPFFS_ARG_OR_NULL, UBPFFS_ARG_SIZE_OR_ZERO}},
	{.size = sizeof(struct ubpffs_helper),
	 .id = FILL,
	 .name = "fill",
	 .func = fill,
	 .arg = {UBPFFS_ARG_MEM_UNINIT},
	 .arg_size = {16},
	 .ret = UBPFFS_RET_NONE},
	{.size = sizeof(struct ubpffs_helper),
	 .id = FIND,
	 .name = "find",
	 .func = find,
	 .arg = {UBPFFS_ARG_ANY},
	 .ret = UBPFFS_RET_MEM_OR_NULL | UBPFFS_RET_RDONLY,
	 .ret_size = 8},
	{.size = sizeof(struct ubpffs_helper),
	 .id = TELL,
	 .name = "tell",
	 .func = tell,
	 .arg = {UBPFFS_ARG_MAP}},
};

static struct ubpffs_engine *make_engine(void)
{
	struct ubpffs_engine *engine;

	assert_int_equal(ubpffs_engine_new(&engine), 0);
	for (size_t i = 0; i < COUNT(helpers); i++)
		assert_int_equal(ubpffs_engine_add_helper(engine, &helpers[i]), 0);
	return engine;
}

/* What a program with these instructions returns, native and interpreted; or the load's error. */
static int64_t run_with(struct ubpffs_engine *engine, const struct bpf_insn *insns, uint32_t cnt,
			struct bpf_map *map, char *why, size_t len)
{
	int64_t got[2];

	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct ubpffs_verdict verdict = {.size = sizeof(verdict)};
		struct ubpffs_load_opts opts = {.size = sizeof(opts),
						.log_level = 1,
						.engine = engine,
						.no_jit = no_jit,
						.verdict = &verdict};
		uint8_t block[16] __attribute__((aligned(8))) = {1, 2, 3, 4};
		struct bpf_prog *prog;
		uint64_t ret;
		int err = load_type(UBPFFS_PROG_TYPE_RAW, sizeof(block), insns, cnt, map, &opts,
				    &prog);

		snprintf(why, len, "%s%s", verdict.reason ? verdict.reason : "",
			 verdict.log ? verdict.log : "");
		ubpffs_verdict_free(&verdict);
		got[no_jit] = err;
		if (err)
			continue;
		assert_int_equal(ubpffs_prog_run(prog, block, sizeof(block), &ret), 0);
		got[no_jit] = (int64_t)ret;
		ubpffs_prog_put(prog);
	}
	assert_int_equal(got[0], got[1]);
	return got[0];
}

#define RUN(engine, map, ...)                                                                   \
	run_with(engine, (const struct bpf_insn[]){__VA_ARGS__},                                \
		 sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn), map, \
		 why, sizeof(why))

static void helpers_of_ones_own_are_called_and_enforced(void **state)
{
	struct ubpffs_engine *engine = make_engine();
	struct bpf_map *map = make_map(BPF_MAP_TYPE_HASH, 4, 24, 1);
	char why[4096];

	/* memory with its size: of the block, and of a length that is bounded; NULL of none */
	assert_int_equal(
		RUN(engine, NULL, BPF_MOV64_IMM(2, 4), BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()), 10);
	assert_int_equal(RUN(engine, NULL, BPF_LDX_MEM(BPF_B, 2, 1, 1),
			     BPF_ALU64_IMM(BPF_AND, 2, 15), BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()),
			 3);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 0), BPF_MOV64_IMM(2, 0),
			     BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()),
			 0);
	assert_int_equal(
		RUN(engine, NULL, BPF_MOV64_IMM(2, 17), BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()),
		-EACCES);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 9), BPF_MOV64_IMM(2, 4),
			     BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()),
			 -EACCES);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_REG(1, 10), BPF_ALU64_IMM(BPF_ADD, 1, -8),
			     BPF_MOV64_IMM(2, 9), BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()),
			 -EINVAL);
	/* memory of one size, which it fills; and it returns nothing */
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_REG(1, 10), BPF_ALU64_IMM(BPF_ADD, 1, -16),
			     BPF_EMIT_CALL(FILL), BPF_LDX_MEM(BPF_B, 0, 10, -9), BPF_EXIT_INSN()),
			 3);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_REG(1, 10), BPF_ALU64_IMM(BPF_ADD, 1, -16),
			     BPF_EMIT_CALL(FILL), BPF_EXIT_INSN()),
			 -EACCES);
	assert_int_equal(RUN(engine, NULL, BPF_ALU64_IMM(BPF_ADD, 1, 1), BPF_EMIT_CALL(FILL),
			     BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()),
			 -EACCES);
	/* memory that it gives: looked at first, read only, and no more than there is */
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 2), BPF_EMIT_CALL(FIND),
			     BPF_JMP_IMM(BPF_JEQ, 0, 0, 1), BPF_LDX_MEM(BPF_DW, 0, 0, 0),
			     BPF_EXIT_INSN()),
			 30);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 4), BPF_EMIT_CALL(FIND),
			     BPF_JMP_IMM(BPF_JEQ, 0, 0, 1), BPF_LDX_MEM(BPF_DW, 0, 0, 0),
			     BPF_EXIT_INSN()),
			 0);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 2), BPF_EMIT_CALL(FIND),
			     BPF_LDX_MEM(BPF_DW, 0, 0, 0), BPF_EXIT_INSN()),
			 -EACCES);
	assert_non_null(strstr(why, "call find#"));
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 2), BPF_EMIT_CALL(FIND),
			     BPF_JMP_IMM(BPF_JEQ, 0, 0, 2), BPF_ST_MEM(BPF_DW, 0, 0, 1),
			     BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()),
			 -EACCES);
	assert_int_equal(RUN(engine, NULL, BPF_MOV64_IMM(1, 2), BPF_EMIT_CALL(FIND),
			     BPF_JMP_IMM(BPF_JEQ, 0, 0, 2), BPF_LDX_MEM(BPF_DW, 0, 0, 1),
			     BPF_EXIT_INSN(), BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()),
			 -EACCES);
	/* a map, and nothing else */
	assert_int_equal(RUN(engine, map,
			     BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_IDX, 0, 0),
			     BPF_RAW_INSN(0, 0, 0, 0, 0), BPF_EMIT_CALL(TELL), BPF_EXIT_INSN()),
			 24);
	assert_int_equal(RUN(engine, map, BPF_EMIT_CALL(TELL), BPF_EXIT_INSN()), -EACCES);
	/* what is not there, for this program or for any */
	assert_int_equal(RUN(engine, NULL, BPF_EMIT_CALL(UNKNOWN), BPF_EXIT_INSN()), -EINVAL);
	assert_int_equal(RUN(NULL, NULL, BPF_MOV64_IMM(2, 4), BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()),
			 -EINVAL);
	ubpffs_map_put(map);
	ubpffs_engine_free(engine);
}

static void programs_outlive_the_set_of_their_helpers(void **state)
{
	const struct bpf_insn insns[] = {BPF_MOV64_IMM(2, 4), BPF_EMIT_CALL(SUM), BPF_EXIT_INSN()};
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .engine = make_engine()};
	struct bpf_prog *prog;
	uint8_t block[8] = {1, 1, 1, 1};
	uint64_t ret;

	assert_int_equal(load_raw(8, insns, COUNT(insns), &opts, &prog), 0);
	assert_int_equal(ubpffs_engine_add_helper(opts.engine, &helpers[0]), -EBUSY);
	ubpffs_engine_free(opts.engine);
	assert_int_equal(ubpffs_prog_run(prog, block, sizeof(block), &ret), 0);
	assert_int_equal(ret, 4);
	ubpffs_prog_put(prog);
	/* Room is given back. */
	for (int i = 0; i < 300; i++)
		ubpffs_engine_free(make_engine());
}

static void prototypes_make_sense(void **state)
{
	static const struct {
		uint32_t arg[5], arg_size[5], ret, ret_size;
	} bad[] = {
		{.arg = {UBPFFS_ARG_NONE, UBPFFS_ARG_ANY}},
		{.arg = {99}},
		{.arg = {UBPFFS_ARG_SIZE}},
		{.arg = {UBPFFS_ARG_ANY, UBPFFS_ARG_SIZE}},
		{.arg = {UBPFFS_ARG_MEM}},
		{.arg = {UBPFFS_ARG_MEM, UBPFFS_ARG_SIZE}, .arg_size = {4}},
		{.arg = {UBPFFS_ARG_ANY}, .arg_size = {4}},
		{.arg = {UBPFFS_ARG_ANY | UBPFFS_ARG_OR_NULL}},
		{.arg = {UBPFFS_ARG_MEM}, .arg_size = {UINT32_MAX}},
		{.ret = UBPFFS_RET_MEM},
		{.ret = UBPFFS_RET_NUMBER, .ret_size = 4},
		{.ret = UBPFFS_RET_NUMBER | UBPFFS_RET_RDONLY},
		{.ret = 77},
	};
	struct ubpffs_engine *engine = make_engine();
	struct ubpffs_helper h = helpers[0];
	int err;

	assert_int_equal(ubpffs_engine_add_helper(engine, &h), -EEXIST);
	h.id = 5;
	assert_int_equal(ubpffs_engine_add_helper(engine, &h), -EINVAL);
	h.id = UNKNOWN;
	h.name = "no name";
	assert_int_equal(ubpffs_engine_add_helper(engine, &h), -EINVAL);
	h.name = "good";
	h.func = NULL;
	assert_int_equal(ubpffs_engine_add_helper(engine, &h), -EINVAL);
	h.func = sum;
	for (size_t i = 0; i < COUNT(bad); i++) {
		memcpy(h.arg, bad[i].arg, sizeof(h.arg));
		memcpy(h.arg_size, bad[i].arg_size, sizeof(h.arg_size));
		h.ret = bad[i].ret;
		h.ret_size = bad[i].ret_size;
		if (ubpffs_engine_add_helper(engine, &h) != -EINVAL)
			fail_msg("row %zu", i);
	}
	ubpffs_engine_free(engine);
	ubpffs_engine_free(NULL);
	assert_int_equal(ubpffs_engine_new(&engine), 0);
	h = helpers[0];
	/* Programs that go give theirs back a moment later. */
	while (!(err = ubpffs_engine_add_helper(engine, &h)))
		h.id++;
	assert_int_equal(err, -ENOSPC);
	assert_in_range(h.id - helpers[0].id, 200, 256);
	ubpffs_engine_free(engine);
}

/* ---- without a proof */

static int64_t run_unverified(struct ubpffs_engine *engine, const struct bpf_insn *insns,
			      uint32_t cnt)
{
	int64_t got[2];

	for (int no_jit = 0; no_jit < 2; no_jit++) {
		struct ubpffs_load_opts opts = {.size = sizeof(opts),
						.engine = engine,
						.no_jit = no_jit,
						.run_unverified = true};
		uint64_t block[2] = {1, 2}, ret;
		struct bpf_prog *prog;
		int err = load_raw(sizeof(block), insns, cnt, &opts, &prog);

		got[no_jit] = err;
		if (err)
			continue;
		err = ubpffs_prog_run(prog, block, sizeof(block), &ret);
		got[no_jit] = err ? err : (int64_t)ret;
		ubpffs_prog_put(prog);
	}
	assert_int_equal(got[0], got[1]);
	return got[0];
}

#define UNVERIFIED(engine, ...)                                        \
	run_unverified(engine, (const struct bpf_insn[]){__VA_ARGS__}, \
		       sizeof((const struct bpf_insn[]){__VA_ARGS__}) / sizeof(struct bpf_insn))

#define CALLX(reg) BPF_RAW_INSN(BPF_JMP | BPF_CALL | BPF_X, reg, 0, 0, 0)

static struct sigaction library_action;

static void unverified_by_name_only(void **state)
{
	struct sigaction cmockas;
	struct ubpffs_engine *engine = make_engine();
	const struct bpf_insn wide[] = {BPF_MOV64_IMM(0, 1), BPF_ALU64_IMM(BPF_LSH, 0, 68),
					BPF_EXIT_INSN()};
	const struct bpf_insn callx[] = {BPF_MOV64_IMM(2, 5), CALLX(2), BPF_EXIT_INSN()};
	struct ubpffs_load_opts opts = {.size = sizeof(opts), .run_unverified = true};
	struct bpf_prog *prog;

	assert_int_equal(load_raw(16, wide, COUNT(wide), NULL, &prog), -EINVAL);
	assert_int_equal(load_raw(16, callx, COUNT(callx), NULL, &prog), -EINVAL);
	assert_int_equal(load_type(BPF_PROG_TYPE_XDP, 0, wide, COUNT(wide), NULL, &opts, &prog),
			 -EINVAL);
	assert_int_equal(run_unverified(NULL, wide, COUNT(wide)), 16);
	/* the number of a helper of the host's in a register; and one of none */
	assert_int_equal(UNVERIFIED(engine, BPF_MOV64_IMM(2, 9), BPF_MOV64_IMM(6, SUM), CALLX(6),
				    BPF_EXIT_INSN()),
			 3);
	assert_int_equal(UNVERIFIED(engine, BPF_MOV64_IMM(6, UNKNOWN), CALLX(6), BPF_EXIT_INSN()),
			 -EINVAL);
	assert_int_equal(UNVERIFIED(NULL, BPF_MOV64_IMM(6, SUM), CALLX(6), BPF_EXIT_INSN()),
			 -EINVAL);
	/* what the engine could not run is refused all the same */
	assert_int_equal(UNVERIFIED(NULL, BPF_JMP_A(3), BPF_EXIT_INSN()), -EINVAL);
	assert_int_equal(UNVERIFIED(NULL, BPF_MOV64_IMM(0, 0)), -EINVAL);
	assert_int_equal(UNVERIFIED(NULL, BPF_MOV64_REG(0, 12), BPF_EXIT_INSN()), -EINVAL);
	assert_int_equal(UNVERIFIED(NULL, BPF_EMIT_CALL(BPF_FUNC_skb_load_bytes), BPF_EXIT_INSN()),
			 -EINVAL);
	/* an instruction that faults ends the run: the library's handler is there, not cmocka's */
	sigaction(SIGSEGV, &library_action, &cmockas);
	assert_int_equal(UNVERIFIED(NULL, BPF_MOV64_IMM(1, 64), BPF_LDX_MEM(BPF_DW, 0, 1, 0),
				    BPF_EXIT_INSN()),
			 -EIO);
	sigaction(SIGSEGV, &cmockas, NULL);
	ubpffs_engine_free(engine);
}

/* ---- what there is */

static void features_are_told(void **state)
{
	struct ubpffs_feature f = {.size = sizeof(f)};
	bool raw = false, hash = false, sockmap = false, lookup = false, xdp_adjust = false;
	uint32_t i;

	for (i = 0; !ubpffs_feature(i, &f); i++) {
		assert_non_null(f.name);
		raw |= f.kind == UBPFFS_FEATURE_PROG_TYPE && f.id == UBPFFS_PROG_TYPE_RAW &&
		       !strcmp(f.name, "raw");
		hash |= f.kind == UBPFFS_FEATURE_MAP_TYPE && !strcmp(f.name, "hash");
		sockmap |= f.kind == UBPFFS_FEATURE_MAP_TYPE && f.id == BPF_MAP_TYPE_SOCKMAP;
		lookup |= f.kind == UBPFFS_FEATURE_HELPER && f.prog_type == UBPFFS_PROG_TYPE_RAW &&
			  !strcmp(f.name, "bpf_map_lookup_elem");
		xdp_adjust |= f.kind == UBPFFS_FEATURE_HELPER &&
			      f.prog_type == BPF_PROG_TYPE_SCHED_CLS &&
			      f.id == BPF_FUNC_xdp_adjust_head;
		assert_int_not_equal(f.kind, UBPFFS_FEATURE_KFUNC);
	}
	assert_true(raw && hash && lookup && !sockmap && !xdp_adjust);
	assert_int_equal(ubpffs_feature(i, &f), -ENOENT);
	f.size = 0;
	assert_int_equal(ubpffs_feature(0, &f), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_rings_and_freezing),
		cmocka_unit_test(slots_of_maps_and_programs),
		cmocka_unit_test(arrays_in_a_file_that_others_map),
		cmocka_unit_test(types_of_maps_and_functions),
		cmocka_unit_test(results_say_what_came_of_a_load),
		cmocka_unit_test(loads_end_when_they_shall),
		cmocka_unit_test(classic_filters),
		cmocka_unit_test(images_are_loaded_again),
		cmocka_unit_test(contexts_go_in_and_out),
		cmocka_unit_test(runs_end_when_they_shall),
		cmocka_unit_test(helpers_of_ones_own_are_called_and_enforced),
		cmocka_unit_test(programs_outlive_the_set_of_their_helpers),
		cmocka_unit_test(prototypes_make_sense),
		cmocka_unit_test(unverified_by_name_only),
		cmocka_unit_test(features_are_told),
	};

	const struct bpf_insn two[] = {BPF_MOV64_IMM(0, 0), BPF_EXIT_INSN()};
	struct bpf_prog *prog;

	/* The first load installs it; cmocka then puts its own around each test. */
	if (!load_raw(0, two, 2, NULL, &prog))
		ubpffs_prog_put(prog);
	sigaction(SIGSEGV, NULL, &library_action);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
