/*
 * perf.c - samples of perf_event_open(2)
 *
 * One event for each (thread of the process, CPU), inherited by the threads and children that it
 * makes later; one ring a CPU (perf_rings.h), to which the other threads' events of that CPU are
 * redirected. With `pid` all: one event a CPU. A sample carries its process's image
 * (perf_images.h), so that its stack is named by the program that ran then.
 *
 * The events are opened by the owner's own rights (perf_open.c), so the kernel says whose processes
 * may be sampled. Who may not see the kernel gets samples of user mode only.
 */
#include <linux/bpf_perf_event.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <asm/perf_regs.h>
#include "fs/sources/perf_events.h"
#include "fs/agent/service/perf_open.h"
#include "fs/sources/perf_images.h"
#include "fs/sources/perf_rings.h"
#include "fs/sources/perf_stacks.h"
#include "fs/sources/source.h"
#include "util/clock.h"

#define RING_PAGES 128 /* data pages a CPU: what an ordinary user may lock is 516 KiB */
#define STACK_DUMP 8192
#define BURST	   64 /* samples between two chances for others to take the slot */
#define DRAIN_MS   50
#define COMM_SLOTS 1024 /* a power of two */

/* The registers that struct pt_regs has: what programs and the unwinder see. */
#ifdef __x86_64__
#define NR_REGS 17
static const u8 regs_order[NR_REGS] = {
	PERF_REG_X86_R15, PERF_REG_X86_R14, PERF_REG_X86_R13, PERF_REG_X86_R12, PERF_REG_X86_BP,
	PERF_REG_X86_BX,  PERF_REG_X86_R11, PERF_REG_X86_R10, PERF_REG_X86_R9,	PERF_REG_X86_R8,
	PERF_REG_X86_AX,  PERF_REG_X86_CX,  PERF_REG_X86_DX,  PERF_REG_X86_SI,	PERF_REG_X86_DI,
	PERF_REG_X86_IP,  PERF_REG_X86_SP,
};
#define NO_SEGMENTS                                                                             \
	((1ULL << PERF_REG_X86_DS) | (1ULL << PERF_REG_X86_ES) | (1ULL << PERF_REG_X86_FS) |    \
	 (1ULL << PERF_REG_X86_GS) | (1ULL << PERF_REG_X86_FLAGS) | (1ULL << PERF_REG_X86_CS) | \
	 (1ULL << PERF_REG_X86_SS))
#define REGS_MASK (((1ULL << PERF_REG_X86_64_MAX) - 1) & ~NO_SEGMENTS)
#else
#define REGS_MASK 0ULL
#endif

struct task { /* what is known of a thread, by tid */
	u32 tid, pid, uid, gid;
	char comm[16];
};

struct perf {
	struct perf_event_attr attr;
	pid_t pid; /* -1: all */
	struct event {
		u32 cpu;
		int fd;
	} * events;
	u32 nr_events, cap_events, first_cpu, nr_cpus;
	struct perf_rings rings; /* one a CPU that is there */
	struct image_source images;
	int pidfd;
	bool unwind; /* by dwarf */
	struct perf_stacks *stacks; /* made when somebody wants stacks read */
	struct task tasks[COMM_SLOTS];
	struct taken {
		struct bpf_perf_event_data ctx;
		struct bpf_sample bpf;
		bool asked;
		u64 kernel[BPF_MAX_STACK_DEPTH], user[BPF_MAX_STACK_DEPTH];
	} taken[STACKS_WINDOW]; /* samples that wait for their stacks, oldest first: a ring */
	u32 first, nr_taken;
};

/* ---- opening */

static const char *perf_missing(const struct source_def *def)
{
	if (!def->value[SOURCE_EVENT])
		return "event";
	if (!def->value[SOURCE_PID])
		return "pid (a number, or all)";
	if (!def->value[SOURCE_FREQ] && !def->value[SOURCE_PERIOD])
		return "freq (or period)";
	return NULL;
}

static bool perf_accepts(enum bpf_prog_type type)
{
	return type == BPF_PROG_TYPE_PERF_EVENT;
}

