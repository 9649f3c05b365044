/*
 * skb_test_run.h - test runs of the types whose context is a packet
 */
#ifndef UBPFFS_PROG_TYPE_SKB_SKB_TEST_RUN_H
#define UBPFFS_PROG_TYPE_SKB_SKB_TEST_RUN_H

#include "prog_type/skb/skb.h"
#include "run/test_run.h"

int bpf_skb_test_run(struct bpf_prog *prog, struct bpf_test_run *run);
/* The same for whatever runs on the packet: loop() is called once with the prepared context. */
int __bpf_skb_test_run(enum bpf_prog_type type, struct bpf_test_run *run,
		       int (*loop)(void *priv, struct bpf_skb *skb, struct bpf_test_run *run),
		       void *priv);

#endif
