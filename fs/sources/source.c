/*
 * source.c - definitions, and the life of a source and its thread (see source.h)
 */
#include <ctype.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include "rcu/rcu.h"
#include "run/sample.h"
#include "fs/lib/thread_signals.h"
#include "fs/sources/perf_events.h"
#include "fs/sources/source.h"

#define RUN_LIMIT_NS 1000000000ULL /* processor time of a run on one event */

/* The kinds that there are: each is a file of this folder. */
extern const struct source_kind source_perf, source_pcap, source_timer;

static const struct source_kind *const kinds[] = {&source_perf, &source_pcap, &source_timer};

static const char *const names[SOURCE_ATTR_NR] = {
	"type", "event",     "pid",    "freq", "period",      "unwind",
	"file", "interface", "filter", "out",  "interval_ms",
};

const char *source_attr_name(enum source_attr attr)
{
	return names[attr];
}

/* ---- definitions */

static const struct source_kind *kind_by_name(const char *name)
{
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!strcmp(kinds[i]->name, name))
			return kinds[i];
	return NULL;
}

const struct source_kind *source_kind_of(const struct source_def *def)
{
	return def->value[SOURCE_TYPE] ? kind_by_name(def->value[SOURCE_TYPE]) : NULL;
}

/* Is `value` one of the names (1), the beginning of one (0), or none (-EINVAL)? */
static int check_name(const char *const *list, u32 n, const char *value, const char *what,
		      struct error_record *why)
{
	bool begins = false;
	char all[256];
	size_t len = 0;

	for (u32 i = 0; i < n; i++) {
		if (!strcmp(list[i], value))
			return 1;
		begins |= !strncmp(list[i], value, strlen(value));
	}
	if (begins)
		return 0;
	all[0] = 0;
	for (u32 i = 0; i < n && len < sizeof(all); i++)
		len += (size_t)snprintf(all + len, sizeof(all) - len, " %s", list[i]);
	return error_set(why, EINVAL, "%.64s is no %s: there are%s", value, what, all);
}

static int check_number(const char *value, u64 low, u64 high, const char *name,
			struct error_record *why)
{
	char *end;
	u64 v;

	errno = 0;
	v = strtoull(value, &end, 0);
	if (!isdigit((unsigned char)value[0]) || *end || errno || v < low || v > high)
		return error_set(why, EINVAL, "%s takes a number from %llu to %llu", name,
				 (unsigned long long)low, (unsigned long long)high);
	return 1;
}

/* Two ways to say one thing. */
static int check_other(const struct source_def *def, enum source_attr other,
		       struct error_record *why)
{
	if (!def->value[other])
		return 1;
	return error_set(why, EINVAL, "%s is set already, and one of the two is enough: echo > %s",
			 names[other], names[other]);
}

static int check_path(const char *value, const char *name, struct error_record *why)
{
	if (value[0] != '/')
		return error_set(why, EINVAL, "%s takes a path from the root on", name);
	return 1;
}

int source_check(const struct source_def *def, enum source_attr attr, const char *value,
		 struct error_record *why)
{
	static const char *const types[] = {"perf", "pcap", "timer"};
	static const char *const unwinds[] = {"fp", "dwarf"};
	int ret;

	switch (attr) {
	case SOURCE_TYPE:
		return check_name(types, ARRAY_SIZE(types), value, "type of source", why);
	case SOURCE_EVENT:
		return check_name(perf_event_names, perf_event_names_nr, value, "event", why);
	case SOURCE_UNWIND:
		return check_name(unwinds, ARRAY_SIZE(unwinds), value, "way to unwind", why);
	case SOURCE_PID:
		if (isalpha((unsigned char)value[0])) {
			if (!strncmp("all", value, strlen(value)))
				return !strcmp("all", value);
			return error_set(why, EINVAL, "pid takes the number of a process, or all");
		}
		return check_number(value, 1, INT32_MAX, "pid", why);
	case SOURCE_FREQ:
		ret = check_other(def, SOURCE_PERIOD, why);
		return ret < 0 ? ret : check_number(value, 1, 100000, "freq", why);
	case SOURCE_PERIOD:
		ret = check_other(def, SOURCE_FREQ, why);
		return ret < 0 ? ret : check_number(value, 1, INT64_MAX, "period", why);
	case SOURCE_INTERVAL_MS:
		return check_number(value, 1, 86400000, "interval_ms", why);
	case SOURCE_FILE:
		ret = check_other(def, SOURCE_INTERFACE, why);
		return ret < 0 ? ret : check_path(value, "file", why);
	case SOURCE_INTERFACE:
		ret = check_other(def, SOURCE_FILE, why);
		if (ret > 0 && strlen(value) >= IFNAMSIZ)
			ret = error_set(why, EINVAL, "that is no interface's name");
		return ret;
	case SOURCE_OUT:
		return check_path(value, "out", why);
	default:
		return 1;
	}
}

