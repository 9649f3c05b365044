/*
 * clock.h - the time, as one number
 */
#ifndef UBPFFS_UTIL_CLOCK_H
#define UBPFFS_UTIL_CLOCK_H

#include <stdint.h>
#include <time.h>

/* 0: there is no such clock (a thread that has ended, say). */
static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		return 0;
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

static inline uint64_t monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static inline uint64_t monotonic_ms(void)
{
	return monotonic_ns() / 1000000;
}

/* The time of `clock` in `ns` from now, as pthread_cond_timedwait() wants it. */
static inline struct timespec clock_after(clockid_t clock, uint64_t ns)
{
	uint64_t then = clock_ns(clock) + ns;

	return (struct timespec){(time_t)(then / 1000000000), (long)(then % 1000000000)};
}

#endif
