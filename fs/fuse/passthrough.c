/*
 * passthrough.c - see passthrough.h
 *
 * The part of the FUSE protocol (7.40 and later) that the system's headers need not have yet is
 * declared here, from its documentation: sizes and meanings are the kernel's.
 */
#include "fs/fuse/passthrough.h"
#include "fs/fuse/fuse.h"
#include "fs/fuse/turns.h"

#include <sys/ioctl.h>
#include <sys/uio.h>

#define OPCODE_INIT	      26
#define INIT_EXT	      (1u << 30) /* in flags: flags2 is there */
#define INIT2_PASSTHROUGH     (1u << (37 - 32)) /* in flags2 */
#define OPEN_PASSTHROUGH      (1u << 7)
#define MAX_STACK_DEPTH	      2 /* the state directory may lie on an overlayfs */
#define DEV_IOC_BACKING_OPEN  _IOW(229, 1, struct backing_map)
#define DEV_IOC_BACKING_CLOSE _IOW(229, 2, u32)

struct init_in {
	u32 major, minor, max_readahead, flags, flags2;
};

struct out_header {
	u32 len;
	s32 error;
	u64 unique;
};

struct init_out {
	u32 major, minor, max_readahead, flags;
	u16 max_background, congestion_threshold;
	u32 max_write, time_gran;
	u16 max_pages, map_alignment;
	u32 flags2, max_stack_depth, unused[6];
};

struct open_out {
	u64 fh;
	u32 open_flags;
	s32 backing_id;
};

struct backing_map {
	s32 fd;
	u32 flags;
	u64 padding;
};

_Static_assert(sizeof(struct init_out) == 64, "as the kernel has it");
_Static_assert(sizeof(struct open_out) == 16, "as the kernel has it");

static int device = -1; /* /dev/fuse; -1: no passthrough */
static bool agreed;
static u64 init_unique; /* of an INIT that offers passthrough */
static __thread int reply_backing_id;

/*
 * A connection that was aborted is over, as one that was unmounted: ENODEV ends the loop in order.
 * A reply that nobody waits for any more is none: ENOENT, as the kernel says of an interrupted
 * request.
 */
static ssize_t device_ended(ssize_t n, int ended)
{
	if (n < 0 && (errno == ECONNABORTED || errno == ENODEV))
		errno = ended;
	return n;
}

static ssize_t device_read(int fd, void *buf, size_t len, void *unused)
{
	struct fuse_request_head head;
	struct init_in init;
	ssize_t n;

	do {
		turns_done();
		n = read(fd, buf, len);
	} while (n > 0 && turns_hand_on(buf, (size_t)n));
	if (n < (ssize_t)(sizeof(head) + sizeof(init)))
		return device_ended(n, ENODEV);
	memcpy(&head, buf, sizeof(head));
	if (head.opcode != OPCODE_INIT)
		return n;
	memcpy(&init, (char *)buf + sizeof(head), sizeof(init));
	if (init.flags & INIT_EXT && init.flags2 & INIT2_PASSTHROUGH)
		__atomic_store_n(&init_unique, head.unique, __ATOMIC_RELAXED);
	return n;
}

static ssize_t write_init(int fd, struct iovec *iov, int count)
{
	struct iovec out[2] = {iov[0], iov[1]};
	struct init_out init;
	ssize_t n;

	memcpy(&init, iov[1].iov_base, sizeof(init));
	init.flags |= INIT_EXT;
	init.flags2 |= INIT2_PASSTHROUGH;
	init.max_stack_depth = MAX_STACK_DEPTH;
	out[1].iov_base = &init;
	n = writev(fd, out, 2);
	if (n >= 0)
		__atomic_store_n(&agreed, true, __ATOMIC_RELEASE);
	return n;
}

static ssize_t write_open(int fd, struct iovec *iov, int count)
{
	struct iovec out[2] = {iov[0], iov[1]};
	struct open_out open;

	memcpy(&open, iov[1].iov_base, sizeof(open));
	open.open_flags |= OPEN_PASSTHROUGH;
	open.backing_id = reply_backing_id;
	out[1].iov_base = &open;
	return writev(fd, out, 2);
}

static ssize_t write_reply(int fd, struct iovec *iov, int count)
{
	struct out_header head;
	u64 init;

	if (count != 2 || iov[0].iov_len != sizeof(head))
		return writev(fd, iov, count);
	memcpy(&head, iov[0].iov_base, sizeof(head));
	if (head.error)
		return writev(fd, iov, count);
	init = __atomic_load_n(&init_unique, __ATOMIC_RELAXED);
	if (init && head.unique == init && iov[1].iov_len == sizeof(struct init_out)) {
		__atomic_store_n(&init_unique, 0, __ATOMIC_RELAXED);
		return write_init(fd, iov, count);
	}
	if (reply_backing_id > 0 && iov[1].iov_len == sizeof(struct open_out))
		return write_open(fd, iov, count);
	return writev(fd, iov, count);
}

static ssize_t device_writev(int fd, struct iovec *iov, int count, void *unused)
{
	return device_ended(write_reply(fd, iov, count), ENOENT);
}

void passthrough_start(struct fuse_session *se)
{
	static const struct fuse_custom_io io = {.writev = device_writev, .read = device_read};
	int fd = fuse_session_fd(se);

	turns_start(se);
	if (geteuid() || fuse_session_custom_io(se, &io, fd))
		return;
	device = fd;
}

void passthrough_stop(void)
{
	__atomic_store_n(&agreed, false, __ATOMIC_RELEASE);
	device = -1;
}

int passthrough_add(int fd)
{
	struct backing_map map = {.fd = fd};
	int id;

	if (!__atomic_load_n(&agreed, __ATOMIC_ACQUIRE))
		return -EOPNOTSUPP;
	id = ioctl(device, DEV_IOC_BACKING_OPEN, &map);
	return id < 0 ? -errno : id;
}

void passthrough_remove(int backing_id)
{
	u32 id = backing_id;

	if (backing_id > 0 && __atomic_load_n(&agreed, __ATOMIC_ACQUIRE))
		ioctl(device, DEV_IOC_BACKING_CLOSE, &id);
}

void passthrough_reply(int backing_id)
{
	reply_backing_id = backing_id;
}
