/*
 * native.h - this machine's instructions as mnemonics, by libcapstone where it is installed
 *
 * The library is loaded when it is first needed, so that nobody has to have it.
 */
#ifndef UBPFFS_TOOLS_LIB_NATIVE_H
#define UBPFFS_TOOLS_LIB_NATIVE_H

#include <stddef.h>

/* NULL: mnemonics can be had; else a sentence says what is missing. */
const char *native_missing(void);

/*
 * The instruction that `size` bytes of code begin with, which lies at `addr`, into buf. How many
 * bytes it has; 0: it is none, or there is no library.
 */
size_t native_insn(const void *code, size_t size, unsigned long long addr, char *buf, size_t len);

#endif
