/*
 * listener.c - ask sock_diag for a listener's cgroup (see listener.h)
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include "fs/enforce/listener.h"

int listener_open(struct listener *l)
{
	l->nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!l->nl || mnl_socket_bind(l->nl, 0, MNL_SOCKET_AUTOPID) < 0)
		return -errno;
	return 0;
}

void listener_close(struct listener *l)
{
	if (l->nl)
		mnl_socket_close(l->nl);
	l->nl = NULL;
}

static u64 read_answer(const struct listener *l)
{
	char buf[8192];
	ssize_t n;

	/* The kernel answers while the request is sent: there is nothing to wait for. */
	while ((n = recv(mnl_socket_get_fd(l->nl), buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *nlh = (void *)buf;
		const struct nlattr *attr;

		if (!mnl_nlmsg_ok(nlh, (int)n) || nlh->nlmsg_seq != l->seq ||
		    nlh->nlmsg_type != SOCK_DIAG_BY_FAMILY)
			continue;
		mnl_attr_for_each(attr, nlh, sizeof(struct inet_diag_msg))
		{
			if (mnl_attr_get_type(attr) == INET_DIAG_CGROUP_ID &&
			    mnl_attr_get_payload_len(attr) >= sizeof(u64))
				return mnl_attr_get_u64(attr);
		}
	}
	return 0;
}

u64 listener_cgroup(struct listener *l, u8 family, const void *addr, u16 port, u32 ifindex)
{
	char buf[256];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct inet_diag_req_v2 *req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_seq = ++l->seq;
	req->sdiag_family = family;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = UINT32_MAX;
	req->id.idiag_sport = port; /* no remote address: only a listener fits */
	memcpy(req->id.idiag_src, addr, family == AF_INET6 ? 16 : 4);
	req->id.idiag_if = ifindex;
	req->id.idiag_cookie[0] = req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (mnl_socket_sendto(l->nl, nlh, nlh->nlmsg_len) < 0)
		return 0;
	return read_answer(l);
}
