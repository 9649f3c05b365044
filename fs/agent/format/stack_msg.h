/*
 * stack_msg.h - what goes to and from the service that reads stacks (stacks.c)
 *
 * A message holds some requests, or some answers in their order. An answer is an error, or
 * the addresses of the stack, and with STACK_BUILD_IDS a build id for each.
 *
 * Guarantees
 *   A. Whatever the bytes are, nothing outside of them is read, and an answer has at most
 *      BPF_MAX_STACK_DEPTH addresses.
 *   B. What was put is what is taken.
 * Pure functions. Tests: tests/unit/test_stack_msg.c
 */
#ifndef UBPFFS_FS_AGENT_FORMAT_STACK_MSG_H
#define UBPFFS_FS_AGENT_FORMAT_STACK_MSG_H

#include "run/sample.h"

#define STACK_BATCH   16 /* requests with 8 KiB of stack that fit in a message */
#define STACK_MSG_MAX (136u << 10)

enum {
	STACK_UNWIND =
		1, /* by registers and a copy of the stack; else the addresses come with it */
	STACK_BUILD_IDS = 2,
	STACK_FORGET =
		4, /* the number is another process's now, or it runs another program: no answer */
};

struct stack_request {
	u32 what, pid;
	u64 mask; /* the registers' numbers */
	u32 nr; /* registers, or addresses */
	u32 stack_size;
	const u64 *words; /* nr */
	const void *stack;
};

struct stack_answer {
	int nr; /* addresses, or -errno */
	const u64 *ips;
	const struct bpf_stack_build_id *ids; /* or NULL */
};

struct stack_msg {
	char *buf; /* 8-byte aligned, STACK_MSG_MAX */
	size_t len, at; /* at: what was taken */
};

/* False: there is no room. */
bool stack_msg_put_request(struct stack_msg *msg, const struct stack_request *request);
bool stack_msg_put_answer(struct stack_msg *msg, const struct stack_answer *answer);
/*
 * False: there is no more, or it is damaged (then msg->at is not msg->len). Pointers lead into the
 * message.
 */
bool stack_msg_take_request(struct stack_msg *msg, struct stack_request *request);
bool stack_msg_take_answer(struct stack_msg *msg, struct stack_answer *answer);

#endif