static void fill_attr(struct perf *perf, const struct source_def *def)
{
	struct perf_event_attr *attr = &perf->attr;
	const char *unwind = def->value[SOURCE_UNWIND];

	attr->size = sizeof(*attr);
	perf_event_by_name(def->value[SOURCE_EVENT], attr);
	if (def->value[SOURCE_FREQ]) {
		attr->freq = 1;
		attr->sample_freq = strtoull(def->value[SOURCE_FREQ], NULL, 0);
	} else {
		attr->sample_period = strtoull(def->value[SOURCE_PERIOD], NULL, 0);
	}
	attr->sample_type = PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR |
			    PERF_SAMPLE_PERIOD | PERF_SAMPLE_READ | PERF_SAMPLE_CALLCHAIN;
	attr->read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING;
	if (REGS_MASK) {
		attr->sample_type |= PERF_SAMPLE_REGS_INTR;
		attr->sample_regs_intr = REGS_MASK;
	}
	if (unwind && !strcmp(unwind, "dwarf")) {
		attr->sample_type |= PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
		attr->sample_regs_user = REGS_MASK;
		attr->sample_stack_user = STACK_DUMP;
		attr->exclude_callchain_user = 1;
	}
	attr->disabled = 1;
	attr->inherit = 1;
	attr->comm = 1;
	attr->comm_exec = 1;
	attr->task = 1;
	attr->mmap = 1;
	attr->mmap2 = 1;
	attr->sample_id_all = 1;
	attr->use_clockid = 1;
	attr->clockid = PERF_CLOCK;
	attr->watermark = 1;
	attr->wakeup_watermark = RING_PAGES * 4096 / 4;
}

static int open_error(struct source *src, int err)
{
	const char *event = src->def.value[SOURCE_EVENT], *pid = src->def.value[SOURCE_PID];

	switch (-err) {
	case ENOENT:
	case ENODEV:
	case EOPNOTSUPP:
		return error_set(&src->why, ENOENT,
				 "this machine has no %s counter (a virtual machine without one?): "
				 "cpu-clock works everywhere",
				 event);
	case EACCES:
	case EPERM:
		return error_set(&src->why, EACCES,
				 "the kernel does not let uid %u sample %s%s (it takes one's own "
				 "processes, or root; /proc/sys/kernel/perf_event_paranoid)",
				 src->uid, strcmp(pid, "all") ? "process " : "", pid);
	case ESRCH:
		return error_set(&src->why, ESRCH, "there is no process %s", pid);
	case EINVAL:
		return error_set(&src->why, EINVAL,
				 "the kernel takes no such sampling of %s (a freq above "
				 "/proc/sys/kernel/perf_event_max_sample_rate?)",
				 event);
	case EMFILE:
		return error_set(&src->why, EMFILE,
				 "every thread of process %s needs a descriptor for each CPU, and "
				 "there are not enough (ulimit -n)",
				 pid);
	default:
		return error_set(&src->why, -err, "perf_event_open: %s", strerror(-err));
	}
}

static void close_events(struct perf *perf)
{
	for (u32 i = 0; i < perf->nr_events; i++)
		close(perf->events[i].fd);
	perf->nr_events = 0;
}

static int add_event(struct perf *perf, u32 cpu, int fd)
{
	if (perf->nr_events == PERF_MAX_EVENTS)
		return -EMFILE;
	if (perf->nr_events == perf->cap_events) {
		u32 cap = perf->cap_events * 2 + 16;
		struct event *more = realloc(perf->events, cap * sizeof(*more));

		if (!more)
			return -ENOMEM;
		perf->events = more;
		perf->cap_events = cap;
	}
	perf->events[perf->nr_events++] = (struct event){cpu, fd};
	return 0;
}

