/*
 * client.c - the mini client library: a map and a program on a mounted ubpffs, by descriptors
 *
 * Makes an array, loads a socket filter that counts packets by IP protocol in it, pushes packets
 * through, reads the counts, and shows what the verifier says about a program that is wrong.
 *
 *	build/ubpffs /tmp/bpf && UBPFFS_MOUNT=/tmp/bpf build/examples/client
 */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "run/test_run.h"
#include "uapi/bpf_client.h"
#include "uapi/bpf_insn.h"

static int load_counter(int map_fd)
{
	struct bpf_insn prog[] = {
		BPF_MOV64_REG(BPF_REG_6, BPF_REG_1), /* LD_ABS wants the context in r6 */
		BPF_LD_ABS(BPF_B, (int)offsetof(struct iphdr, protocol)),
		BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_0, -4), /* key = protocol */
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -4),
		BPF_LD_MAP_FD(BPF_REG_1, map_fd),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_JMP_IMM(BPF_JEQ, BPF_REG_0, 0, 2),
		BPF_MOV64_IMM(BPF_REG_1, 1),
		BPF_ATOMIC_OP(BPF_DW, BPF_ADD, BPF_REG_0, BPF_REG_1, 0),
		BPF_MOV64_IMM(BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, prog, sizeof(prog), "GPL");
}

/* The same without asking whether the lookup found anything. */
static int load_unsafe(int map_fd)
{
	struct bpf_insn prog[] = {
		BPF_LDX_MEM(BPF_W, BPF_REG_2, BPF_REG_1, offsetof(struct __sk_buff, len)),
		BPF_STX_MEM(BPF_W, BPF_REG_10, BPF_REG_2, -4), /* a key of unknown size */
		BPF_MOV64_REG(BPF_REG_2, BPF_REG_10),
		BPF_ALU64_IMM(BPF_ADD, BPF_REG_2, -4),
		BPF_LD_MAP_FD(BPF_REG_1, map_fd),
		BPF_EMIT_CALL(BPF_FUNC_map_lookup_elem),
		BPF_LDX_MEM(BPF_DW, BPF_REG_0, BPF_REG_0, 0),
		BPF_EXIT_INSN(),
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, prog, sizeof(prog), "GPL");
}

static int push(int prog_fd, int protocol)
{
	struct __attribute__((packed)) {
		struct ethhdr eth;
		struct iphdr ip;
	} packet = {.eth.h_proto = __builtin_bswap16(ETH_P_IP),
		    .ip = {.version = 4, .ihl = 5, .protocol = (__u8)protocol}};

	return bpf_prog_test_run(prog_fd, 1, &packet, sizeof(packet), NULL, NULL, NULL, NULL);
}

int main(void)
{
	static const int protocols[] = {6, 6, 6, 17, 17, 1};
	unsigned long long value;
	unsigned int key;
	int map_fd, prog_fd;
	size_t i;

	map_fd = bpf_create_map(BPF_MAP_TYPE_ARRAY, sizeof(key), sizeof(value), 256, 0);
	if (map_fd < 0) {
		fprintf(stderr, "map: %s\n", strerror(errno));
		return 1;
	}
	prog_fd = load_counter(map_fd);
	if (prog_fd < 0) {
		fprintf(stderr, "program: %s\n%s", strerror(errno), bpf_log_buf);
		return 1;
	}
	for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (push(prog_fd, protocols[i])) {
			perror("run");
			return 1;
		}
	for (key = 0; key < 256; key++)
		if (!bpf_lookup_elem(map_fd, &key, &value) && value)
			printf("protocol %u: %llu\n", key, value);
	if (load_unsafe(map_fd) >= 0) {
		fprintf(stderr, "the unsafe program was accepted\n");
		return 1;
	}
	printf("the unsafe one: %s\n%s", strerror(errno), bpf_log_buf);
	close(prog_fd);
	close(map_fd);
	return 0;
}
