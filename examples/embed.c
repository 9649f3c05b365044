/*
 * embed.c - the engine inside a program of your own
 *
 * A filter that counts packets by protocol: made of instructions, verified, compiled, run on a
 * packet, and its map read back. Then the same filter without its null check, and why it is
 * refused.
 *
 *	make build/examples/embed && build/examples/embed
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/ubpffs_engine.h"
#include "uapi/bpf_insn.h"

/* r0 = counts[protocol of the packet]; if (r0) ++*r0; return 1 */
static const struct bpf_insn count[] = {
	BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct __sk_buff, protocol)),
	BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_2, -4),
	BPF_RAW_INSN(BPF_LD | BPF_IMM | BPF_DW, BPF_REG_1, BPF_PSEUDO_MAP_IDX, 0, 0),
	BPF_RAW_INSN(0, 0, 0, 0, 0),
	BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
	BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -4),
	BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
	BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 2),
	BPF_MOV64_IMM(BPF_REG_1, 1),
	BPF_ATOMIC_OP(BPF_DW, BPF_ADD, BPF_REG_0, BPF_REG_1, 0),
	BPF_MOV64_IMM(BPF_REG_0, 1),
	BPF_EXIT_INSN(),
};

#define NULL_CHECK 7 /* the instruction that tests what the lookup gave */

static int load(const struct bpf_insn *insns, unsigned int cnt, struct bpf_map *map, char **log,
		struct bpf_prog **prog)
{
	const struct ubpffs_prog_spec spec = {
		.type = BPF_PROG_TYPE_SOCKET_FILTER,
		.name = "count",
		.license = "BSD",
		.insns = insns,
		.insn_cnt = cnt,
		.maps = &map,
		.map_cnt = 1,
	};
	const struct ubpffs_load_opts opts = {.size = sizeof(opts), .log_level = 1};

	return ubpffs_prog_load(&spec, &opts, log, prog);
}

static int count_packets(struct bpf_prog *prog, struct bpf_map *map)
{
	unsigned char packet[64] = {[12] = 0x08, [13] = 0x00, [14] = 0x45}; /* Ethernet, IPv4 */
	struct ubpffs_test_run run = {
		.data_in = packet, .data_size_in = sizeof(packet), .repeat = 1000000};
	unsigned int key = 0x0008; /* ETH_P_IP in network order, as the field holds it */
	unsigned long long value;
	int err;

	err = ubpffs_prog_test_run(prog, &run);
	if (!err)
		err = ubpffs_map_lookup(map, &key, &value, 0);
	if (err)
		return err;
	printf("%s code: %llu IPv4 packets, %u ns each, the filter says %u\n",
	       ubpffs_prog_jited(prog) ? "native" : "interpreted", value, run.duration, run.retval);
	return 0;
}

int main(void)
{
	const struct ubpffs_map_spec spec = {
		.type = BPF_MAP_TYPE_HASH,
		.key_size = 4,
		.value_size = 8,
		.max_entries = 16,
		.name = "counts",
	};
	struct bpf_insn unsafe[sizeof(count) / sizeof(count[0])];
	unsigned int cnt = sizeof(count) / sizeof(count[0]), key = 0x0008;
	unsigned long long zero = 0;
	struct bpf_prog *prog = NULL;
	struct bpf_map *map;
	char *log = NULL;
	int err;

	err = ubpffs_map_create(&spec, &map);
	if (!err)
		err = ubpffs_map_update(map, &key, &zero, BPF_ANY);
	if (!err)
		err = load(count, cnt, map, &log, &prog);
	if (!err)
		err = count_packets(prog, map);
	if (err)
		fprintf(stderr, "embed: %s\n%s", strerror(-err), log ? log : "");
	free(log);
	ubpffs_prog_put(prog);
	if (err)
		return 1;

	memcpy(unsafe, count, sizeof(count));
	unsafe[NULL_CHECK] = BPF_JMP_A(0);
	err = load(unsafe, cnt, map, &log, &prog);
	printf("\nwithout the null check: %s\n%s", strerror(-err), log ? log : "");
	free(log);
	ubpffs_map_put(map);
	return err != -EACCES;
}
