/*
 * metrics_files.c - see metrics_files.h
 *
 * OpenMetrics wants all samples of a family together, so each family is one walk over its objects.
 */
#include "cgroup/cgroup.h"
#include "fs/caller/limits.h"
#include "fs/cgroups/lookup/lookup.h"
#include "fs/events/running.h"
#include "fs/keeper/shared.h"
#include "fs/lib/metrics.h"
#include "fs/store/objects/asleep.h"
#include "fs/store/objects/object.h"
#include "fs/tree/metrics_files.h"
#include "map/syscall.h"
#include "util/clock.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>

typedef unsigned long long ull;

static int status_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	fs_text_printf(out, "pid: %d\n", getpid());
	if (shared)
		fs_text_printf(out, "keeper: %u\n", shared->keeper);
	fs_text_printf(out, "progs_live: %llu\n", (ull)bpf_prog_live_count());
	fs_text_printf(out, "maps_live: %llu\n", (ull)bpf_map_live_count());
	fs_text_printf(out, "asleep: %u\n", store_asleep());
	fs_text_printf(out, "nodes: %llu\n", (ull)fs_nodes_count());
	fs_text_printf(out, "open_files: %llu\n", (ull)fs_counted(opens));
	fs_text_printf(out, "parked_requests: %llu\n", (ull)fs_counted(parked));
	fs_text_printf(out, "handed_on_requests: %llu\n", (ull)fs_counted(handed_on));
	fs_text_printf(out, "requests: %llu\n", (ull)fs_counted(requests));
	fs_text_printf(out, "errors: %llu\n", (ull)fs_counted(errors));
	fs_text_printf(out, "loads: %llu\n", (ull)fs_counted(loads));
	fs_text_printf(out, "rejects: %llu\n", (ull)fs_counted(rejects));
	fs_text_printf(out, "runs: %llu\n", (ull)fs_counted(runs));
	return 0;
}

/* ---- samples */

static void family(struct fs_text *out, const char *name, const char *type, const char *unit,
		   const char *help)
{
	fs_text_printf(out, "# TYPE %s %s\n", name, type);
	if (unit)
		fs_text_printf(out, "# UNIT %s %s\n", name, unit);
	fs_text_printf(out, "# HELP %s %s\n", name, help);
}

static void one(struct fs_text *out, const char *name, const char *type, const char *help, u64 v)
{
	family(out, name, type, NULL, help);
	fs_text_printf(out, "%s%s %llu\n", name, *type == 'c' ? "_total" : "", (ull)v);
}

/* The value of a label with its quotes; names of directories may have any byte but / and NUL. */
static void label(struct fs_text *out, const char *name, const char *value)
{
	fs_text_printf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			fs_text_append(out, "\\n", 2);
		else if (*value == '"' || *value == '\\')
			fs_text_printf(out, "\\%c", *value);
		else if ((u8)*value >= 0x80) /* labels are UTF-8, and names any bytes */
			fs_text_append(out, "?", 1);
		else
			fs_text_append(out, value, 1);
	}
	fs_text_append(out, "\"", 1);
}

static bool sees_all(const struct fs_req *req)
{
	return !req->cred.uid || req->cred.uid == getuid();
}

static bool sees(const struct fs_req *req, struct store_object *obj, uid_t *owner)
{
	struct stat st;

	if (store_stat(obj, &st))
		return false;
	*owner = st.st_uid;
	return sees_all(req) || st.st_uid == req->cred.uid;
}

/* ---- programs */

enum { PROG_RUNS, PROG_SECONDS, PROG_STOPPED, PROG_FAMILIES };

static const char *const prog_families[PROG_FAMILIES][4] = {
	{"ubpffs_program_runs", "counter", NULL, "Runs of the program."},
	{"ubpffs_program_run_seconds", "counter", "seconds", "Time that its runs took."},
	{"ubpffs_program_stopped", "gauge", NULL, "1: a fault or its time ended it for good."},
};

static void show_prog(struct fs_text *out, u32 which, const struct bpf_prog *prog, u32 id,
		      uid_t owner)
{
	u64 ns = READ_ONCE(prog->run_time_ns);

	fs_text_printf(out, "%s%s{id=\"%u\",", prog_families[which][0],
		       which == PROG_STOPPED ? "" : "_total", id);
	label(out, "name", prog->name);
	fs_text_printf(out, ",type=\"%s\",uid=\"%u\"} ", bpf_prog_type_name(prog->type), owner);
	if (which == PROG_RUNS)
		fs_text_printf(out, "%llu\n", (ull)READ_ONCE(prog->run_cnt));
	else if (which == PROG_SECONDS)
		fs_text_printf(out, "%llu.%09llu\n", (ull)(ns / 1000000000),
			       (ull)(ns % 1000000000));
	else
		fs_text_printf(out, "%u\n", READ_ONCE(prog->poisoned));
}