int source_def_set(struct source_def *def, enum source_attr attr, const char *value)
{
	char *copy = value ? strdup(value) : NULL;

	if (value && !copy)
		return -ENOMEM;
	free(def->value[attr]);
	def->value[attr] = copy;
	return 0;
}

int source_def_copy(struct source_def *to, const struct source_def *from)
{
	memset(to, 0, sizeof(*to));
	for (u32 i = 0; i < SOURCE_ATTR_NR; i++)
		if (from->value[i] && source_def_set(to, i, from->value[i])) {
			source_def_free(to);
			return -ENOMEM;
		}
	return 0;
}

void source_def_free(struct source_def *def)
{
	for (u32 i = 0; i < SOURCE_ATTR_NR; i++)
		free(def->value[i]);
	memset(def, 0, sizeof(*def));
}

/* ---- life */

int source_agent(const struct source *src, enum agent_service service, const void *arg, size_t len,
		 struct error_record *why)
{
	struct agent_cred cred = {src->uid, src->gid, AGENT_ACCOUNT_GROUPS, NULL};
	int sock = agent_spawn(&cred, service, arg, len, why);

	return sock == -ECONNREFUSED ? -EIO : sock;
}

struct source *source_new(const struct source_def *def, uid_t uid, gid_t gid)
{
	struct source *src = calloc(1, sizeof(*src));

	if (!src || source_def_copy(&src->def, def)) {
		free(src);
		return NULL;
	}
	src->kind = source_kind_of(&src->def);
	src->uid = uid;
	src->gid = gid;
	src->cpu = -1;
	src->stop_fd = -1;
	return src;
}

static void set_state(struct source *src, enum source_state state)
{
	__atomic_store_n(&src->state, state, __ATOMIC_RELEASE);
}

enum source_state source_state(const struct source *src)
{
	return __atomic_load_n(&src->state, __ATOMIC_ACQUIRE);
}

static void *source_main(void *arg)
{
	struct source *src = arg;
	enum source_state state;
	void (*ended)(void *arg);
	int err;

	bpf_rcu_thread_online();
	err = src->kind->open(src);
	if (err && !src->why.err)
		src->why.err = -err;
	set_state(src, err ? SOURCE_FAILED : SOURCE_RUNNING);
	src->started(src->started_arg, err);
	if (err)
		return NULL;
	bpf_run_set_cancel(&src->stopping);
	bpf_run_set_group(cpu_limit_group(src->uid));
	cpu_limit_begin(&src->cpu_limit, CPU_LIMIT_RUN, RUN_LIMIT_NS, &src->stopping);
	cpu_limit_pause(&src->cpu_limit);
	state = src->kind->run(src);
	if (cpu_limit_over(&src->cpu_limit)) { /* it is as if it had been stopped, but nobody did */
		error_clear(&src->why);
		error_set(&src->why, EDQUOT,
			  "the program took a second for one event and was stopped");
		state = SOURCE_FAILED;
	}
	cpu_limit_end(&src->cpu_limit);
	bpf_run_set_group(0);
	bpf_run_set_cancel(&bpf_never_cancelled);
	__atomic_store_n(&src->finished, true, __ATOMIC_SEQ_CST);
	ended = __atomic_load_n(&src->ended, __ATOMIC_SEQ_CST);
	if (!source_stopping(src) && ended)
		ended(src->ended_arg);
	set_state(src, state);
	return NULL;
}

