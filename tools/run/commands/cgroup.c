/*
 * cgroup.c - bpf(2)'s commands on cgroups, which are directories of M/cgroup or, of the host's
 * hierarchy, the twins of such, and on links
 *
 * A directory's attach files take the commands (uapi/ubpffs.h): they are opened from the caller's
 * own descriptor with the caller's ids, so that its permission bits decide.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <unistd.h>
#include "tools/run/commands/cgroup.h"
#include "tools/run/commands/object.h"
#include "tools/run/caller/run.h"

#define MAX_PROGS 4096 /* of one answer: more than a chain of cgroups can have */

/* The directory of the mount whose twin a directory of the host's cgroup v2 is; else -EBADF. */
static int mirrored(int dir, uint64_t id)
{
	struct ubpffs_io io = {.out_len = PATH_MAX};
	char path[PATH_MAX + sizeof("cgroup/")] = "cgroup/";
	struct statfs fs;
	int file, err;

	if (fstatfs(dir, &fs) || fs.f_type != CGROUP2_SUPER_MAGIC)
		return -EBADF;
	file = mount_open("cgroup/ingress.attach", O_RDONLY);
	if (file < 0)
		return file;
	err = mount_command(file, UBPFFS_CGROUP_OF_HOST, &io, &id, sizeof(id), path + strlen(path));
	close(file);
	if (err)
		return err == -ENOENT ? -EBADF : err;
	return mount_open(path, O_RDONLY | O_DIRECTORY);
}

/* The attach file of the caller's directory. -EBADF: that is no cgroup; -EINVAL: no such type. */
static int open_attach(struct caller *c, int fd, uint32_t type, int flags)
{
	struct open_how how = {.flags = (unsigned int)(flags | O_CLOEXEC | O_NOFOLLOW),
			       .resolve = RESOLVE_BENEATH};
	const char *name;
	struct stat st;
	int dir, file;

	if (type == BPF_CGROUP_INET_INGRESS)
		name = "ingress.attach";
	else if (type == BPF_CGROUP_INET_EGRESS)
		name = "egress.attach";
	else
		return -EINVAL;
	dir = caller_fd(c, fd);
	if (dir < 0)
		return dir;
	if (fstat(dir, &st) || !S_ISDIR(st.st_mode)) {
		close(dir);
		return -EBADF;
	}
	if (st.st_dev != run_mount.dev) {
		file = mirrored(dir, st.st_ino);
		close(dir);
		if (file < 0)
			return file;
		dir = file;
	}
	file = syscall(SYS_openat2, dir, name, &how, sizeof(how));
	if (file < 0)
		file = errno == ENOENT ? -EBADF : -errno;
	close(dir);
	return file;
}

/* A pin of that name in a directory of the caller's own knows no such command. */
static long cgroup_command(int file, unsigned int cmd, struct ubpffs_io *io, const void *in,
			   size_t in_len, void *out)
{
	long err = mount_command(file, cmd, io, in, in_len, out);

	return err == -ENOTTY ? -EBADF : err;
}

static int prog_id(struct caller *c, int fd, uint32_t *id)
{
	struct object obj;
	int err = object_of_fd(c, fd, UBPFFS_PROG, &obj);

	if (!err)
		*id = obj.prog.id;
	object_end(&obj);
	return err;
}

#define ATTACH_FLAGS (BPF_F_ALLOW_OVERRIDE | BPF_F_ALLOW_MULTI | BPF_F_REPLACE)

long run_prog_attach(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct ubpffs_io io = {.flags = attr->attach_flags};
	struct ubpffs_attach args = {0};
	long err;
	int file;

	if (attr->attach_flags & ~ATTACH_FLAGS || attr->attach_type > BPF_CGROUP_INET_EGRESS)
		return -EINVAL;
	err = prog_id(call->c, attr->attach_bpf_fd, &args.prog_id);
	if (!err && attr->attach_flags & BPF_F_REPLACE)
		err = prog_id(call->c, attr->replace_bpf_fd, &args.old_id);
	if (err)
		return err;
	file = open_attach(call->c, attr->target_fd, attr->attach_type, O_WRONLY);
	if (file < 0)
		return file;
	err = cgroup_command(file, UBPFFS_CGROUP_ATTACH, &io, &args, sizeof(args), NULL);
	close(file);
	return err;
}

long run_prog_detach(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct ubpffs_io io = {0};
	struct ubpffs_attach args = {0};
	long err;
	int file;

	if (attr->attach_type > BPF_CGROUP_INET_EGRESS || attr->attach_flags ||
	    attr->replace_bpf_fd)
		return -EINVAL;
	file = open_attach(call->c, attr->target_fd, attr->attach_type, O_WRONLY);
	if (file < 0)
		return file;
	/* As the kernel: what is no program means the only one that is attached. */
	if (prog_id(call->c, attr->attach_bpf_fd, &args.prog_id))
		args.prog_id = 0;
	err = cgroup_command(file, UBPFFS_CGROUP_DETACH, &io, &args, sizeof(args), NULL);
	close(file);
	return err;
}

