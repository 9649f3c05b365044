/*
 * both.c - running a program twice
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>
#include "run/test_run.h"
#include "tests/lib/both.h"

struct outcome {
	int err;
	u32 retval, data_size, ctx_size;
	u8 data[BOTH_OUT_MAX], ctx[256];
};

u32 both_differ;
u64 both_compared;

void both_load(struct both *b, enum bpf_prog_type type, enum bpf_attach_type attach,
	       const struct bpf_insn *insns, u32 cnt)
{
	const struct bpf_prog_load_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach,
		.license = "GPL",
		.insns = insns,
		.insn_cnt = cnt,
	};
	static char text[65536];
	struct bpf_log log;
	int err;

	text[0] = 0;
	b->fd = kernel_prog_load(&attr, NULL, 1, text, sizeof(text));
	if (b->fd < 0)
		fail_msg("the kernel refuses: %s", text);
	bpf_log_init(&log, 1, 0);
	err = bpf_prog_load(&attr, &log, &log, NULL, &b->prog);
	if (err)
		fail_msg("we refuse: %s", bpf_log_text(&log));
	bpf_log_free(&log);
}

void both_free(struct both *b)
{
	close(b->fd);
	bpf_prog_put(b->prog);
}

static void run_one(struct bpf_prog *prog, int fd, const struct bpf_test_run *base,
		    struct outcome *out)
{
	struct bpf_test_run run = *base;

	memset(out->data, 0xaa, sizeof(out->data));
	memset(out->ctx, 0xaa, sizeof(out->ctx));
	run.data_out = base->data_size_out ? out->data : NULL;
	run.ctx_out = base->ctx_size_out ? out->ctx : NULL;
	out->err = prog ? bpf_prog_test_run(prog, &run) : kernel_test_run(fd, &run);
	out->retval = run.retval;
	out->data_size = run.data_size_out;
	out->ctx_size = run.ctx_size_out;
}

static void dump(const char *who, const struct outcome *o)
{
	print_error("    %s: err %d retval 0x%x size %u data", who, o->err, o->retval,
		    o->data_size);
	for (u32 i = 0; i < min(o->data_size, 40u); i++)
		print_error(" %02x", o->data[i]);
	print_error(" ctx");
	for (u32 i = 0; i < min(o->ctx_size, 256u); i += 4) {
		u32 word;

		memcpy(&word, o->ctx + i, 4);
		if (word)
			print_error(" [%u]=%x", i, word);
	}
	print_error("\n");
}

void both_compare(const struct both *b, const struct bpf_test_run *run, const char *what,
		  const char *input)
{
	static struct outcome k, o;
	bool same;

	run_one(NULL, b->fd, run, &k);
	run_one(b->prog, -1, run, &o);
	both_compared++;
	same = k.err == o.err;
	if (same && (!k.err || k.err == -ENOSPC))
		same = k.retval == o.retval && k.data_size == o.data_size &&
		       !memcmp(k.data, o.data, sizeof(k.data));
	if (same && !k.err)
		same = k.ctx_size == o.ctx_size && !memcmp(k.ctx, o.ctx, sizeof(k.ctx));
	if (same)
		return;
	if (both_differ++ < 40) {
		print_error("%s on %s differs\n", what, input);
		dump("kernel", &k);
		dump("we", &o);
	}
}
