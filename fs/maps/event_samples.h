/*
 * event_samples.h - a program that runs on the samples of a perf event (PERF_EVENT_IOC_SET_BPF)
 *
 * A source of its own (sources/source.h) as long as the event's descriptor is open: the kernel
 * decides what its opener may sample, as for a source of M/events. It is charged as one.
 */
#ifndef UBPFFS_FS_MAPS_EVENT_SAMPLES_H
#define UBPFFS_FS_MAPS_EVENT_SAMPLES_H

#include "core/prog.h"
#include "fs/caller/caller.h"
#include "text/error.h"
#include "uapi/ubpffs.h"

struct event_samples;

/* -ENOENT: no such event here; -EINVAL, -EDQUOT. */
int event_samples_new(const struct ubpffs_event *args, const struct fs_cred *cred,
		      struct event_samples **out, struct error_record *why);
/* Stops it. NULL: nothing. */
void event_samples_free(struct event_samples *s);

/*
 * The program, with a reference of its own; it runs as soon as the event is enabled. -EEXIST: it
 * has one; -EINVAL: no perf_event program; or why it could not start. Waits for a process of the
 * opener's, for some seconds at most.
 */
int event_samples_attach(struct event_samples *s, struct bpf_prog *prog, struct error_record *why);
int event_samples_enable(struct event_samples *s, bool on, struct error_record *why);

#endif
