/*
 * metrics.c - see metrics.h
 */
#include "fs/lib/metrics.h"
#include "util/clock.h"

struct fs_metrics fs_metrics;
static struct fs_latency latencies[KINDS];

static const struct {
	u64 ns;
	const char *seconds;
} bounds[LATENCY_BUCKETS] = {{10000, "1e-05"},	  {30000, "3e-05"},    {100000, "0.0001"},
			     {300000, "0.0003"},  {1000000, "0.001"},  {3000000, "0.003"},
			     {10000000, "0.01"},  {30000000, "0.03"},  {100000000, "0.1"},
			     {300000000, "0.3"},  {1000000000, "1.0"}, {10000000000, "10.0"},
			     {UINT64_MAX, "+Inf"}};

const char *fs_latency_name(enum fs_latency_kind kind)
{
	static const char *const names[KINDS] = {"look",  "open",  "read",  "write",
						 "close", "ioctl", "change"};

	return names[kind];
}

const char *fs_latency_bound(u32 bucket)
{
	return bounds[bucket].seconds;
}

static enum fs_latency_kind kind_of(const char *op)
{
	static const char *const ops[] = {[KIND_OPEN] = "open",
					  [KIND_READ] = "read",
					  [KIND_WRITE] = "write",
					  [KIND_CLOSE] = "close",
					  [KIND_IOCTL] = "ioctl"};

	for (u32 i = KIND_OPEN; op && i < ARRAY_SIZE(ops); i++)
		if (!strcmp(op, ops[i]))
			return i;
	return op ? KIND_CHANGE : KIND_LOOK;
}

void fs_count_latency(const char *op, u64 began)
{
	struct fs_latency *l = &latencies[kind_of(op)];
	u64 ns = began ? monotonic_ns() - began : 0;
	u32 i = 0;

	if (!began)
		return;
	while (ns > bounds[i].ns)
		i++;
	__atomic_fetch_add(&l->buckets[i], 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&l->sum_ns, ns, __ATOMIC_RELAXED);
}

void fs_latency_read(enum fs_latency_kind kind, struct fs_latency *out)
{
	for (u32 i = 0; i < LATENCY_BUCKETS; i++)
		out->buckets[i] = __atomic_load_n(&latencies[kind].buckets[i], __ATOMIC_RELAXED);
	out->sum_ns = __atomic_load_n(&latencies[kind].sum_ns, __ATOMIC_RELAXED);
}