/* What perf_open.c's process, which is the owner, could open. */
static int open_events(struct source *src, struct perf *perf)
{
	struct perf_request request = {perf->attr, perf->pid, src->began, perf->first_cpu,
				       perf->nr_cpus};
	__do_close int sock = source_agent(src, AGENT_PERF, &request, sizeof(request), &src->why);
	struct perf_answer answer;
	ssize_t len;
	int err, fd;

	if (sock < 0)
		return sock;
	err = agent_status(sock, src->stop_fd, -1, &src->why);
	if (err) {
		error_about(&src->why, err, "perf events");
		return err;
	}
	for (;;) {
		len = agent_recv(sock, &answer, sizeof(answer), &fd, src->stop_fd, -1);
		if (len == sizeof(answer) && answer.kind == PERF_EVENT && fd >= 0 &&
		    answer.cpu < perf->nr_cpus) {
			err = add_event(perf, answer.cpu, fd);
			if (!err)
				continue;
			close(fd);
			return open_error(src, err);
		}
		if (fd >= 0)
			close(fd);
		if (len == sizeof(answer) && answer.kind == PERF_EVENT) /* it did not fit in here */
			return open_error(src, -EMFILE);
		if (len < 0)
			return (int)len;
		if (len != sizeof(answer) || (answer.kind == PERF_DONE && answer.err > 0))
			return -EIO;
		if (answer.kind == PERF_DONE)
			break;
		close_events(perf);
	}
	if (answer.err)
		return open_error(src, answer.err);
	if (!perf->nr_events)
		return open_error(src, -ESRCH);
	perf->attr.sample_type &= answer.sample_type;
	src->began = answer.began;
	return 0;
}

/* The first event of each CPU has the ring, the others write into it. */
static int map_rings(struct source *src, struct perf *perf)
{
	u32 cpu, i;
	int err;

	for (cpu = 0; cpu < perf->nr_cpus; cpu++) {
		int ring = -1;

		for (i = 0; i < perf->nr_events; i++) {
			if (perf->events[i].cpu != cpu)
				continue;
			if (ring < 0) {
				ring = perf->events[i].fd;
				err = perf_rings_add(&perf->rings, ring,
						     perf->unwind ? 4 * RING_PAGES : RING_PAGES);
				if (err)
					return error_set(&src->why, -err, "the sample ring: %s",
							 strerror(-err));
			} else if (ioctl(perf->events[i].fd, PERF_EVENT_IOC_SET_OUTPUT, ring)) {
				return error_set(&src->why, errno, "sharing the sample ring: %s",
						 strerror(errno));
			}
		}
	}
	return 0;
}

static int perf_open(struct source *src)
{
	struct perf *perf = calloc(1, sizeof(*perf));
	const char *pid = src->def.value[SOURCE_PID];
	const char *unwind = src->def.value[SOURCE_UNWIND];
	int err;

	if (!perf)
		return -ENOMEM;
	src->priv = perf;
	perf->pidfd = -1;
	perf->pid = strcmp(pid, "all") ? (pid_t)strtol(pid, NULL, 0) : -1;
	perf->nr_cpus = (u32)sysconf(_SC_NPROCESSORS_CONF);
	if (src->cpu >= 0) {
		perf->first_cpu = min((u32)src->cpu, perf->nr_cpus);
		perf->nr_cpus = min((u32)src->cpu + 1, perf->nr_cpus);
	}
	fill_attr(perf, &src->def);
	if (unwind && !strcmp(unwind, "dwarf")) {
		if (!REGS_MASK)
			return error_set(&src->why, EOPNOTSUPP,
					 "this build unwinds by dwarf on x86-64 only");
		perf->unwind = true;
	}
	if (perf->pid >= 0) {
		perf->pidfd = (int)syscall(SYS_pidfd_open, perf->pid, 0);
		if (perf->pidfd < 0 && errno == ESRCH)
			return open_error(src, -ESRCH);
	}
	err = open_events(src, perf);
	if (!err)
		err = map_rings(src, perf);
	for (u32 i = 0; !err && i < perf->nr_events; i++)
		ioctl(perf->events[i].fd, PERF_EVENT_IOC_ENABLE, 0);
	perf->images.uid = src->uid;
	if (!err)
		perf_images_read(src, &perf->images, perf->pid);
	return err;
}

static void perf_close(struct source *src)
{
	struct perf *perf = src->priv;

	if (!perf)
		return;
	perf_rings_free(&perf->rings);
	image_source_end(&perf->images);
	close_events(perf);
	if (perf->pidfd >= 0)
		close(perf->pidfd);
	perf_stacks_free(perf->stacks);
	free(perf->events);
	free(perf);
	src->priv = NULL;
}

