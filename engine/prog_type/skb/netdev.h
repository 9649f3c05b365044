/*
 * netdev.h - an interface of the machine, as packets see it
 */
#ifndef UBPFFS_PROG_TYPE_SKB_NETDEV_H
#define UBPFFS_PROG_TYPE_SKB_NETDEV_H

#include "util/types.h"

/*
 * The MAC address of an interface and its hardware type (ARPHRD_*). -ENODEV when there is none. if
 * 0 or 1: the loopback's, all zero.
 */
int bpf_netdev_address(u32 ifindex, u8 addr[6], u16 *hatype);

#endif
