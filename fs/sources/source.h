/*
 * source.h - what feeds programs with events: samples, packets, time
 *
 * A source has a kind (perf, pcap, timer), a definition (attributes as text), an owner and a
 * program. source_start() makes a thread, which opens everything with the owner's rights, tells the
 * starter by src->started() whether that worked, and then runs the program on each event until
 * source_stop(), or until there are no more events.
 *
 * Rights: what a definition names (a pid, a path) is opened by a process that is the owner
 * (agent.h): the kernel decides, not the server. It may take for ever; source_stop() ends all
 * waiting at once.
 *
 * Threads: start, replace, stop and free of one source are the caller's to serialise;
 * source_read_stats() and source_state() may be called by anyone at any time. The program is an RCU
 * pointer: an event sees the old one or the new one. A source's thread keeps its slot for a burst
 * of events, never while it waits: there are few slots, and others want to run too.
 *
 * A run on one event is cancelled when the source is stopped, and after a second of processor time,
 * which ends the source.
 *
 * This directory knows the engine and nothing of FUSE, nodes or the state tree.
 */
#ifndef UBPFFS_FS_SOURCES_SOURCE_H
#define UBPFFS_FS_SOURCES_SOURCE_H

#include <pthread.h>
#include <sys/types.h>
#include "core/prog.h"
#include "run/run.h"
#include "fs/work/cpu_limit.h"
#include "fs/agent/agent.h"

enum source_attr {
	SOURCE_TYPE,
	SOURCE_EVENT,
	SOURCE_PID,
	SOURCE_FREQ,
	SOURCE_PERIOD,
	SOURCE_UNWIND,
	SOURCE_FILE,
	SOURCE_INTERFACE,
	SOURCE_FILTER,
	SOURCE_OUT,
	SOURCE_INTERVAL_MS,
	SOURCE_ATTR_NR,
};

#define SOURCE_VALUE_MAX 4096

struct source_def {
	char *value[SOURCE_ATTR_NR]; /* NULL: not set */
};

struct source_stats {
	u64 seen; /* events that came */
	u64 run; /* runs of the program */
	u64 dropped; /* packets that the program dropped; events that none could run on */
	u64 redirected; /* packets that it sent elsewhere */
	u64 lost; /* events that came too fast, as the kernel counts them */
	u64 errors; /* malformed records, failed writes and unwindings */
};

enum source_state {
	SOURCE_STOPPED,
	SOURCE_STARTING,
	SOURCE_RUNNING,
	SOURCE_ENDED, /* no more events: the end of the file, the process is gone */
	SOURCE_FAILED,
};

struct source;

struct source_kind {
	const char *name;
	u32 attrs; /* bits of enum source_attr */
	/* What is missing, in words, or NULL when it can start. */
	const char *(*missing)(const struct source_def *def);
	bool (*accepts)(enum bpf_prog_type type);
	const char *accepted; /* for people */
	/*
	 * Both on the source's thread. 0, or -errno and src->why; close() is called in any
	 * case.
	 */
	int (*open)(struct source *src);
	/* Until source_stopping(). Returns the state that it ends in. */
	enum source_state (*run)(struct source *src);
	void (*close)(struct source *src);
};

struct source {
	const struct source_kind *kind;
	struct source_def def;
	uid_t uid; /* the owner */
	gid_t gid;
	int cpu; /* perf: samples of this one; -1: of all. Set before the start */
	u64 began; /* perf: when the sampled process did; 0: all, or before the start: any */
	bool again; /* brought back after a restart of the server: `out` goes on */
	struct bpf_prog *prog; /* RCU */
	enum bpf_prog_type prog_type; /* of prog, as long as it runs */
	bool wants_build_ids; /* prog may ask for a user stack as build ids */
	struct source_stats stats; /* written by the source's thread */
	enum source_state state;
	struct error_record why; /* SOURCE_FAILED: nobody changes it any more */
	/*
	 * On the source's thread, once. err: 0, it runs; else src->why, and nothing is to be done
	 * but source_stop().
	 */
	void (*started)(void *arg, int err);
	void *started_arg;
	void (*ended)(void *arg); /* source_on_end() */
	void *ended_arg;
	bool finished; /* the thread has nothing more to do */
	struct cpu_limit cpu_limit;
	int stop_fd; /* readable: stop */
	bool stopping, threaded;
	pthread_t thread;
	void *priv;
};

/* ---- definitions */

const char *source_attr_name(enum source_attr attr);
const struct source_kind *source_kind_of(const struct source_def *def); /* NULL: no type yet */
/*
 * Is this a value of that attribute? 1: yes. 0: the beginning of one. -errno: no, and why.
 */
int source_check(const struct source_def *def, enum source_attr attr, const char *value,
		 struct error_record *why);
int source_def_set(struct source_def *def, enum source_attr attr, const char *value);
int source_def_copy(struct source_def *to, const struct source_def *from);
void source_def_free(struct source_def *def);

/* ---- life */

/* A stopped source. Copies the definition. NULL: ENOMEM. */
struct source *source_new(const struct source_def *def, uid_t uid, gid_t gid);
/* Takes over the reference of prog. -errno and src->why: there is no thread, started() is not
 * called. */
int source_start(struct source *src, struct bpf_prog *prog);
/* Begin to stop, from any thread: waits for nothing. */
void source_cancel(struct source *src);
/*
 * Called when it ends by itself, on its thread; or at once, and it may be twice. Not any more after
 * source_stop().
 */
void source_on_end(struct source *src, void (*ended)(void *arg), void *arg);
/* Another program of the same type, from the next event on. Takes over the reference. */
void source_replace(struct source *src, struct bpf_prog *prog);
void source_stop(struct source *src);
void source_free(struct source *src); /* stopped */
void source_read_stats(const struct source *src, struct source_stats *out);
enum source_state source_state(const struct source *src);

/* ---- for the kinds */

static inline bool source_stopping(const struct source *src)
{
	return __atomic_load_n(&src->stopping, __ATOMIC_ACQUIRE);
}

#define source_count(src, field, n) __atomic_fetch_add(&(src)->stats.field, (n), __ATOMIC_RELAXED)

/* A burst: between the two the thread keeps its slot. */
void source_burst_begin(void);
void source_burst_end(void);

/*
 * source_run - run the program on one event
 * False: there was none that runs. `sample` (may be NULL) is what the helpers about the task see.
 */
bool source_run(struct source *src, const void *ctx, const struct bpf_sample *sample, u32 *ret);

/* agent_spawn() as the owner, with its account's groups; -EIO: there is no agent. */
int source_agent(const struct source *src, enum agent_service service, const void *arg, size_t len,
		 struct error_record *why);

#endif
