/*
 * log.h - text that a load leaves for a person
 *
 * A growing, bounded buffer. The verifier, the ELF reader and the loader write to it; who asked for
 * the load reads it. Writing never fails: past `max` bytes the text is cut, and `truncated` says so
 * (the kernel's -ENOSPC is the caller's to give). A NULL log discards. Not thread safe: one load,
 * one log.
 */
#ifndef UBPFFS_UTIL_LOG_H
#define UBPFFS_UTIL_LOG_H

#include <stdarg.h>
#include "util/types.h"

/* bpf(2)'s log_level bits. */
#define BPF_LOG_LEVEL1	   1 /* the path to the error */
#define BPF_LOG_LEVEL2	   2 /* every instruction */
#define BPF_LOG_STATS	   4
#define BPF_LOG_LEVEL	   (BPF_LOG_LEVEL1 | BPF_LOG_LEVEL2)
/*
 * Ours: only of a program that is refused. It is verified silently first, because formatting the
 * text costs several times the proof.
 */
#define BPF_LOG_ON_REFUSAL 16

/* Why a load failed, as data. */
struct bpf_load_error {
	char prog[64]; /* the program at fault, "": none in particular */
	char reason[512]; /* a sentence, "": nothing failed */
	const char *hint; /* what to do about it, or NULL */
	int insn; /* of the program as it was given, -1: none in particular */
	char source[256]; /* "count.c:12: return *data;", or "" */
	u32 insn_processed; /* by the verifier, until then */
};

struct bpf_log {
	char *buf; /* NUL-terminated when len > 0; owned */
	size_t len, cap;
	size_t max; /* 0: 16 MiB */
	u32 level;
	bool truncated;
	struct bpf_load_error *error; /* who wants to know it as data, or NULL */
};

void bpf_log_init(struct bpf_log *log, u32 level, size_t max);
void bpf_log_free(struct bpf_log *log);
void bpf_log_vprintf(struct bpf_log *log, const char *fmt, va_list args);
void bpf_log_printf(struct bpf_log *log, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * A line that says why the load fails. The first one that log->error gets stays: it is the nearest
 * to the fault.
 */
void bpf_log_error(struct bpf_log *log, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void bpf_log_verror(struct bpf_log *log, const char *fmt, va_list args);

/* Cut the text back to a length it had before (a path that proved safe is not shown at level 1). */
void bpf_log_reset(struct bpf_log *log, size_t len);

static inline const char *bpf_log_text(const struct bpf_log *log)
{
	return log && log->buf ? log->buf : "";
}

#endif