/* ---- queries */

static long put_query(struct bpf_call *call, const struct ubpffs_io *io,
		      const struct ubpffs_attached *items)
{
	uint32_t room = call->attr.query.prog_cnt, n = io->out_len / sizeof(*items), i;
	uint64_t ids = call->attr.query.prog_ids, flags = call->attr.query.prog_attach_flags;
	long err;

	call->attr.query.attach_flags = io->flags;
	call->attr.query.prog_cnt = io->count;
	err = BPF_PUT(call, query.attach_flags);
	if (!err)
		err = BPF_PUT(call, query.prog_cnt);
	if (err || !room || !ids || !io->count)
		return err;
	for (i = 0; !err && i < n && i < room; i++) {
		uint32_t flag = io->flags;

		err = caller_write(call->c, ids + i * sizeof(uint32_t), &items[i].prog_id,
				   sizeof(uint32_t));
		if (!err && flags)
			err = caller_write(call->c, flags + i * sizeof(flag), &flag, sizeof(flag));
	}
	return err ? err : room < io->count ? -ENOSPC : 0;
}

long run_prog_query(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	uint32_t room = attr->query.prog_cnt < MAX_PROGS ? attr->query.prog_cnt : MAX_PROGS;
	struct ubpffs_io io = {.flags = attr->query.query_flags};
	struct ubpffs_attached *items;
	long err;
	int file;

	if (attr->query.query_flags & ~BPF_F_QUERY_EFFECTIVE)
		return -EINVAL;
	if (attr->query.query_flags && attr->query.prog_attach_flags)
		return -EINVAL;
	file = open_attach(call->c, attr->query.target_fd, attr->query.attach_type, O_RDONLY);
	if (file < 0)
		return file;
	items = calloc(room + 1, sizeof(*items));
	/* What an ioctl carries; a set has at most 64 programs in each of the cgroups. */
	io.out_len = room * sizeof(*items) < UBPFFS_PAYLOAD_MAX ? room * sizeof(*items)
								: UBPFFS_PAYLOAD_MAX;
	err = items ? cgroup_command(file, UBPFFS_CGROUP_QUERY, &io, NULL, 0, items) : -ENOMEM;
	if (!err)
		err = put_query(call, &io, items);
	free(items);
	close(file);
	return err;
}

/* ---- links */

long run_link_create(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	struct ubpffs_attach args = {0};
	struct ubpffs_io io = {.out_len = sizeof(uint32_t)};
	uint32_t id;
	long ret;
	int file;

	ret = prog_id(call->c, attr->link_create.prog_fd, &args.prog_id);
	if (ret)
		return ret;
	if (attr->link_create.flags || attr->link_create.attach_type > BPF_CGROUP_INET_EGRESS)
		return -EINVAL;
	file = open_attach(call->c, attr->link_create.target_fd, attr->link_create.attach_type,
			   O_WRONLY);
	if (file < 0)
		return file;
	ret = cgroup_command(file, UBPFFS_LINK_CREATE, &io, &args, sizeof(args), &id);
	if (!ret)
		ret = give_object(call->c, "link", id, O_RDWR);
	close(file);
	return ret;
}

long run_link_update(struct bpf_call *call)
{
	const union bpf_attr *attr = &call->attr;
	bool replace = attr->link_update.flags & BPF_F_REPLACE;
	struct ubpffs_attach args = {0};
	struct ubpffs_io io = {0};
	struct object link;
	long err;

	if (attr->link_update.flags & ~BPF_F_REPLACE)
		return -EINVAL;
	err = object_of_fd(call->c, attr->link_update.link_fd, UBPFFS_LINK, &link);
	if (!err)
		err = prog_id(call->c, attr->link_update.new_prog_fd, &args.prog_id);
	if (!err && replace)
		err = prog_id(call->c, attr->link_update.old_prog_fd, &args.old_id);
	else if (!err && attr->link_update.old_prog_fd)
		err = -EINVAL;
	if (!err)
		err = mount_command(link.fd, UBPFFS_LINK_UPDATE, &io, &args, sizeof(args), NULL);
	object_end(&link);
	return err;
}

long run_link_detach(struct bpf_call *call)
{
	struct ubpffs_io io = {0};
	struct object link;
	long err = object_of_fd(call->c, call->attr.link_detach.link_fd, UBPFFS_LINK, &link);

	if (!err)
		err = mount_command(link.fd, UBPFFS_LINK_DETACH, &io, NULL, 0, NULL);
	object_end(&link);
	return err;
}
