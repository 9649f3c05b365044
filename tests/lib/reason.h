/*
 * reason.h - the reason of a verdict as one text, valid until this thread's next call
 */
#ifndef UBPFFS_TESTS_REASON_H
#define UBPFFS_TESTS_REASON_H

#include "verifier/report/reasons.h"

static inline const char *reason_of(const struct bpf_verdict *verdict)
{
	static __thread char text[1024];

	bpf_verdict_reason(verdict, text, sizeof(text));
	return text;
}

#endif
