/*
 * client_attach.c - programs on cgroups, links, and maps that are bound to programs
 *
 * A cgroup is a directory of M/cgroup; its attach files take the commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
#include "uapi/client_mount.h"
#include "uapi/ubpffs.h"
#include "uapi/ubpffs_client.h"

static int close_keeping_errno(int fd, int ret)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return ret;
}

/* The attach file of the cgroup. EBADF: that is none; EINVAL: programs are not attached so. */
static int attach_file(int cgroup_fd, enum bpf_attach_type type)
{
	int fd;

	if (type != BPF_CGROUP_INET_INGRESS && type != BPF_CGROUP_INET_EGRESS) {
		errno = EINVAL;
		return -1;
	}
	fd = openat(cgroup_fd, type == BPF_CGROUP_INET_INGRESS ? "ingress.attach" : "egress.attach",
		    O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		errno = EBADF;
	return fd;
}

static int prog_id(int prog_fd, uint32_t *id)
{
	struct ubpffs_io io = {.out_len = sizeof(struct bpf_prog_info)};
	struct bpf_prog_info info = {0};

	if (ubpfc_command(prog_fd, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &info)) {
		errno = errno == ENOTTY ? EINVAL : errno;
		return -1;
	}
	if (io.flags != UBPFFS_PROG) {
		errno = EINVAL;
		return -1;
	}
	*id = info.id;
	return 0;
}

static int cgroup_command(int cgroup_fd, enum bpf_attach_type type, unsigned int cmd,
			  struct ubpffs_io *io, const struct ubpffs_attach *args, void *out)
{
	int ret, fd = attach_file(cgroup_fd, type);

	if (fd < 0)
		return -1;
	ret = ubpfc_command(fd, cmd, io, args, sizeof(*args), out);
	/* A pin of that name in a directory of one's own. */
	if (ret && errno == ENOTTY)
		errno = EBADF;
	return ret ? close_keeping_errno(fd, -1) : fd;
}

EXPORT int ubpfc_prog_attach(int prog_fd, int cgroup_fd, enum bpf_attach_type type,
			     unsigned int flags)
{
	struct ubpffs_io io = {.flags = flags};
	struct ubpffs_attach args = {0};
	int fd;

	if (flags & BPF_F_REPLACE) { /* it has no place for the old one */
		errno = EINVAL;
		return -1;
	}
	if (prog_id(prog_fd, &args.prog_id))
		return -1;
	fd = cgroup_command(cgroup_fd, type, UBPFFS_CGROUP_ATTACH, &io, &args, NULL);
	return fd < 0 ? -1 : close_keeping_errno(fd, 0);
}

EXPORT int ubpfc_prog_detach(int prog_fd, int cgroup_fd, enum bpf_attach_type type)
{
	struct ubpffs_attach args = {0};
	struct ubpffs_io io = {0};
	int fd;

	if (prog_fd >= 0 && prog_id(prog_fd, &args.prog_id))
		return -1;
	fd = cgroup_command(cgroup_fd, type, UBPFFS_CGROUP_DETACH, &io, &args, NULL);
	return fd < 0 ? -1 : close_keeping_errno(fd, 0);
}

EXPORT int ubpfc_link_create(int prog_fd, int cgroup_fd, enum bpf_attach_type type)
{
	struct ubpffs_io io = {.out_len = sizeof(uint32_t)};
	struct ubpffs_attach args = {0};
	uint32_t id = 0;
	char path[64];
	int fd;

	if (prog_id(prog_fd, &args.prog_id))
		return -1;
	fd = cgroup_command(cgroup_fd, type, UBPFFS_LINK_CREATE, &io, &args, &id);
	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "ids/link/%u", id);
	return close_keeping_errno(fd, client_mount_open(path, O_RDWR, 0));
}

EXPORT int ubpfc_link_update(int link_fd, int new_prog_fd, int old_prog_fd)
{
	struct ubpffs_attach args = {0};
	struct ubpffs_io io = {0};

	if (prog_id(new_prog_fd, &args.prog_id) ||
	    (old_prog_fd >= 0 && prog_id(old_prog_fd, &args.old_id)))
		return -1;
	return ubpfc_command(link_fd, UBPFFS_LINK_UPDATE, &io, &args, sizeof(args), NULL);
}

EXPORT int ubpfc_link_detach(int link_fd)
{
	struct ubpffs_io io = {0};

	return ubpfc_command(link_fd, UBPFFS_LINK_DETACH, &io, NULL, 0, NULL);
}

EXPORT int ubpfc_prog_bind_map(int prog_fd, int map_fd)
{
	struct ubpffs_io get = {.out_len = sizeof(uint64_t)}, bind = {0};
	uint64_t token;

	if (ubpfc_command(map_fd, UBPFFS_OBJ_TOKEN, &get, NULL, 0, &token))
		return -1;
	return ubpfc_command(prog_fd, UBPFFS_PROG_BIND_MAP, &bind, &token, sizeof(token), NULL);
}
