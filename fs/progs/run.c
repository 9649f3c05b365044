/*
 * run.c - see run.h
 *
 * What is written is the packet, byte for byte, in any number of writes. The first read after it
 * starts the run and gives the report; the close starts it when nobody has read, and does not wait
 * for it. A write after that begins the next packet. A fresh open that writes nothing reads the
 * caller's last report of this program. Positions in the file mean nothing but order: a shared
 * offset of one descriptor (exec 3<>run) works as well as pwrite and pread at 0.
 */
#include "fs/progs/run.h"
#include "fs/keeper/records.h"
#include "fs/lib/metrics.h"
#include "fs/work/cpu_limit.h"
#include "fs/progs/load/load_report.h"
#include "fs/store/node_object.h"
#include "fs/node/cancel.h"
#include "run/run.h"
#include "prog_type/cgroup_test_run.h"
#include "run/test_run.h"

#include <linux/pkt_cls.h>
#include <stdio.h>

#define PACKET_MIN    14 /* an Ethernet header */
#define PACKET_MAX    (64u << 10)
#define RUN_MAX_IN    (16u << 20)
#define RUN_MORE_ROOM 4096 /* what a program may add to a packet */
#define RUN_CLOSED_NS 250000000ULL /* processor time of a run that a close began */

struct run {
	struct bpf_prog *prog; /* NULL: the effective programs of cgrp */
	struct cgroup *cgrp;
	enum cgroup_bpf_attach_type type;
	u64 what; /* key of its reports */
	char *in;
	size_t in_len, in_cap;
	off_t in_base; /* file offset of the packet's first byte */
	bool has_input; /* written, and not run yet */
	bool used; /* something was written on this open: reads show its own report */
	enum report_state state;
	const struct cpu_limit *closed; /* the close began it */
	struct fs_text report;
	size_t report_held; /* bytes */
	size_t lost_len; /* of a report that another server had */
	bool reading;
	off_t out_base; /* file offset at which the report's reading began */
};

static int run_open(struct fs_open *open, struct fs_req *req)
{
	struct run *run = calloc(1, sizeof(*run));
	int err = run ? store_prog(open->node, req, &run->prog) : -ENOMEM;

	if (err) {
		free(run);
		return err;
	}
	run->what = run->prog->id;
	open->priv = run;
	return 0;
}

int run_open_cgroup(struct fs_open *open, struct cgroup *cgrp, enum cgroup_bpf_attach_type type)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run) {
		cgroup_put(cgrp);
		return -ENOMEM;
	}
	run->cgrp = cgrp;
	run->type = type;
	/* Ids of programs are 32 bits. */
	run->what = 1ULL << 63 | cgroup_id(cgrp) << 1 | type;
	open->priv = run;
	return 0;
}

static void run_move(struct fs_open *open, enum report_state to)
{
	struct run *run = open->priv;

	report_move(run->what, open->opener.uid, run->state, to);
	run->state = to;
}

ssize_t run_write(struct fs_open *open, struct fs_req *req, const char *buf, size_t len, off_t off)
{
	struct run *run = open->priv;
	size_t at, end;

	if (!len)
		return 0;
	if (!run->has_input) { /* the next packet */
		run->in_len = 0;
		run->in_base = off;
		run->reading = false;
	}
	if (off < run->in_base || off - run->in_base > (off_t)run->in_len)
		return fs_error(req, EINVAL, "a packet is written from its start, without gaps");
	at = off - run->in_base;
	end = at + len;
	if (end > RUN_MAX_IN)
		return fs_error(req, EFBIG, "a packet has at most %u bytes", RUN_MAX_IN);
	if (end > run->in_cap) {
		size_t cap = max(end, min(run->in_cap * 2, (size_t)RUN_MAX_IN));
		char *in;
		int err = fs_open_hold(open, cap - run->in_cap, fs_why(req));

		if (err)
			return err;
		in = realloc(run->in, cap);
		if (!in) {
			fs_open_let(open, cap - run->in_cap);
			return -ENOMEM;
		}
		run->in = in;
		run->in_cap = cap;
	}
	memcpy(run->in + at, buf, len);
	run->in_len = max(run->in_len, end);
	run->has_input = run->used = true;
	return len;
}

/* Where the packet would have gone. */
static void show_redirect(const struct bpf_redirect *r, struct fs_text *out)
{
	if (r->to == BPF_REDIRECT_ALL)
		fs_text_printf(out, "redirect: all");
	else if (r->to == BPF_REDIRECT_CPU)
		fs_text_printf(out, "redirect: cpu %u", r->target);
	else
		fs_text_printf(out, "redirect: ifindex %u%s", r->target,
			       r->to == BPF_REDIRECT_NEIGH		? " neigh"
			       : r->to == BPF_REDIRECT_PEER		? " peer"
			       : r->flags & BPF_F_INGRESS && !r->map_id ? " ingress"
									: "");
	if (r->map_id)
		fs_text_printf(out, " map %u key %u", r->map_id, r->key);
	fs_text_append(out, "\n", 1);
}