static void show_progs(struct fs_req *req, struct fs_text *out)
{
	const struct bpf_prog *prog;
	struct store_object *obj;
	uid_t owner;

	for (u32 f = 0; f < PROG_FAMILIES; f++) {
		family(out, prog_families[f][0], prog_families[f][1], prog_families[f][2],
		       prog_families[f][3]);
		for (u32 id = 0; !out->err && !store_next(STORE_PROG, id, &obj); store_put(obj)) {
			id = obj->id;
			prog = bpf_rcu_dereference(obj->prog); /* NULL: asleep, too */
			if (prog && sees(req, obj, &owner))
				show_prog(out, f, prog, id, owner);
		}
	}
}

/* ---- maps */

static const char *const map_families[][3] = {
	{"ubpffs_map_entries", "gauge", "Entries in use."},
	{"ubpffs_map_max_entries", "gauge", "Entries that there may be."},
	{"ubpffs_map_memory_bytes", "gauge", "Bytes that it may come to hold."},
	{"ubpffs_map_updates", "counter", "Updates that worked."},
	{"ubpffs_map_failed_updates", "counter", "Updates that found no room, or were refused."},
	{"ubpffs_map_evictions", "counter", "Entries that an LRU took out for others."},
	{"ubpffs_map_lost_records", "counter", "Records that found no room in a ring."},
};

static bool is_ring(const struct bpf_map *map)
{
	return map->map_type == BPF_MAP_TYPE_RINGBUF ||
	       map->map_type == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

static void show_map(struct fs_text *out, u32 which, const struct bpf_map *map, u32 id, uid_t owner)
{
	struct bpf_map_stats s;
	bool counter = *map_families[which][1] == 'c';

	if ((which == 6) != is_ring(map) && (which == 6 || which == 4))
		return;
	bpf_map_stats_read(map, &s);
	fs_text_printf(out, "%s%s{id=\"%u\",", map_families[which][0], counter ? "_total" : "", id);
	label(out, "name", map->name);
	fs_text_printf(out, ",type=\"%s\",uid=\"%u\"} %llu\n", map->ops->name, owner,
		       (ull)(which == 0	  ? s.entries
			     : which == 1 ? map->max_entries
			     : which == 2 ? bpf_map_mem_usage(map)
			     : which == 3 ? s.updates
			     : which == 5 ? s.evictions
					  : s.failed_updates));
}

static void show_maps(struct fs_req *req, struct fs_text *out)
{
	const struct bpf_map *map;
	struct store_object *obj;
	uid_t owner;

	for (u32 f = 0; f < ARRAY_SIZE(map_families); f++) {
		family(out, map_families[f][0], map_families[f][1], f == 2 ? "bytes" : NULL,
		       map_families[f][2]);
		for (u32 id = 0; !out->err && !store_next(STORE_MAP, id, &obj); store_put(obj)) {
			id = obj->id;
			map = bpf_rcu_dereference(obj->map);
			if (map && sees(req, obj, &owner))
				show_map(out, f, map, id, owner);
		}
	}
}

/* ---- cgroups, event sources */

/* Of who sees all: the directories' bits are not asked here. */
static void show_cgroups(struct fs_req *req, struct fs_text *out)
{
	size_t nr = 0;
	u64 *ids = sees_all(req) ? cgroup_lookup_ids(&nr) : NULL;
	char path[PATH_MAX];

	family(out, "ubpffs_cgroup_packets", "counter", NULL,
	       "Packets that the programs of a cgroup decided about.");
	for (size_t i = 0; ids && i < nr && !out->err; i++) {
		static const char *const directions[] = {"ingress", "egress"};
		struct cgroup *cgrp = cgroup_lookup_by_id(ids[i]);
		struct cgroup_stats s;

		if (!cgrp)
			continue;
		cgroup_stats_read(cgrp, &s);
		cgroup_lookup_path(ids[i], path, sizeof(path));
		for (u32 k = 0; k < 4; k++) {
			fs_text_printf(out, "ubpffs_cgroup_packets_total{");
			label(out, "cgroup", path);
			fs_text_printf(out, ",direction=\"%s\",verdict=\"%s\"} %llu\n",
				       directions[k / 2], k % 2 ? "drop" : "allow",
				       (ull)(k % 2 ? s.dropped[k / 2] : s.allowed[k / 2]));
		}
		cgroup_put(cgrp);
	}
	free(ids);
}

struct source_row {
	char name[NAME_MAX + 1];
	enum source_state state;
	struct source_stats stats;
};

struct source_rows {
	struct fs_req *req;
	struct source_row *rows;
	size_t nr;
};

static void add_source(void *arg, int dirfd, enum source_state state,
		       const struct source_stats *stats)
{
	struct source_rows *list = arg;
	struct source_row *rows;
	char link[64], path[PATH_MAX];
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", dirfd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n <= 0 || fstat(dirfd, &st) ||
	    (!sees_all(list->req) && st.st_uid != list->req->cred.uid))
		return;
	path[n] = 0;
	rows = realloc(list->rows, (list->nr + 1) * sizeof(*rows));
	if (!rows)
		return;
	list->rows = rows;
	rows += list->nr++;
	snprintf(rows->name, sizeof(rows->name), "%s", strrchr(path, '/') + 1);
	rows->state = state;
	rows->stats = *stats;
}

