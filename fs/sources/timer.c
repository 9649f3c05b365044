/*
 * timer.c - time that passes: runs a program every interval_ms
 *
 * A perf_event program sees a struct bpf_perf_event_data of zeroes (there is no task and no stack:
 * the helpers say pid 0), a socket_filter an empty packet. Ticks that came while the program or the
 * machine was busy are counted as lost, not made up for.
 */
#include <linux/bpf_perf_event.h>
#include <poll.h>
#include <sys/timerfd.h>
#include "run/sample.h"
#include "fs/sources/source.h"
#include "prog_type/skb/skb.h"

static const char *timer_missing(const struct source_def *def)
{
	return def->value[SOURCE_INTERVAL_MS] ? NULL : "interval_ms";
}

static bool timer_accepts(enum bpf_prog_type type)
{
	return type == BPF_PROG_TYPE_PERF_EVENT || type == BPF_PROG_TYPE_SOCKET_FILTER;
}

static int timer_open(struct source *src)
{
	u64 ms = strtoull(src->def.value[SOURCE_INTERVAL_MS], NULL, 0);
	struct itimerspec spec;
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	src->priv = (void *)(intptr_t)-1;
	if (fd < 0)
		return -errno;
	src->priv = (void *)(intptr_t)fd;
	spec.it_interval.tv_sec = (time_t)(ms / 1000);
	spec.it_interval.tv_nsec = (long)(ms % 1000) * 1000000;
	spec.it_value = spec.it_interval;
	return timerfd_settime(fd, 0, &spec, NULL) ? -errno : 0;
}

static void timer_close(struct source *src)
{
	int fd = (int)(intptr_t)src->priv;

	if (fd > 0)
		close(fd);
	src->priv = NULL;
}

static bool tick(struct source *src)
{
	static const struct bpf_sample nobody = {.comm = "timer"};
	u8 room[2 * BPF_SKB_HEADROOM] = {0};
	struct bpf_perf_event_data data = {0};
	struct bpf_skb skb;
	u32 ret;

	if (src->prog_type == BPF_PROG_TYPE_PERF_EVENT)
		return source_run(src, &data, &nobody, &ret);
	bpf_skb_init(&skb, room, sizeof(room), BPF_SKB_HEADROOM, 0);
	return source_run(src, &skb, &nobody, &ret);
}

static enum source_state timer_run(struct source *src)
{
	int fd = (int)(intptr_t)src->priv;
	struct pollfd fds[] = {{.fd = src->stop_fd, .events = POLLIN},
			       {.fd = fd, .events = POLLIN}};
	u64 ticks;

	while (!source_stopping(src)) {
		if (poll(fds, 2, -1) < 0 || read(fd, &ticks, sizeof(ticks)) != sizeof(ticks))
			continue;
		source_count(src, seen, ticks);
		source_count(src, lost, ticks - 1);
		if (!tick(src))
			source_count(src, dropped, 1);
	}
	return SOURCE_STOPPED;
}

const struct source_kind source_timer = {
	.name = "timer",
	.attrs = 1 << SOURCE_TYPE | 1 << SOURCE_INTERVAL_MS,
	.missing = timer_missing,
	.accepts = timer_accepts,
	.accepted = "perf_event or socket_filter",
	.open = timer_open,
	.run = timer_run,
	.close = timer_close,
};