static bool is_redirected(const struct bpf_prog *prog, const struct bpf_test_run *args)
{
	if (!prog || args->redirect.to == BPF_REDIRECT_NOWHERE)
		return false;
	return args->retval ==
	       (prog->type == BPF_PROG_TYPE_XDP ? (u32)XDP_REDIRECT : (u32)TC_ACT_REDIRECT);
}

static void show_report(const struct bpf_prog *prog, const struct bpf_test_run *args,
			struct fs_text *out)
{
	fs_text_printf(out, "retval: %u\nduration_ns: %u\n", args->retval, args->duration);
	if (is_redirected(prog, args))
		show_redirect(&args->redirect, out);
	if (args->redirect.clone)
		fs_text_printf(out, "clone_redirect: ifindex %u\n", args->redirect.clone);
	fs_text_printf(out, "data_out: ");
	fs_text_hex(out, args->data_out, args->data_size_out, "");
	fs_text_append(out, "\n", 1);
}

static bool has_block(const struct run *run)
{
	return run->prog && (u32)run->prog->type == BPF_PROG_TYPE_RAW;
}

static int run_error(struct fs_req *req, struct run *run, int err)
{
	const char *type =
		bpf_prog_type_name(run->prog ? run->prog->type : BPF_PROG_TYPE_CGROUP_SKB);

	if (err == -EINVAL && has_block(run))
		return fs_error(req, EINVAL,
				"%zu bytes do not fit into the block of %u bytes that the program "
				"works on",
				run->in_len, bpf_prog_block_size(run->prog));
	if (err == -EINVAL)
		return fs_error(req, EINVAL,
				"%zu bytes are no input for a %s program (an Ethernet frame has at "
				"least 14, and here at most 65536)",
				run->in_len, type);
	if (err == -EOPNOTSUPP)
		return fs_error(req, EOPNOTSUPP, "this build has no test run for %s", type);
	if (err == -EINTR && run->closed && cpu_limit_over(run->closed))
		return fs_error(
			req, EDQUOT,
			"a run that close begins gets %llu ms of processor time: read the report "
			"from the descriptor that the packet was written to, which waits for it",
			RUN_CLOSED_NS / 1000000);
	if (err == -EINTR)
		return fs_cancel_error(req);
	return fs_error(req, -err, "the run failed: %s", strerror(-err));
}

static void report_drop(struct fs_open *open)
{
	struct run *run = open->priv;

	fs_open_let(open, run->report_held);
	run->report_held = 0;
	fs_text_free(&run->report);
}

/* It is kept until the next one. */
static int report_keep(struct fs_open *open, struct error_record *why)
{
	struct run *run = open->priv;
	int err = run->report.err ? run->report.err : fs_open_hold(open, run->report.cap, why);

	if (err)
		fs_text_free(&run->report);
	else
		run->report_held = run->report.cap;
	return err;
}

/* Run what was written; the report is kept for this open and for the caller's later ones. */
static int run_start(struct fs_open *open, struct fs_req *req)
{
	struct run *run = open->priv;
	struct bpf_test_run args = {.cancel = &req->cancel, .repeat = 1};
	struct fs_text copy = {0};
	int err;

	run_move(open, REPORT_RUNNING);
	report_drop(open);
	run->lost_len = 0;
	args.data_in = run->in;
	args.data_size_in = run->in_len;
	args.data_size_out = has_block(run) ? bpf_prog_block_size(run->prog)
					    : run->in_len + RUN_MORE_ROOM;
	args.data_out = malloc(args.data_size_out);
	if (!args.data_out)
		err = -ENOMEM;
	else if (run->prog)
		err = bpf_prog_test_run(run->prog, &args);
	else
		err = cgroup_bpf_test_run(run->cgrp, run->type, &args);
	fs_count(runs); /* what it did is there to be seen */
	run->has_input = false;
	if (err) {
		err = run_error(req, run, err);
		fs_text_printf(&copy, "error: %s\n", error_why(&req->error, err));
	} else {
		show_report(run->prog, &args, &run->report);
		fs_text_append(&copy, run->report.buf, run->report.len);
		err = report_keep(open, fs_why(req));
	}
	free(args.data_out);
	report_set(run->what, open->opener.uid, &copy);
	run_move(open, REPORT_NONE);
	return err;
}

ssize_t run_read(struct fs_open *open, struct fs_req *req, char *buf, size_t len, off_t off)
{
	struct run *run = open->priv;
	size_t at;
	int err = 0;

	if (run->has_input) {
		err = run_start(open, req);
		run->reading = false;
	} else if (!run->used && (!run->reading || !off)) {
		report_wait(run->what, open->opener.uid, &req->cancel);
		report_drop(open);
		report_get(run->what, open->opener.uid, &run->report);
		err = report_keep(open, fs_why(req));
	}
	if (err)
		return err;
	if (!run->reading || off < run->out_base) {
		run->reading = true;
		run->out_base = off;
	}
	at = off - run->out_base;
	if (at >= run->report.len && at >= run->lost_len)
		return 0;
	if (at >= run->report.len)
		return fs_error(req, EIO,
				"the server was replaced, and the report with it: run it again");
	len = min(len, run->report.len - at);
	memcpy(buf, run->report.buf + at, len);
	return len;
}

