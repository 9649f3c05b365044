/*
 * listener.h - the cgroup of the socket that listens at a local TCP address, by sock_diag(7)
 *
 * A SYN-ACK leaves before its connection has a socket, so that nothing in nf_tables can tell its
 * cgroup; the listener can. One thread at a time.
 */
#ifndef UBPFFS_FS_ENFORCE_LISTENER_H
#define UBPFFS_FS_ENFORCE_LISTENER_H

#include "util/types.h"

struct mnl_socket;

struct listener {
	struct mnl_socket *nl;
	u32 seq;
};

int listener_open(struct listener *l);
/*
 * addr: 4 or 16 bytes by family, port in network order, ifindex of the interface that the packet
 * leaves by. 0: nobody listens there (any more), or the kernel does not tell (before 5.7).
 */
u64 listener_cgroup(struct listener *l, u8 family, const void *addr, u16 port, u32 ifindex);
void listener_close(struct listener *l); /* opened or zero */

#endif
