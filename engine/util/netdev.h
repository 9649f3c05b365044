/*
 * netdev.h - an interface of the machine, as packets see it
 *
 * Asked of the kernel each time, about the network namespace of this process: a few system calls
 * that do not wait.
 */
#ifndef UBPFFS_UTIL_NETDEV_H
#define UBPFFS_UTIL_NETDEV_H

#include "util/types.h"

/*
 * The MAC address of an interface and its hardware type (ARPHRD_*). -ENODEV when there is none. if
 * 0 or 1: the loopback's, all zero.
 */
int bpf_netdev_address(u32 ifindex, u8 addr[6], u16 *hatype);
/* Is there such an interface? 0, -ENODEV, or why that cannot be said. */
int bpf_netdev_exists(u32 ifindex);
/* How long a packet may be, and the link header that is not counted in it. 0 or -ENODEV. */
int bpf_netdev_mtu(u32 ifindex, u32 *mtu, u32 *header);

#endif
