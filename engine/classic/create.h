/*
 * create.h - a runnable program from a classic filter
 */
#ifndef UBPFFS_CLASSIC_CREATE_H
#define UBPFFS_CLASSIC_CREATE_H

#include <linux/filter.h>
#include "util/log.h"

struct bpf_prog;

/* ---- load.c, or alone/alone.c in a build without CONFIG_BPF_SYSCALL */

/*
 * bpf_prog_create - check, convert, make runnable
 *
 * 0 and one reference in *out; -EINVAL when the checker refuses it, -ENOMEM. Run it inside
 * bpf_run_enter() with a struct bpf_skb as its context.
 */
int bpf_prog_create(const struct sock_filter *filter, u32 flen, struct bpf_log *log,
		    struct bpf_prog **out);
void bpf_prog_destroy(struct bpf_prog *prog);

#endif