/* ---- tasks: names from the records, and from /proc for what began before */

static struct task *task_slot(struct perf *perf, u32 tid)
{
	return &perf->tasks[tid & (COMM_SLOTS - 1)];
}

static const struct task *task_find(struct perf *perf, u32 pid, u32 tid)
{
	struct task *task = task_slot(perf, tid);
	char path[64];
	struct stat st;
	FILE *f;

	if (task->tid == tid && task->pid == pid && task->comm[0])
		return task;
	memset(task, 0, sizeof(*task));
	task->tid = tid;
	task->pid = pid;
	snprintf(path, sizeof(path), "/proc/%u/task/%u/comm", pid, tid);
	f = fopen(path, "re");
	if (f) {
		if (fgets(task->comm, sizeof(task->comm), f))
			task->comm[strcspn(task->comm, "\n")] = 0;
		if (!fstat(fileno(f), &st)) {
			task->uid = st.st_uid;
			task->gid = st.st_gid;
		}
		fclose(f);
	} else if (!tid) {
		strcpy(task->comm, "swapper");
	}
	return task;
}

static void forget_stacks(struct perf *perf, u32 pid)
{
	if (perf->stacks)
		perf_stacks_forget(perf->stacks, pid);
}

/* { pid, tid, comm[] } */
static void record_comm(struct perf *perf, const u8 *body, size_t size, bool exec)
{
	struct task *task;
	u32 id[2];

	if (size <= sizeof(id))
		return;
	memcpy(id, body, sizeof(id));
	task = task_slot(perf, id[1]);
	memset(task, 0, sizeof(*task));
	task_find(perf, id[0], id[1]); /* its user */
	memset(task->comm, 0, sizeof(task->comm));
	memcpy(task->comm, body + sizeof(id),
	       strnlen((const char *)body + sizeof(id),
		       min(size - sizeof(id), sizeof(task->comm) - 1)));
	if (exec) {
		forget_stacks(perf, id[0]);
		image_exec(&perf->images, id[0]);
	}
}

/* { pid, ppid, tid, ptid, ... }: a number that was another's begins anew. */
static void record_fork(struct perf *perf, const u8 *body, size_t size)
{
	u32 id[4];

	if (size < sizeof(id))
		return;
	memcpy(id, body, sizeof(id));
	task_slot(perf, id[2])->comm[0] = 0;
	if (id[0] != id[1]) {
		forget_stacks(perf, id[0]);
		image_fork(&perf->images, id[0], id[1]);
	}
}

/* { pid, ppid, tid, ptid, ... } */
static void record_exit(struct perf *perf, const u8 *body, size_t size)
{
	u32 id[4];

	if (size < sizeof(id))
		return;
	memcpy(id, body, sizeof(id));
	if (id[0] == id[2])
		image_exit(&perf->images, id[0]);
}

/* ---- samples */

static void fill_regs(bpf_user_pt_regs_t *out, const struct perf_sample *sample)
{
	memset(out, 0, sizeof(*out));
#ifdef __x86_64__
	const u64 *v = sample->intr.v;
	unsigned long *slots[NR_REGS] = {&out->r15, &out->r14, &out->r13, &out->r12, &out->rbp,
					 &out->rbx, &out->r11, &out->r10, &out->r9,  &out->r8,
					 &out->rax, &out->rcx, &out->rdx, &out->rsi, &out->rdi,
					 &out->rip, &out->rsp};

	for (u32 i = 0; v && i < NR_REGS; i++)
		*slots[i] = v[__builtin_popcountll(REGS_MASK & ((1ULL << regs_order[i]) - 1))];
	out->orig_rax = (unsigned long)-1;
	out->rip = sample->ip;
#endif
}

