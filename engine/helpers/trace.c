/*
 * trace.c - the lines of bpf_trace_printk, between programs that write and people who read
 *
 * A ring of bytes that holds whole lines. A writer never waits for a reader: when the ring is full
 * the oldest lines go. A reader takes lines out (as trace_pipe does), so that several readers share
 * them. One mutex, held for a memcpy; it is a leaf: nothing else is locked under it, and the
 * notification is made after it is dropped.
 */
#include <pthread.h>
#include "run/run.h"
#include "helpers/trace.h"

#define TRACE_SIZE (256u << 10)

static pthread_mutex_t trace_lock = PTHREAD_MUTEX_INITIALIZER;
static char trace_ring[TRACE_SIZE];
static u64 trace_head, trace_tail; /* bytes ever written and ever removed */

void (*bpf_trace_notify)(void);

static char ring_at(u64 pos)
{
	return trace_ring[pos % TRACE_SIZE];
}

/* Length of the line that starts at pos, its newline included. There is one. */
static size_t line_len(u64 pos)
{
	size_t len = 0;

	while (pos + len < trace_head && ring_at(pos + len) != '\n')
		len++;
	return len + 1;
}

static void ring_put(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		trace_ring[(trace_head + i) % TRACE_SIZE] = text[i];
	trace_head += len;
}

void bpf_trace_write(const char *text, size_t len)
{
	void (*notify)(void) = bpf_rcu_dereference(bpf_trace_notify);
	bool ended;

	len = min(len, (size_t)TRACE_SIZE / 4);
	if (!len)
		return;
	ended = text[len - 1] == '\n';

	pthread_mutex_lock(&trace_lock);
	while (trace_head - trace_tail + len + !ended > TRACE_SIZE)
		trace_tail += line_len(trace_tail);
	ring_put(text, len);
	if (!ended)
		ring_put("\n", 1);
	pthread_mutex_unlock(&trace_lock);

	if (notify)
		notify();
}

size_t bpf_trace_read(char *buf, size_t len)
{
	size_t done = 0, line;

	pthread_mutex_lock(&trace_lock);
	while (trace_tail < trace_head) {
		line = line_len(trace_tail);
		if (line > len - done) {
			/* A buffer smaller than one line gets the line in parts. */
			if (done)
				break;
			line = len;
		}
		if (!line)
			break;
		for (size_t i = 0; i < line; i++)
			buf[done + i] = ring_at(trace_tail + i);
		trace_tail += line;
		done += line;
	}
	pthread_mutex_unlock(&trace_lock);
	return done;
}
