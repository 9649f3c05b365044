/*
 * event_file.c - see maps/event_file.h
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fs/fuse/protocol/passthrough.h"
#include "fs/keeper/records.h"
#include "fs/maps/event_file.h"
#include "fs/maps/stream.h"
#include "map/ring/perf_event.h"
#include "uapi/ubpffs.h"

struct event_open {
	pthread_mutex_t lock;
	struct bpf_perf_event *event; /* NULL: not set up yet */
	int memfd; /* the event's, once there is one */
	u64 held; /* bytes that are charged for the ring */
};

static int event_open(struct fs_open *open, struct fs_req *req)
{
	struct event_open *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	e->memfd = memfd_create("event", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (e->memfd < 0 || fchmod(e->memfd, 0600)) {
		int err = -errno;

		if (e->memfd >= 0)
			close(e->memfd);
		free(e);
		return err;
	}
	open->backing_id = max(passthrough_add(e->memfd, 0), 0);
	open->priv = e;
	stream_watch(open);
	return 0;
}

static void event_release(struct fs_open *open)
{
	struct event_open *e = open->priv;

	if (!e)
		return;
	passthrough_remove(open->backing_id, 0);
	if (e->event)
		bpf_perf_event_put(e->event);
	else
		close(e->memfd);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

/* The next server has no memory of it: who waits is told that nothing will come. */
static u32 event_poll(struct fs_open *open)
{
	struct event_open *e = open->priv;
	u32 ready;

	pthread_mutex_lock(&e->lock);
	if (!e->event)
		ready = POLLERR | POLLHUP;
	else
		ready = bpf_perf_event_ready(e->event) ? POLLIN | POLLRDNORM : 0;
	pthread_mutex_unlock(&e->lock);
	return ready;
}

static void event_keep(struct fs_open *open, struct kept *kept)
{
	kept->lost = true;
}

/* ---- commands; `lock` is held */

struct event_call {
	struct fs_open *open;
	struct fs_req *req;
	struct event_open *e;
	struct ubpffs_io io;
	const char *in;
	char *out;
	size_t room;
};

static int __setup(struct event_call *call)
{
	struct ubpffs_event args;
	struct bpf_perf_event_attr attr = {.uid = call->open->opener.uid};

	if (call->io.in_len != sizeof(args) || call->e->event)
		return -EINVAL;
	memcpy(&args, call->in, sizeof(args));
	if (args.flags & ~(u32)(UBPFFS_EVENT_WATERMARK | UBPFFS_EVENT_DISABLED) || args.reserved)
		return -EINVAL;
	attr.cpu = args.cpu;
	attr.wakeup = args.wakeup;
	attr.sample_type = args.sample_type;
	attr.watermark = args.flags & UBPFFS_EVENT_WATERMARK;
	attr.disabled = args.flags & UBPFFS_EVENT_DISABLED;
	return bpf_perf_event_new(&attr, dup(call->e->memfd), &call->e->event);
}

static int __ring(struct event_call *call)
{
	int n, err;
	u64 len;

	if (call->io.in_len != sizeof(len) || !call->e->event)
		return -EINVAL;
	memcpy(&len, call->in, sizeof(len));
	err = bpf_perf_event_check(len);
	if (!err && !call->e->held) {
		err = fs_open_hold(call->open, len, fs_why(call->req));
		call->e->held = err ? 0 : len;
	}
	if (!err)
		err = bpf_perf_event_ring(call->e->event, len);
	if (err || call->open->backing_id)
		return err;
	n = snprintf(call->out, call->room, "/proc/%d/fd/%d", getpid(), call->e->memfd);
	if ((size_t)n >= call->room)
		return -EINVAL;
	call->io.out_len = (u32)n + 1;
	return 0;
}

static int __info(struct event_call *call)
{
	struct ubpffs_event_info info = {0};

	if (!call->e->event)
		return -EIO;
	info.id = bpf_perf_event_id(call->e->event);
	call->io.flags = UBPFFS_EVENT;
	call->io.out_len = (u32)min(sizeof(info), call->room);
	memcpy(call->out, &info, call->io.out_len);
	return 0;
}

/* perf_event_open(2)'s own, which carry no buffer. */
static int __enable(struct event_call *call)
{
	bpf_perf_event_enable(call->e->event, true);
	return 0;
}

static int __disable(struct event_call *call)
{
	bpf_perf_event_enable(call->e->event, false);
	return 0;
}

struct command {
	struct fs_command fuse; /* first: what FUSE has is this */
	u32 type, nr;
	int (*run)(struct event_call *call);
};

#define PERF '$'
static const struct command commands[] = {
	{{false, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_OBJ_GET_INFO, __info},
	{{false, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_EVENT_SETUP, __setup},
	{{true, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_EVENT_RING, __ring},
	{{false, LIMIT_CNT}, PERF, _IOC_NR(PERF_EVENT_IOC_ENABLE), __enable},
	{{false, LIMIT_CNT}, PERF, _IOC_NR(PERF_EVENT_IOC_DISABLE), __disable},
};

static const struct fs_command *event_command(unsigned int cmd)
{
	for (u32 i = 0; i < ARRAY_SIZE(commands); i++)
		if (_IOC_TYPE(cmd) == commands[i].type && _IOC_NR(cmd) == commands[i].nr)
			return &commands[i].fuse;
	return NULL;
}

static int run(struct event_call *call, const struct command *command)
{
	int ret;

	pthread_mutex_lock(&call->e->lock);
	ret = command->type == PERF && !call->e->event ? -EIO : command->run(call);
	pthread_mutex_unlock(&call->e->lock);
	return ret;
}

static int event_ioctl(struct fs_open *open, struct fs_req *req, const struct fs_command *fuse,
		       const void *in, size_t in_len, void *out, size_t *out_len)
{
	const struct command *command = container_of(fuse, struct command, fuse);
	struct event_call call = {.open = open, .req = req, .e = open->priv};
	size_t room = *out_len;
	int ret;

	*out_len = 0;
	if (command->type == PERF)
		return run(&call, command);
	if (in_len < sizeof(call.io) || room < sizeof(call.io))
		return -EINVAL;
	memcpy(&call.io, in, sizeof(call.io));
	call.room = call.io.out_len;
	call.io.out_len = 0;
	if (call.io.xfer || call.io.in_len > in_len - sizeof(call.io) ||
	    call.room > room - sizeof(call.io)) {
		ret = -EINVAL;
	} else {
		call.in = (const char *)in + sizeof(call.io);
		call.out = (char *)out + sizeof(call.io);
		ret = run(&call, command);
	}
	call.io.in_len = UBPFFS_ANSWERED;
	memcpy(out, &call.io, sizeof(call.io));
	*out_len = sizeof(call.io) + call.io.out_len;
	return ret;
}

const struct fs_node_ops event_file_ops = {
	.name = "event",
	.type = S_IFREG,
	.fresh = true,
	.open = event_open,
	.release = event_release,
	.poll = event_poll,
	.keep = event_keep,
	.command = event_command,
	.ioctl = event_ioctl,
};
