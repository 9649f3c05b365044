/*
 * classic_kernel.h - classic programs on sockets of the running kernel, as an oracle for tests
 *
 * A datagram between two AF_UNIX sockets is all that a filter sees there. A frame through the
 * loopback of a network namespace of our own is what a packet socket sees: link and network
 * headers, a device, VLAN tags.
 */
#ifndef UBPFFS_TESTS_CLASSIC_KERNEL_H
#define UBPFFS_TESTS_CLASSIC_KERNEL_H

#include <linux/filter.h>
#include "util/types.h"

struct classic_kernel {
	int tx, rx;
};

int classic_kernel_unix(struct classic_kernel *k); /* 0 or -errno */
/* Moves the calling thread into a new network namespace: needs root. */
int classic_kernel_loopback(struct classic_kernel *k);
void classic_kernel_close(struct classic_kernel *k);

/* SO_ATTACH_FILTER: 0 or -errno. */
int classic_kernel_attach(const struct classic_kernel *k, const struct sock_filter *insns, u32 cnt);
/* Bytes kept of a packet by what is attached; 0: dropped. */
u32 classic_kernel_run(const struct classic_kernel *k, const void *data, u32 len);

/*
 * Does the program return exactly `want` there? A socket shows only whether, and how much of, a
 * packet passes, so the program is changed to say: each RET compares. At most BPF_MAXINSNS - 3
 * instructions. The packet is not empty. 1, 0, or -errno when it is refused.
 */
int classic_kernel_returns(const struct classic_kernel *k, const struct sock_filter *insns, u32 cnt,
			   const void *data, u32 len, u32 want);

#endif
