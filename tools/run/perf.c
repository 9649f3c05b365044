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

static bool is_output(const struct perf_event_attr *attr)
{
	return attr->type == PERF_TYPE_SOFTWARE && attr->config == PERF_COUNT_SW_BPF_OUTPUT;
}

/*
 * Samples that nobody can read, for there is nothing in them: they are for a program. The mount has
 * sources for these.
 */
static bool is_for_a_program(const struct perf_event_attr *attr)
{
	return (attr->type == PERF_TYPE_SOFTWARE || attr->type == PERF_TYPE_HARDWARE) &&
	       attr->sample_period && !attr->sample_type && !attr->wakeup_events;
}

static long open_event(struct caller *c, const struct perf_event_attr *attr, int pid, int cpu,
		       bool cloexec)
{
	struct ubpffs_event event = {.type = attr->type,
				     .config = attr->config,
				     .flags = attr->disabled ? UBPFFS_EVENT_DISABLED : 0,
				     .cpu = cpu};
	struct ubpffs_io io = {0};
	int fd = mount_open(".event", O_RDWR);
	long ret;

	if (fd < 0)
		return fd;
	if (is_output(attr)) {
		event.wakeup = attr->wakeup_events;
		event.sample_type = attr->sample_type;
		event.flags |= attr->watermark ? UBPFFS_EVENT_WATERMARK : 0;
	} else {
		event.pid = pid;
		event.sample = attr->sample_period;
		event.flags |= attr->freq ? UBPFFS_EVENT_FREQ : 0;
	}
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
	bool output;
	long ret;

	if (read_attr(c, &attr))
		return;
	output = is_output(&attr);
	if (!output && !is_for_a_program(&attr))
		return; /* the kernel's */
	if (group != -1 || flags & ~(uint64_t)PERF_FLAG_FD_CLOEXEC || pid < -1 || cpu < -1 ||
	    (pid == -1 && cpu < 0) || (output && pid != -1) || cpu >= cpu_possible_count()) {
		caller_answer(c, -EINVAL);
		return;
	}
	ret = caller_become(c);
	if (!ret) {
		ret = open_event(c, &attr,
				 pid == -1 ? 0
				 : pid	   ? pid
					   : c->tid,
				 cpu, flags & PERF_FLAG_FD_CLOEXEC);
		caller_return();
	}
	if (ret == -ENOENT && !output)
		return; /* an event that the mount has no source for: to be counted at least */
	caller_answer(c, ret);
}

void run_ioctl(struct caller *c)
{
	struct object event, prog = {.fd = -1};
	struct ubpffs_io io = {0};
	long ret;

	if (caller_become(c))
		return;
	ret = object_of_fd(c, CALLER_ARG(c, 0), UBPFFS_EVENT, &event);
	if (!ret) {
		ret = object_of_fd(c, CALLER_ARG(c, 2), UBPFFS_PROG, &prog);
		if (!ret)
			ret = mount_command(event.fd, UBPFFS_EVENT_ATTACH, &io, &prog.prog.id,
					    sizeof(prog.prog.id), NULL);
		caller_answer(c, ret);
	}
	caller_return();
	object_end(&event);
	object_end(&prog);
}
