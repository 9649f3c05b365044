/*
 * packets.c - see packets.h
 */
#include "fs/agent/service/packets.h"

#define BODY_MAX (AGENT_MSG_MAX - sizeof(struct capture_message))

static struct {
	int sock;
	size_t len; /* of the body */
	struct capture_message *head;
} out;

int packets_begin(int sock)
{
	out.sock = sock;
	out.head = malloc(AGENT_MSG_MAX);
	return out.head ? 0 : -ENOMEM;
}

/* Nobody is there to read it any more: then nobody asks for the rest. */
static void put(enum capture_kind kind, s32 value)
{
	out.head->kind = kind;
	out.head->value = value;
	if (!agent_put(out.sock, out.head, sizeof(*out.head) + out.len, -1))
		_exit(0);
	out.len = 0;
}

void packets_flush(void)
{
	if (out.len)
		put(CAPTURE_PACKETS, 0);
}

void packets_add(struct capture_packet packet, const void *data)
{
	if (packet.caplen > CAPTURE_SNAPLEN)
		packet.caplen = 0;
	if (sizeof(packet) + packet.caplen > BODY_MAX - out.len)
		packets_flush();
	memcpy(out.head->body + out.len, &packet, sizeof(packet));
	memcpy(out.head->body + out.len + sizeof(packet), data, packet.caplen);
	out.len += sizeof(packet) + packet.caplen;
}

void packets_say(enum capture_kind kind, s32 value, const char *text)
{
	packets_flush();
	if (text) {
		out.len = strnlen(text, BODY_MAX);
		memcpy(out.head->body, text, out.len);
	}
	put(kind, value);
}
