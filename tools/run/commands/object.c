/*
 * object.c - objects by descriptor, id and path
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>
#include "tools/run/commands/object.h"
#include "tools/run/caller/run.h"
#include "uapi/ubpffs_client.h"

int mount_command(int fd, unsigned int cmd, struct ubpffs_io *io, const void *in, size_t in_len,
		  void *out)
{
	return ubpfc_command(fd, cmd, io, in, in_len, out) ? -errno : 0;
}

int mount_open(const char *path, int flags)
{
	struct open_how how = {.flags = (unsigned int)(flags | O_CLOEXEC),
			       .resolve = RESOLVE_BENEATH};
	int fd = syscall(SYS_openat2, run_mount.fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

const char *object_link_name(const struct object *obj)
{
	static const char *const names[] = {
		[UBPFFS_MAP] = "anon_inode:bpf-map",
		[UBPFFS_PROG] = "anon_inode:bpf-prog",
		[UBPFFS_BTF] = "anon_inode:btf",
		[UBPFFS_LINK] = "anon_inode:bpf_link",
		[UBPFFS_EVENT] = "anon_inode:[perf_event]",
	};

	return obj->kind < sizeof(names) / sizeof(names[0]) ? names[obj->kind] : NULL;
}

/* What a descriptor of ours is of; it stays the caller's. */
static int object_identify(int fd, struct object *obj)
{
	struct ubpffs_io io = {.out_len = sizeof(obj->prog)};
	struct statx st;
	int err;

	/*
	 * Nothing but files of this mount are asked: an ioctl is something else elsewhere. Who
	 * serves another one's is not asked, either.
	 */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) ||
	    makedev(st.stx_dev_major, st.stx_dev_minor) != run_mount.dev || !S_ISREG(st.stx_mode))
		return -EINVAL;
	memset(&obj->prog, 0, sizeof(obj->prog));
	err = mount_command(fd, UBPFFS_OBJ_GET_INFO, &io, NULL, 0, &obj->prog);
	if (err)
		return err == -ENOTTY || err == -EBADF ? -EINVAL : err;
	obj->kind = io.flags;
	obj->cpus = io.count;
	return object_link_name(obj) ? 0 : -EINVAL;
}

int object_of_fd(struct caller *c, int fd, unsigned int kind, struct object *obj)
{
	int err;

	memset(obj, 0, sizeof(*obj));
	obj->fd = caller_fd(c, fd);
	if (obj->fd < 0)
		return obj->fd;
	err = object_identify(obj->fd, obj);
	return err ? err : kind && obj->kind != kind ? -EINVAL : 0;
}

void object_end(struct object *obj)
{
	if (obj->fd >= 0)
		close(obj->fd);
	obj->fd = -1;
}

int object_mode(uint32_t flags)
{
	switch (flags) {
	case 0:
		return O_RDWR;
	case BPF_F_RDONLY:
		return O_RDONLY;
	case BPF_F_WRONLY:
		return O_WRONLY;
	}
	return -EINVAL;
}

long give_object(struct caller *c, const char *kind, uint32_t id, int flags)
{
	char path[64];
	long ret;
	int fd;

	snprintf(path, sizeof(path), "ids/%s/%u", kind, id);
	fd = mount_open(path, flags);
	if (fd < 0)
		return fd;
	ret = caller_give(c, fd, true);
	close(fd);
	return ret;
}

/* ---- ids */

long run_get_next_id(struct bpf_call *call)
{
	struct ubpffs_io io = {
		.flags = call->cmd, .count = call->attr.start_id, .out_len = sizeof(uint32_t)};
	uint32_t next;
	int ctl, err;

	if (call->attr.start_id >= INT32_MAX)
		return -EINVAL;
	ctl = mount_open("ctl", O_RDWR);
	if (ctl < 0)
		return ctl;
	err = mount_command(ctl, UBPFFS_GET_NEXT_ID, &io, NULL, 0, &next);
	close(ctl);
	if (err)
		return err;
	call->attr.next_id = next;
	return BPF_PUT(call, next_id);
}