static void show_sources(struct fs_req *req, struct fs_text *out)
{
	static const char *const kinds[] = {"seen",	  "run",  "dropped",
					    "redirected", "lost", "error"};
	struct source_rows list = {.req = req};

	event_run_lock();
	event_run_each(add_source, &list);
	event_run_unlock();
	family(out, "ubpffs_source_running", "gauge", NULL, "1: the event source runs.");
	for (size_t i = 0; i < list.nr; i++) {
		fs_text_printf(out, "ubpffs_source_running{");
		label(out, "source", list.rows[i].name);
		fs_text_printf(out, "} %u\n", list.rows[i].state == SOURCE_RUNNING);
	}
	family(out, "ubpffs_source_events", "counter", NULL,
	       "Events of a source, by what became of them.");
	for (size_t i = 0; i < list.nr; i++) {
		const struct source_stats *s = &list.rows[i].stats;
		const u64 values[] = {s->seen,	     s->run,  s->dropped,
				      s->redirected, s->lost, s->errors};

		for (u32 k = 0; k < ARRAY_SIZE(kinds); k++) {
			fs_text_printf(out, "ubpffs_source_events_total{");
			label(out, "source", list.rows[i].name);
			fs_text_printf(out, ",kind=\"%s\"} %llu\n", kinds[k], (ull)values[k]);
		}
	}
	free(list.rows);
}

/* ---- users */

struct users {
	struct fs_req *req;
	struct fs_text *out;
	bool limits;
};

static void show_user(void *arg, uid_t uid)
{
	const struct users *users = arg;

	if (!sees_all(users->req) && uid != users->req->cred.uid)
		return;
	for (u32 l = 0; l < LIMIT_RUN_SECONDS; l++) {
		u64 limit = limits_of(uid, l);

		if (users->limits && limit == LIMIT_NONE)
			continue;
		fs_text_printf(users->out, "ubpffs_user_%s{uid=\"%u\",what=\"%s\"} %llu\n",
			       users->limits ? "limit" : "used", uid, limits_name(l),
			       (ull)(users->limits ? limit : limits_used(uid, l)));
	}
}

static void show_users(struct fs_req *req, struct fs_text *out)
{
	struct users users = {req, out, false};

	family(out, "ubpffs_user_used", "gauge", NULL, "What a user holds of the server.");
	limits_each(show_user, &users);
	users.limits = true;
	family(out, "ubpffs_user_limit", "gauge", NULL,
	       "What he may hold, where there is a limit.");
	limits_each(show_user, &users);
}

/* ---- the server */

