/*
 * perf_open.c - perf_event_open(2) for every thread and CPU, in a process that is the owner (see
 * perf_open.h)
 *
 * The kernel says whose processes may be sampled. Who may not see the kernel gets samples of user
 * mode only.
 */
#include <dirent.h>
#include <stdio.h>
#include <sys/syscall.h>
#include "fs/agent/service/perf_open.h"
#include "fs/agent/process.h"

#define OPEN_TRIES 10

struct tids {
	u32 *v;
	u32 n, cap;
};

static int read_tids(pid_t pid, struct tids *tids)
{
	char path[64];
	struct dirent *e;
	DIR *dir;

	tids->n = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return errno == ENOENT ? -ESRCH : -errno;
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (tids->n == tids->cap) {
			u32 cap = tids->cap * 2 + 16;
			u32 *more = realloc(tids->v, cap * sizeof(*more));

			if (!more) {
				closedir(dir);
				return -ENOMEM;
			}
			tids->v = more;
			tids->cap = cap;
		}
		tids->v[tids->n++] = (u32)strtoul(e->d_name, NULL, 10);
	}
	closedir(dir);
	return tids->n ? 0 : -ESRCH;
}

/* Is there a thread that was not in `old`? */
static bool has_new_thread(const struct tids *now, const struct tids *old)
{
	u32 i, k;

	for (i = 0; i < now->n; i++) {
		for (k = 0; k < old->n && old->v[k] != now->v[i]; k++)
			;
		if (k == old->n)
			return true;
	}
	return false;
}

static int open_event(const struct perf_event_attr *attr, pid_t pid, int cpu)
{
	int fd = (int)syscall(SYS_perf_event_open, attr, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* With the kernel's part if that is allowed, else without. */
static int open_one(const struct perf_event_attr *wanted, pid_t pid, int cpu)
{
	struct perf_event_attr attr = *wanted;
	int fd = open_event(&attr, pid, cpu);

	if (fd == -EACCES || fd == -EPERM) {
		attr.exclude_kernel = attr.exclude_hv = attr.exclude_callchain_kernel = 1;
		fd = open_event(&attr, pid, cpu);
	}
	return fd;
}

/*
 * 0, or why there is none: a CPU or a thread that is not there is not what failed as long as
 * another is.
 */
static int open_all(int sock, struct perf_request *req, const struct tids *tids)
{
	struct perf_answer answer = {.kind = PERF_EVENT};
	int last = -ENODEV;
	bool opened = false;

	if (req->first_cpu < req->nr_cpus &&
	    tids->n > PERF_MAX_EVENTS / (req->nr_cpus - req->first_cpu))
		return -EMFILE;
	for (u32 i = 0; i < tids->n; i++)
		for (answer.cpu = req->first_cpu; answer.cpu < req->nr_cpus; answer.cpu++) {
			pid_t pid = (pid_t)tids->v[i];
			int fd = open_one(&req->attr, pid, (int)answer.cpu);

			if (fd == -EINVAL && !opened && req->attr.sample_type & PERF_SAMPLE_READ) {
				/* Before Linux 6.13 an inherited event gives no counter. */
				req->attr.sample_type &= ~(u64)PERF_SAMPLE_READ;
				fd = open_one(&req->attr, pid, (int)answer.cpu);
			}
			if (fd == -EMFILE)
				return fd;
			if (fd >= 0) {
				opened = true;
				if (!agent_put(sock, &answer, sizeof(answer), fd))
					return errno ? -errno : -EIO;
				close(fd);
			} else if (fd != -ENODEV && fd != -ESRCH) {
				last = fd;
			} else if (fd == -ESRCH && last == -ENODEV) {
				last = -ESRCH;
			}
		}
	return opened ? 0 : last;
}

/*
 * A thread that was made after the list was read, and before its maker had an event, has none. So
 * the list is read again afterwards, and with a new thread in it everything is done again.
 */
static int open_process(int sock, struct perf_request *req)
{
	struct perf_answer again = {.kind = PERF_AGAIN};
	struct tids now = {0}, old = {0}, swap;
	int err = read_tids(req->pid, &now);

	for (u32 try = 0; !err && try < OPEN_TRIES; try++) {
		if (try && !agent_put(sock, &again, sizeof(again), -1))
			return -EIO;
		err = open_all(sock, req, &now);
		if (err)
			break;
		swap = old;
		old = now;
		now = swap;
		err = read_tids(req->pid, &now);
		if (!err && !has_new_thread(&now, &old))
			break;
	}
	free(now.v);
	free(old.v);
	return err;
}

/* Of the process that is meant: before anything is opened, and again when all is. */
static int read_facts(const struct perf_request *req, struct process_facts *facts)
{
	int err = process_facts_read(req->pid, facts);

	return err ?: req->began && facts->began != req->began ? -ESRCH : 0;
}

void perf_service(int sock, const void *arg, size_t len)
{
	struct perf_answer done = {.kind = PERF_DONE};
	struct process_facts facts = {0};
	struct perf_request req;
	u32 all = (u32)-1;

	if (len != sizeof(req)) {
		agent_report(sock, -EINVAL, NULL);
		return;
	}
	memcpy(&req, arg, sizeof(req));
	agent_report(sock, 0, NULL);
	if (req.began)
		done.err = read_facts(&req, &facts);
	if (!done.err)
		done.err = req.pid < 0 ? open_all(sock, &req, &(struct tids){&all, 1, 1})
				       : open_process(sock, &req);
	if (req.pid >= 0 && !done.err)
		done.err = read_facts(&req, &facts);
	done.began = facts.began;
	done.sample_type = req.attr.sample_type;
	agent_put(sock, &done, sizeof(done), -1);
}
