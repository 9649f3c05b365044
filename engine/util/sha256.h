/*
 * sha256.h - SHA-256 (FIPS 180-4), for program tags
 */
#ifndef UBPFFS_UTIL_SHA256_H
#define UBPFFS_UTIL_SHA256_H

#include "util/types.h"

#define SHA256_SIZE 32

/* Of data in one piece, */
void sha256(const void *data, size_t len, u8 digest[SHA256_SIZE]);

/* and in several: begin, add what there is, end. */
struct sha256 {
	u32 h[8];
	u64 len;
	u8 block[64]; /* len % 64 bytes */
};

void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *data, size_t len);
void sha256_end(struct sha256 *s, u8 digest[SHA256_SIZE]);

#endif
