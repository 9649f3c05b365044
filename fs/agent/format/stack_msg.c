/*
 * stack_msg.c - see stack_msg.h
 */
#include "fs/agent/format/stack_msg.h"

struct request_head {
	u32 what, pid;
	u64 mask;
	u32 nr, stack_size;
};

struct answer_head {
	s32 nr;
	u32 has_ids;
};

static bool put(struct stack_msg *msg, const void *data, size_t len)
{
	size_t room = round_up(len, 8);

	if (room > STACK_MSG_MAX - msg->len)
		return false;
	if (len)
		memcpy(msg->buf + msg->len, data, len);
	memset(msg->buf + msg->len + len, 0, room - len);
	msg->len += room;
	return true;
}

static const void *take(struct stack_msg *msg, u64 len)
{
	const void *p = msg->buf + msg->at;

	if (round_up(len, 8) > msg->len - msg->at)
		return NULL;
	msg->at += round_up(len, 8);
	return p;
}

bool stack_msg_put_request(struct stack_msg *msg, const struct stack_request *request)
{
	const struct request_head head = {request->what, request->pid, request->mask, request->nr,
					  request->stack_size};
	size_t len = msg->len;

	if (put(msg, &head, sizeof(head)) && put(msg, request->words, request->nr * sizeof(u64)) &&
	    put(msg, request->stack, request->stack_size))
		return true;
	msg->len = len;
	return false;
}

bool stack_msg_take_request(struct stack_msg *msg, struct stack_request *request)
{
	const struct request_head *head;
	size_t at = msg->at;

	head = take(msg, sizeof(*head));
	if (head) {
		*request = (struct stack_request){.what = head->what,
						  .pid = head->pid,
						  .mask = head->mask,
						  .nr = head->nr,
						  .stack_size = head->stack_size};
		request->words = take(msg, request->nr * (u64)sizeof(u64));
		request->stack = request->words ? take(msg, request->stack_size) : NULL;
		if (request->stack)
			return true;
	}
	msg->at = at;
	return false;
}

bool stack_msg_put_answer(struct stack_msg *msg, const struct stack_answer *answer)
{
	const struct answer_head head = {answer->nr, answer->ids != NULL};
	size_t len = msg->len, nr = answer->nr > 0 ? (size_t)answer->nr : 0;

	if (put(msg, &head, sizeof(head)) && put(msg, answer->ips, nr * sizeof(u64)) &&
	    (!answer->ids || put(msg, answer->ids, nr * sizeof(*answer->ids))))
		return true;
	msg->len = len;
	return false;
}

bool stack_msg_take_answer(struct stack_msg *msg, struct stack_answer *answer)
{
	const struct answer_head *head;
	size_t at = msg->at;

	head = take(msg, sizeof(*head));
	if (head && head->nr <= BPF_MAX_STACK_DEPTH && head->nr > -512) {
		u64 nr = (u64)max(head->nr, 0);

		*answer = (struct stack_answer){.nr = head->nr};
		answer->ips = take(msg, nr * sizeof(u64));
		if (answer->ips && head->has_ids)
			answer->ids = take(msg, nr * sizeof(*answer->ids));
		if (answer->ips && (!head->has_ids || answer->ids))
			return true;
	}
	msg->at = at;
	return false;
}
