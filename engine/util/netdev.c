/*
 * netdev.c - an interface's address, type and MTU, asked of the kernel
 */
#include <net/if.h>
#include <net/if_arp.h>
#include <net/ethernet.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "util/netdev.h"

/* A socket to ask by, and the name of the interface in *ifr. */
static int ask(u32 ifindex, struct ifreq *ifr)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	*ifr = (struct ifreq){.ifr_ifindex = (int)ifindex};
	if (!ioctl(fd, SIOCGIFNAME, ifr))
		return fd;
	err = errno == ENXIO || errno == EINVAL ? -ENODEV : -errno;
	close(fd);
	return err;
}

int bpf_netdev_address(u32 ifindex, u8 addr[6], u16 *hatype)
{
	__do_close int fd = -1;
	struct ifreq ifr;

	memset(addr, 0, 6);
	*hatype = ARPHRD_LOOPBACK;
	if (ifindex <= 1)
		return 0;
	fd = ask(ifindex, &ifr);
	if (fd < 0)
		return fd;
	if (!ioctl(fd, SIOCGIFHWADDR, &ifr)) {
		memcpy(addr, ifr.ifr_hwaddr.sa_data, 6);
		*hatype = ifr.ifr_hwaddr.sa_family;
	}
	return 0;
}

int bpf_netdev_exists(u32 ifindex)
{
	struct ifreq ifr;
	int fd = ask(ifindex, &ifr);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

int bpf_netdev_mtu(u32 ifindex, u32 *mtu, u32 *header)
{
	__do_close int fd = -1;
	struct ifreq ifr;
	u16 hatype;

	fd = ask(ifindex, &ifr);
	if (fd < 0)
		return fd;
	if (ioctl(fd, SIOCGIFHWADDR, &ifr))
		return -ENODEV;
	hatype = ifr.ifr_hwaddr.sa_family;
	*header = hatype == ARPHRD_ETHER || hatype == ARPHRD_LOOPBACK ? ETHER_HDR_LEN : 0;
	if (ioctl(fd, SIOCGIFMTU, &ifr))
		return -ENODEV;
	*mtu = (u32)ifr.ifr_mtu;
	return 0;
}
