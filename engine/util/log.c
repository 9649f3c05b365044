/*
 * log.c - a growing, bounded text buffer
 *
 * Memory doubles up to `max`. When memory runs out the text ends where it is and counts as
 * truncated: a log must never be the reason that a load fails.
 */
#include <stdio.h>
#include "util/log.h"

#define LOG_DEFAULT_MAX (16u << 20)
#define LOG_FIRST_CAP	512

void bpf_log_init(struct bpf_log *log, u32 level, size_t max)
{
	memset(log, 0, sizeof(*log));
	log->level = level;
	log->max = max;
}

void bpf_log_free(struct bpf_log *log)
{
	if (!log)
		return;
	free(log->buf);
	log->buf = NULL;
	log->len = log->cap = 0;
	log->truncated = false;
}

/* Make room for `need` bytes of text and the NUL; gives what room there is. */
static size_t log_reserve(struct bpf_log *log, size_t need)
{
	size_t max = log->max ? log->max : LOG_DEFAULT_MAX;
	size_t cap = log->cap ? log->cap : LOG_FIRST_CAP;
	char *buf;

	while (cap < log->len + need + 1 && cap < max + 1)
		cap *= 2;
	cap = min(cap, max + 1);
	if (cap > log->cap) {
		buf = realloc(log->buf, cap);
		if (buf) {
			log->buf = buf;
			log->cap = cap;
		}
	}
	return log->cap > log->len ? log->cap - log->len - 1 : 0;
}

static void log_append(struct bpf_log *log, const char *text, size_t len)
{
	size_t room = log_reserve(log, len);

	if (len > room) {
		log->truncated = true;
		len = room;
	}
	if (!log->buf)
		return;
	if (len)
		memcpy(log->buf + log->len, text, len);
	log->len += len;
	log->buf[log->len] = 0;
}

void bpf_log_vprintf(struct bpf_log *log, const char *fmt, va_list args)
{
	__do_free char *big = NULL;
	char small[512];
	va_list again;
	int len;

	if (!log || log->truncated)
		return;
	va_copy(again, args);
	len = vsnprintf(small, sizeof(small), fmt, args);
	if (len >= (int)sizeof(small)) {
		big = malloc((size_t)len + 1);
		if (big)
			vsnprintf(big, (size_t)len + 1, fmt, again);
		else
			len = sizeof(small) - 1;
	}
	va_end(again);
	if (len > 0)
		log_append(log, big ? big : small, (size_t)len);
}

void bpf_log_printf(struct bpf_log *log, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	bpf_log_vprintf(log, fmt, args);
	va_end(args);
}

void bpf_log_verror(struct bpf_log *log, const char *fmt, va_list args)
{
	char line[sizeof(log->error->reason)];

	if (!log)
		return;
	vsnprintf(line, sizeof(line), fmt, args);
	bpf_log_printf(log, "%s\n", line);
	if (log->error && !*log->error->reason) {
		*log->error = (struct bpf_load_error){.insn = -1};
		strcpy(log->error->reason, line);
	}
}

void bpf_log_error(struct bpf_log *log, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	bpf_log_verror(log, fmt, args);
	va_end(args);
}

void bpf_log_reset(struct bpf_log *log, size_t len)
{
	if (!log || len >= log->len)
		return;
	log->len = len;
	log->buf[len] = 0;
	log->truncated = false;
}
