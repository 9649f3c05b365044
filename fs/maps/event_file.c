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
#include "fs/maps/event_samples.h"
#include "fs/maps/stream.h"
#include "fs/store/resolve.h"
#include "map/ring/perf_event.h"
#include "uapi/ubpffs.h"

struct event_open {
	pthread_mutex_t lock;
	struct bpf_perf_event *event; /* that programs output to; NULL: not set up yet, or it */
	struct event_samples *samples; /* samples: both stay, once set */
	int memfd; /* the event's, once there is one */
	u64 held; /* bytes that are charged for the ring */
};

static int event_open(struct fs_open *open, struct fs_req *req)
{
	struct event_open *e;
	int err = fs_open_keep_groups(open, req);

	if (err)
		return err;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	pthread_mutex_init(&e->lock, NULL);
	e->memfd = memfd_create("event", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (e->memfd < 0 || fchmod(e->memfd, 0600)) {
		err = -errno;
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
	event_samples_free(e->samples);
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
		ready = e->samples ? 0 : POLLERR | POLLHUP;
	else
		ready = bpf_perf_event_ready(e->event) ? POLLIN | POLLRDNORM : 0;
	pthread_mutex_unlock(&e->lock);
	return ready;
}

static void event_keep(struct fs_open *open, struct kept *kept)
{
	kept->lost = true;
}

/* ---- commands; those that begin with __ with `lock` held */

struct event_call {
	struct fs_open *open;
	struct fs_req *req;
	struct event_open *e;
	struct ubpffs_io io;
	const char *in;
	char *out;
	size_t room;
};

static int __setup_output(struct event_call *call, const struct ubpffs_event *args)
{
	struct bpf_perf_event_attr attr = {.uid = call->open->opener.uid,
					   .cpu = args->cpu,
					   .wakeup = args->wakeup,
					   .sample_type = args->sample_type,
					   .watermark = args->flags & UBPFFS_EVENT_WATERMARK,
					   .disabled = args->flags & UBPFFS_EVENT_DISABLED};

	if (args->flags & UBPFFS_EVENT_FREQ || args->pid || args->sample)
		return -EINVAL;
	return bpf_perf_event_new(&attr, dup(call->e->memfd), &call->e->event);
}

static int __setup(struct event_call *call)
{
	struct ubpffs_event args;

	if (call->io.in_len != sizeof(args) || call->e->event || call->e->samples)
		return -EINVAL;
	memcpy(&args, call->in, sizeof(args));
	if (args.reserved ||
	    args.flags & ~(u32)(UBPFFS_EVENT_WATERMARK | UBPFFS_EVENT_DISABLED | UBPFFS_EVENT_FREQ))
		return -EINVAL;
	if (args.type == PERF_TYPE_SOFTWARE && args.config == PERF_COUNT_SW_BPF_OUTPUT)
		return __setup_output(call, &args);
	if (args.flags & UBPFFS_EVENT_WATERMARK || args.sample_type || args.wakeup ||
	    !args.sample || args.pid > INT32_MAX)
		return -EINVAL;
	return event_samples_new(&args, &call->open->opener, &call->e->samples, fs_why(call->req));
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

	if (!call->e->event && !call->e->samples)
		return -EIO;
	info.id = call->e->event ? bpf_perf_event_id(call->e->event) : 0;
	info.samples = call->e->samples != NULL;
	call->io.flags = UBPFFS_EVENT;
	call->io.out_len = (u32)min(sizeof(info), call->room);
	memcpy(call->out, &info, call->io.out_len);
	return 0;
}

/* ---- those that may wait for a process: without the lock, which poll takes */

static int attach(struct event_call *call)
{
	struct store_object *obj;
	char text[16];
	u32 id;
	int err;

	if (call->io.in_len != sizeof(id) || !call->e->samples)
		return -EINVAL;
	memcpy(&id, call->in, sizeof(id));
	snprintf(text, sizeof(text), "%u", id);
	err = resolve_object(call->req, STORE_PROG, text, RESOLVE_USE, &obj);
	if (err)
		return err;
	err = event_samples_attach(call->e->samples, obj->prog, fs_why(call->req));
	store_put(obj);
	return err;
}

/* perf_event_open(2)'s own, which carry no buffer. */
static int enable(struct event_call *call, bool on)
{
	if (call->e->samples)
		return event_samples_enable(call->e->samples, on, fs_why(call->req));
	if (!call->e->event)
		return -EIO;
	bpf_perf_event_enable(call->e->event, on);
	return 0;
}

static int enable_it(struct event_call *call)
{
	return enable(call, true);
}

static int disable_it(struct event_call *call)
{
	return enable(call, false);
}

struct command {
	struct fs_command fuse; /* first: what FUSE has is this */
	u32 type, nr;
	bool locks;
	int (*run)(struct event_call *call);
};

#define PERF '$'
static const struct command commands[] = {
	{{false, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_OBJ_GET_INFO, true, __info},
	{{false, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_EVENT_SETUP, true, __setup},
	{{true, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_EVENT_RING, true, __ring},
	{{true, LIMIT_CNT}, UBPFFS_IOC_TYPE, UBPFFS_EVENT_ATTACH, false, attach},
	{{true, LIMIT_CNT}, PERF, _IOC_NR(PERF_EVENT_IOC_ENABLE), false, enable_it},
	{{true, LIMIT_CNT}, PERF, _IOC_NR(PERF_EVENT_IOC_DISABLE), false, disable_it},
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

	if (!command->locks)
		return command->run(call);
	pthread_mutex_lock(&call->e->lock);
	ret = command->run(call);
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
	.slow = true, /* its release may wait for a source's thread */
	.open = event_open,
	.release = event_release,
	.poll = event_poll,
	.keep = event_keep,
	.command = event_command,
	.ioctl = event_ioctl,
};
