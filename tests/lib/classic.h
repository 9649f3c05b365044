/*
 * classic.h - running classic programs: here, and on sockets of the running kernel
 */
#ifndef UBPFFS_TESTS_CLASSIC_H
#define UBPFFS_TESTS_CLASSIC_H

#include "classic/classic.h"
#include "run/run.h"
#include "prog_type/skb/skb.h"

#define CLASSIC_MARK 0x2345678u /* what frames on the loopback are marked with */

/* The packet is all there is: no link header, no device. */
u32 classic_run(const struct bpf_prog *prog, const void *data, u32 len);
/* A frame as it comes in on the loopback, seen by a packet socket. */
u32 classic_run_frame(const struct bpf_prog *prog, const void *frame, u32 len);

/* Check, convert, run once. -1: refused. */
s64 classic_once(const struct sock_filter *insns, u32 cnt, const void *data, u32 len);

#endif
