/*
 * run_bytes.c - runs instructions that come as hexadecimal bytes on a block of memory
 *
 * The instructions are read from standard input, the block is the first argument; R1 is its
 * address, R2 its size. Prints R0. That is what test suites of instruction sets ask for.
 *
 *	echo '71 10 02 00 00 00 00 00 95 00 00 00 00 00 00 00' | build/examples/run_bytes 'aa bb 11'
 *
 * -i: in the interpreter. -u: without a proof, so that also what no verifier admits runs.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "engine/ubpffs_engine.h"
#include "uapi/bpf_insn.h"

#define MAX_INSNS 65536
#define MAX_BLOCK 65536

/* Bytes of two digits with blanks between them, into out. -1: something else, or too many. */
static long read_hex(const char *text, unsigned char *out, size_t max)
{
	size_t n = 0;

	while (*(text += strspn(text, " \n\t"))) {
		char *end;
		unsigned long byte = strtoul(text, &end, 16);

		if (end == text || end - text > 2 || n == max)
			return -1;
		out[n++] = (unsigned char)byte;
		text = end;
	}
	return (long)n;
}

/* After an instruction that puts the size into R2. */
static long read_program(struct bpf_insn *insns, unsigned int block_size)
{
	static char text[MAX_INSNS * sizeof(struct bpf_insn) * 3 + 1];
	size_t len = fread(text, 1, sizeof(text) - 1, stdin);
	long bytes;

	text[len] = 0;
	insns[0] = BPF_MOV64_IMM(BPF_REG_2, (int)block_size);
	bytes = read_hex(text, (unsigned char *)(insns + 1), (MAX_INSNS - 1) * sizeof(*insns));
	if (bytes <= 0 || bytes % (long)sizeof(*insns))
		return -1;
	return 1 + bytes / (long)sizeof(*insns);
}

int main(int argc, char **argv)
{
	static struct bpf_insn insns[MAX_INSNS];
	static unsigned char block[MAX_BLOCK] __attribute__((aligned(8)));
	struct ubpffs_load_opts opts = {.size = sizeof(opts)};
	struct ubpffs_prog_spec spec = {
		.type = UBPFFS_PROG_TYPE_RAW, .name = "bytes", .license = "GPL", .insns = insns};
	struct bpf_prog *prog;
	long size = 0, cnt;
	char *report = NULL;
	uint64_t ret;
	int opt, err;

	while ((opt = getopt(argc, argv, "iu")) != -1) {
		if (opt == 'i')
			opts.no_jit = true;
		else if (opt == 'u')
			opts.run_unverified = true;
		else
			return 2;
	}
	if (optind < argc)
		size = read_hex(argv[optind], block, sizeof(block));
	cnt = size < 0 ? -1 : read_program(insns, (unsigned int)size);
	if (cnt < 0) {
		fprintf(stderr, "run_bytes: these are no bytes of instructions, or of a block\n");
		return 2;
	}
	spec.insn_cnt = (unsigned int)cnt;
	spec.expected_attach_type = (unsigned int)size;
	err = ubpffs_prog_load(&spec, &opts, &report, &prog);
	if (!err)
		err = ubpffs_prog_run(prog, block, (size_t)size, &ret);
	if (err)
		fprintf(stderr, "run_bytes: %s\n%s", strerror(-err), report ? report : "");
	else
		printf("%llx\n", (unsigned long long)ret);
	free(report);
	ubpffs_prog_put(prog);
	return !!err;
}