void source_on_end(struct source *src, void (*ended)(void *arg), void *arg)
{
	src->ended_arg = arg;
	__atomic_store_n(&src->ended, ended, __ATOMIC_SEQ_CST);
	if (__atomic_load_n(&src->finished, __ATOMIC_SEQ_CST) && !source_stopping(src))
		ended(arg);
}

static int source_thread(struct source *src)
{
	sigset_t old;
	int err;

	thread_signals(&old);
	err = pthread_create(&src->thread, NULL, source_main, src);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -err;
}

/* What a tail call leads to may ask for anything. */
static void note_wants(struct source *src, const struct bpf_prog *prog)
{
	__atomic_store_n(&src->wants_build_ids, prog->wants_build_ids || prog->has_tail_call,
			 __ATOMIC_RELAXED);
}

int source_start(struct source *src, struct bpf_prog *prog)
{
	int err = 0;

	error_clear(&src->why);
	src->stopping = false;
	memset(&src->stats, 0, sizeof(src->stats));
	src->prog = prog;
	src->prog_type = prog->type;
	note_wants(src, prog);
	src->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (src->stop_fd < 0)
		err = -errno;
	set_state(src, SOURCE_STARTING);
	if (!err)
		err = source_thread(src);
	if (!err) {
		src->threaded = true;
		return 0;
	}
	if (src->stop_fd >= 0)
		close(src->stop_fd);
	src->stop_fd = -1;
	source_replace(src, NULL);
	set_state(src, SOURCE_FAILED);
	return error_set(&src->why, -err, "no thread can be made: %s", strerror(-err));
}

void source_replace(struct source *src, struct bpf_prog *prog)
{
	struct bpf_prog *old;

	if (prog) /* before it runs */
		note_wants(src, prog);
	old = bpf_rcu_xchg_pointer(src->prog, prog);
	if (old)
		bpf_prog_put(old); /* freed after a grace period */
}

void source_cancel(struct source *src)
{
	u64 one = 1;

	__atomic_store_n(&src->stopping, true, __ATOMIC_RELEASE);
	if (write(src->stop_fd, &one, sizeof(one)) < 0) {
		/* It is full of such writes: readable all the same. */
	}
}

void source_stop(struct source *src)
{
	if (!src->threaded)
		return;
	source_cancel(src);
	pthread_join(src->thread, NULL);
	src->threaded = false;
	src->kind->close(src);
	close(src->stop_fd);
	src->stop_fd = -1;
	source_replace(src, NULL);
	if (source_state(src) == SOURCE_RUNNING)
		set_state(src, SOURCE_STOPPED);
}

void source_free(struct source *src)
{
	if (!src)
		return;
	source_def_free(&src->def);
	error_clear(&src->why);
	free(src);
}

void source_read_stats(const struct source *src, struct source_stats *out)
{
	out->seen = __atomic_load_n(&src->stats.seen, __ATOMIC_RELAXED);
	out->run = __atomic_load_n(&src->stats.run, __ATOMIC_RELAXED);
	out->dropped = __atomic_load_n(&src->stats.dropped, __ATOMIC_RELAXED);
	out->redirected = __atomic_load_n(&src->stats.redirected, __ATOMIC_RELAXED);
	out->lost = __atomic_load_n(&src->stats.lost, __ATOMIC_RELAXED);
	out->errors = __atomic_load_n(&src->stats.errors, __ATOMIC_RELAXED);
}

/* ---- running */

void source_burst_begin(void)
{
	bpf_slot_keep();
}

void source_burst_end(void)
{
	bpf_slot_release();
}

bool source_run(struct source *src, const void *ctx, const struct bpf_sample *sample, u32 *ret)
{
	struct bpf_prog *prog;
	bool ran = false;

	if (!bpf_run_enter_unless_cancelled())
		return false;
	prog = bpf_rcu_dereference(src->prog);
	if (prog && !READ_ONCE(prog->poisoned)) {
		bpf_this.sample = sample;
		cpu_limit_go_on(&src->cpu_limit);
		*ret = (u32)bpf_prog_run_counted(prog, ctx);
		cpu_limit_pause(&src->cpu_limit);
		bpf_this.sample = NULL;
		source_count(src, run, 1);
		ran = true;
	}
	bpf_run_exit();
	return ran;
}