/* All that the program will see of it, but stacks that are read elsewhere. */
static void fill_sample(struct perf *perf, const struct perf_sample *sample, struct taken *t)
{
	const struct task *task = task_find(perf, sample->pid, sample->tid);
	struct bpf_sample *bpf = &t->bpf;

	memset(bpf, 0, sizeof(*bpf));
	perf_chain_split(sample->chain, sample->chain_nr, t->kernel, &bpf->kernel_nr, t->user,
			 &bpf->user_nr);
	bpf->kernel_ips = t->kernel;
	bpf->user_ips = t->user;
	bpf->pid = sample->pid;
	bpf->tid = sample->tid;
	bpf->uid = task->uid;
	bpf->gid = task->gid;
	bpf->image = image_of(&perf->images, sample->pid);
	memcpy(bpf->comm, task->comm, sizeof(bpf->comm));
	bpf->has_counter = sample->has_counter;
	bpf->counter = sample->counter;
	bpf->enabled = sample->enabled;
	bpf->running = sample->running;
	memset(&t->ctx, 0, sizeof(t->ctx));
	fill_regs(&t->ctx.regs, sample);
	t->ctx.sample_period = sample->period;
	t->ctx.addr = sample->addr;
}

static void run_sample(struct source *src, const struct taken *t)
{
	u32 ret;

	if (!source_run(src, &t->ctx, &t->bpf, &ret))
		source_count(src, dropped, 1);
}

/* ---- stacks that another process reads: some samples wait for theirs */

/* What it is to do; 0: nothing. */
static u32 stacks_wanted(struct source *src, struct perf *perf)
{
	u32 what = perf->unwind ? STACK_UNWIND : 0;

	if (__atomic_load_n(&src->wants_build_ids, __ATOMIC_RELAXED))
		what |= STACK_BUILD_IDS;
	if (what && !perf->stacks)
		perf->stacks = perf_stacks_new(src);
	return perf->stacks ? what : 0;
}

static void run_oldest(struct source *src, struct perf *perf)
{
	struct taken *t = &perf->taken[perf->first];
	struct stack_answer answer;

	perf->first = (perf->first + 1) % STACKS_WINDOW;
	perf->nr_taken--;
	if (t->asked) {
		perf_stacks_answer(perf->stacks, &answer);
		if (answer.nr < 0) {
			source_count(src, errors, 1);
		} else {
			t->bpf.user_ips = answer.ips;
			t->bpf.user_nr = (u32)answer.nr;
			t->bpf.user_ids = answer.ids;
		}
	}
	run_sample(src, t);
}

/* The oldest, and what has come with it. */
static void run_answered(struct source *src, struct perf *perf)
{
	if (!perf->nr_taken)
		return;
	run_oldest(src, perf);
	source_burst_begin();
	while (perf->nr_taken &&
	       (!perf->taken[perf->first].asked || perf_stacks_ready(perf->stacks)))
		run_oldest(src, perf);
	source_burst_end();
}

static bool ask_for(struct source *src, struct perf *perf, const struct perf_sample *sample,
		    u32 what, const struct taken *t)
{
	struct stack_request request = {.pid = sample->pid};

	if (what & STACK_UNWIND && sample->user.v) {
		request.what = what;
		request.mask = REGS_MASK;
		request.nr = (u32)__builtin_popcountll(REGS_MASK);
		request.words = sample->user.v;
		request.stack = sample->stack;
		request.stack_size = (u32)sample->stack_size;
	} else if (what & STACK_BUILD_IDS && t->bpf.user_nr) {
		request.what = STACK_BUILD_IDS;
		request.nr = t->bpf.user_nr;
		request.words = t->user;
	} else {
		return false;
	}
	if (perf_stacks_request(perf->stacks, &request))
		return true;
	source_count(src, errors, 1);
	return false;
}

static void record_sample(struct source *src, struct perf *perf, const void *body, size_t size,
			  u32 what)
{
	struct perf_sample sample;
	struct taken *t;

	source_count(src, seen, 1);
	if (perf_sample_parse(&perf->attr, body, size, &sample)) {
		source_count(src, errors, 1);
		return;
	}
	while (perf->nr_taken >= (what & STACK_BUILD_IDS ? STACKS_WINDOW_IDS : STACKS_WINDOW))
		run_answered(src, perf);
	t = &perf->taken[(perf->first + perf->nr_taken) % STACKS_WINDOW];
	fill_sample(perf, &sample, t);
	t->asked = ask_for(src, perf, &sample, what, t);
	if (t->asked || perf->nr_taken)
		perf->nr_taken++;
	else
		run_sample(src, t);
}

