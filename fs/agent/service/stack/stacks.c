/*
 * stacks.c - the service that reads stacks for one source of samples (stack_msg.h)
 *
 * It has the rights of the source's owner: the kernel decides whose files it may read. When it
 * hangs or ends, the source has no stacks of that process, and nothing else happens.
 *
 * Answers are kept together and sent when all requests of a message are answered, or before the
 * first request about another process: so the server knows by what is missing which process it is
 * that hangs.
 */
#include <stdio.h>
#include "fs/agent/format/stack_msg.h"
#include "fs/agent/service/stack/unwind.h"
#include "fs/agent/service/stack/stacks.h"

static struct {
	u64 ips[BPF_MAX_STACK_DEPTH];
	struct bpf_stack_build_id ids[BPF_MAX_STACK_DEPTH];
} stack;

static void read_stack(struct unwind *u, const struct stack_request *request,
		       struct stack_answer *answer)
{
	*answer = (struct stack_answer){.ips = stack.ips};
	if (request->what & STACK_UNWIND) {
		answer->nr = request->nr == (u32)__builtin_popcountll(request->mask)
				     ? unwind_stack(u, request, stack.ips, BPF_MAX_STACK_DEPTH)
				     : -EINVAL;
	} else {
		answer->nr = (int)min(request->nr, (u32)BPF_MAX_STACK_DEPTH);
		memcpy(stack.ips, request->words, (size_t)answer->nr * sizeof(u64));
	}
	if (request->what & STACK_BUILD_IDS && answer->nr > 0) {
		unwind_build_ids(u, (pid_t)request->pid, stack.ips, (u32)answer->nr, stack.ids);
		answer->ids = stack.ids;
	}
}

static bool send_answers(int sock, struct stack_msg *out)
{
	bool ok = !out->len || agent_put(sock, out->buf, out->len, -1);

	out->len = 0;
	return ok;
}

static bool answer_all(int sock, struct unwind *u, struct stack_msg *in, struct stack_msg *out)
{
	struct stack_answer answer;
	struct stack_request request;
	u32 pid = 0;

	while (stack_msg_take_request(in, &request)) {
		if (request.pid != pid && !send_answers(sock, out))
			return false;
		pid = request.pid;
		if (request.what & STACK_FORGET) {
			unwind_forget(u, (pid_t)pid);
			continue;
		}
		read_stack(u, &request, &answer);
		if (!stack_msg_put_answer(out, &answer)) {
			if (!send_answers(sock, out))
				return false;
			stack_msg_put_answer(out, &answer);
		}
	}
	return send_answers(sock, out) && in->at == in->len;
}

void stacks_service(int sock, const void *arg, size_t arg_len)
{
	struct stack_msg in = {.buf = malloc(STACK_MSG_MAX)}, out = {.buf = malloc(STACK_MSG_MAX)};
	struct unwind *u = unwind_new();
	ssize_t len;

	agent_report(sock, in.buf && out.buf && u ? 0 : -ENOMEM, NULL);
	while (in.buf && out.buf && u && (len = agent_get(sock, in.buf, STACK_MSG_MAX)) > 0) {
		in.len = (size_t)len;
		in.at = 0;
		if (!answer_all(sock, u, &in, &out))
			break;
	}
}