/* What no run takes, whatever its program: the close that begins the run says so. */
static bool is_no_packet(const struct run *run)
{
	if (run->prog && run->prog->type == BPF_PROG_TYPE_PERF_EVENT)
		return run->in_len;
	if (has_block(run))
		return run->in_len > bpf_prog_block_size(run->prog);
	return run->in_len < PACKET_MIN || run->in_len > PACKET_MAX;
}

/*
 * One of the descriptors was closed, perhaps the last: a reader that comes now waits for the run.
 */
int run_flush(struct fs_open *open, struct fs_req *req)
{
	struct run *run = open->priv;

	if (run->has_input && run->state == REPORT_NONE)
		run_move(open, REPORT_CLOSED);
	return run->has_input && is_no_packet(run) ? run_error(req, run, -EINVAL) : 0;
}

enum { KEPT_FLAGS, KEPT_IN_BASE, KEPT_OUT_BASE, KEPT_IN_LEN, KEPT_OUT_LEN, KEPT_BYTES };
enum { FLAG_USED = 1, FLAG_READING = 2, FLAG_INPUT = 4 };

#define KEPT_ROOM ((KEPT_WORDS - KEPT_BYTES) * sizeof(u64))

/* A packet that was not run, or else the report, when it is small. */
void run_keep(struct fs_open *open, struct kept *kept)
{
	const struct run *run = open->priv;

	kept->v[KEPT_FLAGS] = (run->used ? FLAG_USED : 0) | (run->reading ? FLAG_READING : 0) |
			      (run->has_input ? FLAG_INPUT : 0);
	kept->v[KEPT_IN_BASE] = (u64)run->in_base;
	kept->v[KEPT_OUT_BASE] = (u64)run->out_base;
	kept->v[KEPT_IN_LEN] = run->has_input ? run->in_len : 0;
	kept->v[KEPT_OUT_LEN] = run->report.len;
	kept->lost = run->has_input && run->in_len > KEPT_ROOM;
	if (run->has_input && !kept->lost)
		memcpy(kept->v + KEPT_BYTES, run->in, run->in_len);
	else if (!run->has_input && run->report.len && run->report.len <= KEPT_ROOM)
		memcpy(kept->v + KEPT_BYTES, run->report.buf, run->report.len);
}

/* Without memory the packet or the report is lost. */
void run_restore(struct fs_open *open, const struct kept *kept)
{
	size_t in_len = min(kept->v[KEPT_IN_LEN], KEPT_ROOM);
	const char *bytes = (const char *)(kept->v + KEPT_BYTES);
	struct run *run = open->priv;

	run->used = kept->v[KEPT_FLAGS] & FLAG_USED;
	run->reading = kept->v[KEPT_FLAGS] & FLAG_READING;
	run->out_base = (off_t)kept->v[KEPT_OUT_BASE];
	run->in_base = (off_t)kept->v[KEPT_IN_BASE];
	run->lost_len = kept->v[KEPT_OUT_LEN];
	if (kept->v[KEPT_FLAGS] & FLAG_INPUT && !fs_open_hold(open, in_len, NULL)) {
		run->in = malloc(in_len ? in_len : 1);
		if (!run->in) {
			fs_open_let(open, in_len);
			return;
		}
		memcpy(run->in, bytes, in_len);
		run->in_len = run->in_cap = in_len;
		run->has_input = true;
	} else if (run->lost_len && run->lost_len <= KEPT_ROOM) {
		fs_text_append(&run->report, bytes, run->lost_len);
		if (!report_keep(open, NULL))
			run->lost_len = 0;
	}
}

enum limit run_is_long(struct fs_open *open, enum job_what what)
{
	const struct run *run = open->priv;

	return what != JOB_WRITE && run->has_input ? LIMIT_RUN_SECONDS : LIMIT_CNT;
}

/* Nobody waits for it, and nobody can interrupt it: that is for short runs. */
void run_release(struct fs_open *open)
{
	struct fs_req req = {.cred = open->opener, .op = "close", .node = open->node};
	struct run *run = open->priv;
	struct watch watch = {0};
	struct cpu_limit cpu_limit;

	if (run->has_input) {
		watch_add(&watch, &req, NULL); /* the server may end */
		cpu_limit_begin(&cpu_limit, CPU_LIMIT_RUN, RUN_CLOSED_NS, &req.cancel);
		run->closed = &cpu_limit;
		run_start(open, &req);
		fs_error_report(&req);
		cpu_limit_end(&cpu_limit);
		watch_remove(&watch);
	}
	run_move(open, REPORT_NONE);
	if (run->prog)
		bpf_prog_put(run->prog);
	cgroup_put(run->cgrp);
	fs_text_free(&run->report);
	free(run->in);
	free(run);
}

const struct fs_node_ops run_ops = {
	.name = "run",
	.type = S_IFREG,
	.slow = true,
	.is_long = run_is_long,
	.fresh = true,
	.open = run_open,
	.read = run_read,
	.write = run_write,
	.flush = run_flush,
	.release = run_release,
	.keep = run_keep,
	.restore = run_restore,
};
