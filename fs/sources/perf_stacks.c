/*
 * perf_stacks.c - see perf_stacks.h
 */
#include <sys/socket.h>
#include <time.h>
#include "fs/sources/perf_stacks.h"
#include "util/clock.h"

#define BAD_SLOTS 256 /* a power of two */
#define HUNG_MS	  60000 /* how long a process is left alone that made the reader hang, */
#define ENDED_MS  1000 /* or end */
#define AGAIN_MS  100 /* until another reader is made when one has ended; */
#define MOST_HUNG 9 /* 2^9 s at most when it hung */

struct perf_stacks {
	struct source *src;
	int sock; /* -1: there is none */
	u64 next; /* ms: when one may be made again */
	u32 hung;
	u32 asked[STACKS_WINDOW]; /* the processes asked about, oldest first: a ring */
	u32 first, nr;
	u32 nr_lost; /* of them: asked of a process that has ended */
	struct {
		u32 pid;
		u64 until;
	} bad[BAD_SLOTS]; /* processes not to be asked about, by pid */
	struct stack_msg out, in;
};

struct perf_stacks *perf_stacks_new(struct source *src)
{
	struct perf_stacks *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->src = src;
	s->sock = -1;
	s->out.buf = malloc(STACK_MSG_MAX);
	s->in.buf = malloc(STACK_MSG_MAX);
	if (s->out.buf && s->in.buf)
		return s;
	perf_stacks_free(s);
	return NULL;
}

static void end(struct perf_stacks *s)
{
	if (s->sock >= 0)
		close(s->sock);
	s->sock = -1;
	s->out.len = s->in.len = s->in.at = 0;
	s->nr_lost = s->nr;
}

void perf_stacks_free(struct perf_stacks *s)
{
	if (!s)
		return;
	end(s);
	free(s->out.buf);
	free(s->in.buf);
	free(s);
}

/* C. */
static void failed(struct perf_stacks *s, int err)
{
	u64 wait = AGAIN_MS;

	if (err == -ETIMEDOUT) {
		s->hung = min(s->hung + 1, (u32)MOST_HUNG);
		wait = 1000ULL << s->hung;
	}
	end(s);
	s->next = monotonic_ms() + wait;
}

static int begin(struct perf_stacks *s)
{
	const int room = STACKS_WINDOW / STACK_BATCH * 2 * (int)STACK_MSG_MAX;
	int err;

	if (s->sock >= 0)
		return 0;
	if (monotonic_ms() < s->next)
		return -EAGAIN;
	s->sock = source_agent(s->src, AGENT_STACKS, NULL, 0, NULL);
	if (s->sock >= 0) /* as many requests as there may be; a server that is not root has less */
		setsockopt(s->sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room));
	err = s->sock < 0 ? s->sock
			  : agent_status(s->sock, s->src->stop_fd, STACKS_TIMEOUT_MS, NULL);
	if (err)
		failed(s, err);
	return err;
}

static int flush(struct perf_stacks *s)
{
	int err = 0;

	if (s->out.len)
		err = agent_send(s->sock, s->out.buf, s->out.len, s->src->stop_fd,
				 STACKS_TIMEOUT_MS);
	s->out.len = 0;
	return err;
}

static int put(struct perf_stacks *s, const struct stack_request *request)
{
	int err;

	if (stack_msg_put_request(&s->out, request))
		return 0;
	err = flush(s);
	if (err)
		return err;
	return stack_msg_put_request(&s->out, request) ? 0 : -E2BIG;
}

/* The next answer, from the message at hand or from another one. */
static int take(struct perf_stacks *s, struct stack_answer *answer)
{
	ssize_t len;

	if (s->in.at == s->in.len) {
		len = agent_recv(s->sock, s->in.buf, STACK_MSG_MAX, NULL, s->src->stop_fd,
				 STACKS_TIMEOUT_MS);
		if (len <= 0)
			return len ? (int)len : -EIO;
		s->in.len = (size_t)len;
		s->in.at = 0;
	}
	return stack_msg_take_answer(&s->in, answer) ? 0 : -EBADMSG;
}

/* B. */
static void set_bad(struct perf_stacks *s, u32 pid, u64 until)
{
	s->bad[pid & (BAD_SLOTS - 1)].pid = pid;
	s->bad[pid & (BAD_SLOTS - 1)].until = until;
}

static bool is_bad(const struct perf_stacks *s, u32 pid)
{
	return s->bad[pid & (BAD_SLOTS - 1)].pid == pid &&
	       s->bad[pid & (BAD_SLOTS - 1)].until > monotonic_ms();
}

bool perf_stacks_request(struct perf_stacks *s, const struct stack_request *request)
{
	int err;

	if (is_bad(s, request->pid) || begin(s))
		return false;
	err = put(s, request);
	if (err) {
		failed(s, err);
		return false;
	}
	s->asked[(s->first + s->nr++) % STACKS_WINDOW] = request->pid;
	return true;
}

bool perf_stacks_ready(const struct perf_stacks *s)
{
	return s->nr_lost || s->in.at < s->in.len;
}

void perf_stacks_answer(struct perf_stacks *s, struct stack_answer *answer)
{
	u32 pid = s->asked[s->first];
	int err = -EIO;

	if (!s->nr_lost) {
		err = perf_stacks_ready(s) ? 0 : flush(s);
		if (!err)
			err = take(s, answer);
		if (err && err != -ECANCELED)
			set_bad(s, pid, monotonic_ms() + (err == -ETIMEDOUT ? HUNG_MS : ENDED_MS));
		if (err)
			failed(s, err);
	}
	if (s->nr_lost)
		s->nr_lost--;
	s->first = (s->first + 1) % STACKS_WINDOW;
	s->nr--;
	if (err)
		*answer = (struct stack_answer){.nr = err};
}

void perf_stacks_forget(struct perf_stacks *s, u32 pid)
{
	const struct stack_request request = {.what = STACK_FORGET, .pid = pid};

	set_bad(s, pid, 0);
	if (s->sock >= 0 && put(s, &request))
		failed(s, -EIO);
}
