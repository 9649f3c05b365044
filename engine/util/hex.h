/*
 * hex.h - a byte as two digits
 */
#ifndef UBPFFS_UTIL_HEX_H
#define UBPFFS_UTIL_HEX_H

#include <stdint.h>

/* Writes two characters and no end of the string; returns what is behind them. */
static inline char *hex_byte(char *out, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	*out++ = digits[byte >> 4];
	*out++ = digits[byte & 15];
	return out;
}

#endif