long run_get_fd_by_id(struct bpf_call *call)
{
	int mode = object_mode(call->attr.open_flags);

	if (mode < 0)
		return mode;
	if (call->cmd == BPF_MAP_GET_FD_BY_ID)
		return give_object(call->c, "map", call->attr.map_id, mode);
	if (call->cmd == BPF_PROG_GET_FD_BY_ID)
		return give_object(call->c, "prog", call->attr.prog_id, mode);
	if (call->cmd == BPF_BTF_GET_FD_BY_ID)
		return give_object(call->c, "btf", call->attr.btf_id, O_RDONLY);
	return give_object(call->c, "link", call->attr.link_id, O_RDWR);
}

/* ---- pins */

/*
 * What the caller calls `addr`, as a path from the mount on, into out. -EPERM when it lies
 * elsewhere, or what there is instead of its directory.
 *
 * The directory is resolved with the caller's rights, in its root; where that is tells the path.
 */
static int mount_relative(struct bpf_call *call, char *out, size_t size)
{
	struct caller *c = call->c;
	bool relative = call->attr.file_flags & RUN_F_PATH_FD;
	int dirfd = relative ? (int)bpf_call_u32(call, PATH_FD) : AT_FDCWD;
	char path[4096], abs[8192], link[64], where[4096];
	const char *base, *roots[2] = {run_mount.path, SYS_FS_BPF};
	struct stat st;
	char *slash;
	ssize_t n;
	size_t i, len;
	int dir, err;

	if (!relative && bpf_call_u32(call, PATH_FD))
		return -EINVAL;
	err = caller_string(c, call->attr.pathname, path, sizeof(path));
	if (err < 0)
		return err;
	if (!err)
		return -ENOENT;
	err = caller_absolute(c, dirfd, path, abs, sizeof(abs));
	if (err)
		return err;
	len = strlen(SYS_FS_BPF);
	if (!run_mount.at_sys_fs_bpf && !strncmp(abs, SYS_FS_BPF, len) &&
	    (abs[len] == '/' || !abs[len])) {
		/* Nobody but bpf(2) knows the mount by this name: as text. */
		while (abs[len] == '/')
			len++;
		return (size_t)snprintf(out, size, "%s", abs + len) < size ? 0 : -ENAMETOOLONG;
	}
	slash = strrchr(abs, '/');
	base = slash + 1;
	if (!*base || !strcmp(base, ".") || !strcmp(base, ".."))
		return -EPERM;
	*slash = 0;
	dir = caller_open(c, AT_FDCWD, *abs ? abs : "/", O_PATH | O_DIRECTORY);
	if (dir < 0)
		return dir;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", dir);
	n = readlink(link, where, sizeof(where) - 1);
	err = fstat(dir, &st) || n < 0 ? -errno : st.st_dev == run_mount.dev ? 0 : -EPERM;
	close(dir);
	if (err)
		return err;
	where[n] = 0;
	for (i = 0; i < 2; i++) {
		len = strlen(roots[i]);
		if (strncmp(where, roots[i], len) || (where[len] && where[len] != '/'))
			continue;
		n = snprintf(out, size, "%s%s%s", where + len + (where[len] == '/'),
			     where[len] == '/' && where[len + 1] ? "/" : "", base);
		return n >= 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
	}
	return -EPERM;
}

long run_obj_pin(struct bpf_call *call)
{
	struct ubpffs_io io = {0};
	struct object obj;
	char path[8192];
	long err;

	if (call->attr.file_flags & ~RUN_F_PATH_FD)
		return -EINVAL;
	err = object_of_fd(call->c, call->attr.bpf_fd, 0, &obj);
	if (!err && (obj.kind == UBPFFS_BTF || obj.kind == UBPFFS_EVENT))
		err = -EINVAL; /* these have no names */
	if (!err)
		err = mount_relative(call, path, sizeof(path));
	if (!err)
		err = mount_command(obj.fd, UBPFFS_OBJ_PIN, &io, path, strlen(path) + 1, NULL);
	object_end(&obj);
	return err;
}

