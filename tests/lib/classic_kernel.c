/*
 * classic_kernel.c - see classic_kernel.h
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "tests/lib/classic.h"
#include "tests/lib/classic_kernel.h"

#define KERNEL_ENOTSUPP 524

#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

int classic_kernel_unix(struct classic_kernel *k)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, fds))
		return -errno;
	k->tx = fds[0];
	k->rx = fds[1];
	return 0;
}

static int loopback_up(int fd)
{
	struct ifreq ifr = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return ioctl(fd, SIOCSIFFLAGS, &ifr) ? -errno : 0;
}

static int packet_socket(int protocol)
{
	struct sockaddr_ll addr = {
		.sll_family = AF_PACKET, .sll_protocol = htons(protocol), .sll_ifindex = 1};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(protocol));

	if (fd >= 0 && bind(fd, (struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -errno : fd;
}

int classic_kernel_loopback(struct classic_kernel *k)
{
	int one = 1, err;
	u32 mark = CLASSIC_MARK;

	k->rx = k->tx = -1;
	/* Who may not, may in a user namespace, mostly. */
	if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return -errno;
	k->tx = packet_socket(0);
	if (k->tx < 0)
		return k->tx;
	setsockopt(k->tx, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	err = loopback_up(k->tx);
	if (err)
		return err;
	k->rx = packet_socket(ETH_P_ALL);
	if (k->rx < 0)
		return k->rx;
	if (setsockopt(k->rx, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one)))
		return -errno;
	return 0;
}

void classic_kernel_close(struct classic_kernel *k)
{
	if (k->tx >= 0)
		close(k->tx);
	if (k->rx >= 0)
		close(k->rx);
	k->tx = k->rx = -1;
}

int classic_kernel_attach(const struct classic_kernel *k, const struct sock_filter *insns, u32 cnt)
{
	struct sock_fprog prog = {.len = (u16)cnt, .filter = (struct sock_filter *)insns};

	/* ENOTSUPP is no verdict: the kernel has no room for native code just now. */
	for (int tries = 0; tries < 100; tries++) {
		if (!setsockopt(k->rx, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)))
			return 0;
		if (errno != KERNEL_ENOTSUPP)
			break;
		usleep(10000);
	}
	return -errno;
}

u32 classic_kernel_run(const struct classic_kernel *k, const void *data, u32 len)
{
	static __thread u8 buf[1 << 16];
	ssize_t n;

	if (send(k->tx, data, len, 0) != (ssize_t)len)
		return 0;
	n = recv(k->rx, buf, sizeof(buf), MSG_DONTWAIT);
	return n < 0 ? 0 : (u32)n;
}

static void make_returns(const struct sock_filter *insns, u32 cnt, u32 want,
			 struct sock_filter *out)
{
	const struct sock_filter tail[] = {
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, want, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};

	memcpy(out, insns, cnt * sizeof(*insns));
	memcpy(out + cnt, tail, sizeof(tail));
	for (u32 pc = 0; pc < cnt; pc++) {
		if (out[pc].code == (BPF_RET | BPF_K))
			out[pc].k = out[pc].k == want ? 0xffffffff : 0;
		else if (out[pc].code == (BPF_RET | BPF_A))
			out[pc] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, cnt - pc - 1);
	}
}

/*
 * Is that what is left of `len` bytes by a filter that returns `ret`? The loopback may take a VLAN
 * tag out.
 */
static bool is_kept(u32 kept, u32 ret, u32 len)
{
	return kept == min(ret, len) || (len > 4 && kept == min(ret, len - 4));
}

int classic_kernel_returns(const struct classic_kernel *k, const struct sock_filter *insns, u32 cnt,
			   const void *data, u32 len, u32 want)
{
	__do_free struct sock_filter *asks = NULL;
	int err = classic_kernel_attach(k, insns, cnt);
	u32 kept;

	if (err)
		return err;
	/* What ends early gives 0, as a RET would: that needs no change. */
	if (!want)
		return classic_kernel_run(k, data, len) == 0;
	if (!is_kept(classic_kernel_run(k, data, len), want, len))
		return 0;
	asks = malloc((cnt + 3) * sizeof(*asks));
	if (!asks)
		return -ENOMEM;
	make_returns(insns, cnt, want, asks);
	err = classic_kernel_attach(k, asks, cnt + 3);
	if (err)
		return err;
	kept = classic_kernel_run(k, data, len);
	/* A program that ends without a RET (no device) gives its own result. */
	return is_kept(kept, UINT32_MAX, len) || is_kept(kept, want, len);
}
