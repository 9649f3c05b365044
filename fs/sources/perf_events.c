/*
 * perf_events.c - see perf_events.h
 */
#include "fs/sources/perf_events.h"

/* One table: the names, in the order that messages show them. */
#define EVENTS(X)                                                                 \
	X("cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK)               \
	X("task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK)             \
	X("page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS)           \
	X("context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES) \
	X("cpu-cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES)             \
	X("instructions", PERF_TYPE_HARDWARE, PERF_COUNT_HW_INSTRUCTIONS)         \
	X("cache-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CACHE_MISSES)         \
	X("branch-misses", PERF_TYPE_HARDWARE, PERF_COUNT_HW_BRANCH_MISSES)

#define EVENT_NAME(name, type, config) name,
#define EVENT_CODE(name, type, config) {type, config},

const char *const perf_event_names[] = {EVENTS(EVENT_NAME)};
const u32 perf_event_names_nr = ARRAY_SIZE(perf_event_names);

static const struct {
	u32 type;
	u64 config;
} codes[] = {EVENTS(EVENT_CODE)};

bool perf_event_by_name(const char *name, struct perf_event_attr *attr)
{
	for (u32 i = 0; i < perf_event_names_nr; i++) {
		if (strcmp(perf_event_names[i], name))
			continue;
		attr->type = codes[i].type;
		attr->config = codes[i].config;
		return true;
	}
	return false;
}

struct cursor {
	const u64 *p, *end;
	bool bad;
};

static u64 take(struct cursor *c)
{
	if (c->bad || c->p >= c->end) {
		c->bad = true;
		return 0;
	}
	return *c->p++;
}

static const u64 *take_many(struct cursor *c, u64 n)
{
	const u64 *p = c->p;

	if (c->bad || n > (u64)(c->end - c->p)) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static void take_regs(struct cursor *c, u64 mask, struct perf_regs *out)
{
	out->abi = take(c);
	if (!c->bad && out->abi != PERF_SAMPLE_REGS_ABI_NONE)
		out->v = take_many(c, (u64)__builtin_popcountll(mask));
}

/* size, the bytes, and how many of them are meant */
static void take_stack(struct cursor *c, struct perf_sample *out)
{
	u64 size = take(c), meant;

	if (!size)
		return;
	if (size % 8)
		c->bad = true;
	out->stack = take_many(c, size / 8);
	meant = take(c);
	out->stack_size = min(meant, size);
}

/*
 * Fields that we never ask for (identifiers, raw data, branches) are not understood: they are
 * refused.
 */
#define KNOWN                                                                              \
	(PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR |          \
	 PERF_SAMPLE_CPU | PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ | PERF_SAMPLE_CALLCHAIN | \
	 PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER | PERF_SAMPLE_REGS_INTR)

int perf_sample_parse(const struct perf_event_attr *attr, const void *body, size_t size,
		      struct perf_sample *out)
{
	struct cursor c = {body, (const u64 *)body + size / 8, false};
	u64 type = attr->sample_type, word;

	memset(out, 0, sizeof(*out));
	if (type & ~(u64)KNOWN)
		return -EINVAL;
	if (type & PERF_SAMPLE_IP)
		out->ip = take(&c);
	if (type & PERF_SAMPLE_TID) {
		word = take(&c);
		out->pid = (u32)word;
		out->tid = (u32)(word >> 32);
	}
	if (type & PERF_SAMPLE_TIME)
		out->time = take(&c);
	if (type & PERF_SAMPLE_ADDR)
		out->addr = take(&c);
	if (type & PERF_SAMPLE_CPU)
		take(&c);
	if (type & PERF_SAMPLE_PERIOD)
		out->period = take(&c);
	if (type & PERF_SAMPLE_READ) { /* read_format: both times, no group, no id */
		out->counter = take(&c);
		out->enabled = take(&c);
		out->running = take(&c);
		out->has_counter = true;
	}
	if (type & PERF_SAMPLE_CALLCHAIN) {
		out->chain_nr = take(&c);
		out->chain = take_many(&c, out->chain_nr);
	}
	if (type & PERF_SAMPLE_REGS_USER)
		take_regs(&c, attr->sample_regs_user, &out->user);
	if (type & PERF_SAMPLE_STACK_USER)
		take_stack(&c, out);
	if (type & PERF_SAMPLE_REGS_INTR)
		take_regs(&c, attr->sample_regs_intr, &out->intr);
	return c.bad ? -EBADMSG : 0;
}

void perf_chain_split(const u64 *chain, u64 nr, u64 *kernel, u32 *kernel_nr, u64 *user,
		      u32 *user_nr)
{
	u64 context = PERF_CONTEXT_USER;

	*kernel_nr = *user_nr = 0;
	for (u64 i = 0; i < nr; i++) {
		if (chain[i] >= (u64)PERF_CONTEXT_MAX) {
			context = chain[i];
		} else if (context == (u64)PERF_CONTEXT_KERNEL) {
			if (*kernel_nr < BPF_MAX_STACK_DEPTH)
				kernel[(*kernel_nr)++] = chain[i];
		} else if (context == (u64)PERF_CONTEXT_USER) {
			if (*user_nr < BPF_MAX_STACK_DEPTH)
				user[(*user_nr)++] = chain[i];
		}
	}
}