static void record(struct source *src, struct perf *perf, const struct perf_record *rec, u32 what)
{
	const u8 *body = rec->body;
	/* What follows all but samples: thread and time (sample_id_all). */
	size_t size = rec->size, own = size < 16 ? 0 : size - 16;
	u64 lost;

	switch (rec->header.type) {
	case PERF_RECORD_SAMPLE:
		record_sample(src, perf, body, size, what);
		break;
	case PERF_RECORD_LOST: /* { id, lost } */
		if (own >= 16) {
			memcpy(&lost, body + 8, sizeof(lost));
			source_count(src, lost, lost);
		}
		break;
	case PERF_RECORD_LOST_SAMPLES:
		if (own >= 8) {
			memcpy(&lost, body, sizeof(lost));
			source_count(src, lost, lost);
		}
		break;
	case PERF_RECORD_COMM:
		record_comm(perf, body, own, rec->header.misc & PERF_RECORD_MISC_COMM_EXEC);
		break;
	case PERF_RECORD_FORK:
		record_fork(perf, body, own);
		break;
	case PERF_RECORD_EXIT:
		record_exit(perf, body, own);
		break;
	case PERF_RECORD_MMAP2:
		perf_images_map(&perf->images, body, own);
		break;
	}
}

static void drain(struct source *src, struct perf *perf, u64 until)
{
	u32 what = stacks_wanted(src, perf);
	bool keep = !what && !perf->nr_taken; /* stacks are waited for, without a slot */
	struct perf_record rec;
	u64 in_burst = 0;

	if (!perf_rings_look(&perf->rings, until))
		return;
	if (keep)
		source_burst_begin();
	while (!source_stopping(src) && perf_rings_take(&perf->rings, until, &rec)) {
		record(src, perf, &rec, what);
		if (keep && ++in_burst % BURST == 0) {
			source_burst_end();
			source_burst_begin();
		}
	}
	if (keep)
		source_burst_end();
	source_count(src, errors, perf->rings.bad);
	perf->rings.bad = 0;
}

/* What is surely complete; of a process that has ended, everything. */
static u64 settled(bool gone)
{
	return gone ? UINT64_MAX : clock_ns(PERF_CLOCK) - PERF_SETTLE_NS;
}

static enum source_state perf_run(struct source *src)
{
	struct perf *perf = src->priv;
	const u32 nr = perf->rings.nr;
	struct pollfd *fds = calloc(nr + 2, sizeof(*fds));
	bool gone = false;

	if (!fds)
		return SOURCE_FAILED;
	fds[0] = (struct pollfd){.fd = src->stop_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = perf->pidfd, .events = POLLIN};
	for (u32 i = 0; i < nr; i++)
		fds[i + 2] = (struct pollfd){.fd = perf->rings.v[i].fd, .events = POLLIN};
	while (!source_stopping(src) && !gone) {
		poll(fds, nr + 2, DRAIN_MS);
		gone = fds[1].revents & POLLIN;
		for (u32 i = 2; i < nr + 2; i++)
			if (fds[i].revents & (POLLHUP | POLLERR))
				fds[i].fd = -1; /* that thread is gone: its ring serves others */
		drain(src, perf, settled(gone));
		while (perf->nr_taken && !source_stopping(src)) {
			run_answered(src, perf);
			drain(src, perf, settled(gone));
		}
	}
	free(fds);
	return gone ? SOURCE_ENDED : SOURCE_STOPPED;
}

const struct source_kind source_perf = {
	.name = "perf",
	.attrs = 1 << SOURCE_TYPE | 1 << SOURCE_EVENT | 1 << SOURCE_PID | 1 << SOURCE_FREQ |
		 1 << SOURCE_PERIOD | 1 << SOURCE_UNWIND,
	.missing = perf_missing,
	.accepts = perf_accepts,
	.accepted = "perf_event",
	.open = perf_open,
	.run = perf_run,
	.close = perf_close,
};
