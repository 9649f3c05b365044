/*
 * jitcheck.h - native code as an independent disassembler reads it (capstone)
 *
 * All of it decodes, in one way; every branch goes to the beginning of an instruction, or to a
 * function of the engine; memory is accessed by what comes of an instruction that may, at its size,
 * or is the frame's or the thread's own; constants of a strict program are not in its code; and the
 * pages can be executed and not written.
 */
#ifndef UBPFFS_TESTS_JITCHECK_H
#define UBPFFS_TESTS_JITCHECK_H

#include "core/prog.h"

/* NULL: all is well, or there is no native code; else what is wrong, in static memory. */
const char *jitcheck(const struct bpf_prog *prog);

#endif
