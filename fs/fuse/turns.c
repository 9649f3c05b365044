/*
 * turns.c - see turns.h
 */
#include "fs/fuse/turns.h"
#include "fs/fuse/protocol/current.h"
#include "fs/fuse/fuse.h"
#include "fs/fuse/protocol/protocol.h"
#include "fs/caller/limits.h"
#include "fs/lib/metrics.h"
#include "fs/node/backing.h"
#include "fs/node/node.h"
#include "fs/work/cpu_usage.h"
#include "fs/work/worker.h"
#include "util/clock.h"

struct handed_on {
	struct worker_job work;
	size_t len;
	char request[] __attribute__((aligned(8)));
};

static struct fuse_session *session;

/* What this thread does, for whom (0: nobody who counts), and when it began. */
static __thread struct {
	uid_t uid;
	u64 begun_ns;
} now;

/* What the workers do not get. */
static bool stays(u32 opcode)
{
	switch (opcode) {
	case OPCODE_FORGET:
	case OPCODE_RELEASE:
	case OPCODE_INIT:
	case OPCODE_RELEASEDIR:
	case OPCODE_INTERRUPT:
	case OPCODE_DESTROY:
	case OPCODE_NOTIFY_REPLY:
	case OPCODE_BATCH_FORGET:
		return true;
	default:
		return false;
	}
}

void turns_start(struct fuse_session *se)
{
	session = se;
}

void turns_done(void)
{
	if (now.uid)
		cpu_usage_add(now.uid, clock_ns(CLOCK_THREAD_CPUTIME_ID) - now.begun_ns);
	now.uid = 0;
}

static void handed_on_run(struct worker_job *work)
{
	struct handed_on *job = container_of(work, struct handed_on, work);
	struct fuse_buf buf = {.mem = job->request, .size = job->len};
	struct fuse_request_head head;

	memcpy(&head, job->request, sizeof(head));
	current_set_request(head.unique);
	fuse_session_process_buf(session, &buf);
	limits_uncharge(job->work.uid, LIMIT_MEMORY, sizeof(*job) + job->len);
	free(job);
}

/* Where there is no memory for it, or the user may have no more, it is done here. */
static bool hand_on(const void *request, size_t len, uid_t uid)
{
	struct handed_on *job;

	if (limits_charge(uid, LIMIT_MEMORY, sizeof(*job) + len, NULL))
		return false;
	job = malloc(sizeof(*job) + len);
	if (!job) {
		limits_uncharge(uid, LIMIT_MEMORY, sizeof(*job) + len);
		return false;
	}
	job->work = (struct worker_job){
		.run = handed_on_run,
		.uid = uid,
		.class = WORKER_SHORT,
	};
	job->len = len;
	memcpy(job->request, request, len);
	fs_count(handed_on);
	worker_submit(&job->work);
	return true;
}

/* May its handler have to wait for what is read back? A write or an ioctl may name any object. */
static bool may_wait(const struct fuse_request_head *head)
{
	struct fs_node *node;
	bool waits;

	if (!fs_backing.asleep || !fs_backing.asleep(NULL) || stays(head->opcode))
		return false;
	if (head->opcode == OPCODE_WRITE || head->opcode == OPCODE_IOCTL)
		return true;
	node = fs_node_find(head->nodeid);
	waits = node && (node->ops->wakes || fs_backing.asleep(node));
	fs_node_put(node);
	return waits;
}

bool turns_hand_on(const void *request, size_t len)
{
	struct fuse_request_head head;

	if (len < sizeof(head))
		return false;
	memcpy(&head, request, sizeof(head));
	if (may_wait(&head) && hand_on(request, len, head.uid))
		return true;
	if (!cpu_usage_counts(head.uid) || stays(head.opcode))
		return false;
	if (cpu_usage_is_over(head.uid) && hand_on(request, len, head.uid))
		return true;
	now.uid = head.uid;
	now.begun_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	return false;
}