static void show_latencies(struct fs_text *out)
{
	family(out, "ubpffs_request_seconds", "histogram", "seconds",
	       "How long requests took, without those that wait for something to come.");
	for (u32 kind = 0; kind < KINDS; kind++) {
		struct fs_latency l;
		u64 sum = 0;

		fs_latency_read(kind, &l);
		for (u32 i = 0; i < LATENCY_BUCKETS; i++) {
			sum += l.buckets[i];
			fs_text_printf(
				out, "ubpffs_request_seconds_bucket{kind=\"%s\",le=\"%s\"} %llu\n",
				fs_latency_name(kind), fs_latency_bound(i), (ull)sum);
		}
		fs_text_printf(out, "ubpffs_request_seconds_count{kind=\"%s\"} %llu\n",
			       fs_latency_name(kind), (ull)sum);
		fs_text_printf(out, "ubpffs_request_seconds_sum{kind=\"%s\"} %llu.%09llu\n",
			       fs_latency_name(kind), (ull)(l.sum_ns / 1000000000),
			       (ull)(l.sum_ns % 1000000000));
	}
}

static void show_server(struct fs_text *out)
{
	family(out, "ubpffs_build_info", "gauge", NULL, "The server's version, always 1.");
	fs_text_printf(out, "ubpffs_build_info{version=\"%s\"} 1\n", UBPFFS_VERSION);
	one(out, "ubpffs_programs", "gauge", "Programs that live.", bpf_prog_live_count());
	one(out, "ubpffs_maps", "gauge", "Maps that live.", bpf_map_live_count());
	one(out, "ubpffs_asleep", "gauge", "Objects that a start has not read back yet.",
	    store_asleep());
	one(out, "ubpffs_nodes", "gauge", "Files that the kernel knows.", fs_nodes_count());
	one(out, "ubpffs_open_files", "gauge", "Open files.", fs_counted(opens));
	one(out, "ubpffs_waiting_requests", "gauge", "Requests that wait for something to come.",
	    fs_counted(parked));
	one(out, "ubpffs_requests", "counter", "Requests of the kernel.", fs_counted(requests));
	one(out, "ubpffs_request_errors", "counter", "Those that were answered with an errno.",
	    fs_counted(errors));
	one(out, "ubpffs_handed_on_requests", "counter",
	    "Requests of users who had much lately, and took turns.", fs_counted(handed_on));
	one(out, "ubpffs_loads", "counter", "Objects that were loaded.", fs_counted(loads));
	one(out, "ubpffs_rejects", "counter", "Objects that were refused.", fs_counted(rejects));
	one(out, "ubpffs_test_runs", "counter", "Test runs.", fs_counted(runs));
	one(out, "ubpffs_restarts", "counter", "Servers that this one follows on the same mount.",
	    shared && shared->starts ? shared->starts - 1 : 0);
	family(out, "ubpffs_longest_pause_seconds", "gauge", "seconds",
	       "The longest time that clients waited for the next server.");
	fs_text_printf(out, "ubpffs_longest_pause_seconds %llu.%09llu\n",
		       (ull)(shared ? shared->longest_pause_ns / 1000000000 : 0),
		       (ull)(shared ? shared->longest_pause_ns % 1000000000 : 0));
}

static void make_metrics(struct fs_req *req, struct fs_text *out)
{
	show_server(out);
	show_latencies(out);
	show_progs(req, out);
	show_maps(req, out);
	show_cgroups(req, out);
	show_sources(req, out);
	show_users(req, out);
	fs_text_printf(out, "# EOF\n");
}

/*
 * Who looks at the size, reads, and looks at the size again sees one text: it is kept for a moment
 * after it was last asked for, but for no more than a second.
 */
#define KEPT_NS	   1000000000ull
#define TOUCHED_NS 100000000ull

static int metrics_show(struct fs_node *node, struct fs_req *req, struct fs_text *out)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static struct fs_text kept;
	static u64 made, touched;
	static uid_t uid;
	u64 now;

	pthread_mutex_lock(&lock);
	now = monotonic_ns();
	if (!kept.len || kept.err || uid != req->cred.uid || now - made > KEPT_NS ||
	    now - touched > TOUCHED_NS) {
		fs_text_free(&kept);
		make_metrics(req, &kept);
		made = monotonic_ns();
		uid = req->cred.uid;
	}
	touched = monotonic_ns();
	fs_text_append(out, kept.buf, kept.len);
	if (kept.err)
		out->err = kept.err;
	pthread_mutex_unlock(&lock);
	return 0;
}

const struct fs_node_ops status_ops = {.name = "status_ops", .type = S_IFREG, .show = status_show};
const struct fs_node_ops metrics_ops = {
	.name = "metrics_ops",
	.type = S_IFREG,
	.slow = true, /* it may wait for a source that is being started */
	.short_show = true,
	.show = metrics_show,
};
