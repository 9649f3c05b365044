/*
 * helper.c - rules of a host as programs: its own memory, its own helper
 *
 * Each order goes through the rules, which read and change it where it is and ask the host what a
 * customer has spent. A rule that calls the helper with too much is refused, and why.
 *
 *	build/examples/helper build/examples/score.bpf.o
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "engine/ubpffs_engine.h"
#include "examples/order.h"
#include "uapi/bpf_insn.h"

/* The verifier saw to it that there are len bytes at `customer`; that they end is ours to see. */
static uint64_t spent_by(uint64_t customer, uint64_t len, uint64_t r3, uint64_t r4, uint64_t r5)
{
	const char *name = (const char *)(uintptr_t)customer;

	(void)r3, (void)r4, (void)r5;
	return len >= 5 && !strncmp(name, "agnes", 5) ? 1500 : 0;
}

static const struct ubpffs_helper helper = {
	.size = sizeof(helper),
	.id = HELPER_SPENT_BY,
	.name = "spent_by",
	.func = spent_by,
	.arg = {UBPFFS_ARG_MEM, UBPFFS_ARG_SIZE},
	.ret = UBPFFS_RET_NUMBER,
};

static void *read_file(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	char *data = malloc(1 << 20);

	*size = f && data ? fread(data, 1, 1 << 20, f) : 0;
	if (f)
		fclose(f);
	return data;
}

static int run_rules(struct bpf_prog *rules)
{
	struct order orders[] = {
		{"agnes", 100, 0}, {"agnes", 900, 0}, {"bert", 900, 0}, {"bert", 3000, 0}};

	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct order *o = &orders[i];
		uint64_t take;
		int err = ubpffs_prog_run(rules, o, sizeof(*o), &take);

		if (err)
			return err;
		printf("%s %u: %s, %u%%\n", o->customer, o->amount, take ? "taken" : "refused",
		       o->discount);
	}
	return 0;
}

/* The size does not fit what is behind the address. */
static int load_wrong_rule(struct ubpffs_engine *engine, struct ubpffs_verdict *verdict)
{
	const struct bpf_insn insns[] = {
		BPF_MOV64_IMM(BPF_REG_2, sizeof(struct order) + 1),
		BPF_EMIT_CALL(HELPER_SPENT_BY),
		BPF_EXIT_INSN(),
	};
	const struct ubpffs_prog_spec spec = {
		.type = UBPFFS_PROG_TYPE_RAW,
		.expected_attach_type = sizeof(struct order),
		.name = "wrong",
		.insns = insns,
		.insn_cnt = sizeof(insns) / sizeof(insns[0]),
	};
	const struct ubpffs_load_opts opts = {
		.size = sizeof(opts), .engine = engine, .verdict = verdict};
	struct bpf_prog *prog;
	int err = ubpffs_prog_load(&spec, &opts, NULL, &prog);

	ubpffs_prog_put(prog);
	return err;
}

int main(int argc, char **argv)
{
	struct ubpffs_verdict verdict = {.size = sizeof(verdict)};
	struct ubpffs_load_opts opts = {.size = sizeof(opts)};
	struct ubpffs_object *rules = NULL;
	size_t size;
	void *elf;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: helper OBJECT\n");
		return 2;
	}
	elf = read_file(argv[1], &size);
	err = ubpffs_engine_new(&opts.engine);
	if (!err)
		err = ubpffs_engine_add_helper(opts.engine, &helper);
	if (!err)
		err = ubpffs_object_load(elf, size, &opts, &rules);
	free(elf);
	if (!err)
		err = run_rules(ubpffs_object_prog(rules, "score"));
	if (err) {
		fprintf(stderr, "helper: %s\n%s", strerror(-err), ubpffs_object_report(rules));
		return 1;
	}
	ubpffs_object_free(rules);
	err = load_wrong_rule(opts.engine, &verdict);
	printf("a wrong rule: %s (%s)\n", verdict.reason ? verdict.reason : "taken",
	       strerror(-err));
	ubpffs_verdict_free(&verdict);
	ubpffs_engine_free(opts.engine);
	return err != -EACCES;
}
