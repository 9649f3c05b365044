/*
 * trace.h - the lines of trace_printk
 */
#ifndef UBPFFS_HELPERS_TRACE_H
#define UBPFFS_HELPERS_TRACE_H

#include "util/types.h"

/*
 * trace_printk's lines: a bounded ring that one or more readers drain; oldest lines are lost first.
 */
void bpf_trace_write(const char *text, size_t len);
/* Copies whole lines, up to len bytes; 0 when there is none. */
size_t bpf_trace_read(char *buf, size_t len);
/* Called (if set) after each write, outside of locks; used to wake blocked readers. */
extern void (*bpf_trace_notify)(void);

#endif