long run_obj_get(struct bpf_call *call)
{
	int fd, mode = object_mode(call->attr.file_flags & ~RUN_F_PATH_FD);
	struct object obj;
	char path[8192];
	long ret;

	if (call->attr.bpf_fd || mode < 0)
		return -EINVAL;
	ret = mount_relative(call, path, sizeof(path));
	if (ret)
		return ret == -EPERM ? -EACCES : ret;
	fd = mount_open(path, mode | O_NONBLOCK);
	if (fd < 0)
		return fd == -EISDIR ? -EACCES : fd;
	ret = object_identify(fd, &obj);
	ret = ret == -EINVAL ? -EACCES : ret;
	if (!ret)
		ret = caller_give(call->c, fd, true);
	close(fd);
	return ret;
}

/* ---- info */

/* An array that the info points to: what there is of it, into the room that the caller said. */
static int put_part(struct bpf_call *call, const struct object *obj, unsigned int cmd,
		    unsigned int part, uint64_t addr, uint64_t room)
{
	struct ubpffs_io io = {.flags = part, .out_len = room};
	char *buf;
	int err;

	if (!room || !addr)
		return 0;
	if (room > UBPFFS_XFER_MAX)
		return -E2BIG;
	buf = calloc(1, room);
	if (!buf)
		return -ENOMEM;
	err = mount_command(obj->fd, cmd, &io, NULL, 0, buf);
	if (!err)
		err = caller_write(call->c, addr, buf, io.out_len);
	free(buf);
	return err;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

/*
 * The counts in what the caller passed are its rooms. Pointers that it gave and that we have
 * nothing for become counts of 0.
 */
static const struct prog_array {
	unsigned int part;
	size_t addr, cnt, size; /* where the info has them; bytes of an element */
} arrays[] = {
#define ARRAY(part, addr, cnt, size)                                      \
	{                                                                 \
		UBPFFS_PROG_##part, offsetof(struct bpf_prog_info, addr), \
			offsetof(struct bpf_prog_info, cnt), size         \
	}
	ARRAY(MAP_IDS, map_ids, nr_map_ids, sizeof(uint32_t)),
	ARRAY(XLATED, xlated_prog_insns, xlated_prog_len, 1),
	ARRAY(JITED, jited_prog_insns, jited_prog_len, 1),
	ARRAY(JITED_KSYMS, jited_ksyms, nr_jited_ksyms, sizeof(uint64_t)),
	ARRAY(JITED_FUNC_LENS, jited_func_lens, nr_jited_func_lens, sizeof(uint32_t)),
	ARRAY(FUNC_INFO, func_info, nr_func_info, sizeof(struct bpf_func_info)),
	ARRAY(LINE_INFO, line_info, nr_line_info, sizeof(struct bpf_line_info)),
};

/* Who says how large a record is says it as it is here. */
static int check_records(const struct bpf_prog_info *asked)
{
	if ((asked->nr_func_info && asked->func_info_rec_size != sizeof(struct bpf_func_info)) ||
	    (asked->nr_line_info && asked->line_info_rec_size != sizeof(struct bpf_line_info)))
		return -EINVAL;
	return 0;
}

static int prog_arrays(struct bpf_call *call, const struct object *obj, struct bpf_prog_info *info)
{
	struct bpf_prog_info asked = {0};
	size_t i;
	uint32_t len = least(call->attr.info.info_len, sizeof(asked));
	int err = caller_read(call->c, call->attr.info.info, &asked, len);

	if (err)
		return err;
	if (!info->nr_jited_ksyms) /* as bpf_dump_raw_ok() refuses: no error, and no pointer */
		asked.jited_prog_insns = asked.jited_ksyms = asked.jited_func_lens = 0;
	asked.jited_line_info = 0;
	asked.nr_jited_line_info = 0;
	err = check_records(&asked);
	for (i = 0; !err && i < sizeof(arrays) / sizeof(arrays[0]); i++) {
		const struct prog_array *a = &arrays[i];
		uint64_t addr;
		uint32_t cnt, room;

		memcpy(&addr, (char *)&asked + a->addr, sizeof(addr));
		memcpy(&room, (char *)&asked + a->cnt, sizeof(room));
		memcpy(&cnt, (char *)info + a->cnt, sizeof(cnt));
		memcpy((char *)info + a->addr, &addr, sizeof(addr));
		err = put_part(call, obj, UBPFFS_PROG_PART, a->part, addr,
			       (uint64_t)least(room, cnt) * a->size);
	}
	if (!asked.jited_prog_insns && !info->nr_jited_ksyms)
		info->jited_prog_len = 0;
	return err;
}

/* The bytes, into the room that the caller said, and the name, which types of ours have not. */
static int btf_arrays(struct bpf_call *call, const struct object *obj, struct bpf_btf_info *info)
{
	struct bpf_btf_info asked = {0};
	int err = caller_read(call->c, call->attr.info.info, &asked,
			      least(call->attr.info.info_len, sizeof(asked)));

	if (err)
		return err;
	if (!asked.name != !asked.name_len)
		return -EINVAL;
	info->btf = asked.btf;
	info->name = asked.name;
	err = put_part(call, obj, UBPFFS_BTF_DATA, 0, asked.btf,
		       least(asked.btf_size, info->btf_size));
	if (!err && asked.name)
		err = caller_write(call->c, asked.name, "", 1);
	return err;
}

/* The server tells the time of day, which outlives a boot; bpf(2) the time since this one. */
static uint64_t since_boot(uint64_t ns)
{
	struct timespec now, boot;
	uint64_t start;

	clock_gettime(CLOCK_REALTIME, &now);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	start = ((uint64_t)now.tv_sec - boot.tv_sec) * 1000000000 + now.tv_nsec - boot.tv_nsec;
	return ns > start ? ns - start : 0;
}

static uint32_t info_size(const struct object *obj)
{
	switch (obj->kind) {
	case UBPFFS_MAP:
		return sizeof(obj->map);
	case UBPFFS_PROG:
		return sizeof(obj->prog);
	case UBPFFS_BTF:
		return sizeof(obj->btf);
	}
	return sizeof(obj->link);
}

long run_obj_get_info(struct bpf_call *call)
{
	uint32_t i, n, len = call->attr.info.info_len;
	struct object obj;
	char tail[4096];
	long err;

	if (len > sizeof(tail))
		return -E2BIG;
	err = object_of_fd(call->c, call->attr.info.bpf_fd, 0, &obj);
	if (!err && obj.kind == UBPFFS_EVENT)
		err = -EINVAL;
	if (err)
		goto out;
	n = info_size(&obj);
	/* Of a structure that is newer than ours the rest must be zero. */
	if (len > n) {
		err = caller_read(call->c, call->attr.info.info + n, tail, len - n);
		for (i = 0; !err && i < len - n; i++)
			if (tail[i])
				err = -E2BIG;
	}
	if (!err && obj.kind == UBPFFS_PROG) {
		obj.prog.load_time = since_boot(obj.prog.load_time);
		err = prog_arrays(call, &obj, &obj.prog);
	}
	if (!err && obj.kind == UBPFFS_BTF)
		err = btf_arrays(call, &obj, &obj.btf);
	n = least(len, n);
	if (!err)
		err = caller_write(call->c, call->attr.info.info, &obj.map, n);
	call->attr.info.info_len = n;
	if (!err)
		err = BPF_PUT(call, info.info_len);
out:
	object_end(&obj);
	return err;
}

/* ---- descriptors of other processes */

#define KERNEL_ENOTSUPP 524 /* what the kernel answers for a descriptor that nothing is known of */

/*
 * None of ours has a place in the kernel where it runs: so the answer is which of the process and
 * the descriptor is not there, as the caller may see it.
 */
long run_task_fd_query(struct bpf_call *call)
{
	char path[64], link[16];
	int pid = call->attr.task_fd_query.pid;

	if (call->attr.task_fd_query.flags)
		return -EINVAL;
	snprintf(path, sizeof(path), "/proc/%d", pid);
	if (pid <= 0 || access(path, F_OK))
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%d/fd/%u", pid, call->attr.task_fd_query.fd);
	if (readlink(path, link, sizeof(link)) < 0 && errno == ENOENT)
		return -EBADF;
	return -KERNEL_ENOTSUPP;
}
