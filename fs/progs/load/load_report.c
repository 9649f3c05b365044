/*
 * load_report.c - see load_report.h. One mutex, one list in order of use; nothing is taken under
 * it.
 */
#include "fs/progs/load/load_report.h"
#include "util/clock.h"

#include <time.h>

#define REPORT_MAX	256
#define REPORT_WAIT_NS	1000000000L /* the kernel tells of a close later, a busy one much later */
#define REPORT_CHECK_NS 20000000L

struct report {
	struct report *next;
	u64 what;
	uid_t uid;
	u32 in_state[3]; /* how many opens are in each enum report_state */
	char *text;
	size_t len;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct report *first; /* used last */
	u32 count;
} reports = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool busy(const struct report *r)
{
	return r->in_state[REPORT_CLOSED] || r->in_state[REPORT_RUNNING];
}

static void __report_trim(void)
{
	struct report **victim = NULL;

	if (reports.count < REPORT_MAX)
		return;
	for (struct report **p = &reports.first; *p; p = &(*p)->next)
		if (!busy(*p))
			victim = p;
	if (victim) {
		struct report *r = *victim;

		*victim = r->next;
		free(r->text);
		free(r);
		reports.count--;
	}
}

static struct report *__report_find(u64 what, uid_t uid, bool make)
{
	struct report *r, **p = &reports.first;

	while (*p && ((*p)->what != what || (*p)->uid != uid))
		p = &(*p)->next;
	r = *p;
	if (r) {
		*p = r->next;
	} else if (make) {
		__report_trim();
		r = calloc(1, sizeof(*r));
		if (!r)
			return NULL;
		r->what = what;
		r->uid = uid;
		reports.count++;
	} else {
		return NULL;
	}
	r->next = reports.first;
	reports.first = r;
	return r;
}

void report_set(u64 what, uid_t uid, struct fs_text *text)
{
	struct report *r;

	pthread_mutex_lock(&reports.lock);
	r = __report_find(what, uid, true);
	if (r) {
		free(r->text);
		r->text = text->buf;
		r->len = text->len;
		memset(text, 0, sizeof(*text));
	}
	pthread_mutex_unlock(&reports.lock);
	fs_text_free(text);
}

void report_get(u64 what, uid_t uid, struct fs_text *out)
{
	struct report *r;

	pthread_mutex_lock(&reports.lock);
	r = __report_find(what, uid, false);
	if (r && r->text)
		fs_text_append(out, r->text, r->len);
	pthread_mutex_unlock(&reports.lock);
}

void report_move(u64 what, uid_t uid, enum report_state from, enum report_state to)
{
	struct report *r;

	if (from == to)
		return;
	pthread_mutex_lock(&reports.lock);
	r = __report_find(what, uid, true);
	if (r) {
		if (from != REPORT_NONE && r->in_state[from])
			r->in_state[from]--;
		if (to != REPORT_NONE)
			r->in_state[to]++;
	}
	pthread_cond_broadcast(&reports.changed);
	pthread_mutex_unlock(&reports.lock);
}

void report_wait(u64 what, uid_t uid, const volatile bool *cancel)
{
	u64 until = monotonic_ns() + REPORT_WAIT_NS;
	struct timespec tick;

	pthread_mutex_lock(&reports.lock);
	for (;;) {
		struct report *r = __report_find(what, uid, false);

		if (!r || !busy(r) || __atomic_load_n(cancel, __ATOMIC_RELAXED))
			break;
		if (!r->in_state[REPORT_RUNNING] && monotonic_ns() >= until)
			break;
		tick = clock_after(CLOCK_REALTIME, REPORT_CHECK_NS);
		pthread_cond_timedwait(&reports.changed, &reports.lock, &tick);
	}
	pthread_mutex_unlock(&reports.lock);
}
