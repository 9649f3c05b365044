/*
 * diff_lru.c - which entries an LRU map keeps: ours, the running kernel's and a perfect LRU on the
 * same trace
 *
 * The test of the kernel's patch series, rebuilt: a program looks keys up as Zipf's law brings
 * them, and inserts what it does not find. Ours may miss at most 2 % more often than a perfect LRU.
 * The kernel's figure is shown beside it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "load.h"
#include "map/map.h"
#include "run/test_run.h"
#include "tests/lib/kernel.h"
#include "tests/lib/lru_model.h"
#include "uapi/bpf_insn.h"
#include "map/create.h"
#include "map/syscall.h"

#define BATCH 2048

struct both {
	struct bpf_map *maps[2]; /* the keys of a batch, the LRU map */
	int fds[2];
	struct bpf_prog *prog;
	int prog_fd;
};

/* Returns how many keys of the batch it did not find. */
static void load_programs(struct both *b)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(8, 0),
		BPF_MOV64_IMM(9, 0),
		BPF_LD_MAP_IDX_VALUE(7, 0, 0),
		BPF_MOV64_REG(1, 9), /* the loop */
		BPF_ALU64_IMM(BPF_LSH, 1, 2),
		BPF_ALU64_REG(BPF_ADD, 1, 7),
		BPF_LDX_MEM(BPF_W, 2, 1, 0),
		BPF_STX_MEM(BPF_W, 10, 2, -4),
		BPF_LD_MAP_IDX(1, 1),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JNE, 0, 0, 10),
		BPF_ALU64_IMM(BPF_ADD, 8, 1),
		BPF_ST_MEM(BPF_DW, 10, -16, 0),
		BPF_LD_MAP_IDX(1, 1),
		BPF_MOV64_REG(2, 10),
		BPF_ALU64_IMM(BPF_ADD, 2, -4),
		BPF_MOV64_REG(3, 10),
		BPF_ALU64_IMM(BPF_ADD, 3, -16),
		BPF_MOV64_IMM(4, 0),
		BPF_EMIT_CALL(BPF_FUNC_map_update_elem),
		BPF_ALU64_IMM(BPF_ADD, 9, 1),
		BPF_JMP_IMM(BPF_JLT, 9, BATCH, -23),
		BPF_MOV64_REG(0, 8),
		BPF_EXIT_INSN(),
	};
	struct bpf_prog_load_attr attr = {.prog_type = BPF_PROG_TYPE_SCHED_CLS,
					  .name = "lru",
					  .license = "GPL",
					  .insns = insns,
					  .insn_cnt = ARRAY_SIZE(insns),
					  .maps = b->maps,
					  .map_cnt = 2};
	struct bpf_log log;

	bpf_log_init(&log, 0, 0);
	if (bpf_prog_load(&attr, NULL, &log, NULL, &b->prog))
		fail_msg("%s", bpf_log_text(&log));
	bpf_log_free(&log);
	b->prog_fd = kernel_prog_load(&attr, b->fds, 0, NULL, 0);
	assert_true(b->prog_fd >= 0);
}

static void both_open(struct both *b, u32 max_entries)
{
	const struct bpf_map_spec specs[] = {
		{.map_type = BPF_MAP_TYPE_ARRAY,
		 .key_size = 4,
		 .value_size = BATCH * 4,
		 .max_entries = 1},
		{.map_type = BPF_MAP_TYPE_LRU_HASH,
		 .key_size = 4,
		 .value_size = 8,
		 .max_entries = max_entries},
	};

	for (u32 i = 0; i < 2; i++) {
		assert_int_equal(bpf_map_create(&specs[i], 0, -1, -1, &b->maps[i]), 0);
		b->fds[i] = kernel_map_create(&specs[i]);
		assert_true(b->fds[i] >= 0);
	}
	load_programs(b);
}

static void both_close(struct both *b)
{
	bpf_prog_put(b->prog);
	close(b->prog_fd);
	for (u32 i = 0; i < 2; i++) {
		bpf_map_put(b->maps[i]);
		close(b->fds[i]);
	}
}

static void quality(u32 max_entries, u32 keys, double exponent, u32 accesses)
{
	u64 kernel = 0, ours = 0, best = 0;
	static u32 batch[BATCH];
	struct perfect_lru p;
	struct both b;
	struct zipf z;
	u32 zero = 0;

	both_open(&b, max_entries);
	perfect_lru_init(&p, keys, max_entries);
	zipf_init(&z, keys, exponent, 11);
	for (u32 done = 0; done < accesses; done += BATCH) {
		u8 packet[64] = {0};
		struct bpf_test_run run = {.data_in = packet, .data_size_in = sizeof(packet)};

		for (u32 i = 0; i < BATCH; i++) {
			batch[i] = zipf_next(&z);
			best += !perfect_lru_access(&p, batch[i]);
		}
		assert_int_equal(bpf_map_update(b.maps[0], &zero, batch, 0), 0);
		assert_int_equal(kernel_map_update(b.fds[0], &zero, batch, 0), 0);
		assert_int_equal(bpf_prog_test_run(b.prog, &run), 0);
		ours += run.retval;
		assert_int_equal(kernel_test_run(b.prog_fd, &run), 0);
		kernel += run.retval;
	}
	print_message(
		"%6u entries, %6u keys, exponent %.2f: misses over a perfect LRU's: ours %.4f, "
		"the kernel's %.4f\n",
		max_entries, keys, exponent, (double)ours / (double)best,
		(double)kernel / (double)best);
	zipf_free(&z);
	perfect_lru_free(&p);
	both_close(&b);
	assert_true((double)ours <= (double)best * 1.02);
}

static void test_misses_near_perfect(void **state)
{
	quality(1000, 10000, 0.99, 400000);
	quality(4000, 40000, 0.99, 800000);
	quality(10000, 100000, 0.8, 800000);
	quality(10000, 40000, 1.2, 800000);
	quality(100, 1000, 0.99, 200000);
	quality(32768, 300000, 0.99, 800000);
}

int main(void)
{
	struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_misses_near_perfect, kernel_needed),
	};

	kernel_or_skip_some(tests, ARRAY_SIZE(tests));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
