/*
 * netdev.c - an interface's address and type, asked of the kernel
 */
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "prog_type/skb/netdev.h"

int bpf_netdev_address(u32 ifindex, u8 addr[6], u16 *hatype)
{
	struct ifreq ifr = {.ifr_ifindex = (int)ifindex};
	__do_close int fd = -1;

	memset(addr, 0, 6);
	*hatype = ARPHRD_LOOPBACK;
	if (ifindex <= 1)
		return 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (ioctl(fd, SIOCGIFNAME, &ifr))
		return -ENODEV;
	if (!ioctl(fd, SIOCGIFHWADDR, &ifr)) {
		memcpy(addr, ifr.ifr_hwaddr.sa_data, 6);
		*hatype = ifr.ifr_hwaddr.sa_family;
	}
	return 0;
}
