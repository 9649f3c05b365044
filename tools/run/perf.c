/*
 * perf.c - see perf.h
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <unistd.h>
#include "tools/run/commands/object.h"
#include "tools/run/perf.h"
#include "util/cpu_list.h"

/* What the caller has of a structure that has grown: zeros for the rest. */
static int read_attr(struct caller *c, struct perf_event_attr *attr)
{
	uint32_t size;
	int err;

	memset(attr, 0, sizeof(*attr));
	err = caller_read(c, CALLER_ARG(c, 0) + offsetof(struct perf_event_attr, size), &size,
			  sizeof(size));
	if (err)
		return err;
	if (!size || size > sizeof(*attr))
		size = size ? sizeof(*attr) : PERF_ATTR_SIZE_VER0;
	return caller_read(c, CALLER_ARG(c, 0), attr, size);
}

static long open_event(struct caller *c, const struct perf_event_attr *attr, int cpu, bool cloexec)
{
	struct ubpffs_event event = {.cpu = cpu,
				     .wakeup = attr->wakeup_events,
				     .sample_type = attr->sample_type,
				     .flags = (attr->watermark ? UBPFFS_EVENT_WATERMARK : 0) |
					      (attr->disabled ? UBPFFS_EVENT_DISABLED : 0)};
	struct ubpffs_io io = {0};
	int fd = mount_open(".event", O_RDWR);
	long ret;

	if (fd < 0)
		return fd;
	ret = mount_command(fd, UBPFFS_EVENT_SETUP, &io, &event, sizeof(event), NULL);
	if (!ret)
		ret = caller_give(c, fd, cloexec);
	close(fd);
	return ret;
}

void run_perf_event_open(struct caller *c)
{
	int pid = CALLER_ARG(c, 1), cpu = CALLER_ARG(c, 2), group = CALLER_ARG(c, 3);
	uint64_t flags = CALLER_ARG(c, 4);
	struct perf_event_attr attr;
	long ret;

	if (read_attr(c, &attr) || attr.type != PERF_TYPE_SOFTWARE ||
	    attr.config != PERF_COUNT_SW_BPF_OUTPUT)
		return; /* the kernel's */
	if (pid != -1 || cpu < 0 || group != -1 || flags & ~(uint64_t)PERF_FLAG_FD_CLOEXEC ||
	    cpu >= cpu_possible_count()) {
		caller_answer(c, -EINVAL);
		return;
	}
	ret = caller_become(c);
	if (!ret) {
		ret = open_event(c, &attr, cpu, flags & PERF_FLAG_FD_CLOEXEC);
		caller_return();
	}
	caller_answer(c, ret);
}
