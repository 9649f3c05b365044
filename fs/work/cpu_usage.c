/*
 * cpu_usage.c - see cpu_usage.h
 */
#include "fs/work/cpu_usage.h"

#include <pthread.h>
#include <unistd.h>
#include "util/clock.h"

#define SHARES	 256u
#define OVER_NS	 50000000ULL
#define DECAY_NS 100000000ULL /* after which half of it is forgotten */

/* Two users of one place share it for a while. */
static struct share {
	uid_t uid;
	u64 used_ns, at_ns;
} shares[SHARES];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct share *__share_of(uid_t uid)
{
	struct share *share = &shares[uid % SHARES];
	u64 now = clock_ns(CLOCK_MONOTONIC_COARSE), halves = (now - share->at_ns) / DECAY_NS;

	if (share->uid != uid || halves > 63)
		*share = (struct share){.uid = uid, .at_ns = now};
	else if (halves) {
		share->used_ns >>= halves;
		share->at_ns += halves * DECAY_NS;
	}
	return share;
}

bool cpu_usage_counts(uid_t uid)
{
	return uid && uid != geteuid();
}

void cpu_usage_add(uid_t uid, u64 ns)
{
	pthread_mutex_lock(&lock);
	__share_of(uid)->used_ns += ns;
	pthread_mutex_unlock(&lock);
}

bool cpu_usage_is_over(uid_t uid)
{
	bool over;

	pthread_mutex_lock(&lock);
	over = __share_of(uid)->used_ns > OVER_NS;
	pthread_mutex_unlock(&lock);
	return over;
}
