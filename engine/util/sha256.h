/*
 * sha256.h - SHA-256 (FIPS 180-4), for program tags
 */
#ifndef UBPFFS_UTIL_SHA256_H
#define UBPFFS_UTIL_SHA256_H

#include "util/types.h"

#define SHA256_SIZE 32

void sha256(const void *data, size_t len, u8 digest[SHA256_SIZE]);

#endif
